"""The examples, run as a user runs them: as programs, on audio that says digits.

What they hear is the clip of the demo: "four one five nine two six", "zero eight seven three",
"two five one nine eight", with pauses between. Digits are what the embedded model is for.
"""

import ast
import asyncio
import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from virtual_microphone import VirtualMicrophone

import wav2edge

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FIRST, SECOND, THIRD = SPOKEN = (
    "FOUR ONE FIVE NINE TWO SIX",
    "ZERO EIGHT SEVEN THREE",
    "TWO FIVE ONE NINE EIGHT",
)
DIGITS = "digit = zero | one | two | three | four | five | six | seven | eight | nine"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "audiosocket.py")
_PATIENCE_S = 120.0

Pcm = NDArray[np.int16]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def clip(embedded_bundle: Path) -> Path:
    """The demo's recording."""
    return embedded_bundle / "demo.ogg"


@pytest.fixture(scope="module")
def pieces(embedded_bundle: Path) -> list[NDArray[np.float32]]:
    """Each of its three strings of digits, 16,000 Hz, with the silence that follows it."""
    samples, rate_hz = soundfile.read(embedded_bundle / "demo.ogg", dtype="float32")
    assert rate_hz == 16_000
    return np.split(samples, [round(s * rate_hz) for s in (2.9, 5.9)])


@pytest.fixture
def start() -> Iterator[Start]:
    """Start an example in a process of its own, which does not outlive the test."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: str | Path) -> "subprocess.Popen[str]":
        command = [sys.executable, EXAMPLES / program, *arguments]
        process = subprocess.Popen(
            command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=_environment(),
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}


def run(program: str, *arguments: str | Path, stdin: bytes = b"") -> str:
    """Run an example to its end; return what it wrote."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / program, *arguments],
        input=stdin, capture_output=True, timeout=_PATIENCE_S, check=False, env=_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def to_pcm(samples: NDArray[np.float32]) -> Pcm:
    """Samples as a sound card gives them."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


# --- each example --------------------------------------------------------------------------------


def test_live_captions(clip: Path, tmp_path: Path) -> None:
    """Each final is a line on standard output and a cue of the file, in order."""
    out = tmp_path / "talk.vtt"
    assert run("live_captions.py", out, "--file", clip, "--fast").splitlines() == list(SPOKEN)
    head, *cues = out.read_text(encoding="utf-8").split("\n\n")
    assert head == "WEBVTT"
    assert [cue.splitlines()[1] for cue in cues] == list(SPOKEN)
    assert all(re.match(r"00:00:0\d\.\d{3} --> 00:00:0\d\.\d{3}\n", cue) for cue in cues)


def test_live_captions_grow_while_somebody_speaks(clip: Path, tmp_path: Path, start: Start) -> None:
    """With a recording in real time the first cue is in the file before the last word is said."""
    out = tmp_path / "talk.srt"
    process = start("live_captions.py", out, "--file", clip)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == FIRST
    until_s = time.monotonic() + _PATIENCE_S
    while FIRST not in out.read_text(encoding="utf-8"):
        assert time.monotonic() < until_s
        time.sleep(0.01)
    assert SECOND not in out.read_text(encoding="utf-8")
    assert process.poll() is None


def test_live_captions_draw_on_a_terminal(clip: Path, tmp_path: Path) -> None:
    """On a terminal what is stable is bright, the rest dim, and a final is a line that stays."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "live_captions.py", tmp_path / "a.srt", "--file", clip,
         "--fast"], stdout=theirs, stderr=theirs, env=_environment(),
    )  # fmt: skip
    os.close(theirs)
    drawn = b"".join(_read_all(ours)).decode()
    assert process.wait(_PATIENCE_S) == 0
    os.close(ours)
    bright = re.findall(r"\x1b\[1m([A-Z ]+)\x1b\[0m\x1b\[2m", drawn)
    assert any(FIRST.startswith(text.strip()) for text in bright)
    assert [line.rpartition("\x1b[K")[2].strip() for line in drawn.split("\n")][:3] == list(SPOKEN)
    assert (tmp_path / "a.srt").read_text(encoding="utf-8").startswith("1\n00:00:00,")


def test_live_captions_of_a_microphone(
    virtual_microphone: VirtualMicrophone, pieces: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    """What is said into a microphone is a cue; Ctrl-C ends in order, after what was heard."""
    out = tmp_path / "talk.srt"
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "live_captions.py", out], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**virtual_microphone.environment, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        until_s = time.monotonic() + _PATIENCE_S
        while not out.is_file():  # it is made when the microphone is open
            assert time.monotonic() < until_s
            assert process.poll() is None
            time.sleep(0.05)
        virtual_microphone.play(np.concatenate([np.zeros(8000, np.float32), pieces[1]]), 16_000)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == SECOND
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=_PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, complaints
    assert out.read_text(encoding="utf-8").splitlines()[2] == SECOND


