"""Log-probs -> events: the decoder's words and the endpointer's decisions, folded into segments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.greedy import SpokenWord
from wav2edge.lm.utterance import UtteranceDecoder, UtteranceState

from .endpoint import Endpointer, EndpointOptions, EndpointState, Reason
from .events import Event, Final, Partial, SpeechEnd, SpeechStart
from .frames import Geometry
from .transcript import Segment, timed

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SegmentState:
    """All that is remembered between two steps; a value."""

    decoder: UtteranceState
    endpoint: EndpointState = field(default_factory=EndpointState)
    segment_id: int = 0
    """Of the open segment, or of the next one."""
    words: tuple[SpokenWord, ...] = ()
    """Words of the open segment that are final."""
    shown: tuple[str, str] = ("", "")
    """Stable and unstable text of the last partial."""


class Segmenter:
    """Turns log-probs into events; holds no stream's state.

    Args:
        decoder: Makes words of log-probs.
        endpointer: Decides where a segment ends.
        geometry: Of the frames.
    """

    def __init__(
        self, decoder: UtteranceDecoder, endpointer: Endpointer, geometry: Geometry
    ) -> None:
        self._decoder, self._endpointer, self._geometry = decoder, endpointer, geometry
        self._separator = decoder.alphabet.separator

    @property
    def endpoint_options(self) -> EndpointOptions:
        """The parameters of every endpoint rule."""
        return self._endpointer.options

    @property
    def decoding(self) -> str:
        """What decodes; a state goes on only where it is the same."""
        return self._decoder.identity

    def start(self) -> SegmentState:
        """Return the state before the first frame."""
        return SegmentState(self._decoder.start())

    def spoken(self, log_probs: Array) -> NDArray[np.bool_]:
        """Tell for each frame `[n, V]` whether its best token is a letter: bool `[n]`."""
        return self._decoder.spoken(log_probs)

    def with_hotwords(self, state: SegmentState, hotwords: Mapping[str, float]) -> SegmentState:
        """Change the hotwords; see `UtteranceDecoder.with_hotwords`."""
        return replace(state, decoder=self._decoder.with_hotwords(state.decoder, hotwords))

    def advance(
        self,
        state: SegmentState,
        log_probs: Array,
        provisional: Array,
        energies_db: NDArray[np.float64],
        heard_s: float,
        *,
        speech: Array | None = None,
    ) -> tuple[list[Event], SegmentState]:
        """Take the frames of one step.

        Args:
            state: From `start` or the last `advance`.
            log_probs: Final, `[n, V]`.
            provisional: Of the look-ahead, `[h, V]`: they feed the unstable text alone.
            energies_db: Of the final frames, `[n]`.
            heard_s: Seconds of audio so far; no word ends later.
            speech: Of the final frames, `[n]`: the probability of speech, if a voice activity
                detector listens along.

        Returns:
            What there is to tell, in order, and the state after it.
        """
        events: list[Event] = []
        done = 0
        for i, spoken in enumerate(self.spoken(log_probs)):
            was_open = state.endpoint.in_segment
            reason, endpoint = self._endpointer.advance(
                state.endpoint,
                spoken=bool(spoken),
                energy_db=float(energies_db[i]),
                speech_probability=None if speech is None else float(speech[i]),
            )
            state = replace(state, endpoint=endpoint)
            if spoken and not was_open:
                events.append(
                    self._started(state, self._decoder.n_frames(state.decoder) + i - done)
                )
            if reason is not None:
                state = self._decode(state, log_probs[done : i + 1])
                done = i + 1
                state = self._ended(state, reason, heard_s, events)
        state = self._decode(state, log_probs[done:])
        return events, self._show(state, provisional, heard_s, events)

    def finish(self, state: SegmentState, heard_s: float) -> list[Event]:
        """End the stream: what is pending becomes final."""
        events: list[Event] = []
        if state.endpoint.in_segment:
            self._ended(state, Reason.FINISH, heard_s, events)
        return events

    def _decode(self, state: SegmentState, log_probs: Array) -> SegmentState:
        words, decoder = self._decoder.advance(state.decoder, log_probs)
        return replace(state, decoder=decoder, words=state.words + words)

    def _started(self, state: SegmentState, frame: int) -> SpeechStart:
        start_s = self._geometry.center_s(frame - 0.5) - self._endpointer.options.pre_roll_ms / 1000
        return SpeechStart(state.segment_id, max(0.0, start_s))

    def _ended(
        self, state: SegmentState, reason: Reason, heard_s: float, events: list[Event]
    ) -> SegmentState:
        """Close the segment.

        One that became too long leaves the words that are not final to the next.
        """
        n_frames = self._decoder.n_frames(state.decoder)
        now_s = min(heard_s, self._geometry.center_s(n_frames - 0.5))
        if reason is Reason.NO_SPEECH:
            events.append(SpeechEnd(None, now_s, reason.value))
            return state
        rest = self._decoder.finish(state.decoder)
        carried = reason is Reason.TOO_LONG and bool(state.words) and bool(rest)
        words = state.words if carried else state.words + rest
        if not words or self._decoder.is_noise(state.decoder):
            reason = Reason.REJECTED
        else:
            spoken = timed(words, self._geometry, heard_s)
            segment = Segment.of(spoken, separator=self._separator)
            events.append(Final(state.segment_id, segment, now_s))
        events.append(SpeechEnd(state.segment_id, now_s, reason.value))
        next_ = self._decoder.parted if carried else self._decoder.restart
        decoder = next_(state.decoder)
        floor_db = state.endpoint.floor_db
        state = SegmentState(
            decoder, EndpointState(floor_db, in_segment=carried), state.segment_id + 1
        )
        if carried:
            events.append(self._started(state, rest[0].start_frame))
        return state

    def _show(
        self, state: SegmentState, provisional: Array, heard_s: float, events: list[Event]
    ) -> SegmentState:
        """Tell the text if it changed."""
        if not state.endpoint.in_segment:
            return state
        words = self._decoder.preview(state.decoder, provisional)
        stable, unstable = (
            self._separator.join(texts) for texts in ([word.text for word in state.words], words)
        )
        if (stable, unstable) == state.shown:
            return state
        n_frames = self._decoder.n_frames(state.decoder) + len(provisional)
        time_s = min(heard_s, self._geometry.center_s(n_frames - 0.5))
        events.append(
            Partial(state.segment_id, stable, unstable, time_s, separator=self._separator)
        )
        return replace(state, shown=(stable, unstable))
