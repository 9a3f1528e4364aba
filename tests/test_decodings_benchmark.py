"""Decoders side by side, and hotwords over their boost, on a model whose hearing is known."""

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import RATE_HZ, decodings, say

from wav2edge import cli
from wav2edge.benchmarks import decodings as benchmark
from wav2edge.benchmarks.phrases import COMMANDS
from wav2edge.benchmarks.result import BenchmarkError, Result
from wav2edge.runtime.recognizer import load


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sets: AB C said clearly, and said where BB stands in the transcript."""
    (tmp_path / "MANIFEST.tsv").write_text("path\n", encoding="utf-8")
    silence = np.zeros(RATE_HZ // 2, np.float32)
    samples = np.concatenate([say("AB C"), silence])
    sets = {"good": [(samples, "AB C")], COMMANDS: [(samples, "AB BB")], "empty": []}
    monkeypatch.setattr(benchmark, "development_sets", lambda _: sets)
    monkeypatch.setattr(benchmark, "RATE_HZ", RATE_HZ)
    return tmp_path


def test_decoders_side_by_side(
    data: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each set is scored with each decoder, whole and streamed; phrases where they mean something.

    The phrases know AB BB: that is what they hear.
    """
    phrases = data / "home.txt"
    phrases.write_text("ab bb\n", encoding="utf-8")
    monkeypatch.setattr(benchmark, "HOME", phrases)
    lm, out = decodings(data)["beam"]["lm"], data / "out.json"
    asked = ["bench", "accuracy", "--decoders", "greedy,lm,phrases", "--lm", str(lm)]
    more = ["--model", str(tiny_bundle), "--data", str(data), "--json", str(out)]
    assert cli.main([*asked, *more]) == 0
    assert benchmark.table(Result.read(out)) == [
        "| set | words | greedy | lm | phrases |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| good | 2 | 0.0 % / 0.0 % | 0.0 % / 0.0 % |  |",
        "| speech_to_phrase_en | 2 | 50.0 % / 50.0 % | 50.0 % / 50.0 % | 100.0 % / 100.0 % |",
    ]
    assert "| good | 2 |" in capsys.readouterr().out


def test_a_decoder_that_cannot_be_measured_is_named(data: Path, tiny_bundle: Path) -> None:
    """An unknown one, a language model where there is none, a folder without recordings."""
    recognizer = load(tiny_bundle)
    with pytest.raises(BenchmarkError, match="best"):
        benchmark.measure(recognizer, data, ["best"])
    with pytest.raises(BenchmarkError, match="no language model"):
        benchmark.measure(recognizer, data, ["lm"])
    with pytest.raises(BenchmarkError, match=r"MANIFEST\.tsv"):
        benchmark.measure(recognizer, data / "gone", ["greedy"])


def test_hotwords_over_their_boost(
    data: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rarest words are boosted; the words themselves are not in the result."""
    out = data / "hot.json"
    model = ["--model", str(tiny_bundle)]
    assert cli.main(["bench", "hotwords", *model, "--data", str(data), "--json", str(out)]) == 0
    result = Result.read(out)
    good = [
        result.figures[f"{kind} good {boost}"]
        for kind in ("hotword_wer", "other_wer")
        for boost in (0, 4, 8)
    ]
    assert [figure and figure.median for figure in good] == [0.0] * 6
    assert result.conditions.options["hotwords"] == {"good": 1, COMMANDS: 1}
    assert "| good | 1 | 0 / 0 |" in capsys.readouterr().out


def test_errors_are_parted() -> None:
    """A hotword lost or mistaken is its own; what nobody said counts among the others."""
    pairs = [("CALL ANN NOW", "CALL AND NOW"), ("CALL BOB", "CALL BOB BOB"), ("GO", "NO")]
    hot, other = benchmark.hotword_errors(pairs, frozenset({"ANN", "BOB"}))
    assert hot is not None
    assert other is not None
    assert (hot.median, hot.n) == (0.5, 2)
    assert (other.median, other.n) == (0.5, 4)
    assert benchmark.hotword_errors([("GO", "GO")], frozenset({"ANN"}))[0] is None
