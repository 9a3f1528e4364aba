"""Recordings to measure on: files, manifests with transcripts and word times, or our own clips."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.audio import Audio
from wav2edge.runtime.transcript import Word

from .result import BenchmarkError

Array = NDArray[np.float32]

_OWN = Path(__file__).resolve().parents[1] / "export" / "clips"
_TEXTS = ("text", "norm", "transcript")  # columns of a manifest, the first that is there counts
_MANIFESTS = (".tsv", ".jsonl")


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording, and what is known of it."""

    path: Path
    text: str | None = None
    """What is said, where that is known."""
    words: tuple[Word, ...] | None = None
    """With their times in the recording, where somebody aligned them."""

    def samples(self, rate_hz: int, *, most_s: float = math.inf) -> Array:
        """Read it as mono float32 `[n]` at a rate.

        Args:
            rate_hz: Hertz of the samples.
            most_s: Read no further than is needed for so many seconds.

        Raises:
            AudioError: If it cannot be read.
        """
        pieces, n_samples = [np.zeros(0, np.float32)], 0
        with Audio(self.path, sample_rate=None, to_hz=rate_hz) as audio:
            for block in audio.blocks():
                pieces.append(block)
                n_samples += len(block)
                if n_samples >= most_s * rate_hz:
                    break
        return np.concatenate(pieces)


def find_clips(paths: Sequence[Path], *, split: str | None = None) -> list[Clip]:
    """Read what was named on a command line.

    Args:
        paths: Recordings, and manifests: `.tsv` with a head line, or `.jsonl`. A manifest has the
            columns `path` (seen from its own folder) and, if known, `text` (or `norm`, or
            `transcript`), `words` (JSON: a list of objects with text, start_s, end_s) and `split`.
            None: the synthetic clips that come with this package.
        split: Only rows of manifests of this split.

    Raises:
        BenchmarkError: If a manifest cannot be understood, or there is nothing to hear.
    """
    clips: list[Clip] = []
    for path in paths or sorted(_OWN.glob("*.ogg")):
        clips += _from_manifest(path, split) if path.suffix in _MANIFESTS else [Clip(path)]
    if not clips:
        raise BenchmarkError("there is nothing to hear: name a recording, a manifest, or its split")
    return clips


def looped(clips: Sequence[Clip], *, rate_hz: int, gap_s: float, block_s: float) -> Iterator[Array]:
    """Yield the clips over and over, in equal blocks, each clip followed by a pause."""
    gap = np.zeros(int(gap_s * rate_hz), np.float32)
    once = np.concatenate([piece for clip in clips for piece in (clip.samples(rate_hz), gap)])
    size, place = max(1, int(block_s * rate_hz)), 0
    while True:
        yield once.take(np.arange(place, place + size), mode="wrap")
        place = (place + size) % len(once)


def _from_manifest(path: Path, split: str | None) -> list[Clip]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[dict[str, Any]] = (
                [json.loads(line) for line in file if line.strip()]
                if path.suffix == ".jsonl"
                else list(csv.DictReader(file, delimiter="\t"))
            )
        return [
            _clip(path.parent, row) for row in rows if split is None or row.get("split") == split
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BenchmarkError(
            f"{path} is no manifest that can be read ({type(error).__name__}: {error}): expected "
            "the columns path, text, words and split, of which only path must be there"
        ) from error


def _clip(folder: Path, row: dict[str, Any]) -> Clip:
    words = row.get("words") or None
    if isinstance(words, str):
        words = json.loads(words)
    if words is not None:
        words = tuple(
            Word(one["text"], float(one["start_s"]), float(one["end_s"]), 1.0) for one in words
        )
    text = next((row[name] for name in _TEXTS if row.get(name)), None)  # empty: not known
    return Clip(folder / row["path"], text, words)
