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
frames to hold back and how far to look behind.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .frames import Geometry
from .left_context import LeftContext
from .normalization import Normalization, NormState
from .session import Session

Array = npt.NDArray[np.float32]

# Up to WHOLE_S one step sees everything; a longer recording goes in large steps, so that memory is
# bounded.
WHOLE_S = 30.0
STEP_S, LOOK_AHEAD_S, LEFT_S = 20.0, 2.0, 10.0
# The front's convolutions run over so much audio at a time: their output stays in the cache of the
# processor, and memory does not grow with the step.
_SLICE_S = 1.0


def past_names(n_layers: int) -> tuple[str, ...]:
    """Name the inputs that hold the left context, float32 `[l, hidden]` each."""
    return tuple(f"{kind}_{i}" for i in range(n_layers) for kind in ("key", "value"))


def new_names(n_layers: int) -> tuple[str, ...]:
    """Name the outputs that extend the left context, float32 `[n - h, hidden]` each."""
    return tuple(f"new_{name}" for name in past_names(n_layers))


@dataclass(frozen=True)
class AcousticState:
    """Everything the model remembers of a stream."""

    tail: Array
    """Samples `[n]` that the next frame sees again or that no frame has seen yet."""
    features: Array
    """`[1, P + r, D]`."""
    left: LeftContext
    """Keys and values of the left context."""
    norm: NormState
    n_frames: int
    """Frames finished since the start: the index of the next final one."""

    def n_held(self, position_left_frames: int) -> int:
        """Frames held back as look-ahead; `position_left_frames` is the model's."""
        n_features: int = self.features.shape[1]
        return n_features - position_left_frames

    @property
    def nbytes(self) -> int:
        """Bytes held, without the normalisation's few numbers."""
        return self.tail.nbytes + self.features.nbytes + self.left.nbytes


@dataclass(frozen=True)
class AcousticStep:
    """What one step computed."""

    log_probs: Array
    """Final, `[n_frames, vocabulary]`; the first is frame `first_frame`."""
    provisional: Array
    """Of the frames held back, `[h, vocabulary]`.

    They may feed an unstable text, never a decoder's state.
    """
    first_frame: int


class AcousticModel:
    """A bundle's acoustic model in an inference session.

    Holds no stream state; usable from several threads.
    """

    def __init__(self, bundle: Bundle, session: Session) -> None:
        self.bundle = bundle
        self._session = session
        facts = bundle.manifest
        self.geometry = Geometry(facts.conv_kernels, facts.conv_strides, facts.sample_rate_hz)
        self._past, self._new = past_names(facts.layers), new_names(facts.layers)
        self._slice_frames = max(1, self.geometry.frames_for(_SLICE_S * 1000))
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
        norm = self.normalization.heard(state.norm, samples)
        tail = np.concatenate([state.tail, samples])
        n_new = self.geometry.n_frames(len(tail))
        fresh = self._front(self.normalization.samples(norm, tail), norm, n_new)
        features = np.concatenate([state.features, fresh], axis=1)
        state = replace(state, tail=tail[n_new * self.geometry.hop :], norm=norm)
        n_frames = features.shape[1] - self.bundle.manifest.position_left_frames
        hold = min(hold_frames, n_frames)
        if n_frames == 0 or (n_new == 0 and hold == n_frames):
            empty = np.zeros((0, self.bundle.manifest.vocabulary_size), np.float32)
            return AcousticStep(empty, empty, state.n_frames), replace(state, features=features)
        # Where nothing will look back, no keys have to come out.
        unkept = n_frames if left_frames == 0 else hold
        past = dict(zip(self._past, state.left.arrays(), strict=True))
        log_probs, *new = self._session.run(
            ("log_probs", *self._new),
            {
                "frames": features,
                "hold": np.zeros(unkept, np.float32),
                **past,
                **self._outside(state.n_frames),
            },
        )
        left = state.left.extended(new, left_frames)
        n_final = n_frames - hold
        kept = features[:, features.shape[1] - hold - self.bundle.manifest.position_left_frames :]
        done = AcousticStep(log_probs[0, :n_final], log_probs[0, n_final:], state.n_frames)
        return done, replace(state, features=kept, left=left, n_frames=state.n_frames + n_final)

    def _outside(self, n_frames: int) -> dict[str, Array]:
        """Tell those kinds that ask how many of the past features lie before the first frame.

        The length says it, as with `hold`.
        """
        if not self.bundle.manifest.knows_the_start:
            return {}
        n_outside = max(0, self.position_left_frames - n_frames)
        return {"outside": np.zeros(n_outside, np.float32)}

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

    def _front(self, samples: Array, norm: NormState, n_frames: int) -> Array:
        """Run the convolutions over slices, so that memory does not grow with the step."""
        inputs = self.normalization.front_inputs(norm)
        rows = [np.zeros((1, 0, self.bundle.manifest.hidden_size), np.float32)]
        for first in range(0, n_frames, self._slice_frames):
            start = first * self.geometry.hop
            count = min(self._slice_frames, n_frames - first)
            piece = samples[start : start + self.geometry.n_samples(count)]
            rows += self._session.run(("features",), {"samples": piece[None], **inputs})
        return np.concatenate(rows, axis=1)
