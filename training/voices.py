"""Synthetic voices: programs and small networks answer text with 16 kHz speech.

What each voice program is, where it comes from and under which licence stands in
`training/synthesizers.py` and `training/neural.py`. None is needed on a device.
"""

import random
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from . import neural, synthesizers

RATE_HZ = 16_000
VoiceError = synthesizers.VoiceError
PROGRAMS: dict[str, synthesizers.Synthesizer] = {
    synthesizer.program: synthesizer
    for synthesizer in (
        synthesizers.EspeakNg(),
        synthesizers.Flite(),
        synthesizers.Festival(),
        synthesizers.RHVoice(),
        synthesizers.Pico(),
        neural.Hibari(),
        neural.Kokoro(),
    )
}


@dataclass(frozen=True)
class Voice:
    """One way of speaking; draw it once and keep it for a whole utterance."""

    program: str
    """A name of `PROGRAMS`."""
    name: str
    words_per_minute: int
    pitch: int
    """0 to 99, 50 is the voice's own; some programs know no pitch."""

    @classmethod
    def draw(cls, rng: random.Random, program: str) -> "Voice":
        """Draw one of the program's voices, with a rate and a pitch."""
        name = PROGRAMS[program].draw(rng)
        return cls(program, name, rng.randint(120, 210), rng.randint(15, 85))

    def speak(self, text: str) -> npt.NDArray[np.float32]:
        """Speak `text`; single letters in upper case are read as letters.

        Returns:
            Speech, float32 `[n_samples]` at 16 kHz, in [-1, 1], without the silence that programs
            add.

        Raises:
            VoiceError: The program is missing (its message says where it comes from), failed or
                returned no sound.
        """
        synthesizer = PROGRAMS[self.program]
        if not synthesizer.is_there():
            raise VoiceError(f"{self.program} is not installed; it comes from {synthesizer.origin}")
        spelled = re.sub(r"\bA\b", lambda _: synthesizer.letter_a, text)
        samples, rate_hz = synthesizer.speak(self.name, self.words_per_minute, self.pitch, spelled)
        return trim(soxr.resample(samples, rate_hz, RATE_HZ, quality="HQ").astype(np.float32))


def trim(samples: npt.NDArray[np.float32], threshold: float = 0.01) -> npt.NDArray[np.float32]:
    """Cut leading and trailing samples below `threshold` of the peak, all but 20 ms."""
    loud = np.flatnonzero(np.abs(samples) > threshold * np.abs(samples).max(initial=0.0))
    if loud.size == 0:
        return samples
    keep = RATE_HZ // 50
    return samples[max(0, loud[0] - keep) : loud[-1] + keep]
