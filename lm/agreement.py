"""What the beams of a search agree on: which words are final, and how sure each one is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .beams import BLANK, COUNT, OWN, Word, open_word
from .greedy import SpokenWord
from .prefixes import NONE, Prefixes, Scores
from .search import Search


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
        for text, (start, end, _) in zip(reversed(self.words), reversed(self.places), strict=True):
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
                self._search.keep(agree)
            final.append(spoken(self._prefixes, first, place, 1.0))
            self._advance(first)
        return final

    def _best_words(self) -> tuple[Word, ...]:
        rows = self._search.rows
        end = OWN if rows.score[OWN, 0] > rows.score[BLANK, 0] else BLANK
        words: tuple[Word, ...] = rows.words[end, 0]
        return words

    def _advance(self, first: int) -> None:
        """Forget a word that all beams begin with."""
        rows, prefixes = self._search.rows, self._prefixes
        self.oldest = first
        for row, prefix in enumerate(rows.prefix.tolist()):
            later = prefixes.words(int(prefixes.history[prefix]), first)
            rows.first[row] = later[0] if later else NONE
            for end in (BLANK, OWN):
                if rows.words[end, row] is not None:
                    rows.words[end, row] = rows.words[end, row][1:]

    def _measure(self) -> None:
        """Note for each word that leads for the first time how much of the search agrees."""
        prefixes = self._prefixes
        history = int(prefixes.history[self._search.rows.prefix[0]])
        new = []
        while history != self.oldest and prefixes.histories[history].share < 0:
            new.append(history)
            history = prefixes.histories[history].parent
        if not new:
            return
        sightings = self._sightings()
        for history, place in zip(new, reversed(self._best_words()), strict=False):
            word = prefixes.histories[history].word
            prefixes.set_share(history, share_of(sightings, word, place))

    def _sightings(self) -> list[Sighting]:
        prefixes, beams = self._prefixes, self._search.rows.beams()
        each = shares(beams.score + prefixes.score[beams.prefix]).tolist()
        found = []
        for share, prefix, ended, marks in zip(
            each, beams.prefix.tolist(), beams.words, beams.marks.tolist(), strict=True
        ):
            later = prefixes.words(int(prefixes.history[prefix]), self.oldest)
            words, places = [prefixes.histories[history].word for history in later], [*ended]
            if marks[COUNT]:
                words.append(prefixes.open_word(prefix))
                places.append(open_word(marks))
            found.append(Sighting(share, words, places))
        return found


def spoken(prefixes: Prefixes, history: int, place: Word, share: float) -> SpokenWord:
    """Return the last word of a history.

    Args:
        prefixes: Of the search.
        history: The word is its last.
        place: Of the word.
        share: How much of the search agrees on it now: it counts if the word never led before.
    """
    one = prefixes.histories[history]
    agreed = one.share if one.share >= 0 else share
    return SpokenWord(one.word, place[0], place[1], place[2] * agreed)
