"""Greedy decoding: words, frames and confidence a person can predict, however frames are cut."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.errors import LogProbsError
from wav2edge.lm.greedy import GreedyDecoder, SpokenWord

LETTERS = Alphabet(("_", "<s>", "|", "N", "O", "E"), 0, 2, (1,))
SYLLABLES = Alphabet(("_", "ka", "mi", "no"), 0)
BLANK, START, BAR, N, O, E = range(6)  # noqa: E741  (the letters' own names)


def rows(*best: tuple[int, float], size: int = 6) -> NDArray[np.float32]:
    """Log-probabilities whose best token and its probability are given, the rest shared."""
    probs = np.empty((len(best), size), np.float32)
    for row, (id_, prob) in zip(probs, best, strict=True):
        row[:] = (1 - prob) / (size - 1)
        row[id_] = prob
    return np.log(probs)


def decode(
    alphabet: Alphabet, log_probs: NDArray[np.float32], cuts: tuple[int, ...] = ()
) -> list[SpokenWord]:
    """All words of `log_probs`, handed over in the pieces that `cuts` make."""
    decoder = GreedyDecoder(alphabet)
    state = decoder.start()
    words: list[SpokenWord] = []
    for piece in np.split(log_probs, sorted(cuts)):
        new, state = decoder.advance(state, piece)
        words += new
    return [*words, *decoder.finish(state)]


def test_words_carry_frames_and_confidence() -> None:
    """A word spans its tokens' frames; its confidence is the mean of their best posteriors."""
    frames = rows(
        (BLANK, 0.9), (N, 0.5), (N, 0.8), (BLANK, 0.9), (O, 0.6), (BAR, 0.9), (O, 0.7), (BLANK, 0.9)
    )
    words = decode(LETTERS, frames)
    assert [(w.text, w.start_frame, w.end_frame) for w in words] == [("NO", 1, 5), ("O", 6, 7)]
    assert words[0].confidence == pytest.approx((0.8 * 0.6) ** 0.5, rel=1e-5)
    assert words[1].confidence == pytest.approx(0.7, rel=1e-5)


def test_a_word_comes_out_with_its_delimiter() -> None:
    """A word is emitted by the call that hears its delimiter, not later."""
    decoder = GreedyDecoder(LETTERS)
    words, state = decoder.advance(decoder.start(), rows((N, 0.9), (O, 0.9)))
    assert (words, decoder.pending(state)) == ((), "NO")
    words, state = decoder.advance(state, rows((BAR, 0.9)))
    assert ([word.text for word in words], decoder.pending(state)) == (["NO"], "")
    assert decoder.finish(state) == ()


def test_finish_yields_what_is_pending() -> None:
    """The last word needs no delimiter."""
    assert [w.text for w in decode(LETTERS, rows((O, 0.9), (BLANK, 0.9), (N, 0.9)))] == ["ON"]


def test_a_state_is_a_value() -> None:
    """Advancing twice from one state gives the same twice: streams share nothing."""
    decoder = GreedyDecoder(LETTERS)
    _, state = decoder.advance(decoder.start(), rows((N, 0.9)))
    once = decoder.advance(state, rows((O, 0.9), (BAR, 0.9)))
    assert once == decoder.advance(state, rows((O, 0.9), (BAR, 0.9)))


def test_special_tokens_are_never_heard() -> None:
    """Where a special token would win, the best of the others does, with its own posterior."""
    frames = rows((N, 0.9), (START, 0.5), (BAR, 0.9))
    frames[1, O] = np.log(0.3)
    (word,) = decode(LETTERS, frames)
    assert word.text == "NO"
    assert word.confidence == pytest.approx((0.9 * 0.3) ** 0.5, rel=1e-5)


