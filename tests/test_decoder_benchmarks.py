"""The benchmarks of decoders: what their figures mean, on cases that a person can count."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rapidfuzz", reason="words are aligned with rapidfuzz")

from spelled import LETTERS

from wav2edge.benchmarks import decoder
from wav2edge.benchmarks.confidence import N_BINS, Judged, auroc, judge, reliability, table
from wav2edge.benchmarks.decoder import _Decoded, _figures, _Heard, _ours, _respelled, _spelled
from wav2edge.benchmarks.peer_field import Field, Measured
from wav2edge.benchmarks.peer_process import PeerError, PeerProcess
from wav2edge.benchmarks.result import BenchmarkError, Result
from wav2edge.lm.arpa import ArpaModel
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.greedy import SpokenWord

WORDS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), max_size=20)


@given(WORDS)
def test_auroc_is_the_share_of_pairs_in_order(words: list[tuple[float, bool]]) -> None:
    """It equals counting every pair of a right and a wrong word, ties as half."""
    judged = [Judged(*word) for word in words]
    right = [one.confidence for one in judged if one.right]
    wrong = [one.confidence for one in judged if not one.right]
    pairs = [(a > b) + 0.5 * (a == b) for a in right for b in wrong]
    expected = sum(pairs) / len(pairs) if pairs else None
    assert auroc(judged) == (None if expected is None else pytest.approx(expected))


@given(WORDS)
def test_reliability_counts_every_word_once(words: list[tuple[float, bool]]) -> None:
    """The bins hold all words, and their means lie within them."""
    bins = reliability([Judged(*word) for word in words])
    assert sum(bins["words"]) == len(words)
    for place in range(N_BINS):
        if bins["words"][place]:
            assert place / N_BINS <= bins["confidence"][place] + 1e-9
            assert bins["confidence"][place] <= (place + 1) / N_BINS + 1e-9


def test_words_are_right_where_the_alignment_pairs_them() -> None:
    """Of TURN THE LIGHT against TURN ON THE LIGHTS the first two are right."""
    heard = [SpokenWord(text, 0, 1, 0.5) for text in ("TURN", "THE", "LIGHT")]
    assert [one.right for one in judge("TURN ON THE LIGHTS".split(), heard)] == [True, True, False]


def test_clean_spelling_is_decoded(tmp_path: Path) -> None:
    """What the benchmark spells without noise our search finds, in chunks and at once."""
    path = tmp_path / "small.arpa"
    path.write_text(
        "\\data\\\nngram 1=5\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\n-1\t</s>\n-0.5\thello\n"
        "-0.6\tworld\n\n\\end\\\n"
    )
    model = ArpaModel.read(path, LETTERS)
    heard = _spelled(model, LETTERS, 0.1, 200)
    assert heard.text is not None
    for chunk_frames in (None, 7):
        found = _ours(model, LETTERS, BeamOptions(), heard.log_probs, chunk_frames)
        assert found.text == heard.text
        assert min(found.cpu_s, found.wall_s) > 0
    respelled = _respelled(path.read_text(), model)
    assert "-0.5\tHELLO" in respelled
    assert "-99\t<s>" in respelled


@pytest.mark.parametrize("name", ["decoder", "confidence"])
def test_published_results_can_be_read(root: Path, name: str) -> None:
    """The results in the project are of today's schema, and say what they claim."""
    result = Result.read(root / "benchmarks" / "results" / f"{name}.json")
    assert result.benchmark == name
    if name == "confidence":
        area = result.figures["auroc all beam"]
        assert area is not None
        assert area.median >= 0.7
        assert len(table(result)) == N_BINS + 2
    else:
        clean = result.figures["stream_cpu_ms_per_s clean"]
        assert clean is not None
        assert clean.median <= 5.0


def test_another_decoder_runs_where_its_library_is(root: Path, tmp_path: Path) -> None:
    """The worker without the library says so: its error is the reason, in one line."""
    job = {"decoder": "flashlight", "labels": ["", " ", "a"], "threads": 1}
    script = root / "benchmarks" / "decoder_peers.py"
    with (
        PeerProcess(Path(sys.executable), script, job, tmp_path) as process,
        pytest.raises(PeerError, match="ModuleNotFoundError: No module named 'flashlight'"),
    ):
        process.versions()


RIVAL = """
DISTRIBUTIONS = ("numpy", "no such distribution")

def load(job):
    asked = []

    def whole(values):
        asked.append(len(values))
        if job["decoder"] == "flashlight" and len(asked) == 4:
            raise ValueError("out of memory")
        return f"{len(asked)} {len(values) // len(job['labels'])} {values.min():g}"

    return {"whole": whole}
"""


def test_rivals_that_fail_leave_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cannot be installed, one dies in a later round: both are told, the rest is measured."""
    script = tmp_path / "rival.py"
    script.write_text(RIVAL, encoding="utf-8")

    def made(folder: Path, _packages: tuple[str, ...]) -> Path:
        if folder.name == "venv-third":
            raise BenchmarkError("pip failed with status 1: no wheel here")
        return Path(sys.executable)

    monkeypatch.setattr(decoder, "SCRIPT", script)
    monkeypatch.setattr(decoder, "environment", made)
    monkeypatch.setattr(decoder, "PEERS", {**decoder.PEERS, "third": ("third",)})
    field = Field("", Measured(), lambda _: None)
    decoder._sit_down(field, tmp_path, {"labels": ["", " ", "a"], "threads": 1})
    calls: list[int] = []

    def ours(log_probs: np.ndarray) -> _Decoded:
        calls.append(len(log_probs))
        return _Decoded(0.5, 0.25, f"{len(calls)}")

    frames = np.full((7, 3), -np.inf, np.float32)
    heard = {"clean": _Heard(frames, "A"), "model": _Heard(frames[:5], None)}
    found = decoder._compare(field, {"stream": ours, "whole": ours}, heard, tmp_path, rounds=2)
    assert field.measured.reasons == {
        "third": "installing: pip failed with status 1: no wheel here",
        "flashlight": "model, round 1 of 2: ValueError: out of memory",
    }
    assert field.measured.versions["pyctcdecode"] == {"numpy": np.__version__}
    kept = {kind: [sorted(each) for each in rounds] for kind, rounds in found.items()}
    without = ["pyctcdecode", "stream", "whole"]
    assert kept == {"clean": [["flashlight", *without], without], "model": [without, without]}
    # The first round, four calls of ours and two of the rival's, warmed up.
    assert found["clean"][0]["stream"].text == "5"
    assert found["clean"][0]["pyctcdecode"].text == "3 7 -10000"
    assert found["model"][1]["pyctcdecode"].text == "6 5 -10000"
    figures = _figures("model", heard["model"], found["model"], BeamOptions())
    assert figures["flashlight_cpu_ms_per_s model"] is None
    wall = figures["stream_wall_ms_per_s model"]
    assert wall is not None
    assert (wall.median, wall.n) == (2500.0, 2)  # 0.25 s for five frames of 20 ms
    defined = {name.split()[0] for name in figures if not name.startswith("third")}
    assert defined <= set(decoder.DEFINITIONS)