def _read_all(descriptor: int) -> Iterator[bytes]:
    while select.select([descriptor], [], [], _PATIENCE_S)[0]:
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # Linux says so when the other end is closed
            return
        if not data:
            return
        yield data


def test_home_assistant(clip: Path, tmp_path: Path, pieces: list[NDArray[np.float32]]) -> None:
    """Orders count after the wake phrase alone, each with its slots and numbers."""
    orders = tmp_path / "orders.txt"
    phrases = ["{wake}", "[{wake}] {0..9} {digit}{3}", "[{wake}] two {digit}{4}"]
    orders.write_text("\n".join([f"wake = {FIRST.lower()}", DIGITS, *phrases]), encoding="utf-8")
    heard = [
        json.loads(line) for line in run("home_assistant.py", orders, "--file", clip).splitlines()
    ]
    assert heard == [
        {"order": SECOND, "slots": {"digit": "eight seven three"}, "numbers": [0]},
        {"order": THIRD, "slots": {"digit": "five one nine eight"}, "numbers": []},
    ]
    unasked = tmp_path / "unasked.wav"
    soundfile.write(unasked, np.concatenate(pieces[1:]), 16_000)
    assert run("home_assistant.py", orders, "--file", unasked) == ""


def test_home_assistant_is_short_and_its_orders_are_good() -> None:
    """Under 60 lines; the grammar that comes along can be spelled by the embedded model."""
    assert (EXAMPLES / "home_assistant.py").read_text(encoding="utf-8").count("\n") < 60
    orders = wav2edge.Templates.read((EXAMPLES / "home_assistant.txt").read_text(encoding="utf-8"))
    reading = orders.reading("HEY COMPUTER SET THE HALL TO TWENTY ONE DEGREES")
    assert reading is not None
    assert (reading.slots["room"], reading.numbers) == ("hall", (21,))
    wav2edge.load(phrases=orders)


class Caller:
    """Asterisk's side of one AudioSocket call: it sends a frame for each that it gets."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server
        self.n_played = 0  # samples of prompts
        self._id = uuid.uuid4()
        self._socket = socket.create_connection(("127.0.0.1", self._line()["port"]), _PATIENCE_S)
        self._send(0x01, self._id.bytes)

    def _line(self) -> dict[str, str]:
        assert self._server.stdout is not None
        found: dict[str, str] = json.loads(self._server.stdout.readline())
        return found

    def _send(self, kind: int, payload: bytes) -> None:
        self._socket.sendall(struct.pack(">BH", kind, len(payload)) + payload)

    def step(self) -> dict[str, str]:
        """Return the program's next step."""
        step = self._line()
        assert step.pop("call") == str(self._id)
        return step

    def hear(self, n_frames: int) -> None:
        """Hear a prompt of so many frames."""
        for _ in range(n_frames):
            head = self._socket.recv(3, socket.MSG_WAITALL)
            kind, n_bytes = struct.unpack(">BH", head)
            assert kind == 0x10
            self.n_played += len(self._socket.recv(n_bytes, socket.MSG_WAITALL)) // 2
            self._send(0x10, bytes(320))

    def say(self, samples: NDArray[np.float32]) -> None:
        """Speak, in frames of 20 ms, and be silent for a second."""
        pcm = np.concatenate([to_pcm(samples), np.zeros(8000, np.int16)])
        for first in range(0, len(pcm), 160):
            self._send(0x10, pcm[first : first + 160].astype("<i2").tobytes())

    def hang_up(self) -> None:
        """End the call."""
        with contextlib.suppress(OSError):  # the program may have ended the call
            self._send(0x00, b"")
        self._socket.close()


@pytest.fixture
def phone(tmp_path: Path, start: Start) -> Iterator[Caller]:
    """A caller of a menu whose routes and answers are digits; one prompt is a recording."""
    (tmp_path / "menu.toml").write_text(
        'tries = 3\n[prompts]\nask = "ask"\nconfirm = "{route}?"\nretry = "retry"\n'
        'done = "to {route}"\noperator = "to somebody"\n'
        f'[answers]\nyes = "{THIRD.lower()}"\nno = "nine nine nine"\n'
        f'[routes]\nsales = "{FIRST.lower()} | one one one one"\nsupport = "{SECOND.lower()}"\n',
        encoding="utf-8",
    )
    with wave.open(str(tmp_path / "ask.wav"), "wb") as prompt:
        prompt.setparams((1, 2, 8000, 0, "NONE", ""))
        prompt.writeframes(bytes(2 * 1600))
    menu = tmp_path / "menu.toml"
    caller = Caller(start("phone_menu.py", menu, "--prompts", tmp_path, "--port", "0"))
    yield caller
    caller.hang_up()


