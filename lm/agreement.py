"""What the beams of a search agree on: which words are final, and how sure each one is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .beams import COUNT, END, NEVER_LED, START, Word
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


Sighting = tuple[float, Sequence[str], Sequence[Word]]
"""A transcript among several, as far as its words have places: its share, its words, where."""


def share_of(sightings: Sequence[Sighting], word: str, place: Word) -> float:
    """Return the share of transcripts that have a word at a place."""
    at = place[0], place[1]
    found = (share for share, words, places in sightings if has_word(words, places, word, at))
    return min(1.0, math.fsum(found))


def has_word(words: Sequence[str], places: Sequence[Word], word: str, at: tuple[int, int]) -> bool:
    """Tell whether a transcript has a word at a time.

    Args:
        words: Of the transcript, as far as they have places.
        places: Of each.
        word: What is looked for.
        at: The frames that it is to overlap: the first, and one past the last.
    """
    for text, (start, end, *_) in zip(reversed(words), reversed(places), strict=True):
        if end <= at[0]:
            return False
        if start < at[1] and text == word:
            return True
    return False


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
            is_due = self._commit_frames is not None and place[1] + self._commit_frames <= n_frames
            if rows.first[-1] != first and not is_due:
                break
            agree = rows.first == first
            if not changed or not agree.all():
                if not is_due:
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
        new = [place for place, word in enumerate(self._best_words()) if word[-1] == NEVER_LED]
        if not new:
            return
        prefixes, rows = self._prefixes, self._search.rows
        histories = prefixes.history.take(rows.prefix).tolist()
        paths = {
            history: prefixes.histories.words(history, self.oldest) for history in {*histories}
        }
        leading = paths[histories[0]]
        found = {leading[place]: self._share(histories, paths, place) for place in new}
        for row, history in enumerate(histories):
            for place, one in enumerate(paths[history]):
                if one in found:
                    words = rows.words[row]
                    word = (*words[place][:3], found[one])
                    rows.words[row] = (*words[:place], word, *words[place + 1 :])

    def _share(self, histories: list[int], paths: dict[int, list[int]], place: int) -> float:
        """Return the share of the beams that have a word of the best one, at an overlapping time.

        Args:
            histories: Of the rows.
            paths: The histories from the first word that is not final, by the last one.
            place: Of the word.
        """
        prefixes, rows = self._prefixes, self._search.rows
        found = prefixes.histories
        word = found[paths[histories[0]][place]].word
        texts = {last: [found[one].word for one in path] for last, path in paths.items()}
        starts, ends, count = rows.marks[START], rows.marks[END], rows.marks[COUNT]
        start, end = self._best_words()[place][:2]
        each = shares(np.logaddexp(*rows.score) + prefixes.score.take(rows.prefix))
        is_open = (count > 0) & (ends > start) & (starts < end)
        total = []
        for row in (each >= _NEGLIGIBLE).nonzero()[0].tolist():
            if is_open[row] and prefixes.open_word(int(rows.prefix[row])) == word:
                total.append(float(each[row]))
            elif count[row] and ends[row] <= start:
                continue
            elif has_word(texts[histories[row]], rows.words[row], word, (start, end)):
                total.append(float(each[row]))
        return min(1.0, math.fsum(total))


def spoken(text: str, word: Word, share: float = 1.0) -> SpokenWord:
    """Return a word with its confidence.

    Args:
        text: What was said.
        word: Its place.
        share: How much of the search agrees on it now: it counts if the word never led before.
    """
    start, end, sure, agreed = word
    return SpokenWord(text, start, end, sure * (share if agreed == NEVER_LED else agreed))
