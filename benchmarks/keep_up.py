"""`wav2edge bench`, without a sub-command: does this device keep up, and with which preset?

Each preset hears the same audio in turn, round by round, for a few seconds of computing at most, so
that the answer comes in well under a minute on a device that does not keep up, too. Needs nothing
beyond the base install.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.endpoint import Reason
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import StreamOptions

from .clips import Clip
from .conditions import Conditions, options_of
from .latency import described
from .memory import peak_rss_mb, rss_mb
from .metrics import Reference, by_clip, stories
from .playback import Playback, play
from .result import BenchmarkError, Figure, Result, combined, percentile, spread

Array = NDArray[np.float32]
Report = Callable[[str], None]

LIMIT = 0.8
"""Share of the time that computing may take: the rest is for the device's other work."""
LEAST_S = 12.0  # of audio: a shorter recording is heard again, so that the left context fills
GAP_S = 1.2  # after each recording, so that an endpoint is found
_BLOCK_S = 0.1
_LEAST_CHUNKS = 4

DEFINITIONS = {
    "rtf": "real-time factor of one stream: time of all pushes and of the end, over the audio",
    "cpu_ms_per_s": "CPU time of the process over the same, per second of audio",
    "step_ms": "time of a push in which the model ran; percentiles of a round",
    "lag_ms": "the furthest that computing was behind the audio",
    "word_shown_ms": "end of a word -> it is on the screen, computing included; words and their "
    "times as the same model hears them offline",
    "final_ms": "end of a segment's last word -> its final, where a silence ended it",
    "streams": f"real-time streams that all cores carry by the CPU time of one, of which {LIMIT:g} "
    "is used; `wav2edge bench streams` tries it in real time",
    "fits": f"1 where the streams asked for are carried, one takes {LIMIT:g} of the time at most, "
    "and 99 % of its steps are done within a chunk",
    "offline_rtf": "real-time factor of the whole recording at once",
    "offline_cpu_ms_per_s": "CPU time of the same, per second of audio",
    "rss_loaded_mb": "resident set of the process with the model loaded, before any audio",
    "rss_streaming_mb": "largest resident set when one stream of each preset was over",
    "rss_offline_mb": "the same when a whole recording was over too",
    "model_mb": "the bundle's files",
    "n": "rounds, each preset in turn; the first round of all warms up",
}
"""What each figure means; the preset follows in its name."""


@dataclass(frozen=True, slots=True)
class KeepUpOptions:
    """What is asked.

    Attributes:
        presets: Chunk, look-ahead and left context, by the name to show.
        streams: How many real-time streams the device shall carry.
        threads: That the model was loaded with.
        seconds: The most audio that is heard.
        rounds: Of each preset in turn.
        budget_s: The most computing that one turn takes, once it has heard a few chunks.
    """

    presets: Mapping[str, StreamOptions | str]
    streams: int = 1
    threads: int = 1
    seconds: float = 30.0
    rounds: int = 3
    budget_s: float = 2.0


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: KeepUpOptions,
    report: Report = lambda _: None,
) -> Result:
    """Measure each preset, and the whole recording at once.

    Args:
        recognizer: Loaded with `options.threads`.
        clips: What is heard, one after the other.
        options: What is asked.
        report: Told what is being done.

    Raises:
        AudioError: If a clip cannot be read.
        BenchmarkError: If the clips hold no audio.
        OptionsError: If a preset is unknown.
    """
    audio = _heard(clips, recognizer.sample_rate_hz, options.seconds)
    really = _really(recognizer, options.presets)
    conditions = Conditions.now(
        recognizer,
        threads=options.threads,
        options={
            "presets": {name: options_of(one) for name, one in really.items()},
            "streams": options.streams,
            "rounds": options.rounds,
            "seconds": round(len(audio) / recognizer.sample_rate_hz, 2),
        },
        audio=described(clips, gap_s=GAP_S),
    )
    memory = {"rss_loaded_mb": rss_mb(), "model_mb": _files_mb(recognizer)}
    runs: list[dict[str, float]] = []
    for i in range(options.rounds + 1):
        told = "warming up" if i == 0 else f"round {i} of {options.rounds}"
        played = {}
        for name, stream in really.items():
            report(f"{told}, {name}")
            played[name] = _streamed(recognizer, audio, stream, options.budget_s)
        memory.setdefault("rss_streaming_mb", peak_rss_mb())
        report(f"{told}, offline")
        runs.append(_turn(recognizer, audio, played, options.budget_s))
        memory.setdefault("rss_offline_mb", peak_rss_mb())
    figures = combined(runs[1:]) | {name: spread([value]) for name, value in memory.items()}
    figures |= _judged(figures, really, conditions, options.streams)
    return Result("keep-up", conditions.ended(), figures, DEFINITIONS)


