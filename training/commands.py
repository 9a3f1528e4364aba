"""The commands below `wav2edge train`; torch is imported when one runs.

Several processes learn together when `torchrun` starts them:
`torchrun --nproc-per-node 2 -m wav2edge train finetune ...`.
"""

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from .adaptation_options import add_options

CONFIGS = ("tiny", "small", "base")
_TABLE = "a table (.tsv) of recordings with the columns path and text (or norm, or transcript)"


def add_parsers(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Add `train` to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train a model: pretrain, finetune, adapt to streaming, average, evaluate",
        description="Train a Wav2Vec 2.0 from your own recordings. A run that was stopped goes on "
        "when the same command is given again.",
    )
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_finetune(kinds)
    _add_pretrain(kinds)
    _add_adapt(kinds)
    _add_average(kinds)
    _add_evaluate(kinds)
    _add_embedded(kinds)


def _add_finetune(kinds: "argparse._SubParsersAction[Any]") -> None:
    parser = kinds.add_parser(
        "finetune",
        help="learn to write from transcribed recordings (CTC)",
        description="Fine-tune a checkpoint on transcribed recordings, or train from nothing. "
        "Transcripts are brought to the case of the vocabulary (upper where there is none yet); "
        "punctuation and symbols that it lacks become spaces, accents go where the plain letter is "
        "there. Rows that cannot be used are listed in OUT/training/unusable.tsv.",
    )
    _add_data(parser)
    parser.add_argument(
        "--from",
        dest="start",
        metavar="DIR",
        help="checkpoint to start from: a folder or a hub id; default: from nothing",
    )
    parser.add_argument(
        "--config", choices=CONFIGS, default="small", help="without --from; default: small"
    )
    parser.add_argument(
        "--head-only",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="share of the run in which only the head learns, with --from; default: 0.1",
    )
    parser.add_argument("--mask-time", type=_share, metavar="SHARE", help="of frames, in spans")
    parser.add_argument("--mask-channels", type=_share, metavar="SHARE", help="of channels")
    parser.add_argument("--layer-drop", type=_share, metavar="CHANCE", help="of each layer")
    _add_held_out(parser)
    _add_augmentation(parser, "light")
    _add_run(parser, rate=3e-4)
    parser.set_defaults(run=partial(_train, "finetune"))


def _add_pretrain(kinds: "argparse._SubParsersAction[Any]") -> None:
    parser = kinds.add_parser(
        "pretrain",
        help="learn the structure of speech from recordings without transcripts",
        description="Pre-train on recordings alone: masked spans are told from distractors "
        "(contrastive loss over quantized speech). `finetune --from OUT` goes on from it.",
    )
    _add_data(parser)
    parser.add_argument(
        "--from", dest="start", metavar="DIR", help="go on from a pre-trained checkpoint"
    )
    parser.add_argument("--config", choices=CONFIGS, default="small", help="default: small")
    _add_augmentation(parser, "none")
    _add_run(parser, rate=5e-4)
    parser.set_defaults(run=partial(_train, "pretrain"), dev=None)


def _add_adapt(kinds: "argparse._SubParsersAction[Any]") -> None:
    parser = kinds.add_parser(
        "adapt",
        help="teach a checkpoint to hear in chunks, as it streams",
        description="Adapt a CTC checkpoint to streaming: chunks and look-ahead drawn at random, "
        "a limited past. Without transcripts it learns from its own full-context self.",
    )
    parser.add_argument("start", metavar="CHECKPOINT", help="a folder or a hub id")
    _add_data(parser)
    parser.add_argument(
        "--loss",
        choices=("ctc", "distillation"),
        help="default: ctc where there are transcripts, else distillation",
    )
    add_options(parser)
    _add_held_out(parser)
    _add_augmentation(parser, "none")
    _add_run(parser, rate=1e-4)
    parser.set_defaults(run=partial(_train, "adapt"))


def _add_average(kinds: "argparse._SubParsersAction[Any]") -> None:
    parser = kinds.add_parser(
        "average",
        help="the mean of checkpoints of one run",
        description="Average the weights of checkpoints that one run passed where its rate had "
        "fallen, or of runs from one start: the mean often errs less than each.",
    )
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="folders")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the mean"
    )
    parser.add_argument(
        "--shares",
        type=_numbers,
        metavar="N,N",
        help="how much each counts; default: all the same",
    )
    parser.set_defaults(run=_average)


