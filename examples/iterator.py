"""Embedding by iterator: blocks of audio in, sentences out, both as they come.

The samples may come from anywhere: a generator that reads a socket, a pipe, a file. Here it is raw
16-bit audio on standard input, as `arecord` and `ffmpeg` write it:

    arecord -q -f S16_LE -r 16000 -c 1 -t raw | python iterator.py 16000
    ffmpeg -v error -i talk.mp3 -f s16le -ac 1 -ar 16000 - | python iterator.py 16000
"""

import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

import wav2edge

BLOCK_S = 0.1


def blocks(pipe: BinaryIO, rate_hz: int) -> Iterator[NDArray[np.int16]]:
    """Yield int16 samples `[n]` as they arrive, until the pipe ends."""
    while data := pipe.read(2 * round(BLOCK_S * rate_hz)):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)


def sentences(
    recognizer: wav2edge.Recognizer, samples: Iterable[NDArray[np.int16]], rate_hz: int
) -> Iterator[wav2edge.Segment]:
    """Yield what is said, segment by segment, each as soon as it is final."""
    stream = recognizer.stream(sample_rate=rate_hz)
    for event in stream.events(samples):
        if isinstance(event, wav2edge.Final):
            yield event.segment


def main() -> None:
    """Write down what comes in on standard input."""
    rate_hz = int(sys.argv[1])
    for segment in sentences(wav2edge.load(), blocks(sys.stdin.buffer, rate_hz), rate_hz):
        print(f"{segment.start_s:8.2f} {segment.end_s:8.2f}  {segment.text}", flush=True)


if __name__ == "__main__":
    main()
