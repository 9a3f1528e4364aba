"""Phrases: the best one by brute force, whatever the cuts, and nothing for what is none of them."""

import math
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.decoder import LEAD_FRAMES
from wav2edge.lm.errors import DecoderError, LogProbsError, TemplateError
from wav2edge.lm.greedy import SpokenWord
from wav2edge.lm.phrases import REJECT, PhraseDecoder, PhraseState
from wav2edge.lm.templates import Templates

LETTERS = Alphabet(("_", "<s>", "|", "N", "O", "E"), 0, 2, (1,))
BLANK, START, BAR, N, O, E = range(6)  # noqa: E741  (the letters' own names)
SYLLABLES = Alphabet(("_", "ka", "mi", "no"), 0)
Frames = NDArray[np.float32]


def rows(*best: int, prob: float = 0.9, size: int = 6) -> Frames:
    """Log-probabilities whose best token is given, the rest shared."""
    probs = np.full((len(best), size), (1 - prob) / (size - 1), np.float32)
    probs[np.arange(len(best)), list(best)] = prob
    return np.log(probs)


def decode(decoder: PhraseDecoder, frames: Frames, cuts: tuple[int, ...] = ()) -> PhraseState:
    """The state after all frames, handed over in the pieces that `cuts` make."""
    state = decoder.start()
    for piece in np.split(frames, sorted(cuts)):
        words, state = decoder.advance(state, piece)
        assert words == ()
    return state


def texts(words: tuple[SpokenWord, ...]) -> list[str]:
    """What was said."""
    return [word.text for word in words]


def phrases(*lines: str, alphabet: Alphabet = LETTERS, reject: float = REJECT) -> PhraseDecoder:
    """A decoder of a few phrases."""
    return PhraseDecoder(alphabet, Templates.of(lines), reject=reject)


def test_words_carry_frames_and_confidence() -> None:
    """A word spans its tokens' frames; where it is what was heard freely its confidence is 1."""
    decoder = phrases("no one", "one")
    frames = rows(BLANK, N, N, BLANK, O, BAR, BLANK, O, N, E, E, BLANK)
    words = decoder.finish(decode(decoder, frames))
    assert [(w.text, w.start_frame, w.end_frame) for w in words] == [("NO", 1, 5), ("ONE", 7, 11)]
    assert [w.confidence for w in words] == pytest.approx([1.0, 1.0], abs=1e-5)


def test_fit_is_the_likelihood_ratio_per_token() -> None:
    """Two tokens that were heard half as likely as another make a phrase of four fit sqrt(0.5)."""
    decoder = phrases("noon")
    frames = rows(N, O, BLANK, O, N)
    frames[[0, 4], E] = frames[0, N] + math.log(2)
    state = decode(decoder, frames)
    match = decoder.match(state)
    assert match is not None
    assert match.fit == pytest.approx(math.sqrt(0.5), rel=1e-5)
    assert match.words[0].confidence == pytest.approx(math.sqrt(0.5), rel=1e-5)
    (word,) = decoder.finish(state)
    assert word.text == "NOON"


def test_confidence_falls_for_the_word_that_was_forced() -> None:
    """Where one of two words was heard otherwise, its confidence is low and the other's is not."""
    decoder = phrases("no one")
    match = decoder.match(decode(decoder, rows(N, O, BAR, O, E, E, prob=0.6)))
    assert match is not None
    first, second = match.words
    assert first.confidence == pytest.approx(1, abs=1e-5)
    assert second.confidence < 0.6


def test_one_wrong_word_is_not_outvoted() -> None:
    """A phrase in which one word of four was heard otherwise is rejected for that word alone."""
    decoder = phrases("one one on no")
    frames = rows(O, N, E, BAR, O, N, E, BAR, E, E, BAR, N, O, prob=0.93)
    match = decoder.match(decode(decoder, frames))
    assert match is not None
    assert math.exp(match.log_ratio / 10) > REJECT > match.fit
    assert decoder.finish(decode(decoder, frames)) == ()


def test_a_word_heard_where_no_phrase_allows_it_is_corrected() -> None:
    """An unlikely letter is taken where only that makes a phrase."""
    decoder = phrases("one no", "on", reject=0.1)
    frames = rows(O, N, E, BAR, N, E, prob=0.5)
    assert texts(decoder.finish(decode(decoder, frames))) == ["ONE", "NO"]


