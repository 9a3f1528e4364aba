"""The beam search: what a person can predict, what cuts may not change, what it refuses."""

import math
import pickle
import time
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spelled import LETTERS, SYLLABLES, Frames, log_softmax, said, spelled

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.arpa import ArpaModel
from wav2edge.lm.beam import BeamDecoder, BeamState
from wav2edge.lm.decoder import Decoder
from wav2edge.lm.errors import DecoderError, HotwordError, LogProbsError
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.greedy import GreedyDecoder, SpokenWord

ARPA = """\\data\\
ngram 1=8
ngram 2=5

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-1.0\t</s>
-1.2\tTURN\t-0.3
-1.0\tON\t-0.3
-1.0\tOFF\t-0.3
-1.4\tTHE\t-0.3
-1.6\tLIGHT\t-0.3

\\2-grams:
-0.3\t<s> TURN
-0.2\tTURN ON
-0.4\tTURN OFF
-0.2\tTHE LIGHT
-0.3\tON THE

\\end\\
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ArpaModel:
    """A bigram model of a few commands."""
    path = tmp_path_factory.mktemp("lm") / "commands.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return ArpaModel.read(path, LETTERS)


def decode(
    decoder: BeamDecoder, frames: Frames, cuts: tuple[int, ...] = ()
) -> tuple[list[SpokenWord], BeamState]:
    """All words, final and pending, and the last state."""
    state = decoder.start()
    words: list[SpokenWord] = []
    for piece in np.split(frames, sorted(cuts)):
        new, state = decoder.advance(state, piece)
        words += new
    return [*words, *decoder.finish(state)], state


def text(words: list[SpokenWord]) -> str:
    """Join words."""
    return " ".join(word.text for word in words)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text("ABNO'", min_size=1, max_size=6), max_size=6), st.integers(0, 99))
def test_clean_speech_is_what_greedy_hears(spoken: list[str], seed: int) -> None:
    """Without model and hotwords, clear log-probs give greedy's words, at greedy's times."""
    frames = said(" ".join(spoken), seed)
    greedy = GreedyDecoder(LETTERS)
    first, state = greedy.advance(greedy.start(), frames)
    words, _ = decode(BeamDecoder(LETTERS), frames)
    assert [(w.text, w.start_frame, w.end_frame) for w in words] == [
        (w.text, w.start_frame, w.end_frame) for w in (*first, *greedy.finish(state))
    ]
    assert all(word.confidence > 0.9 for word in words)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["model", "plain", "hotwords", "syllables", "parted"]),
    st.data(),
)
def test_cuts_change_nothing(model: ArpaModel, seed: int, kind: str, data: st.DataObject) -> None:
    """Words, confidences, n-best and the beams are the same, bit for bit, for every cut."""
    rng = np.random.default_rng(seed)
    frames = said("TURN ON THE LIGHT OFF", seed, noise=3.0)
    hotwords = {"LIGHT": 4.0, "OF F": -2.0} if kind in {"hotwords", "parted"} else {}
    decoder = BeamDecoder(
        LETTERS,
        None if kind == "plain" else model,
        options=BeamOptions(beam_width=int(rng.integers(1, 40)), commit_s=rng.choice([0.3, 2.0])),
        hotwords=hotwords,
        pause_frames=4 if kind == "parted" else None,
    )
    if kind == "syllables":
        frames = spelled([1, 2, 3, 3, 4, 5, 1], SYLLABLES, rng, noise=3.0)
        decoder = BeamDecoder(SYLLABLES, hotwords={"kami": 3.0})
    cuts = data.draw(st.lists(st.integers(0, len(frames)), max_size=8))
    whole, end = decode(decoder, frames)
    cut, cut_end = decode(decoder, frames, tuple(cuts))
    assert cut == whole
    assert decoder.nbest(cut_end, 10) == decoder.nbest(end, 10)
    assert cut_end.beams[1:] == end.beams[1:]


def test_every_frame_alone_is_the_whole(model: ArpaModel) -> None:
    """Frame by frame, through pickle, gives what one call gives: also after the first cleaning."""
    frames = np.concatenate([said("TURN ON THE LIGHT ", seed, noise=2.5) for seed in range(12)])
    assert len(frames) > 512
    decoder = BeamDecoder(LETTERS, model, options=BeamOptions(beam_width=12))
    whole, _ = decode(decoder, frames)
    state = decoder.start()
    words: list[SpokenWord] = []
    for row in frames:
        state = pickle.loads(pickle.dumps(state))  # noqa: S301  (our own)
        new, state = decoder.advance(state, row[None])
        words += new
    assert [*words, *decoder.finish(state)] == whole


def test_the_model_decides_between_what_sounds_alike(model: ArpaModel) -> None:
    """OF or OFF: the acoustic score says OF by a little, the bigram TURN OFF corrects it."""
    frames = said("TURN OF")
    blank = int(np.flatnonzero(frames.argmax(axis=1) == LETTERS.tokens.index("F"))[-1]) + 1
    f, pad = LETTERS.tokens.index("F"), np.full((2, LETTERS.size), -20.0, np.float32)
    pad[0, 0], pad[1, f], pad[1, 0] = 0.0, math.log(0.4), math.log(0.6)
    frames = np.concatenate([frames[:blank], pad])
    assert text(decode(BeamDecoder(LETTERS), frames)[0]) == "TURN OF"
    assert text(decode(BeamDecoder(LETTERS, model), frames)[0]) == "TURN OFF"


def test_a_blank_penalty_is_the_same_search_with_less_blank() -> None:
    """A letter that the blank outweighed is heard; words, times and scores are as if it were so."""
    frames = said("TURN OF")
    faint = np.full((2, LETTERS.size), -20.0, np.float32)
    faint[0, 0], faint[1, LETTERS.tokens.index("T")] = 0.0, math.log(0.1)
    faint[1, 0] = math.log(0.9)
    frames = np.concatenate([frames, faint])
    less = log_softmax(frames - 3.0 * (np.arange(LETTERS.size) == 0)).astype(np.float32)
    heard, _ = decode(BeamDecoder(LETTERS, options=BeamOptions(blank_penalty=3.0)), frames)
    by_hand, _ = decode(BeamDecoder(LETTERS), less)
    assert text(heard) == text(by_hand) == "TURN OFT"
    assert text(decode(BeamDecoder(LETTERS), frames)[0]) == "TURN OF"
    assert [w.start_frame for w in heard] == [w.start_frame for w in by_hand]
    assert [w.confidence for w in heard] == pytest.approx([w.confidence for w in by_hand])


def test_scores_stand_apart(model: ArpaModel) -> None:
    """The parts of a score are what a person computes from the log-probs, the model and weights."""
    options = BeamOptions(alpha=0.7, beta=0.5, commit_s=None)
    decoder = BeamDecoder(LETTERS, model, options=options, hotwords={"on": 3.0})
    words, state = decoder.advance(decoder.start(), said("TURN ON"))
    best, *others = decoder.nbest(state, 5)
    assert [words[0].text, best.text] == ["TURN", "ON"]
    expected = 0.7 * math.log(10) * (-0.3 - 0.2 + (-0.3 - 1.0)) + 2 * 0.5
    assert best.model_score == pytest.approx(expected)
    assert best.hotword_score == 3.0
    assert -0.5 < best.acoustic_score < 0.0
    assert best.score == best.acoustic_score + best.model_score + best.hotword_score
    assert all(one.score <= best.score for one in others)


def test_hotwords_change_in_mid_stream() -> None:
    """A name that acoustics alone do not find is found once it is expected; the words stay."""
    frames = np.concatenate([said("CALL "), log_softmax(_confused("ANA", "ANN"))])
    decoder = BeamDecoder(LETTERS)
    words, state = decoder.advance(decoder.start(), frames[:-1])
    assert [word.text for word in (*words, *decoder.finish(state))] == ["CALL", "ANN"]
    warmer = decoder.with_hotwords(state, {"Ana": 6.0})
    assert [word.text for word in decoder.finish(warmer)][-1] == "ANA"
    again = decoder.with_hotwords(warmer, {})
    assert decoder.finish(again) == decoder.finish(state)
    assert decoder.restart(warmer).hotwords == (("ANA", 6.0),)
    assert decoder.restart(warmer).n_frames == len(frames) - 1


def _confused(this: str, other: str) -> NDArray[np.float64]:
    """Logits of two words of equal length, the second a little more likely."""
    ids = [i for letter in this for i in (LETTERS.tokens.index(letter), 0)]
    alike = [i for letter in other for i in (LETTERS.tokens.index(letter), 0)]
    logits = np.zeros((len(ids), LETTERS.size))
    logits[np.arange(len(ids)), ids] = 8.0
    logits[np.arange(len(ids)), alike] = 9.0
    return logits


def test_a_word_is_final_when_all_beams_agree_or_after_commit_s() -> None:
    """Two beams that never agree on the first word: it is final commit_s after its end."""
    logits = np.concatenate([_confused("ANA", "ANN"), np.zeros((60, LETTERS.size))])
    logits[6, 1] = 12.0
    logits[7:, 0] = 12.0
    frames = log_softmax(logits)
    for commit_s, expected in ((0.4, 25), (1.0, 55), (None, None)):
        decoder = BeamDecoder(
            LETTERS, options=BeamOptions(commit_s=commit_s), hotwords={"ANA": 2.0}, hop_s=0.02
        )
        final = None
        state = decoder.start()
        for i, row in enumerate(frames):
            words, state = decoder.advance(state, row[None])
            if words:
                final = i
                assert [(word.text, word.end_frame) for word in words] == [("ANA", 5)]
                assert 0.3 < words[0].confidence < 0.8
        assert final == (None if expected is None else expected - 1)


def test_agreement_needs_no_time() -> None:
    """With one beam left a word is final in the frame of its delimiter."""
    frames = said("NO ON")
    bar = int((frames.argmax(axis=1) == 1).argmax())
    decoder = BeamDecoder(LETTERS)
    assert decoder.advance(decoder.start(), frames[:bar])[0] == ()
    assert [w.text for w in decoder.advance(decoder.start(), frames[: bar + 1])[0]] == ["NO"]


def test_a_pause_ends_a_word_as_in_greedy() -> None:
    """A pause as long as the limit parts words, a shorter one does not."""
    ids = [LETTERS.tokens.index(letter) for letter in "NO"]
    frames = np.full((9, LETTERS.size), -20.0, np.float32)
    frames[np.arange(9), [*ids, 0, 0, 0, *ids, 0, 0]] = -1e-6
    for limit in (3, 4):
        greedy = GreedyDecoder(LETTERS, pause_frames=limit)
        words, state = greedy.advance(greedy.start(), frames)
        ours, _ = decode(BeamDecoder(LETTERS, pause_frames=limit), frames)
        assert [(w.text, w.start_frame) for w in ours] == [
            (w.text, w.start_frame) for w in (*words, *greedy.finish(state))
        ]


def test_what_is_final_is_forgotten(model: ArpaModel) -> None:
    """The state after ten minutes is no larger than after one, nor is a frame's cost."""
    once = np.concatenate([said("TURN ON THE LIGHT ", seed, noise=2.5) for seed in range(20)])
    decoder = BeamDecoder(LETTERS, model)
    state, sizes, costs = decoder.start(), [], []
    for _ in range(12):
        began = time.process_time()
        _, state = decoder.advance(state, once)
        costs.append(time.process_time() - began)
        sizes.append(len(pickle.dumps(state)))
    assert max(sizes[6:]) < 1.5 * max(sizes[:3])
    assert min(costs[6:]) < 2 * min(costs[:3])


