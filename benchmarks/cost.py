"""`wav2edge bench speed`: what one bundle costs, and what that grows with.

Offline against the length of the recording, streamed against left context, chunk and number of
streams, both against threads, and where the time goes, operator by operator. Everybody has a turn
in each round, so that all meet the same machine. Needs nothing but the bundle: no torch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import Stream, StreamOptions

from .clips import Clip, looped
from .conditions import Conditions, options_of
from .fits import exponent, line
from .latency import described
from .operators import operator_times
from .result import Figure, Result, percentile, spread
from .sessions import Sessions

Array = NDArray[np.float32]
Report = Callable[[str], None]
Spent = tuple[float, float]
"""CPU and wall seconds."""

STREAM = StreamOptions(chunk_ms=320.0, lookahead_ms=320.0, left_ms=4000.0)
LENGTHS_S = (1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
LEFTS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
CHUNKS_MS = (80.0, 160.0, 320.0, 640.0, 1280.0)
STREAMS = (1, 2, 4, 8)
SPAN_S = 5.12  # of audio in a stream's turn: a whole number of every chunk
GAP_S = 0.5
_THREADED_S = 10.0

DEFINITIONS = {
    "offline_cpu_ms_per_s": "CPU time of the process per second of audio, the whole recording at "
    "once, of the length that the name ends with, words included",
    "offline_wall_ms_per_s": "the same by the clock: a thousandth of it is the real-time factor",
    "left_cpu_ms_per_s": "CPU time per second of audio of a stream with that left context, chunk "
    "and look-ahead 320 ms, events included, all contexts full",
    "chunk_cpu_ms_per_s": "the same with that chunk, look-ahead 320 ms, 4 s left",
    "streams_cpu_ms_per_s": "CPU time per second of so many streams side by side, in one thread",
    "threads_offline_wall_ms_per_s": "10 s at once, by the clock, with so many threads",
    "threads_offline_cpu_ms_per_s": "its CPU time",
    "threads_stream_wall_ms_per_s": "a stream, by the clock, with so many threads",
    "threads_stream_cpu_ms_per_s": "its CPU time",
    "growth_length_exponent": "k in cost = c * length ** k, total CPU time of recordings of 10 s "
    "and more: 1 is a cost that grows as the recording does. Of every growth: median is the slope, "
    "lowest and highest its interval of 95 %, n points",
    "growth_left_ms_per_s": "CPU ms per second of audio that each second of left context adds",
    "growth_chunk_ms_per_step": "CPU ms that each step costs beside its audio: slope over the "
    "number of steps a second",
    "growth_streams_ms_per_s": "CPU ms per second that each further stream costs",
    "r2": "share of the variance that the line explains",
    "operator_": "time of the operators of one kind, per second of audio, 10 s at once and stream "
    "step, from ONNX Runtime's profile",
    "n": "rounds, each in turn; the first round of all warms up",
}
"""What each figure means, by the beginning of its name; what it was measured at follows in it."""


@dataclass(frozen=True, slots=True)
class CostOptions:
    """How to measure.

    Attributes:
        threads: That the recognizer was loaded with.
        rounds: Of each in turn.
        longest_s: Recordings longer than this are left out.
        open_with: Loads the same bundle with another number of threads.
    """

    open_with: Callable[[float], Recognizer]
    threads: int = 1
    rounds: int = 3
    longest_s: float = LENGTHS_S[-1]


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: CostOptions,
    report: Report = lambda _: None,
) -> Result:
    """Measure one bundle.

    Args:
        recognizer: Loaded with `options.threads`.
        clips: Heard over and over, a pause after each.
        options: How to measure.
        report: Told what is being done.
    """
    lengths_s = [one for one in LENGTHS_S if one <= options.longest_s] or [options.longest_s]
    conditions = Conditions.now(
        recognizer,
        threads=options.threads,
        options={"stream": options_of(STREAM), "rounds": options.rounds},
        audio=described(clips, gap_s=GAP_S),
    )
    heard = HeardAudio(clips, recognizer.sample_rate_hz)
    threads = threads_to_try(conditions.cores)
    turns = {
        "length": {one: offline_turn(recognizer, heard.whole(one)) for one in lengths_s},
        "left": {one: stream_turn(recognizer, heard, left_ms=1000 * one) for one in LEFTS_S},
        "chunk": {one: stream_turn(recognizer, heard, chunk_ms=one) for one in CHUNKS_MS},
        "streams": {float(n): _side_by_side(recognizer, heard, n) for n in STREAMS},
    }
    others = {n: options.open_with(n) for n in threads}
    whole = heard.whole(_THREADED_S)
    turns["threads offline"] = {n: offline_turn(one, whole) for n, one in others.items()}
    turns["threads stream"] = {n: stream_turn(one, heard) for n, one in others.items()}
    spent = in_turn(turns, options.rounds, report)
    figures, series = tabled(spent)
    figures |= grown(series)
    report("operators")
    if recognizer.providers[0] == "cpu":
        for name, spent_ms in operator_times(recognizer.bundle, Sessions(options.threads)).items():
            figures[f"operator_{name}"] = spread([spent_ms])
    return Result("cost", conditions.ended(), figures, DEFINITIONS, series)


def threads_to_try(cores: int) -> list[float]:
    """Return 1, 2, 4 and so on up to the number of cores, which is the last."""
    return [float(2**i) for i in range(cores.bit_length()) if 2**i < cores] + [float(cores)]


def in_turn(
    turns: Mapping[str, Mapping[float, Callable[[], Spent]]], rounds: int, report: Report
) -> dict[str, dict[float, list[Spent]]]:
    """Give everybody a turn in each round; the first round warms up and is forgotten.

    Args:
        turns: By name and by what is varied, what to run: it returns CPU and wall seconds per
            second of audio.
        rounds: That count.
        report: Told what is being done.
    """
    spent: dict[str, dict[float, list[Spent]]] = {
        name: {at: [] for at in runs} for name, runs in turns.items()
    }
    for i in range(rounds + 1):
        for name, runs in turns.items():
            for at, run in runs.items():
                report(f"{f'round {i} of {rounds}' if i else 'warming up'}, {name} {at:g}")
                spent[name][at].append(run())
    return {name: {at: runs[1:] for at, runs in several.items()} for name, several in spent.items()}


def tabled(
    spent: Mapping[str, Mapping[float, Sequence[Spent]]],
) -> tuple[dict[str, Figure | None], dict[str, list[float]]]:
    """Return figures, and the medians over what is varied, in CPU and wall ms per second."""
    figures: dict[str, Figure | None] = {}
    series: dict[str, list[float]] = {}
    for name, runs in spent.items():
        label = {"length": "offline"}.get(name, name.replace(" ", "_"))
        series[f"{name} at"] = list(runs)
        for i, clock in enumerate(("cpu", "wall")):
            values = {at: [1000 * one[i] for one in several] for at, several in runs.items()}
            series[f"{name} {clock}"] = [percentile(several, 50) for several in values.values()]
            for at, several in values.items():
                figures[f"{label}_{clock}_ms_per_s {at:g}"] = spread(several)
    return figures, series


def grown(series: Mapping[str, Sequence[float]]) -> dict[str, Figure | None]:
    """Fit how the cost grows with each cause; see `DEFINITIONS`."""
    long = [
        (at, at * spent)
        for at, spent in zip(series["length at"], series["length cpu"], strict=True)
        if at >= 10 and spent > 0  # noqa: PLR2004  (shorter ones are mostly what a call costs)
    ]
    steps_per_s = [1000 / chunk_ms for chunk_ms in series["chunk at"]]
    return {
        **exponent([at for at, _ in long], [total for _, total in long]).figures(
            "length", "exponent"
        ),
        **line(series["left at"], series["left cpu"]).figures("left", "ms_per_s"),
        **line(steps_per_s, series["chunk cpu"]).figures("chunk", "ms_per_step"),
        **line(series["streams at"], series["streams cpu"]).figures("streams", "ms_per_s"),
    }


class HeardAudio:
    """Endless audio, as long or as finely cut as a turn needs it."""

    def __init__(self, clips: Sequence[Clip], rate_hz: int) -> None:
        self._once = next(looped(clips, rate_hz=rate_hz, gap_s=GAP_S, block_s=60.0))
        self.rate_hz = rate_hz

    def whole(self, length_s: float) -> Array:
        """Return a recording of a length."""
        return np.resize(self._once, int(length_s * self.rate_hz))

    def chunks(self, chunk_ms: float) -> "list[Array]":
        """Return a turn's audio in chunks."""
        size = int(chunk_ms * self.rate_hz / 1000)
        audio = self.whole(SPAN_S)
        return [audio[first : first + size] for first in range(0, len(audio), size)]


