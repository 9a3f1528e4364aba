"""`transcribe` and `info` at the command line: what is printed, where, and the exit status."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import RATE_HZ, say, write_tiny_bundle

from wav2edge.cli import main
from wav2edge.runtime import session, terminal


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A recording of a sentence, and others beside it."""
    path = tmp_path / "said.wav"
    soundfile.write(path, say("BAD CAB"), RATE_HZ, "FLOAT")
    return path


def run(
    *arguments: str | Path, stdin: bytes | None = None, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "wav2edge", *map(str, arguments)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def stderr_lines(done: "subprocess.CompletedProcess[bytes]") -> list[str]:
    """What was complained about, line by line."""
    return done.stderr.decode().splitlines()


# --- transcribe ----------------------------------------------------------------------------------


def test_text_of_one_file_is_a_line(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One recording is its text on stdout, nothing on stderr, and exit status 0."""
    assert main(["transcribe", str(said), "--model", str(tiny_bundle)]) == 0
    assert capsys.readouterr() == ("BAD CAB\n", "")


def test_text_of_several_files_tells_them_apart(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several recordings are a line each, headed by their names, in the order they were named."""
    other = said.with_name("other.flac")
    soundfile.write(other, say("EGG"), RATE_HZ)
    assert main(["transcribe", str(other), str(said), "--model", str(tiny_bundle)]) == 0
    assert capsys.readouterr().out == f"{other}: EGG\n{said}: BAD CAB\n"


def test_json_is_one_line_a_file(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is the documented object, with words inside segments."""
    arguments = ["transcribe", str(said), str(said), "--format", "json", "--model"]
    assert main([*arguments, str(tiny_bundle)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    found = json.loads(lines[0])
    assert list(found) == ["file", "text", "duration_s", "segments"]
    assert (found["file"], found["text"]) == (str(said), "BAD CAB")
    (segment,) = found["segments"]
    assert list(segment) == ["text", "start_s", "end_s", "confidence", "words"]
    assert [list(word) for word in segment["words"]] == [
        ["text", "start_s", "end_s", "confidence"],
        ["text", "start_s", "end_s", "confidence"],
    ]


@pytest.mark.parametrize(("form", "head"), [("srt", "1\n00:00:00,001 -->"), ("vtt", "WEBVTT\n")])
def test_subtitles(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], form: str, head: str
) -> None:
    """Subtitles of one recording go to stdout; of several at once they are refused."""
    arguments = ["transcribe", "--format", form, "--model", str(tiny_bundle), str(said)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith(head)
    assert "BAD CAB" in out
    assert main([*arguments, str(said)]) == 2
    assert "holds one recording" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["txt", "json"])
def test_standard_input(said: Path, tiny_bundle: Path, form: str) -> None:
    """`-` transcribes what is piped in."""
    done = run("transcribe", "-", "--model", tiny_bundle, "--format", form, stdin=said.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    if form == "json":
        found = json.loads(done.stdout)
        assert (found["file"], found["text"]) == ("-", "BAD CAB")
    else:
        assert done.stdout == b"BAD CAB\n"


def test_one_bad_file_does_not_stop_the_others(said: Path, tiny_bundle: Path) -> None:
    """Every good file is transcribed, every bad one has one line on stderr, and the status is 2."""
    folder = said.parent
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("no sound\n" * 50)
    soundfile.write(folder / "none.wav", np.zeros(0), RATE_HZ)
    nan = say("CAB")
    nan[-50] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE_HZ, "FLOAT")
    bad = ["missing.wav", "empty.wav", "text.wav", "none.wav", "nan.wav", "."]
    files = [file for name in bad for file in (folder / name, said)]
    done = run("transcribe", *files, "--model", tiny_bundle)
    assert done.returncode == 2
    out = done.stdout.decode().splitlines()
    assert out.count(f"{said}: BAD CAB") == len(bad)
    assert [line for line in out if str(said) not in line] == [f"{folder / 'nan.wav'}: CAB"]
    complaints = stderr_lines(done)
    assert len(complaints) == len(bad)
    for name, line in zip(bad, complaints, strict=True):
        assert line.startswith("wav2edge: error: ")
        assert str(folder / name) in line
    assert "Traceback" not in done.stderr.decode()


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_a_cut_file_prints_both(suffix: str, said: Path, tiny_bundle: Path) -> None:
    """Of a truncated file the transcript is printed, and one line says that it was cut."""
    path = said.with_name(f"cut.{suffix}")
    noise = np.random.default_rng(0).normal(0, 0.01, 20 * RATE_HZ)
    soundfile.write(path, noise, RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run("transcribe", path, "--format", "json", "--model", tiny_bundle)
    assert done.returncode == 2
    assert 8 < json.loads(done.stdout)["duration_s"] < 12
    (line,) = stderr_lines(done)
    assert "is cut short or damaged" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "threads is 0"),
        (["--threads", "two"], "invalid int value"),
        (["--provider", "directml"], "provider directml is not there"),
        (["--provider", "cpu,quantum"], "provider is 'quantum'"),
        (["--format", "docx"], "invalid choice"),
        (["--model", "no-such-bundle"], "bundle no-such-bundle does not exist"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    said: Path,
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    """Options that cannot be, and bundles that are none, end in one line on stderr and status 2."""
    given = ["transcribe", str(said), "--model", str(tiny_bundle), *arguments]
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_names_and_words_of_any_script_are_printed(said: Path, tiny_bundle: Path) -> None:
    """A file name that is no UTF-8, in a locale that knows none, is printed and not fatal."""
    odd = said.with_name(os.fsdecode(b"\xff\xc3\xa4.wav"))
    shutil.copyfile(said, odd)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("transcribe", odd, "--model", tiny_bundle, "--format", "json", environment=locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.fsencode(json.loads(done.stdout)["file"]) == os.fsencode(odd)


def test_progress_is_for_terminals_and_long_work_only(said: Path, tiny_bundle: Path) -> None:
    """A long recording shows progress on a terminal's stderr, and nothing in a pipe."""
    long = said.with_name("long.flac")
    soundfile.write(long, np.zeros(90 * RATE_HZ), RATE_HZ)
    assert run("transcribe", long, "--model", tiny_bundle).stderr == b""
    shown = {}
    for path in (long, said):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "wav2edge", "transcribe", str(path), "--model"]
        command.append(str(tiny_bundle))
        done = subprocess.run(command, stderr=theirs, stdout=subprocess.DEVNULL, check=False)
        os.close(theirs)
        assert done.returncode == 0
        try:
            shown[path] = os.read(ours, 100_000).decode()
        except OSError:  # what a terminal says when nothing was written to it
            shown[path] = ""
        os.close(ours)
    assert "of 90 s" in shown[long]
    assert shown[long].endswith("\r\x1b[K")
    assert shown[said] == ""


# --- info ----------------------------------------------------------------------------------------


def test_info_shows_what_a_bundle_holds(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`info BUNDLE` prints providers and versions, and kind, vocabulary, hop, field and parity."""
    assert main(["info", str(tiny_bundle)]) == 0
    out = capsys.readouterr().out
    for part in (
        "cpu",
        session.version_of_runtime(),
        "wav2vec2, 1 layers of 1",
        "10 tokens, blank <pad>, word delimiter |, never heard: <unk>",
        "80 samples, 10 ms at 8000 Hz",
        "90 samples, 11.25 ms",
        "name float32",
        "largest_difference 0.0",
    ):
        assert part in out
    assert "conflict" not in out


def test_info_says_what_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that calls segments noise says below which confidence; another says nothing."""
    for reject_below, said in ((0.5, True), (0.0, False)):
        folder = tmp_path / f"{reject_below}"
        write_tiny_bundle(folder, reject_below=reject_below)
        assert main(["info", str(folder)]) == 0
        assert ("segments less confident than 0.5, as noise" in capsys.readouterr().out) is said


def test_info_without_a_bundle_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    """`info` alone shows the machine, and the embedded model if there is one."""
    assert main(["info"]) == 0
    assert "providers" in capsys.readouterr().out


def test_info_names_conflicting_distributions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two distributions that install onnxruntime over each other are named, with what to do."""
    both = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.30.0"}
    monkeypatch.setattr(session, "runtime_distributions", lambda: both)
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "onnxruntime and onnxruntime-gpu overwrite each other's files: uninstall" in out


def test_info_refuses_a_bad_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is no bundle is one line on stderr and status 2."""
    assert main(["info", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "has no manifest.json" in err


def test_stderr_is_given_back() -> None:
    """After the command, file descriptor 2 is what it was before."""
    before = os.fstat(2)
    with terminal.own_stderr():
        assert os.fstat(2).st_rdev == os.stat(os.devnull).st_rdev  # noqa: PTH116
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)
