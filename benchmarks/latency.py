"""`wav2edge bench latency`: how soon a stream shows what is said, and what that costs.

One stream hears all clips, a pause after each. Word times come from the same model offline, or from
a manifest.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.scoring import word_error_rate
from wav2edge.runtime.endpoint import ENDPOINTS, EndpointOptions, Reason
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import StreamOptions
from wav2edge.runtime.transcript import Word

from .clips import Clip, spoken_words
from .conditions import Conditions, options_of
from .memory import peak_rss_mb, slope
from .metrics import ClipStory, Moment, Reference, Story, by_clip, changes, stories
from .playback import BLOCK_MS, Playback, play
from .result import Result, combined, percentile, thinned

_LONG_S = 300.0  # shorter sessions tell nothing of memory that grows
_PERCENTS = (50, 95, 99)
_MOST_NAMES = 20

DEFINITIONS = {
    "audio_s": "length of the session: all clips, a pause after each",
    "rtf": "real-time factor: time of all pushes and of the end, over the length of the audio",
    "cpu_ms_per_s": "CPU time of the process over the same, per second of audio",
    "step_ms": "time of a push in which the model ran; percentiles over the session",
    "finish_ms": "time from the end of the audio to the last final, fed as fast as it goes",
    "largest_lag_ms": "the furthest that computing was behind the audio",
    "first_partial_ms": "start of a clip's first word -> first text of its segment is shown",
    "word_shown_ms": "end of a word -> it first stands at its place in the text shown; negative "
    "where the look-ahead guessed it before its end",
    "word_stable_ms": "end of a word -> it is shown as stable, or final",
    "word_settling_ms": "a word is first shown -> it is stable",
    "endpoint_ms": "end of a clip's last word -> audio of which the final follows",
    "finalization_ms": "that audio is there -> the final is there: computing alone",
    "speech_end_to_final_ms": "the two together",
    "endpoint_bound_ms": "trailing silence + chunk + look-ahead + 100 ms",
    "gaps_with_one_final": "share of the pauses between clips in which exactly one segment ended",
    "words": "words of the finals",
    "words_matched": "share of the words heard offline that the stream heard too; delays: theirs",
    "revisions": "times that a text shown was changed or taken back, but by growing its last word",
    "revisions_per_word": "the same, per word of the finals",
    "upwr": "unstable partial words (each word of each text shown that the next one changed or "
    "took back), per word of the finals",
    "words_changed": "share of the finals' words at whose place something else stood before",
    "stable_words_changed": "words shown as stable and changed after, in segments that were not "
    "rejected: 0, or the contract is broken",
    "segments_rejected": "segments shown in part and then taken back whole: noise, by the bundle's "
    "own threshold",
    "wer_streaming": "word error rate of the stream against the transcripts",
    "wer_offline": "word error rate of the same model offline against the transcripts",
    "wer_streaming_against_offline": "word error rate of the stream against the offline text",
    "rss_peak_mb": "largest resident set of the process by the session's end, loading included",
    "rss_slope_mb_per_h": "growth of the resident set per hour of audio, least squares over the "
    f"session's second half; only of sessions of {_LONG_S:.0f} s or more. It holds the "
    "recordings and all that is noted of the session: `bench soak` tells what a stream keeps",
    "unaware": "as if computing took no time",
    "aware": "computing included",
    "n": "repetitions of the whole session; median, lowest and highest are over these",
}
"""What each figure means; the percentile and the clock follow in its name."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """How to measure.

    Attributes:
        stream: Chunk, look-ahead and left context; a preset's name does.
        endpoint: Preset of the endpointing.
        realtime: Deliver audio when it would have been spoken, instead of as fast as it goes.
        gap_s: Pause after each clip.
        repeats: Sessions.
        threads: That the model was loaded with.
    """

    stream: str | StreamOptions = "balanced"
    endpoint: str = "default"
    realtime: bool = False
    gap_s: float = 1.5
    repeats: int = 3
    threads: int = 1


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: LatencyOptions,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run the sessions and write down what was seen.

    Args:
        recognizer: Loaded with `options.threads`.
        clips: At least one.
        options: How to measure.
        report: Told what is being done.

    Raises:
        AudioError: If a clip cannot be read.
        OptionsError: If a preset is unknown.
    """
    really, rules = _really(recognizer, options)
    conditions = Conditions.now(
        recognizer,
        threads=options.threads,
        options={
            "stream": options_of(really),
            "endpoint": options_of(rules),
            "clock": "real time" if options.realtime else "simulated",
            "block_ms": BLOCK_MS,
            "repeats": options.repeats,
        },
        audio=described(clips, gap_s=options.gap_s),
    )
    report("warming up")
    _warm_up(recognizer, options)
    sessions = []
    for i in range(options.repeats):
        report(f"session {i + 1} of {options.repeats}")
        sessions.append((_session(recognizer, clips, options), peak_rss_mb()))
    conditions = conditions.ended()
    report("offline")  # only now: offline takes more memory than the streams whose peak is reported
    references = list(_references(recognizer, clips, sessions[0][0].piece_ends_s))
    bound_ms = rules.trailing_silence_ms + really.chunk_ms + really.lookahead_ms + 100
    runs, series = [], dict[str, list[float]]()
    for played, peak_mb in sessions:
        found = stories(played.shown, separator=recognizer.bundle.alphabet.separator)
        told = by_clip(found, references, played.piece_ends_s)
        runs.append({**cost(played), **delays(told), **stability(found), **accuracy(told)})
        runs[-1] |= {"rss_peak_mb": peak_mb, "endpoint_bound_ms": bound_ms}
        series = _series(played, told)
    return Result("latency", conditions, combined(runs), DEFINITIONS, series)


