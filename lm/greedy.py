"""Greedy CTC decoding, frame by frame: the best token of each frame, folded into words.

Graves et al. 2006 ("Connectionist Temporal Classification", section 3.2) call it best path
decoding. The fold is incremental and its state is a value: frames may arrive in any pieces, and the
words are the same. A word comes out as soon as the delimiter after it is heard; nothing waits for
more than that. Where the alphabet has no delimiter every token is a word of its own, so that long
speech still has times, and text is joined without spaces (`Alphabet.separator`).

A long pause ends a word as a delimiter does: models are taught on single utterances, and many say
no delimiter between the last word of one and the first of the next.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .errors import LogProbsError


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word with its place in frames."""

    text: str
    """What was said, as the alphabet spells it."""
    start_frame: int
    """The first frame of the word's first token."""
    end_frame: int
    """One past the last frame of its last token."""
    confidence: float
    """How sure the model was, 0 to 1: the geometric mean over the word's tokens of the token's
    highest posterior within its run of frames. The posteriors are the model's own, over its whole
    vocabulary; blanks between the tokens count for nothing. It is no probability that the word is
    right, but it falls when any of its tokens had a rival."""


@dataclass(frozen=True, slots=True)
class GreedyState:
    """All that decoding remembers between two calls."""

    n_frames: int = 0
    """Frames decoded so far."""
    last_id: int = -1
    """The best token of the newest frame; -1 before the first."""
    open_ids: tuple[int, ...] = ()
    """Tokens of the word that is being said."""
    open_log_probs: tuple[float, ...] = ()
    """For each of them the highest log-probability in its run of frames."""
    start_frame: int = 0
    """Where the open word starts."""
    end_frame: int = 0
    """One past the last frame of its newest token."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring frames with the same best token."""

    id: int
    start_frame: int
    end_frame: int
    log_prob: float  # the highest in the run


class GreedyDecoder:
    """Turns log-probabilities into words; holds nothing but the alphabet and one limit.

    Args:
        alphabet: The model's tokens.
        pause_frames: So many frames without a token inside a word part it in two; None: never, as
            the tokenizer of `transformers` has it.

    >>> letters = Alphabet(("<pad>", "|", "N", "O"), blank_id=0, delimiter_id=1)
    >>> decoder = GreedyDecoder(letters)
    >>> frames = np.log(np.eye(4, dtype=np.float32)[[0, 2, 2, 3, 0, 1]] * 0.96 + 0.01)
    >>> words, state = decoder.advance(decoder.start(), frames)
    >>> [(word.text, word.start_frame, word.end_frame) for word in words]
    [('NO', 1, 4)]
    """

    def __init__(self, alphabet: Alphabet, *, pause_frames: int | None = None) -> None:
        self.alphabet = alphabet
        self._pause_frames = pause_frames

    def start(self) -> GreedyState:
        """Return the state before the first frame."""
        return GreedyState()

    def advance(
        self, state: GreedyState, log_probs: NDArray[np.float32]
    ) -> tuple[tuple[SpokenWord, ...], GreedyState]:
        """Decode more frames.

        Args:
            state: What `start` or the last `advance` returned.
            log_probs: Natural log-probabilities over all tokens, `[n, V]`; n may be 0. Special
                tokens are masked here.

        Returns:
            The words that ended in these frames, and the state after them.

        Raises:
            LogProbsError: If the array is not `[n, V]`, or holds NaN.
        """
        words: list[SpokenWord] = []
        for run in self._runs(state.n_frames, self.alphabet.masked(log_probs)):
            state = self._take(state, run, words)
        return tuple(words), state

    def finish(self, state: GreedyState) -> tuple[SpokenWord, ...]:
        """Return the word that was still open at the end of the audio, if there is one."""
        words: list[SpokenWord] = []
        self._close(state, words)
        return tuple(words)

    def preview(self, state: GreedyState, log_probs: NDArray[np.float32]) -> tuple[str, ...]:
        """Return the words that are not final yet if these frames `[n, V]` come next."""
        words, state = self.advance(state, log_probs)
        return tuple(word.text for word in (*words, *self.finish(state)))

    def restart(self, state: GreedyState) -> GreedyState:
        """Begin a new segment: forget the open word, keep the count of frames."""
        return GreedyState(n_frames=state.n_frames)

    def n_frames(self, state: GreedyState) -> int:
        """Return how many frames were decoded since the start."""
        return state.n_frames

    def pending(self, state: GreedyState) -> str:
        """Return the text of the word that is being said, as far as it has been heard."""
        return "".join(self.alphabet.tokens[id_] for id_ in state.open_ids).strip()

    def _runs(self, first_frame: int, log_probs: NDArray[np.float32]) -> list[_Run]:
        if not len(log_probs):
            return []
        best_ids = log_probs.argmax(axis=1)
        starts = np.flatnonzero(np.diff(best_ids, prepend=-1))
        highest = np.maximum.reduceat(log_probs.max(axis=1), starts)
        if np.isnan(highest).any():
            raise LogProbsError(
                f"log-probabilities after frame {first_frame} hold NaN: the model itself went "
                "wrong; check its parity report, and try float32 if its weights are float16"
            )
        bounds = [*(starts + first_frame).tolist(), first_frame + len(log_probs)]
        return [
            _Run(id_, start, end, value)
            for id_, start, end, value in zip(
                best_ids[starts].tolist(), bounds[:-1], bounds[1:], highest.tolist(), strict=True
            )
        ]

    def _take(self, state: GreedyState, run: _Run, words: list[SpokenWord]) -> GreedyState:
        """Fold one run into the state."""
        heard = replace(state, n_frames=run.end_frame, last_id=run.id)
        if run.id == self.alphabet.blank_id:
            return heard
        if run.id == self.alphabet.delimiter_id:
            self._close(state, words)
            return GreedyState(n_frames=run.end_frame, last_id=run.id)
        if run.id == state.last_id:  # a cut went through the run: it goes on, no new token
            highest = max(state.open_log_probs[-1], run.log_prob)
            log_probs = (*state.open_log_probs[:-1], highest)
            return replace(heard, open_log_probs=log_probs, end_frame=run.end_frame)
        if self.alphabet.delimiter_id is None or self._is_pause(state, run):
            self._close(state, words)
            heard = GreedyState(n_frames=run.end_frame, last_id=run.id)
        return replace(
            heard,
            open_ids=(*heard.open_ids, run.id),
            open_log_probs=(*heard.open_log_probs, run.log_prob),
            start_frame=heard.start_frame if heard.open_ids else run.start_frame,
            end_frame=run.end_frame,
        )

    def _is_pause(self, state: GreedyState, run: _Run) -> bool:
        """Tell whether the open word's newest token lies too far back for this one to belong."""
        if self._pause_frames is None or not state.open_ids:
            return False
        return run.start_frame - state.end_frame >= self._pause_frames

    def _close(self, state: GreedyState, words: list[SpokenWord]) -> None:
        text = self.pending(state)
        if text:
            mean = math.fsum(state.open_log_probs) / len(state.open_log_probs)
            confidence = math.exp(min(mean, 0.0))  # rounding may leave a log-softmax above 0
            words.append(SpokenWord(text, state.start_frame, state.end_frame, confidence))
