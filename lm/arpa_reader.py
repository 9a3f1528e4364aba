r"""N-gram models in ARPA's text format, read with care: what is wrong is told with its line.

    \data\
    ngram 1=3
    ngram 2=1

    \1-grams:
    log10 p <tab> word <tab> log10 back-off weight (left out where it is 0)
    ...
    \2-grams:
    log10 p <tab> word word
    \end\

What KenLM refuses is refused here as well, and what it forgives (a missing `<unk>`) is forgiven.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from .errors import LanguageModelFormatError, TruncatedLanguageModelError
from .vocabulary import END, START, UNKNOWN

MISSING_UNKNOWN = -100.0
"""log10 p of an unknown word where the model has no `<unk>`, as in KenLM."""

_HIGHEST_ORDER = 20
_SPACES = " \t\r"


@dataclass(slots=True)
class NGrams:
    """The contents of an ARPA file; an n-gram is its words, parted by one space."""

    order: int
    log_probs: dict[str, float] = field(default_factory=dict)
    """log10 p of every n-gram of every order."""
    backoffs: dict[str, float] = field(default_factory=dict)
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
        ngrams = _Reader(text, source).read()
        for special in (START, END):
            if special not in ngrams.log_probs:
                raise LanguageModelFormatError(
                    f"{source} has no {special} among its words, with which every sentence "
                    f"{'starts' if special == START else 'ends'}: add the line -99 {special} (and "
                    "one more word to ngram 1=), or make the model again"
                )
        ngrams.log_probs.setdefault(UNKNOWN, MISSING_UNKNOWN)
        return ngrams


class _Reader:
    """Reads one file; `_line` is the number of the line in hand, from 1."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = text.split("\n")  # not splitlines: words may hold stranger separators
        self._line = 0
        self._source = source

    def read(self) -> NGrams:
        counts = self._counts()
        ngrams = NGrams(len(counts))
        for order, count in enumerate(counts, start=1):
            header = self._next_text()
            if header != f"\\{order}-grams:":
                self._refuse(f"{_shown(header)}, expected \\{order}-grams:")
            self._section(ngrams, order, count)
        self._end()
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
        log_probs, backoffs = ngrams.log_probs, ngrams.backoffs
        for _ in range(count):
            log_prob, key, backoff = self._entry(order, count)
            context, _, last = key.rpartition(" ")
            if key in log_probs or (
                order > 1 and (context not in log_probs or last not in log_probs)
            ):
                self._refuse_place(ngrams, key)
            log_probs[key] = log_prob
            if order > 1:
                backoffs.setdefault(context, 0.0)
            if backoff:
                if order == ngrams.order:
                    self._refuse(f"back-off weight {backoff}, but no longer n-grams follow")
                backoffs[key] = backoff

    def _entry(self, order: int, count: int) -> tuple[float, str, float]:
        """Read one line: log-probability, n-gram, back-off weight."""
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
        return log_prob, " ".join(words), backoff

    def _refuse_place(self, ngrams: NGrams, key: str) -> NoReturn:
        """Refuse an n-gram that is there twice, or whose parts are not there."""
        if key in ngrams.log_probs:
            self._refuse(f"{key!r} for the second time, expected each n-gram once")
        context, _, last = key.rpartition(" ")
        part, what = (last, "word") if context in ngrams.log_probs else (context, "context")
        self._refuse(f"{key!r}, whose {what} {part!r} is not among the shorter n-grams")

    def _end(self) -> None:
        line = self._next_text()
        if line != "\\end\\":
            self._refuse(f"{_shown(line)}, expected \\end\\: more n-grams than the head promises?")
        for rest in self._texts():
            self._refuse(f"{_shown(rest)} after \\end\\, expected nothing more")

    def _number(self, text: str, what: str) -> float:
        try:
            number = math.nan if "_" in text else float(text)  # 1_0 is one to Python alone
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


def _is_count(text: str) -> bool:
    return text.strip(_SPACES).isdecimal() and len(text) < 20  # noqa: PLR2004  (digits of 2^64)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")  # noqa: PLR2004  (a line)
