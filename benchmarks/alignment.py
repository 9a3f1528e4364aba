"""`wav2edge bench alignment`: how far word boundaries of forced alignment are off.

Single digits of the development set's speaker are joined by silence (`digit_strings` of
`training/evaluate.py`), so it is known where each one lies. Each recording was trimmed by those
who made it; the true boundaries are those of its speech: of the first and the last 10 ms that are
within 30 dB of its loudest 10 ms. Nobody marked them by hand, so the same figures are also given
for 20 dB, for 40 dB, and for the ends of the recordings themselves.

The texts are then made wrong, one word at a time: a digit that is not said is put in, and one that
is said is taken out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.forced_search import SearchOptions
from wav2edge.runtime.alignment import Alignment
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.training.evaluate import SEED, Samples, Spoken, digit_strings
from wav2edge.training.numbers import DIGITS
from wav2edge.training.recordings import read_manifest, read_recording
from wav2edge.training.voices import RATE_HZ

from .bootstrap import bootstrapped
from .conditions import Conditions, options_of
from .result import BenchmarkError, Figure, Result

Floats = NDArray[np.float64]
Spans = list[tuple[float, float]]

DROP_DB = 30.0
"""What is so much quieter than a recording's loudest 10 ms is no speech any more."""
_OTHER_DROPS_DB = (20.0, 40.0)
_WINDOW_S = 0.01
GOAL_MS = 60.0

DEFINITIONS = {
    "median_ms": "median distance of a word's start (end, either) from the true one; the range is "
    "the 95 % interval, strings drawn with replacement; n: boundaries",
    "p90_ms": "90th percentile of the same",
    "bias_ms": "median of aligned less true, with its sign: above 0 is late",
    "found": "share of the words of the true text that have a place",
    "missing found": "share of words that were put in and are reported missing",
    "missing others": "words of the same texts that are said and reported missing; n: words",
    "unexplained found": "share of words that were taken out and that a reported stretch of speech "
    "overlaps; one with an equal word beside it is never taken",
    "unexplained false": "stretches reported though the text is complete, a string",
}
"""What each figure means."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A string of recordings, and where each one's speech lies in it."""

    samples: Samples
    words: tuple[str, ...]
    spans: dict[str, Spans]
    """Start and end of each word, seconds, by what counts as speech."""


def measure(
    recognizer: Recognizer,
    data: Path,
    *,
    threads: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Align the digit strings of the development set.

    Args:
        recognizer: Loaded with `threads`.
        data: Folder of the data manifest.
        threads: For the conditions.
        report: Told what is being done.

    Raises:
        BenchmarkError: If there is no manifest, or it has no single digits.
        AudioError: If a recording cannot be read.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    rows = [row for row in read_manifest(data, "dev") if row["set"] == "fsdd"]
    if not rows:
        raise BenchmarkError(f"{data}/MANIFEST.tsv has no single digits (fsdd) of the split dev")
    strings = joined([(read_recording(data / row["path"]), row["norm"]) for row in rows])
    conditions = Conditions.now(
        recognizer,
        threads=threads,
        options={**options_of(SearchOptions()), "speech_within_db": DROP_DB},
        audio={"digit strings": len(strings), "words": sum(len(one.words) for one in strings)},
    )
    report("true texts")
    aligned = [recognizer.align(one.samples, " ".join(one.words), RATE_HZ) for one in strings]
    figures = _boundary_figures(strings, aligned)
    report("wrong texts")
    figures |= _missing_figures(recognizer, strings) | _unexplained_figures(recognizer, strings)
    stretches = [np.array([[float(len(one.unexplained))]]) for one in aligned]
    figures["unexplained false"] = bootstrapped(stretches, _mean)
    return Result("alignment", conditions.ended(), figures, DEFINITIONS)


def joined(digits: Sequence[Spoken]) -> list[Joined]:
    """Join single digits as `digit_strings` does, and say where their speech lies."""
    marked = {
        f"{drop_db:g} dB": [(_marked(samples, drop_db), text) for samples, text in digits]
        for drop_db in (DROP_DB, *_OTHER_DROPS_DB, np.inf)
    }
    strings = digit_strings(list(digits))
    spans = {name: [_spans(one) for one, _ in digit_strings(m)] for name, m in marked.items()}
    return [
        Joined(samples, tuple(text.split()), {name: found[place] for name, found in spans.items()})
        for place, (samples, text) in enumerate(strings)
    ]


def speech_bounds(samples: Samples, drop_db: float) -> tuple[int, int]:
    """Return the first sample of speech and the one past the last.

    Args:
        samples: At 16 kHz, at least 10 ms of them.
        drop_db: What is so much quieter than the loudest 10 ms is no speech; infinite: all is.
    """
    if drop_db == np.inf:
        return 0, len(samples)
    size = int(_WINDOW_S * RATE_HZ)
    whole = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = (whole**2).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-drop_db / 10))
    return int(loud[0]) * size, (int(loud[-1]) + 1) * size


