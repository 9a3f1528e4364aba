"""N-grams in memory, level by level: small, quick to make, quick to ask.

A word is a number. An n-gram is the row of its first n - 1 words one level up, and its last word;
both in one integer, so that each level is a sorted list of integers (as in IRSTLM and KenLM's
tries, without their pointers).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ABSENT = -1

_LAST = 1 << 62  # so that every search ends on a key


@dataclass(frozen=True, slots=True)
class Level:
    """All n-grams of one order, by row. Scores are log10."""

    keys: list[int]
    """Sorted: row of the first words one level up, times the number of words, plus the last word;
    one more at the end that no n-gram has. Of words their numbers."""
    log_probs: list[float]
    backoffs: list[float]
    """Weights; empty where no longer n-grams are."""
    goes_on: list[bool]
    """Whether it is the beginning of a longer one, or has a weight."""


@dataclass(frozen=True, slots=True)
class NGramTrie:
    """An n-gram model as numbers."""

    words: list[str]
    """By number."""
    levels: list[Level]
    """Of one word, of two, and so on."""

    @property
    def order(self) -> int:
        """The longest n-grams have so many words."""
        return len(self.levels)

    def find(self, level: int, row: int, word: int) -> int:
        """Return the row of an n-gram.

        Args:
            level: Words before the last.
            row: Of those; anything where there are none.
            word: The last.

        Returns:
            Its row one level down; `ABSENT` if it is not there.
        """
        if not level:
            return word
        keys, key = self.levels[level].keys, row * len(self.words) + word
        place = bisect_left(keys, key)
        return place if keys[place] == key else ABSENT

    @classmethod
    def of(
        cls, order: int, log_probs: Mapping[str, float], backoffs: Mapping[str, float]
    ) -> "NGramTrie":
        """Make it of n-grams as text, their words parted by one space.

        Args:
            order: The longest have so many words.
            log_probs: log10 p of each; what one begins with is there as well, and its last word.
            backoffs: log10 back-off weights; where there is none it is 0.
        """
        words = [ngram for ngram in log_probs if " " not in ngram]
        rows: dict[str, int] = {word: number for number, word in enumerate(words)}
        number = dict(rows)
        parts: list[list[str]] = [[] for _ in range(order)]
        for ngram in log_probs:
            parts[ngram.count(" ")].append(ngram)
        made: list[tuple[NDArray[np.int64], list[float], list[float]]] = []
        for ngrams in parts:
            split = [ngram.rpartition(" ") for ngram in ngrams]
            keys = [rows[first] * len(words) + number[last] if first else number[last]
                    for first, _, last in split]  # fmt: skip
            placed = sorted(zip(keys, ngrams, strict=True))
            rows = {ngram: row for row, (_, ngram) in enumerate(placed)}
            made.append(
                (
                    np.array([key for key, _ in placed], np.int64),
                    [log_probs[ngram] for _, ngram in placed],
                    [backoffs.get(ngram, 0.0) for _, ngram in placed],
                )
            )
        return cls.sorted(words, made)

    @classmethod
    def sorted(
        cls,
        words: list[str],
        levels: list[tuple[NDArray[np.int64], list[float], list[float]]],
    ) -> "NGramTrie":
        """Make it of levels: sorted keys, log10 p, back-off weights by row."""
        made = []
        for place, (keys, log_probs, backoffs) in enumerate(levels):
            goes_on: list[bool] = []
            if place + 1 < len(levels):
                begins = np.array(backoffs) != 0
                begins[levels[place + 1][0] // len(words)] = True
                goes_on = begins.tolist()
            weights = backoffs if goes_on else []
            made.append(Level([*keys.tolist(), _LAST], log_probs, weights, goes_on))
        return cls(words, made)
