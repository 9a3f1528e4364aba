"""`wav2edge bench pretraining`: does pre-training pay, at equal budget?

Two arms are trained for as many minutes of CPU: one from nothing on a few minutes of transcripts
for the whole budget, the other first without transcripts on all recordings that are not for
testing, then on the same few minutes. Both are scored on the development sets.
"""

import csv
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .result import BenchmarkError

SCRATCH, PRETRAINED, PRETRAINING = "scratch", "pretrained", "pretraining"


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


def _write(file: Path, data: Path, rows: Sequence[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(("path", "text"))
        writer.writerows(((data / row["path"]).resolve(), row["norm"]) for row in rows)
