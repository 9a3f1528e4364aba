"""The small Wav2Vec 2.0 of the embedded model, and its forward pass, whole or as a stream.

It is a `transformers` Wav2Vec2ForCTC like any other; what is particular is its configuration. The
first convolution is long (20 ms) and strided by 5 ms, and starts as a bank of Gabor filters on a
mel scale in four phases: after the GELU a filter's phases add up to its envelope, so training
starts from something like a spectrogram instead of from noise (the idea of LEAF, Zeghidour et al.
2021, arXiv:2101.08596). It is trained like every other weight. Compared with the usual first
convolution of 10 samples this leaves the plateau sooner and makes the front eight times cheaper.
"""

import math
from pathlib import Path
from typing import cast

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from wav2edge.lm.alphabet import Alphabet

from . import rows
from .blocks import Blocks, Chunking, positioned
from .spelling import Spelling, write_tokenizer

# The tokens of facebook/wav2vec2-base-960h, in the order of their ids.
TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
TOKEN_IDS = {(" " if name == "|" else name): i for i, name in enumerate(TOKENS) if len(name) == 1}


def small_config() -> Wav2Vec2Config:
    """Return the configuration of the small model.

    It has 7.3 M parameters, hop 480 samples (30 ms), receptive field 1,040 samples (65 ms).
    Layer norm, no convolution bias and no input normalisation: nothing depends on the utterance as
    a whole.
    """
    return Wav2Vec2Config(
        vocab_size=len(TOKENS), pad_token_id=0, bos_token_id=1, eos_token_id=2,
        conv_dim=(256,) * 4, conv_kernel=(320, 3, 4, 3), conv_stride=(80, 1, 2, 3),
        feat_extract_norm="layer", conv_bias=False, do_stable_layer_norm=True,
        hidden_size=256, num_hidden_layers=8, num_attention_heads=4, intermediate_size=1024,
        num_conv_pos_embeddings=31, num_conv_pos_embedding_groups=16,
        mask_time_prob=0.0, mask_feature_prob=0.0, layerdrop=0.0,
        hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
        feat_proj_dropout=0.0, final_dropout=0.0, ctc_loss_reduction="mean", ctc_zero_infinity=True,
    )  # fmt: skip


