"""The step graph: a checkpoint's own weights, arranged so that one graph serves every latency.

Two modules, exported into one ONNX file (see `wav2edge.runtime.acoustic` for how they are driven):

* `Front`: samples -> projected features. The group norm of the first convolution takes its
  statistics from outside, as the mean and the covariance root of the samples under the kernel (see
  `wav2edge.runtime.normalization`).
* `Context`: features -> log-probs, with the keys and values of the past as an input and those of
  the new frames as an output.

Everything is time-major, rows of channels: a convolution is a product over unfolded rows, a layer
norm runs over what lies together, and keys and values grow at one end, so that the runtime appends
instead of copying.

Several streams may be stepped in one call. Their rows lie one stream behind the other, so that
products and norms see nothing but more rows; only convolutions and attention must know where a
stream ends.

Sources: Baevski et al. 2020 (arXiv:2006.11477), section 2; the modules are those of `transformers`,
checked against it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .kinds import is_stable, knows_the_start, position_reach
from .positions import Gate, PositionStack, attention_distances
from .products import Product, unfolded

Tensor = torch.Tensor


class Convolution(nn.Module):
    """One layer of the feature encoder: a product over unfolded rows, a norm, an activation."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        conv = layer.conv
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        weight = conv.weight.permute(2, 1, 0).reshape(-1, conv.out_channels)
        self.product = Product(weight, conv.bias, repeats=self.kernel)
        norm = getattr(layer, "layer_norm", None)
        self.norm = norm if isinstance(norm, nn.LayerNorm) else None
        self.activation = layer.activation

    def forward(self, rows: Tensor) -> Tensor:
        """Convolve `[streams, n, in]` -> `[streams, frames, out]`."""
        n_streams, taken = rows.shape[0], unfolded(rows, self.kernel, self.stride)
        hidden = self.product(taken.reshape(-1, taken.shape[2]))
        hidden = self.finished(hidden if self.norm is None else self.norm(hidden))
        return hidden.reshape(n_streams, -1, hidden.shape[1])

    def finished(self, hidden: Tensor) -> Tensor:
        """Apply the activation."""
        return torch.as_tensor(self.activation(hidden))


class GroupNormConvolution(Convolution):
    """The first layer of the group-norm kind, with statistics from outside."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.group_norm = layer.layer_norm

    def forward(
        self, rows: Tensor, mean: Tensor | None = None, root: Tensor | None = None
    ) -> Tensor:
        """Convolve with given statistics: mean_c = w_c . mean, var_c = |root' w_c|^2.

        The norm is a scale and an offset per channel and stream, and both go into the product.
        """
        if mean is None or root is None:
            raise ValueError("a group-norm front needs conv0_mean and conv0_root")
        kernels, norm = self.product.weight, self.group_norm
        spread = (root.transpose(1, 2) @ kernels).square().sum(dim=1)
        scale = norm.weight / torch.sqrt(spread + norm.eps)
        offset = norm.bias - (mean @ kernels) * scale  # a bias of the convolution cancels out
        taken = unfolded(rows, self.kernel, self.stride)
        return self.finished(taken @ (kernels * scale[:, None]) + offset[:, None])


class Front(nn.Module):
    """Samples `[streams, n]` -> features `[streams, frames, hidden]`."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        layers = list(base.feature_extractor.conv_layers)
        self.group_norm = isinstance(getattr(layers[0], "layer_norm", None), nn.GroupNorm)
        first = GroupNormConvolution if self.group_norm else Convolution
        self.convolutions = nn.ModuleList([first(layers[0]), *map(Convolution, layers[1:])])
        projection = base.feature_projection
        self.norm = getattr(projection, "layer_norm", None)
        self.projection = Product.of(projection.projection)

    def forward(
        self, samples: Tensor, conv0_mean: Tensor | None = None, conv0_root: Tensor | None = None
    ) -> Tensor:
        """Convolve and project.

        `conv0_mean` `[streams, K]` and `conv0_root` `[streams, K, K]` belong to the group-norm
        kind.
        """
        rows = samples[:, :, None]
        for i, layer in enumerate(self.convolutions):
            given = (conv0_mean, conv0_root) if i == 0 and self.group_norm else ()
            rows = layer(rows, *given)
        n_streams, flat = rows.shape[0], rows.reshape(-1, rows.shape[2])
        projected = self.projection(flat if self.norm is None else self.norm(flat))
        features: Tensor = projected.reshape(n_streams, -1, projected.shape[1])
        return features


