"""The sub-commands of `wav2edge bench` that show results that are there."""

import argparse
from pathlib import Path

from .command_line import Kinds


def add_parsers(kinds: Kinds) -> None:
    """Add `plot`."""
    one = kinds.add_parser("plot", help="draw a result again, as PNG")
    one.add_argument("result", type=Path, metavar="RESULT.json")
    one.add_argument("out", type=Path, metavar="OUT.png")
    one.set_defaults(run=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    from .plots import plot
    from .result import Result

    plot(Result.read(arguments.result), arguments.out)
    return 0
