"""The comparison with peers: its protocol with processes made up here, its figures, its table."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wav2edge.benchmarks import base_model, peers
from wav2edge.benchmarks.conditions import Conditions
from wav2edge.benchmarks.environments import environment, run
from wav2edge.benchmarks.peer_commands import _clips, _models
from wav2edge.benchmarks.peer_contenders import CONTENDERS, OURS, Contender
from wav2edge.benchmarks.peer_field import Field, Measured, Seat, key
from wav2edge.benchmarks.peer_figures import (
    DEFINITIONS,
    WARM_UP_ROUNDS,
    figures,
    merged,
    refuse_others,
    table,
    verdicts,
)
from wav2edge.benchmarks.peer_process import PeerError, PeerProcess
from wav2edge.benchmarks.peer_section import section
from wav2edge.benchmarks.peers import BASE, PeersOptions
from wav2edge.benchmarks.result import BenchmarkError, Result
from wav2edge.cli import main

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


def test_an_interpreter_that_is_gone_is_told(tmp_path: Path) -> None:
    """An environment that somebody removed is a peer's error, which a field survives."""
    with pytest.raises(PeerError, match=r"gone.python cannot be started.*remove its environment"):
        PeerProcess(tmp_path / "gone" / "python", tmp_path / "peer.py", JOB, tmp_path)


def seat(folder: Path, name: str, source: str) -> Seat:
    """A contender whose script is made up here."""
    script = folder / f"peer_{name}.py"
    script.write_text(source, encoding="utf-8")
    return Seat(name, PYTHON, script, JOB, 5.0)


