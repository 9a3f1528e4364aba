"""Recordings and synthetic speech -> one cache of 16 kHz samples that training reads at random.

The cache is a folder: `samples.i16` (little-endian int16 mono at 16 kHz, utterances end to end) and
`index.json` (a list of `Utterance`). It is built once from the data manifest (tab separated;
columns path, split, norm, speaker, source) and the synthetic voices, and is safe to delete.
"""

import csv
import gzip
import json
import random
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from . import sentences
from .voices import RATE_HZ, Voice, VoiceError, trim

# What a folder of recordings holds: "digit" and "symbol" are single words, joined into strings
# while training.
KINDS = {
    "fsdd": "digit",
    "alphanumeric": "symbol",
    "an4": "sentence",
    "speechocean762": "sentence",
    "ljspeech": "read",
    "hifitts_6097": "read",
}
# How many synthetic utterances of each kind.
SYNTHETIC = {"digits": 1800, "number": 1800, "spelled": 1500, "command": 5000, "plain": 4500}


@dataclass(frozen=True)
class Utterance:
    """One utterance of the cache."""

    kind: str
    start: int
    """First sample in `samples.i16`."""
    n_samples: int
    text: str
    """Normalised transcript; empty for noise."""
    speaker: str


@dataclass(frozen=True)
class Corpus:
    """The cache, opened for reading."""

    samples: npt.NDArray[np.int16]
    utterances: tuple[Utterance, ...]

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open the cache in `folder`.

        Raises:
            FileNotFoundError: It was not prepared yet.
        """
        if not (folder / "index.json").is_file():
            raise FileNotFoundError(
                f"{folder} holds no prepared corpus (index.json); prepare it first"
            )
        rows = json.loads((folder / "index.json").read_text())
        samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")
        return cls(samples, tuple(Utterance(**row) for row in rows))

    def audio(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        """Return float32 `[n_samples]` in [-1, 1] at 16 kHz."""
        piece = self.samples[utterance.start : utterance.start + utterance.n_samples]
        return piece.astype(np.float32) / np.float32(32768)


def read_manifest(data: Path, split: str) -> list[dict[str, str]]:
    """Return the manifest rows of one split, each with its recording's folder as `set`."""
    with (data / "MANIFEST.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == split]
    return [{**row, "set": Path(row["path"]).parent.name} for row in rows]


def read_recording(path: Path) -> npt.NDArray[np.float32]:
    """Read a recording as float32 mono at 16 kHz."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ, quality="HQ")
    return np.asarray(mono, np.float32)


def prepare(data: Path, folder: Path, seed: int, report: Callable[[str], None]) -> Corpus:
    """Build the cache in `folder` from the recordings under `data` and from synthetic voices."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    rows: list[Utterance] = []
    end = 0
    with (folder / "samples.i16").open("wb") as file:
        for kind, text, speaker, samples in chain(
            _recordings(data), _noises(data), _synthetic(data, rng)
        ):
            clipped = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2")
            file.write(clipped.tobytes())
            rows.append(Utterance(kind, end, len(clipped), text, speaker))
            end += len(clipped)
    (folder / "index.json").write_text(json.dumps([asdict(row) for row in rows]))
    for kind in sorted({row.kind for row in rows}):
        hours = sum(row.n_samples for row in rows if row.kind == kind) / RATE_HZ / 3600
        report(f"{kind}: {sum(row.kind == kind for row in rows)} utterances, {hours:.2f} h")
    return Corpus.open(folder)


_Spoken = tuple[str, str, str, npt.NDArray[np.float32]]


def _recordings(data: Path) -> Iterator[_Spoken]:
    for row in read_manifest(data, "train"):
        samples = read_recording(data / row["path"])
        if row["set"] == "alphanumeric":  # one-second clips: only the word itself can be joined
            samples = trim(samples, threshold=0.05)
        text = sentences.normalize_text(row["norm"])
        if text and text == " ".join(row["norm"].split()):
            yield KINDS[row["set"]], text, row["speaker"], samples


def _noises(data: Path) -> Iterator[_Spoken]:
    for row in read_manifest(data, "noise"):
        kind = "room" if "impulse" in row["notes"] else "noise"
        yield kind, "", row["path"], read_recording(data / row["path"])


def _synthetic(data: Path, rng: random.Random) -> Iterator[_Spoken]:
    """Speak the drawn texts, two at a time.

    A text that a voice cannot speak is spoken again by another voice.
    """
    dev = frozenset(sentences.normalize_text(row["norm"]) for row in read_manifest(data, "dev"))
    bank = sentences.SentenceBank.from_texts(_books(data), dev)
    draw: dict[str, Callable[[random.Random], str]] = {
        "digits": sentences.digit_string,
        "number": sentences.number,
        "spelled": sentences.spelled,
        "command": sentences.command,
        "plain": bank.draw,
    }
    orders = []
    for kind, count in SYNTHETIC.items():
        n_left = count
        while n_left:
            text = draw[kind](rng)
            if kind != "command" or text not in dev:
                orders.append((kind, text, rng.getrandbits(32)))
                n_left -= 1
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda order: _speak(*order), orders)


def _speak(kind: str, text: str, seed: int) -> _Spoken:
    rng = random.Random(seed)
    for _ in range(5):
        voice = Voice.draw(rng)
        try:
            # Single letters are read as words unless they are set apart.
            samples = voice.speak(text.replace(" ", ", ") if kind == "spelled" else text.lower())
        except VoiceError:
            continue
        if np.abs(samples).max(initial=0.0) > 0.05:
            return f"synthetic-{kind}", text, f"{voice.program} {voice.name}", samples
    raise VoiceError(f"no voice could speak {text!r}; are espeak-ng and flite installed?")


def _books(data: Path) -> Iterable[str]:
    for path in sorted((data / "text").glob("gutenberg_*.txt.gz")):
        if "milton" not in path.name and "shakespeare" not in path.name:
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
                yield file.read()
    with zipfile.ZipFile(data / "text" / "state_union.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".txt"):
                yield archive.read(name).decode("latin-1")
    with gzip.open(data / "text" / "ljspeech_metadata.csv.gz", "rt") as file:
        for line in file:
            yield line.rsplit("|", 1)[-1]
