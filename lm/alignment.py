"""Forced alignment: where in the audio each word and letter of a known text is said.

Kürzinger et al. 2020 ("CTC-Segmentation of large corpora", arXiv:2007.09127) align long recordings
by CTC as well; here the search (`lm/forced_search.py`) may also leave out words that nobody says,
and pass over speech that the text lacks.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .errors import AlignmentError
from .forced_search import Committed, ForcedSearch, SearchOptions
from .script import Script

Ids = NDArray[np.int64]

_LEAST_TOKENS = 2  # heard between words, to be told: a single one is often noise
_PAUSE_FRAMES = 33  # without a token, between two stretches of speech that the text lacks


@dataclass(frozen=True, slots=True)
class AlignedToken:
    """A token with its place in frames."""

    text: str
    start_frame: int
    """The first frame on the token."""
    end_frame: int
    """One past the last."""
    confidence: float
    """The token's highest posterior within them, 0 to 1."""


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """A word of the text, and where it is said."""

    text: str
    """As the text has it."""
    tokens: tuple[AlignedToken, ...]
    """What it is spelled with; empty where the audio lacks the word."""

    @property
    def confidence(self) -> float:
        """The geometric mean of the tokens' confidences, as of a decoded word; 0: not said."""
        logs = [math.log(max(token.confidence, 1e-30)) for token in self.tokens]
        return math.exp(math.fsum(logs) / len(logs)) if logs else 0.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames between words in which something else is heard."""

    text: str
    """What greedy decoding hears."""
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True)
class AlignedScript:
    """A text, laid over audio."""

    script: Script
    words: tuple[AlignedWord, ...]
    """All of them, in order."""
    unexplained: tuple[Stretch, ...]
    log_prob: float
    """Of the best path, in nats: what was skipped counts as its cost."""
    log_ratio: float
    """`log_prob` less that of hearing freely, in nats; 0 at most."""
    n_frames: int


def align(
    script: Script,
    alphabet: Alphabet,
    log_probs: Iterable[NDArray[np.float32]],
    options: SearchOptions | None = None,
) -> AlignedScript:
    """Lay a text over a recording.

    Memory does not grow with the product of audio and text, only with either.

    Args:
        script: The text.
        alphabet: The model's tokens.
        log_probs: Natural log-probabilities, `[n, V]` each, in order.
        options: What a missing word and unexplained audio cost.

    Raises:
        AlignmentError: If the text has more tokens than the audio has frames, or none of its paths
            is possible.
        LogProbsError: If log-probs hold NaN or have the wrong shape.

    >>> letters = Alphabet(("<pad>", "|", "N", "O"), blank_id=0, delimiter_id=1)
    >>> frames = np.log(np.eye(4, dtype=np.float32)[[0, 2, 2, 3, 0, 1]] * 0.96 + 0.01)
    >>> found = align(Script.of("No.", letters), letters, [frames])
    >>> [(one.text, one.start_frame, one.end_frame) for one in found.words[0].tokens]
    [('N', 1, 3), ('O', 3, 4)]
    """
    search = ForcedSearch(script, alphabet, options)
    folded = _Folded(script, alphabet)
    for piece in log_probs:
        for settled in search.push(piece):
            folded.add(settled)
    least = script.n_frames_least()
    if search.n_frames < least:
        raise AlignmentError(
            f"the text needs {least} frames or more, one for each of its letters, and the audio "
            f"has {search.n_frames}: give the text of this audio"
        )
    for settled in search.finish():
        folded.add(settled)
    return AlignedScript(
        script,
        folded.words(),
        folded.unexplained(),
        search.log_prob - search.cost,
        -search.cost,
        search.n_frames,
    )


class _Folded:
    """Gathers the frames of each token."""

    def __init__(self, script: Script, alphabet: Alphabet) -> None:
        self._script, self._alphabet = script, alphabet
        self._ids = script.ids
        n = len(self._ids)
        self._starts, self._ends = np.full(n, np.iinfo(np.int64).max), np.zeros(n, np.int64)
        self._peaks = np.full(n, -np.inf)
        self._is_gap = np.zeros(n + 1, bool)
        self._is_gap[script.part_starts] = True
        self._others: list[tuple[Ids, Ids, Ids]] = []
        """Frames between words that hold speech: frame, gap, best token."""

    def add(self, settled: Committed) -> None:
        """Take frames whose states are known."""
        frames = settled.first_frame + np.arange(len(settled.states))
        places = settled.states // 2
        on_token = settled.states % 2 == 1
        tokens, at = places[on_token], frames[on_token]
        np.minimum.at(self._starts, tokens, at)
        np.maximum.at(self._ends, tokens, at + 1)
        np.maximum.at(self._peaks, tokens, settled.log_probs[on_token, self._ids[tokens]])
        best = settled.log_probs.argmax(axis=1)
        silent = (best == self._alphabet.blank_id) | (best == self._alphabet.delimiter_id)
        other = ~on_token & self._is_gap[places] & ~silent
        self._others.append((frames[other], places[other], best[other]))

    def words(self) -> tuple[AlignedWord, ...]:
        """Return every word with its tokens, if it was said."""
        return tuple(
            AlignedWord(word.text, tuple(self._token(i) for i in range(start, end)))
            if self._ends[start]
            else AlignedWord(word.text, ())
            for word, (start, end) in zip(
                self._script.words, pairwise(self._script.word_starts.tolist()), strict=True
            )
        )

    def unexplained(self) -> tuple[Stretch, ...]:
        """Return the stretches of speech that no word explains."""
        frames, gaps, ids = (np.concatenate(column) for column in zip(*self._others, strict=True))
        parted = (np.diff(frames) > _PAUSE_FRAMES) | (np.diff(gaps) != 0)
        bounds = [0, *(np.flatnonzero(parted) + 1).tolist(), len(frames)]
        stretches = (
            self._stretch(frames[start:end], ids[start:end])
            for start, end in pairwise(bounds)
            if end > start
        )
        return tuple(one for one in stretches if len(one.text) >= _LEAST_TOKENS)

    def _stretch(self, frames: Ids, ids: Ids) -> Stretch:
        new = np.append(True, (np.diff(frames) > 1) | (np.diff(ids) != 0))
        text = "".join(self._alphabet.tokens[id_] for id_ in ids[new].tolist())
        return Stretch(text, int(frames[0]), int(frames[-1]) + 1)

    def _token(self, i: int) -> AlignedToken:
        return AlignedToken(
            self._alphabet.tokens[self._ids[i]],
            int(self._starts[i]),
            int(self._ends[i]),
            math.exp(min(0.0, float(self._peaks[i]))),
        )
