"""Recordings of people -> utterances: transcribed ones, heard by a teacher, prompts, noises."""

import csv
import gzip
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from wav2edge.runtime.audio import Audio

from .adventures import Samples, spoken_lines
from .numbers import DIGITS
from .sentences import normalize_text
from .teacher import Line, Teacher
from .voices import RATE_HZ, trim

Spoken = tuple[str, str, str, Samples]
"""Kind, normalised transcript, speaker, and float32 samples at 16 kHz."""
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
_UP_TO_S = 6.0  # neighbouring lines are joined into utterances of so much: orders are short
_SHORTEST_LINE_S = 0.6  # what is heard in less is breath, or the rest of a word
# Seconds per character of people who read: what is outside was not heard to its end, or made up.
_FASTEST, _SLOWEST = 0.035, 0.16
_PROMPTS = Path("usr/share/asterisk/sounds/en_US_f_Allison")
_PROMPT_TEXTS = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
_LETTERS = Path("usr/share/klettres")


def read_manifest(data: Path, split: str) -> list[dict[str, str]]:
    """Return the manifest rows of one split, each with its recording's folder as `set`."""
    with (data / "MANIFEST.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["split"] == split]
    return [{**row, "set": Path(row["path"]).parent.name} for row in rows]


def read_recording(path: Path) -> Samples:
    """Read a recording as float32 mono at 16 kHz.

    Raises:
        AudioError: It cannot be read, or breaks off.
    """
    with Audio(path, sample_rate=None, to_hz=RATE_HZ) as audio:
        return np.concatenate([np.zeros(0, np.float32), *audio.blocks()])


def transcribed(data: Path) -> Iterator[Spoken]:
    """Yield the recordings of the split "train" that have a transcript."""
    for row in read_manifest(data, "train"):
        samples = read_recording(data / row["path"])
        if row["set"] == "alphanumeric":  # one-second clips: only the word itself can be joined
            samples = trim(samples, threshold=0.05)
        text = normalize_text(row["norm"])
        if text and text == " ".join(row["norm"].split()):
            yield KINDS[row["set"]], text, row["speaker"], samples


def noises(data: Path) -> Iterator[Spoken]:
    """Yield noise, and the responses of rooms."""
    for row in read_manifest(data, "noise"):
        kind = "room" if "impulse" in row["notes"] else "noise"
        yield kind, "", row["path"], read_recording(data / row["path"])


def heard(data: Path, teacher: Teacher, report: Callable[[str], None]) -> Iterator[Spoken]:
    """Yield what the teacher hears in the split "unlabelled", cut at pauses; kind "heard"."""
    rows = read_manifest(data, "unlabelled")
    for n_done, row in enumerate(rows):
        if n_done % 50 == 0:
            report(f"without transcripts: {n_done} of {len(rows)} recordings heard")
        for text, piece in _pieces(read_recording(data / row["path"]), teacher):
            yield "heard", text, row["speaker"], piece


def acted(
    packages: Path, teacher: Teacher, report: Callable[[str], None], after: str
) -> Iterator[Spoken]:
    """Yield what the teacher hears in the lines of adventure games; kind "acted".

    The name of the line takes the place of the speaker.

    Args:
        packages: Where Debian's packages were unpacked, see `adventures.spoken_lines`.
        teacher: Writes down what is said.
        report: Called with lines for a human.
        after: Name of a line: only those after it are heard.
    """
    for n_done, (name, samples) in enumerate(spoken_lines(packages, after)):
        if n_done % 500 == 0:
            report(f"spoken lines of games: {n_done} heard")
        for text, piece in _pieces(samples, teacher):
            yield "acted", text, name, piece


def letters(packages: Path) -> Iterator[Spoken]:
    """Yield letters said by an American and a Briton; kind "symbol".

    Args:
        packages: Where Debian's package `klettres-data` was unpacked (GPL-2 or later).
    """
    for accent in ("en", "en_GB"):
        for path in sorted((packages / _LETTERS / accent / "alpha").glob("?.ogg")):
            samples = trim(read_recording(path), threshold=0.05)
            yield "symbol", path.stem.upper(), f"klettres {accent}", samples


def utterances(lines: Iterable[Line]) -> list[Line]:
    """Join neighbouring lines to utterances of six seconds at most, their texts normalised.

    Lines with digits, of a fraction of a second, or spoken faster or slower than people read are
    left out, and nothing is joined across them.
    """
    found: list[Line] = []
    open_end = False
    for line in lines:
        text, lasts_s = normalize_text(line.text), line.end_s - line.start_s
        if not _is_plausible(line.text, lasts_s):
            open_end = False
            continue
        if open_end and line.end_s - found[-1].start_s <= _UP_TO_S:
            found[-1] = Line(f"{found[-1].text} {text}", found[-1].start_s, line.end_s)
        else:
            found.append(Line(text, line.start_s, line.end_s))
        open_end = True
    return found


def prompts(packages: Path) -> Iterator[Spoken]:
    """Yield the prompts of a telephone exchange: digits, letters, and kind "prompt".

    Args:
        packages: Where Debian's packages `asterisk-core-sounds-en` and
            `asterisk-core-sounds-en-wav` were unpacked (Allison Smith; CC BY-SA 3.0); without them
            there are none.
    """
    if not (packages / _PROMPT_TEXTS).is_file():
        return
    with gzip.open(packages / _PROMPT_TEXTS, "rt", encoding="utf-8") as file:
        texts = dict(line.strip().split(": ", 1) for line in file if ": " in line)
    for name, written in texts.items():
        text = prompt_text(written)
        path = packages / _PROMPTS / f"{name}.wav"
        if text and path.is_file():
            yield _prompt_kind(name, text), text, "allison", trim(read_recording(path))


def prompt_text(written: str) -> str:
    """Spell a prompt as it is spoken, single digits as words; "" where that is not known."""
    if re.search(r"[\[\](/]|[A-Z]{2}", written):  # tones, remarks, abbreviations
        return ""
    spoken = re.sub(r"(?<![\w-])\d(?![\w-])", lambda digit: DIGITS[int(digit[0])], written)
    return "" if any(c.isdigit() for c in spoken) else normalize_text(spoken)


def _prompt_kind(name: str, text: str) -> str:
    if text in DIGITS:
        return "digit"
    return "symbol" if name.startswith("letters/") and len(text) == 1 else "prompt"


def _pieces(samples: Samples, teacher: Teacher) -> Iterator[tuple[str, Samples]]:
    for line in utterances(teacher.lines(samples)):
        yield line.text, samples[round(line.start_s * RATE_HZ) : round(line.end_s * RATE_HZ)]


def _is_plausible(text: str, lasts_s: float) -> bool:
    if lasts_s < _SHORTEST_LINE_S or any(c.isdigit() for c in text):
        return False
    return _FASTEST < lasts_s / (len(normalize_text(text)) + 2) < _SLOWEST
