"""The decoder `pyctcdecode`, offline: the only module that imports it.

It is there to compare with. Version 0.5.0 knows no streams and needs numpy below 2, so it has an
environment of its own (extra `pyctcdecode`), and all that is heard is decoded at the end.
"""

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .agreement import Hypothesis, Sighting, share_of, shares
from .alphabet import Alphabet
from .errors import DecoderError, PyctcdecodeMissingError
from .fusion import BeamOptions
from .greedy import SpokenWord
from .hotwords import hotword_weights
from .pyctcdecode_folder import labels_of

_WORD_START = "▁"  # how pyctcdecode marks tokens that begin a word


@dataclass(frozen=True, slots=True)
class HeardState:
    """All log-probs of a segment."""

    first_frame: int = 0
    n_frames: int = 0
    log_probs: tuple[bytes, ...] = ()
    """Piece by piece, float32."""


class PyctcdecodeDecoder:
    """`BeamSearchDecoderCTC.decode_beams(prune_history=True)` behind the decoder protocol.

    No word is final before `finish`. A word's confidence is the share, by score, of the beams that
    have it there.

    Args:
        alphabet: The model's tokens.
        model: A language model's file, for the package `kenlm`; ARPA or a binary.
        words: The known words of it.
        options: As of our own search; `commit_s` and `max_tokens` mean nothing here.
        hotwords: All with one weight.

    Raises:
        PyctcdecodeMissingError: If the package, or `kenlm` for a language model, is not installed.
        DecoderError: If hotwords have several weights.
        HotwordError: If one cannot be spelled.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        model: Path | None = None,
        words: Collection[str] | None = None,
        *,
        options: BeamOptions | None = None,
        hotwords: Mapping[str, float] | None = None,
    ) -> None:
        self.alphabet = alphabet
        self._options = options or BeamOptions()
        weights = hotword_weights(hotwords or {}, alphabet)
        if len({weight for _, weight in weights}) > 1:
            raise DecoderError(
                f"hotwords have the weights {sorted({weight for _, weight in weights})}: "
                "pyctcdecode takes one weight for all"
            )
        self._hotwords = [word for word, _ in weights]
        self._hotword_weight = weights[0][1] if weights else 0.0
        self._decoder = _build(alphabet, model, words, self._options)

    def start(self) -> HeardState:
        """Return the state before the first frame."""
        return HeardState()

    def advance(
        self, state: HeardState, log_probs: NDArray[np.float32]
    ) -> tuple[tuple[SpokenWord, ...], HeardState]:
        """Keep more frames `[n, V]`.

        Raises:
            LogProbsError: If the array is not `[n, V]`.
        """
        masked = self.alphabet.masked(np.asarray(log_probs, np.float32))
        if self._options.blank_penalty:
            masked = self.alphabet.less_blank(masked, self._options.blank_penalty)
        pieces = (*state.log_probs, masked.tobytes())
        return (), HeardState(state.first_frame, state.n_frames + len(masked), pieces)

    def finish(self, state: HeardState) -> tuple[SpokenWord, ...]:
        """Decode all that was kept."""
        return self.nbest(state, 1)[0].words

    def preview(self, state: HeardState, log_probs: NDArray[np.float32]) -> tuple[str, ...]:
        """Return the words that `finish` would if these frames `[n, V]` came next."""
        words, state = self.advance(state, log_probs)
        return tuple(word.text for word in (*words, *self.finish(state)))

    def restart(self, state: HeardState) -> HeardState:
        """Forget what was heard, keep the count of frames."""
        return HeardState(state.n_frames, state.n_frames)

    def n_frames(self, state: HeardState) -> int:
        """Return how many frames were heard since the start."""
        return state.n_frames

    def nbest(self, state: HeardState, n: int) -> list[Hypothesis]:
        """Return the best transcripts, at most n; hotwords count among the model's score."""
        heard = np.frombuffer(b"".join(state.log_probs), np.float32)
        logits = heard.reshape(-1, self.alphabet.size).astype(np.float64)
        if not len(logits):
            return [Hypothesis("", (), 0.0, 0.0, 0.0)]
        beams = self._decoder.decode_beams(
            logits,
            beam_width=self._options.beam_width,
            beam_prune_logp=self._options.beam_prune_log_prob,
            token_min_logp=self._options.token_min_log_prob,
            prune_history=True,
            hotwords=self._hotwords,
            hotword_weight=self._hotword_weight,
        )
        share = shares(np.array([beam[-1] for beam in beams])).tolist()
        seen: list[Sighting] = [
            (part, [word for word, _ in beam[2]], [(*place, 1.0, 1.0) for _, place in beam[2]])
            for part, beam in zip(share, beams, strict=True)
        ]
        return [self._hypothesis(beam, seen, state.first_frame) for beam in beams[:n]]

    def _hypothesis(self, beam: Any, seen: list[Sighting], first_frame: int) -> Hypothesis:  # noqa: ANN401
        text, _, places, acoustic, total = beam
        words = tuple(
            SpokenWord(
                word,
                first_frame + start,
                first_frame + end,
                share_of(seen, word, (start, end, 1.0, 1.0)),
            )
            for word, (start, end) in places
        )
        spelled = text if self.alphabet.separator else text.replace(" ", "")
        return Hypothesis(spelled, words, float(acoustic), float(total - acoustic), 0.0)


def _build(
    alphabet: Alphabet, model: Path | None, words: Collection[str] | None, options: BeamOptions
) -> Any:  # noqa: ANN401  (a library without types)
    """Build the decoder without its guesses about labels."""
    try:
        pyctcdecode = importlib.import_module("pyctcdecode")
        kenlm = None if model is None else importlib.import_module("kenlm")
    except ImportError as error:
        raise PyctcdecodeMissingError(
            f"{error}: decoder pyctcdecode needs pyctcdecode 0.5.0 and for a language model kenlm, "
            "in an environment with numpy below 2; pip install 'wav2edge[pyctcdecode,lm]' there, "
            "or take our own beam search, which scores the same"
        ) from error
    labels = list(labels_of(alphabet))
    if not alphabet.separator:
        labels = [f"{_WORD_START}{label}" if label else "" for label in labels]
    language_model = None
    if model is not None and kenlm is not None:
        language_model = pyctcdecode.LanguageModel(
            kenlm.Model(str(model)),
            words,
            alpha=options.alpha,
            beta=options.beta,
            unk_score_offset=options.unknown_word_score,
            score_boundary=options.score_boundary,
        )
    named = pyctcdecode.Alphabet(labels, not alphabet.separator)
    return pyctcdecode.BeamSearchDecoderCTC(named, language_model)
