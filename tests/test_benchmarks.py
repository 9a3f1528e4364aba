"""Benchmarks: their arithmetic on cases a person can predict, and that no figure lacks conditions.

Nothing here asserts how fast anything is.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import HOP, RATE_HZ, say

from wav2edge import cli
from wav2edge.benchmarks import (
    accuracy,
    latency,
    latency_figures,
    playback,
    sliding_window,
    soak,
    streams,
)
from wav2edge.benchmarks.clips import Clip, find_clips, looped
from wav2edge.benchmarks.conditions import Conditions
from wav2edge.benchmarks.memory import peak_rss_mb, rss_mb
from wav2edge.benchmarks.metrics import (
    Reference,
    Story,
    by_clip,
    changes,
    matched,
    stories,
    word_stories,
)
from wav2edge.benchmarks.noise import Noise
from wav2edge.benchmarks.operators import floors, multiplications
from wav2edge.benchmarks.playback import Playback, Shown
from wav2edge.benchmarks.result import (
    BenchmarkError,
    Figure,
    Result,
    combined,
    percentile,
    spread,
    thinned,
)
from wav2edge.benchmarks.streams import Trial, highest
from wav2edge.lm.errors import Wav2EdgeError
from wav2edge.lm.scoring import spoken_words
from wav2edge.runtime.events import Event, Final, Partial, SpeechEnd, SpeechStart
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.stream import StreamOptions
from wav2edge.runtime.transcript import Segment, Word

COMPUTE_S = 0.01  # what each event of the hand-made sessions took
TINY = StreamOptions(chunk_ms=160, lookahead_ms=80, left_ms=1000)


def words(*texts: str, start_s: float = 0.0, each_s: float = 0.5) -> tuple[Word, ...]:
    """Words one after the other, each as long."""
    return tuple(
        Word(text, start_s + i * each_s, start_s + (i + 1) * each_s, 1.0)
        for i, text in enumerate(texts)
    )


def shown(*events: tuple[float, Event]) -> list[Shown]:
    """Events and when their audio was there; computing takes 10 ms each."""
    return [Shown(event, heard_s, heard_s + COMPUTE_S) for heard_s, event in events]


def final(segment_id: int, *said: Word, time_s: float = 0.0) -> Final:
    """A final of these words."""
    return Final(segment_id, Segment.of(said), time_s)


# SEV grows to SEVEN; A is replaced by E, which grows to EIGHT: one revision, of one word.
SEVEN_EIGHT = shown(
    (0.5, SpeechStart(0, 0.0)),
    (0.5, Partial(0, "", "SEV", 0.4)),
    (1.0, Partial(0, "", "SEVEN A", 0.9)),
    (1.5, Partial(0, "SEVEN", "E", 1.4)),
    (2.0, Partial(0, "SEVEN", "EIGHT", 1.9)),
    (3.0, final(0, *words("SEVEN", "EIGHT"), time_s=2.0)),
    (3.0, SpeechEnd(0, 2.0, "silence")),
)


# --- figures -------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 100))
def test_percentile_is_numpys(values: list[float], percent: float) -> None:
    """Percentiles are linear between neighbours, as numpy's are."""
    assert percentile(values, percent) == pytest.approx(
        float(np.percentile(values, percent)), abs=1e-6
    )


def test_percentiles_of_a_hundred() -> None:
    """Of 0 to 100 the p-th percentile is p; of nothing there is none."""
    values = [float(value) for value in range(100, -1, -1)]
    assert [percentile(values, p) for p in (50, 95, 99)] == [50, 95, 99]
    assert math.isnan(percentile([], 50))


def test_spread_is_median_and_extremes() -> None:
    """A figure is the median of its runs, the lowest and the highest; NaN was not measured."""
    assert spread([3.0, 1.0, 2.0, math.nan]) == Figure(2.0, 1.0, 3.0, 3)
    assert spread([math.nan]) is None
    runs = [{"a": 1.0, "b": math.nan}, {"a": 3.0, "b": math.nan}]
    assert combined(runs) == {"a": Figure(2.0, 1.0, 3.0, 2), "b": None}


def test_series_are_thinned() -> None:
    """A long series keeps every k-th value, a short one all."""
    assert thinned([1.0, 2.0, 3.0], most=3) == [1.0, 2.0, 3.0]
    assert thinned([float(i) for i in range(10)], most=4) == [0.0, 3.0, 6.0, 9.0]


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads /proc")
def test_memory_is_seen() -> None:
    """64 MB that are written show in the resident set, and stay in the peak."""
    before = rss_mb()
    held = np.ones(64_000_000, np.uint8)
    assert rss_mb() - before > 50
    assert peak_rss_mb() >= before + 50
    del held


# --- what the screen showed ----------------------------------------------------------------------


def test_words_are_shown_then_stable() -> None:
    """SEVEN stands whole at 1.0 s and is stable at 1.5; EIGHT at 2.0, stable with the final."""
    (story,) = stories(SEVEN_EIGHT)
    seven, eight = word_stories(story)
    assert (seven.first.heard_s, seven.stable.heard_s, seven.n_changes) == (1.0, 1.5, 0)
    assert (eight.first.heard_s, eight.stable.heard_s, eight.n_changes) == (2.0, 3.0, 1)
    assert eight.first.shown_s == 2.0 + COMPUTE_S
    assert (story.reason, story.ended_s, story.final_at.heard_s) == ("silence", 2.0, 3.0)


