"""ARPA files read a column at a time, as far as they are written as every tool writes them.

A reader that looks at each line takes most of a device's start where a language model is. Here the
bytes are cut at once, words are told apart by the bytes they are made of, and every check is one on
a whole column. Whatever is unusual, and whatever is wrong, is left to the reader that looks at each
line (`arpa_reader.py`): it knows what to say.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .decimals import Reals, read_decimals
from .ngram_trie import NGramTrie
from .vocabulary import END, START, UNKNOWN

_HEAD = re.compile(rb"\\data\\(?:\nngram \d+=\d{1,18})+")
_COUNT = re.compile(rb"ngram (\d+)=(\d+)")
_SECTION = re.compile(rb"\n\n\\(\d+-grams:|end\\)\n")
_TAB, _NEWLINE, _SPACE = b"\t\n "
_LONGEST = 64  # bytes of a word
_ROOM = bytes(2 * _LONGEST)  # after the last byte, so that any word may be read as the longest
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # odd, and evenly spread (golden ratio)

Bytes = NDArray[np.uint8]
Codes = NDArray[np.uint64]
Places = NDArray[np.int64]


class _UnusualError(ValueError):
    """What the other reader must look at."""


def read_columns(contents: bytes) -> NGramTrie | None:
    """Read an ARPA file that is written as usual; None if anything is unusual or wrong.

    Args:
        contents: All of it.
    """
    try:
        sections = _sections(contents)
        words = _Words(contents, sections[0])
        levels: list[tuple[Places, list[float], list[float]]] = []
        for section in sections:
            keys = _keys(words, section, [level[0] for level in levels[1:]])
            by_key = keys.argsort(kind="stable")
            keys = keys[by_key]
            log_probs, backoffs = (column[by_key] for column in _numbers(contents, section))
            _expect((keys[1:] > keys[:-1]).all())  # each n-gram once
            _expect(log_probs.max() <= 0 and (section is not sections[-1] or not backoffs.any()))
            levels.append((keys, log_probs.tolist(), backoffs.tolist()))
    except ValueError:  # also no UTF-8, and no number
        return None
    return NGramTrie.sorted(words.names, levels)


def _expect(usual: bool | np.bool_) -> None:  # noqa: FBT001
    if not usual:
        raise _UnusualError


@dataclass(frozen=True, slots=True)
class _Section:
    """The n-grams of one order: where their fields are, in bytes from the file's start."""

    begin: int
    ends: Places
    """`[n-grams, order + 1]`: of the log-probability, and of each word."""
    line_ends: Places
    """Later than the last word's where there is a back-off weight."""


def _sections(contents: bytes) -> list[_Section]:
    """Cut the file."""
    marks_of = list(_SECTION.finditer(contents))
    head = _HEAD.match(contents)
    if head is None:
        raise _UnusualError
    counts = [(int(order), int(count)) for order, count in _COUNT.findall(head[0])]
    names = [*(b"%d-grams:" % order for order in range(1, len(counts) + 1)), b"end\\"]
    _expect([order for order, _ in counts] == list(range(1, len(counts) + 1)))
    _expect([one[1] for one in marks_of] == names and head.end() == marks_of[0].start())
    _expect(not contents[marks_of[-1].end() :].strip())
    text = np.frombuffer(contents, np.uint8)
    marks = (text <= _SPACE).nonzero()[0]
    kinds = text[marks]
    sections = []
    for (order, count), this, following in zip(counts, marks_of, marks_of[1:], strict=False):
        begin, end = this.end(), following.start()
        first, last = marks.searchsorted((begin, end + 1))
        sections.append(_section(marks[first:last], kinds[first:last], order, begin, end))
        _expect(len(sections[-1].ends) == count)
    return sections


def _section(marks: Places, kinds: Bytes, order: int, begin: int, end: int) -> _Section:
    """Cut a section at its white space: a tab, spaces between words, perhaps a tab, a new line."""
    newlines = (kinds == _NEWLINE).nonzero()[0]
    _expect(len(newlines) > 0 and marks[-1] == end)
    first = np.concatenate([[0], newlines[:-1] + 1])
    n_more = newlines - first - order  # a tab before a back-off weight
    _expect(((n_more == 0) | (n_more == 1)).all())
    fields = first[:, None] + np.arange(order + 1)
    kind = kinds[fields]
    _expect((kind[:, 0] == _TAB).all() and (kind[:, 1:-1] == _SPACE).all())
    _expect((kind[:, -1] == np.where(n_more, _TAB, _NEWLINE)).all())
    ends = marks[fields]
    _expect((ends[:, 1:] - ends[:, :-1] > 1).all())  # something between two marks
    return _Section(begin, ends, marks[newlines])


