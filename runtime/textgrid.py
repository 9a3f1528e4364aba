"""Praat TextGrids, in the long text format (https://www.fon.hum.uva.nl/praat/manual, TextGrid)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A labelled piece of a tier."""

    start_s: float
    end_s: float
    text: str


def textgrid(tiers: Mapping[str, Iterable[Interval]], duration_s: float) -> str:
    """Write interval tiers.

    Args:
        tiers: Intervals by the tier's name, in order and without overlap; what lies between them
            becomes intervals without a text, as Praat wants it. None may be empty of time.
        duration_s: Where every tier ends.
    """
    head = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_time(duration_s)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    lines = [
        line
        for number, (name, intervals) in enumerate(tiers.items(), start=1)
        for line in _tier(number, name, list(_filled(intervals, duration_s)), duration_s)
    ]
    return "\n".join([*head, *lines]) + "\n"


def _tier(number: int, name: str, intervals: list[Interval], duration_s: float) -> Iterator[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(name)}"
    yield "        xmin = 0"
    yield f"        xmax = {_time(duration_s)}"
    yield f"        intervals: size = {len(intervals)}"
    for place, one in enumerate(intervals, start=1):
        yield f"        intervals [{place}]:"
        yield f"            xmin = {_time(one.start_s)}"
        yield f"            xmax = {_time(one.end_s)}"
        yield f"            text = {_quoted(one.text)}"


def _filled(intervals: Iterable[Interval], duration_s: float) -> Iterator[Interval]:
    """Fill what lies between intervals; a gap too short to be written is none."""
    done_s = 0.0
    for one in intervals:
        if _time(one.start_s) != _time(done_s):
            yield Interval(done_s, one.start_s, "")
        yield one
        done_s = one.end_s
    if _time(done_s) != _time(duration_s):
        yield Interval(done_s, duration_s, "")


def _time(time_s: float) -> str:
    """Write seconds, to the microsecond, without an exponent."""
    return f"{time_s:.6f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
