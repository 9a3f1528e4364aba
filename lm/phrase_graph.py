"""Templates -> one small graph of tokens, for the search of `lm/phrases.py`.

Every slot is made a minimal deterministic automaton once (`lm/automaton.py`) and then spliced in
wherever it is used; so is the whole. Common beginnings and endings are shared, and no product of
slots is ever written out.
"""

from collections.abc import Callable
from functools import cache

from .alphabet import Alphabet
from .automaton import GAP, Automaton, Net, deterministic, minimal, splice
from .errors import TemplateError
from .template_reader import Choice, Gap, Letters, Numbers, Part, Place, Repeat, Slot
from .templates import Templates

_SHOWN = 10  # words that one error names

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def compile_templates(templates: Templates, alphabet: Alphabet) -> Automaton:
    """Make the minimal automaton of all phrases.

    No path starts or ends with a gap, and none has two in a row.

    Raises:
        TemplateError: If the alphabet cannot spell a word, naming it and its place, or if the graph
            would be larger than a million states.
    """
    compiler = _Compiler(templates, alphabet)
    net = Net()
    for part, _ in templates.phrases:
        compiler.add(net, part)
    for name, (part, _) in templates.slots.items():
        compiler.slot(name, part)  # one that no phrase uses is checked too
    compiler.refuse_unspellable()
    return minimal(deterministic(net, whole=True))


@cache
def number_words(value: int) -> tuple[str, ...]:
    """Spell a whole number from 0 to 999,999 in English words.

    >>> number_words(342)
    ('three', 'hundred', 'forty', 'two')
    """
    if value < len(_ONES):
        return (_ONES[value],)
    if value < 100:  # noqa: PLR2004  (a number of two digits)
        tens, ones = divmod(value, 10)
        return (_TENS[tens - 2], *(number_words(ones) if ones else ()))
    unit, name = (1000, "thousand") if value >= 1000 else (100, "hundred")  # noqa: PLR2004
    head, tail = divmod(value, unit)
    return (*number_words(head), name, *(number_words(tail) if tail else ()))


class _Compiler:
    """Adds parts to a net; remembers each slot's automaton."""

    def __init__(self, templates: Templates, alphabet: Alphabet) -> None:
        self._slots = templates.slots
        self._spell = _speller(alphabet)
        self._made: dict[str | tuple[int, int, int], Automaton] = {}
        self._unspellable: dict[str, Place] = {}

    def add(self, net: Net, part: Part, start: int = 0, end: int = 1) -> None:
        """Add what a part allows between two states."""
        match part:
            case Letters(text, place):
                self._letters(net, (text, place), start, end)
            case Gap():
                net.arcs[start].append((GAP, end))
            case Choice(options):
                for option in options:
                    self.add(net, option, start, end)
            case Repeat():
                self._repeat(net, part, start, end)
            case Slot(name, _):
                splice(net, self.slot(name, self._slots[name][0]), start, end)
            case Numbers():
                splice(net, self._numbers(part), start, end)
            case _:
                for one in part.parts[:-1]:
                    middle = net.state()
                    self.add(net, one, start, middle)
                    start = middle
                if part.parts:
                    self.add(net, part.parts[-1], start, end)
                else:
                    net.free[start].append(end)

    def slot(self, name: str, part: Part) -> Automaton:
        """Return a slot's automaton, made when it is first asked for."""
        if name not in self._made:
            net = Net()
            self.add(net, part)
            self._made[name] = minimal(deterministic(net, whole=False))
        return self._made[name]

    def refuse_unspellable(self) -> None:
        """Raise an error if a word could not be spelled."""
        if not self._unspellable:
            return
        named = [f"{text!r} ({place})" for text, place in self._unspellable.items()]
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        raise TemplateError(
            f"the model's alphabet cannot spell {', '.join(named[:_SHOWN])}{more}: write words "
            "with its letters alone, without punctuation, and numbers in words or as {0..100}"
        )

    def _letters(self, net: Net, piece: tuple[str, Place], start: int, end: int) -> None:
        text, place = piece
        moves = self._spell(text)
        if not moves:
            self._unspellable.setdefault(text, place)
            net.free[start].append(end)
            return
        states = {0: start, max(move[1] for move in moves): end}
        for first, last, token_id in moves:
            for at in (first, last):
                if at not in states:
                    states[at] = net.state()
            net.arcs[states[first]].append((token_id, states[last]))

    def _repeat(self, net: Net, repeat: Repeat, start: int, end: int) -> None:
        """Lay the copies that are counted in a row; the last goes round if there is no end."""
        copies = repeat.most if repeat.most is not None else max(repeat.least, 1)
        if repeat.least == 0:
            net.free[start].append(end)
        before = start
        for copy in range(1, copies + 1):
            if copy > 1:
                behind = net.state()
                net.arcs[before].append((GAP, behind))
                before = behind
            # Its own state on both sides: what goes round here must not touch the neighbours.
            first, last = net.state(), net.state()
            net.free[before].append(first)
            self.add(net, repeat.part, first, last)
            if copy >= repeat.least:
                net.free[last].append(end)
            if repeat.most is None and copy == copies:
                net.arcs[last].append((GAP, first))
            before = last

    def _numbers(self, numbers: Numbers) -> Automaton:
        key = (numbers.low, numbers.high, numbers.step)
        if key not in self._made:
            net, place = Net(), Place(f"{{{numbers.low}..{numbers.high}}}", 1, 1)
            for value in range(numbers.low, numbers.high + 1, numbers.step):
                state = 0
                words = number_words(value)
                for word in words[:-1]:
                    behind, gap = net.state(), net.state()
                    self._letters(net, (word, place), state, behind)
                    net.arcs[behind].append((GAP, gap))
                    state = gap
                self._letters(net, (words[-1], place), state, 1)
            self._made[key] = minimal(deterministic(net, whole=False))
        return self._made[key]


_Moves = tuple[tuple[int, int, int], ...]


def _speller(alphabet: Alphabet) -> Callable[[str], _Moves]:
    """Return what spells a text: moves (from character, to character, token id), none if it cannot.

    Where tokens are several characters long there may be several ways; all are kept. Letters take
    the case that the alphabet has, if it has one alone.
    """
    unheard = {alphabet.blank_id, alphabet.delimiter_id, *alphabet.special_ids}
    ids = {token: id_ for id_, token in enumerate(alphabet.tokens) if token and id_ not in unheard}
    longest = max(map(len, ids), default=0)
    letters = "".join(ids)
    has_upper, has_lower = letters != letters.lower(), letters != letters.upper()

    def spell(text: str) -> _Moves:
        text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        if has_upper != has_lower:
            text = text.upper() if has_upper else text.lower()
        moves = [
            (first, last, ids[text[first:last]])
            for first in range(len(text))
            for last in range(first + 1, min(first + longest, len(text)) + 1)
            if text[first:last] in ids
        ]
        reached = {0}
        for first, last, _ in moves:
            if first in reached:
                reached.add(last)
        leading = {len(text)}
        for first, last, _ in reversed(moves):
            if last in leading:
                leading.add(first)
        if len(text) not in reached:
            return ()
        return tuple(move for move in moves if move[0] in reached and move[1] in leading)

    return spell