def _add_evaluate(kinds: "argparse._SubParsersAction[Any]") -> None:
    parser = kinds.add_parser(
        "evaluate",
        help="word and character error rates of a checkpoint or bundle",
        description="Score a checkpoint or a bundle on transcribed recordings, by set (folder), "
        "with 95 % intervals (bootstrap over utterances): greedily, and with a language model "
        "where there is one. Case and punctuation do not count.",
    )
    parser.add_argument("model", type=Path, help="folder of a checkpoint or a bundle")
    parser.add_argument("tables", type=Path, nargs="+", metavar="MANIFEST", help=_TABLE)
    parser.add_argument("--split", action="append", default=[], help="only these rows")
    parser.add_argument(
        "--lm", type=Path, metavar="FILE", help="language model; default: the bundle's own"
    )
    parser.add_argument(
        "--join",
        action="append",
        default=[],
        metavar="SET",
        help="join the single words of a set into strings of five, with pauses of 150 to 400 ms",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.set_defaults(run=_evaluate)


def _add_embedded(kinds: "argparse._SubParsersAction[Any]") -> None:
    parser = kinds.add_parser(
        "embedded",
        help="train a model of the embedded one's kind",
        description="Train the small model on recordings and synthetic voices, as the model that "
        "comes along was trained.",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of MANIFEST.tsv and its recordings, to prepare the corpus from first; "
        "default: train on the corpus that is there",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path(".training"),
        metavar="DIR",
        help="of corpus, state, log and checkpoint; default: .training",
    )
    _add_budget(parser)
    parser.add_argument("--rate", type=float, default=8e-4, help="peak; default: 0.0008")
    parser.add_argument(
        "--batch-s", type=float, default=64.0, metavar="S", help="audio of a batch; default: 64"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    parser.set_defaults(run=partial(_train, "embedded"))


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tables",
        type=Path,
        nargs="+",
        metavar="MANIFEST",
        help=f"{_TABLE}; paths are seen from its folder",
    )
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        help="only rows whose column split says so; may be given several times",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the checkpoint"
    )
    parser.add_argument(
        "--max-s", type=float, default=20.0, metavar="S", help="longest recording; default: 20"
    )
    parser.add_argument(
        "--min-s", type=float, default=0.5, metavar="S", help="shortest recording; default: 0.5"
    )


def _add_held_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dev",
        type=Path,
        metavar="MANIFEST",
        help="recordings to validate on; default: 5 %% of the others, at most 100, are held out",
    )
    parser.add_argument(
        "--dev-split", action="append", default=[], metavar="SPLIT", help="only these rows of it"
    )


def _add_augmentation(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--augment",
        choices=("none", "light", "strong"),
        default=default,
        help="change speed, room, noise, microphone, telephone band and level at random; "
        f"default: {default}",
    )
    parser.add_argument(
        "--noise",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="recordings of noise, and of rooms (rir or impulse in their name or notes), or a "
        "table's rows of the split noise; default: synthetic noise and rooms",
    )


def _add_run(parser: argparse.ArgumentParser, *, rate: float) -> None:
    _add_budget(parser)
    parser.add_argument(
        "--rate", type=float, default=rate, metavar="R", help=f"peak; default: {rate:g}"
    )
    parser.add_argument(
        "--warmup", type=_share, default=0.1, metavar="SHARE", help="of the run; default: 0.1"
    )
    parser.add_argument(
        "--hold", type=_share, default=0.4, metavar="SHARE", help="at the peak; default: 0.4"
    )
    parser.add_argument(
        "--batch-s", type=float, default=64.0, metavar="S", help="audio of a batch; default: 64"
    )
    parser.add_argument(
        "--accumulate", type=int, default=1, metavar="N", help="batches of a step; default: 1"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="of the products; default: bfloat16 where the processor has it",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that read; default: 1"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--report-steps", type=int, default=20, metavar="N", help="between log lines; default: 20"
    )


def _add_budget(parser: argparse.ArgumentParser) -> None:
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int, metavar="N", help="length of the run")
    budget.add_argument("--hours-heard", type=float, metavar="H", help="the same in hours of audio")
    budget.add_argument(
        "--minutes", type=float, metavar="M", help="the same in minutes of CPU (of a GPU: of time)"
    )


def _train(kind: str, arguments: argparse.Namespace) -> int:
    from transformers.utils.logging import disable_progress_bar

    from . import launch

    disable_progress_bar()  # one for each file that is read or written
    first = int(os.environ.get("RANK", "0")) == 0
    try:
        getattr(launch, kind)(arguments, _say if first else _nothing)
    except KeyboardInterrupt as stopped:
        if first:
            what = str(stopped) or "stopped between two saves"
            print(f"wav2edge: {what}; the same command goes on", file=sys.stderr)
        return 130
    if first:
        print(f"{arguments.out}: the run is over, its checkpoint written")
    return 0


def _average(arguments: argparse.Namespace) -> int:
    from .averaging import average

    average(arguments.checkpoints, arguments.out, arguments.shares)
    print(f"{arguments.out}: the mean of {len(arguments.checkpoints)} checkpoints")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from .evaluate import as_json, evaluate, open_model, sets_of, table
    from .manifest import read_rows

    sets = sets_of(read_rows(arguments.tables, arguments.split), arguments.join)
    found = evaluate(open_model(arguments.model, arguments.lm), sets, _progress)
    _progress("")
    if arguments.json is not None:
        report = {"model": str(arguments.model), "sets": as_json(found)}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(found)))
    return 0


def _numbers(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas") from None


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _nothing(_: str) -> None:
    pass


def _progress(text: str) -> None:
    """Show what is being done, on a terminal only, in place."""
    if sys.stderr.isatty():
        print(f"\r{text[:100]}\x1b[K", end="", file=sys.stderr, flush=True)
