"""Phrases as people write them down: templates with slots, choices, options and numbers.

    room = kitchen | living room | guest room        # a slot: a name, and what may stand for it
    turn (on|off) [the] {room} light[s]              # every other line is a phrase
    set a timer for {1..60} minutes
    my number is {digit}{3,7}

What a line may hold:

* words, in any case, without punctuation but the apostrophe;
* `(a|b c)`: one of several; `[a|b]`: one of several, or nothing; `{room}`: what the slot allows;
* `{0..100}` or `{0..100..5}`: a whole number, counted by fives, spelled in English words;
* right behind any of these, or behind a word: `+` once or more, `*` never or more, `{2,7}` two to
  seven times, `{2,}` twice or more, `{4}` four times; the repeated words are parted by spaces;
* white space parts words, except beside `|`, where it means nothing; without it pieces make one
  word, as in `light[s]`.

A line that starts with `|` goes on with the line before; `#` starts a comment. Nothing is ever
written out in full: `lm/phrase_graph.py` makes a graph of the parts.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import PhrasesNotFoundError, TemplateError
from .template_reader import (
    Choice,
    Gap,
    Part,
    Place,
    Repeat,
    Sequence,
    Slot,
    read_line,
)

if TYPE_CHECKING:
    from .readings import Reading

_SLOT_LINE = re.compile(r"\s*(?P<name>[^\W\d][\w-]*)\s*=")
_SLOT_NAME = re.compile(r"[^\W\d][\w-]*")


@dataclass(frozen=True, slots=True)
class Templates:
    """Phrases and the slots that they use, read and checked; made with `read`, `of_file` or `of`.

    Raises:
        TemplateError: If there is no phrase, one can be said in silence, or a slot is unknown or
            holds itself.
    """

    phrases: tuple[tuple[Part, Place], ...]
    """What each phrase allows, and where it stands."""
    slots: Mapping[str, tuple[Part, Place]] = field(default_factory=dict)
    """The same of each slot, by name."""

    def __post_init__(self) -> None:
        if not self.phrases:
            raise TemplateError("there is no phrase: write one a line, as in turn (on|off) the fan")
        silent: dict[str, bool] = {}
        for name, (_, place) in self.slots.items():
            self._may_be_silent(Slot(name, place), (), silent)
        for part, place in self.phrases:
            if self._may_be_silent(part, (), silent):
                raise TemplateError(
                    f"{place}: this phrase is said by saying nothing, for all of it is optional: "
                    "leave one word without [ ] and *"
                )

    @classmethod
    def read(cls, text: str, *, source: str = "phrases") -> "Templates":
        r"""Read lines of phrases and slots.

        Args:
            text: All lines, as the head of this module tells.
            source: What errors call it: the name of the file.

        Raises:
            TemplateError: If a line cannot be read, saying where, or as the class tells.

        >>> len(Templates.read("who = ann | bob marley\ncall {who}").phrases)
        1
        """
        phrases: list[tuple[Part, Place]] = []
        slots: dict[str, tuple[Part, Place]] = {}
        for line, places in _lines(text, source):
            named = _SLOT_LINE.match(line)
            if named is None:
                phrases.append((read_line(line, places), places[0]))
                continue
            name, place = named["name"], places[named.start("name")]
            if name in slots:
                raise TemplateError(
                    f"{place}: slot {name!r} is defined before, in line {slots[name][1].line}: "
                    "put all that it allows in one line, or name one of them otherwise"
                )
            slots[name] = (read_line(line[named.end() :], places[named.end() :]), place)
        return cls(tuple(phrases), slots)

    @classmethod
    def of(
        cls,
        phrases: Iterable[str],
        slots: Mapping[str, Iterable[str]] | None = None,
        *,
        source: str = "phrases",
    ) -> "Templates":
        """Take phrases one by one, and slots as lists; errors count them as lines.

        Args:
            phrases: Each as one line of `read`.
            slots: By name what each allows, one or more lines.
            source: What errors call them.

        Raises:
            TemplateError: As `read`, and if a string stands where a list is expected.

        >>> len(Templates.of(["call {who}"], {"who": ["ann", "bob marley"]}).slots)
        1
        """
        lists = {
            name: _listed(words, f"{source}, slot {name}") for name, words in (slots or {}).items()
        }
        for name, options in lists.items():
            if not _SLOT_NAME.fullmatch(name) or not options:
                raise TemplateError(
                    f"{source}: slot {name!r} with {len(options)} options: a slot has a name of "
                    "letters, digits, _ and -, and allows at least one word"
                )
        bodies = {
            name: (Choice(tuple(part for part, _ in options)), options[0][1])
            for name, options in lists.items()
        }
        return cls(_listed(phrases, source), bodies)

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> "Templates":
        """Read a file of phrases, UTF-8.

        Raises:
            PhrasesNotFoundError: If it cannot be read.
            TemplateError: As of `read`.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise PhrasesNotFoundError(
                f"{path} cannot be read ({why}): expected a file of phrases, UTF-8, one a line"
            ) from error
        return cls.read(text, source=str(path))

    def reading(self, text: str) -> "Reading | None":
        r"""Tell which phrase a text is, and what was said for its slots and numbers.

        Args:
            text: Words with spaces between, in any case: what was heard of these phrases.

        Returns:
            The first phrase that it can be; None if it is none of them.

        >>> home = Templates.read("room = hall | guest room\nheat the {room} to {16..25} [degrees]")
        >>> reading = home.reading("HEAT THE GUEST ROOM TO TWENTY ONE")
        >>> reading.phrase, reading.slots, reading.numbers
        (0, {'room': 'guest room'}, (21,))
        """
        from .readings import read_phrase

        return read_phrase(self.phrases, self.slots, text)

    def _may_be_silent(self, part: Part, inside: tuple[str, ...], silent: dict[str, bool]) -> bool:
        """Tell whether a part allows the empty text, and refuse wrong slots on the way.

        Args:
            part: What is asked about.
            inside: The slots that it stands in, outermost first.
            silent: The answers for slots so far.
        """
        if isinstance(part, Slot):
            if part.name not in silent:
                self._refuse_wrong(part, inside)
                body = self.slots[part.name][0]
                silent[part.name] = self._may_be_silent(body, (*inside, part.name), silent)
            return silent[part.name]
        if isinstance(part, Repeat):
            return self._may_be_silent(part.part, inside, silent) or part.least == 0
        if isinstance(part, Sequence | Choice):
            parts = part.parts if isinstance(part, Sequence) else part.options
            # Each one is looked at, whatever the first says: any may hold a wrong slot.
            answers = [self._may_be_silent(one, inside, silent) for one in parts]
            return all(answers) if isinstance(part, Sequence) else any(answers)
        return isinstance(part, Gap)

    def _refuse_wrong(self, slot: Slot, inside: tuple[str, ...]) -> None:
        if slot.name not in self.slots:
            raise TemplateError(
                f"{slot.place}: no slot is named {slot.name!r}, only: "
                f"{', '.join(sorted(self.slots)) or 'none'}; define it in a line of its own, "
                f"{slot.name} = one | another"
            )
        if slot.name in inside:
            circle = " -> ".join((*inside[inside.index(slot.name) :], slot.name))
            raise TemplateError(
                f"{slot.place}: slot {slot.name!r} holds itself ({circle}): what may be said "
                "again is written with +"
            )


def _lines(text: str, source: str) -> Iterator[tuple[str, tuple[Place, ...]]]:
    """Yield lines without comments, those that start with `|` joined to the one before.

    Each comes with the places of its characters and of its end.
    """
    joined: tuple[str, tuple[Place, ...]] | None = None
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.partition("#")[0].rstrip()
        if not line:
            continue
        places = tuple(Place(source, number, column) for column in range(1, len(line) + 2))
        if joined is not None and line.lstrip().startswith("|"):
            joined = (joined[0] + line, joined[1][:-1] + places)
            continue
        if joined is not None:
            yield joined
        joined = (line, places)
    if joined is not None:
        yield joined


def _listed(lines: Iterable[str], source: str) -> tuple[tuple[Part, Place], ...]:
    """Read strings given one by one."""
    lines = list(lines) if not isinstance(lines, str) else lines
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        raise TemplateError(
            f"{source}: {lines!r} where a list of strings is expected; lines of text in one string "
            "are for Templates.read"
        )
    read = []
    for number, line in enumerate(lines, start=1):
        places = tuple(Place(source, number, column) for column in range(1, len(line) + 2))
        read.append((read_line(line, places), places[0]))
    return tuple(read)
