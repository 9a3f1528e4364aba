"""Embedding from several threads: one model, and a stream or a recording for each thread.

A recognizer may be shared by any number of threads; a stream belongs to one at a time. While the
model runs, Python's lock is free, so threads use several cores.

    python threads.py monday.wav tuesday.flac wednesday.mp3
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import wav2edge


def heard_whole(recognizer: wav2edge.Recognizer, path: str) -> str:
    """Transcribe a recording as a whole."""
    return recognizer.transcribe(path).text


def heard_live(recognizer: wav2edge.Recognizer, path: str) -> str:
    """Hear a recording as a live stream would: a stream of this thread's own."""
    with wav2edge.Playback(path, fast=True) as source:
        stream = recognizer.stream(sample_rate=source.rate_hz)
        events = source.events(stream)
        return " ".join(event.text for event in events if isinstance(event, wav2edge.Final))


def main() -> None:
    """Do both with every recording, a thread for each core."""
    paths = sys.argv[1:]
    recognizer = wav2edge.load(threads=1)  # one each: the threads are ours already
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        whole = pool.map(lambda path: heard_whole(recognizer, path), paths)
        live = pool.map(lambda path: heard_live(recognizer, path), paths)
        for path, offline, streamed in zip(paths, whole, live, strict=True):
            print(f"{path}\n  whole: {offline}\n  live:  {streamed}")


if __name__ == "__main__":
    main()
