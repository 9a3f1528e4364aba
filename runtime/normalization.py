"""Statistics of the audio heard so far, where a checkpoint normalises over the whole utterance.

Two kinds of Wav2Vec 2.0 look at the utterance as a whole: `do_normalize` scales the samples to mean
0 and variance 1, and the group norm of the first convolution scales each of its channels to mean 0
and variance 1 over time. Both follow from sums over the input alone. The output of channel `c` at
window `x` (the K samples under the kernel) is `w_c . x`, hence

    mean_c = w_c . mean(x)    var_c = w_c' Cov(x) w_c = |root' w_c|^2    with Cov(x) = root root'

so K + K^2 numbers, kept here on the host, replace two per channel inside the graph: each window is
counted exactly once however the audio is cut, offline is exact although the convolutions run in
slices, and float64 costs nothing. Merging is Chan, Golub and LeVeque 1979 ("Updating formulae and a
pairwise algorithm for computing sample variances").
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

_SAMPLE_EPSILON = 1e-7  # transformers' Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of vectors; a value, never changed in place."""

    count: float
    mean: npt.NDArray[np.float64]
    """`[k]`."""
    scatter: npt.NDArray[np.float64]
    """`[k, k]`, the sum of outer products of deviations from the mean."""

    @classmethod
    def none(cls, size: int) -> "Moments":
        """Return the moments of no vectors at all."""
        return cls(0.0, np.zeros(size), np.zeros((size, size)))

    @classmethod
    def of(cls, vectors: npt.NDArray[np.float32]) -> "Moments":
        """Return the moments of float32 `[n, k]`."""
        exact = vectors.astype(np.float64)
        mean = exact.mean(axis=0)
        deviations = exact - mean
        return cls(float(len(exact)), mean, deviations.T @ deviations)

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of vectors together."""
        count = self.count + other.count
        if count == 0:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        cross = np.outer(delta, delta) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + cross)

    def limited(self, count: float) -> "Moments":
        """Return the same mean and covariance with the weight of at most `count` vectors.

        So what is old fades.
        """
        if self.count <= count:
            return self
        return Moments(count, self.mean, self.scatter * (count / self.count))

    def scaled(self, gain: float) -> "Moments":
        """Return the moments of the same vectors, each `gain` times as large."""
        return Moments(self.count, self.mean * gain, self.scatter * gain**2)

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """`[k, k]`, the biased covariance; zeros before the first vector."""
        return self.scatter / max(self.count, 1.0)


@dataclass(frozen=True)
class Normalization:
    """What a bundle declares of normalisation.

    Which of the two its checkpoint wants, and the first convolution's shape.
    """

    do_normalize: bool
    group_norm: bool
    kernel: int
    stride: int
    """Of the first convolution, in samples."""
    memory_s: float = 30.0
    """The past that counts in a stream or a long recording."""
    rate_hz: int = 16_000

    @property
    def active(self) -> bool:
        """Whether there is anything to normalise."""
        return self.do_normalize or self.group_norm

    def start(self, prior: dict[str, Any] | None = None) -> "NormState":
        """Return the state before the first sample.

        `prior` is a bundle's `normalization_prior`; None starts from nothing.
        """
        if prior is None:
            return NormState(Moments.none(1), Moments.none(self.kernel), np.zeros(0, np.float32))
        samples, windows = (_from_json(prior[key]) for key in ("samples", "windows"))
        return NormState(samples, windows, np.zeros(0, np.float32))

    def heard(self, state: "NormState", samples: npt.NDArray[np.float32]) -> "NormState":
        """Count new samples (float32 `[n]`, those that follow the ones counted last)."""
        if self.do_normalize and len(samples):
            merged = state.samples.merged(Moments.of(samples[:, None]))
            state = replace(state, samples=merged.limited(self.memory_s * self.rate_hz))
        if self.group_norm:
            pending = np.concatenate([state.pending, samples])
            n_windows = max(0, (len(pending) - self.kernel) // self.stride + 1)
            if n_windows:
                view = np.lib.stride_tricks.sliding_window_view(pending, self.kernel)[
                    :: self.stride
                ]
                merged = state.windows.merged(Moments.of(view))
                state = replace(
                    state, windows=merged.limited(self.memory_s * self.rate_hz / self.stride)
                )
            state = replace(state, pending=pending[n_windows * self.stride :])
        return state

    def samples(
        self, state: "NormState", samples: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the samples as the front wants them: scaled if `do_normalize`, else unchanged."""
        if not self.do_normalize:
            return samples
        mean, scale = self._affine(state)
        return ((samples - mean) * scale).astype(np.float32)

    def scaled(self, state: "NormState", gain: float, weight_s: float) -> "NormState":
        """Return the statistics of the same audio `gain` times as loud, `weight_s` long at most."""
        weight = weight_s * self.rate_hz
        return replace(
            state,
            samples=state.samples.scaled(gain).limited(weight),
            windows=state.windows.scaled(gain).limited(weight / self.stride),
        )

    def front_inputs(self, state: "NormState") -> dict[str, npt.NDArray[np.float32]]:
        """Return the front's further inputs.

        Mean `[K]` and root of the covariance `[K, K]` if group norm, else nothing.
        """
        if not self.group_norm:
            return {}
        mean, covariance = state.windows.mean, state.windows.covariance
        if self.do_normalize:
            shift, scale = self._affine(state)
            mean, covariance = (mean - shift) * scale, covariance * scale**2
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return {"conv0_mean": mean.astype(np.float32), "conv0_root": root.astype(np.float32)}

    def _affine(self, state: "NormState") -> tuple[float, float]:
        variance = float(state.samples.covariance[0, 0])
        return float(state.samples.mean[0]), 1.0 / float(np.sqrt(variance + _SAMPLE_EPSILON))


@dataclass(frozen=True)
class NormState:
    """What was heard so far; a value."""

    samples: Moments
    """Of single samples, for `do_normalize`."""
    windows: Moments
    """Of the first convolution's windows, for group norm."""
    pending: npt.NDArray[np.float32]
    """Samples whose window is not complete yet."""

    @property
    def level_db(self) -> float:
        """The power of what was heard, relative to full scale; -inf before anything was."""
        moments = self.samples if self.samples.count else self.windows
        power = float(np.mean(np.diag(moments.covariance)))
        return 10 * float(np.log10(power)) if power > 0 else -np.inf

    def prior(self, count_s: float, normalization: Normalization) -> dict[str, Any]:
        """Return this state as a bundle's `normalization_prior`.

        It weighs as much as `count_s` seconds of audio.
        """
        rate_hz = normalization.rate_hz
        return {
            "samples": _to_json(self.samples, count_s * rate_hz),
            "windows": _to_json(self.windows, count_s * rate_hz / normalization.stride),
        }


def _to_json(moments: Moments, count: float) -> dict[str, Any]:
    weight = min(count, moments.count)
    covariance = moments.covariance
    return {"count": weight, "mean": moments.mean.tolist(), "covariance": covariance.tolist()}


def _from_json(value: dict[str, Any]) -> Moments:
    covariance = np.array(value["covariance"], np.float64)
    return Moments(
        float(value["count"]),
        np.array(value["mean"], np.float64),
        covariance * float(value["count"]),
    )
