"""Who is compared: what each runs, in which environment, and in which form it takes the model."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .environments import environment
from .peer_models import Form, PeerModels
from .sliding_window import OPTIONS

OURS = "wav2edge-int8"
REFERENCE = "transformers"
CHUNK_S, STRIDE_S = 10.0, (4.0, 2.0)  # of the pipeline, as its documentation shows it

_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table."""

    name: str
    what: str
    peer: str
    """Its script is `peer_NAME.py`, its environment that of the name with dashes."""
    form: Callable[[PeerModels, Path], Form]
    """Makes the model's form, given the environment's interpreter."""

    @property
    def script(self) -> Path:
        """What its worker runs."""
        return _FOLDER / f"peer_{self.peer}.py"

    def packages(self) -> tuple[str, ...]:
        """Tell what pip installs; what this interpreter has, in the same version."""
        same = {name: f"{name}=={version(name)}" for name in ("numpy", "onnxruntime")}
        if self.peer == "wav2edge":
            return (*same.values(), *(f"{one}=={version(one)}" for one in ("soundfile", "soxr")))
        if self.peer == "transformers":
            return tuple(f"{one}=={_plain(version(one))}" for one in ("torch", "transformers"))
        return {
            "onnxruntime": tuple(same.values()),
            "onnx_asr": ("onnx-asr[cpu]", same["onnxruntime"]),
            "sherpa_onnx": ("sherpa-onnx", same["numpy"]),
            "openvino": ("openvino", "nncf"),
        }[self.peer]

    def python(self, cache: Path) -> Path:
        """Return the interpreter of its environment, which is made if it is not there.

        Raises:
            BenchmarkError: It cannot be made.
        """
        return environment(cache / f"venv-{self.peer.replace('_', '-')}", self.packages())

    def job(self, form: Form, reading: dict[str, Any], threads: int) -> dict[str, Any]:
        """Return what its `load` is told."""
        stream = {name: getattr(OPTIONS, name) for name in ("chunk_ms", "lookahead_ms", "left_ms")}
        ours = {"package": str(_package()), "stream": stream} if self.peer == "wav2edge" else {}
        return {**reading, **form.job, **ours, "threads": threads}


def _plain(number: str) -> str:
    return number.partition("+")[0]  # torch's local label is no version that an index has


def _package() -> Path:
    found = find_spec("wav2edge")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).resolve().parents[1]


def _of(
    name: str, what: str, peer: str, form: Callable[[PeerModels, Path], Form]
) -> dict[str, Contender]:
    return {name: Contender(name, what, peer, form)}


CONTENDERS: dict[str, Contender] = {
    **_of(OURS, "our bundle, products in int8", "wav2edge", lambda m, _: m.ours("int8")),
    **_of(
        "wav2edge-int8-conv",
        "the same with convolutions in int8",
        "wav2edge",
        lambda m, _: m.ours("int8-conv"),
    ),
    **_of("wav2edge-float32", "our bundle, float32", "wav2edge", lambda m, _: m.ours("float32")),
    **_of(REFERENCE, "the checkpoint, eager, float32", "transformers", lambda m, _: m.checkpoint()),
    **_of(
        "transformers-pipeline",
        f"its pipeline, chunks of {CHUNK_S:g} s, stride {STRIDE_S[0]:g} and {STRIDE_S[1]:g} s",
        "transformers",
        lambda m, _: m.checkpoint(chunk_s=CHUNK_S, stride_s=STRIDE_S),
    ),
    **_of(
        "onnxruntime-float32",
        "torch's default export",
        "onnxruntime",
        lambda m, _: m.plain("float32"),
    ),
    **_of(
        "onnxruntime-int8",
        "the same, quantize_dynamic over MatMul",
        "onnxruntime",
        lambda m, _: m.plain("int8"),
    ),
    **_of(
        "onnx-asr-float32",
        "made as its conversion guide does",
        "onnx_asr",
        lambda m, _: m.onnx_asr("float32"),
    ),
    **_of(
        "onnx-asr-int8",
        "the same, quantize_dynamic over MatMul",
        "onnx_asr",
        lambda m, _: m.onnx_asr("int8"),
    ),
    **_of(
        "onnx-asr-ours",
        "wav2edge export --layout onnx-asr, int8",
        "onnx_asr",
        lambda m, _: m.onnx_asr_ours(),
    ),
    **_of(
        "sherpa-onnx-float32",
        "as its omnilingual script exports",
        "sherpa_onnx",
        lambda m, _: m.sherpa_onnx("float32"),
    ),
    **_of(
        "sherpa-onnx-int8",
        "the same, quantized as that script does",
        "sherpa_onnx",
        lambda m, _: m.sherpa_onnx("int8"),
    ),
    **_of(
        "openvino-float32",
        "torch's default export, float32 asked for",
        "openvino",
        lambda m, p: m.openvino("float32", p, precision="f32"),
    ),
    **_of(
        "openvino",
        "the same by OpenVINO's defaults",
        "openvino",
        lambda m, p: m.openvino("float16", p),
    ),
    **_of(
        "openvino-int8",
        "quantized by nncf, convolutions too",
        "openvino",
        lambda m, p: m.openvino("int8", p),
    ),
    **_of(
        "openvino-int8-front",
        "the same, its first four convolutions left in float",
        "openvino",
        lambda m, p: m.openvino("int8-front", p),
    ),
}
"""By name, in the table's order."""
