"""Any audio as blocks of mono float32 at the rate a model runs at: the door to soxr.

A recording or an array goes in; every block is checked before anything is made of it. Resampling is
stateful, so that blocks equal the whole, and memory does not grow with the length.
"""

import operator
import os
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from .errors import AudioError, SampleRateError, SamplesError, SampleTypeError
from .recording import Recording

LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000  # what is beyond is no sample rate but a mistake
LOUDEST = 16.0  # 24 dB over full scale: floats beyond it were never scaled to [-1, 1]

_BLOCK_S = 10.0  # of an array, at a time

Samples = NDArray[Any]
"""Mono samples `[n]`: float16, float32 or float64 in [-1, 1], or int16."""


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
        self._stream: Any = None
        if from_hz != to_hz:
            import soxr

            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample float32 `[n]`; what comes out, `[m]`, lags a little behind."""
        if self._stream is None:
            return samples
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples)
        return resampled

    def finish(self) -> NDArray[np.float32]:
        """Return what still lagged behind."""
        rest = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
        return rest


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
            if piece.dtype.kind == "i":
                scaled = piece.astype(np.float32) / np.float32(32768)
            else:
                # NaN fails every comparison, hence the one question that all good samples pass.
                good = np.abs(piece) <= LOUDEST
                if not good.all():
                    n_good = int(good.argmin())
                    self.n_samples += n_good
                    if n_good:
                        yield piece[:n_good].astype(np.float32)
                    raise self._no_sample(float(piece[n_good]))
                scaled = piece.astype(np.float32, copy=False)
            self.n_samples += len(piece)
            yield scaled

    def _no_sample(self, value: float) -> SamplesError:
        where = f"sample {self.n_samples} of {self.name} is {value:g}"
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
