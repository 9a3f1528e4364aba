"""What OpenVINO does with the plain export, float or quantized by its own tools (`peer_worker`).

Run as a script it quantizes: python -I peer_openvino.py MODEL.onnx OUT.xml KIND AUDIO..., where
KIND is float32, float16 (weights, which is what its converter does by default), int8, or int8-front
(int8 with the first convolutions left alone).
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "openvino")
Samples = NDArray[np.float32]

_FRONT = 4  # convolutions that OpenVINO's own notebook on wav2vec2 had to leave in float


def load(job: dict[str, Any]) -> dict[str, Callable[[Samples], Samples | str]]:
    """Compile the model for the processor."""
    core = importlib.import_module("openvino").Core()
    hints = {
        "INFERENCE_NUM_THREADS": job["threads"],
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    if "precision" in job:
        hints["INFERENCE_PRECISION_HINT"] = job["precision"]
    request = core.compile_model(job["model"], "CPU", hints).create_infer_request()

    def whole(samples: Samples) -> Samples:
        request.infer({0: _scaled(samples, job)[None]})
        logits: Samples = request.get_output_tensor(0).data[0]
        return logits

    def operators(samples: Samples) -> str:
        """Tell how many ms the operators of each kind take, in a model that counts them."""
        counting = core.compile_model(job["model"], "CPU", {**hints, "PERF_COUNT": True})
        counted = counting.create_infer_request()
        for _ in range(3):  # the first runs prepare what is kept for this length
            counted.infer({0: _scaled(samples, job)[None]})
        spent: dict[str, float] = {}
        for node in counted.get_profiling_info():
            spent[node.node_type] = (
                spent.get(node.node_type, 0) + 1000 * node.cpu_time.total_seconds()
            )
        return json.dumps(spent)

    return {"whole": whole, "operators": operators}


def _scaled(samples: Samples, job: dict[str, Any]) -> Samples:
    if not job["do_normalize"]:
        return samples
    scaled: Samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    return scaled


def convert(model: Path, out: Path, kind: str, audio: list[Path]) -> None:
    """Write the model in OpenVINO's own format.

    Args:
        model: The ONNX file, float32.
        out: The file to write, `.xml`; its weights lie beside it.
        kind: As the module tells.
        audio: Files of float32 samples, scaled as the model wants them, to calibrate on.
    """
    library = importlib.import_module("openvino")
    read = library.Core().read_model(model)
    if kind.startswith("int8"):
        tools = importlib.import_module("nncf")
        clips = [np.fromfile(path, np.float32)[None] for path in audio]
        left = {}
        if kind == "int8-front":
            left["ignored_scope"] = tools.IgnoredScope(names=_first_convolutions(read))
        read = tools.quantize(
            read,
            tools.Dataset(clips),
            model_type=tools.ModelType.TRANSFORMER,
            subset_size=len(clips),
            **left,
        )
    library.save_model(read, out, compress_to_fp16=kind == "float16")


def _first_convolutions(read: Any) -> list[str]:  # noqa: ANN401  (openvino's own type)
    kinds = ("Convolution", "GroupConvolution")
    found = [one for one in read.get_ordered_ops() if one.get_type_name() in kinds]
    return [one.get_friendly_name() for one in found[:_FRONT]]


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], [Path(one) for one in sys.argv[4:]])
