"""The command `wav2edge bench`: does this device keep up; and one sub-command a benchmark."""

import argparse
from collections.abc import Sequence

from . import (
    accuracy_commands,
    alignment_commands,
    cost_commands,
    peer_commands,
    pocketsphinx_commands,
    report_commands,
    stream_commands,
)
from .command_line import (
    Kinds,
    add_outputs,
    add_recordings,
    add_rounds,
    add_runtime,
    at_least,
    clips,
    load,
    progress,
    stream_options,
    write_out,
)

TOO_SLOW = 3
"""The exit status that says that the device does not keep up."""

_HOMES = (
    stream_commands,
    cost_commands,
    peer_commands,
    pocketsphinx_commands,
    accuracy_commands,
    alignment_commands,
    report_commands,
)


class _Kinds(argparse._SubParsersAction):  # type: ignore[type-arg]  # noqa: SLF001
    """Sub-commands that refuse options in front of their name: these would be forgotten."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Take the sub-command's own arguments."""
        given = [
            action.option_strings[0]
            for action in parser._actions  # noqa: SLF001
            if action.option_strings
            and getattr(namespace, action.dest, action.default) != action.default
        ]
        if given:
            parser.error(f"{', '.join(given)} stands before the benchmark's name: put it after")
        super().__call__(parser, namespace, values, option_string)


def add_parsers(subparsers: Kinds) -> None:
    """Add `bench` and what belongs to it: each home's `add_parsers` takes the kinds."""
    parser = subparsers.add_parser(
        "bench",
        help="does this device keep up; speed, latency, memory, accuracy",
        description="Without a benchmark's name: does this device keep up? Real-time factor, live "
        "streams, latency of each preset, memory, and which preset fits, in well under a minute.",
        epilog="Exit status without a benchmark's name: 0 the device keeps up, 3 it does not, 2 "
        "bad input.",
    )
    add_runtime(parser)
    add_recordings(parser)
    parser.add_argument(
        "--latency",
        nargs="+",
        metavar="PRESET",
        help="ask about these alone: low, balanced, accurate, or chunk/look-ahead/left in ms; "
        "default: the three presets",
    )
    parser.add_argument(
        "--streams", type=int, default=1, metavar="N", help="it shall carry; default: 1"
    )
    add_rounds(parser, 3)
    add_outputs(parser)
    parser.set_defaults(run=_keep_up)
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", action=_Kinds)
    for home in _HOMES:
        home.add_parsers(kinds)


def _keep_up(arguments: argparse.Namespace) -> int:
    from wav2edge.runtime.stream import LATENCIES

    from .keep_up import KeepUpOptions, fitting, lines, measure

    at_least(arguments, rounds=1, streams=1)
    progress("loading")
    options = KeepUpOptions(
        presets={name: stream_options(name) for name in arguments.latency or LATENCIES},
        streams=arguments.streams,
        threads=arguments.threads,
        rounds=arguments.rounds,
    )
    result = measure(load(arguments), clips(arguments), options, progress)
    progress("")
    write_out([result], arguments)
    print(*lines(result), sep="\n")
    return 0 if fitting(result) else TOO_SLOW
