"""Our graph against others: what is compared is compared in turn, warm, round by round."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
from tiny_bundle import write_tiny_bundle

from wav2edge.benchmarks import cost, speed
from wav2edge.benchmarks.base_model import BaseModel
from wav2edge.benchmarks.cost import Spent, in_turn
from wav2edge.benchmarks.fresh import Fresh
from wav2edge.runtime.recognizer import load
from wav2edge.runtime.stream import Stream

CONTENDERS = ("ours_float_conv", "ours_int_conv", "plain_int8", "legacy_int8", "plain_float32",
              "torch_float32")  # fmt: skip


def test_ratios_of_cpu_are_taken_round_by_round() -> None:
    """Others cost four and eight times as much; the clock, in which they do not, is told beside."""
    spent: dict[str, list[Spent]] = {name: [(0.04, 0.5), (0.16, 0.5)] for name in CONTENDERS}
    spent["ours_float_conv"] = [(0.01, 0.25), (0.02, 0.75)]
    figures = speed.offline_figures(spent, 10)
    ratio = figures["ratio_plain_int8_over_ours_float_conv_10s"]
    assert ratio is not None
    assert (ratio.lowest, ratio.highest, ratio.n) == pytest.approx((4.0, 8.0, 2))
    wall = figures["offline_ours_float_conv_10s_wall_ms_per_s"]
    assert wall is not None
    assert (wall.median, wall.lowest, wall.highest) == pytest.approx((500.0, 250.0, 750.0))


def test_stream_and_whole_have_their_turns_in_each_round(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream's contexts are full before; then both warm up, and each round has both."""
    order: list[str] = []
    push = Stream.push

    def noted(self: Stream, samples: NDArray[np.float32]) -> object:
        order.append("stream")
        return push(self, samples)

    monkeypatch.setattr(Stream, "push", noted)
    recognizer = load(tiny_bundle)
    turns = speed.beside_offline(recognizer, lambda audio: order.append(f"{len(audio)} at once"))
    assert order == ["stream"] * 15  # 14 steps see 4 s and what is held back
    order.clear()
    spent = in_turn(turns, 2, lambda _: None)
    at_once = f"{10 * recognizer.sample_rate_hz} at once"
    assert order == [*["stream"] * 16, at_once] * 3
    assert [len(rounds) for by_size in spent.values() for rounds in by_size.values()] == [2, 2]


def test_everything_is_defined_and_timed_in_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All figures have a definition; what is timed has CPU, wall and a value each round."""
    bundle = write_tiny_bundle(tmp_path / "tiny")
    files = BaseModel(tmp_path, bundle.folder, bundle.folder, *[bundle.model_path] * 3)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")

    @contextmanager
    def contenders(*_: object) -> Iterator[dict[str, Callable[[Any], object]]]:
        yield dict.fromkeys(CONTENDERS, lambda audio: sum(audio[:1000]))

    rounds = [(0.02, 0.03)] * 2
    compared = {"stream": rounds, "window": [(0.16, 0.2)] * 2}
    replaced: dict[str, object] = {
        "base_model": lambda *_: files,
        "_contenders": contenders,
        "compare": lambda *_, **__: compared,
        "run": lambda *_, **__: Fresh(1, 1, 1, 1, 1, 1, 1),
        "peaks": lambda _: {"peak_int8_gmac_per_s": 4.0},
        "floors": lambda *_: {"floor_linears_ms_per_s": 1.0},
        "plain_operator_rounds": lambda *_: {"offline_Conv_ms_per_s": [1.0] * 10},
    }
    for name, value in replaced.items():
        monkeypatch.setattr(speed, name, value)
    result = speed.measure(tmp_path, rounds=2)
    known = tuple(one for one in speed.DEFINITIONS if one != "n")
    assert [name for name in result.figures if not name.startswith(known)] == []
    for name, figure in result.figures.items():
        if name.startswith(("offline_", "ratio_", "stream_", "window_")):
            assert figure is not None
            assert figure.n == 2, name
        if name.startswith("operator_"):
            assert figure is not None
            assert figure.n == 10, name
    assert "stream_ours_int_conv_wall_ms_per_s" in result.figures
    assert "operator_int_conv_step_context_rest_ms_per_s" in result.figures
    assert result.conditions.options["stream"] == {
        "chunk_ms": cost.STREAM.chunk_ms, "lookahead_ms": 320.0, "left_ms": 4000.0
    }  # fmt: skip
