"""The language model that a bundle carries, and `wav2edge lm attach` and `detach`.

Its files lie in the bundle's folder `lm/`, under names that hold part of their hash: a model takes
the place of another in one step, and who has the old one open keeps it.
"""

import argparse
import hashlib
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wav2edge.lm.errors import DecoderError, LanguageModelReadError, Wav2EdgeError

from .decoding_arguments import DOMAIN_HELP
from .errors import ManifestError

if TYPE_CHECKING:
    from wav2edge.lm.alphabet import Alphabet
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.ngram import LanguageModel

    from .bundle import Bundle

FOLDER = "lm"


def attached_model(bundle: "Bundle") -> "tuple[LanguageModel, BeamOptions] | None":
    """Load the language model of a bundle, and how it is to be weighed; None if it has none.

    Raises:
        LanguageModelError: If it cannot be loaded, as `load_language_model` tells.
        ManifestError: If an option means nothing.
    """
    from wav2edge.lm.ngram import load_language_model

    said = bundle.manifest.language_model
    if said is None:
        return None
    try:
        options = beam_options(said.options)
    except DecoderError as error:
        raise ManifestError(f"{bundle.folder}: the language model's {error}") from error
    words = None if said.words is None else bundle.folder / said.words
    return load_language_model(bundle.folder / said.file, bundle.alphabet, words=words), options


