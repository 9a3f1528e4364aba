"""The contract of a live stream, each clause a property."""

import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HOP, RATE_HZ, RECEPTIVE_FIELD, decodings, say, write_tiny_bundle

from wav2edge.runtime.audio import Samples
from wav2edge.runtime.endpoint import EndpointOptions
from wav2edge.runtime.errors import OptionsError, SamplesError, SampleTypeError, StreamFinishedError
from wav2edge.runtime.events import Event, Final, Overflow, Partial, SpeechEnd, SpeechStart, to_dict
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.stream import LATENCIES, StreamOptions

QUICK = EndpointOptions(trailing_silence_ms=150, no_speech_ms=400, max_segment_ms=1500)
TEXTS = st.lists(st.text("ABCDEFG ", min_size=1, max_size=9), min_size=1, max_size=4)
GAPS = st.lists(st.integers(0, 60), min_size=4, max_size=4)


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model: the loudness of a frame is its token."""
    return load(tiny_bundle)


@pytest.fixture(scope="module", params=["greedy", "beam", "phrases"])
def decoded(
    request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Recognizer:
    """The same model behind each decoder."""
    return load(tiny_bundle, **decodings(tmp_path_factory.mktemp("lm"))[request.param])


def audio(texts: Sequence[str], gap_frames: Sequence[int]) -> Samples:
    """Texts with silences between them."""
    pieces = [np.zeros(0, np.float32)]
    for text, gap in zip(texts, gap_frames, strict=False):
        pieces += [say(text)[: -(RECEPTIVE_FIELD - HOP)], np.zeros(gap * HOP, np.float32)]
    return np.concatenate(pieces)


def events_of(
    recognizer: Recognizer,
    samples: Samples,
    cuts: Sequence[int] = (),
    latency: str | StreamOptions = "low",
    endpoint: EndpointOptions = QUICK,
) -> list[Event]:
    """Push the samples in pieces, and finish."""
    stream = recognizer.stream(latency, endpoint=endpoint)
    found = []
    for piece in np.split(samples, sorted(cuts)):
        found += stream.push(piece)
    return found + stream.finish()


def finals(events: Sequence[Event]) -> list[Final]:
    """The final events."""
    return [event for event in events if isinstance(event, Final)]


@settings(deadline=None, max_examples=60)
@given(
    TEXTS, GAPS, st.lists(st.integers(0, 20_000), max_size=20), st.sampled_from(sorted(LATENCIES))
)
def test_events_do_not_depend_on_the_cut(
    decoded: Recognizer, texts: list[str], gaps: list[int], cuts: list[int], latency: str
) -> None:
    """The same audio in any pieces gives the same events, times and confidences included."""
    samples = audio(texts, gaps)
    whole = events_of(decoded, samples, latency=latency)
    assert events_of(decoded, samples, [min(cut, len(samples)) for cut in cuts], latency) == whole


def test_one_sample_at_a_time_is_the_same(decoded: Recognizer) -> None:
    """The smallest cut of all."""
    samples = audio(["AB C", "DE"], [40, 3])
    assert events_of(decoded, samples, range(1, len(samples))) == events_of(decoded, samples)


@settings(deadline=None, max_examples=80)
@given(
    TEXTS,
    GAPS,
    st.sampled_from([StreamOptions(10, 0, 0), StreamOptions(30, 70, 100), LATENCIES["balanced"]]),
)
def test_the_contract_of_segments(
    decoded: Recognizer, texts: list[str], gaps: list[int], latency: StreamOptions
) -> None:
    """For each segment, in order: start, partials whose stable text only grows, one final, end.

    The final begins with the last stable text. What is none of the phrases has no final.
    """
    events = events_of(decoded, audio(texts, gaps), latency=latency)
    told = [
        (event.segment_id, event)
        for event in events
        if not isinstance(event, Overflow) and event.segment_id is not None
    ]
    silences = [e for e in events if isinstance(e, SpeechEnd) and e.segment_id is None]
    assert len(told) + len(silences) == len(events)
    ids = [segment_id for segment_id, _ in told]
    assert ids == sorted(ids)
    for segment_id in sorted(set(ids)):
        mine = [event for id_, event in told if id_ == segment_id]
        assert isinstance(mine[0], SpeechStart)
        assert isinstance(mine[-1], SpeechEnd)
        if mine[-1].reason == "rejected":
            assert all(isinstance(event, Partial) for event in mine[1:-1])
            continue
        assert isinstance(mine[-2], Final)
        assert mine[-1].reason in {"silence", "too long", "finish"}
        partials = mine[1:-2]
        assert all(isinstance(event, Partial) for event in partials)
        stable = [event.stable for event in partials if isinstance(event, Partial)]
        for earlier, later in pairwise([*stable, mine[-2].text]):
            assert later.startswith(earlier)


@settings(deadline=None, max_examples=60)
@given(TEXTS, GAPS)
def test_everything_said_becomes_final(
    recognizer: Recognizer, texts: list[str], gaps: list[int]
) -> None:
    """`finish` flushes: the finals hold every letter of a transcription of the whole, in order."""
    samples = audio(texts, gaps)
    live = "".join(final.text for final in finals(events_of(recognizer, samples)))
    whole = recognizer.transcribe(np.pad(samples, (0, RECEPTIVE_FIELD)), RATE_HZ).text
    assert live.replace(" ", "") == whole.replace(" ", "")


@settings(deadline=None, max_examples=40)
@given(TEXTS, GAPS)
def test_times_are_absolute_and_monotonic(
    decoded: Recognizer, texts: list[str], gaps: list[int]
) -> None:
    """Over all segments, words neither overlap nor lie outside the audio.

    Finals and ends come in order.
    """
    samples = audio(texts, gaps)
    events = events_of(decoded, samples)
    words = [word for final in finals(events) for word in final.segment.words]
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert not times or (times[0] >= 0 and times[-1] <= len(samples) / RATE_HZ)
    told = [event.time_s for event in events if isinstance(event, Final | SpeechEnd)]
    assert told == sorted(told)


def test_times_survive_resampling(recognizer: Recognizer) -> None:
    """Words of a 44.1 kHz stream lie where they lie at the model's rate, within 20 ms."""
    import soxr

    samples = np.pad(audio(["AB CD", "EF", "GA B"], [50, 30, 20]), (RATE_HZ, 0))
    at_44 = soxr.resample(samples, RATE_HZ, 44_100).astype(np.float32)
    stream = recognizer.stream("low", endpoint=QUICK, sample_rate=44_100)
    found = [
        event
        for piece in np.split(at_44, range(997, len(at_44), 997))
        for event in stream.push(piece)
    ]
    found += stream.finish()
    expected = [
        word for final in finals(events_of(recognizer, samples)) for word in final.segment.words
    ]
    words = [word for final in finals(found) for word in final.segment.words]
    assert len(words) == len(expected) > 3
    for word, other in zip(words, expected, strict=True):
        assert word.start_s == pytest.approx(other.start_s, abs=0.02)
        assert word.end_s == pytest.approx(other.end_s, abs=0.02)


