"""How far one text is from another: word and character error rates.

The one scorer that everything here uses. Needs rapidfuzz (in the extras `export`, `train` and
`bench`); a device never scores.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

_APOSTROPHE = "\u2019"


def spoken_words(text: str) -> tuple[str, ...]:
    """Part a text into words that compare: upper case, NFC, without punctuation but apostrophes."""
    plain = unicodedata.normalize("NFC", text).replace(_APOSTROPHE, "'").upper()
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    return tuple(word for word in (part.strip("'") for part in kept.split()) if word)


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


@dataclass(frozen=True, slots=True)
class Score:
    """How well a set of utterances was heard."""

    n_utterances: int
    words: ErrorRate
    characters: ErrorRate
    wer_interval: tuple[float, float]
    """95 %, over utterances."""
    cer_interval: tuple[float, float]


def score(pairs: Iterable[tuple[str, str]], *, seed: int = 0) -> Score:
    """Score (reference, hypothesis) pairs, both brought to `spoken_words`.

    Args:
        pairs: Of texts as people write them.
        seed: Of the bootstrap.
    """
    plain = [(" ".join(spoken_words(a)), " ".join(spoken_words(b))) for a, b in pairs]
    words = [word_error_rate([pair]) for pair in plain]
    characters = [character_error_rate([pair]) for pair in plain]
    return Score(
        len(plain),
        _total(words),
        _total(characters),
        interval(words, seed=seed),
        interval(characters, seed=seed),
    )


def interval(
    utterances: Sequence[ErrorRate], *, confidence: float = 0.95, n_draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap interval of the error rate of a set of utterances.

    Utterances are drawn with replacement, as in Bisani and Ney 2004, "Bootstrap estimates for
    confidence intervals in ASR performance evaluation" (percentiles).

    Args:
        utterances: Edits and reference length of each.
        confidence: Share of the intervals that hold the true rate.
        n_draws: Sets that are drawn.
        seed: The same seed gives the same interval.
    """
    if not utterances:
        return 0.0, 0.0
    n_edits = np.array([one.n_edits for one in utterances], np.int64)
    n_reference = np.array([one.n_reference for one in utterances], np.int64)
    rng = np.random.default_rng(seed)
    n = len(utterances)
    rates = np.empty(n_draws)
    for i in range(n_draws):
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        rates[i] = int(times @ n_edits) / max(1, int(times @ n_reference))
    low, high = np.quantile(rates, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


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


def _total(rates: Sequence[ErrorRate]) -> ErrorRate:
    return ErrorRate(sum(one.n_edits for one in rates), sum(one.n_reference for one in rates))
