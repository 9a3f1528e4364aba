"""One line of phrases, read into parts; `lm/templates.py` tells what a line may hold."""

import re
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import NoReturn

from .errors import TemplateError

MOST_NUMBERS = 10_001  # in one range
LARGEST_NUMBER = 999_999
MOST_TIMES = 100  # that something is repeated, where a number of times is given

_TOKENS = r"""(?P<gap>\s+)
      | \{\s*(?P<low>\d+)\s*\.\.\s*(?P<high>\d+)\s*(?:\.\.\s*(?P<step>\d+)\s*)?\}
      | \{\s*(?P<least>\d+)\s*(?P<comma>,\s*(?P<most>\d*)\s*)?\}
      | \{\s*(?P<slot>[^\W\d][\w-]*)\s*\}
      | (?P<times>[+*])
      | (?P<sign>[()\[\]|])
      | (?P<letters>[^\s()\[\]{}|+*=]+)
      | (?P<wrong>.)"""
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for errors."""

    source: str
    line: int
    column: int
    """Both counted from 1."""

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True)
class Letters:
    """A word, or a piece of one, as it was written."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Gap:
    """White space: two words meet here."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts one after another; none of them is the empty text."""

    parts: "tuple[Part, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several parts."""

    options: "tuple[Part, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part several times, with gaps between."""

    part: "Part"
    least: int
    most: int | None
    """None: without end."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Whatever the slot of this name allows."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Numbers:
    """One of the numbers from `low` to `high`, in steps."""

    low: int
    high: int
    step: int


Part = Letters | Gap | Sequence | Choice | Repeat | Slot | Numbers


def read_line(text: str, places: Items[Place]) -> Part:
    """Read what one line allows.

    Args:
        text: The line.
        places: Where each of its characters stands, and its end.

    Raises:
        TemplateError: If it cannot be read; the message says where.
    """
    return _Reader(text, places).line()


class _Reader:
    """Recursive descent over a line's tokens."""

    def __init__(self, text: str, places: Items[Place]) -> None:
        self._places = places
        self._end = len(text)
        self._tokens = _without_outer_gaps(list(re.finditer(_TOKENS, text, re.VERBOSE)))
        self._next = 0

    def line(self) -> Part:
        part = self._choice(self._end, where="this line")
        if self._next < len(self._tokens):  # a choice ends at a closing sign alone
            token = self._tokens[self._next]
            self._fail(token.start(), f"{token[0]!r} closes nothing: open it before, or drop it")
        return part

    def _choice(self, at: int, *, where: str) -> Part:
        """Read options up to a closing sign or the end."""
        options = [self._sequence(at, where)]
        while self._peek() == "|":
            self._next += 1
            options.append(self._sequence(at, where))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, at: int, where: str) -> Part:
        parts: list[Part] = []
        while self._next < len(self._tokens) and self._peek() not in ("|", ")", "]"):
            token = self._tokens[self._next]
            self._next += 1
            if token["times"] or token["least"]:
                self._repeat(token, parts)
            else:
                parts.append(self._part(token))
        if all(isinstance(part, Gap) for part in parts):
            behind = self._tokens[self._next].start() if self._next < len(self._tokens) else at
            self._fail(
                behind, f"an empty choice in {where}: write a word; what may be left out stands "
                "in [ ]",
            )  # fmt: skip
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _part(self, token: re.Match[str]) -> Part:
        place = self._places[token.start()]
        if token["gap"]:
            return Gap()
        if token["letters"]:
            return Letters(token["letters"], place)
        if token["slot"]:
            return Slot(token["slot"], place)
        if token["low"]:
            return self._numbers(token)
        if token["sign"] in _CLOSING:
            return self._group(token)
        return self._fail(token.start(), _explain(token[0]))

    def _group(self, opening: re.Match[str]) -> Part:
        closing = _CLOSING[opening[0]]
        inside = self._choice(self._end, where=f"what {opening[0]!r} opens")
        if self._next == len(self._tokens):
            self._fail(opening.start(), f"{opening[0]!r} is never closed: write {closing!r} too")
        found = self._tokens[self._next]
        if found[0] != closing:
            self._fail(found.start(), f"{found[0]!r} where {closing!r} is expected: change one")
        self._next += 1
        return inside if closing == ")" else Choice((inside, Sequence(())))

    def _numbers(self, token: re.Match[str]) -> Numbers:
        low, high, step = int(token["low"]), int(token["high"]), int(token["step"] or 1)
        if low > high or high > LARGEST_NUMBER or step < 1:
            self._fail(
                token.start(), f"{token[0]} is no range of numbers: give {{low..high}} or "
                f"{{low..high..step}} with low <= high <= {LARGEST_NUMBER} and step >= 1",
            )  # fmt: skip
        if (high - low) // step + 1 > MOST_NUMBERS:
            self._fail(
                token.start(),
                f"{token[0]} is more than {MOST_NUMBERS} numbers: make the range smaller",
            )
        return Numbers(low, high, step)

    def _repeat(self, token: re.Match[str], parts: list[Part]) -> None:
        """Repeat the part before this sign."""
        before = self._tokens[self._next - 2] if parts else None
        if before is None or before["gap"] or before["times"] or before["least"]:
            self._fail(
                token.start(),
                f"{token[0]!r} repeats nothing: write it right behind a word, a ), a ] or a }}",
            )
        if token["times"]:
            least, most = (1 if token[0] == "+" else 0), None
        else:
            least = int(token["least"])
            endless = token["comma"] and not token["most"]
            most = None if endless else int(token["most"] or least)
        if least > MOST_TIMES or (most is not None and not max(least, 1) <= most <= MOST_TIMES):
            self._fail(
                token.start(), f"{token[0]} is no number of times: give {{n}} or "
                f"{{least,most}} with least <= most, 1 to {MOST_TIMES}",
            )  # fmt: skip
        parts.append(Repeat(parts.pop(), least, most))

    def _peek(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    def _fail(self, at: int, message: str) -> NoReturn:
        raise TemplateError(f"{self._places[at]}: {message}")


def _without_outer_gaps(tokens: list[re.Match[str]]) -> list[re.Match[str]]:
    """Drop white space at both ends and beside each `|`: it parts no words there."""
    edges = [None, *(token["sign"] for token in tokens), None]
    edge = [place in (0, len(edges) - 1) or sign == "|" for place, sign in enumerate(edges)]
    return [
        token
        for place, token in enumerate(tokens, start=1)
        if not (token["gap"] and (edge[place - 1] or edge[place + 1]))
    ]


def _explain(sign: str) -> str:
    if sign == "{":
        return (
            "'{' opens no slot: write {name} with a name of letters, a range {0..100}, or a number "
            "of times {2,7}"
        )
    if sign == "}":
        return "'}' closes nothing: open it with '{', or drop it"
    return f"{sign!r} has no meaning here: a slot is defined in a line of its own, name = one | two"
