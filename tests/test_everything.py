"""`bench all`: what runs before what, and the peak of memory that none of them can tell."""

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")

from wav2edge.benchmarks import everything
from wav2edge.benchmarks.conditions import Conditions
from wav2edge.benchmarks.result import Figure, Result
from wav2edge.runtime.recognizer import load
from wav2edge.runtime.stream import LATENCIES


def test_long_recordings_come_after_the_sessions(tiny_bundle: Path) -> None:
    """`cost` hears ten minutes at once, which a process does not give back: sessions go before."""
    recognizer = load(tiny_bundle)
    options = everything.AllOptions(lambda _: recognizer)
    names = [name for name, _ in everything._benchmarks(recognizer, [], options)]
    assert names.index("cost") > max(names.index(f"latency-{one}") for one in LATENCIES)


def test_the_peak_of_a_process_that_ran_others_is_no_figure(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A latency result of `all` says that its peak was not measured, and why; the rest stands."""
    recognizer, one = load(tiny_bundle), Figure(2.0, 1.0, 3.0, 3)
    conditions = Conditions.now(recognizer, threads=1, options={}, audio={})
    made = Result("latency", conditions, {"rss_peak_mb": one, "rtf": one}, {"rtf": "time"})
    monkeypatch.setattr("wav2edge.benchmarks.latency.measure", lambda *_: made)
    options = everything.AllOptions(lambda _: recognizer)
    runs = dict(everything._benchmarks(recognizer, [], options))
    found = runs["latency-low"](lambda _: None)
    assert found.figures == {"rss_peak_mb": None, "rtf": one}
    assert found.definitions["rss_peak_mb"].startswith("not measured here")
    assert found.definitions["rtf"] == "time"
