"""Microphones: what is captured, lost, refused and told, with PortAudio played by the test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_portaudio import BLOCK, FakePortAudio, FakeStream, PortAudioError, device
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_bundle import RATE_HZ, say
from virtual_microphone import VirtualMicrophone

import wav2edge
from wav2edge.runtime import errors, microphone
from wav2edge.runtime.capture import BITE_S, LOSS_S, QUEUE_S, CaptureQueue, LossDetector
from wav2edge.runtime.events import Event, Final, Overflow, Partial, SpeechEnd, SpeechStart
from wav2edge.runtime.live import GAP_S, Playback
from wav2edge.runtime.microphone import Microphone, input_devices
from wav2edge.runtime.recognizer import Recognizer

Array = NDArray[np.float32]

STAIRS = "ABCDEFGFEDCBA"
"""What `stairs` says: neighbours differ by one step, so that no frame between two is a third."""


def stairs(step_s: float, rate_hz: int) -> Array:
    """Samples that the tiny model hears as `STAIRS`, wherever its frames lie."""
    ids = [*range(9), *range(7, -1, -1)]
    return np.repeat(np.array(ids, np.float32) / 10, round(step_s * rate_hz))


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model, at 8000 Hz."""
    return wav2edge.load(tiny_bundle)


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    """PortAudio with one microphone of 8000 Hz."""
    return FakePortAudio().install(monkeypatch)


def opened(portaudio: FakePortAudio) -> FakeStream:
    """The stream that a microphone opened."""
    assert portaudio.opened is not None
    return portaudio.opened


def finals(events: list[Event]) -> list[Final]:
    """The finals among events."""
    return [event for event in events if isinstance(event, Final)]


def collect(events: Iterator[Event], told: list[Event]) -> None:
    """Keep what is told, also where an error ends it."""
    for event in events:
        told.append(event)  # noqa: PERF402  (extend would lose what came before an error)


# --- the queue and the clock ---------------------------------------------------------------------

_TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 400), st.integers(0, 50)),
        st.tuples(st.just("take"), st.integers(1, 30), st.just(0)),
    ),
    max_size=200,
)


@given(_TURNS)
def test_every_sample_keeps_its_place(turns: list[tuple[str, int, int]]) -> None:
    """Whatever is lost in the device or in the queue, a sample's place is where it was captured.

    The queue holds ten seconds at most, and gives up nothing while less is waiting.
    """
    rate_hz = 100
    queue = CaptureQueue(rate_hz)
    now, kept, dropped = 0, 0, 0
    for turn, n, n_lost in turns:
        if turn == "put":
            now += n_lost
            queue.put(np.arange(now, now + n, dtype=np.float32), n_lost=n_lost)
            now += n
            kept += n
            if queue.n_waiting != kept:
                assert kept > QUEUE_S * rate_hz
                dropped, kept = dropped + kept - queue.n_waiting, queue.n_waiting
                # a bite, and what the blocks at its edge are longer
                assert kept > (QUEUE_S - BITE_S) * rate_hz - 400
            assert kept <= max(QUEUE_S * rate_hz, n)
            continue
        for _ in range(n):
            piece = queue.take(0)
            if piece is None:
                assert kept == 0
                break
            first, samples = piece
            assert samples[0] == first
            assert len(samples) == samples[-1] - first + 1
            kept -= len(samples)


def test_an_ended_queue_gives_what_it_has_and_takes_no_more() -> None:
    """`ended` shuts the entrance, not the exit."""
    queue = CaptureQueue(100)
    queue.put(np.ones(3, np.float32))
    queue.ended = True
    queue.put(np.ones(3, np.float32))
    assert queue.n_waiting == 3
    assert queue.take(0) is not None
    assert queue.take(60) is None  # without waiting


