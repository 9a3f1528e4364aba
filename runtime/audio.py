"""Any audio as blocks of mono float32 at the rate a model runs at: the door to soxr.

A recording or an array goes in; every block is checked before anything is made of it. Resampling is
stateful, so that blocks equal the whole, and memory does not grow with the length.
"""

import math
import operator
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError, SampleRateError, SamplesError, SampleTypeError
from .recording import Recording

LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000  # what is beyond is no sample rate but a mistake
LOUDEST = 16.0  # 24 dB over full scale: floats beyond it were never scaled to [-1, 1]

_BLOCK_S = 10.0  # of an array, at a time
_REPLAY_S = 1  # of past audio that a copy of a resampler hears again

Samples = NDArray[Any]
"""Mono samples `[n]`: float16, float32 or float64 in [-1, 1], or int16."""


@dataclass(frozen=True, slots=True)
class ResamplerState:
    """What another resampler must hear to go on; a value, of bounded size."""

    kept: NDArray[np.float32]
    """The newest samples, two seconds at most, from a place on where the phases repeat."""
    n_out: int
    """Samples that came out since `kept` began."""


class Resampler:
    """Changes the rate of a stream of samples; each stream needs one of its own.

    >>> resampler = Resampler(8_000, 16_000)
    >>> pieces = [resampler.push(np.zeros(300, np.float32)), resampler.finish()]
    >>> sum(len(piece) for piece in pieces)
    600

    Args:
        from_hz: Rate of what is pushed.
        to_hz: Rate of what comes out.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz, self._to_hz = from_hz, to_hz
        self._stream: Any = None
        self._period = from_hz // math.gcd(from_hz, to_hz)  # samples after which the phases repeat
        self._kept = np.zeros(0, np.float32)  # the newest samples, a whole number of periods on
        self._n_out = 0  # samples that came out since `_kept` began
        self._ahead = np.zeros(0, np.float32)  # came out of a copy before the original said them
        self._skip = 0  # or were said by the original before they came out of the copy
        if from_hz != to_hz:
            import soxr

            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample float32 `[n]`; what comes out, `[m]`, lags a little behind."""
        if self._stream is None:
            return samples
        resampled = self._said(self._stream.resample_chunk(samples))
        self._remember(samples, len(resampled))
        return resampled

    def finish(self) -> NDArray[np.float32]:
        """Return what still lagged behind."""
        rest = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._said(self._stream.resample_chunk(rest, last=True))
        return rest

    @property
    def state(self) -> ResamplerState:
        """What a resampler needs to go on from here."""
        return ResamplerState(self._kept, self._n_out)

    def going_on(self, state: ResamplerState) -> "Resampler":
        """Return a resampler of the same rates that goes on from a state.

        libsoxr's state cannot be copied, but its filter looks back only a few hundred samples: a
        new one that hears the last seconds again, from the same phase on, goes on the same to the
        last bits of a float.
        """
        twin = Resampler(self._from_hz, self._to_hz)
        if twin._stream is not None:
            again: NDArray[np.float32] = twin._stream.resample_chunk(state.kept)
            twin._kept, twin._n_out = state.kept, state.n_out
            twin._ahead, twin._skip = again[state.n_out :], max(0, state.n_out - len(again))
        return twin

    def _said(self, resampled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Account for what a copy and its original said at different times."""
        if not (len(self._ahead) or self._skip):
            return resampled
        joined = np.concatenate([self._ahead, resampled[self._skip :]])
        self._ahead, self._skip = self._ahead[:0], max(0, self._skip - len(resampled))
        return joined

    def _remember(self, samples: NDArray[np.float32], n_out: int) -> None:
        self._kept = np.concatenate([self._kept, samples])
        self._n_out += n_out
        spare = len(self._kept) - _REPLAY_S * self._from_hz
        if spare > self._from_hz:  # about once a second, not at every push
            dropped = spare // self._period * self._period
            self._kept = self._kept[dropped:].copy()  # a view would keep all of it
            self._n_out -= dropped * self._to_hz // self._from_hz


class Audio:
    """Audio on its way into a model. Use it in a `with` statement.

    Args:
        source: Path of a recording, `-` for standard input, or mono samples `[n]`: floats in
            [-1, 1], or int16, which is scaled by 1/32768.
        sample_rate: Hertz. An array needs it; a recording has its own, and if it is given all the
            same the two must agree.
        to_hz: The rate that blocks shall have.

    Raises:
        AudioError: If there is no such recording, if it is no audio, if an array has two axes or a
            type without a known scale, or if the rate cannot be. See the leaves in `errors`.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Samples,
        *,
        sample_rate: SupportsIndex | float | None,
        to_hz: int,
    ) -> None:
        self.n_samples = 0
        """Samples read so far, at the source's own rate."""
        self.n_promised: int
        """Samples that the source says it has."""
        self._pieces: Iterator[Samples]
        with ExitStack() as closing:
            if isinstance(source, str | os.PathLike):
                recording = closing.enter_context(Recording(source))
                self.name, self.n_promised = recording.name, recording.n_samples
                self.rate_hz = _agreed_rate(recording, sample_rate)
                self._pieces = recording.blocks()
            else:
                samples = _one_axis(source)
                self.name, self.n_promised = "the array", len(samples)
                self.rate_hz = _given_rate(sample_rate, to_hz)
                self._pieces = _pieces(samples, int(_BLOCK_S * self.rate_hz))
            self._closing = closing.pop_all()
        self._resampler = Resampler(self.rate_hz, to_hz)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def duration_s(self) -> float:
        """Seconds read so far."""
        return self.n_samples / self.rate_hz

    @property
    def promised_s(self) -> float:
        """Seconds that the source says it has."""
        return self.n_promised / self.rate_hz

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Read on to the end.

        Whatever was good before an error comes out before the error does.

        Yields:
            Mono samples at `to_hz`, float32 `[n]`, n > 0, in order.

        Raises:
            SamplesError: At NaN, infinity, or a magnitude that no scaled sample has.
            AudioError: If a recording is empty or cut short.
        """
        failure: AudioError | None = None
        pieces = self._checked()
        while failure is None:
            try:
                resampled = self._resampler.push(next(pieces))
            except StopIteration:
                break
            except AudioError as error:
                failure = error
            else:
                if len(resampled):
                    yield resampled
        rest = self._resampler.finish()
        if len(rest):
            yield rest
        if failure is not None:
            raise failure

    def _checked(self) -> Iterator[NDArray[np.float32]]:
        """Yield pieces as float32; up to the first sample that is none, and then its error."""
        for piece in self._pieces:
            n_good = _count_good(piece)
            if n_good:
                good = _to_float(piece[:n_good])
                self.n_samples += n_good
                yield good
            if n_good < len(piece):
                raise _no_sample(float(piece[n_good]), self.n_samples, self.name)


def checked_samples(samples: Samples, *, first_sample: int, name: str) -> NDArray[np.float32]:
    """Check a piece of live audio.

    Args:
        samples: Mono `[n]`, floats in [-1, 1] or int16.
        first_sample: Where the piece begins, for the message.
        name: What the samples are of, for the message.

    Returns:
        float32 `[n]` in [-1, 1].

    Raises:
        SampleTypeError: If they are no array, or integers of unknown scale.
        SamplesError: If they have two axes, or hold NaN, infinity or values that were never scaled.
    """
    n_good = _count_good(_one_axis(samples))
    if n_good < len(samples):
        raise _no_sample(float(samples[n_good]), first_sample + n_good, name)
    return _to_float(samples)


def _count_good(piece: Samples) -> int:
    """Count the samples before the first one that is no sound."""
    if piece.dtype.kind == "i":
        return len(piece)
    # NaN fails every comparison, hence the one question that all good samples pass.
    good = np.abs(piece) <= LOUDEST
    return len(piece) if good.all() else int(good.argmin())


def _to_float(piece: Samples) -> NDArray[np.float32]:
    """Return samples as float32; integers are scaled by their 16 bits."""
    if piece.dtype.kind == "i":
        return piece.astype(np.float32) / np.float32(32768)
    return piece.astype(np.float32, copy=False)


def _no_sample(value: float, sample: int, name: str) -> SamplesError:
    """Build the error for a value that is no sound."""
    where = f"sample {sample} of {name} is {value:g}"
    if np.isfinite(value):
        return SamplesError(
            f"{where}, but float samples lie in [-1, 1]: divide by the full scale of what they "
            "come from, 32768 for 16-bit integers"
        )
    return SamplesError(
        f"{where}, which is no sound: find out what made it, or replace it before "
        "transcribing (numpy.nan_to_num)"
    )


def _one_axis(source: Samples) -> Samples:
    """Check what can be said of an array without looking at its values."""
    if not isinstance(source, np.ndarray):
        raise SampleTypeError(
            f"audio is {type(source).__name__}, expected a path or a numpy array of samples: "
            "numpy.asarray(audio, dtype=numpy.float32) makes one of a sequence of floats"
        )
    if source.dtype.kind != "f" and source.dtype.newbyteorder("=") != np.int16:
        raise SampleTypeError(
            f"samples are {source.dtype}, whose scale cannot be known: give int16, or floats in "
            "[-1, 1] (divide integers by their full scale, 32768 for 16 bits)"
        )
    if source.ndim != 1:
        raise SamplesError(
            f"samples have the shape {source.shape}, expected one axis: average the channels, "
            "samples.mean(axis=0) for [channels, n], samples.mean(axis=1) for [n, channels]"
        )
    return source


def _pieces(samples: Samples, n_samples: int) -> Iterator[Samples]:
    for start in range(0, len(samples), n_samples):
        yield samples[start : start + n_samples]


def _given_rate(sample_rate: SupportsIndex | float | None, to_hz: int) -> int:
    if sample_rate is None:
        raise SampleRateError(
            "an array does not say its sample rate: pass sample_rate in hertz "
            f"(the model itself runs at {to_hz})"
        )
    return possible_rate(sample_rate)


def _agreed_rate(recording: Recording, sample_rate: SupportsIndex | float | None) -> int:
    rate_hz = possible_rate(recording.rate_hz)
    if sample_rate is not None and possible_rate(sample_rate) != rate_hz:
        raise SampleRateError(
            f"sample_rate is {sample_rate}, but {recording.name} says {rate_hz} Hz itself: leave "
            "sample_rate out for recordings, any rate is resampled"
        )
    return rate_hz


def possible_rate(sample_rate: SupportsIndex | float) -> int:
    """Return a sample rate as whole hertz.

    Raises:
        SampleRateError: If it is not a whole number, or none that audio is sampled at.
    """
    try:
        if isinstance(sample_rate, float) and sample_rate.is_integer():
            sample_rate = int(sample_rate)
        rate_hz = operator.index(cast("SupportsIndex", sample_rate))
    except TypeError:
        rate_hz = -1
    if isinstance(sample_rate, bool | np.bool_) or not LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        raise SampleRateError(
            f"sample_rate is {sample_rate!r}, expected whole hertz from {LOWEST_HZ} to "
            f"{HIGHEST_HZ}: pass the rate that the audio was recorded at"
        )
    return rate_hz


def until_failure(
    blocks: Iterator[NDArray[np.float32]], failures: list[AudioError]
) -> Iterator[NDArray[np.float32]]:
    """Pass blocks on; end where they fail, and keep the failure for when all is done."""
    try:
        yield from blocks
    except AudioError as error:
        failures.append(error)
