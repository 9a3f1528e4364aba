"""Decoders that are awake where somebody speaks, and the noise they leave out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spelled import LETTERS, Frames, said

from wav2edge.lm.beam import BeamDecoder
from wav2edge.lm.decoder import LEAD_FRAMES, Decoder
from wav2edge.lm.errors import DecoderError, LogProbsError
from wav2edge.lm.greedy import GreedyDecoder, SpokenWord
from wav2edge.lm.phrases import PhraseDecoder
from wav2edge.lm.templates import Templates
from wav2edge.lm.utterance import UtteranceDecoder

PAUSE = 25  # frames
DECODERS: dict[str, Decoder[Any]] = {
    "greedy": GreedyDecoder(LETTERS, pause_frames=PAUSE),
    "beam": BeamDecoder(LETTERS, hotwords={"go": 4.0}, pause_frames=PAUSE),
    "phrases": PhraseDecoder(LETTERS, Templates.of(["(no|on|go)+"])),
}


def silence(n_frames: int, letter: str = "", log_prob: float = -3.0) -> Frames:
    """Frames whose best token is the blank; one letter may be the second best."""
    frames = np.full((n_frames, LETTERS.size), -12.0, np.float32)
    frames[:, 0] = -0.1
    if letter:
        frames[:, LETTERS.tokens.index(letter)] = log_prob
    return frames


def recording(texts: Sequence[str], gaps: Sequence[int]) -> Frames:
    """Texts with silences before them."""
    pieces = [silence(0)]
    for text, gap in zip(texts, gaps, strict=False):
        pieces += [silence(gap), said(text)]
    return np.concatenate(pieces)


def heard(decoder: UtteranceDecoder, pieces: Sequence[Frames]) -> list[SpokenWord]:
    """All words of a recording."""
    return [word for words in decoder.recording(pieces) for word in words]


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(DECODERS)),
    st.lists(st.sampled_from(["NO", "ON GO", "GO", "NO NO"]), min_size=1, max_size=4),
    st.lists(st.integers(0, 90), min_size=4, max_size=4),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_words_do_not_depend_on_the_cut(
    kind: str, texts: list[str], gaps: list[int], cuts: list[int]
) -> None:
    """Any cut of a recording gives the same words at the same frames, in order."""
    decoder = UtteranceDecoder(DECODERS[kind], pause_frames=PAUSE)
    frames = recording(texts, gaps)
    whole = heard(decoder, [frames])
    assert heard(decoder, np.split(frames, sorted(min(cut, len(frames)) for cut in cuts))) == whole
    for last, word in pairwise(whole):
        assert last.end_frame <= word.start_frame
    assert all(0 <= word.start_frame < word.end_frame <= len(frames) for word in whole)
    if all(gap >= PAUSE for gap in gaps[1 : len(texts)]):
        assert " ".join(word.text for word in whole) == " ".join(texts)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["NO", "ON GO", "A"]), min_size=1), st.integers(0, 60))
def test_greedy_words_are_those_of_greedy_decoding(texts: list[str], gap: int) -> None:
    """To sleep through silence changes no word, time or confidence of greedy decoding."""
    inner = GreedyDecoder(LETTERS, pause_frames=PAUSE)
    frames = recording(texts, [gap] * len(texts))
    words, state = inner.advance(inner.start(), frames)
    expected = [*words, *inner.finish(state)]
    assert heard(UtteranceDecoder(inner, pause_frames=PAUSE), [frames]) == expected


def test_hotwords_are_not_heard_in_silence() -> None:
    """A search hears its hotword in every silence that half allows it; asleep it does not."""
    greedy_for_it = BeamDecoder(LETTERS, hotwords={"A": 30.0}, pause_frames=PAUSE)
    quiet = silence(400, "A")
    words, state = greedy_for_it.advance(greedy_for_it.start(), quiet)
    assert [*words, *greedy_for_it.finish(state)]
    assert heard(UtteranceDecoder(greedy_for_it, pause_frames=PAUSE), [quiet]) == []


def test_a_weak_first_letter_is_heard() -> None:
    """What came before the first spoken frame belongs to the word, though it was never the best."""
    decoder = UtteranceDecoder(BeamDecoder(LETTERS, hotwords={"GO": 12.0}), pause_frames=PAUSE)
    frames = np.concatenate([silence(300), silence(2, "G"), said("O"), silence(4)])
    found = heard(decoder, [frames])
    assert [(word.text, word.start_frame >= 298) for word in found] == [("GO", True)]


def test_silence_leaves_nothing_behind() -> None:
    """An hour of it is no more to remember than a second, and counts its frames."""
    decoder = UtteranceDecoder(DECODERS["beam"])
    state = decoder.start()
    for _ in range(100):
        words, state = decoder.advance(state, silence(1000))
        assert words == ()
    assert decoder.n_frames(state) == 100_000
    assert len(state.lead) == LEAD_FRAMES * LETTERS.size * 4
    _, state = decoder.advance(state, said("NO"))
    assert decoder.finish(state)[0].start_frame >= 100_000


def test_noise_is_known_whatever_decodes() -> None:
    """One threshold: what is hardly heard is left out of greedy words and of the search's alike.

    Phrases have a threshold of their own, which it passes.
    """
    clear, faint = said("NO"), said("ON")
    rivals = faint[:, ::-1] * 0.02 + faint * 0.08
    rivals -= np.log(np.exp(rivals).sum(axis=1, keepdims=True))
    frames = np.concatenate([clear, silence(60), rivals.astype(np.float32), silence(60), clear])
    for kind, decoder in DECODERS.items():
        strict = UtteranceDecoder(decoder, pause_frames=PAUSE, reject_below=0.6)
        texts = [word.text for word in heard(strict, [frames])]
        assert texts == (["NO", "ON", "NO"] if kind == "phrases" else ["NO", "NO"]), kind
    loose = UtteranceDecoder(DECODERS["greedy"], pause_frames=PAUSE)
    assert len(heard(loose, [frames])) > 2


def test_log_probs_that_are_none_are_refused() -> None:
    """NaN is refused in silence as well."""
    decoder = UtteranceDecoder(DECODERS["beam"])
    with pytest.raises(LogProbsError, match="NaN"):
        decoder.advance(decoder.start(), np.full((3, LETTERS.size), np.nan, np.float32))


def test_only_the_beam_search_knows_hotwords() -> None:
    """The error says what decodes, and what is expected."""
    with pytest.raises(DecoderError, match=r"greedy.*hotwords=\{\}"):
        UtteranceDecoder(DECODERS["greedy"], identity="greedy", hotwords={"go": 1.0})
