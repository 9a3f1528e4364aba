"""Scores of n-gram models that were read by our own reader.

They are Katz's (1987, "Estimation of probabilities from sparse data"): the longest n-gram that is
there, plus the back-off weights of the contexts given up for it; those of KenLM.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from .alphabet import Alphabet
from .arpa_columns import read_columns
from .arpa_reader import NGrams
from .errors import LanguageModelFormatError
from .ngram import LMState, read_bytes
from .ngram_trie import ABSENT, NGramTrie
from .vocabulary import END, START, UNKNOWN, Vocabulary

_Context = tuple[int, int, float]
"""The last words of a state: how many, their row, their back-off weight."""

_MOST_CACHED = 10_000  # states whose contexts were looked up


class ArpaModel:
    """An n-gram model in memory; satisfies `LanguageModel`.

    Args:
        ngrams: What the file says.
        vocabulary: Its words, as the alphabet spells them.
    """

    def __init__(self, ngrams: NGramTrie, vocabulary: Vocabulary) -> None:
        self.order = ngrams.order
        self.vocabulary = vocabulary
        self._entries = vocabulary.entries
        self._ngrams = ngrams
        self._numbers = {word: number for number, word in enumerate(ngrams.words)}
        self._contexts: dict[LMState, tuple[_Context, ...]] = {}

    @classmethod
    def read(cls, path: str | os.PathLike[str], alphabet: Alphabet | None) -> "ArpaModel":
        """Read an ARPA file, gzipped or not, of any size.

        Raises:
            LanguageModelError: As `load_language_model` does.
        """
        path = Path(path)
        return cls.parse(read_bytes(path), alphabet, source=str(path))

    @classmethod
    def parse(cls, contents: bytes, alphabet: Alphabet | None, *, source: str) -> "ArpaModel":
        """Read the contents of an ARPA file.

        Args:
            contents: All of it, unpacked.
            alphabet: See `load_language_model`.
            source: The file's name, for messages.

        Raises:
            LanguageModelError: As `load_language_model` does.
        """
        ngrams = read_columns(contents)
        if ngrams is None:
            read = NGrams.parse(_decoded(contents, source), source=source)
            ngrams = NGramTrie.of(read.order, read.log_probs, read.backoffs)
        unigrams = zip(ngrams.words, ngrams.levels[0].log_probs, strict=True)
        return cls(ngrams, Vocabulary.of(unigrams, alphabet, source=source))

    @property
    def words(self) -> Collection[str]:
        """Every word, as the alphabet spells it."""
        return self._entries.keys()

    def start(self) -> LMState:
        """Return the state after `<s>`."""
        return (START,) if self._goes_on(0, self._numbers[START]) else ()

    def score(self, state: LMState, word: str) -> tuple[float, LMState]:
        """Return log10 p(word | state), and the state after it."""
        entry = self._entries.get(word, UNKNOWN)
        number, found, score = self._numbers[entry], False, 0.0
        for level, row, backoff in self._known(state):
            place = self._ngrams.find(level, row, number)
            if place == ABSENT:
                score += 0.0 if found else backoff
                continue
            if not found:
                score, found = score + self._ngrams.levels[level].log_probs[place], True
            if self._goes_on(level, place):
                return score, (*state[len(state) - level :], entry)
        return score, ()

    def end(self, state: LMState) -> float:
        """Return log10 p(`</s>` | state)."""
        number, score = self._numbers[END], 0.0
        for level, row, backoff in self._known(state):
            place = self._ngrams.find(level, row, number)
            if place != ABSENT:
                return score + self._ngrams.levels[level].log_probs[place]
            score += backoff
        return score

    def __contains__(self, word: object) -> bool:
        """Tell whether the model knows a word."""
        return word in self._entries

    def _goes_on(self, level: int, row: int) -> bool:
        return level + 1 < self.order and self._ngrams.levels[level].goes_on[row]

    def _known(self, state: LMState) -> tuple[_Context, ...]:
        """Return what a word may follow: the state, and less and less of it, down to nothing."""
        found = self._contexts.get(state)
        if found is None:
            contexts: list[_Context] = [(0, 0, 0.0)]
            for n_words in range(1, len(state) + 1):
                row = 0
                for level, word in enumerate(state[len(state) - n_words :]):
                    row = self._ngrams.find(level, row, self._numbers[word])
                weights = self._ngrams.levels[n_words - 1].backoffs
                contexts.append((n_words, row, 0.0 if row == ABSENT else weights[row]))
            if len(self._contexts) >= _MOST_CACHED:
                self._contexts.clear()
            found = self._contexts[state] = tuple(reversed(contexts))
        return found


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


def _decoded(contents: bytes, source: str) -> str:
    try:
        return contents.decode("utf-8")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise LanguageModelFormatError(
            f"{source}, line {line}: is no UTF-8 (byte {contents[error.start]:#04x}): expected "
            "ARPA text in UTF-8; convert it, for instance with iconv"
        ) from error
