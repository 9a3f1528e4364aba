"""Error rates on the development sets: which streams really ran."""

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import numpy as np
from tiny_bundle import write_tiny_bundle

from wav2edge.benchmarks import accuracy
from wav2edge.runtime.recognizer import load


def test_presets_are_recorded_as_they_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of 64 ms: the presets are whole frames of them, not what their names stand for."""
    (tmp_path / "MANIFEST.tsv").write_text("path\n", encoding="utf-8")
    rows = [(np.zeros(1250, np.float32), "A")]
    monkeypatch.setattr(accuracy, "development_sets", lambda _: {"set": rows})
    monkeypatch.setattr(accuracy, "RATE_HZ", 1250)
    bundle = write_tiny_bundle(tmp_path / "slow", sample_rate_hz=1250)
    result = accuracy.measure(load(bundle.folder), tmp_path)
    assert result.conditions.options["presets"] == {
        "low": {"chunk_ms": 192.0, "lookahead_ms": 192.0, "left_ms": 3008.0},
        "balanced": {"chunk_ms": 320.0, "lookahead_ms": 320.0, "left_ms": 4032.0},
        "accurate": {"chunk_ms": 640.0, "lookahead_ms": 640.0, "left_ms": 8000.0},
    }
    assert accuracy.table(result)[0] == "| set | words | offline | low | balanced | accurate |"