def test_what_is_no_phrase_is_rejected() -> None:
    """Other words, half a phrase, and more than a phrase are nothing."""
    decoder = phrases("no one", "one", "neon")
    for said in ([O, N], [N, O, BAR], [N, O, BAR, O, N, E, BAR, N, O], [E, E, E], [BAR]):
        assert decoder.finish(decode(decoder, rows(*said))) == ()
    assert texts(decoder.finish(decode(decoder, rows(N, E, O, N)))) == ["NEON"]


def test_without_rejection_the_best_phrase_is_returned() -> None:
    """`reject=0` tells which phrase was said, if it must be one; silence is still nothing."""
    decoder = phrases("no one", "one", reject=0)
    assert texts(decoder.finish(decode(decoder, rows(O, N, E, BAR, N, O)))) == ["ONE"]
    assert decoder.finish(decode(decoder, rows(BLANK, BLANK, BAR))) == ()


def test_a_blank_penalty_lets_a_long_phrase_win() -> None:
    """What the blank takes from letters is given back, in phrases and in what is heard freely."""
    frames = rows(BLANK, N, O, BLANK, BLANK, BLANK, BLANK)
    for frame, letter in ((4, O), (5, N)):
        frames[frame] = np.log([0.6, 0.02, 0.02, 0.02, 0.02, 0.02])
        frames[frame, letter] = math.log(0.3)
    templates = Templates.of(["no", "noon"])
    shorter, longer = (
        PhraseDecoder(LETTERS, templates, blank_penalty=nats, reject=0) for nats in (0.0, 1.0)
    )
    assert texts(shorter.finish(decode(shorter, frames))) == ["NO"]
    match = longer.match(decode(longer, frames))
    assert match is not None
    assert texts(match.words) == ["NOON"]
    assert match.fit == pytest.approx(1.0)


def test_a_blank_penalty_leaves_silence_silent() -> None:
    """However much is taken off, a frame whose best token is the blank begins no utterance."""
    decoder = PhraseDecoder(LETTERS, Templates.of(["no"]), blank_penalty=20.0, reject=0)
    state = decode(decoder, rows(*[BLANK] * 40))
    assert decoder.match(state) is None
    assert state.n_silent == 40


def test_a_missed_delimiter_parts_words_all_the_same() -> None:
    """A blank does in its place; two of them with a pause between are one gap."""
    decoder = phrases("no on")
    for gap in ([BLANK], [BAR], [BLANK, BAR], [BAR, BLANK, BAR], [BAR, BAR]):
        words = decoder.finish(decode(decoder, rows(N, O, *gap, O, N)))
        assert texts(words) == ["NO", "ON"], gap
        assert words[0].confidence == pytest.approx(1, abs=1e-5)


def test_a_repeated_letter_needs_a_blank_between() -> None:
    """The letters NN cannot be said in one run of N."""
    decoder = phrases("onne")
    one, two = (decode(decoder, rows(O, N, *gap, N, E)) for gap in ([], [BLANK]))
    assert (decoder.finish(one), texts(decoder.finish(two))) == ((), ["ONNE"])


def test_partial_shows_what_was_said_so_far() -> None:
    """`partial` follows the phrase as it is said, and shows nothing for other speech."""
    decoder = phrases("no one", "on")
    frames = rows(N, O, BAR, O, N, E)
    shown = [texts(decoder.partial(decode(decoder, frames[:n]))) for n in range(7)]
    assert shown == [[], ["N"], ["NO"], ["NO"], ["NO", "O"], ["NO", "ON"], ["NO", "ONE"]]
    assert decoder.finish(decode(decoder, frames[:4])) == ()
    assert decoder.partial(decode(decoder, rows(E, E, BLANK, E, BLANK, E))) == ()


def test_a_new_utterance_keeps_the_time() -> None:
    """`restart` forgets the words and counts frames on."""
    decoder = phrases("on", "no")
    _, state = decoder.advance(decoder.start(), rows(O, N, BLANK))
    state = decoder.restart(state)
    assert (decoder.n_frames(state), decoder.finish(state)) == (3, ())
    _, state = decoder.advance(state, rows(BLANK, N, O))
    (word,) = decoder.finish(state)
    assert (word.text, word.start_frame, word.end_frame) == ("NO", 4, 6)


