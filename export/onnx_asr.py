"""A verified step graph -> the layout of onnx-asr, which has no state: a batch of whole recordings.

The graph is the same, weights, precision and all: for each recording of the batch, cut to its own
length, the two entry points run one behind the other with nothing in the past. So a recording's
result never depends on what it is batched with, whatever the kind normalises over.

    input_values [B, n], input_lengths [B]
      for each of B (Loop):  its samples -> scaled -> front -> context -> rows, blank behind its end
    logprobs [B, frames, V]

`wav2edge.runtime.onnx_asr` describes the layout's files.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from wav2edge.runtime.acoustic import past_names
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.manifest import Manifest
from wav2edge.runtime.onnx_asr import (
    BLANK,
    CONFIG,
    LAYOUT,
    MODEL_TYPE,
    RATE_HZ,
    SPACE,
    VOCABULARY,
    WholeModel,
)
from wav2edge.runtime.session import open_session
from wav2edge.runtime.together import PRESENT

from .errors import UnsupportedCheckpointError
from .model_writer import write_model
from .workshop import Draft, Workshop

_SILENCE = -100.0  # log-prob of all but the blank behind a recording's end
_EPSILON = 1e-7  # of Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm


def offline_graph(step: onnx.ModelProto, facts: Manifest) -> onnx.ModelProto:
    """Turn a step graph into one that maps whole recordings to log-probs.

    Args:
        step: As `graph_file.build_graph` made it; its weights are shared.
        facts: Of its bundle.

    Returns:
        The model: inputs `input_values` float32 `[B, n]` and `input_lengths` int64 `[B]`, output
        `logprobs` float32 `[B, frames, vocabulary]`.
    """
    body = _body(step.graph, facts)
    nodes = [
        *_nodes("length: Shape input_values start=1"),
        *_frames("length", "n_most", facts),
        *_nodes("n_items: Shape input_values end=1; n_loops: Squeeze n_items"),
        helper.make_node("Loop", ["n_loops", "always"], ["logprobs"], body=body),
    ]
    used = {name for node in (*nodes, *body.node) for name in _read_by(node)}
    graph = helper.make_graph(
        nodes,
        "offline",
        [
            helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info(
                "logprobs", TensorProto.FLOAT, ["batch", "frames", facts.vocabulary_size]
            )
        ],
        [tensor for tensor in (*step.graph.initializer, *_constants(facts)) if tensor.name in used],
    )
    model = helper.make_model(
        graph, producer_name=step.producer_name, opset_imports=step.opset_import
    )
    model.ir_version = step.ir_version
    return model


def _body(step: onnx.GraphProto, facts: Manifest) -> onnx.GraphProto:
    """Make what runs for each recording of the batch: `item` is its number."""
    named = {value.name: i for i, value in enumerate(step.output)}
    front, context = (attribute.g for attribute in _branches(step))
    features = front.output[named["features"]].name
    log_probs = context.output[named["log_probs"]].name
    past = [(f"{name}: Identity no_keys") for name in past_names(facts.layers)]
    nodes = [
        *_samples(facts),
        *(_statistics(facts) if facts.group_norm else []),
        *front.node,
        *_nodes(f"frames: Concat no_frames {features} axis=1; hold: Identity nothing"),
        *_nodes(f"{PRESENT}: Identity nothing"),
        *_nodes("; ".join(past)),
        *context.node,
        *_nodes(
            f"all_rows: Squeeze {log_probs} first_axis; rows: Slice all_rows zero n_rows;"
            "n_rest: Sub n_most n_rows; rest_shape: Concat n_rest width axis=0;"
            "rest: Expand blank_row rest_shape; padded: Concat rows rest axis=0;"
            "on: Identity go_on"
        ),
    ]
    outputs = [
        helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("padded", TensorProto.FLOAT, None),
    ]
    return helper.make_graph(
        _needed(nodes, ["on", "padded"]),
        "item",
        [
            helper.make_tensor_value_info("item", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        ],
        outputs,
    )


def _branches(step: onnx.GraphProto) -> Sequence[onnx.AttributeProto]:
    """Return the front's and the context's branch, in this order."""
    branches = {attribute.name: attribute for attribute in step.node[-1].attribute}
    return branches["then_branch"], branches["else_branch"]


def _samples(facts: Manifest) -> list[NodeProto]:
    """Cut a recording to its length, scale it, and pad it to one frame at least.

    `n_rows` is how many frames it really has: none if it is shorter than one.
    """
    scaled = (
        "mean: ReduceMean audio; centred: Sub audio mean; square: Mul centred centred;"
        "variance: ReduceMean square; raised: Add variance epsilon; deviation: Sqrt raised;"
        "scaled: Div centred deviation"
        if facts.do_normalize
        else "scaled: Identity audio"
    )
    return [
        *_nodes(
            "row: Gather input_values item axis=0; said: Gather input_lengths item axis=0;"
            "told: Reshape said minus_one; n_heard: Min told length;"
            f"audio: Slice row zero n_heard; {scaled};"
            "short: Sub field n_heard; n_padding: Max short zero;"
            "padding: ConstantOfShape n_padding; enough: Concat scaled padding axis=0;"
            "samples: Unsqueeze enough first_axis"
        ),
        *_frames("n_heard", "n_if_enough", facts),
        *_nodes("is_short: Less n_heard field; n_rows: Where is_short zero n_if_enough"),
    ]


def _statistics(facts: Manifest) -> list[NodeProto]:
    """Compute what the front takes for the group norm of its first convolution.

    The root of the covariance is the windows themselves, centred, over the root of their number.
    """
    assert facts.conv_kernels
    return _nodes(
        "n_audio: Shape scaled; n_over: Sub n_audio kernel_0; n_over_strides: Div n_over stride_0;"
        "n_windows_1: Add n_over_strides one; n_windows: Max n_windows_1 one;"
        "n_windows_0: Squeeze n_windows;"
        "places: Range scalar_zero n_windows_0 scalar_one; starts: Mul places stride_0;"
        "starts_column: Unsqueeze starts second_axis; under: Add starts_column taps;"
        "windows: Gather enough under axis=0; conv0_mean: ReduceMean windows first_axis keepdims=0;"
        "deviations: Sub windows conv0_mean; turned: Transpose deviations;"
        "n_float: Cast n_windows to=1; root_n: Sqrt n_float; conv0_root: Div turned root_n"
    )


def _frames(samples: str, frames: str, facts: Manifest) -> list[NodeProto]:
    """Count the frames of so many samples, one at least: the convolutions' own formula."""
    nodes, name = [], samples
    last = len(facts.conv_kernels) - 1
    for i in range(last + 1):
        step, out = f"{frames}_{i}", frames if i == last else f"{frames}_{i}"
        nodes += _nodes(
            f"{step}_least: Max {name} kernel_{i}; {step}_over: Sub {step}_least kernel_{i};"
            f"{step}_strides: Div {step}_over stride_{i}; {out}: Add {step}_strides one"
        )
        name = out
    return nodes


