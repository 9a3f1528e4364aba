"""A stream's state is a value: saved anywhere, resumed elsewhere, as if nothing had happened."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HOP, RATE_HZ, RECEPTIVE_FIELD, say, write_tiny_bundle

from wav2edge.runtime.audio import Samples
from wav2edge.runtime.endpoint import EndpointOptions
from wav2edge.runtime.errors import StateError, StreamFinishedError
from wav2edge.runtime.events import Event, Final, Partial
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.stream import Stream, StreamState

QUICK = EndpointOptions(trailing_silence_ms=150, no_speech_ms=400, max_segment_ms=1500)
TEXTS = st.lists(st.text("ABCDEFG ", min_size=1, max_size=9), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def recognizers(tiny_bundle: Path) -> tuple[Recognizer, Recognizer]:
    """Two recognizers of one bundle, which share nothing."""
    return load(tiny_bundle), load(tiny_bundle)


def audio(texts: Sequence[str], gap: int) -> Samples:
    """Texts with silences between them."""
    silence = np.zeros(gap * HOP, np.float32)
    pieces = [np.append(say(text)[: -(RECEPTIVE_FIELD - HOP)], silence) for text in texts]
    return np.concatenate(pieces).astype(np.float32)


def pushed(stream: Stream, samples: Samples, size: int) -> list[Event]:
    """Push in pieces of a size."""
    return [
        event
        for first in range(0, len(samples), size)
        for event in stream.push(samples[first : first + size])
    ]


def travelled(state: StreamState) -> StreamState:
    """The state after a journey."""
    found: StreamState = pickle.loads(pickle.dumps(state))  # noqa: S301  (our own)
    return found


@settings(deadline=None, max_examples=50)
@given(TEXTS, st.integers(0, 40), st.floats(0, 1), st.integers(1, 900))
def test_a_pickled_state_goes_on_in_another_recognizer(
    recognizers: tuple[Recognizer, Recognizer], texts: list[str], gap: int, at: float, size: int
) -> None:
    """Cut anywhere, pickled and resumed elsewhere, the events are those of a stream without cut."""
    here, there = recognizers
    samples = audio(texts, gap)
    middle = round(at * len(samples))
    uncut = here.stream("low", endpoint=QUICK)
    expected = pushed(uncut, samples, size) + uncut.finish()
    first = here.stream("low", endpoint=QUICK)
    events = pushed(first, samples[:middle], size)
    second = there.stream("low", endpoint=QUICK, state=travelled(first.state))
    assert events + pushed(second, samples[middle:], size) + second.finish() == expected


@settings(deadline=None, max_examples=10)
@given(st.floats(0, 1), st.sampled_from([11_025, 44_100, 48_000]))
def test_resampled_streams_go_on(
    recognizers: tuple[Recognizer, Recognizer], at: float, rate_hz: int
) -> None:
    """At another rate, too, texts and times are the same."""
    import soxr

    here, there = recognizers
    at_model_rate = audio(["AB CD", "EF GA", "BC D", "AB CD EFG"], 30)
    samples = soxr.resample(at_model_rate, RATE_HZ, rate_hz).astype(np.float32)
    middle = round(at * len(samples))

    def told(events: list[Event]) -> list[object]:
        words = [w for e in events if isinstance(e, Final) for w in e.segment.words]
        assert words
        texts = [(e.stable, e.unstable, e.time_s) for e in events if isinstance(e, Partial)]
        return [*texts, *((word.text, word.start_s, word.end_s) for word in words)]

    uncut = here.stream("low", endpoint=QUICK, sample_rate=rate_hz)
    expected = pushed(uncut, samples, 500) + uncut.finish()
    first = here.stream("low", endpoint=QUICK, sample_rate=rate_hz)
    events = pushed(first, samples[:middle], 500)
    state = travelled(first.state)
    second = there.stream("low", endpoint=QUICK, sample_rate=rate_hz, state=state)
    assert told(events + pushed(second, samples[middle:], 500) + second.finish()) == told(expected)


def test_a_resampler_s_state_is_bounded(recognizers: tuple[Recognizer, Recognizer]) -> None:
    """Of 20 s at 48 kHz, pushed in pieces or at once, a pickled state keeps about two."""
    for size in (960, 20 * 48_000):
        stream = recognizers[0].stream("low", endpoint=QUICK, sample_rate=48_000)
        pushed(stream, np.zeros(20 * 48_000, np.float32), size)
        assert len(pickle.dumps(stream.state)) < 2.2 * 48_000 * 4


def test_a_state_is_not_changed_by_who_goes_on_from_it(
    recognizers: tuple[Recognizer, Recognizer],
) -> None:
    """Two streams from one state tell the same, one after the other."""
    here, _ = recognizers
    stream, rest = here.stream("low", endpoint=QUICK), audio(["CD", "E"], 30)
    stream.push(audio(["AB C"], 2))
    state = stream.state
    ends = []
    for _ in range(2):
        one = here.stream("low", endpoint=QUICK, state=state)
        ends.append(one.push(rest) + one.finish())
    assert ends[0] == ends[1] == stream.push(rest) + stream.finish()


def test_another_process_goes_on(
    recognizers: tuple[Recognizer, Recognizer], tiny_bundle: Path, tmp_path: Path, root: Path
) -> None:
    """A state written to a file is resumed by a program that knows nothing else of the stream."""
    stream = recognizers[0].stream("low", endpoint="fast")
    stream.push(audio(["AB C"], 0))
    (tmp_path / "state").write_bytes(pickle.dumps(stream.state))
    program = (
        "import pickle, sys, wav2edge\n"
        "state = pickle.load(open(sys.argv[1], 'rb'))\n"
        "stream = wav2edge.load(sys.argv[2]).stream('low', endpoint='fast', state=state)\n"
        "print([event.text for event in stream.finish() if isinstance(event, wav2edge.Final)])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state"), str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    assert done.stdout == "['AB C']\n"


@pytest.mark.parametrize(
    ("named", "other"),
    [
        ("options", {"latency": "accurate"}),
        ("endpoint", {"endpoint": "patient"}),
        ("rate_hz", {"sample_rate": 16_000}),
    ],
)
def test_a_state_of_other_options_is_refused(
    recognizers: tuple[Recognizer, Recognizer], named: str, other: dict[str, Any]
) -> None:
    """The error names what differs."""
    state = recognizers[0].stream("low", endpoint=QUICK).state
    options: dict[str, Any] = {"latency": "low", "endpoint": QUICK, **other}
    with pytest.raises(StateError, match=named):
        recognizers[0].stream(**options, state=state)


def test_a_state_of_another_model_or_version_is_refused(
    recognizers: tuple[Recognizer, Recognizer], tmp_path: Path
) -> None:
    """The same model elsewhere is the same; another model, or another wav2edge, is not."""
    state = recognizers[0].stream().state
    same = load(write_tiny_bundle(tmp_path / "same", name="moved").folder)
    assert same.stream(state=state).finish() == []
    model = replace(state, setup=replace(state.setup, model="0" * 64))
    with pytest.raises(StateError, match="model"):
        recognizers[0].stream(state=model)
    version = replace(state, setup=replace(state.setup, version="0.0.1"))
    with pytest.raises(StateError, match=r"version 0\.0\.1"):
        recognizers[0].stream(state=version)


def test_what_is_no_state_is_refused(recognizers: tuple[Recognizer, Recognizer]) -> None:
    """The inner state of the computing, or anything else, is not what `stream.state` gives."""
    with pytest.raises(StateError, match="dict"):
        recognizers[0].stream(state={})  # type: ignore[arg-type]


def test_a_finished_stream_has_no_state(recognizers: tuple[Recognizer, Recognizer]) -> None:
    """What was flushed as final must not be told again; a copy of it is finished as well."""
    stream = recognizers[0].stream()
    stream.finish()
    with pytest.raises(StreamFinishedError, match="start a new one"):
        _ = stream.state
    with pytest.raises(StreamFinishedError):
        stream.copy().push(np.zeros(10, np.float32))
