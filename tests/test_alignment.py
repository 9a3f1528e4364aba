"""Forced alignment: paths that a person can predict, and every path against all there are."""

import importlib.util
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spelled import LETTERS, SYLLABLES, Frames, log_softmax, said

from wav2edge.lm.alignment import AlignedScript, align
from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.errors import AlignmentError, LogProbsError, ScriptError
from wav2edge.lm.forced_search import ForcedSearch, SearchOptions
from wav2edge.lm.script import Script, WrittenWord

SMALL = Alphabet(("_", "|", "A", "B"), blank_id=0, delimiter_id=1)
STRICT = SearchOptions(missing=np.inf, unexplained=np.inf, beam=np.inf)


def heard(frames: str, *, chance: float = 0.97) -> Frames:
    """Frames whose best tokens are these characters of SMALL."""
    chances = np.full((len(frames), 4), (1 - chance) / 3, np.float32)
    chances[np.arange(len(frames)), ["_|AB".index(one) for one in frames]] = chance
    return np.log(chances)


def laid(text: str, frames: str, options: SearchOptions | None = None) -> AlignedScript:
    """Align a text with frames of SMALL."""
    return align(Script.of(text, SMALL), SMALL, [heard(frames)], options)


def places(found: AlignedScript) -> list[list[tuple[str, int, int]]]:
    """Return token, first frame and the one past the last, by words."""
    return [
        [(one.text, one.start_frame, one.end_frame) for one in word.tokens] for word in found.words
    ]


# --- paths that a person can predict -------------------------------------------------------------


def test_tokens_lie_where_they_are_heard() -> None:
    """Each token spans the frames in which it is the best one, and blanks belong to none."""
    found = laid("ab ba", "_AA_B||_BBA_")
    assert places(found) == [[("A", 1, 3), ("B", 4, 5)], [("B", 8, 10), ("A", 10, 11)]]
    assert [word.text for word in found.words] == ["ab", "ba"]
    assert found.log_ratio == pytest.approx(0.0, abs=1e-6)
    assert found.words[0].confidence == pytest.approx(0.97, abs=1e-4)


def test_a_word_may_follow_without_a_delimiter() -> None:
    """The gap between words may be a blank, a delimiter, or no frame where tokens differ."""
    for frames in ("A_B", "A|B", "AAB"):
        (first,), (second,) = places(laid("a b", frames))
        assert (first[0], second) == ("A", ("B", 2, 3))


def test_the_same_token_twice_needs_a_blank() -> None:
    """AA over three frames of A gives one up for a blank; over two frames it is an error."""
    ((first, second),) = places(laid("aa", "AAA", STRICT))
    assert (first, second) == (("A", 0, 1), ("A", 2, 3))
    with pytest.raises(AlignmentError, match=r"needs 3 frames or more.* the audio has 2"):
        laid("aa", "AA")


def test_a_word_that_is_not_said_is_missing() -> None:
    """It has no place and no confidence, and its neighbours keep theirs."""
    found = laid("ab bbb ba", "_A_B_||_B_A__" + "_" * 9)
    assert places(found) == [[("A", 1, 2), ("B", 3, 4)], [], [("B", 8, 9), ("A", 10, 11)]]
    assert (found.words[1].confidence, found.unexplained) == (0.0, ())


@pytest.mark.parametrize("text", ["bbb ab ba", "ab ba bbb", "bbb aaa ab ba bbb"])
def test_words_are_missing_at_either_end(text: str) -> None:
    """Before the first word that is said and after the last, words may be missing too."""
    found = laid(text, "__A_B_|_B_A____" + "_" * 9)
    said = [word.text for word in found.words if word.tokens]
    assert said == ["ab", "ba"]


def test_speech_that_no_word_explains_is_told() -> None:
    """It is what greedy decoding hears between the words, with its frames."""
    found = laid("ab ba", "_A_B_|B_B_B_|_B_A_")
    assert [len(word.tokens) for word in found.words] == [2, 2]
    ((text, start, end),) = [(s.text, s.start_frame, s.end_frame) for s in found.unexplained]
    assert (text, start, end) == ("BBB", 6, 11)
    assert laid("ab ba", "_A_B_|_B_A_").unexplained == ()


def test_every_word_is_placed_where_none_may_be_missing() -> None:
    """An infinite cost for missing words forces each of them onto frames."""
    found = laid("ab bbb ba", "_A_B_||_B_A__" + "_" * 9, SearchOptions(missing=np.inf))
    assert all(word.tokens for word in found.words)


# --- all paths -----------------------------------------------------------------------------------


def cheapest(script: Script, columns: NDArray[np.float64], options: SearchOptions) -> float:
    """Try every way to leave words out and every way through the rest; return the least cost."""
    n_words = len(script.words)
    kept_sets = (
        kept
        for size in range(n_words + 1)
        for kept in itertools.combinations(range(n_words), size)
        if size == n_words or options.missing < np.inf
    )
    return min(_through(script, kept, columns, options) for kept in kept_sets)


