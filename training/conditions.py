"""The conditions under which a voice is heard: speaker, room, microphone, noise, line, level."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import augment
from .corpus import Corpus, Utterance
from .recordings import read_recording
from .rooms import draw_room
from .voices import RATE_HZ

Samples = npt.NDArray[np.float32]
_AROUND = 400  # samples at least, where nothing was cut
_N_ROOMS = 150  # simulated once; drawing one for each utterance would cost more than the rest


class Conditions:
    """Draws conditions and applies them; everything drawn comes from the generator that is given.

    Args:
        corpus: Where noises, recorded rooms and the voices of bystanders come from.
        seed: Of the simulated rooms.
        strength: 1 changes most utterances, 0.5 half as many and half as much.
    """

    def __init__(self, corpus: Corpus, seed: int, strength: float = 1.0) -> None:
        self._corpus, self._strength = corpus, strength
        rows = corpus.utterances
        self._noises = [row for row in rows if row.kind == "noise"]
        self._speech = [row for row in rows if row.kind not in ("noise", "room")]
        rng = np.random.default_rng(seed)
        self._rooms = [corpus.audio(row) for row in rows if row.kind == "room"]
        self._n_recorded = len(self._rooms)
        self._rooms += [draw_room(rng) for _ in range(_N_ROOMS)]

    def apply(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Let the utterance be spoken by somebody else, somewhere else, into something else."""
        if self._happens(0.7, rng):
            most = 0.2 * self._strength
            samples = augment.change_voice(samples, float(np.exp(rng.uniform(-most, most))))
        before, after = rng.uniform(0.0, 0.5, size=2) * RATE_HZ
        if self._happens(0.25, rng):  # who listens for long must still hear the first word
            before = rng.uniform(0.5, 4.0) * RATE_HZ
        if self._happens(0.8 if len(samples) < RATE_HZ else 0.3, rng):  # cut tight, as words are
            before = after = -_AROUND
        samples = np.pad(samples, (int(before) + _AROUND, int(after) + _AROUND))
        if self._happens(0.35, rng):
            samples = augment.reverberate(samples, self._room(rng))
        samples = self._recorded(self._noisy(samples, rng), rng)
        if self._happens(0.2, rng):  # digital silence, in which not even the noise goes on
            samples = np.pad(samples, tuple(rng.integers(0, RATE_HZ // 2, size=2)))
        return augment.set_level(samples, rng.uniform(-26, 12))

    def noise(self, n_samples: int, rng: np.random.Generator) -> Samples:
        """Draw noise alone: coloured, recorded, or people talking."""
        kind = rng.random()
        if kind < 0.35 or not self._noises:
            return augment.colored_noise(n_samples, rng.uniform(0, 2), rng)
        if kind < 0.5 and self._speech:
            return self._babble(n_samples, rng)
        return self._stretch(self._pick(self._noises, rng), n_samples, rng)

    def only_noise(self, rng: np.random.Generator) -> Samples:
        """Draw 0.5 to 6 s in which nobody speaks to us."""
        n_samples = int(rng.uniform(0.5, 6) * RATE_HZ)
        return augment.set_level(self.noise(n_samples, rng), rng.uniform(-60, 6))

    def _happens(self, chance: float, rng: np.random.Generator) -> bool:
        return bool(rng.random() < chance * self._strength)

    def _noisy(self, samples: Samples, rng: np.random.Generator) -> Samples:
        if self._happens(0.42, rng):
            return augment.add_noise(samples, self.noise(len(samples), rng), rng.uniform(4, 30))
        # No recording is digitally silent.
        hiss = augment.colored_noise(len(samples), 1.0, rng)
        return augment.add_noise(samples, hiss, rng.uniform(35, 60))

    def _recorded(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Pass through a microphone and a line."""
        if self._happens(0.3, rng):
            gains_db = rng.uniform(-6, 6, size=7)
            highest_hz = rng.uniform(2800, 8000)
            samples = augment.microphone(samples, gains_db, rng.uniform(30, 350), highest_hz)
        elif self._happens(0.4, rng):
            samples = augment.tilt(samples, rng.uniform(-0.4, 0.7))
        if self._happens(0.06, rng):
            samples = augment.clip(samples, rng.uniform(0.15, 0.7))
        if self._happens(0.2, rng):
            samples = augment.telephone(samples)
            if rng.random() < 0.3:
                samples = augment.mu_law(samples)
        return samples

    def _room(self, rng: np.random.Generator) -> Samples:
        """Draw a room, one in four times a recorded one."""
        recorded = self._n_recorded > 0 and rng.random() < 0.25
        first, end = (0, self._n_recorded) if recorded else (self._n_recorded, len(self._rooms))
        return self._rooms[rng.integers(first, end)]

    def _babble(self, n_samples: int, rng: np.random.Generator) -> Samples:
        """Mix three to six bystanders, so that no word of any can be made out."""
        rows = [self._pick(self._speech, rng) for _ in range(rng.integers(3, 7))]
        voices = [augment.set_level(self._stretch(row, n_samples, rng), 0.0) for row in rows]
        return np.asarray(np.sum(voices, axis=0), np.float32)

    def _stretch(self, row: Utterance, n_samples: int, rng: np.random.Generator) -> Samples:
        """Repeat a recording to a length, from a random start."""
        repeated = np.resize(self._corpus.audio(row), n_samples)
        return np.roll(repeated, int(rng.integers(n_samples)))

    @staticmethod
    def _pick(rows: list[Utterance], rng: np.random.Generator) -> Utterance:
        return rows[rng.integers(len(rows))]


def noise_conditions(files: Iterable[tuple[Path, str]], seed: int, strength: float) -> Conditions:
    """Return conditions whose noises and recorded rooms come from files.

    Args:
        files: Recordings, and what their table notes of them; one that is called an impulse
            response (or rir) is a room, any other is noise.
        seed: Of the simulated rooms.
        strength: See `Conditions`.

    Raises:
        AudioError: A recording cannot be read.
    """
    pieces, rows, start = [np.zeros(0, np.int16)], [], 0
    for path, notes in files:
        samples = np.clip(np.round(read_recording(path) * 32768), -32768, 32767).astype(np.int16)
        is_room = "impulse" in notes or any(word in path.stem for word in ("rir", "impulse"))
        kind = "room" if is_room else "noise"
        rows.append(Utterance(kind, start, len(samples), "", str(path)))
        pieces.append(samples)
        start += len(samples)
    return Conditions(Corpus(np.concatenate(pieces), tuple(rows)), seed, strength)
