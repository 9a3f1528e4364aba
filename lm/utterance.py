"""Decoding of speech alone: what lies between utterances is not searched.

A search that knows hotwords, or a language model, finds words in hours of silence if it is made to
look for them there. So here any decoder sleeps until speech begins: a frame whose best token is
neither blank nor word delimiter. Then it is given a little of what came before, for a first letter
that was weak, and listens until the utterance ends: after a pause, or where `restart` ends it. Each
utterance begins as a sentence does, and silence costs nothing and leaves nothing behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .beam import BeamDecoder
from .decoder import Decoder
from .errors import DecoderError, LogProbsError
from .greedy import SpokenWord
from .phrases import LEAD_FRAMES, PhraseDecoder

Frames = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class UtteranceState:
    """All that is remembered between two calls; a value."""

    inner: Any
    """The decoder's own state; its frames are counted without those that it slept through."""
    n_frames: int = 0
    """Frames decoded so far."""
    is_open: bool = False
    """Whether somebody speaks."""
    n_silent: int = 0
    """Frames since the newest spoken one."""
    lead: bytes = b""
    """The newest log-probs before an utterance, float32."""


class UtteranceDecoder:
    """A decoder that is awake where somebody speaks; satisfies `Decoder`.

    Args:
        decoder: Any decoder. It is not changed, and many may share it.
        identity: What it is; a state goes on only with a decoder of the same identity.
        hotwords: Of each new stream; None: those that the decoder has.
        pause_frames: So many frames without a token end an utterance. None: it ends with `restart`,
            as the endpointing of a stream has it.

    Raises:
        HotwordError: If a hotword cannot be spelled.
        DecoderError: If there are hotwords, and the decoder knows none.
    """

    def __init__(
        self,
        decoder: Decoder[Any],
        *,
        identity: str = "",
        hotwords: Mapping[str, float] | None = None,
        pause_frames: int | None = None,
    ) -> None:
        self.identity = identity
        self.has_threshold = isinstance(decoder, PhraseDecoder)
        """Whether it rejects by itself what was not said to it."""
        self._decoder, self._pause_frames = decoder, pause_frames
        alphabet = decoder.alphabet
        self._unspoken = [
            id_ for id_ in (alphabet.blank_id, alphabet.delimiter_id) if id_ is not None
        ]
        self._first = UtteranceState(decoder.start())
        if hotwords is not None:
            self._first = self.with_hotwords(self._first, hotwords)

    @property
    def alphabet(self) -> Alphabet:
        """The model's tokens."""
        return self._decoder.alphabet

    def start(self) -> UtteranceState:
        """Return the state before the first frame."""
        return self._first

    def restart(self, state: UtteranceState) -> UtteranceState:
        """End the utterance: frames and hotwords stay, the words are forgotten."""
        return UtteranceState(self._decoder.restart(state.inner), state.n_frames)

    def n_frames(self, state: UtteranceState) -> int:
        """Return how many frames were decoded since the start."""
        return state.n_frames

    def with_hotwords(self, state: UtteranceState, hotwords: Mapping[str, float]) -> UtteranceState:
        """Change the hotwords of a stream; words that are not final are scored anew.

        Raises:
            HotwordError: If one cannot be spelled; the state given stays as it was.
            DecoderError: If the decoder knows no hotwords.
        """
        if not isinstance(self._decoder, BeamDecoder):
            raise DecoderError(
                f"hotwords were given to a decoder that knows none ({self.identity}): expected the "
                "beam search; open the stream with hotwords={} and nothing that excludes them"
            )
        return replace(state, inner=self._decoder.with_hotwords(state.inner, hotwords))

    def spoken(self, log_probs: Frames) -> NDArray[np.bool_]:
        """Tell for each frame `[n, V]` whether its best token is a letter: bool `[n]`.

        Raises:
            LogProbsError: If the array is not `[n, V]`, or holds NaN.
        """
        masked = self.alphabet.masked(log_probs)
        if np.isnan(masked).any():
            raise LogProbsError(
                "log-probabilities hold NaN: the model itself went wrong; check its parity "
                "report, and try float32 if its weights are float16"
            )
        return ~np.isin(masked.argmax(axis=1), self._unspoken)

    def advance(
        self, state: UtteranceState, log_probs: Frames
    ) -> tuple[tuple[SpokenWord, ...], UtteranceState]:
        """Decode more frames.

        Args:
            state: What `start`, `restart`, `with_hotwords` or the last `advance` returned.
            log_probs: Natural log-probabilities over all tokens, `[n, V]`; n may be 0.

        Returns:
            The words that became final in these frames, and the state after them.

        Raises:
            LogProbsError: If the array is not `[n, V]`, or holds NaN.
        """
        spoken = self.spoken(log_probs)
        words: tuple[SpokenWord, ...] = ()
        while len(spoken):
            if state.is_open:
                n, n_silent = self._until_pause(state.n_silent, spoken)
                found, state = self._heard(replace(state, n_silent=n_silent), log_probs[:n])
                words += found
                if n_silent == self._pause_frames:
                    words += self.finish(state)
                    state = self.restart(state)
            else:
                n = int(spoken.argmax()) if spoken.any() else len(spoken)
                state = self._slept(state, log_probs[:n])
                if n < len(spoken):
                    found, state = self._woken(state)
                    words += found
            log_probs, spoken = log_probs[n:], spoken[n:]
        return words, state

    def finish(self, state: UtteranceState) -> tuple[SpokenWord, ...]:
        """Return the words that are not final yet, as if the audio ended here."""
        return self._placed(state, self._decoder.finish(state.inner))

    def partial(self, state: UtteranceState) -> tuple[SpokenWord, ...]:
        """Return the words that are not final yet, to be shown and not acted on."""
        return self._placed(state, self._decoder.partial(state.inner))

    def _until_pause(self, n_silent: int, spoken: NDArray[np.bool_]) -> tuple[int, int]:
        """Count the frames up to a pause, or all; and how many of the last are silent."""
        for n, is_spoken in enumerate(spoken.tolist(), start=1):
            n_silent = 0 if is_spoken else n_silent + 1
            if n_silent == self._pause_frames:
                return n, n_silent
        return len(spoken), n_silent

    def _heard(
        self, state: UtteranceState, log_probs: Frames
    ) -> tuple[tuple[SpokenWord, ...], UtteranceState]:
        words, inner = self._decoder.advance(state.inner, log_probs)
        state = replace(state, inner=inner, n_frames=state.n_frames + len(log_probs))
        return self._placed(state, words), state

    def _slept(self, state: UtteranceState, log_probs: Frames) -> UtteranceState:
        """Let frames of silence go by; the newest are kept."""
        newest = np.asarray(log_probs[-LEAD_FRAMES:], np.float32)
        most = LEAD_FRAMES * self.alphabet.size * newest.itemsize
        lead = (state.lead + newest.tobytes())[-most:]
        return replace(state, n_frames=state.n_frames + len(log_probs), lead=lead)

    def _woken(self, state: UtteranceState) -> tuple[tuple[SpokenWord, ...], UtteranceState]:
        """Begin an utterance with what was kept of the silence before it."""
        lead = np.frombuffer(state.lead, np.float32).reshape(-1, self.alphabet.size)
        words, inner = self._decoder.advance(state.inner, lead)
        state = UtteranceState(inner, state.n_frames, is_open=True)
        return self._placed(state, words), state

    def _placed(
        self, state: UtteranceState, words: tuple[SpokenWord, ...]
    ) -> tuple[SpokenWord, ...]:
        """Count the frames of words from the start of the audio."""
        slept = state.n_frames - self._decoder.n_frames(state.inner)
        return tuple(
            replace(word, start_frame=word.start_frame + slept, end_frame=word.end_frame + slept)
            for word in words
        )
