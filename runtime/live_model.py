"""Samples -> events, chunk by chunk: everything that a live stream computes, on values.

A step waits until a chunk's worth of new frames can be made, runs the acoustic model over them and
the look-ahead of the step before, and hands the log-probs on. Chunks lie at fixed places in the
audio, so what is final does not depend on how the caller cut it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .acoustic import AcousticModel, AcousticState, StepRequest, Steps
from .bundle import MODEL, TOKENS, WEIGHTS
from .endpoint import FLOOR_DB
from .errors import OptionsError
from .events import Event
from .level import LevelState, follow
from .normalization import NormState
from .segmenter import Segmenter, SegmentState
from .vad import Vad, VadState

Array = NDArray[np.float32]

_LONGEST_MS = 60_000  # of chunk, look-ahead and left context


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The latency of a stream. Every value can be chosen freely: the graph serves them all.

    Raises:
        OptionsError: If a duration cannot be.
    """

    chunk_ms: float = 320.0
    """New audio per step. Longer costs less and waits longer."""
    lookahead_ms: float = 320.0
    """How much later audio a frame sees before it is final.

    Longer is more accurate, waits longer and costs more.
    """
    left_ms: float = 4000.0
    """How much earlier audio a frame sees."""

    def __post_init__(self) -> None:
        for name, least in (("chunk_ms", 1), ("lookahead_ms", 0), ("left_ms", 0)):
            value = getattr(self, name)
            if not least <= value <= _LONGEST_MS:
                raise OptionsError(f"{name} is {value!r}, expected {least} to {_LONGEST_MS}")


LATENCIES = {
    "low": StreamOptions(chunk_ms=160.0, lookahead_ms=160.0, left_ms=3000.0),
    "balanced": StreamOptions(),
    "accurate": StreamOptions(chunk_ms=640.0, lookahead_ms=640.0, left_ms=8000.0),
}


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything a `LiveModel` remembers; a value at the model's rate."""

    acoustic: AcousticState
    segment: SegmentState
    waiting: Array
    """Samples that no step has taken yet."""
    energies_db: NDArray[np.float64]
    """Of the frames held back as look-ahead."""
    n_samples: int
    """Pushed so far."""
    level: LevelState = field(default_factory=LevelState)
    """Of the speech, for checkpoints that normalise over the utterance."""
    vad: VadState | None = None
    """Of the voice activity detector, if one listens along."""
    speech: Array | None = None
    """Its probabilities for the frames held back."""


