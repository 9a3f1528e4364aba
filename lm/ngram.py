"""Word n-gram models: what a decoder asks of one, and how one is loaded.

Two readers give the same scores within rounding (1e-5): ours (`arpa.py`, plain Python, for text
files of up to 5 MB) and KenLM's (`kenlm_model.py`, package `kenlm`, for everything larger and for
binaries). A file that ours can read is read by ours, whatever is installed, so that a device
without `kenlm` hears the same words as a computer with it.
"""

import gzip
import os
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from .alphabet import Alphabet
from .errors import (
    LanguageModelFormatError,
    LanguageModelNotFoundError,
    LanguageModelReadError,
    TruncatedLanguageModelError,
    WordListError,
)
from .vocabulary import SPECIAL, Vocabulary

LMState = tuple[str, ...]
"""What a model remembers of the words before: the last `order` - 1 at most, in its own spelling.
A plain value: hash it, compare it, pickle it; it is good for every model loaded from that file."""

LARGEST_OWN = 5 << 20
"""Bytes of ARPA text that our own reader takes; beyond, KenLM is needed."""

GZIP = b"\x1f\x8b"
KENLM = b"mmap lm http://kheafield.com/code"

_LISTS = ("words.txt", "unigrams.txt")  # beside a binary, besides NAME.words.txt


class LanguageModel(Protocol):
    """An n-gram model over words as the alphabet spells them.

    Scores are log10, as n-gram models have them.
    """

    @property
    def order(self) -> int:
        """The longest n-grams have so many words."""
        ...

    @property
    def words(self) -> Collection[str]:
        """Every word that the model knows and the alphabet can spell, spelled so."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """How the words were spelled, and how many could not be."""
        ...

    def start(self) -> LMState:
        """Return the state at the beginning of a sentence, after `<s>`."""
        ...

    def score(self, state: LMState, word: str) -> tuple[float, LMState]:
        """Return log10 p(word | state), and the state after it; unknown words are `<unk>`."""
        ...

    def end(self, state: LMState) -> float:
        """Return log10 p(`</s>` | state)."""
        ...

    def __contains__(self, word: object) -> bool:
        """Tell whether the model knows a word."""
        ...


def load_language_model(
    path: str | os.PathLike[str],
    alphabet: Alphabet | None,
    *,
    words: str | os.PathLike[str] | None = None,
) -> LanguageModel:
    """Load an n-gram model: ARPA (also gzipped), or a KenLM binary.

    A binary from a stranger is as safe as KenLM's own reader is; ARPA is data and nothing else.

    Args:
        path: The file.
        alphabet: The tokens of the acoustic model; None: words are spelled as in the file.
        words: The word list of a binary, one word a line, which its file does not give away; None
            looks beside it for `NAME.words.txt`, `words.txt` or `unigrams.txt`. ARPA needs none.

    Raises:
        LanguageModelNotFoundError: If there is no such file.
        LanguageModelReadError: If the system does not let it be read.
        LanguageModelFormatError: If it is none of these, or contradicts itself.
        TruncatedLanguageModelError: If it ends too soon.
        WordListError: If a binary has no word list, or not its own.
        VocabularyMismatchError: If the alphabet can spell none of its words.
        KenlmMissingError: If it needs the package `kenlm`, which is not installed.
    """
    path = Path(path)
    if _is_binary(path):
        from .kenlm_model import open_binary

        return open_binary(path, alphabet, words=None if words is None else Path(words))
    contents = read_bytes(path, LARGEST_OWN + 1)
    if len(contents) > LARGEST_OWN:
        from .kenlm_model import open_arpa

        return open_arpa(path, alphabet)
    from .arpa import ArpaModel

    return ArpaModel.parse(contents, alphabet, source=str(path))


def read_bytes(path: Path, most: int = -1) -> bytes:
    """Read a file, unpacked if it is gzipped; at most so many bytes.

    Raises:
        LanguageModelNotFoundError: If there is none.
        LanguageModelReadError: If the system does not let it be read.
        LanguageModelFormatError: If it is damaged gzip.
        TruncatedLanguageModelError: If it is gzip cut short.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != GZIP:
                file.seek(0)
                return file.read(most)
        with gzip.open(path) as unpacked:
            return unpacked.read(most)
    except FileNotFoundError as error:
        raise LanguageModelNotFoundError(
            f"{path} does not exist: name a language model, ARPA or KenLM binary"
        ) from error
    except EOFError as error:
        raise TruncatedLanguageModelError(
            f"{path} is gzip and ends in the middle: copy it again"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise LanguageModelFormatError(
            f"{path} is damaged gzip ({error}): copy it again"
        ) from error
    except OSError as error:
        raise LanguageModelReadError(
            f"{path} cannot be read ({error.strerror or error}): expected a file with a language "
            "model"
        ) from error


def read_word_list(path: Path) -> list[str]:
    """Read a list of words, one a line; each comes once, `<s>`, `</s>` and `<unk>` not at all.

    Raises:
        WordListError: If there is no such list, or it is something else.
        LanguageModelReadError: If the system does not let it be read.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except LanguageModelNotFoundError as error:
        raise WordListError(f"there is no word list {path}: expected one word a line") from error
    except UnicodeDecodeError as error:
        raise WordListError(f"{path} is no UTF-8: expected one word a line") from error
    words: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        word = line.strip(" \r")
        if " " in word or "\t" in word:
            raise WordListError(
                f"{path}, line {number}: found {word[:60]!r}, expected one word and nothing else"
            )
        if word and word not in SPECIAL:
            words[word] = None
    return list(words)


def word_list_of(path: Path, words: Path | None) -> Path:
    """Return where the word list of a binary is: as named, or beside it.

    Raises:
        WordListError: If there is none beside it.
    """
    if words is not None:
        return words
    beside = [path.with_suffix(".words.txt"), *(path.with_name(name) for name in _LISTS)]
    for candidate in beside:
        if candidate.is_file():
            return candidate
    raise WordListError(
        f"{path} is a KenLM binary, which does not give away its words, and there is no list of "
        f"them beside it ({', '.join(one.name for one in beside)}): expected one word a line; "
        "wav2edge lm build writes one"
    )


def _is_binary(path: Path) -> bool:
    """Tell whether a file is a KenLM binary, and refuse what is neither that nor text."""
    head = read_bytes(path, 256)
    if not head.strip():
        raise TruncatedLanguageModelError(f"{path} is empty: expected a language model")
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    if packed and head.startswith(KENLM):
        raise LanguageModelFormatError(
            f"{path} is a gzipped KenLM binary, which cannot be mapped: unpack it with gunzip"
        )
    for magic, what in _FOREIGN.items():
        if head.startswith(magic) and not head.startswith(KENLM):
            raise LanguageModelFormatError(
                f"{path} is {what}: expected ARPA or a KenLM binary; write it as ARPA text"
            )
    if b"\0" in head and not head.startswith(KENLM):
        raise LanguageModelFormatError(
            f"{path} is neither ARPA text nor a KenLM binary (it begins with {head[:16]!r}): name "
            "a language model"
        )
    return head.startswith(KENLM)


_FOREIGN = {
    b"blmt": "an IRSTLM binary (compile-lm --text=yes makes ARPA of it)",
    b"iARPA": "an IRSTLM intermediate file (compile-lm --text=yes makes ARPA of it)",
    b"mmap lm": "a KenLM binary of another version (build_binary makes a new one)",
    b"PK\x03\x04": "a zip archive",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
}
