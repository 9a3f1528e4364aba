"""Checkpoints with random weights, in the layout of `transformers`.

Every kind, tiny or at the published sizes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is absent: checkpoints are made with it")

import torch

TOKENS = ("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
VOCABULARY = {token: i for i, token in enumerate(TOKENS)}
TINY: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "pad_token_id": 0,
}
# Few, so that a second of audio reaches the exact, the logarithmic and the saturated ones.
BUCKETS = {"num_buckets": 24, "max_bucket_distance": 40}
KINDS: dict[str, dict[str, Any]] = {
    "base": {"feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False},
    "large": {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True},
    "hubert": {"feat_extract_norm": "group", "conv_bias": False, "do_stable_layer_norm": False},
    "hubert-batch-norm": {
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
        "conv_pos_batch_norm": True,
        "feat_proj_layer_norm": False,
    },
    "unispeech": {"feat_extract_norm": "group", "do_stable_layer_norm": False},
    "unispeech-sat": {
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
    },
    "wavlm": {"feat_extract_norm": "group", "do_stable_layer_norm": False, **BUCKETS},
    "wavlm-large": {
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
        **BUCKETS,
    },
    "data2vec": {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
    "data2vec-even": {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 6},
    "mms": {
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
        "adapter_attn_dim": 8,
    },
    "odd": {
        "feat_extract_norm": "layer",
        "conv_bias": False,
        "do_stable_layer_norm": True,
        "conv_dim": (16, 24, 32),
        "conv_kernel": (9, 4, 3),
        "conv_stride": (6, 3, 2),
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 7,
    },
}


FAMILIES = {
    "hubert": "Hubert",
    "unispeech": "UniSpeech",
    "wavlm": "WavLM",
    "data2vec": "Data2VecAudio",
}


def write_checkpoint(
    folder: Path, kind: str, *, do_normalize: bool = False, seed: int = 0, **changes: object
) -> Path:
    """Write a checkpoint with random weights of `KINDS[kind]`; `changes` go into its config."""
    import transformers

    torch.manual_seed(seed)
    family = FAMILIES.get(kind.partition("-")[0], "Wav2Vec2")
    family += "Sat" if kind == "unispeech-sat" else ""
    config = getattr(transformers, f"{family}Config")(**{**TINY, **KINDS[kind], **changes})
    model = getattr(transformers, f"{family}ForCTC")(config).eval()
    shake(model)
    model.save_pretrained(folder)
    write_processor(folder, VOCABULARY, do_normalize=do_normalize)
    return folder


def shake(model: torch.nn.Module) -> None:
    """Make weights that matter: fresh ones are so small that every frame would say the same."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("weight") and value.ndim == 2:
                value.mul_(3.0)
            elif (value.ndim == 1 and "original" not in name) or name.endswith("gru_rel_pos_const"):
                value.add_(0.1 * torch.randn_like(value))
        for name, buffer in model.named_buffers():  # of batch norms
            if name.endswith("running_mean"):
                buffer.add_(0.2 * torch.randn_like(buffer))
            elif name.endswith("running_var"):
                buffer.mul_(1 + torch.rand_like(buffer))


def write_mms_checkpoint(
    folder: Path, languages: dict[str, dict[str, int]], *, own: str | None
) -> Path:
    """Write a checkpoint in the layout of MMS.

    Args:
        folder: Where.
        languages: Vocabularies by language, of any sizes.
        own: The language that it names itself and whose weights its main file holds.
    """
    from safetensors.torch import save_file

    size = len(languages[own or next(iter(languages))])
    write_checkpoint(folder, "mms", do_normalize=True, vocab_size=size)
    for i, (language, vocabulary) in enumerate(languages.items()):
        model = _with_head(folder, len(vocabulary))
        torch.manual_seed(100 + i)
        for name, value in model._get_adapters().items():
            with torch.no_grad():
                value.copy_(0.1 * torch.randn_like(value) + ("norm.weight" in name))
        adapters = {k: v.detach().clone() for k, v in model._get_adapters().items()}
        save_file(adapters, folder / f"adapter.{language}.safetensors", metadata={"format": "pt"})
        if language == own:
            model.save_pretrained(folder)
    write_processor(folder, languages, do_normalize=True, target_lang=own)
    return folder


def _with_head(folder: Path, n_tokens: int) -> Any:  # noqa: ANN401
    from transformers import Wav2Vec2ForCTC

    model = Wav2Vec2ForCTC.from_pretrained(folder)
    model.lm_head = torch.nn.Linear(model.config.hidden_size, n_tokens)
    model.config.vocab_size = n_tokens
    return model


def write_processor(
    folder: Path,
    vocabulary: Mapping[str, int] | Mapping[str, Mapping[str, int]],
    *,
    do_normalize: bool,
    delimiter: str | None = "|",
    **tokenizer: object,
) -> None:
    """Write the tokenizer's and the feature extractor's files."""
    files: dict[str, Mapping[str, Any]] = {
        "vocab.json": vocabulary,
        "tokenizer_config.json": {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "word_delimiter_token": delimiter,
            "do_lower_case": False,
            **tokenizer,
        },
        "preprocessor_config.json": {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "sampling_rate": 16_000,
            "padding_value": 0.0,
            "do_normalize": do_normalize,
            "return_attention_mask": True,
        },
    }
    for name, values in files.items():
        (folder / name).write_text(json.dumps(values))


def write_tone_checkpoint(folder: Path, kind: str = "large", *, do_normalize: bool = False) -> Path:
    """Train a tiny model of `KINDS[kind]` in seconds: eight tones are eight letters.

    A human can predict every transcript. `clips/` beside the weights holds recordings of 20
    letters each.
    """
    import numpy as np
    import soundfile
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    letters, rng = "ABCDEFGH", np.random.default_rng(0)

    def sing(n_letters: int) -> tuple[np.ndarray, list[int], str]:
        """Tones of 120 ms, 80 ms of noise between them; a label for each frame of 20 ms."""
        names = rng.integers(len(letters), size=n_letters)
        pieces = [np.zeros(1280)]
        for name in names:
            angle = 2 * np.pi * 300 * 1.35**name * np.arange(1920) / 16_000
            pieces += [0.3 * np.sin(angle + rng.uniform(0, 6)), np.zeros(1280)]
        samples = np.concatenate(pieces) + 0.01 * rng.standard_normal(1280 + 3200 * n_letters)
        labels = [0] * 4 + [x for name in names for x in [VOCABULARY[letters[name]]] * 6 + [0] * 4]
        return samples.astype(np.float32), labels, "".join(letters[name] for name in names)

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        **{
            **TINY,
            **KINDS[kind],
            "hidden_size": 48,
            "conv_dim": (32,) * 7,
            "layerdrop": 0.0,
            "hidden_dropout": 0.0,
            "mask_time_prob": 0.0,
            "num_conv_pos_embeddings": 8,
        }
    )
    model = Wav2Vec2ForCTC(config).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(70):
        batch = [sing(6) for _ in range(8)]
        heard = np.stack([samples for samples, _, _ in batch])
        if do_normalize:
            heard = (heard - heard.mean(1, keepdims=True)) / heard.std(1, keepdims=True)
        logits = model(torch.from_numpy(heard)).logits
        labels = torch.tensor([row[: logits.shape[1]] for _, row, _ in batch])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval().save_pretrained(folder)
    write_processor(folder, VOCABULARY, do_normalize=do_normalize)
    (folder / "clips").mkdir()
    for i in range(12):
        samples, _, text = sing(20)
        soundfile.write(folder / "clips" / f"{i:02}_{text}.wav", samples, 16_000, subtype="FLOAT")
    return folder
