"""The mean of checkpoints: of each weight, of one kind only, and at the command line."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

import torch
from random_checkpoint import write_checkpoint
from safetensors.torch import load_file
from transformers import Wav2Vec2ForCTC

from wav2edge.cli import main
from wav2edge.training.averaging import average
from wav2edge.training.errors import (
    OtherRunError,
    StartError,
    StartNotFoundError,
    TrainingOptionsError,
)


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two checkpoints of one kind, and one of another."""
    folder = tmp_path_factory.mktemp("ends")
    return [
        write_checkpoint(folder / "a", "large", seed=1),
        write_checkpoint(folder / "b", "large", seed=2),
        write_checkpoint(folder / "c", "large", intermediate_size=48),
    ]


@pytest.mark.parametrize(("shares", "part"), [(None, 0.5), ([2.0, 6.0], 0.25)])
def test_each_weight_is_the_mean(
    ends: list[Path], tmp_path: Path, shares: list[float] | None, part: float
) -> None:
    """By the shares, in the type of the first; transformers opens it, and the rest is copied."""
    average(ends[:2], tmp_path / "mean", shares)
    first, second, mean = (
        load_file(folder / "model.safetensors") for folder in (*ends[:2], tmp_path / "mean")
    )
    assert mean.keys() == first.keys()
    for name, one in mean.items():
        assert one.dtype == first[name].dtype
        torch.testing.assert_close(one, part * first[name] + (1 - part) * second[name])
    assert Wav2Vec2ForCTC.from_pretrained(tmp_path / "mean").config.hidden_size > 0
    assert {file.name for file in (tmp_path / "mean").iterdir()} == {
        file.name for file in ends[0].iterdir()
    }


def test_a_mean_is_of_one_model(ends: list[Path], tmp_path: Path) -> None:
    """Other configurations, vocabularies and shapes are refused by name; nothing is written."""
    out = tmp_path / "mean"
    with pytest.raises(StartError, match="differ in intermediate_size"):
        average([ends[0], ends[2]], out)
    other = write_checkpoint(tmp_path / "other", "large")
    vocabulary = json.loads((other / "vocab.json").read_text())
    (other / "vocab.json").write_text(json.dumps({**vocabulary, "A": vocabulary["A"] + 1}))
    with pytest.raises(StartError, match="differ in A"):
        average([ends[0], other], out)
    (other / "vocab.json").write_bytes((ends[0] / "vocab.json").read_bytes())
    (other / "model.safetensors").write_bytes((ends[2] / "model.safetensors").read_bytes())
    with pytest.raises(StartError, match=r"differ in wav2vec2\.encoder\.layers\.0\.feed_forward"):
        average([ends[0], other], out)
    assert not out.exists()


def test_what_cannot_be_averaged_is_told(ends: list[Path], tmp_path: Path) -> None:
    """One alone, shares that do not fit, a folder without weights or with damage, a full one."""
    with pytest.raises(TrainingOptionsError, match="two checkpoints or more"):
        average(ends[:1], tmp_path / "mean")
    for shares in ([1.0], [1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(TrainingOptionsError, match="one number above 0 for each of the 2"):
            average(ends[:2], tmp_path / "mean", shares)
    with pytest.raises(StartNotFoundError, match="expected a checkpoint"):
        average([ends[0], tmp_path / "nowhere"], tmp_path / "mean")
    (tmp_path / "cut").mkdir()
    whole = (ends[0] / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(StartNotFoundError, match="cannot be read"):
        average([tmp_path / "cut", ends[0]], tmp_path / "mean")
    with pytest.raises(OtherRunError, match="choose a new or empty folder"):
        average(ends[:2], ends[2])


def test_the_command_says_what_it_did(
    ends: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line; a wrong path ends without a traceback."""
    a, b = map(str, ends[:2])
    assert main(["train", "average", a, b, "--shares", "2,3", "-o", str(tmp_path / "mean")]) == 0
    assert "the mean of 2 checkpoints" in capsys.readouterr().out
    assert main(["train", "average", a, "nowhere", "-o", str(tmp_path / "other")]) != 0
    assert "nowhere" in capsys.readouterr().err
    assert main(["train", "average", a, b, "--shares", "2,x", "-o", str(tmp_path / "other")]) != 0
    assert "numbers with commas" in capsys.readouterr().err
