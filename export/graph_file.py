"""The step graph as one ONNX file.

Traced by torch, quantized, and put together without a trace of the machine.

The two entry points become the branches of one `If`, chosen by whether there are samples:

    samples [1, n > 0]  -> front:   features                    (all others come back empty)
    samples [1, 0]      -> context: log_probs, keys and values   (features come back empty)

so one file, one session and one copy of the weights serve both, and a run computes only what was
asked for.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from wav2edge.runtime.acoustic import new_names, past_names

from .batching import in_rows, with_mask
from .integer_convolution import with_integer_position
from .products import Scheme
from .step_graph import StepGraph

OPSET = 20  # the first with Gelu as one operator; onnxruntime has it since 1.17
_PRODUCER = "wav2edge"
_STREAMS = 5  # of the traced example


@dataclass(frozen=True)
class Sizes:
    """The sizes a checkpoint's config gives; nothing here is a decree."""

    hidden: int
    layers: int
    heads: int
    head_size: int
    vocabulary: int
    left_frames: int
    knows_the_start: bool
    """The context asks how many of the first frames lie before the start of the audio."""
    receptive_field: int
    hop: int
    kernel: int | None
    """Samples under the first convolution if it is group-normed, else None."""


def build_graph(
    step: StepGraph,
    sizes: Sizes,
    *,
    portable: bool = False,
    half: bool = False,
    integer_position: bool = False,
) -> onnx.ModelProto:
    """Trace both entry points, quantize the products that have an integer scheme, and join them.

    Args:
        step: The torch modules, in eval mode, float32; each product knows its scheme.
        sizes: Their sizes.
        portable: Unsigned weights: x86 processors without VNNI add signed products in 16 bits,
            which may overflow.
        half: Compute in float16; inputs and outputs stay float32.
        integer_position: Compute the positional convolution in 8-bit integers.

    Returns:
        The model, free of names and paths of the machine; identical input and versions
        give identical bytes.
    """
    outputs = (("features",), ("log_probs", *new_names(sizes.layers)))
    entries = (
        in_rows(_trace(step.front, _front_inputs(sizes), outputs[0]), "samples"),
        in_rows(_trace(step.context, _context_inputs(sizes), outputs[1]), "frames"),
    )
    schemes = {f"{name}.weight": product.scheme for name, product in step.products().items()}
    front, context = (
        _clean(_quantize(entry, _schemes_of(name, schemes), portable=portable))
        for name, entry in zip(("front", "context"), entries, strict=True)
    )
    if integer_position:
        context = with_integer_position(context)
    if half:
        front, context = _halved(front), _halved(context)
    is_integer = integer_position or any(scheme.is_integer for scheme in schemes.values())
    return _join(front, context, sizes, batched=not is_integer)


def _schemes_of(entry: str, schemes: Mapping[str, Scheme]) -> dict[str, Scheme]:
    """Return one entry's schemes by the names its weights have in the traced graph."""
    return {
        name.removeprefix(f"{entry}."): scheme
        for name, scheme in schemes.items()
        if name.startswith(f"{entry}.")
    }


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
    dynamic: tuple[int, ...] = ()
    """The dimensions that vary."""

    @property
    def free(self) -> dict[int, Any] | None:
        """What torch.export is told of them."""
        return dict.fromkeys(self.dynamic, torch.export.Dim.DYNAMIC) or None


def _front_inputs(sizes: Sizes) -> dict[str, _Input | list[_Input]]:
    # Lengths are drawn apart from each other and from 0 and 1, which torch.export would take for
    # constants.
    inputs: dict[str, _Input | list[_Input]] = {
        "samples": _Input(torch.randn(_STREAMS, sizes.receptive_field + 7 * sizes.hop + 3), (0, 1))
    }
    if sizes.kernel is not None:
        inputs["conv0_mean"] = _Input(torch.randn(_STREAMS, sizes.kernel), (0,))
        inputs["conv0_root"] = _Input(torch.randn(_STREAMS, sizes.kernel, sizes.kernel), (0,))
    return inputs


