"""The sub-commands of `wav2edge bench` that make reports: of everything, or of what is there."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .command_line import (
    Kinds,
    add_cache,
    add_data,
    add_recordings,
    add_rounds,
    add_runtime,
    at_least,
    check_outputs,
    clips,
    load,
    opener,
    progress,
)

if TYPE_CHECKING:
    from .result import Result


def add_parsers(kinds: Kinds) -> None:
    """Add `all`, `report`, `plot` and `readme`."""
    _add_all(kinds)
    one = kinds.add_parser(
        "report",
        help="one page with plots, or a summary in Markdown, of results that are there",
        description="Draw results together: a page that needs nothing else, and Markdown.",
    )
    one.add_argument("results", type=Path, nargs="+", metavar="RESULT.json")
    _add_reports(one)
    one.set_defaults(run=_report)
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


def _add_all(kinds: Kinds) -> None:
    one = kinds.add_parser(
        "all",
        help="all of it on one bundle, as one page with plots",
        description="keep-up, speed, latency at each preset, start, memory, streams; accuracy with "
        "--data, decoder with --lm, sizes and peers if asked for. About ten minutes for the "
        "embedded model; --rounds 1 --longest 30 --seconds 3 for a first look. What could not be "
        "measured is told, with the reason.",
    )
    add_runtime(one)
    add_recordings(one)
    add_data(one, required=False)
    one.add_argument("--lm", type=Path, metavar="ARPA", help="compare decoders with this model")
    add_rounds(one, 3)
    one.add_argument(
        "--longest", type=float, default=600.0, metavar="S", help="of recordings; default: 600"
    )
    one.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="of a trial; default: 10"
    )
    one.add_argument(
        "--add", type=Path, nargs="+", default=[], metavar="RESULT.json", help="show these as well"
    )
    one.add_argument(
        "--with-sizes",
        action="store_true",
        help="bench sizes as well: tiny, base, large (extra `export`)",
    )
    one.add_argument(
        "--with-peers",
        action="store_true",
        help="bench peers as well, on the processor (extra `export`; pip, 3 GB, half an hour)",
    )
    add_cache(one)
    one.add_argument("--json", type=Path, metavar="FOLDER", help="write each result as it comes")
    _add_reports(one)
    one.set_defaults(run=_all)


def _add_reports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", type=Path, metavar="OUT.html", help="write a page with plots")
    parser.add_argument("--markdown", type=Path, metavar="OUT.md", help="default: print it")


def _all(arguments: argparse.Namespace) -> int:
    from .everything import MORE, AllOptions, measure
    from .result import Result

    at_least(arguments, rounds=1, longest=1, seconds=1)
    added = [Result.read(path) for path in arguments.add]
    folder = arguments.json
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        arguments.json = folder / "cost.json"

    def done(name: str, result: Result) -> None:
        if folder is not None:
            result.write(folder / f"{name}.json")

    options = AllOptions(
        opener(arguments),
        threads=arguments.threads,
        provider=arguments.provider,
        rounds=arguments.rounds,
        longest_s=arguments.longest,
        trial_s=arguments.seconds,
        data=arguments.data,
        lm=arguments.lm,
        more=tuple(name for name in MORE if getattr(arguments, f"with_{name}")),
        cache=arguments.cache,
    )
    found = measure(load(arguments), clips(arguments), options, progress, done)
    named = {one.benchmark for one in added}
    left_out = {name: why for name, why in found.left_out.items() if name not in named}
    return _reported([*found.results.values(), *added], left_out, arguments)


def _report(arguments: argparse.Namespace) -> int:
    from .result import Result

    check_outputs(arguments)
    return _reported([Result.read(path) for path in arguments.results], {}, arguments)


def _reported(
    results: "Sequence[Result]", left_out: Mapping[str, str], arguments: argparse.Namespace
) -> int:
    from .report import markdown, write_html, write_markdown

    progress("")
    if arguments.html is not None:
        write_html(results, arguments.html, left_out)
    if arguments.markdown is not None:
        write_markdown(results, arguments.markdown, left_out)
    else:
        print(markdown(results, left_out))
    return 0


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
