"""One recording through one model in a process of its own, for its memory: prints the peak."""

import sys
from pathlib import Path

from wav2edge.runtime.recognizer import load

from .clips import find_clips, looped
from .memory import peak_rss_mb
from .sliding_window import OPTIONS

_LENGTH_S = 30.0


def main(way: str, bundle: str) -> None:
    """Stream 30 s of the package's clips, or take them at once."""
    recognizer = load(Path(bundle), threads=1)
    rate_hz = recognizer.sample_rate_hz
    if way == "offline":
        audio = next(looped(find_clips([]), rate_hz=rate_hz, gap_s=0.2, block_s=_LENGTH_S))
        recognizer.transcribe(audio, sample_rate=rate_hz)
    else:
        blocks = looped(find_clips([]), rate_hz=rate_hz, gap_s=0.2, block_s=0.02)
        stream = recognizer.stream(OPTIONS)
        for _ in range(round(_LENGTH_S / 0.02)):
            stream.push(next(blocks))
        stream.finish()
    sys.stdout.write(f"{peak_rss_mb()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
