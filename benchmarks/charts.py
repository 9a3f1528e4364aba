"""Charts as SVG that stands inside a page: no library, no outside resource, colours from the page.

Text and lines take their colours from the page's style sheet (`ink`, `grid`, `c0` to `c7`), so that
a chart can be read on a light page and on a dark one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

N_COLORS = 8
_WIDTH, _HEIGHT = 520.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 16.0, 12.0, 46.0
_BAR, _GAP = 20.0, 7.0
_TICKS = 5
_LETTER = 7.2  # how wide one is, about


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    names: Sequence[str] = ()
    """Written beside the points, where points have names."""
    marks: bool = True
    """Show each point."""
    joined: bool = True
    """Draw a line through them."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands along one side."""

    label: str
    log: bool = False
    from_zero: bool = True
    """Begin at 0, so that lengths compare; without meaning where `log` is."""
    ticks: Sequence[float] = ()
    """Where to write numbers; none: at round ones."""


CPU = Axis("CPU ms per second of audio")
"""What most charts have upwards."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Values to places between two ends of the picture."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def curves(several: Sequence[Curve], across: Axis, up: Axis, *, title: str) -> str:
    """Draw lines over common axes, with a legend where there are several.

    Args:
        several: At least one with at least one point; points that are no number are left out.
        across: The horizontal axis.
        up: The vertical one.
        title: What the picture shows, for who cannot see it.

    Returns:
        An `<svg>` element.
    """
    kept = [_finite(one, across, up) for one in several]
    x = _scale([at for one in kept for at in one.x], across, _LEFT, _WIDTH - _RIGHT)
    y = _scale([at for one in kept for at in one.y], up, _HEIGHT - _BOTTOM, _TOP)
    parts = [*_grid(x, y, across, up)]
    for i, one in enumerate(kept):
        parts += _drawn(one, i % N_COLORS, x, y)
    legend = [(i % N_COLORS, one.label) for i, one in enumerate(kept) if one.label]
    height = _HEIGHT
    if len(legend) > 1:
        rows = _legend(legend)
        parts += rows[0]
        height += rows[1]
    return _svg(parts, height, title)


def bars(rows: Sequence[tuple[str, float]], *, unit: str, title: str, color: int = 0) -> str:
    """Draw horizontal bars, each with its label and its value, in the order given."""
    most = max((value for _, value in rows), default=0.0) or 1.0
    left, room = 190.0, _WIDTH - 190.0 - 90.0
    parts = []
    for i, (label, value) in enumerate(rows):
        top = 4 + i * (_BAR + _GAP)
        middle = top + _BAR / 2 + 4
        width = max(1.0, room * value / most)
        parts += [
            _text(left - 8, middle, label, anchor="end"),
            _rectangle(color, left, top, width, _BAR),
            _text(left + width + 6, middle, f"{rounded(value)} {unit}", anchor="start"),
        ]
    return _svg(parts, 8 + len(rows) * (_BAR + _GAP), title)


def rounded(value: float) -> str:
    """Write a value with three digits, and none of them as an exponent.

    >>> rounded(0.04567), rounded(1234.5)
    ('0.0457', '1234')
    """
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004


def cumulative(label: str, values: Sequence[float]) -> Curve:
    """Return the share of values at or below each value, in percent, as a curve.

    A hundredth at either end is left out: stragglers would press the rest together.
    """
    ordered = sorted(values)
    n = len(ordered)
    share = [100 * (i + 1) / n for i in range(n)]
    first, last = math.ceil(0.01 * (n - 1)), n - math.ceil(0.01 * (n - 1))
    return Curve(label, ordered[first:last], share[first:last], marks=False)


def ticks(low: float, high: float, *, log: bool = False) -> list[float]:
    """Return round numbers between two ends: steps of 1, 2 or 5, or of a log scale.

    >>> ticks(0, 10)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    >>> ticks(1, 600, log=True)
    [1.0, 10.0, 100.0]
    """
    if log:
        whole = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        found = [10.0**power for power in whole]
        if len(found) >= 3:  # noqa: PLR2004  (enough to read a scale by)
            return found
        return [
            step * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for step in (1, 2, 5)
            if low * (1 - 1e-9) <= step * 10.0**power <= high * (1 + 1e-9)
        ]
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _finite(one: Curve, across: Axis, up: Axis) -> Curve:
    """Leave out points that cannot be drawn."""
    names = list(one.names) or [""] * len(one.x)
    kept = [
        (x, y, name)
        for x, y, name in zip(one.x, one.y, names, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (x > 0 or not across.log)
        and (y > 0 or not up.log)
    ]  # fmt: skip
    shown = [name for _, _, name in kept]
    x, y = [at for at, _, _ in kept], [at for _, at, _ in kept]
    return replace(one, x=x, y=y, names=shown)


def _scale(values: Sequence[float], axis: Axis, start: float, end: float) -> _Scale:
    low, high = min(values, default=1.0), max(values, default=1.0)
    if axis.log:
        room = (high / low) ** 0.04 if high > low else 2.0
        return _Scale(low / room, high * room, start, end, log=True)
    low = min(0.0, low) if axis.from_zero else low
    room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    return _Scale(low if axis.from_zero else low - room, high + room, start, end, log=False)


def _grid(x: _Scale, y: _Scale, across: Axis, up: Axis) -> list[str]:
    left, right, top, bottom = x.start, x.end, y.end, y.start
    parts, taken_to = [], -math.inf
    for value in sorted(across.ticks or ticks(x.low, x.high, log=x.log)):
        at, number = x.place(value), f"{value:g}"
        parts.append(f'<path class="grid" d="M{at:.1f} {top:g}V{bottom:g}"/>')
        half = _LETTER * len(number) / 2
        if at - half > taken_to:  # others would run into one another
            parts.append(_text(at, bottom + 16, number))
            taken_to = at + half
    for value in up.ticks or ticks(y.low, y.high, log=y.log):
        at = y.place(value)
        parts.append(f'<path class="grid" d="M{left:g} {at:.1f}H{right:g}"/>')
        parts.append(_text(left - 6, at + 4, f"{value:g}", anchor="end"))
    middle = (top + bottom) / 2
    parts.append(f'<path class="axis" d="M{left:g} {top:g}V{bottom:g}H{right:g}"/>')
    parts.append(_text((left + right) / 2, bottom + 36, across.label, kind="label"))
    turn = f' transform="rotate(-90 14 {middle:g})"'
    parts.append(_text(14, middle, up.label, kind="label", more=turn))
    return parts


def _drawn(one: Curve, color: int, x: _Scale, y: _Scale) -> list[str]:
    places = [(x.place(a), y.place(b)) for a, b in zip(one.x, one.y, strict=True)]
    parts = []
    if one.joined and len(places) > 1:
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        parts.append(f'<path class="c{color} line" d="M{line}"/>')
    if one.marks:
        parts += [
            f'<circle class="c{color} fill" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in places
        ]
    return parts + _beside(places, one.names, x.end)


def _beside(places: Sequence[tuple[float, float]], names: Sequence[str], right: float) -> list[str]:
    """Write names beside points, one row higher where they would run into one another."""
    parts, taken_to, row = [], -math.inf, 0
    for (a, b), name in zip(places, names, strict=True):
        if not name:
            continue
        width = _LETTER * len(name)
        left = min(a + 5, right - width)
        row = (row + 1) % 3 if left < taken_to else 0
        taken_to = left + width + 4
        parts.append(_text(left, b - 7 - 13 * row, name, anchor="start", kind="name"))
    return parts


def _legend(entries: Sequence[tuple[int, str]]) -> tuple[list[str], float]:
    """Return the legend under the picture, and the height that it takes."""
    parts, left, top = [], _LEFT, _HEIGHT + 14
    for color, label in entries:
        width = 30 + _LETTER * len(label)
        if left + width > _WIDTH and left > _LEFT:
            left, top = _LEFT, top + 18
        parts.append(_rectangle(color, left, top - 9, 12, 10))
        parts.append(_text(left + 17, top, label, anchor="start"))
        left += width
    return parts, top - _HEIGHT + 10


def _text(
    x: float, y: float, text: str, *, anchor: str = "middle", kind: str = "", more: str = ""
) -> str:
    named = f"ink {kind}".strip()
    return (
        f'<text class="{named}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>'
        f"{escape(text)}</text>"
    )


def _rectangle(color: int, left: float, top: float, width: float, height: float) -> str:
    places = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:g}"'
    return f'<rect class="c{color} fill" {places} rx="2"/>'


def _svg(parts: Sequence[str], height: float, title: str) -> str:
    head = f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img"><title>{escape(title)}</title>'
    return "\n".join([head, *parts, "</svg>"])