@given(
    seed=st.integers(0, 2**32 - 1),
    lost_s=st.floats(0.1, 8),
    at=st.integers(150, 250),
    drift=st.floats(0.999, 1.001),
)
def test_the_clock_finds_what_a_device_lost(
    seed: int, lost_s: float, at: int, drift: float
) -> None:
    """What a device lost without a word is told within three windows, to 50 ms; nothing else is.

    Deliveries come late, in lumps, from a device whose clock is off by up to 0.1 %.
    """
    rate_hz, n, lump = 16_000, 800, 10
    late_s = np.random.default_rng(seed).uniform(0, 0.5, 400)
    index = np.arange(400)
    due_s = (index * n / rate_hz + np.where(index >= at, lost_s, 0)) * drift
    # however late, a block comes before the lump ends: the buffer of a listener in time runs empty
    arrives_s = np.minimum(due_s + late_s, due_s[index // lump * lump + lump - 1])
    arrives_s = np.maximum.accumulate(arrives_s)
    detector = LossDetector(rate_hz)
    told = []
    for i in range(400):
        lost = detector.delivered(n, float(arrives_s[i]))
        if lost:
            told.append((i, lost / rate_hz))
    assert all(at <= when <= at + 6 * rate_hz / n for when, _ in told)
    assert sum(seconds for _, seconds in told) == pytest.approx(lost_s, abs=LOSS_S)


# --- what comes out ------------------------------------------------------------------------------


def test_blocks_are_what_was_delivered(portaudio: FakePortAudio) -> None:
    """Iterating gives each sample once, at the device's own rate, in memory of its own."""
    said = np.linspace(-1, 1, 1000, dtype=np.float32)
    with Microphone() as heard:
        opened(portaudio).deliver(said)
        heard.stop()
        blocks = list(heard)
    assert heard.rate_hz == 8000
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate(blocks), said)
    assert heard.overflows == []
    assert opened(portaudio).closed


def test_a_device_that_refuses_one_channel_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PortAudio cannot open one channel, all are opened, and their mean is heard."""
    portaudio = FakePortAudio([device("Array", inputs=4)]).install(monkeypatch)

    def refuse(channels: int) -> None:
        if channels == 1:
            raise PortAudioError("Invalid number of channels", -9998)

    portaudio.refuse = refuse
    with Microphone() as heard:
        assert opened(portaudio).options["channels"] == 4
        opened(portaudio).deliver(np.tile(np.array([0.0, 0.25, 0.25, 0.5], np.float32), (320, 1)))
        heard.stop()
        np.testing.assert_array_equal(np.concatenate(list(heard)), np.full(320, 0.25, np.float32))


def test_what_is_too_late_is_lost_and_told_and_times_stay_true(portaudio: FakePortAudio) -> None:
    """Of 12.5 s that nobody took the newest come out, behind zeros and an overflow as long."""
    said = np.random.default_rng(0).uniform(0.1, 0.2, 100_000).astype(np.float32)
    with Microphone() as heard:
        opened(portaudio).deliver(said)
        assert QUEUE_S - BITE_S <= heard.lag_s <= QUEUE_S
        heard.stop()
        blocks = np.concatenate(list(heard))
    (overflow,) = heard.overflows
    n_lost = round(overflow.lost_s * 8000)
    assert overflow.time_s == 0
    assert 20_000 <= n_lost <= 20_000 + BITE_S * 8000
    assert not blocks[:n_lost].any()
    np.testing.assert_array_equal(blocks[n_lost:], said[n_lost:])


def test_a_second_iteration_goes_on_where_the_first_stopped(portaudio: FakePortAudio) -> None:
    """Blocks that were read are not taken for lost when the source is asked again."""
    said = np.linspace(0, 1, 1600, dtype=np.float32)
    with Microphone() as heard:
        opened(portaudio).deliver(said)
        first = next(iter(heard))
        heard.stop()
        rest = np.concatenate(list(heard))
    np.testing.assert_array_equal(np.concatenate([first, rest]), said)
    assert heard.overflows == []


def test_events_are_the_streams_own(portaudio: FakePortAudio, recognizer: Recognizer) -> None:
    """A microphone drives a stream to the same events as pushing the samples by hand."""
    pause = np.zeros(16_000 - 10, np.float32)  # so that every letter begins with a frame
    said = np.concatenate([say("BAD CAB"), pause, say("EGG")])
    by_hand = recognizer.stream()
    expected = by_hand.push(said) + by_hand.finish()
    with Microphone() as heard:
        opened(portaudio).deliver(said)
        heard.stop()
        found = list(heard.events(recognizer.stream(sample_rate=heard.rate_hz)))
    assert found == expected
    assert [final.text for final in finals(found)] == ["BAD CAB", "EGG"]


def test_lag_is_what_waits_in_the_queue(portaudio: FakePortAudio, recognizer: Recognizer) -> None:
    """Events of a microphone that is 2 s behind say so, and less and less as it catches up."""
    said = np.concatenate([say("BAD CAB"), np.zeros(16_000, np.float32)])
    with Microphone() as heard:
        opened(portaudio).deliver(said)
        heard.stop()
        lags_s = [event.lag_s for event in heard.events(recognizer.stream("low"))]
    assert lags_s[0] == pytest.approx(2, abs=0.5)
    assert lags_s == sorted(lags_s, reverse=True)
    assert lags_s[-1] < lags_s[0]


def test_times_stay_true_behind_a_hole(portaudio: FakePortAudio, recognizer: Recognizer) -> None:
    """A word behind a hole of 21 s has the time it was said at, to the frame.

    While the first block is heard, 30 s pass, of which ten are kept. An Overflow tells the hole,
    and no time goes back.
    """
    rate_hz, word = 8000, np.concatenate([say("BAD"), np.zeros(50, np.float32)])
    before = np.concatenate([word, np.zeros(8000 - len(word), np.float32)])
    later = np.zeros(30 * rate_hz, np.float32)
    later[28 * rate_hz :][: len(word)] = word
    heard_blocks: list[Array] = []

    with Microphone() as heard:
        opened(portaudio).deliver(before)

        def monitor(block: Array) -> None:
            heard_blocks.append(block)
            if len(heard_blocks) == 1:  # from here on, the listener is busy for 30 s
                opened(portaudio).deliver(later)
                heard.stop()

        events = list(heard.events(recognizer.stream(), monitor=monitor))
    (overflow,) = [event for event in events if isinstance(event, Overflow)]
    assert overflow.time_s == pytest.approx(BLOCK / rate_hz)
    assert 21 - 1 <= overflow.lost_s <= 21 + BITE_S
    *_, last = finals(events)
    assert last.text == "BAD"
    assert last.segment.start_s == pytest.approx(1 + 28, abs=0.011)
    assert last.segment.words[0].end_s == pytest.approx(1 + 28 + 0.11, abs=0.011)
    times_s = [event.time_s for event in events if isinstance(event, Partial | Final | SpeechEnd)]
    assert times_s == sorted(times_s)
    assert times_s[-1] == pytest.approx(1 + 28 + 0.11 + 0.8, abs=0.02)
    # what was saved has every second at its place
    assert sum(map(len, heard_blocks)) == len(before) + len(later)
    np.testing.assert_array_equal(np.concatenate(heard_blocks)[29 * rate_hz :][: len(word)], word)


def test_a_hole_costs_half_a_second_of_computing(
    portaudio: FakePortAudio, recognizer: Recognizer
) -> None:
    """For a hole of any length the stream hears at most `GAP_S` of silence."""
    stream = recognizer.stream()
    with Microphone() as heard:
        opened(portaudio).deliver(np.zeros(60 * 8000, np.float32))
        heard.stop()
        list(heard.events(stream))
    assert heard.overflows[0].lost_s >= 50
    assert stream._state.n_samples <= (QUEUE_S + GAP_S) * 8000


def test_stop_ends_with_the_pending_final(portaudio: FakePortAudio, recognizer: Recognizer) -> None:
    """What was captured before `stop` is heard, nothing after it, and an open segment is final."""
    with Microphone() as heard:
        opened(portaudio).deliver(say("BAD CAB"))
        heard.stop()
        opened(portaudio).deliver(say("EGG"))
        events = list(heard.events(recognizer.stream()))
    assert [final.text for final in finals(events)] == ["BAD CAB"]
    assert events[-1] == SpeechEnd(0, events[-1].time_s, "finish")


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_device_that_goes_away_is_an_error_after_the_final(
    portaudio: FakePortAudio, recognizer: Recognizer
) -> None:
    """All that came before the end is told, the open segment as well; then the error."""
    told: list[Event] = []
    with Microphone() as heard:
        opened(portaudio).deliver(say("BAD CAB"))
        opened(portaudio).vanish()
        with pytest.raises(errors.MicrophoneLostError, match=r"Fake went away.*plug it in") as lost:
            collect(heard.events(recognizer.stream()), told)
    assert isinstance(lost.value, ConnectionError)
    assert [final.text for final in finals(told)] == ["BAD CAB"]
    assert isinstance(told[-1], SpeechEnd)


def test_a_device_that_falls_silent_for_good_is_an_error(
    portaudio: FakePortAudio, recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that delivers nothing at all, without a word, is told as lost."""
    monkeypatch.setattr(microphone, "STALLED_S", 0.3)
    events: list[Event] = []
    with Microphone() as heard:
        opened(portaudio).deliver(say("BAD"))
        with pytest.raises(errors.MicrophoneLostError, match="delivered nothing"):
            collect(heard.events(recognizer.stream()), events)
    assert [final.text for final in finals(events)] == ["BAD"]


@pytest.mark.parametrize(
    ("samples", "complains"),
    [
        (np.zeros(6 * 8000, np.float32), True),
        (np.full(6 * 8000, 0.3, np.float32), True),  # a constant offset is no sound
        (np.zeros(4 * 8000, np.float32), False),
        (np.random.default_rng(0).normal(0, 2e-4, 6 * 8000).astype(np.float32), False),  # -74 dB
    ],
)
def test_no_signal_is_told(portaudio: FakePortAudio, samples: Array, complains: bool) -> None:  # noqa: FBT001
    """Five seconds without even a microphone's own noise are a complaint; noise is none."""
    with Microphone() as heard:
        opened(portaudio).deliver(samples)
        heard.stop()
        list(heard)
        assert bool(heard.complaint) == complains
        assert ("no signal from Fake for 6 s" in heard.complaint) == complains


def test_level_is_decibels_of_full_scale(portaudio: FakePortAudio) -> None:
    """A full-scale sine is -3 dB, one of a hundredth is -43 dB."""
    wave = np.sin(np.arange(800) * 2 * np.pi / 16).astype(np.float32)
    with Microphone() as heard:
        opened(portaudio).deliver(np.concatenate([wave, wave / 100]))
        heard.stop()
        levels_db = [heard.level_db for _ in heard]
    assert levels_db[0] == pytest.approx(-3.01, abs=0.01)
    assert levels_db[-1] == pytest.approx(-43.01, abs=0.01)


def test_a_stream_of_another_rate_is_refused(
    portaudio: FakePortAudio, recognizer: Recognizer
) -> None:
    """A stream that expects another rate would hear everything at the wrong speed."""
    with (
        Microphone() as heard,
        pytest.raises(errors.SampleRateError, match=r"sample_rate=8000"),
    ):
        next(heard.events(recognizer.stream(sample_rate=16_000)))
    assert opened(portaudio).closed


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sounddevice is not installed, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(errors.PortAudioMissingError, match=r'pip install "wav2edge\[mic\]"') as e:
        Microphone()
    assert isinstance(e.value, ImportError)


def test_without_portaudio_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where sounddevice does not find PortAudio, the error says what Debian calls it."""
    source = "raise OSError('PortAudio library not found')\n"
    (tmp_path / "sounddevice.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(errors.PortAudioMissingError, match="apt-get install libportaudio2"):
        input_devices()


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices with inputs, their index, system, channels, rate, and which is the default."""
    there = [device("Speakers", inputs=0), device("Desk"), device("Desk 2", rate_hz=48_000.0)]
    FakePortAudio(there).install(monkeypatch)
    assert [(one.index, one.name, one.rate_hz, one.default) for one in input_devices()] == [
        (1, "Desk", 8000, True),
        (2, "Desk 2", 48_000, False),
    ]
    assert Microphone().device.name == "Desk"
    assert Microphone(2).rate_hz == Microphone("desk 2").rate_hz == 48_000


@pytest.mark.parametrize("meant", [0, 7, -3, "Desk", "Kitchen"])
def test_a_device_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, meant: int | str
) -> None:
    """No inputs, no such index or name, or a name of several: the error lists what is there."""
    there = [device("Speakers", inputs=0), device("Desk 1"), device("Desk 2")]
    FakePortAudio(there).install(monkeypatch)
    with pytest.raises(errors.MicrophoneNotFoundError, match=r"1 Desk 1, 2 Desk 2") as error:
        Microphone(meant)
    assert isinstance(error.value, LookupError)
    assert repr(meant) in str(error.value)


