"""Templates -> a grammar in the JSpeech Grammar Format, as other recognizers take it.

https://www.w3.org/TR/jsgf/. Slots and ranges of numbers become rules; the rest is written as it
stands. A rule is made of whole words, so that pieces which make one word (`light[s]`) are written
out. Both allow the same sentences; there are no weights.
"""

import re
from collections.abc import Iterator
from itertools import product

from wav2edge.lm.errors import TemplateError
from wav2edge.lm.phrase_graph import number_words
from wav2edge.lm.template_reader import Choice, Gap, Letters, Numbers, Part, Repeat, Sequence, Slot
from wav2edge.lm.templates import Templates

HEAD = "#JSGF V1.0;"
_SIGNS = re.compile(r"<[^>]*>|[()\[\]|+*;]")


def jsgf(templates: Templates, name: str = "phrases") -> str:
    r"""Write all phrases as one public rule.

    Args:
        templates: What may be said.
        name: Of the grammar, and of its public rule.

    Raises:
        TemplateError: If an endless repetition is a piece of a word.

    >>> print(jsgf(Templates.read("room = hall | guest room\nheat[er] {room}")).splitlines()[-1])
    public <phrases> = (heater | heat) <slot-room>;
    """
    writer = _Writer(templates)
    phrases = [writer.expansion(part) for part, _ in templates.phrases]
    rules = [f"<{rule}> = {text};" for rule, text in writer.rules.items()]
    return "\n".join([HEAD, f"grammar {name};", *rules, f"public <{name}> = {_either(phrases)};\n"])


def words_of(grammar: str) -> list[str]:
    """Return the words of a grammar that `jsgf` wrote, sorted.

    >>> words_of(jsgf(Templates.read("turn it (on|off) {1..2} times")))
    ['it', 'off', 'on', 'one', 'times', 'turn', 'two']
    """
    written = [line.partition(" = ")[2] for line in grammar.splitlines()]
    return sorted({word for one in written for word in _SIGNS.sub(" ", one).split()})


class _Writer:
    """Writes parts; what has a name is written once."""

    def __init__(self, templates: Templates) -> None:
        self._slots = templates.slots
        self.rules: dict[str, str] = {}

    def expansion(self, part: Part) -> str:
        """Write what a part allows; empty: nothing but silence."""
        match part:
            case Sequence(parts):
                return " ".join(filter(None, map(self._chunk, _chunks(parts))))
            case Choice(options):
                return _choice([self.expansion(option) for option in options])
            case Repeat():
                return self._repeat(part)
            case Slot(name, _):
                return self._rule(f"slot-{name}", self._slots[name][0])
            case Numbers(low, high, step):
                return self._rule(f"{low}-to-{high}-by-{step}", part)
        return _plain(part.text) if isinstance(part, Letters) else ""

    def _rule(self, name: str, part: Part) -> str:
        """Write a rule unless it is there, and return how it is called."""
        if name not in self.rules:
            said = _either(_spoken(part)) if isinstance(part, Numbers) else self.expansion(part)
            self.rules[name] = said
        return f"<{name}>"

    def _chunk(self, parts: tuple[Part, ...]) -> str:
        """Write pieces that no gap parts: one that stands alone as it is, else their products."""
        if len(parts) == 1:
            return self.expansion(parts[0])
        return _choice([" ".join(one.split()) for one in self._texts(parts)])

    def _texts(self, parts: tuple[Part, ...]) -> Iterator[str]:
        """Yield all that some parts allow together."""
        return ("".join(pieces) for pieces in product(*(list(self._of(one)) for one in parts)))

    def _of(self, part: Part) -> Iterator[str]:
        """Yield all that one part allows, with its gaps."""
        match part:
            case Letters(text, _):
                yield _plain(text)
            case Gap():
                yield " "
            case Sequence(parts):
                yield from self._texts(parts)
            case Choice(options):
                for option in options:
                    yield from self._of(option)
            case Slot(name, _):
                yield from self._of(self._slots[name][0])
            case Numbers():
                yield from _spoken(part)
            case Repeat():
                yield from self._again(part)

    def _again(self, repeat: Repeat) -> Iterator[str]:
        if repeat.most is None:
            raise TemplateError(
                "what is repeated without end is a piece of a word here, which no JSGF can say: "
                "put a space beside it"
            )
        once = list(self._of(repeat.part))
        for times in range(repeat.least, repeat.most + 1):
            yield from map(" ".join, product(once, repeat=times))

    def _repeat(self, repeat: Repeat) -> str:
        once = _grouped(self.expansion(repeat.part))
        needed = " ".join([once] * repeat.least)
        if repeat.most is None:
            return f"{once}*" if repeat.least == 0 else f"{needed}+"
        optional = ""
        for _ in range(repeat.most - repeat.least):
            optional = f"[{once} {optional}]" if optional else f"[{once}]"
        return f"{needed} {optional}".strip()


def _choice(options: list[str]) -> str:
    said = list(dict.fromkeys(option for option in options if option))
    if len(said) < len(set(options)):  # one of them is silence
        return f"[{_either(said)}]" if said else ""
    return f"({_either(said)})" if len(said) > 1 else said[0]


def _spoken(numbers: Numbers) -> list[str]:
    values = range(numbers.low, numbers.high + 1, numbers.step)
    return [" ".join(number_words(value)) for value in values]


def _chunks(parts: tuple[Part, ...]) -> Iterator[tuple[Part, ...]]:
    """Part a sequence at its gaps."""
    chunk: list[Part] = []
    for part in (*parts, Gap()):
        if not isinstance(part, Gap):
            chunk.append(part)
        elif chunk:
            yield tuple(chunk)
            chunk = []


def _either(options: list[str]) -> str:
    return " | ".join(options)


def _grouped(text: str) -> str:
    single = " " not in text or (text[0] == "(" and text[-1] == ")" and text.count("(") == 1)
    return text if single else f"({text})"


def _plain(text: str) -> str:
    return text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
