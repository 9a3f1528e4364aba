"""Running statistics equal those of one pass, however the audio is cut."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2edge.runtime.normalization import Moments, Normalization, NormState

BOTH = Normalization(do_normalize=True, group_norm=True, kernel=10, stride=5)


def audio(n_samples: int, seed: int = 0) -> np.ndarray:
    """Noise with an offset and a slow drift, so that means matter."""
    rng = np.random.default_rng(seed)
    drift = np.sin(np.arange(n_samples) / 700)
    return (0.1 * rng.standard_normal(n_samples) + 0.05 * drift + 0.02).astype(np.float32)


def run(cuts: list[int], samples: np.ndarray, normalization: Normalization = BOTH) -> NormState:
    """Hear the samples in pieces."""
    state = normalization.start()
    for piece in np.split(samples, sorted(cuts)):
        state = normalization.heard(state, piece)
    return state


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4000), max_size=12))
def test_any_cut_gives_the_statistics_of_one_pass(cuts: list[int]) -> None:
    """Each sample and each window counts exactly once."""
    samples = audio(4000)
    whole, pieces = run([], samples), run(cuts, samples)
    assert pieces.samples.count == whole.samples.count == 4000
    assert pieces.windows.count == whole.windows.count == (4000 - 10) // 5 + 1
    np.testing.assert_allclose(
        pieces.windows.covariance, whole.windows.covariance, rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(pieces.windows.mean, whole.windows.mean, rtol=1e-9)
    np.testing.assert_array_equal(pieces.pending, whole.pending)


def test_root_gives_each_channel_its_variance_over_time() -> None:
    """|root' w|^2 and w . mean are the variance and mean of a convolution's output."""
    samples, rng = audio(9000), np.random.default_rng(1)
    kernels = rng.standard_normal((7, 10))
    normalization = replace(BOTH, do_normalize=False)
    inputs = normalization.front_inputs(run([], samples, normalization))
    outputs = (
        np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 10)[::5] @ kernels.T
    )
    np.testing.assert_allclose(
        kernels @ inputs["conv0_mean"], outputs.mean(axis=0), rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(
        ((kernels @ inputs["conv0_root"]) ** 2).sum(axis=1), outputs.var(axis=0), rtol=1e-5
    )


def test_samples_come_out_with_mean_0_and_variance_1() -> None:
    """`do_normalize` is the feature extractor's own formula."""
    samples = audio(16_000)
    scaled = BOTH.samples(run([], samples), samples)
    np.testing.assert_allclose(
        scaled, (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), atol=1e-5
    )


def test_both_at_once_are_the_windows_of_the_scaled_samples() -> None:
    """Group norm sees what `do_normalize` made of the samples."""
    samples = audio(16_000)
    state = run([100, 7777], samples)
    after = replace(BOTH, do_normalize=False)
    direct = after.front_inputs(after.heard(after.start(), BOTH.samples(state, samples)))
    derived = BOTH.front_inputs(state)
    np.testing.assert_allclose(derived["conv0_mean"], direct["conv0_mean"], atol=1e-5)
    square = [inputs["conv0_root"] @ inputs["conv0_root"].T for inputs in (derived, direct)]
    np.testing.assert_allclose(square[0], square[1], atol=1e-4)


def test_memory_is_bounded_and_the_past_fades() -> None:
    """After ten minutes of one voice another one counts within minutes."""
    normalization = Normalization(
        do_normalize=True, group_norm=False, kernel=10, stride=5, rate_hz=100
    )
    state = normalization.start()
    for scale, seconds in ((1.0, 600), (0.01, 600)):
        for second in range(seconds):
            state = normalization.heard(state, np.float32(scale) * audio(100, second))
    assert state.samples.count <= 30 * 100
    late = float(np.std(np.concatenate([0.01 * audio(100, second) for second in range(600)])))
    assert float(np.sqrt(state.samples.covariance[0, 0])) == pytest.approx(late, rel=0.5)


def test_a_prior_survives_the_manifest() -> None:
    """The statistics measured at export are those a stream starts from, at the weight asked for."""
    state = run([], audio(50_000))
    prior = json.loads(json.dumps(state.prior(2.0, BOTH)))
    start = BOTH.start(prior)
    assert start.samples.count == 2.0 * 16_000
    np.testing.assert_allclose(start.windows.covariance, state.windows.covariance)
    np.testing.assert_allclose(start.windows.mean, state.windows.mean)


def test_merging_nothing_changes_nothing() -> None:
    """Chan's update with an empty side is the other side."""
    some = Moments.of(audio(300).reshape(-1, 3))
    for merged in (some.merged(Moments.none(3)), Moments.none(3).merged(some)):
        np.testing.assert_allclose(merged.scatter, some.scatter)
        np.testing.assert_allclose(merged.mean, some.mean)
