"""A checkpoint folder or hub id -> the torch model and every fact the runtime needs.

This is the only door to `transformers`.

Nothing is guessed and nothing is silently re-initialised: every parameter that the graph uses must
come from the file, and the tokenizer's and feature extractor's facts are read from their own files.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wav2edge.runtime.frames import Geometry

from .adapters import adapter_file, is_adapter, load_adapter
from .errors import CheckpointNotFoundError, UnsupportedCheckpointError, WeightsError
from .foreign import first_line
from .graph_file import Sizes
from .kinds import (
    SUPPORTED,
    first_norm,
    knows_the_start,
    position_reach,
    refuse_unsupported,
    supported,
)
from .vocabulary import Vocabulary, choose_language, read_vocabulary

# Known to differ between published checkpoints without mattering to CTC: masking while training,
# the pre-training heads.
_MAY_MISS = ("masked_spec_embed",)
_MAY_EXCEED = (
    "quantizer.",
    "project_q.",
    "project_hid.",
    "masked_spec_embed",
    "label_embs_concat",
    "final_proj.",
)
_WEIGHT_FILES = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
_SINGLE_FILES = (".pt", ".pth", ".ckpt")
_HASHED = (".safetensors", ".bin", ".json", ".pt")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint."""

    name: str
    model: Any
    """The `transformers` model, float32, in eval mode."""
    vocabulary: Vocabulary
    rate_hz: int
    do_normalize: bool
    source: dict[str, Any]
    """Where it came from: name, revision, language, hashes of the files. No local path."""

    @property
    def config(self) -> Any:
        """The `transformers` config."""
        return self.model.config

    @property
    def sizes(self) -> Sizes:
        """The step graph's sizes."""
        config = self.config
        geometry = Geometry(tuple(config.conv_kernel), tuple(config.conv_stride), self.rate_hz)
        return Sizes(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            head_size=config.hidden_size // config.num_attention_heads,
            vocabulary=config.vocab_size,
            left_frames=position_reach(config)[0],
            knows_the_start=knows_the_start(config),
            receptive_field=geometry.receptive_field,
            hop=geometry.hop,
            kernel=geometry.kernels[0] if first_norm(config) == "group" else None,
        )

    def logits(self, samples: torch.Tensor) -> torch.Tensor:
        """Run the model as `transformers` does.

        Float32 `[n]` at `rate_hz`, raw -> logits `[frames, vocabulary]`.
        """
        if self.do_normalize:  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm
            samples = (samples - samples.mean()) / torch.sqrt(samples.var(unbiased=False) + 1e-7)
        with torch.no_grad():
            return torch.as_tensor(self.model(samples[None]).logits[0])


def load_checkpoint(
    source: str, revision: str | None = None, language: str | None = None
) -> Checkpoint:
    """Load a CTC checkpoint of any kind in `kinds.SUPPORTED`.

    Args:
        source: A folder in the layout of `transformers`, or a hub id such as
            "facebook/wav2vec2-base-960h".
        revision: Branch, tag or commit on the hub.
        language: Which of a multilingual checkpoint's vocabularies, adapters and heads; None: the
            one that it names itself.

    Raises:
        CheckpointNotFoundError: There is no such folder, or the hub does not answer for that id.
        UnsupportedCheckpointError: The architecture has no step graph; the message says which have.
        LanguageError: There is no such language, or none where one must be chosen.
        WeightsError: A parameter is missing from the file, or has another shape than the config
            says.
    """
    folder = Path(source)
    if not folder.is_dir() and (
        source.count("/") != 1 or source.startswith((".", "/", "~")) or folder.exists()
    ):
        if folder.suffix in _SINGLE_FILES:
            raise UnsupportedCheckpointError(
                f"{source!r} is a file of weights as fairseq and torchaudio have them, which tells "
                "too little to build the model from: give a folder in the layout of transformers "
                "(most of these models are on the hub in it)"
            )
        raise CheckpointNotFoundError(
            f"{source!r} is neither a checkpoint folder nor a hub id: give a folder that holds "
            "config.json and model.safetensors, or an id such as facebook/wav2vec2-base-960h"
        )
    config = _config(source, revision)
    refuse_unsupported(source, config)
    has_adapters = getattr(config, "adapter_attn_dim", None) is not None
    chosen = choose_language(source, revision, language, has_adapters=has_adapters)
    adapter = adapter_file(source, revision, chosen) if chosen and has_adapters else None
    model = _model(source, revision, config, adapter)
    spoken = None if chosen is None else chosen.name
    rate_hz, do_normalize = _feature_facts(source, revision)
    name = folder.resolve().name if folder.is_dir() else source.rsplit("/", 1)[-1]
    return Checkpoint(
        name,
        model,
        read_vocabulary(
            source,
            revision,
            spoken,
            blank_id=config.pad_token_id,
            size=model.lm_head.out_features,
        ),
        rate_hz,
        do_normalize,
        _provenance(source, name, revision, config, spoken, adapter),
    )


