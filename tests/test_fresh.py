"""Fresh processes: what they take is told, memory that grows is found, failures are one line."""

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
from tiny_bundle import RATE_HZ

from wav2edge.benchmarks.clips import find_clips
from wav2edge.benchmarks.fresh import (
    START_DEFINITIONS,
    START_S,
    WAYS,
    FreshOptions,
    grown,
    measure_memory,
    measure_start,
    run,
    write_recording,
)
from wav2edge.benchmarks.result import BenchmarkError
from wav2edge.runtime.audio import Audio
from wav2edge.runtime.recognizer import load


def test_memory_that_grows_is_found() -> None:
    """A stream that keeps 36 MB an hour (10 kB a second) is found; an offline run that does not."""
    lengths_s = (10.0, 60.0, 120.0, 300.0, 600.0)
    beyond = {("streaming", one): [50 + 0.01 * one] for one in lengths_s}
    beyond |= {("offline", one): [80.0 if one >= 60 else 60.0] for one in lengths_s}
    figures = grown(beyond)
    streaming, offline = figures["growth_streaming_mb_per_h"], figures["growth_offline_mb_per_h"]
    assert streaming is not None
    assert offline is not None
    assert streaming.median == pytest.approx(36.0)
    assert offline.median == pytest.approx(0.0)
    assert streaming.n == offline.n == 4  # shorter than a minute is warming up


def test_rounds_are_no_points_of_their_own() -> None:
    """Several rounds at each length are one point, their median: the interval stays as wide."""
    once = {("streaming", one): [mb] for one, mb in ((60.0, 50.0), (300.0, 58.0), (600.0, 61.0))}
    often = {key: [mb - 1, mb, mb + 1] * 3 for key, (mb,) in once.items()}
    assert grown(often) == grown(once)
    found = grown(often)["growth_streaming_mb_per_h"]
    assert found is not None
    assert found.n == 3
    assert found.lowest < 0 < found.highest  # three lengths are too few to tell


def test_a_fresh_process_tells_what_it_took(tiny_bundle: Path) -> None:
    """The parts of a start lie within its whole, and memory within what a process can hold."""
    recognizer, clips = load(tiny_bundle), find_clips([])
    result = measure_start(recognizer, clips, FreshOptions(rounds=1))
    for way in WAYS:
        found = {part: result.figures[f"{part}_ms {way}"] for part in ("wall", "import", "hear")}
        wall, parts = found.pop("wall"), [one.median for one in found.values() if one]
        assert wall is not None
        assert len(parts) == 2
        assert 0 < sum(parts) < wall.median
    assert {name.partition(" ")[0] for name in result.figures} < set(START_DEFINITIONS)
    options = FreshOptions(rounds=1, longest_s=START_S)
    memory = measure_memory(recognizer, clips, options).figures["rss_beyond_model_mb streaming 3"]
    assert memory is not None
    assert 10 < memory.median < 1000


def test_a_fresh_process_may_keep_its_bytecode(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A start is that of an installed package, which is compiled already."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    told = '{"import_s": 0, "load_s": 0, "hear_s": 0, "cpu_s": 0, "loaded_mb": 0, "peak_mb": 0}'
    program = tmp_path / "python"
    program.write_text(
        f"#!/bin/sh\n[ -z \"$PYTHONDONTWRITEBYTECODE\" ] && echo '{told}'\n", encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    assert run("offline", tmp_path, tmp_path / "a.wav").import_s == 0


def test_a_recording_is_as_long_as_asked(tmp_path: Path) -> None:
    """What the processes hear is the clips over and over, 16 bits, cut at the length."""
    path = tmp_path / "a.wav"
    write_recording(path, find_clips([]), RATE_HZ, 42.5)
    with Audio(path, sample_rate=None, to_hz=RATE_HZ) as audio:
        assert sum(map(len, audio.blocks())) == 42.5 * RATE_HZ


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    """Its last words stand in the error."""
    with pytest.raises(BenchmarkError, match=r"a\.wav ended early: .*manifest"):
        run("offline", tmp_path, tmp_path / "a.wav")
