"""The arithmetic between samples and frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2edge.runtime.frames import Geometry

BASE = Geometry((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), 16_000)
SMALL = Geometry((320, 3, 4, 3), (80, 1, 2, 3), 16_000)
LAYER = st.tuples(st.integers(1, 7), st.integers(1, 5))


def frames_layer_by_layer(geometry: Geometry, n_samples: int) -> int:
    """Count frames as the convolutions do, one after the other."""
    n = n_samples
    for kernel, stride in zip(geometry.kernels, geometry.strides, strict=True):
        n = (n - kernel) // stride + 1 if n >= kernel else 0
    return n


def test_published_models_hop_20_ms_and_see_25_ms() -> None:
    """Seven convolutions of the published models: hop 320, receptive field 400 samples."""
    assert (BASE.hop, BASE.receptive_field) == (320, 400)
    assert (SMALL.hop, SMALL.receptive_field) == (480, 1040)


@pytest.mark.parametrize(
    ("n_samples", "n_frames"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16_000, 49)]
)
def test_frames_at_the_edges(n_samples: int, n_frames: int) -> None:
    """A frame appears with the sample that completes it, not before."""
    assert BASE.n_frames(n_samples) == n_frames


@given(st.lists(LAYER, min_size=1, max_size=5), st.integers(0, 3000))
def test_one_formula_equals_all_layers(layers: list[tuple[int, int]], n_samples: int) -> None:
    """The closed formula counts what the layers count, for any stack."""
    geometry = Geometry(tuple(k for k, _ in layers), tuple(s for _, s in layers), 16_000)
    assert geometry.n_frames(n_samples) == frames_layer_by_layer(geometry, n_samples)


@given(st.integers(1, 5000))
def test_samples_of_frames_is_the_smallest_that_gives_them(n_frames: int) -> None:
    """One sample less is one frame less."""
    n_samples = BASE.n_samples(n_frames)
    assert BASE.n_frames(n_samples) == n_frames
    assert BASE.n_frames(n_samples - 1) == n_frames - 1


@pytest.mark.parametrize(
    ("duration_ms", "n_frames"), [(0, 0), (1, 1), (20, 1), (20.1, 2), (320, 16), (330, 17)]
)
def test_milliseconds_round_up_to_whole_frames(duration_ms: float, n_frames: int) -> None:
    """Who asks for 330 ms gets at least that."""
    assert BASE.frames_for(duration_ms) == n_frames
    assert BASE.duration_ms(n_frames) >= duration_ms


def test_a_frame_is_heard_at_the_centre_of_what_it_sees() -> None:
    """Frame 0 of the published models sees 0 to 25 ms."""
    assert BASE.center_s(0) == pytest.approx(0.0125)
    assert BASE.center_s(50) == pytest.approx(1.0125)
