"""How cost grows with the model's size: a power that is known, and what is told of each size."""

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")

from wav2edge.benchmarks import sizes

NAMED = {4.0: "tiny", 100.0: "base", 400.0: "large"}


def test_the_power_of_the_size_is_found() -> None:
    """Twice the root of the size grows with exponent 0.5, exactly."""
    spent = {at: [(0.002 * at**0.5, 1.0)] * 5 for at in NAMED}
    found = sizes.grown("offline", spent)["growth_offline_exponent"]
    assert found is not None
    assert (found.median, found.lowest, found.highest) == pytest.approx((0.5,) * 3)


def test_rounds_are_no_points_of_their_own() -> None:
    """Five rounds of three sizes are three points: the interval has one degree of freedom."""
    took = {4.0: 0.010, 100.0: 0.060, 400.0: 0.090}
    once = {at: [(cpu_s, 1.0)] for at, cpu_s in took.items()}
    often = {at: [(cpu_s * (1 + i / 100), 1.0) for i in (-2, -1, 0, 1, 2)] for at, cpu_s in
             took.items()}  # fmt: skip
    found = sizes.grown("stream", often)["growth_stream_exponent"]
    assert found is not None
    assert found == sizes.grown("stream", once)["growth_stream_exponent"]
    assert found.n == 3
    assert found.highest - found.lowest > found.median


def test_what_a_further_million_adds_is_told_between_sizes() -> None:
    """From 4 to 100 M 48 ms more are 0.5 ms a million; from 100 to 400 M 30 ms more are 0.1."""
    spent = {at: [(cpu_ms / 1000, 9.0)] * 2 + [(cpu_ms / 500, 9.0)] for at, cpu_ms in
             ((4.0, 2.0), (100.0, 50.0), (400.0, 80.0))}  # fmt: skip
    found = sizes.further("offline", spent, NAMED)
    assert list(found) == [
        "offline_cpu_ms_per_million tiny to base",
        "offline_cpu_ms_per_million base to large",
    ]
    for figure, value in zip(found.values(), (0.5, 0.1), strict=True):
        assert figure is not None
        assert (figure.median, figure.lowest, figure.n) == pytest.approx((value, value, 3))
        assert figure.highest == pytest.approx(2 * value)  # the round in which all took twice


def test_every_figure_is_defined_and_has_its_wall_time(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each size CPU and wall; the conditions say which stream ran."""
    weights_m = iter((1.0, 2.0, 3.0))
    monkeypatch.setattr(sizes, "_kept", lambda *_: tiny_bundle)
    monkeypatch.setattr(sizes, "_weights_m", lambda _: next(weights_m))
    monkeypatch.setattr(sizes, "WHOLE_S", 1.0)
    result = sizes.measure(tiny_bundle, rounds=2)
    known = tuple(one for one in sizes.DEFINITIONS if one not in ("r2", "n"))
    assert [one for one in result.figures if not one.startswith(known)] == [
        "growth_offline_r2",
        "growth_stream_r2",
    ]
    for way in ("offline", "stream"):
        for size in sizes.SIZES:
            wall = result.figures[f"{way}_wall_ms_per_s {size}"]
            assert wall is not None
            assert wall.n == 2
        assert len(result.series[f"{way} wall"]) == len(result.series["weights_m"]) == 3
    assert result.conditions.options["stream"]["chunk_ms"] == 320.0
