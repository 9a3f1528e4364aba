"""Embedding by callbacks: your program hands audio over and goes on; what is heard calls it back.

Audio callbacks (of PortAudio, JACK, a game's mixer) must never wait. Here they put a block into a
queue, and a thread of its own computes.

    python callbacks.py talk.wav
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

import wav2edge

Samples = NDArray[np.float32] | NDArray[np.int16]


class Dictation:
    """A stream in a thread of its own.

    Args:
        recognizer: Any number of dictations may share one.
        rate_hz: Of the samples that `feed` takes.
        on_text: Called with (stable, unstable) whenever the text changes.
        on_final: Called with each finished segment.
        on_end: Called once at the end, with the error that ended it, or None.
    """

    def __init__(
        self,
        recognizer: wav2edge.Recognizer,
        rate_hz: int,
        *,
        on_text: Callable[[str, str], None],
        on_final: Callable[[wav2edge.Segment], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self._stream = recognizer.stream(sample_rate=rate_hz)
        self._on_text, self._on_final, self._on_end = on_text, on_final, on_end
        self._blocks: queue.SimpleQueue[Samples | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)

    def feed(self, samples: Samples) -> None:
        """Hand over a block; never waits. The block must not be written to afterwards."""
        self._blocks.put(samples)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._blocks.put(None)
        self._thread.join()

    def _fed(self) -> Iterator[Samples]:
        while (block := self._blocks.get()) is not None:
            yield block

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            for event in self._stream.events(self._fed()):
                match event:
                    case wav2edge.Partial(stable=stable, unstable=unstable):
                        self._on_text(stable, unstable)
                    case wav2edge.Final(segment=segment):
                        self._on_text("", "")
                        self._on_final(segment)
                    case wav2edge.SpeechEnd(reason="rejected"):  # it was noise: take it back
                        self._on_text("", "")
        except Exception as error:  # noqa: BLE001  (whatever it is, the program is to know)
            failure = error
        self._on_end(failure)


def main() -> int:
    """Feed a recording as an audio callback would, 20 ms at a time."""
    ended: list[Exception | None] = []
    with (
        wav2edge.Playback(sys.argv[1], fast=True) as source,
        Dictation(
            wav2edge.load(),
            source.rate_hz,
            on_text=lambda stable, unstable: print(f"  [{stable}] {unstable}"),
            on_final=lambda segment: print(f"{segment.start_s:.2f} {segment.text}"),
            on_end=ended.append,
        ) as dictation,
    ):
        for block in source:
            dictation.feed(block)
    if ended[0] is not None:
        print(ended[0], file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
