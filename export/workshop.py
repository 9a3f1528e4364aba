"""One checkpoint on its way to a bundle: policies become drafts, and each draft is compared.

A draft is a whole bundle in a temporary folder. What the drafts are compared with is computed once.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch

from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.session import open_session

from .checkpoint import Checkpoint
from .errors import ExportError
from .foreign import silence
from .graph_file import build_graph, matmul_precision
from .model_writer import write_model
from .parity import ParityReport, Reference, TorchSession, in_chunks, whole
from .precision import Policy, names_of
from .products import observed
from .step_graph import StepGraph

if TYPE_CHECKING:
    from wav2edge.runtime.session import Session

Array = npt.NDArray[np.float32]

_OBSERVED_S = 120.0  # of speech, to see how large each channel grows
_TIMED_S = 10.0
_ROUNDS = 3


@dataclass(frozen=True)
class Draft:
    """A bundle that was not asked for yet."""

    policy: Policy
    bundle: Bundle
    parity: ParityReport


@dataclass
class Workshop:
    """What all drafts of one checkpoint share."""

    checkpoint: Checkpoint
    facts: dict[str, Any]
    """The manifest without precision and parity."""
    clips: Sequence[Array]
    """float32 `[n]` each, at the checkpoint's rate."""
    folder: Path
    """Where drafts lie."""
    portable: bool
    report: Callable[[str], None]

    def draft(self, policy: Policy) -> Draft:
        """Build the graph of a policy and compare it with the checkpoint."""
        self.report(f"tracing the graph, {policy.name}")
        step = StepGraph(self.checkpoint.model)
        policy.apply(step, self.largest if policy.is_smooth else {})
        with silence():
            model = build_graph(
                step,
                self.checkpoint.sizes,
                portable=self.portable,
                half=policy.half,
                integer_position=policy.position.is_integer,
            )
        described = {
            "name": policy.name,
            "portable": self.portable,
            "layers": policy.table(),
            "operators": matmul_precision(model),
        }
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            path = write_model(model, Path(folder))
            bundle = self._written(policy.name, path, precision=described)
        return Draft(policy, bundle, self.reference.compare(self._opened(bundle), self.report))

    @cached_property
    def reference(self) -> Reference:
        """What the checkpoint says on the clips, in float32."""
        return Reference(self.checkpoint, self._torch_model(), self.clips, self.report)

    @cached_property
    def largest(self) -> dict[str, torch.Tensor]:
        """By product, the largest magnitude of each input channel on the clips."""
        self.report("looking how large each channel grows")
        step = StepGraph(self.checkpoint.model)
        model, heard_s = self._torch_model(step), 0.0
        with observed(step.products().values()) as seen:
            for clip in self.clips:
                if heard_s < _OBSERVED_S:
                    whole(model, clip)
                    heard_s += len(clip) / self.checkpoint.rate_hz
        return names_of(seen, step)

    def times_s(self, drafts: Sequence[Draft]) -> list[float]:
        """Time drafts against each other: CPU seconds per second of streamed audio, the best of 3.

        One thread, one after the other in each round.
        """
        models = [self._opened(draft.bundle) for draft in drafts]
        audio = np.concatenate(self.clips)[: int(_TIMED_S * self.checkpoint.rate_hz)]
        best = [float("inf")] * len(drafts)
        for _ in range(_ROUNDS):
            for i, model in enumerate(models):
                started = time.process_time()
                in_chunks(model, audio)
                best[i] = min(best[i], time.process_time() - started)
        return [found / (len(audio) / self.checkpoint.rate_hz) for found in best]

    def _torch_model(self, step: StepGraph | None = None) -> AcousticModel:
        """Return the float32 step graph in torch behind the runtime's own driver."""
        session = TorchSession(step or StepGraph(self.checkpoint.model))
        nothing = self.folder / "nothing.onnx"
        nothing.write_bytes(b"")
        return AcousticModel(
            self._written(f"torch{id(session)}", nothing, precision={}), cast("Session", session)
        )

    def _written(self, name: str, model: Path, *, precision: dict[str, Any]) -> Bundle:
        facts = {**self.facts, "precision": precision}
        try:
            return Bundle.write(
                self.folder / name, facts, model=model, tokens=self.checkpoint.vocabulary.tokens
            )
        except OSError as error:
            raise ExportError(
                f"the draft could not be written to {self.folder} ({error}): it needs room for the "
                "model; set TMPDIR to a folder that has it"
            ) from error

    @staticmethod
    def _opened(bundle: Bundle) -> AcousticModel:
        return AcousticModel(bundle, open_session(bundle.model_path, threads=1, provider="cpu"))
