"""wav2vec2-base with random weights, exported: our bundle, and the plain graphs of the whole.

Speed depends on sizes and not on what the weights say, so that no checkpoint has to be downloaded.
Torch is only imported when a file is missing.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .result import BenchmarkError

if TYPE_CHECKING:
    import onnx

CONVOLUTIONS = "int8-conv-smooth"
"""The policy of `wav2edge.export.precision` that the bundle with integer convolutions follows."""
_SEED = 0
_EXPORTER = Path(__file__).resolve().parents[1] / "export"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The same checkpoint in all its forms."""

    checkpoint: Path
    """In the layout of `transformers`."""
    bundle: Path
    """Ours: products in int8, convolutions in float32."""
    bundle_integer: Path
    """Ours: convolutions in integers too, by the policy `CONVOLUTIONS`."""
    plain: Path
    """ONNX file: input_values `[1, n]` -> logits `[1, frames, vocabulary]`; products in int8."""
    legacy: Path
    """The same from torch's exporter of before 2.9, whose GELUs ONNX Runtime knows to fuse."""
    plain_float32: Path
    """`plain` before it was quantized."""


def base_model(cache: Path, report: Callable[[str], None] = lambda _: None) -> BaseModel:
    """Return the files in `cache`; what is missing is made, in about a minute.

    The bundle is also made again when the code of `export/` is not the one it was made with.

    Args:
        cache: A folder that git ignores.
        report: Told what is being done.
    """
    checkpoint = cache / "checkpoint"
    if not (checkpoint / "vocab.json").is_file():
        report("making wav2vec2-base with random weights")
        write_checkpoint(checkpoint)
    return exported(checkpoint, cache, report)


def exported(checkpoint: Path, folder: Path, report: Callable[[str], None]) -> BaseModel:
    """Return a checkpoint's forms in a folder; what is missing is made.

    Args:
        checkpoint: In the layout of `transformers`.
        folder: For all its forms.
        report: Told what is being done.
    """
    found = BaseModel(
        checkpoint=checkpoint,
        bundle=folder / "bundle",
        bundle_integer=folder / "bundle-integer",
        plain=folder / "plain.onnx",
        legacy=folder / "legacy.onnx",
        plain_float32=folder / "plain-float32.onnx",
    )
    folder.mkdir(parents=True, exist_ok=True)
    for path, dynamo, quantized in (
        (found.plain, True, True),
        (found.legacy, False, True),
        (found.plain_float32, True, False),
    ):
        if not path.is_file():
            report(f"exporting the whole model: {path.name}")
            write_plain(found.checkpoint, path, dynamo=dynamo, quantized=quantized)
    for bundle, precision in ((found.bundle, "int8"), (found.bundle_integer, CONVOLUTIONS)):
        keep_bundle(found.checkpoint, bundle, report, precision=precision)
    return found


def keep_bundle(
    checkpoint: Path,
    folder: Path,
    report: Callable[[str], None],
    *,
    precision: str,
    layout: str = "wav2edge",
) -> None:
    """Export a bundle unless it is there, and was made by the code of today."""
    stamp, made_with = folder.with_suffix(".made-with"), _exporter_hash()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == made_with:
        return
    report(f"exporting the bundle, {precision}")
    from wav2edge.export.convert import export

    # Random weights put all tokens close together: no gate on agreement can hold.
    export(str(checkpoint), folder, precision=precision, layout=layout, force=True, overwrite=True)
    stamp.write_text(made_with, encoding="ascii")


def _exporter_hash() -> str:
    found = hashlib.sha256()
    for path in sorted(_EXPORTER.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def fingerprint(checkpoint: Path) -> str:
    """Return twelve hex digits of all that a checkpoint's files hold.

    What is made of a checkpoint lies in folders of that name: the next one of the same name is
    another.

    Raises:
        BenchmarkError: There is no checkpoint.
    """
    if not (checkpoint / "config.json").is_file():
        raise BenchmarkError(
            f"{checkpoint} has no config.json: expected a checkpoint's folder in the layout of "
            "transformers"
        )
    found = hashlib.sha256()
    for path in sorted(one for one in checkpoint.iterdir() if one.is_file()):
        found.update(path.name.encode())
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:12]


def write_checkpoint(folder: Path, **sizes: Any) -> None:  # noqa: ANN401  (as the config's)
    """Write a checkpoint with random weights in the layout of `transformers`.

    Args:
        folder: To write.
        **sizes: Of `Wav2Vec2Config`; none of them: those of wav2vec2-base.
    """
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    from wav2edge.export.foreign import silence
    from wav2edge.training.network import TOKENS, save_checkpoint

    torch.manual_seed(_SEED)
    # The defaults of the config are facebook/wav2vec2-base: 12 layers of 768, 12 heads, group norm.
    config = Wav2Vec2Config(vocab_size=len(TOKENS), pad_token_id=0, **sizes)
    with silence():
        save_checkpoint(Wav2Vec2ForCTC(config).eval(), folder, do_normalize=True)


def write_plain(checkpoint: Path, path: Path, *, dynamo: bool, quantized: bool = True) -> None:
    """Export the whole model as everybody does, and quantize it dynamically.

    Any length goes in; quantized, MatMul is in int8 with one scale a column, as in our own graph.

    Args:
        checkpoint: In the layout of `transformers`.
        path: The file to write.
        dynamo: With the exporter that is torch's default since 2.9, or with the one before.
        quantized: Dynamically, or not at all.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import Wav2Vec2ForCTC

    from wav2edge.export.foreign import silence

    draft = path.with_suffix(".draft")
    with silence():
        attention = "sdpa" if dynamo else "eager"  # what each exporter takes without complaint
        model = Wav2Vec2ForCTC.from_pretrained(checkpoint, attn_implementation=attention).eval()
        whole = _traced(model) if dynamo else _traced_before(model)
        if quantized:
            quantize_dynamic(
                whole,
                draft,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},
            )
        else:
            draft.write_bytes(whole.SerializeToString())
    draft.replace(path)


def _traced(model: Any) -> "onnx.ModelProto":  # noqa: ANN401  (transformers types it loosely)
    import torch

    program = torch.onnx.export(
        model,
        kwargs={"input_values": torch.randn(1, 16_000)},
        dynamic_shapes={"input_values": {1: torch.export.Dim.DYNAMIC}},
        input_names=["input_values"],
        output_names=["logits"],
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _traced_before(model: Any) -> "onnx.ModelProto":  # noqa: ANN401
    import onnx
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "float32.onnx"
        torch.onnx.export(
            model,
            (torch.randn(1, 16_000),),
            file,
            input_names=["input_values"],
            output_names=["logits"],
            dynamic_axes={"input_values": {1: "n"}, "logits": {1: "frames"}},
            opset_version=17,
            dynamo=False,
        )
        return onnx.load(file)
