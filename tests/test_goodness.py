"""Goodness of pronunciation: every alignment of small cases, and torch's CTC loss."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spelled import SYLLABLES, Frames, log_softmax

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.errors import LogProbsError
from wav2edge.lm.goodness import LEAST, aligned_goodness, alignment_free_goodness

TINY = Alphabet(("_", "|", "A", "B", "<unk>"), blank_id=0, delimiter_id=1, special_ids=(4,))


def drawn(n_frames: int, size: int, seed: int) -> Frames:
    """Frames at random."""
    return log_softmax(np.random.default_rng(seed).normal(0, 2, (n_frames, size)))


def chance(frames: Frames, ids: tuple[int, ...]) -> float:
    """Sum over every labelling of the frames that says these tokens; `|` is as good as blank."""
    silent = (TINY.blank_id, TINY.delimiter_id)
    total = 0.0
    for labels in itertools.product(range(4), repeat=len(frames)):
        runs = [label for label, _ in itertools.groupby(0 if x in silent else x for x in labels)]
        if tuple(label for label in runs if label) == ids:
            total += float(np.exp(frames[np.arange(len(frames)), list(labels)].sum()))
    return total


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(2, 3), min_size=1, max_size=3), st.integers(0, 10**6))
def test_it_is_the_share_of_all_that_could_be_said(word: list[int], seed: int) -> None:
    """A letter's goodness is its word's chance over those of all substitutions and the deletion."""
    ids, frames = tuple(word), drawn(5, TINY.size, seed)
    found = alignment_free_goodness(frames, ids, TINY)
    for place in range(len(ids)):
        others = [(*ids[:place], x, *ids[place + 1 :]) for x in (2, 3)]
        others.append((*ids[:place], *ids[place + 1 :]))
        whole = sum(chance(frames, other) for other in others)
        share = chance(frames, ids) / whole
        expected = max(LEAST, np.log(share)) if share else LEAST
        assert found[place] == pytest.approx(expected, abs=1e-5)  # float32 far below zero


def test_it_is_made_of_ctc_losses() -> None:
    """On longer words the same follows from torch's CTC loss of every substitution."""
    torch = pytest.importorskip("torch", reason="the reference is torch's CTC loss")
    frames = drawn(40, SYLLABLES.size, 1)
    ids = (1, 1, 4, 2, 2, 5, 3)

    def log_prob(tokens: tuple[int, ...]) -> float:
        return -float(
            torch.nn.functional.ctc_loss(
                torch.tensor(frames, dtype=torch.float64)[:, None],
                torch.tensor([tokens]),
                torch.tensor([len(frames)]),
                torch.tensor([len(tokens)]),
                reduction="sum",
            )
        )

    found = alignment_free_goodness(frames, ids, SYLLABLES)
    for place in range(len(ids)):
        others = [log_prob((*ids[:place], x, *ids[place + 1 :])) for x in range(1, 6)]
        others.append(log_prob(ids[:place] + ids[place + 1 :]))
        expected = log_prob(ids) - np.logaddexp.reduce(others)
        assert found[place] == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_said_has_the_least() -> None:
    """Fewer frames than letters, and letters of no chance, give -25; NaN is an error."""
    frames = drawn(2, TINY.size, 0)
    assert alignment_free_goodness(frames, (2, 3, 2), TINY).tolist() == [LEAST] * 3
    sure = np.log(np.array([[1e-30, 1e-30, 1.0, 1e-30, 1e-30]] * 4, np.float32))
    assert alignment_free_goodness(sure, (3,), TINY).tolist() == pytest.approx([LEAST], abs=0.1)
    assert alignment_free_goodness(sure, (2,), TINY).tolist() == pytest.approx([0.0], abs=1e-6)
    with pytest.raises(LogProbsError, match="NaN"):
        alignment_free_goodness(frames * np.nan, (2,), TINY)


def test_long_words_do_not_vanish() -> None:
    """A hundred letters over three hundred frames of anything stay numbers in range."""
    found = alignment_free_goodness(drawn(300, TINY.size, 3), (2, 3) * 50, TINY)
    assert np.isfinite(found).all()
    assert (found <= 0).all()


def test_aligned_goodness_is_a_mean_log_ratio() -> None:
    """Letter less best other, by frame: log 4 and log 1 have the mean log 2; specials are none."""
    chances = [[0.1, 0.1, 0.4, 0.1, 0.9], [0.2, 0.2, 0.2, 0.2, 0.2]]
    frames = np.log(np.array(chances, np.float32))
    assert aligned_goodness(frames, 2, TINY) == pytest.approx(np.log(2), abs=1e-6)
