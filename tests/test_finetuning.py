"""Tables become batches, transcripts become tokens, and a model learns to write them."""

import csv
import json
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="training needs torch")

import torch

from wav2edge.cli import main
from wav2edge.lm.alphabet import Alphabet
from wav2edge.training.conditions import noise_conditions
from wav2edge.training.errors import TrainingDataError, TrainingDataNotFoundError
from wav2edge.training.finetuning import Finetuning, Masking, from_checkpoint, from_nothing
from wav2edge.training.loading import Recordings
from wav2edge.training.manifest import Recorded, read_rows, usable
from wav2edge.training.objective import Progress
from wav2edge.training.spelling import Spelling, UnspellableError, read_spelling, spelling_of
from wav2edge.training.voices import RATE_HZ

PITCHES_HZ = {"A": 400, "B": 700, "C": 1500, "D": 3000}
TEXTS = ("AB CD", "DA", "CB AD", "BD AC")


def hum(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Each letter a tone of 0.15 s, and a pause between words."""
    time_s = np.arange(int(0.15 * RATE_HZ)) / RATE_HZ
    tones = [0.2 * np.sin(2 * np.pi * PITCHES_HZ.get(c, 0) * time_s) for c in text]
    noise = np.random.default_rng(len(text)).standard_normal(len(time_s) * len(text))
    return (np.concatenate(tones) + 0.002 * noise).astype(np.float32)


def table(folder: Path, rows: Sequence[Sequence[str]], head: Sequence[str]) -> Path:
    """Write a table."""
    file = folder / "table.tsv"
    with file.open("w", newline="") as out:
        csv.writer(out, delimiter="\t").writerows([head, *rows])
    return file


@pytest.fixture(scope="module")
def hums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of four hummed texts."""
    folder = tmp_path_factory.mktemp("hums") / "set"
    folder.mkdir()
    for i, text in enumerate(TEXTS):
        soundfile.write(folder / f"{i}.wav", hum(text), RATE_HZ)
    rows = [(f"set/{i}.wav", text) for i, text in enumerate(TEXTS)]
    return table(folder.parent, rows, ("path", "text"))


@pytest.fixture(scope="module")
def trained(hums: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that was trained on them."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    options = "--config tiny --steps 220 --rate 5e-3 --workers 0 --augment none --batch-s 8"
    masking = "--mask-time 0 --mask-channels 0 --layer-drop 0 --precision float32"
    command = ["train", "finetune", str(hums), "-o", str(folder), *options.split()]
    assert main([*command, *masking.split()]) == 0
    return folder


def test_a_tiny_model_learns_four_utterances(
    trained: Path, hums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on four hummed texts from nothing, it writes them without an error."""
    report = tmp_path / "report.json"
    assert main(["train", "evaluate", str(trained), str(hums), "--json", str(report)]) == 0
    assert "| set | greedy | 4 | 7 | 0.0% | 0.0% to 0.0% |" in capsys.readouterr().out
    scores = json.loads(report.read_text())["sets"]["set"]["greedy"]
    assert (scores["wer"], scores["cer"], scores["words"]) == (0.0, 0.0, 7)
    lines = (trained / "training" / "log.jsonl").read_text().splitlines()
    if find_spec("tensorboard") is not None:
        assert list((trained / "training" / "tensorboard").glob("events*"))
    assert json.loads(lines[0])["loss"] > 10 * json.loads(lines[-1])["loss"]


def test_a_checkpoint_is_gone_on_from(trained: Path) -> None:
    """Its vocabulary and head are kept; convolutions stay, and first the head alone learns."""
    spelling = read_spelling(str(trained))
    assert spelling.alphabet.tokens == ("<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "D")
    found = from_checkpoint(str(trained), spelling, head_only=0.25)

    def learning(progress: Progress) -> set[str]:
        found.before_step(progress)
        return {name for name, one in found.model.named_parameters() if one.requires_grad}

    assert learning(Progress(0, 8)) == {"lm_head.weight", "lm_head.bias"}
    later = learning(Progress(2, 8))
    assert {"lm_head.weight", "wav2vec2.encoder.layer_norm.weight"} < later
    assert not any("feature_extractor" in name for name in later)
    kept = torch.load(trained / "training" / "state.pt", weights_only=True)["average"]
    torch.testing.assert_close(found.model.lm_head.weight.detach(), kept["lm_head.weight"])
    other = from_checkpoint(str(trained), spelling, new_head=True)
    assert not torch.equal(other.model.lm_head.weight, found.model.lm_head.weight)


def test_another_language_gets_a_new_head(
    trained: Path, hums: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Transcripts that its vocabulary cannot spell make a new one, and the run says so."""
    rows = [(str(hums.parent / f"set/{i}.wav"), "\u00c4\u00df x") for i in range(4)]
    other = table(tmp_path, rows, ("path", "text"))
    command = ["train", "finetune", str(other), "--from", str(trained), "-o", str(tmp_path / "out")]
    assert main([*command, "--steps", "1", "--workers", "0", "--augment", "none"]) == 0
    said = capsys.readouterr().err
    assert "spells 0% of them; the head is new" in said
    vocabulary = json.loads((tmp_path / "out" / "vocab.json").read_text())
    assert list(vocabulary)[5:] == ["S", "X", "\u00c4"]  # upper case of sharp s is two letters


def test_rows_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    """Each reason has its row; the good one stays."""
    soundfile.write(tmp_path / "good.wav", hum("AB CD"), RATE_HZ)
    soundfile.write(tmp_path / "short.wav", np.zeros(100), RATE_HZ)
    soundfile.write(tmp_path / "long.wav", np.zeros(3 * RATE_HZ), RATE_HZ)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    head = ("path", "text")
    rows = [
        ("good.wav", "ab, cd!"),
        ("gone.wav", "AB"),
        ("broken.wav", "AB"),
        ("short.wav", "A"),
        ("long.wav", "AB"),
        ("good.wav", " . "),
        ("good.wav", "A 7"),
        ("good.wav", "AB" * 40),
    ]
    spelling = spelling_of(["abcd"])
    found = usable(
        read_rows([table(tmp_path, rows, head)]),
        spelling,
        n_frames=lambda n_samples: n_samples // 480,
        longest_s=2.0,
    )
    assert [(one.path.name, one.text) for one in found.recorded] == [("good.wav", "AB CD")]
    assert found.recorded[0].n_samples == len(hum("AB CD"))
    found.write_unusable(tmp_path / "unusable.tsv")
    listed = [line.split("\t") for line in (tmp_path / "unusable.tsv").read_text().splitlines()]
    assert [line[1] for line in listed] == [
        "reason",
        "file missing",
        "unreadable",
        "too short",
        "too long",
        "no transcript",
        "cannot be spelled",
        "too short for its transcript",
    ]
    assert listed[6][2] == "characters that the vocabulary lacks: 7"
    with pytest.raises(TrainingDataError, match="none of 1 recordings can be used: 1 file missing"):
        usable(
            read_rows([table(tmp_path, [("gone.wav", "A")], head)]),
            spelling,
            n_frames=lambda n_samples: n_samples,
            longest_s=2.0,
        )


def test_tables_are_read_by_their_columns(tmp_path: Path) -> None:
    """The first of text, norm and transcript counts; a split chooses; what is missing is told."""
    rows = [("a.wav", "train", "ONE", "One."), ("b.wav", "dev", "TWO", "Two.")]
    file = table(tmp_path, rows, ("path", "split", "norm", "transcript"))
    assert [(row.path, row.text) for row in read_rows([file], ["dev"])] == [
        (tmp_path / "b.wav", "TWO")
    ]
    with pytest.raises(TrainingDataError, match="no row of the split test"):
        read_rows([file], ["test"])
    with pytest.raises(TrainingDataError, match="no column path"):
        read_rows([table(tmp_path, [], ("file",))])
    with pytest.raises(TrainingDataNotFoundError, match="is a folder"):
        read_rows([tmp_path])


def test_transcripts_are_brought_to_the_vocabulary() -> None:
    """Case, apostrophes, punctuation, accents; what is left over is refused."""
    english = spelling_of(["don't", "abcdefghijklmnopqrstuvwxyz"])
    assert (
        english.normalize("\u2018Caf\u00e9\u2019 \u2014 don\u2019t, 'stop'!") == "CAFE DON'T STOP"
    )
    assert english.spell("A B") == [english.token_ids[c] for c in "A B"]
    lower = Spelling(Alphabet(("<pad>", "|", "a", "\u00e9"), 0, 1))
    assert lower.normalize("A \u00c9-a") == "a \u00e9 a"
    with pytest.raises(UnspellableError, match="lacks: 3 B"):
        spelling_of(["A"]).normalize("3 B")
    with pytest.raises(TrainingDataError, match="no letter"):
        spelling_of(["12", ""])


def source(hums: Path, **changed: object) -> Recordings:
    """The hums as a source of batches."""
    spelling = spelling_of(TEXTS)
    recorded = tuple(
        Recorded(hums.parent / f"set/{i}.wav", len(hum(text)), text) for i, text in enumerate(TEXTS)
    )
    return Recordings(recorded, spelling, 1.7, 3, workers=0, **changed)  # type: ignore[arg-type]


def test_batches_go_on_where_they_were(hums: Path) -> None:
    """Skipping n batches, and sharing them between processes, gives those that come then."""
    whole, n = source(hums).batches(0, 0, 1), 11
    samples = [next(whole).samples for _ in range(n)]
    later = source(hums).batches(5, 0, 1)
    for one in samples[5:]:
        assert torch.equal(next(later).samples, one)
    ranks = [source(hums).batches(2, rank, 2) for rank in range(2)]
    for place, one in enumerate(samples[4:]):
        assert torch.equal(next(ranks[place % 2]).samples, one)


def test_an_epoch_hears_everything_once(hums: Path) -> None:
    """Batches keep their size, and each recording is in one."""
    plan = source(hums).epoch(0)
    assert sorted(index for group in plan for index in group) == [0, 1, 2, 3]
    lengths = [len(hum(text)) for text in TEXTS]
    assert all(len(g) * max(lengths[i] for i in g) <= 1.7 * RATE_HZ or len(g) == 1 for g in plan)
    assert any(len(group) > 1 for group in plan)
    assert source(hums).epoch(1) != plan or source(hums).epoch(2) != plan


def test_a_recording_that_breaks_off_is_left_out(hums: Path, tmp_path: Path) -> None:
    """Its header is fine; when it is met it is listed, and the others are heard."""
    folder = tmp_path / "set"
    shutil.copytree(hums.parent / "set", folder)
    whole = (folder / "0.wav").read_bytes()
    (folder / "0.wav").write_bytes(whole[: len(whole) // 2])
    listed = tmp_path / "unusable.tsv"
    made = source(tmp_path / "table.tsv", left_out=listed).make(0, [0, 1])
    assert made is not None
    assert made.n_samples.tolist() == [len(hum(TEXTS[1]))]
    assert made.n_tokens.tolist() == [len(TEXTS[1])]
    assert listed.read_text().startswith(f"{folder / '0.wav'}\tbreaks off")


def test_augmentation_comes_from_files(hums: Path) -> None:
    """Noise and room of named files are used; the same generator gives the same samples."""
    files = [(hums.parent / "set/0.wav", ""), (hums.parent / "set/1.wav", "impulse response")]
    conditions = noise_conditions(files, 1, 1.0)
    first, second = (conditions.apply(hum("AB CD"), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    heard = [conditions.apply(hum("AB CD"), np.random.default_rng(seed)) for seed in range(20)]
    assert len({len(one) for one in heard}) > 10
    assert all(np.isfinite(one).all() for one in heard)


def test_masking_is_as_asked() -> None:
    """What is asked for goes into the configuration, the rest is the configuration's own."""
    spelling = spelling_of(TEXTS)
    plain = from_nothing("tiny", spelling, 0, Masking())
    masked: Finetuning = from_nothing("tiny", spelling, 0, Masking(0.2, 0.3, 0.4))
    config = masked.model.config
    assert (config.mask_time_prob, config.mask_feature_prob, config.layerdrop) == (0.2, 0.3, 0.4)
    assert plain.model.config.mask_time_prob == 0.1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["finetune", "gone.tsv", "-o", "out", "--steps", "1"], "gone.tsv is not there"),
        (["finetune", "TABLE", "-o", "out"], "one of the arguments --steps"),
        (["finetune", "TABLE", "-o", "TABLE", "--steps", "1"], "holds no run"),
        (["finetune", "TABLE", "-o", "out", "--steps", "0"], "a budget of 0 steps is no run"),
        (["finetune", "TABLE", "--from", "gone", "-o", "out", "--steps", "1"], "'gone' is neither"),
        (["adapt", "gone", "TABLE", "-o", "out", "--steps", "1"], "'gone' is neither"),
        (["pretrain", "TABLE", "--from", "gone", "-o", "out", "--steps", "1"], "'gone' is neither"),
        (["evaluate", "gone", "TABLE"], "neither a bundle (manifest.json) nor a checkpoint"),
        (["evaluate", "MODEL", "TABLE", "--join", "digits"], "no set 'digits': there are set"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    arguments: list[str],
    said: str,
    hums: Path,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status 2, and a line that names what was given."""
    monkeypatch.chdir(tmp_path)
    named = {"TABLE": str(hums), "MODEL": str(trained)}
    assert main(["train", *(named.get(word, word) for word in arguments)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert said in told[-1]
    assert told[-1].startswith("wav2edge: error: ")


def test_a_run_of_other_options_is_refused(
    trained: Path, hums: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of a run takes the options that it was begun with, and no others."""
    command = ["train", "finetune", str(hums), "-o", str(trained), "--config", "tiny"]
    assert main([*command, "--steps", "220", "--rate", "1e-3"]) == 2
    assert "holds another run" in capsys.readouterr().err
