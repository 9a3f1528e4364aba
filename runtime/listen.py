"""`wav2edge listen`: what the microphone hears, as text that grows while somebody speaks."""

import argparse
import contextlib
import signal
import sys
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from .decoding_arguments import add_decoding, decoding_of, tell_unheard
from .terminal import Screen, can_draw, meter, own_stderr, speak_utf8

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from .events import Event
    from .live import Array, LiveSource

_FRAME_S = 1 / 15  # between two drawings of the meter
_LATE_S = 0.5  # of lag that is worth a word
_LONGEST_WAV = (1 << 32) - (1 << 16)  # bytes: a WAV file counts them in 32 bits


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-command `listen`."""
    parser = subparsers.add_parser(
        "listen",
        help="write down what the microphone hears, while somebody speaks",
        description="Write down what the microphone hears. On a terminal: a level meter and the "
        "text so far, bright where it will not change any more. Otherwise one JSON event a line. "
        "Ctrl-C ends it, after what was heard until then.",
    )
    parser.add_argument(
        "--model", metavar="BUNDLE", help="folder of a bundle; default: the embedded model"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--device", metavar="D", help="a microphone, by index or part of its name (--list-devices)"
    )
    source.add_argument("--list-devices", action="store_true", help="list microphones, and end")
    source.add_argument("--file", metavar="FILE", help="play a recording instead, in real time")
    parser.add_argument(
        "--fast", action="store_true", help="with --file: as fast as it can be heard"
    )
    parser.add_argument(
        "--latency",
        choices=("low", "balanced", "accurate"),
        default="balanced",
        help="how soon words come, against how right they are: chunks of 160, 320 or 640 ms; "
        "default: balanced",
    )
    parser.add_argument(
        "--endpoint",
        choices=("fast", "default", "patient"),
        default="default",
        help="how long a pause must be to end a segment: 0.5, 0.8 or 1.5 s; default: default",
    )
    parser.add_argument(
        "--vad",
        action="store_true",
        help="let a voice activity detector tell when it is quiet (extra `vad`)",
    )
    parser.add_argument("--save", metavar="FILE.wav", help="record what is heard into a new file")
    parser.add_argument(
        "--json", action="store_true", help="one JSON event a line, on a terminal as well"
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="CPU threads; default: 1"
    )
    add_decoding(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    speak_utf8()
    with own_stderr():
        if arguments.list_devices:
            _list_devices()
        else:
            _listen(arguments)
    return 0


def _list_devices() -> None:
    from .microphone import input_devices

    for device in input_devices():
        mark = "*" if device.default else " "
        print(
            f"{mark} {device.index:3}  {device.name} ({device.system}), {device.channels} "
            f"channel{'s' * (device.channels > 1)}, {device.rate_hz} Hz"
        )


def _listen(arguments: argparse.Namespace) -> None:
    from .recognizer import load

    with contextlib.ExitStack() as closing:
        source = _source(arguments)
        closing.callback(source.close)
        recognizer = load(arguments.model, threads=arguments.threads, **decoding_of(arguments))
        tell_unheard(arguments, recognizer)
        stream = recognizer.stream(
            arguments.latency,
            endpoint=arguments.endpoint,
            sample_rate=source.rate_hz,
            vad=arguments.vad,
        )
        saved = None
        if arguments.save is not None:
            saved = closing.enter_context(WavFile(arguments.save, source.rate_hz))
        drawn = can_draw(sys.stdout) and not arguments.json
        view: _View = _Drawing(source) if drawn else _Lines(source)
        closing.enter_context(view)

        def monitor(block: "Array") -> None:
            if saved is not None:
                saved.write(block)
            view.heard(len(block))

        closing.enter_context(_stopped_by_signals(source))
        closing.enter_context(source)
        for event in source.events(stream, monitor=monitor):
            view.tell(event)


def _source(arguments: argparse.Namespace) -> "LiveSource":
    from .errors import OptionsError

    if arguments.file is not None:
        from .live import Playback

        return Playback(arguments.file, fast=arguments.fast)
    if arguments.fast:
        raise OptionsError("--fast plays a recording: name it with --file, or leave --fast out")
    from .microphone import Microphone

    device = arguments.device
    return Microphone(int(device) if device is not None and device.isdecimal() else device)


@contextlib.contextmanager
def _stopped_by_signals(source: "LiveSource") -> Iterator[None]:
    """Let Ctrl-C, or a service manager, end the listening in order; the second, at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_: int, __: "FrameType | None") -> None:
        source.stop()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()