def test_who_fails_leaves_the_field_with_the_reason(tmp_path: Path) -> None:
    """The others are measured to the end: starts, costs, live audio, texts."""
    measured = Measured()
    field = Field("small", measured, lambda _: None)
    tells = "open(__file__ + '.starts', 'a').write('x')\n" + GOOD
    field.seats = {name: seat(tmp_path, name, source) for name, source in (
        ("transformers", tells), (OURS, GOOD), ("onnxruntime-int8", CRASHES),
    )}  # fmt: skip
    options = PeersOptions(starts=2, rounds=3, lengths_s=(0.5,))
    peers._starts(field, tmp_path, options)
    starts = (tmp_path / "peer_transformers.py.starts").read_text()
    assert len(starts) == 2 * options.starts, "each counted start comes after one that is not"
    clip = SimpleNamespace(samples=lambda rate_hz: np.zeros(rate_hz // 10, np.float32))
    peers._alive(field, tmp_path, options, [clip, clip])  # type: ignore[list-item]
    assert list(measured.reasons) == ["small onnxruntime-int8"]
    assert "the tokens are missing" in measured.reasons["small onnxruntime-int8"]
    counts = {
        **dict.fromkeys(("start_wall_s", "start_cpu_s"), 2),
        **dict.fromkeys(("cpu_0.5s", "wall_0.5s", "cpu_window", "wall_window"), 3),
    }
    if sys.platform == "linux":
        counts |= dict.fromkeys(("rss_beyond_3s_mb", "rss_beyond_30s_mb"), 2)
    for name in ("transformers", OURS):
        found = {what: len(measured.series[f"{what} small {name}"]) for what in counts}
        assert found == counts
    assert measured.series[f"character_error small {OURS}"] == [0.0]
    assert measured.series["n_characters small transformers"] == [2.0 * len("HEARD 1600 SAMPLES")]
    assert measured.versions["transformers"] == {"numpy": np.__version__}


WARMS_UP = """
import time
DISTRIBUTIONS = ()

def load(job):
    asked = []

    def whole(samples):
        asked.append(len(samples))
        if asked.count(len(samples)) <= 2:
            time.sleep(0.2)
        return "heard"

    return {"whole": whole}
"""


def test_slow_first_rounds_of_a_length_do_not_count(tmp_path: Path) -> None:
    """Who is slow twice at each length is measured without that, and as often as was asked for."""
    measured = Measured()
    field = Field("small", measured, lambda _: None)
    field.seats = {OURS: seat(tmp_path, OURS, WARMS_UP)}
    options = PeersOptions(parts=("cost",), rounds=2, lengths_s=(0.5, 1.0))
    peers._alive(field, tmp_path, options, [])
    assert measured.reasons == {}
    for what in ("wall_0.5s", "wall_1s"):
        values = measured.series[key(what, "small", OURS)]
        assert len(values) == 2
        assert max(values) < 200  # ms per second; 400 and 200 where a slow round was kept


def test_at_least_three_rounds_count_by_default() -> None:
    """Whoever names no number gets a median that one outlier does not move."""
    options = PeersOptions()
    assert min(options.rounds, options.starts) >= 3
    assert WARM_UP_ROUNDS == 2


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


def test_an_error_stands_in_the_table_of_every_model() -> None:
    """Where no texts were compared, that of the other model stands with its name."""
    one = result(
        {
            key("cpu_10s", BASE, OURS): [2.0],
            key("cpu_10s", BASE, "openvino-int8"): [1.0],
            key("start_cpu_s", BASE, OURS): [2.0, 2.0],
            key("start_cpu_s", BASE, "openvino-int8"): [1.0, 2.0],
            key("cpu_10s", "small", "openvino-int8"): [1.0],
            key("character_error", "small", "openvino-int8"): [0.2346],
            key("n_characters", "small", "openvino-int8"): [1000.0],
        }
    )
    of_base, of_small = (section(one, model) for model in (BASE, "small"))
    assert of_base.rows[0] == [
        "", "start, s", "CPU of the start, s (times ours)", "memory, MB", "CPU, ms per s",
        "live, ms per s", "character error",
    ]  # fmt: skip
    assert of_base.rows[1:] == [
        [OURS, "", "2", "", "2", "", ""],
        ["openvino-int8 *", "", "1.5 (0.75)", "", "1", "", "23.46 % (small)"],
    ]
    assert of_small.rows[1] == ["openvino-int8 *", "", "", "", "1", "", "23.46 %"]
    assert any(line.endswith("| 23.46 % (small) |") for line in table(one))


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
    """Series grow, sizes stay, reasons of who still fails are kept; other machines are refused."""
    before = result(
        {"cpu_10s base x": [1.0, 2.0], "file_mb base x": [7.0], "rss_3s_mb base x": [8.0]},
        base_y="gone",
        base_x="was away",
    )
    before.conditions.options["peers"] = {"x": {"numpy": "2"}}
    before.conditions.options.update(rounds=2, starts=1, stream={"chunk_ms": 320})
    now = Measured(
        {"cpu_10s base x": [3.0], "file_mb base x": [7.0], "cpu_30s base x": [4.0],
         "rss_3s_mb base x": [9.0]},
    )  # fmt: skip
    series, told = merged(now, before, models=["small", "third"])
    assert series == {
        "cpu_10s base x": [1.0, 2.0, 3.0], "file_mb base x": [7.0], "cpu_30s base x": [4.0],
        "rss_3s_mb base x": [8.0, 9.0],
    }  # fmt: skip
    of_run = {"date": "2026-01-01", "revision": None, "modified": None, "load_before": None,
              "load_after": None}  # fmt: skip
    assert told == {
        "peers": {"x": {"numpy": "2"}},
        "failed": {"base y": "gone"},
        "models": [BASE, "small", "third"],
        "earlier": [{**of_run, "rounds": 2, "starts": 1}],
    }
    with pytest.raises(BenchmarkError, match="cpu 'made up'"):
        refuse_others(before, replace(conditions(), cpu="another"))
    with pytest.raises(BenchmarkError, match="model '0000"):
        refuse_others(before, replace(conditions(), model={"sha256": "1"}))
    refuse_others(before, conditions())
    now.versions["x"] = {"numpy": "3"}
    with pytest.raises(BenchmarkError, match="earlier result has x"):
        merged(now, before, models=[])


def test_errors_of_other_clips_do_not_stand_side_by_side() -> None:
    """Who compares texts on other clips than the earlier result is refused; who compares none, not.

    The conditions tell each run apart, however many are added.
    """
    before = result({})
    before.conditions.audio["texts"] = "97 clips"
    with pytest.raises(BenchmarkError, match="texts '97 clips', now it is '8 clips'"):
        refuse_others(before, replace(conditions(), audio={"texts": "8 clips"}))
    refuse_others(before, conditions())
    second = result({})
    second.conditions.options.update(merged(Measured(), before, models=[])[1])
    assert len(merged(Measured(), second, models=[])[1]["earlier"]) == 2


def test_conditions_name_what_was_heard(tmp_path: Path) -> None:
    """How many clips, of which file, and how they were picked: no path, and nothing by hand."""
    manifest = tmp_path / "MANIFEST.tsv"
    rows = [f"{i}.wav\t{'dev' if i % 2 else 'test'}" for i in range(20)]
    manifest.write_text("\n".join(["path\tsplit", *rows]), encoding="utf-8")
    asked = argparse.Namespace(audio=[manifest], split="dev", most=4)
    clips, heard = _clips(asked)
    assert [clip.path.stem for clip in clips] == ["1", "7", "13", "19"]
    assert heard == "4 clips, 1 of 3 of MANIFEST.tsv, split dev"
    assert _clips(argparse.Namespace(audio=[])) == ([], "")


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


def test_another_checkpoint_of_the_same_name_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made of the old one is not taken for what is made of the new one."""
    made: list[Path] = []
    monkeypatch.setattr(base_model, "base_model", lambda *_: None)
    monkeypatch.setattr(base_model, "exported", lambda _, folder, __: made.append(folder))
    (tmp_path / "config.json").write_text("{}")
    for weights in (b"old", b"old", b"new"):
        (tmp_path / "model.safetensors").write_bytes(weights)
        _models(argparse.Namespace(checkpoint=tmp_path, cache=tmp_path / "cache"))
    assert made[0] == made[1] != made[2]


def test_a_wrong_checkpoint_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before minutes are spent on the model of base size."""
    cache = tmp_path / "cache"
    asked = ["--checkpoint", str(tmp_path / "nowhere"), "--cache", str(cache)]
    assert main(["bench", "peers", *asked]) != 0
    assert "expected a checkpoint's folder" in capsys.readouterr().err
    assert not cache.exists()
