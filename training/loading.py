"""Recordings -> endless batches of like lengths, made in the background.

What is in which batch follows from the seed and the number of the batch alone, so that a run that
was stopped goes on with the batch that it had not heard.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from wav2edge.runtime.errors import AudioError

from .augment import standardise
from .interruption import leave_signals
from .manifest import Recorded
from .objective import Batch
from .recordings import read_recording
from .spelling import Spelling
from .voices import RATE_HZ

Samples = npt.NDArray[np.float32]
_POOL = 64  # batches whose utterances are sorted by length together: some order stays random


class BatchSource(Protocol):
    """Where a run gets its batches."""

    def batches(self, n_taken: int, rank: int, n_ranks: int) -> Iterator[Batch]:
        """Yield batches for ever.

        Args:
            n_taken: So many were taken by each process before.
            rank: Of this process.
            n_ranks: Processes, each of which takes batches of its own.
        """
        ...


class Augmentation(Protocol):
    """Something that makes a recording sound another way."""

    def apply(self, samples: Samples, rng: np.random.Generator) -> Samples:
        """Return float32 `[n]` at 16 kHz; everything random comes from `rng`."""
        ...


def collate(samples: Sequence[Samples], tokens: Sequence[Sequence[int]]) -> Batch:
    """Pad utterances into a batch."""
    n_samples = torch.tensor([len(one) for one in samples])
    padded = torch.zeros(len(samples), int(n_samples.max()))
    for row, one in zip(padded, samples, strict=True):
        row[: len(one)] = torch.from_numpy(one)
    flat = torch.tensor([token for row in tokens for token in row], dtype=torch.int64)
    return Batch(padded, n_samples, flat, torch.tensor([len(row) for row in tokens]))


@dataclass(frozen=True)
class Recordings:
    """Recordings as a source of batches.

    Each is heard once in an epoch. Recordings of like length come together.
    """

    recorded: tuple[Recorded, ...]
    spelling: Spelling | None
    """None: no tokens."""
    seconds: float
    """Of padded audio in a batch, at most (a longer recording is a batch alone)."""
    seed: int
    do_normalize: bool = False
    augmentation: Augmentation | None = None
    crop_s: float | None = None
    """Cut a random piece of this length out of longer recordings; only without transcripts."""
    workers: int = 1
    """Processes that read ahead; 0: none."""
    left_out: Path | None = None
    """A table that recordings are added to that turn out to be broken."""

    def batches(self, n_taken: int, rank: int, n_ranks: int) -> Iterator[Batch]:
        """Yield batches for ever; see `BatchSource`."""
        loader: DataLoader[Batch | None] = DataLoader(
            _Spoken(self),
            batch_size=None,
            sampler=_Plan(self, n_taken, rank, n_ranks),
            num_workers=self.workers,
            prefetch_factor=4 if self.workers else None,
            worker_init_fn=leave_signals,
        )
        for batch in loader:
            if batch is not None:
                yield batch

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of an epoch as indices into `recorded`."""
        rng = np.random.default_rng([self.seed, number])
        n_samples = np.array([one.n_samples for one in self.recorded])
        if self.crop_s is not None:
            n_samples = np.minimum(n_samples, int(self.crop_s * RATE_HZ))
        order = rng.permutation(len(n_samples))
        limit = self.seconds * RATE_HZ
        size = max(1, int(_POOL * limit / n_samples.mean()))
        groups: list[list[int]] = []
        for first in range(0, len(order), size):
            pool = order[first : first + size]
            groups += _cut(pool[np.argsort(n_samples[pool], kind="stable")], n_samples, limit)
        return [groups[i] for i in rng.permutation(len(groups))]

    def make(self, epoch: int, indices: Sequence[int]) -> Batch | None:
        """Read one batch; None if none of its recordings can be read."""
        samples, tokens = [], []
        for index in indices:
            one = self.recorded[index]
            try:
                heard = read_recording(one.path)
            except AudioError as error:
                self._leave_out(one.path, error)
                continue
            samples.append(self._prepared(heard, np.random.default_rng([self.seed, epoch, index])))
            tokens.append([] if self.spelling is None else self.spelling.spell(one.text))
        return collate(samples, tokens) if samples else None

    def _prepared(self, samples: Samples, rng: np.random.Generator) -> Samples:
        if self.crop_s is not None and len(samples) > self.crop_s * RATE_HZ:
            n_kept = int(self.crop_s * RATE_HZ)
            start = int(rng.integers(len(samples) - n_kept + 1))
            samples = samples[start : start + n_kept]
        if self.augmentation is not None:
            samples = self.augmentation.apply(samples, rng)
        return standardise(samples) if self.do_normalize else samples

    def _leave_out(self, path: Path, error: AudioError) -> None:
        if self.left_out is not None:
            with self.left_out.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, delimiter="\t", lineterminator="\n")
                writer.writerow((path, "breaks off", str(error)))


def _cut(
    ordered: npt.NDArray[np.int64], n_samples: npt.NDArray[np.int64], limit: float
) -> list[list[int]]:
    """Cut recordings, shortest first, into batches of at most `limit` padded samples."""
    groups: list[list[int]] = [[]]
    for index in ordered.tolist():
        if groups[-1] and (len(groups[-1]) + 1) * n_samples[index] > limit:
            groups.append([])
        groups[-1].append(index)
    return groups


_Place = tuple[int, list[int]]
"""Epoch, and indices of recordings."""


class _Plan(Sampler[_Place]):
    """Which recordings come together, from the batch on that was not yet taken."""

    def __init__(self, source: Recordings, n_taken: int, rank: int, n_ranks: int) -> None:
        self._source, self._skip = source, n_taken * n_ranks + rank
        self._n_ranks = n_ranks

    def __iter__(self) -> Iterator[_Place]:
        skip = self._skip
        for number in count():
            groups = self._source.epoch(number)
            for group in groups[skip :: self._n_ranks]:
                yield number, group
            n_here = len(groups)
            skip = skip - n_here if skip >= n_here else (skip - n_here) % self._n_ranks


class _Spoken(Dataset[Batch | None]):
    """The plan's places as batches."""

    def __init__(self, source: Recordings) -> None:
        self._source = source

    def __getitem__(self, place: _Place) -> Batch | None:
        return self._source.make(*place)
