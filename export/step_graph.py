"""The step graph: a checkpoint's own weights, arranged so that one graph serves every latency.

Two modules, exported into one ONNX file (see `wav2edge.runtime.acoustic` for how they are driven):

* `Front`: samples -> projected features. The group norm of the first convolution takes its
  statistics from outside, as the mean and the covariance root of the samples under the kernel (see
  `wav2edge.runtime.normalization`).
* `Context`: features -> log-probs, with the keys and values of the past as an input and those of
  the new frames as an output.

Sources: Baevski et al. 2020 (arXiv:2006.11477), section 2; the modules are those of `transformers`,
checked against it.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

Tensor = torch.Tensor


class Front(nn.Module):
    """Samples `[1, n]` -> features `[1, frames, hidden]`."""

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.convolutions = base.feature_extractor.conv_layers
        self.projection = base.feature_projection
        self.group_norm = base.config.feat_extract_norm == "group"

    def forward(
        self, samples: Tensor, conv0_mean: Tensor | None = None, conv0_root: Tensor | None = None
    ) -> Tensor:
        """Convolve and project.

        `conv0_mean` `[K]` and `conv0_root` `[K, K]` belong to the group-norm kind.
        """
        hidden = samples[:, None]
        for i, layer in enumerate(self.convolutions):
            hidden = (
                layer(hidden)
                if i or not self.group_norm
                else self._normalized(layer, hidden, conv0_mean, conv0_root)
            )
        projected = self.projection(hidden.transpose(1, 2))
        features: Tensor = projected[0] if isinstance(projected, tuple) else projected
        return features

    @staticmethod
    def _normalized(
        layer: Any, samples: Tensor, mean: Tensor | None, root: Tensor | None
    ) -> Tensor:
        """The first layer with given statistics: mean_c = w_c . mean, var_c = |root' w_c|^2."""
        if mean is None or root is None:
            raise ValueError("a group-norm front needs conv0_mean and conv0_root")
        kernels, norm = layer.conv.weight[:, 0], layer.layer_norm
        center = kernels @ mean
        if layer.conv.bias is not None:
            center = center + layer.conv.bias
        scale = norm.weight / torch.sqrt((kernels @ root).square().sum(dim=1) + norm.eps)
        hidden = (layer.conv(samples) - center[:, None]) * scale[:, None] + norm.bias[:, None]
        return torch.as_tensor(layer.activation(hidden))


class Context(nn.Module):
    """Features and the past -> log-probs and the keys and values to remember."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        encoder, config = model.base_model.encoder, model.config
        fold_weight_norm(encoder.pos_conv_embed.conv)
        self.position, self.activation = (
            encoder.pos_conv_embed.conv,
            encoder.pos_conv_embed.activation,
        )
        self.layers, self.norm, self.head = encoder.layers, encoder.layer_norm, model.lm_head
        self.projections = nn.ModuleList(fused_projection(layer.attention) for layer in self.layers)
        self.stable = bool(config.do_stable_layer_norm)
        self.n_heads = int(config.num_attention_heads)
        self.left = self.position.kernel_size[0] // 2
        self.right = self.position.kernel_size[0] - 1 - self.left

    def forward(self, frames: Tensor, kv: Tensor, hold: Tensor) -> tuple[Tensor, Tensor]:
        """Run the transformer over the frames after the first `left`.

        Args:
            frames: float32 `[1, left + n, hidden]`; the first `left` only feed the positional
                convolution.
            kv: float32 `[layers, 2, heads, l, d]`, keys and values of the past; l may be 0.
            hold: float32 `[h]`; its length says how many of the newest frames stay out of the
                returned keys and values.

        Returns:
            log_probs `[1, n, vocabulary]` and keys `[layers, 2, heads, n - h, d]`.
        """
        hidden = frames[:, self.left :] + self._position(frames)
        if not self.stable:
            hidden = self.norm(hidden)
        kept = []
        for layer, project, past in zip(self.layers, self.projections, kv, strict=True):
            hidden, new = self._layer(layer, project, hidden, past)
            kept.append(new[:, :, : new.shape[2] - hold.shape[0]])
        if self.stable:
            hidden = self.norm(hidden)
        return torch.log_softmax(self.head(hidden), dim=-1), torch.stack(kept)

    def _position(self, frames: Tensor) -> Tensor:
        padded = functional.pad(frames.transpose(1, 2), (0, self.right))
        conv = self.position
        hidden = functional.conv1d(padded, conv.weight, conv.bias, groups=conv.groups)
        return torch.as_tensor(self.activation(hidden).transpose(1, 2))

    def _layer(
        self, layer: Any, project: nn.Module, hidden: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor]:
        if self.stable:
            attended, new = self._attend(project, layer.layer_norm(hidden), past)
            hidden = hidden + layer.attention.out_proj(attended)
            return hidden + layer.feed_forward(layer.final_layer_norm(hidden)), new
        attended, new = self._attend(project, hidden, past)
        hidden = layer.layer_norm(hidden + layer.attention.out_proj(attended))
        return layer.final_layer_norm(hidden + layer.feed_forward(hidden)), new

    def _attend(self, project: nn.Module, hidden: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Attend from the new frames to the past and to themselves.

        Positions play no part, so the past is a set.
        """
        n_frames = hidden.shape[1]
        heads = project(hidden).reshape(n_frames, 3, self.n_heads, -1).permute(1, 2, 0, 3)
        query, new = heads[0], heads[1:]
        keys_values = torch.cat([past, new], dim=2)
        weights = torch.softmax(query @ keys_values[0].transpose(1, 2), dim=-1)
        attended = (weights @ keys_values[1]).transpose(0, 1)
        return attended.reshape(1, n_frames, hidden.shape[2]), new


def fused_projection(attention: Any) -> nn.Linear:
    """Join the projections to queries, keys and values; the scale of the queries is folded in."""
    parts, scales = ("q_proj", "k_proj", "v_proj"), (attention.scaling, 1.0, 1.0)
    linears = [getattr(attention, part) for part in parts]
    fused = nn.Linear(attention.embed_dim, len(parts) * attention.embed_dim)
    with torch.no_grad():
        for name in ("weight", "bias"):
            scaled = [getattr(x, name) * scale for x, scale in zip(linears, scales, strict=True)]
            getattr(fused, name).copy_(torch.cat(scaled))
    return fused


class StepGraph:
    """Both entry points of one checkpoint, in eval mode."""

    def __init__(self, model: Any) -> None:
        self.front, self.context = Front(model.base_model).eval(), Context(model).eval()


def fold_weight_norm(module: nn.Module) -> None:
    """Turn a weight-normed weight into a plain one.

    So quantizers and optimizers see a constant.
    """
    if parametrize.is_parametrized(module, "weight"):
        parametrize.remove_parametrizations(module, "weight")
