"""Keys and values of the past: the same as joining arrays, whoever holds which version."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.device import DeviceContext
from wav2edge.runtime.left_context import LeftContext
from wav2edge.runtime.session import Session, open_session

N_ARRAYS, WIDTH = 4, 3
Rows = list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def rows(n_frames: int, first: int) -> Rows:
    """Rows that tell which array, frame and channel they are."""
    frame = np.arange(first, first + n_frames, dtype=np.float32)[:, None]
    inside = np.arange(WIDTH, dtype=np.float32) / 10
    return [(1000 * i + frame + inside).astype(np.float32) for i in range(N_ARRAYS)]


def frames_in(context: LeftContext) -> list[list[float]]:
    """The frames that a context holds, array by array."""
    return [(part[:, 0] - 1000 * i).tolist() for i, part in enumerate(context.arrays())]


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.integers(0, 12), st.integers(0, 3)),
        max_size=12,
    )
)
def test_it_equals_joining_arrays_whatever_is_extended(
    steps: list[tuple[int, int | None, int]],
) -> None:
    """Any earlier version may be extended, again and again, and none of the others changes."""
    contexts = [LeftContext.empty(N_ARRAYS, WIDTH)]
    expected: list[list[float]] = [[]]
    for number, (n_new, n_kept, back) in enumerate(steps):
        origin = max(0, len(contexts) - 1 - back)
        new = rows(n_new, 100 * number)
        held = expected[origin] + new[0][:, 0].tolist()
        contexts.append(contexts[origin].extended(new, n_kept))
        expected.append(held if n_kept is None else held[len(held) - min(n_kept, len(held)) :])
    for context, frames in zip(contexts, expected, strict=True):
        assert context.n_frames == len(frames)
        assert frames_in(context) == [frames] * N_ARRAYS


def test_a_stream_that_goes_on_copies_its_context_once_in_many_steps() -> None:
    """With 200 frames kept and 16 new ones a step, five of six steps write only the new ones."""
    context = LeftContext.empty(N_ARRAYS, WIDTH)
    for number in range(120):
        context = context.extended(rows(16, 16 * number), 200)
        assert context.arrays()[0].flags.c_contiguous
    n_moves = 0
    before = context
    for number in range(60):
        after = before.extended(rows(16, 16 * number), 200)
        n_moves += not np.shares_memory(before.arrays(), after.arrays())
        before = after
    assert 8 <= n_moves <= 12


def test_memory_does_not_grow() -> None:
    """After a thousand steps it holds no more than at the beginning: half as much again as kept."""
    context = LeftContext.empty(N_ARRAYS, WIDTH)
    for number in range(1000):
        context = context.extended(rows(16, 16 * number), 200)
    assert context.nbytes <= 1.6 * N_ARRAYS * 200 * WIDTH * 4


def test_it_travels() -> None:
    """Pickled, it holds the same frames, without the room around them, and goes on."""
    context = LeftContext.empty(N_ARRAYS, WIDTH).extended(rows(300, 0), 20)
    twin = pickle.loads(pickle.dumps(context))  # noqa: S301  (made here)
    assert frames_in(twin) == frames_in(context)
    assert twin.nbytes == N_ARRAYS * 20 * WIDTH * 4
    one, other = (each.extended(rows(5, 500), 20) for each in (context, twin))
    assert frames_in(one) == frames_in(other)


def test_a_recording_on_a_device_goes_in_larger_pieces(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convolutions run over ten seconds there, and give what they give over one."""
    bundle, runs = Bundle.read(tiny_bundle), [0]
    audio = np.random.default_rng(2).uniform(0, 0.8, 12 * 8000).astype(np.float32)
    run = Session.run

    def counted(session: Session, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        runs[-1] += "samples" in feeds
        return list(run(session, outputs, feeds))

    monkeypatch.setattr(Session, "run", counted)

    def heard(*, in_place: bool) -> Any:  # noqa: ANN401
        session = open_session(bundle.model_path, threads=1, provider="cpu", in_place=in_place)
        return np.concatenate(list(AcousticModel(bundle, session).log_probs([audio])))

    expected = heard(in_place=False)
    runs.append(0)
    np.testing.assert_allclose(heard(in_place=True), expected, atol=1e-5)
    assert runs == [12, 2]


def test_a_context_on_a_device_is_the_same_value(tiny_bundle: Path) -> None:
    """Read and written in place through IO binding, streams give what the host's way gives.

    The bound path runs on the CPU here; an older state, a pickled one, and one that sees nothing
    behind it go on as well.
    """
    bundle = Bundle.read(tiny_bundle)
    host, device = (
        AcousticModel(
            bundle, open_session(bundle.model_path, threads=1, provider="cpu", in_place=in_place)
        )
        for in_place in (False, True)
    )
    rng = np.random.default_rng(0)
    expected, found = host.start(), device.start()
    older = []
    for number, left_frames in enumerate([9, 9, 9, 9, None, 9, 3, 0, 9, 9]):
        audio = rng.uniform(0, 0.8, int(rng.integers(80, 900))).astype(np.float32)
        hold = number % 4
        one, expected = host.step(expected, audio, hold_frames=hold, left_frames=left_frames)
        other, found = device.step(found, audio, hold_frames=hold, left_frames=left_frames)
        np.testing.assert_array_equal(one.log_probs, other.log_probs)
        np.testing.assert_array_equal(one.provisional, other.provisional)
        assert isinstance(found.left, DeviceContext)
        np.testing.assert_array_equal(found.left.arrays(), expected.left.arrays())
        older.append((found, expected))
        if number == 4:
            found = pickle.loads(pickle.dumps(found))  # noqa: S301
    for before, same in older:  # going on from it changed none
        np.testing.assert_array_equal(before.left.arrays(), same.left.arrays())
