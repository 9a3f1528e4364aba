"""Text to a language model, with our own estimation or KenLM's `lmplz`.

Beside the model its word list is written, and a binary where KenLM's `build_binary` is on PATH.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import numpy as np

from .arpa import scan_unigrams
from .arpa_writer import write_arpa, write_word_list
from .corpus import Progress
from .counts import EncodedText, count_ngrams
from .errors import EngineError, LanguageModelNotFoundError, ModelOptionsError
from .kneser_ney import Discounts, estimate
from .vocabulary import SPECIAL

Engine = Literal["own", "lmplz"]
HIGHEST_ORDER = 6
"""What the package kenlm reads unless it was compiled for more."""

_LMPLZ_MEMORY = "1G"  # beyond, it sorts on the disk; all of it is cleared first, whatever the text


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a model shall be.

    Raises:
        ModelOptionsError: If it cannot be so.
    """

    order: int = 3
    """The longest n-grams have so many words."""
    prune: tuple[int, ...] = ()
    """For each order, n-grams that occur no more often are left out; the last holds for the rest.
    Empty: all are kept."""
    words: frozenset[str] | None = None
    """Only n-grams of these words are kept; None: of all."""
    fallback: Discounts | None = None
    """Discounts where the text is too small to tell them."""

    def __post_init__(self) -> None:
        if not 1 <= self.order <= HIGHEST_ORDER:
            raise ModelOptionsError(f"the order is {self.order}, expected 1 to {HIGHEST_ORDER}")
        if len(self.prune) > self.order:
            raise ModelOptionsError(
                f"{len(self.prune)} pruning thresholds for a model of order {self.order}: give one "
                "for each order at most"
            )
        if list(self.thresholds) != sorted(self.thresholds) or min(self.thresholds) < 0:
            raise ModelOptionsError(
                f"pruning thresholds are {' '.join(map(str, self.prune))}, expected 0 or more, "
                "none smaller than the one before, as in 0 0 1"
            )
        taken = self.fallback or ()
        if not all(0 < one <= count for count, one in enumerate(taken, start=1)):
            raise ModelOptionsError(
                f"fallback discounts are {taken}, expected three numbers above 0 and up to 1, 2 "
                "and 3, as in 0.5 1 1.5"
            )

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The pruning threshold of every order."""
        given = self.prune or (0,)
        return given + given[-1:] * (self.order - len(given))


@dataclass(frozen=True, slots=True)
class Built:
    """What was made."""

    arpa: Path
    word_list: Path
    binary: Path | None
    n_sentences: int
    n_words: int
    n_ngrams: tuple[int, ...]
    """Of each order, as written."""
    fallback_orders: tuple[int, ...] = field(default=())
    """Orders whose discounts are the fallback's; not known where KenLM made the model."""


def build_language_model(
    sentences: Iterable[list[str]],
    out: Path,
    options: BuildOptions,
    *,
    engine: Engine = "own",
    progress: Progress | None = None,
) -> Built:
    """Make an n-gram model of text.

    Args:
        sentences: Words of each.
        out: The ARPA file to write; a name in `.gz` is gzipped.
        options: What it shall be.
        engine: Who estimates: `own`, or KenLM's `lmplz` from PATH.
        progress: Told what is being done.

    Raises:
        ModelOptionsError: If the text does not allow what is asked for.
        CorpusError: If there is no text.
        EngineError: If a program of KenLM is missing or fails.
        LanguageModelNotFoundError: If the folder of `out` does not exist.
        LanguageModelReadError: If the disk does not take it.
    """
    if not out.parent.is_dir():
        raise LanguageModelNotFoundError(
            f"the folder {out.parent} does not exist: make it, or name another file"
        )
    made = _own if engine == "own" else _lmplz
    return made(sentences, out, options, progress)