class Context(nn.Module):
    """Features and the past -> log-probs and the keys and values to remember."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        encoder, config = model.base_model.encoder, model.config
        self.positions = PositionStack(encoder.pos_conv_embed)
        self.distances = attention_distances(encoder)
        self.stable = is_stable(config)
        self.layers = nn.ModuleList(Layer(layer, stable=self.stable) for layer in encoder.layers)
        self.norm, self.head = encoder.layer_norm, Product.of(model.lm_head)
        self.left, _ = position_reach(config)
        self.knows_the_start = knows_the_start(config)

    def forward(
        self,
        frames: Tensor,
        past: Sequence[Tensor],
        hold: Tensor,
        outside: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Run the transformer over the frames after the first `left`.

        Args:
            frames: float32 `[streams, left + n, hidden]`; the first `left` only feed the
                positional convolution.
            past: Keys and values of the left context, layer after layer, float32
                `[streams, l, hidden]` each; l may be 0.
            hold: float32 `[h]`; its length says how many of the last rows stay out of the returned
                keys and values: for one stream the newest frames, for several it should be 0.
            outside: float32 `[o]`; its length says how many of the first `left` frames lie before
                the start of the audio. Only some kinds ask (`kinds.knows_the_start`).

        Returns:
            log_probs `[streams, n, vocabulary]`, then keys and values `[streams * n - h, hidden]`
            of each layer.
        """
        n_streams, width = frames.shape[0], frames.shape[2]
        hidden = frames[:, self.left :] + self.positions(frames, outside)
        shape, n_new = hidden.shape, hidden.shape[1]
        hidden = hidden.reshape(-1, width)
        if not self.stable:
            hidden = self.norm(hidden)
        n_kept = hidden.shape[0] - hold.shape[0]
        worth = None
        if self.distances is not None:
            worth = self.distances(past[0].shape[1], n_new)
        new: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            hidden, keys, values = layer(hidden, shape, past[2 * i : 2 * i + 2], worth)
            new += [keys[:n_kept], values[:n_kept]]
        if self.stable:
            hidden = self.norm(hidden)
        log_probs = torch.log_softmax(self.head(hidden), dim=-1)
        return (log_probs.reshape(n_streams, n_new, log_probs.shape[1]), *new)


class Layer(nn.Module):
    """A transformer layer over rows of frames `[streams * n, hidden]`."""

    def __init__(self, layer: Any, *, stable: bool) -> None:
        super().__init__()
        self.stable = stable
        attention, feed = layer.attention, layer.feed_forward
        self.n_heads = int(attention.num_heads)
        self.projection = fused_projection(attention)
        self.output = Product.of(attention.out_proj)
        self.norm, self.final_norm = layer.layer_norm, layer.final_layer_norm
        self.widening = Product.of(feed.intermediate_dense)
        self.activation = feed.intermediate_act_fn
        self.narrowing = Product.of(feed.output_dense)
        self.adapter = getattr(layer, "adapter_layer", None)
        self.gate = Gate(attention) if hasattr(attention, "gru_rel_pos_linear") else None

    def forward(
        self,
        hidden: Tensor,
        shape: Sequence[int],
        past: Sequence[Tensor],
        worth: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the hidden rows, and the new keys and values `[streams * n, hidden]`.

        The rows are those of a tensor of this shape, `[streams, n, hidden]`; `past` is keys and
        values, `[streams, l, hidden]` each; `worth` `[heads, n, l + n]` is what distances count
        for, in WavLM.
        """
        normed = self.norm(hidden) if self.stable else hidden
        query, *new = self.projection(normed).split(hidden.shape[1], dim=1)
        keys, values = (
            torch.cat([old, rows.reshape(*shape)], dim=1)
            for old, rows in zip(past, new, strict=True)
        )
        bias = None
        if self.gate is not None and worth is not None:
            bias = self.gate(normed.reshape(*shape)) * worth
        attended = self._attend(query.reshape(*shape), keys, values, bias)
        hidden = hidden + self.output(attended.reshape(-1, hidden.shape[1]))
        if self.stable:
            hidden = hidden + self._feed_forward(self.final_norm(hidden))
            hidden = hidden if self.adapter is None else hidden + self.adapter(hidden)
        else:
            hidden = self.norm(hidden)
            hidden = self.final_norm(hidden + self._feed_forward(hidden))
        return hidden, *new

    def _attend(
        self, query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Attend from the new frames to the past and to themselves, `[streams, rows, hidden]` each.

        Without a bias positions play no part, and the past is a set. What is exported then is ONNX
        Runtime's operator, which never holds all scores at once.
        """
        if bias is None and torch.compiler.is_exporting():
            return self._attend_exported(query, keys, values)
        queries, keys, values = (
            rows.reshape(*rows.shape[:2], self.n_heads, -1) for rows in (query, keys, values)
        )
        scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1)
        weights = torch.softmax(scores if bias is None else scores + bias, dim=-1)
        return (weights @ values.transpose(1, 2)).transpose(1, 2).reshape(query.shape)

    def _attend_exported(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        found: Tensor = torch.onnx.ops.symbolic(
            "com.microsoft::MultiHeadAttention",
            (query, keys, values),
            {"num_heads": self.n_heads, "scale": 1.0},  # the queries are scaled already
            dtype=query.dtype,
            shape=query.shape,
            version=1,
        )
        return found

    def _feed_forward(self, hidden: Tensor) -> Tensor:
        narrowed: Tensor = self.narrowing(self.activation(self.widening(hidden)))
        return narrowed


def fused_projection(attention: Any) -> Product:
    """Join the projections to queries, keys and values; the scale of the queries is folded in."""
    parts = ((attention.q_proj, attention.scaling), (attention.k_proj, 1), (attention.v_proj, 1))
    weights = torch.cat([linear.weight * scale for linear, scale in parts])
    return Product(weights.T, torch.cat([linear.bias * scale for linear, scale in parts]))


class StepGraph:
    """Both entry points of one checkpoint, in eval mode."""

    def __init__(self, model: Any) -> None:
        self.front, self.context = Front(model.base_model).eval(), Context(model).eval()

    def products(self) -> dict[str, Product]:
        """Return all products by name; "front." and "context." tell them apart."""
        return {
            f"{entry}.{name}": module
            for entry, root in (("front", self.front), ("context", self.context))
            for name, module in root.named_modules()
            if isinstance(module, Product)
        }
