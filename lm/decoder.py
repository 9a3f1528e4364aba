"""What every decoder does: log-probs in pieces to words, its memory a value.

The streaming side needs no more than this; greedy decoding, the beam search and the search within
phrases all offer it.
"""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .greedy import SpokenWord

LEAD_FRAMES = 32
"""Frames before the first spoken one that a decoder is given: a first letter may be weak."""
S = TypeVar("S")
"""A decoder's state: an immutable value that can be pickled and compared."""


class Decoder(Protocol[S]):
    """Turns log-probs into words, incrementally; nothing depends on how the frames are cut.

    What is shown while somebody speaks is the words that became final, and those of `preview` over
    what is provisional: no call changes a state.
    """

    @property
    def alphabet(self) -> Alphabet:
        """The model's tokens."""
        ...

    def start(self) -> S:
        """Return the state before the first frame."""
        ...

    def advance(self, state: S, log_probs: NDArray[np.float32]) -> tuple[tuple[SpokenWord, ...], S]:
        """Decode more frames `[n, V]`; return the words that became final, and the state."""
        ...

    def finish(self, state: S) -> tuple[SpokenWord, ...]:
        """Return the words that are not final yet, as if the audio ended here."""
        ...

    def preview(self, state: S, log_probs: NDArray[np.float32]) -> tuple[str, ...]:
        """Return the words that are not final yet if these frames `[n, V]` come next.

        They are to be shown and not acted on, and may be found by a cheaper search.
        """
        ...

    def restart(self, state: S) -> S:
        """Begin a new segment: forget the words, keep the count of frames and what was asked."""
        ...

    def n_frames(self, state: S) -> int:
        """Return how many frames were decoded since the start."""
        ...
