"""`wav2edge lm tune`: the surface of a model that a person can predict, and its lowest point."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import RATE_HZ, say, write_tiny_bundle

from wav2edge import cli
from wav2edge.benchmarks.tuning import Surface
from wav2edge.runtime.attachment import attached_model
from wav2edge.runtime.bundle import Bundle

SAID = ("AB CD", "CD AB", "AB AB")


@pytest.fixture
def heard(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A tiny bundle, recordings in which a letter slips, and a language model that knows better.

    C is heard as D, its neighbour: greedy decoding has CD as DD, said without a pause, D.
    """
    pytest.importorskip("rapidfuzz", reason="word errors are counted with rapidfuzz (extra bench)")
    pytest.importorskip("onnx", reason="the tiny model is built with onnx")
    bundle = write_tiny_bundle(tmp_path / "bundle").folder
    rows = ["path\ttext\tsplit"]
    for number, text in enumerate(SAID):
        samples = say(text)
        slipped = np.where(np.isclose(samples, 0.4), np.float32(0.452), samples)
        soundfile.write(tmp_path / f"{number}.wav", slipped, RATE_HZ, subtype="FLOAT")
        rows.append(f"{number}.wav\t{text}\tdev")
    (tmp_path / "audio.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text("ab cd\ncd ab\nab ab\n", encoding="utf-8")
    lm = tmp_path / "lm.arpa"
    command = ["lm", "build", str(tmp_path / "text.txt"), "-o", str(lm), "--order", "2"]
    assert cli.main([*command, "--discount-fallback"]) == 0
    return bundle, tmp_path / "audio.tsv", lm


def test_tuning_finds_what_helps(
    heard: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greedy decoding mishears CD both times; with weight the model mends it, and that is best."""
    bundle, audio, lm = heard
    capsys.readouterr()
    out = tmp_path / "tuning.json"
    command = ["lm", "tune", str(bundle), "--audio", str(audio), "--split", "dev", "--lm", str(lm)]
    assert cli.main([*command, "--alphas", "0", "1", "--betas", "0", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "alpha 1, beta 0: 0.00 %, greedy 33.33 %, 6 words" in said
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["figures"]["wer"]["median"] == 0.0
    assert found["figures"]["wer_greedy"]["median"] == pytest.approx(1 / 3, rel=1e-4)
    assert found["series"]["wer at alpha 1"] == [0.0, 0.0]
    assert found["conditions"]["options"]["order"] == 2
    assert attached_model(Bundle.read(bundle)) is None  # nothing is written unasked


def test_the_best_pair_can_be_written(heard: tuple[Path, Path, Path]) -> None:
    """--write puts model and pair into the bundle; tuning again starts from the bundle's own."""
    bundle, audio, lm = heard
    command = ["lm", "tune", str(bundle), "--audio", str(audio), "--write", "--betas", "0.5"]
    assert cli.main([*command, "--lm", str(lm), "--alphas", "1", "2"]) == 0
    found = attached_model(Bundle.read(bundle))
    assert found is not None
    assert (found[1].alpha, found[1].beta) == (1.0, 0.5)
    assert cli.main([*command, "--alphas", "2", "3"]) == 0
    found = attached_model(Bundle.read(bundle))
    assert found is not None
    assert (found[1].alpha, found[1].beta) == (2.0, 0.5)


def test_the_surface_is_drawn(heard: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """--plot writes a picture."""
    pytest.importorskip("matplotlib", reason="pictures are drawn with matplotlib (extra bench)")
    bundle, audio, lm = heard
    picture = tmp_path / "surface.png"
    command = ["lm", "tune", str(bundle), "--audio", str(audio), "--lm", str(lm)]
    assert cli.main([*command, "--alphas", "0", "1", "--betas", "0", "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "has no language model: name one with --lm"),
        (["--lm", "LM", "--alphas", "-1"], "alpha is -1.0, expected 0 or more"),
        (["--lm", "LM", "--split", "none"], "there is nothing to hear"),
        (["--lm", "LM", "--containing", "none"], "no recording has a transcript"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(
    heard: tuple[Path, Path, Path],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    """No model, no recording, no such weight: one line and status 2."""
    bundle, audio, lm = heard
    given = [str(lm) if one == "LM" else one for one in options]
    capsys.readouterr()
    assert cli.main(["lm", "tune", str(bundle), "--audio", str(audio), *given]) == 2
    assert message in capsys.readouterr().err


def test_of_equal_pairs_the_smallest_weights_are_best() -> None:
    """Fewest errors first; then the smallest alpha, then the beta nearest to 0."""
    n_edits = np.array([[3, 3, 3], [2, 1, 1], [1, 1, 4]])
    surface = Surface((0.0, 0.5, 1.0), (-2.0, 1.0, 2.0), n_edits, 5, 10)
    assert surface.best == (0.5, 1.0)
    assert surface.rates.min() == 0.1
