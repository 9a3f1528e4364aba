"""From what was asked on the command line to a run of the loop."""

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import finetuning
from .conditions import noise_conditions
from .errors import StartNotFoundError
from .evaluate import CheckpointModel, heard_score
from .loading import Augmentation, Recordings
from .manifest import Recorded, Row, Usable, read_rows, usable
from .objective import Objective
from .output import Output
from .ranks import Ranks, joined
from .schedule import Budget, Schedule
from .spelling import Spelling, UnspellableError, has_vocabulary, read_spelling, spelling_of
from .trainer import Options, Trainer

Report = Callable[[str], None]
_SPELLED = 0.9  # of the transcripts: with fewer, a checkpoint's vocabulary is another language's
_HELD_OUT, _MOST_HELD_OUT = 0.05, 100


def finetune(arguments: argparse.Namespace, report: Report) -> None:
    """Run `wav2edge train finetune`.

    Raises:
        TrainingError: It cannot be run as asked.
    """
    with joined() as ranks:
        _require_place(arguments.start)
        rows = read_rows(arguments.tables, arguments.split)
        spelling, is_new, how = _vocabulary(arguments.start, rows)
        report(f"vocabulary: {spelling.alphabet.size} tokens, {how}")
        masking = finetuning.Masking(
            arguments.mask_time, arguments.mask_channels, arguments.layer_drop
        )
        if arguments.start is None:
            objective = finetuning.from_nothing(arguments.config, spelling, arguments.seed, masking)
        else:
            objective = finetuning.from_checkpoint(
                arguments.start,
                spelling,
                new_head=is_new,
                head_only=arguments.head_only,
                seed=arguments.seed,
                masking=masking,
            )
        _run(objective, rows, spelling, arguments, ranks, report)


def pretrain(arguments: argparse.Namespace, report: Report) -> None:
    """Run `wav2edge train pretrain`.

    Raises:
        TrainingError: It cannot be run as asked.
    """
    from . import pretraining

    with joined() as ranks:
        _require_place(arguments.start)
        rows = read_rows(arguments.tables, arguments.split)
        objective = pretraining.objective_of(arguments)
        _run(objective, rows, None, arguments, ranks, report)


def adapt(arguments: argparse.Namespace, report: Report) -> None:
    """Run `wav2edge train adapt`.

    Raises:
        TrainingError: It cannot be run as asked.
    """
    from . import adaptation

    with joined() as ranks:
        _require_place(arguments.start)
        rows = read_rows(arguments.tables, arguments.split)
        if arguments.loss is None:
            arguments.loss = "ctc" if any(row.text for row in rows) else "distillation"
        report(f"loss: {arguments.loss}")
        spelling = read_spelling(arguments.start) if arguments.loss == "ctc" else None
        objective = adaptation.objective_of(arguments, spelling)
        _run(objective, rows, spelling, arguments, ranks, report)


def embedded(arguments: argparse.Namespace, report: Report) -> None:
    """Run `wav2edge train embedded`."""
    from . import ctc

    ctc.run(arguments, report)


def _require_place(start: str | None) -> None:
    """Refuse what is no folder and cannot be a hub id before the hub is asked for it."""
    if start is None or Path(start).is_dir():
        return
    if start.count("/") != 1 or start.startswith((".", "/", "~")) or Path(start).exists():
        raise StartNotFoundError(
            f"{start!r} is neither a checkpoint folder nor a hub id: give a folder that holds "
            "config.json and model.safetensors, or an id such as facebook/wav2vec2-base"
        )


@dataclass(frozen=True)
class _Data:
    """Recordings to learn from, and a few to see how well that goes."""

    learned: tuple[Recorded, ...]
    held_out: tuple[Recorded, ...]


def _run(
    objective: Objective,
    rows: Sequence[Row],
    spelling: Spelling | None,
    arguments: argparse.Namespace,
    ranks: Ranks,
    report: Report,
) -> None:
    n_frames = finetuning.frames_of(objective.model)
    found = _found(rows, spelling, arguments, n_frames)
    output = Output.under(arguments.out, _settings(arguments, found.recorded))
    data = _parted(found.recorded, arguments, spelling, n_frames)
    if ranks.first:
        output.begin()
        found.write_unusable(output.run / "unusable.tsv")
    _tell(found, data, output, report)
    do_normalize = bool(getattr(objective, "do_normalize", False))
    source = Recordings(
        data.learned,
        spelling,
        arguments.batch_s,
        arguments.seed,
        do_normalize=do_normalize and not getattr(objective, "normalizes_itself", False),
        augmentation=_augmentation(arguments),
        crop_s=arguments.max_s if spelling is None else None,
        workers=arguments.workers,
        left_out=output.run / "unusable.tsv",
    )
    trainer = Trainer(
        objective,
        source,
        options_of(arguments),
        output,
        validate=_validation(data.held_out, spelling, do_normalize=do_normalize),
        ranks=ranks,
    )
    if find_spec("tensorboard") is None:
        report('no TensorBoard log: pip install "wav2edge[train]" brings it; log.jsonl has it all')
    if trainer.used.step:
        report(f"going on after step {trainer.used.step}")
    trainer.run()


