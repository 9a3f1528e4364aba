"""The command line's promise: one line and a status, whatever happens inside a command."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

import wav2edge
from wav2edge import cli
from wav2edge.lm.errors import Wav2EdgeError
from wav2edge.runtime import commands

Action = Callable[[argparse.Namespace], int]


class _MissingThingError(Wav2EdgeError, FileNotFoundError):
    """A leaf as others write it."""


class _WrongKeyError(Wav2EdgeError, KeyError):
    """A leaf of the built-in that shows its message in quotes."""


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch) -> Callable[[Action], int]:
    """Run `wav2edge act` with a command that does what the test says."""

    def run(action: Action) -> int:
        def add_parsers(
            subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
        ) -> None:
            subparsers.add_parser("act").set_defaults(run=action)

        monkeypatch.setattr(commands, "add_parsers", add_parsers)
        return cli.main(["act"])

    return run


def raising(error: BaseException) -> Action:
    """Make a command that raises `error`."""

    def run(_: argparse.Namespace) -> int:
        raise error

    return run


@pytest.mark.parametrize("status", [0, 2])
def test_a_command_gives_the_status(act: Callable[[Action], int], status: int) -> None:
    """What a command returns is the exit status."""
    assert act(lambda _: status) == status


@pytest.mark.parametrize(
    "error",
    [
        Wav2EdgeError("talk.wav is empty; expected audio; record it again"),
        _MissingThingError("talk.wav is empty; expected audio; record it again"),
        _WrongKeyError("talk.wav is empty; expected audio; record it again"),
        Wav2EdgeError("talk.wav is empty;\nexpected audio;\nrecord it again"),
    ],
)
def test_an_error_is_one_line_and_status_2(
    act: Callable[[Action], int], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """An error of ours is one line on stderr, its message unquoted, with status 2."""
    assert act(raising(error)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "wav2edge: error: talk.wav is empty; expected audio; record it again\n"


@pytest.mark.parametrize(
    ("module", "target"),
    [("torch", "wav2edge[export]"), ("torch.nn", "wav2edge[export]"), ("soxr", "wav2edge")],
)
def test_a_missing_library_names_its_extra(
    act: Callable[[Action], int],
    capsys: pytest.CaptureFixture[str],
    module: str,
    target: str,
) -> None:
    """A command whose library is not installed says what to install, with status 2."""
    error = ModuleNotFoundError(f"No module named {module!r}", name=module)
    assert act(raising(error)) == 2
    err = capsys.readouterr().err
    assert f'pip install "{target}"\n' in err
    assert err.count("\n") == 1


def test_a_fault_of_ours_is_one_line_and_status_1(
    act: Callable[[Action], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error nobody foresaw is one line too, and tells how to see where it happened."""
    monkeypatch.delenv("WAV2EDGE_TRACEBACK", raising=False)
    assert act(raising(ModuleNotFoundError("No module named 'ours'", name="ours"))) == 1
    err = capsys.readouterr().err
    assert err.startswith("wav2edge: fault: ModuleNotFoundError: No module named 'ours'")
    assert "WAV2EDGE_TRACEBACK=1" in err
    assert err.count("\n") == 1


def test_the_traceback_is_there_for_who_asks(
    act: Callable[[Action], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """WAV2EDGE_TRACEBACK=1 lets a fault through with its traceback."""
    monkeypatch.setenv("WAV2EDGE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        act(raising(ZeroDivisionError()))


def test_ctrl_c_is_quiet(act: Callable[[Action], int], capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C inside a command ends it with status 130 and not a word."""
    assert act(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "argv",
    [[], ["no-such-command"], ["transcribe", "--no-such-option", "a.wav"], ["transcribe"]],
)
def test_wrong_use_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    """A command line that cannot be understood is one line on stderr, with status 2."""
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wav2edge: error: ")
    assert err.count("\n") == 1
    assert "--help" in err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """--version and --help print to stdout and end with status 0; help names every command."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"wav2edge {wav2edge.__version__}\n"
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("transcribe", "info", "export", "demo"):
        assert command in out


def start(
    action: str, *, stdout: int | None = None, stderr: int | None = None
) -> "subprocess.Popen[str]":
    """Start a process whose command `act` runs the Python source `action`."""
    code = (
        "import signal, sys, time\n"
        # Under `nohup`, or behind a shell's `&`, SIGINT is ignored, and children inherit that.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from wav2edge import cli\n"
        "from wav2edge.runtime import commands\n"
        f"def run(_):\n    {action}\n    return 0\n"
        "def add(subparsers): subparsers.add_parser('act').set_defaults(run=run)\n"
        "commands.add_parsers = add\n"
        "sys.exit(cli.main(['act']))\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], text=True, stdout=stdout, stderr=stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_ends_a_process_quietly() -> None:
    """A process that is interrupted while it works ends with status 130 and an empty stderr."""
    process = start(
        "print('ready', flush=True); time.sleep(60)",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")


@pytest.mark.skipif(sys.platform == "win32", reason="closed pipes are told otherwise there")
@pytest.mark.parametrize(
    "action",
    [
        "[print('x' * 80) for _ in range(100_000)]",  # breaks inside the command
        "time.sleep(0.5); print('x')",  # breaks when the last buffer is flushed
    ],
)
def test_a_reader_that_went_away_is_no_error(action: str) -> None:
    """`wav2edge ... | head` ends with status 141 and an empty stderr."""
    process = start(action, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, "")


@pytest.mark.skipif(sys.platform == "win32", reason="closed pipes are told otherwise there")
def test_an_error_with_nobody_listening_keeps_its_status() -> None:
    """An error whose line cannot be written, stderr being closed too, still ends with status 2."""
    process = start(
        "time.sleep(0.5); raise cli.Wav2EdgeError('nobody hears this')",
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=30) == 2
