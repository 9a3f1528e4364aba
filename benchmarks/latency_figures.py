"""What a session of `wav2edge bench latency` says: a figure for each question, and its meaning."""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from wav2edge.lm.scoring import spoken_words, word_error_rate
from wav2edge.runtime.endpoint import Reason

from .fits import line
from .metrics import ClipStory, Moment, Story, changes
from .playback import Playback
from .result import percentile

_LONG_S = 300.0  # shorter sessions tell nothing of memory that grows
_PERCENTS = (50, 95, 99)
_PER_SET = (
    "gaps_with_one_final",
    "gaps_with_one_end",
    "endpoint_ms_p95",
    "wer_streaming",
    "wer_alone",
    "wer_offline",
)

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
    "gaps_with_one_final": "share of the pauses between clips in which exactly one final came",
    "gaps_with_one_end": "share of them in which exactly one segment ended, be it rejected by the "
    "bundle's own threshold",
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
    "wer_alone": "the same of clips heard by a stream of their own, finished at the clip's end",
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
"""What each figure means; the percentile, the clock, and the folder of clips follow in its name."""


def cost(played: Playback) -> dict[str, float]:
    """Return what a session cost."""
    half = len(played.rss_at_s) // 2
    hours = [at_s / 3600 for at_s in played.rss_at_s[half:]]
    grows = line(hours, played.rss_mb[half:]).slope if played.duration_s >= _LONG_S else math.nan
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
        "gaps_with_one_end": _share(clip.n_ends == 1 for clip in with_words),
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
        "wer_alone": rate([(clip.reference.text, clip.reference.alone) for clip in known]),
        "wer_offline": rate([(clip.reference.text, clip.reference.offline) for clip in known]),
        "wer_streaming_against_offline": rate(
            [(clip.reference.offline, clip.text) for clip in told]
        ),
    }


def by_set(told: Sequence[ClipStory]) -> dict[str, float]:
    """Return, where there are several sets, what depends most on them, for each."""
    names = sorted({clip.reference.set_name for clip in told})
    figures: dict[str, float] = {}
    for name in names if len(names) > 1 else ():
        own = [clip for clip in told if clip.reference.set_name == name]
        found = delays(own) | accuracy(own)
        figures |= {f"{key} {name}": found[key] for key in _PER_SET}
    return figures


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