def _constants(facts: Manifest) -> list[TensorProto]:
    width = facts.heads * facts.head_size
    blank_row = np.full((1, facts.vocabulary_size), _SILENCE, np.float32)
    blank_row[0, facts.blank_id] = 0.0
    sizes = [
        *((f"kernel_{i}", kernel) for i, kernel in enumerate(facts.conv_kernels)),
        *((f"stride_{i}", stride) for i, stride in enumerate(facts.conv_strides)),
        ("field", facts.receptive_field_samples),
        ("width", facts.vocabulary_size),
        *(("zero", 0), ("one", 1), ("minus_one", -1), ("first_axis", 0), ("second_axis", 1)),
    ]
    values: dict[str, Any] = {name: np.array([size], np.int64) for name, size in sizes} | {
        "scalar_zero": np.int64(0),
        "scalar_one": np.int64(1),
        "taps": np.arange(facts.conv_kernels[0], dtype=np.int64),
        "always": np.ones((), np.bool_),
        "epsilon": np.float32(_EPSILON),
        "blank_row": blank_row,
        "nothing": np.zeros(0, np.float32),
        "outside": np.zeros(facts.position_left_frames, np.float32),
        "no_keys": np.zeros((0, width), np.float32),
        "no_frames": np.zeros((1, facts.position_left_frames, facts.hidden_size), np.float32),
    }
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def _nodes(text: str) -> list[NodeProto]:
    """Read nodes: `output: Operator input input attribute=3`, parted by semicolons."""
    nodes = []
    for line in filter(None, (part.strip() for part in text.split(";"))):
        output, _, rest = line.partition(": ")
        operator, *words = rest.split()
        attributes: dict[str, Any] = {
            key: int(value) for key, _, value in (w.partition("=") for w in words if "=" in w)
        }
        inputs = [word for word in words if "=" not in word]
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
    return nodes


