"""The sub-commands of `wav2edge bench` that measure what a model and its decoder cost."""

import argparse
from pathlib import Path

from .command_line import (
    Kinds,
    add_cache,
    add_outputs,
    add_recordings,
    add_rounds,
    add_runtime,
    add_sessions,
    at_least,
    check_outputs,
    clips,
    complain,
    load,
    opener,
    progress,
    sessions,
    tell,
)

_LONGEST_S = 600.0


def add_parsers(kinds: Kinds) -> None:
    """Add `speed`, `sizes`, `start`, `memory` and `decoder`."""
    _add_speed(kinds)
    one = kinds.add_parser(
        "sizes",
        help="how the cost grows with the model: tiny, base, large",
        description="Random weights at three sizes go through the export to int8; "
        "offline and streamed, and the slope over parameters. Needs the extra `export` while the "
        "cache is empty, 8 GB of memory and 4 GB of disk for it.",
    )
    add_sessions(one)
    add_rounds(one, 5)
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_sizes)
    one = kinds.add_parser(
        "start",
        help="from starting the interpreter to the first transcript, wall and CPU",
        description="Fresh processes import, load and hear a recording of 3 s, offline and as a "
        "stream; each way in turn.",
    )
    add_runtime(one)
    add_recordings(one)
    add_rounds(one, 7)
    add_outputs(one)
    one.set_defaults(run=_start)
    one = kinds.add_parser(
        "memory",
        help="memory beyond the model's file, streaming and offline, over the length",
        description="Fresh processes hear recordings of 10 s to 10 minutes; the peak of each one's "
        "resident set, less the model's files, and how that grows.",
    )
    add_runtime(one)
    add_recordings(one)
    add_rounds(one, 3)
    _add_longest(one)
    add_outputs(one)
    one.set_defaults(run=_memory)
    one = kinds.add_parser(
        "decoder",
        help="what the beam search costs, beside pyctcdecode and flashlight-text",
        description="The same log-probs, language model and beam width for all, in turn. The "
        "others get environments of their own in the cache (pip, g++, cmake). Threads and provider "
        "run the model that makes log-probs of speech; every decoder has one thread.",
    )
    add_runtime(one)
    one.add_argument("--lm", type=Path, required=True, metavar="ARPA", help="the language model")
    add_rounds(one, 5)
    one.add_argument("--seconds", type=float, default=20.0, help="of each kind; default: 20")
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_decoder)


def _add_speed(kinds: Kinds) -> None:
    one = kinds.add_parser(
        "speed",
        help="what a bundle costs: over length, left context, chunk, streams, threads, operators",
        description="CPU and wall time of one bundle: offline over lengths up to ten minutes; "
        "streamed over left context, chunk and number of streams; over threads; operator by "
        "operator; and how each grows. With --compare: wav2vec2-base with random weights against "
        "plain exports and torch eager instead, which needs the extra `export`; torch stays on the "
        "processor, with as many threads.",
    )
    add_runtime(one)
    add_recordings(one)
    add_rounds(one, 3)
    _add_longest(one)
    one.add_argument(
        "--compare", action="store_true", help="compare exports at base size; takes no --model"
    )
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_speed)


def _add_longest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--longest",
        type=float,
        default=_LONGEST_S,
        metavar="S",
        help="leave out longer recordings; default: 600",
    )


def _speed(arguments: argparse.Namespace) -> int:
    at_least(arguments, rounds=1, longest=1)
    check_outputs(arguments)
    if arguments.compare:
        return _compared(arguments)
    from .cost import CostOptions, measure

    asked = CostOptions(opener(arguments), arguments.threads, arguments.rounds, arguments.longest)
    return tell(measure(load(arguments), clips(arguments), asked, progress), arguments)


def _compared(arguments: argparse.Namespace) -> int:
    from .speed import measure

    if arguments.model is not None:
        complain("--compare measures exports of its own: leave out --model, or --compare")
    rounds, how = arguments.rounds, sessions(arguments)
    found = measure(arguments.cache, rounds=rounds, sessions=how, report=progress)
    return tell(found, arguments)


def _sizes(arguments: argparse.Namespace) -> int:
    from .sizes import measure

    at_least(arguments, rounds=1)
    check_outputs(arguments)
    rounds, how = arguments.rounds, sessions(arguments)
    found = measure(arguments.cache, rounds=rounds, sessions=how, report=progress)
    return tell(found, arguments)


def _start(arguments: argparse.Namespace) -> int:
    from .fresh import FreshOptions, measure_start

    at_least(arguments, rounds=1)
    options = FreshOptions(arguments.threads, arguments.provider, arguments.rounds)
    return tell(measure_start(load(arguments), clips(arguments), options, progress), arguments)


def _memory(arguments: argparse.Namespace) -> int:
    from .fresh import FreshOptions, measure_memory

    at_least(arguments, rounds=1, longest=1)
    options = FreshOptions(
        arguments.threads, arguments.provider, arguments.rounds, arguments.longest
    )
    return tell(measure_memory(load(arguments), clips(arguments), options, progress), arguments)


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
        sessions=sessions(arguments),
        report=progress,
    )
    return tell(result, arguments)
