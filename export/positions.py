"""How the kinds of checkpoint tell the transformer where a frame stands.

All of them add the output of convolutions over frames. data2vec has several small ones, one behind
the other (Baevski et al. 2022, arXiv:2202.03555); some HuBERT models have a batch norm before
theirs. WavLM adds to the attention's scores what the distance of two frames is worth, gated by what
the frame holds (Chen et al. 2021, arXiv:2110.13900, section III-B).
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

Tensor = torch.Tensor


class PositionStack(nn.Module):
    """Convolutions over frames, each padded with zeros at both ends of the audio.

    `frames` begin `left` frames before the first one wanted. Where those lie before the start of
    the audio they are `outside`, and what each convolution makes of them is zero again for the
    next, as `transformers` pads it. Behind the newest frame each pads with zeros as well: at the
    end of the audio that is what `transformers` does, in a stream those frames are provisional.
    """

    def __init__(self, embedding: Any) -> None:
        super().__init__()
        # Weight norm is folded, so that quantizers and optimizers see a constant.
        layers: list[Any] = list(getattr(embedding, "layers", [embedding]))
        for layer in layers:
            fold_weight_norm(layer.conv)
        self.layers = nn.ModuleList(layers)
        kernels: list[int] = [layer.conv.weight.shape[2] for layer in layers]
        lefts = [kernel // 2 for kernel in kernels]
        self.consumed = [sum(lefts[:i]) for i in range(len(lefts))]

    def forward(self, frames: Tensor, outside: Tensor | None = None) -> Tensor:
        """Convolve.

        Args:
            frames: float32 `[streams, left + n, hidden]`, zeros where they lie outside.
            outside: float32 `[o]`; its length says how many of the first `left` lie before the
                start of the audio, of every stream. One convolution over zeros needs not know.

        Returns:
            float32 `[streams, n, hidden]`, to be added to the last n frames.
        """
        hidden = frames
        for layer, consumed in zip(self.layers, self.consumed, strict=True):
            norm = getattr(layer, "batch_norm", None)
            if norm is not None:
                scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                hidden = hidden * scale + (norm.bias - norm.running_mean * scale)
            if norm is not None or consumed:
                places = torch.arange(hidden.shape[1], device=hidden.device)
                n_outside = 0 if outside is None else outside.shape[0]
                inside = places >= n_outside - consumed
                hidden = hidden * inside.to(hidden.dtype)[:, None]
            hidden = _convolved(layer, hidden)
        return hidden


def _convolved(layer: Any, hidden: Tensor) -> Tensor:
    """Apply one convolution, valid at its left and padded at its right, and what follows it."""
    conv = layer.conv
    right = conv.kernel_size[0] - 1 - conv.kernel_size[0] // 2
    padded = functional.pad(hidden.transpose(1, 2), (0, right))
    out = functional.conv1d(padded, conv.weight, conv.bias, groups=conv.groups).transpose(1, 2)
    norm = getattr(layer, "layer_norm", None)
    return torch.as_tensor(layer.activation(out if norm is None else norm(out)))


class Distances(nn.Module):
    """What the distance of a key to a query is worth to each head, in WavLM.

    Beyond the model's greatest distance it is the same for all, so one table holds every case; and
    since the past that is kept lies right before the new frames, distances follow from lengths.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.farthest = int(attention.max_distance)
        distances = torch.arange(-self.farthest, self.farthest + 1)
        buckets = attention._relative_positions_bucket(distances)  # noqa: SLF001  (its own rounding)
        table = attention.rel_attn_embed.weight.detach()[buckets].T.contiguous()
        self.register_buffer("table", table)

    def forward(self, n_past: int, n_new: int) -> Tensor:
        """Return `[heads, n_new, n_past + n_new]`, the new frames being the queries."""
        table = torch.as_tensor(self.table)
        keys = torch.arange(n_past + n_new, device=table.device)
        queries = torch.arange(n_new, device=table.device)[:, None] + n_past
        near = torch.clamp(keys - queries, -self.farthest, self.farthest)
        return table[:, near + self.farthest]


class Gate(nn.Module):
    """How much distance counts for a query, by what its frame holds.

    The 8 outputs of WavLM's linear layer are summed by fours, which is a linear layer with 2.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        linear, self.n_heads = attention.gru_rel_pos_linear, int(attention.num_heads)
        self.sums = nn.Linear(linear.in_features, 2)
        with torch.no_grad():
            self.sums.weight.copy_(linear.weight.reshape(2, 4, -1).sum(dim=1))
            self.sums.bias.copy_(linear.bias.reshape(2, 4).sum(dim=1))
        self.const = attention.gru_rel_pos_const.detach()[0]

    def forward(self, hidden: Tensor) -> Tensor:
        """Frames `[streams, n, hidden]`, as the attention sees them -> `[streams, heads, n, 1]`."""
        heads = hidden.reshape(*hidden.shape[:2], self.n_heads, -1).transpose(1, 2)
        first, second = torch.sigmoid(self.sums(heads)).split(1, dim=-1)
        return torch.as_tensor(first * (second * self.const - 1.0) + 2.0)


def fold_weight_norm(module: nn.Module) -> None:
    """Turn a weight-normed weight into a plain one."""
    if parametrize.is_parametrized(module, "weight"):
        parametrize.remove_parametrizations(module, "weight")


def attention_distances(encoder: Any) -> Distances | None:
    """Return WavLM's distances; None for the kinds whose attention knows no positions."""
    first = encoder.layers[0].attention
    return Distances(first) if hasattr(first, "rel_attn_embed") else None
