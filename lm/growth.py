"""What the beams may become in one frame: every row takes every likely token."""

import numpy as np
from numpy.typing import NDArray

from .beams import Rows
from .histories import NONE
from .lexicon import Ids
from .prefixes import Prefixes, Scores

STAY, REPEAT, NEW, CLOSE = range(4)
"""What a beam did to become what it is: a blank, its token once more, another, the delimiter."""


class Scratch:
    """Arrays that every frame writes anew where it needs them.

    Args:
        n_tokens: Of the alphabet.
        beam_width: Of the search.
    """

    def __init__(self, n_tokens: int, beam_width: int) -> None:
        self._beam_width = beam_width
        self.column = np.full(n_tokens, NONE)
        """Of a letter in this frame; -1 between two frames."""
        self.row, self.place = np.zeros((2, 0), np.int64)
        """Of a prefix, and of anything: what is read is believed only where it agrees."""
        self.count = np.arange(max(n_tokens, 4 * beam_width) + 2)
        """0, 1, 2, ..."""
        self.repeat = np.full(len(self.count), REPEAT)
        self.new = np.full(len(self.count), NEW)
        self.nothing = np.full((2, len(self.count)), -np.inf)

    def make_room(self, n_prefixes: int) -> None:
        """Let the arrays hold every prefix, and those that one frame may bring."""
        needed = n_prefixes + 3 * self._beam_width + 3
        if len(self.row) < needed:
            self.row, self.place = np.zeros((2, 2 * needed), np.int64)

    def first_of(self, keys: Ids, n_keys: int) -> NDArray[np.bool_]:
        """Tell which keys come for the first time, `[n]`; all are below `n_keys`."""
        if len(self.place) < n_keys:
            self.place = np.zeros(2 * n_keys, np.int64)
        if len(keys) > len(self.count):
            self.count = np.arange(2 * len(keys))
        n = self.count[: len(keys)]
        self.place[keys[::-1]] = n[::-1]
        first: NDArray[np.bool_] = self.place.take(keys) == n
        return first


class Growth:
    """Scores of the rows with one token more; equal prefixes are summed.

    Args:
        rows: Before the frame.
        prefixes: Where theirs are.
        scratch: Room to write in.
        log_probs: `[V]`, minus infinity for what is too unlikely.
        letters: Likely tokens but for blank and delimiter, ascending.
    """

    def __init__(
        self, rows: Rows, prefixes: Prefixes, scratch: Scratch, log_probs: Scores, letters: Ids
    ) -> None:
        self._rows, self._prefixes, self._scratch = rows, prefixes, scratch
        blank_end, own_end = rows.score
        last = prefixes.token.take(rows.prefix)
        log_prob = log_probs.take(last)
        self.alive = np.logaddexp(blank_end, own_end)
        """Both ends of each row, summed."""
        self.own = own_end + log_prob
        """Scores of the rows that end with their last token again."""
        self.source = scratch.count[: len(last)].copy()
        """The rows that gave most to `own`."""
        self.action = scratch.repeat[: len(last)].copy()
        """What those did."""
        self.longer = self.alive[:, None] + log_probs.take(letters)
        """Scores of each row with one more letter, `[rows, letters]`; -inf where that is a row."""
        scratch.row[rows.base] = scratch.count[: len(last)]
        if len(letters):
            scratch.column[letters] = scratch.count[: len(letters)]
            column = scratch.column.take(last)
            scratch.column[letters] = NONE
            (again,) = (column >= 0).nonzero()
            column = column.take(again)
            # only after a blank is the same letter a new one
            self.longer[again, column] = (blank_end + log_prob)[again]
            self._meet(again, column)

    def close(self, log_prob: float, limit: float) -> tuple[Ids, Ids, Scores, Scores]:
        """End open words by the delimiter.

        Args:
            log_prob: Of the delimiter.
            limit: What scores less than this is not looked up in the language model.

        Returns:
            The rows whose words end; the prefixes after them, -1 where there is none yet; their
            scores; and what language model and hotwords give then. Those that are among the rows
            are summed into `own` instead.
        """
        rows, prefixes = self._rows, self._prefixes
        is_open = prefixes.parent[rows.prefix] >= 0
        (shut,) = (~is_open).nonzero()  # a delimiter more, at the same place
        self.own[shut] = self.alive[shut] + log_prob
        (ending,) = is_open.nonzero()
        score = self.alive[ending] + log_prob
        prefix = rows.prefix[ending]
        if prefixes.fusion.one_way:  # then nothing is lost by leaving out what cannot be kept
            (likely,) = (score + prefixes.hope(prefix) >= limit).nonzero()
            unscored = prefix[likely][np.isnan(prefixes.ended_score[prefix[likely]])]
            prefixes.ended_score[unscored] = [
                prefixes.score_ended(one) for one in unscored.tolist()
            ]
            given = prefixes.ended_score[prefix]
            (known,) = ((prefixes.closed[prefix] >= 0) | (score + given >= limit)).nonzero()
        else:
            for one in prefix.tolist():
                prefixes.close(one)
            known = self._scratch.count[: len(prefix)]
        ending, prefix, score = ending[known], prefix[known], score[known]
        closed = prefixes.closed[prefix]
        given = np.where(closed < 0, prefixes.ended_score[prefix], prefixes.score[closed])
        there = np.minimum(self._scratch.row[closed], len(rows.prefix) - 1)
        meets = rows.prefix[there] == closed
        if meets.any():
            self._join(ending[meets], there[meets], score[meets])
            ending, closed, score = ending[~meets], closed[~meets], score[~meets]
            given = given[~meets]
        if prefixes.fusion.one_way:
            return ending, closed, score, given
        ending, closed, score = _summed(ending, closed, score)
        return ending, closed, score, prefixes.score[closed]

    def _meet(self, lasts: Ids, column: Ids) -> None:
        """Sum the letters that lead to a row that is there.

        Args:
            lasts: The rows whose last token is a letter of this frame.
            column: The column of that letter.
        """
        base = self._rows.base
        parent = self._prefixes.parent.take(self._rows.prefix.take(lasts))
        above = np.minimum(self._scratch.row[parent], len(base) - 1)
        (found,) = (base.take(above) == parent).nonzero()
        if len(found):
            rows, above, column = lasts.take(found), above.take(found), column.take(found)
            score, before = self.longer[above, column], self.own[rows]
            self.longer[above, column] = -np.inf
            self.own[rows] = np.logaddexp(before, score)
            more = score > before
            self.source[rows[more]], self.action[rows[more]] = above[more], NEW

    def _join(self, sources: Ids, rows: Ids, score: Scores) -> None:
        """Sum what ends words into the rows that are there after them."""
        before = self.own.copy()
        np.logaddexp.at(self.own, rows, score)
        ascending = score.argsort(kind="stable")  # of several the best is noted last
        sources, rows, score = sources[ascending], rows[ascending], score[ascending]
        more = score > before[rows]
        self.source[rows[more]], self.action[rows[more]] = sources[more], CLOSE


def _summed(ending: Ids, closed: Ids, score: Scores) -> tuple[Ids, Ids, Scores]:
    """Sum several ways to spell the same word."""
    places, groups = np.unique(closed, return_inverse=True)
    total = np.full(len(places), -np.inf)
    np.logaddexp.at(total, groups, score)
    best = np.zeros(len(places), np.int64)
    ascending = score.argsort(kind="stable")
    best[groups[ascending]] = ending[ascending]
    return best, places, total
