"""The comparison with peers: its protocol with processes made up here, its figures, its table."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wav2edge.benchmarks import peers
from wav2edge.benchmarks.conditions import Conditions
from wav2edge.benchmarks.environments import environment, run
from wav2edge.benchmarks.peer_contenders import CONTENDERS, OURS, Contender
from wav2edge.benchmarks.peer_figures import (
    DEFINITIONS,
    Measured,
    figures,
    key,
    merged,
    refuse_others,
    table,
    verdicts,
)
from wav2edge.benchmarks.peer_process import PeerError, PeerProcess
from wav2edge.benchmarks.peers import BASE, Field, PeersOptions, Seat
from wav2edge.benchmarks.result import BenchmarkError, Result

PYTHON = Path(sys.executable)
JOB = {
    "threads": 1,
    "tokens": ["<pad>", "A", "B", "|"],
    "blank_id": 0,
    "delimiter_id": 3,
    "special_ids": [],
}
GOOD = """
import numpy as np
DISTRIBUTIONS = ("numpy",)

def load(job):
    print("what a library prints is no answer")

    def whole(samples):
        return f"heard   {len(samples)} samples "

    def logits(samples):
        return np.eye(4, dtype=np.float32)[[1, 1, 0, 1, 3, 2]]

    return {"whole": whole, "logits": logits}
"""
CRASHES = """
import os, sys
DISTRIBUTIONS = ()

def load(job):
    print("the tokens are missing", file=sys.stderr, flush=True)
    os._exit(255)
"""
REFUSES = """
DISTRIBUTIONS = ()

def load(job):
    raise ValueError("no such model")
"""
HANGS = """
import time
DISTRIBUTIONS = ()

def load(job):
    return {"whole": lambda samples: time.sleep(600)}
