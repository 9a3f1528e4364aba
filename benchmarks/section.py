"""One part of a report, and figures as its tables write them."""

from dataclasses import dataclass, field

from .result import Figure

_LONG_TABLE = 40  # rows


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a report."""

    title: str
    text: str = ""
    charts: list[tuple[str, str]] = field(default_factory=list)
    """What each shows, and its `<svg>`."""
    rows: list[list[str]] = field(default_factory=list)
    """A table, its head first."""

    @property
    def is_long(self) -> bool:
        """Whether the table is more than a reader looks over at once."""
        return len(self.rows) > _LONG_TABLE


def shown(figure: Figure | None, form: str = "") -> str:
    """Write a figure for a table: its median, and its extremes where they differ.

    Args:
        figure: None is one that could not be measured.
        form: As `format` takes it; none: four significant digits, and no exponents.
    """
    if figure is None:
        return "not measured"
    median, lowest, highest = (
        format(value, form or (".4g" if abs(value) < 1000 else ".0f"))  # noqa: PLR2004
        for value in (figure.median, figure.lowest, figure.highest)
    )
    if figure.n == 1 or figure.lowest == figure.highest:
        return median
    return f"{median} ({lowest} to {highest})"
