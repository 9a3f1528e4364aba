"""Subtitles: segments cut into what is on screen at one time, as SubRip or WebVTT.

A whole transcript is written at once; live captions grow by what each segment adds:

    subtitles = Subtitles("vtt")
    file.write(subtitles.head)
    file.write(subtitles.add(event.segment, until_s=event.time_s))  # for each Final
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from .errors import OptionsError

if TYPE_CHECKING:
    from .transcript import Segment, Word

# BBC and Netflix guidelines agree on two lines of 42 characters and about seven seconds.
CUE_S = 7.0
CUE_LINE = 42  # characters
CUE_LINES = 2
CUE_SHORTEST_S = 1.0  # on screen, where the next cue leaves the time


class Subtitles:
    """Subtitles that grow: what `add` returns is written behind what is there.

    Args:
        form: `srt` (SubRip) or `vtt` (WebVTT, https://www.w3.org/TR/webvtt1/).
        separator: What stands between words in text.

    Raises:
        OptionsError: If the form is another.
    """

    def __init__(self, form: Literal["srt", "vtt"] = "srt", *, separator: str = " ") -> None:
        if form not in ("srt", "vtt"):
            raise OptionsError(f"form is {form!r}, expected srt or vtt")
        self._is_vtt, self._separator = form == "vtt", separator
        self.head = "WEBVTT\n" if self._is_vtt else ""
        """What the file begins with."""
        self.n_cues = 0
        """So far."""

    def add(self, segment: "Segment", until_s: float) -> str:
        """Return the cues of one more segment, ready to be appended.

        Args:
            segment: The next one.
            until_s: Seconds from the start of the audio: no cue stays longer on screen than to
                here, unless its words do. The start of the next segment, the end of the audio, or
                live, `Final.time_s`.
        """
        return "".join(map(self._written, cues(segment, until_s, separator=self._separator)))

    def _written(self, cue: tuple[float, float, str]) -> str:
        start_s, end_s, text = cue
        self.n_cues += 1
        if self._is_vtt:
            return f"\n{_clock(start_s, '.')} --> {_clock(end_s, '.')}\n{_escaped(text)}\n"
        gap = "\n" if self.n_cues > 1 else ""
        return f"{gap}{self.n_cues}\n{_clock(start_s, ',')} --> {_clock(end_s, ',')}\n{text}\n"


def cues(
    segment: "Segment", until_s: float, *, separator: str = " "
) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and text of what is on screen at one time.

    A cue is at most two lines and about seven seconds, cut between words. One that would only flash
    stays a little longer, as far as the next one and `until_s` allow.
    """
    parts = list(_split(segment, separator))
    ends_s = [*(following[0].start_s for _, (following, _) in pairwise(parts)), until_s]
    for (words, text), next_s in zip(parts, ends_s, strict=True):
        shown_s = max(words[-1].end_s, words[0].start_s + CUE_SHORTEST_S)
        yield words[0].start_s, max(words[-1].end_s, min(shown_s, next_s)), text


def _split(segment: "Segment", separator: str) -> "Iterator[tuple[list[Word], str]]":
    """Cut a segment into words that fit on the screen together, with the lines they make."""
    fitting: list[Word] = []
    for word in segment.words:
        more = [*fitting, word]
        long = word.end_s - more[0].start_s > CUE_S
        if fitting and (long or len(_lines(more, separator)) > CUE_LINES):
            yield fitting, "\n".join(_lines(fitting, separator))
            more = [word]
        fitting = more
    yield fitting, "\n".join(_lines(fitting, separator))


def _lines(words: "Sequence[Word]", separator: str) -> list[str]:
    """Set words in lines of `CUE_LINE` characters; a longer word has a line of its own."""
    lines = [words[0].text]
    for word in words[1:]:
        longer = lines[-1] + separator + word.text
        if len(longer) <= CUE_LINE:
            lines[-1] = longer
        else:
            lines.append(word.text)
    return lines


def _clock(time_s: float, point: str) -> str:
    """Write a time as HH:MM:SS and milliseconds behind `point`."""
    seconds, milliseconds = divmod(round(time_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
