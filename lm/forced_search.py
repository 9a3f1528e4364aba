"""The best path of a known text through log-probs: CTC Viterbi in bounded memory.

The states are those of CTC (Graves et al. 2006, section 4.1), with three things added:

    state 2i        before token i: blank; where a word may end, also the delimiter
    state 2i + 1    token i

1. A *filler*: between words any frame may be passed at `unexplained` nats, whatever is heard in it
   (Pratap et al. 2023, arXiv:2305.13516, section 3.1.4 calls it a star token).
2. A *skip*: a word may be left out at `missing` nats a token.
3. A *beam*: states far behind the best path are dropped, so that an hour of audio against an hour
   of text is a narrow band in a large plane.

Scores are log-ratios: of each frame the best token's log-prob is taken off first. A path that costs
nothing says what greedy decoding says.

Where a state was entered from is kept in two bits, until all paths that are alive agree about a
frame, which is then committed. After `most_pending` frames the best path is committed by force.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .back_pointers import ENTERED, FROM_TOKEN, PASSED, SKIPPED, BackPointers
from .errors import AlignmentError, LogProbsError
from .script import Script

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

_CHECK_FRAMES = 512  # so often it is asked how far all paths agree
_MOST_BYTES = 64 << 20  # of log-probs that wait to be committed, and of pointers
_TIE = 1e-9  # nats; of equal paths the one that skips, so that paths meet again in silence


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What a text may cost.

    Raises:
        AlignmentError: If one of them means nothing.
    """

    missing: float = 4.0
    """Nats a token for a word that is left out; infinite: every word must be there."""
    unexplained: float = 1.0
    """Nats a frame for what is heard between words; infinite: only silence may be there."""
    beam: float = 12_000.0
    """Nats that a path may be worse than the best one. So much text may be missing in one place as
    costs so much, 3,000 tokens; infinite: exact, as far as the next two allow."""
    most_states: int = 20_000
    """Tokens whose states are alive at once, at most."""
    most_pending: int = 15_000
    """Frames that wait for paths to agree, at most."""

    def __post_init__(self) -> None:
        given = (self.missing, self.unexplained, self.beam)
        if not all(value > 0 for value in given) or min(self.most_states, self.most_pending) < 2:  # noqa: PLR2004
            raise AlignmentError(
                f"{self}: expected missing, unexplained and beam above 0, the others 2 or more"
            )


@dataclass(frozen=True, slots=True)
class Committed:
    """Frames whose states are settled."""

    first_frame: int
    states: Ids
    """The state of each, `[n]`."""
    log_probs: NDArray[np.float32]
    """Of the same frames, `[n, V]`, special tokens at `-inf`."""


