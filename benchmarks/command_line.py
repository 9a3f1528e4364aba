"""What the commands of the benchmarks share: their options, and how they show what they found."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from wav2edge.runtime.recognizer import Recognizer
    from wav2edge.runtime.stream import StreamOptions

    from .clips import Clip
    from .result import Result
    from .sessions import Sessions

Kinds: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  (no public name)
"""What takes sub-commands."""


def add_model(parser: argparse.ArgumentParser, *, default: str = "the embedded model") -> None:
    """Add `--model`."""
    parser.add_argument("--model", metavar="BUNDLE", help=f"default: {default}")


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, `--threads` and `--provider`."""
    add_model(parser)
    add_sessions(parser)


def add_sessions(parser: argparse.ArgumentParser) -> None:
    """Add `--threads` and `--provider`; `sessions` reads them."""
    add_threads(parser)
    add_provider(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`."""
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="of one run of a model; default: 1"
    )


def add_provider(parser: argparse.ArgumentParser) -> None:
    """Add `--provider`."""
    parser.add_argument(
        "--provider",
        default="cpu",
        metavar="P[,P]",
        help="cpu, cuda, tensorrt, openvino, coreml, directml; default: cpu",
    )


def add_recordings(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add `--audio` and `--split`."""
    own = "" if required else "; default: the synthetic clips that come with the package"
    parser.add_argument(
        "--audio",
        nargs="+",
        type=Path,
        default=[],
        required=required,
        metavar="FILE",
        help="recordings, or manifests (.tsv with a head line, .jsonl; columns path, text, words, "
        f"split){own}",
    )
    parser.add_argument("--split", help="only these rows of manifests")


def add_data(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--data`."""
    parser.add_argument("--data", type=Path, required=required, help="folder of MANIFEST.tsv")


def add_latency(parser: argparse.ArgumentParser) -> None:
    """Add `--latency`; `stream_options` reads it."""
    parser.add_argument(
        "--latency",
        default="balanced",
        metavar="PRESET",
        help="low, balanced, accurate, or chunk/look-ahead/left in ms, as in 320/320/4000; "
        "default: balanced",
    )


def add_rounds(parser: argparse.ArgumentParser, default: int) -> None:
    """Add `--rounds`."""
    parser.add_argument(
        "--rounds", type=int, default=default, metavar="N", help=f"default: {default}"
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add `--cache`."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".bench"),
        metavar="FOLDER",
        help="where what is made for the comparison is kept; default: .bench",
    )


def add_outputs(parser: argparse.ArgumentParser, *, plot: bool = False) -> None:
    """Add `--json` and `--html`, and `--plot` for what `plots` can draw."""
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result")
    parser.add_argument("--html", type=Path, metavar="OUT.html", help="write a report with plots")
    if plot:
        parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw it (extra `bench`)")


def at_least(arguments: argparse.Namespace, **least: float) -> None:
    """Check numbers before anything is measured.

    Raises:
        BenchmarkError: If an option is below its least value, or no finite number.
    """
    for name, limit in least.items():
        value = getattr(arguments, name)
        if not limit <= value < float("inf"):
            complain(f"--{name.replace('_', '-')} is {value}, expected {limit} or more")


def complain(message: str) -> NoReturn:
    """Refuse a command line.

    Raises:
        BenchmarkError: Always.
    """
    from .result import BenchmarkError

    raise BenchmarkError(message)


def stream_options(text: str) -> "str | StreamOptions":
    """Read a preset's name, or chunk/look-ahead/left in milliseconds.

    Raises:
        BenchmarkError: If these are not three numbers.
    """
    from wav2edge.runtime.stream import StreamOptions

    if "/" not in text:
        return text
    try:
        chunk_ms, lookahead_ms, left_ms = (float(part) for part in text.split("/"))
    except ValueError:
        complain(f"--latency is {text!r}, expected a preset or three numbers: 320/320/4000")
    return StreamOptions(chunk_ms, lookahead_ms, left_ms)


def load(arguments: argparse.Namespace) -> "Recognizer":
    """Load the model that was named, with the threads and the provider."""
    check_outputs(arguments)
    return sessions(arguments).load(arguments.model)


def sessions(arguments: argparse.Namespace) -> "Sessions":
    """Return what opens models with the threads and the provider that were named."""
    from .sessions import Sessions

    return Sessions(getattr(arguments, "threads", 1), tuple(arguments.provider.split(",")))


def opener(arguments: argparse.Namespace) -> "Callable[[float], Recognizer]":
    """Return what loads the model that was named with another number of threads."""
    how, model = sessions(arguments), arguments.model
    return lambda threads: replace(how, threads=int(threads)).load(model)


def clips(arguments: argparse.Namespace) -> "list[Clip]":
    """Return the recordings that were named."""
    from .clips import find_clips

    return find_clips(arguments.audio, split=arguments.split)


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse files that cannot be written, before minutes are spent on what goes into them.

    Raises:
        BenchmarkError: Naming the file.
    """
    for name in ("json", "html", "markdown", "plot"):
        path: Path | None = getattr(arguments, name, None)
        if path is None:
            continue
        folder = next(one for one in path.absolute().parents if one.exists())
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            complain(f"--{name} {path} cannot be written: name a file in a folder of yours")


def tell(result: "Result", arguments: argparse.Namespace) -> int:
    """Write what was asked for, then print the result: who reads along may go away."""
    progress("")
    write_out([result], arguments)
    print(*result.lines(), sep="\n")
    return 0


def write_out(results: "list[Result]", arguments: argparse.Namespace) -> None:
    """Write JSON, report and picture, where the command line names a file for them."""
    for result in results[:1]:
        if getattr(arguments, "json", None) is not None:
            result.write(arguments.json)
        if getattr(arguments, "plot", None) is not None:
            from .plots import plot

            plot(result, arguments.plot)
    if getattr(arguments, "html", None) is not None:
        from .report import write_html

        write_html(results, arguments.html)


def progress(text: str) -> None:
    """Show what is being done, on a terminal only, in place."""
    if sys.stderr.isatty():
        print(f"\r{text[:100]}\x1b[K", end="", file=sys.stderr, flush=True)
