"""Self-supervised pre-training, as wav2vec 2.0 does it (Baevski et al. 2020, arXiv:2006.11477).

Spans of frames are hidden from the transformer, which has to tell what was there from what was at
other hidden places of the same utterance. What was there is said in codewords of two codebooks,
chosen by a Gumbel softmax that hardens as the run goes on (section 2; the loss is section 3.2). No
transcript is needed. The model is that of `transformers`; the loss, equal to its own, is computed
here over hidden frames alone, which tells the accuracy as well and takes a fraction of the memory.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import (
    Wav2Vec2GumbelVectorQuantizer,
    _compute_mask_indices,
    _sample_negative_indices,
)

from .configs import initialise, named_config
from .errors import StartError, StartNotFoundError
from .finetuning import frames_of
from .objective import Batch, Loss, Progress

Tensor = torch.Tensor
_LEAST_HIDDEN = 2  # frames of an utterance: one to tell from another


@dataclass(frozen=True)
class Hiding:
    """How much the transformer does not see."""

    share: float = 0.65
    """Frames in hidden spans over all frames, counted twice where spans overlap: about half of all
    frames are hidden (0.065 of them begin a span of 10 in the paper)."""
    span_s: float = 0.2


@dataclass
class Pretraining:
    """The objective: contrastive loss, and one that wants all codewords used."""

    model: Wav2Vec2ForPreTraining
    do_normalize: bool
    """Recordings are brought to mean 0 and variance 1."""
    hiding: Hiding = Hiding()
    temperatures: tuple[float, float] = (2.0, 0.5)
    """Of the Gumbel softmax, at the start and at the end."""
    rate_hz: int = 16_000
    _channels: float = field(init=False)
    """What fine-tuning masks of the channels; here none are."""

    def __post_init__(self) -> None:
        self._channels = self.model.config.mask_feature_prob
        self.model.config.mask_feature_prob = 0.0

    def loss(self, batch: Batch, _progress: Progress, _draw: torch.Generator) -> Loss:
        """Return the loss per hidden frame, with contrastive accuracy and codebook perplexity."""
        hidden = self.hidden_frames(batch.n_samples)
        return masked_loss(self.model, batch, hidden, self.negatives(hidden))

    def hidden_frames(self, n_samples: Tensor) -> Tensor:
        """Draw what is hidden, bool `[batch, frames]` on the CPU; never any padding.

        An utterance too short for two hidden frames has none.
        """
        n_frames = frames_of(self.model)(n_samples.cpu()).clamp(min=0)
        longest = int(n_frames.max())
        valid = torch.arange(longest) < n_frames[:, None]
        hop_s = float(np.prod(self.model.config.conv_stride)) / self.rate_hz
        span = min(max(1, round(self.hiding.span_s / hop_s)), longest)
        drawn = _compute_mask_indices(
            (len(n_frames), longest),
            self.hiding.share,
            span,
            attention_mask=cast("torch.LongTensor", valid.long()),
            min_masks=1,
        )
        # transformers hides the last frame, padding or not, where no span fits.
        hidden: Tensor = torch.from_numpy(drawn) & valid
        enough: Tensor = hidden.sum(dim=1, keepdim=True) >= _LEAST_HIDDEN
        return hidden & enough

    def negatives(self, hidden: Tensor) -> Tensor:
        """Draw for each hidden frame others of its utterance.

        Returns:
            int64 `[hidden frames, negatives]`, places in the flattened batch of frames.
        """
        kept = hidden.any(dim=1).nonzero()[:, 0]
        if not len(kept):
            return torch.zeros(0, self.model.config.num_negatives, dtype=torch.int64)
        mask, n_frames = hidden[kept].numpy(), hidden.shape[1]
        drawn = _sample_negative_indices(mask.shape, self.model.config.num_negatives, mask)
        places = torch.from_numpy(drawn.astype(np.int64))
        # Rows are counted among those that are kept.
        rows = kept - torch.arange(len(kept))
        return (places + (rows * n_frames)[:, None, None])[hidden[kept]]

    def before_step(self, progress: Progress) -> None:
        """Harden the choice of codewords, by the same factor every step."""
        first, last = self.temperatures
        # transformers annotates an int
        self.model.quantizer.temperature = cast("int", first * (last / first) ** progress.share)

    def save(self, model: Wav2Vec2ForPreTraining, folder: Path) -> None:
        """Write weights, configuration and feature extractor: fine-tuning starts from the folder.

        It reads the encoder; quantizer and projections are for pre-training to go on.
        """
        model.config.mask_feature_prob = self._channels
        model.save_pretrained(folder)
        model.config.mask_feature_prob = 0.0
        Wav2Vec2FeatureExtractor(
            sampling_rate=self.rate_hz, do_normalize=self.do_normalize, return_attention_mask=True
        ).save_pretrained(folder)


def masked_loss(
    model: Wav2Vec2ForPreTraining, batch: Batch, hidden: Tensor, negatives: Tensor
) -> Loss:
    """Return the loss of a batch whose hidden frames and negatives were drawn.

    Args:
        model: In train mode, for a soft perplexity.
        batch: Samples; tokens play no part.
        hidden: bool `[batch, frames]`.
        negatives: int64 `[hidden frames, negatives]`, places in the flattened frames.
    """
    device, config = batch.samples.device, model.config
    hidden, negatives = hidden.to(device), negatives.to(device)
    places = torch.arange(batch.samples.shape[1], device=device)
    found = model.wav2vec2(
        batch.samples,
        attention_mask=cast("torch.LongTensor", (places < batch.n_samples[:, None]).long()),
        mask_time_indices=cast("torch.BoolTensor", hidden),
    )
    said = model.project_hid(found.last_hidden_state[hidden])
    if not len(negatives):
        return Loss(said.sum(), 0.0, _figures(0.0, 0.0))
    there = model.dropout_features(found.extract_features[hidden])
    words, perplexity = quantized(model.quantizer, there)
    words = model.project_q(words)
    among_hidden = hidden.flatten().cumsum(dim=0) - 1
    logits = contrastive_logits(
        said, words, words[among_hidden[negatives]], config.contrastive_logits_temperature
    )
    wanted = torch.zeros(len(logits), dtype=torch.int64, device=device)
    n_words = config.num_codevectors_per_group * config.num_codevector_groups
    unused = (n_words - perplexity) / n_words
    value = functional.cross_entropy(logits, wanted) + config.diversity_loss_weight * unused
    return Loss(value, len(logits), _figures(accuracy(logits), perplexity.item()))


def quantized(quantizer: Wav2Vec2GumbelVectorQuantizer, features: Tensor) -> tuple[Tensor, Tensor]:
    """Say frames in codewords, as the quantizer of `transformers` does.

    Its own forward pass multiplies every codeword out for every frame, 300 kB a frame.

    Args:
        quantizer: In train mode it chooses with noise.
        features: `[n, channels]`, one frame at least.

    Returns:
        `[n, codevector_dim]`, and the perplexity of the choice, summed over codebooks.
    """
    n_groups, n_words = quantizer.num_groups, quantizer.num_vars
    likely = quantizer.weight_proj(features).float().reshape(-1, n_groups, n_words)
    if quantizer.training:
        chosen = functional.gumbel_softmax(likely, tau=quantizer.temperature, hard=True)
        counted = torch.softmax(likely, dim=-1)
    else:
        chosen = functional.one_hot(likely.argmax(dim=-1), n_words).to(likely.dtype)
        counted = chosen
    used = counted.mean(dim=0)
    perplexity = torch.exp(-torch.xlogy(used, used).sum(dim=-1)).sum()
    words = quantizer.codevectors.reshape(n_groups, n_words, -1)
    return torch.einsum("ngw,gwd->ngd", chosen, words).flatten(1), perplexity


def contrastive_logits(said: Tensor, true: Tensor, false: Tensor, temperature: float) -> Tensor:
    """Return the similarity of what was said to the truth and to what it was not.

    Args:
        said: `[n, width]`.
        true: `[n, width]`.
        false: `[n, negatives, width]`; those that are the truth count as unlike as can be.
        temperature: Divides the cosines.

    Returns:
        float32 `[n, 1 + negatives]`, the truth first.
    """
    choices = torch.cat([true[:, None], false], dim=1).float()
    logits = functional.cosine_similarity(said.float()[:, None], choices, dim=-1) / temperature
    same = (false == true[:, None]).all(dim=-1)
    return logits.masked_fill(functional.pad(same, (1, 0)), -torch.inf)


def accuracy(logits: Tensor) -> float:
    """Return the share of frames whose truth is likelier than all else.

    Where nothing else is to choose from, the codebooks collapsed, and that is no success.
    """
    best = logits.argmax(dim=1) == 0
    choice = logits[:, 1:].isfinite().any(dim=1)
    return float((best & choice).float().mean())


def _figures(right: float, perplexity: float) -> dict[str, float]:
    return {"contrastive_accuracy": right, "codebook_perplexity": perplexity}


def objective_of(arguments: argparse.Namespace) -> Pretraining:
    """Return what `wav2edge train pretrain` asks for.

    Args:
        arguments: `config` (one of `configs.CONFIGS`) and `seed`; or `start`, a folder or hub id
            that was pre-trained before, to go on on other audio.

    Raises:
        StartNotFoundError: There is no such checkpoint.
        StartError: It has no quantizer, or lacks weights.
    """
    if arguments.start is not None:
        return _from_checkpoint(arguments.start)
    torch.manual_seed(arguments.seed)
    config = named_config(arguments.config)
    model = Wav2Vec2ForPreTraining(config)
    initialise(model)
    return Pretraining(model, do_normalize=config.feat_extract_norm == "group")


def _from_checkpoint(source: str) -> Pretraining:
    try:
        found: Any = Wav2Vec2ForPreTraining.from_pretrained(source, output_loading_info=True)
        features = Wav2Vec2FeatureExtractor.from_pretrained(source)
    except (OSError, ValueError, RuntimeError) as error:
        raise StartNotFoundError(
            f"{source} cannot be started from: {str(error).splitlines()[0]}"
        ) from error
    model, loaded = found
    missing = sorted(name for name in loaded["missing_keys"] if "masked_spec" not in name)
    if missing:
        raise StartError(
            f"{source} lacks {len(missing)} weights, for instance {missing[0]}: expected a "
            "checkpoint of pre-training, with its quantizer"
        )
    return Pretraining(model, do_normalize=features.do_normalize)
