r"""N-gram models in ARPA's text format, read in plain Python.

    \data\
    ngram 1=3
    ngram 2=1

    \1-grams:
    log10 p <tab> word <tab> log10 back-off weight (left out where it is 0)
    ...
    \2-grams:
    log10 p <tab> word word
    \end\

Scores are Katz's (1987, "Estimation of probabilities from sparse data"): the longest n-gram that is
there, plus the back-off weights of the contexts given up for it. What KenLM refuses is refused here
as well, and what it forgives (a missing `<unk>`) is forgiven: the two give the same scores.
"""

import math
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from .alphabet import Alphabet
from .errors import LanguageModelFormatError, TruncatedLanguageModelError
from .ngram import LMState, read_bytes
from .vocabulary import END, START, UNKNOWN, Vocabulary

MISSING_UNKNOWN = -100.0
"""log10 p of an unknown word where the model has no `<unk>`, as in KenLM."""

_HIGHEST_ORDER = 20
_SPACES = " \t\r"


@dataclass(slots=True)
class NGrams:
    """The contents of an ARPA file."""

    order: int
    log_probs: dict[tuple[str, ...], float] = field(default_factory=dict)
    """log10 p of every n-gram of every order."""
    backoffs: dict[tuple[str, ...], float] = field(default_factory=dict)
    """log10 back-off weight of every n-gram that is the context of a longer one, or has one."""

    @classmethod
    def parse(cls, text: str, *, source: str) -> "NGrams":
        """Read ARPA text.

        Args:
            text: The whole of it.
            source: The file's name, for messages.

        Raises:
            LanguageModelFormatError: If it is no ARPA, or contradicts itself; names the line.
            TruncatedLanguageModelError: If it ends before its end mark.
        """
        return _Reader(text, source).read()


class ArpaModel:
    """An n-gram model in memory; satisfies `LanguageModel`.

    Args:
        ngrams: What the file says.
        vocabulary: Its words, as the alphabet spells them.
    """

    def __init__(self, ngrams: NGrams, vocabulary: Vocabulary) -> None:
        self.order = ngrams.order
        self.vocabulary = vocabulary
        self._entries = vocabulary.entries
        self._log_probs = ngrams.log_probs
        self._backoffs = ngrams.backoffs

    @classmethod
    def read(cls, path: str | os.PathLike[str], alphabet: Alphabet | None) -> "ArpaModel":
        """Read an ARPA file, gzipped or not, of any size.

        Raises:
            LanguageModelError: As `load_language_model` does.
        """
        path = Path(path)
        ngrams = NGrams.parse(_decoded(read_bytes(path), path), source=str(path))
        unigrams = ((key[0], value) for key, value in ngrams.log_probs.items() if len(key) == 1)
        return cls(ngrams, Vocabulary.of(unigrams, alphabet, source=str(path)))

    @property
    def words(self) -> Collection[str]:
        """Every word, as the alphabet spells it."""
        return self._entries.keys()

    def start(self) -> LMState:
        """Return the state after `<s>`."""
        return self._known((START,))

    def score(self, state: LMState, word: str) -> tuple[float, LMState]:
        """Return log10 p(word | state), and the state after it."""
        return self._score((*state, self._entries.get(word, UNKNOWN)))

    def end(self, state: LMState) -> float:
        """Return log10 p(`</s>` | state)."""
        return self._score((*state, END))[0]

    def __contains__(self, word: object) -> bool:
        """Tell whether the model knows a word."""
        return word in self._entries

    def _score(self, ngram: tuple[str, ...]) -> tuple[float, LMState]:
        total = 0.0
        while ngram not in self._log_probs:  # ends: every word that comes here is a unigram
            total += self._backoffs.get(ngram[:-1], 0.0)
            ngram = ngram[1:]
        return total + self._log_probs[ngram], self._known(ngram)

    def _known(self, words: tuple[str, ...]) -> LMState:
        """Forget the words that no longer n-gram can make use of."""
        state = words[max(0, len(words) - self.order + 1) :]
        while state and state not in self._backoffs:
            state = state[1:]
        return state


