"""Texts for synthetic voices: what people say to machines, and plain sentences.

What is drawn is written as it is spoken: words in lower case, letters that are spoken as letters in
upper case. `normalize_text` of it is the transcript, which uses only the characters of the 32
tokens of `facebook/wav2vec2-base-960h`. Nothing here reads the development sets: sentences come
from public-domain books, orders from a grammar, and a text that also stands in a development
transcript is dropped.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import numbers
from .grammar import Grammar

KINDS = {
    "digits": 0.13,
    "number": 0.14,
    "spelled": 0.1,
    "command": 0.25,
    "coffee": 0.14,
    "phrase": 0.11,
    "plain": 0.13,
}
"""How many of the synthetic utterances are of each kind."""


def normalize_text(text: str) -> str:
    """Spell `text` with `A-Z`, apostrophes inside words and single spaces.

    Everything else becomes a space. Accents are dropped (NFKD), digits are not spelled out: a text
    with digits is not fit for training and callers skip it.
    """
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'")).upper()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[^A-Z']+", " ", plain)
    return " ".join(w.strip("'") for w in plain.split()).strip()


def with_pauses(text: str, kind: str, rng: random.Random) -> str:
    """Part words by commas, where a voice pauses.

    Spelled letters always, digits half of the time, elsewhere one word in some texts.
    """
    words = text.split()
    if kind == "spelled" or (kind == "digits" and rng.random() < 0.5):
        return ", ".join(words)
    if kind == "digits" and len(words) > 4:  # in groups, as telephone numbers are read
        size = rng.randint(2, 4)
        return ", ".join(" ".join(words[i : i + size]) for i in range(0, len(words), size))
    if len(words) > 3 and rng.random() < 0.12:
        words[rng.randrange(1, len(words) - 1)] += ","
    return " ".join(words)


@dataclass(frozen=True)
class SentenceBank:
    """Plain sentences of 2 to 14 words, cut out of running text."""

    sentences: tuple[str, ...]
    """Normalised."""

    @classmethod
    def from_texts(cls, texts: Iterable[str], excluded: frozenset[str]) -> "SentenceBank":
        """Cut texts at full stops and commas.

        What holds digits, is too long or stands in `excluded` is dropped.
        """
        found: dict[str, None] = {}
        for text in texts:
            for piece in re.split(r"[.;:!?\n\"]+\s*|--|, ", re.sub(r"(?<!\n)\n(?!\n)", " ", text)):
                plain = normalize_text(piece)
                if (
                    not any(c.isdigit() for c in piece)
                    and 2 <= len(plain.split()) <= 14
                    and plain not in excluded
                ):
                    found[plain] = None
        return cls(tuple(found))

    def draw(self, rng: random.Random) -> str:
        """Draw one sentence."""
        return rng.choice(self.sentences).lower()


@dataclass(frozen=True)
class Texts:
    """Everything that synthetic voices are given to speak."""

    bank: SentenceBank
    words: tuple[str, ...]
    """The vocabulary, most frequent first; in any order they give plain speech without grammar."""
    excluded: frozenset[str]
    """Normalised texts that are never drawn; single digits may be."""
    grammar: Grammar = field(default_factory=Grammar.open)

    def draw(self, rng: random.Random) -> tuple[str, str]:
        """Draw a kind of `KINDS` and a text of it."""
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        while True:
            text = self._draw(kind, rng)
            transcript = normalize_text(text)
            if transcript in numbers.DIGITS or transcript not in self.excluded:
                return kind, text

    def _draw(self, kind: str, rng: random.Random) -> str:
        draws: dict[str, Callable[[random.Random], str]] = {
            "digits": numbers.digit_string,
            "number": numbers.number,
            "spelled": numbers.spelled,
            "plain": self._plain,
        }
        if kind in draws:
            return draws[kind](rng)
        if kind == "command":
            kind = rng.choices(("home", "media", "list"), (0.68, 0.17, 0.15))[0]
        return self.grammar.draw(kind, rng)

    def _plain(self, rng: random.Random) -> str:
        if self.words and rng.random() < 0.15:
            n_words = rng.randint(2, 6)
            ranks = (int(len(self.words) * rng.random() ** 2) for _ in range(n_words))
            return " ".join(self.words[rank] for rank in ranks).lower()
        return self.bank.draw(rng)
