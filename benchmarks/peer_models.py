"""The same checkpoint in the form that each peer takes, made in the cache where it is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.bundle import Bundle

from .base_model import BaseModel, keep_bundle
from .clips import find_clips
from .environments import run

if TYPE_CHECKING:
    import onnx

Array = NDArray[np.float32]

_QUANTIZER_LIMIT_S = 1800.0
_OPENVINO = Path(__file__).with_name("peer_openvino.py")


@dataclass(frozen=True, slots=True)
class Form:
    """A model as one peer takes it."""

    job: dict[str, Any]
    """What the peer's `load` is told beside threads and tokens."""
    files: tuple[Path, ...]
    """What the model takes on the disk."""

    @property
    def size_mb(self) -> float:
        """Of the files, in MB (1e6 bytes)."""
        return sum(path.stat().st_size for path in self.files) / 1e6


class PeerModels:
    """A checkpoint and what is made of it.

    Args:
        files: Its plain forms.
        folder: For the others.
        report: Told what is being done.
    """

    def __init__(self, files: BaseModel, folder: Path, report: Callable[[str], None]) -> None:
        self._files, self._folder, self._report = files, folder, report
        folder.mkdir(parents=True, exist_ok=True)
        self.bundle = Bundle.read(files.bundle)
        self.do_normalize = self.bundle.manifest.do_normalize

    def reading(self) -> dict[str, Any]:
        """Tell what a bare graph's outputs mean, and how its input is scaled."""
        alphabet = self.bundle.alphabet
        return {
            "tokens": alphabet.tokens,
            "blank_id": alphabet.blank_id,
            "delimiter_id": alphabet.delimiter_id,
            "special_ids": alphabet.special_ids,
            "do_normalize": self.do_normalize,
        }

    def ours(self, precision: str) -> Form:
        """Return our bundle: int8, float32, or with convolutions in integers."""
        known = {"int8": self._files.bundle, "int8-conv": self._files.bundle_integer}
        folder = known.get(precision, self._folder / f"bundle-{precision}")
        if precision not in known:
            keep_bundle(self._files.checkpoint, folder, self._report, precision=precision)
        return Form({"model": str(folder.absolute())}, _weights(folder))

    def checkpoint(self, **more: float | tuple[float, float]) -> Form:
        """Return the checkpoint itself, for transformers."""
        folder = self._files.checkpoint
        return Form({"model": str(folder.absolute()), **more}, _weights(folder))

    def plain(self, precision: str) -> Form:
        """Return torch's default export, whole, float32 or int8."""
        path = {"float32": self._files.plain_float32, "int8": self._files.plain}[precision]
        return Form({"model": str(path.absolute())}, (path,))

    def onnx_asr(self, precision: str) -> Form:
        """Return a folder for onnx-asr as its conversion guide makes it.

        The plain export with the normalisation of the samples and a log-softmax inside.
        """
        import onnx

        folder = self._folder / f"onnx-asr-{precision}"
        if not (folder / "model.onnx").is_file():
            from wav2edge.export.onnx_asr import layout_files

            self._report(f"a folder for onnx-asr, {precision}")
            folder.mkdir(exist_ok=True)
            facts = self.bundle.manifest
            told = {
                "name": facts.name,
                "sample_rate_hz": facts.sample_rate_hz,
                "hop_samples": facts.hop_samples,
                "word_delimiter_id": facts.word_delimiter_id,
                "blank_id": facts.blank_id,
            }
            for name, body in layout_files(told, self.bundle.alphabet.tokens).items():
                (folder / name).write_bytes(body)
            whole = onnx.load(self.plain(precision).files[0])
            draft = folder / "draft"
            onnx.save(by_lengths(whole, do_normalize=self.do_normalize), draft)
            draft.replace(folder / "model.onnx")
        return Form({"model": str(folder.absolute())}, (folder / "model.onnx",))

    def onnx_asr_ours(self) -> Form:
        """Return a folder for onnx-asr as `wav2edge export --layout onnx-asr` writes it."""
        folder = self._folder / "onnx-asr-ours"
        keep_bundle(
            self._files.checkpoint, folder, self._report, precision="int8", layout="onnx-asr"
        )
        return Form({"model": str(folder.absolute())}, _weights(folder))

    def sherpa_onnx(self, precision: str) -> Form:
        """Return what sherpa-onnx takes as an omnilingual model, made as its own script does.

        torch's exporter of before 2.9; int8 is `quantize_dynamic` over MatMul with unsigned
        weights. It asks for no metadata in such a model.
        """
        from .base_model import write_plain

        path = self._folder / f"sherpa-{precision}.onnx"
        tokens = self._folder / "sherpa-tokens.txt"
        if not path.is_file():
            self._report(f"a model for sherpa-onnx, {precision}")
            if precision == "float32":
                write_plain(self._files.checkpoint, path, dynamo=False, quantized=False)
            else:
                _quantize_unsigned(self.sherpa_onnx("float32").files[0], path)
        alphabet = self.bundle.alphabet
        named = {alphabet.blank_id: "<blk>", alphabet.delimiter_id: "\u2581"}
        lines = [f"{named.get(i, token)} {i}\n" for i, token in enumerate(alphabet.tokens)]
        tokens.write_text("".join(lines), encoding="utf-8")
        told = {"model": str(path.absolute()), "token_file": str(tokens.absolute())}
        return Form(told, (path,))

    def openvino(self, kind: str, python: Path, **more: str) -> Form:
        """Return OpenVINO's own format, made and quantized by its own tools.

        Args:
            kind: float32, float16, int8, int8-front: see `peer_openvino`.
            python: Interpreter of the environment that has openvino, and nncf for int8.
            **more: For the job.
        """
        path = (self._folder / f"openvino-{kind}.xml").absolute()
        if not path.is_file():
            self._report(f"a model for OpenVINO, {kind}")
            draft = path.with_name(f"draft-{kind}.xml")
            plain = self._files.plain_float32.absolute()
            command: list[str | Path] = [
                python,
                "-I",
                _OPENVINO,
                plain,
                draft,
                kind,
                *self._calibration(),
            ]
            run(command, limit_s=_QUANTIZER_LIMIT_S)
            draft.with_suffix(".bin").replace(path.with_suffix(".bin"))
            draft.replace(path)
        return Form({"model": str(path), **more}, (path, path.with_suffix(".bin")))

    def _calibration(self) -> list[Path]:
        """Write the package's synthetic clips, scaled as the model wants them."""
        found = []
        for i, clip in enumerate(find_clips([])):
            samples = clip.samples(self.bundle.manifest.sample_rate_hz)
            if self.do_normalize:
                samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
            path = (self._folder / f"calibration-{i}.f32").absolute()
            samples.astype(np.float32).tofile(path)
            found.append(path)
        return found


