"""A graph -> `model.onnx`, and beside it `model.onnx.data` with the weights, if they are many.

ONNX Runtime maps a file of weights into memory and lets go of it once it has packed them its own
way; weights inside the graph it keeps twice. So a model of base size takes 117 MB less, and one of
10 MB 10 MB less. And one protobuf message has at most 2 GB, which larger models exceed. The graph
names the file; the runtime hashes both and opens no other.
"""

from pathlib import Path

import onnx
from onnx import TensorProto

from wav2edge.runtime.bundle import MODEL, WEIGHTS

LARGEST = 2**20
"""Bytes of weights that stay in the graph: a small model is one file."""
_PAGE = 4096  # bytes; weights that begin on a page can be mapped into memory
_SMALL = 1024  # bytes; smaller constants stay in the graph


def write_model(model: onnx.ModelProto, folder: Path) -> Path:
    """Write a model, and check it; the same model gives the same bytes.

    Args:
        model: Its weights are taken out of it where they go into a file of their own.
        folder: Where; it exists.

    Returns:
        The path of `model.onnx`.
    """
    path = folder / MODEL
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST:
        _move_weights(model, folder / WEIGHTS)
    path.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))
    return path


def _move_weights(model: onnx.ModelProto, path: Path) -> None:
    with path.open("wb") as file:
        for tensor in model.graph.initializer:
            size = len(tensor.raw_data)
            if size < _SMALL:
                continue
            file.write(bytes(-file.tell() % _PAGE))
            facts = {"location": path.name, "offset": file.tell(), "length": size}
            file.write(tensor.raw_data)
            _point_to(tensor, facts)


def _point_to(tensor: TensorProto, facts: dict[str, object]) -> None:
    """Make a tensor say where its values are, instead of holding them."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in facts.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
