"""What lets several streams share one run of a traced graph, at no price for a single one.

Streams lie one behind the other. Whatever has a past goes in as rows of all of them,
`[streams * n, hidden]`, so that for one stream the graph has the inputs and outputs it always had;
how many streams there are, the first dimension of `samples` or `frames` says.

Streams of different age have pasts of different length. The shorter ones are padded, and `present`
says which keys are there. It is empty if nothing was padded, and then attention is the plain
operator: with a mask ONNX Runtime holds all scores at once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from wav2edge.runtime.together import PRESENT

_ATTENTION = "MultiHeadAttention"
_ROWS = 2  # dimensions of what has no past: lengths have one


def in_rows(model: onnx.ModelProto, counted: str) -> onnx.ModelProto:
    """Let a traced graph take the rows of all streams in one piece.

    Args:
        model: Its inputs are `[streams, n, ...]`, or lengths.
        counted: The input that stays so, and tells how many streams there are.

    Returns:
        The model, whose other inputs are `[streams * n, ...]`.
    """
    graph, nodes = model.graph, list[NodeProto]()
    nodes.append(_node("Shape", [counted], "n_streams", start=0, end=1))
    for value in graph.input:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]  # 0: it varies
        if value.name == counted or len(sizes) < _ROWS:
            continue
        inner = f"{value.name}_by_stream"
        for node in graph.node:
            node.input[:] = [inner if name == value.name else name for name in node.input]
        nodes += _reshaped(graph, value.name, inner, sizes[1:])
        value.CopyFrom(_free(value.name, [f"{value.name}_rows", *sizes[2:]]))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _reshaped(
    graph: onnx.GraphProto, name: str, inner: str, sizes: Sequence[int]
) -> Iterator[NodeProto]:
    """Cut rows by stream: `[streams * n, ...]` -> `[streams, n, ...]`; a size of 0 varies.

    Where none does the last one may: a covariance has other roots than square ones.
    """
    rest = [size or -1 for size in sizes] if 0 in sizes else [*sizes[:-1], -1]
    shape = "_".join(map(str, ("shape", *sizes)))
    label = f"{shape}_rest"
    if label not in {tensor.name for tensor in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(np.array(rest, np.int64), label))
        yield _node("Concat", ["n_streams", label], shape, axis=0)
    yield _node("Reshape", [name, shape], inner)


def with_mask(context: onnx.GraphProto, kind: int) -> list[ValueInfoProto]:
    """Let each attention of the context leave out keys that are only padding.

    Args:
        context: The branch that holds the transformer; changed in place. WavLM's has other
            attention, and stays as it is.
        kind: Of its numbers, `TensorProto.FLOAT` or `FLOAT16`.

    Returns:
        The further input of the whole graph: `present`, float32 `[streams * (l + n)]`, 1 for each
        key that is there, or `[0]` if all are.
    """
    nodes, attentions = list(context.node), 0
    del context.node[:]
    for node in nodes:
        if node.op_type != _ATTENTION:
            context.node.append(node)
            continue
        if not attentions:
            context.node.extend(_mask(node.input[0]))
        attentions += 1
        context.node.append(_either(node, kind))
    return [_free(PRESENT, [f"{PRESENT}_rows"])] if attentions else []


def _mask(query: str) -> list[NodeProto]:
    """Turn `present` into the operator's mask, int32 `[streams, l + n]`."""
    rest = numpy_helper.from_array(np.array([-1], np.int64))
    return [
        _node("Size", [PRESENT], "n_present"),
        _node("Cast", ["n_present"], "is_padded", to=TensorProto.BOOL),
        _node("Shape", [query], "mask_streams", start=0, end=1),
        _node("Constant", [], "mask_rest", value=rest),
        _node("Concat", ["mask_streams", "mask_rest"], "mask_shape", axis=0),
        _node("Reshape", [PRESENT, "mask_shape"], "mask_float"),
        _node("Cast", ["mask_float"], "mask", to=TensorProto.INT32),
    ]


def _either(node: NodeProto, kind: int) -> NodeProto:
    """Return a node that is the attention without a mask, or with one if something is padded."""
    branches = {}
    for branch, more in (("then", ["", "mask"]), ("else", [])):
        inner, (output,) = NodeProto(), node.output
        inner.CopyFrom(node)
        inner.name = f"{node.name}/{branch}"
        inner.input.extend(more)
        inner.output[:] = [f"{output}/{branch}"]
        value = helper.make_tensor_value_info(inner.output[0], kind, None)
        branches[f"{branch}_branch"] = helper.make_graph([inner], f"{output}/{branch}", [], [value])
    return helper.make_node("If", ["is_padded"], list(node.output), name=node.name, **branches)


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, [output], name=output, **attributes)


def _free(name: str, shape: Sequence[str | int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
