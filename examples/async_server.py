"""asyncio: a server that hears raw audio of many clients and answers with events.

A client sends 16-bit mono audio, 16,000 Hz, little-endian, and closes its side at the end; it gets
one JSON event a line. With netcat:

    python async_server.py --port 9093 &
    ffmpeg -v error -i talk.mp3 -f s16le -ac 1 -ar 16000 - | nc -N 127.0.0.1 9093

The computing runs in threads, so that the event loop is never late; each connection awaits its own
before it reads on, so a client that sends too fast is slowed down by TCP itself.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator

import numpy as np

import wav2edge

RATE_HZ = 16_000
BLOCK_BYTES = 2 * RATE_HZ // 10


async def events(
    recognizer: wav2edge.Recognizer, reader: asyncio.StreamReader
) -> AsyncIterator[wav2edge.Event]:
    """Yield what a stream tells of the audio that a reader delivers."""
    stream = recognizer.stream(sample_rate=RATE_HZ)
    rest = b""
    while data := await reader.read(BLOCK_BYTES):
        data = rest + data
        n_whole = len(data) // 2 * 2
        samples, rest = np.frombuffer(data[:n_whole], "<i2").astype(np.int16), data[n_whole:]
        for event in await asyncio.to_thread(stream.push, samples):
            yield event
    for event in await asyncio.to_thread(stream.finish):
        yield event


async def serve(recognizer: wav2edge.Recognizer, port: int) -> None:
    """Serve until cancelled."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for event in events(recognizer, reader):
                writer.write(event.to_json().encode() + b"\n")
                await writer.drain()
        except ConnectionError:  # the client went away: so does its stream
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    print(f"listening on port {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Load the model once, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=9093, help="0: any that is free")
    parser.add_argument("--model", help="a bundle; default: the embedded model")
    given = parser.parse_args()
    asyncio.run(serve(wav2edge.load(given.model), given.port))


if __name__ == "__main__":
    main()
