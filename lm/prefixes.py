"""The beginnings of transcripts that a beam search has met, each once, as columns of arrays.

A prefix is a history of whole words and the tokens of the word that is being said. Two ways to the
same prefix are the same number, so that beams merge and prune by comparing numbers, and what a
prefix scores is computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .fusion import Fusion
from .hotwords import Hotwords
from .lexicon import ROOT, Ids
from .ngram import LMState

Scores = NDArray[np.float64]
NONE = -1
_INTEGERS = ("history", "parent", "token", "lexical", "hot", "n_characters", "closed", "context")
_REALS = ("history_score", "score")


@dataclass(frozen=True, slots=True)
class History:
    """Whole words; the last of them, and what is known after it."""

    parent: int
    """The history before the word; -1: this one is the oldest that is kept."""
    word: str
    model_state: LMState
    """Of the language model."""
    model_score: float
    """Of the language model, since the segment began."""
    hotword_score: float
    context: tuple[str, ...]
    """The newest words, as many as may matter for the score of the next."""
    prefix: int
    """The prefix that is this history and no letter more."""
    open_prefix: int
    """The prefix that this word was before it ended; -1 for the oldest."""
    share: float = -1.0
    """How much of the search agreed on the word when it first led; below 0: it never led."""

    @property
    def score(self) -> float:
        """What all but the log-probs say."""
        return self.model_score + self.hotword_score


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
    context: Ids
    """The same for prefixes that no later score can tell apart."""
    history_score: Scores
    score: Scores
    """What language model and hotwords give."""

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
        self.histories: list[History] = []
        self._by_word: dict[tuple[int, str], int] = {}
        self._children: dict[int, int] = {}
        self._contexts: dict[Any, int] = {}
        self.n = 0
        self._allocate(256)
        if snapshot is None:
            self._begin(NONE, "", fusion.start(), 0.0, 0.0, (), NONE)
        else:
            self._restore(snapshot)

    @property
    def scores_beginnings(self) -> bool:
        """Whether an open word scores anything before it ends."""
        return self.fusion.tree is not None or self.hotwords is not None

    @property
    def n_contexts(self) -> int:
        """How many contexts there are."""
        return len(self._contexts)

    def after(self, prefixes: Ids, tokens: Ids) -> tuple[Scores, Ids, Ids]:
        """Score every token after every prefix, without making the prefixes.

        Args:
            prefixes: `[n]`.
            tokens: Letters, `[k]`.

        Returns:
            What language model and hotwords give, the lexical nodes and the hot ones, each
            `[n, k]`, or `[n, 1]` where the token makes no difference.
        """
        score = self.history_score[prefixes][:, None]
        lexical = hot = np.full((len(prefixes), 1), NONE)
        if self.fusion.tree is not None:
            lexical = self.fusion.tree.step(self.lexical[prefixes], tokens)
        if self.hotwords is not None:
            hot = self.hotwords.tree.step(self.hot[prefixes], tokens)
        if self.scores_beginnings:
            n_characters = self.n_characters[prefixes][:, None] + self.fusion.lengths[tokens]
            score = score + self._open(lexical, hot, n_characters)
        return score, lexical, hot

    def hope(self, prefixes: Ids) -> Scores:
        """Return what no end of the open words can score more than, `[n]`."""
        best = self.fusion.hope(self.lexical[prefixes]) + self.history_score[prefixes]
        return best if self.hotwords is None else best + self.hotwords.best

    def extend(self, parents: Ids, tokens: Ids, lexical: Ids, hot: Ids, scores: Scores) -> Ids:
        """Return the prefixes one token longer, all `[m]`; each pair is given once."""
        keys = (parents * self._size + tokens).tolist()
        ids = np.array([self._children.get(key, NONE) for key in keys], np.int64)
        new = np.flatnonzero(ids < 0)
        if len(new):
            parents, tokens = parents[new], tokens[new]
            made = self._add(len(new))
            ids[new] = np.arange(made.start, made.stop)
            self.history[made], self.parent[made] = self.history[parents], parents
            self.token[made], self.closed[made] = tokens, NONE
            self.lexical[made], self.hot[made] = lexical[new], hot[new]
            self.n_characters[made] = self.n_characters[parents] + self.fusion.lengths[tokens]
            self.history_score[made], self.score[made] = self.history_score[parents], scores[new]
            for place, id_ in zip(new.tolist(), range(made.start, made.stop), strict=True):
                self._children[keys[place]] = id_
            known = self._contexts
            self.context[made] = [
                known.setdefault(key, len(known))
                for key in (self.context[parents] * self._size + tokens).tolist()
            ]
        return ids

    def close(self, prefix: int) -> int:
        """End the open word of a prefix: return the prefix after it."""
        closed = int(self.closed[prefix])
        if closed == NONE:
            before, word = int(self.history[prefix]), self.open_word(prefix)
            history = self._by_word.get((before, word))
            if history is None:
                history = self._ended(before, word, prefix)
            closed = self.histories[history].prefix
            self.closed[prefix] = closed
        return closed

    def open_word(self, prefix: int) -> str:
        """Spell the word that is being said."""
        tokens = []
        while (parent := int(self.parent[prefix])) != NONE:
            tokens.append(self._tokens[self.token[prefix]])
            prefix = parent
        return "".join(reversed(tokens))

    def words(self, history: int, oldest: int) -> list[int]:
        """Return the histories from after `oldest` to `history`: one for every word between."""
        between = []
        while history != oldest:
            between.append(history)
            history = self.histories[history].parent
        return between[::-1]

    def set_share(self, history: int, share: float) -> None:
        """Note how much of the search agreed on the last word."""
        self.histories[history] = replace(self.histories[history], share=share)

    def snapshot(self, oldest: int, prefixes: Sequence[int]) -> tuple[Snapshot, Ids]:
        """Return what the living prefixes need as a value, and new numbers by old ones."""
        histories = {oldest}
        for prefix in prefixes:
            histories.update(self.words(int(self.history[prefix]), oldest))
        kept = np.zeros(self.n, bool)
        kept[list(prefixes)] = True
        for history in histories:
            one = self.histories[history]
            kept[one.prefix] = True
            if history != oldest:
                kept[one.open_prefix] = True
        parents = np.unique(self.parent[: self.n][kept])
        while (parents := parents[parents >= 0]).size and not kept[parents].all():
            kept[parents] = True
            parents = np.unique(self.parent[parents])
        return self._packed(sorted(histories), np.flatnonzero(kept))

    def reweigh(self, hotwords: Hotwords | None) -> None:
        """Change the hotwords: all that is not final yet is scored by the new ones."""
        self.hotwords = hotwords
        for id_, one in enumerate(self.histories):
            gained = 0.0
            if one.parent != NONE:
                gained = self.histories[one.parent].hotword_score + self._bonus(one.word)
            self.histories[id_] = replace(one, hotword_score=gained)
        for prefix in range(self.n):  # a parent stands before its children
            parent, history = self.parent[prefix], self.histories[self.history[prefix]]
            self.history_score[prefix] = self.score[prefix] = history.score
            self.hot[prefix] = ROOT
            if parent != NONE:
                token = self.token[prefix : prefix + 1]
                scores, _, hot = self.after(np.array([parent]), token)
                self.score[prefix], self.hot[prefix] = scores[0, 0], hot[0, 0]

    def _open(self, lexical: Ids, hot: Ids, n_characters: Ids) -> Scores:
        """Score open words; where one begins like a hotword that alone counts."""
        score: Scores = np.zeros(n_characters.shape)
        if self.fusion.tree is not None:
            score = self.fusion.beginnings(lexical, n_characters)
        if self.hotwords is not None:
            score = np.where(hot >= 0, self.hotwords.rates[hot] * n_characters, score)
        return score

    def _bonus(self, word: str) -> float:
        return 0.0 if self.hotwords is None else self.hotwords.bonus.get(word, 0.0)

    def _ended(self, before: int, word: str, open_prefix: int) -> int:
        """Make the history after a word."""
        history = self.histories[before]
        gained, state = self.fusion.word(history.model_state, word)
        return self._begin(
            before,
            word,
            state,
            history.model_score + gained,
            history.hotword_score + self._bonus(word),
            (*history.context, word)[-self.fusion.n_context :],
            open_prefix,
        )

    def _begin(
        self,
        before: int,
        word: str,
        state: LMState,
        model_score: float,
        hotword_score: float,
        context: tuple[str, ...],
        open_prefix: int,
    ) -> int:
        """Make a history and its prefix."""
        (prefix,) = range(self.n, self._add(1).stop)
        id_ = len(self.histories)
        self.histories.append(
            History(before, word, state, model_score, hotword_score, context, prefix, open_prefix)
        )
        self._by_word[before, word] = id_
        self.history[prefix], self.parent[prefix], self.closed[prefix] = id_, NONE, NONE
        self.token[prefix], self.n_characters[prefix] = self._closing_token, 0
        self.lexical[prefix] = self.hot[prefix] = ROOT
        self.history_score[prefix] = self.score[prefix] = model_score + hotword_score
        self.context[prefix] = self._contexts.setdefault(context, len(self._contexts))
        return id_

    def _packed(self, histories: list[int], kept: Ids) -> tuple[Snapshot, Ids]:
        """Renumber histories and prefixes."""
        place = {history: i for i, history in enumerate(histories)} | {NONE: NONE}
        number = np.full(self.n + 1, NONE, np.int64)  # the last for NONE itself
        number[kept] = np.arange(len(kept))
        columns = {name: getattr(self, name)[kept] for name in (*_INTEGERS, *_REALS)}
        columns["history"] = np.array([place[one] for one in columns["history"].tolist()])
        columns["parent"], columns["closed"] = number[columns["parent"]], number[columns["closed"]]
        columns["context"] = np.zeros(len(kept), np.int64)  # numbered anew when read
        packed = tuple(
            replace(
                self.histories[history],
                parent=place.get(self.histories[history].parent, NONE),
                prefix=int(number[self.histories[history].prefix]),
                open_prefix=NONE if i == 0 else int(number[self.histories[history].open_prefix]),
            )
            for i, history in enumerate(histories)
        )
        integers = tuple(tuple(columns[name].tolist()) for name in _INTEGERS)
        reals = tuple(tuple(columns[name].tolist()) for name in _REALS)
        return Snapshot(packed, integers, reals), number

    def _restore(self, snapshot: Snapshot) -> None:
        self.histories = list(snapshot.histories)
        rows = self._add(len(snapshot.integers[0]))
        columns = (*snapshot.integers, *snapshot.reals)
        for name, column in zip((*_INTEGERS, *_REALS), columns, strict=True):
            getattr(self, name)[rows] = column
        self._by_word = {(one.parent, one.word): id_ for id_, one in enumerate(self.histories)}
        history, parents, tokens = snapshot.integers[:3]
        contexts: list[int] = []
        known = self._contexts
        for id_, (parent, token) in enumerate(zip(parents, tokens, strict=True)):
            key: Any = self.histories[history[id_]].context
            if parent != NONE:
                self._children[parent * self._size + token] = id_
                key = contexts[parent] * self._size + token
            contexts.append(known.setdefault(key, len(known)))
        self.context[rows] = contexts

    def _add(self, count: int) -> slice:
        """Return room for new prefixes."""
        first, self.n = self.n, self.n + count
        if self.n > len(self.token):
            self._allocate(2 * self.n)
        return slice(first, self.n)

    def _allocate(self, size: int) -> None:
        for names, kind in ((_INTEGERS, np.int64), (_REALS, np.float64)):
            for name in names:
                column = np.zeros(size, kind)
                if hasattr(self, name):
                    old = getattr(self, name)
                    column[: len(old)] = old
                setattr(self, name, column)
