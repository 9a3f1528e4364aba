"""A stand-in for sounddevice: devices and deliveries are what a test says."""

import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

BLOCK = 160  # samples: 20 ms at 8000 Hz


class PortAudioError(Exception):
    """As in sounddevice: text, PortAudio's number, and what the sound system says."""


def device(name: str, *, rate_hz: float = 8000.0, inputs: int = 1) -> dict[str, Any]:
    """Describe a device as sounddevice does; a test sets its own index."""
    return {
        "name": name,
        "hostapi": 0,
        "max_input_channels": inputs,
        "default_samplerate": rate_hz,
    }


class FakePortAudio(ModuleType):
    """The parts of sounddevice that a microphone uses.

    Args:
        devices: From `device`; the first that has inputs is the default.
    """

    def __init__(self, devices: Sequence[dict[str, Any]] = (device("Fake"),)) -> None:
        super().__init__("sounddevice")
        self.PortAudioError = PortAudioError
        self.devices = [{**one, "index": i} for i, one in enumerate(devices)]
        self.opened: FakeStream | None = None
        self.refuse: Callable[[int], None] = lambda _: None
        """Called with the number of channels before a stream opens; it may raise."""
        self.on_start: Callable[[FakeStream], None] = lambda _: None
        """Called when a stream starts: a test may deliver at once."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakePortAudio":
        """Be the sounddevice that is imported."""
        monkeypatch.setitem(sys.modules, "sounddevice", self)
        return self

    def query_devices(self, which: int | str | None = None, kind: str = "") -> Any:  # noqa: ANN401
        """List all devices, or find one, with the errors that sounddevice raises."""
        if not kind:
            return self.devices
        inputs = [one for one in self.devices if one["max_input_channels"] > 0]
        if which is None and not inputs:
            raise PortAudioError("Error querying device -1")
        if which is None:
            return inputs[0]
        if isinstance(which, int):
            if not 0 <= which < len(self.devices):
                raise PortAudioError(f"Error querying device {which}")
            found = [one for one in inputs if one["index"] == which]
        else:
            found = [one for one in inputs if which.lower() in one["name"].lower()]
        if len(found) != 1:
            raise ValueError(f"{len(found)} input devices match {which!r}")
        return found[0]

    def query_hostapis(self, _: int) -> dict[str, str]:
        """Name the sound system."""
        return {"name": "Fake"}

    def RawInputStream(self, **options: Any) -> "FakeStream":  # noqa: ANN401, N802  (its name there)
        """Open a stream."""
        self.refuse(options["channels"])
        self.opened = FakeStream(options, self.on_start)
        return self.opened


class FakeStream:
    """An open stream; the test calls `deliver` in place of PortAudio's thread."""

    def __init__(self, options: dict[str, Any], on_start: "Callable[[FakeStream], None]") -> None:
        self.options, self._on_start = options, on_start
        self.closed = False

    def start(self) -> None:
        """Begin."""
        self._on_start(self)

    def close(self, ignore_errors: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002
        """End; PortAudio then says that it is finished."""
        if not self.closed:
            self.closed = True
            self.options["finished_callback"]()

    def deliver(self, samples: NDArray[np.float32]) -> None:
        """Deliver samples, `[n]` or `[n, channels]`, in blocks, from memory that is used again."""
        memory = np.zeros((BLOCK, self.options["channels"]), np.float32)
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK]
            memory[: len(block)] = block.reshape(len(block), -1)
            data = memory.data.cast("B")[: memory[: len(block)].nbytes]
            self.options["callback"](data, len(block), None, None)
            memory[:] = np.nan

    def vanish(self) -> None:
        """Be unplugged."""
        self.options["finished_callback"]()
