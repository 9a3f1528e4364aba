"""The sub-commands of `wav2edge bench` that measure what a model and its decoder cost."""

import argparse
from pathlib import Path

from .command_line import (
    Kinds,
    add_cache,
    add_model,
    add_outputs,
    add_rounds,
    at_least,
    check_outputs,
    complain,
    load,
    progress,
    tell,
)

_LONGEST_S = 600.0


def add_parsers(kinds: Kinds) -> None:
    """Add `speed` and `decoder`."""
    one = kinds.add_parser(
        "speed",
        help="what the graph costs, against plain exports and torch, at base size",
        description="wav2vec2-base with random weights, one thread: offline, streaming, memory, "
        "operators, and the processor's peak. Needs the extra `export`.",
    )
    add_rounds(one, 5)
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_speed)
    one = kinds.add_parser(
        "decoder",
        help="what the beam search costs, beside pyctcdecode and flashlight-text",
        description="The same log-probs, language model and beam width for all, in turn. The "
        "others get environments of their own in the cache (pip, g++, cmake).",
    )
    add_model(one)
    one.add_argument("--lm", type=Path, required=True, metavar="ARPA", help="the language model")
    add_rounds(one, 5)
    one.add_argument("--seconds", type=float, default=20.0, help="of each kind; default: 20")
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_decoder)


def _speed(arguments: argparse.Namespace) -> int:
    from .speed import measure

    at_least(arguments, rounds=1)
    check_outputs(arguments)
    return tell(measure(arguments.cache, rounds=arguments.rounds, report=progress), arguments)


def _decoder(arguments: argparse.Namespace) -> int:
    from .decoder import measure

    at_least(arguments, rounds=1, seconds=1)
    if arguments.seconds > _LONGEST_S:
        complain(f"--seconds is {arguments.seconds}, expected {_LONGEST_S:.0f} or less")
    result = measure(
        load(arguments),
        arguments.lm,
        cache=arguments.cache,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        report=progress,
    )
    return tell(result, arguments)
