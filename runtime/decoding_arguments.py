"""The options of a command line that tell how log-probs become words."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import OptionsError

if TYPE_CHECKING:
    from .decoding import DecodingArguments
    from .recognizer import Recognizer

DOMAIN_HELP = (
    "the language model knows all that is said: hear no other word, believe it more, and search "
    "wider"
)
HOTWORD_WEIGHT = 6.0
"""Of a hotword without one."""


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = parser.add_argument_group("decoding")
    group.add_argument(
        "--lm",
        metavar="FILE",
        help="language model, ARPA or KenLM binary; default: the bundle's own, if it has one",
    )
    group.add_argument(
        "--hotword",
        action="append",
        default=[],
        metavar="WORD[=WEIGHT]",
        help="a word that is expected, and how much; may be given several times; default weight: "
        f"{HOTWORD_WEIGHT:g}",
    )
    group.add_argument(
        "--phrases",
        metavar="FILE|TEXT",
        help="all that may be said: a file of phrases, or one phrase, as in 'turn (on|off) it'",
    )
    group.add_argument(
        "--reject",
        type=float,
        metavar="FIT",
        help="phrases that fit worse than this are rejected, 0 to 1; default: as the "
        "bundle says, 0.35 if it does not",
    )
    _add_search(group)
    group.add_argument(
        "--decoder",
        choices=("greedy", "beam", "pyctcdecode"),
        help="how letters become words; default: beam where there is a language model or a "
        "hotword, else greedy; pyctcdecode is for recordings, and an extra",
    )


def _add_search(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--beam", type=int, metavar="N", help="readings kept after each frame; default: 100"
    )
    group.add_argument(
        "--alpha",
        type=float,
        metavar="A",
        help="weight of the language model; default: the bundle's, or 0.5",
    )
    group.add_argument(
        "--beta",
        type=float,
        metavar="B",
        help="added to the score for every word; default: the bundle's, or 1.5",
    )
    group.add_argument(
        "--blank-penalty",
        type=float,
        metavar="NATS",
        help="taken off the blank, where a model that hears little drops words; default: the "
        "bundle's, or 0",
    )
    group.add_argument(
        "--domain",
        action="store_true",
        default=None,
        help=DOMAIN_HELP,
    )


def decoding_of(arguments: argparse.Namespace) -> "DecodingArguments":
    """Return what a command line asks for.

    Raises:
        OptionsError: If the weight of a hotword is no number.
    """
    return {
        "decoder": arguments.decoder,
        "lm": arguments.lm,
        "hotwords": dict(map(_hotword, arguments.hotword)) or None,
        "phrases": None if arguments.phrases is None else _file_or_text(arguments.phrases),
        "reject": arguments.reject,
        "beam": arguments.beam,
        "alpha": arguments.alpha,
        "beta": arguments.beta,
        "blank_penalty": arguments.blank_penalty,
        "domain": arguments.domain,
    }


def tell_unheard(arguments: argparse.Namespace, recognizer: "Recognizer") -> None:
    """Say how many words of the language model that was named can never be heard, if any."""
    found = None if arguments.lm is None else recognizer.vocabulary
    if found is not None and found.n_unspellable:
        unheard = " ".join(found.unspellable)
        sys.stderr.write(
            f"wav2edge: of the {found.n_words} words of {arguments.lm} {found.n_unspellable} "
            f"cannot be spelled with the model's tokens, and are never heard, such as {unheard}\n"
        )


def _hotword(text: str) -> tuple[str, float]:
    word, sign, weight = text.rpartition("=")
    if not sign:
        return text, HOTWORD_WEIGHT
    try:
        return word, float(weight)
    except ValueError:
        raise OptionsError(
            f"--hotword {text!r} has the weight {weight!r}, expected a number, as in Zigbee=6"
        ) from None


def _file_or_text(text: str) -> Path | str:
    """Return a path where the text names a file, or can only be meant to."""
    meant = text.endswith(".txt") or os.sep in text
    return Path(text) if meant or Path(text).is_file() else text
