"""Where a graph spends its time, operator by operator, and the peak it is held against."""

import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.acoustic import new_names, past_names
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.session import Session, open_session

Array = NDArray[np.float32]

_ROUNDS = 10
_SIZE = (2048, 1024, 1024)
_LENGTH_S = 10
_STEP_FRAMES, _HELD_FRAMES, _LEFT_FRAMES = 16, 16, 200


def operator_times(bundle: Bundle) -> dict[str, float]:
    """Profile 10 s at once and a stream's step, by entry and kind of operator.

    Returns:
        Milliseconds per second of audio: `offline_front_Gemm` and so on; the largest of them, the
        others together as `rest`.
    """
    facts = bundle.manifest
    hop_s = facts.hop_samples / facts.sample_rate_hz
    found: dict[str, float] = {}
    for way, n_new, n_held, n_left in (
        ("offline", round(_LENGTH_S / hop_s), 0, 0),
        ("step", _STEP_FRAMES, _HELD_FRAMES, _LEFT_FRAMES),
    ):
        n_slice = min(n_new, round(1 / hop_s))
        seconds = {"front": n_slice * hop_s, "context": n_new * hop_s}
        spent = _profile(bundle, n_slice, n_new + n_held, n_held, n_left)
        for entry, kinds in spent.items():
            ordered = sorted(kinds.items(), key=lambda item: -item[1])
            for kind, spent_ms in ordered[:8]:
                found[f"{way}_{entry}_{kind}_ms_per_s"] = spent_ms / seconds[entry]
            rest_ms = sum(spent_ms for _, spent_ms in ordered[8:])
            found[f"{way}_{entry}_rest_ms_per_s"] = rest_ms / seconds[entry]
    return found


def _profile(
    bundle: Bundle, n_slice: int, n_frames: int, n_held: int, n_left: int
) -> dict[str, dict[str, float]]:
    """Return milliseconds of one run by entry and kind of operator, the median of ten."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(
            bundle.model_path, threads=1, provider="cpu", profile=Path(folder) / "profile"
        )
        for _ in range(_ROUNDS):
            for outputs, feeds in _runs(bundle, n_slice, n_frames, n_held, n_left):
                session.run(outputs, feeds)
        return _summed(session.end_profile())


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
    return [(["features"], front), (["log_probs", *new_names(facts.layers)], context)]


def _summed(events: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    spent: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        name = event["name"]
        if event.get("cat") != "Node" or not name.endswith("kernel_time"):
            continue
        kind = event["args"]["op_name"]
        entry = name.partition("/")[0]
        if kind != "If":
            key = (entry if entry in ("front", "context") else "other", kind)
            spent[key][name].append(event["dur"] / 1000)
    found: dict[str, dict[str, float]] = {"front": {}, "context": {}}
    for (entry, kind), nodes in spent.items():
        if entry in found:
            # A node that fusion left without a name of its own stands for several.
            found[entry][kind] = sum(
                median(times) * len(times) / _ROUNDS for times in nodes.values()
            )
    return found


def peaks() -> dict[str, float]:
    """Measure a large product in float32 and int8, in 1e9 multiplications a second."""
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
        sessions = {
            kind: open_session(path, threads=1, provider="cpu") for kind, path in paths.items()
        }
    rows = np.random.default_rng(1).standard_normal((n_rows, n_in), np.float32)
    work = n_rows * n_in * n_out / 1e9
    return {
        f"peak_{kind}_gmac_per_s": work / _best_s(session, rows)
        for kind, session in sessions.items()
    }


def _best_s(session: Session, rows: Array) -> float:
    best_s = float("inf")
    for _ in range(_ROUNDS):
        started = time.process_time()
        session.run(("y",), {"x": rows})
        best_s = min(best_s, time.process_time() - started)
    return best_s
