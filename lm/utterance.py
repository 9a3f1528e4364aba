"""Decoding of speech alone: what lies between utterances is not searched, and noise is known.

A search that knows hotwords, or a language model, finds words in hours of silence if it is made to
look for them there. So here any decoder sleeps until speech begins: a frame whose best token is
neither blank nor word delimiter. Then it is given a little of what came before, for a first letter
that was weak, and listens until the utterance ends: after a pause in a recording, where `restart`
ends it in a stream. Each utterance begins as a sentence does, and silence costs nothing and leaves
nothing behind.

Whether an utterance was noise is asked of the model, not of the search: how sure it was of what it
heard greedily. One threshold does for every decoder.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .decoder import LEAD_FRAMES, Decoder
from .errors import DecoderError, LogProbsError
from .greedy import GreedyDecoder, GreedyState, SpokenWord

Frames = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class UtteranceState:
    """All that is remembered between two calls; a value."""

    inner: Any
    """The decoder's own state; its frames are counted without those that it slept through."""
    greedy: GreedyState
    """Of what is heard greedily, to know noise by."""
    n_frames: int = 0
    """Frames decoded so far."""
    is_open: bool = False
    """Whether somebody speaks."""
    lead: bytes = b""
    """The newest log-probs before an utterance, float32."""
    confidence: tuple[float, int] = (0.0, 0)
    """Of the words heard greedily in this utterance: the sum of the logarithms, and how many."""


