"""The beginnings of transcripts that a beam search has met, each once, as columns of arrays.

A prefix is a history of whole words and the tokens of the word that is being said. Two ways to the
same prefix are the same number, so that beams merge and prune by comparing numbers, and what a
prefix scores is computed once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .fusion import Fusion
from .histories import NONE, Histories, History
from .hotwords import Hotwords
from .lexicon import ROOT, Ids

Scores = NDArray[np.float64]
_INTEGERS = ("history", "parent", "token", "lexical", "hot", "n_characters", "closed")
_REALS = ("history_score", "score", "other_score", "ended_score")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The prefixes of a search as a value: what the living ones descend from."""

    histories: tuple[History, ...]
    """The oldest first."""
    integers: bytes
    """int64, `[7, n]`: the columns of `_INTEGERS`."""
    reals: bytes
    """float64, `[4, n]`: the columns of `_REALS`."""


class Prefixes:
    """A growing table of prefixes; the columns are arrays, `n` of their rows are in use.

    Args:
        alphabet: Of the model.
        fusion: Scores words and beginnings.
        hotwords: None for none.
        snapshot: To go on from; None: a segment begins.
    """

    history: Ids
    parent: Ids
    """The prefix without its last token; -1 where no token is open."""
    token: Ids
    """The last one; without an open word the delimiter, or the blank where there is none."""
    lexical: Ids
    """Node of the open word among the language model's words."""
    hot: Ids
    """Node of the open word among the hotwords."""
    n_characters: Ids
    """Of the open word."""
    closed: Ids
    """The prefix where the open word has ended; -1: not known yet."""
    history_score: Scores
    score: Scores
    """What language model and hotwords give."""
    other_score: Scores
    """The same one letter on, where no word of the model begins so; not kept with hotwords, nor
    where tokens have several letters."""
    ended_score: Scores
    """The same with the open word ended; NaN: not known yet."""

    def __init__(
        self,
        alphabet: Alphabet,
        fusion: Fusion,
        hotwords: Hotwords | None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self._tokens = alphabet.tokens
        self._size = alphabet.size
        blank, delimiter = alphabet.blank_id, alphabet.delimiter_id
        self._closing_token = blank if delimiter is None else delimiter
        self.fusion, self.hotwords = fusion, hotwords
        self._is_plain = fusion.tree is not None and hotwords is None and fusion.one_way
        self.histories = Histories(fusion, hotwords, snapshot.histories if snapshot else ())
        self._children: dict[int, int] = {}
        self.n = 0
        self._texts: dict[int, str] = {}  # of open words, as far as they were asked for
        self._integers = np.zeros((len(_INTEGERS), 0), np.int64)
        self._reals = np.zeros((len(_REALS), 0))
        self._allocate(256)
        if snapshot is None:
            self._settle(self.histories.begin(self._add(1).start))
        else:
            self._restore(snapshot)

    def twins(self, prefixes: Ids, ends: Ids) -> tuple[bool, list[int]]:
        """Find beams that no later score can tell apart from one before them.

        Args:
            prefixes: Of each beam.
            ends: Of each beam.

        Returns:
            Whether there may be any while no word ends, and their places.
        """
        contexts = self.histories.context_of
        if not self.histories.has_twins:
            return False, []
        histories = self.history.take(prefixes).tolist()
        alive = set(histories)
        if len({contexts[one] for one in alive}) == len(alive):
            return False, []
        seen: set[tuple[int, str, int]] = set()
        found = []
        beams = zip(histories, prefixes.tolist(), ends.tolist(), strict=True)
        for place, (history, prefix, end) in enumerate(beams):
            key = contexts[history], self.open_word(prefix), end
            if key in seen:
                found.append(place)
            seen.add(key)
        return True, found

    def after(self, prefixes: Ids, tokens: Ids) -> tuple[Scores, Ids | None, Ids | None]:
        """Score every token after every prefix, without making the prefixes.

        Args:
            prefixes: `[n]`.
            tokens: Letters, `[k]`.

        Returns:
            What language model and hotwords give, `[n, k]`, or `[n, 1]` where the token makes no
            difference; the lexical nodes and the hot ones, `[n, k]`, None without such words.
        """
        score = self.history_score.take(prefixes)[:, None]
        lexical = hot = None
        if self.fusion.tree is not None:
            lexical = self.fusion.tree.step(self.lexical.take(prefixes), tokens)
            if self._is_plain:
                other = self.other_score.take(prefixes)[:, None]
                return np.where(lexical < 0, other, score), lexical, None
        if self.hotwords is not None:
            hot = self.hotwords.tree.step(self.hot[prefixes], tokens)
        if lexical is not None or hot is not None:
            lengths = 1 if self.fusion.one_way else self.fusion.lengths[tokens]
            n_characters = self.n_characters.take(prefixes)[:, None] + lengths
            score = score + self._open(lexical, hot, n_characters)
        return score, lexical, hot

    def hope(self, prefixes: Ids) -> Scores:
        """Return what no end of the open words can score more than, `[n]`."""
        best = self.fusion.hope(self.lexical[prefixes]) + self.history_score[prefixes]
        return best if self.hotwords is None else best + self.hotwords.best

    def extend(
        self, parents: Ids, tokens: Ids, scores: Scores, lexical: Ids | None, hot: Ids | None
    ) -> Ids:
        """Return the prefixes one token longer, all `[m]`; each pair is given once."""
        keys = (parents * self._size + tokens).tolist()
        known = self._children.get
        ids = np.array([known(key, NONE) for key in keys])
        (new,) = (ids < 0).nonzero()
        if not len(new):
            return ids
        if len(new) < len(keys):
            parents, tokens, scores = parents.take(new), tokens.take(new), scores.take(new)
            lexical, hot = (None if one is None else one.take(new) for one in (lexical, hot))
            keys = [keys[place] for place in new.tolist()]
        first = self.n
        made = self._add(len(new))
        self.history[made], self.parent[made] = self.history.take(parents), parents
        self.token[made], self.score[made] = tokens, scores
        self.history_score[made] = self.history_score.take(parents)
        lengths = 1 if self.fusion.one_way else self.fusion.lengths.take(tokens)
        n_characters = self.n_characters.take(parents) + lengths
        self.n_characters[made] = n_characters
        if self._is_plain:
            other = self.fusion.unknown(n_characters + 1)
            self.other_score[made] = self.history_score[made] + other
        if lexical is not None:
            self.lexical[made] = lexical
        if hot is not None:
            self.hot[made] = hot
        self._children.update(zip(keys, range(first, self.n), strict=True))
        ids[new] = range(first, self.n)
        return ids

    def close_all(self, prefixes: Ids) -> Ids:
        """End the open words of prefixes: return the prefixes after them, `[n]`."""
        closed = self.closed.take(prefixes)
        (new,) = (closed < 0).nonzero()
        closed[new] = [self.close(one) for one in prefixes.take(new).tolist()]
        return closed

    def close(self, prefix: int) -> int:
        """End the open word of a prefix: return the prefix after it."""
        closed = int(self.closed[prefix])
        if closed == NONE:
            before, word = int(self.history[prefix]), self.open_word(prefix)
            history = self.histories.find(before, word)
            if history is None:
                made = self._add(1).start
                history = self.histories.add(before, word, prefix=made, open_prefix=prefix)
                self._settle(history)
            closed = self.histories[history].prefix
            self.closed[prefix] = closed
        return closed

    def score_ended(self, prefixes: Ids, places: Ids) -> Scores:
        """Score prefixes as if their open words had ended, without making the prefixes after them.

        Args:
            prefixes: `[n]`.
            places: Those to look up.

        Returns:
            The scores, `[n]`; NaN where it was never looked up.
        """
        asked = prefixes.take(places)
        (unscored,) = np.isnan(self.ended_score.take(asked)).nonzero()
        for prefix in asked.take(unscored).tolist():
            self.ended_score[prefix] = self._scored_ended(prefix)
        return self.ended_score.take(prefixes)

    def _scored_ended(self, prefix: int) -> float:
        before, word = int(self.history[prefix]), self.open_word(prefix)
        known = self.histories.find(before, word)
        if known is None:
            return self.histories.score_after(before, word)
        self.closed[prefix] = self.histories[known].prefix
        return self.histories[known].score

    def open_word(self, prefix: int) -> str:
        """Spell the word that is being said."""
        text = self._texts.get(prefix)
        if text is None:
            parent = int(self.parent[prefix])
            last = "" if parent == NONE else self._tokens[self.token[prefix]]
            text = self._texts[prefix] = last and self.open_word(parent) + last
        return text

    def snapshot(self, oldest: int, prefixes: Ids) -> tuple[Snapshot, Ids]:
        """Return what the living prefixes need as a value, and new numbers by old ones."""
        histories = {oldest}
        for history in set(self.history[prefixes].tolist()):  # np.unique would import numpy.ma
            one = history
            while one not in histories:
                histories.add(one)
                one = self.histories[one].parent
        kept = np.zeros(self.n, bool)
        kept[prefixes] = True
        for history in histories:
            kept[self.histories[history].prefix] = True
            if history != oldest:
                kept[self.histories[history].open_prefix] = True
        (new,) = kept.nonzero()
        while len(new):
            new = self.parent[new]
            new = new[new >= 0]
            new = new[~kept[new]]
            kept[new] = True
        return self._packed(sorted(histories), np.flatnonzero(kept))

    def reweigh(self, hotwords: Hotwords | None) -> None:
        """Change the hotwords: all that is not final yet is scored by the new ones."""
        self.hotwords = hotwords
        self._is_plain = self.fusion.tree is not None and hotwords is None and self.fusion.one_way
        self.histories.reweigh(hotwords)
        self.ended_score.fill(np.nan)
        for prefix in range(self.n):  # a parent stands before its children
            parent, history = self.parent[prefix], self.histories[self.history[prefix]]
            self.history_score[prefix] = self.score[prefix] = history.score
            n_characters = self.n_characters[prefix : prefix + 1]
            self.other_score[prefix] = history.score + self.fusion.unknown(n_characters + 1)[0]
            self.hot[prefix] = ROOT if parent == NONE else NONE
            if parent != NONE:
                token = self.token[prefix : prefix + 1]
                scores, _, hot = self.after(np.array([parent]), token)
                self.score[prefix] = scores[0, 0]
                if hot is not None:
                    self.hot[prefix] = hot[0, 0]

    def _open(self, lexical: Ids | None, hot: Ids | None, n_characters: Ids) -> Scores:
        """Score open words; where one begins like a hotword that alone counts."""
        score: Scores | float = 0.0
        if lexical is not None:
            score = self.fusion.beginnings(lexical, n_characters)
        if hot is not None and self.hotwords is not None:
            return np.where(hot >= 0, self.hotwords.rates[hot] * n_characters, score)
        return np.asarray(score)

    def _settle(self, history: int) -> None:
        """Fill in the prefix of a new history."""
        one = self.histories[history]
        self.history[one.prefix], self.parent[one.prefix] = history, NONE
        self.token[one.prefix] = self._closing_token
        self.history_score[one.prefix] = self.score[one.prefix] = one.score
        self.other_score[one.prefix] = one.score + self.fusion.unknown_letter

    def _packed(self, histories: list[int], kept: Ids) -> tuple[Snapshot, Ids]:
        """Renumber histories and prefixes."""
        place = {history: i for i, history in enumerate(histories)} | {NONE: NONE}
        number = np.full(self.n + 1, NONE, np.int64)  # the last for NONE itself
        number[kept] = np.arange(len(kept))
        integers, reals = self._integers.take(kept, axis=1), self._reals.take(kept, axis=1)
        for column, name in zip(integers, _INTEGERS, strict=True):
            if name == "history":
                column[:] = [place[one] for one in column.tolist()]
            elif name in {"parent", "closed"}:
                column[:] = number.take(column)
        packed = tuple(
            History(
                place.get(one.parent, NONE),
                one.word,
                one.model_state,
                one.model_score,
                one.hotword_score,
                one.context,
                int(number[one.prefix]),
                NONE if i == 0 else int(number[one.open_prefix]),
            )
            for i, one in enumerate(self.histories[history] for history in histories)
        )
        return Snapshot(packed, integers.tobytes(), reals.tobytes()), number

    def _restore(self, snapshot: Snapshot) -> None:
        integers = np.frombuffer(snapshot.integers, np.int64).reshape(len(_INTEGERS), -1)
        rows = self._add(integers.shape[1])
        self._integers[:, rows] = integers
        self._reals[:, rows] = np.frombuffer(snapshot.reals).reshape(len(_REALS), -1)
        (opened,) = (self.parent[rows] != NONE).nonzero()
        keys = self.parent[opened] * self._size + self.token[opened]
        self._children.update(zip(keys.tolist(), opened.tolist(), strict=True))

    def _add(self, count: int) -> slice:
        """Return room for new prefixes."""
        first, self.n = self.n, self.n + count
        if self.n > len(self.token):
            self._allocate(2 * self.n)
        return slice(first, self.n)

    def _allocate(self, size: int) -> None:
        integers = np.zeros((len(_INTEGERS), size), np.int64)
        integers[_INTEGERS.index("closed")] = NONE
        reals = np.zeros((len(_REALS), size))
        reals[_REALS.index("ended_score")] = np.nan
        integers[:, : self._integers.shape[1]] = self._integers
        reals[:, : self._reals.shape[1]] = self._reals
        self._integers, self._reals = integers, reals
        for name, column in zip((*_INTEGERS, *_REALS), (*integers, *reals), strict=True):
            setattr(self, name, column)
