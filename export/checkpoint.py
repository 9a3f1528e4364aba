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

from .errors import CheckpointNotFoundError, UnsupportedCheckpointError, WeightsError
from .graph_file import Sizes

SUPPORTED = {"wav2vec2": "Wav2Vec2ForCTC", "hubert": "HubertForCTC"}
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
_HASHED = (".safetensors", ".bin", ".json", ".pt")


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer's facts."""

    tokens: tuple[str, ...]
    """In the order of the model's outputs."""
    blank_id: int
    delimiter_id: int | None
    special_ids: tuple[int, ...]


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
    """Where it came from: name, revision, hashes of the files. No local path."""

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
            left_frames=config.num_conv_pos_embeddings // 2,
            receptive_field=geometry.receptive_field,
            hop=geometry.hop,
            kernel=geometry.kernels[0] if config.feat_extract_norm == "group" else None,
        )

    def logits(self, samples: torch.Tensor) -> torch.Tensor:
        """Run the model as `transformers` does.

        Float32 `[n]` at `rate_hz`, raw -> logits `[frames, vocabulary]`.
        """
        if self.do_normalize:  # Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm
            samples = (samples - samples.mean()) / torch.sqrt(samples.var(unbiased=False) + 1e-7)
        with torch.no_grad():
            return torch.as_tensor(self.model(samples[None]).logits[0])


def load_checkpoint(source: str, revision: str | None = None) -> Checkpoint:
    """Load a Wav2Vec 2.0 or HuBERT CTC checkpoint.

    Args:
        source: A folder in the layout of `transformers`, or a hub id such as
            "facebook/wav2vec2-base-960h".
        revision: Branch, tag or commit on the hub.

    Raises:
        CheckpointNotFoundError: There is no such folder, or the hub does not answer for that id.
        UnsupportedCheckpointError: The architecture has no step graph; the message says which have.
        WeightsError: A parameter is missing from the file, or has another shape than the config
            says.
    """
    folder = Path(source)
    if not folder.is_dir() and (
        source.count("/") != 1 or source.startswith((".", "/", "~")) or folder.exists()
    ):
        raise CheckpointNotFoundError(
            f"{source!r} is neither a checkpoint folder nor a hub id: give a folder that holds "
            "config.json and model.safetensors, or an id such as facebook/wav2vec2-base-960h"
        )
    config = _config(source, revision)
    _refuse_unsupported(source, config)
    model = _model(source, revision, config)
    rate_hz, do_normalize = _feature_facts(source, revision)
    name = folder.resolve().name if folder.is_dir() else source.rsplit("/", 1)[-1]
    return Checkpoint(
        name,
        model,
        _vocabulary(source, revision, config),
        rate_hz,
        do_normalize,
        _provenance(source, name, revision, config),
    )


def _config(source: str, revision: str | None) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, revision=revision)
    except (OSError, ValueError, KeyError) as error:
        if Path(source).is_dir() and (Path(source) / "config.json").is_file():
            raise UnsupportedCheckpointError(
                f"{source}: config.json is not one that transformers can read "
                f"({_first_line(error)}); {_supported()}"
            ) from error
        raise CheckpointNotFoundError(
            f"{source}: no config.json could be read ({_first_line(error)}); give a folder in the "
            "layout of transformers, or check the hub id, the network and `huggingface-cli login` "
            "for private models"
        ) from error


def _refuse_unsupported(source: str, config: Any) -> None:
    """Refuse by name what the step graph cannot do."""
    kind, named = config.model_type, ", ".join(config.architectures or ["no architecture"])
    ours = kind in SUPPORTED
    mel = (
        " (mel input, not samples)" if kind in ("wav2vec2-bert", "seamless_m4t", "whisper") else ""
    )
    reasons = (
        (not ours, f"it is of the kind {kind!r}{mel}"),
        (ours and SUPPORTED[kind] not in (config.architectures or []), f"{named} has no CTC head"),
        (getattr(config, "add_adapter", False), "add_adapter: its adapter changes the frame rate"),
        (
            getattr(config, "adapter_attn_dim", None) is not None,
            "adapter_attn_dim: attention adapters per language (MMS)",
        ),
        (
            getattr(config, "conv_pos_batch_norm", False),
            "conv_pos_batch_norm: batch norm before the positional convolution",
        ),
        (
            getattr(config, "feat_extract_norm", None) not in ("group", "layer"),
            "feat_extract_norm is neither group nor layer",
        ),
    )
    for refused, reason in reasons:
        if refused:
            raise UnsupportedCheckpointError(
                f"{source} cannot be exported: {reason}; {_supported()}"
            )