def _config(source: str, revision: str | None) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        if Path(source).is_dir() and (Path(source) / "config.json").is_file():
            raise UnsupportedCheckpointError(
                f"{source}: config.json is not one that transformers can read "
                f"({first_line(error)}); {supported()}"
            ) from error
        raise CheckpointNotFoundError(
            f"{source}: no config.json could be read ({first_line(error)}); give a folder in the "
            "layout of transformers, or check the hub id, the network and `huggingface-cli login` "
            "for private models"
        ) from error


def _model(source: str, revision: str | None, config: Any, adapter: Path | None) -> Any:
    """Load the weights, and those of a language from a file of their own if there is one."""
    import transformers

    config.layerdrop = 0.0
    try:
        # Missing and mismatched parameters are looked at below; here they must not end the load
        # before they can be named.
        model, report = getattr(transformers, SUPPORTED[config.model_type]).from_pretrained(
            source,
            revision=revision,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            attn_implementation="eager",
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise WeightsError(
            f"{source}: the weights could not be read ({first_line(error)}); "
            f"expected one of {', '.join(_WEIGHT_FILES)}"
        ) from error
    _refuse_made_up(source, report, replaced=adapter is not None)
    if adapter is not None:
        load_adapter(model, adapter)
    return model.eval()


def _refuse_made_up(source: str, report: dict[str, Any], *, replaced: bool) -> None:
    """Refuse weights that lack a parameter; `replaced`: those of a language come from elsewhere."""
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(_MAY_MISS))
    wrong = sorted(
        str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"]
    )
    extra = sorted(
        key for key in report["unexpected_keys"] if not any(part in key for part in _MAY_EXCEED)
    )
    for keys, what in (
        (missing, "are missing from"),
        (wrong, "have another shape than config.json says in"),
    ):
        needed = [key for key in keys if not (replaced and is_adapter(key))]
        if needed:
            unknown = f" (unknown there: {extra[0]})" if extra else ""
            raise WeightsError(
                f"{source}: {len(needed)} parameters {what} the weights, first {needed[0]}: they "
                "would have been made up at random; export the checkpoint it was fine-tuned into"
                f"{unknown}"
            )


def _feature_facts(source: str, revision: str | None) -> tuple[int, bool]:
    """Read the sample rate and `do_normalize`.

    Getting the latter wrong costs 20-50 % relative WER, so it is never a guess.
    """
    from transformers import Wav2Vec2FeatureExtractor

    try:
        values, _ = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source, revision=revision)
    except OSError as error:
        raise CheckpointNotFoundError(
            f"{source}: preprocessor_config.json is missing ({first_line(error)}); "
            "it must say sampling_rate and do_normalize"
        ) from error
    absent = [key for key in ("sampling_rate", "do_normalize") if key not in values]
    if absent:
        raise UnsupportedCheckpointError(
            f"{source}: preprocessor_config.json does not say {' and '.join(absent)}; add what the "
            'model was trained with ("sampling_rate": 16000, "do_normalize": true or false)'
        )
    return int(values["sampling_rate"]), bool(values["do_normalize"])


def _provenance(
    source: str,
    name: str,
    revision: str | None,
    config: Any,
    language: str | None,
    adapter: Path | None,
) -> dict[str, Any]:
    """Say where the weights came from, without a local path.

    That is the hub id and commit, or the files' hashes.
    """
    spoken = {} if language is None else {"language": language}
    folder = Path(source)
    if not folder.is_dir():
        commit = getattr(config, "_commit_hash", None) or revision
        return {"name": source, "revision": commit, **spoken}
    files = [path for path in sorted(folder.iterdir()) if path.suffix in _HASHED]
    used = [
        path
        for path in files
        if not path.name.startswith("adapter.") or (adapter and path.name == adapter.name)
    ]
    return {"name": name, **spoken, "files": {path.name: _sha256(path) for path in used}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
