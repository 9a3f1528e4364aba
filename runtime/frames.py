"""The arithmetic between samples and frames of a stack of strided convolutions; integers only.

    samples  |-------- receptive field --------|
    frame 0  [=================================]
    frame 1           [=================================]
             |<- hop ->|

Frame `f` sees samples `f * hop` up to, not including, `f * hop + receptive_field`.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Geometry:
    """Kernels and strides of the feature encoder, and the sample rate they run at.

    Source: Baevski et al. 2020 (arXiv:2006.11477), section 4.2; the published models have seven
    convolutions.

    >>> base = Geometry((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), 16_000)
    >>> base.hop, base.receptive_field, base.n_frames(16_000)
    (320, 400, 49)
    """

    kernels: tuple[int, ...]
    """Samples or frames that each convolution sees."""
    strides: tuple[int, ...]
    rate_hz: int

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.strides)

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees."""
        field, hop = 1, 1
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            field += (kernel - 1) * hop
            hop *= stride
        return field

    def n_frames(self, n_samples: int) -> int:
        """Count the frames that fit wholly into `n_samples` samples.

        There are 0 when there are fewer samples than one receptive field.
        """
        return max(0, (n_samples - self.receptive_field) // self.hop + 1)

    def n_samples(self, n_frames: int) -> int:
        """Count the samples that `n_frames` frames see together."""
        return self.receptive_field + (n_frames - 1) * self.hop if n_frames else 0

    def frames_for(self, duration_ms: float) -> int:
        """Round milliseconds up to whole frames."""
        return math.ceil(duration_ms * self.rate_hz / (1000 * self.hop) - 1e-9)

    def duration_ms(self, n_frames: int) -> float:
        """Milliseconds from one frame to the one `n_frames` later."""
        return n_frames * self.hop * 1000 / self.rate_hz

    def center_s(self, frame: float) -> float:
        """Seconds from the first sample to the centre of what a frame sees."""
        return (frame * self.hop + self.receptive_field / 2) / self.rate_hz
