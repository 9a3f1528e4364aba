"""`wav2edge bench adaptation`: what its figures mean."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="torch is absent: training needs it")
pytest.importorskip("transformers", reason="transformers is absent: training needs it")
pytest.importorskip("rapidfuzz", reason="rapidfuzz is absent: it comes with the extra `train`")

from random_checkpoint import write_checkpoint

from wav2edge.benchmarks.adaptation import Plan, write_strings
from wav2edge.benchmarks.result import Result
from wav2edge.benchmarks.streamed import Ear, measure, settings, table


def clip_of(n_samples: int, seed: int) -> np.ndarray:
    """Noise whose loudness changes."""
    rng = np.random.default_rng(seed)
    loudness = 0.02 + 0.2 * np.abs(np.sin(np.arange(n_samples) / 2500))
    return (loudness * rng.standard_normal(n_samples)).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, 20 ms a frame."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), "large")


def test_a_token_is_known_when_its_step_was_heard(checkpoint: Path) -> None:
    """After its look-ahead, and before a chunk more than that; never, where the end decides."""
    ear, clip = Ear(checkpoint), clip_of(60_000, 0)
    for setting, look_ahead_ms, chunk_ms in (("160/0", 0, 160), ("160/320", 320, 160)):
        (said,) = ear.hear([clip], ear.chunking(setting))
        field_ms = 1000 * ear.geometry.receptive_field / 16_000
        assert len(said.tokens) == len(said.known_s) > 20
        for middle_s, known_s in zip(said.middles_s, said.known_s, strict=True):
            if np.isfinite(known_s):
                waited_ms = 1000 * (known_s - middle_s) - field_ms / 2
                assert look_ahead_ms - 1e-6 <= waited_ms < look_ahead_ms + chunk_ms
            else:
                assert middle_s > 60_000 / 16_000 - (look_ahead_ms + chunk_ms + field_ms) / 1000
    (said,) = ear.hear([clip], ear.chunking("offline"))
    assert not np.isfinite(said.known_s).any()


def test_a_batch_hears_what_each_hears_alone(checkpoint: Path) -> None:
    """Utterances of any length and order, streamed."""
    ear = Ear(checkpoint)
    clips = [clip_of(n, n) for n in (30_000, 9000, 17_003)]
    chunking = ear.chunking("160/160")
    together = ear.hear(clips, chunking)
    assert together == [ear.hear([clip], chunking)[0] for clip in clips]


def test_figures_come_for_every_setting(checkpoint: Path, tmp_path: Path) -> None:
    """By model, setting and set; what was heard once is read again."""
    (tmp_path / "dev" / "some").mkdir(parents=True)
    with (tmp_path / "MANIFEST.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("path", "split", "norm", "speaker"))
        for i in range(2):
            soundfile.write(tmp_path / "dev" / "some" / f"{i}.wav", clip_of(24_000, i), 16_000)
            writer.writerow((f"dev/some/{i}.wav", "dev", "NO ONE", "a"))
    models = {"first": checkpoint, "again": checkpoint}
    cache = tmp_path / "heard"
    result = measure(models, tmp_path, options={"training": {}}, seconds=60, cache=cache)
    assert len(list(cache.glob("*/*.json"))) == len(settings())  # one model, twice
    assert Result.from_json(result.to_json()).figures.keys() == result.figures.keys()
    for setting in settings():
        first, again = (result.figures[f"cer {name} {setting} some"] for name in models)
        assert first == again is not None
        drift = result.figures[f"drift_ms again {setting} all sets"]
        if setting != "offline" and drift is not None:
            assert abs(drift.median) <= 60
    wer = result.figures["wer first offline some"]
    assert wer is not None
    assert wer.n == 4
    assert len(table(result)) == 2 + len(settings())


def test_digits_are_joined_by_speaker(tmp_path: Path) -> None:
    """Two to seven of one speaker, every digit once; the arms learn from all but a few."""
    (tmp_path / "train" / "fsdd").mkdir(parents=True)
    with (tmp_path / "MANIFEST.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("path", "split", "norm", "speaker"))
        for i in range(120):
            path = f"train/fsdd/{i}.wav"
            soundfile.write(tmp_path / path, clip_of(1600, i), 16_000)
            writer.writerow((path, "train", ("ONE", "TWO")[i % 2], ("a", "b")[i % 2]))
    out = tmp_path / "out"
    write_strings(tmp_path, out)
    rows = []
    for name in ("strings.tsv", "held-out.tsv"):
        with (out / name).open(newline="") as file:
            rows += list(csv.DictReader(file, delimiter="\t"))
    said = [row["norm"].split() for row in rows]
    assert sum(map(len, said)) == 120
    assert all(len(set(words)) == 1 and 1 <= len(words) <= 7 for words in said)
    assert all((out / row["path"]).is_file() for row in rows)
    commands = Plan().commands(tmp_path / "a b", tmp_path, out)
    assert [command[0] for command in commands] == ["adapt"] * 3
    assert str(tmp_path / "a b") in commands[0]
    assert commands[2][commands[2].index("--noise") - 3] == str(out / "whole")
