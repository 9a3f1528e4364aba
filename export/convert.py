"""Checkpoint -> bundle: load, trace, quantize, compare, and only then write."""

import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wav2edge import __version__
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.errors import BundleExistsError
from wav2edge.runtime.normalization import Normalization

from .checkpoint import Checkpoint, load_checkpoint
from .commands import LAYOUTS, PRECISIONS
from .errors import ExportError
from .foreign import silence
from .graph_file import OPSET
from .kinds import position_reach
from .onnx_asr import as_onnx_asr, layout_files
from .parity import ParityReport
from .precision import POLICIES
from .recordings import default_clips, listed, read_clips
from .search import search
from .workshop import Draft, Workshop

Array = npt.NDArray[np.float32]
# Seconds of audio that the prior of a stream's running normalisation weighs as much as.
_PRIOR_S = 2.0


@dataclass(frozen=True)
class Exported:
    """A written bundle and how it compares with its checkpoint."""

    bundle: Bundle
    parity: ParityReport


def export(  # noqa: PLR0913  (all but two are keywords with a default)
    source: str,
    out: Path,
    *,
    precision: str = "int8",
    verify: Sequence[Path] = (),
    split: str | None = None,
    portable: bool = False,
    force: bool = False,
    revision: str | None = None,
    language: str | None = None,
    layout: str = LAYOUTS[0],
    overwrite: bool = False,
    reject_below: float = 0.0,
    reject_phrases_below: float | None = None,
    phrases_blank_penalty: float = 0.0,
    margin_frames: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Turn a checkpoint into a bundle that is proved equal to it.

    Args:
        source: A folder in the layout of `transformers`, or a hub id.
        out: The bundle's folder; it must be new or empty, or a bundle with `overwrite`.
        precision: "int8" (dynamic, every product but the CTC head; convolutions stay float32),
            "float32", "float16" (for GPUs), another policy of `wav2edge.export.precision`, or
            "auto": the fastest that keeps parity on at least five minutes of speech.
        verify: Recordings to compare on, or `.tsv` tables of them; none: synthetic clips.
        split: Only the rows whose column `split` says so.
        portable: Unsigned 8-bit weights, for x86 processors without VNNI.
        force: Write the bundle although it drifted from the checkpoint; its manifest says so.
        revision: Branch, tag or commit on the hub.
        language: Of a multilingual checkpoint (MMS), as its `vocab.json` spells it; None: its own.
        layout: "wav2edge", or "onnx-asr" for programs that read that: whole recordings alone.
        overwrite: Replace a bundle that is there.
        reject_below: For the manifest, like the next three: see `Manifest`.
        reject_phrases_below: None: as usual, 0.35.
        phrases_blank_penalty: In nats.
        margin_frames: Of silence behind all audio.
        report: Told what is being done, for progress.

    Raises:
        ExportError: Its leaves say what is wrong, or which figure is out of bounds.
        BundleError: The bundle cannot be written where it should be.
        AudioError: A verification recording cannot be read.
    """
    _check(precision, layout, out, overwrite=overwrite)
    checkpoint = _loaded(source, revision, language, report)
    clips = read_clips(listed(verify, split) or default_clips(), checkpoint.rate_hz)
    with tempfile.TemporaryDirectory() as folder:
        facts, tokens = manifest_facts(checkpoint, clips), checkpoint.vocabulary.tokens
        heard = (reject_below, reject_phrases_below, phrases_blank_penalty, margin_frames)
        facts |= {"layout": layout, **_heard(*heard)}
        others = {} if layout == LAYOUTS[0] else layout_files(facts, tokens)
        workshop = Workshop(checkpoint, facts, clips, Path(folder), portable, report)
        draft, found = _drafted(workshop, precision, others)
        facts |= {**found, "forced": _drifted(draft, force=force)}
        report(f"writing {out}")
        bundle = _written(out, facts, draft, tokens, others, overwrite=overwrite)
    return Exported(bundle, draft.parity)


def _written(
    out: Path,
    facts: dict[str, Any],
    draft: Draft,
    tokens: Sequence[str],
    others: Mapping[str, bytes | Path],
    *,
    overwrite: bool,
) -> Bundle:
    model = draft.bundle.model_path  # the draft lies in a folder that goes away
    return Bundle.write(out, facts, model=model, tokens=tokens, others=others, overwrite=overwrite)


def _loaded(
    source: str, revision: str | None, language: str | None, report: Callable[[str], None]
) -> Checkpoint:
    report(f"loading {source}")
    with silence():
        return load_checkpoint(source, revision, language)


def _heard(
    below: float, phrases_below: float | None, penalty: float, margin_frames: int
) -> dict[str, float]:
    """Return what is taken for noise and for phrases, and the margins, as a manifest has it."""
    phrases = {} if phrases_below is None else {"reject_phrases_below": phrases_below}
    always = {"phrases_blank_penalty": penalty, "margin_frames": margin_frames}
    return {"reject_below": below, **phrases, **always}


def _check(precision: str, layout: str, out: Path, *, overwrite: bool) -> None:
    """Refuse what cannot be before anything is loaded."""
    for name, value, known in (("precision", precision, PRECISIONS), ("layout", layout, LAYOUTS)):
        if value not in known:
            raise ExportError(f"{name} {value!r} is not known: choose one of {', '.join(known)}")
    if out.exists() and not overwrite and (not out.is_dir() or any(out.iterdir())):
        raise BundleExistsError(
            f"{out} is there already: name a new folder, or ask for it to be replaced (--overwrite)"
        )


def _drafted(
    workshop: Workshop, precision: str, others: Mapping[str, bytes]
) -> tuple[Draft, dict[str, Any]]:
    """Make the draft of a precision, in the other layout if there are files of one.

    Returns:
        It, and what the manifest says of its precision and parity.
    """
    if precision == "auto":
        draft, table = search(workshop)
    else:
        draft, table = workshop.draft(POLICIES[precision]), {}
    if others:
        draft = as_onnx_asr(workshop, draft, others)
    parity, batches = draft.parity.to_dict(), not (draft.policy.is_integer or others)
    if others:
        del parity["stepped"]  # it has no steps
    described = {**draft.bundle.manifest.precision, **table}
    return draft, {"precision": described, "parity": parity, "batches": batches}


def _drifted(draft: Draft, *, force: bool) -> bool:
    """Return whether the graph drifted; that is an error unless the bundle is forced."""
    try:
        draft.parity.check(draft.policy.name)
    except ExportError:
        if not force:
            raise
        return True
    return False


def manifest_facts(checkpoint: Checkpoint, clips: Sequence[Array]) -> dict[str, Any]:
    """Return the manifest without precision and parity: what the runtime must know."""
    config, sizes, words = checkpoint.config, checkpoint.sizes, checkpoint.vocabulary
    return {
        "name": checkpoint.name,
        "model_type": config.model_type,
        "sample_rate_hz": checkpoint.rate_hz,
        "conv_kernels": list(config.conv_kernel),
        "conv_strides": list(config.conv_stride),
        "hidden_size": sizes.hidden,
        "layers": sizes.layers,
        "heads": sizes.heads,
        "head_size": sizes.head_size,
        "vocabulary_size": sizes.vocabulary,
        "position_left_frames": sizes.left_frames,
        "position_right_frames": position_reach(config)[1],
        "knows_the_start": sizes.knows_the_start,
        "receptive_field_samples": sizes.receptive_field,
        "hop_samples": sizes.hop,
        "blank_id": words.blank_id,
        "word_delimiter_id": words.delimiter_id,
        "special_ids": list(words.special_ids),
        "word_separator": words.separator,
        "do_normalize": checkpoint.do_normalize,
        "group_norm": sizes.kernel is not None,
        "normalization_prior": _prior(checkpoint, clips),
        "precision": {},
        "opset": OPSET,
        "source": checkpoint.source,
        "versions": _versions(),
        "parity": {},
        "forced": False,
    }


def _prior(checkpoint: Checkpoint, clips: Sequence[Array]) -> dict[str, Any] | None:
    """Measure what a stream's running normalisation starts from.

    Only where the checkpoint normalises over the utterance.
    """
    config = checkpoint.config
    norm = Normalization(
        checkpoint.do_normalize,
        checkpoint.sizes.kernel is not None,
        config.conv_kernel[0],
        config.conv_stride[0],
        rate_hz=checkpoint.rate_hz,
    )
    if not (norm.do_normalize or norm.group_norm):
        return None
    state = norm.start()
    for clip in clips:
        state = norm.heard(state, clip)
    return state.prior(_PRIOR_S, norm)


def _versions() -> dict[str, str]:
    libraries = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "numpy")
    return {"wav2edge": __version__} | {
        name: importlib.metadata.version(name) for name in libraries
    }
