"""Matrix products with constant weights: where the time goes, and where precision is chosen.

A convolution over time is such a product too: in time-major layout the samples or frames under its
kernel lie side by side, so that unfolding makes rows of them (`unfolded`).

Each product has a scheme. Eight bits are taken per output column for weights, and for activations
per call, over what the call sees. What that costs depends on how the activations are spread, and
three schemes narrow them first:

* smooth: a scale per input channel moves from the activations into the weights (Xiao et al. 2023,
  "SmoothQuant", section 4, with migration strength 0.5);
* rows: each row is divided by its largest magnitude, and its result multiplied by it, so that a
  loud frame takes nothing from a quiet one, and a result does not depend on its neighbours;
* split: the rounding error of the activations is a second product of its own.

Torch computes all of them in float32; the integers are put into the traced graph afterwards
(`wav2edge.export.graph_file`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

import torch
from torch import nn

Tensor = torch.Tensor

_SMALLEST = 1e-5  # of a row's largest magnitude, so that silence is divided by something
_STEPS = 255  # of an unsigned 8-bit activation


class Scheme(StrEnum):
    """How one product is computed."""

    FLOAT32 = "float32"
    TENSOR = "int8, one scale for all weights"
    CHANNEL = "int8"
    SMOOTH = "int8 smooth"
    ROWS = "int8 rows"
    SMOOTH_ROWS = "int8 smooth rows"
    SPLIT = "int8 split"

    @property
    def is_integer(self) -> bool:
        """Whether the product becomes one of integers."""
        return self is not Scheme.FLOAT32

    @property
    def is_smooth(self) -> bool:
        """Whether scales move from activations into weights."""
        return self in (Scheme.SMOOTH, Scheme.SMOOTH_ROWS)


_BY_ROW = (Scheme.ROWS, Scheme.SMOOTH_ROWS)


class Product(nn.Module):
    """`x @ weight + bias`, `x` of shape `[rows, in]`.

    Args:
        weight: `[in, out]`.
        bias: `[out]`, or None.
        repeats: How many times the input's channels stand side by side in a row; the taps of a
            convolution share their channels' scales.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, repeats: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone().contiguous(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone(), False)  # noqa: FBT003
        self.scheme = Scheme.FLOAT32
        self.repeats = repeats
        self.narrowing: nn.Parameter | None = None

    @classmethod
    def of(cls, linear: nn.Linear) -> "Product":
        """Take over a linear layer."""
        return cls(linear.weight.T, linear.bias)

    def take(self, scheme: Scheme, largest: Tensor | None) -> None:
        """Compute by `scheme` from here on.

        Args:
            scheme: Any.
            largest: The largest magnitude of each input channel, `[in]`, for the smooth ones.
        """
        self.scheme = scheme
        if scheme.is_smooth:
            if largest is None:
                raise ValueError("a smooth product needs the largest magnitude of each channel")
            self._narrow(largest)

    def _narrow(self, largest: Tensor) -> None:
        n_taps, n_out = self.repeats, self.weight.shape[1]
        taps = self.weight.reshape(n_taps, -1, n_out)
        seen = largest.reshape(n_taps, -1).amax(dim=0).clamp(min=_SMALLEST)
        heaviest = taps.abs().amax(dim=(0, 2)).clamp(min=_SMALLEST)
        scale = (seen / heaviest).sqrt()
        scale = (scale / scale.mean()).repeat(n_taps)
        self.weight = nn.Parameter(self.weight * scale[:, None], requires_grad=False)
        self.narrowing = nn.Parameter(1 / scale, requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply `[rows, in]` -> `[rows, out]`."""
        if self.narrowing is not None:
            rows = rows * self.narrowing
        if self.scheme in _BY_ROW:
            largest = rows.abs().amax(dim=-1, keepdim=True).clamp(min=_SMALLEST)
            product = (rows / largest) @ self.weight * largest
        elif self.scheme is Scheme.SPLIT:
            product = rows @ self.weight + rounding_error(rows) @ self.weight
        else:
            product = rows @ self.weight
        return product if self.bias is None else product + self.bias


def unfolded(rows: Tensor, kernel: int, stride: int) -> Tensor:
    """Lay the rows under each position of a kernel side by side.

    Args:
        rows: `[..., n, channels]`, time-major.
        kernel: Rows under the kernel.
        stride: Rows from one position to the next.

    Returns:
        `[..., (n - kernel) // stride + 1, kernel * channels]`.
    """
    *lead, n_rows, n_channels = rows.shape
    n_frames = (n_rows - kernel) // stride + 1
    n_whole, rest = divmod(kernel, stride)
    # Strides' worth of rows lie together already and are only looked at in another shape.
    parts = [
        rows[..., i * stride : (i + n_frames) * stride, :].reshape(
            *lead, n_frames, stride * n_channels
        )
        for i in range(n_whole)
    ]
    first = n_whole * stride
    parts += [
        rows[..., first + i : first + i + (n_frames - 1) * stride + 1 : stride, :]
        for i in range(rest)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def rounding_error(rows: Tensor) -> Tensor:
    """Return what a dynamic unsigned 8-bit activation loses of `rows`.

    As ONNX's DynamicQuantizeLinear rounds: one scale and zero point over all of them, zero exact.
    """
    low, high = rows.min().clamp(max=0.0), rows.max().clamp(min=0.0)
    scale = ((high - low) / _STEPS).clamp(min=_SMALLEST / _STEPS)
    zero = torch.round(-low / scale)
    steps = (torch.round(rows / scale) + zero).clamp(0, _STEPS) - zero
    return rows - steps * scale


@contextmanager
def observed(products: Iterable[Product]) -> Iterator[dict[Product, Tensor]]:
    """Record the largest magnitude of each input channel, `[in]`, while it lasts."""
    seen: dict[Product, Tensor] = {}

    def look(product: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(product, Product)
        largest = inputs[0].detach().abs().amax(dim=0)
        before = seen.get(product)
        seen[product] = largest if before is None else torch.maximum(before, largest)

    hooks = [product.register_forward_pre_hook(look) for product in products]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