def offline_turn(recognizer: Recognizer, audio: Array) -> Callable[[], Spent]:
    """Return what transcribes a recording as a whole, and says what that took."""
    length_s = len(audio) / recognizer.sample_rate_hz

    def run() -> Spent:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        recognizer.transcribe(audio, recognizer.sample_rate_hz)
        return _since(cpu_s, wall_s, length_s)

    return run


def stream_turn(
    recognizer: Recognizer,
    heard: HeardAudio,
    *,
    chunk_ms: float = STREAM.chunk_ms,
    left_ms: float = STREAM.left_ms,
) -> Callable[[], Spent]:
    """Return what pushes a turn's audio into a stream whose contexts are full."""
    stream = _warm(recognizer, heard, StreamOptions(chunk_ms, STREAM.lookahead_ms, left_ms))
    return _pushed([stream], heard.chunks(chunk_ms))


def _side_by_side(recognizer: Recognizer, heard: HeardAudio, n_streams: int) -> Callable[[], Spent]:
    streams = [_warm(recognizer, heard, STREAM) for _ in range(n_streams)]
    return _pushed(streams, heard.chunks(STREAM.chunk_ms))


def _warm(recognizer: Recognizer, heard: HeardAudio, options: StreamOptions) -> Stream:
    """Open a stream and fill its contexts."""
    stream = recognizer.stream(options)
    n_chunks = round((options.left_ms + options.lookahead_ms) / options.chunk_ms) + 1
    chunks = heard.chunks(options.chunk_ms)
    for chunk in islice((chunk for _ in range(n_chunks) for chunk in chunks), n_chunks):
        stream.push(chunk)
    return stream


def _pushed(streams: Sequence[Stream], chunks: Sequence[Array]) -> Callable[[], Spent]:
    def run() -> Spent:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        for chunk in chunks:
            for stream in streams:
                stream.push(chunk)
        return _since(cpu_s, wall_s, SPAN_S)

    return run


def _since(cpu_s: float, wall_s: float, audio_s: float) -> Spent:
    spent_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
    return spent_s[0] / audio_s, spent_s[1] / audio_s
