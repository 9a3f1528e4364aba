"""Where a graph spends its time, operator by operator, and the peak it is held against."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.acoustic import new_names, past_names
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.frames import Geometry
from wav2edge.runtime.session import Session
from wav2edge.runtime.stream import StreamOptions

from .sessions import ONE_THREAD, Sessions

Array = NDArray[np.float32]

_ROUNDS = 10
_SIZE = (2048, 1024, 1024)
_LENGTH_S = 10
_MOST_KINDS = 8
_STREAM = StreamOptions(chunk_ms=320.0, lookahead_ms=320.0, left_ms=4000.0)


def operator_times(
    bundle: Bundle, sessions: Sessions = ONE_THREAD, stream: StreamOptions = _STREAM
) -> dict[str, float]:
    """Return the medians of `operator_rounds`."""
    rounds = operator_rounds(bundle, sessions, stream)
    return {name: median(several) for name, several in rounds.items()}


def operator_rounds(
    bundle: Bundle, sessions: Sessions = ONE_THREAD, stream: StreamOptions = _STREAM
) -> dict[str, list[float]]:
    """Profile 10 s at once and a stream's step, by entry and kind of operator.

    Args:
        bundle: Whose graph runs.
        sessions: Opens it.
        stream: Whose step; rounded up to the model's whole frames, as a stream does.

    Returns:
        Milliseconds per second of audio in each of ten rounds, after one that warms up:
        `offline_front_Gemm` and so on; the largest kinds, the others together as `rest`.
    """
    facts = bundle.manifest
    geometry = Geometry(facts.conv_kernels, facts.conv_strides, facts.sample_rate_hz)
    hop_s = geometry.duration_ms(1) / 1000
    found: dict[str, list[float]] = {}
    for way, (n_new, n_held, n_left) in (
        ("offline", (round(_LENGTH_S / hop_s), 0, 0)),
        ("step", step_frames(geometry, stream)),
    ):
        n_slice = min(n_new, round(1 / hop_s))
        seconds = {"front": n_slice * hop_s, "context": n_new * hop_s}
        spent = _profile(bundle, sessions, n_slice, n_new + n_held, n_held, n_left)
        for entry, kinds in spent.items():
            for kind, rounds in _largest(kinds).items():
                per_s = [spent_ms / seconds[entry] for spent_ms in rounds]
                found[f"{way}_{entry}_{kind}_ms_per_s"] = per_s
    return found


def step_frames(geometry: Geometry, stream: StreamOptions) -> tuple[int, int, int]:
    """Count a step's new frames, those held back, and those of the left context.

    >>> base = Geometry((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), 16_000)
    >>> step_frames(base, StreamOptions(chunk_ms=320, lookahead_ms=320, left_ms=4000))
    (16, 16, 200)
    """
    new, held, left = map(
        geometry.frames_for, (stream.chunk_ms, stream.lookahead_ms, stream.left_ms)
    )
    return max(1, new), held, left


def plain_operator_rounds(model: Path, sessions: Sessions = ONE_THREAD) -> dict[str, list[float]]:
    """Profile 10 s at once of a plain export of the whole model, by kind of operator.

    Returns:
        Milliseconds per second of audio in each of ten rounds, after one that warms up:
        `offline_Conv` and so on; the largest kinds, the others together as `rest`.
    """
    audio = np.random.default_rng(0).standard_normal((1, _LENGTH_S * 16_000), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        session = sessions.open(model, profile=Path(folder) / "profile")
        for _ in range(1 + _ROUNDS):
            session.run(("logits",), {"input_values": audio})
        spent = by_entry(session.end_profile())
    kinds: dict[str, list[float]] = {}
    for found in spent.values():
        for kind, rounds in found.items():
            kinds[kind] = _added([kinds.get(kind, [0.0] * _ROUNDS), rounds])
    return {
        f"offline_{kind}_ms_per_s": [spent_ms / _LENGTH_S for spent_ms in rounds]
        for kind, rounds in _largest(kinds).items()
    }


def _largest(kinds: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Return the largest kinds, largest first, and the others of each round as `rest`."""
    ordered = sorted(kinds.items(), key=lambda item: -median(item[1]))
    rest = [rounds for _, rounds in ordered[_MOST_KINDS:]]
    return dict(ordered[:_MOST_KINDS]) | {"rest": _added([[0.0] * _ROUNDS, *rest])}


def _added(several: Sequence[Sequence[float]]) -> list[float]:
    return [sum(of_round) for of_round in zip(*several, strict=True)]


