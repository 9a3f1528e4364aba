"""Streaming adaptation: what is drawn, what teaches, what comes out."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is absent: training needs it")
pytest.importorskip("transformers", reason="transformers is absent: training needs it")
pytest.importorskip("onnx", reason="onnx is absent: the export needs the extra `export`")

import torch
from random_checkpoint import write_checkpoint
from transformers import Wav2Vec2ForCTC

from wav2edge.cli import main
from wav2edge.export.checkpoint import load_checkpoint
from wav2edge.training.adaptation import Adaptation, Latencies, objective_of, teacher_of
from wav2edge.training.adaptation_options import add_options
from wav2edge.training.blocks import Chunking
from wav2edge.training.errors import StartError, TrainingOptionsError
from wav2edge.training.objective import Batch, Progress
from wav2edge.training.spelling import read_spelling

START = Progress(0, 100)


def arguments(checkpoint: Path, *options: str, loss: str = "ctc") -> Namespace:
    """As the command line makes them."""
    parser = ArgumentParser()
    add_options(parser)
    return Namespace(start=str(checkpoint), loss=loss, **vars(parser.parse_args(options)))


def batch_of(lengths: list[int], tokens: list[list[int]] | None = None) -> Batch:
    """Noise, padded, and what is said in it."""
    torch.manual_seed(1)
    samples = torch.zeros(len(lengths), max(lengths))
    for row, n in zip(samples, lengths, strict=True):
        row[:n] = 0.1 * torch.randn(n)
    said = tokens or [[] for _ in lengths]
    flat = torch.tensor([one for row in said for one in row], dtype=torch.int64)
    return Batch(samples, torch.tensor(lengths), flat, torch.tensor([len(row) for row in said]))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A layer-norm one, and one that normalises over the utterance in both ways."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {
        "large": write_checkpoint(folder / "large", "large", layerdrop=0.0),
        "base": write_checkpoint(folder / "base", "base", do_normalize=True, layerdrop=0.0),
        "hubert": write_checkpoint(folder / "hubert", "hubert"),
    }


def distilled(checkpoint: Path, latencies: Latencies) -> Adaptation:
    """The objective with a teacher, both in eval mode."""
    made = objective_of(arguments(checkpoint, loss="distillation"), None)
    made.model.eval()
    made.latencies = latencies
    return made


@pytest.mark.parametrize("kind", ["large", "base"])
def test_who_hears_everything_is_the_teacher(checkpoints: dict[str, Path], kind: str) -> None:
    """The loss is zero where the student hears all at once, and not where it hears chunks."""
    batch, draw = batch_of([12_000, 7000]), torch.Generator().manual_seed(0)
    whole = distilled(checkpoints[kind], Latencies(whole=1.0)).loss(batch, START, draw)
    assert whole.value.item() == pytest.approx(0.0, abs=1e-5)
    assert whole.figures["streamed"] == 0.0
    short = distilled(checkpoints[kind], Latencies((40, 40), (0, 0), (100, 100), 0.0))
    chunked = short.loss(batch, START, draw)
    assert chunked.value.item() > 1e-3
    assert chunked.figures["streamed"] == 1.0
    assert chunked.weight == 37 + 21  # frames


def test_one_chunk_that_covers_everything_is_whole(checkpoints: dict[str, Path]) -> None:
    """A stream of one chunk says what the teacher says, without the stream's own prior too."""
    made = distilled(checkpoints["large"], Latencies((2000, 2000), (0, 640), (0, 0), 0.0))
    found = made.loss(batch_of([12_000, 7000]), START, torch.Generator().manual_seed(0))
    assert found.value.item() == pytest.approx(0.0, abs=1e-5)


