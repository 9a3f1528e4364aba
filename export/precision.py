"""Precision as a policy: which scheme each kind of product gets.

Convolutions are told apart because they differ so much in what eight bits do to them: the first one
is tiny and stays float32; the next three carry the widest ranges, and integers with one scale for
all of their input are known to break trained models there; the rest is milder.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .products import Product, Scheme
from .step_graph import StepGraph

_LAST_EARLY = 3  # the index of the last convolution that is known to be delicate


@dataclass(frozen=True)
class Policy:
    """One way to compute everything."""

    name: str
    linear: Scheme = Scheme.FLOAT32
    """Of the transformer and the feature projection."""
    early: Scheme = Scheme.FLOAT32
    """Of the second to the fourth convolution."""
    late: Scheme = Scheme.FLOAT32
    """Of the convolutions behind them."""
    position: Scheme = Scheme.FLOAT32
    """Of the positional convolution: float32 or int8."""
    half: bool = False
    """Everything in float16: for GPUs."""

    @property
    def is_smooth(self) -> bool:
        """Whether it must be told how large each channel grows."""
        return any(scheme.is_smooth for scheme in (self.linear, self.early, self.late))

    @property
    def is_integer(self) -> bool:
        """Whether any product is one of integers."""
        return any(x.is_integer for x in (self.linear, self.early, self.late, self.position))

    def scheme_of(self, product: str) -> Scheme:
        """Return the scheme of a product by its name in `StepGraph.products`."""
        if product == "context.head":  # 1 % of the work, and a third of the whole error
            return Scheme.FLOAT32
        if not product.startswith("front.convolutions."):
            return self.linear
        index = int(product.split(".")[2])
        if index == 0:
            return Scheme.FLOAT32
        return self.early if index <= _LAST_EARLY else self.late

    def apply(self, step: StepGraph, largest: Mapping[str, torch.Tensor]) -> None:
        """Give each product of a fresh step graph its scheme.

        Args:
            step: As made from the checkpoint; the smooth schemes change its weights.
            largest: By product, the largest magnitude of each input channel on speech.
        """
        for name, product in step.products().items():
            product.take(self.scheme_of(name), largest.get(name))

    def table(self) -> dict[str, str]:
        """Return what a manifest says of it, by kind of layer."""
        if self.half:
            return {"all": "float16"}
        return {
            "convolution 1": str(Scheme.FLOAT32),
            "convolutions 2 to 4": str(self.early),
            "convolutions from 5 on": str(self.late),
            "positional convolution": str(self.position),
            "attention product": str(Scheme.FLOAT32),
            "linear": str(self.linear),
            "CTC head": str(Scheme.FLOAT32),
        }


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("float32"),
        Policy("float16", half=True),
        Policy("int8", Scheme.SMOOTH),
        Policy("int8-plain", Scheme.CHANNEL),
        Policy("int8-tensor", Scheme.TENSOR),
        Policy("int8-late", Scheme.SMOOTH, late=Scheme.SMOOTH_ROWS),
        Policy("int8-position", Scheme.SMOOTH, position=Scheme.CHANNEL),
        Policy("int8-conv", Scheme.CHANNEL, Scheme.CHANNEL, Scheme.CHANNEL, Scheme.CHANNEL),
        Policy("int8-conv-smooth", Scheme.SMOOTH, Scheme.SMOOTH, Scheme.SMOOTH, Scheme.CHANNEL),
        Policy(
            "int8-conv-rows",
            Scheme.SMOOTH,
            Scheme.SMOOTH_ROWS,
            Scheme.SMOOTH_ROWS,
            Scheme.CHANNEL,
        ),
        Policy("int8-conv-split", Scheme.SMOOTH, Scheme.SPLIT, Scheme.SPLIT, Scheme.CHANNEL),
    )
}


def names_of(found: Mapping[Product, torch.Tensor], step: StepGraph) -> dict[str, torch.Tensor]:
    """Key what was observed by the products' names."""
    return {name: found[product] for name, product in step.products().items() if product in found}
