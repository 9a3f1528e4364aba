"""How far one text is from another: word and character error rates.

The one scorer that everything here uses. Needs rapidfuzz (in the extras `export`, `train` and
`bench`); a device never scores.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Edits over reference length, summed over all texts (micro average)."""

    n_edits: int
    """Substitutions, deletions and insertions (Levenshtein 1966)."""
    n_reference: int
    """Words or characters in the references."""

    @property
    def rate(self) -> float:
        """Edits per reference unit, 0 when there is neither; above 1 is possible."""
        if self.n_reference == 0:
            return float(self.n_edits > 0)
        return self.n_edits / self.n_reference


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> ErrorRate:
    """Score (reference, hypothesis) pairs by words, parted at white space.

    >>> word_error_rate([("TURN ON THE LIGHT", "TURN ON A LIGHT")]).rate
    0.25
    """
    return _error_rate(
        (tuple(reference.split()), tuple(hypothesis.split())) for reference, hypothesis in pairs
    )


def character_error_rate(pairs: Iterable[tuple[str, str]]) -> ErrorRate:
    """Score (reference, hypothesis) pairs by characters; runs of white space count as one space."""
    return _error_rate(
        (tuple(" ".join(reference.split())), tuple(" ".join(hypothesis.split())))
        for reference, hypothesis in pairs
    )


def _error_rate(pairs: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> ErrorRate:
    from rapidfuzz.distance import Levenshtein

    n_edits = n_reference = 0
    for reference, hypothesis in pairs:
        n_edits += Levenshtein.distance(reference, hypothesis)
        n_reference += len(reference)
    return ErrorRate(n_edits, n_reference)