def test_the_student_learns_and_the_teacher_stays(checkpoints: dict[str, Path]) -> None:
    """Some steps on one batch bring chunks nearer to the whole; the teacher says what it said.

    Convolutions that hear the same as before stay.
    """
    made = distilled(checkpoints["large"], Latencies((80, 80), (40, 40), (200, 200), 0.0))
    before = {k: v.clone() for k, v in made.model.state_dict().items()}
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=2e-3)
    batch, losses = batch_of([12_000, 9000]), []
    for step in range(12):
        made.before_step(Progress(step, 12))
        loss = made.loss(batch, Progress(step, 12), torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
        losses.append(loss.value.item())
    assert losses[-1] < 0.7 * losses[0]
    assert made.teacher is not None
    after, teacher = made.model.state_dict(), made.teacher.state_dict()
    for name, value in before.items():
        assert torch.equal(value, teacher[name])
        assert torch.equal(value, after[name]) == (
            "feature_extractor" in name or name == "wav2vec2.masked_spec_embed"
        )


def test_convolutions_learn_where_they_hear_other_statistics(
    checkpoints: dict[str, Path],
) -> None:
    """A group norm over what was heard so far is not the one of whole utterances."""
    made = objective_of(arguments(checkpoints["base"]), None)
    made.before_step(START)
    assert all(p.requires_grad for p in made.model.parameters())


def test_transcripts_teach(checkpoints: dict[str, Path]) -> None:
    """The loss is CTC's, per token, on what the stream's frames say."""
    spelling = read_spelling(str(checkpoints["large"]))
    made = objective_of(arguments(checkpoints["large"], "--whole", "1"), spelling)
    made.model.eval()
    batch = batch_of([12_000, 7000], [spelling.spell("AB"), spelling.spell("C A")])
    loss = made.loss(batch, START, torch.Generator().manual_seed(0))
    expected = 0.0
    for row, n, text in zip(batch.samples, batch.n_samples, ("AB", "C A"), strict=True):
        logits = made.model(row[None, :n]).logits
        expected += torch.nn.functional.ctc_loss(
            torch.log_softmax(logits, dim=-1).transpose(0, 1),
            torch.tensor([spelling.spell(text)]),
            torch.tensor([logits.shape[1]]),
            torch.tensor([len(text)]),
            reduction="sum",
        ).item()
    assert loss.weight == 5
    assert loss.value.item() * 5 == pytest.approx(expected, rel=1e-3)


def test_streams_are_drawn_from_their_ranges(checkpoints: dict[str, Path]) -> None:
    """Every whole frame of a range comes up; the share of whole batches is what was asked."""
    options = ("--chunk-ms", "40", "100", "--look-ahead-ms", "0", "60", "--left-ms", "200", "200")
    made = objective_of(arguments(checkpoints["large"], *options, "--whole", "0.5"), None)
    draw = torch.Generator().manual_seed(0)
    drawn = [made.draw_chunking(draw) for _ in range(400)]
    assert 150 < sum(one is None for one in drawn) < 250
    streams = {one for one in drawn if one is not None}
    assert {one.chunk_frames for one in streams} == {2, 3, 4, 5}
    assert {one.look_ahead_frames for one in streams} == {0, 1, 2, 3}
    assert {one.left_frames for one in streams} == {10}
    again = torch.Generator().manual_seed(0)
    assert [made.draw_chunking(again) for _ in range(400)] == drawn


def test_what_it_writes_is_a_checkpoint_like_any_other(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Weights, vocabulary and feature extractor come back."""
    made = objective_of(arguments(checkpoints["base"]), None)
    made.save(made.model, tmp_path)
    again = objective_of(arguments(tmp_path), None)
    assert again.do_normalize
    assert again.spelling == made.spelling
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, made.model.state_dict()[name])


@pytest.mark.parametrize("loss", ["ctc", "distillation"])
def test_the_command_adapts_what_is_exported(
    checkpoints: dict[str, Path], tmp_path: Path, loss: str
) -> None:
    """From a table of recordings to a checkpoint that the export reads; no transcripts needed."""
    soundfile = pytest.importorskip("soundfile")
    rows = ["path\ttext" if loss == "ctc" else "path"]
    for i in range(4):
        samples = batch_of([9000 + 700 * i]).samples[0].numpy()
        soundfile.write(tmp_path / f"{i}.wav", samples, 16_000)
        rows.append(f"{i}.wav\tno" if loss == "ctc" else f"{i}.wav")
    (tmp_path / "rows.tsv").write_text("\n".join(rows) + "\n")
    start, table, out = str(checkpoints["base"]), str(tmp_path / "rows.tsv"), tmp_path / "out"
    options = ["--steps", "3", "--workers", "0", "--batch-s", "2", "--report-steps", "1"]
    assert main(["train", "adapt", start, table, "-o", str(out), *options]) == 0
    assert load_checkpoint(str(out)).do_normalize
    lines = (out / "training" / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert [row["step"] for row in log if "loss" in row] == [1, 2, 3]
    assert json.loads((out / "training" / "settings.json").read_text())["loss"] == loss


def test_what_cannot_be_is_refused_by_name(checkpoints: dict[str, Path]) -> None:
    """Other kinds of checkpoint, ranges that are none, shares above one."""
    with pytest.raises(StartError, match=r"HubertForCTC.*Wav2Vec2ForCTC only"):
        objective_of(arguments(checkpoints["hubert"]), None)
    for options in (("--chunk-ms", "0", "10"), ("--left-ms", "9", "8"), ("--whole", "1.5")):
        with pytest.raises(TrainingOptionsError, match="expected"):
            objective_of(arguments(checkpoints["large"], *options), None)


def test_a_teacher_is_a_copy(checkpoints: dict[str, Path]) -> None:
    """It shares nothing with what learns, and wants no gradient."""
    model = Wav2Vec2ForCTC.from_pretrained(checkpoints["large"])
    teacher = teacher_of(model)
    with torch.no_grad():
        model.lm_head.bias += 1
    assert not torch.equal(model.lm_head.bias, teacher.lm_head.bias)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert Chunking.whole().left_frames is None
