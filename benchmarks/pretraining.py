"""`wav2edge bench pretraining`: does pre-training pay, at equal budget?

Two arms are trained for as many minutes of CPU: one from nothing on a few minutes of transcripts
for the whole budget, the other first without transcripts on all recordings that are not for
testing, then on the same few minutes. Both are scored on the development sets.
"""

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wav2edge.training.evaluate import CheckpointModel, evaluate, sets_of
from wav2edge.training.manifest import read_rows

from .conditions import Conditions
from .result import BenchmarkError, Figure, Result

SCRATCH, PRETRAINED, PRETRAINING = "scratch", "pretrained", "pretraining"
ACCURACY, PERPLEXITY = "contrastive_accuracy", "codebook_perplexity"
DEFINITIONS = {
    "wer": "word error rate, by arm and set, with its 95 % bootstrap interval; n: words",
    "cer": "character error rate, likewise; n: characters",
    ACCURACY: "share of hidden frames told from 100 others, last tenth of the reports",
    PERPLEXITY: "codewords in use, over all codebooks, last tenth of the reports",
}
_DIGITS = "fsdd"  # single words, joined into strings


@dataclass(frozen=True)
class Plan:
    """How the pair is trained."""

    config: str = "tiny"
    minutes: float = 15.0
    """CPU time of each arm, without that of reading audio ahead."""
    pretraining_share: float = 0.75
    transcribed_minutes: float = 10.0
    batch_s: float = 32.0
    seed: int = 1
    scratch_rate: float = 2e-3
    """Of the arm from nothing."""
    pretraining_rate: float = 1e-3
    finetuning_rate: float = 1e-3
    """After pre-training."""

    def commands(self, out: Path) -> dict[str, list[list[str]]]:
        """Return the command lines of both arms."""
        few, every = str(out / "transcribed.tsv"), str(out / "everything.tsv")
        first = self.pretraining_share * self.minutes
        return {
            SCRATCH: [self._one("finetune", few, out / SCRATCH, self.minutes, self.scratch_rate)],
            PRETRAINED: [
                self._one("pretrain", every, out / PRETRAINING, first, self.pretraining_rate),
                [
                    *self._one(
                        "finetune",
                        few,
                        out / PRETRAINED,
                        self.minutes - first,
                        self.finetuning_rate,
                    ),
                    *("--from", str(out / PRETRAINING)),
                ],
            ],
        }

    def _one(self, kind: str, table: str, out: Path, minutes: float, rate: float) -> list[str]:
        said = {
            "out": out,
            "config": self.config,
            "minutes": minutes,
            "rate": rate,
            "batch-s": self.batch_s,
            "seed": self.seed,
            "min-s": 0.3,
            "augment": "none",
        }
        options = [word for name, value in said.items() for word in (f"--{name}", str(value))]
        return ["train", kind, table, *options]


