"""Live sources: audio that comes when it comes, waits ten seconds at most, and knows its time.

A microphone and a recording played in real time are the same to who listens: a thread captures, a
queue holds what was not heard yet, and whoever is too slow loses the oldest of it and is told.
"""

import math
import threading
import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.errors import Wav2EdgeError

from .capture import CaptureQueue
from .errors import SampleRateError
from .events import Event, Final, Overflow
from .recording import Recording
from .stream import Stream

Array = NDArray[np.float32]

GAP_S = 0.5  # of silence at most that a stream hears for a hole: enough to keep words apart
SIGNAL_DB = -85.0  # of full scale: a microphone that is on is louder, by its own noise alone

_BLOCK_S = 0.02
_POLL_S = 0.1  # how soon `stop` is noticed
_LOWEST_DB = -120.0


class LiveSource(ABC):
    """Audio as it comes: mono float32 blocks `[n]` at `rate_hz`. Use it in a `with` statement.

    Iterate over it, or let `events` drive a stream. The iteration yields as many samples as time
    passed: in place of what was lost it yields zeros, so that whoever counts samples has the true
    time; `overflows` tells where.
    """

    def __init__(self, name: str, rate_hz: int) -> None:
        self.name = name
        """What is listened to, for people."""
        self.rate_hz = rate_hz
        """Hertz of the blocks, the device's own."""
        self.overflows: list[Overflow] = []
        """Each loss, as far as the blocks have been read; times count from the first one on."""
        self.level_db = _LOWEST_DB
        """Of the newest block: effective value in decibels, relative to full scale."""
        self.silent_s = 0.0
        """For how long there has been no signal at all, not even a microphone's own noise."""
        self._queue = CaptureQueue(rate_hz)
        self._failure: Wav2EdgeError | None = None
        self._started = False
        self._position = 0  # samples so far, with those that were lost

    def __enter__(self) -> Self:
        self._start_once()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Array]:
        for n_lost, samples in self._measured():
            yield from self._silence(n_lost)
            yield samples

    @property
    def lag_s(self) -> float:
        """Seconds of audio that were captured and wait to be heard."""
        return self._queue.n_waiting / self.rate_hz

    @property
    def complaint(self) -> str:
        """What is wrong with the signal, in words for people; empty if nothing is."""
        return ""

    def stop(self) -> None:
        """Capture no more: the iteration ends after what was captured. Safe in a signal handler."""
        self._queue.ended = True

    def close(self) -> None:
        """Stop, and free the device."""
        self.stop()

    def events(
        self, stream: Stream, *, monitor: Callable[[Array], None] | None = None
    ) -> Iterator[Event]:
        """Drive a stream to its end: when the source ends, fails, or is stopped, it is finished.

        Times stay true whatever is lost. For a hole the stream hears half a second of silence at
        most (to compute long silences would make a slow device later still), and the times of all
        that follows are moved by the rest. `lag_s` of each event is the audio that waits in the
        queue at that moment: the lag itself, where a stream alone can only reckon it.

        Args:
            stream: A new one, of this source's rate.
            monitor: Called with each block before the stream hears it, and with zeros for all that
                was lost: a level meter, a file.

        Yields:
            The stream's events, and an `Overflow` for each loss.

        Raises:
            SampleRateError: If the stream expects another rate.
            Wav2EdgeError: What ended the source, or the monitor, after the last event.
        """
        if stream.rate_hz != self.rate_hz:
            raise SampleRateError(
                f"the stream expects {stream.rate_hz} Hz and {self.name} delivers {self.rate_hz}: "
                f"open it with recognizer.stream(sample_rate={self.rate_hz})"
            )
        clock, failures, n_pushed, n_passed = _StreamClock(), list[Wav2EdgeError](), 0, 0
        for n_lost, samples in _until_failure(self._monitored(monitor), failures):
            heard = samples
            if n_lost:
                yield Overflow(n_passed / self.rate_hz, n_lost / self.rate_hz, lag_s=self.lag_s)
                gap = np.zeros(min(n_lost, round(GAP_S * self.rate_hz)), np.float32)
                heard = np.concatenate([gap, samples])
                clock.jump(n_pushed + len(gap), n_lost - len(gap), self.rate_hz)
            n_pushed, n_passed = n_pushed + len(heard), n_passed + n_lost + len(samples)
            for event in stream.push(heard):
                yield replace(clock.true(event), lag_s=self.lag_s)
        for event in stream.finish():
            yield replace(clock.true(event), lag_s=self.lag_s)
        for failure in failures:
            raise failure

    @abstractmethod
    def _start(self) -> None:
        """Begin to fill the queue."""

    def _start_once(self) -> None:
        if not self._started:
            self._started = True
            self._start()

    def _end(self, failure: Wav2EdgeError | None = None) -> None:
        """Say, from the capturing thread, that nothing more comes, and why."""
        self._failure = failure
        self._queue.ended = True

    def _idle(self, idle_s: float) -> None:  # noqa: B027  (most sources may wait)
        """Called while nothing comes; a source that should deliver raises its error."""

    def _pieces(self) -> Iterator[tuple[int, Array]]:
        """Yield samples, and how many were lost before them; raise what ended the source."""
        self._start_once()
        idle_s = 0.0
        while True:
            ended = self._queue.ended  # asked first: what was captured before it is in the queue
            piece = self._queue.take(_POLL_S)
            if piece is not None:
                first, samples = piece
                n_lost, idle_s = first - self._position, 0.0
                self._position = first + len(samples)
                yield n_lost, samples
            elif ended:
                break
            else:  # counted in polls: a process that was stopped for an hour waited for one
                idle_s += _POLL_S
                self._idle(idle_s)
        if self._failure is not None:
            raise self._failure

    def _measured(self) -> Iterator[tuple[int, Array]]:
        """Pass pieces on; keep account of level, silence and losses."""
        for n_lost, samples in self._pieces():
            if n_lost:
                gap_s = (self._position - len(samples) - n_lost) / self.rate_hz
                self.overflows.append(Overflow(gap_s, n_lost / self.rate_hz))
            self.level_db = _level_db(samples)
            silent_s = self.silent_s + len(samples) / self.rate_hz
            self.silent_s = silent_s if self.level_db < SIGNAL_DB else 0.0
            yield n_lost, samples

    def _monitored(self, monitor: Callable[[Array], None] | None) -> Iterator[tuple[int, Array]]:
        for n_lost, samples in self._measured():
            if monitor is not None:
                for block in (*self._silence(n_lost), samples):
                    monitor(block)
            yield n_lost, samples

    def _silence(self, n_samples: int) -> Iterator[Array]:
        """Yield zeros in blocks of a second at most, so that a long loss needs little memory."""
        for start in range(0, n_samples, self.rate_hz):
            yield np.zeros(min(self.rate_hz, n_samples - start), np.float32)


