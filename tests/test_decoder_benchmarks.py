"""The benchmarks of decoders: what their figures mean, on cases that a person can count."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rapidfuzz", reason="words are aligned with rapidfuzz")

from spelled import LETTERS

from wav2edge.benchmarks.confidence import N_BINS, Judged, auroc, judge, reliability, table
from wav2edge.benchmarks.decoder import _ours, _respelled, _spelled
from wav2edge.benchmarks.result import Result
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
        _, text = _ours(model, LETTERS, BeamOptions(), heard.log_probs, chunk_frames)
        assert text == heard.text
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


def test_another_decoder_answers_line_by_line(root: Path, tmp_path: Path) -> None:
    """The worker runs where the other library is: without it, it ends with its own error."""
    job = tmp_path / "job.json"
    np.savez(tmp_path / "a.npz", a=np.zeros((1, 3), np.float32))
    job.write_text(json.dumps({"log_probs": str(tmp_path / "a.npz"), "labels": ["", " ", "a"]}))
    script = root / "benchmarks" / "decoder_peers.py"
    done = subprocess.run(
        [sys.executable, script, "flashlight", job],
        input="a\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
