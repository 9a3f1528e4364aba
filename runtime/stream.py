"""A live stream: audio is pushed as it comes, events come back, at a cost that stays the same.

Around the computing (`live_model.py`) it keeps what belongs to one caller: the rate of what is
pushed, how far computing is behind, and a state to go on from elsewhere.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from wav2edge import __version__

from .acoustic import AcousticModel, Steps
from .audio import Resampler, ResamplerState, Samples, checked_samples, possible_rate
from .endpoint import EndpointOptions
from .errors import StateError, StreamFinishedError
from .events import Event
from .live_model import LATENCIES, LiveModel, LiveState, StreamOptions

__all__ = ["LATENCIES", "Setup", "Stream", "StreamOptions", "StreamState"]

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a stream was opened with; only one opened with the same can go on from its state."""

    version: str
    """Of wav2edge: another may remember other things."""
    model: str
    """SHA-256 of the bundle's files, so that a copy elsewhere counts as the same."""
    options: StreamOptions
    endpoint: EndpointOptions
    rate_hz: int
    """Hertz of the samples that are pushed."""
    vad: bool
    decoding: str
    """The decoder, its options and its language model; hotwords are part of the state."""

    @classmethod
    def of(cls, live: LiveModel, rate_hz: int) -> "Setup":
        """Return what a stream has that is pushed at a rate."""
        options, rules, vad = live.options, live.endpoint_options, live.has_vad
        return cls(__version__, live.model_sha256, options, rules, rate_hz, vad, live.decoding)

    def check(self, other: "Setup") -> None:
        """Compare with the setup of a state.

        Raises:
            StateError: If they differ, naming what.
        """
        pairs = [
            (one.name, getattr(other, one.name), getattr(self, one.name)) for one in fields(self)
        ]
        differing = [f"{name} {was}, here {is_}" for name, was, is_ in pairs if was != is_]
        if differing:
            raise StateError(
                f"the state is of a stream with {'; '.join(differing)}: open the stream with what "
                "the state was made with (state.setup tells), or begin a new one"
            )


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream between two pushes; a value.

    It can be kept, and pickled: go on from it with `recognizer.stream(..., state=state)`, in this
    process or another. As with every pickle, load none that somebody else made.
    """

    setup: Setup
    live: LiveState
    resampler: ResamplerState
    n_pushed: int
    """Samples, at the rate they were pushed at."""
    lag_s: float


class Stream:
    """One live stream. Push audio as it comes; events come back.

    Not for several threads at once; streams share nothing.

    >>> def listen(recognizer, microphone):
    ...     with recognizer.stream(latency="balanced") as stream:
    ...         for samples in microphone:
    ...             for event in stream.push(samples):
    ...                 print(event)
    ...         print(stream.finish())
    """

    def __init__(
        self,
        live: LiveModel,
        sample_rate: SupportsIndex | float | None = None,
        state: StreamState | None = None,
    ) -> None:
        self._live, self._state = live, live.start()
        self.rate_hz = live.rate_hz if sample_rate is None else possible_rate(sample_rate)
        """Hertz of the samples that are pushed."""
        self._resampler = Resampler(self.rate_hz, live.rate_hz)
        self._setup = Setup.of(live, self.rate_hz)
        self.lag_s = 0.0
        """How far the computing is behind a source that delivers in real time."""
        self._n_pushed = 0
        self._finished = False
        if state is not None:
            self._go_on(state)

    @property
    def options(self) -> StreamOptions:
        """Chunk, look-ahead and left context as they really are: rounded up to whole frames."""
        return self._live.options

    @property
    def state(self) -> StreamState:
        """Everything remembered, as a value: `recognizer.stream(..., state=state)` goes on from it.

        Raises:
            StreamFinishedError: After `finish`: there is nothing to go on from.
        """
        self._check_open()
        return StreamState(
            self._setup,
            self._state,
            self._resampler.state,
            self._n_pushed,
            self.lag_s,
        )

    def push(self, samples: Samples) -> list[Event]:
        """Take audio; nothing of it is ever dropped.

        Args:
            samples: Mono `[n]`, any n, floats in [-1, 1] or int16, at `rate_hz`.

        Raises:
            AudioError: If they are no mono samples, or hold NaN or infinity; the stream stays as it
                was.
            StreamFinishedError: After `finish`.
        """
        return self.acoustic.alone(self.pushing(self.checked(samples)))

    @property
    def acoustic(self) -> AcousticModel:
        """The model that makes its steps."""
        return self._live.acoustic

    def checked(self, samples: Samples) -> Array:
        """Return samples as floats, if they can be pushed; raises what `push` raises."""
        self._check_open()
        return checked_samples(samples, first_sample=self._n_pushed, name="the stream")

    def pushing(self, checked: Array) -> Steps[list[Event]]:
        """Push samples that were checked; whoever drives this makes the steps that are due."""
        self._n_pushed += len(checked)
        resampled = self._resampler.push(checked)
        return (yield from self._timed(len(checked) / self.rate_hz, resampled))

    def set_hotwords(self, hotwords: Mapping[str, float]) -> None:
        """Change the words that are expected, in place of those so far; what is final stays.

        Args:
            hotwords: What each adds to the score of a transcript, natural logarithm; {}: none.

        Raises:
            HotwordError: If one cannot be spelled; the stream stays as it was.
            DecoderError: If the stream was not opened with the beam search.
            StreamFinishedError: After `finish`.
        """
        self._check_open()
        self._state = self._live.with_hotwords(self._state, hotwords)

    def finish(self) -> list[Event]:
        """Flush what is pending: an open segment becomes final.

        A second call has nothing to tell.
        """
        return self.acoustic.alone(self.finishing())

    def finishing(self) -> Steps[list[Event]]:
        """Finish; whoever drives this makes the last steps."""
        if self._finished:
            return []
        events = yield from self._timed(0.0, self._resampler.finish())
        self._finished = True
        return events + (yield from self._live.finishing(self._state))

    def events(self, source: Iterable[Samples]) -> Iterator[Event]:
        """Push everything a source yields and finish: the stream as an iterator."""
        for samples in source:
            yield from self.push(samples)
        yield from self.finish()

    def copy(self) -> "Stream":
        """Return a stream that goes on from here on its own."""
        twin = Stream(self._live, self.rate_hz, None if self._finished else self.state)
        twin._finished = self._finished
        return twin

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finished = True

    def _check_open(self) -> None:
        if self._finished:
            raise StreamFinishedError(
                "the stream is finished: start a new one with recognizer.stream()"
            )

    def _go_on(self, state: StreamState) -> None:
        if not isinstance(state, StreamState):
            raise StateError(
                f"state is {type(state).__name__}, expected what stream.state gave: a StreamState"
            )
        self._setup.check(state.setup)
        self._state, self._resampler = state.live, self._resampler.going_on(state.resampler)
        self._n_pushed, self.lag_s = state.n_pushed, state.lag_s

    def _timed(self, pushed_s: float, samples: Array) -> Steps[list[Event]]:
        """Advance, and keep the lag.

        What computing took longer than the audio lasts is lag, and quicker steps work it off.
        """
        started = time.perf_counter()
        events, self._state = yield from self._live.advancing(self._state, samples)
        self.lag_s = max(0.0, self.lag_s + time.perf_counter() - started - pushed_s)
        return [replace(event, lag_s=self.lag_s) for event in events]