def scan_unigrams(path: Path) -> Iterator[tuple[str, float]]:
    """Yield the words of an ARPA file that is known to be good, with their log-probabilities."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            if line.startswith("\\1-grams:"):
                break
        for line in file:
            fields = [part for part in line.strip().replace("\t", " ").split(" ") if part]
            if line.startswith("\\"):
                return
            if fields:
                yield fields[1], float(fields[0])


def _decoded(contents: bytes, path: Path) -> str:
    try:
        return contents.decode("utf-8")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise LanguageModelFormatError(
            f"{path}, line {line}: is no UTF-8 (byte {contents[error.start]:#04x}): expected ARPA "
            "text in UTF-8; convert it, for instance with iconv"
        ) from error


class _Reader:
    """Reads one file; `_line` is the number of the line in hand, from 1."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = text.split("\n")  # not splitlines: words may hold stranger separators
        self._line = 0
        self._source = source
        self._respell = "<UNK>" in text

    def read(self) -> NGrams:
        counts = self._counts()
        ngrams = NGrams(len(counts))
        for order, count in enumerate(counts, start=1):
            header = self._next_text()
            if header != f"\\{order}-grams:":
                self._refuse(f"{_shown(header)}, expected \\{order}-grams:")
            self._section(ngrams, order, count)
        self._end()
        self._complete(ngrams)
        return ngrams

    def _counts(self) -> list[int]:
        """Read the head, up to the blank line after it."""
        first = self._next_text()
        while first.startswith("#"):
            first = self._next_text()
        if first != "\\data\\":
            self._refuse(f"{_shown(first)}, expected \\data\\, with which ARPA begins")
        counts: list[int] = []
        for line in self._texts():
            head, equals, count = line.partition("=")
            if not equals and counts:
                self._line -= 1  # a header of n-grams, without a blank line before it
                break
            if head.split() != ["ngram", str(len(counts) + 1)] or not _is_count(count):
                self._refuse(f"{_shown(line)}, expected ngram {len(counts) + 1}=COUNT")
            counts.append(int(count))
            if not self._peek():
                break
        if not 0 < len(counts) <= _HIGHEST_ORDER or counts[0] == 0:
            self._refuse(f"{len(counts)} orders of n-grams, {counts[:1]} words: expected some")
        return counts

    def _section(self, ngrams: NGrams, order: int, count: int) -> None:
        """Read the n-grams of one order."""
        log_probs, backoffs, lines = ngrams.log_probs, ngrams.backoffs, self._lines
        for _ in range(count):
            plain = _plain(lines[self._line]) if self._line < len(lines) else None
            if plain is not None and len(plain[1]) == order and not self._respell:
                self._line += 1
                log_prob, key, backoff = plain
            else:
                log_prob, key, backoff = self._entry(order, count)
            if key in log_probs or (
                order > 1 and (key[:-1] not in log_probs or key[-1:] not in log_probs)
            ):
                self._refuse_place(ngrams, key)
            log_probs[key] = log_prob
            if order > 1:
                backoffs.setdefault(key[:-1], 0.0)
            if backoff:
                if order == ngrams.order:
                    self._refuse(f"back-off weight {backoff}, but no longer n-grams follow")
                backoffs[key] = backoff

    def _entry(self, order: int, count: int) -> tuple[float, tuple[str, ...], float]:
        """Read a line that is not as most are, or not as it should be."""
        line = self._next_text(f"n-grams of order {order}, {count} by the head of the file")
        fields = [part for part in line.replace("\t", " ").split(" ") if part]
        if len(fields) not in {order + 1, order + 2}:
            self._refuse(
                f"{_shown(line)}, expected a log-probability, {order} word{'s' * (order > 1)}, and "
                "perhaps a back-off weight"
            )
        log_prob = self._number(fields[0], "log-probability")
        if log_prob > 0:
            self._refuse(f"log-probability {fields[0]}, expected 0 or less")
        backoff = self._number(fields[-1], "back-off weight") if len(fields) > order + 1 else 0.0
        words = (UNKNOWN if part == "<UNK>" else part for part in fields[1 : order + 1])
        return log_prob, tuple(words), backoff

    def _refuse_place(self, ngrams: NGrams, key: tuple[str, ...]) -> NoReturn:
        """Refuse an n-gram that is there twice, or whose parts are not there."""
        if key in ngrams.log_probs:
            self._refuse(f"{' '.join(key)!r} for the second time, expected each n-gram once")
        context = key[:-1] in ngrams.log_probs
        part, what = (key[-1:], "word") if context else (key[:-1], "context")
        self._refuse(
            f"{' '.join(key)!r}, whose {what} {' '.join(part)!r} is not among the shorter n-grams"
        )

    def _complete(self, ngrams: NGrams) -> None:
        """Check for the entries that every sentence needs; add the one that may be left out."""
        for special in (START, END):
            if (special,) not in ngrams.log_probs:
                raise LanguageModelFormatError(
                    f"{self._source} has no {special} among its words, with which every sentence "
                    f"{'starts' if special == START else 'ends'}: add the line -99 {special} (and "
                    "one more word to ngram 1=), or make the model again"
                )
        ngrams.log_probs.setdefault((UNKNOWN,), MISSING_UNKNOWN)

    def _end(self) -> None:
        line = self._next_text()
        if line != "\\end\\":
            self._refuse(f"{_shown(line)}, expected \\end\\: more n-grams than the head promises?")
        for rest in self._texts():
            self._refuse(f"{_shown(rest)} after \\end\\, expected nothing more")

    def _number(self, text: str, what: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self._refuse(f"{what} {_shown(text)}, expected a finite number")
        return number

    def _texts(self) -> Iterator[str]:
        """Yield the lines that are left and not blank, stripped."""
        while self._line < len(self._lines):
            line = self._lines[self._line].strip(_SPACES)
            self._line += 1
            if line:
                yield line

    def _next_text(self, wanted: str = "") -> str:
        for line in self._texts():
            if wanted and line.startswith("\\"):
                self._refuse(f"{_shown(line)}, expected one more of the {wanted}")
            return line
        raise TruncatedLanguageModelError(
            f"{self._source}, line {len(self._lines)}: the file ends before \\end\\, expected a "
            "whole ARPA file: copy it again, or make it again"
        )

    def _peek(self) -> str:
        """Return the line after the one in hand; empty also where there is none."""
        rest = self._lines[self._line : self._line + 1]
        return rest[0].strip(_SPACES) if rest else ""

    def _refuse(self, found: str) -> NoReturn:
        raise LanguageModelFormatError(
            f"{self._source}, line {self._line}: found {found}. Copy the ARPA file again, or make "
            "it again"
        )


def _plain(line: str) -> tuple[float, tuple[str, ...], float] | None:
    """Read a line as every tool writes it; None where it needs a closer look."""
    fields = line.split("\t")
    try:
        log_prob = float(fields[0])
        key = tuple(fields[1].split(" "))
        backoff = float(fields[2]) if len(fields) == 3 else 0.0  # noqa: PLR2004
    except (ValueError, IndexError):
        return None
    usual = len(fields) <= 3 and "" not in key and not line.endswith("\r")  # noqa: PLR2004
    if usual and -math.inf < log_prob <= 0 and math.isfinite(backoff):
        return log_prob, key, backoff
    return None


def _is_count(text: str) -> bool:
    return text.strip(_SPACES).isdecimal() and len(text) < 20  # noqa: PLR2004  (digits of 2^64)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")  # noqa: PLR2004  (a line)
