"""How a cost grows: slopes of made-up data that a person can predict."""

import math

import pytest

from wav2edge.benchmarks.fits import exponent, line


def test_a_line_is_found_exactly() -> None:
    """Points on y = 2 x + 1 have slope 2 without an error, and explain everything."""
    found = line([0.0, 1.0, 2.0, 5.0], [1.0, 3.0, 5.0, 11.0])
    assert (found.slope, found.intercept, found.r2) == pytest.approx((2.0, 1.0, 1.0))
    assert found.interval == pytest.approx((2.0, 2.0))


def test_scatter_widens_the_interval() -> None:
    """Around y = 0.2 x + 0.2 the residuals leave an error of 0.28, r2 0.2."""
    found = line([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 0.0, 1.0])
    error = math.sqrt(0.8 / 2 / 5)
    assert found.slope == pytest.approx(0.2)
    assert found.error == pytest.approx(error)
    assert found.r2 == pytest.approx(1 - 0.8 / 1.0)
    low, high = found.interval
    assert high - low == pytest.approx(2 * 4.303 * error)  # Student's t, two degrees of freedom


def test_the_exponent_tells_squares_from_lines() -> None:
    """A cost that is 3 n ** 2 grows with exponent 2; 5 n with exponent 1."""
    n = [1.0, 2.0, 4.0, 8.0]
    assert exponent(n, [3 * one**2 for one in n]).slope == pytest.approx(2.0)
    assert exponent(n, [5 * one for one in n]).slope == pytest.approx(1.0)


def test_two_points_tell_nothing() -> None:
    """Fewer than three points have no slope, and no figure is made of them."""
    found = line([0.0, 1.0], [0.0, 1.0])
    assert math.isnan(found.slope)
    assert set(found.figures("length", "ms_per_s").values()) == {None}


def test_a_fit_is_a_figure_with_its_interval() -> None:
    """The slope stands as the median, its interval of 95 % as the extremes, points as n."""
    figures = line([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]).figures("left", "ms_per_s")
    slope, r2 = figures["growth_left_ms_per_s"], figures["growth_left_r2"]
    assert slope is not None
    assert r2 is not None
    assert (slope.median, slope.lowest, slope.highest, slope.n) == pytest.approx((2, 2, 2, 3))
    assert r2.median == pytest.approx(1.0)
