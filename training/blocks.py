"""What the frames of a stream see, laid side by side in one sequence for training.

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
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2PositionalConvEmbedding

Tensor = torch.Tensor


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


@dataclass(frozen=True)
class Blocks:
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
    def of(cls, chunking: Chunking, n_frames: Tensor) -> "Blocks":
        """Unfold utterances of so many frames, int64 `[batch]`."""
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

    def final(self, rows: Tensor) -> Tensor:
        """Take of rows `[batch, rows, hidden]` those that are final: `[batch, frames, hidden]`."""
        return rows.gather(1, self.final_rows[..., None].expand(-1, -1, rows.shape[2]))

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


def positioned(embed: "Wav2Vec2PositionalConvEmbedding", hidden: Tensor, blocks: Blocks) -> Tensor:
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