class UtteranceDecoder:
    """A decoder that is awake where somebody speaks; satisfies `Decoder`.

    Args:
        decoder: Any decoder. It is not changed, and many may share it.
        identity: What it is; a state goes on only with a decoder of the same identity.
        hotwords: Of each new stream; None: those that the decoder has.
        pause_frames: So many frames without a token end an utterance of a recording.
        reject_below: An utterance that the model is less sure of is noise. A decoder of phrases
            knows by itself what was not said to it: then this does not count.

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
        pause_frames: int = 50,
        reject_below: float = 0.0,
    ) -> None:
        self.identity = identity
        self._decoder, self._pause_frames = decoder, pause_frames
        knows_noise: bool = getattr(decoder, "knows_noise", False)
        self._reject_below = 0.0 if knows_noise else reject_below
        alphabet = decoder.alphabet
        self._greedy = GreedyDecoder(alphabet, pause_frames=pause_frames)
        self._unspoken = [
            id_ for id_ in (alphabet.blank_id, alphabet.delimiter_id) if id_ is not None
        ]
        self._first = UtteranceState(decoder.start(), self._greedy.start())
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
        inner = self._decoder.restart(state.inner)
        return UtteranceState(inner, self._greedy.start(), state.n_frames)

    def parted(self, state: UtteranceState) -> UtteranceState:
        """Go on with an utterance whose final words belong to a segment that is over."""
        return replace(state, confidence=(0.0, 0))

    def n_frames(self, state: UtteranceState) -> int:
        """Return how many frames were decoded since the start."""
        return state.n_frames

    def is_noise(self, state: UtteranceState) -> bool:
        """Tell whether the model hardly believes in what it heard in this utterance.

        It is asked for the geometric mean over the words of greedy decoding, that of a segment's
        confidence.
        """
        if not self._reject_below:
            return False
        logs, n_words = _added(state.confidence, self._greedy.finish(state.greedy))
        return n_words == 0 or math.exp(logs / n_words) < self._reject_below

    def with_hotwords(self, state: UtteranceState, hotwords: Mapping[str, float]) -> UtteranceState:
        """Change the hotwords of a stream; words that are not final are scored anew.

        Raises:
            HotwordError: If one cannot be spelled; the state given stays as it was.
            DecoderError: If the decoder knows no hotwords.
        """
        from .beam import BeamDecoder  # a decoder alone needs none of what comes with it

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
        """Decode more frames; an utterance that has begun goes on until `restart`.

        Args:
            state: What `start`, `restart`, `with_hotwords` or the last `advance` returned.
            log_probs: Natural log-probabilities over all tokens, `[n, V]`; n may be 0.

        Returns:
            The words that became final in these frames, and the state after them.

        Raises:
            LogProbsError: If the array is not `[n, V]`, or holds NaN.
        """
        if state.is_open:
            return self._heard(state, log_probs)
        spoken = self.spoken(log_probs)
        if not spoken.any():
            return (), self._slept(state, log_probs)
        first = int(spoken.argmax())
        early, state = self._woken(self._slept(state, log_probs[:first]))
        words, state = self._heard(state, log_probs[first:])
        return early + words, state

    def finish(self, state: UtteranceState) -> tuple[SpokenWord, ...]:
        """Return the words that are not final yet, as if the audio ended here."""
        return self._placed(state, self._decoder.finish(state.inner))

    def preview(self, state: UtteranceState, log_probs: Frames) -> tuple[str, ...]:
        """Return the words that are not final yet if these frames come next, to be shown.

        Args:
            state: As of `advance`.
            log_probs: Provisional ones, `[n, V]`.

        Raises:
            LogProbsError: As `advance` does.
        """
        if not state.is_open:
            spoken = self.spoken(log_probs)
            if not spoken.any():
                return ()
            first = int(spoken.argmax())
            lead = self._slept(state, log_probs[:first]).lead
            log_probs = np.concatenate([self._frames(lead), log_probs[first:]])
        return self._decoder.preview(state.inner, log_probs)

    def recording(self, pieces: Iterable[Frames]) -> Iterator[tuple[SpokenWord, ...]]:
        """Decode a recording: pauses end utterances, and those that are noise are left out.

        Args:
            pieces: Log-probs `[n, V]`, in order.

        Yields:
            For each piece, and after the last, the words of the utterances that ended.

        Raises:
            LogProbsError: As `advance` does.
        """
        state, held, n_silent = self._first, list[SpokenWord](), 0
        for log_probs in pieces:
            ended: list[SpokenWord] = []
            begin = 0
            for end, is_spoken in enumerate(self.spoken(log_probs).tolist(), start=1):
                n_silent = 0 if is_spoken else n_silent + 1
                if n_silent == self._pause_frames:
                    words, state = self.advance(state, log_probs[begin:end])
                    ended += self._utterance(state, [*held, *words])
                    state, held, begin = self.restart(state), [], end
            words, state = self.advance(state, log_probs[begin:])
            held += words
            yield tuple(ended)
        yield tuple(self._utterance(state, held))

    def _utterance(self, state: UtteranceState, words: list[SpokenWord]) -> list[SpokenWord]:
        """Return the words of an utterance that is over; none of noise."""
        return [] if self.is_noise(state) else [*words, *self.finish(state)]

    def _heard(
        self, state: UtteranceState, log_probs: Frames
    ) -> tuple[tuple[SpokenWord, ...], UtteranceState]:
        words, inner = self._decoder.advance(state.inner, log_probs)
        state = replace(state, inner=inner, n_frames=state.n_frames + len(log_probs))
        if self._reject_below:
            heard, greedy = self._greedy.advance(state.greedy, log_probs)
            state = replace(state, greedy=greedy, confidence=_added(state.confidence, heard))
        return self._placed(state, words), state

    def _slept(self, state: UtteranceState, log_probs: Frames) -> UtteranceState:
        """Let frames of silence go by; the newest are kept."""
        newest = np.asarray(log_probs[-LEAD_FRAMES:], np.float32)
        most = LEAD_FRAMES * self.alphabet.size * newest.itemsize
        lead = (state.lead + newest.tobytes())[-most:]
        return replace(state, n_frames=state.n_frames + len(log_probs), lead=lead)

    def _frames(self, lead: bytes) -> Frames:
        return np.frombuffer(lead, np.float32).reshape(-1, self.alphabet.size)

    def _woken(self, state: UtteranceState) -> tuple[tuple[SpokenWord, ...], UtteranceState]:
        """Begin an utterance with what was kept of the silence before it."""
        words, inner = self._decoder.advance(state.inner, self._frames(state.lead))
        state = UtteranceState(inner, state.greedy, state.n_frames, is_open=True)
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


def _added(confidence: tuple[float, int], words: tuple[SpokenWord, ...]) -> tuple[float, int]:
    logs = math.fsum(math.log(max(word.confidence, 1e-30)) for word in words)
    return confidence[0] + logs, confidence[1] + len(words)
