"""`wav2edge bench adaptation`: does streaming adaptation pay?

From one checkpoint, arms are trained for as many steps each on the split train: with everything in
sight (which is also the control: what more training alone is worth), adapted to streaming, and
adapted to streaming from the one that was trained with everything in sight.
"""

import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wav2edge.training.recordings import read_manifest, read_recording
from wav2edge.training.voices import RATE_HZ

from .result import BenchmarkError

AS_IS, WHOLE, ADAPTED, BOTH = "as it is", "whole", "adapted", "whole, adapted"
_LONGEST_STRING = 7  # digits
_PAUSE_S = (0.03, 0.4)
_HELD_OUT = 8  # strings


@dataclass(frozen=True)
class Plan:
    """How the arms are trained."""

    steps: int = 100
    batch_s: float = 24.0
    rate: float = 2e-4
    whole: float = 0.25
    """Share of batches that see everything, where streaming is learned."""
    seed: int = 1
    trained: tuple[str, ...] = (WHOLE, ADAPTED, BOTH)
    """Arms; the last needs the first."""

    def arms(self, checkpoint: Path, out: Path) -> dict[str, Path]:
        """Return the checkpoint folders, the given one first."""
        folders = {WHOLE: "whole", ADAPTED: "adapted", BOTH: "whole-adapted"}
        return {AS_IS: checkpoint} | {arm: out / folders[arm] for arm in self.trained}

    def commands(self, checkpoint: Path, data: Path, out: Path) -> list[list[str]]:
        """Return the command lines of all arms, in order."""
        arms, manifest = self.arms(checkpoint, out), str(data / "MANIFEST.tsv")
        tables = [manifest, str(out / "strings.tsv"), "--noise", manifest, "--split", "train"]
        tables += ["--dev", str(out / "held-out.tsv")]
        run = (
            f"--steps {self.steps} --batch-s {self.batch_s:g} --rate {self.rate:g} "
            f"--seed {self.seed} --min-s 0.2 --max-s 15 --augment strong --report-steps 10"
        )
        starts = {WHOLE: checkpoint, ADAPTED: checkpoint, BOTH: out / "whole"}
        shares = {WHOLE: "1", ADAPTED: f"{self.whole:g}", BOTH: f"{self.whole:g}"}
        return [
            [
                *f"adapt --whole {shares[arm]} {run}".split(),
                str(start),
                *tables,
                "-o",
                str(arms[arm]),
            ]
            for arm, start in starts.items()
            if arm in self.trained
        ]


def train(
    checkpoint: Path, data: Path, out: Path, plan: Plan, report: Callable[[str], None]
) -> None:
    """Train all arms, or go on where they were stopped.

    Raises:
        BenchmarkError: A run failed, or there is no data manifest.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    if not (out / "strings.tsv").is_file():
        write_strings(data, out)
    for command in plan.commands(checkpoint, data, out):
        report(" ".join(command))
        line = [sys.executable, "-m", "wav2edge", "train", *command]
        done = subprocess.run(line, check=False)  # noqa: S603  (our own command)
        if done.returncode:
            raise BenchmarkError(f"`wav2edge train adapt` ended with {done.returncode}")


def write_strings(data: Path, out: Path) -> None:
    """Join the single digits of the split train into strings of two to seven, by speaker.

    Single digits are shorter than a chunk, and nobody streams one. The table is `strings.tsv`; a
    few are held out, which show in the log that a run goes well.
    """
    import soundfile

    rng = np.random.default_rng(0)
    speakers: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_manifest(data, "train"):
        if row["set"] == "fsdd":
            speakers[row["speaker"]].append(row)
    rows: list[tuple[str, str, str]] = []
    (out / "strings").mkdir(parents=True, exist_ok=True)
    for speaker, digits in sorted(speakers.items()):
        order = rng.permutation(len(digits)).tolist()
        while order:
            n = int(rng.integers(2, _LONGEST_STRING + 1))
            taken, order = [digits[i] for i in order[:n]], order[n:]
            pieces = []
            for row in taken:
                loudness = np.float32(10 ** rng.uniform(-0.15, 0.15))
                pause = np.zeros(int(rng.uniform(*_PAUSE_S) * RATE_HZ), np.float32)
                pieces += [read_recording(data / row["path"]) * loudness, pause]
            name = f"strings/{speaker}-{len(rows):04}.flac"
            joined = np.clip(np.concatenate(pieces[:-1]), -1, 1)
            soundfile.write(out / name, joined, RATE_HZ)
            rows.append((name, "train", " ".join(row["norm"] for row in taken)))
    _write(out / "strings.tsv", rows[:-_HELD_OUT])
    _write(out / "held-out.tsv", rows[-_HELD_OUT:])


def _write(file: Path, rows: list[tuple[str, str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(("path", "split", "norm"))
        writer.writerows(rows)
