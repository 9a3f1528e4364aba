"""Events and their two clocks -> what somebody in front of the screen notices.

Everything here is arithmetic on values; nothing is measured. The terms are those of: Shangguan et
al. 2020 (arXiv:2006.01416) for the ratio of unstable words; Macháček et al. 2023 (arXiv:2307.14743)
for the emission delay of aligned words and for delays aware and unaware of computing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from wav2edge.lm.scoring import spoken_words
from wav2edge.runtime.endpoint import Reason
from wav2edge.runtime.events import Final, Partial, SpeechEnd
from wav2edge.runtime.transcript import Word

from .playback import Shown


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time on both clocks, in seconds."""

    heard_s: float
    """Audio delivered by then: unaware of computing."""
    shown_s: float
    """Aware of it."""

    def after(self, time_s: float) -> "Moment":
        """Return how long after a point in the audio it is."""
        return Moment(self.heard_s - time_s, self.shown_s - time_s)


@dataclass(frozen=True, slots=True)
class View:
    """What stood on the screen of one segment, from one moment on."""

    words: tuple[str, ...]
    n_stable: int
    """The first of them will not change any more."""
    at: Moment


@dataclass(frozen=True, slots=True)
class Story:
    """One segment from its first view to its last."""

    views: tuple[View, ...]
    """The last one is the final text; it is empty if the segment came to nothing."""
    words: tuple[Word, ...]
    """Of the final, with their times."""
    reason: str | None
    """Why the segment ended, as `SpeechEnd` tells it."""
    ended_s: float = 0.0
    """Where in the audio that was decided; the chunk and the look-ahead come on top."""

    @property
    def final_at(self) -> Moment:
        """When the final text was there."""
        return self.views[-1].at


@dataclass(frozen=True, slots=True)
class WordStory:
    """A word of a final, and when the screen showed it."""

    word: Word
    first: Moment
    """It stood at its place for the first time."""
    stable: Moment
    """It was told to be stable, or final."""
    n_changes: int
    """How often something else stood at its place before."""


def stories(shown: Iterable[Shown], *, separator: str = " ") -> list[Story]:
    """Sort events by segment.

    Args:
        shown: Of one stream, in order.
        separator: What stands between words in text; where it is empty each character is a word.
    """
    views: dict[int, list[View]] = {}
    words: dict[int, tuple[Word, ...]] = {}
    ends: dict[int, tuple[str, float]] = {}
    for one in shown:
        event, at = one.event, Moment(one.heard_s, one.shown_s)
        if isinstance(event, Partial):
            stable, unstable = _parts(event.stable, separator), _parts(event.unstable, separator)
            views.setdefault(event.segment_id, []).append(View(stable + unstable, len(stable), at))
        elif isinstance(event, Final):
            words[event.segment_id] = found = _units(event.segment.words, separator)
            view = View(tuple(word.text for word in found), len(found), at)
            views.setdefault(event.segment_id, []).append(view)
        elif isinstance(event, SpeechEnd) and event.segment_id is not None:
            ends[event.segment_id] = (event.reason, event.time_s)
            if event.segment_id not in words:  # whatever was shown is taken back
                views.setdefault(event.segment_id, []).append(View((), 0, at))
    return [
        Story(tuple(views[id_]), words.get(id_, ()), *ends.get(id_, (None, 0.0)))
        for id_ in sorted(views)
    ]


def word_stories(story: Story) -> list[WordStory]:
    """Tell for each word of a segment's final when it was shown and when it was stable."""
    found = []
    changed = [place for places in changes(story) for place in places]
    for place, word in enumerate(story.words):
        first = next(view for view in story.views if view.words[place : place + 1] == (word.text,))
        stable = next(view for view in story.views if view.n_stable > place)
        found.append(WordStory(word, first.at, stable.at, changed.count(place)))
    return found


def changes(story: Story) -> Iterator[list[int]]:
    """Yield, for each view but the first, the places of the words that it changed or took back.

    A last word that goes on growing (SEV -> SEVEN) is not changed.
    """
    for before, after in pairwise(story.views):
        last = len(before.words) - 1
        yield [
            place
            for place, word in enumerate(before.words)
            if not _kept(word, after.words[place : place + 1], growing=place == last)
        ]


