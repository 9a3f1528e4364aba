"""Make one recording sound like many.

Another voice, another room, another microphone, another distance, another line.
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


def microphone(
    samples: Samples, gains_db: npt.NDArray[np.float64], lowest_hz: float, highest_hz: float
) -> Samples:
    """Hear with a microphone of an uneven response that fades outside a band.

    Args:
        samples: Speech at 16 kHz.
        gains_db: Gains in dB at frequencies evenly spaced on a logarithmic scale, 80 Hz to 8 kHz.
        lowest_hz: Below it, 12 dB per octave are lost.
        highest_hz: Above it, 48 dB per octave are lost.
    """
    size = 1 << (len(samples) - 1).bit_length()
    log_hz = np.log(np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ), 10.0))
    anchors = np.linspace(np.log(80.0), np.log(8000.0), len(gains_db))
    response_db = np.interp(log_hz, anchors, gains_db)
    octaves_below = np.maximum(np.log(lowest_hz) - log_hz, 0.0) / np.log(2)
    octaves_above = np.maximum(log_hz - np.log(highest_hz), 0.0) / np.log(2)
    response = 10 ** ((response_db - 12 * octaves_below - 48 * octaves_above) / 20)
    heard = np.fft.irfft(np.fft.rfft(samples, size) * response, size)
    return heard[: len(samples)].astype(np.float32)


def mu_law(samples: Samples) -> Samples:
    """Quantize to the 255 steps of G.711's mu-law, full scale at the loudest sample."""
    peak = np.float32(max(np.abs(samples).max(initial=0.0), 1e-6))
    x = samples / peak
    steps = np.round(127 * np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)) / 127
    expanded = np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255
    return np.asarray(peak * expanded, np.float32)


def clip(samples: Samples, share: float) -> Samples:
    """Overdrive: cut off what is above `share` of the peak."""
    limit = share * np.abs(samples).max(initial=0.0)
    return np.asarray(np.clip(samples, -limit, limit), np.float32)


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


def standardise(samples: Samples) -> Samples:
    """Bring to mean 0 and variance 1, as `do_normalize` of `transformers` asks for."""
    shifted = samples - samples.mean()
    return np.asarray(shifted / np.sqrt(shifted.var() + 1e-7), np.float32)
