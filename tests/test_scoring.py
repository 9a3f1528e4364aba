"""The scorer: what compares, and how sure a rate is."""

from math import comb

import numpy as np
import pytest

pytest.importorskip("rapidfuzz", reason="scoring needs rapidfuzz")

from wav2edge.lm.scoring import ErrorRate, interval, score


def utterances(n: int, n_wrong: int) -> list[ErrorRate]:
    """Utterances of one word each, so many of them wrong."""
    return [ErrorRate(int(i < n_wrong), 1) for i in range(n)]


def test_an_interval_is_the_one_that_can_be_computed() -> None:
    """With words of one letter each the drawn rate is binomial, whose quantiles are known."""
    n, wrong = 100, 20
    chances = [comb(n, k) * 0.2**k * 0.8 ** (n - k) for k in range(n + 1)]
    low, high = np.searchsorted(np.cumsum(chances), (0.025, 0.975)) / n
    found = interval(utterances(n, wrong), n_draws=4000)
    assert found == pytest.approx((low, high), abs=0.0101)  # a word
    assert found == interval(utterances(n, wrong), n_draws=4000)


def test_most_intervals_hold_the_truth() -> None:
    """Of 95 % intervals of sets drawn with a rate of 0.3, about 95 % hold it."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        drawn = [ErrorRate(int(rng.binomial(8, 0.3)), 8) for _ in range(40)]
        low, high = interval(drawn, n_draws=300)
        held += low <= 0.3 <= high
    assert 88 <= held <= 99


def test_long_utterances_weigh_more() -> None:
    """A set's rate is edits over all words, not the mean of the utterances' rates."""
    found = score([("a b c d e f g h i", "a b c d e f g h i"), ("X", "y")])
    assert (found.n_utterances, found.words) == (2, ErrorRate(1, 10))
    assert found.wer_interval[0] == 0.0
    assert found.wer_interval[1] == 1.0


def test_case_and_punctuation_do_not_count() -> None:
    """Both sides are brought to the same form before they are compared."""
    found = score([("Don\u2019t stop, now!", "DON'T STOP NOW")])
    assert found.words == ErrorRate(0, 3)
    assert found.characters.n_edits == 0
    assert score([]).words.rate == 0.0
