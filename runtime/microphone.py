"""Microphones as sources of live audio: the door to PortAudio.

>>> def listen(recognizer):
...     with Microphone() as microphone:
...         stream = recognizer.stream("low", sample_rate=microphone.rate_hz)
...         for event in microphone.events(stream):
...             print(event)
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .capture import LossDetector
from .errors import (
    MicrophoneBusyError,
    MicrophoneLostError,
    MicrophoneNotFoundError,
    MicrophonePermissionError,
    PortAudioMissingError,
)
from .live import LiveSource

NO_SIGNAL_S = 5.0  # of silence that no living microphone delivers, before it is told
STALLED_S = 5.0  # without any delivery; a Bluetooth headset may take three to begin

_BLOCK_S = 0.02
_BUFFER_S = 0.1  # inside PortAudio: what this process may sleep through without a loss
_WRONG_CHANNELS = -9998  # paInvalidChannelCount
_UNAVAILABLE = -9985  # paDeviceUnavailable
_DENIED = ("permission denied", "access is denied", "access denied", "eacces", "0x80070005")


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone, or anything else that delivers sound."""

    index: int
    """What it is chosen by; it changes when devices come and go."""
    name: str
    """It is chosen by any part of its name as well."""
    system: str
    """The sound system that it belongs to: ALSA, Core Audio, Windows WASAPI."""
    channels: int
    rate_hz: int
    """The rate that it runs at unless it is asked for another."""
    default: bool


def input_devices() -> list[Device]:
    """List the microphones that are there, as they were when PortAudio was first used.

    Raises:
        PortAudioMissingError: If sounddevice or PortAudio is not installed.
        MicrophoneNotFoundError: If there is none.
        MicrophonePermissionError: If the system hides them from this user.
    """
    return list(_devices(_sounddevice()).values())


class Microphone(LiveSource):
    """A microphone: mono float32 blocks at its own rate, and `events` to drive a stream with it.

    It captures from `__enter__` on, in a thread of its own, into a queue of ten seconds. Whoever is
    slower than that loses the oldest second, which is told: the iteration yields zeros in its
    place, `events` an `Overflow`, and all times stay true. So they do when the system or the device
    loses audio on its own, which the clock shows within six seconds.

    Args:
        device: Index or a part of the name, as `input_devices` lists them; None: the system's own
            choice.

    Raises:
        PortAudioMissingError: If sounddevice or PortAudio is not installed.
        MicrophoneNotFoundError: If there is no such device, or the name fits several.
        MicrophonePermissionError: If the system hides its sound devices from this user.

    And while it is listened to:

    Raises:
        MicrophoneBusyError: If it cannot be opened.
        MicrophonePermissionError: If the system forbids it.
        MicrophoneLostError: If it goes away, or delivers nothing for five seconds.
    """

    def __init__(self, device: int | str | None = None) -> None:
        self._sounddevice = _sounddevice()
        self.device = _found(self._sounddevice, device)
        """What was chosen."""
        super().__init__(self.device.name, self.device.rate_hz)
        self._losses = LossDetector(self.rate_hz)
        self._stream: Any = None
        self._closing = False

    @property
    def complaint(self) -> str:
        """What is wrong with the signal, in words for people; empty if nothing is."""
        if self.silent_s < NO_SIGNAL_S:
            return ""
        return (
            f"no signal from {self.name} for {self.silent_s:.0f} s: unmute it, choose another with "
            "--list-devices, or let this program use the microphone in the system's settings"
        )

    def close(self) -> None:
        """Stop, and give the device back."""
        self.stop()
        self._closing = True
        if self._stream is not None:
            self._stream.close(ignore_errors=True)
            self._stream = None

    def _start(self) -> None:
        try:
            try:
                self._stream = self._opened(1)
            except self._sounddevice.PortAudioError as error:
                if _code(error) != _WRONG_CHANNELS or self.device.channels == 1:
                    raise
                self._stream = self._opened(self.device.channels)
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self.close()
            _refuse(self.device, error)

    def _opened(self, channels: int) -> Any:  # noqa: ANN401  (sounddevice has no types)
        return self._sounddevice.RawInputStream(
            device=self.device.index,
            samplerate=self.rate_hz,
            blocksize=max(1, round(_BLOCK_S * self.rate_hz)),
            latency=_BUFFER_S,
            channels=channels,
            dtype="float32",
            callback=self._captured,
            finished_callback=self._finished,
        )

    def _captured(self, data: Any, n_samples: int, times: object, status: object) -> None:  # noqa: ANN401, ARG002
        """Take a block from PortAudio's thread."""
        channels = np.frombuffer(data, np.float32).reshape(n_samples, -1)
        samples = channels.mean(axis=1)  # of one channel as well: the buffer is PortAudio's own
        n_lost = self._losses.delivered(n_samples, time.monotonic())
        self._queue.put(samples, n_lost=n_lost)

    def _finished(self) -> None:
        """PortAudio will not deliver any more: because it was closed, or because it cannot."""
        if not self._closing:
            self._end(
                MicrophoneLostError(
                    f"{self.name} went away while it was listened to: plug it in again, see that "
                    "its sound server runs, and start once more"
                )
            )

    def _idle(self, idle_s: float) -> None:
        if idle_s >= STALLED_S:
            raise MicrophoneLostError(
                f"{self.name} has delivered nothing for {STALLED_S:.0f} s, not even silence: plug "
                "it in again, or choose another device"
            )


