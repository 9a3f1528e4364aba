"""The commands `wav2edge lm build` and `wav2edge lm perplexity`; others join them from above."""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .alphabet import Alphabet
    from .build import BuildOptions, Built
    from .corpus import Normalizer

AlphabetOf = Callable[[str], "Alphabet"]
_FALLBACK = [0.5, 1.0, 1.5]
_DRAWN = 20_000


def add_parsers(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]", alphabet_of: AlphabetOf
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Add `lm` with its first commands.

    Args:
        subparsers: Of `wav2edge`.
        alphabet_of: Reads the alphabet of a bundle, which is not this folder's to know.

    Returns:
        What takes further commands of `lm`.
    """
    parser = subparsers.add_parser(
        "lm",
        help="make, measure, attach and tune language models",
        description="Make n-gram language models of text, measure them, put them into bundles, and "
        "find their weights.",
    )
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_build(kinds, alphabet_of)
    one = kinds.add_parser(
        "perplexity",
        help="how well a language model expects a text",
        description="Perplexity of a text; the end of each line counts as a word.",
    )
    one.add_argument("lm", metavar="LM", help="ARPA, gzipped or not, or a KenLM binary")
    _add_text(one)
    one.add_argument("--words", metavar="FILE", help="word list of a binary, one word a line")
    one.set_defaults(run=partial(_perplexity, alphabet_of))
    return kinds


def _add_build(
    kinds: "argparse._SubParsersAction[argparse.ArgumentParser]", alphabet_of: AlphabetOf
) -> None:
    one = kinds.add_parser(
        "build",
        help="make a language model of text",
        description="Make an n-gram model (interpolated modified Kneser-Ney), and its word list; "
        "and a binary where KenLM's build_binary is on PATH.",
    )
    _add_text(one, at_least="*")
    one.add_argument(
        "--phrases",
        type=Path,
        metavar="FILE",
        help="templates, of which sentences are drawn beside the text or instead of it",
    )
    one.add_argument(
        "--draw", type=int, default=_DRAWN, metavar="N", help=f"so many; default: {_DRAWN}"
    )
    one.add_argument(
        "-o",
        "--out",
        required=True,
        type=Path,
        metavar="LM.arpa",
        help="new file; LM.arpa.gz is gzipped",
    )
    one.add_argument(
        "--order", type=int, default=3, metavar="N", help="words of an n-gram; default: 3"
    )
    one.add_argument(
        "--prune",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="for each order, leave out n-grams that occur no more often, as in 0 0 1; the last "
        "holds for higher orders; default: keep all",
    )
    one.add_argument(
        "--vocab", type=Path, metavar="FILE", help="keep n-grams of these words alone, one a line"
    )
    one.add_argument(
        "--discount-fallback",
        type=float,
        nargs="*",
        metavar="D",
        help="discounts of counts 1, 2 and more for text too small to tell them; default: it is an "
        "error; without numbers: 0.5 1 1.5",
    )
    one.add_argument(
        "--engine",
        choices=("own", "lmplz"),
        default="own",
        help="what builds it: own, or KenLM's lmplz, from PATH; default: own",
    )
    one.set_defaults(run=partial(_build, one, alphabet_of))


def _add_text(parser: argparse.ArgumentParser, *, at_least: str = "+") -> None:
    parser.add_argument(
        "text", nargs=at_least, type=Path, metavar="TEXT", help="a sentence a line, gzipped or not"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--alphabet",
        metavar="BUNDLE",
        help="write the text as this model does: its case, its signs, no other punctuation",
    )
    how.add_argument(
        "--normalize",
        choices=("upper", "lower"),
        help="one case, no punctuation but apostrophes; default: words are as they stand",
    )
    parser.add_argument(
        "--encoding", default="utf-8", metavar="NAME", help="of the text; default: utf-8"
    )


# --- build ---------------------------------------------------------------------------------------


def _build(
    parser: argparse.ArgumentParser, alphabet_of: AlphabetOf, arguments: argparse.Namespace
) -> int:
    taken = arguments.discount_fallback
    if taken and len(taken) != len(_FALLBACK):
        parser.error(f"--discount-fallback takes three numbers or none, {len(taken)} were given")
    if not arguments.text and arguments.phrases is None:
        parser.error("there is nothing to make it of: name a TEXT, or --phrases")
    if arguments.draw < 1:
        parser.error(f"--draw is {arguments.draw}, expected 1 or more")
    from .build import build_language_model

    alphabet = alphabet_of(arguments.alphabet) if arguments.alphabet else None
    normalize = _normalizer(arguments, alphabet)
    progress = _Progress()
    text = _sentences(arguments, normalize, progress)
    try:
        made = build_language_model(
            text,
            arguments.out,
            _options(arguments, normalize),
            engine=arguments.engine,
            progress=progress,
        )
    finally:
        progress.clear()
    for line in _described(made, alphabet):
        print(line)
    return 0


def _sentences(
    arguments: argparse.Namespace, normalize: "Normalizer | None", progress: "_Progress"
) -> Iterator[list[str]]:
    """Yield the sentences of all text, then those that are drawn of templates."""
    from .corpus import sentences

    if arguments.text:
        yield from sentences(arguments.text, normalize, progress, encoding=arguments.encoding)
    if arguments.phrases is not None:
        from .drawing import draw_sentences
        from .templates import Templates

        for words in draw_sentences(Templates.of_file(arguments.phrases), arguments.draw):
            yield normalize(" ".join(words)).split() if normalize else words


def _options(arguments: argparse.Namespace, normalize: "Normalizer | None") -> "BuildOptions":
    from .build import BuildOptions
    from .ngram import read_word_list

    words = None
    if arguments.vocab is not None:
        listed = read_word_list(arguments.vocab)
        words = frozenset(normalize(word) for word in listed) if normalize else frozenset(listed)
    fallback = arguments.discount_fallback
    if fallback is not None:
        one, two, three = fallback or _FALLBACK
        fallback = (one, two, three)
    return BuildOptions(arguments.order, tuple(arguments.prune), words, fallback)


def _normalizer(arguments: argparse.Namespace, alphabet: "Alphabet | None") -> "Normalizer | None":
    from .corpus import Normalizer

    if alphabet is not None:
        return Normalizer.of(alphabet)
    return Normalizer(arguments.normalize) if arguments.normalize else None


def _described(made: "Built", alphabet: "Alphabet | None") -> Iterator[str]:
    from .ngram import read_word_list
    from .vocabulary import Vocabulary

    grams = ", ".join(f"{n} {order}-grams" for order, n in enumerate(made.n_ngrams, start=1))
    yield f"text         {made.n_words} words in {made.n_sentences} sentences"
    yield f"model        {made.arpa}, {made.arpa.stat().st_size} bytes: {grams}"
    if made.fallback_orders:
        orders = " and ".join(map(str, made.fallback_orders))
        yield f"  discounts  the fallback's, for order {orders}: the text was too small to tell"
    if alphabet is not None:
        unigrams = [(word, 0.0) for word in read_word_list(made.word_list)]
        found = Vocabulary.of(unigrams, alphabet, source=str(made.arpa))
        shown = " ".join(found.unspellable)
        yield f"  unheard    {found.n_unspellable} of {found.n_words} words cannot be spelled" + (
            f", such as {shown}" if shown else ""
        )
    yield f"words        {made.word_list}"
    if made.binary is not None:
        yield f"binary       {made.binary}, {made.binary.stat().st_size} bytes"


class _Progress:
    """A line on stderr, on a terminal only."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, what: str, share: float) -> None:
        line = f"{what}: {share:.0%}"
        if line != self._shown and sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._shown = line

    def clear(self) -> None:
        """Take the line away again."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# --- perplexity ----------------------------------------------------------------------------------


def _perplexity(alphabet_of: AlphabetOf, arguments: argparse.Namespace) -> int:
    from .corpus import sentences
    from .ngram import load_language_model
    from .perplexity import perplexity

    alphabet = alphabet_of(arguments.alphabet) if arguments.alphabet else None
    model = load_language_model(arguments.lm, alphabet, words=arguments.words)
    progress = _Progress()
    text = sentences(
        arguments.text,
        _normalizer(arguments, alphabet),
        progress,
        encoding=arguments.encoding,
    )
    try:
        found = perplexity(model, text)
    finally:
        progress.clear()
    share = found.n_unknown / max(1, found.n_words)
    print(f"text         {found.n_words} words in {found.n_sentences} sentences")
    print(f"unknown      {found.n_unknown} words, {share:.2%}")
    print(f"perplexity   {found.value:.2f}, {found.of_known:.2f} without unknown words")
    return 0
