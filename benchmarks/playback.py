"""Audio through a stream as a microphone delivers it, with two clocks: with and without computing.

In simulated time audio is fed as fast as it goes and the clock is the audio position plus what
computing is behind: a push begins when its last sample is there and the push before it is done.
In real time the clock is the clock.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.events import Event
from wav2edge.runtime.stream import Stream

from .memory import rss_mb

Array = NDArray[np.float32]

BLOCK_MS = 20.0
_RSS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Shown:
    """An event, and when it was there to be shown; seconds from the stream's first sample."""

    event: Event
    heard_s: float
    """How much audio had been delivered: the clock of a computer that needs no time."""
    shown_s: float
    """The same with computing."""


@dataclass(slots=True)
class Playback:
    """One session, and what it cost."""

    shown: list[Shown] = field(default_factory=list)
    piece_ends_s: list[float] = field(default_factory=list)
    """Where each piece of audio ended."""
    step_s: list[float] = field(default_factory=list)
    """Time of each push in which the model ran."""
    compute_s: float = 0.0
    """Of all pushes, and of the end."""
    cpu_s: float = 0.0
    """CPU time of the process meanwhile."""
    finish_s: float = 0.0
    """Time that the end of the stream took."""
    largest_lag_s: float = 0.0
    """The furthest that computing was behind the audio."""
    rss_at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return self.piece_ends_s[-1] if self.piece_ends_s else 0.0


class _Clock:
    """Tells when a push begins and when it is done, in simulated or in real time."""

    def __init__(self, *, realtime: bool) -> None:
        self._realtime = realtime
        self._began_s = time.perf_counter()
        self._done_s = 0.0

    def wait(self, heard_s: float) -> None:
        """Wait until so much audio would have been delivered."""
        if self._realtime:
            time.sleep(max(0.0, self._began_s + heard_s - time.perf_counter()))

    def done(self, heard_s: float, spent_s: float) -> float:
        """Return when work is done that began as soon as it could and took `spent_s`."""
        if self._realtime:
            return time.perf_counter() - self._began_s
        self._done_s = max(heard_s, self._done_s) + spent_s
        return self._done_s


def play(
    stream: Stream, pieces: Iterable[Array], *, realtime: bool = False, block_ms: float = BLOCK_MS
) -> Playback:
    """Feed a stream and finish it.

    Args:
        stream: Fresh.
        pieces: float32 `[n]` at the stream's rate, in order; cut into blocks here.
        realtime: Deliver each block when it would have been spoken.
        block_ms: Audio per push.
    """
    session, clock = Playback(), _Clock(realtime=realtime)
    size = max(1, round(block_ms * stream.rate_hz / 1000))
    n_samples = 0
    for piece in pieces:
        for first in range(0, len(piece), size):
            block = piece[first : first + size]
            n_samples += len(block)
            _push(session, stream, block, clock, n_samples / stream.rate_hz)
        session.piece_ends_s.append(n_samples / stream.rate_hz)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    events = stream.finish()
    session.finish_s = time.perf_counter() - began_s
    session.cpu_s += time.process_time() - began_cpu_s
    session.compute_s += session.finish_s
    done_s = clock.done(session.duration_s, session.finish_s)
    session.shown += [Shown(event, session.duration_s, done_s) for event in events]
    return session


def _push(session: Playback, stream: Stream, block: Array, clock: _Clock, heard_s: float) -> None:
    clock.wait(heard_s)
    before = stream.state.live.acoustic
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    events = stream.push(block)
    spent_s = time.perf_counter() - began_s
    session.cpu_s += time.process_time() - began_cpu_s
    session.compute_s += spent_s
    done_s = clock.done(heard_s, spent_s)
    session.largest_lag_s = max(session.largest_lag_s, done_s - heard_s)
    session.shown += [Shown(event, heard_s, done_s) for event in events]
    if stream.state.live.acoustic is not before:
        session.step_s.append(spent_s)
    if not session.rss_at_s or heard_s >= session.rss_at_s[-1] + _RSS_EVERY_S:
        session.rss_at_s.append(heard_s)
        session.rss_mb.append(rss_mb())
