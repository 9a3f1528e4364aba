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

    All candidates stand side by side in one array: each row with a blank, each with its last token
    once more, each with its word ended (if the delimiter is likely), then each row with each
    letter.

    Args:
        rows: Before the frame.
        prefixes: Where theirs are.
        scratch: Room to write in.
        log_probs: `[V]`, minus infinity for what is too unlikely.
        letters: Likely tokens but for blank and delimiter, ascending.
        blank: Id.
        delimiter: Id; None if it is not likely, or none.
    """

    source: Ids | None
    """The rows that gave most to each one with its last token once more; None: each itself."""
    action: Ids | None
    """What those did; None: each its own token again."""
    closed: Ids | None
    """The prefixes of the rows with their words ended, -1 where there is none yet."""

    def __init__(
        self,
        rows: Rows,
        prefixes: Prefixes,
        scratch: Scratch,
        log_probs: Scores,
        letters: Ids,
        blank: int,
        delimiter: int | None,
    ) -> None:
        self._rows, self._prefixes, self._scratch = rows, prefixes, scratch
        self.source = self.action = self.closed = None
        n, n_letters = len(rows.prefix), len(letters)
        self.n_whole = (2 if delimiter is None else 3) * n
        """Candidates that are no letter more."""
        self.score: Scores = np.empty(self.n_whole + n * n_letters)
        """Of the log-probs alone."""
        self.total: Scores = np.empty(len(self.score))
        """With what language model and hotwords give."""
        blank_end, own_end = rows.score
        last_log_prob = log_probs.take(rows.last)
        self._alive = np.logaddexp(blank_end, own_end)  # both ends of each row, summed
        self._own = self.score[n : 2 * n]
        np.add(self._alive, log_probs[blank], out=self.score[:n])
        np.add(own_end, last_log_prob, out=self._own)
        scratch.row[rows.base] = scratch.count[:n]
        fused, self.lexical, self.hot = prefixes.after(rows.base, letters)
        self.fused = fused
        """What the letters give, `[n, letters]`, or `[n, 1]` where they make no difference."""
        if n_letters:
            longer = self.score[self.n_whole :]
            table = longer.reshape(n, n_letters)
            np.add(self._alive[:, None], log_probs.take(letters), out=table)
            self._repeat(longer, letters, blank_end + last_log_prob)
            np.add(table, fused, out=self.total[self.n_whole :].reshape(n, n_letters))
        self._given = prefixes.score.take(rows.prefix)
        np.add(self.score[:n], self._given, out=self.total[:n])
        np.add(self._own, self._given, out=self.total[n : 2 * n])

    def _repeat(self, longer: Scores, letters: Ids, after_blank: Scores) -> None:
        """See to letters that are the last of a row: only after a blank they are new ones.

        Args:
            longer: Scores of each row with each letter, flat; changed here.
            letters: Of this frame.
            after_blank: Scores of each row's last token after a blank.
        """
        rows, scratch, n_letters = self._rows, self._scratch, len(letters)
        scratch.column[letters] = scratch.count[:n_letters]
        column = scratch.column.take(rows.last)
        scratch.column[letters] = NONE
        (again,) = (column >= 0).nonzero()
        if not len(again):
            return
        column = column.take(again)
        longer[again * n_letters + column] = after_blank.take(again)
        # a row may come from the row without that letter: both ways are one beam
        parent = self._prefixes.parent.take(rows.prefix.take(again))
        above = np.minimum(scratch.row.take(parent, mode="clip"), len(rows.base) - 1)
        (found,) = (rows.base.take(above) == parent).nonzero()
        if not len(found):
            return
        again, above = again.take(found), above.take(found)
        cell = above * n_letters + column.take(found)
        score, before = longer.take(cell), self._own.take(again)
        longer[cell] = -np.inf
        self._own[again] = np.logaddexp(before, score)
        (more,) = (score > before).nonzero()
        if len(more):
            self.source = scratch.count[: len(rows.prefix)].copy()
            self.action = scratch.repeat[: len(rows.prefix)].copy()
            self.source[again.take(more)], self.action[again.take(more)] = above.take(more), NEW

    def close(self, log_prob: float, prune: float) -> None:
        """End open words by the delimiter.

        Args:
            log_prob: Of the delimiter.
            prune: So far below the best nothing is looked up in the language model.
        """
        rows, prefixes = self._rows, self._prefixes
        n = len(rows.prefix)
        limit = prune + max(
            self.total[: 2 * n].max(), self.total[self.n_whole :].max(initial=-np.inf)
        )
        is_open = prefixes.parent.take(rows.prefix) >= 0
        (shut,) = (~is_open).nonzero()  # a delimiter more, at the same place
        self._own[shut] = self._alive[shut] + log_prob
        (ending,) = is_open.nonzero()
        score = self._alive[ending] + log_prob
        prefix = rows.prefix[ending]
        if prefixes.fusion.one_way:  # then nothing is lost by leaving out what cannot be kept
            (likely,) = (score + prefixes.hope(prefix) >= limit).nonzero()
            given = prefixes.score_ended(prefix, likely)
            (known,) = ((prefixes.closed[prefix] >= 0) | (score + given >= limit)).nonzero()
            ending, prefix, score = ending[known], prefix[known], score[known]
        else:
            prefixes.close_all(prefix)
        closed = prefixes.closed[prefix]
        given = np.where(closed < 0, prefixes.ended_score[prefix], prefixes.score[closed])
        there = np.minimum(self._scratch.row[closed], n - 1)
        meets = rows.prefix[there] == closed
        if meets.any():
            self._join(ending[meets], there[meets], score[meets])
            ending, closed, score = ending[~meets], closed[~meets], score[~meets]
            given = given[~meets]
        if not prefixes.fusion.one_way:
            ending, closed, score = _summed(ending, closed, score)
            given = prefixes.score[closed]
        self.closed = np.full(n, NONE)
        self.closed[ending] = closed
        self.score[2 * n : 3 * n] = self.total[2 * n : 3 * n] = -np.inf
        self.score[2 * n + ending] = score
        self.total[2 * n + ending] = score + given
        np.add(self._own, self._given, out=self.total[n : 2 * n])

    def _join(self, sources: Ids, rows: Ids, score: Scores) -> None:
        """Sum what ends words into the rows that are there after them."""
        before = self._own.copy()
        np.logaddexp.at(self._own, rows, score)
        ascending = score.argsort(kind="stable")  # of several the best is noted last
        sources, rows, score = sources[ascending], rows[ascending], score[ascending]
        more = score > before[rows]
        if self.source is None or self.action is None:
            self.source = self._scratch.count[: len(before)].copy()
            self.action = self._scratch.repeat[: len(before)].copy()
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
