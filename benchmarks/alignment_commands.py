"""The sub-commands of `wav2edge bench` that measure alignment and pronunciation scores."""

import argparse

from .command_line import Kinds, add_data, add_outputs, add_runtime, load, progress, tell


def add_parsers(kinds: Kinds) -> None:
    """Add `alignment` and `pronunciation`."""
    one = kinds.add_parser(
        "alignment",
        help="how far word boundaries of forced alignment are off, on joined digits",
        description="Digits of an unseen speaker, joined by silence: starts and ends, words put in "
        "and taken out.",
    )
    add_runtime(one)
    add_data(one)
    add_outputs(one)
    one.set_defaults(run=_alignment)
    one = kinds.add_parser(
        "pronunciation",
        help="how pronunciation scores agree with those that people gave",
        description="Sentences of learners (speechocean762): correlations with experts' scores.",
    )
    add_runtime(one)
    add_data(one)
    add_outputs(one)
    one.set_defaults(run=_pronunciation)


def _alignment(arguments: argparse.Namespace) -> int:
    from .alignment import measure

    found = measure(load(arguments), arguments.data, threads=arguments.threads, report=progress)
    return tell(found, arguments)


def _pronunciation(arguments: argparse.Namespace) -> int:
    from .pronunciation import measure

    found = measure(load(arguments), arguments.data, threads=arguments.threads, report=progress)
    return tell(found, arguments)
