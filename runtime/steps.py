"""Steps of the acoustic model as values: what one is asked with, and what it gives.

A computation over a stream is a generator that asks for steps (`Steps`). Who drives it decides how
they are made: one by one (`AcousticModel.alone`), or with those of other streams (`pool.py`).
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .device import DeviceContext
from .left_context import LeftContext
from .normalization import NormState

Array = npt.NDArray[np.float32]
_T = TypeVar("_T")


@dataclass(frozen=True)
class AcousticState:
    """Everything the model remembers of a stream."""

    tail: Array
    """Samples `[n]` that the next frame sees again or that no frame has seen yet."""
    features: Array
    """`[1, P + r, D]`."""
    left: LeftContext | DeviceContext
    """Keys and values of the left context, on the device once it has one."""
    norm: NormState
    n_frames: int
    """Frames finished since the start: the index of the next final one."""

    def n_held(self, position_left_frames: int) -> int:
        """Frames held back as look-ahead; `position_left_frames` is the model's."""
        n_features: int = self.features.shape[1]
        return n_features - position_left_frames

    @property
    def nbytes(self) -> int:
        """Bytes held, without the normalisation's few numbers."""
        return self.tail.nbytes + self.features.nbytes + self.left.nbytes


@dataclass(frozen=True)
class AcousticStep:
    """What one step computed."""

    log_probs: Array
    """Final, `[n_frames, vocabulary]`; the first is frame `first_frame`."""
    provisional: Array
    """Of the frames held back, `[h, vocabulary]`.

    They may feed an unstable text, never a decoder's state.
    """
    first_frame: int


@dataclass(frozen=True)
class StepRequest:
    """A step that is due: what `AcousticModel.step` takes."""

    state: AcousticState
    samples: Array
    hold_frames: int
    left_frames: int | None = None


StepResult = tuple[AcousticStep, AcousticState]
Steps = Generator[StepRequest, StepResult, _T]
"""A computation that asks for steps and is sent their results, whoever makes them."""
