"""What the beams may become in one frame: every row takes every likely token."""

import numpy as np
from numpy.typing import NDArray

from .beams import BLANK, OWN, Rows
from .lexicon import Ids
from .prefixes import NONE, Prefixes, Scores

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

    def make_room(self, n_prefixes: int) -> None:
        """Let the arrays hold every prefix, and those that one frame may bring."""
        needed = n_prefixes + 2 * self._beam_width + 2
        if len(self.row) < needed:
            self.row, self.place = np.zeros((2, 2 * needed), np.int64)

    def first_of(self, keys: Ids, n_keys: int) -> NDArray[np.bool_]:
        """Tell which keys come for the first time, `[n]`; all are below `n_keys`."""
        if len(self.place) < n_keys:
            self.place = np.zeros(2 * n_keys, np.int64)
        n = np.arange(len(keys))
        self.place[keys[::-1]] = n[::-1]
        first: NDArray[np.bool_] = self.place[keys] == n
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
        self._log_probs = log_probs
        blank_end, own_end = rows.score
        n = len(rows.prefix)
        self.alive = np.logaddexp(blank_end, own_end)
        """Both ends of each row, summed."""
        self.better = (own_end > blank_end).astype(np.int64)
        """The end of each row that scores more."""
        self.last = prefixes.token[rows.prefix]
        """The token each row ends with."""
        self.own = own_end + log_probs[self.last]
        """Scores of the rows that end with it again."""
        self._source = np.arange(n)  # the rows that gave most to `own`, their ends, what they did
        self._source_end = np.ones(n, np.int64)
        self._action = np.full(n, REPEAT)
        self.longer = self.alive[:, None] + log_probs[letters]
        """Scores of each row with one more letter, `[rows, letters]`; -inf where that is a row."""
        scratch.column[letters] = np.arange(len(letters))
        column = scratch.column[self.last]
        scratch.column[letters] = NONE
        (again,) = (column >= 0).nonzero()  # only after a blank is the same letter a new one
        self.longer[again, column[again]] = blank_end[again] + log_probs[self.last[again]]
        self._meet(column)

    def close(self, delimiter: int, limit: float) -> tuple[Ids, Ids, Scores]:
        """End open words by the delimiter.

        Args:
            delimiter: Its token.
            limit: What scores less than this is not looked up in the language model.

        Returns:
            The rows whose words end, the prefixes after them, which are not among the rows, and
            their scores.
        """
        rows, prefixes = self._rows, self._prefixes
        log_prob = self._log_probs[delimiter]
        is_open = prefixes.parent[rows.prefix] >= 0
        shut = (~is_open).nonzero()[0]  # a delimiter more, at the same place
        self.own[shut] = self.alive[shut] + log_prob
        self._source_end[shut] = self.better[shut]
        ending = is_open.nonzero()[0]
        score = self.alive[ending] + log_prob
        closed = prefixes.closed[rows.prefix[ending]]
        if prefixes.fusion.one_way:  # then nothing is lost by leaving out what cannot be kept
            likely = score + prefixes.hope(rows.prefix[ending]) >= limit
        else:
            likely = np.ones(len(ending), bool)
        for place in ((closed < 0) & likely).nonzero()[0].tolist():
            closed[place] = prefixes.close(int(rows.prefix[ending[place]]))
        known = closed >= 0
        ending, closed, score = ending[known], closed[known], score[known]
        there = self._scratch.row[closed]
        there[there >= len(rows.prefix)] = 0
        meets = rows.prefix[there] == closed
        self._join(ending[meets], there[meets], score[meets])
        ending, closed, score = ending[~meets], closed[~meets], score[~meets]
        return (
            (ending, closed, score) if prefixes.fusion.one_way else _summed(ending, closed, score)
        )

    def whole(self, ending: Ids, closed: Ids) -> Ids:
        """Return the moves that add no letter: blanks, own ends, ends of words.

        Args:
            ending: Rows whose words end.
            closed: The prefixes after them.

        Returns:
            Prefix, end, action, source row and the end of that: `[5, n]`.
        """
        n = len(self._rows.prefix)
        moves = np.empty((5, 2 * n + len(closed)), np.int64)
        moves[0, :n] = moves[0, n : 2 * n] = self._rows.prefix
        moves[1, :n], moves[1, n:] = BLANK, OWN
        moves[2, :n], moves[2, n : 2 * n], moves[2, 2 * n :] = STAY, self._action, CLOSE
        moves[3, :n], moves[3, n : 2 * n], moves[3, 2 * n :] = np.arange(n), self._source, ending
        moves[4, :n], moves[4, n : 2 * n] = self.better, self._source_end
        moves[0, 2 * n :], moves[4, 2 * n :] = closed, self.better[ending]
        return moves

    def _meet(self, column: Ids) -> None:
        """Sum the letters that lead to a row that is there."""
        rows = self._rows
        parent = self._prefixes.parent[rows.prefix]
        self._scratch.row[rows.base] = np.arange(len(rows.base))
        above = self._scratch.row[parent]
        above[above >= len(rows.base)] = 0
        (found,) = ((column >= 0) & (parent >= 0) & (rows.base[above] == parent)).nonzero()
        if not len(found):
            return
        above, column = above[found], column[found]
        score = self.longer[above, column]
        self.longer[above, column] = -np.inf
        more = score > self.own[found]
        self.own[found] = np.logaddexp(self.own[found], score)
        self._note(found[more], above[more], NEW)

    def _note(self, rows: Ids, sources: Ids, action: int) -> None:
        """Note which rows gave most to the own ends of others."""
        self._source[rows], self._action[rows] = sources, action
        ends = self.better[sources]
        if action == NEW:
            ends = np.where(self.last[rows] == self.last[sources], BLANK, ends)
        self._source_end[rows] = ends

    def _join(self, sources: Ids, rows: Ids, score: Scores) -> None:
        """Sum what ends words into the rows that are there after them."""
        before = self.own.copy()
        np.logaddexp.at(self.own, rows, score)
        ascending = np.argsort(score, kind="stable")  # of several the best is noted last
        sources, rows, score = sources[ascending], rows[ascending], score[ascending]
        more = score > before[rows]
        self._note(rows[more], sources[more], CLOSE)


def _summed(ending: Ids, closed: Ids, score: Scores) -> tuple[Ids, Ids, Scores]:
    """Sum several ways to spell the same word."""
    places, groups = np.unique(closed, return_inverse=True)
    total = np.full(len(places), -np.inf)
    np.logaddexp.at(total, groups, score)
    best = np.zeros(len(places), np.int64)
    ascending = np.argsort(score, kind="stable")
    best[groups[ascending]] = ending[ascending]
    return best, places, total
