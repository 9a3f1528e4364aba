"""Voice programs of Debian, called as programs: espeak-ng, flite, festival, RHVoice, SVOX Pico.

Left out for their licences: MBROLA's voices, RHVoice's `evgeniy-eng` and `lyubov`, and festival's
`don` and `rab` (their dictionary), all of which may not be used commercially.
"""

import io
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soundfile

Speech = tuple[npt.NDArray[np.float32], int]
"""Samples in [-1, 1], float32 `[n_samples]`, and their rate in Hz."""
_USUAL_WORDS_PER_MINUTE = 165


class VoiceError(RuntimeError):
    """A synthetic voice is missing or failed."""


class Synthesizer(Protocol):
    """A voice program: it is called with a text and answers with speech."""

    program: str
    origin: str
    """Where it comes from."""
    letter_a: str
    """What it takes for the letter A; "A" itself is mostly taken for the article."""

    def is_there(self) -> bool:
        """Tell whether it is installed."""

    def draw(self, rng: random.Random) -> str:
        """Draw the name of one of its voices."""

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:
        """Speak with one of its voices.

        Raises:
            VoiceError: It failed or returned no sound.
        """


def speed(words_per_minute: int) -> float:
    """Return the tempo, relative to how voices usually speak."""
    return words_per_minute / _USUAL_WORDS_PER_MINUTE


def _percent(pitch: int) -> int:
    """A pitch of 0 to 99 as 70 to 130 percent of the voice's own."""
    return round(100 + (pitch - 50) * 0.6)


def _run(command: list[str], text: str | None = None) -> bytes:
    told = None if text is None else text.encode()
    done = subprocess.run(command, input=told, capture_output=True, check=False)
    if done.returncode != 0:
        raise VoiceError(f"{command[0]} could not speak: {done.stderr[-200:]!r}")
    return done.stdout


def _decode(wav: bytes) -> Speech:
    """Decode a WAV; one that went through a pipe may not know its length."""
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise VoiceError(f"a voice answered {len(wav)} bytes that are no WAV") from error
    return samples, rate_hz


def _run_to_file(command: list[str], text: str) -> Speech:
    """Run a program that writes no good WAV to a pipe; the file's name goes at the end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.wav"
        _run([*command, str(file)], text)
        return _decode(file.read_bytes())


class EspeakNg:
    """A formant synthesizer: accents x voice variants x rate x pitch. GPL-3, Debian main."""

    program = "espeak-ng"
    origin = "Debian: apt-get install espeak-ng"
    letter_a = "[['eI]]"
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
            "norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 travis victor "
            "zac"
        ).split(),
    )

    def is_there(self) -> bool:
        """Tell whether the program is on PATH."""
        return shutil.which("espeak-ng") is not None

    def draw(self, rng: random.Random) -> str:
        """Draw an accent and a voice variant."""
        variant = rng.choice(self._VARIANTS)
        return rng.choice(self._ACCENTS) + (f"+{variant}" if variant else "")

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:
        """Speak."""
        rate = ["-s", str(words_per_minute), "-p", str(pitch)]
        return _decode(_run(["espeak-ng", "-v", name, *rate, "--stdout", text]))


class Flite:
    """Four voices, two built from CMU ARCTIC recordings. BSD-like, Debian main."""

    program = "flite"
    origin = "Debian: apt-get install flite"
    letter_a = "A"

    def is_there(self) -> bool:
        """Tell whether the program is on PATH."""
        return shutil.which("flite") is not None

    def draw(self, rng: random.Random) -> str:
        """Draw one of the four."""
        return rng.choice(("kal16", "awb", "rms", "slt", "awb", "rms", "slt"))

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:  # noqa: ARG002 (flite has no pitch)
        """Speak."""
        stretch = f"duration_stretch={1 / speed(words_per_minute):.3f}"
        command = ["flite", "-voice", name, "--setf", stretch, "-t", text, "-o", "/dev/stdout"]
        return _decode(_run(command))


class Festival:
    """Two diphone voices and one of HMMs (CMU ARCTIC's slt). BSD-like, Debian main."""

    program = "festival"
    origin = (
        "Debian: apt-get install festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts"
    )
    letter_a = "ay"
    _VOICES = ("kal_diphone", "ked_diphone", "cmu_us_slt_arctic_hts")

    def is_there(self) -> bool:
        """Tell whether the program is on PATH and all its voices where Debian puts them."""
        found = {path.name for path in Path("/usr/share/festival/voices").glob("*/*")}
        return shutil.which("text2wave") is not None and found >= set(self._VOICES)

    def draw(self, rng: random.Random) -> str:
        """Draw one of the three."""
        return rng.choice(self._VOICES)

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:  # noqa: ARG002 (set per voice, in no common unit)
        """Speak."""
        stretch = f"(Parameter.set 'Duration_Stretch {1 / speed(words_per_minute):.3f})"
        return _run_to_file(["text2wave", "-eval", f"(begin (voice_{name}) {stretch})", "-o"], text)


class RHVoice:
    """HMM voices: the CMU ARCTIC speakers bdl, clb and slt, and alan. LGPL, Debian non-free.

    Debian keeps them there because the scripts that trained them are lost.
    """

    program = "rhvoice"
    origin = "Debian, component non-free: apt-get install rhvoice rhvoice-english"
    letter_a = "ay"

    def is_there(self) -> bool:
        """Tell whether the program is on PATH and its English voices where Debian puts them."""
        there = Path("/usr/share/RHVoice/voices/alan").is_dir()
        return shutil.which("RHVoice-test") is not None and there

    def draw(self, rng: random.Random) -> str:
        """Draw one of the four."""
        return rng.choice(("alan", "bdl", "clb", "slt"))

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:
        """Speak."""
        rate = ["-r", str(round(100 * speed(words_per_minute))), "-t", str(_percent(pitch))]
        return _decode(_run(["RHVoice-test", "-p", name, *rate, "-o", "/dev/stdout"], text))


class Pico:
    """Android's former voices, American and British. Apache-2.0, Debian non-free.

    Debian keeps them there because the recordings they were made from are lost.
    """

    program = "pico"
    origin = "Debian, component non-free: apt-get install libttspico-utils"
    letter_a = '<phoneme alphabet="xsampa" ph="eI"/>'

    def is_there(self) -> bool:
        """Tell whether the program is on PATH."""
        return shutil.which("pico2wave") is not None

    def draw(self, rng: random.Random) -> str:
        """Draw one of the two."""
        return rng.choice(("en-US", "en-GB"))

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:
        """Speak."""
        rate = round(100 * speed(words_per_minute))
        told = f'<speed level="{rate}"><pitch level="{_percent(pitch)}">{text}</pitch></speed>'
        return _run_to_file(["pico2wave", "-l", name, "-w"], told)
