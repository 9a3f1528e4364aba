"""The command `wav2edge bench`: one sub-command a benchmark; each prints, and writes JSON."""

from . import accuracy_commands, cost_commands, report_commands, stream_commands
from .command_line import Kinds

_HOMES = (stream_commands, cost_commands, accuracy_commands, report_commands)


def add_parsers(subparsers: Kinds) -> None:
    """Add `bench` and what belongs to it: each home's `add_parsers` takes the kinds."""
    parser = subparsers.add_parser("bench", help="measure speed, latency, memory and accuracy")
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    for home in _HOMES:
        home.add_parsers(kinds)