def test_growing_is_no_change() -> None:
    """Only the word that became another one is a change; the last word may grow."""
    (story,) = stories(SEVEN_EIGHT)
    assert list(changes(story)) == [[], [1], [], []]


def test_stability_figures() -> None:
    """One revision of one word among two: upwr 0.5, half of the words changed, none was stable."""
    assert latency_figures.stability(stories(SEVEN_EIGHT)) == {
        "words": 2,
        "revisions": 1,
        "revisions_per_word": 0.5,
        "upwr": 0.5,
        "words_changed": 0.5,
        "stable_words_changed": 0,
        "segments_rejected": 0,
    }


def test_a_rejected_segment_breaks_no_contract() -> None:
    """What was shown as stable may be taken back with its whole segment; only that."""
    events = (0.8, Partial(0, "A B", "", 0.7)), (1.9, SpeechEnd(0, 1.0, "rejected"))
    (story,) = stories(shown((0.5, SpeechStart(0, 0.1)), *events))
    figures = latency_figures.stability([story])
    assert (story.words, story.reason) == ((), "rejected")
    assert (figures["segments_rejected"], figures["stable_words_changed"]) == (1, 0)


def test_only_the_last_word_grows() -> None:
    """A word before the last that becomes longer is changed, and so is one that is taken back."""
    (story,) = stories(
        shown(
            (1.0, Partial(0, "", "A B C", 1.0)),
            (2.0, Partial(0, "", "AX B", 2.0)),
            (3.0, final(0, *words("AX", "BY"))),
        )
    )
    assert list(changes(story)) == [[0, 2], []]


def test_a_segment_that_came_to_nothing_is_taken_back() -> None:
    """Text without a final counts as unstable although no final has its words."""
    (story,) = stories(shown((1.0, Partial(0, "", "A", 1.0)), (2.0, SpeechEnd(0, 2.0, "silence"))))
    assert list(changes(story)) == [[0]]
    figures = latency_figures.stability([story])
    assert (figures["revisions"], figures["words"]) == (1, 0)
    assert math.isnan(figures["upwr"])


def test_a_broken_promise_is_counted() -> None:
    """A stable word that changes all the same shows in the figures."""
    found = stories(shown((1.0, Partial(0, "A", "B", 1.0)), (2.0, final(0, *words("X", "B")))))
    assert latency_figures.stability(found)["stable_words_changed"] == 1


def test_text_without_spaces_is_parted_into_characters() -> None:
    """Where an alphabet has no delimiter each character is shown, and becomes stable, by itself."""
    told = shown((1.0, Partial(0, "A", "B", 1.0, separator="")), (2.0, final(0, *words("A", "BC"))))
    (story,) = stories(told, separator="")
    assert [one.word.text for one in word_stories(story)] == ["A", "B", "C"]
    assert [one.first.heard_s for one in word_stories(story)] == [1.0, 1.0, 2.0]


