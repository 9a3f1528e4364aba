"""A grammar of what people say to machines: `grammar.txt`, opened and drawn from.

The file names the rules of its notation at its head.
"""

import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from . import numbers

GRAMMAR = Path(__file__).with_name("grammar.txt")
_MARK = re.compile(r"\{(\w+)\}|\(([^(){}]*)\)")
_ARTICLE = re.compile(r"\ba(?= (?!one|eu|uni|us)[aeiou])")
_SPELLED_NAME = "spelled_name"  # a name and its letters
_BARS = re.compile(r"\|(?![^(]*\))")  # those outside parentheses
_OPTIONS = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True)
class Grammar:
    """Templates by kind, and what their slots are filled with."""

    templates: dict[str, tuple[str, ...]]
    slots: dict[str, tuple[str, ...]]

    @classmethod
    def open(cls, file: Path = GRAMMAR) -> "Grammar":
        """Read a grammar, by default ours.

        Raises:
            ValueError: A template names a slot that is not there.
        """
        templates: dict[str, list[str]] = defaultdict(list)
        slots: dict[str, tuple[str, ...]] = {}
        kind = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("["):
                kind = line.strip("[] ")
            elif kind == "slots":
                name, options = line.split(":", 1)
                slots[name] = tuple(_BARS.split(options.removeprefix(" ")))
            else:
                templates[kind].append(line)
        grammar = cls({name: tuple(lines) for name, lines in templates.items()}, slots)
        grammar._check()
        return grammar

    def _check(self) -> None:
        texts = (*self.templates.values(), *self.slots.values())
        named = set(re.findall(r"\{(\w+)\}", " ".join(chain.from_iterable(texts))))
        if missing := named - self.slots.keys() - _DRAWN.keys() - {_SPELLED_NAME}:
            raise ValueError(f"the grammar names slots that it does not fill: {sorted(missing)}")

    def draw(self, kind: str, rng: random.Random) -> str:
        """Draw one text of a kind: words in lower case, spoken letters in upper case."""
        text = rng.choice(self.templates[kind])
        while found := _OPTIONS.search(text) or _MARK.search(text):
            text = text[: found.start()] + self._fill(found[0], rng) + text[found.end() :]
        return _ARTICLE.sub("an", " ".join(text.split()))

    def _fill(self, mark: str, rng: random.Random) -> str:
        if mark.startswith("("):
            return rng.choice(mark[1:-1].split("|"))
        name = mark[1:-1]
        if name == _SPELLED_NAME:
            word = rng.choice(self.slots[rng.choice(("name", "surname"))]).replace("'", "")
            return f"{word} {' '.join(word.upper())}"
        return _DRAWN[name](rng) if name in _DRAWN else rng.choice(self.slots[name])


_DRAWN: dict[str, Callable[[random.Random], str]] = {
    "count": lambda rng: numbers.spell_number(rng.choice((*range(2, 13), 15, 20))),
    "number": lambda rng: numbers.spell_number(
        rng.choice((*range(1, 31), 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100))
    ),
    "warmth": lambda rng: numbers.spell_number(rng.choice((*range(15, 31), *range(60, 80), 200))),
    "house": lambda rng: numbers.spell_number(rng.choice((rng.randrange(1, 100), 120, 245, 1500))),
    "digit": lambda rng: numbers.digit_string(rng, 1, 1),
    "digits": lambda rng: numbers.digit_string(rng, 2, 6),
    "letter": lambda rng: rng.choice(numbers.LETTERS),
    "letters": numbers.letters,
    "ordinal": lambda rng: numbers.spell_ordinal(rng.randrange(1, 32)),
    "duration": numbers.duration,
    "clock": numbers.clock,
    "date": numbers.date,
    "amount": numbers.amount,
    "decimal": numbers.decimal,
}
