"""What a run tells: a line of JSON per report, TensorBoard where it is installed, the terminal."""

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO


class RunLog:
    """The log of a run.

    Args:
        folder: Of `log.jsonl` and `tensorboard/`.
        terminal: Where progress is shown in place, if it is one.
    """

    def __init__(self, folder: Path, terminal: TextIO = sys.stderr) -> None:
        self._file, self._terminal = folder / "log.jsonl", terminal
        self._board = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(folder / "tensorboard")

    def write(self, figures: Mapping[str, float]) -> None:
        """Write one report; `step` is its place."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(figures)) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                if name != "step":
                    self._board.add_scalar(name, value, int(figures["step"]))

    def show(self, share: float, left_s: float, figures: Mapping[str, float]) -> None:
        """Show how far the run is, on a terminal only, in place."""
        if self._terminal.isatty():
            shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            line = f"{share:6.1%}  {_clock(left_s)} left  {shown}"
            self._terminal.write(f"\r{line[:118]}\x1b[K")
            self._terminal.flush()

    def close(self) -> None:
        """Write out what is buffered, and leave the terminal's line."""
        if self._board is not None:
            self._board.close()
        if self._terminal.isatty():
            self._terminal.write("\r\x1b[K")


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
