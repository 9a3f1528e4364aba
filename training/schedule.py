"""How long a run is, and the learning rate along it."""

import argparse
from dataclasses import dataclass
from typing import Literal

from .errors import TrainingOptionsError
from .objective import Progress

Unit = Literal["steps", "hours", "minutes"]


@dataclass(frozen=True)
class Counters:
    """What a run has used up."""

    step: int = 0
    """Steps of the optimizer."""
    audio_s: float = 0.0
    """Audio heard, over all processes."""
    trained_s: float = 0.0
    """CPU time of the (first) process, on a GPU wall time: a neighbour shortens no schedule."""


@dataclass(frozen=True)
class Budget:
    """How long a run is: steps, hours of audio heard, or minutes.

    Minutes are CPU time of the process on a CPU (without that of the processes that read ahead),
    wall time on a GPU.
    """

    amount: float
    unit: Unit = "steps"

    def __post_init__(self) -> None:
        if not self.amount > 0:
            raise TrainingOptionsError(
                f"a budget of {self.amount:g} {self.unit} is no run: it must be above 0"
            )

    @classmethod
    def asked(cls, arguments: argparse.Namespace) -> "Budget":
        """Return what a command line asks for: `steps`, `hours_heard` or `minutes`."""
        amounts: dict[Unit, float | None] = {
            "hours": arguments.hours_heard,
            "minutes": arguments.minutes,
            "steps": arguments.steps,
        }
        return next(cls(amount, unit) for unit, amount in amounts.items() if amount is not None)

    def share(self, used: Counters) -> float:
        """Return how much of it is used up, from 0 to 1."""
        amount = {"steps": used.step, "hours": used.audio_s / 3600, "minutes": used.trained_s / 60}
        return min(1.0, amount[self.unit] / self.amount)

    def progress(self, used: Counters) -> Progress:
        """Return the place in the run, its number of steps estimated where it is not known."""
        if self.unit == "steps":
            return Progress(used.step, max(1, int(self.amount)))
        share = self.share(used)
        return Progress(used.step, round(used.step / share) if share else 1_000_000)


@dataclass(frozen=True)
class Schedule:
    """The tri-stage learning rate of wav2vec 2.0: up, constant, down.

    Baevski et al. 2020 (arXiv:2006.11477, section 4.3): up over 10 %, constant for 40 %, then an
    exponential fall to a twentieth (fairseq's `tri_stage`).
    """

    peak: float
    warmup: float = 0.1
    """Share of the run in which the rate rises linearly, from a hundredth."""
    hold: float = 0.4
    """Share in which it stays."""
    last: float = 0.05
    """What of the peak is left at the end."""
    falls: Literal["exponential", "linear"] = "exponential"

    def __post_init__(self) -> None:
        if not (self.peak > 0 and self.warmup >= 0 and self.hold >= 0 and self.stays <= 1):
            raise TrainingOptionsError(
                f"peak {self.peak}, warm-up {self.warmup} and hold {self.hold} make no schedule: "
                "expected a peak above 0, and shares of the run that sum up to 1 at most"
            )

    @property
    def stays(self) -> float:
        """Share of the run after which the rate falls."""
        return self.warmup + self.hold

    def rate(self, share: float) -> float:
        """Return the learning rate after a share of the run."""
        if share < self.warmup:
            return self.peak * (0.01 + 0.99 * share / self.warmup)
        if share < self.stays or self.stays >= 1:
            return self.peak
        fallen = (share - self.stays) / (1 - self.stays)
        if self.falls == "linear":
            return self.peak * (1 + (self.last - 1) * fallen)
        return float(self.peak * self.last**fallen)
