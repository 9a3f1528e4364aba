"""One frame of a CTC prefix beam search, over all beams at once.

Hannun et al. 2014 ("First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
Recurrent DNNs", algorithm 1), with the beams and the order of pruning of `pyctcdecode` 0.5.0: a
beam is a prefix that ends with a blank, or with its own last token. In each frame every beam takes
every likely token, equal beams are summed, those far below the best are dropped, the best few are
kept, and of those that no later score can tell apart only the best.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .beams import BLANK, COUNT, END, NOW, OWN, START, SUM, Beams, Rows, open_word
from .growth import CLOSE, NEW, REPEAT, STAY, Growth, Scratch
from .lexicon import Ids
from .prefixes import NONE, Prefixes, Scores

_SURE = 1e-6  # what sums in another order may differ by, and far more
_NO_IDS, _NO_SCORES = np.zeros(0, np.int64), np.zeros(0)


class Search:
    """Takes beams through frames.

    Args:
        alphabet: Of the model.
        prefixes: Where the beams' prefixes are.
        beam_width: Beams kept.
        prune: How far below the best a beam may be; at most 0.
        pause_frames: So long after its last token a word ends by itself; None: never.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        prefixes: Prefixes,
        *,
        beam_width: int,
        prune: float,
        pause_frames: int | None,
    ) -> None:
        self._blank, self._delimiter = alphabet.blank_id, alphabet.delimiter_id
        self._scratch = Scratch(alphabet.size, beam_width)
        self._width, self._prune, self._pause_frames = beam_width, max(prune, -1e300), pause_frames
        self._pause_due = 0
        self._prefixes = prefixes
        self.rows: Rows

    def step(self, frame: int, log_probs: Scores, letters: Ids) -> bool:
        """Take one frame; return whether anything but the scores of all beams changed.

        Args:
            frame: Its index.
            log_probs: `[V]`, minus infinity for what is too unlikely.
            letters: Likely tokens but for blank and delimiter, ascending.
        """
        parted = frame >= self._pause_due and self._part(frame)
        closing = self._delimiter is not None and log_probs[self._delimiter] > -math.inf
        if not closing and not len(letters) and self.rows.score[OWN].max() == -math.inf:
            self.rows.score[BLANK] += log_probs[self._blank]
            return parted
        self._scratch.make_room(self._prefixes.n)
        beams = self.rows.beams() if len(self.rows.prefix) == 1 else None
        n_tokens = len(letters) + int(closing) + int(log_probs[self._blank] > -math.inf)
        if beams is not None and len(beams.end) == n_tokens == 1:
            self._go_on(frame, beams, log_probs, letters)
        else:
            beams = self._kept(frame, log_probs, letters, closing=closing)
        self.settle(beams)
        return True

    def settle(self, beams: Beams) -> None:
        """Put beams in rows, in their order."""
        self._scratch.make_room(self._prefixes.n)
        leads = self._scratch.first_of(beams.prefix, self._prefixes.n)
        prefix = beams.prefix[leads]
        self._scratch.row[prefix] = np.arange(len(prefix))
        row, end = self._scratch.row[beams.prefix], beams.end
        score = np.full((2, len(prefix)), -np.inf)
        marks = np.zeros((2, len(prefix), 5))
        words = np.empty((2, len(prefix)), object)
        score[end, row], marks[end, row], words[end, row] = beams.score, beams.marks, beams.words
        base = prefix
        if self._delimiter is None:
            base = np.array([self._after(one) for one in prefix.tolist()], np.int64)
        self.rows = Rows(prefix, base, beams.first[leads], score, marks, words)

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Drop the other rows."""
        self.rows = self.rows.where(which)

    def ranked(self, beams: Beams) -> Beams:
        """Prune beams, and put the best first."""
        total = beams.score + self._prefixes.score[beams.prefix]
        beams = beams.take(self._likely(total))
        keep = self._distinct(beams.prefix, beams.end)
        return beams if keep is None else beams.take(keep)

    def _after(self, prefix: int) -> int:
        is_open = self._prefixes.parent[prefix] != NONE
        return self._prefixes.close(prefix) if is_open else prefix

    def _go_on(self, frame: int, beams: Beams, log_probs: Scores, letters: Ids) -> None:
        """Let the only beam take the only token: there is nothing to choose."""
        prefixes, prefix = self._prefixes, int(beams.prefix[0])
        token, action, end = self._blank, STAY, BLANK
        if len(letters):
            token, action, end = int(letters[0]), NEW, OWN
        elif self._delimiter is not None and log_probs[self._blank] == -math.inf:
            is_open = prefixes.parent[prefix] != NONE
            token, action, end = self._delimiter, CLOSE if is_open else REPEAT, OWN
        if action == NEW and beams.end[0] == OWN and prefixes.token[prefix] == token:
            action = REPEAT
        elif action == NEW:
            fused, lexical, hot = prefixes.after(self.rows.base, letters)
            beams.prefix = prefixes.extend(self.rows.base, letters, lexical[0], hot[0], fused[0])
        elif action == CLOSE:
            beams.prefix[0] = prefixes.close(prefix)
        beams.score += log_probs[token]
        beams.end[0] = end
        self._mark(frame, beams, np.array([action]), log_probs[[token]])

    def _kept(self, frame: int, log_probs: Scores, letters: Ids, *, closing: bool) -> Beams:
        """Choose the beams after this frame."""
        rows, prefixes = self.rows, self._prefixes
        growth = Growth(rows, prefixes, self._scratch, log_probs, letters)
        n = len(rows.prefix)
        fused, lexical, hot = prefixes.after(rows.base, letters)
        longer = (growth.longer + fused).ravel()
        given = prefixes.score[rows.prefix]
        blank = growth.alive + log_probs[self._blank]
        ending, closed, end_score = _NO_IDS, _NO_IDS, _NO_SCORES
        if closing and self._delimiter is not None:
            best = max(longer.max(initial=-np.inf), (np.maximum(blank, growth.own) + given).max())
            ending, closed, end_score = growth.close(self._delimiter, best + self._prune - _SURE)
        total = np.concatenate(
            [blank + given, growth.own + given, end_score + prefixes.score[closed], longer]
        )
        n_whole = 2 * n + len(closed)
        chosen = self._likely(total)
        is_whole = chosen < n_whole
        moves = np.empty((5, len(chosen)), np.int64)  # prefix, end, action, source, source's end
        score = np.empty(len(chosen))
        whole = chosen[is_whole]
        moves[:, is_whole] = growth.whole(ending, closed)[:, whole]
        score[is_whole] = np.concatenate([blank, growth.own, end_score])[whole]
        if len(whole) < len(chosen):
            cell = chosen[~is_whole] - n_whole
            row, column = np.divmod(cell, len(letters))
            letter = letters[column]
            score[~is_whole] = growth.longer[row, column]
            again = letter == growth.last[row]
            lexical, hot = (one[row, column % one.shape[1]] for one in (lexical, hot))
            fused = fused[row, column % fused.shape[1]]
            longer_prefix = prefixes.extend(rows.base[row], letter, lexical, hot, fused)
            source_end = np.where(again, BLANK, growth.better[row])
            action = np.full(len(row), NEW)
            moves[:, ~is_whole] = longer_prefix, action > 0, action, row, source_end
        keep = self._distinct(moves[0], moves[1])
        prefix, end, action, source, source_end = moves if keep is None else moves[:, keep]
        beams = Beams(
            score if keep is None else score[keep],
            prefix,
            end,
            rows.marks[source_end, source],
            rows.words[source_end, source],
            rows.first[source],
        )
        self._mark(frame, beams, action, log_probs[prefixes.token[prefix]])
        return beams

    def _likely(self, total: Scores) -> Ids:
        """Return the places of the best, the highest first, of equals the first."""
        (places,) = (total >= total.max() + self._prune).nonzero()
        score = total[places]
        if len(places) > self._width:
            least = np.partition(score, len(score) - self._width)[len(score) - self._width]
            places = places[score >= least]
            score = total[places]
        best: Ids = places[(-score).argsort(kind="stable")[: self._width]]
        return best

    def _distinct(self, prefixes: Ids, ends: Ids) -> Ids | None:
        """Return the first of those that no later score can tell apart; None: all of them."""
        contexts = self._prefixes.context[prefixes]
        first = self._scratch.first_of(2 * contexts + ends, 2 * self._prefixes.n_contexts)
        return None if first.all() else first.nonzero()[0]

    def _mark(self, frame: int, beams: Beams, action: Ids, log_probs: Scores) -> None:
        """Write down what each beam did: where its words are, and how likely their tokens."""
        marks = beams.marks
        new = action == NEW
        ends = action == CLOSE
        if self._delimiter is None:
            ends = new & (marks[:, COUNT] > 0)
        for place in ends.nonzero()[0].tolist():
            self._end_word(beams, place)
        (again,) = ((action == REPEAT) & (marks[:, COUNT] > 0)).nonzero()
        if len(again):
            marks[again, NOW] = np.maximum(marks[again, NOW], log_probs[again])
            marks[again, END] = frame + 1
        (places,) = new.nonzero()
        if len(places):
            longer = marks[places]
            longer[longer[:, COUNT] == 0, START] = frame
            longer[:, SUM] += longer[:, NOW]
            longer[:, NOW] = log_probs[places]
            longer[:, COUNT] += 1
            longer[:, END] = frame + 1
            marks[places] = longer

    def _end_word(self, beams: Beams, place: int) -> None:
        beams.words[place] = (*beams.words[place], open_word(beams.marks[place].tolist()))
        beams.marks[place] = 0.0
        if beams.first[place] == NONE:
            beams.first[place] = self._prefixes.history[beams.prefix[place]]

    def _part(self, frame: int) -> bool:
        """End the words that nothing was said after for a pause."""
        if self._pause_frames is None or self._delimiter is None:
            self._pause_due = 1 << 62
            return False
        beams = self.rows.beams()
        said = beams.marks[:, COUNT] > 0
        since = np.where(said, beams.marks[:, END], frame)
        due = np.flatnonzero(said & (since + self._pause_frames <= frame))
        waiting = since.min(where=since + self._pause_frames > frame, initial=frame)
        self._pause_due = int(waiting) + self._pause_frames
        for place in due.tolist():
            beams.prefix[place] = self._prefixes.close(int(beams.prefix[place]))
            self._end_word(beams, place)
        if len(due):
            self.settle(self.ranked(self._merged(beams)))
        return len(due) > 0

    def _merged(self, beams: Beams) -> Beams:
        """Sum equal beams; the words are those of the best."""
        best: dict[tuple[int, int], int] = {}
        score = beams.score.copy()
        by_score = np.argsort(-score, kind="stable").tolist()
        for place in by_score:
            key = int(beams.prefix[place]), int(beams.end[place])
            first = best.setdefault(key, place)
            if first != place:
                score[first] = np.logaddexp(score[first], score[place])
        beams.score = score
        return beams.take(sorted(best.values()))
