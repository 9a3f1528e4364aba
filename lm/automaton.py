"""Deterministic automata over tokens and gaps, made from nets that may branch freely.

Subset construction (Rabin and Scott 1959) makes them deterministic; states with the same future are
merged from the end backwards (Revuz 1992, "Minimisation of acyclic deterministic automata in linear
time"). The gap between two words is a symbol like any other, so that the words of a path are known
even where an alphabet has no token for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import TemplateError

GAP = -1
"""The symbol between two words; all others are token ids."""
MOST_STATES = 1_000_000


@dataclass(frozen=True, slots=True)
class Automaton:
    """A deterministic automaton over tokens and gaps; state 0 is where it starts."""

    arcs: tuple[dict[int, int], ...]
    """For each state: symbol -> next state."""
    accepting: frozenset[int]


class Net:
    """An automaton in the making: from state 0 to state 1, free moves allowed."""

    def __init__(self) -> None:
        self.free: list[list[int]] = [[], []]
        self.arcs: list[list[tuple[int, int]]] = [[], []]

    def state(self) -> int:
        """Add a state and return its number."""
        if len(self.free) > MOST_STATES:
            raise _too_large()
        self.free.append([])
        self.arcs.append([])
        return len(self.free) - 1


def _too_large() -> TemplateError:
    return TemplateError(
        f"the phrases make more than {MOST_STATES} states: repeat less with a number of times "
        "({2,7}), or use shorter slots"
    )


def splice(net: Net, automaton: Automaton, start: int, end: int) -> None:
    """Copy an automaton between two states of a net."""
    places = [net.state() for _ in automaton.arcs]
    net.free[start].append(places[0])
    for place, arcs in zip(places, automaton.arcs, strict=True):
        net.arcs[place] = [(symbol, places[target]) for symbol, target in arcs.items()]
    for state in sorted(automaton.accepting):
        net.free[places[state]].append(end)


def meets(one: Automaton, other: Automaton) -> bool:
    """Tell whether there is a path that both accept."""
    found = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        here, there = waiting.pop()
        if here in one.accepting and there in other.accepting:
            return True
        for symbol, target in one.arcs[here].items():
            pair = (target, other.arcs[there].get(symbol, -1))
            if pair[1] >= 0 and pair not in found:
                found.add(pair)
                waiting.append(pair)
    return False


def deterministic(net: Net, *, whole: bool) -> Automaton:
    """Make a net deterministic; runs of gaps become one.

    Args:
        net: With free moves.
        whole: Whether gaps at the start and at the end go as well.
    """
    first = _Subset(_reach(net, (0,), gaps=whole), behind_gap=whole)
    numbers, subsets, arcs = {first: 0}, [first], list[dict[int, int]]()
    for subset in subsets:  # grows while it is read
        targets: dict[int, list[int]] = {}
        for state in subset.states:
            for symbol, target in net.arcs[state]:
                if symbol != GAP or not subset.behind_gap:
                    targets.setdefault(symbol, []).append(target)
        arcs.append({})
        for symbol in sorted(targets):
            found = _Subset(_reach(net, targets[symbol], gaps=symbol == GAP), symbol == GAP)
            if (
                whole
                and symbol == GAP
                and not any(one != GAP for state in found.states for one, _ in net.arcs[state])
            ):
                continue  # nothing is said behind this gap
            if found not in numbers:
                numbers[found] = len(subsets)
                subsets.append(found)
                if len(subsets) > MOST_STATES:
                    raise _too_large()
            arcs[-1][symbol] = numbers[found]
    accepting = frozenset(
        number
        for number, subset in enumerate(subsets)
        if 1 in (_reach(net, subset.states, gaps=True) if whole else subset.states)
        and not (whole and subset.behind_gap)
    )
    return Automaton(tuple(arcs), accepting)


@dataclass(frozen=True, slots=True)
class _Subset:
    states: tuple[int, ...]
    behind_gap: bool


def _reach(net: Net, states: Iterable[int], *, gaps: bool) -> tuple[int, ...]:
    """Return the states that free moves lead to (and gaps, if they are free too), in order."""
    found = set(states)
    waiting = list(found)
    while waiting:
        state = waiting.pop()
        near = net.free[state]
        if gaps:
            near = near + [target for symbol, target in net.arcs[state] if symbol == GAP]
        for target in near:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return tuple(sorted(found))


def minimal(automaton: Automaton) -> Automaton:
    """Merge states with the same future.

    Exact where no path goes round; a state from which a loop can be entered that leads back to it
    keeps its own place, which costs some size and changes no language.
    """
    classes: dict[tuple[bool, tuple[tuple[int, int], ...]], int] = {}
    class_of: dict[int, int] = {}
    n_classes = 0
    for state in children_first(automaton.arcs):
        arcs = automaton.arcs[state]
        if all(target in class_of for target in arcs.values()):
            future = tuple((symbol, class_of[target]) for symbol, target in arcs.items())
            key = (state in automaton.accepting, future)
            class_of[state] = classes.setdefault(key, n_classes)
        else:  # a loop leads back: its target is not done yet
            class_of[state] = n_classes
        n_classes += class_of[state] == n_classes
    return _renumbered(automaton, class_of)


def children_first(arcs: Sequence[dict[int, int]]) -> list[int]:
    """Return all states, each behind those it leads to but for loops (depth first, iterative)."""
    order: list[int] = []
    seen = [False] * len(arcs)
    seen[0] = True
    stack = [(0, iter(arcs[0].values()))]
    while stack:
        state, targets = stack[-1]
        for target in targets:
            if not seen[target]:
                seen[target] = True
                stack.append((target, iter(arcs[target].values())))
                break
        else:
            order.append(state)
            stack.pop()
    return order


def _renumbered(automaton: Automaton, class_of: dict[int, int]) -> Automaton:
    """Build the automaton of the classes, numbered from the start outwards."""
    example = {number: state for state, number in sorted(class_of.items(), reverse=True)}
    numbers = {class_of[0]: 0}
    arcs: list[dict[int, int]] = []
    for number in (order := [class_of[0]]):  # grows while it is read
        arcs.append({})
        for symbol, target in automaton.arcs[example[number]].items():
            found = class_of[target]
            if found not in numbers:
                numbers[found] = len(order)
                order.append(found)
            arcs[-1][symbol] = numbers[found]
    accepting = frozenset(
        numbers[class_of[state]] for state in automaton.accepting if class_of[state] in numbers
    )
    return Automaton(tuple(arcs), accepting)
