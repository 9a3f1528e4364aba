"""Plain ONNX Runtime on a plain export, as most write it themselves (`peer_worker`)."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "onnxruntime")
Samples = NDArray[np.float32]


def load(job: dict[str, Any]) -> dict[str, Callable[[Samples], Samples]]:
    """Open the session."""
    library = importlib.import_module("onnxruntime")
    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = job["threads"]
    session = library.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])

    def whole(samples: Samples) -> Samples:
        if job["do_normalize"]:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        logits: Samples = session.run(None, {"input_values": samples[None]})[0][0]
        return logits

    return {"whole": whole}
