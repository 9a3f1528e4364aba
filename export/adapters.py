"""The weights of one language: MMS has an adapter in every layer and a head for each.

A checkpoint holds what all languages share in its weights, and beside them, for each language, a
file of the adapters in every layer and the CTC head: `adapter.eng.safetensors`. Both come from that
file, or the checkpoint's own weights are left as they are; nothing is mixed.

Source: Pratap et al. 2023 (arXiv:2305.13516), section 4.
"""

import contextlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .errors import CheckpointNotFoundError, LanguageError, WeightsError
from .foreign import first_line
from .vocabulary import Language, checkpoint_file, listed

_ENDINGS = ("safetensors", "bin")


def adapter_file(source: str, revision: str | None, language: Language) -> Path | None:
    """Find the file of a language's weights.

    Returns:
        None if there is none and the checkpoint's own weights are that language's.

    Raises:
        LanguageError: There is none, and it is needed; the message lists some that there are.
    """
    if {"/", "\\"} & set(language.name):  # a vocabulary may come from a stranger
        raise LanguageError(f"{source}: {language.name!r} is no name of a language")
    for ending in _ENDINGS:
        with contextlib.suppress(CheckpointNotFoundError):
            return checkpoint_file(source, revision, f"adapter.{language.name}.{ending}")
    if language.own:
        return None
    folder = Path(source)
    files = folder.glob("adapter.*.*") if folder.is_dir() else ()
    there = sorted({path.name.split(".", 1)[1].rsplit(".", 1)[0] for path in files})
    found = f"; there are {listed(there)}" if there else ""
    raise LanguageError(
        f"{source} has no adapter.{language.name}.safetensors{found}: download that language's "
        "file, or choose another with --language"
    )


def is_adapter(name: str) -> bool:
    """Tell whether a parameter is one of those that every language has for itself."""
    return ".adapter_layer." in name or name.startswith("lm_head.")


def load_adapter(model: Any, path: Path) -> None:
    """Put a language's adapters and head into a model; all of them, or it is an error.

    Args:
        model: Of `transformers`; its head takes the width of the file's.
        path: safetensors, or a pickle of tensors alone.

    Raises:
        WeightsError: The file cannot be read, or does not hold exactly what the model has for each
            language.
    """
    weights = _weights(path)
    own = {name: value for name, value in model.named_parameters() if is_adapter(name)}
    if set(weights) != set(own):
        name = min(set(weights) ^ set(own))
        what = "lacks" if name in own else "holds an unknown"
        raise WeightsError(
            f"{path.name} {what} {name}: it belongs to another checkpoint; expected the adapters "
            f"of {model.config.num_hidden_layers} layers and the head"
        )
    n_tokens, size = weights["lm_head.weight"].shape
    if size == model.lm_head.in_features and n_tokens != model.lm_head.out_features:
        model.lm_head = nn.Linear(size, n_tokens, bias=model.lm_head.bias is not None)
        model.config.vocab_size = n_tokens
    try:
        model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    except RuntimeError as error:
        raise WeightsError(
            f"{path.name} does not fit the checkpoint ({first_line(error)}): it belongs to another"
        ) from error


def _weights(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsError(
            f"{path.name} could not be read ({first_line(error)}): download it again"
        ) from error
