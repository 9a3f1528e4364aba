"""Virtual environments of other projects' software, made in the cache and kept there."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .result import BenchmarkError

_LIMIT_S = 1800.0
_DONE = "installed.json"


def environment(folder: Path, packages: Sequence[str]) -> Path:
    """Make an environment with pip unless it is there with the same packages.

    Args:
        folder: Of the environment; an incomplete one is replaced.
        packages: As pip takes them.

    Returns:
        Its interpreter.

    Raises:
        BenchmarkError: It cannot be made; the message ends with pip's last line.
    """
    python = folder.absolute() / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = folder / _DONE
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == list(packages):
        return python
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([sys.executable, "-m", "venv", "--clear", folder], limit_s=_LIMIT_S)
    run([python, *pip, *packages], limit_s=_LIMIT_S)
    done.write_text(json.dumps(list(packages)), encoding="utf-8")
    return python


def run(command: Sequence[str | Path], *, limit_s: float) -> None:
    """Run a program to its end.

    Raises:
        BenchmarkError: It fails, or takes longer than the limit.
    """
    shown = " ".join(map(str, command[:6]))
    try:
        done = subprocess.run(  # noqa: S603  (programs of ours, arguments of ours)
            command, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{shown} ... did not end: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        said = lines[-1].strip() if lines else "without a word"
        raise BenchmarkError(f"{shown} ... failed with status {done.returncode}: {said[:300]}")