"""


def peer(folder: Path, source: str, *, limit_s: float = 60.0) -> PeerProcess:
    """A worker of this interpreter that runs a script made up here."""
    script = folder / "peer.py"
    script.write_text(source, encoding="utf-8")
    return PeerProcess(PYTHON, script, JOB, folder, limit_s=limit_s)


def audio(folder: Path, n_samples: int) -> Path:
    """A file of so many samples."""
    path = folder / f"{n_samples}.f32"
    np.zeros(n_samples, np.float32).tofile(path)
    return path


def test_a_peer_answers_order_by_order(tmp_path: Path) -> None:
    """Texts come back with single spaces, best paths are spelled, costs and versions are told."""
    with peer(tmp_path, GOOD) as process:
        first = process.ask("whole", audio(tmp_path, 480))
        second = process.ask("logits", audio(tmp_path, 10))
        found = process.versions()
    assert first.text == "heard 480 samples"
    assert second.text == "AA B"
    assert first.ways == ("logits", "whole")
    assert 0 < first.since_start_cpu_s <= second.since_start_cpu_s
    assert first.since_start_wall_s < second.since_start_wall_s
    assert found == {"numpy": np.__version__}
    if sys.platform == "linux":
        assert 10 < first.peak_rss_mb < 1000


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (CRASHES, "ended with status 255: the tokens are missing"),
        (REFUSES, "ValueError: no such model"),
    ],
)
def test_a_peer_that_fails_says_why(tmp_path: Path, source: str, said: str) -> None:
    """Who dies leaves its status and its last words; who raises, its error."""
    with peer(tmp_path, source) as process, pytest.raises(PeerError, match=said):
        process.ask("whole", audio(tmp_path, 10))


def test_a_peer_that_hangs_is_ended(tmp_path: Path) -> None:
    """After the limit it is killed and reported, and nothing waits for it."""
    with (
        peer(tmp_path, HANGS, limit_s=1.5) as process,
        pytest.raises(PeerError, match=r"no answer within 1\.5 s"),
    ):
        process.ask("whole", audio(tmp_path, 10))


def seat(folder: Path, name: str, source: str) -> Seat:
    """A contender whose script is made up here."""
    script = folder / f"peer_{name}.py"
    script.write_text(source, encoding="utf-8")
    contender = SimpleNamespace(name=name, peer=name, script=script)
    return Seat(contender, PYTHON, JOB, 5.0)  # type: ignore[arg-type]


def test_who_fails_leaves_the_field_with_the_reason(tmp_path: Path) -> None:
    """The others are measured to the end: starts, costs, live audio, texts."""
    measured = Measured()
    field = Field("small", measured, lambda _: None)
    field.seats = {name: seat(tmp_path, name, source) for name, source in (
        ("transformers", GOOD), (OURS, GOOD), ("onnxruntime-int8", CRASHES),
    )}  # fmt: skip
    options = PeersOptions(starts=1, rounds=1, lengths_s=(0.5,))
    peers._starts(field, tmp_path, options)
    clip = SimpleNamespace(samples=lambda rate_hz: np.zeros(rate_hz // 10, np.float32))
    peers._alive(field, tmp_path, options, [clip, clip])  # type: ignore[list-item]
    assert list(measured.reasons) == ["small onnxruntime-int8"]
    assert "the tokens are missing" in measured.reasons["small onnxruntime-int8"]
    for what in ("start_wall_s", "start_cpu_s", "rss_beyond_3s_mb", "cpu_0.5s", "cpu_window"):
        for name in ("transformers", OURS):
            assert len(measured.series[f"{what} small {name}"]) == 1
    assert measured.series[f"character_error small {OURS}"] == [0.0]
    assert measured.series["n_characters small transformers"] == [2.0 * len("HEARD 1600 SAMPLES")]
    assert measured.versions["transformers"] == {"numpy": np.__version__}


def test_an_environment_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    """The last line of pip is the reason; no network is asked, and nothing counts as installed."""
    with pytest.raises(BenchmarkError, match="failed with status 3: no wheel here"):
        run([PYTHON, "-c", "import sys; print('no wheel here'); sys.exit(3)"], limit_s=60)
    with pytest.raises(BenchmarkError, match="did not end"):
        run([PYTHON, "-c", "import time; time.sleep(60)"], limit_s=0.5)
    made = tmp_path / "there"
    made.mkdir()
    (made / "installed.json").write_text('["one", "two"]')
    assert environment(made, ("one", "two")).is_relative_to(made)


def conditions() -> Conditions:
    """Of a machine that never was."""
    return Conditions(
        date="2026-01-01", revision=None, modified=None, cpu="made up", cpu_flags=(), cores=2,
        memory_mb=None, system="none", load_before=None, load_after=None,
        versions={"numpy": "2"},
        model={"name": "m", "layers": 1, "hidden_size": 8, "precision": "int8", "file_mb": 1.0,
               "sha256": "0" * 64},
        providers=("cpu",), threads=1,
        options={"models": [BASE, "small"], "peers": {}, "failed": {}}, audio={},
    )  # fmt: skip


def result(series: dict[str, list[float]], **failed: str) -> Result:
    """A result of so many values."""
    of = conditions()
    of.options["failed"] = {name.replace("_", " ", 1): why for name, why in failed.items()}
    found = figures(series, models=[BASE, "small"])
    return Result("peers", of, found, DEFINITIONS, series)


def test_ratios_are_round_by_round() -> None:
    """2 and 8 over 1 and 2 are 2 and 4 times: median 3; with fewer rounds the medians count."""
    found = figures(
        {
            key("cpu_10s", BASE, OURS): [1.0, 2.0],
            key("cpu_10s", BASE, "openvino"): [2.0, 8.0],
            key("cpu_10s", BASE, "transformers"): [6.0],
        },
        models=[BASE],
    )
    ratio = found["cpu_10s_over_ours base openvino"]
    assert ratio is not None
    assert (ratio.median, ratio.lowest, ratio.highest) == (3.0, 2.0, 4.0)
    other = found["cpu_10s_over_ours base transformers"]
    assert other is not None
    assert (other.median, other.n) == (4.0, 1)


def test_the_table_names_everybody_once() -> None:
    """Measured rows hold their medians, failures are told below, and nobody else is in it."""
    lines = table(
        result(
            {
                key("cpu_10s", BASE, OURS): [70.0, 90.0, 80.0],
                key("character_error", "small", "openvino"): [0.0123],
                key("n_characters", "small", "openvino"): [1000.0],
            },
            **{"base_sherpa-onnx-int8": "installing: no wheel | here"},
        )
    )
    assert f"| {OURS} |  |  |  |  |  | 80.0 |  |  |  |  |" in lines
    assert "| sherpa-onnx-int8 |" + "  |" * 10 in lines
    assert "- sherpa-onnx-int8 failed, installing: no wheel | here" in lines
    assert any(x.startswith("| openvino | ") and x.endswith("| 1.23 % |") for x in lines)
    assert not any("transformers" in line for line in lines)
    columns = {line.count("|") for line in lines if line.startswith("|")}
    assert columns == {12}


def test_verdicts_leave_out_who_says_something_else() -> None:
    """A rival that is fast and wrong is no rival; a rival's best row counts."""
    series = {
        key("cpu_10s", BASE, OURS): [100.0],
        key("cpu_10s", BASE, "openvino-int8"): [50.0],
        key("cpu_10s", BASE, "openvino-float32"): [80.0],
        key("cpu_10s", BASE, "sherpa-onnx-int8"): [250.0],
        key("character_error", "small", "openvino-int8"): [0.05],
        key("n_characters", "small", "openvino-int8"): [1000.0],
    }
    lines = verdicts(result(series))
    assert lines[0].startswith("base, CPU per second of audio, 10 s: ")
    assert "sherpa-onnx 2.50 (ahead, sherpa-onnx-int8)" in lines[0]
    assert "openvino 0.80 (BEHIND, openvino-float32)" in lines[0]
    closer = {
        key("character_error", "small", OURS): [0.05],
        key("n_characters", "small", OURS): [1000.0],
    }
    assert "openvino 0.50 (BEHIND, openvino-int8)" in verdicts(result(series | closer))[0]
    assert lines[-1] == "not at equal parity, and so no rivals: openvino-int8"


