"""The command `wav2edge`: finds the sub-command, and turns each way it can end into an exit status.

What a sub-command does is written in `commands.py` of its folder. Whatever happens there, who is
at the terminal reads one line, never a traceback:

    0    done
    1    a fault of this program (WAV2EDGE_TRACEBACK=1 shows where)
    2    wrong use, bad input, or an extra that is not installed
    3    `wav2edge bench`: this device does not keep up
    130  stopped by Ctrl-C
    141  who read the output went away
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from wav2edge import __version__
from wav2edge.lm.errors import Wav2EdgeError

_EXTRAS = {
    "kenlm": "[lm]",
    "matplotlib": "[bench]",
    "numpy": "",
    "onnx": "[export]",
    "onnxruntime": "",
    "onnxscript": "[export]",
    "pyctcdecode": "[pyctcdecode]",
    "rapidfuzz": "[bench]",
    "sounddevice": "[mic]",
    "soundfile": "",
    "soxr": "",
    "torch": "[export]",
    "transformers": "[export]",
}  # library -> the extra of wav2edge that installs it; "" is the base install


class UsageError(Wav2EdgeError, ValueError):
    """The command line cannot be understood."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints end like every other error: in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (try: {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line; no heavy library is loaded for it."""
    from wav2edge.benchmarks import commands as benchmark_commands
    from wav2edge.benchmarks import tune_command
    from wav2edge.export import commands as export_commands
    from wav2edge.lm import commands as lm_commands
    from wav2edge.runtime import alignment_commands, attachment, demo, listen
    from wav2edge.runtime import commands as runtime_commands
    from wav2edge.training import commands as training_commands

    whole: argparse.ArgumentParser = _Parser(
        prog="wav2edge",
        description="Wav2Vec 2.0 on the device that hears the voice: recordings and microphones to "
        "text.",
        epilog="wav2edge COMMAND --help tells what a command takes.",
    )
    whole.add_argument("--version", action="version", version=f"wav2edge {__version__}")
    subparsers = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for home in (
        runtime_commands,
        alignment_commands,
        listen,
        export_commands,
        training_commands,
        benchmark_commands,
        demo,
    ):
        home.add_parsers(subparsers)
    kinds = lm_commands.add_parsers(subparsers, attachment.alphabet_of)
    for home in (attachment, tune_command):
        home.add_parsers(kinds)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: Arguments after the program's name; None takes the process's own.

    Returns:
        The exit status, as listed at the top of this module.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _abandon_stdout()
        return 141
    except Wav2EdgeError as error:
        return _complain(f"error: {error}", status=2)
    except Exception as error:
        if os.environ.get("WAV2EDGE_TRACEBACK"):
            raise
        install = _missing_extra(error)
        if install:
            return _complain(f"error: {install}", status=2)
        what = f"{type(error).__name__}: {error}"
        return _complain(f"fault: {what} (WAV2EDGE_TRACEBACK=1 shows where)", status=1)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
        status: int = arguments.run(arguments)
    except SystemExit as stop:  # argparse after --help and --version
        status = int(stop.code or 0)
    sys.stdout.flush()  # a reader that went away shows here, not in the interpreter's last breath
    return status


def _complain(message: str, *, status: int) -> int:
    line = " ".join(f"wav2edge: {message}".split("\n"))
    with contextlib.suppress(OSError):  # stderr may be closed as well
        print(line, file=sys.stderr, flush=True)
    return status


def _missing_extra(error: Exception) -> str:
    """Say how to install the library that `error` missed; empty where it is none of ours."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    library = (error.name or "").partition(".")[0]
    if library not in _EXTRAS:
        return ""
    return (
        f"this command needs {library}, which is not installed: "
        f'pip install "wav2edge{_EXTRAS[library]}"'
    )


def _abandon_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's own flush at exit stays quiet."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
