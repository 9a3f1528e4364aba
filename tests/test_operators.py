"""Operators: a step is as long as the stream's, and its rounds are told apart."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
from tiny_bundle import LEFT_FRAMES, write_tiny_bundle

from wav2edge.benchmarks import operators
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.frames import Geometry
from wav2edge.runtime.stream import StreamOptions

Profile = dict[str, dict[str, list[float]]]


@pytest.mark.parametrize(
    ("options", "hop", "expected"),
    [
        ((320.0, 320.0, 4000.0), 320, (16, 16, 200)),
        ((320.0, 320.0, 4000.0), 480, (11, 11, 134)),
        ((80.0, 0.0, 0.0), 480, (3, 0, 0)),
        ((1.0, 0.0, 1000.0), 1600, (1, 0, 10)),
    ],
)
def test_frames_of_a_step(
    options: tuple[float, float, float], hop: int, expected: tuple[int, int, int]
) -> None:
    """Milliseconds become whole frames of the model's own hop, rounded up as a stream does."""
    geometry = Geometry((hop,), (hop,), 16_000)
    assert operators.step_frames(geometry, StreamOptions(*options)) == expected


def test_the_step_of_the_stream_is_profiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 64 ms a frame: slices of a second, 5 new frames, 5 held back, 63 of the past."""
    bundle = write_tiny_bundle(tmp_path / "slow", sample_rate_hz=1250)
    asked: list[tuple[int, ...]] = []

    def profiled(*given: object) -> Profile:
        asked.append(tuple(one for one in given if isinstance(one, int)))
        return {"front": {"Conv": [3.2] * 10}, "context": {"Gemm": [6.4] * 10}}

    monkeypatch.setattr(operators, "_profile", profiled)
    found = operators.operator_times(bundle)
    assert asked == [(16, 156, 0, 0), (5, 10, 5, 63)]
    assert found["step_front_Conv_ms_per_s"] == pytest.approx(10.0)
    assert found["step_context_Gemm_ms_per_s"] == pytest.approx(20.0)
    assert found["offline_front_Conv_ms_per_s"] == pytest.approx(3.2 / 1.024)


def test_the_first_round_warms_up() -> None:
    """Of eleven rounds the slow first is forgotten; a name that two nodes share is their sum."""
    events = [{"cat": "Session", "name": "model_run", "dur": 1.0}]
    for i in range(11):
        spent_us = 1000.0 * (100 if i == 0 else i)
        for name in ("front/conv", "front/gelu", "front/gelu", "context/if"):
            kind = {"conv": "Conv", "gelu": "Gelu", "if": "If"}[name.partition("/")[2]]
            events.append(
                {"cat": "Node", "name": f"{name}_kernel_time", "dur": spent_us,
                 "args": {"op_name": kind}}
            )  # fmt: skip
    found = operators.by_entry(events)
    assert found == {
        "front": {
            "Conv": [float(i) for i in range(1, 11)],
            "Gelu": [2.0 * i for i in range(1, 11)],
        }
    }


def test_a_graph_that_asks_where_the_audio_begins_is_told(tiny_bundle: Path) -> None:
    """At once nothing lies before the audio; in a stream's step past frames do."""
    bundle = Bundle.read(tiny_bundle)
    assert all("outside" not in feeds for _, feeds in operators._runs(bundle, 5, 10, 5, 63))
    asking = replace(bundle, manifest=replace(bundle.manifest, knows_the_start=True))
    for n_left, n_outside in ((0, LEFT_FRAMES), (63, 0)):
        _, (_, context) = operators._runs(asking, 5, 10, 5, n_left)
        assert len(context["outside"]) == n_outside