def test_phone_menu_confirms_and_asks_again(
    phone: Caller, pieces: list[NDArray[np.float32]]
) -> None:
    """A call at 8000 Hz: what is no route, and what is not confirmed, is asked again."""
    first, second, third = (soxr.resample(piece, 16_000, 8000) for piece in pieces)
    ask, listen = {"say": "ask"}, {"listen": "now"}
    for spoken, then in ((third, "retry"), (second, "support?")):
        assert phone.step() == ask
        phone.hear(10)
        assert phone.step() == listen
        phone.say(spoken)
        assert phone.step() == {"say": then}
    assert phone.n_played == 2 * 1600
    assert phone.step() == listen
    phone.say(first)  # neither yes nor no
    assert phone.step() == ask
    phone.hear(10)
    assert phone.step() == listen
    phone.say(first)
    assert [phone.step(), phone.step()] == [{"say": "sales?"}, listen]
    phone.say(third)
    assert [phone.step(), phone.step()] == [{"say": "to sales"}, {"route": "sales"}]


def test_phone_menu_survives_a_caller_who_hangs_up(phone: Caller) -> None:
    """A caller who goes away in the middle ends the call, and not the program."""
    assert phone.step() == {"say": "ask"}
    phone.hear(10)
    phone.hang_up()
    assert [phone.step(), phone.step()] == [{"listen": "now"}, {"route": "hung up"}]


def test_callbacks(clip: Path) -> None:
    """Text calls back as it grows; each final takes it away and brings its segment."""
    lines = run("callbacks.py", clip).splitlines()
    finals = [line.partition(" ")[2] for line in lines if not line.startswith(" ")]
    assert finals == list(SPOKEN)
    stable = [line[3:].partition("]")[0] for line in lines if line.startswith("  [")]
    assert any(text and FIRST.startswith(text) for text in stable)
    assert stable.count("") >= len(SPOKEN)


def test_iterator(clip: Path) -> None:
    """Raw audio of standard input becomes sentences with their times, as they are said."""
    samples, rate_hz = soundfile.read(clip, dtype="float32")
    out = run("iterator.py", str(rate_hz), stdin=to_pcm(samples).tobytes() + b"\0")
    assert [line.split(maxsplit=2)[2] for line in out.splitlines()] == list(SPOKEN)


def test_threads(clip: Path, tmp_path: Path, pieces: list[NDArray[np.float32]]) -> None:
    """Several recordings at once, whole and live: each gets its own words."""
    other = tmp_path / "other.wav"
    soundfile.write(other, pieces[1], 16_000)
    everything = " ".join(SPOKEN)
    assert run("threads.py", clip, other).splitlines() == [
        str(clip), f"  whole: {everything}", f"  live:  {everything}",
        str(other), f"  whole: {SECOND}", f"  live:  {SECOND}",
    ]  # fmt: skip


def test_async_server(start: Start, pieces: list[NDArray[np.float32]]) -> None:
    """Clients at the same time each get the events of their own audio, one JSON object a line."""
    process = start("async_server.py", "--port", "0")
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[-1])

    async def client(samples: NDArray[np.float32]) -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = to_pcm(samples).astype("<i2").tobytes()
        for first in range(0, len(data), 4095):  # cuts that split samples
            writer.write(data[first : first + 4095])
        writer.write_eof()
        events = [json.loads(line) async for line in reader]
        writer.close()
        return [event["segment"]["text"] for event in events if event["event"] == "final"]

    async def both() -> list[list[str]]:
        return list(await asyncio.gather(client(np.concatenate(pieces)), client(pieces[2])))

    assert asyncio.run(asyncio.wait_for(both(), _PATIENCE_S)) == [list(SPOKEN), [THIRD]]


# --- what holds for all --------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_examples_use_public_names_alone(name: str) -> None:
    """An example imports `wav2edge` and nothing below it, and takes what is public from it."""
    tree = ast.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {one for one in imported if one and one.startswith("wav2edge")} == {"wav2edge"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "wav2edge"
    }
    assert used <= set(wav2edge.__all__)
    assert "load" in used


def test_every_example_is_tested_and_under_a_page() -> None:
    """Each has a test named for it, says in its first lines how it is run, and is not long."""
    tests = {name for name in globals() if name.startswith("test_")}
    for name in PROGRAMS:
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        assert any(test.startswith(f"test_{name.removesuffix('.py')}") for test in tests)
        assert name in text.split('"""')[1]
        assert text.count("\n") <= 115
