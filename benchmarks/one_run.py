"""One recording through one model in a process of its own: tells what that took, as JSON.

    python -m wav2edge.benchmarks.one_run streaming|offline BUNDLE RECORDING THREADS PROVIDERS

Imports no more than it needs: what stands here is part of what `fresh` measures.
"""

import json
import sys
import time
from typing import TYPE_CHECKING

from .memory import peak_rss_mb

if TYPE_CHECKING:
    from wav2edge.runtime.recognizer import Recognizer

_BEGAN_S = time.perf_counter()
_BLOCK_S = 0.02


def main(way: str, bundle: str, recording: str, threads: str, provider: str) -> None:
    """Hear the recording once: as a balanced stream in blocks of 20 ms, or as a whole."""
    from wav2edge.runtime.recognizer import load

    imported_s = time.perf_counter()
    recognizer = load(bundle, threads=int(threads), provider=provider.split(","))
    loaded_s, loaded_mb = time.perf_counter(), peak_rss_mb()
    if way == "offline":
        recognizer.transcribe(recording).to_json()
    else:
        _stream(recognizer, recording)
    told = {
        "import_s": imported_s - _BEGAN_S,
        "load_s": loaded_s - imported_s,
        "hear_s": time.perf_counter() - loaded_s,
        "cpu_s": time.process_time(),
        "loaded_mb": loaded_mb,
        "peak_mb": peak_rss_mb(),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _stream(recognizer: "Recognizer", recording: str) -> None:
    from wav2edge.runtime.audio import Audio

    stream = recognizer.stream()
    size = int(_BLOCK_S * stream.rate_hz)
    with Audio(recording, sample_rate=None, to_hz=stream.rate_hz) as audio:
        for block in audio.blocks():
            for first in range(0, len(block), size):
                stream.push(block[first : first + size])
    stream.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
