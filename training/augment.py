"""Make one recording sound like many.

Another voice, another room, another microphone, another distance.
"""

import numpy as np
import numpy.typing as npt
import soxr

from .voices import RATE_HZ

Samples = npt.NDArray[np.float32]
_SPEECH_RMS = 0.05


def change_voice(samples: Samples, factor: float) -> Samples:
    """Play `factor` times faster: tempo, pitch and formants move together, as between speakers."""
    changed = soxr.resample(samples, RATE_HZ * factor, RATE_HZ, quality="LQ")
    return np.asarray(changed, np.float32)


def telephone(samples: Samples) -> Samples:
    """Lose everything above 4 kHz, as a telephone line or an 8 kHz recording does."""
    low = soxr.resample(samples, RATE_HZ, RATE_HZ / 2, quality="LQ")
    return np.asarray(soxr.resample(low, RATE_HZ / 2, RATE_HZ, quality="LQ"), np.float32)


def tilt(samples: Samples, amount: float) -> Samples:
    """Tilt the spectrum by a one-tap filter: above 0 brighter, below 0 duller."""
    out = samples.copy()
    out[1:] -= np.float32(amount) * samples[:-1]
    return out


def reverberate(samples: Samples, room: Samples) -> Samples:
    """Convolve with a room's impulse response, its direct sound moved to time zero.

    The length is kept.
    """
    response = room[int(np.abs(room).argmax()) :][: RATE_HZ // 2]
    response = response / (np.linalg.norm(response) + 1e-9)
    n = len(samples) + len(response) - 1
    size = 1 << (n - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return wet[: len(samples)].astype(np.float32)


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add `noise` (as long as `samples`) at a signal-to-noise ratio in dB."""
    speech, other = float(np.mean(samples**2)), float(np.mean(noise**2))
    if speech == 0.0 or other == 0.0:
        return samples
    gain = np.sqrt(speech / other * 10 ** (-snr_db / 10))
    return (samples + noise * np.float32(gain)).astype(np.float32)


def colored_noise(n_samples: int, color: float, rng: np.random.Generator) -> Samples:
    """Draw noise whose power falls as frequency ** -color (0 white, 1 pink, 2 brown), RMS 1."""
    spectrum = np.fft.rfft(rng.standard_normal(max(n_samples, 2)))
    shape = np.maximum(np.arange(len(spectrum)), 1.0) ** (-color / 2)
    noise = np.fft.irfft(spectrum * shape, max(n_samples, 2))[:n_samples]
    return np.asarray(noise / (noise.std() + 1e-9), np.float32)


def set_level(samples: Samples, level_db: float) -> Samples:
    """Scale to an RMS of `level_db` below the usual level of speech, never above full scale."""
    rms = float(np.sqrt(np.mean(samples**2)))
    peak = float(np.abs(samples).max(initial=0.0))
    if rms == 0.0:
        return samples
    gain = min(_SPEECH_RMS / rms * 10 ** (level_db / 20), 1.0 / peak)
    return (samples * np.float32(gain)).astype(np.float32)
