"""A known text, laid over a recording: when each word and letter of it is said, in every format.

What decides is in `lm/alignment.py`; here frames become seconds, and words captions.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wav2edge.lm.alignment import AlignedScript, AlignedToken, AlignedWord

from .frames import Geometry
from .textgrid import Interval, textgrid
from .transcript import Transcript, Word

Entry = dict[str, object]


@dataclass(frozen=True, slots=True)
class TimedCharacter:
    """A token of a word with its place in time."""

    text: str
    """As the model's alphabet spells it."""
    start_s: float
    end_s: float
    confidence: float
    """Its highest posterior, 0 to 1."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of the text with its place in time, if it has one."""

    text: str
    """As it was written, with the marks around it."""
    start_s: float | None
    """Seconds from the start of the audio; None: the audio lacks the word."""
    end_s: float | None
    confidence: float
    """The geometric mean of its characters' confidences; 0 where the audio lacks the word."""
    characters: tuple[TimedCharacter, ...]

    @property
    def is_missing(self) -> bool:
        """Tell whether the audio lacks the word."""
        return not self.characters


@dataclass(frozen=True, slots=True)
class Unexplained:
    """Speech between words that the text lacks."""

    text: str
    """What greedy decoding hears there."""
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """Every word of a text, in order, and what of the audio none of them explains."""

    words: tuple[TimedWord, ...]
    unexplained: tuple[Unexplained, ...]
    duration_s: float
    """Seconds of audio."""
    log_ratio: float
    """Nats a frame that the text is less likely than what would be heard freely; 0 at best."""
    file: str | None = None
    """The recording's name as it was given; None for an array."""
    separator: str = " "
    """What stands between words in text: nothing where an alphabet has no word delimiter."""

    @classmethod
    def of(
        cls,
        found: AlignedScript,
        geometry: Geometry,
        *,
        duration_s: float,
        file: str | None = None,
        separator: str = " ",
    ) -> "Alignment":
        """Give words their times.

        As in a transcript, a token lasts from half a hop before the centre of what its first frame
        sees to half a hop after the last's.

        Args:
            found: In frames.
            geometry: Of the frames.
            duration_s: Of the audio; no time is later.
            file: The recording's name.
            separator: What stands between words in text.
        """
        clock = Clock(geometry, duration_s)
        return cls(
            tuple(clock.word(word) for word in found.words),
            tuple(
                Unexplained(one.text, clock(one.start_frame), clock(one.end_frame))
                for one in found.unexplained
            ),
            duration_s,
            found.log_ratio / max(1, found.n_frames),
            file,
            separator,
        )

    @property
    def missing(self) -> tuple[TimedWord, ...]:
        """The words that the audio lacks."""
        return tuple(word for word in self.words if word.is_missing)

    @property
    def transcript(self) -> Transcript:
        """The words that are said, as if they had been heard."""
        return Transcript.of(
            [
                Word(word.text, word.start_s, word.end_s, word.confidence)
                for word in self.words
                if word.start_s is not None and word.end_s is not None
            ],
            duration_s=self.duration_s,
            file=self.file,
            separator=self.separator,
        )

    def to_json(self) -> str:
        """Write one line of JSON: file, duration_s, log_ratio, words, missing, unexplained.

        A word has text, start_s, end_s, confidence and characters; one that the audio lacks has
        null for its times. `missing` are the places of those in `words`, from 0 on.
        """
        line = {
            "file": self.file,
            "duration_s": round(self.duration_s, 3),
            "log_ratio": round(self.log_ratio, 4),
            "words": [
                {**_entry(word), "characters": [_entry(one) for one in word.characters]}
                for word in self.words
            ],
            "missing": [place for place, word in enumerate(self.words) if word.is_missing],
            "unexplained": [
                {"text": one.text, "start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3)}
                for one in self.unexplained
            ],
        }
        return json_line(line)

    def to_txt(self) -> str:
        """Write a line a word: start, end, confidence, text; what does not fit, in its place."""
        return "".join(f"{line}\n" for line in self._lines())

    def to_srt(self) -> str:
        """Write SubRip captions of the words that are said; see `Transcript.to_srt`."""
        return self.transcript.to_srt()

    def to_vtt(self) -> str:
        """Write WebVTT captions of the words that are said."""
        return self.transcript.to_vtt()

    def to_textgrid(self) -> str:
        """Write a Praat TextGrid: tiers of words, of characters, and of unexplained speech."""
        said = [word for word in self.words if not word.is_missing]
        tiers = {
            "words": [Interval(one.start_s or 0.0, one.end_s or 0.0, one.text) for one in said],
            "characters": [
                Interval(one.start_s, one.end_s, one.text)
                for word in said
                for one in word.characters
            ],
            "unexplained": [Interval(one.start_s, one.end_s, one.text) for one in self.unexplained],
        }
        return textgrid(tiers, self.duration_s)

    def _lines(self) -> Iterator[str]:
        waiting = list(self.unexplained)
        for word in self.words:
            if word.start_s is None or word.end_s is None:
                yield f"{'-':>8} {'-':>8}    -  {word.text}  (not in the audio)"
                continue
            while waiting and waiting[0].start_s < word.start_s:
                yield _unexplained_line(waiting.pop(0))
            yield f"{word.start_s:8.2f} {word.end_s:8.2f} {word.confidence:.2f}  {word.text}"
        yield from map(_unexplained_line, waiting)


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns frames into seconds."""

    geometry: Geometry
    duration_s: float

    def __call__(self, frame: int) -> float:
        """Return where a frame begins, seconds: half a hop before the centre of what it sees."""
        return min(max(0.0, self.geometry.center_s(frame - 0.5)), self.duration_s)

    def character(self, token: AlignedToken) -> TimedCharacter:
        """Give a token its times."""
        start_s, end_s = self(token.start_frame), self(token.end_frame)
        return TimedCharacter(token.text, start_s, end_s, token.confidence)

    def word(self, word: AlignedWord) -> TimedWord:
        """Give a word its times, if it has any."""
        characters = tuple(map(self.character, word.tokens))
        if not characters:
            return TimedWord(word.text, None, None, 0.0, ())
        start_s, end_s = characters[0].start_s, characters[-1].end_s
        return TimedWord(word.text, start_s, end_s, word.confidence, characters)


def json_line(line: Mapping[str, object]) -> str:
    """Write an object as one line; a file name that is no UTF-8 is escaped."""
    written = json.dumps(line, ensure_ascii=False, allow_nan=False)
    return written.encode("utf-8", "backslashreplace").decode("utf-8")


def _entry(one: TimedWord | TimedCharacter) -> Entry:
    return {
        "text": one.text,
        "start_s": None if one.start_s is None else round(one.start_s, 3),
        "end_s": None if one.end_s is None else round(one.end_s, 3),
        "confidence": round(one.confidence, 4),
    }


def _unexplained_line(one: Unexplained) -> str:
    return f"{one.start_s:8.2f} {one.end_s:8.2f}    -  (not in the text; heard {one.text})"