def _marked(samples: Samples, drop_db: float) -> Samples:
    """Return ones where there is speech."""
    start, end = speech_bounds(samples, drop_db)
    marks = np.zeros_like(samples)
    marks[start:end] = 1.0
    return marks


def _spans(marks: Samples) -> Spans:
    edges = np.flatnonzero(np.diff(marks, prepend=0.0, append=0.0)) / RATE_HZ
    return [(float(start), float(end)) for start, end in edges.reshape(-1, 2)]


def _boundary_figures(
    strings: Sequence[Joined], aligned: Sequence[Alignment]
) -> dict[str, Figure | None]:
    figures: dict[str, Figure | None] = {}
    for name in strings[0].spans:
        errors = [
            _errors(one.spans[name], found) for one, found in zip(strings, aligned, strict=True)
        ]
        errors = [one for one in errors if len(one)]
        main = name == f"{DROP_DB:g} dB"
        where = "" if main else f" ({name})".replace("inf dB", "ends of the recordings")
        for kind, columns in (("start", [0]), ("end", [1]), ("either", [0, 1])):
            these = [one[:, columns].reshape(-1) for one in errors]
            figures[f"{kind} median_ms{where}"] = bootstrapped(these, _median)
            if main:
                figures[f"{kind} p90_ms"] = bootstrapped(these, _p90)
                figures[f"{kind} bias_ms"] = bootstrapped(these, _bias)
    found = [np.array([not word.is_missing for word in one.words], float) for one in aligned]
    return {**figures, "found": bootstrapped(found, _mean)}


def _errors(spans: Spans, found: Alignment) -> Floats:
    """Return aligned less true of starts and ends, milliseconds, `[words found, 2]`."""
    rows = [
        (word.start_s - start_s, word.end_s - end_s)
        for word, (start_s, end_s) in zip(found.words, spans, strict=True)
        if word.start_s is not None and word.end_s is not None
    ]
    return 1000 * np.array(rows, np.float64).reshape(-1, 2)


def _missing_figures(recognizer: Recognizer, strings: Sequence[Joined]) -> dict[str, Figure | None]:
    """Put a digit that is not said into each text."""
    rng = np.random.default_rng(SEED)
    told, others = [], []
    for one in strings:
        place = int(rng.integers(len(one.words) + 1))
        extra = str(rng.choice([digit for digit in DIGITS if digit not in one.words]))
        text = " ".join([*one.words[:place], extra, *one.words[place:]])
        missing = [word.is_missing for word in recognizer.align(one.samples, text, RATE_HZ).words]
        told.append(np.array([float(missing.pop(place))]))
        others.append(np.array(missing, float))
    return {
        "missing found": bootstrapped(told, _mean),
        "missing others": bootstrapped(others, _mean),
    }


def _unexplained_figures(
    recognizer: Recognizer, strings: Sequence[Joined]
) -> dict[str, Figure | None]:
    """Take a digit that is said, and has no equal beside it, out of each text."""
    rng = np.random.default_rng(SEED)
    told = []
    for one in strings:
        places = _alone(one.words)
        if not places:
            continue
        place = int(rng.choice(places))
        start_s, end_s = one.spans[f"{DROP_DB:g} dB"][place]
        text = " ".join([*one.words[:place], *one.words[place + 1 :]])
        stretches = recognizer.align(one.samples, text, RATE_HZ).unexplained
        overlaps = any(s.start_s < end_s and s.end_s > start_s for s in stretches)
        told.append(np.array([float(overlaps)]))
    return {"unexplained found": bootstrapped(told, _mean)}


def _alone(words: Sequence[str]) -> list[int]:
    """Return the places of words beside which no equal one stands: which of two is gone?"""
    beside = zip(["", *words], words, [*words[1:], ""], strict=False)
    return [place for place, (last, word, after) in enumerate(beside) if word not in (last, after)]


def _median(errors: Floats) -> float:
    return float(np.median(np.abs(errors)))


def _p90(errors: Floats) -> float:
    return float(np.percentile(np.abs(errors), 90))


def _bias(errors: Floats) -> float:
    return float(np.median(errors))


def _mean(values: Floats) -> float:
    return float(values.mean())
