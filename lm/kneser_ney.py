"""Interpolated modified Kneser-Ney smoothing.

Chen and Goodman 1999 ("An empirical study of smoothing techniques for language modeling", section
3), as KenLM's `lmplz` estimates it (Heafield et al. 2013, "Scalable modified Kneser-Ney language
model estimation", section 3), so that the two agree:

- An n-gram of the highest order counts as often as it occurs, and so does a shorter one that starts
  with `<s>`; any other counts the distinct words before it.
- Each order has three discounts, from how many of its n-grams count 1, 2, 3 and 4.
- Each order is interpolated with the one below; words with an even share for every word and
  `<unk>`, which so gets what a word that never occurred would.
- Pruning leaves out n-grams that occur too seldom, after the discounts were found; what they had
  goes to the back-off weight of their context.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .counts import END_ID, START_ID, UNKNOWN_ID, Level
from .errors import ModelOptionsError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Discounts = tuple[float, float, float]
"""What is taken from counts of 1, of 2, and of 3 or more."""

FALLBACK: Discounts = (0.5, 1.0, 1.5)
"""The discounts that KenLM suggests where a text is too small to tell."""

_LOWEST = 1e-99  # probability whose log10 ARPA files traditionally write for "never"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of the n-grams of one order."""

    log_probs: Floats
    """log10 p of each row of the level, `[n]`."""
    backoffs: Floats
    """log10 back-off weight of each, `[n]`; 0 where it is no context."""
    kept: Flags
    """Rows that pruning leaves, `[n]`."""
    discounts: Discounts
    fallback: bool
    """The text was too small to tell the discounts; they are those that were given for it."""


def estimate(
    levels: Sequence[Level],
    *,
    thresholds: Sequence[int],
    allowed: Flags | None = None,
    fallback: Discounts | None = None,
) -> list[Estimate]:
    """Turn counts into probabilities.

    Args:
        levels: From `count_ngrams`.
        thresholds: For each order: n-grams that occur no more often are left out. They must not
            fall from one order to the next.
        allowed: For each word id, whether n-grams with it are kept; None: all are.
        fallback: Discounts for orders whose own cannot be computed; None: that is an error.

    Raises:
        ModelOptionsError: If discounts cannot be computed and there is no fallback, or if an order
            has no n-grams, or none is left.
    """
    adjusted = _adjusted(levels)
    kept = _kept(levels, thresholds, allowed)
    probs: list[Floats] = []
    weights: list[Floats] = []
    discounts: list[tuple[Discounts, bool]] = []
    # Below the words lies one row: every kept word but <s>, and <unk>, has the same share.
    lower = np.array([1 / (np.count_nonzero(kept[0]) - 1)])
    for index, level in enumerate(levels):
        counts, keep = adjusted[index], kept[index]
        if not keep.any():
            what = "is left after pruning" if len(keep) else "is in the text"
            raise ModelOptionsError(
                f"no n-gram of order {index + 1} {what}: ask for order {index}, or prune less"
            )
        found = _discounts(counts, index + 1, fallback)
        discounts.append(found)
        gammas, lower = _interpolated(level, counts, keep, found[0], lower)
        if index == 0:
            lower[START_ID] = 1.0  # it is given, never predicted
        weights.append(gammas)
        probs.append(lower)
    weights.append(np.ones(len(levels[-1].keys)))  # the longest n-grams are no contexts
    return [
        Estimate(
            np.minimum(np.log10(np.maximum(prob, _LOWEST)), 0.0),
            np.log10(np.maximum(weights[index + 1], _LOWEST)),
            kept[index],
            *discounts[index],
        )
        for index, prob in enumerate(probs)
    ]


def _adjusted(levels: Sequence[Level]) -> list[NDArray[np.int64]]:
    """Count distinct words before an n-gram, or occurrences where nothing can be before it."""
    starts = np.arange(len(levels[0].keys)) == START_ID
    adjusted = []
    for index, level in enumerate(levels):
        if index > 0:
            starts = starts[level.contexts]
        if index + 1 < len(levels):
            before = np.bincount(levels[index + 1].suffixes, minlength=len(level.keys))
            counts = np.where(starts, level.counts, before)
        else:
            counts = level.counts.copy()
        adjusted.append(counts)
    adjusted[0][[UNKNOWN_ID, START_ID]] = 0
    return adjusted


def _kept(levels: Sequence[Level], thresholds: Sequence[int], allowed: Flags | None) -> list[Flags]:
    """Tell which n-grams occur often enough and have no word that is not allowed."""
    words = np.ones(levels[0].n_types, bool) if allowed is None else allowed.copy()
    words[[UNKNOWN_ID, START_ID, END_ID]] = True
    kept = []
    spelled = words
    for index, (level, threshold) in enumerate(zip(levels, thresholds, strict=True)):
        if index > 0:
            spelled = spelled[level.contexts] & words[level.last_words]
        keep = spelled & (level.counts > threshold)
        if index == 0:
            keep[[UNKNOWN_ID, START_ID, END_ID]] = True
        kept.append(keep)
    return kept


def _discounts(
    counts: NDArray[np.int64], order: int, fallback: Discounts | None
) -> tuple[Discounts, bool]:
    """Compute the discounts of an order (Chen and Goodman, equation 26)."""
    n = np.bincount(counts[counts <= 4], minlength=5).astype(float)  # noqa: PLR2004
    why = ""
    if not n[1:4].all():
        missing = 1 + int(np.flatnonzero(n[1:4] == 0)[0])
        why = f"none of the {len(counts)} {order}-grams counts {missing}"
    else:
        y = n[1] / (n[1] + 2 * n[2])
        one, two, three = (j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3))
        if 0 <= one <= 1 and 0 <= two <= 2 and 0 <= three <= 3:  # noqa: PLR2004
            return (float(one), float(two), float(three)), False
        why = f"those of the {order}-grams would be {one:.3g}, {two:.3g} and {three:.3g}"
    if fallback is None:
        raise ModelOptionsError(
            f"the text is too small or too regular to tell the Kneser-Ney discounts: {why}. Give "
            "more text, not the same again, or set them: --discount-fallback 0.5 1 1.5"
        )
    return fallback, True


def _interpolated(
    level: Level,
    counts: NDArray[np.int64],
    keep: Flags,
    discounts: Discounts,
    lower: Floats,
) -> tuple[Floats, Floats]:
    """Return the back-off weight of each context, and the probability of each n-gram.

    Args:
        level: The n-grams.
        counts: Adjusted.
        keep: Those that pruning leaves.
        discounts: For counts of 1, 2 and more.
        lower: Probabilities of the level below.
    """
    contexts, n_contexts = level.contexts, len(lower)
    totals = np.bincount(contexts, weights=counts, minlength=n_contexts)
    taken = np.where(keep, np.array([0.0, *discounts])[np.minimum(counts, 3)], counts)
    weights = np.bincount(contexts, weights=taken, minlength=n_contexts)
    with np.errstate(invalid="ignore", divide="ignore"):
        gammas = np.where(totals > 0, weights / totals, 1.0)
        own = (counts - taken) / totals[contexts]
    return gammas, own + gammas[contexts] * lower[level.suffixes]
