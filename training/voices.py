"""Synthetic voices: espeak-ng and flite, called as programs, answer text with 16 kHz speech.

espeak-ng gives breadth (accents x voice variants x rate x pitch), flite a few voices cut from real
recordings. Neither is needed on a device; both come from Debian.
"""

import io
import random
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RATE_HZ = 16_000
_ACCENTS = (
    "en-us en-us en-us en-gb en-gb-scotland en-gb-x-gbclan en-gb-x-rp en-gb-x-gbcwmd en-029"
).split()
_VARIANTS = (
    "",  # the plain voice
    *(
        "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Alex Alicia Andrea Andy Annie Denis Diogo Gene "
        "Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen RicishayMax Storm adam "
        "anika announcer antonio aunty belinda benjamin boris caleb david ed edward grandma "
        "grandpa gustave iven iven2 john klatt klatt2 klatt3 linda marcelo max michel miguel "
        "norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 travis victor zac"
    ).split(),
)
_FLITE = ("kal16", "awb", "rms", "slt")
_FLITE_SHARE = 0.35


class VoiceError(RuntimeError):
    """A synthetic voice is missing or failed."""


@dataclass(frozen=True)
class Voice:
    """One way of speaking; draw it once and keep it for a whole utterance."""

    program: str
    name: str
    words_per_minute: int
    pitch: int
    """espeak-ng pitch, 0 to 99; unused by flite."""

    @classmethod
    def draw(cls, rng: random.Random) -> "Voice":
        """Draw a voice: one in three is flite's."""
        speed = rng.randint(120, 210)
        if rng.random() < _FLITE_SHARE:
            return cls("flite", rng.choice(_FLITE), speed, 50)
        variant = rng.choice(_VARIANTS)
        name = rng.choice(_ACCENTS) + (f"+{variant}" if variant else "")
        return cls("espeak-ng", name, speed, rng.randint(15, 85))

    def speak(self, text: str) -> npt.NDArray[np.float32]:
        """Speak `text`; single letters are read as letters in upper case, as words in lower case.

        Returns:
            Speech, float32 `[n_samples]` at 16 kHz, in [-1, 1], without the silence that programs
            add.

        Raises:
            VoiceError: The program is missing (`apt-get install espeak-ng flite`), failed or
                returned no sound.
        """
        if shutil.which(self.program) is None:
            raise VoiceError(
                f"{self.program} is not installed; try: apt-get install {self.program}"
            )
        done = subprocess.run(self._command(text), capture_output=True, check=False)
        if done.returncode != 0 or len(done.stdout) < 100:
            raise VoiceError(
                f"{self.program} {self.name} could not speak {text!r}: {done.stderr[-200:]!r}"
            )
        samples, rate_hz = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
        return trim(soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ").astype(np.float32))

    def _command(self, text: str) -> list[str]:
        if self.program == "flite":
            stretch = f"duration_stretch={165 / self.words_per_minute:.3f}"
            voice = ["-voice", self.name, "--setf", stretch]
            return ["flite", *voice, "-t", text, "-o", "/dev/stdout"]
        rate, pitch = str(self.words_per_minute), str(self.pitch)
        return ["espeak-ng", "-v", self.name, "-s", rate, "-p", pitch, "--stdout", text]


def trim(samples: npt.NDArray[np.float32], threshold: float = 0.01) -> npt.NDArray[np.float32]:
    """Cut leading and trailing samples below `threshold` of the peak, all but 20 ms."""
    loud = np.flatnonzero(np.abs(samples) > threshold * np.abs(samples).max(initial=0.0))
    if loud.size == 0:
        return samples
    keep = RATE_HZ // 50
    return samples[max(0, loud[0] - keep) : loud[-1] + keep]
