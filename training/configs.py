"""The models that can be trained from nothing, by name."""

from typing import Any

import torch
from transformers import Wav2Vec2Config

from .network import gabor_filters, small_config

CONFIGS = ("tiny", "small", "base")


def named_config(name: str) -> Wav2Vec2Config:
    """Return one of `CONFIGS`; the size of the vocabulary is to be set.

    `tiny` (0.2 M parameters) is for tests, `small` (7.3 M) is the embedded model's, `base` (95 M)
    that of the paper (Baevski et al. 2020, arXiv:2006.11477).
    """
    if name == "base":
        return Wav2Vec2Config(mask_time_prob=0.065, ctc_zero_infinity=True)
    config = small_config()
    if name == "tiny":
        config.update(
            {
                "conv_dim": (64,) * 4,
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 128,
                "mask_feature_length": 8,
            }
        )
    return config


def initialise(model: Any) -> None:
    """Start the long first convolution of an untrained `model` as Gabor filters; a short one stays.

    Args:
        model: Any model of `transformers` with a part `wav2vec2`.
    """
    first = model.wav2vec2.feature_extractor.conv_layers[0].conv
    if first.kernel_size[0] >= 320:
        with torch.no_grad():
            first.weight[:, 0] = gabor_filters(
                first.out_channels // 4, first.kernel_size[0], 16_000
            )
