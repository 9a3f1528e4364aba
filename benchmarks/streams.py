"""`wav2edge bench streams`: how many real-time streams one core carries.

Threads, all on one core, step streams whose audio is delivered in real time. A number of streams is
carried if the backlog stays bounded: what is behind grows no further, and 99 of 100 pushes are done
before the stream's next chunk is there.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import Stream, StreamOptions

from .clips import Clip, looped
from .conditions import Conditions, options_of
from .latency import described
from .result import Result, percentile, spread

Array = NDArray[np.float32]

GAP_S = 1.5
LOOP_S = 60.0  # of audio that every stream hears, each from another place
_GROWTH = 0.1  # of a chunk: the most that the mean backlog may grow over a third of a trial
_CLOSE = 0.03  # of the number: when the search ends

DEFINITIONS = {
    "streams": "the highest number of streams whose backlog stayed bounded",
    "rtf": "real-time factor of one stream alone, fed as fast as it goes; n: repetitions",
    "ceiling": "1 / rtf: what a core could carry if nothing were lost between streams",
    "lag_p99_ms": "at that number: a block is delivered -> its push is done; a trial's second half",
    "lag_p50_ms": "the same, median",
}
"""What each figure means."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Streams in real time for a while."""

    n_streams: int
    at_s: tuple[float, ...]
    """When each block was delivered."""
    lag_s: tuple[float, ...]
    """How much later its push was done."""

    def late(self) -> list[float]:
        """Return the lags of the second half."""
        half_s = max(self.at_s) / 2
        return [lag for at, lag in zip(self.at_s, self.lag_s, strict=True) if at >= half_s]

    def carried(self, chunk_s: float) -> bool:
        """Tell whether the backlog stayed bounded."""
        third_s = max(self.at_s) / 3
        thirds: list[list[float]] = [[], [], []]
        for at, lag in zip(self.at_s, self.lag_s, strict=True):
            thirds[min(int(at / third_s), 2)].append(lag)
        growth_s = float(np.mean(thirds[2]) - np.mean(thirds[1]))
        return percentile(self.late(), 99) <= chunk_s and growth_s <= _GROWTH * chunk_s

    def told(self, chunk_s: float) -> str:
        """Write it out in one line."""
        said = "carried" if self.carried(chunk_s) else "too many"
        lag_ms = 1000 * percentile(self.late(), 99)
        return f"{self.n_streams} streams: {said}, 99 % of pushes within {lag_ms:.0f} ms"


