"""The loop: it goes on as if it had not been stopped, and several processes are one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

import torch

from wav2edge.training.errors import (
    DivergedError,
    OtherRunError,
    TrainingOptionsError,
    TrainingStateError,
)
from wav2edge.training.objective import Batch, Loss, Progress
from wav2edge.training.output import Output
from wav2edge.training.ranks import Ranks, joined
from wav2edge.training.schedule import Budget, Counters, Schedule
from wav2edge.training.trainer import Options, Trainer, TrainingStopped, optimizers


class Line(torch.nn.Module):
    """A model a human can follow: one layer, and dropout, which draws."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return `[batch]`."""
        out: torch.Tensor = self.layer(torch.nn.functional.dropout(samples, 0.3, self.training))
        return out[:, 0]


class Deep(Line):
    """The same behind a matrix that is called as those of a transformer's layers are."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(4, 4)])})

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return `[batch]`."""
        return super().forward(samples + self.inner.get_submodule("layers.0")(samples))


@dataclass
class Sums:
    """An objective: tell the sum of four samples."""

    model: Line = field(default_factory=Line)
    stop_at: int | None = None
    """Ask to stop, as Ctrl-C does, in this step."""
    factor: float = 1.0

    def loss(self, batch: Batch, progress: Progress, draw: torch.Generator) -> Loss:
        """Return the mean squared error."""
        if progress.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        shift = torch.rand((), generator=draw)
        off = self.model(batch.samples) - batch.samples.sum(dim=1) - shift
        weight = float(batch.n_samples.sum())
        return Loss(self.factor * off.square().mean(), weight, {"drawn": float(shift)})

    def before_step(self, progress: Progress) -> None:
        """The second half of the run learns the bias alone."""
        self.model.layer.weight.requires_grad = progress.share < 0.5

    def save(self, model: torch.nn.Module, folder: Path) -> None:
        """Write one file."""
        torch.save(model.state_dict(), folder / "weights.pt")


class Numbers:
    """Batches that follow from their place."""

    def batches(self, n_taken: int, rank: int, n_ranks: int) -> Iterator[Batch]:
        """Yield batches of one to three rows."""
        place = n_taken * n_ranks + rank
        while True:
            n = 1 + place % 3
            drawn = torch.randn(n, 4, generator=torch.Generator().manual_seed(place))
            none = torch.zeros(0, dtype=torch.int64)
            yield Batch(drawn, torch.full((n,), 4), none, torch.zeros(n, dtype=torch.int64))
            place += n_ranks


