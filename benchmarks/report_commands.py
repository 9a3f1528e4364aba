"""The sub-commands of `wav2edge bench` that show results that are there."""

import argparse
from pathlib import Path

from .command_line import Kinds


def add_parsers(kinds: Kinds) -> None:
    """Add `plot` and `readme`."""
    one = kinds.add_parser("plot", help="draw a result again, as PNG (extra `bench`)")
    one.add_argument("result", type=Path, metavar="RESULT.json")
    one.add_argument("out", type=Path, metavar="OUT.png")
    one.set_defaults(run=_plot)
    one = kinds.add_parser(
        "readme",
        help="write the README's figures from benchmarks/results (in a checkout)",
        description="Fill the placeholders of benchmarks/measured.md with the figures of "
        "benchmarks/results/*.json, and put the text between the README's markers.",
    )
    one.add_argument("--check", action="store_true", help="write nothing; status 2 if they differ")
    one.set_defaults(run=_readme)


def _plot(arguments: argparse.Namespace) -> int:
    from .plots import plot
    from .result import Result

    plot(Result.read(arguments.result), arguments.out)
    return 0


def _readme(arguments: argparse.Namespace) -> int:
    from .command_line import complain
    from .readme import write

    differs = write(check=arguments.check)
    if differs and arguments.check:
        complain("the README's figures are not those of the results: run wav2edge bench readme")
    print("written" if differs else "as it was")
    return 0
