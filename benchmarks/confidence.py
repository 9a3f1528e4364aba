"""`wav2edge bench confidence`: whether a word's confidence tells right words from wrong ones.

The development sets are heard offline; each word that was found is right or wrong by the alignment
of its transcript (Levenshtein, with the fewest edits). AUROC is the chance that a right word has a
higher confidence than a wrong one: 0.5 means nothing, 1 tells them apart. The reliability table
says how many of the words with a confidence between two limits were right.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.beam import BeamDecoder
from wav2edge.lm.decoder import Decoder, S
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.greedy import GreedyDecoder, SpokenWord
from wav2edge.lm.ngram import load_language_model
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.training.evaluate import development_sets

from .conditions import Conditions, options_of
from .result import BenchmarkError, Figure, Result, spread
from .sessions import ONE_THREAD, Sessions

Frames = NDArray[np.float32]

N_BINS = 10
DEFINITIONS = {
    "auroc": "chance that a right word is given a higher confidence than a wrong one, by set and "
    "decoder; n: words found. None where all are right, or all wrong",
    "right": "share of right words",
    "confidence": "mean confidence",
    "calibration_error": "mean distance of a bin's mean confidence from its share of right words, "
    "weighed by words (ECE, 10 bins)",
    "bins": "in the series, by decoder, over all sets: words, mean confidence and share of right "
    "words of each tenth of confidence",
}
"""What each figure means."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A word that was found."""

    confidence: float
    right: bool


def measure(
    recognizer: Recognizer,
    data: Path,
    *,
    model: Path | None = None,
    sets: Sequence[str] = (),
    sessions: Sessions = ONE_THREAD,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Judge the words of greedy decoding and of the beam search.

    Args:
        recognizer: Its model is heard.
        data: Folder of the data manifest.
        model: A language model for the beam search; None: none.
        sets: Names of development sets; none: all.
        sessions: Opens the model again, for its log-probs.
        report: Told what is being done.

    Raises:
        BenchmarkError: If there is no manifest, or none of the sets.
        LanguageModelError: If the language model cannot be loaded.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    acoustic, alphabet = sessions.acoustic(recognizer.bundle), recognizer.bundle.alphabet
    words = None if model is None else load_language_model(model, alphabet)
    hop_s = acoustic.geometry.hop / acoustic.geometry.rate_hz
    options = BeamOptions(commit_s=None)
    greedy = GreedyDecoder(alphabet)
    beam = BeamDecoder(alphabet, words, options=options, hop_s=hop_s)
    found = development_sets(data)
    heard = {name: rows for name, rows in found.items() if rows and (not sets or name in sets)}
    if not heard:
        raise BenchmarkError(f"no such development set: expected some of {', '.join(found)}")
    conditions = Conditions.now(
        recognizer,
        threads=sessions.threads,
        options={**options_of(options), "language_model": None if model is None else model.name},
        audio={name: len(rows) for name, rows in heard.items()},
    )
    judged: dict[tuple[str, str], list[Judged]] = {}
    for name, rows in heard.items():
        report(name)
        for samples, text in rows:
            frames = np.concatenate(list(acoustic.log_probs([samples, recognizer.margin])))
            for decoder, spoken in (
                ("greedy", _decoded(greedy, frames)),
                ("beam", _decoded(beam, frames)),
            ):
                judged.setdefault((name, decoder), []).extend(judge(text.split(), spoken))
    figures: dict[str, Figure | None] = {}
    for (name, decoder), these in judged.items():
        figures |= _figures(f"{name} {decoder}", these)
    series: dict[str, list[float]] = {}
    for decoder in ("greedy", "beam"):
        these = [one for (_, who), several in judged.items() if who == decoder for one in several]
        figures |= _figures(f"all {decoder}", these)
        series |= {f"{decoder} {column}": values for column, values in reliability(these).items()}
    return Result("confidence", conditions.ended(), figures, DEFINITIONS, series)


def judge(reference: Sequence[str], spoken: Sequence[SpokenWord]) -> list[Judged]:
    """Tell which words are right: those that the alignment with the fewest edits pairs up."""
    from rapidfuzz.distance import Levenshtein

    moves = Levenshtein.opcodes(tuple(reference), tuple(word.text for word in spoken))
    right = {
        place
        for move in moves
        if move.tag == "equal"
        for place in range(move.dest_start, move.dest_end)
    }
    return [Judged(word.confidence, place in right) for place, word in enumerate(spoken)]


def auroc(judged: Iterable[Judged]) -> float | None:
    """Return the chance that a right word has more confidence than a wrong one; ties are half.

    >>> auroc([Judged(0.9, True), Judged(0.8, True), Judged(0.8, False)])
    0.75
    """
    words = list(judged)
    right = np.array([one.confidence for one in words if one.right])
    wrong = np.sort([one.confidence for one in words if not one.right])
    if not len(right) or not len(wrong):
        return None
    below = wrong.searchsorted(right, side="left") + wrong.searchsorted(right, side="right")
    return float(below.mean() / (2 * len(wrong)))


def reliability(judged: Sequence[Judged]) -> dict[str, list[float]]:
    """Return words, mean confidence and share of right words by tenths of confidence."""
    confidence = np.array([one.confidence for one in judged])
    right = np.array([one.right for one in judged], float)
    place = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    count = np.bincount(place, minlength=N_BINS)
    some = np.maximum(count, 1)
    return {
        "words": count.astype(float).tolist(),
        "confidence": (np.bincount(place, confidence, N_BINS) / some).tolist(),
        "right": (np.bincount(place, right, N_BINS) / some).tolist(),
    }


def table(result: Result) -> list[str]:
    """Write the reliability table in Markdown: words and share of right ones, by confidence."""
    lines = [
        "| confidence | greedy: words | right | beam: words | right |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for place in range(N_BINS):
        cells = [f"{place / N_BINS:.1f} to {(place + 1) / N_BINS:.1f}"]
        for decoder in ("greedy", "beam"):
            words = int(result.series[f"{decoder} words"][place])
            right = result.series[f"{decoder} right"][place]
            cells += [str(words), f"{100 * right:.0f} %" if words else ""]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _decoded(decoder: Decoder[S], frames: Frames) -> list[SpokenWord]:
    words, state = decoder.advance(decoder.start(), frames)
    return [*words, *decoder.finish(state)]


def _figures(name: str, judged: Sequence[Judged]) -> dict[str, Figure | None]:
    area, n = auroc(judged), len(judged)
    bins = reliability(judged)
    distance = np.abs(np.array(bins["confidence"]) - np.array(bins["right"]))
    error = float((distance * np.array(bins["words"])).sum() / max(1, n))
    return {
        f"auroc {name}": None if area is None else Figure(area, area, area, n),
        f"right {name}": spread([sum(one.right for one in judged) / n] if n else []),
        f"confidence {name}": spread([sum(one.confidence for one in judged) / n] if n else []),
        f"calibration_error {name}": spread([error]),
    }
