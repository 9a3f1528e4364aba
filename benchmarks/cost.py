"""`wav2edge bench speed`: what one bundle costs, and what that grows with.

Offline against the length of the recording, streamed against left context, chunk and number of
streams, both against threads, and where the time goes, operator by operator. Everybody has a turn
in each round, so that all meet the same machine. Needs nothing but the bundle: no torch.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import Stream, StreamOptions

from .clips import Clip, looped
from .conditions import Conditions, options_of
from .fits import exponent, line
from .latency import described
from .operators import operator_rounds
from .result import Figure, Result, percentile, spread
from .sessions import Sessions

Array = NDArray[np.float32]
Report = Callable[[str], None]
Spent = tuple[float, float]
"""CPU and wall seconds, per second of audio."""
Turn = Callable[[], Spent]

STREAM = StreamOptions(chunk_ms=320.0, lookahead_ms=320.0, left_ms=4000.0)
"""What is asked for; a model rounds all of it up to whole frames, see `really`."""
LENGTHS_S = (1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
LEFTS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
CHUNKS_MS = (80.0, 160.0, 320.0, 640.0, 1280.0)
STREAMS = (1, 2, 4, 8)
SPAN_S = 5.12  # of audio in a stream's turn, about: each has a whole number of its own chunks
GAP_S = 0.5
_THREADED_S = 10.0

DEFINITIONS = {
    "offline_cpu_ms_per_s": "CPU time of the process per second of audio, the whole recording at "
    "once, of the length that the name ends with, words included",
    "offline_wall_ms_per_s": "the same by the clock: a thousandth of it is the real-time factor",
    "left_cpu_ms_per_s": "CPU time per second of audio of a stream with that left context in "
    "seconds, chunk and look-ahead as the conditions say, events included, all contexts full; what "
    "stands in the name is what ran, rounded up to the model's frames",
    "left_wall_ms_per_s": "the same by the clock",
    "chunk_cpu_ms_per_s": "CPU time per second of audio of a stream with that chunk in ms, as it "
    "ran; look-ahead and left context as the conditions say",
    "chunk_wall_ms_per_s": "the same by the clock",
    "streams_cpu_ms_per_s": "CPU time per second of so many streams side by side, in one thread",
    "streams_wall_ms_per_s": "the same by the clock",
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
    "operator_": "time of the operators of one kind, per second of audio, 10 s at once and step of "
    "the conditions' stream, from ONNX Runtime's profile; ten runs, after one that warms up",
    "n": "rounds, each in turn, after one that warms up; of growth: points",
}
"""What each figure means, by the beginning of its name; what it was measured at follows in it.

`r2` is the end of a name: of the growth that the name begins with.
"""


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
        options={"stream": options_of(really(recognizer, STREAM)), "rounds": options.rounds},
        audio=described(clips, gap_s=GAP_S),
    )
    heard = HeardAudio(clips, recognizer.sample_rate_hz)
    turns = {
        "length": {one: offline_turn(recognizer, heard.whole(one)) for one in lengths_s},
        **_stream_turns(recognizer, heard),
        **_thread_turns(options, heard, threads_to_try(conditions.cores)),
    }
    spent = in_turn(turns, options.rounds, report)
    figures, series = tabled(spent)
    figures |= grown(series)
    report("operators")
    if recognizer.providers[0] == "cpu":
        rounds = operator_rounds(recognizer.bundle, Sessions(options.threads), STREAM)
        figures |= {f"operator_{name}": spread(several) for name, several in rounds.items()}
    return Result("cost", conditions.ended(), figures, DEFINITIONS, series)


def really(recognizer: Recognizer, options: StreamOptions) -> StreamOptions:
    """Return what a stream makes of options: whole frames of its model, rounded up."""
    with recognizer.stream(options) as stream:
        return stream.options


def _stream_turns(recognizer: Recognizer, heard: "HeardAudio") -> dict[str, dict[float, Turn]]:
    """Return the turns over left context in s, chunk in ms, and streams: each as it really runs."""
    lefts = [really(recognizer, replace(STREAM, left_ms=1000 * one)) for one in LEFTS_S]
    chunks = [really(recognizer, replace(STREAM, chunk_ms=one)) for one in CHUNKS_MS]
    return {
        "left": {one.left_ms / 1000: stream_turn(recognizer, heard, one) for one in lefts},
        "chunk": {one.chunk_ms: stream_turn(recognizer, heard, one) for one in chunks},
        "streams": {float(n): stream_turn(recognizer, heard, n_streams=n) for n in STREAMS},
    }


def _thread_turns(
    options: CostOptions, heard: "HeardAudio", threads: Sequence[float]
) -> dict[str, dict[float, Turn]]:
    others = {n: options.open_with(n) for n in threads}
    whole = heard.whole(_THREADED_S)
    return {
        "threads offline": {n: offline_turn(one, whole) for n, one in others.items()},
        "threads stream": {n: stream_turn(one, heard) for n, one in others.items()},
    }


def threads_to_try(cores: int) -> list[float]:
    """Return 1, 2, 4 and so on up to the number of cores, which is the last."""
    return [float(2**i) for i in range(cores.bit_length()) if 2**i < cores] + [float(cores)]


def in_turn(
    turns: Mapping[str, Mapping[float, Turn]], rounds: int, report: Report
) -> dict[str, dict[float, list[Spent]]]:
    """Give everybody a turn in each round; the first round warms up and is forgotten.

    Args:
        turns: By name and by what is varied, what to run.
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

    def chunks(self, chunk_ms: float) -> list[Array]:
        """Return a turn's audio: a whole number of chunks, about `SPAN_S` of them."""
        size = round(chunk_ms * self.rate_hz / 1000)
        n_chunks = max(1, round(SPAN_S * self.rate_hz / size))
        return list(np.resize(self._once, (n_chunks, size)))


def offline_turn(recognizer: Recognizer, audio: Array) -> Turn:
    """Return what transcribes a recording as a whole, and says what that took."""
    rate_hz = recognizer.sample_rate_hz
    return timed(lambda: recognizer.transcribe(audio, rate_hz), len(audio) / rate_hz)


def stream_turn(
    recognizer: Recognizer,
    heard: HeardAudio,
    options: StreamOptions = STREAM,
    *,
    n_streams: int = 1,
) -> Turn:
    """Return what pushes a turn's audio into streams whose contexts are full, a step a push."""
    streams = [recognizer.stream(options) for _ in range(n_streams)]
    chunks = heard.chunks(streams[0].options.chunk_ms)
    for stream in streams:
        _warm(stream, chunks)

    def run() -> None:
        for chunk in chunks:
            for stream in streams:
                stream.push(chunk)

    return timed(run, sum(map(len, chunks)) / heard.rate_hz)


def _warm(stream: Stream, chunks: Sequence[Array]) -> None:
    """Fill a stream's contexts; the first push makes no step yet."""
    options = stream.options
    n_steps = math.ceil((options.left_ms + options.lookahead_ms) / options.chunk_ms)
    for chunk in islice(cycle(chunks), 1 + n_steps):
        stream.push(chunk)


def timed(run: Callable[[], object], audio_s: float) -> Turn:
    """Return what runs something, and says what that took per second of audio."""

    def turn() -> Spent:
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        run()
        spent_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
        return spent_s[0] / audio_s, spent_s[1] / audio_s

    return turn