def test_tokens_without_a_delimiter_are_words() -> None:
    """Where no token parts words every token is one, and a hotword is its tokens."""
    rng = np.random.default_rng(0)
    frames = spelled([1, 2, 2, 3], SYLLABLES, rng)
    decoder = BeamDecoder(SYLLABLES, hotwords={"kami": 2.0})
    words, state = decode(decoder, frames)
    assert [word.text for word in words] == ["ka", "mi", "mi", "no"]
    assert decoder.nbest(state, 1)[0].text.endswith("no")
    assert decoder.start().hotwords == (("ka", 2.0), ("mi", 2.0))


@pytest.mark.parametrize("beam_width", [1, 2, 7])
def test_ties_keep_the_width(beam_width: int) -> None:
    """Where everything scores the same no more beams are kept than asked for."""
    frames = np.full((12, LETTERS.size), -math.log(LETTERS.size), np.float32)
    decoder = BeamDecoder(LETTERS, options=BeamOptions(beam_width=beam_width))
    _, state = decoder.advance(decoder.start(), frames)
    assert len(decoder.nbest(state, 99)) <= beam_width


def test_special_tokens_are_never_heard() -> None:
    """A masked token takes no part, even where the model is sure of it."""
    masked = Alphabet(("<pad>", "|", "N", "O", "<unk>"), 0, 1, (4,))
    frames = np.log(np.eye(5, dtype=np.float32)[[2, 4, 3, 4]] * 0.9 + 0.02)
    frames[1] = -np.inf
    frames[1, 4] = 0.0
    assert text(decode(BeamDecoder(masked), frames)[0]) == "NO"


