"""The forward pass of training that sees what a device sees: chunks, with keys of the past kept.

What each frame sees is unfolded into blocks (`blocks.py`), one a step, that lie side by side in one
sequence for the layers of `transformers`, dropout and adapters included.

What is normalised over the utterance is normalised over what was heard so far, by the statistics of
`wav2edge.runtime.normalization`, each step's convolutions with its own.

This computes what `wav2edge.runtime.acoustic` computes when it drives `wav2edge.export.step_graph`;
the tests hold the two against each other.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import Wav2Vec2ForCTC

from wav2edge.runtime.frames import Geometry
from wav2edge.runtime.normalization import Normalization

from .blocks import Blocks, Chunking, positioned

if TYPE_CHECKING:
    from transformers.models.wav2vec2.modeling_wav2vec2 import (
        Wav2Vec2FeatureEncoder,
        Wav2Vec2GroupNormConvLayer,
    )

Tensor = torch.Tensor
Array = npt.NDArray[np.float32]


def geometry_of(model: Wav2Vec2ForCTC, rate_hz: int = 16_000) -> Geometry:
    """Return the arithmetic between samples and frames of a model."""
    config = model.config
    return Geometry(tuple(config.conv_kernel), tuple(config.conv_stride), rate_hz)


def normalization_of(model: Wav2Vec2ForCTC, *, do_normalize: bool) -> Normalization:
    """Return what a checkpoint normalises over the utterance.

    Args:
        model: Its config tells of the group norm.
        do_normalize: What its feature extractor's file says.
    """
    config = model.config
    group_norm = config.feat_extract_norm == "group"
    return Normalization(do_normalize, group_norm, config.conv_kernel[0], config.conv_stride[0])


def streamed_logits(
    model: Wav2Vec2ForCTC,
    samples: Tensor,
    n_samples: Tensor,
    chunking: Chunking,
    normalization: Normalization,
    prior: dict[str, Any] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run a model as if each utterance came in chunks.

    Only final rows are returned. The provisional ones of the look-ahead are not for training: a
    device shows them as unstable text and computes them again, so what they could be taught would
    be taken from what is final.

    Args:
        model: Group norm or layer norm, stable or not, with or without adapters.
        samples: float32 `[batch, samples]`, raw: normalised here, where `normalization` says so.
        n_samples: int64 `[batch]`, the samples that are not padding; one frame's at least.
        chunking: What the stream sees.
        normalization: What the checkpoint wants.
        prior: Statistics that streams start from (`NormState.prior`); None: nothing.

    Returns:
        Logits `[batch, frames, vocabulary]` and int64 `[batch]`, the frames that are not padding.
    """
    base: Any = model.wav2vec2  # its annotations want `LongTensor`, which nothing gives
    geometry = geometry_of(model, normalization.rate_hz)
    n_frames = torch.tensor([geometry.n_frames(int(n)) for n in n_samples], device=samples.device)
    blocks = Blocks.of(chunking, n_frames)
    if normalization.active:
        front = _NormalizedFront(geometry, normalization, blocks.chunk, prior)
        extracted = front.features(base.feature_extractor, samples, n_samples)
    else:
        extracted = base.feature_extractor(samples)
    hidden, _ = base.feature_projection(extracted[..., : blocks.longest].transpose(1, 2))
    # A private name of transformers: its own forward pass has no public parts.
    masked = base._mask_hidden_states(hidden, attention_mask=blocks.valid.long())  # noqa: SLF001
    rows = _transformed(model, masked * blocks.valid[..., None], blocks)
    if model.config.do_stable_layer_norm:
        rows = base.encoder.layer_norm(rows)
    return model.lm_head(model.dropout(rows)), n_frames


def _transformed(model: Wav2Vec2ForCTC, hidden: Tensor, blocks: Blocks) -> Tensor:
    """Run the encoder over features `[batch, frames, hidden]` -> the final rows, as many."""
    encoder: Any = model.wav2vec2.encoder
    rows: Tensor = positioned(encoder.pos_conv_embed, hidden, blocks).flatten(1, 2)
    if not model.config.do_stable_layer_norm:
        rows = encoder.layer_norm(rows)
    rows, mask = encoder.dropout(rows), blocks.attention_mask
    for layer in encoder.layers:
        if not (model.training and torch.rand(()) < model.config.layerdrop):
            rows = layer(rows, attention_mask=mask)
    return blocks.final(rows)