def options_of(arguments: argparse.Namespace) -> Options:
    """Return how a run goes."""
    return Options(
        Budget.asked(arguments),
        Schedule(arguments.rate, arguments.warmup, arguments.hold),
        seed=arguments.seed,
        accumulate=arguments.accumulate,
        precision=arguments.precision,
        report_steps=arguments.report_steps,
    )


def _vocabulary(start: str | None, rows: Sequence[Row]) -> tuple[Spelling, bool, str]:
    """Return the vocabulary, whether it is new, and where it is from.

    A checkpoint's own is taken if it spells the transcripts.
    """
    texts = [row.text for row in rows if row.text]
    if start is None or not has_vocabulary(start):
        why = "there is none yet" if start is None else f"{start} has none; its head is new"
        return spelling_of(texts), True, f"made from the transcripts ({why})"
    spelling = read_spelling(start)
    share = sum(_spells(spelling, text) for text in texts) / max(1, len(texts))
    if share >= _SPELLED:
        return spelling, False, f"those of {start}"
    why = f"that of {start} spells {share:.0%} of them; the head is new"
    return spelling_of(texts), True, f"made from the transcripts ({why})"


def _spells(spelling: Spelling, text: str) -> bool:
    try:
        return bool(spelling.normalize(text))
    except UnspellableError:
        return False


def _found(
    rows: Sequence[Row],
    spelling: Spelling | None,
    arguments: argparse.Namespace,
    n_frames: Callable[[int], int],
) -> Usable:
    return usable(
        rows,
        spelling,
        n_frames=n_frames,
        longest_s=arguments.max_s if spelling is not None else float("inf"),
        shortest_s=arguments.min_s,
    )


def _settings(arguments: argparse.Namespace, recorded: Sequence[Recorded]) -> Mapping[str, Any]:
    """Return what makes a run this one: what it learns from, and every option that matters."""
    digest = hashlib.sha256()
    for one in recorded:
        digest.update(f"{one.path.name}\t{one.n_samples}\t{one.text}\n".encode())
    left = {"run", "out", "tables", "dev", "workers", "noise", "report_steps"}
    asked = {name: value for name, value in vars(arguments).items() if name not in left}
    plain = {
        name: value if isinstance(value, str | int | float | list | None) else str(value)
        for name, value in asked.items()
    }
    return {**plain, "recordings": digest.hexdigest()[:16]}


def _parted(
    recorded: tuple[Recorded, ...],
    arguments: argparse.Namespace,
    spelling: Spelling | None,
    n_frames: Callable[[int], int],
) -> _Data:
    """Part what is learned from and what is held out: a table of its own, or a few recordings."""
    if spelling is None:
        return _Data(recorded, ())
    if arguments.dev is not None:
        rows = read_rows([arguments.dev], arguments.dev_split)
        found = usable(rows, spelling, n_frames=n_frames, longest_s=arguments.max_s)
        return _Data(recorded, found.recorded)
    n_held_out = min(_MOST_HELD_OUT, int(_HELD_OUT * len(recorded)))
    order = np.random.default_rng(arguments.seed).permutation(len(recorded)).tolist()
    held_out = set(order[:n_held_out])
    return _Data(
        tuple(one for i, one in enumerate(recorded) if i not in held_out),
        tuple(recorded[i] for i in sorted(held_out)),
    )


def _tell(found: Usable, data: _Data, output: Output, report: Report) -> None:
    report(
        f"recordings: {len(data.learned)} to learn from, {len(data.held_out)} held out, "
        f"{found.hours:.2f} h"
    )
    if found.unusable:
        counts = ", ".join(f"{n} {reason}" for reason, n in found.counts().most_common())
        report(f"left out: {counts}; listed in {output.run / 'unusable.tsv'}")


def _augmentation(arguments: argparse.Namespace) -> Augmentation | None:
    strength = {"none": 0.0, "light": 0.5, "strong": 1.0}[arguments.augment]
    if not strength:
        return None
    tables = [path for path in arguments.noise if path.suffix == ".tsv"]
    files = [(path, "") for path in arguments.noise if path.suffix != ".tsv"]
    rows = read_rows(tables, ["noise"]) if tables else []
    files += [(row.path, row.notes) for row in rows]
    return noise_conditions(files, arguments.seed, strength)


def _validation(
    held_out: Sequence[Recorded], spelling: Spelling | None, *, do_normalize: bool
) -> Callable[[torch.nn.Module], Mapping[str, float]] | None:
    if not held_out or spelling is None:
        return None

    def validate(model: torch.nn.Module) -> Mapping[str, float]:
        found = heard_score(
            CheckpointModel(model, spelling.alphabet, do_normalize=do_normalize), held_out
        )
        return {"wer": found.words.rate, "cer": found.characters.rate}

    return validate