def test_int16_is_float_scaled(recognizer: Recognizer) -> None:
    """A microphone's int16 gives the same events as floats."""
    samples = np.round(audio(["AB C"], [40]) * 32768).astype(np.int16)
    floats = samples.astype(np.float32) / 32768
    assert [to_dict(e) | {"lag_s": 0} for e in events_of(recognizer, samples)] == [
        to_dict(e) | {"lag_s": 0} for e in events_of(recognizer, floats)
    ]


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 44_100])
def test_a_copy_goes_on_on_its_own(decoded: Recognizer, rate_hz: int) -> None:
    """A stream and its copy, fed the same, tell the same.

    Fed apart, they do not disturb each other.
    """
    import soxr

    samples = soxr.resample(audio(["AB CD", "EF GA", "BC"], [10, 30, 40]), RATE_HZ, rate_hz).astype(
        np.float32
    )
    stream = decoded.stream("low", endpoint=QUICK, sample_rate=rate_hz)
    middle = len(samples) // 2
    for piece in np.split(samples[:middle], range(100, middle, 100)):
        stream.push(piece)
    twin, other = stream.copy(), stream.copy()
    other.push(np.zeros(2 * rate_hz, np.float32))
    ends = [[*one.push(samples[middle:]), *one.finish()] for one in (stream, twin)]
    first, second = ([(f.text, len(f.segment.words)) for f in finals(end)] for end in ends)
    assert first == second
    assert len(first) >= 1


def test_interleaved_streams_share_nothing(decoded: Recognizer) -> None:
    """Two streams fed in turn tell what each tells alone."""
    sources = [audio(["AB C", "DE"], [30, 30]), audio(["GF", "E D C"], [20, 50])]
    alone = [events_of(decoded, samples) for samples in sources]
    streams = [decoded.stream("low", endpoint=QUICK) for _ in sources]
    together: list[list[Event]] = [[], []]
    for first in range(0, max(map(len, sources)), 333):
        for i, samples in enumerate(sources):
            together[i] += streams[i].push(samples[first : first + 333])
    assert [
        found + stream.finish() for found, stream in zip(together, streams, strict=True)
    ] == alone


