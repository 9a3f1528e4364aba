"""Whole words behind the beams of a search: each sequence once, with all but its acoustic score."""

from collections.abc import Iterable
from typing import NamedTuple

from .fusion import Fusion
from .hotwords import Hotwords
from .ngram import LMState

NONE = -1


class History(NamedTuple):
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

    @property
    def score(self) -> float:
        """What all but the log-probs say."""
        return self.model_score + self.hotword_score


class Histories:
    """A growing list of histories, by number.

    Args:
        fusion: Scores words.
        hotwords: None for none.
        known: To go on from.
    """

    def __init__(
        self, fusion: Fusion, hotwords: Hotwords | None, known: Iterable[History] = ()
    ) -> None:
        self._fusion, self._hotwords = fusion, hotwords
        self._by_word: dict[tuple[int, str], int] = {}
        self._contexts: dict[tuple[str, ...], int] = {}
        self._items: list[History] = []
        self.context_of: list[int] = []
        """Of each history a number; the same where no later score can tell them apart."""
        for one in known:
            self._append(one)

    def __getitem__(self, number: int) -> History:
        return self._items[number]

    @property
    def has_twins(self) -> bool:
        """Whether there are any that no later score can tell apart."""
        return len(self._contexts) < len(self._items)

    def begin(self, prefix: int) -> int:
        """Add the start of a segment."""
        return self._append(History(NONE, "", self._fusion.start(), 0.0, 0.0, (), prefix, NONE))

    def find(self, before: int, word: str) -> int | None:
        """Return the history after a word, if it is there."""
        return self._by_word.get((before, word))

    def score_after(self, before: int, word: str) -> float:
        """Return the score of a history after a word, without adding it."""
        history = self._items[before]
        gained, _ = self._fusion.word(history.model_state, word)
        return history.score + gained + self._bonus(word)

    def add(self, before: int, word: str, *, prefix: int, open_prefix: int) -> int:
        """Add the history after a word."""
        history = self._items[before]
        gained, state = self._fusion.word(history.model_state, word)
        return self._append(
            History(
                before,
                word,
                state,
                history.model_score + gained,
                history.hotword_score + self._bonus(word),
                (*history.context, word)[-self._fusion.n_context :],
                prefix,
                open_prefix,
            )
        )

    def words(self, history: int, oldest: int) -> list[int]:
        """Return the histories from after `oldest` to `history`: one for every word between."""
        between = []
        while history != oldest:
            between.append(history)
            history = self._items[history].parent
        return between[::-1]

    def firsts(self, oldest: int) -> dict[int, int]:
        """Return the first history after `oldest` by each one after it; by itself none."""
        found = {oldest: NONE}
        for number in range(oldest + 1, len(self._items)):  # a parent stands before its children
            parent = self._items[number].parent
            if parent in found:
                found[number] = number if parent == oldest else found[parent]
        return found

    def texts(self, history: int, oldest: int) -> list[str]:
        """Return these words."""
        return [self._items[one].word for one in self.words(history, oldest)]

    def reweigh(self, hotwords: Hotwords | None) -> None:
        """Score the words after the oldest history by other hotwords."""
        self._hotwords = hotwords
        for number, one in enumerate(self._items):
            gained = 0.0
            if one.parent != NONE:
                gained = self._items[one.parent].hotword_score + self._bonus(one.word)
            self._items[number] = one._replace(hotword_score=gained)

    def _bonus(self, word: str) -> float:
        return 0.0 if self._hotwords is None else self._hotwords.bonus.get(word, 0.0)

    def _append(self, history: History) -> int:
        number = len(self._items)
        self._items.append(history)
        self._by_word[history.parent, history.word] = number
        context = history.context
        self.context_of.append(self._contexts.setdefault(context, len(self._contexts)))
        return number