def attach(
    bundle: "Bundle",
    path: str | os.PathLike[str],
    *,
    words: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> "tuple[Bundle, LanguageModel]":
    """Copy a language model into a bundle, in place of the one that it may have.

    Args:
        bundle: The bundle.
        path: ARPA, gzipped or not, or a KenLM binary.
        words: The word list of a binary; see `load_language_model`.
        options: How a beam search weighs it, by the names of `BeamOptions`; the others keep the
            defaults.

    Returns:
        The bundle, and the model as it was loaded to check it.

    Raises:
        LanguageModelError: If it cannot be loaded, or not be written; the bundle is as it was.
        DecoderError: If an option means nothing.
        BundleError: If the bundle is damaged, or of a layout without a manifest.
    """
    from wav2edge.lm.ngram import KENLM, load_language_model, read_bytes, word_list_of

    given = dict(options or {})
    beam_options(given)
    path = Path(path)
    model = load_language_model(path, bundle.alphabet, words=words)
    binary = read_bytes(path, len(KENLM)) == KENLM
    kind = ".bin" if binary else ".arpa.gz" if _is_gzip(path) else ".arpa"
    add = {_named(path, "model", kind): path}
    listed = None
    if binary:
        list_path = word_list_of(path, None if words is None else Path(words))
        listed = _named(list_path, "words", ".txt")
        add[listed] = list_path
    facts = {"file": next(iter(add)), "words": listed, "options": given}
    return _amended(bundle, facts, add), model


def detach(bundle: "Bundle") -> "Bundle":
    """Take the language model out of a bundle.

    Raises:
        LanguageModelError: If the disk does not take it; the bundle is as it was.
        BundleError: If the bundle is damaged, or of a layout without a manifest.
    """
    return _amended(bundle, None, {})


def beam_options(options: Mapping[str, Any]) -> "BeamOptions":
    """Make options of their names and values.

    Raises:
        DecoderError: If one is unknown or means nothing.
    """
    from wav2edge.lm.fusion import BeamOptions

    known = [field.name for field in fields(BeamOptions)]
    for name, value in options.items():
        if name not in known:
            raise DecoderError(f"option {name!r} is unknown: expected some of {', '.join(known)}")
        if value is not None and not isinstance(value, int | float):
            raise DecoderError(f"option {name} is {value!r}, expected a number")
    return BeamOptions(**options)


def _amended(bundle: "Bundle", facts: dict[str, Any] | None, add: Mapping[str, Path]) -> "Bundle":
    old = bundle.manifest.language_model
    held = [] if old is None else [old.file, *([old.words] if old.words else [])]
    try:
        return bundle.amended(
            {"language_model": facts}, add=add, remove=[name for name in held if name not in add]
        )
    except OSError as error:
        if isinstance(error, Wav2EdgeError):
            raise
        raise LanguageModelReadError(
            f"{bundle.folder} cannot be changed ({error.strerror or error}): expected a folder "
            "that may be written to, on a disk with room; copy the bundle elsewhere"
        ) from error


def _named(path: Path, what: str, kind: str) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{FOLDER}/{what}-{digest[:8]}{kind}"


def _is_gzip(path: Path) -> bool:
    from wav2edge.lm.ngram import GZIP

    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


# --- the commands --------------------------------------------------------------------------------

_OPTIONS = ("alpha", "beta", "unknown_word_score", "blank_penalty")


def alphabet_of(bundle: str) -> "Alphabet":
    """Return the alphabet of the bundle in a folder."""
    from .bundle import Bundle

    return Bundle.read(bundle).alphabet


def add_parsers(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `attach` and `detach` to the commands of `wav2edge lm`."""
    one = kinds.add_parser(
        "attach",
        help="put a language model into a bundle",
        description="Copy a language model into a bundle, in place of the one that it may have.",
    )
    one.add_argument("bundle", metavar="BUNDLE", help="its folder")
    one.add_argument("lm", metavar="LM", help="ARPA, gzipped or not, or a KenLM binary")
    one.add_argument("--words", metavar="FILE", help="word list of a binary, one word a line")
    one.add_argument("--alpha", type=float, help="weight of the language model; default: 0.5")
    one.add_argument("--beta", type=float, help="added to the score for every word; default: 1.5")
    one.add_argument(
        "--unknown-word-score",
        type=float,
        metavar="S",
        help="added for a word that the language model does not know; default: -10",
    )
    one.add_argument(
        "--blank-penalty", type=float, metavar="NATS", help="taken off the blank; default: 0"
    )
    one.add_argument("--domain", action="store_true", help=DOMAIN_HELP)
    one.set_defaults(run=_attach)
    one = kinds.add_parser("detach", help="take the language model out of a bundle")
    one.add_argument("bundle", metavar="BUNDLE", help="its folder")
    one.set_defaults(run=_detach)


def _attach(arguments: argparse.Namespace) -> int:
    from .bundle import Bundle

    bundle = Bundle.read(arguments.bundle)
    options = {name: getattr(arguments, name) for name in _OPTIONS}
    given = {name: value for name, value in options.items() if value is not None}
    if arguments.domain:
        given = {**_of_domain(bundle.manifest.phrases_blank_penalty), **given}
    bundle, model = attach(bundle, arguments.lm, words=arguments.words, options=given)
    said, found = bundle.manifest.language_model, model.vocabulary
    assert said is not None
    print(f"attached     {bundle.folder / said.file}, order {model.order}")
    print(f"  words      {len(found.entries)} of {found.n_words} can be heard")
    if found.n_unspellable:
        shown = " ".join(found.unspellable)
        print(f"  unheard    {found.n_unspellable} that the tokens cannot spell, such as {shown}")
    print(f"  options    {', '.join(f'{k} {v:g}' for k, v in given.items()) or 'the defaults'}")
    return 0


def _of_domain(blank_penalty: float) -> dict[str, Any]:
    """Return the options of a domain that are not the defaults, by name."""
    from wav2edge.lm.fusion import BeamOptions

    usual, options = BeamOptions(), BeamOptions.of_domain(blank_penalty)
    values = ((field.name, getattr(options, field.name)) for field in fields(options))
    return {name: value for name, value in values if value != getattr(usual, name)}


def _detach(arguments: argparse.Namespace) -> int:
    from .bundle import Bundle

    bundle = detach(Bundle.read(arguments.bundle))
    print(f"{bundle.folder} has no language model")
    return 0