def test_a_pause_ends_an_utterance() -> None:
    """With `pause_frames` each utterance of a recording is judged alone, in time."""
    decoder = PhraseDecoder(LETTERS, Templates.of(["on", "no"]), pause_frames=4)
    silence = [BLANK] * 6
    frames = rows(O, N, *silence, E, E, *silence, N, BLANK, BLANK, O, *silence, O, N)
    for cut in range(len(frames)):
        first, state = decoder.advance(decoder.start(), frames[:cut])
        second, state = decoder.advance(state, frames[cut:])
        words = (*first, *second, *decoder.finish(state))
        assert [(w.text, w.start_frame) for w in words] == [("ON", 0), ("NO", 16), ("ON", 26)]


def test_silence_leaves_nothing_behind() -> None:
    """After hours of silence a state holds no more than after a second, and costs no search."""
    decoder = phrases("no one")
    _, state = decoder.advance(decoder.start(), rows(*[BLANK, BAR] * 50))
    size = len(pickle.dumps(state))
    for _ in range(20):
        _, state = decoder.advance(state, rows(*[BLANK] * 5000))
    assert len(pickle.dumps(state)) <= size + 16
    assert (len(state.rows), state.history) == (LEAD_FRAMES, ())
    _, state = decoder.advance(state, rows(N, O, BAR, O, N, E))
    assert [word.start_frame for word in decoder.finish(state)] == [100_100, 100_103]


def test_a_phrase_may_begin_before_the_first_spoken_frame() -> None:
    """A first letter that the blank outdid still counts."""
    frames = rows(BLANK, BLANK, O, N, prob=0.5)
    frames[1, N] = math.log(0.4)
    decoder = phrases("non", "en")
    words = decoder.finish(decode(decoder, frames))
    assert [(w.text, w.start_frame) for w in words] == [("NON", 1)]


def test_endless_speech_is_given_up() -> None:
    """Babble without a pause is none of the phrases, and its paths are forgotten early."""
    frames = rows(*[E, N, E] * 400)
    for decoder in (phrases("no one"), phrases("no+"), phrases("no one", reject=0)):
        state = decode(decoder, frames)
        assert state == PhraseState(len(frames), is_none=True)
        assert decoder.finish(state) == decoder.partial(state) == ()
    state = decode(phrases("no one"), frames[:32])
    assert state.is_none  # long before the limit
    assert phrases("no one").finish(phrases("no one").restart(state)) == ()


def test_a_silent_recording_and_no_frames_are_nothing() -> None:
    """Nothing in, nothing out."""
    decoder = phrases("no")
    assert decoder.finish(decoder.start()) == decoder.partial(decoder.start()) == ()
    assert decoder.match(decode(decoder, rows())) is None


def test_impossible_tokens_are_no_trouble() -> None:
    """Log-probabilities of minus infinity end paths, even all of them."""
    decoder = phrases("no one", reject=0)
    for beam in (math.inf, 5.0):
        decoder = PhraseDecoder(LETTERS, Templates.of(["no one"]), reject=0, beam=beam)
        frames = np.full((12, 6), -np.inf, np.float32)
        frames[:, E] = 0
        state = decode(decoder, frames)
        assert (decoder.match(state), decoder.finish(state)) == (None, ())


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_frames_without_a_best_token_are_an_error(value: float) -> None:
    """A model that went wrong is told apart from one that heard nothing."""
    frames = rows(N, O)
    frames[1] = value
    decoder = phrases("no")
    with pytest.raises(LogProbsError, match="frame 0"):
        decoder.advance(decoder.start(), frames)
    with pytest.raises(LogProbsError, match="shape"):
        decoder.advance(decoder.start(), frames[:, :3])


def test_options_out_of_range_are_errors() -> None:
    """Each is named with what was given."""
    for option, value in (
        ("reject", 1.5), ("reject", math.nan), ("beam", 0), ("max_frames", 0),
        ("blank_penalty", -1.0), ("blank_penalty", math.inf),
    ):  # fmt: skip
        with pytest.raises(DecoderError, match=f"{option} {value}|{option} is {value}"):
            PhraseDecoder(LETTERS, Templates.of(["no"]), **{option: value})  # type: ignore[arg-type]
    with pytest.raises(TemplateError, match="'cab'"):
        phrases("cab")


