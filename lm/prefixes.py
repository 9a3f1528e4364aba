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
_REALS = ("history_score", "score")
_COMPUTED = {"ended_score": np.nan}  # not kept in snapshots


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The prefixes of a search as a value: what the living ones descend from."""

    histories: tuple[History, ...]
    """The oldest first."""
    integers: tuple[tuple[int, ...], ...]
    reals: tuple[tuple[float, ...], ...]


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
        self.histories = Histories(fusion, hotwords, snapshot.histories if snapshot else ())
        self._children: dict[int, int] = {}
        self.n = 0
        self._texts: list[str] = []  # of the open words
        self._allocate(256)
        if snapshot is None:
            self._settle(self.histories.begin(self._add(1).start))
        else:
            self._restore(snapshot)

    def twins(self, prefixes: Ids, ends: Ids) -> list[int]:
        """Find beams that no later score can tell apart from one before them.

        Args:
            prefixes: Of each beam.
            ends: Of each beam.

        Returns:
            Their places.
        """
        contexts = self.histories.context_of
        if not self.histories.has_twins:
            return []
        histories = self.history.take(prefixes).tolist()
        alive = set(histories)
        if len({contexts[one] for one in alive}) == len(alive):
            return []
        seen: set[tuple[int, str, int]] = set()
        found = []
        beams = zip(histories, prefixes.tolist(), ends.tolist(), strict=True)
        for place, (history, prefix, end) in enumerate(beams):
            key = contexts[history], self._texts[prefix], end
            if key in seen:
                found.append(place)
            seen.add(key)
        return found

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
        ids = np.array([self._children.get(key, NONE) for key in keys], np.int64)
        (new,) = (ids < 0).nonzero()
        if len(new):
            parents, tokens = parents.take(new), tokens.take(new)
            made = self._add(len(new))
            ids[new] = numbers = np.arange(made.start, made.stop)
            self.history[made], self.parent[made] = self.history.take(parents), parents
            self.token[made], self.score[made] = tokens, scores.take(new)
            self.history_score[made] = self.history_score.take(parents)
            self.n_characters[made] = self.n_characters.take(parents) + self.fusion.lengths.take(
                tokens
            )
            if lexical is not None:
                self.lexical[made] = lexical.take(new)
            if hot is not None:
                self.hot[made] = hot.take(new)
            texts, spell = self._texts, self._tokens
            before, last = parents.tolist(), tokens.tolist()
            texts += [texts[one] + spell[two] for one, two in zip(before, last, strict=True)]
            self._children.update(
                zip([keys[place] for place in new.tolist()], numbers.tolist(), strict=True)
            )
        return ids

    def close(self, prefix: int) -> int:
        """End the open word of a prefix: return the prefix after it."""
        closed = int(self.closed[prefix])
        if closed == NONE:
            before, word = int(self.history[prefix]), self._texts[prefix]
            history = self.histories.find(before, word)
            if history is None:
                made = self._add(1).start
                history = self.histories.add(before, word, prefix=made, open_prefix=prefix)
                self._settle(history)
            closed = self.histories[history].prefix
            self.closed[prefix] = closed
        return closed

    def score_ended(self, prefix: int) -> float:
        """Score a prefix as if its open word had ended, without making the prefix after it."""
        before, word = int(self.history[prefix]), self._texts[prefix]
        known = self.histories.find(before, word)
        if known is None:
            return self.histories.score_after(before, word)
        self.closed[prefix] = self.histories[known].prefix
        return self.histories[known].score

    def open_word(self, prefix: int) -> str:
        """Spell the word that is being said."""
        return self._texts[prefix]

    def snapshot(self, oldest: int, prefixes: Ids) -> tuple[Snapshot, Ids]:
        """Return what the living prefixes need as a value, and new numbers by old ones."""
        histories = {oldest}
        for history in np.unique(self.history[prefixes]).tolist():
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
        self.histories.reweigh(hotwords)
        for prefix in range(self.n):  # a parent stands before its children
            parent, history = self.parent[prefix], self.histories[self.history[prefix]]
            self.history_score[prefix] = self.score[prefix] = history.score
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
        self._texts.append("")

    def _packed(self, histories: list[int], kept: Ids) -> tuple[Snapshot, Ids]:
        """Renumber histories and prefixes."""
        place = {history: i for i, history in enumerate(histories)} | {NONE: NONE}
        number = np.full(self.n + 1, NONE, np.int64)  # the last for NONE itself
        number[kept] = np.arange(len(kept))
        columns = {name: getattr(self, name)[kept] for name in (*_INTEGERS, *_REALS)}
        columns["history"] = np.array([place[one] for one in columns["history"].tolist()])
        columns["parent"], columns["closed"] = number[columns["parent"]], number[columns["closed"]]
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
        integers = tuple(tuple(columns[name].tolist()) for name in _INTEGERS)
        reals = tuple(tuple(columns[name].tolist()) for name in _REALS)
        return Snapshot(packed, integers, reals), number

    def _restore(self, snapshot: Snapshot) -> None:
        rows = self._add(len(snapshot.integers[0]))
        columns = (*snapshot.integers, *snapshot.reals)
        for name, column in zip((*_INTEGERS, *_REALS), columns, strict=True):
            getattr(self, name)[rows] = column
        _, parents, tokens = snapshot.integers[:3]
        for id_, (parent, token) in enumerate(zip(parents, tokens, strict=True)):
            if parent == NONE:
                self._texts.append("")
            else:
                self._children[parent * self._size + token] = id_
                self._texts.append(self._texts[parent] + self._tokens[token])

    def _add(self, count: int) -> slice:
        """Return room for new prefixes."""
        first, self.n = self.n, self.n + count
        if self.n > len(self.token):
            self._allocate(2 * self.n)
        return slice(first, self.n)

    def _allocate(self, size: int) -> None:
        empty = dict.fromkeys(_INTEGERS, 0) | dict.fromkeys(_REALS, 0.0) | _COMPUTED
        for name, value in (empty | {"closed": NONE}).items():
            column = np.full(size, value)
            if hasattr(self, name):
                old = getattr(self, name)
                column[: len(old)] = old
            setattr(self, name, column)
