"""The output tokens of a CTC model, and the text that a sequence of them spells.

Tokens are whatever the checkpoint's tokenizer says: letters of either case, syllables, phonemes of
several characters. Nothing about them is guessed: which id is the blank, which one (if any) parts
words, and which ones must never be heard (`<s>`, `</s>`, `<unk>`) is told by the bundle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import AlphabetError, LogProbsError


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The tokens of one model; a token's id is its place in `tokens`.

    Raises:
        AlphabetError: If an id lies outside the alphabet, if the blank or the delimiter is also
            special, or if two tokens that can be heard are the same.
    """

    tokens: tuple[str, ...]
    """Every token, in the order of the model's outputs."""
    blank_id: int
    """The CTC blank; Hugging Face models call it the padding token."""
    delimiter_id: int | None = None
    """The token between words, or None where the model has none and text is joined throughout."""
    special_ids: tuple[int, ...] = ()
    """Tokens that are never heard: start, end, unknown."""
    space: str = " "
    """What text has in place of the delimiter."""

    def __post_init__(self) -> None:
        named = {"blank_id": self.blank_id}
        if self.delimiter_id is not None:
            named["delimiter_id"] = self.delimiter_id
        specials = {f"special_ids[{place}]": id_ for place, id_ in enumerate(self.special_ids)}
        for name, id_ in {**named, **specials}.items():
            if not 0 <= id_ < self.size:
                raise AlphabetError(
                    f"{name} is {id_}, but the {self.size} tokens have ids 0 to {self.size - 1}: "
                    "take the ids from the model's own tokenizer"
                )
        for name, id_ in named.items():
            if id_ in self.special_ids:
                raise AlphabetError(
                    f"{name} is {id_}, which special_ids masks as well: leave it out of them"
                )
        if self.delimiter_id == self.blank_id:
            raise AlphabetError(
                f"blank and word delimiter are both token {self.blank_id}: a model that parts "
                "words needs a token of its own for it; give delimiter_id None if it has none"
            )
        self._refuse_twins()

    @property
    def size(self) -> int:
        """How many tokens there are: the width of the model's output."""
        return len(self.tokens)

    @property
    def separator(self) -> str:
        """What stands between two words in text: `space`, or nothing without a delimiter."""
        return "" if self.delimiter_id is None else self.space

    def masked(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Make the special tokens impossible; the others keep their values, unnormalised.

        Args:
            log_probs: Natural log-probabilities, `[n, V]`, V being `size`.

        Returns:
            A copy with `-inf` in the columns of the special tokens.

        Raises:
            LogProbsError: If the array is not `[n, V]`.
        """
        if log_probs.ndim != 2 or log_probs.shape[1] != self.size:  # noqa: PLR2004  (frames, tokens)
            raise LogProbsError(
                f"log-probabilities of shape {log_probs.shape} do not fit an alphabet of "
                f"{self.size} tokens: give [frames, {self.size}]"
            )
        masked = log_probs.copy()
        masked[:, list(self.special_ids)] = -np.inf
        return masked

    def less_blank(self, log_probs: NDArray[np.float32], nats: float) -> NDArray[np.float32]:
        """Take some of the blank away; the other tokens share what it had.

        Args:
            log_probs: Natural log-probabilities `[n, V]`; each row has a finite one.
            nats: 0 or more.

        Returns:
            A copy whose rows sum to 1 as probabilities.
        """
        less = log_probs.copy()
        less[:, self.blank_id] -= nats
        return less - np.logaddexp.reduce(less, axis=1, keepdims=True)

    def text(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Spell what one best id per frame says: runs are one token, then blanks go.

        It is `Wav2Vec2CTCTokenizer.decode` of `transformers`, character for character: two
        delimiters with a blank between them are two spaces.

        Args:
            ids: Token ids, one a frame, `[n]`.

        Returns:
            Text without spaces at its ends.

        >>> letters = Alphabet(("<pad>", "|", "A", "B"), blank_id=0, delimiter_id=1)
        >>> letters.text([2, 2, 0, 2, 3, 3, 1, 1, 3, 0])
        'AAB B'
        """
        frames = np.asarray(ids, dtype=np.int64)
        first_of_run = np.diff(frames, prepend=-1) != 0
        spelled = frames[first_of_run & (frames != self.blank_id)]
        return "".join(
            self.space if id_ == self.delimiter_id else self.tokens[id_] for id_ in spelled.tolist()
        ).strip()

    def _refuse_twins(self) -> None:
        first: dict[str, int] = {}
        for id_, token in enumerate(self.tokens):
            if id_ not in self.special_ids and first.setdefault(token, id_) != id_:
                raise AlphabetError(
                    f"token {token!r} has the ids {first[token]} and {id_}: each token that can "
                    "be heard needs one id; mask the spare one with special_ids"
                )