def fitting(result: Result) -> list[str]:
    """Return the presets that fit, quickest first."""
    presets = result.conditions.options["presets"]
    return [name for name in presets if _value(result.figures[f"fits {name}"])]


def lines(result: Result) -> list[str]:
    """Write the answer out for a person: the verdict, a table of the presets, the conditions."""
    asked = result.conditions.options["streams"]
    fit = fitting(result)
    several = f" {asked} streams at once" if asked > 1 else ""
    verdict = (
        f"keeps up{several}: {', '.join(fit)} (the quickest that fits: --latency {fit[0]})"
        if fit
        else f"does not keep up{several}: no preset fits"
    )
    rows = table(result)
    width = max(len(row[0]) for row in rows)
    shown = ["  ".join([f"{row[0]:{width}}", *[f"{cell:>16}" for cell in row[1:]]]) for row in rows]
    return [verdict, "", *shown, "", *_rest(result), "", *result.conditions.lines()]


def table(result: Result) -> list[list[str]]:
    """Return a row a question and a column a preset, the head first."""
    presets, fit = list(result.conditions.options["presets"]), fitting(result)
    return [
        ["", *presets],
        *_rows(result, presets, f"live streams, {result.conditions.cores} cores"),
        ["fits", *["yes" if name in fit else "no" for name in presets]],
    ]


def _heard(clips: Sequence[Clip], rate_hz: int, most_s: float) -> Array:
    """Read the clips, a pause after each, until there is enough; again if there is too little."""
    gap, most = np.zeros(int(GAP_S * rate_hz), np.float32), int(most_s * rate_hz)
    pieces: list[Array] = []
    for clip in clips:
        pieces += [clip.samples(rate_hz, most_s=most_s), gap]
        if sum(map(len, pieces)) >= most:
            break
    if not any(len(piece) for piece in pieces[::2]):
        raise BenchmarkError("the recordings hold no audio: name one that somebody speaks in")
    once = np.concatenate(pieces)
    least = min(most, int(LEAST_S * rate_hz))
    return np.tile(once, math.ceil(least / len(once)))[:most]


def _really(
    recognizer: Recognizer, presets: Mapping[str, StreamOptions | str]
) -> dict[str, StreamOptions]:
    """Return what the presets become, in whole frames, the quickest first."""
    really = {}
    for name, asked in presets.items():
        with recognizer.stream(asked) as stream:
            really[name] = stream.options
    return dict(sorted(really.items(), key=lambda one: one[1].chunk_ms + one[1].lookahead_ms))


def _streamed(
    recognizer: Recognizer, audio: Array, options: StreamOptions, budget_s: float
) -> Playback:
    """Hear the audio in one stream, or as much of it as the budget is enough for."""
    least_s = (_LEAST_CHUNKS * options.chunk_ms + options.lookahead_ms) / 1000
    with recognizer.stream(options) as stream:
        return play(stream, _until_spent(audio, stream.rate_hz, least_s, budget_s))


def _until_spent(audio: Array, rate_hz: int, least_s: float, budget_s: float) -> Iterator[Array]:
    size, began_s = int(_BLOCK_S * rate_hz), time.perf_counter()
    for first in range(0, len(audio), size):
        if first >= least_s * rate_hz and time.perf_counter() - began_s > budget_s:
            return
        yield audio[first : first + size]


def _turn(
    recognizer: Recognizer, audio: Array, played: Mapping[str, Playback], budget_s: float
) -> dict[str, float]:
    """Hear the whole at once, and return the figures of one round."""
    rate_hz = recognizer.sample_rate_hz
    slowest = max(one.compute_s / one.duration_s for one in played.values())
    whole = audio[: max(rate_hz, int(budget_s / slowest * rate_hz))]
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    words = recognizer.transcribe(whole, rate_hz).words
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    heard_s = len(whole) / rate_hz
    figures = {"offline_rtf": wall_s / heard_s, "offline_cpu_ms_per_s": 1000 * cpu_s / heard_s}
    for name, one in played.items():
        until_s = min(heard_s, one.duration_s)
        reference = Reference(tuple(word for word in words if word.end_s <= until_s))
        found = _of_stream(one, reference, recognizer.bundle.alphabet.separator)
        figures |= {f"{key} {name}": value for key, value in found.items()}
    return figures


