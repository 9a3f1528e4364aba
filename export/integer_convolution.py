"""The positional convolution in integers: rows gathered in eight bits, one product for each group.

A grouped convolution with a wide kernel is bound by memory: unfolding copies each frame once per
tap. In eight bits that is a quarter, and the products are faster too. Weights have a scale for each
output channel, activations one per call, as the other integer products do.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

_LARGEST = 127  # of a signed 8-bit weight


def with_integer_position(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace each grouped convolution of stride 1 in a traced graph; weights become int8."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for i, node in enumerate(nodes):
        if node.op_type == "Conv" and _attribute(node, "group", 1) > 1:
            bias = weights[node.input[2]] if len(node.input) > 2 else None  # noqa: PLR2004
            rewritten = _Rewritten(node, f"position_{i}")
            rewritten.write(numpy_helper.to_array(weights[node.input[1]]), bias)
            model.graph.node.extend(rewritten.nodes)
            model.graph.initializer.extend(rewritten.constants)
            model.graph.initializer.remove(weights[node.input[1]])
        else:
            model.graph.node.append(node)
    return model


class _Rewritten:
    """The nodes and constants that stand for one convolution `[1, channels, frames]`."""

    def __init__(self, node: NodeProto, prefix: str) -> None:
        self._node, self._prefix = node, prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def write(self, weight: npt.NDArray[np.float32], bias: onnx.TensorProto | None) -> None:
        """Write all; `weight` is `[out, in of a group, kernel]`."""
        n_groups, kernel = _attribute(self._node, "group", 1), weight.shape[2]
        taps = weight.reshape(n_groups, -1, weight.shape[1], kernel).transpose(0, 3, 2, 1)
        by_group = taps.reshape(n_groups, -1, taps.shape[3])  # [group, taps x in, out]
        scales = np.maximum(np.abs(by_group).max(axis=1), np.float32(1e-12)) / np.float32(_LARGEST)
        integers = np.round(by_group / scales[:, None]).astype(np.int8)
        taken, scale, zero = self._gathered(n_groups, weight.shape[1], kernel)
        products = [
            self._add("MatMulInteger", [rows, self._constant(f"weight_{i}", integers[i]), zero])
            for i, rows in enumerate(taken)
        ]
        joined = self._add("Cast", [self._add("Concat", products, axis=1)], to=1)
        scale = self._add("Mul", [scale, self._constant("scales", scales.reshape(1, -1))])
        rows = self._add("Mul", [joined, scale])
        if bias is not None:
            rows = self._add("Add", [rows, bias.name])
        turned = self._add("Transpose", [rows], perm=[1, 0])
        batch = self._constant("batch", np.array([0]))
        self.nodes.append(
            helper.make_node(
                "Unsqueeze", [turned, batch], list(self._node.output), name=f"{self._prefix}/result"
            )
        )

    def _gathered(self, n_groups: int, width: int, kernel: int) -> tuple[list[str], str, str]:
        """Quantize, and lay the frames under each position side by side, group by group."""
        origin = self._constant("origin", np.array([0]))
        before, behind = _padding(self._node)
        pads = self._constant("pads", np.array([0, 0, before, 0, 0, behind]))
        quantized = helper.make_node(
            "DynamicQuantizeLinear",
            [self._add("Pad", [self._node.input[0], pads])],
            [f"{self._prefix}/{name}" for name in ("steps", "step", "zero")],
            name=f"{self._prefix}/quantize",
        )
        self.nodes.append(quantized)
        steps, scale, zero = quantized.output
        shape = self._constant("grouped", np.array([n_groups, width, -1]))
        frames = self._add("Transpose", [self._add("Reshape", [steps, shape])], perm=[0, 2, 1])
        n_all = self._add("Squeeze", [self._add("Shape", [steps], start=2, end=3), origin])
        n_out = self._add("Sub", [n_all, self._constant("reach", np.int64(kernel - 1))])
        first = self._add(
            "Range",
            [self._constant("none", np.int64(0)), n_out, self._constant("one", np.int64(1))],
        )
        column = self._add("Unsqueeze", [first, self._constant("across", np.array([1]))])
        under = self._add("Add", [column, self._constant("taps", np.arange(kernel))])
        rows = self._add("Gather", [frames, under], axis=1)
        flat = self._constant("flat", np.array([n_groups, -1, kernel * width]))
        parts = [f"{self._prefix}/rows_{i}" for i in range(n_groups)]
        self.nodes.append(
            helper.make_node(
                "Split",
                [self._add("Reshape", [rows, flat])],
                parts,
                name=f"{self._prefix}/split",
                axis=0,
                num_outputs=n_groups,
            )
        )
        return [self._add("Squeeze", [part, origin]) for part in parts], scale, zero

    def _add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{self._prefix}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _constant(self, name: str, value: npt.ArrayLike) -> str:
        full = f"{self._prefix}/{name}"
        if all(tensor.name != full for tensor in self.constants):
            self.constants.append(numpy_helper.from_array(np.asarray(value), full))
        return full


def _padding(node: NodeProto) -> tuple[int, int]:
    """Return the zeros before and behind, which tracing may have folded into the convolution."""
    for one in node.attribute:
        if one.name == "pads":
            return one.ints[0], one.ints[1]
    return 0, 0


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((one.i for one in node.attribute if one.name == name), default)
