"""What is learned: the protocol between the loop and pre-training, fine-tuning, adaptation.

The loop (`trainer`) knows batches, steps, rates, averages and files. An objective knows a model,
turns a batch into a loss, says what is frozen when, and writes the model as a checkpoint folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch


@dataclass(frozen=True)
class Batch:
    """Padded utterances."""

    samples: torch.Tensor
    """float32 `[batch, samples]`, zeros after each utterance's end."""
    n_samples: torch.Tensor
    """int64 `[batch]`."""
    tokens: torch.Tensor
    """int64 `[sum of n_tokens]`, the transcripts end to end; empty where there are none."""
    n_tokens: torch.Tensor
    """int64 `[batch]`."""

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        fields = (self.samples, self.n_samples, self.tokens, self.n_tokens)
        return Batch(*(one.to(device, non_blocking=True) for one in fields))


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    """Steps of the optimizer that were taken."""
    n_steps: int
    """Steps of the whole run; estimated where the budget is in hours or minutes."""

    @property
    def share(self) -> float:
        """From 0 at the start to 1 at the end."""
        return min(1.0, self.step / max(1, self.n_steps))


@dataclass(frozen=True)
class Loss:
    """What a batch was worth."""

    value: torch.Tensor
    """Scalar to minimise, the mean over `weight` units."""
    weight: float
    """Tokens or frames that it is the mean of: batches of one step are weighted by it."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What the log shows beside the loss, such as contrastive accuracy or codebook perplexity."""


class Objective(Protocol):
    """Something that can be learned."""

    model: Any
    """A model of `transformers`; kinds differ."""

    def loss(self, batch: Batch, progress: Progress, draw: torch.Generator) -> Loss:
        """Return the loss of a batch, which lies on the model's device.

        Runs under autocast. Everything random comes from `draw` (on the CPU) or from the global
        generators of torch and numpy: the loop seeds all of them anew for every batch, so that a
        run that was stopped goes on as if it had not been.
        """
        ...

    def before_step(self, progress: Progress) -> None:
        """Freeze, unfreeze, or change a temperature: a function of `progress` alone."""
        ...

    def save(self, model: Any, folder: Path) -> None:  # noqa: ANN401
        """Write `model`, which has the type and shapes of `self.model`, in transformers' layout."""
        ...
