"""The loop that every training here runs on: steps, rates, averages, files, and going on.

AdamW with clipped gradients; the tri-stage rate; weights averaged over the last steps, which is
what is validated and written; mixed precision; several processes (`ranks`). What the run has
learned lies in `state.pt`, written beside and renamed, so that a kill at any time loses minutes at
most. All generators of random numbers are seeded anew for every batch from the run's seed and the
batch's place: a run that was stopped gives, on a CPU, the very weights of one that was not.
"""

import copy
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from .errors import DivergedError
from .interruption import stop_asked
from .loading import BatchSource
from .objective import Batch, Objective
from .output import Output
from .ranks import Ranks
from .run_log import RunLog
from .schedule import Budget, Counters, Schedule
from .tally import Heard, Tally

Precision = Literal["auto", "float32", "bfloat16", "float16"]
_MOST_SKIPPED = 20  # steps in a row whose gradient is no number


class TrainingStopped(KeyboardInterrupt):
    """Somebody stopped the run, and what it has learned is saved."""


@dataclass(frozen=True)
class Options:
    """How a run goes."""

    budget: Budget
    schedule: Schedule
    seed: int = 1
    accumulate: int = 1
    """Batches of one step, in each process."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    muon: bool = False
    """The matrices of the transformer's layers are learned by Muon, all else by AdamW."""
    average: float = 0.999
    """What of the averaged weights stays at each step."""
    precision: Precision = "auto"
    """Of the forward pass: auto is bfloat16 where the processor multiplies it, else float32."""
    report_steps: int = 20
    save_s: float = 240.0
    """Seconds between two saves."""
    validate_share: float = 0.1
    """Share of the run between two validations."""


