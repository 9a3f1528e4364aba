"""Samples -> log-probs: the step graph, driven. State is a value, and offline is one step.

A bundle's `model.onnx` has two entry points, the branches of one `If` on whether there are samples:

    front     samples (and the normalisation of the first convolution)
              -> features, one row a frame
    context   features, keys and values of the past for each layer, frames to hold back
              -> log-probs, new keys and values for each layer

    features  [ P past ][ r held back ][ new ]
    log-probs           [      final      ][ h provisional ]
    keys                [ kept            ]

P is the left half of the positional convolution, zeros before the start. The h newest keys are
computed again in the next step, with more to see.

Only the look-ahead is computed twice. The same graph serves every latency: `step` is told how many
frames to hold back and how far to look behind. Several streams can share a run (`steps`); how they
lie in it, `together.py` tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .device import Device, DeviceContext
from .left_context import LeftContext
from .normalization import Normalization, NormState
from .session import Session
from .steps import AcousticState, AcousticStep, StepRequest, StepResult, Steps
from .together import PRESENT, Row, check_together, grouped, joined, parted

__all__ = [
    "AcousticModel",
    "AcousticState",
    "AcousticStep",
    "StepRequest",
    "StepResult",
    "Steps",
    "new_names",
    "past_names",
]

Array = npt.NDArray[np.float32]
_T = TypeVar("_T")

# Up to WHOLE_S one step sees everything; a longer recording goes in large steps, so that memory is
# bounded.
WHOLE_S = 30.0
STEP_S, LOOK_AHEAD_S, LEFT_S = 20.0, 2.0, 10.0
# The front's convolutions run over so much audio at a time: their output stays in the cache of the
# processor, and memory does not grow with the step. A GPU would wait for each such piece.
_SLICE_S, _SLICE_S_ON_DEVICE = 1.0, 10.0
# Bytes of left contexts that a run of several streams gathers: on the host more falls out of the
# processor's caches, and at base size costs more than sharing the run gains.
_MOST_ON_HOST, _MOST_ON_DEVICE = 36 << 20, 1 << 32


def past_names(n_layers: int) -> tuple[str, ...]:
    """Name the inputs that hold the left context, float32 `[l, hidden]` each."""
    return tuple(f"{kind}_{i}" for i in range(n_layers) for kind in ("key", "value"))


def new_names(n_layers: int) -> tuple[str, ...]:
    """Name the outputs that extend the left context, float32 `[n - h, hidden]` each."""
    return tuple(f"new_{name}" for name in past_names(n_layers))


@dataclass
class _Due:
    """A request on its way."""

    asked: StepRequest
    norm: NormState
    audio: Array
    """Samples that the front sees, scaled."""
    n_new: int
    state: AcousticState
    """After the front, but for the features."""


class AcousticModel:
    """A bundle's acoustic model in an inference session.

    Holds no stream state; usable from several threads.
    """

    def __init__(self, bundle: Bundle, session: Session) -> None:
        self.bundle = bundle
        self._session = session
        facts = bundle.manifest
        self.geometry = facts.geometry
        self._past, self._new = past_names(facts.layers), new_names(facts.layers)
        slice_s = _SLICE_S if session.device is None else _SLICE_S_ON_DEVICE
        self._slice_frames = max(1, self.geometry.frames_for(slice_s * 1000))
        self.normalization = Normalization(
            facts.do_normalize,
            facts.group_norm,
            facts.conv_kernels[0],
            facts.conv_strides[0],
            rate_hz=facts.sample_rate_hz,
        )

    def start(self, *, prior: bool = False) -> AcousticState:
        """Return the state before the first sample.

        Args:
            prior: Start the running normalisation from the statistics measured at export, for live
                streams, instead of from nothing. Models that do not normalise over the utterance
                have none.
        """
        facts = self.bundle.manifest
        return AcousticState(
            tail=np.zeros(0, np.float32),
            features=np.zeros((1, facts.position_left_frames, facts.hidden_size), np.float32),
            left=LeftContext.empty(2 * facts.layers, facts.heads * facts.head_size),
            norm=self.normalization.start(facts.normalization_prior if prior else None),
            n_frames=0,
        )

    def step(
        self,
        state: AcousticState,
        samples: Array,
        *,
        hold_frames: int,
        left_frames: int | None = None,
    ) -> tuple[AcousticStep, AcousticState]:
        """Advance by new samples.

        Args:
            state: From `start` or the step before; it is not changed.
            samples: float32 `[n]` at the bundle's rate, any n, those that follow the last ones.
            hold_frames: The newest frames to hold back as look-ahead, at most those there are; 0 at
                the end of the stream.
            left_frames: Finished frames that the next step still sees; None: all of them.

        Returns:
            What was computed, and the state after it.
        """
        request = StepRequest(state, samples, hold_frames, left_frames)
        return self._stepped([request])[0]

    def steps(self, requests: Sequence[StepRequest]) -> list[StepResult]:
        """Advance several streams, in as few runs as their lengths allow.

        Args:
            requests: Of different streams, or of one at different times: no step sees another.

        Returns:
            What `step` gives for each, log-probs within 1e-3.

        Raises:
            BatchError: If streams of this model cannot share a run.
        """
        check_together(self.bundle.manifest)
        return self._stepped(requests)

    def alone(self, steps: "Steps[_T]") -> _T:
        """Make the steps that a computation asks for, and return what it returns."""
        try:
            request = next(steps)
            while True:
                request = steps.send(self._stepped([request])[0])
        except StopIteration as done:
            found: _T = done.value
            return found

    def _stepped(self, requests: Sequence[StepRequest]) -> list[StepResult]:
        dues = [self._due(request) for request in requests]
        found: dict[int, StepResult] = {}
        rows: list[Row] = []
        left_frames = self.position_left_frames
        for i, (due, fresh) in enumerate(zip(dues, self._fronts(dues), strict=True)):
            features = np.concatenate([due.asked.state.features, fresh], axis=1)
            n_frames = features.shape[1] - left_frames
            hold = min(due.asked.hold_frames, n_frames)
            if n_frames == 0 or (due.n_new == 0 and hold == n_frames):
                empty = np.zeros((0, self.bundle.manifest.vocabulary_size), np.float32)
                step = AcousticStep(empty, empty, due.state.n_frames)
                found[i] = step, replace(due.state, features=features)
                continue
            # Where nothing will look back, no keys have to come out.
            unkept = n_frames if due.asked.left_frames == 0 else hold
            sees, outside = due.asked.left_frames, self._n_outside(due.state)
            rows.append(Row(i, features, due.state.left, sees, hold, unkept, outside))
        for group in self._groups(rows):
            for row, log_probs, left in self._contexts(group):
                due = dues[row.index]
                n_final = log_probs.shape[0] - row.hold
                first = row.features.shape[1] - row.hold - left_frames
                n_frames = due.state.n_frames
                step = AcousticStep(log_probs[:n_final], log_probs[n_final:], n_frames)
                found[row.index] = (
                    step,
                    replace(
                        due.state,
                        features=row.features[:, first:],
                        left=left,
                        n_frames=n_frames + n_final,
                    ),
                )
        return [found[i] for i in range(len(requests))]

    def _due(self, request: StepRequest) -> _Due:
        norm = self.normalization.heard(request.state.norm, request.samples)
        tail = np.concatenate([request.state.tail, request.samples])
        n_new = self.geometry.n_frames(len(tail))
        state = replace(request.state, tail=tail[n_new * self.geometry.hop :], norm=norm)
        return _Due(request, norm, self.normalization.samples(norm, tail), n_new, state)

    def _groups(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Find which streams share a run of the context."""
        if len(rows) == 1:
            return iter([rows])
        padded = self._session.has_input(PRESENT)
        knows = self.bundle.manifest.knows_the_start
        most = _MOST_ON_DEVICE if self._session.device is not None else _MOST_ON_HOST
        return grouped(rows, past=padded, frames=padded and not knows, most_bytes=most)

    def _contexts(
        self, rows: Sequence[Row]
    ) -> Iterator[tuple[Row, Array, LeftContext | DeviceContext]]:
        """Run the transformer; each row gets its log-probs `[n, vocabulary]` and left context."""
        outside = {}
        if self.bundle.manifest.knows_the_start:  # the length says it, as with `hold`
            outside = {"outside": np.zeros(rows[0].n_outside, np.float32)}
        if len(rows) == 1 and self._session.device is not None:
            yield self._in_place(rows[0], outside, self._session.device)
            return
        feeds = joined(rows, self._past, self.position_left_frames)
        log_probs, *new = self._session.run(("log_probs", *self._new), {**feeds, **outside})
        for row, own, added in parted(rows, log_probs, new, self.position_left_frames):
            yield row, own, row.left.extended(added, row.left_frames)

    def _in_place(
        self, row: Row, outside: Mapping[str, Array], device: Device
    ) -> tuple[Row, Array, DeviceContext]:
        """Run the transformer over a left context that stays where it is."""
        before = row.left
        if not isinstance(before, DeviceContext):
            before = DeviceContext.of(device, before.arrays())
        n_new = row.n_features - self.position_left_frames - row.unkept
        places, after = before.reserved(n_new, row.left_frames)
        feeds = {"frames": row.features, "hold": np.zeros(row.unkept, np.float32), **outside}
        (log_probs,) = self._session.run_in_place(
            ("log_probs",),
            feeds,
            dict(zip(self._past, before.reads(), strict=True)),
            dict(zip(self._new, places, strict=True)),
        )
        return row, log_probs[0], after

    def _n_outside(self, state: AcousticState) -> int:
        """Count the past features before the first frame, for the kinds that ask."""
        if not self.bundle.manifest.knows_the_start:
            return 0
        return max(0, self.position_left_frames - state.n_frames)

    def unheard(self, before: AcousticState, after: AcousticState) -> AcousticState:
        """Return the state after a step that held no speech.

        The running normalisation stays what it was before it.
        """
        return replace(after, norm=replace(before.norm, pending=after.norm.pending))

    @property
    def position_left_frames(self) -> int:
        """Frames kept for the left half of the positional convolution."""
        return self.bundle.manifest.position_left_frames

    def log_probs(
        self,
        blocks: Iterable[Array],
        *,
        step_s: float = STEP_S,
        look_ahead_s: float = LOOK_AHEAD_S,
        left_s: float = LEFT_S,
    ) -> Iterator[Array]:
        """Run a whole recording in bounded memory.

        Args:
            blocks: float32 `[n]` at the bundle's rate, in order, of any size.
            step_s: Audio per step for recordings of more than 30 s; shorter ones are one step that
                sees everything.
            look_ahead_s: Audio that a step sees beyond the frames it finishes.
            left_s: Audio that a step sees before them.

        Yields:
            float32 `[n_frames, vocabulary]`, in order; all of them final.
        """
        hold = self.geometry.frames_for(look_ahead_s * 1000)
        left = self.geometry.frames_for(left_s * 1000)
        size = int(step_s * self.geometry.rate_hz)
        state, waiting, n_waiting = self.start(), list[Array](), 0
        limit = int(WHOLE_S * self.geometry.rate_hz)
        for block in blocks:
            waiting.append(block)
            n_waiting += len(block)
            while n_waiting > limit:
                limit = size  # from here on one step at a time
                audio = np.concatenate(waiting)
                waiting, n_waiting = [audio[size:]], len(audio) - size
                done, state = self.step(state, audio[:size], hold_frames=hold, left_frames=left)
                yield done.log_probs
        last = np.concatenate(waiting) if waiting else np.zeros(0, np.float32)
        yield self.step(state, last, hold_frames=0, left_frames=0)[0].log_probs

    def _fronts(self, dues: Sequence[_Due]) -> list[Array]:
        """Run the convolutions, over slices, so that memory does not grow with the step.

        Returns:
            New features of each, `[1, n, hidden]`.
        """
        hidden = self.bundle.manifest.hidden_size
        rows = [[np.zeros((1, 0, hidden), np.float32)] for _ in dues]
        slices: dict[int, list[tuple[int, Array]]] = {}
        for i, due in enumerate(dues):
            for first in range(0, due.n_new, self._slice_frames):
                start, count = first * self.geometry.hop, min(self._slice_frames, due.n_new - first)
                piece = due.audio[start : start + self.geometry.n_samples(count)]
                slices.setdefault(count, []).append((i, piece))
        for count, pieces in slices.items():
            # One stream's slices run one by one: what they hold stays in the processor's cache.
            most = 1 if len(dues) == 1 else max(1, self._slice_frames // count)
            for first in range(0, len(pieces), most):
                several = pieces[first : first + most]
                samples = np.stack([piece for _, piece in several])
                norms = [self.normalization.front_inputs(dues[i].norm) for i, _ in several]
                (features,) = self._session.run(
                    ("features",), {"samples": samples, **_stacked(norms)}
                )
                for n, (i, _) in enumerate(several):
                    rows[i].append(features[n : n + 1])
        return [np.concatenate(of_one, axis=1) for of_one in rows]


def _stacked(inputs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Lay the statistics of several streams one behind the other."""
    return {name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}