class ForcedSearch:
    """Lays one text over one recording; frames may come in any pieces.

    Args:
        script: The text.
        alphabet: The model's tokens.
        options: What it may cost.
    """

    def __init__(
        self, script: Script, alphabet: Alphabet, options: SearchOptions | None = None
    ) -> None:
        self.alphabet, self.options = alphabet, options or SearchOptions()
        ids = script.ids
        n, self._n = len(ids), len(ids)
        # Columns of a frame's scores: tokens, the gap between words, and the impossible.
        is_gap = np.zeros(n + 1, bool)
        is_gap[script.part_starts] = True
        self._blank_column = np.where(is_gap, alphabet.size, alphabet.blank_id)
        self._token_column = np.append(ids, alphabet.size + 1)
        self._passable = np.full(n + 1, -np.inf)  # 0: token i may follow token i - 1 at once
        self._passable[1:n][ids[1:] != ids[:-1]] = 0.0
        self._gaps = script.word_starts
        skips = self.options.missing < np.inf
        self._skip_cost = self._gaps * self.options.missing if skips else None
        self._low, self._high = 0, 1
        self._blanks, self._tokens = np.zeros(1), np.full(1, -np.inf)
        self._pointers = BackPointers(self._gaps)
        self._frames: list[NDArray[np.float32]] = []
        self._n_committed = 0
        self._next_check = _CHECK_FRAMES
        self.cost = 0.0
        """Nats of the best path so far, against hearing freely."""
        self.log_prob = 0.0
        """Log-probability of hearing freely, so far."""

    @property
    def n_frames(self) -> int:
        """Frames taken so far."""
        return self._n_committed + len(self._pointers)

    def push(self, log_probs: NDArray[np.float32]) -> list[Committed]:
        """Take more frames.

        Args:
            log_probs: Natural log-probabilities, `[n, V]`.

        Returns:
            The frames that are settled now, in order; they may be older.

        Raises:
            LogProbsError: If the array is not `[n, V]`, holds NaN or plus infinity, or a frame in
                which every token is impossible.
            AlignmentError: If no path is left.
        """
        masked = self.alphabet.masked(log_probs)
        best = masked.max(axis=1, initial=-np.inf).astype(np.float64)
        if not np.isfinite(best).all():
            frame = self.n_frames + int(np.flatnonzero(~np.isfinite(best))[0])
            raise LogProbsError(
                f"log-probabilities of frame {frame} hold NaN or infinity: the model itself went "
                "wrong; check its parity report, and try float32 if its weights are float16"
            )
        self.log_prob += float(best.sum())
        settled: list[Committed] = []
        for row, scores in zip(masked, self._columns(masked, best), strict=True):
            self._advance(scores)
            self._frames.append(row)
            force = self._is_full(row)
            if force or len(self._pointers) >= self._next_check:
                settled += self._commit(force=force)
                self._next_check = max(_CHECK_FRAMES, 2 * len(self._pointers))
        return settled

    def finish(self) -> list[Committed]:
        """End the audio, and settle all frames; words that did not come are missing.

        Raises:
            AlignmentError: If no path leads through the whole text.
        """
        low, high = self._low, self._high
        here = self._gaps[(self._gaps >= low) & (self._gaps <= high)]
        if self._skip_cost is None:
            here = here[here == self._n]
        silent = np.append(self._blanks, -np.inf)[here - low]
        spoken = np.append(-np.inf, self._tokens)[here - low]
        scores = np.maximum(silent, spoken)
        if self._skip_cost is not None:
            to_come = self._skip_cost[-1] - self._skip_cost
            scores = scores - to_come[self._gaps.searchsorted(here)]
        if not len(here) or not self._pointers or scores.max() == -np.inf:
            raise AlignmentError(
                f"no path leads through the {self._n} tokens of the text in {self.n_frames} "
                "frames: give the text of this audio, or allow words to be missing"
            )
        last = int(scores.argmax())
        self.cost -= float(scores[last])
        state = 2 * int(here[last])
        return [self._settle(len(self._pointers), state - int(spoken[last] > silent[last]))]

    def _columns(self, masked: NDArray[np.float32], best: Floats) -> Floats:
        """Return what each column costs in each frame, `[n, V + 2]`; 0 is free."""
        n_tokens = self.alphabet.size
        scores = np.full((len(masked), n_tokens + 2), -np.inf)
        np.subtract(masked, best[:, None], out=scores[:, :n_tokens])
        silent = [self.alphabet.blank_id]
        if self.alphabet.delimiter_id is not None:
            silent.append(self.alphabet.delimiter_id)
        scores[:, n_tokens] = np.maximum(scores[:, silent].max(axis=1), -self.options.unexplained)
        return scores

    def _advance(self, columns: Floats) -> None:
        """Take one frame."""
        low, high = self._low, min(self._high + 1, self._n + 1)
        grown = high - self._high
        blanks = np.append(self._blanks, [-np.inf] * grown)
        tokens = np.append(self._tokens, [-np.inf] * grown)
        before = np.append(-np.inf, tokens[:-1])
        from_token = before > blanks
        new_blanks = np.maximum(blanks, before) + columns[self._blank_column[low:high]]
        passing = before + self._passable[low:high]
        passed = passing > blanks
        entering = np.maximum(blanks, passing)
        entered = entering > tokens
        new_tokens = np.maximum(tokens, entering) + columns[self._token_column[low:high]]
        codes = from_token * FROM_TOKEN
        codes |= entered * ENTERED
        codes |= passed * PASSED
        if self._skip_cost is not None:
            new_blanks, new_tokens, codes = self._skip(new_blanks, new_tokens, codes)
        self._keep(new_blanks, new_tokens, codes)

    def _skip(
        self, blanks: Floats, tokens: Floats, codes: NDArray[np.uint8]
    ) -> tuple[Floats, Floats, NDArray[np.uint8]]:
        """Let words be left out: from each gap to all that follow, as far as the beam reaches."""
        assert self._skip_cost is not None
        low, high = self._low, self._low + len(blanks)
        first, behind = np.searchsorted(self._gaps, (low, high)).tolist()
        if first == behind:
            return blanks, tokens, codes
        gaps, costs = self._gaps[first:behind] - low, self._skip_cost[first:behind]
        values = blanks[gaps] + costs
        best_before = np.append(-np.inf, np.maximum.accumulate(values)[:-1])
        skipped = (best_before >= values - _TIE) & (best_before > -np.inf)
        blanks[gaps] = np.where(skipped, best_before, values) - costs
        codes[gaps[skipped]] |= SKIPPED
        top = max(float(best_before[-1]), float(values[-1]))
        reach = top - max(blanks.max(), tokens.max()) + self.options.beam
        most = self._gaps.searchsorted(low + self.options.most_states)
        further = min(int(self._skip_cost.searchsorted(reach, side="right")), int(most))
        if further > behind and top > -np.inf:
            n_more = int(self._gaps[further - 1]) + 1 - high
            more = self._gaps[behind:further] - low
            blanks = np.append(blanks, np.full(n_more, -np.inf))
            tokens = np.append(tokens, np.full(n_more, -np.inf))
            codes = np.append(codes, np.zeros(n_more, np.uint8))
            blanks[more] = top - self._skip_cost[behind:further]
            codes[more] |= SKIPPED
        return blanks, tokens, codes

    def _keep(self, blanks: Floats, tokens: Floats, codes: NDArray[np.uint8]) -> None:
        """Drop what is outside the beam; scores are kept against the best path's."""
        both = np.maximum(blanks, tokens)
        best = both.max()
        if best == -np.inf:
            raise AlignmentError(
                f"no path is left after frame {self.n_frames}: give the text of this audio, or "
                "allow words to be missing"
            )
        least = best - self.options.beam
        alive = np.flatnonzero(both >= least) if least > -np.inf else np.flatnonzero(both > least)
        start, end = int(alive[0]), int(alive[-1]) + 1
        if end - start > self.options.most_states:
            start = max(start, int(both.argmax()) - self.options.most_states // 2)
            end = min(end, start + self.options.most_states)
            self._orphan(blanks, codes, start, end)
        self._blanks, self._tokens = blanks[start:end] - best, tokens[start:end] - best
        self._pointers.append(self._low + start, codes[start:end])
        self._low, self._high = self._low + start, self._low + end
        self.cost -= float(best)

    def _orphan(self, blanks: Floats, codes: NDArray[np.uint8], start: int, end: int) -> None:
        """Make gaps impossible that were skipped to from one that is cut off."""
        first, behind = np.searchsorted(self._gaps, (self._low + start, self._low + end)).tolist()
        gaps = self._gaps[first:behind] - self._low
        staying = np.logical_or.accumulate((codes[gaps] & SKIPPED) == 0)
        blanks[gaps[~staying]] = -np.inf

    # --- committing ------------------------------------------------------------------------------

    def _is_full(self, row: NDArray[np.float32]) -> bool:
        """Tell whether so much waits that some of it has to be settled."""
        n_frames = len(self._pointers)
        if n_frames < 2:  # noqa: PLR2004  (half of it will be taken)
            return False
        most_bytes = max(n_frames * row.nbytes, self._pointers.nbytes)
        return n_frames >= self.options.most_pending or most_bytes >= _MOST_BYTES

    def _commit(self, *, force: bool) -> list[Committed]:
        """Settle the frames that all paths agree about; with force, half of those that wait."""
        alive = self._alive()
        if not force:
            agreed = self._pointers.agreed(alive)
            return [] if agreed is None else [self._settle(*agreed)]
        n_frames = len(self._pointers) // 2
        ancestors = self._pointers.ancestors(alive, n_frames)
        best = int(self._score(alive).argmax())
        self._drop(alive[ancestors != ancestors[best]])
        return [self._settle(n_frames, int(ancestors[best]))]

    def _alive(self) -> Ids:
        """Return the states that have a score, as numbers."""
        blanks = 2 * np.flatnonzero(self._blanks > -np.inf)
        tokens = 2 * np.flatnonzero(self._tokens > -np.inf) + 1
        return np.concatenate([blanks, tokens]) + 2 * self._low

    def _score(self, states: Ids) -> Floats:
        place = states // 2 - self._low
        return np.where(states % 2, self._tokens[place], self._blanks[place])

    def _drop(self, states: Ids) -> None:
        place = states // 2 - self._low
        self._tokens[place[states % 2 == 1]] = -np.inf
        self._blanks[place[states % 2 == 0]] = -np.inf

    def _settle(self, n_frames: int, state: int) -> Committed:
        """Take the first pending frames away; `state` is where the path is after them."""
        path = self._pointers.take(n_frames, state)
        done = Committed(self._n_committed, path, np.stack(self._frames[:n_frames]))
        del self._frames[:n_frames]
        self._n_committed += n_frames
        return done