class LiveModel:
    """The acoustic model and the segmenter with one stream's options.

    It holds no state and may be shared.
    """

    def __init__(
        self,
        acoustic: AcousticModel,
        segmenter: Segmenter,
        options: StreamOptions,
        vad: Vad | None = None,
    ) -> None:
        self._acoustic, self._segmenter, self._vad = acoustic, segmenter, vad
        self.acoustic = acoustic
        """Makes the steps that are asked for."""
        geometry = acoustic.geometry
        self.chunk_frames = max(1, geometry.frames_for(options.chunk_ms))
        self.lookahead_frames = geometry.frames_for(options.lookahead_ms)
        self.left_frames = geometry.frames_for(options.left_ms)
        self.options = StreamOptions(
            *(
                geometry.duration_ms(n)
                for n in (self.chunk_frames, self.lookahead_frames, self.left_frames)
            )
        )
        """As they really are: rounded up to whole frames."""
        self.rate_hz = geometry.rate_hz
        self.endpoint_options = segmenter.endpoint_options
        self.decoding = segmenter.decoding
        """What decodes, in words."""
        self.has_vad = vad is not None
        files = acoustic.bundle.manifest.files
        identity = "".join(files[name].sha256 for name in (MODEL, WEIGHTS, TOKENS) if name in files)
        self.model_sha256 = hashlib.sha256(identity.encode()).hexdigest()
        """Of what the bundle's files contain, wherever they lie."""
        self._hop_s = geometry.duration_ms(1) / 1000
        self._margin = np.zeros(acoustic.bundle.manifest.margin_samples, np.float32)

    def start(self) -> LiveState:
        """Return the state before the first sample."""
        nothing = np.zeros(0, np.float32)
        state = LiveState(
            self._acoustic.start(prior=True), self._segmenter.start(), nothing, np.zeros(0), 0
        )
        if self._vad is None:
            return state
        return replace(state, vad=self._vad.start(), speech=nothing)

    def advance(self, state: LiveState, samples: Array) -> tuple[list[Event], LiveState]:
        """Take new samples, float32 `[n]` at the model's rate, any n."""
        return self._acoustic.alone(self.advancing(state, samples))

    def advancing(self, state: LiveState, samples: Array) -> Steps[tuple[list[Event], LiveState]]:
        """Take new samples; whoever drives this makes the steps that are due."""
        events: list[Event] = []
        state = replace(
            state,
            waiting=np.concatenate([state.waiting, samples]),
            n_samples=state.n_samples + len(samples),
        )
        need = self._acoustic.geometry.n_samples(self.chunk_frames)
        while len(state.acoustic.tail) + len(state.waiting) >= need:
            n = need - len(state.acoustic.tail)
            chunk, state = state.waiting[:n], replace(state, waiting=state.waiting[n:])
            new, state = yield from self._step(state, chunk, self.lookahead_frames)
            events += new
        return events, state

    def with_hotwords(self, state: LiveState, hotwords: Mapping[str, float]) -> LiveState:
        """Change the hotwords; see `UtteranceDecoder.with_hotwords`."""
        return replace(state, segment=self._segmenter.with_hotwords(state.segment, hotwords))

    def finish(self, state: LiveState) -> list[Event]:
        """End the stream; see `finishing`."""
        return self._acoustic.alone(self.finishing(state))

    def finishing(self, state: LiveState) -> Steps[list[Event]]:
        """End the stream; whoever drives this makes the last step.

        Silence as long as a frame sees is added, so that the last sound is seen whole, and as
        much more as the bundle wants.
        """
        if not state.n_samples:
            return []
        padding = np.zeros(self._acoustic.geometry.receptive_field, np.float32)
        last = np.concatenate([state.waiting, self._margin, padding])
        events, state = yield from self._step(state, last, 0)
        return events + self._segmenter.finish(state.segment, state.n_samples / self.rate_hz)

    def _step(
        self, state: LiveState, chunk: Array, hold_frames: int
    ) -> Steps[tuple[list[Event], LiveState]]:
        state = self._listened(state, chunk)
        fresh_db = self._energies_db(np.concatenate([state.acoustic.tail, chunk]))
        may_be_speech, norm, level = self._follow(state, fresh_db)
        step, acoustic = yield StepRequest(
            replace(state.acoustic, norm=norm), chunk, hold_frames, self.left_frames
        )
        spoken = may_be_speech and any(
            self._segmenter.spoken(rows).any() for rows in (step.log_probs, step.provisional)
        )
        if not spoken:
            acoustic = self._acoustic.unheard(state.acoustic, acoustic)
        n, energies_db = len(step.log_probs), np.concatenate([state.energies_db, fresh_db])
        heard_s = min(state.n_samples, self._n_taken(acoustic)) / self.rate_hz
        events, segment = self._segmenter.advance(
            state.segment,
            step.log_probs,
            step.provisional,
            energies_db[:n],
            heard_s,
            speech=None if state.speech is None else state.speech[:n],
        )
        level = level.after(spoken=spoken, step_s=len(fresh_db) * self._hop_s)
        return events, replace(
            state,
            acoustic=acoustic,
            segment=segment,
            energies_db=energies_db[n:],
            level=level,
            speech=None if state.speech is None else state.speech[n:],
        )

    def _listened(self, state: LiveState, chunk: Array) -> LiveState:
        """Let the voice activity detector hear a chunk, and judge the frames that end in it."""
        if self._vad is None or state.vad is None or state.speech is None:
            return state
        at_samples, vad = self._vad.advance(state.vad, chunk)
        geometry, n_tail = self._acoustic.geometry, len(state.acoustic.tail)
        ends = (
            geometry.receptive_field
            - 1
            + geometry.hop * np.arange(geometry.n_frames(n_tail + len(chunk)))
        )
        fresh = at_samples[ends - n_tail]
        return replace(state, vad=vad, speech=np.concatenate([state.speech, fresh]))

    def _follow(
        self, state: LiveState, fresh_db: NDArray[np.float64]
    ) -> tuple[bool, NormState, LevelState]:
        """Follow the level of speech, where the checkpoint normalises over the utterance."""
        norm = state.acoustic.norm
        if not self._acoustic.normalization.active:
            return True, norm, state.level
        return follow(self._acoustic.normalization, state.level, norm, fresh_db, self._hop_s)

    def _n_taken(self, acoustic: AcousticState) -> int:
        """Count the samples that the steps have taken so far."""
        n_frames = acoustic.n_frames + acoustic.n_held(self._acoustic.position_left_frames)
        return n_frames * self._acoustic.geometry.hop + len(acoustic.tail)

    def _energies_db(self, audio: Array) -> NDArray[np.float64]:
        """Return the energy of each new frame's middle hop, relative to full scale."""
        geometry = self._acoustic.geometry
        n = geometry.n_frames(len(audio))
        first = (geometry.receptive_field - geometry.hop) // 2
        middle = audio[first : first + n * geometry.hop].astype(np.float64).reshape(n, geometry.hop)
        power: NDArray[np.float64] = np.mean(middle**2, axis=1)
        return 10 * np.log10(power + 10 ** (FLOOR_DB / 10))
