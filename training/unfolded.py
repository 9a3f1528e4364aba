"""The forward pass of training that sees what a device sees: chunks, with keys of the past kept.

On a device a step computes the frames of a chunk and, provisionally, those of the look-ahead behind
it; the next step computes the latter again, with more to see. So a frame exists several times, and
no attention mask over the plain sequence can say what each of its copies saw. Here the sequence is
unfolded into blocks, one a step, that lie side by side in one sequence for the layers of
`transformers`, dropout and adapters included:

    block 0   [ chunk 0 ][ copies of the look-ahead ]
    block 1              [ chunk 1 ][ copies of the look-ahead ]
    block 2                         [ chunk 2 ][ copies of the look-ahead ]

A row sees its own block, and of earlier blocks the chunks, as far as the left context reaches:
those are the keys that the runtime keeps. The positional convolution sees zeros behind a block, and
what lies before it. The last block ends with the audio, and all of it is final. A stream starts as
the runtime does it: it holds back the look-ahead, or what there is of it.

The attention's cost grows with the square of (chunk + look-ahead) / chunk; up to a dozen seconds
and a factor of three it stays below that of the linear layers.

What is normalised over the utterance is normalised over what was heard so far, by the statistics of
`wav2edge.runtime.normalization`, each step's convolutions with its own.

This computes what `wav2edge.runtime.acoustic` computes when it drives `wav2edge.export.step_graph`;
the tests hold the two against each other.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import Wav2Vec2ForCTC

from wav2edge.runtime.frames import Geometry
from wav2edge.runtime.normalization import Normalization

if TYPE_CHECKING:
    from transformers.models.wav2vec2.modeling_wav2vec2 import (
        Wav2Vec2FeatureEncoder,
        Wav2Vec2GroupNormConvLayer,
        Wav2Vec2PositionalConvEmbedding,
    )

Tensor = torch.Tensor
Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chunking:
    """What a stream was asked for, in frames."""

    chunk_frames: int
    """New frames a step."""
    look_ahead_frames: int = 0
    """Frames that are seen before they are final."""
    left_frames: int | None = None
    """Final frames that a step still sees; None: all of them."""

    @classmethod
    def whole(cls) -> "Chunking":
        """Return the chunking of one step that sees everything: offline."""
        return cls(1 << 30)


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
    blocks = _Blocks.of(chunking, n_frames)
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


def _transformed(model: Wav2Vec2ForCTC, hidden: Tensor, blocks: "_Blocks") -> Tensor:
    """Run the encoder over features `[batch, frames, hidden]` -> the final rows, as many."""
    encoder: Any = model.wav2vec2.encoder
    rows: Tensor = _positioned(encoder.pos_conv_embed, hidden, blocks).flatten(1, 2)
    if not model.config.do_stable_layer_norm:
        rows = encoder.layer_norm(rows)
    rows, mask = encoder.dropout(rows), blocks.attention_mask
    for layer in encoder.layers:
        if not (model.training and torch.rand(()) < model.config.layerdrop):
            rows = layer(rows, attention_mask=mask)
    return rows.gather(1, blocks.final_rows[..., None].expand(-1, -1, rows.shape[2]))


def _positioned(
    embed: "Wav2Vec2PositionalConvEmbedding", hidden: Tensor, blocks: "_Blocks"
) -> Tensor:
    """Unfold features into blocks `[batch, blocks, rows, hidden]`, positions added."""
    conv, (batch, _, width) = embed.conv, hidden.shape
    kernel = conv.kernel_size[0]
    left = kernel // 2
    end = blocks.start + (blocks.n_blocks - 1) * blocks.chunk + blocks.n_rows
    padded = functional.pad(hidden, (0, 0, left - blocks.start, end - hidden.shape[1]))
    windows = padded.unfold(1, left + blocks.n_rows, blocks.chunk)
    seen = functional.pad(windows.flatten(0, 1), (0, kernel - 1 - left))
    out: Tensor = embed.activation(
        functional.conv1d(seen, conv.weight, conv.bias, groups=conv.groups)
    )
    positions = out.reshape(batch, blocks.n_blocks, width, blocks.n_rows)
    return (windows[..., left:] + positions).transpose(2, 3)


@dataclass(frozen=True)
class _Blocks:
    """Which frame each row of the unfolded sequence is, and what it may see.

    Row `i` of block `j` is frame `start + j * chunk + i`; where that lies outside the audio it is
    nothing.
    """

    chunk: int
    look_ahead: int
    left: int | None
    first: int
    """The step that block 0 is; earlier ones make nothing final."""
    n_blocks: int
    n_frames: Tensor
    """int64 `[batch]`."""

    @classmethod
    def of(cls, chunking: Chunking, n_frames: Tensor) -> "_Blocks":
        longest = int(n_frames.max())
        chunk = min(chunking.chunk_frames, longest + 1)  # more than there is, is one step
        look_ahead = 0 if chunk > longest else min(chunking.look_ahead_frames, longest)
        last_step = n_frames // chunk  # after so many whole chunks comes the end of the stream
        first = min(look_ahead // chunk, int(last_step.min()))
        rest = n_frames - (last_step * chunk - look_ahead).clamp(min=0)
        n_blocks = int((last_step + (rest > 0)).max()) - first
        return cls(chunk, look_ahead, chunking.left_frames, first, n_blocks, n_frames)

    @property
    def n_rows(self) -> int:
        """Of a block."""
        return self.chunk + self.look_ahead

    @property
    def start(self) -> int:
        """The frame that row 0 of block 0 is; at most 0."""
        return self.first * self.chunk - self.look_ahead

    @property
    def longest(self) -> int:
        """Frames of the longest utterance."""
        return int(self.n_frames.max())

    @cached_property
    def valid(self) -> Tensor:
        """Bool `[batch, frames]`, true where there is audio."""
        return self._frames(self.longest) < self.n_frames[:, None]

    @cached_property
    def attention_mask(self) -> Tensor:
        """Bool `[batch, 1, rows, rows]`, true where a row (query) may see a row (key)."""
        block = self._frames(self.n_blocks).repeat_interleave(self.n_rows)
        row = self._frames(self.n_rows).repeat(self.n_blocks)
        starts = self.start + block * self.chunk
        frame = starts + row
        kept = (block[None, :] < block[:, None]) & (row < self.chunk)
        if self.left is not None:
            kept &= frame[None, :] >= starts[:, None] - self.left
        there = (frame >= 0) & (frame < self.n_frames[:, None])
        seen = (kept | (block[None, :] == block[:, None])) & there[:, None, None, :]
        # A row always sees itself, so that rows of nothing stay finite.
        return seen | torch.eye(len(frame), dtype=torch.bool, device=frame.device)

    @cached_property
    def final_rows(self) -> Tensor:
        """int64 `[batch, frames]`, the row in which each frame is final.

        That is the block whose chunk holds it, or the last block of its utterance.
        """
        frame = torch.minimum(self._frames(self.longest), (self.n_frames[:, None] - 1).clamp(min=0))
        step = (frame + self.look_ahead) // self.chunk
        block = torch.minimum(step, (self.n_frames // self.chunk)[:, None]) - self.first
        return block * self.n_rows + frame - self.start - block * self.chunk

    def _frames(self, count: int) -> Tensor:
        return torch.arange(count, device=self.n_frames.device)


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
