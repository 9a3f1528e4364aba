"""A CTC prefix beam search, frame by frame, over all beams at once.

Hannun et al. 2014 ("First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
Recurrent DNNs", algorithm 1), with the beams and the order of pruning of `pyctcdecode` 0.5.0: a
beam is a prefix that ends with a blank, or with its own last token. In each frame every beam takes
every likely token, equal beams are summed, those far below the best are dropped, the best few are
kept, and of those that no later score can tell apart only the best.
"""

import math

import numpy as np

from .alphabet import Alphabet
from .beams import BLANK, COUNT, END, OWN, Rows, open_word
from .growth import CLOSE, NEW, REPEAT, STAY, Growth, Scratch
from .histories import NONE
from .lexicon import Ids
from .prefixes import Prefixes, Scores

_SURE = 1e-6  # what sums in another order may differ by, and far more
_NEVER = 1 << 62  # a frame that does not come


class Search:
    """Takes beams through frames.

    Args:
        alphabet: Of the model.
        prefixes: Where the beams' prefixes are.
        rows: The beams.
        beam_width: Beams kept.
        prune: How far below the best a beam may be; at most 0.
        pause_frames: So long after its last token a word ends by itself; None: never.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        prefixes: Prefixes,
        rows: Rows,
        *,
        beam_width: int,
        prune: float,
        pause_frames: int | None,
    ) -> None:
        self._blank, self._delimiter = alphabet.blank_id, alphabet.delimiter_id
        self._scratch = Scratch(alphabet.size, beam_width)
        self._width, self._prune = beam_width, max(prune, -1e300)  # so that -inf is below all
        self._pause_frames = pause_frames
        parts = pause_frames is not None and self._delimiter is not None
        self._pause_due = 0 if parts else _NEVER
        self._prefixes = prefixes
        self._has_twins = True
        """Whether beams may have histories that no later score can tell apart."""
        self.rows = rows

    def step(self, frame: int, log_probs: Scores, letters: Ids) -> bool:
        """Take one frame; return whether anything but the scores of all beams changed.

        Args:
            frame: Its index.
            log_probs: `[V]`, minus infinity for what is too unlikely.
            letters: Likely tokens but for blank and delimiter, ascending.
        """
        parted = frame >= self._pause_due and self._part(frame)
        closing = self._delimiter is not None and log_probs[self._delimiter] > -math.inf
        blank = float(log_probs[self._blank])
        if not closing and not len(letters) and self.rows.score[OWN].max() == -math.inf:
            self.rows.score[BLANK] += blank
            return parted
        self._scratch.make_room(self._prefixes.n)
        n_tokens = len(letters) + int(closing) + int(blank > -math.inf)
        if n_tokens == len(self.rows.prefix) == 1 and -math.inf in self.rows.score:
            self._go_on(frame, log_probs, letters, closing=closing)
        else:
            self._choose(frame, log_probs, letters, closing=closing)
        return True

    def rank(self) -> None:
        """Prune the beams, and put the best first."""
        score = self.rows.score
        n = len(self.rows.prefix)
        total = (score + self._prefixes.score[self.rows.prefix]).ravel()
        places, order = self._likely(total)
        end, row = np.divmod(places, n)
        self._scratch.make_room(self._prefixes.n)
        self._settle(self.rows.prefix[row], end, score[end, row], row, order, closed=True)

    def _go_on(self, frame: int, log_probs: Scores, letters: Ids, *, closing: bool) -> None:
        """Let the only beam take the only token: there is nothing to choose."""
        rows, prefixes = self.rows, self._prefixes
        prefix, end = int(rows.prefix[0]), int(rows.score[OWN, 0] > -math.inf)
        token, action = self._blank, STAY
        if closing and self._delimiter is not None:
            token = self._delimiter
            action = CLOSE if prefixes.parent[prefix] != NONE else REPEAT
        elif len(letters):
            token = int(letters[0])
            action = REPEAT if end == OWN and prefixes.token[prefix] == token else NEW
        if action == CLOSE:
            rows.prefix = np.array([prefixes.close(prefix)])
        elif action == NEW:
            fused, lexical, hot = prefixes.after(rows.base, letters)
            nodes = (None if one is None else one[0] for one in (lexical, hot))
            rows.prefix = prefixes.extend(rows.base, letters, fused[0], *nodes)
        score = rows.score[end] + log_probs[token]
        rows.score = np.full((2, 1), -np.inf)
        rows.score[int(action != STAY)] = score
        self._mark(frame, np.array([action]), log_probs[[token]])
        rows.base, rows.last = self._base(rows.prefix), prefixes.token.take(rows.prefix)

    def _choose(self, frame: int, log_probs: Scores, letters: Ids, *, closing: bool) -> None:
        """Choose the beams after this frame."""
        rows, prefixes, scratch = self.rows, self._prefixes, self._scratch
        n = len(rows.prefix)
        delimiter = self._delimiter if closing else None
        growth = Growth(rows, prefixes, scratch, log_probs, letters, self._blank, delimiter)
        if delimiter is not None:
            growth.close(float(log_probs[delimiter]), self._prune - _SURE)
        places, order = self._likely(growth.total)
        n_blank, n_own, n_whole = places.searchsorted((n, 2 * n, growth.n_whole)).tolist()
        row = places[:n_whole] % n
        action = np.empty(len(places), np.int64)
        action[:n_blank], action[n_blank:n_own], action[n_own:n_whole] = STAY, REPEAT, CLOSE
        prefix = rows.prefix.take(row)
        if growth.source is not None and growth.action is not None:
            action[n_blank:n_own] = growth.action.take(row[n_blank:n_own])
            row[n_blank:n_own] = growth.source.take(row[n_blank:n_own])
        if n_own < n_whole:
            prefix[n_own:] = prefixes.close_all(prefix[n_own:])
        if n_whole < len(places):
            action[n_whole:] = NEW
            cell = places[n_whole:] - growth.n_whole
            source, column = np.divmod(cell, len(letters))
            trees = growth.lexical, growth.hot
            nodes = (None if one is None else one.take(cell) for one in trees)
            fused = growth.fused.take(cell if growth.fused.shape[1] > 1 else source)
            longer = prefixes.extend(rows.base.take(source), letters.take(column), fused, *nodes)
            row, prefix = np.concatenate([row, source]), np.concatenate([prefix, longer])
        end = (action != STAY).astype(np.int64)
        closed = n_own < n_whole or self._delimiter is None  # then every token is a word
        score = growth.score.take(places)
        leads = self._settle(prefix, end, score, row, order, closed=closed)
        self._mark(frame, action.take(leads), log_probs.take(self.rows.last))

    def _likely(self, total: Scores) -> tuple[Ids, Ids]:
        """Find the best.

        Returns:
            Their places, ascending, and which of these come first, second, and so on: the highest
            first, of equals the first.
        """
        (places,) = (total >= np.maximum.reduce(total) + self._prune).nonzero()
        score = total.take(places)
        if len(places) > self._width:
            least = np.partition(score, len(score) - self._width)[len(score) - self._width]
            (best,) = (score >= least).nonzero()
            if len(best) > self._width:  # some tie with the least: the first of them stay
                best = best.take((-score.take(best)).argsort(kind="stable")[: self._width])
                best.sort()
            places, score = places.take(best), score.take(best)
        return places, (-score).argsort(kind="stable")

    def _settle(
        self, prefix: Ids, end: Ids, score: Scores, source: Ids, order: Ids, *, closed: bool
    ) -> Ids:
        """Put beams in rows.

        Args:
            prefix: Of each.
            end: Of each.
            score: Of each.
            source: Of each the row that it came from.
            order: Those to keep, the best first; of what no later score can tell apart the first.
            closed: Whether any ended a word.

        Returns:
            The beam that leads each row.
        """
        prefixes, scratch, before = self._prefixes, self._scratch, self.rows
        prefix_of = prefix.take(order)
        twins: list[int] = []
        if closed or self._has_twins:  # only a word's end makes histories alike
            self._has_twins, twins = prefixes.twins(prefix_of, end.take(order))
        if twins:
            order = np.delete(order, twins)
            prefix_of = prefix.take(order)
        leads = order[scratch.first_of(prefix_of, prefixes.n)]
        lead_prefix, came_from = prefix.take(leads), source.take(leads)
        scratch.row[lead_prefix] = scratch.count[: len(leads)]
        scores = scratch.nothing[:, : len(leads)].copy()
        scores[end.take(order), scratch.row.take(prefix_of)] = score.take(order)
        self.rows = Rows(
            lead_prefix,
            self._base(lead_prefix),
            prefixes.token.take(lead_prefix),
            before.first.take(came_from),
            scores,
            before.marks.take(came_from, axis=1),
            before.words.take(came_from),
        )
        return leads

    def _base(self, prefix: Ids) -> Ids:
        if self._delimiter is not None:
            return prefix
        is_open = self._prefixes.parent[prefix] != NONE
        pairs = zip(prefix.tolist(), is_open.tolist(), strict=True)
        return np.array([self._prefixes.close(one) if two else one for one, two in pairs])

    def _mark(self, frame: int, action: Ids, log_probs: Scores) -> None:
        """Write down what each row did: where its words are, and how likely their tokens."""
        start, end, count, total, now = self.rows.marks
        new = action == NEW
        ends = action == CLOSE if self._delimiter is not None else new & (count > 0)
        for row in ends.nonzero()[0].tolist():
            self._end_word(row)
        said = count > 0
        again = (action == REPEAT) & said
        np.add(total, now, out=total, where=new)
        np.maximum(now, log_probs, out=now, where=again)
        np.copyto(now, log_probs, where=new)
        start[(new & ~said).nonzero()[0]] = frame
        count += new
        end[(new | again).nonzero()[0]] = frame + 1

    def _end_word(self, row: int) -> None:
        rows = self.rows
        rows.words[row] = (*rows.words[row], open_word(rows.marks[:, row].tolist()))
        rows.marks[:, row] = 0.0
        if rows.first[row] == NONE:
            rows.first[row] = self._prefixes.history[rows.prefix[row]]

    def _part(self, frame: int) -> bool:
        """End the words that nothing was said after for a pause."""
        rows, pause = self.rows, self._pause_frames or 0
        said = (rows.marks[COUNT] > 0) & (rows.score[BLANK] > -np.inf)
        since = np.where(said, rows.marks[END], frame)
        self._pause_due = int(since.min(where=since + pause > frame, initial=frame)) + pause
        (due,) = (said & (since + pause <= frame)).nonzero()
        if len(due):
            self._close_rows(due)
        return len(due) > 0

    def _close_rows(self, due: Ids) -> None:
        """End the open words of the beams that end with a blank, of these rows."""
        places = {int(prefix): row for row, prefix in enumerate(self.rows.prefix)}
        rows = self.rows.take(np.concatenate([self._scratch.count[: len(places)], due]))
        self.rows = rows
        rows.score[OWN, len(places) :] = -np.inf
        rows.score[BLANK, due] = -np.inf
        for row in range(len(places), len(rows.prefix)):
            closed = self._prefixes.close(int(rows.prefix[row]))
            rows.prefix[row] = rows.base[row] = closed
            rows.last[row] = self._prefixes.token[closed]
            self._end_word(row)
            there = places.setdefault(closed, row)
            if there != row:
                before, score = rows.score[BLANK, there], rows.score[BLANK, row]
                rows.score[BLANK, there] = np.logaddexp(before, score)
                rows.score[BLANK, row] = -np.inf
                if score > max(before, rows.score[OWN, there]):
                    rows.words[there], rows.marks[:, there] = rows.words[row], 0.0
        self.rank()
