"""How often each n-gram of a text occurs, by sorting; for texts of tens of millions of words.

An n-gram is a row of its level, and its key one integer: the row of its first n - 1 words in the
level below, times the number of distinct words, plus its last word. So n-grams of any order are
sorted and found as plain 64-bit numbers. Besides those rows, memory holds blocks of the text alone:
its words lie in a temporary file, four bytes each, and so do the rows of one order.
"""

import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from .corpus import Progress
from .errors import CorpusError
from .vocabulary import END, START, UNKNOWN

UNKNOWN_ID, START_ID, END_ID = range(3)

Rows = NDArray[np.int32]
Keys = NDArray[np.int64]

_BLOCK = 1 << 21  # tokens that are sorted at a time


@dataclass(frozen=True, slots=True)
class EncodedText:
    """Sentences as word ids, each between `START_ID` and `END_ID`, in a temporary file."""

    words: list[str]
    """By id; the first three are `<unk>`, `<s>` and `</s>`, the others in order of appearance."""
    n_sentences: int
    n_tokens: int
    """Words, starts and ends."""
    ids: "NumberFile"

    @property
    def n_words(self) -> int:
        """Words of the text."""
        return self.n_tokens - 2 * self.n_sentences

    @classmethod
    def encode(cls, sentences: Iterable[list[str]]) -> "EncodedText":
        """Number the words of sentences.

        Raises:
            CorpusError: If there are none.
        """
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        for special in (UNKNOWN, START, END):
            numbers[special]  # looking a word up numbers it
        file, pending, n_sentences = NumberFile(), array("i"), 0
        for words in sentences:
            n_sentences += 1
            pending.append(START_ID)
            pending.extend(map(numbers.__getitem__, words))
            pending.append(END_ID)
            if len(pending) > _BLOCK:
                file.append(np.frombuffer(pending, np.int32))
                pending = array("i")
        file.append(np.array(pending, np.int32))
        if n_sentences == 0:
            raise CorpusError("the text holds no words: give one sentence a line")
        return cls(list(numbers), n_sentences, file.n_numbers, file)


class NumberFile:
    """A long row of 32-bit numbers, written once, then read in blocks; gone when it is dropped."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed when dropped)
        self.n_numbers = 0

    def __del__(self) -> None:
        self._file.close()

    def append(self, numbers: Rows) -> None:
        """Add numbers at the end."""
        self._file.write(numbers.astype(np.int32, copy=False).tobytes())
        self.n_numbers += len(numbers)

    def blocks(self) -> Iterator[Rows]:
        """Yield all of them, so many at a time."""
        self._file.seek(0)
        while block := self._file.read(4 * _BLOCK):
            place = self._file.tell()
            yield np.frombuffer(block, np.int32)
            self._file.seek(place)


@dataclass(frozen=True, slots=True)
class Level:
    """All n-grams of one order."""

    n_types: int
    """Distinct words of the text, the special ones among them."""
    keys: Keys
    """Sorted, `[n]`: row of the context in the level below, times `n_types`, plus the last word."""
    counts: Keys
    """How often each occurs, `[n]`."""
    suffixes: Rows
    """Row, in the level below, of the n-gram without its first word, `[n]`."""

    @property
    def contexts(self) -> Keys:
        """Row, in the level below, of the n-gram without its last word, `[n]`."""
        return self.keys // self.n_types

    @property
    def last_words(self) -> Keys:
        """Id of the last word, `[n]`."""
        return self.keys % self.n_types

    def rows(self, keys: Keys) -> Rows:
        """Return where these keys are; -1 stays -1."""
        found = np.searchsorted(self.keys, keys).astype(np.int32)
        found[keys < 0] = -1
        return found


def count_ngrams(text: EncodedText, order: int, progress: Progress | None = None) -> list[Level]:
    """Count the n-grams of every order up to one; none reaches over the end of a sentence.

    Returns:
        A level for each order. Words come first: there a key is the word's id, `<s>` and `</s>`
        count the sentences, and `<unk>` nothing.
    """
    n_types = len(text.words)
    counts = np.zeros(n_types, np.int64)
    for block in text.ids.blocks():
        counts += np.bincount(block, minlength=n_types)
    levels = [Level(n_types, np.arange(n_types), counts, np.zeros(n_types, np.int32))]
    rows = text.ids
    for length in range(2, order + 1):
        runs = _Runs()
        for share, keys in _keys(text, rows, n_types):
            runs.add(keys[keys >= 0])
            if progress is not None:
                progress(f"counting {length}-grams", share)
        levels.append(_level(levels[-1], *runs.merged()))
        if length < order:
            rows = _placed(text, rows, levels[-1])
    return levels


def _keys(text: EncodedText, rows: NumberFile, n_types: int) -> Iterator[tuple[float, Keys]]:
    """Yield the keys of the n-grams that end at each token, given the rows of the shorter ones.

    -1 where the sentence is too short for one. With them comes the share of the text that is done.
    """
    before = np.array([-1], np.int32)
    n_done = 0
    for ids, shorter in zip(text.ids.blocks(), rows.blocks(), strict=True):
        contexts = np.concatenate([before, shorter[:-1]]).astype(np.int64)
        n_done += len(ids)
        keys = np.where((contexts >= 0) & (ids != START_ID), contexts * n_types + ids, np.int64(-1))
        yield n_done / text.n_tokens, keys
        before = shorter[-1:]


def _placed(text: EncodedText, rows: NumberFile, level: Level) -> NumberFile:
    """Return the row of the n-gram of this level that ends at each token; -1 where none does."""
    placed = NumberFile()
    for _, keys in _keys(text, rows, level.n_types):
        placed.append(level.rows(keys))
    return placed


def _level(below: Level, keys: Keys, counts: Keys) -> Level:
    suffixes = np.empty(len(keys), np.int32)
    for start in range(0, len(keys), _BLOCK):
        contexts, words = np.divmod(keys[start : start + _BLOCK], below.n_types)
        shorter = below.suffixes[contexts].astype(np.int64) * below.n_types + words
        suffixes[start : start + _BLOCK] = below.rows(shorter)
    return Level(below.n_types, keys, counts, suffixes)


class _Runs:
    """Sorted keys with their counts, in runs of growing size, so that each is merged seldom."""

    def __init__(self) -> None:
        self._runs: list[tuple[Keys, Keys]] = []

    def add(self, keys: Keys) -> None:
        """Count these keys too."""
        self._runs.append(np.unique(keys, return_counts=True))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            self._merge()

    def merged(self) -> tuple[Keys, Keys]:
        """Return every key once, sorted, and how often it was given."""
        while len(self._runs) > 1:
            self._merge()
        nothing = np.zeros(0, np.int64)
        return self._runs.pop() if self._runs else (nothing, nothing)

    def _merge(self) -> None:
        parts = [self._runs.pop(), self._runs.pop()]
        keys = np.concatenate([keys for keys, _ in parts])
        counts = np.concatenate([counts for _, counts in parts])
        order = np.argsort(keys, kind="stable")  # two sorted runs: merged, not sorted
        keys, counts = keys[order], counts[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self._runs.append((keys[starts], np.add.reduceat(counts, starts)))
