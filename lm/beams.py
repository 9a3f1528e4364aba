"""The beams of a search, side by side in arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .histories import NONE
from .lexicon import Ids
from .prefixes import Scores

START, END, COUNT, SUM, NOW = range(5)
"""Rows of `marks`, of the open word: first frame, one past the last, tokens, the sum of the
highest log-probs of all its tokens but the newest, and the newest one's."""
BLANK, OWN = 0, 1
"""How a beam ends: with a blank, or with the last token of its prefix."""

NEVER_LED = -1.0

Word = tuple[int, int, float, float]
"""First frame, one past the last, how sure the model was of its tokens, and the share of the search
that agreed on it when it first led, or NEVER_LED."""


PackedRows = tuple[bytes, bytes, bytes, tuple[tuple[Word, ...], ...]]
"""Prefixes and bases (int64), scores (float64), marks (float64), words of `Rows`."""


@dataclass(slots=True)
class Rows:
    """Beams by prefix, the best first: each has up to two, which differ in how they end.

    Where its words are is that of the better of the two.
    """

    prefix: Ids
    base: Ids
    """What the next letter is put after: the prefix, or where every token is a word, the prefix
    after the open word."""
    last: Ids
    """The prefix's last token."""
    first: Ids
    """The history of the first word that is not final; -1: there is none."""
    score: Scores
    """Of the log-probs, by end, `[2, n]`; minus infinity where there is no such beam."""
    marks: Scores
    """`[5, n]`"""
    words: NDArray[np.object_]
    """Of each the words that are not final: tuples of `Word`."""

    @classmethod
    def start(cls) -> "Rows":
        """Return the one beam before the first frame: prefix 0, as after a blank."""
        words = np.empty(1, object)
        words[0] = ()
        none = np.array([NONE])
        score = np.array([[0.0], [-math.inf]])
        zero = np.zeros(1, np.int64)
        return cls(zero, zero, none, none, score, np.zeros((5, 1)), words)

    @classmethod
    def unpacked(cls, packed: PackedRows) -> "Rows":
        """Take them out of a value; `first` and `last` are left to the caller."""
        prefix, base = np.frombuffer(packed[0], np.int64).reshape(2, -1).copy()
        words = np.empty(len(prefix), object)
        for row, these in enumerate(packed[3]):
            words[row] = these
        score = np.frombuffer(packed[1]).reshape(2, -1).copy()
        marks = np.frombuffer(packed[2]).reshape(5, -1).copy()
        unknown = np.full(len(prefix), NONE)
        return cls(prefix, base, unknown, unknown, score, marks, words)

    def packed(self, number: Ids) -> PackedRows:
        """Return them as a value, with new numbers for the prefixes by the old ones."""
        prefixes = np.array([number.take(self.prefix), number.take(self.base)])
        score, marks = self.score.tobytes(), self.marks.tobytes()
        return prefixes.tobytes(), score, marks, tuple(self.words)

    def take(self, places: Ids) -> "Rows":
        """Return some of them, in that order."""
        return Rows(
            self.prefix[places],
            self.base[places],
            self.last[places],
            self.first[places],
            self.score[:, places],
            self.marks[:, places],
            self.words[places],
        )


def open_word(marks: Sequence[float]) -> Word:
    """Return the place of the open word; its tokens' geometric mean tells how sure the model was.

    Args:
        marks: Of a beam with an open word, `[5]`.
    """
    mean = (marks[SUM] + marks[NOW]) / marks[COUNT]
    return int(marks[START]), int(marks[END]), math.exp(min(mean, 0.0)), NEVER_LED
