"""The options that all benchmarks share: each has them, and what is given reaches the sessions."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")

import onnxruntime

from wav2edge.benchmarks import base_model, commands, everything, peers, sizes, streams
from wav2edge.benchmarks.clips import find_clips, looped
from wav2edge.benchmarks.result import Result
from wav2edge.benchmarks.sessions import Sessions
from wav2edge.cli import main
from wav2edge.runtime.providers import NAMES
from wav2edge.runtime.session import available_providers

SHARED = ("--model", "--threads", "--provider", "--json", "--html")
WITHOUT: dict[str, dict[str, str]] = {
    # Sub-command -> option -> what its help says of it.
    "peers": {"--model": "name a --checkpoint", "--provider": "run on the processor"},
    "streams": {"--threads": "has one thread"},
    "sizes": {"--model": "Random weights"},
    "pocketsphinx": dict.fromkeys(("--threads", "--provider"), "One thread of the processor each"),
    "window": {"--model": "random weights"},
    "adaptation": dict.fromkeys(("--model", "--threads", "--provider"), "a checkpoint"),
    "pretraining": dict.fromkeys(("--model", "--threads", "--provider"), "Train one arm"),
    "report": dict.fromkeys(("--model", "--threads", "--provider", "--json"), "results together"),
}
"""Where an option cannot mean anything."""
NO_BENCHMARKS = ("plot", "readme")


def benchmarks() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each sub-command, and of `bench` itself as the empty name."""
    top = argparse.ArgumentParser().add_subparsers()
    commands.add_parsers(top)
    bench = top.choices["bench"]
    (kinds,) = (one for one in bench._actions if isinstance(one, argparse._SubParsersAction))
    found: dict[str, argparse.ArgumentParser] = {"": bench, **kinds.choices}
    return {name: one for name, one in found.items() if name not in NO_BENCHMARKS}


