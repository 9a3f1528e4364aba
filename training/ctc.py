"""CTC training of the small model.

AdamW, warm-up, constant rate, then a linear fall; averaged weights; resumes after a kill.

`python -m wav2edge.training.ctc prepare` builds the corpus cache, `... train` trains until the time
budget is used up. The newest state lies in `state.pt` (model, average, optimizer, seconds trained),
a log line per report in `log.jsonl`, and the averaged model in the layout of `transformers` in
`checkpoint/`.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import Wav2Vec2ForCTC

from .batches import Batches
from .corpus import Corpus, prepare
from .network import TOKEN_IDS, ctc_log_probs, save_checkpoint, small_model
from .objective import Batch

CHUNK_FRAMES = (6, 11, 16, 22, 33, 44)  # 180 ms to 1.3 s at 30 ms
LEFT_FRAMES = (None, 66, 132)


@dataclass(frozen=True)
class Schedule:
    """Learning rate as a function of time trained.

    So a budget of minutes is kept on any machine.
    """

    peak: float
    warmup_steps: int
    budget_s: float
    fall: float
    """The last share of the budget in which the rate falls to a hundredth."""

    def rate(self, step: int, trained_s: float) -> float:
        """Return the learning rate."""
        left = max(0.0, 1 - trained_s / self.budget_s)
        return self.peak * min(1.0, (step + 1) / self.warmup_steps, max(0.01, left / self.fall))


class Trainer:
    """Model, average, optimizer and counters: everything that a kill must not lose."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model: Any = small_model(seed)  # transformers' annotation of `to` misses its arguments
        self.model: Wav2Vec2ForCTC = model.to(self.device).train()
        self.average = {
            name: value.detach().clone() for name, value in self.model.state_dict().items()
        }
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.step, self.trained_s, self.audio_s = 0, 0.0, 0.0
        self._file = folder / "state.pt"
        if self._file.is_file():
            self._restore(torch.load(self._file, map_location=self.device, weights_only=True))

    def _restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.trained_s = state["step"], state["trained_s"]
        self.audio_s = state["audio_s"]

    def save(self) -> None:
        """Write `state.pt`; a kill in the middle leaves the old one."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "trained_s": self.trained_s,
            "audio_s": self.audio_s,
        }
        draft = self._file.with_suffix(".tmp")
        torch.save(state, draft)
        draft.replace(self._file)

    def averaged(self) -> Wav2Vec2ForCTC:
        """Return a copy of the model that holds the averaged weights."""
        model = small_model(0)
        model.load_state_dict(self.average)
        model.eval()
        return model

    def learn(
        self, batch: Batch, rate: float, chunk_frames: int | None, left_frames: int | None
    ) -> tuple[float, float]:
        """Take one step; return the CTC loss per token and the norm of the gradient."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        samples, n_samples = batch.samples.to(self.device), batch.n_samples.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            log_probs, n_frames = ctc_log_probs(
                self.model, samples, n_samples, chunk_frames, left_frames
            )
        losses = functional.ctc_loss(
            log_probs.transpose(0, 1),
            batch.tokens.to(self.device),
            n_frames,
            batch.n_tokens.to(self.device),
            blank=0,
            reduction="none",
            zero_infinity=True,
        )
        loss = losses.sum() / max(1, int(batch.n_tokens.sum()))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.audio_s += float(batch.n_samples.sum()) / 16_000
        self._update_average()
        return loss.item(), norm.item()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(0.999, self.step / (self.step + 10))
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)


def train(folder: Path, *, minutes: float, seed: int, peak_rate: float, seconds: float) -> None:
    """Train until `minutes` of training are used up.

    Those of earlier calls on the same folder count.
    """
    trainer = Trainer(folder, seed)
    schedule = Schedule(peak_rate, 400, minutes * 60, 0.4)
    batches = Batches(
        Corpus.open(folder / "corpus"),
        TOKEN_IDS,
        seed=seed + trainer.step,
        early_batches=max(0, 1500 - trainer.step),
        seconds=seconds,
        max_s=12.0,
    )
    draw = torch.Generator().manual_seed(seed + trainer.step)
    last, saved_s, losses = time.monotonic(), trainer.trained_s, []
    for batch in DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=8):
        chunk_frames, left_frames = _draw_chunk(draw)
        rate = schedule.rate(trainer.step, trainer.trained_s)
        losses.append(trainer.learn(batch, rate, chunk_frames, left_frames)[0])
        now = time.monotonic()
        trainer.trained_s, last = trainer.trained_s + now - last, now
        if trainer.step % 100 == 0:
            _report(folder, trainer, rate, sum(losses) / len(losses))
            losses = []
        done = trainer.trained_s >= schedule.budget_s
        if done or trainer.trained_s - saved_s > 240:
            trainer.save()
            save_checkpoint(trainer.averaged(), folder / "checkpoint")
            saved_s = trainer.trained_s
        if done:
            return


def _draw_chunk(draw: torch.Generator) -> tuple[int | None, int | None]:
    """Half the batches see everything, the others come in chunks with a limited left context."""
    if torch.rand((), generator=draw) < 0.5:
        return None, None
    chunk = CHUNK_FRAMES[int(torch.randint(len(CHUNK_FRAMES), (), generator=draw))]
    return chunk, LEFT_FRAMES[int(torch.randint(len(LEFT_FRAMES), (), generator=draw))]


def _report(folder: Path, trainer: Trainer, rate: float, loss: float) -> None:
    row = {
        "step": trainer.step,
        "minutes": round(trainer.trained_s / 60, 2),
        "audio_h": round(trainer.audio_s / 3600, 3),
        "rate": round(rate, 7),
        "loss": round(loss, 4),
        "times_real_time": round(trainer.audio_s / trainer.trained_s, 1),
    }
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{row}\x1b[K")


def main(argv: list[str] | None = None) -> int:
    """Run `prepare` or `train`."""
    parser = argparse.ArgumentParser(prog="python -m wav2edge.training.ctc", description=__doc__)
    parser.add_argument("action", choices=("prepare", "train"))
    parser.add_argument(
        "--data", type=Path, help="folder of MANIFEST.tsv and the recordings (prepare)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(".training"),
        help="folder of the corpus cache, states and logs",
    )
    parser.add_argument(
        "--minutes", type=float, default=120.0, help="training time, all calls together"
    )
    parser.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument("--seconds", type=float, default=64.0, help="padded audio of one batch")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    if args.action == "prepare":
        if args.data is None:
            parser.error("prepare needs --data")
        report = partial(print, file=sys.stderr)
        prepare(args.data, args.out / "corpus", args.seed, report)
    else:
        train(
            args.out,
            minutes=args.minutes,
            seed=args.seed,
            peak_rate=args.rate,
            seconds=args.seconds,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
