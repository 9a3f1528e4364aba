"""CTC beam search with a language model and hotwords, in pieces: its state is a value.

What it finds does not depend on how the frames are cut, bit for bit. What is final is forgotten, so
a frame costs the same however long the speech has been.

A word's confidence is the product of two figures: how sure the model was of its tokens (the
geometric mean over them of the highest posterior in each one's run of frames, as in greedy
decoding), and how much of the search agreed on it: the share, by score, of the beams that had the
same word at an overlapping time, in the frame in which it first belonged to the best beam. The
first falls when single tokens had rivals, the second when whole transcripts had.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .agreement import Agreement, Hypothesis, Sighting, share_of, shares, spoken
from .alphabet import Alphabet
from .beams import PackedRows, Rows, Word, open_word
from .errors import DecoderError, LogProbsError
from .fusion import BeamOptions, Fusion
from .greedy import SpokenWord
from .histories import NONE, History
from .hotwords import Hotwords, Weights, hotword_weights
from .ngram import LanguageModel
from .prefixes import Prefixes, Scores, Snapshot
from .search import Search
from .vocabulary import spelling_tokens

_FLOOR = math.log(1e-15)  # no token is less likely (pyctcdecode)
_CEILING = 1e-3  # a log-softmax may round up to here, logits go far beyond
_BLOCK = 256  # frames between two cleanings
_PREVIEW_WIDTH = 8  # beams: on digit strings, partial texts are the same as with 100


@dataclass(frozen=True, slots=True)
class BeamState:
    """All that the search remembers between two calls."""

    n_frames: int
    """Frames decoded so far."""
    hotwords: Weights
    prefixes: Snapshot
    beams: PackedRows


@dataclass(frozen=True, slots=True)
class _Ending:
    """A transcript as it would be if the audio ended here."""

    history: int
    places: tuple[Word, ...]
    acoustic: float
    model: float
    hotwords: float

    @property
    def score(self) -> float:
        return self.acoustic + self.model + self.hotwords


class BeamDecoder:
    """Turns log-probs into words by beam search; holds no stream's state.

    Args:
        alphabet: The model's tokens. Without a delimiter every token is a word.
        language_model: Scores words; None: the log-probs and hotwords alone decide.
        options: Weights and limits.
        hotwords: Of every stream that is not given its own; see `hotword_weights`.
        hop_s: Seconds from one frame to the next, for `options.commit_s`.
        pause_frames: So long after its last token an open word ends without a delimiter, as in
            greedy decoding; None: after `options.commit_s`.

    Raises:
        DecoderError: If `hop_s` or `pause_frames` is not positive.
        HotwordError: If a hotword cannot be spelled.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: LanguageModel | None = None,
        *,
        options: BeamOptions | None = None,
        hotwords: Mapping[str, float] | None = None,
        hop_s: float = 0.02,
        pause_frames: int | None = None,
    ) -> None:
        self.alphabet = alphabet
        self.options = options or BeamOptions()
        if not 0 < hop_s < math.inf or (pause_frames is not None and pause_frames < 1):
            raise DecoderError(
                f"hop_s is {hop_s} and pause_frames {pause_frames}, expected seconds above 0, and "
                "1 or more frames or None: take both from the model's geometry"
            )
        commit_s = self.options.commit_s
        self._commit_frames = None if commit_s is None else max(1, round(commit_s / hop_s))
        limits = [one for one in (pause_frames, self._commit_frames) if one is not None]
        self._pause_frames = min(limits, default=None)
        self._fusion = Fusion(language_model, self.options, alphabet)
        self._hotwords = hotword_weights(hotwords or {}, alphabet)
        self._ready = lru_cache(16)(lambda weights: Hotwords(weights, spelling_tokens(alphabet)))

    def start(self) -> BeamState:
        """Return the state before the first frame."""
        return self._begin(0, self._hotwords)

    def restart(self, state: BeamState) -> BeamState:
        """Begin a new segment: forget all words, keep the count of frames and the hotwords."""
        return self._begin(state.n_frames, state.hotwords)

    def n_frames(self, state: BeamState) -> int:
        """Return how many frames were decoded since the start."""
        return state.n_frames

    def with_hotwords(self, state: BeamState, hotwords: Mapping[str, float]) -> BeamState:
        """Change the hotwords of a stream, at once: words that are not final are scored anew.

        Raises:
            HotwordError: If one cannot be spelled; the state given stays as it was.
        """
        weights = hotword_weights(hotwords, self.alphabet)
        search, prefixes = self._search(state)
        prefixes.reweigh(self._ready(weights) if weights else None)
        search.rank()
        return self._state(state.n_frames, weights, search, prefixes, 0)

    def advance(
        self, state: BeamState, log_probs: NDArray[np.floating]
    ) -> tuple[tuple[SpokenWord, ...], BeamState]:
        """Decode more frames.

        Args:
            state: What `start`, `restart`, `with_hotwords` or the last `advance` returned.
            log_probs: Natural log-probabilities over all tokens, `[n, V]`; n may be 0. Special
                tokens are masked here.

        Returns:
            The words that became final in these frames, and the state after them.

        Raises:
            LogProbsError: If the array is not `[n, V]`, holds NaN, or numbers above 0.
        """
        likely = self._likely(state.n_frames, log_probs)
        words: list[SpokenWord] = []
        for first in range(0, len(log_probs), _BLOCK):
            part = slice(first, first + _BLOCK)
            state = self._decode(state, likely[0][part], likely[1][part], words)
        return tuple(words), state

    def finish(self, state: BeamState) -> tuple[SpokenWord, ...]:
        """Return the words that are not final yet, of the best transcript if this is the end."""
        return self._endings(state, 1)[0].words

    def preview(self, state: BeamState, log_probs: NDArray[np.floating]) -> tuple[str, ...]:
        """Return the words that are not final yet if these frames come next.

        Only the best beams are followed, `_PREVIEW_WIDTH` of them: what is shown now is searched
        again in a moment, when the frames are final.

        Args:
            state: As of `advance`.
            log_probs: Provisional ones, `[n, V]`.

        Raises:
            LogProbsError: As `advance` does.
        """
        search, prefixes = self._search(state, most=_PREVIEW_WIDTH)
        likely, letters = self._likely(state.n_frames, log_probs)
        for frame, (row, which) in enumerate(zip(likely, letters, strict=True), state.n_frames):
            search.step(frame, row, which.nonzero()[0])
        best = max(self._ended(search, prefixes), key=lambda one: one.score)
        return tuple(prefixes.histories.texts(best.history, 0))

    def nbest(self, state: BeamState, n: int) -> list[Hypothesis]:
        """Return the best transcripts if this is the end, the best first, at most n.

        Words that are final already are in all of them and are left out.

        Raises:
            DecoderError: If n is not positive.
        """
        if n < 1:
            raise DecoderError(f"{n} best transcripts were asked for, expected 1 or more")
        return self._endings(state, n)

    def _begin(self, n_frames: int, weights: Weights) -> BeamState:
        hotwords = self._ready(weights) if weights else None
        prefixes = Prefixes(self.alphabet, self._fusion, hotwords)
        packed, _ = prefixes.snapshot(0, np.zeros(1, np.int64))
        return BeamState(n_frames, weights, packed, Rows.start().packed(np.zeros(1, np.int64)))

    def _search(self, state: BeamState, most: int | None = None) -> tuple[Search, Prefixes]:
        """Make a state ready for work, perhaps with fewer beams."""
        hotwords = self._ready(state.hotwords) if state.hotwords else None
        prefixes = Prefixes(self.alphabet, self._fusion, hotwords, state.prefixes)
        rows = Rows.unpacked(state.beams)
        rows.last = prefixes.token.take(rows.prefix)
        firsts = prefixes.histories.firsts(0)
        rows.first = np.array([firsts[one] for one in prefixes.history[rows.prefix].tolist()])
        width = min(self.options.beam_width, most or self.options.beam_width)
        search = Search(
            self.alphabet,
            prefixes,
            rows.take(np.arange(min(width, len(rows.prefix)))),
            beam_width=width,
            prune=self.options.beam_prune_log_prob,
            pause_frames=self._pause_frames,
        )
        return search, prefixes

    def _state(
        self, n_frames: int, weights: Weights, search: Search, prefixes: Prefixes, oldest: int
    ) -> BeamState:
        """Return a search as a value."""
        rows = search.rows
        packed, number = prefixes.snapshot(oldest, np.concatenate([rows.prefix, rows.base]))
        return BeamState(n_frames, weights, packed, rows.packed(number))

    def _decode(
        self,
        state: BeamState,
        log_probs: Scores,
        letters: NDArray[np.bool_],
        words: list[SpokenWord],
    ) -> BeamState:
        """Take some frames; what becomes final is put to `words`."""
        search, prefixes = self._search(state)
        agreement = Agreement(search, prefixes, 0, self._commit_frames)
        n_frames = state.n_frames
        for row, which in zip(log_probs, letters, strict=True):
            changed = search.step(n_frames, row, which.nonzero()[0])
            n_frames += 1
            words += agreement.final_words(n_frames, changed=changed)
        return self._state(n_frames, state.hotwords, search, prefixes, agreement.oldest)

    def _likely(
        self, n_frames: int, log_probs: NDArray[np.floating]
    ) -> tuple[Scores, NDArray[np.bool_]]:
        """Leave the unlikely tokens out.

        Returns:
            Log-probs `[n, V]`, minus infinity where left out; and where letters are left.
        """
        masked = self.alphabet.masked(log_probs)
        highest = masked.max(axis=1, initial=-np.inf)
        if np.isnan(highest).any() or (highest > _CEILING).any():
            raise LogProbsError(
                f"log-probabilities after frame {n_frames} hold NaN or numbers above 0: expected "
                "natural logarithms of probabilities; apply log-softmax to logits, and if the "
                "model yields NaN check its parity report"
            )
        masked[np.isneginf(highest), self.alphabet.blank_id] = _FLOOR  # only specials were likely
        if self.options.blank_penalty:
            masked = self.alphabet.less_blank(masked, self.options.blank_penalty)
        heard = masked >= self.options.token_min_log_prob
        heard[np.arange(len(masked)), masked.argmax(axis=1)] = True
        heard[:, list(self.alphabet.special_ids)] = False
        if self.options.max_tokens is not None:
            _leave_best(heard, masked, self.options.max_tokens)
        found = np.where(heard, np.clip(masked, _FLOOR, 0.0).astype(np.float64), -np.inf)
        letters = heard
        letters[:, self.alphabet.blank_id] = False
        if self.alphabet.delimiter_id is not None:
            letters[:, self.alphabet.delimiter_id] = False
        return found, letters

    def _endings(self, state: BeamState, n: int) -> list[Hypothesis]:
        search, prefixes = self._search(state)
        endings = self._ended(search, prefixes)
        scores = np.array([one.score for one in endings])
        order = np.argsort(-scores, kind="stable")[: self.options.beam_width]
        order = order[scores[order] >= scores.max() + self.options.beam_prune_log_prob]
        endings = [endings[place] for place in order.tolist()]
        share = shares(scores[order]).tolist()
        texts = [prefixes.histories.texts(one.history, 0) for one in endings]
        places = [one.places for one in endings]
        seen: list[Sighting] = list(zip(share, texts, places, strict=True))
        return [
            self._hypothesis(one, words, seen)
            for one, words in zip(endings[:n], texts, strict=False)
        ]

    def _ended(self, search: Search, prefixes: Prefixes) -> list[_Ending]:
        """End every beam: equal transcripts are summed, the best beam's words stand for them."""
        rows = search.rows
        total = (rows.score + prefixes.score[rows.prefix]).T.ravel()  # both ends side by side
        found: dict[int, _Ending] = {}
        for place in np.argsort(-total, kind="stable").tolist()[: int((total > -np.inf).sum())]:
            row, end = divmod(place, 2)
            score, prefix = float(rows.score[end, row]), int(rows.prefix[row])
            places, is_open = rows.words[row], prefixes.parent[prefix] != NONE
            if is_open:
                places = (*places, open_word(rows.marks[:, row].tolist()))
                prefix = prefixes.close(prefix)
            history = int(prefixes.history[prefix])
            model = self._at_end(prefixes.histories[history], is_open=is_open)
            if history in found:
                one = found[history]
                both = float(np.logaddexp(one.acoustic, score))
                found[history] = replace(one, acoustic=both, model=model)
            else:
                gained = prefixes.histories[history].hotword_score
                found[history] = _Ending(history, places, score, model, gained)
        return list(found.values())

    def _at_end(self, history: History, *, is_open: bool) -> float:
        """Return what the language model gives with the end; of several ways here the last's."""
        score, state = history.model_score, history.model_state
        if self.options.empty_last_word and not is_open:
            gained, state = self._fusion.word(state, "")
            score += gained
        return score + self._fusion.end(state)

    def _hypothesis(self, one: _Ending, texts: list[str], seen: list[Sighting]) -> Hypothesis:
        words = tuple(
            spoken(text, place, share_of(seen, text, place))
            for text, place in zip(texts, one.places, strict=True)
        )
        text = self.alphabet.separator.join(word.text for word in words)
        return Hypothesis(text, words, one.acoustic, one.model, one.hotwords)


def _leave_best(heard: NDArray[np.bool_], log_probs: NDArray[np.floating], most: int) -> None:
    """Leave the best tokens of each frame."""
    for frame in np.flatnonzero(heard.sum(axis=1) > most).tolist():
        tokens = np.flatnonzero(heard[frame])
        worse = np.argpartition(log_probs[frame, tokens], len(tokens) - most)[:-most]
        heard[frame, tokens[worse]] = False