def test_without_delimiter_words_are_known_by_the_phrase() -> None:
    """An alphabet of syllables has no gaps to hear; the template knows where words meet."""
    decoder = phrases("kami (no|mika)", alphabet=SYLLABLES)
    words = decoder.finish(decode(decoder, rows(1, 2, 2, 0, 2, 1, size=4)))
    assert [(w.text, w.start_frame, w.end_frame) for w in words] == [("kami", 0, 3), ("mika", 4, 6)]


def best_by_hand(phrase: list[list[int]], log_probs: Frames, gap: int | None) -> float:
    """The best path of one phrase, by plain dynamic programming over its states one by one.

    States: silence, then each token and the blanks behind it, gaps between words, silence.
    """
    pause = log_probs[:, 0] if gap is None else np.maximum(log_probs[:, 0], log_probs[:, gap])
    states: list[tuple[int, NDArray[np.float32]]] = [(-1, pause)]  # (token, score of each frame)
    for place, word in enumerate(phrase):
        if place and gap is not None:
            states += [(-2 - place, pause), (0, log_probs[:, 0])]
        for token in word:
            states += [(token, log_probs[:, token]), (0, log_probs[:, 0])]
    states.append((-99, pause))
    scores = np.full(len(states), -np.inf)
    scores[0] = 0
    for frame in range(len(log_probs)):
        before, scores = scores, np.full(len(states), -np.inf)
        for state, (token, emission) in enumerate(states):
            ways = [before[state]]
            if state:
                ways.append(before[state - 1])
            skipped = state - 2
            if skipped >= 0 and states[state - 1][0] == 0 and states[skipped][0] != token:
                ways.append(before[skipped])
            scores[state] = max(ways) + emission[frame]
    return float(scores[-3:].max())


WORDS = {LETTERS: ("no", "on", "one", "noon", "oo"), SYLLABLES: ("ka", "kaka", "mi", "kami", "no")}


