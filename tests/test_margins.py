"""Margins: silence that a model hears behind all audio, and nobody counts."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HOP, RATE_HZ, say
from tiny_bundle import write_tiny_bundle as write

from wav2edge.runtime.endpoint import EndpointOptions, Reason
from wav2edge.runtime.errors import ManifestError
from wav2edge.runtime.events import Event, Final, SpeechEnd, SpeechStart
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.stream import StreamOptions

QUICK = EndpointOptions(trailing_silence_ms=150, no_speech_ms=400, max_segment_ms=1500)
PAUSE = np.zeros(120 * HOP, np.float32)
SPOKEN = np.concatenate([PAUSE, say("BAD CAB"), PAUSE, say("FEED"), PAUSE])


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """The tiny model as it is."""
    return load(write(tmp_path_factory.mktemp("bare") / "bundle").folder)


@pytest.fixture(scope="module")
def within(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """The tiny model, which hears seven frames of silence behind all audio."""
    return load(write(tmp_path_factory.mktemp("within") / "bundle", margin_frames=7).folder)


def told(recognizer: Recognizer, cuts: list[int]) -> list[Event]:
    """What a stream tells of SPOKEN that does not depend on where its steps end."""
    stream = recognizer.stream(StreamOptions(20, 20, 500), endpoint=QUICK)
    pieces = np.split(SPOKEN, sorted(cuts))
    events = [event for piece in pieces for event in stream.push(piece)] + stream.finish()
    return [event for event in events if isinstance(event, SpeechStart | Final | SpeechEnd)]


def test_times_are_those_of_the_audio(bare: Recognizer, within: Recognizer) -> None:
    """Words, times and duration are as without margins."""
    for samples in (SPOKEN, say("BAD")):
        plain, other = (one.transcribe(samples, RATE_HZ) for one in (bare, within))
        assert [word.text for word in other.words] == [word.text for word in plain.words]
        for mine, theirs in zip(other.words, plain.words, strict=True):
            assert (mine.start_s, mine.end_s) == pytest.approx((theirs.start_s, theirs.end_s))
        assert other.duration_s == plain.duration_s


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SPOKEN)), max_size=8))
def test_streams_tell_the_same_times(bare: Recognizer, within: Recognizer, cuts: list[int]) -> None:
    """Whatever the cuts, empty pushes among them: starts, finals and ends are as without."""
    plain, other = told(bare, cuts), told(within, cuts)
    assert [type(event) for event in other] == [type(event) for event in plain]
    assert sum(isinstance(event, Final) for event in other) == 2
    for mine, theirs in zip(other, plain, strict=True):
        if isinstance(mine, Final) and isinstance(theirs, Final):
            assert mine.text == theirs.text
            assert mine.segment.start_s == pytest.approx(theirs.segment.start_s)
            assert mine.segment.end_s == pytest.approx(theirs.segment.end_s)
        else:
            assert mine.time_s == pytest.approx(theirs.time_s, abs=1e-6)


def test_what_is_cut_tight_is_heard(bare: Recognizer, within: Recognizer) -> None:
    """The last letter, of which the audio holds too little for a frame, is heard with a margin."""
    tight = np.trim_zeros(say("BAD", n_frames=1), "b")
    assert bare.transcribe(tight, RATE_HZ).text != "BAD"
    transcript = within.transcribe(tight, RATE_HZ)
    assert transcript.text == "BAD"
    assert transcript.words[0].start_s >= 0
    assert transcript.words[0].end_s <= transcript.duration_s == len(tight) / RATE_HZ
    alignment = within.align(tight, "BAD", RATE_HZ)
    assert alignment.log_ratio > bare.align(tight, "BAD", RATE_HZ).log_ratio + 1
    assert [word.text for word in alignment.words] == ["BAD"]
    assert alignment.duration_s == len(tight) / RATE_HZ
    assert 0 < (alignment.words[0].end_s or 0) <= alignment.duration_s
    stream = within.stream(StreamOptions(20, 20, 500), endpoint=QUICK)
    [final] = [one for one in stream.push(tight) + stream.finish() if isinstance(one, Final)]
    assert final.text == "BAD"
    assert final.segment.end_s <= len(tight) / RATE_HZ


def test_a_stream_hears_its_margin(bare: Recognizer, tmp_path: Path) -> None:
    """A margin longer than the rule of silence ends the segment by that rule, not by `finish`."""
    long = load(write(tmp_path / "bundle", margin_frames=40).folder)
    reasons = []
    for recognizer in (bare, long):
        stream = recognizer.stream(StreamOptions(20, 20, 500), endpoint=QUICK)
        events = stream.push(say("BAD")) + stream.finish()
        reasons += [event.reason for event in events if isinstance(event, SpeechEnd)]
    assert reasons == [Reason.FINISH.value, Reason.SILENCE.value]


def test_a_state_goes_on_within_margins(within: Recognizer) -> None:
    """A stream that is resumed ends as one that was not."""
    first = within.stream(StreamOptions(20, 20, 500), endpoint=QUICK)
    events = first.push(SPOKEN[:100])
    second = within.stream(StreamOptions(20, 20, 500), endpoint=QUICK, state=first.state)
    events += second.push(SPOKEN[100:]) + second.finish()
    whole = told(within, [])
    mine = [event for event in events if isinstance(event, Final)]
    assert [one.segment for one in mine] == [e.segment for e in whole if isinstance(e, Final)]


def test_a_blank_penalty_below_none_is_refused(tmp_path: Path) -> None:
    """Nats are 0 or more."""
    with pytest.raises(
        ManifestError, match="phrases_blank_penalty is -1, expected a number of nat"
    ):
        write(tmp_path / "bundle", phrases_blank_penalty=-1)


def test_margins_below_none_are_refused(tmp_path: Path) -> None:
    """A manifest that was written by hand."""
    with pytest.raises(ManifestError, match="margin_frames is -1, expected 0 or more"):
        write(tmp_path / "bundle", margin_frames=-1)