def _own(
    sentences: Iterable[list[str]], out: Path, options: BuildOptions, progress: Progress | None
) -> Built:
    text = EncodedText.encode(sentences)
    levels = count_ngrams(text, options.order, progress)
    allowed = None
    if options.words is not None:
        allowed = np.array([word in options.words for word in text.words])
    estimates = estimate(
        levels, thresholds=options.thresholds, allowed=allowed, fallback=options.fallback
    )
    write_arpa(out, text.words, levels, estimates, progress)
    write_word_list(_beside(out, ".words.txt"), text.words, estimates[0])
    return Built(
        out,
        _beside(out, ".words.txt"),
        _binary(out),
        text.n_sentences,
        text.n_words,
        tuple(int(np.count_nonzero(one.kept)) for one in estimates),
        tuple(order for order, one in enumerate(estimates, start=1) if one.fallback),
    )


def _lmplz(
    sentences: Iterable[list[str]], out: Path, options: BuildOptions, progress: Progress | None
) -> Built:
    if out.suffix == ".gz":
        raise ModelOptionsError(f"lmplz writes no gzip: name {out.with_suffix('')}")
    n_sentences = n_words = 0

    def feed(pipe: IO[str]) -> None:
        nonlocal n_sentences, n_words
        for words in sentences:
            pipe.write(" ".join(words) + "\n")
            n_sentences += 1
            n_words += len(words)

    with tempfile.TemporaryDirectory() as folder:
        command = [
            "-o",
            str(options.order),
            "--arpa",
            str(out),
            "-S",
            _LMPLZ_MEMORY,
            "-T",
            folder + "/",
        ]
        command += ["--prune", *map(str, options.thresholds)]
        if options.fallback is not None:
            command += ["--discount_fallback", *map(str, options.fallback)]
        if options.words is not None:
            listed = Path(folder) / "words.txt"
            listed.write_text("\n".join(sorted(options.words)) + "\n", encoding="utf-8")
            command += ["--limit_vocab_file", str(listed)]
        _run("lmplz", command, feed)
    if progress is not None:
        progress("writing the word list", 1.0)
    words = [word for word, _ in scan_unigrams(out) if word not in SPECIAL]
    listed = _beside(out, ".words.txt")
    listed.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return Built(out, listed, _binary(out), n_sentences, n_words, _counts(out))


def _binary(arpa: Path) -> Path | None:
    """Make a binary, the smallest kind, where KenLM's program is there and takes such a model."""
    if arpa.suffix == ".gz" or shutil.which("build_binary") is None or len(_counts(arpa)) == 1:
        return None
    binary = _beside(arpa, ".bin")
    _run("build_binary", ["trie", str(arpa), str(binary)], lambda _: None)
    return binary


def _run(program: str, arguments: Sequence[str], feed: Callable[[IO[str]], None]) -> None:
    """Run a program of KenLM, and hand it its text."""
    found = shutil.which(program)
    if found is None:
        raise EngineError(
            f"KenLM's {program} is not on PATH: build it from KenLM's source (cmake, Boost), or "
            "leave out --engine to use our own"
        )
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603  (a program that the user put on PATH)
            [found, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
            encoding="utf-8",
        )
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                feed(pipe)
        except BrokenPipeError:
            pass  # it ended early: its last words say why
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
        if status != 0:
            log.seek(0)
            said = [line for line in log.read().splitlines() if line.strip()]
            raise EngineError(
                f"{program} ended with status {status}: {' '.join(said[-3:])[-400:]}; our own "
                "engine may do it"
            )


def _counts(arpa: Path) -> tuple[int, ...]:
    r"""Read how many n-grams there are from the head of an ARPA file that is known to be good."""
    counts = []
    with arpa.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("ngram "):
                counts.append(int(line.partition("=")[2]))
            elif counts:
                break
    return tuple(counts)


def _beside(out: Path, suffix: str) -> Path:
    """Return the name of a file that belongs to a model: `lm.arpa.gz`, `.bin` -> `lm.bin`."""
    return (out.with_suffix("") if out.suffix == ".gz" else out).with_suffix(suffix)