@dataclass(frozen=True, slots=True)
class StreamsOptions:
    """How to measure.

    Attributes:
        stream: Chunk, look-ahead and left context; a preset's name does.
        seconds: Real time of a trial.
        workers: Threads, each stepping its share of the streams.
        block_ms: Audio per push.
    """

    stream: str | StreamOptions = "balanced"
    seconds: float = 20.0
    workers: int = 4
    block_ms: float = 100.0


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: StreamsOptions,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Search the highest number of streams that one core carries.

    Args:
        recognizer: Loaded with one thread.
        clips: What the streams hear.
        options: How to measure.
        report: Told of each trial.
    """
    with recognizer.stream(options.stream) as stream:
        really = stream.options
        blocks = _blocks(clips, stream, options)
    asked = {name: getattr(options, name) for name in ("seconds", "workers", "block_ms")}
    pinned = hasattr(os, "sched_setaffinity")
    conditions = Conditions.now(
        recognizer,
        threads=1,
        options={"stream": options_of(really), **asked, "pinned_to_one_core": pinned},
        audio=described(clips, gap_s=GAP_S),
    )
    with one_core():
        alone = [_alone(recognizer, blocks, options) for _ in range(3)]
        report(f"one stream alone: real-time factor {percentile(alone, 50):.4f}")
        chunk_s = really.chunk_ms / 1000
        trials: list[Trial] = []

        def carries(n_streams: int) -> bool:
            trials.append(_trial(recognizer, blocks, options, n_streams))
            report(trials[-1].told(chunk_s))
            return trials[-1].carried(chunk_s)

        best = highest(carries, start=max(1, math.floor(0.85 / percentile(alone, 50))))
    return Result(
        "streams",
        conditions.ended(),
        {name: spread(values) for name, values in _figures(best, alone, trials).items()},
        DEFINITIONS,
        _series(trials, chunk_s),
    )


def _figures(best: int, alone: list[float], trials: Sequence[Trial]) -> dict[str, list[float]]:
    late = next((trial.late() for trial in trials if trial.n_streams == best), [])
    return {
        "streams": [best],
        "rtf": alone,
        "ceiling": [1 / percentile(alone, 50)],
        "lag_p50_ms": [1000 * percentile(late, 50)],
        "lag_p99_ms": [1000 * percentile(late, 99)],
    }


def _series(trials: Sequence[Trial], chunk_s: float) -> dict[str, list[float]]:
    ordered = sorted(trials, key=lambda trial: trial.n_streams)
    return {
        "n_streams": [trial.n_streams for trial in ordered],
        "lag_p99_ms": [1000 * percentile(trial.late(), 99) for trial in ordered],
        "carried": [float(trial.carried(chunk_s)) for trial in ordered],
    }


def highest(carries: Callable[[int], bool], *, start: int) -> int:
    """Find the highest number that is carried, to 3 %, as few trials as there can be.

    Args:
        carries: Tells of one number; what it says of larger numbers must not be better.
        start: A guess, 1 or more.

    Returns:
        A number for which `carries` said yes, or 0.
    """
    good, bad, n = 0, None, start
    while bad is None or bad - good > max(1, _CLOSE * good):
        if carries(n):
            good = n
        else:
            bad = n
        if bad is None:
            n = max(n + 1, round(1.15 * n))
        elif good == 0:
            n = max(1, round(0.7 * bad)) if bad > 1 else 1
            if bad == 1:
                return 0
        else:
            n = (good + bad) // 2
    return good


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and those it starts, on one core, where the system does that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _blocks(clips: Sequence[Clip], stream: Stream, options: StreamsOptions) -> list[Array]:
    block_s = options.block_ms / 1000
    endless = looped(clips, rate_hz=stream.rate_hz, gap_s=GAP_S, block_s=block_s)
    return list(islice(endless, max(1, round(LOOP_S / block_s))))


def _alone(recognizer: Recognizer, blocks: Sequence[Array], options: StreamsOptions) -> float:
    """Return the real-time factor of one stream, fed as fast as it goes."""
    with recognizer.stream(options.stream) as stream:
        n_warm = len(blocks) // 4
        for block in blocks[:n_warm]:
            stream.push(block)
        began_s = time.perf_counter()
        for block in blocks[n_warm:]:
            stream.push(block)
        audio_s = (len(blocks) - n_warm) * options.block_ms / 1000
        return (time.perf_counter() - began_s) / audio_s


class _Seat:
    """A stream, and when its blocks are delivered."""

    def __init__(
        self, stream: Stream, blocks: Sequence[Array], *, late_s: float, first: int
    ) -> None:
        self._stream, self._blocks = stream, blocks
        self._first, self._late_s = first, late_s
        self._n = 0
        self._block_s = len(blocks[0]) / stream.rate_hz

    @property
    def due_s(self) -> float:
        """When the next block is there."""
        return self._late_s + (self._n + 1) * self._block_s

    def push(self) -> None:
        """Push the next block."""
        self._stream.push(self._blocks[(self._first + self._n) % len(self._blocks)])
        self._n += 1


def _trial(
    recognizer: Recognizer, blocks: Sequence[Array], options: StreamsOptions, n_streams: int
) -> Trial:
    """Run so many streams in real time; their chunks are spread evenly over time."""
    seats = []
    for i in range(n_streams):
        stream = recognizer.stream(options.stream)
        late_s = i / n_streams * stream.options.chunk_ms / 1000
        first = i * len(blocks) // n_streams
        seats.append(_Seat(stream, blocks, late_s=late_s, first=first))
    began_s = time.perf_counter()
    n_workers = min(options.workers, n_streams)
    with ThreadPoolExecutor(n_workers) as pool:
        shares = [seats[i::n_workers] for i in range(n_workers)]
        work = [pool.submit(_work, share, began_s, options.seconds) for share in shares]
        seen = [one for each in work for one in each.result()]
    return Trial(n_streams, tuple(at for at, _ in seen), tuple(lag for _, lag in seen))


def _work(seats: Sequence[_Seat], began_s: float, seconds: float) -> list[tuple[float, float]]:
    """Push whichever stream's block is due first, until the time is over."""
    seen: list[tuple[float, float]] = []
    while True:
        seat = min(seats, key=lambda one: one.due_s)
        due_s = seat.due_s
        if due_s > seconds or time.perf_counter() - began_s > 2 * seconds:
            return seen
        time.sleep(max(0.0, began_s + due_s - time.perf_counter()))
        seat.push()
        seen.append((due_s, time.perf_counter() - began_s - due_s))