class Trainer:
    """One run.

    Args:
        objective: What is learned; its model is moved to the device.
        source: Where batches come from.
        options: How the run goes.
        output: Where it writes. A run that lies there goes on.
        validate: Called with the averaged model every now and then; returns figures for the log.
        ranks: The processes that learn together.

    Raises:
        OtherRunError: The folder holds a run of other settings.
        TrainingStateError: The state there cannot be read.
    """

    def __init__(
        self,
        objective: Objective,
        source: BatchSource,
        options: Options,
        output: Output,
        *,
        validate: Callable[[torch.nn.Module], Mapping[str, float]] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.objective, self._source, self._options = objective, source, options
        self._output, self._validate, self._ranks = output, validate, ranks or Ranks()
        self.model: Any = objective.model.to(self._ranks.device).train()
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizers = optimizers(self.model, options)
        self.used, self._n_taken, self._validated_share = Counters(), 0, 0.0
        self._n_skipped = 0  # steps in a row
        self._autocast = _autocast_type(options.precision, self._ranks.device)
        self._scaler = torch.amp.GradScaler(
            self._ranks.device.type, enabled=self._autocast is torch.float16
        )
        output.read_state(self._ranks.device, self._restore)
        self._ranks.share_state(list(self.model.state_dict().values()))

    @property
    def share(self) -> float:
        """How much of the budget is used up."""
        return self._ranks.agree(self._options.budget.share(self.used))

    def run(self) -> None:
        """Train until the budget is used up; save, and write the checkpoint.

        Raises:
            TrainingStopped: By Ctrl-C or SIGTERM, after the state was saved.
            OtherRunError: Another process trains in this folder.
            DivergedError: The loss is no number any more.
            OSError: A file cannot be written.
        """
        with self._output.held() if self._ranks.first else nullcontext():
            self._run()

    def _run(self) -> None:
        log = RunLog(self._output.run) if self._ranks.first else None
        try:
            with stop_asked() as asked:
                self._loop(log, asked)
        finally:
            if log is not None:
                log.close()
        self.save()

    def _loop(self, log: RunLog | None, asked: Callable[[], bool]) -> None:
        ranks, options = self._ranks, self._options
        batches = self._source.batches(self._n_taken, ranks.rank, ranks.n_ranks)
        tally, saved_s = Tally(), time.monotonic()
        begun_s, begun_share = saved_s, self.share
        while (share := self.share) < 1:
            tally.add(self.step(batches, share))
            share, now_s = self.share, time.monotonic()
            if self.used.step % options.report_steps == 0 or share >= 1:
                row = self._row(tally.means(ranks), share)
                tally = Tally()
                if log is not None:
                    log.write(row)
                    left_s = (now_s - begun_s) * (1 - share) / max(share - begun_share, 1e-9)
                    log.show(share, left_s, row)
            if ranks.agree(float(asked())):
                self.save()
                raise TrainingStopped(f"stopped after step {self.used.step}, which is saved")
            if ranks.agree(float(now_s - saved_s > options.save_s)):
                self.save()
                saved_s = now_s
            if share - self._validated_share >= options.validate_share or share >= 1:
                self._validated_share = share
                self._report_validation(log)

    def step(self, batches: Iterator[Batch], share: float) -> Heard:
        """Take one step of the optimizer."""
        begun_s = self._clock()
        progress = self._options.budget.progress(self.used)
        self.objective.before_step(progress)
        rate = self._options.schedule.rate(share)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        heard = Heard()
        self.model.zero_grad(set_to_none=True)
        for _ in range(self._options.accumulate):
            batch = next(batches)
            heard.audio_s += float(batch.n_samples.sum()) / 16_000
            self._seed()
            self._n_taken += 1
            draw = torch.Generator().manual_seed(self._place_seed(1))
            device = self._ranks.device
            with torch.autocast(device.type, self._autocast, enabled=self._autocast is not None):
                loss = self.objective.loss(batch.to(device), progress, draw)
            self._scaler.scale(loss.value * loss.weight).backward()
            heard.add(float(loss.value.detach()), loss.weight, loss.figures)
        weight, audio_s = self._ranks.sums(heard.weight, heard.audio_s)
        heard.norm = self._apply(weight)
        trained_s = self.used.trained_s + self._clock() - begun_s
        self.used = Counters(self.used.step + 1, self.used.audio_s + audio_s, trained_s)
        self._update_average()
        return heard

    def averaged(self) -> torch.nn.Module:
        """Return a copy of the model that holds the averaged weights, for inference."""
        model: torch.nn.Module = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.eval()

    def save(self) -> None:
        """Write state and checkpoint; a kill in the middle leaves the old ones."""
        if not self._ranks.first:
            return
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [one.state_dict() for one in self.optimizers],
            "scaler": self._scaler.state_dict(),
            "step": self.used.step,
            "trained_s": self.used.trained_s,
            "audio_s": self.used.audio_s,
            "n_taken": self._n_taken,
            "validated_share": self._validated_share,
        }
        self._output.write_state(state)
        average = self.averaged()
        self._output.write_checkpoint(lambda folder: self.objective.save(average, folder))

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        # Moments of other optimizers, as of an earlier version's run, are begun anew.
        saved = state.get("optimizers", [])
        if len(saved) == len(self.optimizers):
            for optimizer, moments in zip(self.optimizers, saved, strict=True):
                optimizer.load_state_dict(moments)
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        self.used = Counters(state["step"], state["audio_s"], state["trained_s"])
        self._n_taken = state.get("n_taken", state["step"])
        self._validated_share = state.get("validated_share", 0.0)

    def _apply(self, weight: float) -> float:
        """Step along the summed gradients over `weight`; return their norm, nan where skipped."""
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        self._ranks.sum_gradients(parameters)
        for optimizer in self.optimizers:
            self._scaler.unscale_(optimizer)
        for one in parameters:
            if one.grad is not None:
                one.grad.div_(max(weight, 1e-9))
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._options.clip))
        if math.isfinite(norm) or self._scaler.is_enabled():
            for optimizer in self.optimizers:
                self._scaler.step(optimizer)
        self._scaler.update()
        self._n_skipped = 0 if math.isfinite(norm) else self._n_skipped + 1
        if self._n_skipped > _MOST_SKIPPED:
            raise DivergedError(
                f"the gradient is no number for {_MOST_SKIPPED} steps in a row: choose a lower "
                "learning rate, or --precision float32"
            )
        return norm

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self._options.average, self.used.step / (self.used.step + 10))
        for name, value in self.model.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def _place_seed(self, stream: int) -> int:
        place = (self._options.seed, self._n_taken, self._ranks.rank, stream)
        return int(np.random.SeedSequence(place).generate_state(1)[0])

    def _seed(self) -> None:
        seed = self._place_seed(0)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (transformers draws its masks from it)
        random.seed(seed)

    def _clock(self) -> float:
        gpu = self._ranks.device.type == "cuda"
        return time.monotonic() if gpu else time.process_time()

    def _row(self, means: Mapping[str, float], share: float) -> dict[str, float]:
        return {
            "step": self.used.step,
            "share": round(share, 5),
            "minutes": round(self.used.trained_s / 60, 3),
            "audio_h": round(self.used.audio_s / 3600, 4),
            "rate": round(self.optimizers[0].param_groups[0]["lr"], 8),
            **{name: round(value, 5) for name, value in means.items()},
        }

    def _report_validation(self, log: RunLog | None) -> None:
        if log is not None and self._validate is not None:
            figures = self._validate(self.averaged())
            named = {f"held_out_{name}": round(value, 5) for name, value in figures.items()}
            log.write({"step": self.used.step, **named})


def optimizers(model: torch.nn.Module, options: Options) -> list[torch.optim.Optimizer]:
    """Return what takes the steps: AdamW, and Muon where it is asked for.

    Muon makes a matrix's step orthogonal (Jordan et al. 2024); scaled to the size of AdamW's steps
    it takes the same rate (Liu et al. 2025, arXiv:2502.16982). Where the small model's loss had
    stood at 1.93 for 400 steps of AdamW, 900 of Muon took it to 1.70, each a quarter longer.
    """
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, one in model.named_parameters():
        chosen = matrices if options.muon and one.ndim == 2 and ".layers." in name else others
        chosen.append(one)
    decay = options.weight_decay
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=0.0, betas=options.betas, weight_decay=decay)
    ]
    if matrices:
        found.append(
            torch.optim.Muon(matrices, lr=0.0, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        )
    return found


def _autocast_type(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Return the type that products are computed in, None for float32."""
    if precision != "auto":
        return None if precision == "float32" else getattr(torch, precision)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("bf16") else None
