"""What a phrase that was heard meant: which phrase it is, what was said for each slot and number.

The text is read along the parts of each template, the first that fits wins. A phrase that can be
read in two ways is read with the first choice that stands in the template.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .phrase_graph import number_words
from .template_reader import Choice, Gap, Letters, Numbers, Part, Place, Repeat, Slot

_Slots = Mapping[str, tuple[Part, Place]]


@dataclass(frozen=True, slots=True)
class Reading:
    """One text as one of the phrases."""

    phrase: int
    """Which of the phrases, from 0 in the order in which they are written; slots do not count."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """What was said for each slot that was, in lower case.

    Where a slot was said several times, all of it, with spaces between.
    """
    numbers: tuple[int, ...] = ()
    """What was said for each range of numbers, in order."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A part that was found: where it ends, and what it holds."""

    end: int
    slots: tuple[tuple[str, str], ...] = ()
    numbers: tuple[int, ...] = ()

    def then(self, following: "_Found") -> "_Found":
        return _Found(following.end, self.slots + following.slots, self.numbers + following.numbers)


def read_phrase(
    phrases: tuple[tuple[Part, Place], ...], slots: _Slots, text: str
) -> Reading | None:
    """Read a text as one of some phrases; see `Templates.reading`."""
    text = " ".join(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    reader = _Reader(text, slots)
    for number, (part, _) in enumerate(phrases):
        for found in reader.part(part, 0):
            if found.end == len(text):
                said: dict[str, str] = {}
                for name, words in found.slots:
                    said[name] = f"{said[name]} {words}" if name in said else words
                return Reading(number, said, found.numbers)
    return None


class _Reader:
    """Every way in which parts can be read at a place of one text."""

    def __init__(self, text: str, slots: _Slots) -> None:
        self._text, self._slots = text, slots

    def part(self, part: Part, at: int) -> Iterator[_Found]:
        match part:
            case Letters(letters, _):
                said = letters.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
                if self._text.startswith(said, at):
                    yield _Found(at + len(said))
            case Gap():
                yield from self._gap(at)
            case Choice(options):
                for option in options:
                    yield from self.part(option, at)
            case Repeat():
                yield from self._repeat(part, at)
            case Slot(name, _):
                for found in self.part(self._slots[name][0], at):
                    here = ((name, self._text[at : found.end].strip()),)
                    yield _Found(found.end, here + found.slots, found.numbers)
            case Numbers():
                yield from self._numbers(part, at)
            case _:
                yield from self._sequence(part.parts, at)

    def _gap(self, at: int) -> Iterator[_Found]:
        """Two words meet here: a space, or the one before, where a part between was left out."""
        if at in (0, len(self._text)) or self._text[at - 1] == " ":
            yield _Found(at)
        elif self._text[at] == " ":
            yield _Found(at + 1)

    def _sequence(self, parts: tuple[Part, ...], at: int) -> Iterator[_Found]:
        if not parts:
            yield _Found(at)
            return
        for first in self.part(parts[0], at):
            for rest in self._sequence(parts[1:], first.end):
                yield first.then(rest)

    def _repeat(self, repeat: Repeat, at: int) -> Iterator[_Found]:
        """Take as many as there are, then fewer."""
        most = len(self._text) if repeat.most is None else repeat.most
        yield from self._again(repeat, _Found(at), 0, most)

    def _again(self, repeat: Repeat, so_far: _Found, n: int, most: int) -> Iterator[_Found]:
        if n < most:
            for gap in self._gap(so_far.end) if n else (_Found(so_far.end),):
                for one in self.part(repeat.part, gap.end):
                    if one.end > gap.end:  # what was said in silence is not said again
                        yield from self._again(repeat, so_far.then(one), n + 1, most)
        if n >= repeat.least:
            yield so_far

    def _numbers(self, numbers: Numbers, at: int) -> Iterator[_Found]:
        for value in range(numbers.low, numbers.high + 1, numbers.step):
            said = " ".join(number_words(value))
            if self._text.startswith(said, at):
                yield _Found(at + len(said), numbers=(value,))
