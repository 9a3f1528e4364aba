"""CTC fine-tuning, as wav2vec 2.0 does it (Baevski et al. 2020, arXiv:2006.11477, section 4.3).

From a checkpoint, the convolutions stay as they are, and for the first steps everything but the
head does. From nothing, everything learns from the start. Spans of frames and of channels are
masked, and whole layers dropped, as the model's configuration says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCTC, Wav2Vec2ForCTC

from .configs import initialise, named_config
from .errors import StartError, StartNotFoundError
from .objective import Batch, Loss, Progress
from .spelling import Spelling, write_tokenizer

_MASK = "masked_spec_embed"  # what stands for masked frames is made where there is none


@dataclass(frozen=True)
class Masking:
    """What is hidden from the model while it learns; None: as its configuration says."""

    time: float | None = None
    """Share of the frames, in spans."""
    channels: float | None = None
    """Share of the channels, in spans."""
    layer_drop: float | None = None
    """Chance of each layer to be left out."""

    @property
    def given(self) -> dict[str, float]:
        """The fields of a configuration of `transformers`."""
        named = {
            "mask_time_prob": self.time,
            "mask_feature_prob": self.channels,
            "layerdrop": self.layer_drop,
        }
        return {name: value for name, value in named.items() if value is not None}


NO_CHANGE = Masking()


@dataclass
class Finetuning:
    """The objective: connectionist temporal classification (Graves et al. 2006) of transcripts."""

    model: Any
    """A `...ForCTC` of `transformers`."""
    spelling: Spelling
    do_normalize: bool
    """Recordings are brought to mean 0 and variance 1."""
    freeze_convolutions: bool
    head_only: float
    """Share of the run in which only the head learns."""

    def loss(self, batch: Batch, _progress: Progress, _draw: torch.Generator) -> Loss:
        """Return the loss per token."""
        logits, n_frames = ctc_logits(self.model, batch.samples, batch.n_samples)
        return ctc_loss(logits, n_frames, batch, self.spelling.alphabet.blank_id)

    def before_step(self, progress: Progress) -> None:
        """Let the head alone learn, then the rest."""
        learns = progress.share >= self.head_only
        for name, parameter in self.model.named_parameters():
            convolution = ".feature_extractor." in f".{name}"
            head = name.startswith("lm_head")
            parameter.requires_grad = head or (
                learns and not (convolution and self.freeze_convolutions)
            )

    def save(self, model: Any, folder: Path) -> None:  # noqa: ANN401  (kinds differ)
        """Write weights, configuration, tokenizer and feature extractor."""
        model.save_pretrained(folder)
        write_tokenizer(self.spelling, folder, do_normalize=self.do_normalize)


def ctc_logits(
    model: Any,  # noqa: ANN401  (kinds differ)
    samples: torch.Tensor,
    n_samples: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run a model on padded utterances.

    Args:
        model: A `...ForCTC` of `transformers`.
        samples: float32 `[batch, samples]`.
        n_samples: int64 `[batch]`, the samples that are not padding.

    Returns:
        Logits `[batch, frames, tokens]`, and int64 `[batch]`, the frames that are not padding.
    """
    places = torch.arange(samples.shape[1], device=samples.device)
    attention_mask = (places < n_samples[:, None]).long()
    logits = model(samples, attention_mask=attention_mask).logits
    return logits, frames_of(model)(n_samples)


def frames_of(model: Any) -> Callable[[Any], Any]:  # noqa: ANN401  (kinds differ)
    """Return the function from a number of samples (or a tensor of them) to one of frames."""
    kernels, strides = model.config.conv_kernel, model.config.conv_stride

    def count(n_samples: Any) -> Any:  # noqa: ANN401
        for kernel, stride in zip(kernels, strides, strict=True):
            n_samples = (n_samples - kernel) // stride + 1
        return n_samples

    return count


def ctc_loss(logits: torch.Tensor, n_frames: torch.Tensor, batch: Batch, blank_id: int) -> Loss:
    """Return the CTC loss per token; a transcript that has no room counts nothing."""
    losses = functional.ctc_loss(
        torch.log_softmax(logits.float(), dim=-1).transpose(0, 1),
        batch.tokens,
        n_frames,
        batch.n_tokens,
        blank=blank_id,
        reduction="none",
        zero_infinity=True,
    )
    weight = max(1, int(batch.n_tokens.sum()))
    return Loss(losses.sum() / weight, weight)


def from_nothing(config: str, spelling: Spelling, seed: int, masking: Masking) -> Finetuning:
    """Return the objective of an untrained model of a named configuration."""
    torch.manual_seed(seed)
    made = named_config(config)
    made.update({**_head(spelling), **masking.given})
    model = Wav2Vec2ForCTC(made)
    initialise(model)
    return Finetuning(
        model,
        spelling,
        do_normalize=made.feat_extract_norm == "group",
        freeze_convolutions=False,
        head_only=0.0,
    )


def from_checkpoint(
    source: str,
    spelling: Spelling,
    *,
    new_head: bool = False,
    needs_head: bool = False,
    head_only: float = 0.0,
    seed: int = 0,
    masking: Masking = NO_CHANGE,
) -> Finetuning:
    """Return the objective of a checkpoint, pre-trained or fine-tuned before.

    Args:
        source: A folder or a hub id.
        spelling: Of the transcripts.
        new_head: Its head is another vocabulary's.
        needs_head: It is no use without a head of its own.
        head_only: Share of the run in which only the head learns.
        seed: Of a new head.
        masking: While it learns.

    Raises:
        StartNotFoundError: There is no such checkpoint.
        StartError: It is of a kind that has no CTC head, or weights are missing.
    """
    torch.manual_seed(seed)
    given = {**_head(spelling), **masking.given, "ctc_zero_infinity": True}
    try:
        config: Any = AutoConfig.from_pretrained(source, **given)
        model, loaded = AutoModelForCTC.from_pretrained(
            source,
            config=config,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (OSError, RuntimeError) as error:
        raise StartNotFoundError(f"{source} cannot be started from: {_first(error)}") from error
    except ValueError as error:
        raise StartError(f"{source} cannot be started from: {_first(error)}") from error
    missing = sorted(
        name
        for name in loaded["missing_keys"]
        if not (name.endswith(_MASK) or (name.startswith("lm_head") and not needs_head))
    )
    if missing:
        raise StartError(
            f"{source} lacks {len(missing)} weights, for instance {missing[0]}: it is not the "
            "checkpoint that its config.json says"
        )
    if new_head:
        model.lm_head.reset_parameters()
    return Finetuning(
        model,
        spelling,
        do_normalize=_do_normalize(source),
        freeze_convolutions=True,
        head_only=head_only,
    )


def _head(spelling: Spelling) -> dict[str, int]:
    alphabet = spelling.alphabet
    return {"vocab_size": alphabet.size, "pad_token_id": alphabet.blank_id}


def _do_normalize(source: str) -> bool:
    from transformers import Wav2Vec2FeatureExtractor

    try:
        return bool(Wav2Vec2FeatureExtractor.from_pretrained(source).do_normalize)
    except (OSError, ValueError, TypeError) as error:
        raise StartNotFoundError(
            f"{source}: preprocessor_config.json could not be read ({_first(error)})"
        ) from error


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
