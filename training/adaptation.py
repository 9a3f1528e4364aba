"""Streaming adaptation: a model that was trained on whole utterances learns to hear chunks.

Most batches run as a stream would (`unfolded`), with chunk, look-ahead and left context drawn anew
for each, so that one model serves every latency; the others run whole, so that offline does not
suffer. The loss is CTC on transcripts, or, without any, the distance to what the model itself said
before adaptation with everything in sight: distillation of frame posteriors (Hinton et al. 2015,
arXiv:1503.02531), the student being the teacher in a hurry.

The convolutions hear the same in a stream as in a whole utterance, and stay as they are, unless the
checkpoint normalises over the utterance.
"""

import argparse
import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.nn import functional
from transformers import Wav2Vec2ForCTC

from wav2edge.runtime.normalization import Normalization

from .blocks import Chunking
from .errors import StartError, TrainingOptionsError
from .finetuning import ctc_loss, from_checkpoint
from .objective import Batch, Loss, Progress
from .spelling import Spelling, read_spelling, write_tokenizer
from .unfolded import geometry_of, normalization_of, streamed_logits

_PRIOR_S = 2.0  # what a stream's statistics weigh before its first sample, as in an export


@dataclass(frozen=True)
class Latencies:
    """What a stream may be asked for: chunk, look-ahead and left context are drawn evenly.

    Raises:
        TrainingOptionsError: If a range or the share cannot be.
    """

    chunk_ms: tuple[float, float] = (160.0, 640.0)
    look_ahead_ms: tuple[float, float] = (0.0, 640.0)
    left_ms: tuple[float, float] = (2000.0, 8000.0)
    whole: float = 0.25
    """Share of batches that see everything."""

    def __post_init__(self) -> None:
        for name, least in (("chunk_ms", 1.0), ("look_ahead_ms", 0.0), ("left_ms", 0.0)):
            low, high = getattr(self, name)
            if not least <= low <= high <= 60_000:
                raise TrainingOptionsError(
                    f"{name} from {low:g} to {high:g} is no range: expected {least:g} to 60000, "
                    "the smaller one first"
                )
        if not 0 <= self.whole <= 1:
            raise TrainingOptionsError(
                f"a share of {self.whole:g} whole batches cannot be: expected 0 to 1"
            )


@dataclass
class Adaptation:
    """The objective."""

    model: Wav2Vec2ForCTC
    spelling: Spelling
    do_normalize: bool
    """Of the checkpoint."""
    latencies: Latencies = Latencies()
    teacher: Wav2Vec2ForCTC | None = None
    """In eval mode; asked whole. None: transcripts teach."""
    normalizes_itself: ClassVar[bool] = True
    """Batches hold raw samples: what normalises them is part of the stream."""
    _normalization: Normalization = field(init=False)

    def __post_init__(self) -> None:
        self._normalization = normalization_of(self.model, do_normalize=self.do_normalize)

    def loss(self, batch: Batch, _progress: Progress, draw: torch.Generator) -> Loss:
        """Return the loss per token of CTC, or per frame of distillation."""
        chunking = self.draw_chunking(draw)
        prior = self._prior(batch) if chunking and self._normalization.active else None
        logits, n_frames = streamed_logits(
            self.model,
            batch.samples,
            batch.n_samples,
            chunking or Chunking.whole(),
            self._normalization,
            prior,
        )
        figures = {"streamed": float(chunking is not None)}
        if self.teacher is None:
            found = ctc_loss(logits, n_frames, batch, self.spelling.alphabet.blank_id)
            return Loss(found.value, found.weight, figures)
        self.teacher.to(batch.samples.device)  # type: ignore[arg-type]  # transformers' annotation
        with torch.no_grad():
            taught, _ = streamed_logits(
                self.teacher,
                batch.samples,
                batch.n_samples,
                Chunking.whole(),
                self._normalization,
            )
        return Loss(distance(logits, taught, n_frames), float(n_frames.sum()), figures)

    def _prior(self, batch: Batch) -> dict[str, Any]:
        """Measure what streams start their statistics from, as an export does: on other speech."""
        state = self._normalization.start()
        for row, n in zip(batch.samples.cpu().numpy(), batch.n_samples.tolist(), strict=True):
            state = self._normalization.heard(state, row[:n])
        return state.prior(_PRIOR_S, self._normalization)

    def draw_chunking(self, draw: torch.Generator) -> Chunking | None:
        """Draw what the next batch sees; None: everything."""
        geometry = geometry_of(self.model, self._normalization.rate_hz)

        def frames(bounds_ms: tuple[float, float], least: int) -> int:
            low, high = (max(least, geometry.frames_for(ms)) for ms in bounds_ms)
            return int(torch.randint(low, high + 1, (), generator=draw))

        if float(torch.rand((), generator=draw)) < self.latencies.whole:
            return None
        return Chunking(
            frames(self.latencies.chunk_ms, 1),
            frames(self.latencies.look_ahead_ms, 0),
            frames(self.latencies.left_ms, 0),
        )

    def before_step(self, _progress: Progress) -> None:
        """Keep the convolutions as they are, where they hear the same as before."""
        for parameter in self.model.wav2vec2.feature_extractor.parameters():
            parameter.requires_grad = self._normalization.active

    def save(self, model: Wav2Vec2ForCTC, folder: Path) -> None:
        """Write a checkpoint like any other."""
        model.save_pretrained(folder)
        write_tokenizer(self.spelling, folder, do_normalize=self.do_normalize)


def distance(student: torch.Tensor, teacher: torch.Tensor, n_frames: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of the student from the teacher, per frame.

    Args:
        student: Logits `[batch, frames, tokens]`.
        teacher: The same.
        n_frames: int64 `[batch]`, the frames that are not padding.
    """
    places = torch.arange(student.shape[1], device=student.device)
    there = places < n_frames[:, None]
    said, wanted = (torch.log_softmax(x.float(), dim=-1)[there] for x in (student, teacher))
    return functional.kl_div(said, wanted, log_target=True, reduction="batchmean")


def objective_of(arguments: argparse.Namespace, spelling: Spelling | None) -> Adaptation:
    """Return what `wav2edge train adapt` asks for.

    Args:
        arguments: `start`, `loss` ("ctc" or "distillation"), and those of
            `adaptation_options`.
        spelling: The checkpoint's own; None where no transcript is heard.

    Raises:
        StartNotFoundError: There is no such checkpoint.
        StartError: It is no `Wav2Vec2ForCTC`, or weights are missing.
        TrainingOptionsError: A range cannot be.
    """
    latencies = Latencies(
        tuple(arguments.chunk_ms),
        tuple(arguments.look_ahead_ms),
        tuple(arguments.left_ms),
        arguments.whole,
    )
    source = arguments.start
    own = spelling or read_spelling(source)
    loaded = from_checkpoint(source, own, needs_head=True)
    model = loaded.model
    if not isinstance(model, Wav2Vec2ForCTC):
        raise StartError(
            f"{source} is a {type(model).__name__}: streaming adaptation knows Wav2Vec2ForCTC only "
            "(with group norm or layer norm, XLS-R and MMS included)"
        )
    return Adaptation(
        model,
        own,
        loaded.do_normalize,
        latencies,
        teacher_of(model) if arguments.loss == "distillation" else None,
    )


def teacher_of(model: Wav2Vec2ForCTC) -> Wav2Vec2ForCTC:
    """Return a copy of a model that does not learn."""
    teacher: Wav2Vec2ForCTC = copy.deepcopy(model).eval()
    teacher.requires_grad_(requires_grad=False)
    return teacher
