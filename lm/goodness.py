"""How well a word was pronounced, letter by letter: goodness of pronunciation (GOP) for CTC.

Two measures, both log-ratios in nats, 0 at most or near it:

*Alignment-free* (Cao, Fan, Svendsen and Salvi 2024, "A framework for phoneme-level pronunciation
assessment using CTC", Interspeech, and arXiv:2507.16838: GOP-AF): what the word's tokens are worth
over all alignments, against the same with the letter replaced by any other or left out:

    log p(w1 .. wi .. wn | audio) - log sum over x of p(w1 .. x .. wn | audio)

Its exponential is the probability of the letter, given the rest of the word. CTC models put a
token on one frame or two and leave the others blank; where exactly matters to a measure that needs
an alignment, and not to this one.

*Aligned* (Witt and Young 2000, "Phone-level pronunciation scoring and assessment", section 2.1,
with posteriors in place of likelihoods): on the frames of the best path, the letter's log-posterior
less that of the best other letter or blank, averaged over them.
"""

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .errors import LogProbsError

Floats = NDArray[np.float64]

LEAST = -25.0
"""Nats: no posterior counts for less, nor does any letter."""
_TINY = 1e-300


def aligned_goodness(log_probs: NDArray[np.float32], token_id: int, alphabet: Alphabet) -> float:
    """Score one letter on its own frames.

    Args:
        log_probs: Of the frames that the alignment gives it, `[n, V]`, n at least 1.
        token_id: The letter.
        alphabet: The model's tokens.

    Returns:
        Nats, from -25 on; above 0 where the letter is the best one.
    """
    others = alphabet.masked(log_probs).astype(np.float64)
    own = others[:, token_id].copy()
    others[:, token_id] = -np.inf
    ratio = np.maximum(own, LEAST) - np.maximum(others.max(axis=1), LEAST)
    return max(LEAST, float(ratio.mean()))


def alignment_free_goodness(
    log_probs: NDArray[np.float32], ids: tuple[int, ...], alphabet: Alphabet
) -> Floats:
    """Score every letter of a word over all its alignments.

    Args:
        log_probs: Of the frames between the words beside it, `[n, V]`.
        ids: The word's tokens, `[k]`.
        alphabet: The model's tokens.

    Returns:
        Nats, `[k]`, from -25 to 0; -25 throughout where there are fewer frames than tokens.

    Raises:
        LogProbsError: If the array is not `[n, V]`, or holds NaN.
    """
    masked = alphabet.masked(log_probs).astype(np.float64)
    if np.isnan(masked).any():
        raise LogProbsError("log-probabilities hold NaN: check the model's parity report")
    if len(masked) < len(ids):
        return np.full(len(ids), LEAST)
    chances = np.exp(np.maximum(masked, LEAST))
    silent = [alphabet.blank_id]
    if alphabet.delimiter_id is not None:
        silent.append(alphabet.delimiter_id)
    blank = chances[:, silent].sum(axis=1)
    heard = np.ones(alphabet.size, bool)
    heard[[*silent, *alphabet.special_ids]] = False
    lattice = _Lattice(chances, blank, np.array(ids))
    shares = lattice.shares(np.flatnonzero(heard))
    return np.maximum(LEAST, np.log(np.maximum(shares, _TINY)))


class _Lattice:
    """All alignments of a word, forward and backward (Graves et al. 2006, section 4.1).

    Every frame is scaled by the sum of the forward chances, in both directions alike, so that
    ratios of whole paths stay what they are.

    Args:
        chances: Posteriors, `[n, V]`.
        blank: Of silence, `[n]`.
        ids: Tokens, `[k]`.
    """

    def __init__(self, chances: Floats, blank: Floats, ids: NDArray[np.int64]) -> None:
        self._ids, self._k = ids, len(ids)
        self._differs = np.append(True, ids[1:] != ids[:-1])  # token i from the one before it
        n = len(chances)
        self._scaled, self._blank = chances.copy(), blank.copy()
        # before[t]: the chances of blank 0 .. k and token 0 .. k - 1 after t frames; [0]: none yet.
        self._blanks, self._tokens = np.zeros((n + 1, self._k + 1)), np.zeros((n + 1, self._k))
        self._blanks[0, 0] = 1.0
        for t in range(n):
            blanks, tokens = self._forward(t)
            total = blanks.sum() + tokens.sum()
            self._scaled[t] /= total
            self._blank[t] /= total
            self._blanks[t + 1], self._tokens[t + 1] = blanks / total, tokens / total
        self._backward()

    def _forward(self, t: int) -> tuple[Floats, Floats]:
        blanks, tokens = self._blanks[t].copy(), self._tokens[t].copy()
        blanks[1:] += self._tokens[t]
        tokens += self._blanks[t, :-1]
        tokens[1:] += self._differs[1:] * self._tokens[t, :-1]
        return blanks * self._blank[t], tokens * self._scaled[t, self._ids]

    def _backward(self) -> None:
        """Fill what follows: the chance of frames t .. n - 1, the first being taken by a state."""
        n = len(self._scaled)
        self._on_blank, self._on_token = np.zeros((n + 1, self._k + 1)), np.zeros((n + 1, self._k))
        blanks, tokens = np.zeros(self._k + 1), np.zeros(self._k)  # after the last frame
        blanks[-1] = tokens[-1] = 1.0
        for t in range(n - 1, -1, -1):
            on_blank = blanks * self._blank[t]
            on_token = tokens * self._scaled[t, self._ids]
            self._on_blank[t], self._on_token[t] = on_blank, on_token
            blanks, tokens = on_blank.copy(), on_token.copy()
            blanks[:-1] += on_token
            tokens += on_blank[1:]
            tokens[:-1] += self._differs[1:] * on_token[1:]

    def shares(self, heard: NDArray[np.int64]) -> Floats:
        """Return the share of each token among all that could stand in its place, `[k]`."""
        n, k = len(self._scaled), self._k
        at = np.arange(k)
        # [k, heard]: may x follow the token before place i, and be followed by the one after it?
        follows, leads = np.ones((2, k, len(heard)))
        follows[1:] = heard != self._ids[:-1, None]
        leads[:-1] = heard != self._ids[1:, None]
        before = np.append(np.zeros((n + 1, 1)), self._tokens[:, :-1], axis=1)
        after_blank = self._on_blank[:, 1:]
        after_token = np.append(self._on_token[:, 1:], np.zeros((n + 1, 1)), axis=1)
        on, ended = np.zeros((k, len(heard))), np.zeros((k, len(heard)))
        for t in range(n):
            enters = self._blanks[t, :-1, None] + follows * before[t, :, None]
            on = (on + enters) * self._scaled[t, heard]
            ended += on * (after_blank[t + 1, :, None] + leads * after_token[t + 1, :, None])
        ended[-1] += on[-1]  # the audio may end on the last token
        own: Floats = ended[at, np.searchsorted(heard, self._ids)]
        others: Floats = ended.sum(axis=1) + self._without(before, after_token)
        return np.asarray(own / np.maximum(others, _TINY), np.float64)

    def _without(self, before: Floats, after_token: Floats) -> Floats:
        """Return the chance of the word without each token, `[k]`."""
        joins = np.ones(self._k, bool)
        joins[1:-1] = self._ids[2:] != self._ids[:-2]
        from_blank = (self._blanks[:-1, :-1] * after_token[:-1]).sum(axis=0)
        from_token = (before[:-1] * after_token[:-1]).sum(axis=0) * joins
        left: Floats = from_blank + from_token
        left[-1] += self._blanks[-1, self._k - 1] + before[-1, self._k - 1]
        return left
