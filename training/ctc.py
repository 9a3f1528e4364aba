"""The recipe of the embedded model: the small network, synthetic voices and recordings, chunks.

Half of the batches, a quarter towards the end, see everything, the others come in chunks with a
limited past. Towards the end these are the streams of a device, look-ahead and all, which learn
from what the model itself says with everything in sight, beside the transcripts: live and offline
it is to say the same (Yu et al. 2021, "Dual-mode ASR", arXiv:2010.06030).

`corpus` says what is heard, `batches` in which mixture, `trainer` how it is learned; the newest
state lies in `state.pt`, and the averaged model in the layout of `transformers` in `checkpoint/`.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import Wav2Vec2ForCTC

from .adaptation import distance
from .batches import Batches
from .blocks import Chunking
from .corpus import Corpus, prepare
from .errors import TrainingOptionsError
from .finetuning import ctc_loss
from .interruption import leave_signals
from .network import TOKEN_IDS, ctc_log_probs, log_probs_by_depth, save_checkpoint, small_model
from .objective import Batch, Loss, Progress
from .output import Output
from .phones import Phones
from .ranks import joined
from .schedule import Budget, Schedule
from .trainer import Options, Trainer

_CHARACTERS = {token: character for character, token in TOKEN_IDS.items()}
# Chunk, look-ahead and left context at 30 ms a frame. At first chunks of 330 ms to 1.3 s alone,
# which are quick; at last the presets, balanced most often, and what lies around them.
CHUNKS = tuple(Chunking(n, 0, left) for n in (11, 16, 22, 33, 44) for left in (None, 66, 132))
_BALANCED = Chunking(11, 11, 134)
STREAMS = (
    *(_BALANCED,) * 4,
    Chunking(6, 6, 100),
    Chunking(11, 16, 134),
    Chunking(22, 11, 134),
    Chunking(22, 22, 267),
    Chunking(22, 0, None),
)
_EARLY_BATCHES = 1500
# Lower layers are asked too, and learn sooner (Lee and Watanabe 2021, arXiv:2102.03216).
_MIDDLE_LAYER, _MIDDLE_SHARE = 5, 0.35
_PHONE_HEAD = "phone_head"
_APART_SHARE = 0.7  # of a stream's loss
# Of the run: up over the first, down to a hundredth after the second, in eight bits from the third.
_WARMUP, _HOLDS_UNTIL, _EIGHT_BITS_FROM = 0.02, 0.6, 0.8
# Of the batches: see everything, before eight bits and in them; what is learned last streams.
_WHOLE, _WHOLE_AT_LAST = 0.5, 0.25


class Chunked:
    """The objective: CTC of letters, most often in chunks, and of phones in the middle.

    Args:
        model: Gets a head for phones, which stays out of the checkpoint.
    """

    def __init__(self, model: Wav2Vec2ForCTC) -> None:
        self.model = model
        self._phones = Phones()
        head = torch.nn.Linear(model.config.hidden_size, len(self._phones.names))
        model.add_module(_PHONE_HEAD, head)

    def loss(self, batch: Batch, progress: Progress, draw: torch.Generator) -> Loss:
        """Return the loss per token."""
        chunking, int8 = _draw_chunking(draw, progress.share), progress.share >= _EIGHT_BITS_FROM
        found, n_frames = log_probs_by_depth(
            self.model,
            batch.samples,
            batch.n_samples,
            chunking,
            after=_MIDDLE_LAYER,
            middle_head=self.model.get_submodule(_PHONE_HEAD),
            int8=int8,
        )
        end = ctc_loss(found[1], n_frames, batch, blank_id=0)
        middle = self._phone_loss(found[0], n_frames, batch)
        loss = (1 - _MIDDLE_SHARE) * end.value + _MIDDLE_SHARE * middle.value
        apart = torch.zeros(())
        if chunking is not None and int8:
            apart = self._distance_from_whole(batch, found[1], n_frames) / end.weight
            loss = (1 - _APART_SHARE) * loss + _APART_SHARE * apart
        figures = {"letters": end.value, "phones": middle.value, "apart": apart}
        losses = {f"loss_{name}": one.item() for name, one in figures.items()}
        return Loss(loss, end.weight, losses)

    def _distance_from_whole(
        self, batch: Batch, log_probs: torch.Tensor, n_frames: torch.Tensor
    ) -> torch.Tensor:
        """Sum over all frames how far a stream is from what everything in sight gives."""
        with torch.no_grad():
            whole, _ = ctc_log_probs(self.model, batch.samples, batch.n_samples, int8=True)
        return distance(log_probs, whole, n_frames) * n_frames.sum()

    def _phone_loss(self, log_probs: torch.Tensor, n_frames: torch.Tensor, batch: Batch) -> Loss:
        """CTC of the utterances whose every word the dictionary knows."""
        rows, phones = [], []
        for row, tokens in enumerate(batch.tokens.split(batch.n_tokens.tolist())):
            text = "".join(_CHARACTERS[token] for token in tokens.tolist())
            spoken = self._phones.of(text.split())
            if spoken is not None:
                rows.append(row)
                phones.append(torch.tensor(spoken, dtype=torch.int64))
        if not rows:
            return Loss(log_probs.sum() * 0, 1)
        n_phones = torch.tensor([len(one) for one in phones])
        spoken_batch = replace(batch, tokens=torch.cat(phones), n_tokens=n_phones)
        return ctc_loss(log_probs[rows], n_frames[rows], spoken_batch.to(log_probs.device), 0)

    def before_step(self, progress: Progress) -> None:
        """Everything learns all the time."""

    def save(self, model: Wav2Vec2ForCTC, folder: Path) -> None:
        """Write a checkpoint folder."""
        del model._modules[_PHONE_HEAD]  # noqa: SLF001  (of the copy that is written)
        save_checkpoint(model, folder)


@dataclass(frozen=True)
class Mixture:
    """The corpus as a source of batches; a run that goes on hears others than it would have."""

    corpus: Corpus
    seed: int
    seconds: float
    """Padded audio of one batch."""

    def batches(self, n_taken: int, rank: int, n_ranks: int) -> Iterator[Batch]:
        """Yield batches for ever; see `BatchSource`."""
        drawn = Batches(
            self.corpus,
            TOKEN_IDS,
            seed=self.seed + n_taken * n_ranks + rank,
            early_batches=max(0, _EARLY_BATCHES - n_taken),
            seconds=self.seconds,
            max_s=12.0,
        )
        return iter(
            DataLoader(
                drawn,
                batch_size=None,
                num_workers=1,
                prefetch_factor=8,
                worker_init_fn=leave_signals,
            )
        )


def train(folder: Path, *, budget: Budget, seed: int, peak_rate: float, seconds: float) -> Trainer:
    """Train on the corpus in `folder` until the budget is used up; earlier calls count.

    Raises:
        FileNotFoundError: The corpus was not prepared yet.
        TrainingStopped: Somebody stopped it, and it is saved.
    """
    schedule = Schedule(
        peak_rate, warmup=_WARMUP, hold=_HOLDS_UNTIL - _WARMUP, last=0.01, falls="linear"
    )
    with joined() as ranks:
        trainer = Trainer(
            Chunked(small_model(seed)),
            Mixture(Corpus.open(folder / "corpus"), seed, seconds),
            # Where the rate falls to nothing the last weights are the best: the average of a
            # thousand steps had a loss of 0.65 where they had 0.60.
            Options(budget, schedule, seed, report_steps=100, muon=True, average=0.99),
            Output(folder / "checkpoint", folder),
            ranks=ranks,
        )
        trainer.run()
    return trainer


def run(arguments: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Run `wav2edge train embedded`: prepare the corpus where data is named, and train."""
    if arguments.data is not None:
        if "WORLD_SIZE" in os.environ:
            raise TrainingOptionsError(
                "--data prepares the corpus, which one process does: run once without torchrun, "
                "stop it when it trains, and start torchrun without --data"
            )
        prepare(
            arguments.data,
            arguments.out / "corpus",
            arguments.seed,
            report,
            packages=arguments.out / "packages",
        )
    train(
        arguments.out,
        budget=Budget.asked(arguments),
        seed=arguments.seed,
        peak_rate=arguments.rate,
        seconds=arguments.batch_s,
    )


def _draw_chunking(draw: torch.Generator, share: float) -> Chunking | None:
    """Draw what a batch sees at that share of the run; None: everything."""
    at_last = share >= _EIGHT_BITS_FROM
    if torch.rand((), generator=draw) < (_WHOLE_AT_LAST if at_last else _WHOLE):
        return None
    drawn = STREAMS if at_last else CHUNKS
    return drawn[int(torch.randint(len(drawn), (), generator=draw))]
