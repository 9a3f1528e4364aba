"""The commands `align` and `pronounce`: a recording and the text that is said in it."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import AudioError, TextNotFoundError
from .terminal import own_stderr, speak_utf8

if TYPE_CHECKING:
    from wav2edge.lm.forced_search import SearchOptions

    from .alignment import Alignment
    from .recognizer import Recognizer

_ALIGN_FORMATS = ("txt", "json", "srt", "vtt", "textgrid")
_PRONOUNCE_FORMATS = ("txt", "json")
_SHOWN = 8  # missing words that one line names


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-commands `align` and `pronounce`."""
    parser = subparsers.add_parser(
        "align",
        help="tell when each word of a known text is said",
        description="Lay a text over a recording: times of words and letters, words that the audio "
        "lacks, speech that the text lacks.",
    )
    _add_arguments(parser, _ALIGN_FORMATS)
    parser.set_defaults(run=partial(_align, parser))
    parser = subparsers.add_parser(
        "pronounce",
        help="score how well a known text is pronounced",
        description="Score letters, words and the whole from 0 to 100.",
    )
    _add_arguments(parser, _PRONOUNCE_FORMATS)
    parser.set_defaults(run=partial(_pronounce, parser))


def _add_arguments(parser: argparse.ArgumentParser, formats: tuple[str, ...]) -> None:
    parser.add_argument("audio", metavar="AUDIO", help="a recording; - is standard input")
    parser.add_argument(
        "text",
        metavar="TEXT",
        help="what is said: the text itself, a file of it (UTF-8), or - for standard input",
    )
    parser.add_argument(
        "--model", metavar="BUNDLE", help="folder of a bundle; default: the embedded model"
    )
    parser.add_argument(
        "--format", choices=formats, default="txt", help="of the output; default: txt"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="CPU threads; default: 1"
    )
    parser.add_argument(
        "--provider",
        default="cpu",
        metavar="P",
        help="what runs the model, as in transcribe; default: cpu",
    )
    parser.add_argument(
        "--missing",
        type=float,
        default=4.0,
        metavar="NATS",
        help="a word is missing where its tokens cost more than so much each, against what is "
        "heard freely; inf: every word is there; default: 4",
    )
    parser.add_argument(
        "--unexplained",
        type=float,
        default=1.0,
        metavar="NATS",
        help="what a frame of other speech costs; inf: there is none; default: 1",
    )


def _align(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    text, options = _text(parser, arguments), _options(arguments)
    recognizer = _load(arguments)
    speak_utf8()
    with own_stderr():
        try:
            _print(recognizer.align(arguments.audio, text, options=options), arguments.format)
        except AudioError as error:
            if error.alignment is not None:
                _print(error.alignment, arguments.format)
            raise
    return 0


def _pronounce(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    text, options = _text(parser, arguments), _options(arguments)
    recognizer = _load(arguments)
    speak_utf8()
    with own_stderr():
        found = recognizer.pronounce(arguments.audio, text, options=options)
        sys.stdout.write(found.to_txt() if arguments.format == "txt" else found.to_json() + "\n")
    return 0


def _print(found: "Alignment", form: str) -> None:
    written = {
        "txt": found.to_txt,
        "json": lambda: found.to_json() + "\n",
        "srt": found.to_srt,
        "vtt": found.to_vtt,
        "textgrid": found.to_textgrid,
    }[form]()
    sys.stdout.write(written)
    sys.stdout.flush()
    if form in {"srt", "vtt", "textgrid"}:  # the others tell it themselves
        _warn(found)


def _load(arguments: argparse.Namespace) -> "Recognizer":
    from .recognizer import load

    return load(
        arguments.model,
        threads=arguments.threads,
        provider=arguments.provider.split(","),
        decoder="greedy",  # nothing is decoded: no language model has to be loaded
    )


def _options(arguments: argparse.Namespace) -> "SearchOptions":
    from wav2edge.lm.forced_search import SearchOptions

    return SearchOptions(missing=arguments.missing, unexplained=arguments.unexplained)


def _warn(found: "Alignment") -> None:
    """Say on stderr which words have no place in a format of times."""
    missing = [word.text for word in found.missing]
    if not missing:
        return
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    sys.stderr.write(
        f"wav2edge: {len(missing)} of {len(found.words)} words are not in the audio, and left out: "
        f"{', '.join(missing[:_SHOWN])}{more}\n"
    )


def _text(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> str:
    """Return the text: of standard input, of a file if there is one or only one can be meant."""
    given: str = arguments.text
    if given == "-":
        if arguments.audio == "-":
            parser.error("AUDIO and TEXT are both -: standard input can be one of them")
        return _decoded(sys.stdin.buffer.read(), "standard input")
    alone = given.split() == [given]
    meant = alone and (given.endswith(".txt") or os.sep in given)
    if not meant and not os.path.isfile(given):  # noqa: PTH113  (a text may be no path at all)
        return given
    try:
        return _decoded(Path(given).read_bytes(), given)
    except OSError as error:
        raise TextNotFoundError(
            f"{given} cannot be read ({error.strerror or error}): name a file of text, or give the "
            "text itself"
        ) from error


def _decoded(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextNotFoundError(
            f"{source} is no UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error