def test_many_threads_give_the_same_finals(decoded: Recognizer) -> None:
    """One decoded, twelve streams, four threads: the finals of one after the other."""
    sources = [audio([f"A{'BCDEFG'[i % 6]} C", "DE F"], [10 + i, 40]) for i in range(12)]
    alone = [finals(events_of(decoded, samples)) for samples in sources]
    found: list[list[Final]] = [[] for _ in sources]

    def work(first: int) -> None:
        for i in range(first, len(sources), 4):
            found[i] = finals(events_of(decoded, sources[i], range(100, len(sources[i]), 100)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == alone


def test_bad_samples_lose_nothing(decoded: Recognizer) -> None:
    """NaN, two axes and unscaled integers are refused and named.

    The stream goes on as if they had not come.
    """
    samples = audio(["AB C", "DE"], [40, 30])
    stream = decoded.stream("low", endpoint=QUICK)
    found = stream.push(samples[:1000])
    with pytest.raises(SamplesError, match="sample 1002"):
        stream.push(np.array([0.0, 0.1, np.nan], np.float32))
    with pytest.raises(SamplesError, match="one axis"):
        stream.push(np.zeros((2, 80), np.float32))
    with pytest.raises(SampleTypeError, match="int32"):
        stream.push(np.zeros(80, np.int32))
    found += stream.push(samples[1000:]) + stream.finish()
    assert found == events_of(decoded, samples)


def test_after_finish_there_is_no_more(recognizer: Recognizer) -> None:
    """A second finish tells nothing; pushing is an error that says what to do."""
    stream = recognizer.stream()
    stream.push(audio(["AB"], [1]))
    assert finals(stream.finish())
    assert stream.finish() == []
    with pytest.raises(StreamFinishedError, match="start a new one"):
        stream.push(np.zeros(10, np.float32))


def test_nothing_pushed_is_nothing_told(recognizer: Recognizer) -> None:
    """An empty stream has no events."""
    assert recognizer.stream().finish() == []
    assert events_of(recognizer, np.zeros(1, np.float32)) == []


def test_the_iterator_is_the_same_stream(recognizer: Recognizer) -> None:
    """`events(source)` pushes what the source yields and finishes."""
    samples = audio(["AB C", "DE"], [40, 30])
    stream = recognizer.stream("low", endpoint=QUICK)
    assert list(stream.events(np.split(samples, range(160, len(samples), 160)))) == events_of(
        recognizer, samples
    )


def test_a_long_segment_ends_at_a_whole_word(recognizer: Recognizer) -> None:
    """Beyond the limit a segment ends at its last whole word.

    The word being said begins the next one, unharmed.
    """
    text = "ABCDEFG ABCDEFG ABCDEFG ABCDEFG ABCDEFG"
    options = EndpointOptions(max_segment_ms=800)
    events = events_of(recognizer, audio([text], [0]), endpoint=options)
    assert " ".join(final.text for final in finals(events)) == text
    assert len(finals(events)) > 1
    assert {e.reason for e in events if isinstance(e, SpeechEnd)} == {"too long", "finish"}


def test_silence_is_told_once_and_makes_no_segment(decoded: Recognizer) -> None:
    """Ten seconds of digital silence: one "no speech", no segment."""
    events = events_of(decoded, np.zeros(10 * RATE_HZ, np.float32))
    assert [
        (event.segment_id, event.reason) for event in events if isinstance(event, SpeechEnd)
    ] == [(None, "no speech")]
    assert len(events) == 1


def test_an_event_prints_its_reason_as_plain_text(recognizer: Recognizer) -> None:
    """`print(event)` shows reason='silence', as the documentation does, not an enum's member."""
    events = events_of(recognizer, audio(["AB"], [100]))
    ends = [event for event in events if isinstance(event, SpeechEnd)]
    assert [type(event.reason) for event in ends] == [str, str]
    assert "reason='silence'" in str(ends[0])
    assert "reason='no speech'" in str(ends[1])


def test_state_does_not_grow(decoded: Recognizer) -> None:
    """Once the left context is full a stream holds as many bytes however long it runs."""
    stream = decoded.stream(StreamOptions(100, 100, 500), endpoint=QUICK)
    samples, sizes = audio(["AB C", "DE"], [30, 30]), []
    for _ in range(40):
        stream.push(samples)
        state = stream.state.live
        sizes.append((state.acoustic.nbytes, len(state.segment.words)))
    assert max(size for size, _ in sizes[10:]) <= max(size for size, _ in sizes[:10])
    assert max(n for _, n in sizes) <= 4


def test_milliseconds_are_rounded_up_to_frames_and_told(recognizer: Recognizer) -> None:
    """Who asks for 95/41/333 ms at a hop of 10 ms gets 100/50/340 and is told."""
    assert recognizer.stream(StreamOptions(95, 41, 333)).options == StreamOptions(100, 50, 340)


@pytest.mark.parametrize("latency", ["fastest", 3, None])
def test_unknown_presets_are_refused(recognizer: Recognizer, latency: object) -> None:
    """The error lists the presets there are."""
    with pytest.raises(OptionsError, match="balanced"):
        recognizer.stream(latency)  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="patient"):
        recognizer.stream(endpoint=latency)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"chunk_ms": 0}, {"lookahead_ms": -1}, {"left_ms": float("nan")}]
)
def test_latencies_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    """The error names the parameter."""
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        StreamOptions(**wrong)


