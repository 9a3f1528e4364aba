"""The sub-command `wav2edge bench pocketsphinx`."""

import argparse

from .command_line import Kinds, add_cache, add_data, add_model, add_outputs, add_rounds


def add_parsers(kinds: Kinds) -> None:
    """Add `pocketsphinx`."""
    one = kinds.add_parser(
        "pocketsphinx",
        help="another recognizer of small devices on the same recordings: errors, cost, memory",
        description="PocketSphinx with its own English model, in an environment of its own that is "
        "made in the cache (pip; 60 MB), and a bundle on the development sets: with a language "
        "model, with one of the domain, and with a grammar or phrases. One thread of the processor "
        "each. Needs the extra `bench`.",
    )
    add_model(one)
    add_data(one)
    one.add_argument(
        "--seconds",
        type=float,
        default=45.0,
        metavar="S",
        help="of each set but digits and commands, from its beginning; default: 45",
    )
    one.add_argument("--starts", type=int, default=3, metavar="N", help="default: 3")
    add_rounds(one, 1)
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_pocketsphinx)


def _pocketsphinx(arguments: argparse.Namespace) -> int:
    from wav2edge.runtime.recognizer import load

    from .command_line import at_least, check_outputs, progress, write_out
    from .pocketsphinx import measure
    from .pocketsphinx_figures import cost_table, table, verdicts

    at_least(arguments, rounds=1, starts=1, seconds=1)
    check_outputs(arguments)
    result = measure(
        load(arguments.model, threads=1),
        arguments.data,
        arguments.cache / "peers",
        seconds=arguments.seconds,
        starts=arguments.starts,
        rounds=arguments.rounds,
        report=progress,
    )
    progress("")
    write_out([result], arguments)
    lines = [*table(result), "", *cost_table(result), "", *verdicts(result)]
    print(*lines, "", *result.conditions.lines(), sep="\n")
    return 0