def small_model(seed: int) -> Wav2Vec2ForCTC:
    """Return an untrained model whose first convolution is a mel-spaced bank of Gabor filters."""
    torch.manual_seed(seed)
    model = Wav2Vec2ForCTC(small_config())
    first = model.wav2vec2.feature_extractor.conv_layers[0].conv
    assert isinstance(first, torch.nn.Conv1d)
    with torch.no_grad():
        first.weight[:, 0] = gabor_filters(first.out_channels // 4, first.kernel_size[0], 16_000)
    return model


def gabor_filters(n_bands: int, kernel: int, rate_hz: int) -> torch.Tensor:
    """Return `[4 * n_bands, kernel]`, a bank of filters.

    Bands are mel-spaced from 60 Hz to 7.6 kHz, in phases 0, 90, 180 and 270 degrees. Gain grows
    with frequency (6 dB an octave above 500 Hz): speech falls about as fast, so that all bands
    start alike. The factor 8 keeps quiet speech (RMS 0.001) above the epsilon of the layer norm
    that follows.
    """
    mel = torch.linspace(1127 * math.log(1 + 60 / 700), 1127 * math.log(1 + 7600 / 700), n_bands)
    center_hz = 700 * (torch.exp(mel / 1127) - 1)
    # Equivalent rectangular bandwidth (Glasberg and Moore 1990).
    width_hz = 24.7 + 0.108 * center_hz
    time_s = (torch.arange(kernel) - (kernel - 1) / 2) / rate_hz
    window = torch.hann_window(kernel, periodic=False)
    envelope = torch.exp(-0.5 * (time_s[None] * width_hz[:, None] * 2.0) ** 2) * window
    envelope = envelope / envelope.norm(dim=1, keepdim=True) * 8 * (1 + center_hz[:, None] / 500)
    angle = 2 * math.pi * center_hz[:, None] * time_s[None]
    filters = torch.stack(
        [envelope * torch.cos(angle + phase * math.pi / 2) for phase in range(4)], dim=1
    )
    return filters.reshape(4 * n_bands, kernel)


def ctc_log_probs(
    model: Wav2Vec2ForCTC,
    samples: torch.Tensor,
    n_samples: torch.Tensor,
    chunking: Chunking | None = None,
    *,
    int8: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the model, optionally as a stream does.

    Args:
        model: A layer-norm model (`feat_extract_norm="layer"`, `do_stable_layer_norm`) without
            biases in its convolutions.
        samples: float32 `[batch, samples]`.
        n_samples: int64 `[batch]`, the samples that are not padding.
        chunking: What the stream sees; None: everything.
        int8: Round what the transformer multiplies, as an export in eight bits does.

    Returns:
        log_probs float32 `[batch, frames, vocabulary]` and int64 `[batch]`, the frames that are not
        padding.
    """
    found, n_frames = log_probs_by_depth(model, samples, n_samples, chunking, int8=int8)
    return found[-1], n_frames


def log_probs_by_depth(
    model: Wav2Vec2ForCTC,
    samples: torch.Tensor,
    n_samples: torch.Tensor,
    chunking: Chunking | None = None,
    *,
    after: int | None = None,
    middle_head: torch.nn.Module | None = None,
    int8: bool = False,
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Do as `ctc_log_probs`, and tell what a head makes of a layer in the middle too.

    Args:
        model: As there.
        samples: As there.
        n_samples: As there.
        chunking: As there.
        after: So many layers; None: only the last is asked.
        middle_head: That is asked there; None: the model's own.
        int8: As there.

    Returns:
        The log-probs of the middle, if it was asked for, and of the end.
    """
    base = model.wav2vec2
    # Private names of transformers: its own forward pass, taken apart, has no public ones.
    n_frames = base._get_feat_extract_output_lengths(cast("torch.LongTensor", n_samples))  # noqa: SLF001
    blocks = Blocks.of(chunking or Chunking.whole(), n_frames)
    hidden = rows.features(base, samples, int8=int8)[:, : blocks.longest]
    valid = cast("torch.LongTensor", blocks.valid.long())
    masked = base._mask_hidden_states(hidden, attention_mask=valid)  # noqa: SLF001
    hidden = positioned(base.encoder.pos_conv_embed, masked * blocks.valid[..., None], blocks)
    hidden = base.encoder.dropout(hidden.flatten(1, 2))
    mask = blocks.attention_mask
    bias = torch.zeros(mask.shape, device=hidden.device).masked_fill_(~mask, -1e4)
    bias = bias.to(rows.product_type(hidden.device))
    found = []
    for place, layer in enumerate(base.encoder.layers, start=1):
        if not (model.training and torch.rand(()) < model.config.layerdrop):
            hidden = rows.layer_output(layer, hidden, bias, int8=int8)
        if place == after:
            found.append(_head(model, blocks.final(hidden), middle_head or model.lm_head))
    return [*found, _head(model, blocks.final(hidden), model.lm_head)], n_frames


def _head(model: Wav2Vec2ForCTC, hidden: torch.Tensor, head: torch.nn.Module) -> torch.Tensor:
    logits = head(model.dropout(model.wav2vec2.encoder.layer_norm(hidden)))
    return torch.log_softmax(logits.float(), dim=-1)


def save_checkpoint(model: Wav2Vec2ForCTC, folder: Path, *, do_normalize: bool = False) -> None:
    """Write a checkpoint folder in the layout of `transformers`.

    It holds weights, config, and the tokenizer's and the feature extractor's facts; `vocab.json`
    comes last, so where it is, everything is.
    """
    model.save_pretrained(folder)
    write_tokenizer(Spelling(Alphabet(TOKENS, 0, 4, (1, 2, 3))), folder, do_normalize=do_normalize)
