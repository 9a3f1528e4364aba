"""Where the states of a forced alignment were entered from, until all paths agree.

A nibble a token and frame: two bits for the gap before it, two for the token itself. States are
numbered as in `lm/forced_search.py`: 2i is the gap before token i, 2i + 1 the token.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

FROM_TOKEN, SKIPPED = np.uint8(1), np.uint8(2)
"""Of a gap: entered from the token before it; reached in this frame by leaving words out."""
ENTERED, PASSED = np.uint8(4), np.uint8(8)
"""Of a token: entered in this frame; not from the gap but from the token before it."""
_UNIQUE_FRAMES = 16  # so often paths that met are made one
_FEW = 16  # paths: it is worth it in every frame


@dataclass(frozen=True, slots=True)
class _Row:
    """Where the states of one frame were entered from, a nibble a token, two in a byte."""

    low: int
    n: int
    packed: NDArray[np.uint8]

    @classmethod
    def of(cls, low: int, codes: NDArray[np.uint8]) -> "_Row":
        even = np.append(codes, np.uint8(0)) if len(codes) % 2 else codes
        return cls(low, len(codes), even[0::2] | (even[1::2] << np.uint8(4)))

    def codes(self) -> NDArray[np.uint8]:
        apart = np.empty(2 * len(self.packed), np.uint8)
        apart[0::2], apart[1::2] = self.packed & 15, self.packed >> 4
        return apart[: self.n]


class BackPointers:
    """The frames that wait, oldest first.

    Args:
        gaps: The numbers of the tokens that words begin with, and that of tokens; `[words + 1]`.
    """

    def __init__(self, gaps: Ids) -> None:
        self._gaps = gaps
        self._rows: list[_Row] = []
        self.nbytes = 0
        """Bytes held."""

    def __len__(self) -> int:
        """Count the frames that wait."""
        return len(self._rows)

    def append(self, low: int, codes: NDArray[np.uint8]) -> None:
        """Add a frame: the bits of token `low` and of those behind it, `[n]`."""
        self._rows.append(_Row.of(low, codes))
        self.nbytes += self._rows[-1].packed.nbytes

    def agreed(self, states: Ids) -> tuple[int, int] | None:
        """Return how many of the oldest frames all these states agree about, and the state then."""
        for frame in range(len(self._rows) - 1, 0, -1):
            states = self._before(states, frame)
            if frame % _UNIQUE_FRAMES == 0 or len(states) < _FEW:
                states = np.unique(states)
            if len(states) == 1:
                return frame, int(states[0])
        return None

    def ancestors(self, states: Ids, n_frames: int) -> Ids:
        """Return the states after the oldest `n_frames` frames that lead to these."""
        for frame in range(len(self._rows) - 1, n_frames - 1, -1):
            states = self._before(states, frame)
        return states

    def take(self, n_frames: int, state: int) -> Ids:
        """Take the oldest frames away; return the path to `state` after them, `[n_frames]`."""
        path = np.empty(n_frames, np.int64)
        states = np.array([state])
        for frame in range(n_frames - 1, -1, -1):
            row = self._rows[frame]
            path[frame] = self._emitting(states, row, row.codes())[0]
            states = self._before(states, frame)
        self.nbytes -= sum(row.packed.nbytes for row in self._rows[:n_frames])
        del self._rows[:n_frames]
        return path

    def _before(self, states: Ids, frame: int) -> Ids:
        """Return where the paths were one frame earlier."""
        row = self._rows[frame]
        codes = row.codes()
        states = self._emitting(states, row, codes)
        code = codes[states // 2 - row.low]
        of_token = ((code & ENTERED) > 0) * (1 + ((code & PASSED) > 0))
        return states - np.where(states % 2 == 1, of_token, (code & FROM_TOKEN) > 0)

    def _emitting(self, states: Ids, row: _Row, codes: NDArray[np.uint8]) -> Ids:
        """Return the states that took the frame: those before the words that were skipped then."""
        place = states // 2
        skipped = (states % 2 == 0) & ((codes[place - row.low] & SKIPPED) > 0)
        if not skipped.any():
            return states
        first, behind = np.searchsorted(self._gaps, (row.low, row.low + row.n)).tolist()
        gaps = self._gaps[first:behind]
        staying = (codes[gaps - row.low] & SKIPPED) == 0
        source = np.maximum.accumulate(np.where(staying, np.arange(len(gaps)), -1))
        emitting = states.copy()
        emitting[skipped] = 2 * gaps[source[np.searchsorted(gaps, place[skipped])]]
        return emitting
