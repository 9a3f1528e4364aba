"""Phone calls from Asterisk, for phone_menu.py: a server for its AudioSocket protocol.

In the dialplan: `AudioSocket(UUID,127.0.0.1:9092)`. Messages are a byte that says the kind, two
that say the length, and the payload; audio is 16 bit, 8000 Hz, little-endian.
"""

import json
import socketserver
import struct
import uuid
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
FRAME = 160  # samples: 20 ms
HANGUP, UUID, AUDIO = 0x00, 0x01, 0x10


class HungUpError(ConnectionError):
    """The caller is gone."""


class Line:
    """One call: what the caller says, and a way to say something.

    Iterate over it for int16 blocks `[n]` at 8000 Hz.
    """

    def __init__(self, handler: socketserver.StreamRequestHandler, prompts: Path) -> None:
        self._in, self._out, self._prompts = handler.rfile, handler.wfile, prompts
        self._id = str(uuid.UUID(bytes=self._message(UUID)))

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        while True:
            yield np.frombuffer(self._message(AUDIO), "<i2").astype(np.int16)

    def say(self, name: str, text: str) -> None:
        """Play a prompt, NAME.wav; what the caller says meanwhile is not heard."""
        self.tell(say=text)
        path = self._prompts / f"{name}.wav"
        if not path.is_file():
            return
        with wave.open(str(path)) as prompt:
            while frame := prompt.readframes(FRAME):
                self._out.write(struct.pack(">BH", AUDIO, len(frame)) + frame)
                self._message(AUDIO)  # one comes for each that goes: that is the clock

    def tell(self, **facts: str) -> None:
        """Write down a step."""
        print(json.dumps({"call": self._id, **facts}), flush=True)

    def _message(self, wanted: int) -> bytes:
        """Return the payload of the next message of a kind."""
        while True:
            head = self._in.read(3)
            kind, length = struct.unpack(">BH", head) if len(head) == 3 else (HANGUP, 0)
            payload = self._in.read(length)
            if kind == HANGUP or len(payload) < length:
                raise HungUpError
            if kind == wanted:
                return payload


def serve(port: int, prompts: Path, route: Callable[[Line], str]) -> None:
    """Take each call, in a thread of its own, through `route`; 0 is any port that is free."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                line = Line(self, prompts)
            except ConnectionError:
                return
            try:
                line.tell(route=route(line))
            except ConnectionError:
                line.tell(route="hung up")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        print(json.dumps({"port": server.server_address[1]}), flush=True)
        server.serve_forever()