def test_a_frame_of_a_large_vocabulary_keeps_its_best_tokens() -> None:
    """Of 10,288 tokens only the best few of each frame are looked at, cheaply."""
    rng = np.random.default_rng(0)
    big = Alphabet(("", "|", *(chr(0x4E00 + i) for i in range(10_286))), 0, 1)
    logits = rng.normal(0, 1, (100, big.size))
    logits[np.arange(100), rng.integers(0, big.size, 100)] += 12
    frames = log_softmax(logits)
    wide = BeamDecoder(big, options=BeamOptions(max_tokens=None, token_min_log_prob=-9.0))
    narrow = BeamDecoder(big, options=BeamOptions(max_tokens=8, token_min_log_prob=-9.0))
    began = time.process_time()
    words, _ = decode(narrow, frames)
    assert time.process_time() - began < 2.0
    assert text(words) == text(decode(wide, frames)[0])


@pytest.mark.parametrize(
    "options",
    [
        {"beam_width": 0},
        {"beam_prune_log_prob": 1.0},
        {"token_min_log_prob": math.nan},
        {"alpha": -1.0},
        {"beta": math.inf},
        {"blank_penalty": -0.5},
        {"commit_s": 0.0},
        {"max_tokens": 0},
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, float]) -> None:
    """Each bad option is an error that names it."""
    with pytest.raises(DecoderError, match=next(iter(options))):
        BeamOptions(**options)  # type: ignore[arg-type]