def _needed(nodes: Iterable[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    """Leave out the nodes whose results nobody asks for, such as keys to remember."""
    wanted, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            wanted.update(_read_by(node))
            kept.append(node)
    return kept[::-1]


def _read_by(node: NodeProto) -> Iterator[str]:
    """Name what a node reads, in its branches too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read_by(inner)


def layout_files(facts: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, bytes]:
    """Return the files of the layout beside the model: `config.json` and `vocab.txt`.

    Raises:
        UnsupportedCheckpointError: onnx-asr cannot run it: another sample rate, or tokens that
            `vocab.txt` cannot hold.
    """
    rate_hz = facts["sample_rate_hz"]
    if rate_hz != RATE_HZ:
        raise UnsupportedCheckpointError(
            f"{facts['name']} runs at {rate_hz} Hz, and onnx-asr runs this type at {RATE_HZ} Hz: "
            "use the layout wav2edge"
        )
    config = {"model_type": MODEL_TYPE, "subsampling_factor": facts["hop_samples"]}
    names = [token.replace(" ", SPACE) for token in tokens]
    for id_, name in ((facts["word_delimiter_id"], SPACE), (facts["blank_id"], BLANK)):
        if id_ is not None:
            names[id_] = name
    lines = (f"{name.replace(' ', SPACE)} {i}\n" for i, name in enumerate(names))
    return {
        CONFIG: (json.dumps(config, indent=2) + "\n").encode(),
        VOCABULARY: "".join(lines).encode(),
    }


def as_onnx_asr(workshop: Workshop, draft: Draft, files: Mapping[str, bytes]) -> Draft:
    """Turn a draft into one in the layout of onnx-asr, and compare that with the checkpoint.

    It keeps a manifest, so that the runtime can check the files and knows where they come from.

    Args:
        workshop: Where the draft was made.
        draft: Of the step graph.
        files: From `layout_files`.

    Returns:
        A draft whose offline parity is that of its own graph, and whose parity in chunks is that
        of the step graph it was made from.
    """
    workshop.report("turning the graph into one for whole recordings")
    facts = {**workshop.facts, "precision": draft.bundle.manifest.precision, "layout": LAYOUT}
    with tempfile.TemporaryDirectory(dir=workshop.folder) as folder:
        step = onnx.load(draft.bundle.model_path)
        bundle = Bundle.write(
            workshop.folder / LAYOUT,
            facts,
            model=write_model(offline_graph(step, draft.bundle.manifest), Path(folder)),
            tokens=draft.bundle.alphabet.tokens,
            others=files,
        )
    session = open_session(bundle.model_path, threads=1, provider="cpu")
    model = WholeModel(bundle.manifest, session)
    offline = workshop.reference.compare_offline(
        lambda clip: np.concatenate(list(model.log_probs([clip])))
    )
    return replace(draft, bundle=bundle, parity=replace(draft.parity, offline=offline))
