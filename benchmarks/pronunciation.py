"""`wav2edge bench pronunciation`: do pronunciation scores agree with those that people gave?

Learners of English read sentences, and experts scored each one's accuracy (speechocean762, Zhang et
al. 2021, arXiv:2104.01378); the manifest's notes hold the mean of them. Pearson's correlation asks
for a straight line, Spearman's for the order alone. Speakers are drawn with replacement for the
intervals: sentences of one speaker are alike.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.errors import AlignmentError, ScriptError
from wav2edge.lm.forced_search import SearchOptions
from wav2edge.runtime.pronunciation import Pronunciation
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.training.recordings import read_manifest, read_recording
from wav2edge.training.voices import RATE_HZ

from .bootstrap import bootstrapped
from .conditions import Conditions, options_of
from .result import BenchmarkError, Figure, Result, spread

Floats = NDArray[np.float64]

SET, SPLIT = "speechocean762", "dev"
_ACCURACY = re.compile(r"mean sentence accuracy ([\d.]+)/10")
_LEAST, _BEST = -5.0, 0.0
"""Nats, of a letter, for the aligned measure: one letter shall not outweigh a sentence."""
MEASURES = ("score", "aligned goodness")

DEFINITIONS = {
    "score": "of `wav2edge pronounce`, 0 to 100, of a sentence",
    "aligned goodness": "mean over letters of the log-ratio on aligned frames, from -5 to 0 nats",
    "pearson": "correlation with the mean sentence accuracy that experts gave; the range is the "
    "95 % interval, speakers drawn with replacement; n: sentences",
    "spearman": "correlation of ranks, ties sharing theirs; the range as of pearson",
    "human": "accuracy that experts gave, 0 to 10: median, least and greatest",
    "left out": "sentences that could not be aligned",
}
"""What each figure means."""


def measure(
    recognizer: Recognizer,
    data: Path,
    *,
    threads: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Score the sentences of the development set, and compare.

    Args:
        recognizer: Loaded with `threads`.
        data: Folder of the data manifest.
        threads: For the conditions.
        report: Told what is being done.

    Raises:
        BenchmarkError: If there is no manifest, or it has no sentence with a score.
        AudioError: If a recording cannot be read.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    rows = [row for row in read_manifest(data, SPLIT) if row["set"] == SET]
    judged = [(row, human) for row in rows if (human := human_score(row)) is not None]
    if not judged:
        raise BenchmarkError(f"{data}/MANIFEST.tsv has no scored sentence of {SET}, split {SPLIT}")
    conditions = Conditions.now(
        recognizer,
        threads=threads,
        options=options_of(SearchOptions()),
        audio={SET: len(judged), "speakers": len({row["speaker"] for row, _ in judged})},
    )
    by_speaker: dict[str, list[tuple[float, ...]]] = {}
    n_left_out = 0
    for place, (row, human) in enumerate(judged):
        report(f"sentence {place + 1} of {len(judged)}")
        try:
            found = recognizer.pronounce(read_recording(data / row["path"]), row["norm"], RATE_HZ)
        except (AlignmentError, ScriptError):
            n_left_out += 1
            continue
        sentence = (human, found.score, aligned_mean(found))
        by_speaker.setdefault(row["speaker"], []).append(sentence)
    return Result(
        "pronunciation", conditions.ended(), _figures(by_speaker, n_left_out), DEFINITIONS
    )


def human_score(row: Mapping[str, str]) -> float | None:
    """Return the mean sentence accuracy, 0 to 10, from a manifest row's notes."""
    found = _ACCURACY.search(row.get("notes") or "")
    return float(found[1]) if found else None


def aligned_mean(found: Pronunciation) -> float:
    """Return the mean aligned goodness of all letters, in nats, each from -5 to 0."""
    letters = [letter.aligned_goodness for word in found.words for letter in word.letters]
    return float(np.clip(letters, _LEAST, _BEST).mean())


def pearson(pairs: Floats) -> float:
    """Return the correlation of two columns `[n, 2]`; NaN where one of them does not vary."""
    apart = pairs - pairs.mean(axis=0)
    scale = np.sqrt((apart**2).sum(axis=0).prod())
    return float(apart[:, 0] @ apart[:, 1] / scale) if scale > 0 else float("nan")


def spearman(pairs: Floats) -> float:
    """Return the correlation of ranks; equal values share their mean rank."""
    return pearson(np.stack([_ranks(column) for column in pairs.T], axis=1))


def _ranks(values: Floats) -> Floats:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2
    return np.asarray(mean_rank[place], np.float64)


def _figures(
    by_speaker: Mapping[str, list[tuple[float, ...]]], n_left_out: int
) -> dict[str, Figure | None]:
    groups = [np.array(sentences, np.float64) for sentences in by_speaker.values()]
    figures: dict[str, Figure | None] = {}
    for column, name in enumerate(MEASURES, start=1):
        pairs = [group[:, [0, column]] for group in groups]
        figures[f"{name} pearson"] = bootstrapped(pairs, pearson)
        figures[f"{name} spearman"] = bootstrapped(pairs, spearman)
        figures[name] = spread([float(value) for group in groups for value in group[:, column]])
    figures["human"] = spread([float(value) for group in groups for value in group[:, 0]])
    figures["left out"] = Figure(n_left_out, n_left_out, n_left_out, 1)
    return figures
