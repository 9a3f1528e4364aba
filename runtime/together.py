"""How streams that share a run of the transformer lie in it.

    frames    [ P past ][ r held back ][ new ][ padding ]    one row of the batch a stream
    keys      [ padding ][ left context ][ those of the frames ]

Rows of one length need no padding, and none pays for a mask. Otherwise `present` says which keys
are there. What is padded behind the frames are zeros, which is what the positional convolution sees
there anyway, and the past stays right before the new frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .device import DeviceContext
from .errors import BatchError
from .left_context import LeftContext
from .manifest import Manifest

Array = NDArray[np.float32]

PRESENT = "present"
"""The input that says which keys are no padding."""
_MOST_PADDING = 0.25  # of the rows, and of the keys: beyond it two runs are cheaper


def check_together(facts: Manifest) -> None:
    """Check that streams of a model may share a run.

    Raises:
        BatchError: If they may not, and what can be done instead.
    """
    if facts.batches:
        return
    if "int8" in (name := str(facts.precision.get("name"))):
        raise BatchError(
            f"{facts.name} is in {name}, whose products scale all that shares a run by its largest "
            "value, so that streams would change each other: step them side by side in threads, "
            "StreamPool(workers=2), or export with --precision float32 or float16"
        )
    raise BatchError(
        f"{facts.name} was not exported for several streams in one run: step them side by side in "
        "threads, StreamPool(workers=2), or export the model again"
    )


@dataclass(frozen=True)
class Row:
    """One stream's part in a run."""

    index: int
    """Of its request."""
    features: Array
    """`[1, P + n, hidden]`."""
    left: LeftContext | DeviceContext
    left_frames: int | None
    """How many of them the next step sees."""
    hold: int
    """Frames whose log-probs are provisional."""
    unkept: int
    """Frames whose keys need not come out."""
    n_outside: int
    """Past features before the start of the audio, where the model asks; else 0."""

    @property
    def n_features(self) -> int:
        """Rows of features."""
        n: int = self.features.shape[1]
        return n

    @property
    def lengths(self) -> tuple[int, int, int]:
        """What must agree where nothing may be padded."""
        return self.n_outside, self.n_features, self.left.n_frames


def grouped(
    rows: Sequence[Row], *, past: bool, frames: bool, most_bytes: int
) -> Iterator[list[Row]]:
    """Part rows into runs, longest first.

    Args:
        rows: In any order.
        past: Left contexts may be padded.
        frames: Frames may be padded.
        most_bytes: Of the left contexts that a run gathers.
    """
    group: list[Row] = []
    for row in sorted(rows, key=lambda one: one.lengths, reverse=True):
        n_bytes = (len(group) + 1) * max(_n_bytes(one) for one in (row, *group))
        fits = _fits([*group, row], past=past, frames=frames) and n_bytes <= most_bytes
        if group and not fits:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _n_bytes(row: Row) -> int:
    """Count what a left context has to copy."""
    n_arrays, width = row.left.sizes
    return n_arrays * row.left.n_frames * width * np.dtype(np.float32).itemsize


def _fits(rows: Sequence[Row], *, past: bool, frames: bool) -> bool:
    outside, features, pasts = (
        np.array(sizes) for sizes in zip(*(row.lengths for row in rows), strict=True)
    )
    if outside.min() != outside.max():
        return False
    if (not frames and np.ptp(features)) or (not past and np.ptp(pasts)):
        return False
    keys = features + pasts
    most = 1 + _MOST_PADDING
    return all(len(rows) * size.max() <= most * size.sum() for size in (features, keys))


def joined(rows: Sequence[Row], names: Sequence[str], n_before: int) -> dict[str, Array]:
    """Make one run's inputs.

    Args:
        rows: Streams that share it.
        names: Of the inputs that hold keys and values.
        n_before: Features of each row that only the positional convolution sees.

    Returns:
        frames `[rows, P + n, hidden]`, keys and values `[rows * l, hidden]`, hold, and present
        `[rows * (l + n)]`, if any is padded.
    """
    if len(rows) == 1:
        (row,) = rows
        past = dict(zip(names, row.left.arrays(), strict=True))
        return {"frames": row.features, "hold": np.zeros(row.unkept, np.float32), **past}
    n_features = max(row.n_features for row in rows)
    n_past = max(row.left.n_frames for row in rows)
    frames = np.zeros((len(rows), n_features, rows[0].features.shape[2]), np.float32)
    present = np.ones((len(rows), n_past + n_features - n_before), np.float32)
    width = rows[0].left.arrays().shape[2]
    keys = np.empty((len(names), len(rows), n_past, width), np.float32)
    for i, row in enumerate(rows):
        n_padded = n_past - row.left.n_frames
        frames[i, : row.n_features] = row.features[0]
        present[i, :n_padded] = 0
        present[i, n_past + row.n_features - n_before :] = 0
        keys[:, i, :n_padded] = 0
        keys[:, i, n_padded:] = row.left.arrays()
    past = dict(zip(names, keys.reshape(len(names), -1, width), strict=True))
    feeds = {"frames": frames, "hold": np.zeros(0, np.float32), **past}
    return feeds if present.all() else {**feeds, PRESENT: present.reshape(-1)}


def parted(
    rows: Sequence[Row], log_probs: Array, new: Sequence[Array], n_before: int
) -> Iterator[tuple[Row, Array, Sequence[Array]]]:
    """Give each stream what is its own.

    Args:
        rows: As they were joined.
        log_probs: `[rows, n, vocabulary]`.
        new: Keys and values `[rows * n, hidden]`; of a single row `[n - unkept, hidden]`.
        n_before: As of `joined`.

    Yields:
        Row, log-probs `[n, vocabulary]`, keys and values `[n - unkept, hidden]`.
    """
    if len(rows) == 1:
        yield rows[0], log_probs[0], new
        return
    by_row = [array.reshape(*log_probs.shape[:2], array.shape[1]) for array in new]
    for i, row in enumerate(rows):
        n = row.n_features - n_before
        yield row, log_probs[i, :n], [array[i, : n - row.unkept] for array in by_row]
