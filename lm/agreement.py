"""What the beams of a search agree on: which words are final, and how sure each one is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .beams import COUNT, NEVER_LED, Word, open_word
from .greedy import SpokenWord
from .histories import NONE
from .prefixes import Prefixes, Scores
from .search import Search

_NEGLIGIBLE = 1e-3  # a share of the search that is not asked


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may have been said since the last final word; scores are since the segment began."""

    text: str
    words: tuple[SpokenWord, ...]
    acoustic_score: float
    """Natural logarithm: of all alignments that were kept, what the log-probs give."""
    model_score: float
    """What the language model gives, weighed, with what every word adds."""
    hotword_score: float

    @property
    def score(self) -> float:
        """The sum: hypotheses are ordered by it."""
        return self.acoustic_score + self.model_score + self.hotword_score


@dataclass(frozen=True, slots=True)
class Sighting:
    """A transcript among several, as far as its words have places."""

    share: float
    words: Sequence[str]
    places: Sequence[Word]

    def has(self, word: str, place: Word) -> bool:
        """Tell whether it has that word there: at a time that overlaps."""
        for text, (start, end, *_) in zip(reversed(self.words), reversed(self.places), strict=True):
            if end <= place[0]:
                return False
            if start < place[1] and text == word:
                return True
        return False


def share_of(sightings: Sequence[Sighting], word: str, place: Word) -> float:
    """Return the share of transcripts that have a word at a place."""
    return min(1.0, math.fsum(one.share for one in sightings if one.has(word, place)))


def shares(scores: Scores) -> NDArray[np.float64]:
    """Turn scores into shares of one (softmax)."""
    weights = np.exp(scores - scores.max())
    share: NDArray[np.float64] = weights / weights.sum()
    return share


class Agreement:
    """Follows a search: takes from it the words that are final.

    A word is final when every beam has it as its first, or when it belongs to the best beam and
    ended `commit_frames` ago; then the beams that begin otherwise are dropped.

    Args:
        search: It is changed where words become final.
        prefixes: Of the search.
        oldest: The history that all beams share.
        commit_frames: None: no word by force.
    """

    def __init__(
        self, search: Search, prefixes: Prefixes, oldest: int, commit_frames: int | None
    ) -> None:
        self._search, self._prefixes = search, prefixes
        self._commit_frames = commit_frames
        self.oldest = oldest

    def final_words(self, n_frames: int, *, changed: bool) -> list[SpokenWord]:
        """Return the words that became final with the newest frame.

        Args:
            n_frames: Frames so far.
            changed: Whether the beams are others than before it.
        """
        final: list[SpokenWord] = []
        if changed:
            self._measure()
        while (first := int(self._search.rows.first[0])) != NONE:
            rows = self._search.rows
            place: Word = self._best_words()[0]
            agree = rows.first == first
            if not changed or not agree.all():
                if self._commit_frames is None or place[1] + self._commit_frames > n_frames:
                    break
                self._search.rows = rows.take(agree.nonzero()[0])
            final.append(spoken(self._prefixes.histories[first].word, place))
            self._advance(first)
        return final

    def _best_words(self) -> tuple[Word, ...]:
        words: tuple[Word, ...] = self._search.rows.words[0]
        return words

    def _advance(self, first: int) -> None:
        """Forget a word that all beams begin with."""
        rows, prefixes = self._search.rows, self._prefixes
        self.oldest = first
        later: dict[int, int] = {}
        for row, history in enumerate(prefixes.history[rows.prefix].tolist()):
            if history not in later:
                later[history] = next(iter(prefixes.histories.words(history, first)), NONE)
            rows.first[row] = later[history]
            rows.words[row] = rows.words[row][1:]

    def _measure(self) -> None:
        """Note for each word that leads for the first time how much of the search agrees.

        It is noted wherever the word is, so that it does not depend on which beams come back.
        """
        prefixes, rows = self._prefixes, self._search.rows
        new = {place for place, word in enumerate(self._best_words()) if word[-1] == NEVER_LED}
        if not new:
            return
        histories = prefixes.history[rows.prefix].tolist()
        leading = prefixes.histories.words(histories[0], self.oldest)
        sightings = self._sightings(histories)
        found = {
            leading[place]: share_of(
                sightings, prefixes.histories[leading[place]].word, rows.words[0][place]
            )
            for place in new
        }
        places: dict[int, list[tuple[int, float]]] = {}
        for row, history in enumerate(histories):
            if history not in places:
                path = prefixes.histories.words(history, self.oldest)
                places[history] = [(i, found[one]) for i, one in enumerate(path) if one in found]
            for place, share in places[history]:
                words = list(rows.words[row])
                words[place] = (*words[place][:3], share)
                rows.words[row] = tuple(words)

    def _sightings(self, histories: Sequence[int]) -> list[Sighting]:
        """Return the beams that may matter, row by row."""
        prefixes, rows = self._prefixes, self._search.rows
        each = shares(np.logaddexp(*rows.score) + prefixes.score[rows.prefix]).tolist()
        texts: dict[int, list[str]] = {}
        found = []
        for row, marks in enumerate(rows.marks.T.tolist()):
            if each[row] < _NEGLIGIBLE:
                continue
            history = histories[row]
            if history not in texts:
                path = prefixes.histories.words(history, self.oldest)
                texts[history] = [prefixes.histories[one].word for one in path]
            words, places = texts[history], rows.words[row]
            if marks[COUNT]:
                words = [*words, prefixes.open_word(int(rows.prefix[row]))]
                places = (*places, open_word(marks))
            found.append(Sighting(each[row], words, places))
        return found


def spoken(text: str, word: Word, share: float = 1.0) -> SpokenWord:
    """Return a word with its confidence.

    Args:
        text: What was said.
        word: Its place.
        share: How much of the search agrees on it now: it counts if the word never led before.
    """
    start, end, sure, agreed = word
    return SpokenWord(text, start, end, sure * (share if agreed == NEVER_LED else agreed))
