"""Where a segment ends: a fold over frames, each of them spoken or not, loud or quiet.

A frame is spoken if its best token is neither the blank nor the word delimiter. It is quiet if its
energy is near the noise floor, which falls at once and rises slowly, as in minimum statistics
(Martin 2001, "Noise power spectral density estimation based on optimal smoothing and minimum
statistics", simplified), or far below the loudest of the segment: a noise that has just set in is
above any floor, and still none of the voice. Where a voice activity detector listens
along, its word counts instead. The rules:

* after speech, a run of frames without a token ends the segment once it is as long as
  `trailing_silence_ms` if its newest part is quiet (the breath and the noise of the room that
  follow a last word are not), and `patience` times as long whatever it sounds like;
* a segment of `max_segment_ms` ends at its last whole word;
* where nobody speaks for `no_speech_ms`, that is told once.

Every decision depends on frames alone, never on how the audio was cut.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from .errors import OptionsError
from .frames import Geometry

# Of full scale: digital silence is no quieter than this, or every noise would sound loud after it.
FLOOR_DB = -70.0
_RISE_DB_PER_S = 3.0
_QUIET_SHARE = 0.4  # of the trailing silence: so much of it, at its end, must be quiet
_LOUD_UNDOES = 2  # quiet frames; a click in a silence is not the end of it


class Reason(StrEnum):
    """Why a segment, or a silence, ended."""

    SILENCE = "silence"
    NO_SPEECH = "no speech"
    TOO_LONG = "too long"
    FINISH = "finish"
    REJECTED = "rejected"  # by the segmenter, whatever ended it


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """The parameters of every rule.

    Raises:
        OptionsError: If a duration is negative or no number, patience below 1, or a probability
            above it.
    """

    trailing_silence_ms: float = 800.0
    """Without a token, after speech, before the segment ends."""
    patience: float = 2.0
    """How many times as long it takes where the silence is not quiet."""
    no_speech_ms: float | None = 5000.0
    """Without a token, before a `SpeechEnd` with reason "no speech" is told; None: never."""
    max_segment_ms: float | None = 20_000.0
    """The longest segment; None: no limit."""
    pre_roll_ms: float = 300.0
    """How far before its first word a segment is said to start.

    No audio is ever dropped: this is for who cuts it out.
    """
    quiet_db: float = 10.0
    """A frame is quiet if it is not more than this above the noise floor."""
    faint_db: float = 15.0
    """Or if it is more than this below the loudest frame of its segment."""
    speech_probability: float = 0.5
    """With a voice activity detector a frame is quiet below this instead, however loud it is."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise OptionsError(f"{name} is {value!r}, expected a number from 0 on")
        if self.patience < 1:
            raise OptionsError(f"patience is {self.patience!r}, expected 1 or more")
        if self.speech_probability > 1:
            raise OptionsError(
                f"speech_probability is {self.speech_probability!r}, expected 0 to 1"
            )


ENDPOINTS = {
    "fast": EndpointOptions(trailing_silence_ms=500.0),
    "default": EndpointOptions(),
    "patient": EndpointOptions(
        trailing_silence_ms=1500.0, no_speech_ms=10_000.0, max_segment_ms=40_000.0
    ),
}


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What the rules remember; a value."""

    floor_db: float = FLOOR_DB
    in_segment: bool = False
    n_frames: int = 0
    """Frames of the segment, or of the silence."""
    n_silent: int = 0
    """Frames since the last spoken one."""
    n_quiet: int = 0
    """The newest of them that were quiet; each loud one undoes two."""
    loudest_db: float = FLOOR_DB
    """Of the segment's frames."""
    told: bool = False
    """Whether this silence was told already."""


class Endpointer:
    """Applies the rules; holds nothing but the options in frames."""

    def __init__(self, options: EndpointOptions, geometry: Geometry) -> None:
        self.options = options
        self._rise_db = _RISE_DB_PER_S * geometry.duration_ms(1) / 1000
        self._trailing = max(1, geometry.frames_for(options.trailing_silence_ms))
        self._impatient = max(
            1, geometry.frames_for(options.trailing_silence_ms * options.patience)
        )
        self._no_speech = _frames(options.no_speech_ms, geometry)
        self._longest = _frames(options.max_segment_ms, geometry)

    def advance(
        self,
        state: EndpointState,
        *,
        spoken: bool,
        energy_db: float,
        speech_probability: float | None = None,
    ) -> tuple[Reason | None, EndpointState]:
        """Take one frame.

        Args:
            state: From the frame before, or `EndpointState()`.
            spoken: Whether its best token is a letter, not the blank and not the word delimiter.
            energy_db: Of its samples, relative to full scale.
            speech_probability: From a voice activity detector, if there is one.

        Returns:
            The reason if the segment ends with this frame, or if a silence is to be told; and the
            state after it.
        """
        energy_db = max(energy_db, FLOOR_DB)
        floor_db = min(energy_db, state.floor_db + self._rise_db)
        loudest_db = max(energy_db, state.loudest_db) if state.in_segment else energy_db
        quiet = (
            energy_db <= max(floor_db + self.options.quiet_db, loudest_db - self.options.faint_db)
            if speech_probability is None
            else speech_probability < self.options.speech_probability
        )
        if spoken:
            started = state if state.in_segment else EndpointState(in_segment=True)
            state = replace(
                started, floor_db=floor_db, n_frames=started.n_frames + 1, n_silent=0, n_quiet=0
            )
        else:
            state = replace(
                state,
                floor_db=floor_db,
                n_frames=state.n_frames + 1,
                n_silent=state.n_silent + 1,
                n_quiet=state.n_quiet + 1 if quiet else max(0, state.n_quiet - _LOUD_UNDOES),
            )
        state = replace(state, loudest_db=loudest_db)
        reason = self._reason(state)
        if reason is Reason.NO_SPEECH:
            return reason, replace(state, told=True)
        if reason is not None:
            return reason, EndpointState(floor_db=floor_db)
        return None, state

    def _reason(self, state: EndpointState) -> Reason | None:
        if not state.in_segment:
            told = state.told or self._no_speech is None or state.n_frames < self._no_speech
            return None if told else Reason.NO_SPEECH
        has_settled = state.n_quiet >= _QUIET_SHARE * self._trailing
        if state.n_silent >= (self._trailing if has_settled else self._impatient):
            return Reason.SILENCE
        if self._longest is not None and state.n_frames >= self._longest:
            return Reason.TOO_LONG
        return None


def _frames(duration_ms: float | None, geometry: Geometry) -> int | None:
    return None if duration_ms is None else max(1, geometry.frames_for(duration_ms))
