"""Decoding where only certain phrases may be said: the best of them, or nothing.

The search is exact Viterbi over the graph of all phrases (`lm/phrase_graph.py`), so that a word can
only be heard where a phrase allows it. Whatever is said, some phrase is the best; so it is compared
with what the model heard freely, the best token of every frame (the likelihood ratio of Rose and
Paul 1990, "A hidden Markov model based keyword recognition system", with the free path as filler):

    fit = exp((log p(best phrase path) - log p(free path)) / tokens of the phrase)

It is 1 where both agree and falls with every token that was forced; it does not depend on how long
the phrase is, nor on the silence around it. The same is asked of each word alone, which may cost
twice as much a token: one word that no phrase has is not outvoted by the many around it. A phrase
that fits less than `reject` is not returned.

A model that hears little gives most of every frame to the blank, and long phrases lose against
short ones. `blank_penalty` divides the blank by what it is given too often, for phrases and free
path alike (of the label priors by which Miao et al. 2015, "EESEN", section 3.3, divide, the one
that matters).

The search begins with speech (a frame whose best token is neither blank nor word delimiter) and
looks back a little, so that hours of silence cost nothing and leave nothing behind.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .decoder import LEAD_FRAMES
from .errors import DecoderError, LogProbsError
from .greedy import SpokenWord
from .phrase_graph import compile_templates
from .phrase_search import Floats, Run, Scores, Search, build_graph
from .templates import Templates

REJECT = 0.35
"""The default of `reject`: a token may cost about one nat, on average."""
EXACT_NODES = 8000
"""Graphs up to this size are searched exactly."""
BEAM = 20.0
"""Nats; larger graphs are searched in a beam this wide."""
_CHECK_FRAMES = 16  # so often it is asked whether a phrase can still fit


@dataclass(frozen=True, slots=True)
class Match:
    """The best phrase, accepted or not."""

    words: tuple[SpokenWord, ...]
    log_ratio: float
    """Log-probability of its best path less that of the free path, in nats; 0 at most."""
    fit: float
    """0 to 1; the head of this module tells how it is made."""


@dataclass(frozen=True, slots=True, eq=False)
class PhraseState:
    """All that decoding remembers between two calls; its arrays are never written to."""

    n_frames: int = 0
    """Frames decoded so far."""
    rows: tuple[Floats, ...] = ()
    """Scores of the frames of this utterance; before it, of the newest frames."""
    history: tuple[Scores, ...] = ()
    """Of its paths, before its first frame and after each; empty before it."""
    is_none: bool = False
    """Whether it can be none of the phrases any more, however it goes on."""
    n_silent: int = 0
    """Frames since the newest spoken one."""

    def __eq__(self, other: object) -> bool:
        """Compare all that is remembered, value by value."""
        if not isinstance(other, PhraseState):
            return NotImplemented
        plain = (self.n_frames, self.is_none, self.n_silent, len(self.rows), len(self.history))
        return (
            plain
            == (other.n_frames, other.is_none, other.n_silent, len(other.rows), len(other.history))
            and all(map(np.array_equal, self.rows, other.rows))
            and all(
                np.array_equal(mine, theirs)
                for ours, others in zip(self.history, other.history, strict=True)
                for mine, theirs in zip(ours[1:], others[1:], strict=True)
            )
        )

    __hash__ = None  # type: ignore[assignment]  # it holds arrays


class PhraseDecoder:
    """Hears the phrases of some templates and nothing else.

    An utterance is accepted or rejected whole, at its end: `finish` gives its words, or none. Words
    are spelled as the alphabet spells them. A word's confidence is the `fit` of its own part: what
    its tokens, and the silence behind it, cost against what was heard freely there.

    Args:
        alphabet: The model's tokens.
        templates: What may be said.
        reject: A phrase that fits less is rejected, 0 to 1; 0 accepts the best one always.
        pause_frames: So many frames without a token end an utterance: `advance` then returns its
            words, and the next may follow. None: it ends with `finish` or `restart`, as the
            endpointing of a stream has it.
        max_frames: An utterance with more frames is none of the phrases. (Where phrases have an
            end it is known much sooner: when even the longest would fit too little.)
        blank_penalty: Taken off the blank's log-probabilities, in nats; 0 leaves them.
        beam: Drop paths so much worse than the best, in nats. None: exact for graphs up to
            `EXACT_NODES` nodes, `BEAM` for larger ones; `math.inf`: always exact.

    Raises:
        TemplateError: If the alphabet cannot spell a word, or the graph would be too large.
        DecoderError: If an option is out of range.

    >>> letters = Alphabet(("_", "|", "N", "O"), blank_id=0, delimiter_id=1)
    >>> decoder = PhraseDecoder(letters, Templates.of(["no", "on"]))
    >>> frames = np.log(np.eye(4, dtype=np.float32)[[0, 2, 2, 3, 0, 1]] * 0.96 + 0.01)
    >>> _, state = decoder.advance(decoder.start(), frames)
    >>> [(word.text, word.start_frame, word.end_frame) for word in decoder.finish(state)]
    [('NO', 1, 4)]
    """

    knows_noise = True
    """It knows by itself what was not said to it."""

    def __init__(
        self,
        alphabet: Alphabet,
        templates: Templates,
        *,
        reject: float = REJECT,
        pause_frames: int | None = None,
        max_frames: int = 600,
        blank_penalty: float = 0.0,
        beam: float | None = None,
    ) -> None:
        in_range = 0 <= reject <= 1 and (beam is None or beam > 0) and 0 <= blank_penalty < math.inf
        if not in_range or max_frames < 1 or (pause_frames is not None and pause_frames < 1):
            raise DecoderError(
                f"reject is {reject!r}, beam {beam!r}, max_frames {max_frames!r}, pause_frames "
                f"{pause_frames!r}, blank_penalty {blank_penalty!r}: expected reject from 0 to 1, "
                "blank_penalty 0 or more, the others above 0"
            )
        self.alphabet = alphabet
        self.reject = reject
        graph = build_graph(compile_templates(templates, alphabet), alphabet)
        if beam is None and graph.n_nodes > EXACT_NODES:
            beam = BEAM
        self._search = Search(graph, None if beam in (None, math.inf) else beam)
        self._pause_frames, self._max_frames = pause_frames, max_frames
        self._blank_penalty = blank_penalty
        self._least_score = graph.most_tokens * math.log(reject) if reject else -math.inf

    @property
    def n_nodes(self) -> int:
        """How large the graph is: its tokens and gaps."""
        return self._search.graph.n_nodes

    def start(self) -> PhraseState:
        """Return the state before the first frame."""
        return PhraseState()

    def n_frames(self, state: PhraseState) -> int:
        """Return how many frames were decoded so far."""
        return state.n_frames

    def restart(self, state: PhraseState) -> PhraseState:
        """Return the state for a new utterance: frames count on, the rest is forgotten."""
        return PhraseState(state.n_frames)

    def advance(
        self, state: PhraseState, log_probs: NDArray[np.float32]
    ) -> tuple[tuple[SpokenWord, ...], PhraseState]:
        """Decode more frames.

        Args:
            state: What `start`, `restart` or the last `advance` returned.
            log_probs: Natural log-probabilities over all tokens, `[n, V]`; n may be 0.

        Returns:
            The words of phrases that a pause ended in these frames (none without `pause_frames`),
            and the state after them.

        Raises:
            LogProbsError: If the array is not `[n, V]`, or a frame holds NaN or no possible token.
        """
        masked = self.alphabet.masked(log_probs)
        if not np.isfinite(masked.max(axis=1)).all():
            raise LogProbsError(
                f"log-probabilities after frame {state.n_frames} hold NaN, or a frame without any "
                "possible token: the model itself went wrong; check its parity report"
            )
        silence = (self.alphabet.blank_id, self.alphabet.delimiter_id)
        spoken = [id_ not in silence for id_ in masked.argmax(axis=1).tolist()]
        words: tuple[SpokenWord, ...] = ()
        masked[:, self.alphabet.blank_id] -= self._blank_penalty
        for row, is_spoken in zip(
            self._search.graph.rows(masked, self.alphabet), spoken, strict=True
        ):
            state = self._take(state, row, is_spoken=is_spoken)
            if self._pause_frames is not None and state.n_silent == self._pause_frames:
                words += self.finish(state)
                state = self.restart(state)
        return words, state

    def finish(self, state: PhraseState) -> tuple[SpokenWord, ...]:
        """Return the phrase that was said if the audio ends here, or nothing."""
        if not state.history:
            return ()
        return self._accepted(state, *self._search.best_end(state.history[-1]))

    def match(self, state: PhraseState) -> Match | None:
        """Return the best whole phrase so far, however little it fits; None if nothing was said."""
        if not state.history:
            return None
        return self._match(state, *self._search.best_end(state.history[-1]))

    def partial(self, state: PhraseState) -> tuple[SpokenWord, ...]:
        """Return the words of the best phrase as far as it was said, to be shown and not acted on.

        The last one may still be a part of a word. Nothing is shown where it fits too little.
        """
        if not state.history:
            return ()
        return self._accepted(state, *self._search.best(state.history[-1]))

    def preview(self, state: PhraseState, log_probs: NDArray[np.float32]) -> tuple[str, ...]:
        """Return the words of `partial` if these frames `[n, V]` come next."""
        words, state = self.advance(state, log_probs)
        return tuple(word.text for word in (*words, *self.partial(state)))

    def _take(self, state: PhraseState, row: Floats, *, is_spoken: bool) -> PhraseState:
        """Fold one frame into the state."""
        n_silent = 0 if is_spoken else state.n_silent + 1
        state = replace(state, n_frames=state.n_frames + 1, n_silent=n_silent)
        if state.is_none:
            return state
        if not state.history and not is_spoken:
            return replace(state, rows=(*state.rows, row)[-LEAD_FRAMES:])
        history, rows = state.history, (*state.rows, row)
        if not history:  # speech: what was kept of the frames before it is searched with it
            history = (self._search.start(),)
        for one in rows[len(history) - 1 :]:
            history = (*history, self._search.advance(history[-1], one))
        if self._is_hopeless(history):
            return PhraseState(state.n_frames, is_none=True, n_silent=n_silent)
        return replace(state, rows=rows, history=history)

    def _is_hopeless(self, history: tuple[Scores, ...]) -> bool:
        """Tell whether nothing that follows could make a phrase of this."""
        n_frames = len(history) - 1
        if n_frames > self._max_frames:
            return True
        # Scores only fall, and what a phrase may cost grows with its tokens.
        return (
            n_frames % _CHECK_FRAMES == 0 and self._search.best(history[-1])[1] < self._least_score
        )

    def _accepted(self, state: PhraseState, node: int, score: float) -> tuple[SpokenWord, ...]:
        """Return the words of the path that ends in a node, if they fit."""
        if score < self._least_score:  # it cannot: no need to trace it
            return ()
        match = self._match(state, node, score)
        return match.words if match is not None and match.fit >= self.reject else ()

    def _match(self, state: PhraseState, node: int, score: float) -> Match | None:
        """Trace the path that ends in a node."""
        if score == -np.inf:
            return None
        words = self._words(self._search.trace(state.history, state.rows, node))
        n_tokens = sum(map(len, words))
        if not n_tokens:
            return None
        first_frame = state.n_frames - len(state.rows)
        rows = np.stack(state.rows)
        bounds = [*(word[0].start for word in words[1:]), len(rows)]
        spoken = [
            SpokenWord(
                "".join(
                    self.alphabet.tokens[self._search.graph.token_ids[run.node]] for run in word
                ),
                first_frame + word[0].start,
                first_frame + word[-1].end,
                self._confidence(word, rows[:end]),
            )
            for word, end in zip(words, bounds, strict=True)
        ]
        weakest = min(word.confidence for word in spoken)
        return Match(tuple(spoken), score, min(math.exp(score / n_tokens), math.sqrt(weakest)))

    def _words(self, runs: list[Run]) -> list[list[Run]]:
        """Part the tokens of a path into words; silences are left out."""
        words: list[list[Run]] = []
        for run in runs:
            if self._search.graph.token_ids[run.node] >= 0:
                if run.starts_word:
                    words.append([])
                words[-1].append(run)
        return words

    def _confidence(self, word: list[Run], rows: Floats) -> float:
        """Return the fit of a word, and of the silence behind it up to the end of the rows."""
        blank = np.maximum(rows[:, 0], rows[:, 1])
        cost = float(blank[word[0].start :].sum())
        for run in word:
            column = self._search.graph.columns[run.node]
            frames = slice(run.start, run.end)
            cost += float((rows[frames, column] - blank[frames]).sum())
        return math.exp(min(cost, 0.0) / len(word))