def _really(
    recognizer: Recognizer, options: LatencyOptions
) -> tuple[StreamOptions, EndpointOptions]:
    """Return what the options become: whole frames, and a preset's rules."""
    with recognizer.stream(options.stream, endpoint=options.endpoint) as stream:
        return stream.options, ENDPOINTS[options.endpoint]


def described(clips: Sequence[Clip], *, gap_s: float) -> dict[str, object]:
    """Name the clips for the conditions, without the folders of this machine."""
    names = [clip.path.name for clip in clips]
    several = [*names[:_MOST_NAMES], f"and {len(names) - _MOST_NAMES} more"]
    return {
        "clips": len(clips),
        "names": names if len(names) <= _MOST_NAMES else several,
        "gap_s": gap_s,
    }


def cost(played: Playback) -> dict[str, float]:
    """Return what a session cost."""
    half = len(played.rss_at_s) // 2
    hours = [at_s / 3600 for at_s in played.rss_at_s[half:]]
    grows = slope(hours, played.rss_mb[half:])[0] if played.duration_s >= _LONG_S else math.nan
    return {
        "audio_s": played.duration_s,
        "rtf": played.compute_s / played.duration_s,
        "cpu_ms_per_s": 1000 * played.cpu_s / played.duration_s,
        **_percentiles("step_ms", played.step_s),
        "finish_ms": 1000 * played.finish_s,
        "largest_lag_ms": 1000 * played.largest_lag_s,
        "rss_slope_mb_per_h": grows,
    }


def delays(told: Sequence[ClipStory]) -> dict[str, float]:
    """Return how long things took to be shown, on both clocks."""
    pairs = [pair for clip in told for pair in clip.delays()]
    settling = [one.stable.shown_s - one.first.shown_s for clip in told for one in clip.words]
    endpoints = [moment for clip in told if (moment := clip.endpoint()) is not None]
    firsts = [moment for clip in told if (moment := clip.first_partial()) is not None]
    with_words = [clip for clip in told if clip.reference.words]
    n_words = sum(len(clip.reference.words) for clip in told)
    return {
        **_both_clocks("first_partial_ms", firsts),
        **_both_clocks("word_shown_ms", [first for first, _ in pairs]),
        **_both_clocks("word_stable_ms", [stable for _, stable in pairs]),
        "word_settling_ms_median": 1000 * percentile(settling, 50),
        "word_settling_ms_max": 1000 * max(settling, default=math.nan),
        **_percentiles("endpoint_ms", [one.heard_s for one in endpoints]),
        **_percentiles("finalization_ms", [one.shown_s - one.heard_s for one in endpoints]),
        **_percentiles("speech_end_to_final_ms", [one.shown_s for one in endpoints]),
        "gaps_with_one_final": _share(clip.n_finals == 1 for clip in with_words),
        "words_matched": len(pairs) / n_words if n_words else math.nan,
    }


