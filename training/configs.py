"""The models that can be trained from nothing, by name."""

import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2ForPreTraining

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
    # The embedded model's recipe hides nothing; what hears its few recordings many times does.
    config.update(
        {
            "mask_time_prob": 0.1,
            "mask_time_length": 4,
            "mask_feature_prob": 0.06,
            "mask_feature_length": 24,
            "layerdrop": 0.02,
        }
    )
    if name == "tiny":
        config.update(
            {
                "conv_dim": (64,) * 4,
                "hidden_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 128,
                "mask_feature_length": 8,
                "num_codevectors_per_group": 32,
                "codevector_dim": 32,
                "proj_codevector_dim": 64,
            }
        )
    return config


def initialise(model: Wav2Vec2ForCTC | Wav2Vec2ForPreTraining) -> None:
    """Start an untrained model's first convolution as Gabor filters, if it is a long one."""
    first = model.wav2vec2.feature_extractor.conv_layers[0].conv
    assert isinstance(first, torch.nn.Conv1d)
    n_filters, (kernel,) = first.out_channels, first.kernel_size
    if kernel >= 320:
        with torch.no_grad():
            first.weight[:, 0] = gabor_filters(n_filters // 4, kernel, 16_000)