def test_bad_log_probs_are_refused_and_the_state_stays() -> None:
    """NaN, logits, a foreign width or no matrix: an error each, and decoding can go on."""
    decoder = BeamDecoder(LETTERS)
    frames = said("NO")
    _, state = decoder.advance(decoder.start(), frames)
    before = pickle.dumps(state)
    broken = frames.copy()
    broken[-1, 3] = np.nan
    for bad, match in (
        (broken, "NaN"),
        (frames + 5.0, "log-softmax"),
        (frames[:, :-1], str(LETTERS.size)),
        (frames[0], str(LETTERS.size)),
    ):
        with pytest.raises(LogProbsError, match=match):
            decoder.advance(state, bad)
    assert pickle.dumps(state) == before


def test_unspellable_hotwords_are_named() -> None:
    """All hotwords that cannot be spelled are in the message; a weight must be a number."""
    decoder = BeamDecoder(LETTERS)
    with pytest.raises(HotwordError, match=r"'Zo3', 'Ünal'"):
        decoder.with_hotwords(decoder.start(), {"Zo3": 1.0, "Zoe": 1.0, "Ünal": 2.0})
    with pytest.raises(HotwordError, match="weight"):
        BeamDecoder(LETTERS, hotwords={"Zoe": math.nan})
    with pytest.raises(HotwordError, match="''"):
        BeamDecoder(LETTERS, hotwords={"": 1.0})


S = TypeVar("S")


def test_both_decoders_keep_the_protocol() -> None:
    """Greedy and beam offer what a stream asks of a decoder."""
    assert _words_then_restart(GreedyDecoder(LETTERS)) == ["NO", "ON"]
    assert _words_then_restart(BeamDecoder(LETTERS)) == ["NO", "ON"]


def _words_then_restart(decoder: Decoder[S]) -> list[str]:
    frames = said("NO ON")
    words, state = decoder.advance(decoder.start(), frames)
    heard = [word.text for word in (*words, *decoder.finish(state))]
    again = decoder.restart(state)
    assert decoder.n_frames(again) == len(frames)
    assert decoder.finish(again) == ()
    return heard


def test_the_acoustic_score_is_the_sum_over_all_alignments() -> None:
    """The best transcript scores what a brute force over every path sums up to."""
    tiny = Alphabet(("_", "|", "A", "B"), 0, 1)
    rng = np.random.default_rng(5)
    frames = log_softmax(rng.normal(0, 0.5, (5, 4)))
    options = BeamOptions(
        beam_width=1000, beam_prune_log_prob=-1e9, token_min_log_prob=-1e9, commit_s=None
    )
    decoder = BeamDecoder(tiny, options=options)
    found = {one.text: one.acoustic_score for one in decoder.nbest(decode(decoder, frames)[1], 999)}
    sums: dict[str, list[float]] = {}
    for path in np.ndindex(*(4,) * 5):
        score = sum(float(frames[i, token]) for i, token in enumerate(path))
        sums.setdefault(" ".join(tiny.text(path).split()), []).append(score)
    best = max(sums, key=lambda one: float(np.logaddexp.reduce(sums[one])))
    assert max(found, key=lambda one: found[one]) == best
    assert found[best] == pytest.approx(float(np.logaddexp.reduce(sums[best])), abs=1e-6)