def _through(
    script: Script, kept: tuple[int, ...], columns: NDArray[np.float64], options: SearchOptions
) -> float:
    """Enumerate the paths through some of the words: (column, may be passed over) by state."""
    gap, n_words = SMALL.size, len(script.words)
    states: list[tuple[int, bool]] = [(gap, not kept or kept[0] == 0)]
    for place, word in enumerate(kept):
        for i, id_ in enumerate(script.words[word].ids):
            last = states[-2][0] if len(states) > 1 else -1
            if i or place:
                states[-1] = (states[-1][0], states[-1][1] and last != id_)
            states += [(id_, False), (SMALL.blank_id, True)]
        following = kept[place + 1] if place + 1 < len(kept) else n_words
        at_end = place + 1 == len(kept)
        states[-1] = (gap, at_end or following == word + 1)
    skipped = sum(len(w.ids) for i, w in enumerate(script.words) if i not in kept)
    ends = [len(states) - 1, *([len(states) - 2] if len(states) > 1 else [])]

    def best(frame: int, state: int) -> float:
        """Return the least cost of the frames up to `frame`, the last of them in `state`."""
        cost = -float(columns[frame, states[state][0]])
        if frame == 0:
            return cost if state == 0 or (state == 1 and states[0][1]) else np.inf
        before = [state]
        if state >= 1:
            before.append(state - 1)
        if state >= 3 and state % 2 and states[state - 1][1]:
            before.append(state - 2)
        return cost + min(best(frame - 1, one) for one in before)

    path = min(best(len(columns) - 1, state) for state in ends)
    return path + (options.missing * skipped if skipped else 0.0)


WORDS = st.lists(st.lists(st.integers(2, 3), min_size=1, max_size=2), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    WORDS,
    st.integers(5, 7),
    st.sampled_from([np.inf, 1.0, 0.3]),
    st.sampled_from([np.inf, 0.5]),
    st.integers(0, 10**6),
)
def test_the_path_is_the_best_of_all(
    words: list[list[int]], n_frames: int, missing: float, unexplained: float, seed: int
) -> None:
    """Its cost is the least among all paths through all choices of words, each tried in turn."""
    script = Script(tuple(WrittenWord("w", (tuple(word),)) for word in words))
    logits = np.random.default_rng(seed).normal(0, 2, (n_frames, SMALL.size))
    search = ForcedSearch(
        script, SMALL, SearchOptions(missing=missing, unexplained=unexplained, beam=np.inf)
    )
    frames = log_softmax(logits)
    columns = search._columns(frames, frames.max(axis=1).astype(np.float64))
    expected = cheapest(script, columns, search.options)
    search.push(frames)
    if expected == np.inf:
        with pytest.raises(AlignmentError, match="no path"):
            search.finish()
        return
    (settled,) = search.finish()
    assert search.cost == pytest.approx(expected, abs=1e-6)
    assert len(settled.states) == n_frames


def test_the_score_is_torchaudios() -> None:
    """Without delimiters and without leaving anything out, it is `forced_align` of torchaudio."""
    if importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torchaudio is not installed")
    import torch
    from torchaudio.functional import forced_align

    rng = np.random.default_rng(0)
    for _ in range(50):
        ids = rng.integers(1, SYLLABLES.size, int(rng.integers(1, 9)))
        script = Script((WrittenWord("w", (tuple(ids.tolist()),)),))
        frames = log_softmax(rng.normal(0, 2, (script.n_frames_least() + 9, SYLLABLES.size)))
        _, scores = forced_align(torch.tensor(frames)[None], torch.tensor(ids)[None].int(), blank=0)
        found = align(script, SYLLABLES, [frames], STRICT)
        assert found.log_prob == pytest.approx(float(scores.sum()), abs=1e-3)


# --- pieces, beam, memory ------------------------------------------------------------------------

TEXT = "SHE SELLS SEA SHELLS BY THE SEA SHORE AND THE SHELLS SHE SELLS ARE SURELY SEA SHELLS"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_nothing_depends_on_the_cuts(size: int) -> None:
    """Frames in any pieces give the same words at the same frames."""
    frames = said(TEXT, noise=3.0)
    script = Script.of(TEXT, LETTERS)
    pieces = [frames[i : i + size] for i in range(0, len(frames), size)]
    assert align(script, LETTERS, pieces) == align(script, LETTERS, [frames])


@pytest.mark.parametrize("noise", [0.5, 3.0])
def test_the_beam_finds_what_an_exact_search_finds(noise: float) -> None:
    """Also where a sentence of the text is not said, and where one is said that the text lacks."""
    spoken = f"{TEXT} AND THEN SOMETHING ELSE IS SAID {TEXT}"
    script = Script.of(f"{TEXT} BUT NOBODY EVER UTTERS THESE WORDS {TEXT}", LETTERS)
    frames = said(spoken, noise=noise)
    exact = align(script, LETTERS, [frames], SearchOptions(beam=np.inf))
    assert align(script, LETTERS, [frames]) == exact
    assert align(script, LETTERS, [frames], SearchOptions(beam=300)) == exact


