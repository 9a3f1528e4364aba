"""Shallow fusion: how the scores of a language model weigh on the words of a beam search."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .errors import DecoderError
from .lexicon import Ids, PrefixTree
from .ngram import LanguageModel, LMState
from .vocabulary import heard_tokens, spelling_tokens

_LN_10 = math.log(10.0)
_USUAL_CHARACTERS = 6  # of a word; longer unknown beginnings cost in proportion (pyctcdecode)
_MOST_CHARACTERS = 64  # of open words, whose scores are computed once
_MOST_CACHED = 10_000  # scores of words, some 2 MB: hours of speech must not fill memory


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamOptions:
    """How a beam search weighs and prunes; the defaults are those of `pyctcdecode`.

    Scores are natural logarithms.

    Raises:
        DecoderError: If a value means nothing.
    """

    beam_width: int = 100
    """Beams kept after each frame."""
    beam_prune_log_prob: float = -10.0
    """Beams this far below the best are dropped."""
    token_min_log_prob: float = -5.0
    """Tokens below this are left out of a frame, but for its best one."""
    max_tokens: int | None = 64
    """At most so many tokens of a frame, the best ones; None: no limit."""
    alpha: float = 0.5
    """Weight of the language model."""
    beta: float = 1.5
    """Added for every word, with a language model; above 0 it favours more words."""
    unknown_word_score: float = -10.0
    """Added to what the language model says of an unknown word, before `alpha` weighs it; also
    the score of an open word that begins like no known word."""
    blank_penalty: float = 0.0
    """Taken off the blank of every frame: what a model that hears little gives it too often. With
    it goes more weight for the language model, or letters are made up."""
    score_boundary: bool = True
    """Whether a segment starts and ends as a sentence does; if not, its end scores nothing."""
    commit_s: float | None = 2.0
    """So long after its end a word of the best beam becomes final by force; None: never."""
    empty_last_word: bool = False
    """Whether a delimiter at the end of a segment is followed by an unknown word without letters,
    as in `pyctcdecode`; only to compare with that."""

    @classmethod
    def of_domain(cls, blank_penalty: float = 0.0) -> "BeamOptions":
        """Return options for a language model of all that is said, and of nothing else.

        No other word is worth its price, the model is believed more, and the search is wide: with
        a model that hears little, what is right is often far behind for a while. Found on
        recordings of training, of which 26 % of the words were wrong with the usual limits and
        22 % so.

        Args:
            blank_penalty: Taken off the blank.
        """
        return cls(
            beam_width=300,
            beam_prune_log_prob=-30.0,
            token_min_log_prob=-12.0,
            alpha=1.5,
            beta=2.0,
            unknown_word_score=-1000.0,
            blank_penalty=blank_penalty,
        )

    def __post_init__(self) -> None:
        self._expect("beam_width", self.beam_width >= 1, "1 or more")
        self._expect("beam_prune_log_prob", self.beam_prune_log_prob <= 0, "0 or less")
        self._expect("token_min_log_prob", self.token_min_log_prob <= 0, "0 or less")
        self._expect("max_tokens", self.max_tokens is None or self.max_tokens >= 1, "1 or more")
        for name in ("alpha", "beta", "unknown_word_score"):
            self._expect(name, math.isfinite(getattr(self, name)), "a finite number")
        self._expect("alpha", self.alpha >= 0, "0 or more")
        self._expect("blank_penalty", 0 <= self.blank_penalty < math.inf, "0 or more")
        positive = self.commit_s is None or 0 < self.commit_s < math.inf
        self._expect("commit_s", positive, "seconds above 0, or None")

    def _expect(self, name: str, fits: bool, expected: str) -> None:  # noqa: FBT001
        if not fits:
            raise DecoderError(f"{name} is {getattr(self, name)}, expected {expected}")


class Fusion:
    """The scores of words and of their beginnings, under one language model and its weights.

    What the model says is remembered by (state, word); two streams may share it.

    Args:
        model: None: every word scores 0.
        options: The weights.
        alphabet: Of the acoustic model.
    """

    def __init__(
        self, model: LanguageModel | None, options: BeamOptions, alphabet: Alphabet
    ) -> None:
        self._model = model
        self._options = options
        self._known: dict[tuple[LMState, str], tuple[float, LMState]] = {}
        self.tree = None if model is None else PrefixTree(model.words, spelling_tokens(alphabet))
        self.n_context = 1 if model is None else max(1, model.order - 1)
        """So many words back may matter for the next one's score."""

        self._unknown = self._unknown_word(np.arange(_MOST_CHARACTERS))
        self.unknown_letter = float(self._unknown[1])
        """Score of an open word of one letter that no known word begins with."""
        self.lengths = np.array([len(token) for token in alphabet.tokens], np.int64)
        """Characters of each token."""
        self.one_way = all(len(token) == 1 for token in heard_tokens(alphabet))
        """Whether no two sequences of tokens spell the same word."""

    def start(self) -> LMState:
        """Return the model's state at the start of a segment."""
        if self._model is None or not self._options.score_boundary:
            return ()
        return self._model.start()

    def word(self, state: LMState, word: str) -> tuple[float, LMState]:
        """Return the weighed score of a word after a state, and the state after it."""
        if self._model is None:
            return 0.0, ()
        found = self._known.get((state, word))
        if found is None:
            score, after = self._model.score(state, word)
            if word not in self._model:
                score += self._options.unknown_word_score
            if len(self._known) >= _MOST_CACHED:
                self._known.clear()
            found = self._known[state, word] = (self._weighed(score) + self._options.beta, after)
        return found

    def end(self, state: LMState) -> float:
        """Return the weighed score of the end of the segment."""
        if self._model is None or not self._options.score_boundary:
            return 0.0
        return self._weighed(self._model.end(state))

    def beginnings(self, nodes: Ids, n_characters: Ids) -> NDArray[np.float64]:
        """Score open words by their nodes in `tree`, -1 for none there."""
        score: NDArray[np.float64] = (nodes < 0) * self.unknown(n_characters)
        return score

    def unknown(self, n_characters: Ids) -> NDArray[np.float64]:
        """Score open words that begin like no known one, by their lengths."""
        if n_characters.max(initial=0) < _MOST_CHARACTERS:
            return self._unknown.take(n_characters)
        return self._unknown_word(n_characters)

    def hope(self, nodes: Ids) -> NDArray[np.float64]:
        """Return what no word scores more than that ends at these nodes of `tree`."""
        if self.tree is None:
            return np.zeros(len(nodes))
        unknown = self._weighed(self._options.unknown_word_score)
        return self._options.beta + np.where(self.tree.is_word[nodes], 0.0, unknown)

    def _unknown_word(self, n_characters: Ids) -> NDArray[np.float64]:
        length = np.maximum(1.0, n_characters * (1 / _USUAL_CHARACTERS))
        score: NDArray[np.float64] = self._options.unknown_word_score * length
        return score

    def _weighed(self, log10_prob: float) -> float:
        return self._options.alpha * log10_prob * _LN_10