def trainer(
    folder: Path, *, steps: int = 12, seed: int = 1, muon: bool = False, **changed: object
) -> Trainer:
    """A run of a few steps."""
    options = Options(
        Budget(steps),
        Schedule(0.05),
        seed,
        accumulate=2,
        precision="float32",
        report_steps=3,
        muon=muon,
    )
    return Trainer(
        Sums(**changed),  # type: ignore[arg-type]
        Numbers(),
        options,
        Output.under(folder, {"seed": seed}),
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """What a run has learned: weights, average, optimizer."""
    state = torch.load(folder / "training" / "state.pt", weights_only=True)
    found = {f"model {name}": value for name, value in state["model"].items()}
    found |= {f"average {name}": value for name, value in state["average"].items()}
    for which, optimizer in enumerate(state["optimizers"]):
        for place, moments in optimizer["state"].items():
            found |= {f"{which} {place} {name}": value for name, value in moments.items()}
    return found


def test_muon_learns_the_matrices_of_layers_and_nothing_else() -> None:
    """Every parameter has one optimizer; without Muon all have AdamW."""
    model = Deep()
    adamw, muon = optimizers(model, Options(Budget(1), Schedule(0.1), muon=True))
    taken = [one for group in muon.param_groups for one in group["params"]]
    assert [id(one) for one in taken] == [id(model.inner.get_parameter("layers.0.weight"))]
    others = [one for group in adamw.param_groups for one in group["params"]]
    assert {id(one) for one in [*taken, *others]} == {id(one) for one in model.parameters()}
    assert len(others) == len(list(model.parameters())) - 1
    assert len(optimizers(model, Options(Budget(1), Schedule(0.1)))) == 1


@pytest.mark.parametrize(("kind", "muon"), [(Line, False), (Deep, True)])
def test_a_stopped_run_gives_the_same_weights(
    tmp_path: Path,
    kind: type[Line],
    muon: bool,  # noqa: FBT001
) -> None:
    """Stopped by a signal in step 4 and gone on with: bit-equal to a run that was not stopped."""
    trainer(tmp_path / "whole", muon=muon, model=kind()).run()
    with pytest.raises(TrainingStopped, match="after step 5"):
        trainer(tmp_path / "parts", muon=muon, model=kind(), stop_at=4).run()
    going_on = trainer(tmp_path / "parts", muon=muon, model=kind())
    assert going_on.used.step == 5
    going_on.run()
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    average = torch.load(tmp_path / "parts" / "weights.pt", weights_only=True)
    torch.testing.assert_close(average["layer.weight"], whole["average layer.weight"])


def test_the_same_seed_hears_the_same(tmp_path: Path) -> None:
    """The log of two runs of one seed is equal, that of another seed is not."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(tmp_path / name, seed=seed).run()
    logs = {}
    for name in "abc":
        lines = (tmp_path / name / "training" / "log.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        logs[name] = [(row["step"], row["loss"], row["drawn"]) for row in rows]
    assert [step for step, _, _ in logs["a"]] == [3, 6, 9, 12]
    assert logs["a"] == logs["b"] != logs["c"]


def test_it_learns(tmp_path: Path) -> None:
    """The loss falls, and the averaged weights are near those that tell the sum."""
    run = trainer(tmp_path / "run", steps=150)
    run.run()
    lines = (tmp_path / "run" / "training" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < 0.5 * losses[0]
    learned = run.averaged().get_parameter("layer.weight")
    assert torch.allclose(learned, torch.ones(1, 4), atol=0.5)


def test_another_run_is_refused(tmp_path: Path) -> None:
    """A folder of a run with other settings, or of something else, is left alone."""
    trainer(tmp_path / "run", steps=1).run()
    with pytest.raises(OtherRunError, match="seed was 1 and is 2"):
        trainer(tmp_path / "run", seed=2)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    with pytest.raises(OtherRunError, match="holds no run"):
        trainer(tmp_path / "photos")


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    """A second process in the same folder would write over the first one's state."""
    pytest.importorskip("fcntl", reason="Windows lets two runs write to one folder")
    run = trainer(tmp_path / "run", steps=1)
    other = Output(tmp_path / "run", tmp_path / "run" / "training")
    with other.held(), pytest.raises(OtherRunError, match="another process trains"):
        run.run()
    assert json.loads((other.run / "settings.json").read_text()) == {}, "the second one wrote"
    (other.run / "settings.json").unlink()
    run.run()


def test_a_broken_state_is_told(tmp_path: Path) -> None:
    """A state that cannot be read is an error that says what to do."""
    trainer(tmp_path / "run", steps=1).run()
    (tmp_path / "run" / "training" / "state.pt").write_bytes(b"half of it")
    with pytest.raises(TrainingStateError, match="delete it to start anew"):
        trainer(tmp_path / "run")


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    """One such step changes nothing; many end the run."""
    run = trainer(tmp_path / "run", steps=40, factor=float("nan"))
    before = run.model.layer.weight.detach().clone()
    with pytest.raises(DivergedError, match="lower learning rate"):
        run.run()
    assert torch.equal(run.model.layer.weight, before)


def test_the_rate_has_three_stages() -> None:
    """Up over a tenth, constant for four, then down to a twentieth."""
    schedule = Schedule(1.0)
    rates = [schedule.rate(share) for share in (0.0, 0.05, 0.1, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0.01, 0.505, 1.0, 1.0, 0.05**0.5, 0.05])
    embedded = Schedule(1.0, 0.02, 0.58, last=0.01, falls="linear")
    assert embedded.rate(0.8) == pytest.approx(0.505)
    for peak, warmup in ((0.0, 0.1), (1.0, 0.7)):
        with pytest.raises(TrainingOptionsError):
            Schedule(peak, warmup)


def test_a_budget_has_three_units() -> None:
    """Steps, hours heard and minutes each tell the share that is used up."""
    used = Counters(step=50, audio_s=1800.0, trained_s=30.0)
    shares = [
        Budget(100).share(used),
        Budget(2, "hours").share(used),
        Budget(1, "minutes").share(used),
    ]
    assert shares == [0.5, 0.25, 0.5]
    assert Budget(2, "hours").progress(used) == Progress(50, 200)
    with pytest.raises(TrainingOptionsError, match="above 0"):
        Budget(0)


def gradient_of_two_processes(folder: str) -> None:
    """Run in each of two processes: one step, whose gradient the first writes down."""
    with joined() as ranks:
        options = Options(Budget(2), Schedule(0.05), precision="float32")
        run = Trainer(_Plain(), Numbers(), options, Output(Path(folder), Path(folder)), ranks=ranks)
        run.step(Numbers().batches(0, ranks.rank, ranks.n_ranks), 0.0)
        assert ranks.sums(1.0) == (2.0,)
        if ranks.first:
            torch.save(_gradients(run), Path(folder) / "gradients.pt")


@dataclass
class _Plain(Sums):
    """Without anything drawn, so that only the batches differ."""

    def loss(self, batch: Batch, _progress: Progress, _draw: torch.Generator) -> Loss:
        off = self.model.layer(batch.samples)[:, 0] - batch.samples.sum(dim=1)
        return Loss(off.square().mean(), float(len(batch.samples)))


def _gradients(run: Trainer) -> dict[str, torch.Tensor | None]:
    return {name: value.grad for name, value in run.model.named_parameters()}


def test_two_processes_take_the_step_of_one(tmp_path: Path) -> None:
    """Over gloo: the gradient of two processes is that of one which hears both their batches."""
    code = f"import test_trainer; test_trainer.gradient_of_two_processes({str(tmp_path)!r})"
    tests = Path(__file__).parent
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)]),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    options = Options(Budget(2), Schedule(0.05), accumulate=2, precision="float32")
    alone = Trainer(_Plain(), Numbers(), options, Output(tmp_path / "x", tmp_path), ranks=Ranks())
    alone.step(Numbers().batches(0, 0, 1), 0.0)
    expected = _gradients(alone)
    assert found["unused.weight"] is expected["unused.weight"] is None
    for name in ("layer.weight", "layer.bias"):
        torch.testing.assert_close(found[name], expected[name])


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