def _supported() -> str:
    kinds = " and ".join(SUPPORTED.values())
    return (
        f"supported are {kinds} with raw samples as input, group norm or layer norm, "
        "and any stack of convolutions"
    )


def _model(source: str, revision: str | None, config: Any) -> Any:
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
            f"{source}: the weights could not be read ({_first_line(error)}); "
            f"expected one of {', '.join(_WEIGHT_FILES)}"
        ) from error
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
        if keys:
            unknown = f" (unknown there: {extra[0]})" if extra else ""
            raise WeightsError(
                f"{source}: {len(keys)} parameters {what} the weights, first {keys[0]}: they would "
                "have been made up at random; export the checkpoint it was fine-tuned into"
                f"{unknown}"
            )
    return model.eval()


def _feature_facts(source: str, revision: str | None) -> tuple[int, bool]:
    """Read the sample rate and `do_normalize`.

    Getting the latter wrong costs 20-50 % relative WER, so it is never a guess.
    """
    from transformers import Wav2Vec2FeatureExtractor

    try:
        values, _ = Wav2Vec2FeatureExtractor.get_feature_extractor_dict(source, revision=revision)
    except OSError as error:
        raise CheckpointNotFoundError(
            f"{source}: preprocessor_config.json is missing ({_first_line(error)}); "
            "it must say sampling_rate and do_normalize"
        ) from error
    absent = [key for key in ("sampling_rate", "do_normalize") if key not in values]
    if absent:
        raise UnsupportedCheckpointError(
            f"{source}: preprocessor_config.json does not say {' and '.join(absent)}; add what the "
            'model was trained with ("sampling_rate": 16000, "do_normalize": true or false)'
        )
    return int(values["sampling_rate"]), bool(values["do_normalize"])


def _vocabulary(source: str, revision: str | None, config: Any) -> Vocabulary:
    from transformers import Wav2Vec2CTCTokenizer

    try:
        # "main" is the tokenizer's own default; unlike the others it takes no None.
        tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(source, revision=revision or "main")
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointNotFoundError(
            f"{source}: the tokenizer could not be read ({_first_line(error)}); "
            "expected vocab.json and tokenizer_config.json"
        ) from error
    blank_id, size = config.pad_token_id, config.vocab_size
    if blank_id is None or tokenizer.pad_token_id != blank_id:
        raise UnsupportedCheckpointError(
            f"{source}: config.json has pad_token_id {blank_id} and the tokenizer "
            f"{tokenizer.pad_token_id}; CTC's blank is the padding token, so both must be the same "
            "id"
        )
    named = {id_: token for token, id_ in tokenizer.get_vocab().items() if id_ < size}
    tokens = tuple(named.get(i, f"<unused {i}>") for i in range(size))
    if any("\n" in token or "\r" in token for token in tokens):
        raise UnsupportedCheckpointError(
            f"{source}: a token holds a line break, which tokens.txt cannot hold"
        )
    if tokenizer.do_lower_case:
        tokens = tuple(token.lower() if i != blank_id else token for i, token in enumerate(tokens))
    # from_pretrained of transformers 5 keeps a declared delimiter only in the map; the property
    # says "|" all the same.
    fallback = tokenizer._word_delimiter_token  # noqa: SLF001  (the property logs where none is set)
    delimiter = tokenizer.special_tokens_map.get("word_delimiter_token", fallback)
    delimiter_id = tokenizer.get_vocab().get(delimiter) if delimiter else None
    unused = (i for i in range(size) if i not in named)
    special = {i for i in (*tokenizer.all_special_ids, *unused) if i < size}
    return Vocabulary(
        tokens, blank_id, delimiter_id, tuple(sorted(special - {blank_id, delimiter_id}))
    )


def _provenance(source: str, name: str, revision: str | None, config: Any) -> dict[str, Any]:
    """Say where the weights came from, without a local path.

    That is the hub id and commit, or the files' hashes.
    """
    folder = Path(source)
    if not folder.is_dir():
        return {"name": source, "revision": getattr(config, "_commit_hash", None) or revision}
    files = [path for path in sorted(folder.iterdir()) if path.suffix in _HASHED]
    return {"name": name, "files": {path.name: _sha256(path) for path in files}}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
