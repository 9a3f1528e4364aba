"""Noise under clips and the pauses after them: the same under the same clip in every session."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .clips import Clip
from .result import BenchmarkError

Array = NDArray[np.float32]

SEED = 0
_SHORTEST_S = 3.0  # a shorter one is heard as a loop, and impulse responses are no noise


class Noise:
    """Recordings of noise, mixed at a ratio of powers.

    For each clip one of them is drawn, and where in it to begin. Its gain follows from the mean
    power of the clip, pauses included, and that of the whole recording of noise; it stays the same
    in the pause after the clip.

    Args:
        recordings: Of noise; those under three seconds are left out.
        snr_db: Power of the clip over that of the noise.
        rate_hz: Of the samples.

    Raises:
        BenchmarkError: If nothing is left.
        AudioError: If a recording cannot be read.
    """

    def __init__(self, recordings: Sequence[Clip], *, snr_db: float, rate_hz: int) -> None:
        read = [(clip.path.name, clip.samples(rate_hz)) for clip in recordings]
        kept = [(name, one) for name, one in read if len(one) >= _SHORTEST_S * rate_hz]
        self._recordings = [one for _, one in kept if np.any(one)]
        if not self._recordings:
            raise BenchmarkError(
                f"there is no noise of {_SHORTEST_S:.0f} s or more in {len(recordings)} "
                "recordings: name others with --noise"
            )
        self.snr_db = snr_db
        self.names = [name for name, one in kept if np.any(one)]

    def mixed(self, clip: int, samples: Array, n_gap: int) -> Array:
        """Return a clip and the pause after it with noise under both.

        Args:
            clip: Its number, which decides what is drawn.
            samples: Of the clip, `[n]`.
            n_gap: Samples of the pause.

        Returns:
            float32 `[n + n_gap]`.
        """
        draw = np.random.default_rng((SEED, clip))
        noise = self._recordings[int(draw.integers(len(self._recordings)))]
        places = int(draw.integers(len(noise))) + np.arange(len(samples) + n_gap)
        gain = _rms(samples) / _rms(noise) * 10 ** (-self.snr_db / 20)
        padded = np.pad(samples, (0, n_gap))
        mixed: Array = padded + np.float32(gain) * noise.take(places, mode="wrap")
        return mixed


def _rms(samples: Array) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0
