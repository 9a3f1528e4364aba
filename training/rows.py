"""The small model's layers as they are quickest to train on a processor.

The functions of `transformers`' layers (tests compare them), for layer-norm models without biases
in their convolutions. A convolution is a product over windows of rows and attention two batched
products, in the type that autocast asks for, norms and sums in float32: on one core a training step
takes half as long as through the modules, whose convolutions and attention have no quick way back.

With `int8` the transformer's products get rounded inputs and weights, as an export in eight bits
computes them, and gradients pass through the rounding (Jacob et al. 2018, arXiv:1712.05877,
section 3): what is learned under it changes less when it is exported.
"""

from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

Tensor = torch.Tensor


def product_type(device: torch.device) -> torch.dtype:
    """Return the type that autocast asks products to be in, float32 without it."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return torch.float32


def features(base: "Wav2Vec2Model", samples: Tensor, *, int8: bool = False) -> Tensor:
    """Run the feature encoder and its projection: `[batch, samples]` -> `[batch, frames, hidden]`.

    Padding is convolved like everything else.
    """
    wanted = product_type(samples.device)
    rows = samples[..., None]
    for layer in base.feature_extractor.conv_layers:
        conv: Any = layer.conv
        windows = _windows(rows.to(wanted), conv.kernel_size[0], conv.stride[0])
        weight = conv.weight.permute(0, 2, 1).reshape(conv.out_channels, -1)
        hidden = cast("Any", layer).layer_norm(
            functional.linear(windows, weight.to(wanted)).float()
        )
        rows = functional.gelu(hidden.to(wanted))
    projection = base.feature_projection
    return _linear(projection.projection, projection.layer_norm(rows.float()), int8).float()


def layer_output(
    layer: Any,  # noqa: ANN401
    hidden: Tensor,
    bias: Tensor,
    *,
    int8: bool = False,
) -> Tensor:
    """Run one layer of the transformer.

    Args:
        layer: A layer of `transformers` that normalises first (stable layer norm).
        hidden: float32 `[batch, frames, hidden]`.
        bias: Added to the attention's scores, `[batch, 1, frames, frames]`.
        int8: Round what is multiplied.
    """
    taken = layer.layer_norm(hidden)
    hidden = hidden + layer.dropout(_attention(layer.attention, taken, bias, int8))
    taken = layer.final_layer_norm(hidden)
    inner = functional.gelu(_linear(layer.feed_forward.intermediate_dense, taken, int8))
    output = _linear(layer.feed_forward.output_dense, inner, int8).float()
    found: Tensor = hidden + layer.feed_forward.output_dropout(output)
    return found


def _attention(of: Any, rows: Tensor, bias: Tensor, int8: bool) -> Tensor:  # noqa: ANN401, FBT001
    batch, frames, width = rows.shape
    heads, size = of.num_heads, of.head_dim
    weight = torch.cat([of.q_proj.weight * of.scaling, of.k_proj.weight, of.v_proj.weight])
    offset = torch.cat([of.q_proj.bias * of.scaling, of.k_proj.bias, of.v_proj.bias])
    all_heads = _product(rows, weight, offset, int8)
    wanted = all_heads.dtype
    parted = all_heads.view(batch, frames, 3, heads, size).permute(2, 0, 3, 1, 4)
    query, key, value = parted.reshape(3, batch * heads, frames, size).unbind(0)
    scores = torch.bmm(query, key.transpose(1, 2)).view(batch, heads, frames, frames) + bias
    shares = torch.softmax(scores.float(), dim=-1).to(wanted)
    found = torch.bmm(shares.view(batch * heads, frames, frames), value)
    joined = found.view(batch, heads, frames, size).transpose(1, 2).reshape(batch, frames, width)
    return _linear(of.out_proj, joined, int8).float()


def _linear(module: torch.nn.Linear, rows: Tensor, int8: bool) -> Tensor:  # noqa: FBT001
    return _product(rows, module.weight, module.bias, int8)


def _product(rows: Tensor, weight: Tensor, offset: Tensor, int8: bool) -> Tensor:  # noqa: FBT001
    wanted = product_type(rows.device)
    rows, weight = rows.to(wanted), weight.to(wanted)
    if int8:
        rows = _Rounded.apply(rows, (1, 2), 255)  # type: ignore[no-untyped-call]
        weight = _Rounded.apply(weight, (1,), 254)  # type: ignore[no-untyped-call]
    return functional.linear(rows, weight, offset.to(wanted))


def _windows(rows: Tensor, kernel: int, stride: int) -> Tensor:
    found: Tensor = _Windows.apply(rows, kernel, stride)  # type: ignore[no-untyped-call]
    return found


class _Windows(torch.autograd.Function):
    """Rows `[b, t, c]` -> windows `[b, t', kernel * c]`; back, each row's shares are summed."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, kernel: int, stride: int) -> Tensor:  # noqa: ANN401
        batch, length, channels = rows.shape
        ctx.shape, ctx.kernel, ctx.stride = rows.shape, kernel, stride
        size = (batch, (length - kernel) // stride + 1, kernel * channels)
        steps = (length * channels, stride * channels, 1)
        return rows.contiguous().as_strided(size, steps).contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:  # noqa: ANN401
        if not ctx.needs_input_grad[0]:
            return None, None, None
        batch, length, channels = ctx.shape
        n_windows = grads[0].shape[1]
        parts = grads[0].view(batch, n_windows, ctx.kernel, channels)
        whole = parts.new_zeros(batch, length, channels)
        for tap in range(ctx.kernel):
            whole[:, tap : tap + (n_windows - 1) * ctx.stride + 1 : ctx.stride] += parts[:, :, tap]
        return whole, None, None


class _Rounded(torch.autograd.Function):
    """Values rounded to so many steps between the least and the largest along `dims`."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor, dims: tuple[int, ...], n_steps: int) -> Tensor:  # noqa: ANN401
        low = values.amin(dims, keepdim=True).clamp(max=0).float()
        high = values.amax(dims, keepdim=True).clamp(min=0).float()
        if n_steps % 2 == 0:  # of weights, as much below zero as above
            high = torch.maximum(high, -low)
            low = -high
        step = ((high - low) / n_steps).clamp(min=1e-8).to(values.dtype)
        return (values / step).round_().mul_(step)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return grads[0], None, None