@given(st.lists(st.sampled_from("ABC"), max_size=8), st.lists(st.sampled_from("ABC"), max_size=8))
def test_matched_words_are_equal_and_in_order(one: list[str], other: list[str]) -> None:
    """Pairs hold equal words, and rise on both sides."""
    pairs = matched(one, other)
    assert all(one[i] == other[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert matched(one, one) == [(i, i) for i in range(len(one))]


# --- delays --------------------------------------------------------------------------------------


def two_clips() -> Iterator[tuple[list[Story], list[Reference], list[float]]]:
    """A clip of 4 s (SEVEN EIGHT, the segment above) and one of 4 s that nothing is heard of."""
    references = [
        Reference(words("SEVEN", "EIGHT", start_s=0.2, each_s=0.6), "SEVEN EIGHT", "SEVEN EIGHT"),
        Reference(words("NINE", start_s=5.0), "NINE", "NINE"),
    ]
    yield stories(SEVEN_EIGHT), references, [4.0, 8.0]


def test_delays_are_seen_from_the_reference() -> None:
    """SEVEN ends at 0.8 s and is shown at 1.0: 200 ms, and 10 more with computing."""
    ((found, references, ends_s),) = two_clips()
    first, second = by_clip(found, references, ends_s)
    (seven_shown, seven_stable), (eight_shown, eight_stable) = first.delays()
    assert seven_shown.heard_s == pytest.approx(0.2)
    assert seven_shown.shown_s == pytest.approx(0.2 + COMPUTE_S)
    assert seven_stable.heard_s == pytest.approx(0.7)
    assert eight_shown.heard_s == pytest.approx(0.6)
    assert eight_stable.shown_s == pytest.approx(1.61)
    assert (second.delays(), second.text, second.n_finals) == ([], "", 0)


def test_first_partial_and_endpoint() -> None:
    """Speech from 0.2 to 1.4 s, first text at 0.5, final at 3.0: 300 ms and 1600 ms."""
    ((found, references, ends_s),) = two_clips()
    first, second = by_clip(found, references, ends_s)
    partial, endpoint = first.first_partial(), first.endpoint()
    assert partial is not None
    assert endpoint is not None
    assert partial.heard_s == pytest.approx(0.3)
    assert endpoint.heard_s == pytest.approx(1.6)
    assert endpoint.shown_s - endpoint.heard_s == pytest.approx(COMPUTE_S)
    assert first.n_finals == 1
    assert (second.first_partial(), second.endpoint()) == (None, None)


def test_a_final_without_silence_has_no_endpoint_delay() -> None:
    """What `finish` flushed waited for no rule."""
    flushed = [
        replace(one, event=replace(one.event, reason="finish"))
        if isinstance(one.event, SpeechEnd)
        else one
        for one in SEVEN_EIGHT
    ]
    ((_, references, ends_s),) = two_clips()
    assert by_clip(stories(flushed), references, ends_s)[0].endpoint() is None


def test_delay_figures() -> None:
    """The figures are milliseconds; endpoint and finalization add up."""
    ((found, references, ends_s),) = two_clips()
    figures = latency_figures.delays(by_clip(found, references, ends_s))
    expected = {
        "first_partial_ms_unaware_p50": 300,
        "first_partial_ms_aware_p50": 310,
        "word_shown_ms_unaware_p50": 400,
        "word_stable_ms_aware_p50": 1160,
        "word_settling_ms_median": 750,
        "word_settling_ms_max": 1000,
        "endpoint_ms_p95": 1600,
        "finalization_ms_p95": 10,
        "speech_end_to_final_ms_p95": 1610,
        "gaps_with_one_final": 0.5,
        "words_matched": 2 / 3,
    }
    assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_accuracy_figures() -> None:
    """Of three words the stream lacks one: a third. What nobody wrote down is not scored."""
    ((found, references, ends_s),) = two_clips()
    told = by_clip(found, references, ends_s)
    expected = {
        "wer_streaming": 1 / 3,
        "wer_alone": 1.0,  # nothing was heard alone
        "wer_offline": 0.0,
        "wer_streaming_against_offline": 1 / 3,
    }
    assert latency_figures.accuracy(told) == pytest.approx(expected)
    unknown = [replace(one, reference=replace(one.reference, text=None)) for one in told]
    assert math.isnan(latency_figures.accuracy(unknown)["wer_streaming"])


def test_words_compare_without_case_and_punctuation() -> None:
    """Texts are scored as they are spoken."""
    assert spoken_words("Don\u2019t - stop, \u00e9t\u00e9 'now'!") == (
        "DON'T",
        "STOP",
        "ÉTÉ",
        "NOW",
    )


# --- clocks --------------------------------------------------------------------------------------


def test_simulated_clock_carries_the_backlog() -> None:
    """Work begins when its audio is there and the work before is done."""
    clock = playback._Clock(realtime=False)
    done = [clock.done(1.0, 0.5), clock.done(1.2, 0.5), clock.done(5.0, 0.1)]
    assert done == pytest.approx([1.5, 2.0, 5.1])


def test_session_cost() -> None:
    """A session's figures are sums over its audio; memory needs five minutes of it."""
    session = Playback(
        piece_ends_s=[10.0, 20.0], step_s=[0.1, 0.2, 0.3], compute_s=2.0, cpu_s=1.0, finish_s=0.5
    )
    figures = latency_figures.cost(session)
    assert (figures["audio_s"], figures["rtf"], figures["cpu_ms_per_s"]) == (20.0, 0.1, 50.0)
    assert figures["step_ms_p50"] == pytest.approx(200)
    assert math.isnan(figures["rss_slope_mb_per_h"])
    at_s = [float(second) for second in range(600)]
    long = Playback(piece_ends_s=[600.0], rss_at_s=at_s, rss_mb=[100 + at / 3600 for at in at_s])
    assert latency_figures.cost(long)["rss_slope_mb_per_h"] == pytest.approx(1.0)


# --- clips ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings that the tiny model hears, and a manifest that names them."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for i, text in enumerate(("BAD CAB", "FEED A CAGE")):
        samples = say(text, n_frames=8)
        samples = samples[: len(samples) // HOP * HOP]  # so that the next clip's frames are whole
        soundfile.write(folder / f"{i}.wav", samples, RATE_HZ, subtype="FLOAT")
        rows.append({"path": f"{i}.wav", "text": text, "split": "dev"})
    rows.append({"path": "2.wav", "split": "train"})
    path = folder / "clips.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_manifests_are_read(manifest: Path, tmp_path: Path) -> None:
    """Rows of the split asked for, with text and word times; both forms."""
    clips = find_clips([manifest], split="dev")
    assert [clip.text for clip in clips] == ["BAD CAB", "FEED A CAGE"]
    assert clips[0].path == manifest.parent / "0.wav"
    table = tmp_path / "clips.tsv"
    aligned = '[{"text": "BAD", "start_s": 0.1, "end_s": 0.4}]'
    table.write_text(f"path\tnorm\twords\na.wav\tBAD\t{aligned}\nb.wav\t\t\n", encoding="utf-8")
    one, other = find_clips([table])
    assert (one.text, one.words) == ("BAD", (Word("BAD", 0.1, 0.4, 1.0),))
    assert (other.text, other.words) == (None, None)


@pytest.mark.parametrize("content", ["nothing\n", '{"path": 3}\n', "[]\n", '{"words": []}\n'])
def test_bad_manifests_are_refused(content: str, tmp_path: Path) -> None:
    """A manifest without recordings is one typed error that names it."""
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"bad\.jsonl"):
        find_clips([path])


def test_nothing_to_hear_is_refused(manifest: Path) -> None:
    """A split without rows is an error, not an empty result."""
    with pytest.raises(BenchmarkError, match="nothing to hear"):
        find_clips([manifest], split="test")


def test_own_clips_are_the_default() -> None:
    """Without a name the clips that ship are heard."""
    assert len(find_clips([])) >= 8


def test_loop_goes_on_forever(manifest: Path) -> None:
    """Blocks are all as long, and start over where the clips and their pauses end."""
    clips = find_clips([manifest], split="dev")
    n = sum(len(clip.samples(RATE_HZ)) + RATE_HZ // 2 for clip in clips)
    blocks = looped(clips, rate_hz=RATE_HZ, gap_s=0.5, block_s=0.1)
    audio = np.concatenate([next(blocks) for _ in range(2 * n // (RATE_HZ // 10))])
    np.testing.assert_array_equal(audio[n : 2 * n - 1600], audio[: n - 1600])


# --- noise ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Four seconds of noise, another four, and an impulse."""
    folder, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(4)
    for name, n in (("hiss", 4 * RATE_HZ), ("hum", 4 * RATE_HZ), ("impulse", RATE_HZ)):
        soundfile.write(folder / f"{name}.wav", 0.01 * rng.standard_normal(n), RATE_HZ)
    return find_clips(sorted(folder.glob("*.wav")))


@pytest.mark.parametrize("snr_db", [0.0, 15.0])
def test_noise_has_the_power_asked_for(noises: list[Clip], snr_db: float) -> None:
    """Under clip and pause alike, at the ratio to the clip, and the clip itself is unchanged."""
    clip = np.sin(np.arange(2 * RATE_HZ) * 0.2).astype(np.float32)
    mixed = Noise(noises, snr_db=snr_db, rate_hz=RATE_HZ).mixed(0, clip, 6 * RATE_HZ)
    added = mixed - np.pad(clip, (0, 6 * RATE_HZ))
    for part in (added[: 2 * RATE_HZ], added[2 * RATE_HZ :]):
        assert 10 * np.log10(np.mean(clip**2) / np.mean(part**2)) == pytest.approx(snr_db, abs=0.3)


def test_noise_is_the_same_each_time(noises: list[Clip]) -> None:
    """The same under the same clip, another under the next; impulses are no noise."""
    clip = np.ones(RATE_HZ, np.float32)
    one, other = (Noise(noises, snr_db=10.0, rate_hz=RATE_HZ) for _ in range(2))
    assert one.names == ["hiss.wav", "hum.wav"]
    np.testing.assert_array_equal(one.mixed(3, clip, 10), other.mixed(3, clip, 10))
    assert not np.array_equal(one.mixed(3, clip, 10), one.mixed(4, clip, 10))


def test_without_noise_there_is_nothing_to_mix(noises: list[Clip]) -> None:
    """Impulses alone are refused, and the error says what to name."""
    impulse = [clip for clip in noises if clip.path.stem == "impulse"]
    with pytest.raises(BenchmarkError, match="--noise"):
        Noise(impulse, snr_db=15.0, rate_hz=RATE_HZ)


def test_the_session_is_heard_with_noise(
    recognizer: Recognizer, manifest: Path, noises: list[Clip]
) -> None:
    """Stream, offline and a stream of its own hear the same noise; word times are those without.

    So loud a noise drowns every word of the tiny model; faint noise leaves them all.
    """
    clips = find_clips([manifest], split="dev")
    rates = {}
    for snr_db in (-10.0, 60.0):
        noise = Noise(noises, snr_db=snr_db, rate_hz=RATE_HZ)
        options = latency.LatencyOptions(stream=TINY, repeats=1, noise=noise)
        result = latency.measure(recognizer, clips, options)
        told = [result.figures[f"wer_{name}"] for name in ("streaming", "alone", "offline")]
        rates[snr_db] = [one.median for one in told if one is not None]
        assert result.conditions.audio["noise"]["snr_db"] == snr_db
    assert rates[60.0] == [0.0, 0.0, 0.0]
    assert min(rates[-10.0]) >= 0.5


def test_sets_are_told_apart() -> None:
    """With two folders of clips the figures that depend on them come for each; with one they don't.

    In the first clip's pause one final came; in the second's none did.
    """
    ((found, references, ends_s),) = two_clips()
    named = [replace(one, set_name=name) for one, name in zip(references, ("a", "b"), strict=True)]
    figures = latency_figures.by_set(by_clip(found, named, ends_s))
    assert figures["gaps_with_one_final a"] == 1
    assert figures["gaps_with_one_final b"] == 0
    assert figures["wer_streaming b"] == 1
    assert latency_figures.by_set(by_clip(found, references, ends_s)) == {}


def test_a_rejected_segment_ends_a_pause_without_a_final() -> None:
    """It counts as an end, which is what the endpoint rules did, and not as a final."""
    references = [Reference(words("SEVEN", start_s=0.2, each_s=0.6), "SEVEN", "SEVEN")]
    rejected = (1.0, Partial(0, "", "SEVN", 0.9)), (2.0, SpeechEnd(0, 1.6, "rejected"))
    (clip,) = by_clip(stories(shown((0.5, SpeechStart(0, 0.1)), *rejected)), references, [3.0])
    assert (clip.n_finals, clip.n_ends) == (0, 1)


# --- conditions and results ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model."""
    return load(tiny_bundle)


@pytest.fixture(scope="module")
def conditions(recognizer: Recognizer) -> Conditions:
    """Of this process, with the tiny model."""
    stream = {"chunk_ms": 320.0, "lookahead_ms": 320.0, "left_ms": 4000.0}
    return Conditions.now(recognizer, threads=1, options={"stream": stream}, audio={"clips": 2})


def made_up(conditions: Conditions, benchmark: str = "latency") -> Result:
    """A result by hand."""
    figures = {"a_ms": Figure(2.0, 1.0, 3.0, 3), "b": None}
    return Result(benchmark, conditions, figures, {"a_ms": "a"}, {"c": [1.0, 2.5]})


def test_conditions_say_everything(conditions: Conditions) -> None:
    """CPU, cores, versions, precision, provider, threads, options, date and load are all there."""
    ended = conditions.ended()
    assert ended.cpu
    assert ended.cores >= 1
    assert {"wav2edge", "python", "numpy", "onnxruntime"} <= set(ended.versions)
    assert ended.providers == ("cpu",)
    assert ended.model["precision"] == "float32"
    assert len(ended.model["sha256"]) == 64
    assert ended.date.endswith("+00:00")
    assert (ended.load_before is None) == (ended.load_after is None)
    assert ended.options["stream"]["left_ms"] == 4000.0


def test_result_survives_json(conditions: Conditions, tmp_path: Path) -> None:
    """What is written is read back the same, to five digits."""
    result = made_up(conditions.ended())
    assert Result.from_json(result.to_json()) == result
    result.write(tmp_path / "new" / "result.json")
    assert Result.read(tmp_path / "new" / "result.json") == result
    assert json.loads(result.to_json())["schema"] == 1


def spoiled(text: str, path: Sequence[str], value: object) -> str:
    """The JSON with one value replaced, or its key taken away where the value is None."""
    found = json.loads(text)
    place = found
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema"], 2),
        (["conditions"], None),
        (["conditions", "cpu"], None),
        (["conditions", "threads"], "1"),
        (["conditions", "load_before"], ["much"]),
        (["figures", "a_ms", "median"], "2"),
        (["figures", "a_ms", "n"], 2.5),
        (["figures", "a_ms", "mean"], 2.0),
        (["series", "c"], ["x"]),
        (["surprise"], 1),
    ],
)
def test_other_results_are_refused(conditions: Conditions, path: list[str], value: object) -> None:
    """A key too few, one too many, or another type is an error that says so."""
    with pytest.raises(BenchmarkError, match=r"run the benchmark again|written by the benchmarks"):
        Result.from_json(spoiled(made_up(conditions).to_json(), path, value))


def test_no_result_is_refused(tmp_path: Path) -> None:
    """What is no JSON, or not there, is an error that names it."""
    with pytest.raises(BenchmarkError, match="no JSON"):
        Result.from_json("{")
    with pytest.raises(BenchmarkError, match=r"gone\.json"):
        Result.read(tmp_path / "gone.json")


def test_kept_results_can_be_read(root: Path) -> None:
    """Every result that the project keeps follows the schema, and names no place of a machine."""
    for path in sorted((root / "benchmarks" / "results").glob("*.json")):
        result = Result.read(path)
        assert result.conditions.revision, path
        assert path.stat().st_size < 200_000, path
        assert '"/' not in path.read_text(encoding="utf-8"), path


# --- short runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(recognizer: Recognizer, manifest: Path) -> Result:
    """Two sessions of the tiny model."""
    options = latency.LatencyOptions(stream=TINY, repeats=2)
    return latency.measure(recognizer, find_clips([manifest], split="dev"), options)


def test_every_figure_is_defined(measured: Result) -> None:
    """Each figure's name begins with one that is defined, and nothing defined is left out."""
    told = {
        name
        for name in latency_figures.DEFINITIONS
        if any(f.startswith(name) for f in measured.figures)
    }
    assert set(latency_figures.DEFINITIONS) - told <= {"aware", "unaware", "n"}
    for name in measured.figures:
        assert any(name.startswith(known) for known in latency_figures.DEFINITIONS), name


def test_a_short_run_measures_everything(measured: Result) -> None:
    """Only the growth of memory needs a longer session; all else has a number of two sessions."""
    missing = {name for name, figure in measured.figures.items() if figure is None}
    assert missing == {"rss_slope_mb_per_h"}
    assert all(figure.n == 2 for figure in measured.figures.values() if figure is not None)


def test_what_the_tiny_model_hears(measured: Result) -> None:
    """It hears every word, keeps what it promised, and each pause ends one segment."""
    medians = {name: figure.median for name, figure in measured.figures.items() if figure}
    for name in ("wer_streaming", "wer_offline", "wer_streaming_against_offline"):
        assert medians[name] == 0
    assert (medians["words"], medians["words_matched"]) == (5, 1)
    assert (medians["gaps_with_one_final"], medians["stable_words_changed"]) == (1, 0)
    assert medians["audio_s"] == pytest.approx(2 * 1.5 + 16 * 0.09 + 0.35, abs=0.5)


def test_delays_lie_where_the_options_put_them(measured: Result) -> None:
    """A final comes after the rule's 800 ms and at most chunk, look-ahead and a block later.

    The clock aware of computing is never ahead of the other.
    """
    medians = {name: figure.median for name, figure in measured.figures.items() if figure}
    assert 800 <= medians["endpoint_ms_p50"] <= 800 + 160 + 80 + 40
    assert medians["endpoint_bound_ms"] == 800 + 160 + 80 + 100
    for name in ("first_partial_ms", "word_shown_ms", "word_stable_ms"):
        assert medians[f"{name}_aware_p95"] > medians[f"{name}_unaware_p95"]
        assert medians[f"{name}_unaware_p99"] <= 1100


def test_results_name_no_place(measured: Result, manifest: Path, tiny_bundle: Path) -> None:
    """Recordings and bundles are named, but not the folders they lie in."""
    text = measured.to_json()
    assert "0.wav" in text
    assert str(manifest.parent) not in text
    assert str(tiny_bundle) not in text
    assert Result.from_json(text).conditions == measured.conditions


def test_word_times_that_are_given_count(recognizer: Recognizer, manifest: Path) -> None:
    """Words aligned by somebody else, 100 ms later, make every delay 100 ms shorter."""
    clip = find_clips([manifest])[0]
    heard = recognizer.transcribe(clip.path).words
    later = tuple(replace(w, start_s=w.start_s + 0.1, end_s=w.end_s + 0.1) for w in heard)
    options = latency.LatencyOptions(stream=TINY, repeats=1)
    name = "word_stable_ms_unaware_p50"
    ours, theirs = (
        latency.measure(recognizer, [one], options).figures[name]
        for one in (clip, replace(clip, words=later))
    )
    assert ours is not None
    assert theirs is not None
    assert ours.median - theirs.median == pytest.approx(100)


def test_real_time_takes_as_long_as_the_audio(recognizer: Recognizer) -> None:
    """Audio is delivered when it would have been spoken: nothing is shown before it was heard."""
    with recognizer.stream(TINY) as stream:
        session = playback.play(stream, [say("BAD", n_frames=8)], realtime=True)
    assert session.shown
    assert all(one.shown_s >= one.heard_s for one in session.shown)
    assert session.shown[-1].shown_s >= session.duration_s


def bench(*arguments: object) -> int:
    """Run `wav2edge bench`."""
    return cli.main(["bench", *map(str, arguments)])


def test_latency_command(
    tiny_bundle: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints figures and conditions, and writes what can be read back."""
    out = tmp_path / "latency.json"
    status = bench(
        "latency", "--model", tiny_bundle, "--audio", manifest, "--split", "dev",
        "--latency", "155/80/1000", "--repeats", 1, "--json", out,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert status == 0
    assert "word_stable_ms_aware_p95" in printed
    assert "provider cpu" in printed
    stream = Result.read(out).conditions.options["stream"]
    assert stream == {"chunk_ms": 160.0, "lookahead_ms": 80.0, "left_ms": 1000.0}  # whole frames


@pytest.mark.parametrize(
    "arguments",
    [
        ["latency", "--latency", "320/320"],
        ["latency", "--latency", "a/b/c"],
        ["latency", "--latency", "0/0/0"],
        ["latency", "--latency", "quick"],
        ["latency", "--endpoint", "never"],
        ["latency", "--repeats", "0"],
        ["latency", "--audio", "gone.wav"],
        ["latency", "--audio", "gone.tsv"],
        ["soak", "--minutes", "nan"],
        ["streams", "--workers", "0"],
        ["accuracy", "--data", "gone"],
    ],
)
def test_wrong_use_ends_in_one_line(
    arguments: list[str], tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever cannot be is one line on stderr and exit status 2."""
    assert bench(arguments[0], "--model", tiny_bundle, *arguments[1:]) == 2
    said = capsys.readouterr().err
    assert said.startswith("wav2edge: error: ")
    assert said.count("\n") == 1


def test_soak_command(tiny_bundle: Path, manifest: Path, tmp_path: Path) -> None:
    """Forty seconds through one stream give cost and memory of each ten."""
    out = tmp_path / "soak.json"
    status = bench(
        "soak", "--model", tiny_bundle, "--audio", manifest, "--split", "dev", "--minutes", 0.5,
        "--json", out,
    )  # fmt: skip
    result = Result.read(out)
    assert status == 0
    assert set(result.figures) == set(soak.DEFINITIONS)
    assert len(result.series["rss_mb"]) == 4
    finals, spans = result.figures["finals"], result.figures["cpu_ms_per_s"]
    assert finals is not None
    assert finals.median >= 10  # a pause of 1.5 s after each clip of about a second
    assert spans is not None
    assert spans.n == 4


def test_soak_figures() -> None:
    """Memory that grows by 1 MB each 100 s grows by 36 MB per hour; dearer spans are seen."""
    n = 40
    spans = soak.Spans([0.1] * 20 + [0.2] * 20, [0.5] * n, [100 + i / 10 for i in range(n)])
    figures = soak.figures(spans)
    assert figures["rss_slope_mb_per_h"] == pytest.approx([36.0])
    assert figures["rss_slope_error_mb_per_h"] == pytest.approx([0.0], abs=1e-6)
    assert figures["later_over_first"] == [2.0]
    assert figures["rtf"][0] == 0.05
    assert figures["rss_after_warm_up_mb"] == [101.0]


# --- streams -------------------------------------------------------------------------------------


def trial(lags_s: Sequence[float], n_streams: int = 1) -> Trial:
    """A trial whose blocks came every 100 ms."""
    return Trial(n_streams, tuple((i + 1) / 10 for i in range(len(lags_s))), tuple(lags_s))


def test_backlog_that_stays_is_carried() -> None:
    """A lag under a chunk that does not grow is carried."""
    assert trial([0.05] * 200).carried(0.32)
    assert trial([1.0] * 20 + [0.05] * 180).carried(0.32)  # the beginning does not count


def test_backlog_that_grows_is_not_carried() -> None:
    """A lag that grows by 10 ms a second is too much long before it is a chunk."""
    assert not trial([i / 1000 for i in range(200)]).carried(0.32)
    assert not trial([0.4] * 200).carried(0.32)


@given(st.integers(0, 400), st.integers(1, 400))
def test_search_finds_the_highest_number(most: int, start: int) -> None:
    """The number found is carried, and 3 % more (or one more) is not, whatever the first guess."""
    tried: list[int] = []

    def carries(n: int) -> bool:
        tried.append(n)
        return n <= most

    found = highest(carries, start=start)
    assert found <= most
    assert most - found <= max(0, 0.03 * found)
    assert len(tried) == len(set(tried))
    assert min(tried) >= 1


def test_a_trial_delivers_in_real_time(recognizer: Recognizer) -> None:
    """Three streams on two threads get every block once, none before it is due."""
    options = streams.StreamsOptions(TINY, seconds=1.0, workers=2)
    blocks = [say("BAD")[:800]] * 10
    found = streams._trial(recognizer, blocks, options, 3)
    assert 3 * 8 <= len(found.at_s) <= 3 * 10  # the later streams start up to a chunk later
    assert min(found.lag_s) >= 0
    assert max(found.at_s) <= 1.0


def test_streams_command(
    tiny_bundle: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result holds every trial, and the number that the search found."""
    out = tmp_path / "streams.json"
    monkeypatch.setattr(
        streams,
        "_trial",
        lambda *_: trial([0.01 if _[-1] <= 50 else 9.0] * 30, n_streams=_[-1]),
    )
    status = bench(
        "streams", "--model", tiny_bundle, "--audio", manifest, "--split", "dev", "--json", out
    )
    result = Result.read(out)
    best = result.figures["streams"]
    assert status == 0
    assert best is not None
    assert 49 <= best.median <= 50
    assert set(result.figures) == set(streams.DEFINITIONS)
    assert {len(values) for values in result.series.values()} == {len(result.series["carried"])}


# --- the sliding window --------------------------------------------------------------------------


class Counted:
    """In place of the whole model: notes what it was given."""

    def __init__(self) -> None:
        self.given: list[np.ndarray] = []

    def run(self, outputs: Sequence[str], feeds: dict[str, Any]) -> list[np.ndarray]:
        """Take a window."""
        assert tuple(outputs) == ("logits",)
        self.given.append(feeds["input_values"])
        return []


def test_the_window_is_what_the_stream_sees(recognizer: Recognizer) -> None:
    """The model runs on left + chunk + look-ahead, the newest samples last, once a chunk."""
    size, plain = round(0.32 * RATE_HZ), Counted()
    chunks = (np.full(size, i / 1024, np.float32) for i in range(1000))
    models: Any = {"window": plain, "legacy": Counted()}
    found = sliding_window.compare(recognizer, models, chunks, rounds=2, report=lambda _: None)
    assert {len(rounds) for rounds in found.values()} == {2}
    assert len(plain.given) == 1 + 2 * sliding_window.STEPS
    window = plain.given[-1][0]
    assert len(window) == round(4.64 * RATE_HZ)
    assert window[-1] - window[-1 - size] == 1 / 1024


def test_ratios_are_taken_round_by_round() -> None:
    """Each round is compared with itself, so that a slow moment of the machine meets both."""
    rounds = {"window": [8.0, 18.0], "legacy": [6.0, 12.0], "stream": [1.0, 2.0]}
    rounds |= {"short": [1.0, 2.0], "long": [1.3, 2.6]}
    figures = sliding_window.figures(
        {name: [(value, value) for value in values] for name, values in rounds.items()}
    )
    assert figures["window_over_stream"] == [8.0, 9.0]
    assert figures["legacy_over_stream"] == [6.0, 6.0]
    assert figures["left_8s_over_2s"] == pytest.approx([1.3, 1.3])
    assert figures["stream_cpu_ms_per_s"] == [1000.0, 2000.0]


def test_a_long_session_is_seen_in_spans(recognizer: Recognizer) -> None:
    """A session gives its cost in spans of ten seconds, four at least."""
    chunks = repeat(np.zeros(round(0.32 * RATE_HZ), np.float32))
    cost = sliding_window.long_session(recognizer, chunks, minutes=0.1, report=lambda _: None)
    assert len(cost) == 4
    assert min(cost) >= 0


@pytest.mark.parametrize("dynamo", [True, False])
def test_the_plain_export_is_the_model(tmp_path: Path, dynamo: bool) -> None:  # noqa: FBT001
    """What our stream is compared with is the checkpoint: its int8 logits follow the float ones."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from random_checkpoint import write_checkpoint

    from wav2edge.benchmarks.base_model import write_plain
    from wav2edge.runtime.session import open_session

    folder = write_checkpoint(tmp_path / "checkpoint", "base")
    write_plain(folder, tmp_path / "plain.onnx", dynamo=dynamo)
    samples = np.random.default_rng(0).standard_normal((1, 9_000)).astype(np.float32)
    session = open_session(tmp_path / "plain.onnx", threads=1, provider="cpu")
    (found,) = session.run(("logits",), {"input_values": samples})
    with torch.no_grad():
        model = transformers.Wav2Vec2ForCTC.from_pretrained(folder).eval()
        expected = model(torch.from_numpy(samples)).logits.numpy()
    assert found.shape == expected.shape
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


# --- accuracy ------------------------------------------------------------------------------------


def test_accuracy_command(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each set is scored offline and at each preset, and told as a table."""
    (tmp_path / "MANIFEST.tsv").write_text("path\n", encoding="utf-8")
    silence = np.zeros(RATE_HZ // 2, np.float32)
    rows = [(np.concatenate([say(text), silence]), text) for text in ("BAD CAB", "AGED")]
    sets = {"good": rows, "wrong": [(rows[0][0], "BAD DAD")], "empty": []}
    monkeypatch.setattr(accuracy, "development_sets", lambda _: sets)
    monkeypatch.setattr(accuracy, "RATE_HZ", RATE_HZ)
    out = tmp_path / "accuracy.json"
    status = bench("accuracy", "--model", tiny_bundle, "--data", tmp_path, "--json", out)
    result = Result.read(out)
    assert status == 0
    assert accuracy.table(result) == [
        "| set | words | offline | low | balanced | accurate |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| good | 3 | 0.0 % | 0.0 % | 0.0 % | 0.0 % |",
        "| wrong | 2 | 50.0 % | 50.0 % | 50.0 % | 50.0 % |",
    ]
    assert "| good | 3 |" in capsys.readouterr().out


# --- plots ---------------------------------------------------------------------------------------


def windows(conditions: Conditions) -> Result:
    """A result of the sliding window by hand."""
    figure = Figure(8.0, 7.0, 9.0, 3)
    figures: dict[str, Figure | None] = dict.fromkeys(sliding_window.DEFINITIONS, figure)
    series = {"session_cpu_ms_per_s": [100.0, 101.0]}
    return Result("window", conditions, figures, sliding_window.DEFINITIONS, series)


def test_plots_are_drawn(
    measured: Result, conditions: Conditions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every benchmark with a plot gives a picture from its file; the others say so."""
    pytest.importorskip("matplotlib")
    from wav2edge.benchmarks.plots import plot

    figure = Figure(1.0, 1.0, 1.0, 1)
    series = {"minute": [1.0, 2.0], "rss_mb": [100.0, 100.1], "cpu_ms_per_s": [10.0, 11.0]}
    soaked = Result("soak", conditions, dict.fromkeys(soak.DEFINITIONS, figure), {}, series)
    series = {"n_streams": [1.0, 2.0], "lag_p99_ms": [10.0, 900.0], "carried": [1.0, 0.0]}
    many = Result("streams", conditions, dict.fromkeys(streams.DEFINITIONS, figure), {}, series)
    for result in (measured, soaked, many, windows(conditions)):
        result.write(tmp_path / "result.json")
        assert bench("plot", tmp_path / "result.json", tmp_path / f"{result.benchmark}.png") == 0
        drawn = (tmp_path / f"{result.benchmark}.png").read_bytes()
        assert drawn.startswith(b"\x89PNG")
        assert len(drawn) > 10_000
    with pytest.raises(BenchmarkError, match="no plot of 'accuracy'"):
        plot(replace(measured, benchmark="accuracy"), tmp_path / "no.png")
    assert bench("plot", tmp_path / "result.json", tmp_path / "a.docx") == 2
    assert "a.docx" in capsys.readouterr().err


def test_errors_are_ours() -> None:
    """A benchmark's error is caught like any other of the project, and as a ValueError."""
    assert issubclass(BenchmarkError, Wav2EdgeError)
    assert issubclass(BenchmarkError, ValueError)
    assert Clip(Path("a.wav")).text is None


def test_the_floor_counts_each_multiplication_of_a_model_that_is_easily_counted() -> None:
    """One convolution, one layer: frames and products of 10 s are counted by hand."""
    config = {
        "conv_dim": [4], "conv_kernel": [10], "conv_stride": [10], "hidden_size": 8,
        "intermediate_size": 16, "num_hidden_layers": 1, "num_conv_pos_embeddings": 5,
        "num_conv_pos_embedding_groups": 2, "vocab_size": 3,
    }  # fmt: skip
    n_frames = 16_000  # of 10 s
    counted = {part: 10 * work for part, work in multiplications(config).items()}
    assert counted == {
        "convolutions": n_frames * 10 * 4,
        "positions": n_frames * 8 * (8 // 2) * 5,
        "attention": 2 * n_frames * n_frames * 8,
        "linears": n_frames * (4 * 8 * 8 + 2 * 8 * 16 + 4 * 8 + 8 * 3),
    }
    floor = floors(config, {"peak_float32_gmac_per_s": 1.0, "peak_int8_gmac_per_s": 4.0})
    assert floor["floor_convolutions_ms_per_s"] == pytest.approx(0.064)
    assert floor["floor_convolutions_int8_ms_per_s"] == pytest.approx(0.016)
    assert floor["floor_all_float_conv_ms_per_s"] - floor[
        "floor_all_int_conv_ms_per_s"
    ] == pytest.approx(0.048)