def test_without_delimiter_each_token_is_a_word() -> None:
    """An alphabet without delimiter gives times to every token, and joins them without spaces."""
    frames = rows((1, 0.9), (1, 0.8), (0, 0.9), (1, 0.7), (3, 0.9), size=4)
    words = decode(SYLLABLES, frames)
    assert [(w.text, w.start_frame, w.end_frame) for w in words] == [
        ("ka", 0, 2),
        ("ka", 3, 4),
        ("no", 4, 5),
    ]
    assert SYLLABLES.separator.join(w.text for w in words) == "kakano"


def test_nothing_heard_is_no_words() -> None:
    """No frames, blanks alone or delimiters alone are no words."""
    for frames in (np.zeros((0, 6), np.float32), rows((BLANK, 0.9)), rows((BAR, 0.9), (BAR, 0.9))):
        assert decode(LETTERS, frames) == []


def test_confidence_never_exceeds_one() -> None:
    """A log-softmax that rounding left above 0 still gives a confidence of at most 1."""
    frames = np.full((1, 6), -20, np.float32)
    frames[0, N] = 1e-6
    assert decode(LETTERS, frames)[0].confidence == 1.0


def test_nan_is_an_error() -> None:
    """A model that yields NaN is told apart from a silent one."""
    frames = rows((N, 0.9), (O, 0.9))
    frames[1] = np.nan
    with pytest.raises(LogProbsError, match="NaN"):
        decode(LETTERS, frames)


@st.composite
def cut_frames(draw: st.DrawFn) -> tuple[Alphabet, NDArray[np.float32], tuple[int, ...]]:
    """An alphabet, rows of log-probabilities with long runs, and places to cut them."""
    alphabet = draw(st.sampled_from([LETTERS, SYLLABLES]))
    ids = draw(st.lists(st.integers(0, alphabet.size - 1), max_size=40))
    probs = draw(st.lists(st.floats(0.4, 0.99), min_size=len(ids), max_size=len(ids)))
    cuts = draw(st.lists(st.integers(0, len(ids)), max_size=6))
    return alphabet, rows(*zip(ids, probs, strict=True), size=alphabet.size), tuple(cuts)


@settings(deadline=None)
@given(cut_frames())
def test_cuts_change_nothing(
    example: tuple[Alphabet, NDArray[np.float32], tuple[int, ...]],
) -> None:
    """Words, frames and confidences are the same, bit for bit, however the frames are cut."""
    alphabet, frames, cuts = example
    assert decode(alphabet, frames, cuts) == decode(alphabet, frames)


@settings(deadline=None)
@given(cut_frames())
def test_words_spell_the_text(
    example: tuple[Alphabet, NDArray[np.float32], tuple[int, ...]],
) -> None:
    """The words joined are the text of the best ids, with one space where that has several."""
    alphabet, frames, cuts = example
    text = alphabet.text(alphabet.masked(frames).argmax(axis=1))
    words = decode(alphabet, frames, cuts)
    assert alphabet.separator.join(word.text for word in words) == " ".join(text.split())
    assert all(word.start_frame < word.end_frame for word in words)
    assert all(a.end_frame <= b.start_frame for a, b in itertools.pairwise(words))


def test_a_long_pause_parts_words_and_a_short_one_does_not() -> None:
    """Three blank frames inside a word part it if the limit is three, and not if it is four."""
    letters = Alphabet(("<pad>", "|", "N", "O"), blank_id=0, delimiter_id=1)
    frames = np.log(np.eye(4, dtype=np.float32)[[2, 3, 0, 0, 0, 2, 3]] * 0.96 + 0.01)
    for limit, expected in ((None, ["NONO"]), (4, ["NONO"]), (3, ["NO", "NO"])):
        for cut in range(len(frames) + 1):
            decoder = GreedyDecoder(letters, pause_frames=limit)
            first, state = decoder.advance(decoder.start(), frames[:cut])
            second, state = decoder.advance(state, frames[cut:])
            words = (*first, *second, *decoder.finish(state))
            assert [word.text for word in words] == expected
