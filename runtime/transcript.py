"""What was heard: words, the segments that pauses make of them, and the formats they travel in."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from .subtitles import Subtitles

if TYPE_CHECKING:
    from wav2edge.lm.greedy import SpokenWord

    from .frames import Geometry

PAUSE_S = 1.0  # silence between two words that ends a segment


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its place in time."""

    text: str
    start_s: float
    """Seconds from the start of the audio."""
    end_s: float
    """Seconds from the start of the audio."""
    confidence: float
    """0 to 1; `wav2edge.lm.greedy.SpokenWord` tells how it is made."""


def timed(words: "Sequence[SpokenWord]", geometry: "Geometry", duration_s: float) -> "list[Word]":
    """Give words their times.

    A word lasts from half a hop before the centre of what its first frame sees to half a hop after
    the last's.

    Args:
        words: In order.
        geometry: Of the frames they were heard in.
        duration_s: Of the audio; no time is later.
    """
    return [
        Word(
            text=word.text,
            start_s=min(max(0.0, geometry.center_s(word.start_frame - 0.5)), duration_s),
            end_s=min(geometry.center_s(word.end_frame - 0.5), duration_s),
            confidence=word.confidence,
        )
        for word in words
    ]


@dataclass(frozen=True, slots=True)
class Segment:
    """Words with no long pause between them."""

    text: str
    start_s: float
    """Where the first word starts."""
    end_s: float
    """Where the last word ends."""
    confidence: float
    """The geometric mean of the words' confidences."""
    words: tuple[Word, ...]

    @classmethod
    def of(cls, words: Sequence[Word], *, separator: str = " ") -> "Segment":
        """Make a segment of words, at least one.

        Args:
            words: In order.
            separator: What stands between them in text.
        """
        logs = [math.log(max(word.confidence, 1e-30)) for word in words]
        return cls(
            text=separator.join(word.text for word in words),
            start_s=words[0].start_s,
            end_s=words[-1].end_s,
            confidence=math.exp(math.fsum(logs) / len(logs)),
            words=tuple(words),
        )


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that was heard in one recording."""

    text: str
    segments: tuple[Segment, ...]
    duration_s: float
    """Seconds of audio that were heard."""
    file: str | None = None
    """The recording's name as it was given; None for an array."""
    separator: str = " "
    """What stands between words in text: nothing where an alphabet has no word delimiter."""

    @classmethod
    def of(
        cls,
        words: Sequence[Word],
        *,
        duration_s: float,
        file: str | None = None,
        separator: str = " ",
        pause_s: float = PAUSE_S,
    ) -> "Transcript":
        """Make a transcript of words.

        Args:
            words: In order; there may be none.
            duration_s: Seconds of audio.
            file: The recording's name.
            separator: What stands between words in text.
            pause_s: Silence between two words that starts a new segment.
        """
        parts: list[list[Word]] = [[word] for word in words[:1]]
        for last, word in pairwise(words):
            if word.start_s - last.end_s > pause_s:
                parts.append([])
            parts[-1].append(word)
        segments = tuple(Segment.of(part, separator=separator) for part in parts)
        text = separator.join(segment.text for segment in segments)
        return cls(text, segments, duration_s, file, separator)

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    def to_json(self) -> str:
        """Write one line of JSON: file, text, duration_s, segments with their words.

        Times have three decimals, confidences four.
        """
        line = {
            "file": self.file,
            "text": self.text,
            "duration_s": round(self.duration_s, 3),
            "segments": [
                {**_entry(segment), "words": [_entry(word) for word in segment.words]}
                for segment in self.segments
            ],
        }
        written = json.dumps(line, ensure_ascii=False, allow_nan=False)
        # A file name that is no UTF-8 holds lone surrogates; written like this they are JSON too.
        return written.encode("utf-8", "backslashreplace").decode("utf-8")

    def to_srt(self) -> str:
        """Write SubRip subtitles; the empty text if nothing was heard."""
        return self._subtitles("srt")

    def to_vtt(self) -> str:
        """Write WebVTT subtitles (https://www.w3.org/TR/webvtt1/)."""
        return self._subtitles("vtt")

    def _subtitles(self, form: Literal["srt", "vtt"]) -> str:
        written = Subtitles(form, separator=self.separator)
        limits_s = [*(segment.start_s for segment in self.segments[1:]), self.duration_s]
        added = map(written.add, self.segments, limits_s)
        return written.head + "".join(added)


def _entry(heard: Word | Segment) -> dict[str, object]:
    return {
        "text": heard.text,
        "start_s": round(heard.start_s, 3),
        "end_s": round(heard.end_s, 3),
        "confidence": round(heard.confidence, 4),
    }