def _context_inputs(sizes: Sizes) -> dict[str, _Input | list[_Input]]:
    # One tensor for each: torch.export would take one that is given twice for the same input.
    width = sizes.heads * sizes.head_size
    inputs: dict[str, _Input | list[_Input]] = {
        "frames": _Input(torch.randn(_STREAMS, sizes.left_frames + 11, sizes.hidden), (0, 1)),
        "past": [_Input(torch.randn(_STREAMS, 7, width), (0, 1)) for _ in past_names(sizes.layers)],
        "hold": _Input(torch.zeros(3), (0,)),
    }
    if sizes.knows_the_start:
        inputs["outside"] = _Input(torch.zeros(2), (0,))
    return inputs


def _trace(
    module: torch.nn.Module,
    inputs: Mapping[str, _Input | list[_Input]],
    outputs: tuple[str, ...],
) -> onnx.ModelProto:
    examples: dict[str, Any] = {}
    shapes: dict[str, Any] = {}
    names: list[str] = []
    for name, given in inputs.items():
        if isinstance(given, list):
            examples[name] = [one.example for one in given]
            shapes[name] = [one.free for one in given]
            names += past_names(len(given) // 2)
        else:
            examples[name], shapes[name] = given.example, given.free
            names.append(name)
    program = torch.onnx.export(
        module.eval(),
        kwargs=examples,
        dynamic_shapes=shapes,
        input_names=names,
        output_names=list(outputs),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


def _quantize(
    model: onnx.ModelProto, schemes: Mapping[str, Scheme], *, portable: bool
) -> onnx.ModelProto:
    """Quantize the products whose weight has an integer scheme; activations per call."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    del model.graph.value_info[:]  # some shapes of the trace are wrong, and all are found again
    chosen: dict[bool, list[str]] = {False: [], True: []}
    for node in model.graph.node:
        for scheme in filter(None, map(schemes.get, node.input)):
            if node.op_type == "MatMul" and scheme.is_integer:
                chosen[scheme is not Scheme.TENSOR].append(node.name)
    for per_channel, nodes in chosen.items():
        if not nodes:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quantized.onnx"
            quantize_dynamic(
                model,
                path,
                op_types_to_quantize=["MatMul"],
                per_channel=per_channel,
                weight_type=QuantType.QUInt8 if portable else QuantType.QInt8,
                nodes_to_quantize=nodes,
                extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
                use_external_data_format=True,  # what lies between may have over 2 GB
            )
            model = onnx.load(path)
    return model


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    halved = OnnxModel(
        convert_float_to_float16(onnx.shape_inference.infer_shapes(model), keep_io_types=True)
    )
    halved.topological_sort()  # the casts of the inputs stand last
    found: onnx.ModelProto = halved.model
    return found


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


def _join(
    front: onnx.ModelProto, context: onnx.ModelProto, sizes: Sizes, *, batched: bool
) -> onnx.ModelProto:
    empty: dict[str, tuple[int, ...]] = {
        "features": (1, 0, sizes.hidden),
        "log_probs": (1, 0, sizes.vocabulary),
        **dict.fromkeys(new_names(sizes.layers), (0, sizes.heads * sizes.head_size)),
    }
    # The weights stand outside the branches: inside, onnxruntime copies them several times while
    # loading.
    weights: list[TensorProto] = []
    branches = {
        "then_branch": _branch(front, "front", empty, weights),
        "else_branch": _branch(context, "context", empty, weights),
    }
    is_half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in weights)
    kind = TensorProto.FLOAT16 if is_half else TensorProto.FLOAT
    inputs = [
        *front.graph.input,
        *context.graph.input,
        # Eight bits scale all that shares a run by its largest value: no streams share one.
        *(with_mask(branches["else_branch"], kind) if batched else ()),
    ]
    nodes = [
        helper.make_node("Size", ["samples"], ["n_samples"]),
        helper.make_node("Cast", ["n_samples"], ["has_samples"], to=TensorProto.BOOL),
        helper.make_node("If", ["has_samples"], list(empty), **branches),
    ]
    outputs = [
        helper.make_tensor_value_info(
            name,
            TensorProto.FLOAT,
            # A first dimension is streams, or rows of all of them.
            [f"{name}_{i}" if d == 0 or i == 0 else d for i, d in enumerate(shape)],
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