def _sounddevice() -> Any:  # noqa: ANN401  (it has no types)
    try:
        import sounddevice
    except ImportError as error:
        raise PortAudioMissingError(
            'a microphone needs sounddevice, which is not installed: pip install "wav2edge[mic]"'
        ) from error
    except OSError as error:  # its wheels for Linux come without the library itself
        raise PortAudioMissingError(
            "a microphone needs the PortAudio library, which is not installed: "
            "apt-get install libportaudio2 (Debian, Ubuntu), dnf install portaudio (Fedora)"
        ) from error
    return sounddevice


def _devices(sounddevice: Any) -> dict[int, Device]:  # noqa: ANN401
    """Return the microphones by their index; at least one."""
    default = _default_index(sounddevice)
    there = {
        found["index"]: Device(
            index=found["index"],
            name=found["name"],
            system=sounddevice.query_hostapis(found["hostapi"])["name"],
            channels=found["max_input_channels"],
            rate_hz=round(found["default_samplerate"]),
            default=found["index"] == default,
        )
        for found in sounddevice.query_devices()
        if found["max_input_channels"] > 0
    }
    if not there:
        _refuse_without_devices()
    return there


def _default_index(sounddevice: Any) -> int:  # noqa: ANN401
    """Return the device that the system would choose, or -1."""
    try:
        return int(sounddevice.query_devices(None, "input")["index"])
    except (ValueError, sounddevice.PortAudioError):
        return -1


def _found(sounddevice: Any, device: int | str | None) -> Device:  # noqa: ANN401
    """Find the device that is meant; sounddevice knows the rules for parts of names."""
    there = _devices(sounddevice)
    try:
        return there[sounddevice.query_devices(device, "input")["index"]]
    except (LookupError, ValueError, TypeError, sounddevice.PortAudioError) as error:
        meant = "the default microphone" if device is None else f"the microphone {device!r}"
        listed = ", ".join(f"{one.index} {one.name}" for one in there.values())
        raise MicrophoneNotFoundError(
            f"{meant} is not there, or not the only one of that name; there are: {listed}; give "
            "an index, or more of the name"
        ) from error


def _refuse_without_devices() -> NoReturn:
    if sys.platform == "linux":
        nodes = sorted(Path("/dev/snd").glob("pcm*c"))
        if nodes and not any(os.access(node, os.R_OK) for node in nodes):
            raise MicrophonePermissionError(
                f"there is a microphone, {nodes[0]}, and this user may not read it: add the user "
                "to the group audio (usermod -aG audio NAME) and log in again"
            )
    raise MicrophoneNotFoundError(
        "there is no microphone: plug one in, and see that its sound server runs"
    )


def _code(error: Exception) -> int:
    """Return PortAudio's number of an error; 0 if it has none."""
    return error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else 0


def _refuse(device: Device, error: Exception) -> NoReturn:
    """Raise our error for one of PortAudio's."""
    said = str(error)
    which = f"the microphone {device.index} {device.name}"
    if any(word in said.lower() for word in _DENIED):
        raise MicrophonePermissionError(
            f"{which} may not be used: let this program use it in the system's settings; on Linux "
            "add the user to the group audio"
        ) from error
    if _code(error) == _UNAVAILABLE:
        raise MicrophoneBusyError(
            f"{which} is in use or was unplugged: end the program that holds it, or choose another "
            "device"
        ) from error
    raise MicrophoneBusyError(
        f"{which} cannot be opened at {device.rate_hz} Hz, {said}: choose another device"
    ) from error
