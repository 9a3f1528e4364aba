"""What wav2edge itself does, in an environment of what its base install needs (`peer_worker`)."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "onnxruntime", "soundfile", "soxr")
RATE_HZ = 16_000


def load(job: dict[str, Any]) -> dict[str, Callable[[NDArray[np.float32]], str]]:
    """Load the bundle, decoded as the job says, or greedily.

    `stream` hears the recording in chunks, as a microphone gives it.
    """
    sys.path.append(job["package"])
    recognizer = importlib.import_module("wav2edge").load(
        job["model"], threads=job["threads"], **job.get("decoding", {"decoder": "greedy"})
    )

    def whole(samples: NDArray[np.float32]) -> str:
        text: str = recognizer.transcribe(samples, RATE_HZ).text
        return text

    def stream(samples: NDArray[np.float32]) -> str:
        options = importlib.import_module("wav2edge.runtime.stream").StreamOptions
        opened = recognizer.stream(options(**job["stream"]))
        size = int(job["stream"]["chunk_ms"] * RATE_HZ / 1000)
        blocks = (samples[first : first + size] for first in range(0, len(samples), size))
        finals = (event for event in opened.events(blocks) if hasattr(event, "segment"))
        return " ".join(event.segment.text for event in finals)

    return {"whole": whole, "stream": stream}
