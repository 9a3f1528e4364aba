"""The beams of a search, side by side in arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lexicon import Ids
from .prefixes import Scores

START, END, COUNT, SUM, NOW = range(5)
"""Columns of `marks`, of the open word: first frame, one past the last, tokens, the sum of the
highest log-probs of all its tokens but the newest, and the newest one's."""
BLANK, OWN = 0, 1
"""How a beam ends."""

Word = tuple[int, int, float]
"""First frame, one past the last, and how sure the model was of its tokens."""


@dataclass(slots=True)
class Beams:
    """Beams side by side; in order, the best first, where nothing else is said."""

    score: Scores
    """Of the log-probs, `[n]`."""
    prefix: Ids
    end: Ids
    marks: Scores
    """`[n, 5]`"""
    words: NDArray[np.object_]
    """Of each beam the words that are not final: tuples of `Word`."""
    first: Ids
    """The history of the first of these; -1: there is none."""

    def take(self, places: Any) -> "Beams":  # noqa: ANN401  (anything that indexes)
        """Return some of them, in that order."""
        return Beams(
            self.score[places],
            self.prefix[places],
            self.end[places],
            self.marks[places],
            self.words[places],
            self.first[places],
        )


@dataclass(slots=True)
class Rows:
    """Beams by prefix: each row is one, its two ends are columns; what is not there scores -inf."""

    prefix: Ids
    base: Ids
    """What the next letter is put after: the prefix, or where every token is a word, the prefix
    after the open word."""
    first: Ids
    score: Scores
    """`[2, n]`"""
    marks: Scores
    """`[2, n, 5]`"""
    words: NDArray[np.object_]
    """`[2, n]`"""

    def where(self, which: NDArray[np.bool_]) -> "Rows":
        """Return some of them."""
        return Rows(
            self.prefix[which],
            self.base[which],
            self.first[which],
            self.score[:, which],
            self.marks[:, which],
            self.words[:, which],
        )

    def beams(self) -> Beams:
        """Return them one by one, in the order of the rows."""
        rows, ends = np.nonzero(-math.inf < self.score.T)
        return Beams(
            self.score[ends, rows],
            self.prefix[rows],
            ends,
            self.marks[ends, rows],
            self.words[ends, rows],
            self.first[rows],
        )


def open_word(marks: Sequence[float]) -> Word:
    """Return the place of the open word; its tokens' geometric mean tells how sure the model was.

    Args:
        marks: Of a beam with an open word, `[5]`.
    """
    mean = (marks[SUM] + marks[NOW]) / marks[COUNT]
    return int(marks[START]), int(marks[END]), math.exp(min(mean, 0.0))
