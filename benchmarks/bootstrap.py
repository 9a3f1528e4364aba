"""How sure a figure is: bootstrap intervals over what was drawn independently."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .result import Figure

Floats = NDArray[np.float64]

DRAWS = 2000


def bootstrapped(
    groups: Sequence[Floats],
    statistic: Callable[[Floats], float],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Figure | None:
    """Return a statistic of all rows, and the interval of it (percentiles).

    Whole groups are drawn with replacement: rows of one speaker, or of one recording, belong
    together (Efron and Tibshirani 1993, "An introduction to the bootstrap", section 8.3).

    Args:
        groups: Rows `[n, ...]` of each group, n at least 1.
        statistic: Of rows; NaN where it means nothing, and such draws count for nothing.
        confidence: Share of the intervals that hold the true value.
        seed: The same seed gives the same interval.

    Returns:
        The statistic, the interval's ends, and the number of rows; None where it means nothing.
    """
    if not groups:
        return None
    rows = np.concatenate(groups)
    value = statistic(rows)
    if np.isnan(value):
        return None
    rng = np.random.default_rng(seed)
    drawn = (
        statistic(np.concatenate([groups[place] for place in places]))
        for places in rng.integers(len(groups), size=(DRAWS, len(groups)))
    )
    values = np.array([one for one in drawn if not np.isnan(one)])
    low, high = np.quantile(values, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Figure(value, float(low), float(high), len(rows))
