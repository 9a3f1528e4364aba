"""The beams of a search, side by side in arrays."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(slots=True)
class Rows:
    """Beams by prefix, the best first: each has up to two, which differ in how they end.

    Where its words are is that of the better of the two.
    """

    prefix: Ids
    base: Ids
    """What the next letter is put after: the prefix, or where every token is a word, the prefix
    after the open word."""
    first: Ids
    """The history of the first word that is not final; -1: there is none."""
    score: Scores
    """Of the log-probs, by end, `[2, n]`; minus infinity where there is no such beam."""
    marks: Scores
    """`[5, n]`"""
    words: NDArray[np.object_]
    """Of each the words that are not final: tuples of `Word`."""

    def take(self, places: Ids) -> "Rows":
        """Return some of them, in that order."""
        return Rows(
            self.prefix[places],
            self.base[places],
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
