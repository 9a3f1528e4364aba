"""The step graph as one ONNX file.

Traced by torch, quantized, and put together without a trace of the machine.

The two entry points become the branches of one `If`, chosen by whether there are samples:

    samples [1, n > 0]  -> front:   features              (log_probs and keys come back empty)
    samples [1, 0]      -> context: log_probs and keys     (features comes back empty)

so one file, one session and one copy of the weights serve both, and a run computes only what was
asked for.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from .step_graph import StepGraph

OPSET = 20  # the first with Gelu as one operator; onnxruntime has it since 1.17
_PRODUCER = "wav2edge"


@dataclass(frozen=True)
class Sizes:
    """The sizes a checkpoint's config gives; nothing here is a decree."""

    hidden: int
    layers: int
    heads: int
    head_size: int
    vocabulary: int
    left_frames: int
    receptive_field: int
    hop: int
    kernel: int | None
    """Samples under the first convolution if it is group-normed, else None."""


def build_graph(step: StepGraph, sizes: Sizes, precision: str) -> onnx.ModelProto:
    """Trace both entry points, quantize them if asked, and join them.

    Args:
        step: The torch modules, in eval mode, float32.
        sizes: Their sizes.
        precision: "float32", or "int8": dynamic int8 for every MatMul with a constant factor but
            the CTC head.

    Returns:
        The model, checked, free of names and paths of the machine; identical input and versions
        give identical bytes.
    """
    front = _trace(step.front, _front_inputs(sizes), ("features",))
    context = _trace(step.context, _context_inputs(sizes), ("log_probs", "keys"))
    if precision == "int8":
        # The CTC head stays float32: 1 % of the work, and a third of the whole error.
        front, context = _quantize(front), _quantize(context, keep=_linear_nodes(context)[-1:])
    model = _join(_clean(front), _clean(context), sizes)
    onnx.checker.check_model(model)
    return model


def matmul_precision(model: onnx.ModelProto) -> dict[str, int]:
    """Count the operators that multiply matrices, by kind, in both branches.

    It is what `precision.operators` in the manifest reports.
    """
    counts: dict[str, int] = {}
    for branch in model.graph.node[-1].attribute:
        for node in branch.g.node:
            if node.op_type in ("MatMul", "MatMulInteger", "Gemm", "Conv", "ConvInteger"):
                counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return counts


@dataclass(frozen=True)
class _Input:
    example: torch.Tensor
    dynamic: int | None = None
    """The dimension that varies."""


def _front_inputs(sizes: Sizes) -> dict[str, _Input]:
    # Lengths are drawn apart from each other and from 0 and 1, which torch.export would take for
    # constants.
    inputs = {"samples": _Input(torch.randn(1, sizes.receptive_field + 7 * sizes.hop + 3), 1)}
    if sizes.kernel is not None:
        inputs["conv0_mean"] = _Input(torch.randn(sizes.kernel))
        inputs["conv0_root"] = _Input(torch.randn(sizes.kernel, sizes.kernel))
    return inputs


def _context_inputs(sizes: Sizes) -> dict[str, _Input]:
    return {
        "frames": _Input(torch.randn(1, sizes.left_frames + 11, sizes.hidden), 1),
        "kv": _Input(torch.randn(sizes.layers, 2, sizes.heads, 7, sizes.head_size), 3),
        "hold": _Input(torch.zeros(3), 0),
    }


def _trace(
    module: torch.nn.Module, inputs: Mapping[str, _Input], outputs: tuple[str, ...]
) -> onnx.ModelProto:
    shapes = {
        name: None if given.dynamic is None else {given.dynamic: torch.export.Dim.DYNAMIC}
        for name, given in inputs.items()
    }
    program = torch.onnx.export(
        module.eval(),
        kwargs={name: given.example for name, given in inputs.items()},
        dynamic_shapes=shapes,
        input_names=list(inputs),
        output_names=list(outputs),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


def _linear_nodes(model: onnx.ModelProto) -> list[str]:
    """Name the MatMuls with a constant factor, in order; the last one is the CTC head's."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and not constants.isdisjoint(node.input)
    ]


def _quantize(model: onnx.ModelProto, keep: Sequence[str] = ()) -> onnx.ModelProto:
    """Quantize constant MatMuls: signed 8-bit weights, one scale a column; activations per call.

    The nodes in `keep` stay float32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep),
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)


def _clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what tracing leaves behind.

    Source paths and line numbers in metadata, and shapes that onnxruntime infers anyway.
    """
    graph = model.graph
    for holder in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        holder.doc_string = ""
        del holder.metadata_props[:]
    del graph.value_info[:]
    return model


def _join(front: onnx.ModelProto, context: onnx.ModelProto, sizes: Sizes) -> onnx.ModelProto:
    empty = {
        "features": (1, 0, sizes.hidden),
        "log_probs": (1, 0, sizes.vocabulary),
        "keys": (sizes.layers, 2, sizes.heads, 0, sizes.head_size),
    }
    inputs = [*front.graph.input, *context.graph.input]
    # The weights stand outside the branches: inside, onnxruntime copies them several times while
    # loading.
    weights: list[TensorProto] = []
    branches = {
        "then_branch": _branch(front, "front", empty, weights),
        "else_branch": _branch(context, "context", empty, weights),
    }
    nodes = [
        helper.make_node("Size", ["samples"], ["n_samples"]),
        helper.make_node("Cast", ["n_samples"], ["has_samples"], to=TensorProto.BOOL),
        helper.make_node("If", ["has_samples"], list(empty), **branches),
    ]
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [f"{name}_{i}" if d == 0 else d for i, d in enumerate(shape)]
        )
        for name, shape in empty.items()
    ]
    graph = helper.make_graph(nodes, "step", inputs, outputs, weights)
    opsets = {
        entry.domain: entry.version for model in (front, context) for entry in model.opset_import
    }
    model = helper.make_model(
        graph,
        producer_name=_PRODUCER,
        opset_imports=[helper.make_opsetid(*item) for item in sorted(opsets.items())],
    )
    model.ir_version = min(front.ir_version, 10)
    return model


def _branch(
    model: onnx.ModelProto,
    prefix: str,
    outputs: Mapping[str, tuple[int, ...]],
    weights: list[TensorProto],
) -> onnx.GraphProto:
    """Turn a model's graph into a branch.

    It has names of its own, inputs and weights captured from outside, and absent outputs empty.
    """
    captured = {value.name for value in model.graph.input}
    names: dict[str, str] = {"": ""} | {name: name for name in captured}
    graph = onnx.GraphProto(name=prefix)
    for tensor in model.graph.initializer:
        weights.append(tensor)
        tensor.name = names.setdefault(tensor.name, f"{prefix}/{tensor.name}")
    for node in model.graph.node:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.name = f"{prefix}/{node.name}"
        for field in (copy.input, copy.output):
            field[:] = [names.setdefault(name, f"{prefix}/{name}") for name in field]
    have = {value.name for value in model.graph.output}
    for name, shape in outputs.items():
        label = names.get(name, f"{prefix}/{name}")
        if name not in have:
            tensor = numpy_helper.from_array(np.zeros(shape, np.float32), f"{label}_value")
            graph.node.append(helper.make_node("Constant", [], [label], value=tensor))
        graph.output.append(helper.make_tensor_value_info(label, TensorProto.FLOAT, None))
    return graph


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the bytes of `model.onnx`."""
    return bytes(model.SerializeToString(deterministic=True))
