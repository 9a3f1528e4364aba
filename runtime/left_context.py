"""Keys and values of the frames behind a stream: a value that grows at one end without copying.

The rows of all layers lie in one block of memory with room at its end. A context is a window into
it; the one that reaches to the end of what is filled may fill on, in place, and every other one
copies first. So a copied or resumed stream never sees another's frames, and a stream that just goes
on copies its context once in many steps.
"""

import threading
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Claims:
    """Who may write where in a block of rows that is filled from the front."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._n_filled = 0
        self._lock = threading.Lock()

    def take(self, first: int, n_rows: int) -> bool:
        """Take the rows behind the first ones, if nobody has and there is room."""
        with self._lock:
            fits = first == self._n_filled and first + n_rows <= self._capacity
            self._n_filled += n_rows if fits else 0
        return fits


class _Block:
    """Rows `[arrays, capacity, width]`."""

    def __init__(self, rows: Array) -> None:
        self.rows = rows
        self.claim = Claims(rows.shape[1]).take


class LeftContext:
    """Keys and values of the last `n_frames` frames, layer after layer; immutable."""

    __slots__ = ("_block", "_first", "n_frames")

    def __init__(self, block: _Block, first: int, n_frames: int) -> None:
        self._block, self._first = block, first
        self.n_frames = n_frames

    @classmethod
    def empty(cls, n_arrays: int, width: int) -> Self:
        """Return the context before the first frame: `n_arrays` of `width` channels."""
        return cls(_Block(np.zeros((n_arrays, 0, width), np.float32)), 0, 0)

    @classmethod
    def of(cls, rows: Array) -> Self:
        """Return the context that holds `[arrays, n_frames, width]`."""
        block = _Block(rows)
        block.claim(0, rows.shape[1])
        return cls(block, 0, rows.shape[1])

    def arrays(self) -> Array:
        """Return float32 `[arrays, n_frames, width]`; each array lies together in memory."""
        return self._block.rows[:, self._first : self._first + self.n_frames]

    def extended(self, new: Sequence[Array], n_frames: int | None) -> "LeftContext":
        """Return the context after more frames.

        Args:
            new: Float32 `[n, width]` for each array.
            n_frames: How many to keep, the newest; None: all.
        """
        n_all = self.n_frames + len(new[0])
        n_kept = n_all if n_frames is None else min(n_frames, n_all)
        n_new = min(n_kept, len(new[0]))
        last = self._first + self.n_frames
        if self._block.claim(last, n_new):
            block, first = self._block, last + n_new - n_kept
        else:
            block, first = self._moved(n_kept - n_new, n_kept, n_new), 0
        into = block.rows[:, first + n_kept - n_new : first + n_kept]
        for rows, added in zip(into, new, strict=True):
            rows[:] = added[len(added) - n_new :]
        return LeftContext(block, first, n_kept)

    def _moved(self, n_old: int, n_kept: int, n_new: int) -> _Block:
        """Copy the newest rows to the front of a block of their own, with room for more."""
        old = self.arrays()[:, self.n_frames - n_old :]
        room = max(2 * n_new, n_kept // 2)
        rows = np.empty((len(old), n_kept + room, old.shape[2]), np.float32)
        rows[:, :n_old] = old
        block = _Block(rows)
        block.claim(0, n_kept)
        return block

    @property
    def sizes(self) -> tuple[int, int]:
        """How many arrays, and channels of each."""
        return self._block.rows.shape[0], self._block.rows.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the block it lies in."""
        return self._block.rows.nbytes

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what it sees, not the room around it."""
        return LeftContext.of, (np.ascontiguousarray(self.arrays()),)
