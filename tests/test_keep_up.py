"""`wav2edge bench`: whether a device keeps up, on a clock that a person can predict."""

import math
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import soundfile
from tiny_bundle import RATE_HZ, say

from wav2edge.benchmarks import keep_up, playback
from wav2edge.benchmarks.result import Result
from wav2edge.cli import main
from wav2edge.runtime.recognizer import load
from wav2edge.runtime.stream import StreamOptions


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About four seconds, of which two are silence: BAD CAB, and then nothing."""
    path = tmp_path_factory.mktemp("recordings") / "bad.wav"
    speech = say("BAD CAB", n_frames=20)
    soundfile.write(path, np.pad(speech, (0, 2 * RATE_HZ)), RATE_HZ)
    return path


class Clock:
    """A clock that goes on by so much whenever it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        """Read it."""
        self.now_s += self.step_s
        return self.now_s


def slow_down(monkeypatch: pytest.MonkeyPatch, step_s: float) -> None:
    """Let every push of 20 ms take `step_s`, wall and CPU, by the benchmark's own clocks."""
    fake = SimpleNamespace(perf_counter=Clock(step_s), process_time=Clock(step_s), sleep=time.sleep)
    monkeypatch.setattr(playback, "time", fake)


@pytest.mark.parametrize(
    "case",
    [(0.002, 0, "keeps up: low, balanced, accurate"), (0.05, 3, "does not keep up: no preset")],
)
def test_exit_status_tells_a_script(
    case: tuple[float, int, str],
    tiny_bundle: Path,
    recording: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2 ms of computing for 20 ms of audio is a factor of 0.1, and 50 ms are 2.5: 0, and 3."""
    push_s, status, said = case
    slow_down(monkeypatch, push_s)
    out = tmp_path / "keep-up.json"
    given = ["--model", tiny_bundle, "--audio", recording, "--rounds", 1, "--json", out]
    assert main(["bench", *map(str, given)]) == status
    assert capsys.readouterr().out.startswith(said)
    result = Result.read(out)
    for preset in ("low", "balanced", "accurate"):
        rtf, streams = result.figures[f"rtf {preset}"], result.figures[f"streams {preset}"]
        assert rtf is not None
        assert streams is not None
        assert rtf.median == pytest.approx(push_s / 0.02, rel=0.02)
        carried = keep_up.LIMIT * result.conditions.cores / (push_s / 0.02)
        assert streams.median == pytest.approx(math.floor(carried), abs=1)


def test_more_streams_can_be_asked_for(
    tiny_bundle: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that carries one stream at a factor of 0.5 does not carry a hundred."""
    slow_down(monkeypatch, 0.01)
    given = ["--model", tiny_bundle, "--audio", recording, "--rounds", 1, "--latency", "low"]
    assert main(["bench", *map(str, given)]) == 0
    assert main(["bench", *map(str, given), "--streams", "1000"]) == 3


def test_a_slow_device_answers_soon(tiny_bundle: Path) -> None:
    """Without a budget four chunks and the look-ahead are heard all the same, and no more."""
    recognizer, minute = load(tiny_bundle), np.zeros(60 * RATE_HZ, np.float32)
    low = StreamOptions(chunk_ms=160.0, lookahead_ms=160.0, left_ms=3000.0)
    assert keep_up._streamed(recognizer, minute, low, 0.0).duration_s == pytest.approx(0.8)
    assert keep_up._streamed(recognizer, minute, low, 1e9).duration_s == pytest.approx(60.0)


@pytest.mark.parametrize(
    "given",
    [
        ["--audio", "gone.wav"],
        ["--latency", "quick"],
        ["--rounds", "0"],
        ["--json", "gone.wav/out.json"],
        ["--model", "X", "latency"],
        ["nothing"],
    ],
)
def test_bad_input_is_one_line(
    given: list[str],
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever cannot be is one line on stderr and exit status 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone.wav").write_bytes(b"no audio")
    model = [] if "--model" in given else ["--model", str(tiny_bundle)]
    assert main(["bench", *model, *given] if given != ["nothing"] else ["bench", *given]) == 2
    said = capsys.readouterr().err
    assert said.startswith("wav2edge: error: ")
    assert said.count("\n") == 1


def test_the_base_install_is_enough(tiny_bundle: Path, recording: Path) -> None:
    """Neither matplotlib nor rapidfuzz, torch or onnx is loaded for the answer."""
    code = (
        "import sys\nfrom wav2edge.cli import main\n"
        f"status = main(['bench', '--model', {str(tiny_bundle)!r}, '--audio', {str(recording)!r}, "
        "'--rounds', '1'])\n"
        "heavy = {'matplotlib', 'rapidfuzz', 'torch', 'onnx', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\nsys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 3), done.stderr
    assert "keep" in done.stdout
