"""The command `wav2edge export`; torch is only imported when it runs."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

PRECISIONS = (
    "int8",
    "float32",
    "float16",
    "auto",
    "int8-plain",
    "int8-tensor",
    "int8-late",
    "int8-position",
    "int8-conv",
    "int8-conv-smooth",
    "int8-conv-rows",
    "int8-conv-split",
)

LAYOUTS = ("wav2edge", "onnx-asr")


def add_parsers(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add `export` to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="turn a checkpoint into a bundle that is proved equal to it",
        description="Turn a CTC checkpoint of Wav2Vec 2.0, HuBERT, MMS, UniSpeech, WavLM or "
        "data2vec into an ONNX bundle. The bundle is compared with the checkpoint, offline and in "
        "chunks, and is not written if it drifted.",
    )
    parser.add_argument(
        "checkpoint",
        help="a folder in the layout of transformers, or a hub id (facebook/wav2vec2-base-960h)",
    )
    parser.add_argument("out", type=Path, help="folder of the bundle; it must be new or empty")
    parser.add_argument("--split", help="only these rows of tables, by their column split")
    parser.add_argument("--revision", help="branch, tag or commit on the hub")
    parser.add_argument(
        "--language",
        help="of a multilingual checkpoint (MMS), as its vocab.json spells it: eng (default: the "
        "one that the checkpoint names)",
    )
    _add_bundle_arguments(parser)
    parser.set_defaults(run=run_export)


def _add_bundle_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is chosen of the bundle, and of the proof that it is equal."""
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="int8",
        help="of the matrix products (default: int8); float16 is for GPUs, auto takes the fastest "
        "that keeps parity on the --verify recordings, which must have five minutes of speech",
    )
    parser.add_argument(
        "--portable",
        action="store_true",
        help="unsigned weights, for x86 processors without VNNI",
    )
    parser.add_argument(
        "--verify",
        type=Path,
        nargs="+",
        default=[],
        metavar="AUDIO",
        help="recordings to compare on, or a table of them: .tsv with a column path (default: "
        "synthetic clips)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="write the bundle although it drifted; its manifest says so",
    )
    _add_thresholds(parser)
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default=LAYOUTS[0],
        help="onnx-asr: for programs that read that layout; it holds a graph for whole recordings "
        "and cannot stream (default: wav2edge)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def _add_thresholds(parser: argparse.ArgumentParser) -> None:
    """Add what the manifest says of noise, phrases and margins."""
    parser.add_argument(
        "--reject-below",
        type=_share,
        default=0.0,
        metavar="CONFIDENCE",
        help="leave segments less confident than this out of transcripts, as noise (default: 0)",
    )
    parser.add_argument(
        "--reject-phrases-below",
        type=_share,
        metavar="FIT",
        help="phrases that fit less are not heard, unless a caller says otherwise (default: 0.35)",
    )
    parser.add_argument(
        "--margin-frames",
        type=_whole,
        default=0,
        metavar="N",
        help="frames of silence heard behind all audio, for a model that hears badly what is "
        "cut tight (default: 0)",
    )
    parser.add_argument(
        "--phrases-blank-penalty",
        type=_nats,
        default=0.0,
        metavar="NATS",
        help="taken off the blank where phrases are heard; for a model that hears little, 2 or 3 "
        "(default: 0)",
    )


def run_export(args: argparse.Namespace) -> int:
    """Export, and print what was written and how equal it is."""
    from .convert import export

    exported = export(
        args.checkpoint,
        args.out,
        precision=args.precision,
        verify=args.verify,
        split=args.split,
        portable=args.portable,
        force=args.force,
        revision=args.revision,
        language=args.language,
        layout=args.layout,
        overwrite=args.overwrite,
        reject_below=args.reject_below,
        reject_phrases_below=args.reject_phrases_below,
        phrases_blank_penalty=args.phrases_blank_penalty,
        margin_frames=args.margin_frames,
        report=_progress,
    )
    _progress("")
    manifest, parity = exported.bundle.manifest, exported.parity
    n_bytes = sum(facts.bytes for facts in manifest.files.values())
    print(f"{args.out}: {manifest.name}, {manifest.precision['name']}, {n_bytes / 1e6:.1f} MB")
    spoken = manifest.source.get("language")
    if spoken is not None:
        own = "" if args.language else ", the checkpoint's own; --language chooses another"
        print(f"  language {spoken}{own}")
    rows = {"offline": parity.offline, "in chunks": parity.stepped}
    for name, found in rows.items() if args.layout == LAYOUTS[0] else [("offline", parity.offline)]:
        print(
            f"  {name}: log-probs differ by at most {found.largest_difference:.1e} "
            f"(mean {found.mean_difference:.1e}), "
            f"{found.agreement:.2%} of the spoken frames agree, "
            f"character error {found.character_error_rate:.2%} over {found.n_characters} characters"
        )
    if manifest.forced:
        print("  beyond the limits, written because of --force", file=sys.stderr)
    return 0


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def _nats(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def _progress(text: str) -> None:
    """Show what is being done, on a terminal only, in place."""
    if sys.stderr.isatty():
        print(f"\r{text[:100]}\x1b[K", end="", file=sys.stderr, flush=True)
