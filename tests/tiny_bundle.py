"""A bundle whose model a person can predict: the loudness of a frame is its token.

It honours the contract of every bundle (two entry points in one file, a past for the positional
convolution, keys and values, frames held back), so that everything above the model can be driven
end to end without torch. A frame whose samples all are `0.1 * id` is token `id`; silence is the
blank. `say` makes the samples of a text.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from arpa_files import Entries, arpa_text
from numpy.typing import NDArray

from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.decoding import DecodingArguments

if TYPE_CHECKING:
    import onnx

WORDS_OF_LM: Entries = {
    ("<unk>",): (-2.0, 0.0),
    ("<s>",): (-99.0, -0.5),
    ("</s>",): (-1.0, 0.0),
    **{(word,): (-1.5, -0.25) for word in ("ab", "c", "cd", "de", "ga", "fga", "bead")},
    ("<s>", "ab"): (-0.5, 0.0),
    ("ab", "c"): (-0.25, 0.0),
}
"""Of the language model in `decodings`."""

TOKENS = ("<pad>", "|", "A", "B", "C", "D", "E", "F", "G", "<unk>")
RATE_HZ = 8000
KERNELS, STRIDES = (20, 8), (10, 8)
HOP = 80  # samples: 10 * 8
RECEPTIVE_FIELD = 90  # samples: 20 + 7 * 10
LEFT_FRAMES = 2
SHARPNESS = 4.0  # what the log-prob of a token one step away is lower by

FACTS: dict[str, Any] = {
    "name": "tiny",
    "model_type": "wav2vec2",
    "sample_rate_hz": RATE_HZ,
    "conv_kernels": list(KERNELS),
    "conv_strides": list(STRIDES),
    "hidden_size": 1,
    "layers": 1,
    "heads": 1,
    "head_size": 1,
    "vocabulary_size": len(TOKENS),
    "position_left_frames": LEFT_FRAMES,
    "position_right_frames": 1,
    "receptive_field_samples": RECEPTIVE_FIELD,
    "hop_samples": HOP,
    "blank_id": 0,
    "word_delimiter_id": 1,
    "special_ids": [9],
    "do_normalize": False,
    "group_norm": False,
    "normalization_prior": None,
    "precision": {"name": "float32", "layers": {}},
    "opset": 18,
    "source": {"name": "made by hand"},
    "versions": {},
    "parity": {"largest_difference": 0.0},
    "forced": False,
}


def say(text: str, *, n_frames: int = 3) -> NDArray[np.float32]:
    """Samples that the tiny model hears as `text`.

    Every token lasts `n_frames` frames and is followed by one frame of silence; a space is the word
    delimiter.
    """
    frames: list[int] = []
    for letter in text:
        frames += [TOKENS.index("|" if letter == " " else letter)] * n_frames + [0]
    samples = np.repeat(np.array(frames, np.float32) / 10, HOP)
    return np.concatenate([samples, np.zeros(RECEPTIVE_FIELD - HOP, np.float32)])


def write_tiny_bundle(folder: Path, **facts: object) -> Bundle:
    """Write the bundle; `facts` replace some of the manifest's."""
    return Bundle.write(
        folder, {**FACTS, **facts}, model=tiny_model().SerializeToString(), tokens=TOKENS
    )


def decodings(folder: Path) -> dict[str, DecodingArguments]:
    """Return how each decoder is asked for; the language model is written to a folder."""
    (folder / "lm.arpa").write_text(arpa_text(WORDS_OF_LM), encoding="utf-8")
    return {
        "greedy": {"decoder": "greedy"},
        "beam": {"lm": folder / "lm.arpa", "hotwords": {"dec": 6.0, "G": 1.0}, "beam": 20},
        "phrases": {"phrases": ["ab c", "de [fga]", "(a|b|c|d|e|f|g){1,9}"]},
    }


