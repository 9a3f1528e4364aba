"""Words that the caller expects to hear, each with a weight: names, rooms, part numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .errors import HotwordError
from .lexicon import ROOT, PrefixTree
from .vocabulary import heard_tokens

Weights = tuple[tuple[str, float], ...]
"""Each word once, as the alphabet spells it, with its weight: a plain value, sorted."""


def hotword_weights(hotwords: Mapping[str, float], alphabet: Alphabet) -> Weights:
    """Spell hotwords with an alphabet.

    A hotword of several words is each of its words, as in `pyctcdecode`; of a word that comes twice
    the larger weight holds. Where the alphabet knows one case alone, a hotword may be given in the
    other. Without a word delimiter every token is a word.

    Args:
        hotwords: Weight by hotword: natural logarithms that each time it is heard adds to the
            score of a transcript. Below zero it is heard less.
        alphabet: The model's tokens.

    Raises:
        HotwordError: If one is empty or cannot be spelled (all such are named), or a weight is not
            finite.
    """
    weights: dict[str, float] = {}
    unspellable = []
    for hotword, weight in hotwords.items():
        if not math.isfinite(weight):
            raise HotwordError(
                f"hotword {hotword!r} has the weight {weight}, expected a finite number: "
                "start with 5 to 10"
            )
        spelled = [spelling(word, alphabet) for word in hotword.split()]
        if not spelled or None in spelled:
            unspellable.append(hotword)
        for tokens in filter(None, spelled):
            for word in ["".join(tokens)] if alphabet.separator else tokens:
                weights[word] = max(weight, weights.get(word, -math.inf))
    if unspellable:
        raise HotwordError(
            f"the model's tokens cannot spell {', '.join(map(repr, unspellable))}: expected words "
            f"of {_spelled_with(alphabet)}; write them as they sound, or leave them out"
        )
    return tuple(sorted(weights.items()))


def spelling(word: str, alphabet: Alphabet) -> tuple[str, ...] | None:
    """Spell one word with as few tokens as will do; None if it cannot be.

    The word is tried as it is, in upper case and in lower case.

    >>> spelling("No", Alphabet(("", "|", "N", "O"), blank_id=0, delimiter_id=1))
    ('N', 'O')
    """
    heard = frozenset(heard_tokens(alphabet))
    for form in (word, word.upper(), word.lower()):
        tokens = _split(form, heard)
        if tokens:
            return tokens
    return None


@dataclass(frozen=True)
class Hotwords:
    """Hotwords made ready for a search."""

    weights: Weights
    tokens: tuple[str, ...]

    @property
    def best(self) -> float:
        """No word gains more."""
        return max(0.0, *(weight for _, weight in self.weights))

    @cached_property
    def bonus(self) -> dict[str, float]:
        """What a whole word gains."""
        return dict(self.weights)

    @cached_property
    def tree(self) -> PrefixTree:
        """Of the words."""
        return PrefixTree(tuple(self.bonus), self.tokens)

    @cached_property
    def rates(self) -> NDArray[np.float64]:
        """Gain per character of a beginning, by its node in the tree.

        It is that of the word which gains most per character among those that begin so; where
        weights are equal, of the shortest.
        """
        best = np.full(self.tree.n_nodes, -np.inf)
        worst = np.full(self.tree.n_nodes, np.inf)
        for word, path in self.tree.paths():
            rate = self.bonus[word] / len(word)
            best[path] = np.maximum(best[path], rate)
            worst[path] = np.minimum(worst[path], rate)
        rates = np.where(best > 0, best, worst)
        rates[ROOT] = 0.0
        return rates


def _split(word: str, heard: frozenset[str]) -> tuple[str, ...] | None:
    """Cut a word into the fewest tokens; of equal cuts the one with the longest first tokens."""
    longest = max(map(len, heard), default=0)
    cuts: list[tuple[str, ...] | None] = [()]  # of the last 0, 1, 2, ... characters
    for start in range(len(word) - 1, -1, -1):
        best: tuple[str, ...] | None = None
        for length in range(min(longest, len(word) - start), 0, -1):
            rest = cuts[len(word) - start - length]
            token = word[start : start + length]
            if token in heard and rest is not None and (best is None or len(rest) + 1 < len(best)):
                best = (token, *rest)
        cuts.append(best)
    return cuts[-1]


def _spelled_with(alphabet: Alphabet) -> str:
    heard = heard_tokens(alphabet)
    shown = " ".join(heard[:40])
    return shown if len(heard) <= 40 else f"{shown} ... ({len(heard)} tokens)"  # noqa: PLR2004