def test_rounds_are_added_to_a_result_of_the_same_conditions() -> None:
    """Series grow, sizes stay, reasons and versions are kept; another machine is refused."""
    before = result({"cpu_10s base x": [1.0, 2.0], "file_mb base x": [7.0]}, base_y="gone")
    before.conditions.options["peers"] = {"x": {"numpy": "2"}}
    now = Measured({"cpu_10s base x": [3.0], "file_mb base x": [7.0], "cpu_30s base x": [4.0]})
    series, told = merged(now, before)
    assert series == {
        "cpu_10s base x": [1.0, 2.0, 3.0], "file_mb base x": [7.0], "cpu_30s base x": [4.0],
    }  # fmt: skip
    assert told == {"peers": {"x": {"numpy": "2"}}, "failed": {"base y": "gone"}}
    with pytest.raises(BenchmarkError, match="cpu 'made up'"):
        refuse_others(before, replace(conditions(), cpu="another"))
    with pytest.raises(BenchmarkError, match="model '0000"):
        refuse_others(before, replace(conditions(), model={"sha256": "1"}))
    refuse_others(before, conditions())
    now.versions["x"] = {"numpy": "3"}
    with pytest.raises(BenchmarkError, match="earlier result has x"):
        merged(now, before)


def test_every_contender_has_a_script_and_an_environment() -> None:
    """Each script is there, is not imported by us, and names what it runs on."""
    for contender in CONTENDERS.values():
        assert isinstance(contender, Contender)
        assert "DISTRIBUTIONS = (" in contender.script.read_text(encoding="utf-8")
    assert {one.peer for one in CONTENDERS.values()} >= {"onnx_asr", "sherpa_onnx", "openvino"}


def test_a_result_survives_its_json() -> None:
    """What is written is read again, reasons included."""
    one = result({"cpu_10s base openvino": [1.5]}, base_openvino="why")
    assert Result.from_json(one.to_json()) == one
    assert json.loads(one.to_json())["conditions"]["options"]["failed"] == {"base openvino": "why"}


@pytest.mark.parametrize("wrong", [{"names": ("whisper",)}, {"parts": ("speed",)}])
def test_unknown_names_are_refused(wrong: dict[str, tuple[str, ...]]) -> None:
    """A typing error is told before minutes are spent."""
    with pytest.raises(BenchmarkError, match="expected"):
        PeersOptions(**wrong)  # type: ignore[arg-type]