def test_lag_is_what_computing_falls_behind(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push of 0.1 s that takes 0.5 s to compute leaves 0.4 s of lag.

    A quick one works 0.1 s of it off.
    """
    clock = iter([0.0, 0.5, 1.0, 1.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    stream = recognizer.stream()
    stream.push(np.zeros(RATE_HZ // 10, np.float32))
    assert stream.lag_s == pytest.approx(0.4)
    stream.push(np.zeros(RATE_HZ // 10, np.float32))
    assert stream.lag_s == pytest.approx(0.3)


def test_the_look_ahead_feeds_the_unstable_text_only(recognizer: Recognizer) -> None:
    """With everything held back nothing is stable.

    Text is shown all the same once a letter is final.
    """
    samples = audio(["AB CD"], [30])
    patient = [
        e
        for e in events_of(recognizer, samples, latency=StreamOptions(50, 400, 0))
        if isinstance(e, Partial)
    ]
    hasty = [
        e
        for e in events_of(recognizer, samples, latency=StreamOptions(50, 0, 0))
        if isinstance(e, Partial)
    ]
    assert patient[0].stable == ""
    assert len(patient[0].unstable) > len(hasty[0].unstable)


def mumbled(text: str) -> Samples:
    """A text between two tokens each: the model writes it down and hardly believes it."""
    samples = say(text)[: -(RECEPTIVE_FIELD - HOP)]
    return np.where(samples > 0, samples + np.float32(0.045), samples).astype(np.float32)


@pytest.fixture(scope="module")
def doubter(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """The tiny model with a threshold: what is less sure than 0.7 is noise."""
    folder = tmp_path_factory.mktemp("doubter") / "bundle"
    return load(write_tiny_bundle(folder, reject_below=0.7).folder)


SPOKEN = st.lists(
    st.tuples(st.text("ABCDEF", min_size=1, max_size=6), st.booleans()), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=60)
@given(SPOKEN, st.lists(st.integers(0, 50_000), max_size=9))
def test_noise_is_taken_back_and_never_final(
    doubter: Recognizer, spoken: list[tuple[str, bool]], cuts: list[int]
) -> None:
    """Of a segment below the bundle's threshold there are partials, no final, and a "rejected" end.

    The finals are those of what was said clearly, however it was cut; a transcription of the
    recording says the same.
    """
    pieces = [mumbled(text) if noise else audio([text], [0]) for text, noise in spoken]
    samples = np.concatenate(
        [np.append(piece, np.zeros(120 * HOP, np.float32)) for piece in pieces]
    )
    events = events_of(doubter, samples, sorted(min(cut, len(samples)) for cut in cuts))
    assert [final.text for final in finals(events)] == [text for text, noise in spoken if not noise]
    ends = [e for e in events if isinstance(e, SpeechEnd) and e.segment_id is not None]
    assert [end.reason == "rejected" for end in ends] == [noise for _, noise in spoken]
    shown = {event.segment_id for event in events if isinstance(event, Partial)}
    assert shown == set(range(len(spoken)))
    whole = doubter.transcribe(samples.astype(np.float32), RATE_HZ)
    assert [segment.text for segment in whole.segments] == [one.text for one in finals(events)]


def test_without_a_threshold_nothing_is_rejected(recognizer: Recognizer) -> None:
    """A bundle that names no threshold makes a final of everything, as its processor would."""
    events = events_of(
        recognizer, np.append(mumbled("ABC"), np.zeros(120 * HOP)).astype(np.float32)
    )
    assert [final.text for final in finals(events)] == ["ABC"]
    assert finals(events)[0].segment.confidence < 0.7


def test_a_rejected_segment_in_a_program_s_hands(doubter: Recognizer) -> None:
    """Who shows partials and clears them at each end shows nothing of noise afterwards."""
    silence = np.zeros(120 * HOP)
    samples = np.concatenate([mumbled("ABC"), silence, audio(["DEF"], [0]), silence])
    screen, log = "", list[str]()
    for event in events_of(doubter, samples.astype(np.float32), range(500, len(samples), 500)):
        if isinstance(event, Partial):
            screen = event.text
        elif isinstance(event, Final):
            log.append(event.text)
        elif isinstance(event, SpeechEnd):
            screen = ""
    assert (screen, log) == ("", ["DEF"])
