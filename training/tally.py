"""Losses and figures of many batches, as weighted means."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from .ranks import Ranks


@dataclass
class Heard:
    """What one step of one process heard."""

    weight: float = 0.0
    audio_s: float = 0.0
    norm: float = 0.0
    """Of the gradient, before it was clipped."""
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Figures times their weights."""

    def add(self, loss: float, weight: float, figures: Mapping[str, float]) -> None:
        """Add a batch."""
        self.weight += weight
        for name, value in {"loss": loss, **figures}.items():
            self.sums[name] += value * weight

    @property
    def loss(self) -> float:
        """The mean loss of this process's batches."""
        return self.sums["loss"] / self.weight if self.weight else 0.0


class Tally:
    """The steps between two reports."""

    def __init__(self) -> None:
        self._weight, self._norms = 0.0, list[float]()
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, heard: Heard) -> None:
        """Add a step."""
        self._weight += heard.weight
        self._norms.append(heard.norm)
        for name, value in heard.sums.items():
            self._sums[name] += value

    def means(self, ranks: Ranks) -> dict[str, float]:
        """Return the mean of every figure over all processes, and of the gradient's norm."""
        names = sorted(self._sums)
        weight, *sums = ranks.sums(self._weight, *(self._sums[name] for name in names))
        means = {name: total / max(weight, 1e-9) for name, total in zip(names, sums, strict=True)}
        return {**means, "gradient_norm": sum(self._norms) / max(1, len(self._norms))}