@st.composite
def heard(draw: st.DrawFn) -> tuple[Alphabet, list[list[str]], Frames, tuple[int, ...]]:
    """An alphabet, phrases of its words, random frames, and places to cut them."""
    alphabet = draw(st.sampled_from([LETTERS, SYLLABLES]))
    word = st.sampled_from(WORDS[alphabet])
    chosen = draw(st.lists(st.lists(word, min_size=1, max_size=3), min_size=1, max_size=4))
    n_frames = draw(st.integers(1, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = 3 * rng.standard_normal((n_frames, alphabet.size))
    frames = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    cuts = draw(st.lists(st.integers(0, n_frames), max_size=4))
    return alphabet, chosen, frames.astype(np.float32), tuple(cuts)


@settings(deadline=None, max_examples=300)
@given(heard(), st.sampled_from([None, 1e6]))
def test_the_best_phrase_is_the_one_found_by_hand(
    example: tuple[Alphabet, list[list[str]], Frames, tuple[int, ...]], beam: float | None
) -> None:
    """Exact and in a wide beam: fit and text are those of trying every phrase alone."""
    alphabet, chosen, frames, cuts = example
    decoder = PhraseDecoder(
        alphabet, Templates.of([" ".join(one) for one in chosen]), reject=0, beam=beam
    )
    state = decode(decoder, frames, cuts)
    masked = alphabet.masked(frames)
    ids = {token: id_ for id_, token in enumerate(alphabet.tokens)}
    width = len(alphabet.tokens[-1])

    def tokens(word: str) -> list[int]:
        spelled = word.upper() if alphabet is LETTERS else word
        return [ids[spelled[at : at + width]] for at in range(0, len(word), width)]

    by_hand = {
        " ".join(one): (
            (best_by_hand([tokens(word) for word in one], masked, alphabet.delimiter_id)
             - float(masked.max(axis=1).astype(np.float64).sum())),
            sum(len(tokens(word)) for word in one),
        )
        for one in chosen
    }  # fmt: skip
    match = decoder.match(state)
    if not state.history:
        assert match is None
        return
    best = max(score for score, _ in by_hand.values())
    if match is None:
        assert best == -math.inf
        return
    text = " ".join(texts(match.words)).lower()
    score, n_tokens = by_hand[text]
    assert score == pytest.approx(best, abs=1e-3)
    assert match.log_ratio == pytest.approx(score, abs=1e-3)
    weakest = min(word.confidence for word in match.words)
    assert match.fit == min(math.exp(match.log_ratio / n_tokens), math.sqrt(weakest))


@settings(deadline=None)
@given(heard(), st.sampled_from([None, 4.0]), st.sampled_from([0.0, REJECT]))
def test_cuts_change_nothing(
    example: tuple[Alphabet, list[list[str]], Frames, tuple[int, ...]],
    beam: float | None,
    reject: float,
) -> None:
    """State, words and partial are the same, bit for bit, however the frames are cut."""
    alphabet, chosen, frames, cuts = example
    templates = Templates.of([" ".join(one) for one in chosen])
    decoder = PhraseDecoder(alphabet, templates, reject=reject, beam=beam, pause_frames=3)

    def run(*cuts: int) -> tuple[list[SpokenWord], PhraseState]:
        state, words = decoder.start(), list[SpokenWord]()
        for piece in np.split(np.concatenate([frames, frames]), sorted(cuts)):
            new, state = decoder.advance(state, piece)
            words += new
        return words, state

    whole, pieces = run(), run(*cuts)
    assert whole == pieces
    assert decoder.finish(whole[1]) == decoder.finish(pieces[1])
    assert decoder.partial(whole[1]) == decoder.partial(pieces[1])


@settings(deadline=None)
@given(heard())
def test_a_state_is_a_value(
    example: tuple[Alphabet, list[list[str]], Frames, tuple[int, ...]],
) -> None:
    """No call changes a state; one that was pickled goes on as the first would."""
    alphabet, chosen, frames, _ = example
    decoder = PhraseDecoder(alphabet, Templates.of([" ".join(one) for one in chosen]))
    _, state = decoder.advance(decoder.start(), frames)
    packed = pickle.dumps(state)
    _, once = decoder.advance(state, frames)
    decoder.finish(state)
    decoder.partial(state)
    assert pickle.loads(packed) == state  # noqa: S301  (our own)
    _, again = decoder.advance(pickle.loads(packed), frames)  # noqa: S301
    assert again == once
    assert decoder.finish(again) == decoder.finish(once)


@settings(deadline=None, max_examples=50)
@given(heard())
def test_giving_up_early_changes_no_answer(
    example: tuple[Alphabet, list[list[str]], Frames, tuple[int, ...]],
) -> None:
    """What is given up as hopeless would have been rejected at its end."""
    alphabet, chosen, frames, _ = example
    templates = Templates.of([" ".join(one) for one in chosen])
    patient = PhraseDecoder(alphabet, templates, reject=0)
    long = np.concatenate([frames] * 8)
    match = patient.match(decode(patient, long))
    kept = match is not None and match.fit >= REJECT
    decoder = PhraseDecoder(alphabet, templates)
    assert decoder.finish(decode(decoder, long)) == (match.words if match and kept else ())


def test_a_large_graph_finds_what_a_small_one_finds() -> None:
    """In a beam over ten thousands of nodes, phrases that are said are found exactly."""
    alphabet = Alphabet(("_", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 0, 1)
    rng = np.random.default_rng(5)

    def word() -> str:
        return "".join(rng.choice(list("AEIOUBCDFGLMNPRST"), rng.integers(3, 9)))

    slots = {f"s{n}": [word() for _ in range(100)] for n in range(30)}
    lines = [
        " ".join(word() if rng.random() < 0.7 else f"{{s{rng.integers(30)}}}" for _ in range(6))
        for _ in range(50)
    ]
    decoder = PhraseDecoder(alphabet, Templates.of(lines, slots), reject=0)
    exact = PhraseDecoder(alphabet, Templates.of(lines, slots), reject=0, beam=math.inf)
    seconds = spent_s = 0.0
    for line in lines[:6]:
        said = [
            str(rng.choice(slots[word.strip("{}")])) if word.startswith("{") else word
            for word in line.split()
        ]
        ids = [id_ for letter in "|".join(said) for id_ in (alphabet.tokens.index(letter), 0, 0)]
        logits = rng.standard_normal((len(ids), alphabet.size)) + 5 * np.eye(alphabet.size)[ids]
        frames = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        before = time.process_time()
        match = decoder.match(decode(decoder, frames.astype(np.float32)))
        spent_s += time.process_time() - before
        seconds += 0.03 * len(ids)
        assert match is not None
        assert texts(match.words) == said
        assert match == exact.match(decode(exact, frames.astype(np.float32)))
    assert spent_s < 0.03 * seconds  # a bound for any machine; the README has the figure