def matched(reference: Sequence[str], hypothesis: Sequence[str]) -> list[tuple[int, int]]:
    """Pair the words that the least number of edits leaves alone (Levenshtein 1966).

    >>> matched(["A", "B", "C"], ["X", "B", "C"])
    [(1, 1), (2, 2)]
    """
    n, m = len(reference), len(hypothesis)
    edits = [[i + j for j in range(m + 1)] for i in range(n + 1)]  # of the ends from i and j on
    for i in range(n, -1, -1):
        for j in range(m, -1, -1):
            if i == n or j == m:
                edits[i][j] = n - i + m - j
            else:
                other = 1 + min(edits[i + 1][j + 1], edits[i + 1][j], edits[i][j + 1])
                same = reference[i] == hypothesis[j]
                edits[i][j] = min(other, edits[i + 1][j + 1]) if same else other
    pairs, i, j = [], 0, 0
    while i < n and j < m:
        if reference[i] == hypothesis[j] and edits[i][j] == edits[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif edits[i][j] == 1 + edits[i + 1][j + 1]:
            i, j = i + 1, j + 1
        elif edits[i][j] == 1 + edits[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


@dataclass(frozen=True, slots=True)
class Reference:
    """What is known of one clip, on the session's clock."""

    words: tuple[Word, ...]
    """As they were heard offline, or as somebody aligned them."""
    text: str | None = None
    """What is really said, where that is known."""
    offline: str = ""
    """What the same model hears offline."""
    alone: str = ""
    """What a stream of its own hears, finished at the clip's end."""
    set_name: str = ""
    """Which recordings it belongs to."""


@dataclass(frozen=True, slots=True)
class ClipStory:
    """What the stream made of one clip of a session."""

    reference: Reference
    segments: tuple[Story, ...]
    """Those that begin in it."""
    n_finals: int
    """Finals of segments that ended after its last word and before the next clip."""
    n_ends: int
    """The same with segments that were rejected."""
    words: tuple[WordStory, ...]
    """Those that lie in it, whatever segment they belong to."""

    @property
    def text(self) -> str:
        """What the stream heard."""
        return " ".join(one.word.text for one in self.words)

    def delays(self) -> list[tuple[Moment, Moment]]:
        """Return, for each matched word, how long after its end it was shown, and stable."""
        ends_s = [(text, word.end_s) for word in self.reference.words for text in _key(word)]
        heard = [(text, one) for one in self.words for text in _key(one.word)]
        return [
            (heard[j][1].first.after(ends_s[i][1]), heard[j][1].stable.after(ends_s[i][1]))
            for i, j in matched([text for text, _ in ends_s], [text for text, _ in heard])
        ]

    def first_partial(self) -> Moment | None:
        """Return how long after its first word's start the first text was shown, if it was."""
        if not (self.segments and self.reference.words):
            return None
        view = next(view for view in self.segments[0].views if view.words)
        return view.at.after(self.reference.words[0].start_s)

    def endpoint(self) -> Moment | None:
        """Return how long after its last word's end the final was there, if silence ended it."""
        if not (self.segments and self.reference.words):
            return None
        last = self.segments[-1]
        return (
            last.final_at.after(self.reference.words[-1].end_s)
            if last.reason == Reason.SILENCE
            else None
        )


def by_clip(
    found: Sequence[Story], references: Sequence[Reference], ends_s: Sequence[float]
) -> list[ClipStory]:
    """Give each clip its words and segments, by where their middles lie.

    Args:
        found: The session's segments.
        references: One a clip.
        ends_s: Where each clip, its pause included, ends.
    """

    def clip(word: Word) -> int:
        return min(bisect_right(ends_s, (word.start_s + word.end_s) / 2), len(ends_s) - 1)

    words: list[list[WordStory]] = [[] for _ in references]
    segments: list[list[Story]] = [[] for _ in references]
    for story in found:
        if story.words:
            segments[clip(story.words[0])].append(story)
        for one in word_stories(story):
            words[clip(one.word)].append(one)
    return [
        ClipStory(
            reference,
            tuple(own),
            sum(bool(story.words) for story in _in_pause(found, reference, end_s)),
            len(_in_pause(found, reference, end_s)),
            tuple(said),
        )
        for reference, own, said, end_s in zip(references, segments, words, ends_s, strict=True)
    ]


def _in_pause(found: Sequence[Story], reference: Reference, end_s: float) -> list[Story]:
    """Return the segments that ended after a clip's last word and before the next clip."""
    if not reference.words:
        return []
    return [story for story in found if reference.words[-1].end_s <= story.ended_s <= end_s]


def _kept(word: str, after: tuple[str, ...], *, growing: bool) -> bool:
    return bool(after) and (after[0] == word or (growing and after[0].startswith(word)))


def _parts(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part for part in (text.split(separator) if separator else text) if part)


def _units(words: Iterable[Word], separator: str) -> tuple[Word, ...]:
    """Part words as text is parted, so that both count alike."""
    return tuple(
        Word(part, word.start_s, word.end_s, word.confidence)
        for word in words
        for part in _parts(word.text, separator)
    )


def _key(word: Word) -> tuple[str, ...]:
    return spoken_words(word.text) or (word.text,)