def _of_stream(played: Playback, reference: Reference, separator: str) -> dict[str, float]:
    found = stories(played.shown, separator=separator)
    (told,) = by_clip(found, [reference], [played.duration_s])
    shown = [1000 * first.shown_s for first, _ in told.delays()]
    finals = [
        1000 * (story.final_at.shown_s - story.words[-1].end_s)
        for story in found
        if story.words and story.reason == Reason.SILENCE
    ]
    steps = [1000 * one for one in played.step_s]
    return {
        "rtf": played.compute_s / played.duration_s,
        "cpu_ms_per_s": 1000 * played.cpu_s / played.duration_s,
        **{f"step_ms_p{percent}": percentile(steps, percent) for percent in (50, 99)},
        "lag_ms": 1000 * played.largest_lag_s,
        **{f"word_shown_ms_p{percent}": percentile(shown, percent) for percent in (50, 95)},
        "final_ms_p50": percentile(finals, 50),
    }


def _judged(
    figures: Mapping[str, Figure | None],
    presets: Mapping[str, StreamOptions],
    conditions: Conditions,
    asked: int,
) -> dict[str, Figure | None]:
    """Say how many streams each preset allows, and whether it fits."""
    judged: dict[str, Figure | None] = {}
    for name, options in presets.items():
        rtf, cpu_s = _value(figures[f"rtf {name}"]), _value(figures[f"cpu_ms_per_s {name}"]) / 1000
        on_cpu = conditions.providers[0] == "cpu"
        streams = LIMIT * conditions.cores / cpu_s if on_cpu and cpu_s > 0 else LIMIT / rtf
        in_time = _value(figures[f"step_ms_p99 {name}"]) <= options.chunk_ms
        fits = in_time and rtf <= LIMIT and streams >= asked
        judged[f"streams {name}"] = spread([math.floor(streams)])
        judged[f"fits {name}"] = spread([fits])
    return judged


def _rows(result: Result, presets: Sequence[str], carried: str) -> list[list[str]]:
    def row(label: str, *names: str, form: str = ".0f", unit: str = "") -> list[str]:
        cells = []
        for preset in presets:
            values = [result.figures[f"{name} {preset}"] for name in names]
            shown = [format(_value(one), form) for one in values if one is not None]
            cells.append(", ".join(shown) + unit if shown else "none heard")
        return [label, *cells]

    asked = result.conditions.options["presets"]
    waits = [
        f"{asked[name]['chunk_ms']:g} + {asked[name]['lookahead_ms']:g} ms" for name in presets
    ]
    return [
        ["chunk + look-ahead", *waits],
        row("real-time factor", "rtf", form=".3f"),
        row(carried, "streams"),
        row("CPU per second of audio", "cpu_ms_per_s", form=".1f", unit=" ms"),
        row("a step takes (p50, p99)", "step_ms_p50", "step_ms_p99", form=".1f", unit=" ms"),
        row("a word shows after (p50, p95)", "word_shown_ms_p50", "word_shown_ms_p95", unit=" ms"),
        row("a final follows speech after", "final_ms_p50", unit=" ms"),
    ]


def _rest(result: Result) -> list[str]:
    found = {name: _value(figure) for name, figure in result.figures.items()}
    offline = found["offline_rtf"]
    memory = ", ".join(
        f"{way} {'unknown' if math.isnan(found[name]) else format(found[name], '.0f')} MB"
        for way, name in (
            ("loaded", "rss_loaded_mb"),
            ("streaming", "rss_streaming_mb"),
            ("offline", "rss_offline_mb"),
            ("the bundle's files", "model_mb"),
        )
    )
    return [
        f"offline   real-time factor {offline:.3f}, {1 / offline:.0f} seconds of audio a second",
        f"memory    {memory}",
    ]


def _files_mb(recognizer: Recognizer) -> float:
    files = recognizer.bundle.folder.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def _value(figure: Figure | None) -> float:
    return math.nan if figure is None else figure.median