@dataclass(frozen=True)
class _NormalizedFront:
    """The convolutions of kinds that normalise over the utterance, each step with its statistics.

    A step's new frames are computed from a slice of samples of their own, as on a device.
    """

    geometry: Geometry
    normalization: Normalization
    chunk: int
    prior: dict[str, Any] | None

    def features(
        self, extractor: "Wav2Vec2FeatureEncoder", samples: Tensor, n_samples: Tensor
    ) -> Tensor:
        """Convolve float32 `[batch, samples]` -> `[batch, channels, frames]`."""
        slices, means, roots = self._slices(samples.cpu().numpy(), n_samples.tolist())
        batch, n_steps, size = slices.shape
        first, *others = extractor.conv_layers
        heard = torch.from_numpy(slices.reshape(-1, size)).to(samples)
        if self.normalization.group_norm:
            statistics = (torch.from_numpy(np.concatenate(x)) for x in (means, roots))
            hidden = _first_normed(cast("Any", first), heard, *(x.to(samples) for x in statistics))
        else:
            hidden = first(heard[:, None])
        for layer in others:
            hidden = layer(hidden)
        channels = hidden.shape[1]
        steps = hidden.reshape(batch, n_steps, channels, self.chunk).transpose(1, 2)
        return steps.reshape(batch, channels, n_steps * self.chunk)

    def _slices(
        self, samples: Array, n_samples: list[int]
    ) -> tuple[Array, list[Array], list[Array]]:
        """Cut the samples of each step, scaled if the checkpoint wants it.

        Returns:
            float32 `[batch, steps, samples]`, and of the windows under the first kernel, for each
            utterance, the means `[steps, K]` and the covariance roots `[steps, K, K]`.
        """
        hop, size = self.geometry.hop, self.geometry.n_samples(self.chunk)
        n_steps = max(1, -(-self.geometry.n_frames(max(n_samples)) // self.chunk))
        slices = np.zeros((len(samples), n_steps, size), np.float32)
        means, roots = [], []
        for row, n, cuts in zip(samples, n_samples, slices, strict=True):
            state, heard, inputs = self.normalization.start(self.prior), 0, []
            n_whole = self.geometry.n_frames(n) // self.chunk
            for step, cut in enumerate(cuts):
                until = self.geometry.n_samples((step + 1) * self.chunk) if step < n_whole else n
                state = self.normalization.heard(state, row[heard:until])
                heard, first = until, step * self.chunk * hop
                taken = row[first : min(first + size, n)]
                cut[: len(taken)] = self.normalization.samples(state, taken)
                inputs.append(self.normalization.front_inputs(state))
            if self.normalization.group_norm:
                means.append(np.stack([given["conv0_mean"] for given in inputs]))
                roots.append(np.stack([given["conv0_root"] for given in inputs]))
        return slices, means, roots


def _first_normed(
    layer: "Wav2Vec2GroupNormConvLayer", slices: Tensor, mean: Tensor, root: Tensor
) -> Tensor:
    """Apply the first convolution of the group-norm kind with statistics of its windows.

    Args:
        layer: Convolution, group norm with one channel a group, activation.
        slices: float32 `[n, samples]`.
        mean: float32 `[n, K]`, of the samples under the kernel.
        root: float32 `[n, K, K]`; root root' is their covariance.

    Returns:
        `[n, channels, frames]`. The gradient reaches the kernels through the statistics as well.
    """
    conv, norm = layer.conv, layer.layer_norm
    with torch.autocast(slices.device.type, enabled=False):
        kernels = conv.weight[:, 0]
        spread = torch.einsum("nkj,ck->ncj", root, kernels).square().sum(dim=2)
        scale = norm.weight / torch.sqrt(spread + norm.eps)
        offset = norm.bias - (mean @ kernels.T) * scale  # a bias of the convolution cancels out
    out = functional.conv1d(slices[:, None], conv.weight, stride=conv.stride)
    return cast("Tensor", layer.activation(out * scale[..., None] + offset[..., None]))