def _profile(
    bundle: Bundle, sessions: Sessions, n_slice: int, n_frames: int, n_held: int, n_left: int
) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds of each round by entry and kind of operator."""
    with tempfile.TemporaryDirectory() as folder:
        session = sessions.open(bundle.model_path, profile=Path(folder) / "profile")
        for _ in range(1 + _ROUNDS):
            for outputs, feeds in _runs(bundle, n_slice, n_frames, n_held, n_left):
                session.run(outputs, feeds)
        spent = by_entry(session.end_profile())
    return {entry: spent.get(entry, {}) for entry in ("front", "context")}


def _runs(
    bundle: Bundle, n_slice: int, n_frames: int, n_held: int, n_left: int
) -> list[tuple[list[str], dict[str, Array]]]:
    facts = bundle.manifest
    draw = np.random.default_rng(0).standard_normal
    width = facts.heads * facts.head_size
    n_samples = facts.receptive_field_samples + (n_slice - 1) * facts.hop_samples
    past = {name: draw((n_left, width), np.float32) for name in past_names(facts.layers)}
    frames = draw((1, facts.position_left_frames + n_frames, facts.hidden_size), np.float32)
    front = {"samples": draw((1, n_samples), np.float32)}
    if facts.group_norm:
        n_taps = facts.conv_kernels[0]
        front |= {"conv0_mean": np.zeros(n_taps, np.float32)}
        front |= {"conv0_root": np.eye(n_taps, dtype=np.float32)}
    context = {"frames": frames, "hold": np.zeros(n_held, np.float32), **past}
    if facts.knows_the_start:  # the length says how many past frames lie before the audio
        n_outside = 0 if n_left else facts.position_left_frames
        context |= {"outside": np.zeros(n_outside, np.float32)}
    return [(["features"], front), (["log_probs", *new_names(facts.layers)], context)]


def by_entry(events: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds by what a node's name begins with and kind of operator, round by round.

    Args:
        events: Of a profile over one round that warms up, which is forgotten, and ten more.
    """
    spent: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        name = event["name"]
        if event.get("cat") != "Node" or not name.endswith("kernel_time"):
            continue
        kind = event["args"]["op_name"]
        if kind != "If":
            spent[name.partition("/")[0], kind][name].append(event["dur"] / 1000)
    found: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for (entry, kind), nodes in spent.items():
        found[entry][kind] = _added([_by_round(times) for times in nodes.values()])
    return found


def _by_round(times: Sequence[float]) -> list[float]:
    """Sum up each round but the first: a node that fusion left without a name is several."""
    n_each = len(times) // (1 + _ROUNDS)
    return [sum(times[i * n_each : (i + 1) * n_each]) for i in range(1, 1 + _ROUNDS)]


def peaks(sessions: Sessions = ONE_THREAD) -> dict[str, float]:
    """Measure a large product in float32 and int8, in 1e9 multiplications a second, best of ten."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    n_rows, n_in, n_out = _SIZE
    weight = np.random.default_rng(0).standard_normal((n_in, n_out), np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", n_in])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", n_out])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / f"{kind}.onnx" for kind in ("float32", "int8")}
        onnx.save(model, paths["float32"])
        quantize_dynamic(
            paths["float32"],
            paths["int8"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        opened = {kind: sessions.open(path) for kind, path in paths.items()}
    rows = np.random.default_rng(1).standard_normal((n_rows, n_in), np.float32)
    work = n_rows * n_in * n_out / 1e9
    return {
        f"peak_{kind}_gmac_per_s": work / _best_s(session, rows) for kind, session in opened.items()
    }


def floors(config: Mapping[str, Any], peak: Mapping[str, float]) -> dict[str, float]:
    """Tell what the products of 10 s at once take at the peaks, if nothing else cost anything.

    Args:
        config: `config.json` of a Wav2Vec 2.0 at 16 kHz with one positional convolution.
        peak: From `peaks`.

    Returns:
        Milliseconds per second of audio for each part, and for all with convolutions in float32
        and in int8. The transformer's linear layers are in int8, attention and positions in
        float32.
    """
    work = multiplications(config)
    float32, int8 = (peak[f"peak_{kind}_gmac_per_s"] * 1e6 for kind in ("float32", "int8"))
    parts = {part: work[part] / float32 for part in ("convolutions", "positions", "attention")}
    parts["linears"] = work["linears"] / int8
    parts["convolutions_int8"] = work["convolutions"] / int8
    rest = parts["positions"] + parts["attention"] + parts["linears"]
    parts["all_float_conv"] = rest + parts["convolutions"]
    parts["all_int_conv"] = rest + parts["convolutions_int8"]
    return {f"floor_{part}_ms_per_s": spent_ms for part, spent_ms in parts.items()}


def multiplications(config: Mapping[str, Any]) -> dict[str, float]:
    """Count the multiplications of 10 s at once, per second of audio, by part of the model."""
    n_rows, n_in, convolutions = _LENGTH_S * 16_000, 1, 0
    sizes = zip(config["conv_dim"], config["conv_kernel"], config["conv_stride"], strict=True)
    for n_out, kernel, stride in sizes:
        n_rows = (n_rows - kernel) // stride + 1
        convolutions += n_rows * n_in * n_out * kernel
        n_in = n_out
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    per_group = width // config["num_conv_pos_embedding_groups"]
    layer = 4 * width * width + 2 * width * config["intermediate_size"]
    counts = {
        "convolutions": convolutions,
        "positions": n_rows * width * per_group * config["num_conv_pos_embeddings"],
        "attention": layers * 2 * n_rows * n_rows * width,
        "linears": n_rows * (layers * layer + n_in * width + width * config["vocab_size"]),
    }
    return {part: count / _LENGTH_S for part, count in counts.items()}


def _best_s(session: Session, rows: Array) -> float:
    best_s = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        session.run(("y",), {"x": rows})
        best_s = min(best_s, time.process_time() - started)
    return best_s
