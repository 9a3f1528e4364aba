"""Corpus -> endless padded batches.

A mixture over kinds of speech and voices, joined single words, length buckets.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset

from .conditions import Conditions
from .corpus import Corpus, Utterance
from .numbers import DIGITS
from .objective import Batch
from .voices import RATE_HZ

# Share of utterances by kind: at the start mostly digits and short ones, which is what makes the
# loss leave its plateau.
EARLY = {
    "digit": 0.35,
    "synthetic-digits": 0.2,
    "symbol": 0.1,
    "synthetic-command": 0.2,
    "sentence": 0.15,
}
LATE = {
    "digit": 0.08,
    "synthetic-digits": 0.03,
    "symbol": 0.05,
    "synthetic-number": 0.05,
    "synthetic-spelled": 0.05,
    "synthetic-command": 0.11,
    "synthetic-coffee": 0.06,
    "synthetic-phrase": 0.05,
    "sentence": 0.13,
    "heard": 0.08,
    "acted": 0.18,
    "read": 0.03,
    "prompt": 0.03,
    "synthetic-plain": 0.04,
    "noise": 0.03,
}
# Of the conditions. A model that has heard little learns most from what it can nearly hear: at full
# strength its loss is 1.5, without conditions 1.06 (after 160 h). Rooms cost it most.
_STRENGTH = 0.75
_ALONE = 0.2  # of the joined words that are none: one word, said alone
# Within a kind of synthetic speech, voice programs take turns by the square root of the hours that
# they spoke, and those of human-like prosody more often than those that buzz.
LIKENESS = {"kokoro": 3.0, "hibari": 1.3}


class Batches(IterableDataset[Batch]):
    """Endless batches of at most `seconds` of padded audio; the same seed gives the same batches.

    Args:
        corpus: Where utterances come from.
        token_ids: Token id of every character, the space included.
        seed: Of everything drawn.
        early_batches: So many batches are drawn from the easy mixture `EARLY`.
        seconds: Padded audio of one batch.
        max_s: Longer utterances are left out.
    """

    def __init__(
        self,
        corpus: Corpus,
        token_ids: dict[str, int],
        *,
        seed: int,
        early_batches: int,
        seconds: float,
        max_s: float,
    ) -> None:
        self._corpus, self._token_ids, self._seed = corpus, token_ids, seed
        self._early_batches, self._seconds = early_batches, seconds
        self._conditions = Conditions(corpus, seed, _STRENGTH)
        self._kinds: dict[str, dict[str, list[Utterance]]] = defaultdict(lambda: defaultdict(list))
        self._words: dict[str, dict[str, list[Utterance]]] = {
            "digit": defaultdict(list),
            "symbol": defaultdict(list),
        }
        for row in corpus.utterances:
            if row.n_samples <= max_s * RATE_HZ or row.kind == "noise":
                self._kinds[row.kind][row.program].append(row)
            if row.kind in self._words:
                self._words[row.kind][row.speaker].append(row)
        # The spoken digits among the letters join the digits, as more voices.
        for speaker, rows in self._words["symbol"].items():
            digits = [row for row in rows if row.text in DIGITS]
            if digits:
                self._words["digit"][speaker] += digits

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        rng = np.random.default_rng(self._seed)
        n_batches = 0
        while True:
            mixture = EARLY if n_batches < self._early_batches else LATE
            for batch in self._pool(mixture, rng):
                yield batch
                n_batches += 1

    def _pool(self, mixture: dict[str, float], rng: np.random.Generator) -> list[Batch]:
        """Draw 256 utterances, sort them by length, cut them into batches, shuffle the batches.

        Kinds that the corpus does not hold are left out.
        """
        shares = {kind: share for kind, share in mixture.items() if kind in self._kinds}
        kinds = rng.choice(
            list(shares), size=256, p=np.array(list(shares.values())) / sum(shares.values())
        )
        spoken = sorted((self._draw(kind, rng) for kind in kinds), key=lambda pair: len(pair[0]))
        groups: list[list[tuple[npt.NDArray[np.float32], str]]] = [[]]
        for pair in spoken:
            if groups[-1] and (len(groups[-1]) + 1) * len(pair[0]) > self._seconds * RATE_HZ:
                groups.append([])
            groups[-1].append(pair)
        order = rng.permutation(len(groups))
        return [self._collate(groups[i]) for i in order]

    def _collate(self, pairs: list[tuple[npt.NDArray[np.float32], str]]) -> Batch:
        n_samples = torch.tensor([len(samples) for samples, _ in pairs])
        padded = torch.zeros(len(pairs), int(n_samples.max()))
        for row, (samples, _) in zip(padded, pairs, strict=True):
            row[: len(samples)] = torch.from_numpy(samples)
        tokens = [[self._token_ids[c] for c in text] for _, text in pairs]
        flat = torch.tensor([token for row in tokens for token in row], dtype=torch.int64)
        return Batch(padded, n_samples, flat, torch.tensor([len(row) for row in tokens]))

    def _draw(self, kind: str, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], str]:
        if kind in self._words:
            samples, text = self._join(self._words[kind], rng)
        elif kind == "noise":
            return self._conditions.only_noise(rng), ""
        else:
            row = self._pick_voice(kind, rng)
            samples, text = self._corpus.audio(row), row.text
        return self._conditions.apply(samples, rng), text

    def _join(
        self, speakers: dict[str, list[Utterance]], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], str]:
        """Join one to seven words of one speaker with gaps of 30 to 400 ms."""
        names = sorted(speakers)
        rows = [self._pick(speakers[names[rng.integers(len(names))]], rng)]
        n_more = 0 if rng.random() < _ALONE else rng.integers(0, 7)
        rows += [self._pick(speakers[rows[0].speaker], rng) for _ in range(n_more)]
        pieces = []
        for row in rows:
            word = self._corpus.audio(row)
            pieces += [word * np.float32(10 ** rng.uniform(-0.15, 0.15))]
            pieces += [np.zeros(int(rng.uniform(0.03, 0.4) * RATE_HZ), np.float32)]
        return np.concatenate(pieces[:-1]), " ".join(row.text for row in rows)

    def _pick_voice(self, kind: str, rng: np.random.Generator) -> Utterance:
        """Pick an utterance of a kind: first the voice program, then what it spoke."""
        programs = self._kinds[kind]
        weights = np.array(
            [LIKENESS.get(program, 1.0) * len(rows) ** 0.5 for program, rows in programs.items()]
        )
        chosen = list(programs)[rng.choice(len(weights), p=weights / weights.sum())]
        return self._pick(programs[chosen], rng)

    @staticmethod
    def _pick(rows: list[Utterance], rng: np.random.Generator) -> Utterance:
        return rows[rng.integers(len(rows))]