def write_tables(data: Path, out: Path, plan: Plan) -> None:
    """Write the tables of both arms: recordings drawn from the split train, and all of them.

    Raises:
        BenchmarkError: There is no data manifest.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    with (data / "MANIFEST.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    train = [row for row in rows if row["split"] == "train"]
    spoken = [row for row in train if row["norm"]]
    few, total_s = [], 0.0
    for index in np.random.default_rng(plan.seed).permutation(len(spoken)).tolist():
        if total_s >= 60 * plan.transcribed_minutes:
            break
        few.append(spoken[index])
        total_s += float(spoken[index]["duration_s"])
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "transcribed.tsv", data, few)
    _write(out / "everything.tsv", data, train + [r for r in rows if r["split"] == "unlabelled"])


def train(data: Path, out: Path, plan: Plan, report: Callable[[str], None]) -> None:
    """Train both arms, or go on where they were stopped.

    Raises:
        BenchmarkError: A run failed.
    """
    write_tables(data, out, plan)
    for commands in plan.commands(out).values():
        for command in commands:
            report(" ".join(command))
            done = subprocess.run([sys.executable, "-m", "wav2edge", *command], check=False)  # noqa: S603
            if done.returncode:
                raise BenchmarkError(f"`{' '.join(command[:2])}` ended with {done.returncode}")


def measure(data: Path, out: Path, plan: Plan, report: Callable[[str], None]) -> Result:
    """Score both arms on the development sets, greedily.

    Args:
        data: Folder of the data manifest.
        out: Where `train` wrote.
        plan: As it was trained by.
        report: Told what is being done.

    Raises:
        BenchmarkError: An arm is not there.
        AudioError: A recording cannot be read.
    """
    conditions = _conditions(out, plan)
    figures: dict[str, Figure | None] = {}
    for arm in (SCRATCH, PRETRAINED):
        report(f"scoring {arm}")
        sets = sets_of(read_rows([data / "MANIFEST.tsv"], ["dev"]), [_DIGITS])
        for name, ways in evaluate(CheckpointModel.open(out / arm), sets).items():
            found = ways["greedy"]
            wer, cer = found.words, found.characters
            figures[f"wer {arm} {name}"] = Figure(wer.rate, *found.wer_interval, wer.n_reference)
            figures[f"cer {arm} {name}"] = Figure(cer.rate, *found.cer_interval, cer.n_reference)
    series = {
        f"{run} {name}": values
        for run in (SCRATCH, PRETRAINING, PRETRAINED)
        for name, values in _logged(out / run).items()
    }
    for name in (ACCURACY, PERPLEXITY):
        values = series[f"{PRETRAINING} {name}"]
        last = values[-max(1, len(values) // 10) :]
        figures[name] = Figure(float(np.median(last)), min(last), max(last), len(last))
    return Result("pretraining", conditions.ended(), figures, DEFINITIONS, series)


def table(result: Result) -> list[str]:
    """Write the error rates as a table in Markdown, one row a set."""
    heads = [f"{kind.upper()} {arm}" for kind in ("wer", "cer") for arm in (SCRATCH, PRETRAINED)]
    lines = [f"| set | words | {' | '.join(heads)} |", "| --- | ---: |" + " ---: |" * 4]
    prefix = f"wer {SCRATCH} "
    for name in [key.removeprefix(prefix) for key in result.figures if key.startswith(prefix)]:
        row = [
            result.figures[f"{kind} {arm} {name}"]
            for kind in ("wer", "cer")
            for arm in (SCRATCH, PRETRAINED)
        ]
        n_words = row[0].n if row[0] else 0
        lines.append(f"| {name} | {n_words} | {' | '.join(map(_cell, row))} |")
    return lines


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    low, high = 100 * figure.lowest, 100 * figure.highest
    return f"{100 * figure.median:.1f} % ({low:.1f} to {high:.1f})"


def _logged(folder: Path) -> dict[str, list[float]]:
    """Return what a run logged, by figure; the validations are left out."""
    lines = (folder / "training" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "loss" in row]
    names = ("step", "minutes", "audio_h", "loss", ACCURACY, PERPLEXITY)
    return {name: [row[name] for row in rows] for name in names if name in rows[0]}


def _conditions(out: Path, plan: Plan) -> Conditions:
    import torch

    weights, config = out / PRETRAINED / "model.safetensors", out / PRETRAINED / "config.json"
    if not weights.is_file():
        raise BenchmarkError(f"{out / PRETRAINED} holds no checkpoint: train the arms first")
    facts = json.loads(config.read_text(encoding="utf-8"))
    model = {
        "name": plan.config,
        "kind": facts["model_type"],
        "layers": facts["num_hidden_layers"],
        "hidden_size": facts["hidden_size"],
        "hop_ms": float(np.prod(facts["conv_stride"])) / 16,
        "precision": "float32",
        "file_mb": round(weights.stat().st_size / 1e6, 3),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    heard = {
        run: {name: values[-1] for name, values in _logged(out / run).items()}
        for run in (SCRATCH, PRETRAINING, PRETRAINED)
    }
    return Conditions.of_model(
        model,
        ("torch",),
        threads=torch.get_num_threads(),
        options={"training": asdict(plan), "settings": _settings(out)},
        audio={"at the end of each run": heard},
        libraries=("torch", "transformers"),
    )


def _settings(out: Path) -> dict[str, Any]:
    """Return every option of each run but its folders."""
    found = {}
    for run in (SCRATCH, PRETRAINING, PRETRAINED):
        text = (out / run / "training" / "settings.json").read_text(encoding="utf-8")
        found[run] = {
            name: value
            for name, value in json.loads(text).items()
            if not isinstance(value, str) or "/" not in value
        }
    return found


def _write(file: Path, data: Path, rows: Sequence[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(("path", "text"))
        writer.writerows(((data / row["path"]).resolve(), row["norm"]) for row in rows)
