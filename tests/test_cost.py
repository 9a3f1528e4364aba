"""What a bundle costs and how that grows, on made-up times and on a bundle that costs nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")

from tiny_bundle import write_tiny_bundle

from wav2edge.benchmarks import cost
from wav2edge.benchmarks.clips import find_clips
from wav2edge.benchmarks.cost_sections import cost_sections
from wav2edge.benchmarks.result import Result
from wav2edge.cli import main
from wav2edge.runtime.acoustic import AcousticModel, StepRequest, StepResult
from wav2edge.runtime.recognizer import load


def test_the_first_round_warms_up_and_everybody_has_a_turn() -> None:
    """Turns go A 1, A 2, B 1, and again; of three rounds two are kept."""
    order: list[str] = []

    def turn(name: str) -> Callable[[], cost.Spent]:
        def run() -> cost.Spent:
            order.append(name)
            return float(len(order)), 2.0

        return run

    turns = {"a": {1.0: turn("a1"), 2.0: turn("a2")}, "b": {1.0: turn("b1")}}
    spent = cost.in_turn(turns, 2, lambda _: None)
    assert order == ["a1", "a2", "b1"] * 3
    assert spent == {
        "a": {1.0: [(4.0, 2.0), (7.0, 2.0)], 2.0: [(5.0, 2.0), (8.0, 2.0)]},
        "b": {1.0: [(6.0, 2.0), (9.0, 2.0)]},
    }


def test_growth_of_a_cost_that_is_known() -> None:
    """Length squared, 3 ms a second of left context, 2 ms a step, 10 ms a stream: all are found."""
    lengths, lefts, chunks, streams = [10.0, 30.0, 100.0], [1.0, 2.0, 4.0], [80.0, 160.0, 320.0], [
        1.0, 2.0, 4.0,
    ]  # fmt: skip
    spent = {
        "length": {one: [(0.001 * one, 1.0)] for one in lengths},  # a second, so squared in all
        "left": {one: [(0.05 + 0.003 * one, 1.0)] for one in lefts},
        "chunk": {one: [(0.02 + 0.002 * 1000 / one, 1.0)] for one in chunks},
        "streams": {one: [(0.01 * one, 1.0)] for one in streams},
    }
    figures, series = cost.tabled(spent)
    grown = cost.grown(series)
    expected = {
        "growth_length_exponent": 2.0,
        "growth_left_ms_per_s": 3.0,
        "growth_chunk_ms_per_step": 2.0,
        "growth_streams_ms_per_s": 10.0,
    }
    for name, value in expected.items():
        found = grown[name]
        assert found is not None
        assert (found.median, found.lowest, found.highest) == pytest.approx((value,) * 3)
    of_ten = figures["offline_cpu_ms_per_s 10"]
    assert of_ten is not None
    assert of_ten.median == pytest.approx(10.0)
    assert series["left at"] == lefts


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_threads_to_try(cores: int, expected: list[int]) -> None:
    """Powers of two up to the cores, and all of them."""
    assert cost.threads_to_try(cores) == expected


def test_speed_of_a_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    """The command measures the bundle that is named, without torch, and defines every figure."""
    out = tmp_path / "cost.json"
    given = ["--model", tiny_bundle, "--rounds", 1, "--longest", 10, "--json", out]
    assert main(["bench", "speed", *map(str, given)]) == 0
    result = Result.read(out)
    assert result.series["length at"] == [1.0, 3.0, 10.0]
    assert result.conditions.model["name"] == "tiny"
    assert any(name.startswith("operator_step_context") for name in result.figures)
    undefined = [name for name in result.figures if not defined(name)]
    assert undefined == []
    step = result.figures["operator_step_context_rest_ms_per_s"]
    assert step is not None
    assert step.n == 10
    assert step.lowest <= step.median <= step.highest


def defined(name: str) -> bool:
    """Whether a figure's name begins with a definition's; `r2` of a growth ends with it."""
    known = tuple(one for one in cost.DEFINITIONS if one not in ("r2", "n"))
    return name.startswith(known) or (name.startswith("growth_") and name.endswith("_r2"))


def test_what_really_ran_is_measured_fitted_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of 64 ms, steps of 2 ms each: chunks, turns and slopes are those of whole frames."""
    bundle = write_tiny_bundle(tmp_path / "slow", sample_rate_hz=1250).folder
    n_steps, stepped = [0], AcousticModel._stepped

    def counted(self: AcousticModel, requests: Sequence[StepRequest]) -> list[StepResult]:
        n_steps[0] += len(requests)
        return stepped(self, requests)

    monkeypatch.setattr(AcousticModel, "_stepped", counted)
    clock = SimpleNamespace(process_time=lambda: 0.002 * n_steps[0], perf_counter=lambda: 0.0)
    monkeypatch.setattr(cost, "time", clock)
    options = cost.CostOptions(lambda _: load(bundle), rounds=1, longest_s=1.0)
    result = cost.measure(load(bundle), find_clips([]), options)
    assert result.series["chunk at"] == [128.0, 192.0, 320.0, 640.0, 1280.0]
    assert result.series["left at"] == pytest.approx([1.024, 2.048, 4.032, 8.0, 16.0])
    ran = {"chunk_ms": 320.0, "lookahead_ms": 320.0, "left_ms": 4032.0}
    assert result.conditions.options["stream"] == ran
    assert result.figures["chunk_cpu_ms_per_s 128"] is not None
    for name, value in (("chunk_ms_per_step", 2.0), ("streams_ms_per_s", 2.0 / 0.32)):
        found = result.figures[f"growth_{name}"]
        assert found is not None
        assert (found.median, found.lowest, found.highest) == pytest.approx((value,) * 3)
    settings = cost_sections(result)[1]
    assert "chunk 320 ms, look-ahead 320 ms and 4.032 s left" in settings.text
    assert ["chunk, ms", "128", "15.62"] in settings.rows


def test_a_turn_is_a_whole_number_of_its_own_chunks() -> None:
    """About five seconds, whatever the chunk, and every chunk as long as the others."""
    heard = cost.HeardAudio(find_clips([]), 16_000)
    for chunk_ms in (90.0, 180.0, 330.0, 660.0, 1290.0, 60_000.0):
        lengths = [len(chunk) for chunk in heard.chunks(chunk_ms)]
        assert set(lengths) == {16 * chunk_ms}
        assert len(lengths) == max(1, round(5120 / chunk_ms))


def test_what_is_compared_takes_no_model(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--compare makes its own models: with --model it is refused, before anything is made."""
    assert main(["bench", "speed", "--compare", "--model", str(tiny_bundle)]) == 2
    assert "--compare" in capsys.readouterr().err
