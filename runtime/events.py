"""What a stream tells: speech begins, text grows, a segment is final, speech ends.

    SpeechStart  Partial  Partial ...  Final  SpeechEnd        once for each segment, in this order
    SpeechStart  Partial  Partial ...         SpeechEnd        a segment that was rejected

Within a segment `Partial.stable` only grows and `Final.segment.text` begins with it; nothing
changes after a `Final`. A segment that the model itself hardly believes in (its confidence is below
the bundle's `reject_below`), or that held no word, is noise: it has no `Final`, and its `SpeechEnd`
says "rejected". So whoever acts on `Final` alone never acts on noise, and whoever shows partials
takes them away at `SpeechEnd`, whatever its reason.

Events are values; two are equal if they tell the same, however late they came (`lag_s` does not
count).
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from .transcript import Segment


class Told:
    """What every event can be written as."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the event's name under `event`; times to the millisecond."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        values.pop("separator", None)
        return {"event": NAMES[type(self)], **_rounded(values)}

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class SpeechStart(Told):
    """Somebody speaks."""

    segment_id: int
    """Counts the segments of a stream from 0."""
    time_s: float
    """Where the first word starts, less the pre-roll; seconds from the stream's first sample."""
    lag_s: float = field(default=0.0, compare=False)
    """How far the computing is behind a source that delivers in real time."""


@dataclass(frozen=True, slots=True)
class Partial(Told):
    """The text of the open segment so far. It comes when the text changed."""

    segment_id: int
    stable: str
    """Whole words that will not change any more, unless the whole segment is rejected."""
    unstable: str
    """What may still change: the word that is being said, and what the look-ahead suggests."""
    time_s: float
    """How much of the audio the text accounts for."""
    lag_s: float = field(default=0.0, compare=False)
    separator: str = field(default=" ", compare=False)

    @property
    def text(self) -> str:
        """Both parts as one text."""
        return self.separator.join(part for part in (self.stable, self.unstable) if part)


@dataclass(frozen=True, slots=True)
class Final(Told):
    """A segment as it stays."""

    segment_id: int
    segment: Segment
    time_s: float
    """How much of the audio was final when the segment ended."""
    lag_s: float = field(default=0.0, compare=False)

    @property
    def text(self) -> str:
        """The segment's text."""
        return self.segment.text


@dataclass(frozen=True, slots=True)
class SpeechEnd(Told):
    """A segment is over, or nobody has spoken for a while."""

    segment_id: int | None
    """None if there was no segment: nobody spoke."""
    time_s: float
    reason: str
    """"silence", "too long" or "finish" after a `Final`; "rejected" where there is none, and what
    was shown is to be taken back; "no speech" where there was no segment."""
    lag_s: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Overflow(Told):
    """A source delivered faster than it was read, and the oldest audio was dropped.

    Times stay true.
    """

    time_s: float
    """Where the gap begins."""
    lost_s: float
    lag_s: float = field(default=0.0, compare=False)


Event = SpeechStart | Partial | Final | SpeechEnd | Overflow
NAMES: dict[type, str] = {
    SpeechStart: "speech_start",
    Partial: "partial",
    Final: "final",
    SpeechEnd: "speech_end",
    Overflow: "overflow",
}


def to_dict(event: Event) -> dict[str, Any]:
    """Return an event as plain values; see `Told.to_dict`."""
    return event.to_dict()


def to_json(event: Event) -> str:
    """Return an event as one line of JSON."""
    return event.to_json()


def _rounded(value: Any) -> Any:  # noqa: ANN401  (plain JSON values of any depth)
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