# --- what is shown -------------------------------------------------------------------------------


class _View(Protocol):
    """Somewhere to show what is heard."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None: ...

    def tell(self, event: "Event") -> None:
        """Show an event."""

    def heard(self, n_samples: int) -> None:
        """Say that so many more samples were heard; their level is the source's."""


class _Lines:
    """One JSON event a line on stdout; what people should know besides on stderr."""

    def __init__(self, source: "LiveSource") -> None:
        self._source = source
        self._complained = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def tell(self, event: "Event") -> None:
        from .events import to_json

        print(to_json(event), flush=True)

    def heard(self, n_samples: int) -> None:  # noqa: ARG002  (its own time is in the events)
        complaint = self._source.complaint
        if complaint and not self._complained:
            print("wav2edge:", complaint, file=sys.stderr, flush=True)
        self._complained = bool(complaint)


class _Drawing:
    """Text and a level meter in place, finals as lines above."""

    def __init__(self, source: "LiveSource") -> None:
        self._source = source
        self._screen = Screen(sys.stdout)
        self._text = ("", "")
        self._separator = " "
        self._n_samples = 0
        self._drawn_s = 0.0
        self._level_db = -120.0  # the loudest since the last drawing

    def __enter__(self) -> Self:
        source = self._source
        self._screen.line(f"listening to {source.name}, {source.rate_hz} Hz; Ctrl-C ends")
        return self

    def __exit__(self, *_: object) -> None:
        self._screen.clear()

    def tell(self, event: "Event") -> None:
        from .events import Final, Overflow, Partial, SpeechEnd

        if isinstance(event, Partial):
            self._text, self._separator = (event.stable, event.unstable), event.separator
        elif isinstance(event, Final):
            self._text = ("", "")
            self._screen.line(event.text)
        elif isinstance(event, SpeechEnd):
            self._text = ("", "")
        elif isinstance(event, Overflow):
            self._screen.line(
                f"({event.lost_s:.1f} s lost at {_clock(event.time_s)}: this device is too slow, "
                "or too busy)"
            )
        self._draw()

    def heard(self, n_samples: int) -> None:
        self._n_samples += n_samples
        self._level_db = max(self._level_db, self._source.level_db)
        if time.monotonic() - self._drawn_s >= _FRAME_S:
            self._draw()

    def _draw(self) -> None:
        self._screen.draw(*self._text, self._status(), separator=self._separator)
        self._drawn_s, self._level_db = time.monotonic(), -120.0

    def _status(self) -> str:
        source = self._source
        late = f"  {source.lag_s:.1f} s behind" if source.lag_s >= _LATE_S else ""
        heard = _clock(self._n_samples / source.rate_hz)
        return source.complaint or f"{meter(self._level_db)}  {heard}{late}"


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(int(time_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


# --- what is kept --------------------------------------------------------------------------------


class WavFile:
    """A mono WAV file of 16 bits that is whole after every block, however the program ends.

    Args:
        path: Of the file; it must not exist.
        rate_hz: Of the samples.

    Raises:
        AudioWriteError: If it exists or cannot be made.
    """

    def __init__(self, path: str, rate_hz: int) -> None:
        from .errors import AudioWriteError

        self._path = path
        self._n_bytes = 0
        try:
            self._file = Path(path).open("xb")  # noqa: SIM115  (closed in __exit__)
        except FileExistsError as error:
            raise AudioWriteError(f"{path} exists: name another file, or delete it") from error
        except OSError as error:
            raise AudioWriteError(f"{path} cannot be written: {error.strerror or error}") from error
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115
        self._wave.setnchannels(1)
        self._wave.setsampwidth(2)
        self._wave.setframerate(rate_hz)
        self._wave.writeframes(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # each block is on disk already, or was complained about
            self._wave.close()
        with contextlib.suppress(OSError):
            self._file.close()

    def write(self, samples: "Array") -> None:
        """Add samples, float32 `[n]`; what is louder than full scale is clipped.

        Raises:
            AudioWriteError: If the disk is full, or the file as long as a WAV file can be.
        """
        import numpy as np

        from .errors import AudioWriteError

        pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2").tobytes()
        self._n_bytes += len(pcm)
        if self._n_bytes > _LONGEST_WAV:
            raise AudioWriteError(f"{self._path} is full, a WAV file holds 4 GiB: start another")
        try:
            self._wave.writeframes(pcm)
            self._file.flush()
        except OSError as error:
            raise AudioWriteError(
                f"{self._path} cannot be written any further: {error.strerror or error}"
            ) from error