def test_hundreds_of_words_may_be_missing_in_one_place() -> None:
    """What is said behind them is found again, each word at its place."""
    rng = np.random.default_rng(0)
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    words = ["".join(rng.choice(letters, 5)) for _ in range(390)]
    script = Script.of(" ".join(words), LETTERS)
    found = align(script, LETTERS, [said(" ".join(words[:70] + words[-70:]), noise=1.0)])
    assert [bool(word.tokens) for word in found.words] == [True] * 70 + [False] * 250 + [True] * 70


def test_what_is_settled_by_force_is_right_where_it_is_clear() -> None:
    """Paths that have to agree after a few seconds are those that agree in the end."""
    frames, script = said(TEXT, noise=1.0), Script.of(TEXT, LETTERS)
    exact = align(script, LETTERS, [frames], SearchOptions(beam=np.inf))
    assert align(script, LETTERS, [frames], SearchOptions(most_pending=50)) == exact


def test_a_cap_on_states_leaves_a_whole_path() -> None:
    """However few states are kept, every frame has one, and they never go back."""
    search = ForcedSearch(Script.of(TEXT, LETTERS), LETTERS, SearchOptions(most_states=12))
    settled = [*search.push(said(TEXT, noise=2.0)), *search.finish()]
    states = np.concatenate([one.states for one in settled])
    assert len(states) == search.n_frames
    assert (np.diff(states) >= 0).all()


def test_long_audio_needs_bounded_memory() -> None:
    """Four times the audio and the text need little more: no frames times states are held."""
    rng = np.random.default_rng(0)
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    texts = [" ".join("".join(rng.choice(letters, 5)) for _ in range(15)) for _ in range(24)]

    def peak(n_texts: int) -> int:
        """Return the most bytes held while so many texts are aligned, frames made as they come."""
        script = Script.of(" ".join(texts[:n_texts]), LETTERS)
        frames = (said(f"{text} ", noise=1.0) for text in texts[:n_texts])
        search = ForcedSearch(script, LETTERS, SearchOptions(beam=300))
        tracemalloc.start()
        for piece in frames:
            search.push(piece)
        search.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    short, long = peak(6), peak(24)
    assert long < 1.5 * short
    assert long < 2 << 20  # two bits for each state in each frame would be 6 MB


def test_silence_does_not_pile_up() -> None:
    """An hour of silence behind the words is settled as it comes, by force if need be."""
    script = Script.of(TEXT, LETTERS)
    search = ForcedSearch(script, LETTERS, SearchOptions(most_pending=600))
    search.push(said("SHE SELLS"))
    silence = np.log(np.array([[0.95] + [0.05 / 28] * 28] * 3000, np.float32))
    search.push(silence)
    assert len(search._pointers) <= 600


# --- what cannot be aligned ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", " \n ", "\u2014 ... !"])
def test_a_text_without_words_is_an_error(text: str) -> None:
    """Nothing to look for is told at once."""
    with pytest.raises(ScriptError, match="holds no word"):
        Script.of(text, LETTERS)


@pytest.mark.parametrize("word", ["42", "\u20ac", "R&D", "50%", "\u00df\u65e5"])
def test_what_cannot_be_spelled_is_named(word: str) -> None:
    """Digits, symbols and foreign letters are refused with the word and its place."""
    with pytest.raises(ScriptError, match=rf"cannot spell '{word}' \(word 2\)"):
        Script.of(f"about {word} of them", LETTERS)


def test_a_text_keeps_its_looks() -> None:
    """Words are as written, marks included; spelling drops marks, case and accents."""
    script = Script.of("\u201cCaf\u00e9?\u201d \u2014 don\u2019t-ask\u2026", LETTERS)
    assert [word.text for word in script.words] == [
        "\u201cCaf\u00e9?\u201d \u2014",
        "don\u2019t-ask\u2026",
    ]
    spelled = [
        ["".join(LETTERS.tokens[id_] for id_ in part) for part in word.parts]
        for word in script.words
    ]
    assert spelled == [["CAFE"], ["DON'T", "ASK"]]


def test_without_a_delimiter_every_token_is_a_word() -> None:
    """As greedy decoding has it, so that long speech still has times."""
    assert [
        word.text for word in Script.of("kamino taru", SYLLABLES).words
    ] == "ka mi no ta ru".split()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_log_probs_are_an_error(value: float) -> None:
    """NaN and plus infinity name their frame."""
    frames = heard("_A_B_")
    frames[3, 2] = value
    with pytest.raises(LogProbsError, match="frame 3 hold NaN or infinity"):
        align(Script.of("ab", SMALL), SMALL, [frames])


@pytest.mark.parametrize("option", ["missing", "unexplained", "beam"])
def test_costs_are_above_nought(option: str) -> None:
    """A cost of 0, below, or NaN means nothing."""
    for value in (0.0, -1.0, np.nan):
        with pytest.raises(AlignmentError, match="above 0"):
            SearchOptions(**{option: value})  # type: ignore[arg-type]
