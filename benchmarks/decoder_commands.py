"""The sub-commands of `wav2edge bench` that measure decoders."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wav2edge.runtime.recognizer import Recognizer

    from .result import Result

Tell = Callable[["Result", argparse.Namespace], int]
Report = Callable[[str], None]


def add_parsers(
    kinds: "argparse._SubParsersAction[argparse.ArgumentParser]", tell: Tell, report: Report
) -> None:
    """Add `decoder`, `confidence` and `hotwords`.

    Args:
        kinds: Where the benchmarks are listed.
        tell: Writes a result and prints it.
        report: Shows what is being done.
    """
    one = kinds.add_parser(
        "decoder",
        help="what the beam search costs, beside pyctcdecode and flashlight-text",
        description="The same log-probs, language model and beam width for all, in turn. The "
        "others get environments of their own in the cache (pip, g++, cmake).",
    )
    one.add_argument("--model", metavar="BUNDLE", help="default: the embedded model")
    one.add_argument("--lm", type=Path, required=True, metavar="ARPA", help="the language model")
    one.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    one.add_argument("--seconds", type=float, default=20.0, help="of each kind; default: 20")
    one.add_argument("--cache", type=Path, default=Path(".bench"), help="default: .bench")
    one.add_argument("--json", type=Path, metavar="OUT", help="write the result")
    one.set_defaults(run=partial(_decoder, tell, report, one))
    one = kinds.add_parser(
        "confidence",
        help="whether confidences tell right words from wrong ones",
        description="Words of greedy decoding and of the beam search on the development sets.",
    )
    one.add_argument("--model", metavar="BUNDLE", help="default: the embedded model")
    one.add_argument("--data", type=Path, required=True, help="folder of MANIFEST.tsv")
    one.add_argument("--lm", type=Path, metavar="FILE", help="a language model for the beam search")
    one.add_argument("--sets", nargs="+", default=[], metavar="SET", help="default: all")
    one.add_argument("--json", type=Path, metavar="OUT", help="write the result")
    one.set_defaults(run=partial(_confidence, tell, report))
    one = kinds.add_parser(
        "hotwords",
        help="hotwords over their boost: how many are heard, and what it costs the other words",
        description="Of every development set the rarest words are the hotwords, one list a set.",
    )
    one.add_argument("--model", metavar="BUNDLE", help="default: the embedded model")
    one.add_argument("--data", type=Path, required=True, help="folder of MANIFEST.tsv")
    one.add_argument("--lm", metavar="FILE", help="default: the bundle's own, if it has one")
    one.add_argument("--json", type=Path, metavar="OUT", help="write the result")
    one.set_defaults(run=partial(_hotwords, tell, report))


def _decoder(
    tell: Tell, report: Report, parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> int:
    from .decoder import measure

    if arguments.rounds < 1 or not 1 <= arguments.seconds <= 600:  # noqa: PLR2004  (ten minutes)
        parser.error(
            f"--rounds {arguments.rounds} --seconds {arguments.seconds}, expected 1 or more "
            "rounds, and 1 to 600 seconds"
        )
    result = measure(
        _load(arguments.model),
        arguments.lm,
        cache=arguments.cache,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        report=report,
    )
    return tell(result, arguments)


def _confidence(tell: Tell, report: Report, arguments: argparse.Namespace) -> int:
    from .confidence import measure, table

    result = measure(
        _load(arguments.model),
        arguments.data,
        model=arguments.lm,
        sets=arguments.sets,
        report=report,
    )
    status = tell(result, arguments)
    print("", *table(result), sep="\n")
    return status


def _hotwords(tell: Tell, report: Report, arguments: argparse.Namespace) -> int:
    from wav2edge.runtime.recognizer import load

    from .decodings import hotword_table, measure_hotwords

    recognizer = load(arguments.model, lm=arguments.lm)
    result = measure_hotwords(recognizer, arguments.data, report=report)
    status = tell(result, arguments)
    print("", *hotword_table(result), sep="\n")
    return status


def _load(model: str | None) -> "Recognizer":
    from wav2edge.runtime.recognizer import load

    return load(model, threads=1)