class Playback(LiveSource):
    """A recording, played as if somebody spoke.

    Args:
        path: Of the recording; `-` is standard input.
        fast: As fast as it is heard, instead of in real time; nothing is ever lost then.

    Raises:
        AudioError: If there is no such recording, or it is no audio.
    """

    def __init__(self, path: str, *, fast: bool = False) -> None:
        self._closing = ExitStack()
        self._recording = self._closing.enter_context(Recording(path))
        self._fast = fast
        self._player = threading.Thread(target=self._play, daemon=True)
        super().__init__(self._recording.name, self._recording.rate_hz)

    def close(self) -> None:
        """Stop, and close the recording."""
        self.stop()
        if self._player.is_alive():
            self._player.join()
        self._closing.close()

    def _start(self) -> None:
        if not self._fast:
            self._player.start()

    def _pieces(self) -> Iterator[tuple[int, Array]]:
        return ((0, block) for block in self._blocks()) if self._fast else super()._pieces()

    def _play(self) -> None:
        """Deliver each block when its last sample would have been spoken."""
        started_s, n_samples = time.monotonic(), 0
        failure: Wav2EdgeError | None = None
        try:
            for block in self._blocks():
                n_samples += len(block)
                due_s = started_s + n_samples / self.rate_hz
                time.sleep(max(0.0, due_s - time.monotonic()))
                self._queue.put(block)
        except Wav2EdgeError as error:
            failure = error
        finally:
            self._end(failure)

    def _blocks(self) -> Iterator[Array]:
        n = max(1, round(_BLOCK_S * self.rate_hz))
        for long in self._recording.blocks():
            for start in range(0, len(long), n):
                if self._queue.ended:
                    return
                yield long[start : start + n]


class _StreamClock:
    """The true time of what a stream tells, which did not hear all that was lost."""

    def __init__(self) -> None:
        self._from_s = [0.0]
        self._offset_s = [0.0]

    def jump(self, sample: int, n_samples: int, rate_hz: int) -> None:
        """Say that from a sample of the stream on, time is later by `n_samples` more."""
        self._from_s.append(sample / rate_hz)
        self._offset_s.append(self._offset_s[-1] + n_samples / rate_hz)

    def true(self, event: Event) -> Event:
        """Move every time of an event."""
        if not self._offset_s[-1]:
            return event
        if isinstance(event, Final):
            words = tuple(
                replace(word, start_s=self._true_s(word.start_s), end_s=self._true_s(word.end_s))
                for word in event.segment.words
            )
            segment = replace(
                event.segment, start_s=words[0].start_s, end_s=words[-1].end_s, words=words
            )
            event = replace(event, segment=segment)
        return replace(event, time_s=self._true_s(event.time_s))

    def _true_s(self, time_s: float) -> float:
        return time_s + self._offset_s[bisect_right(self._from_s, time_s) - 1]


def _until_failure(
    pieces: Iterator[tuple[int, Array]], failures: list[Wav2EdgeError]
) -> Iterator[tuple[int, Array]]:
    """Pass pieces on; end where they fail, and keep the failure for when all is told."""
    try:
        yield from pieces
    except Wav2EdgeError as error:
        failures.append(error)


def _level_db(samples: Array) -> float:
    """Return the effective value in decibels of full scale; a constant offset is no sound."""
    power = float(np.var(samples, dtype=np.float64)) if len(samples) else 0.0
    return max(_LOWEST_DB, 10 * math.log10(power + 1e-12))