def tiny_model() -> "onnx.ModelProto":
    """Build the network: a mean over each frame, and its distance from each token's loudness."""
    from onnx import TensorProto, checker, helper, numpy_helper

    def tensor(name: str, *shape: int | str) -> "onnx.ValueInfoProto":
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    outputs = {
        "features": (1, "f", 1),
        "log_probs": (1, "n", len(TOKENS)),
        "new_key_0": ("k", 1),
        "new_value_0": ("k", 1),
    }
    branches = {
        f"{kind}_branch": helper.make_graph(
            nodes, kind, [], [tensor(f"{name}_{end}", *shape) for name, shape in outputs.items()]
        )
        for kind, end, nodes in (("then", "f", _front()), ("else", "c", _context()))
    }
    graph = helper.make_graph(
        [
            helper.make_node("Size", ["samples"], ["n_samples"]),
            helper.make_node("Greater", ["n_samples", "none"], ["any_samples"]),
            helper.make_node("If", ["any_samples"], list(outputs), **branches),
        ],
        "tiny",
        [
            tensor("samples", 1, "n"),
            tensor("frames", 1, "p", 1),
            tensor("key_0", "l", 1),
            tensor("value_0", "l", 1),
            tensor("hold", "h"),
        ],
        [tensor(name, *shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in _constants().items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    return model


def _front() -> "list[onnx.NodeProto]":
    from onnx import helper

    return [
        helper.make_node("Unsqueeze", ["samples", "axis"], ["x"]),
        helper.make_node("Conv", ["x", "mean_0"], ["y"], strides=[STRIDES[0]]),
        helper.make_node("Conv", ["y", "mean_1"], ["z"], strides=[STRIDES[1]]),
        helper.make_node("Transpose", ["z"], ["features_f"], perm=[0, 2, 1]),
        helper.make_node("Identity", ["no_rows"], ["log_probs_f"]),
        helper.make_node("Identity", ["no_keys"], ["new_key_0_f"]),
        helper.make_node("Identity", ["no_keys"], ["new_value_0_f"]),
    ]


def _context() -> "list[onnx.NodeProto]":
    from onnx import helper

    return [
        helper.make_node("Slice", ["frames", "past", "far", "axis"], ["now"]),
        helper.make_node("Sub", ["now", "loudness"], ["distance"]),
        helper.make_node("Mul", ["distance", "distance"], ["square"]),
        helper.make_node("Mul", ["square", "sharpness"], ["logits"]),
        helper.make_node("Add", ["key_0", "value_0"], ["kv"]),
        helper.make_node("ReduceSum", ["kv"], ["sum"], keepdims=0),  # the cache is there, and
        helper.make_node("Mul", ["sum", "nothing"], ["zero"]),  # changes nothing
        helper.make_node("Add", ["logits", "zero"], ["all_logits"]),
        helper.make_node("LogSoftmax", ["all_logits"], ["log_probs_c"], axis=-1),
        helper.make_node("Shape", ["now"], ["n_now"], start=1, end=2),
        helper.make_node("Shape", ["hold"], ["n_hold"]),
        helper.make_node("Sub", ["n_now", "n_hold"], ["n_kept"]),
        helper.make_node("Slice", ["now", "origin", "n_kept", "axis"], ["kept"]),
        helper.make_node("Squeeze", ["kept", "origin"], ["new_key_0_c"]),
        helper.make_node("Squeeze", ["kept", "origin"], ["new_value_0_c"]),
        helper.make_node("Identity", ["no_features"], ["features_c"]),
    ]


def _constants() -> dict[str, object]:
    return {
        "axis": np.array([1]),
        "past": np.array([LEFT_FRAMES]),
        "origin": np.array([0]),
        "far": np.array([2**40]),
        "none": np.int64(0),
        "nothing": np.float32(0),
        "mean_0": np.full((1, 1, KERNELS[0]), 1 / KERNELS[0], np.float32),
        "mean_1": np.array([[[1 / 7] * 7 + [0]]], np.float32),  # a frame's own samples alone
        "loudness": np.arange(len(TOKENS), dtype=np.float32) / 10,
        "sharpness": np.float32(-SHARPNESS * 100),
        "no_rows": np.zeros((1, 0, len(TOKENS)), np.float32),
        "no_keys": np.zeros((0, 1), np.float32),
        "no_features": np.zeros((1, 0, 1), np.float32),
    }
