"""`wav2edge listen`: what is printed, drawn and kept, however it ends."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_portaudio import FakePortAudio, FakeStream, device
from numpy.typing import NDArray
from tiny_bundle import RATE_HZ, say
from virtual_microphone import VirtualMicrophone

import wav2edge
from wav2edge import cli
from wav2edge.runtime.endpoint import ENDPOINTS
from wav2edge.runtime.events import to_dict
from wav2edge.runtime.listen import WavFile
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import LATENCIES

Array = NDArray[np.float32]
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model, at 8000 Hz."""
    return wav2edge.load(tiny_bundle)


def recorded(path: Path, *pieces: Array) -> Path:
    """Write a recording that the tiny model understands."""
    soundfile.write(path, np.concatenate(pieces), RATE_HZ, "FLOAT")
    return path


def pause(seconds: float) -> Array:
    """Silence after `say`, which ends ten samples into a frame."""
    return np.zeros(round(seconds * RATE_HZ) - 10, np.float32)


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """Two segments."""
    return recorded(tmp_path / "said.wav", say("BAD CAB"), pause(2), say("EGG"), pause(2))


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A word, and then a minute of speech that never pauses."""
    return recorded(tmp_path / "endless.wav", say("BAD CAB " + "EGG " * 400))


Listen = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def listen(tiny_bundle: Path) -> Iterator[Listen]:
    """Start `wav2edge listen` in a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **options: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "wav2edge", "listen", "--model", tiny_bundle, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        started.append(subprocess.Popen(list(map(str, command)), **pipes))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", kind: str) -> dict[str, object]:
    """Read events until one of a kind comes."""
    assert process.stdout is not None
    for line in process.stdout:
        found: dict[str, object] = json.loads(line)
        if found["event"] == kind:
            return found
    raise AssertionError(f"no {kind}: {process.communicate()[1]}")


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is true."""
    until_s = time.monotonic() + _PATIENCE_S
    while not what():
        assert time.monotonic() < until_s
        time.sleep(0.05)


# --- lines ---------------------------------------------------------------------------------------


def test_events_are_json_lines(
    said: Path, tiny_bundle: Path, recognizer: Recognizer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into a pipe or a file goes each event of the stream, one JSON object a line."""
    samples, _ = soundfile.read(said, dtype="float32")
    stream = recognizer.stream("low", endpoint="fast")
    expected = stream.push(samples) + stream.finish()
    arguments = ["--model", str(tiny_bundle), "--latency", "low", "--endpoint", "fast"]
    assert cli.main(["listen", "--file", str(said), "--fast", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = [json.loads(line) for line in out.splitlines()]
    assert [{**event, "lag_s": 0.0} for event in found] == [
        {**to_dict(event), "lag_s": 0.0} for event in expected
    ]
    finals = [event["segment"]["text"] for event in found if event["event"] == "final"]
    assert finals == ["BAD CAB", "EGG"]


def test_presets_are_those_of_the_stream() -> None:
    """Each preset is understood, and no other."""
    for option, names in (("--latency", LATENCIES), ("--endpoint", ENDPOINTS)):
        for name in names:
            cli.parser().parse_args(["listen", option, name])
        with pytest.raises(cli.UsageError, match="invalid choice"):
            cli.parser().parse_args(["listen", option, "other"])


@pytest.mark.parametrize(
    ("arguments", "said_so"),
    [
        (["--fast"], "--fast plays a recording"),
        (["--file", "none.wav"], "none.wav does not exist"),
        (["--file", "a.wav", "--device", "0"], "not allowed with"),
        (["--file", "a.wav", "--list-devices"], "not allowed with"),
        (["--file", "GOOD", "--save", "GOOD"], "exists: name another file, or delete it"),
        (["--file", "GOOD", "--save", "no/such/folder.wav"], "cannot be written: No such file"),
        (["--file", "GOOD", "--model", "no-bundle"], "no-bundle"),
    ],
)
def test_wrong_use_is_one_line(
    said: Path, capsys: pytest.CaptureFixture[str], tiny_bundle: Path,
    arguments: list[str], said_so: str,
) -> None:  # fmt: skip
    """What cannot be done is one line on stderr and status 2, and no file is harmed."""
    before = said.read_bytes()
    arguments = [str(said) if one == "GOOD" else one for one in arguments]
    assert cli.main(["listen", "--model", str(tiny_bundle), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said_so in err
    assert said.read_bytes() == before


# --- ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_prints_the_pending_final(
    listen: Listen, endless: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C, or a service manager's wish, ends in order: the final, a whole file, status 0."""
    saved = tmp_path / "saved.wav"
    process = listen("--file", endless, "--latency", "low", "--save", saved)
    while not str(read_until(process, "partial")["stable"]).startswith("BAD CAB EGG"):
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=_PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    *_, final, end = map(json.loads, out.splitlines())
    assert final["segment"]["text"].startswith("BAD CAB EGG")
    assert (end["event"], end["reason"]) == ("speech_end", "finish")
    heard, rate_hz = soundfile.read(saved, dtype="float32")
    spoken, _ = soundfile.read(endless, dtype="float32")
    assert rate_hz == RATE_HZ
    assert len(heard) / rate_hz == pytest.approx(end["time_s"], abs=0.02)
    np.testing.assert_allclose(heard, spoken[: len(heard)], atol=1 / 32768)


def test_a_reader_that_went_away_is_no_error(listen: Listen, endless: Path) -> None:
    """`wav2edge listen | head` ends by itself, without a word on stderr."""
    process = listen("--file", endless, "--latency", "low")
    read_until(process, "partial")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=_PATIENCE_S)
    assert (process.returncode, err) == (141, "")


def test_a_killed_process_leaves_a_whole_file(
    listen: Listen, endless: Path, tmp_path: Path
) -> None:
    """Whatever ends the process, the file says how long it is and holds what was heard."""
    saved = tmp_path / "saved.wav"
    process = listen("--file", endless, "--latency", "low", "--save", saved)
    partial = read_until(process, "partial")
    process.kill()
    process.wait(timeout=_PATIENCE_S)
    with wave.open(str(saved)) as kept:
        assert kept.getnframes() / kept.getframerate() >= float(str(partial["time_s"])) - 0.2
        assert len(kept.readframes(1 << 30)) == 2 * kept.getnframes()


def test_a_full_disk_ends_after_the_final(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    """Where no more can be written, what was heard until then is told, and then the error."""
    monkeypatch.setattr("wav2edge.runtime.listen._LONGEST_WAV", 2 * round(0.5 * RATE_HZ))
    arguments = ["--model", str(tiny_bundle), "--save", str(tmp_path / "full.wav")]
    assert cli.main(["listen", "--file", str(said), "--fast", *arguments]) == 2
    out, err = capsys.readouterr()
    finals = [line for line in map(json.loads, out.splitlines()) if line["event"] == "final"]
    assert [final["segment"]["text"] for final in finals] == ["BAD CAB"]
    assert "full.wav is full" in err
    with wave.open(str(tmp_path / "full.wav")) as kept:
        assert kept.getnframes() == round(0.5 * RATE_HZ)


def test_saved_samples_are_clipped_and_rounded(tmp_path: Path) -> None:
    """What is louder than full scale is clipped; the rest is the nearest of 65536 values."""
    with WavFile(str(tmp_path / "a.wav"), 8000) as kept:
        kept.write(np.array([0.0, 2.0, -2.0, 0.25, 0.6 / 32768], np.float32))
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert samples.tolist() == [0, 32767, -32768, 8192, 1]


# --- the microphone, played ----------------------------------------------------------------------


def test_devices_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--list-devices` names each with its index; a star is the default."""
    FakePortAudio([device("Desk"), device("Array", rate_hz=48_000.0, inputs=4)]).install(
        monkeypatch
    )
    assert cli.main(["listen", "--list-devices"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "*   0  Desk (Fake), 1 channel, 8000 Hz",
        "    1  Array (Fake), 4 channels, 48000 Hz",
    ]


def test_a_microphone_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pending final is printed, then one line that says what happened; status 2."""
    portaudio = FakePortAudio([device("Desk"), device("Headset")]).install(monkeypatch)

    def speak_and_go(stream: FakeStream) -> None:
        stream.deliver(say("BAD CAB"))
        stream.vanish()

    portaudio.on_start = speak_and_go
    assert cli.main(["listen", "--model", str(tiny_bundle), "--device", "1"]) == 2
    out, err = capsys.readouterr()
    final, end = map(json.loads, out.splitlines()[-2:])
    assert (final["segment"]["text"], end["reason"]) == ("BAD CAB", "finish")
    assert err.startswith("wav2edge: error: Headset went away")
    assert err.count("\n") == 1


def test_no_signal_is_told_once(
    monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A muted microphone is one line on stderr for each silence, beside the events."""
    portaudio = FakePortAudio().install(monkeypatch)
    noise = np.random.default_rng(0).normal(0, 1e-3, 800).astype(np.float32)
    muted = np.zeros(round(5.5 * 8000), np.float32)

    def be_muted(stream: FakeStream) -> None:
        stream.deliver(np.concatenate([muted, noise]))
        stream.vanish()

    portaudio.on_start = be_muted
    assert cli.main(["listen", "--model", str(tiny_bundle)]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2
    assert "no signal from Fake for 5 s: unmute it" in err[0]
    assert "went away" in err[1]


# --- the microphone, virtual ---------------------------------------------------------------------


def _seconds_in(path: Path) -> float:
    try:
        with wave.open(str(path)) as kept:
            return float(kept.getnframes() / kept.getframerate())
    except (OSError, EOFError, wave.Error):
        return 0.0


def test_a_virtual_microphone_is_listened_to_until_it_goes_away(
    virtual_microphone: VirtualMicrophone, listen: Listen, tmp_path: Path
) -> None:
    """Sound through PulseAudio becomes events, and is kept at the time that they say.

    When the sound server ends, that is one line on stderr, and the libraries below add nothing.
    """
    from test_microphone import STAIRS, stairs

    saved = tmp_path / "saved.wav"
    process = listen("--save", saved, env=virtual_microphone.environment)
    wait_for(lambda: _seconds_in(saved) > 0.5)
    silence = np.zeros(16_000, np.float32)
    virtual_microphone.play(np.concatenate([silence, stairs(0.1, 8000), silence]), 8000)
    final = read_until(process, "final")
    segment = final["segment"]
    assert isinstance(segment, dict)
    assert segment["text"] == STAIRS
    virtual_microphone.unplug()
    _, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert "went away while it was listened to" in err
    heard, rate_hz = soundfile.read(saved, dtype="float32")
    assert rate_hz == 44_100
    loud = np.flatnonzero(heard > 0.15) / rate_hz  # from the first letter to the last
    assert loud[0] == pytest.approx(segment["start_s"], abs=0.04)
    assert loud[-1] == pytest.approx(segment["end_s"], abs=0.04)


# --- a terminal ----------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a matter of Unix")
def test_on_a_terminal_text_is_drawn_in_place(listen: Listen, tmp_path: Path) -> None:
    """In 40 columns: finals are lines, the text so far is drawn in place, Ctrl-C leaves it tidy."""
    import pty
    import termios

    import test_terminal

    fcntl = pytest.importorskip("fcntl")
    letters = "ABCDEFG" * 9 + " "
    long = recorded(tmp_path / "long.wav", say("BAD CAB"), pause(2), say(letters + "A" * 400))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\x28\x00\x00\x00\x00\x00")  # 24 x 40
    environment = {**os.environ, "TERM": "xterm"}
    process = listen("--file", long, "--latency", "low", stdout=slave, env=environment)
    os.close(slave)
    seen = test_terminal.Terminal(40)

    def looks_like(right: Callable[[list[str]], bool]) -> None:
        until_s = time.monotonic() + _PATIENCE_S
        while not right(seen.text()):
            assert time.monotonic() < until_s, seen.text()
            if select.select([master], [], [], 1)[0]:
                seen.feed(os.read(master, 1 << 16).decode().replace("\r\n", "\n"))

    def drawing_long(rows: list[str]) -> bool:
        # the final of the first segment, two rows of the second, a meter; rows of at most 39
        return (
            rows[-4:-3] == ["BAD CAB"]
            and "".join(rows[-3:-1]).startswith("ABCDEFGABCDEFG")
            and len(rows[-2]) > 0
        )

    looks_like(lambda rows: rows[-1:] != [] and rows[-1].startswith("["))
    looks_like(drawing_long)
    assert all(len(row) < 40 for row in seen.text()[-3:])
    process.send_signal(signal.SIGINT)
    with pytest.raises(OSError, match="Input/output"):  # Linux: nobody has the terminal any more
        looks_like(lambda _: False)
    assert process.wait(timeout=_PATIENCE_S) == 0
    os.close(master)
    text = "".join(seen.text())
    assert "BAD CABABCDEFG" in text  # a final below a final, and nothing of the meter
    assert "dB" not in text
