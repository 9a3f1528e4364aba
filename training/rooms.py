"""Simulated rooms: impulse responses of boxes, as many as wanted, where few were recorded.

Early reflections are image sources (Allen and Berkley 1979, "Image method for efficiently
simulating small-room acoustics", JASA 65); what comes later is noise that decays as Eyring's
formula says, joined at the level where the images end.
"""

from itertools import product

import numpy as np
import numpy.typing as npt

from .voices import RATE_HZ

_SOUND_M_PER_S = 343.0
_ORDER = 5  # images on each side of each wall
_EARLY_S, _WINDOW_S, _LONGEST_S = 0.045, 0.02, 0.5
_CELLS = np.array(list(product(range(-_ORDER, _ORDER + 1), repeat=3)))
_MIRRORS = np.array(list(product((0, 1), repeat=3)))


def simulate_room(
    size_m: npt.NDArray[np.float64],
    speaker_m: npt.NDArray[np.float64],
    microphone_m: npt.NDArray[np.float64],
    decay_s: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """Return the impulse response of a box, float32 `[n_samples]` at 16 kHz, at most half a second.

    Args:
        size_m: Length, width and height, in metres.
        speaker_m: Where the speaker stands, in metres from one corner.
        microphone_m: Where the microphone stands.
        decay_s: Time in which the sound falls by 60 dB.
        rng: Draws the late part.
    """
    surface = 2 * (size_m[0] * size_m[1] + size_m[0] * size_m[2] + size_m[1] * size_m[2])
    absorbed = 1 - np.exp(-0.161 * size_m.prod() / (surface * decay_s))
    cells, mirrors = _CELLS[:, None], _MIRRORS[None]
    images_m = (1 - 2 * mirrors) * speaker_m + 2 * cells * size_m
    distance_m = np.linalg.norm(images_m - microphone_m, axis=-1)
    bounces = (np.abs(cells - mirrors) + np.abs(cells)).sum(axis=-1)
    amplitude = np.sqrt(1 - absorbed) ** bounces / np.maximum(distance_m, 0.1)
    at = np.round(distance_m / _SOUND_M_PER_S * RATE_HZ).astype(np.int64)
    early = int(_EARLY_S * RATE_HZ)
    response = np.zeros(int(_LONGEST_S * RATE_HZ))
    np.add.at(response, at[at < early], amplitude[at < early])
    window = response[early - int(_WINDOW_S * RATE_HZ) : early]
    late_s = np.arange(len(response) - early) / RATE_HZ
    decay = 10 ** (-3 * (late_s + _WINDOW_S / 2) / decay_s)
    response[early:] = np.sqrt(np.mean(window**2)) * decay * rng.standard_normal(len(late_s))
    return response.astype(np.float32)


def draw_room(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw a room from a closet to a hall, and in it a speaker 0.3 to 4 m from the microphone."""
    size_m = rng.uniform((2.2, 2.0, 2.2), (9.0, 7.0, 3.8))
    microphone_m = rng.uniform(0.3, size_m - 0.3)
    while True:
        speaker_m = rng.uniform(0.3, size_m - 0.3)
        if 0.3 < np.linalg.norm(speaker_m - microphone_m) < 4.0:
            break
    decay_s = float(np.exp(rng.uniform(np.log(0.12), np.log(0.9))))
    return simulate_room(size_m, speaker_m, microphone_m, decay_s, rng)