def by_lengths(whole: "onnx.ModelProto", *, do_normalize: bool) -> "onnx.ModelProto":
    """Make a plain export fit onnx-asr: raw samples and their number in, log-probs out.

    It is for one recording at a time: of a batch, the padding would count as audio.

    Args:
        whole: input_values `[1, n]`, scaled -> logits; changed in place.
        do_normalize: Whether the model wants samples of mean 0 and variance 1.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = whole.graph
    (given,), (made,) = graph.input, graph.output
    inner, logits = "scaled_values", made.name
    for node in graph.node:
        node.input[:] = [inner if name == given.name else name for name in node.input]
    steps = (
        "ReduceMean input_values -> mean", "Sub input_values mean -> centred",
        "Mul centred centred -> square", "ReduceMean square -> variance",
        "Add variance scale_epsilon -> raised", "Sqrt raised -> deviation",
        f"Div centred deviation -> {inner}",
    ) if do_normalize else (f"Identity input_values -> {inner}",)  # fmt: skip
    before = []
    for step in steps:
        (kind, *inputs), output = step.partition(" -> ")[0].split(), step.partition(" -> ")[2]
        before.append(helper.make_node(kind, inputs, [output], name=f"scale_{output}"))
    after = helper.make_node("LogSoftmax", [logits], ["logprobs"], axis=-1, name="log_softmax")
    nodes = [*before, *graph.node, after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(np.array(1e-5, np.float32), "scale_epsilon"))
    graph.input.append(
        helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"])
    )
    graph.input.append(helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch"]))
    made.name = "logprobs"
    graph.output.append(made)
    return whole


def _quantize_unsigned(whole: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from wav2edge.export.foreign import silence

    draft = path.with_suffix(".draft")
    with silence():
        quantize_dynamic(
            whole, draft, op_types_to_quantize=["MatMul"], weight_type=QuantType.QUInt8
        )
    draft.replace(path)


def _weights(folder: Path) -> tuple[Path, ...]:
    """List what holds weights; manifests and tokens are nothing beside it."""
    return tuple(
        sorted(p for p in folder.iterdir() if p.suffix in (".onnx", ".data", ".safetensors"))
    )
