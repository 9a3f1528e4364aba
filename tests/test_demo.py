"""The demo: what it prints, and that the embedded model hears its own clip."""

import re
from pathlib import Path

import pytest

from wav2edge import cli
from wav2edge.runtime.demo import report
from wav2edge.runtime.transcript import Transcript, Word


def test_report_shows_text_times_and_the_real_time_factor() -> None:
    """Text, each word with its times in seconds, and work over audio: 0.5 s for 2 s is 0.250."""
    words = [Word("HALLO", 0.25, 0.75, 0.5), Word("WELT", 1.0, 1.5, 1.0)]
    lines = report(Transcript.of(words, duration_s=2.0), loading_s=0.1, work_s=0.5)
    assert lines[0] == "HALLO WELT"
    assert ["0.25", "0.75", "0.50", "HALLO"] in [line.split() for line in lines]
    assert ["1.00", "1.50", "1.00", "WELT"] in [line.split() for line in lines]
    assert lines[-1] == "real-time factor 0.250 (work / audio)"


def test_report_of_nothing_heard() -> None:
    """An empty recording has no words and no real-time factor, and is no error."""
    lines = report(Transcript.of([], duration_s=0.0), loading_s=0.1, work_s=0.1)
    assert lines[0] == "(no words heard)"
    assert "undefined" in lines[-1]


@pytest.mark.usefixtures("embedded_bundle")
def test_embedded_model_hears_the_clip(capsys: pytest.CaptureFixture[str]) -> None:
    """`wav2edge demo` prints words of its clip, and is faster than the voice."""
    assert cli.main(["demo"]) == 0
    out = capsys.readouterr().out
    digits = {"ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"}
    assert len(digits & set(out.splitlines()[0].split())) >= 8
    found = re.search(r"real-time factor ([0-9.]+)", out)
    assert found is not None
    assert float(found[1]) < 1


@pytest.mark.usefixtures("embedded_bundle")
def test_a_missing_recording_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`wav2edge demo nothing.wav` names the file in one line, with status 2."""
    assert cli.main(["demo", str(tmp_path / "nothing.wav")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing.wav" in err
    assert err.count("\n") == 1