def _keys(words: "_Words", section: _Section, above: list[Places]) -> Places:
    """Return the keys of n-grams, as `Level` has them.

    Args:
        words: Of the file.
        section: The n-grams.
        above: The sorted keys of the orders from two words on that are shorter.
    """
    ids = [words.ids(section, place) for place in range(section.ends.shape[1] - 1)]
    row = ids[0]
    for place, last in enumerate(ids[1:]):
        key = row * len(words.names) + last
        if place == len(above):
            return key
        row = above[place].searchsorted(key)
        _expect((above[place].take(row, mode="clip") == key).all())  # its beginning is there
    return row


def _numbers(contents: bytes, section: _Section) -> tuple[Reals, Reals]:
    """Return log-probabilities and back-off weights."""
    line_ends = section.line_ends
    starts = np.concatenate([[section.begin], line_ends[:-1] + 1])
    weighed = (section.ends[:, -1] < line_ends).nonzero()[0]
    backoffs = np.zeros(len(starts))
    backoffs[weighed] = read_decimals(contents, section.ends[weighed, -1] + 1, line_ends[weighed])
    return read_decimals(contents, starts, section.ends[:, 0]), backoffs


class _Words:
    """Tells the words of a file by the bytes they are made of.

    Args:
        contents: Of the file.
        unigrams: Its words.
    """

    def __init__(self, contents: bytes, unigrams: _Section) -> None:
        room = contents + _ROOM
        # eight bytes from every place on, as one number each
        self._eights = np.ndarray(len(contents) + _LONGEST, "<u8", room, strides=(1,))
        self._longest = _longest(unigrams, 0)
        _expect(self._longest <= _LONGEST)
        self._bytes = self._code(unigrams, 0)
        self._codes = _mixed(self._bytes)
        self._by_code = self._codes.argsort()
        self._sorted = self._codes[self._by_code]
        _expect((self._sorted[1:] > self._sorted[:-1]).all())  # each word once
        self._guess = np.zeros(1 << 16, np.int64)
        self._guess[self._codes >> np.uint64(48)] = np.arange(len(self._codes))
        starts, ends = (unigrams.ends[:, 0] + 1).tolist(), unigrams.ends[:, 1].tolist()
        pairs = zip(starts, ends, strict=True)
        self.names = [contents[start:end].decode() for start, end in pairs]
        """By number."""
        names = set(self.names)
        _expect({START, END, UNKNOWN} <= names and "<UNK>" not in names)

    def ids(self, section: _Section, place: int) -> Places:
        """Return the numbers of the words at one place of all n-grams."""
        _expect(_longest(section, place) <= self._longest)
        spelled = self._code(section, place)
        codes = _mixed(spelled)
        ids: Places = self._guess[codes >> np.uint64(48)]
        missed = (self._codes[ids] != codes).nonzero()[0]
        found = self._sorted.searchsorted(codes[missed])
        ids[missed] = self._by_code.take(found, mode="clip")
        for known, said in zip(self._bytes, spelled, strict=True):
            _expect((known[ids] == said).all())
        return ids

    def _code(self, section: _Section, place: int) -> list[Codes]:
        """Return the bytes of the words, eight in a number, zeros after the end."""
        starts, ends = section.ends[:, place] + 1, section.ends[:, place + 1]
        masks = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
        return [
            self._eights[starts + first] & masks[(ends - starts - first).clip(0, 8)]
            for first in range(0, self._longest, 8)
        ]


def _longest(section: _Section, place: int) -> int:
    """Return the bytes of the longest word at one place of all n-grams."""
    return int((section.ends[:, place + 1] - section.ends[:, place]).max()) - 1


def _mixed(parts: list[Codes]) -> Codes:
    """Mix the bytes of words, so that words differ in the first bits; products wrap around."""
    first, second = (np.uint64(one) for one in _MULTIPLIERS)
    code: Codes = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        code = ((code ^ (code >> np.uint64(29))) * second) + part * first
    return (code ^ (code >> np.uint64(32))) * first
