"""Several processes that learn one model together, as `torchrun` starts them.

Gradients are summed over all processes and divided by the sum of their weights, so that the step is
the one that a single process would take on all their batches. (torch's own wrapper hooks into a
model's forward pass, which some objectives here take apart.)
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import distributed

from .errors import TrainingError


@dataclass(frozen=True)
class Ranks:
    """This process among those that learn together."""

    rank: int = 0
    n_ranks: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share_state(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give every process the values of the first."""
        if self.n_ranks > 1:
            for one in tensors:
                distributed.broadcast(one, 0)

    def agree(self, value: float) -> float:
        """Return the first process's value in all of them."""
        if self.n_ranks == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def sums(self, *values: float) -> tuple[float, ...]:
        """Sum values over all processes."""
        if self.n_ranks == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return tuple(summed.tolist())

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Sum gradients over all processes; one that is nowhere there stays away."""
        if self.n_ranks == 1:
            return
        there = torch.tensor(
            [float(one.grad is not None) for one in parameters], device=self.device
        )
        distributed.all_reduce(there)
        used = [one for one, n in zip(parameters, there.tolist(), strict=True) if n]
        for one in used:
            one.grad = torch.zeros_like(one) if one.grad is None else one.grad
        flat = torch.cat([one.grad.reshape(-1) for one in used if one.grad is not None])
        distributed.all_reduce(flat)
        for one, piece in zip(used, flat.split([one.numel() for one in used]), strict=True):
            one.grad = piece.view_as(one)


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that `torchrun` started; alone without it.

    Raises:
        TrainingError: They cannot meet.
    """
    n_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if n_ranks == 1:
        yield Ranks(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return
    rank, device = int(os.environ["RANK"]), torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"{n_ranks} processes cannot meet ({str(error).splitlines()[0]}): start them with "
            "torchrun"
        ) from error
    try:
        yield Ranks(rank, n_ranks, device)
    finally:
        distributed.destroy_process_group()
