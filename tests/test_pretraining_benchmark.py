"""`wav2edge bench pretraining`: both arms get the same, and the result shows both."""

import csv
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

from wav2edge.benchmarks.conditions import Conditions
from wav2edge.benchmarks.plots import plot
from wav2edge.benchmarks.pretraining import (
    ACCURACY,
    DEFINITIONS,
    PERPLEXITY,
    PRETRAINED,
    PRETRAINING,
    SCRATCH,
    Plan,
    table,
    write_tables,
)
from wav2edge.benchmarks.result import BenchmarkError, Figure, Result
from wav2edge.cli import parser


def test_arms_have_the_same_budget_and_transcripts(tmp_path: Path) -> None:
    """Minutes sum up to the same, and both hear the same table of transcripts."""
    commands = Plan(minutes=20).commands(tmp_path)
    asked = {
        arm: [parser().parse_args(command) for command in lines] for arm, lines in commands.items()
    }
    minutes = {arm: sum(one.minutes for one in some) for arm, some in asked.items()}
    assert minutes == {SCRATCH: 20.0, PRETRAINED: 20.0}
    scratch, (pretraining, finetuning) = asked[SCRATCH][0], asked[PRETRAINED]
    assert scratch.tables == finetuning.tables == [tmp_path / "transcribed.tsv"]
    assert (scratch.start, finetuning.start) == (None, str(tmp_path / PRETRAINING))
    assert pretraining.out == tmp_path / PRETRAINING


def test_tables_hold_nothing_for_testing(tmp_path: Path) -> None:
    """Ten minutes are drawn from the split train; what is not for testing is all heard."""
    with (tmp_path / "MANIFEST.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("path", "split", "duration_s", "norm"))
        for split, text in (("train", "A"), ("dev", "A"), ("unlabelled", ""), ("noise", "")):
            writer.writerows((f"{split}/{i}.wav", split, 10.0, text) for i in range(100))
    write_tables(tmp_path, tmp_path / "out", Plan())
    few, every = (
        [line.split("\t")[0] for line in (tmp_path / "out" / name).read_text().splitlines()[1:]]
        for name in ("transcribed.tsv", "everything.tsv")
    )
    assert len(few) == len(set(few)) == 60
    assert {Path(path).parent.name for path in few} == {"train"}
    assert {Path(path).parent.name for path in every} == {"train", "unlabelled"}
    with pytest.raises(BenchmarkError, match=r"holds no MANIFEST\.tsv"):
        write_tables(tmp_path / "out", tmp_path, Plan())


def test_a_result_becomes_table_and_plot(tmp_path: Path) -> None:
    """Each set is a row with both arms and their intervals; the plot is drawn."""
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    model = {"name": "tiny", "precision": "float32"}
    conditions = Conditions.of_model(model, ("torch",), threads=1, options={}, audio={})
    figures: dict[str, Figure | None] = {
        f"{kind} {arm} an4": Figure(0.5, 0.4, 0.6, 82)
        for kind in ("wer", "cer")
        for arm in (SCRATCH, PRETRAINED)
    }
    series = {f"{PRETRAINING} {name}": [1.0, 2.0] for name in ("step", ACCURACY, PERPLEXITY)}
    for arm in (SCRATCH, PRETRAINED):
        series |= {f"{arm} minutes": [1.0, 2.0], f"{arm} loss": [3.0, 2.0]}
    result = Result("pretraining", conditions, figures, DEFINITIONS, series)
    cell = "50.0 % (40.0 to 60.0)"
    assert table(result)[2:] == [f"| an4 | 82 | {cell} | {cell} | {cell} | {cell} |"]
    plot(result, tmp_path / "pretraining.png")
    assert (tmp_path / "pretraining.png").stat().st_size > 10_000
