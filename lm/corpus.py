"""Text for language models: files to sentences of words, as the acoustic model would write them."""

import gzip
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .alphabet import Alphabet
from .errors import CorpusError, LanguageModelNotFoundError, LanguageModelReadError
from .vocabulary import SPECIAL, heard_tokens

Case = Literal["upper", "lower"] | None
Progress = Callable[[str, float], None]
"""Told what is being done, and which share of it is."""

_GZIP = b"\x1f\x8b"
_LINES = 4096  # between two reports of progress
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u2032\uff07"), "'")


@dataclass(frozen=True, slots=True)
class Normalizer:
    """How text is made into what can be heard.

    Letters, their marks and digits stay, in composed form (NFC) and in one case; typographic
    apostrophes become plain ones; other signs become spaces, but those that stay, within words
    only. An apostrophe that does not stay vanishes without parting the word.

    >>> Normalizer("upper", "'")("\u201cDon\u2019t!\u201d \u2014 'twas well-known")
    "DON'T TWAS WELL KNOWN"
    """

    case: Case = None
    """None: letters stay as they are."""
    kept: str = "'"
    """Signs that stay within words."""

    @classmethod
    def of(cls, alphabet: Alphabet) -> "Normalizer":
        """Return what makes text as an alphabet writes it.

        The case is the alphabet's, if it has one alone; signs that it has, stay.
        """
        letters = "".join(heard_tokens(alphabet))
        has_upper, has_lower = letters != letters.lower(), letters != letters.upper()
        case: Case = None
        if has_upper != has_lower:
            case = "upper" if has_upper else "lower"
        return cls(case, "".join(sorted(set(filter(_is_sign, letters)) - {" "})))

    def __call__(self, line: str) -> str:
        """Return the line, its words parted by single spaces."""
        text = unicodedata.normalize("NFC", line).translate(_APOSTROPHES)
        if self.case:
            text = text.upper() if self.case == "upper" else text.lower()
        table = _Signs(self.kept)
        words = (word.strip(self.kept) for word in text.translate(table).split())
        return " ".join(filter(None, words))


class _Signs(dict[int, str | None]):
    """What becomes of each character, found out when it is first met."""

    def __init__(self, kept: str) -> None:
        super().__init__({ord("'"): None})
        self.update({ord(sign): sign for sign in kept})

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        self[code] = " " if _is_sign(sign) else sign
        return self[code] or ""


def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] not in "LMN"


def sentences(
    paths: Sequence[Path],
    normalize: Callable[[str], str] | None = None,
    progress: Progress | None = None,
    *,
    encoding: str = "utf-8",
) -> Iterator[list[str]]:
    """Read text, one sentence a line; blank lines are none.

    Args:
        paths: Plain or gzipped.
        normalize: Told each line; None: words are what white space parts.
        progress: Told how much of the bytes has been read.
        encoding: Of the text.

    Raises:
        LanguageModelNotFoundError: If a file is missing.
        LanguageModelReadError: If one cannot be read.
        CorpusError: If one is no text, or holds `<s>`, `</s>` or `<unk>`.
    """
    try:
        n_total = sum(path.stat().st_size for path in paths)
    except FileNotFoundError as error:
        raise LanguageModelNotFoundError(
            f"{error.filename} does not exist: name files of text, one sentence a line"
        ) from error
    n_before = 0
    for path in paths:
        for number, (line, n_read) in enumerate(_lines(path, encoding), start=1):
            if progress is not None and number % _LINES == 0:
                progress("reading", (n_before + n_read) / max(1, n_total))
            words = (normalize(line) if normalize else line).split()
            if "<" in line and not SPECIAL.isdisjoint(words):
                raise CorpusError(
                    f"{path}, line {number}: holds {min(SPECIAL.intersection(words))}, which "
                    "has a meaning of its own in language models: take it out, one sentence a line"
                )
            if words:
                yield words
        n_before += path.stat().st_size


def _lines(path: Path, encoding: str) -> Iterator[tuple[str, int]]:
    """Yield each line, and the bytes read so far."""
    number = 0
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if packed else file
            for number, line in enumerate(source, start=1):
                text = line.decode(encoding)
                yield text.removeprefix("\ufeff") if number == 1 else text, file.tell()
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}, line {number}: is no {encoding} text: name plain text or gzipped text, one "
            "sentence a line, and its --encoding if it is another (latin-1, cp1252)"
        ) from error
    except LookupError as error:
        raise CorpusError(
            f"encoding {encoding!r} is unknown: expected one that Python knows, such as utf-8"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(f"{path} is damaged gzip ({error}): copy it again") from error
    except OSError as error:
        raise LanguageModelReadError(
            f"{path} cannot be read ({error.strerror or error}): name a file of text"
        ) from error
