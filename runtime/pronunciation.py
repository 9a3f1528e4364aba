"""How well a known text was pronounced: scores of letters, words and the whole, 0 to 100.

A letter's score is 100 times the root of its probability in its place: that the word, all else
being as it is written, has this letter there and not another, or none (`lm/goodness.py`). 100 is
certain; 50 a chance of a quarter; 10 one of a hundredth. A word's score is the mean over its
letters, and the whole's that over all letters; a word that is not said has 0. Speech between two
words that the text lacks counts against both of them. The scores are the model's: what it hears
badly in every voice it scores badly, and letters are no phones.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.alignment import AlignedScript, AlignedWord
from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.goodness import LEAST, aligned_goodness, alignment_free_goodness
from wav2edge.lm.script import WrittenWord

from .alignment import Alignment, TimedCharacter, TimedWord, json_line

Frames = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PronouncedLetter:
    """A letter, and how well it was said."""

    text: str
    score: float
    """0 to 100; the head of this module tells how it is made."""
    goodness: float
    """Over all alignments, nats: -25 to 0 (`wav2edge.lm.goodness`)."""
    aligned_goodness: float
    """On its own frames, nats; above 0 where it is the best letter there."""
    start_s: float | None
    end_s: float | None


@dataclass(frozen=True, slots=True)
class PronouncedWord:
    """A word of the text, and how well it was said."""

    text: str
    score: float
    """0 to 100; 0 where the audio lacks the word."""
    start_s: float | None
    end_s: float | None
    letters: tuple[PronouncedLetter, ...]

    @property
    def is_missing(self) -> bool:
        """Tell whether the audio lacks the word."""
        return self.start_s is None


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A text, and how well it was said."""

    score: float
    """0 to 100, over all letters."""
    words: tuple[PronouncedWord, ...]
    alignment: Alignment

    @classmethod
    def of(
        cls,
        found: AlignedScript,
        alignment: Alignment,
        log_probs: Frames,
        alphabet: Alphabet,
    ) -> "Pronunciation":
        """Score every letter.

        Args:
            found: The text in frames.
            alignment: And in seconds.
            log_probs: Of all frames, `[n, V]`.
            alphabet: The model's tokens.
        """
        words = tuple(
            PronouncedWord(
                written.text,
                _mean([letter.score for letter in letters]),
                timed.start_s,
                timed.end_s,
                letters,
            )
            for written, timed, letters in zip(
                found.script.words,
                alignment.words,
                _letters(found, alignment, log_probs, alphabet),
                strict=True,
            )
        )
        score = _mean([letter.score for word in words for letter in word.letters])
        return cls(score, words, alignment)

    def to_json(self) -> str:
        """Write one line of JSON: file, duration_s, score, words with letters, unexplained."""
        return json_line(
            {
                "file": self.alignment.file,
                "duration_s": round(self.alignment.duration_s, 3),
                "score": round(self.score, 1),
                "words": [
                    {
                        **_entry(word),
                        "letters": [
                            {
                                **_entry(letter),
                                "goodness": round(letter.goodness, 3),
                                "aligned_goodness": round(letter.aligned_goodness, 3),
                            }
                            for letter in word.letters
                        ],
                    }
                    for word in self.words
                ],
                "unexplained": [
                    {
                        "text": one.text,
                        "start_s": round(one.start_s, 3),
                        "end_s": round(one.end_s, 3),
                    }
                    for one in self.alignment.unexplained
                ],
            }
        )

    def to_txt(self) -> str:
        """Write a table: a line a word with its score, and the score under each letter's name."""
        width = max(len("word"), *(len(word.text) for word in self.words))
        lines = [f"{'word':{width}}  score  letters"]
        for word in self.words:
            letters = "  ".join(f"{letter.text} {letter.score:.0f}" for letter in word.letters)
            told = "not in the audio" if word.is_missing else letters
            lines.append(f"{word.text:{width}}  {word.score:5.0f}  {told}")
        lines += [
            f"{'':{width}}      -  not in the text, {one.start_s:.2f} to {one.end_s:.2f} s: heard "
            f"{one.text}"
            for one in self.alignment.unexplained
        ]
        return "\n".join([*lines, f"{'all':{width}}  {self.score:5.0f}"]) + "\n"


def score_of(goodness: float) -> float:
    """Map alignment-free goodness, nats, to 0 to 100: 100 times the root of a probability.

    >>> score_of(0.0), round(score_of(-1.3863), 1)
    (100.0, 50.0)
    """
    return 100 * math.exp(min(0.0, goodness) / 2)


def _letters(
    found: AlignedScript,
    alignment: Alignment,
    log_probs: Frames,
    alphabet: Alphabet,
) -> Iterator[tuple[PronouncedLetter, ...]]:
    """Yield each word's letters with their scores."""
    windows = _windows(found.words, len(log_probs))
    for written, word, timed, window in zip(
        found.script.words, found.words, alignment.words, windows, strict=True
    ):
        if timed.is_missing:
            yield tuple(
                PronouncedLetter(alphabet.tokens[id_], 0.0, LEAST, LEAST, None, None)
                for id_ in written.ids
            )
        else:
            yield _said(written, word, timed, log_probs, window, alphabet)


def _said(
    written: WrittenWord,
    word: AlignedWord,
    timed: TimedWord,
    log_probs: Frames,
    window: tuple[int, int],
    alphabet: Alphabet,
) -> tuple[PronouncedLetter, ...]:
    free = alignment_free_goodness(log_probs[slice(*window)], written.ids, alphabet)

    def letter(place: int, character: TimedCharacter) -> PronouncedLetter:
        token, goodness = word.tokens[place], float(free[place])
        own = log_probs[token.start_frame : token.end_frame]
        return PronouncedLetter(
            token.text,
            score_of(goodness),
            goodness,
            aligned_goodness(own, written.ids[place], alphabet),
            character.start_s,
            character.end_s,
        )

    return tuple(letter(place, one) for place, one in enumerate(timed.characters))


def _windows(words: Sequence[AlignedWord], n_frames: int) -> list[tuple[int, int]]:
    """Return for each word the frames between the words that are said before and after it."""
    said = [place for place, word in enumerate(words) if word.tokens]
    windows = [(0, 0)] * len(words)
    for before, place, after in zip([None, *said], said, [*said[1:], None], strict=False):
        start = 0 if before is None else words[before].tokens[-1].end_frame
        end = n_frames if after is None else words[after].tokens[0].start_frame
        windows[place] = (start, end)
    return windows


def _mean(scores: Sequence[float]) -> float:
    return math.fsum(scores) / len(scores)


def _entry(one: PronouncedWord | PronouncedLetter) -> dict[str, object]:
    return {
        "text": one.text,
        "score": round(one.score, 1),
        "start_s": None if one.start_s is None else round(one.start_s, 3),
        "end_s": None if one.end_s is None else round(one.end_s, 3),
    }