@pytest.mark.parametrize("name", benchmarks())
def test_every_benchmark_takes_the_shared_options(name: str) -> None:
    """All have --model, --threads, --provider, --json and --html alike; else the help says why."""
    parser = benchmarks()[name]
    there = {option: one for one in parser._actions for option in one.option_strings}
    told, missing = " ".join(parser.format_help().split()), WITHOUT.get(name, {})
    assert sorted(set(SHARED) - set(there)) == sorted(missing)
    for said in missing.values():
        assert said in told
    assert parser.get_default("threads") in {1, None}
    assert parser.get_default("provider") in {"cpu", None}
    assert {"speed", "latency", "decoder", "accuracy", "memory", "start", "peers", "all"} < set(
        benchmarks()
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many threads each session was opened with."""
    seen: list[int] = []
    real = onnxruntime.InferenceSession

    def watched(model: object, options: onnxruntime.SessionOptions, **rest: object) -> object:
        seen.append(options.intra_op_num_threads)
        return real(model, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", watched)
    return seen


@pytest.fixture
def given(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Given":
    """Return the shortest command line of a benchmark."""
    monkeypatch.setattr(sizes, "_kept", lambda *_: tiny_bundle)
    monkeypatch.setattr(sizes, "_weights_m", lambda _: 1.0)
    monkeypatch.setattr(sizes, "WHOLE_S", 1.0)
    plain = tiny_bundle / "model.onnx"
    files = base_model.BaseModel(tiny_bundle, tiny_bundle, tiny_bundle, plain, plain, plain)
    for module in ("speed", "sliding_window"):
        monkeypatch.setattr(f"wav2edge.benchmarks.{module}.base_model", lambda *_: files)
    model = ["--model", tiny_bundle]
    short = {
        "": [*model, "--rounds", 1, "--latency", "low"],
        "speed": [*model, "--rounds", 1, "--longest", 1],
        "sizes": ["--rounds", 1],
        "latency": [*model, "--repeats", 1],
        "soak": [*model, "--minutes", 0.05],
        "start": [*model, "--rounds", 1],
        "memory": [*model, "--rounds", 1, "--longest", 1],
        "streams": [*model, "--seconds", 1],
        "window": ["--cache", tmp_path],
        "batching": [*model, "--rounds", 1],
    }
    return lambda name: [*name.split(), *map(str, short[name])]


Given = Callable[[str], list[str]]


@pytest.mark.parametrize("name", ["", "sizes", "latency", "soak", "memory"])
def test_threads_reach_the_sessions_and_the_conditions(
    name: str, given: Given, opened: list[int], tmp_path: Path
) -> None:
    """With --threads 2 every session has two, and so say the conditions."""
    out = tmp_path / "out.json"
    assert main(["bench", *given(name), "--threads", "2", "--json", str(out)]) in {0, 3}
    assert opened
    assert set(opened) == {2}
    assert Result.read(out).conditions.threads == 2


@pytest.mark.parametrize(
    "name",
    ["", "speed", "sizes", "latency", "soak", "start", "memory", "streams", "window", "batching"],
)
def test_the_provider_reaches_the_sessions(
    name: str, given: Given, capsys: pytest.CaptureFixture[str]
) -> None:
    """A provider that is not there is an error everywhere: nothing is measured on another."""
    absent = next(one for one in NAMES if one not in available_providers())
    assert main(["bench", *given(name), "--provider", absent]) == 2
    assert f"provider {absent} is not there" in capsys.readouterr().err


def test_fresh_processes_get_the_threads(
    given: Given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`start` measures processes of their own: these are told the threads and the provider."""
    from wav2edge.benchmarks import fresh

    seen: list[tuple[int, str]] = []

    def run(*_: object, threads: int, provider: str) -> fresh.Fresh:
        seen.append((threads, provider))
        return fresh.Fresh(1, 1, 1, 1, 1, 1, 1)

    monkeypatch.setattr(fresh, "run", run)
    out = tmp_path / "start.json"
    assert main(["bench", *given("start"), "--threads", "2", "--json", str(out)]) == 0
    assert set(seen) == {(2, "cpu")}


def test_all_of_it_in_one_go(
    tiny_bundle: Path, opened: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`bench all` gives JSON, a page and Markdown; what --with- asks for gets its threads too."""
    asked: dict[str, dict[str, object]] = {}

    def other(name: str) -> Callable[..., Result]:
        def measure(*_: object, **how: object) -> Result:
            asked[name] = how
            return Result.read(tmp_path / "all" / "start.json")

        return measure

    def asked_of_peers(
        _models: object, _cache: Path, options: peers.PeersOptions, **_: object
    ) -> Result:
        return other("peers")(threads=options.threads)

    monkeypatch.setattr(sizes, "measure", other("sizes"))
    monkeypatch.setattr(peers, "measure", asked_of_peers)
    monkeypatch.setattr(base_model, "base_model", lambda *_: None)
    monkeypatch.setattr(streams, "highest", lambda carries, **_: int(carries(1)))
    folder, page, summary = tmp_path / "all", tmp_path / "all.html", tmp_path / "all.md"
    clip = tmp_path / "clip.wav"
    write_speech(clip)
    command = [
        "bench",
        "all",
        "--model",
        tiny_bundle,
        "--rounds",
        1,
        "--longest",
        1,
        "--threads",
        2,
    ]
    command += ["--audio", clip, "--seconds", 1, "--with-sizes", "--with-peers"]
    command += ["--json", folder, "--html", page, "--markdown", summary]
    assert main(list(map(str, command))) == 0
    names = {one.stem for one in folder.glob("*.json")}
    assert names == {"keep-up", "cost", "latency-low", "latency-balanced", "latency-accurate",
                     "start", "memory", "streams", "sizes", "peers"}  # fmt: skip
    assert asked["sizes"]["sessions"] == Sessions(threads=2)
    assert asked["peers"]["threads"] == 2
    assert Result.read(folder / "keep-up.json").conditions.threads == 2
    assert set(opened) == {1, 2}  # `cost` varies them, `streams` has one
    text = summary.read_text(encoding="utf-8")
    assert "<svg" in page.read_text(encoding="utf-8")
    assert "- accuracy: no transcripts" in text
    assert all(name in text for name in everything.ELSEWHERE)
    assert "--with-sizes" not in text


def write_speech(path: Path) -> None:
    """Write a second of the package's clips."""
    import soundfile

    samples = next(looped(find_clips([]), rate_hz=16_000, gap_s=0.2, block_s=1.0))
    soundfile.write(path, np.clip(samples, -1, 1), 16_000)