def test_no_microphone_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without one: the error says so, and so does the list."""
    FakePortAudio([device("Speakers", inputs=0)]).install(monkeypatch)
    monkeypatch.setattr(sys, "platform", "darwin")  # no device files to look at
    for ask in (Microphone, input_devices):
        with pytest.raises(errors.MicrophoneNotFoundError, match="there is no microphone"):
            ask()


def test_device_files_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux a microphone of ALSA that this user may not read is a matter of permission."""
    FakePortAudio([]).install(monkeypatch)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([Path("/dev/snd/pcmC0D0c")]))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(errors.MicrophonePermissionError, match="group audio"):
        Microphone()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PortAudioError("Device unavailable", -9985), errors.MicrophoneBusyError),
        (PortAudioError("Invalid sample rate", -9997), errors.MicrophoneBusyError),
        (PortAudioError("Unanticipated host error", -9999, (0, -13, "Permission denied")),
         errors.MicrophonePermissionError),
        (PortAudioError("Invalid number of channels", -9998), errors.MicrophoneBusyError),
    ],
)  # fmt: skip
def test_a_device_that_does_not_open(
    portaudio: FakePortAudio, error: PortAudioError, kind: type[Exception]
) -> None:
    """Each of PortAudio's refusals is an error of ours that names the device."""

    def refuse(_: int) -> None:
        raise error

    portaudio.refuse = refuse
    with pytest.raises(kind, match="the microphone 0 Fake") as raised, Microphone():
        pass
    assert isinstance(raised.value, OSError)
    assert raised.value.__cause__ is error


