"""`wav2edge bench phrases`: figures a person can work out, on a model whose hearing is known."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import say, write_tiny_bundle

from wav2edge import cli
from wav2edge.benchmarks.phrases import DEFINITIONS, HOME
from wav2edge.benchmarks.result import Result
from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.automaton import meets
from wav2edge.lm.phrase_graph import compile_templates
from wav2edge.lm.templates import Templates

RATE_HZ = 16_000
COLUMNS = ("path", "split", "norm", "speaker", "source", "notes")
SAID = (  # folder, split, what is heard, transcript
    ("speech_to_phrase_en", "dev", "BAD CAFE", "BAD CAFE"),
    ("speech_to_phrase_en", "dev", "BAD BED", "BAD BED"),
    ("speech_to_phrase_en", "dev", "GAGA AGE", "BAD BED"),
    ("speech_to_phrase_en", "dev", "BAD CAFE", "FACADE"),
    ("librispeech_dev-clean", "dev", "EGAD A FADED FACADE", "EGAD A FADED FACADE"),
    ("librispeech_dev-clean", "dev", "BAD BED", "BAD BED"),
    ("noise", "noise", "", ""),
    ("fsdd", "dev", "A", "ONE"),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with recordings and their manifest."""
    with (tmp_path / "MANIFEST.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t")
        writer.writeheader()
        for number, (folder, split, heard, text) in enumerate(SAID):
            path = tmp_path / folder / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, say(f"{heard} "), RATE_HZ, subtype="FLOAT")
            row = dict.fromkeys(COLUMNS, "") | {"path": f"{folder}/{path.name}", "split": split}
            writer.writerow(row | {"norm": text})
    return tmp_path


def run(data: Path, *arguments: str) -> int:
    """Run the benchmark on the tiny model, at the rate of the recordings."""
    bundle = data / "bundle"
    if not bundle.exists():
        write_tiny_bundle(bundle, sample_rate_hz=RATE_HZ)
    return cli.main(["bench", "phrases", "--model", str(bundle), "--data", str(data), *arguments])


@pytest.fixture
def few_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the benchmark makes up is spelled with the tiny model's letters."""
    monkeypatch.setattr("wav2edge.benchmarks.phrases.DIGIT_PHRASES", "digit = a | bed")
    monkeypatch.setattr("wav2edge.benchmarks.phrases.LETTERS", "abcdefg")


@pytest.mark.usefixtures("few_letters")
def test_figures_are_what_was_heard(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command of four is rejected, one heard as another, one of three others accepted."""
    (data / "phrases.txt").write_text("bad (cafe|bed)\n")
    out, picture = data / "out.json", data / "out.png"
    pytest.importorskip("matplotlib")
    assert (
        run(
            data, "--phrases", str(data / "phrases.txt"), "--json", str(out), "--plot", str(picture)
        )
        == 0
    )
    assert "false_rejects" in capsys.readouterr().out
    result = Result.read(out)
    assert set(result.figures) == set(DEFINITIONS) == set(result.definitions)
    found = {name: one.median for name, one in result.figures.items() if one is not None}
    expected = {
        "false_rejects": 0.25,
        "wrong": 0.25,
        "not_covered": 0.25,
        "false_accepts": 1 / 3,
        "false_accepts_books": 0.5,
        "false_accepts_noise": 0.0,
        "nodes": 13,  # two silences, a gap, three letters before it and seven after
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert result.series["false_rejects"][0] == 0
    assert result.series["threshold"][-1] == 1
    assert picture.stat().st_size > 10_000


@pytest.mark.usefixtures("few_letters")
@pytest.mark.parametrize(("margin_frames", "wrong"), [(0, 1.0), (7, 0.0)])
def test_what_is_cut_tight_is_heard_as_it_is_transcribed(
    tmp_path: Path, margin_frames: int, wrong: float
) -> None:
    """The last letter of BAD BED is heard only with the silence that the bundle wants behind it."""
    tight = np.trim_zeros(say("BAD BED", n_frames=1), "b")
    write_tiny_bundle(tmp_path / "bundle", sample_rate_hz=RATE_HZ, margin_frames=margin_frames)
    with (tmp_path / "MANIFEST.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t")
        writer.writeheader()
        for place, text in (("speech_to_phrase_en", "BAD BED"), ("librispeech_x", "FACADE")):
            (tmp_path / place).mkdir()
            soundfile.write(tmp_path / place / "a.wav", tight, RATE_HZ, subtype="FLOAT")
            row = dict.fromkeys(COLUMNS, "") | {"path": f"{place}/a.wav", "split": "dev"}
            writer.writerow(row | {"norm": text})
    (tmp_path / "phrases.txt").write_text("bad (be|bed)\n")
    phrases, out = tmp_path / "phrases.txt", tmp_path / "out.json"
    assert run(tmp_path, "--phrases", str(phrases), "--json", str(out)) == 0
    found = Result.read(out).figures["wrong"]
    assert found is not None
    assert found.median == wrong


@pytest.mark.parametrize(
    ("lines", "said"),
    [("bad (cafe", "line 1, column 5"), ("bad dog", "phrases.txt, line 1, column 5)")],
)
def test_wrong_phrases_end_in_one_line(
    data: Path, capsys: pytest.CaptureFixture[str], lines: str, said: str
) -> None:
    """A mistake in the file of phrases is one line on stderr and exit status 2."""
    (data / "phrases.txt").write_text(lines)
    assert run(data, "--phrases", str(data / "phrases.txt")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert (error.startswith("wav2edge: error: "), error.count("\n")) == (True, 1)
    assert run(data, "--phrases", str(data / "gone.txt")) == 2
    assert "gone.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "turn off the kitchen lights",
        "set the bed light brightness to fifty percent",
        "please set a timer for three hours and ten minutes",
        "is the garage door open",
        "what's the temperature in the living room",
        "what time is it",
        "next",
        "add paper towels to my shopping list",
        "set an alarm for seven thirty a m tomorrow",
    ],
)
def test_a_home_assistant_knows_what_it_is_asked(text: str) -> None:
    """The phrases that ship allow everyday orders, and nothing that is none."""
    letters = Alphabet(("_", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"), 0, 1)
    home = compile_templates(Templates.read(HOME.read_text(encoding="utf-8")), letters)
    assert meets(home, compile_templates(Templates.of([text]), letters))
    assert not meets(home, compile_templates(Templates.of([f"{text} he said"]), letters))
