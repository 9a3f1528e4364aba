"""A text that is known, as the model would spell it: what forced alignment looks for.

A written word keeps its own look, punctuation included, and is spelled with tokens besides. Marks
that nobody says (commas, dashes, quotes) are not spelled; signs that somebody would say (digits,
currency, `%`) have no one spelling, and are refused by name.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .corpus import Normalizer
from .errors import ScriptError
from .hotwords import spelling

Ids = NDArray[np.int64]

_SAID = frozenset("&%@#\N{PER MILLE SIGN}")
"""Punctuation that is read aloud; symbols (currency, mathematics, others) are, all of them."""
_SHOWN = 5  # words that one error names


@dataclass(frozen=True, slots=True)
class WrittenWord:
    """A word as it is written, and as it is spelled."""

    text: str
    """As the text has it, with the marks around it."""
    parts: tuple[tuple[int, ...], ...]
    """Token ids; a word with a hyphen has several parts, between which there may be a gap."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens of all parts."""
        return tuple(id_ for part in self.parts for id_ in part)


@dataclass(frozen=True, slots=True)
class Script:
    """A text, spelled; tokens are numbered throughout, `n` in all.

    Raises:
        ScriptError: If there is no word.

    >>> letters = Alphabet(("<pad>", "|", "N", "O"), blank_id=0, delimiter_id=1)
    >>> script = Script.of("\u201cNo\u201d \u2014 on-no!", letters)
    >>> [(word.text, word.parts) for word in script.words]
    [('\u201cNo\u201d \u2014', ((2, 3),)), ('on-no!', ((3, 2), (2, 3)))]
    """

    words: tuple[WrittenWord, ...]

    def __post_init__(self) -> None:
        if not self.words:
            raise ScriptError(
                "the text holds no word that could be heard: give the words that are said"
            )

    @classmethod
    def of(cls, text: str, alphabet: Alphabet) -> "Script":
        """Spell a text.

        White space parts words. Letters take the case of the alphabet and, where it has no such
        letter, lose their accents. Where the alphabet has no word delimiter every token is a word,
        as in greedy decoding.

        Args:
            text: Of any length and number of lines.
            alphabet: The model's tokens.

        Raises:
            ScriptError: If there is no word, or some cannot be spelled; they are named.
        """
        ids = {token: id_ for id_, token in reversed(list(enumerate(alphabet.tokens)))}
        spell = _Speller(alphabet, ids)
        words: list[WrittenWord] = []
        silent = ""  # marks before the first word
        unspellable: list[str] = []
        for place, written in enumerate(text.removeprefix("\ufeff").split(), start=1):
            parts = spell(written)
            if parts is None:
                unspellable.append(f"{written!r} (word {place})")
            elif not parts and words:
                words[-1] = WrittenWord(f"{words[-1].text} {written}", words[-1].parts)
            elif not parts:
                silent += written + " "
            else:
                words.append(WrittenWord(silent + written, parts))
                silent = ""
        if unspellable:
            more = len(unspellable) - _SHOWN
            raise ScriptError(
                f"the model's tokens cannot spell {', '.join(unspellable[:_SHOWN])}"
                f"{f' and {more} more' if more > 0 else ''}: write numbers, symbols and foreign "
                "letters out, as they are said"
            )
        return cls(tuple(words) if alphabet.delimiter_id is not None else _tokens(words, alphabet))

    @property
    def ids(self) -> Ids:
        """Every token's id, `[n]`."""
        return np.array([id_ for word in self.words for id_ in word.ids], np.int64)

    @property
    def word_starts(self) -> Ids:
        """The number of each word's first token, and `n` at the end, `[words + 1]`."""
        return np.cumsum([0, *(len(word.ids) for word in self.words)])

    @property
    def part_starts(self) -> Ids:
        """The number of each part's first token, and `n` at the end."""
        return np.cumsum([0, *(len(part) for word in self.words for part in word.parts)])

    def n_frames_least(self) -> int:
        """Count the frames that all tokens need: one each, and a blank between two equal ones."""
        ids = self.ids
        return len(ids) + int((ids[1:] == ids[:-1]).sum())


class _Speller:
    """Spells written words, each once."""

    def __init__(self, alphabet: Alphabet, ids: dict[str, int]) -> None:
        self._alphabet, self._ids = alphabet, ids
        self._normalize = Normalizer.of(alphabet)
        self._known: dict[str, tuple[tuple[int, ...], ...] | None] = {}

    def __call__(self, written: str) -> tuple[tuple[int, ...], ...] | None:
        """Return the tokens of each part, () for marks alone, None if it cannot be spelled."""
        if written not in self._known:
            self._known[written] = self._spelled(written)
        return self._known[written]

    def _spelled(self, written: str) -> tuple[tuple[int, ...], ...] | None:
        kept = self._normalize.kept
        if any(_is_said(sign) and sign not in kept for sign in written):
            return None
        parts = []
        for part in self._normalize(written).split():
            tokens = spelling(part, self._alphabet) or spelling(_plain(part), self._alphabet)
            if tokens is None:
                return None
            parts.append(tuple(self._ids[token] for token in tokens))
        return tuple(parts)


def _is_said(sign: str) -> bool:
    return sign in _SAID or unicodedata.category(sign) in {"Sc", "Sm", "So"}


def _plain(word: str) -> str:
    """Take the accents off."""
    apart = unicodedata.normalize("NFKD", word)
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _tokens(words: list[WrittenWord], alphabet: Alphabet) -> tuple[WrittenWord, ...]:
    """Make every token a word."""

    def each() -> Iterator[WrittenWord]:
        for word in words:
            for id_ in word.ids:
                yield WrittenWord(alphabet.tokens[id_], ((id_,),))

    return tuple(each())