# --- recordings that are played ------------------------------------------------------------------


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A recording of two words with a pause."""
    path = tmp_path / "said.wav"
    pause = np.zeros(8000 - 10, np.float32)
    samples = np.concatenate([say("BAD"), pause, say("CAB"), pause[:4000]])
    soundfile.write(path, samples, RATE_HZ, "FLOAT")
    return path


def test_playing_fast_or_in_real_time_is_the_same(said: Path, recognizer: Recognizer) -> None:
    """A recording tells the same events at any speed, and nothing of it is lost."""
    found = []
    for fast in (True, False):
        with Playback(str(said), fast=fast) as source:
            found.append(list(source.events(recognizer.stream("low", endpoint="fast"))))
            assert source.overflows == []
    assert found[0] == found[1]
    assert [final.text for final in finals(found[0])] == ["BAD", "CAB"]
    assert isinstance(found[0][0], SpeechStart)


def test_a_recording_cut_short_is_told_after_what_was_heard(
    said: Path, recognizer: Recognizer
) -> None:
    """The last final comes, and then the error."""
    whole = said.read_bytes()
    said.write_bytes(whole[: len(whole) - 16_000])
    for fast in (True, False):
        events: list[Event] = []
        source = Playback(str(said), fast=fast)
        with source, pytest.raises(errors.TruncatedAudioError):
            collect(source.events(recognizer.stream()), events)
        assert [final.text for final in finals(events)] == ["BAD", "CAB"]


# --- a real PortAudio ----------------------------------------------------------------------------

_TEN_LINES = """
import sys
import wav2edge

recognizer = wav2edge.load(sys.argv[1])
with wav2edge.Microphone() as microphone:
    print(microphone.rate_hz, flush=True)
    stream = recognizer.stream(sample_rate=microphone.rate_hz)
    for event in microphone.events(stream):
        if isinstance(event, wav2edge.Final):
            print(event.text, event.segment.start_s, event.segment.end_s, flush=True)
            break
"""


def test_a_virtual_microphone_is_heard_in_ten_lines(
    virtual_microphone: VirtualMicrophone, tiny_bundle: Path
) -> None:
    """Through PulseAudio, ALSA and PortAudio: the word that was played, as long as it took."""
    process = subprocess.Popen(
        [sys.executable, "-c", _TEN_LINES, str(tiny_bundle)],
        env=virtual_microphone.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "44100\n"
    silence = np.zeros(16_000, np.float32)
    virtual_microphone.play(np.concatenate([silence, stairs(0.1, 8000), silence]), 8000)
    text, start_s, end_s = process.stdout.readline().split()
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert text == STAIRS
    n_steps = len(STAIRS)
    assert float(end_s) - float(start_s) == pytest.approx(n_steps * 0.1, abs=0.05)
