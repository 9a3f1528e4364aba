"""How a cost grows: a line through what was measured, how sure its slope is, and the exponent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .result import Figure

# Student's t for a two-sided interval of 95 %, by degrees of freedom; between them the larger one.
_T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
         10: 2.228, 12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.0, 120: 1.98}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line by least squares; NaN throughout for fewer than three points."""

    slope: float
    error: float
    """Standard error of the slope."""
    intercept: float
    r2: float
    """Share of the variance that the line explains."""
    n: int
    """Points: of what was measured several times at one place, the median is one."""

    @property
    def interval(self) -> tuple[float, float]:
        """The slope's interval of 95 %, by Student's t."""
        t = next((_T_95[n] for n in sorted(_T_95, reverse=True) if n <= self.n - 2), math.nan)
        return self.slope - t * self.error, self.slope + t * self.error

    def figures(self, name: str, unit: str) -> dict[str, Figure | None]:
        """Return the slope with its interval in place of extremes, and r2, under a name."""
        if math.isnan(self.slope):
            return {f"growth_{name}_{unit}": None, f"growth_{name}_r2": None}
        return {
            f"growth_{name}_{unit}": Figure(self.slope, *self.interval, self.n),
            f"growth_{name}_r2": Figure(self.r2, self.r2, self.r2, self.n),
        }


def line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit y = intercept + slope * x by least squares.

    Points are taken to be independent. Repeats at one place are not: they share what lies off the
    line there, and fitted one by one make the interval far too narrow. Give their median.

    >>> found = line([0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 5.0, 11.0])
    >>> round(found.slope, 6), round(found.intercept, 6), round(found.r2, 6)
    (2.0, 1.0, 1.0)
    """
    if len(x) < 3:  # noqa: PLR2004  (two points leave no residual)
        return Line(math.nan, math.nan, math.nan, math.nan, len(x))
    across, up = np.asarray(x, float) - np.mean(x), np.asarray(y, float) - np.mean(y)
    spread, total = float(across @ across), float(up @ up)
    slope = float(across @ up) / spread
    residual = up - slope * across
    left = float(residual @ residual)
    return Line(
        slope=slope,
        error=math.sqrt(left / (len(x) - 2) / spread),
        intercept=float(np.mean(y)) - slope * float(np.mean(x)),
        r2=1 - left / total if total else 1.0,
        n=len(x),
    )


def exponent(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit y = c * x ** slope, both above 0: 1 is a cost that grows as its cause does.

    >>> round(exponent([1.0, 2.0, 4.0], [3.0, 12.0, 48.0]).slope, 6)
    2.0
    """
    return line([math.log(one) for one in x], [math.log(one) for one in y])