def stability(found: Sequence[Story]) -> dict[str, float]:
    """Return how often a text that was shown changed."""
    n_words = sum(len(story.words) for story in found)
    taken_back = [places for story in found for places in changes(story) if places]
    changed = [
        place in set(chain(*changes(story))) for story in found for place in range(len(story.words))
    ]
    broken = sum(
        place < before.n_stable
        for story in found
        if story.reason != Reason.REJECTED
        for (before, _), places in zip(pairwise(story.views), changes(story), strict=True)
        for place in places
    )
    return {
        "words": n_words,
        "revisions": len(taken_back),
        "revisions_per_word": len(taken_back) / n_words if n_words else math.nan,
        "upwr": sum(map(len, taken_back)) / n_words if n_words else math.nan,
        "words_changed": _share(changed),
        "stable_words_changed": broken,
        "segments_rejected": sum(story.reason == Reason.REJECTED for story in found),
    }


def accuracy(told: Sequence[ClipStory]) -> dict[str, float]:
    """Return the word error rates."""
    known = [clip for clip in told if clip.reference.text is not None]

    def rate(pairs: Sequence[tuple[str | None, str]]) -> float:
        plain = [(" ".join(spoken_words(a or "")), " ".join(spoken_words(b))) for a, b in pairs]
        return word_error_rate(plain).rate if pairs else math.nan

    return {
        "wer_streaming": rate([(clip.reference.text, clip.text) for clip in known]),
        "wer_offline": rate([(clip.reference.text, clip.reference.offline) for clip in known]),
        "wer_streaming_against_offline": rate(
            [(clip.reference.offline, clip.text) for clip in told]
        ),
    }


def _warm_up(recognizer: Recognizer, options: LatencyOptions) -> None:
    """Let the inference library allocate what it will need."""
    with recognizer.stream(options.stream, endpoint=options.endpoint) as stream:
        for _ in range(20):
            stream.push(np.zeros(stream.rate_hz // 4, np.float32))
        stream.finish()


def _session(recognizer: Recognizer, clips: Sequence[Clip], options: LatencyOptions) -> Playback:
    rate_hz = recognizer.sample_rate_hz
    gap = np.zeros(int(options.gap_s * rate_hz), np.float32)
    with recognizer.stream(options.stream, endpoint=options.endpoint) as stream:
        pieces = (np.concatenate([clip.samples(rate_hz), gap]) for clip in clips)
        return play(stream, pieces, realtime=options.realtime)


def _references(
    recognizer: Recognizer, clips: Sequence[Clip], ends_s: Sequence[float]
) -> Iterator[Reference]:
    """Hear each clip offline, and bring its words onto the session's clock."""
    rate_hz = recognizer.sample_rate_hz
    for clip, start_s in zip(clips, [0.0, *ends_s], strict=False):
        heard = recognizer.transcribe(clip.samples(rate_hz), rate_hz)
        words = heard.words if clip.words is None else clip.words
        yield Reference(tuple(_moved(word, start_s) for word in words), clip.text, heard.text)


def _moved(word: Word, by_s: float) -> Word:
    return replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s)


def _series(played: Playback, told: Sequence[ClipStory]) -> dict[str, list[float]]:
    pairs = [pair for clip in told for pair in clip.delays()]
    return {
        "word_shown_s": [first.shown_s for first, _ in pairs],
        "word_shown_unaware_s": [first.heard_s for first, _ in pairs],
        "word_stable_s": [stable.shown_s for _, stable in pairs],
        "word_stable_unaware_s": [stable.heard_s for _, stable in pairs],
        "endpoint_s": [one.heard_s for clip in told if (one := clip.endpoint()) is not None],
        "final_s": [one.shown_s for clip in told if (one := clip.endpoint()) is not None],
        "step_s": thinned(played.step_s),
    }


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p{percent}": 1000 * percentile(seconds, percent) for percent in _PERCENTS}


def _both_clocks(name: str, moments: Sequence[Moment]) -> dict[str, float]:
    return {
        **_percentiles(f"{name}_aware", [moment.shown_s for moment in moments]),
        **_percentiles(f"{name}_unaware", [moment.heard_s for moment in moments]),
    }


def _share(values: Iterator[bool] | Sequence[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan
