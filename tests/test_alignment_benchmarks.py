"""The benchmarks of alignment and pronunciation: what their figures mean, and that they are met."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training, whose digit strings are aligned, imports it")

from wav2edge.benchmarks import alignment
from wav2edge.benchmarks.bootstrap import bootstrapped
from wav2edge.benchmarks.pronunciation import human_score, pearson, spearman
from wav2edge.benchmarks.result import Figure
from wav2edge.runtime.recognizer import load
from wav2edge.training.recordings import read_manifest, read_recording
from wav2edge.training.voices import RATE_HZ


def test_speech_is_what_is_near_the_loudest() -> None:
    """A tone between noise 35 dB below it is all the speech there is at 30 dB, not at 40."""
    samples = np.full(16_000, 0.5 * 10 ** (-35 / 20), np.float32)
    samples[3200:8000] = 0.5
    assert alignment.speech_bounds(samples, 30.0) == (3200, 8000)
    assert alignment.speech_bounds(samples, 40.0) == (0, 16_000)
    assert alignment.speech_bounds(samples[:999], np.inf) == (0, 999)


def test_joined_strings_know_where_their_words_are() -> None:
    """Each span holds its recording and the gaps hold silence, whatever counts as speech."""
    digits = [(np.full(1600 + 160 * i, 0.1 * (i + 1), np.float32), f"W{i}") for i in range(5)]
    (one,) = alignment.joined(digits)
    for spans in one.spans.values():
        for word, (start_s, end_s) in zip(one.words, spans, strict=True):
            i = int(word[1:])
            piece = one.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
            assert len(piece) == 1600 + 160 * i
            assert np.allclose(piece, 0.1 * (i + 1))
            assert one.samples[round(end_s * RATE_HZ)] == 0


def test_correlations_are_those_of_the_textbook() -> None:
    """A line has 1; a curve that rises has rank correlation 1 and less of a line; ties share."""
    x = np.arange(6.0)
    assert pearson(np.stack([x, 3 - 2 * x], axis=1)) == pytest.approx(-1)
    curve = np.stack([x, np.exp(x)], axis=1)
    assert spearman(curve) == pytest.approx(1)
    assert 0 < pearson(curve) < 0.95
    tied = np.array([[1.0, 1.0], [2.0, 2.0], [2.0, 3.0], [4.0, 4.0]])
    assert spearman(tied) == pytest.approx(0.9486833, abs=1e-6)
    assert np.isnan(pearson(np.array([[1.0, 2.0], [1.0, 3.0]])))


def test_bootstrap_draws_whole_groups() -> None:
    """One group has no spread, however its rows vary; many have one that holds the mean."""

    def mean(rows: np.ndarray) -> float:
        return float(rows.mean())

    assert bootstrapped([np.array([0.0, 1.0])], mean) == Figure(0.5, 0.5, 0.5, 2)
    found = bootstrapped([np.array([float(i % 2)]) for i in range(100)], mean)
    assert found is not None
    assert (found.median, found.n) == (0.5, 100)
    assert (found.lowest, found.highest) == pytest.approx((0.4, 0.6), abs=0.03)
    assert bootstrapped([], mean) is None


def test_human_scores_come_from_the_notes() -> None:
    """The mean of the sentence's accuracy is read, and nothing is made up."""
    assert human_score({"notes": "L1 Mandarin; mean sentence accuracy 8.4/10"}) == 8.4
    assert human_score({"notes": "8 kHz"}) is None


def test_boundaries_are_within_the_goal(shared_data: Path, embedded_bundle: Path) -> None:
    """On joined digits half of all word boundaries are less than 60 ms off, and none is missing."""
    rows = [row for row in read_manifest(shared_data, "dev") if row["set"] == "fsdd"][::6]
    strings = alignment.joined([(read_recording(shared_data / r["path"]), r["norm"]) for r in rows])
    recognizer = load(embedded_bundle, decoder="greedy")
    errors = []
    for one in strings:
        found = recognizer.align(one.samples, " ".join(one.words), RATE_HZ)
        assert found.missing == ()
        errors.append(alignment._errors(one.spans[f"{alignment.DROP_DB:g} dB"], found))
    assert np.median(np.abs(np.concatenate(errors))) < alignment.GOAL_MS
