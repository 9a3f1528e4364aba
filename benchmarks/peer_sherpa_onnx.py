"""What sherpa-onnx does with a raw-wave CTC model: the layout of its omnilingual models.

Its C++ runtime scales every recording to mean 0 and variance 1, runs the model's first output, and
decodes greedily; a fault in a file ends the process. It has no streaming for such models.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "sherpa-onnx")
RATE_HZ = 16_000


def load(job: dict[str, Any]) -> dict[str, Callable[[NDArray[np.float32]], str]]:
    """Load the model and its tokens."""
    recognizer = importlib.import_module("sherpa_onnx").OfflineRecognizer
    loaded = recognizer.from_omnilingual_asr_ctc(
        model=job["model"], tokens=job["token_file"], num_threads=job["threads"]
    )

    def whole(samples: NDArray[np.float32]) -> str:
        stream = loaded.create_stream()
        stream.accept_waveform(RATE_HZ, samples)
        loaded.decode_stream(stream)
        text: str = stream.result.text
        return text.strip()

    return {"whole": whole}
