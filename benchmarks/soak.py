"""`wav2edge bench soak`: hours of audio through one stream; memory and cost must stay flat."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.events import Final
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import Stream, StreamOptions

from .clips import Clip, looped
from .conditions import Conditions, options_of
from .fits import line
from .latency import described
from .memory import peak_rss_mb, rss_mb
from .playback import BLOCK_MS
from .result import Result, percentile, spread, thinned

Array = NDArray[np.float32]

SPAN_S = 10.0  # of audio between two looks at clock and memory
GAP_S = 1.5
DEFINITIONS = {
    "audio_s": "audio that went through the one stream, as fast as it goes",
    "cpu_ms_per_s": f"CPU time of the process per second of audio; n: spans of {SPAN_S:.0f} s",
    "rtf": "real-time factor: time over audio; n: the same spans",
    "later_over_first": "median CPU time of the last quarter's spans over that of the first's",
    "rss_peak_mb": "largest resident set of the process, loading included",
    "rss_after_warm_up_mb": "resident set when the warm-up (the first quarter, 10 minutes at most) "
    "ended",
    "rss_end_mb": "resident set at the end",
    "rss_slope_mb_per_h": "growth of the resident set per hour of audio after the warm-up, least "
    "squares",
    "rss_slope_error_mb_per_h": "standard error of that slope",
    "finals": "segments heard",
}
"""What each figure means."""


@dataclass(slots=True)
class Spans:
    """What was seen after each span of audio."""

    cpu_s: list[float]
    wall_s: list[float]
    rss_mb: list[float]
    n_finals: int = 0


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    *,
    minutes: float = 60.0,
    stream: str | StreamOptions = "balanced",
    threads: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Push `minutes` of audio through one stream.

    Args:
        recognizer: Loaded with `threads`.
        clips: Heard over and over, a pause after each.
        minutes: Of audio.
        stream: Its latency.
        threads: For the conditions.
        report: Told how far it is.
    """
    with recognizer.stream(stream) as running:
        conditions = Conditions.now(
            recognizer,
            threads=threads,
            options={
                "stream": options_of(running.options),
                "minutes": minutes,
                "block_ms": BLOCK_MS,
            },
            audio=described(clips, gap_s=GAP_S),
        )
        blocks = looped(clips, rate_hz=running.rate_hz, gap_s=GAP_S, block_s=BLOCK_MS / 1000)
        spans = run(running, blocks, n_spans=max(4, round(60 * minutes / SPAN_S)), report=report)
    return Result(
        "soak",
        conditions.ended(),
        {name: spread(values) for name, values in figures(spans).items()},
        DEFINITIONS,
        {
            "cpu_ms_per_s": thinned([1000 * one / SPAN_S for one in spans.cpu_s]),
            "rss_mb": thinned(spans.rss_mb),
            "minute": thinned([(i + 1) * SPAN_S / 60 for i in range(len(spans.cpu_s))]),
        },
    )


def run(
    stream: Stream, blocks: Iterator[Array], *, n_spans: int, report: Callable[[str], None]
) -> Spans:
    """Push blocks and look at clock and memory after each span of audio; nothing else is kept."""
    spans = Spans([0.0] * n_spans, [0.0] * n_spans, [0.0] * n_spans)  # so that they do not grow
    per_span = round(SPAN_S * 1000 / BLOCK_MS)
    for i in range(n_spans):
        span = list(islice(blocks, per_span))
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        for block in span:
            spans.n_finals += sum(isinstance(event, Final) for event in stream.push(block))
        spans.cpu_s[i] = time.process_time() - cpu_s
        spans.wall_s[i] = time.perf_counter() - wall_s
        spans.rss_mb[i] = rss_mb()
        report(f"{(i + 1) * SPAN_S / 60:.1f} minutes, {spans.rss_mb[i]:.1f} MB")
    return spans


def figures(spans: Spans) -> dict[str, list[float]]:
    """Return the figures, each with all its values.

    Args:
        spans: At least four.
    """
    n = len(spans.cpu_s)
    quarter = n // 4
    warm = min(quarter, round(600 / SPAN_S))
    hours = [i * SPAN_S / 3600 for i in range(warm, n)]
    grows = line(hours, spans.rss_mb[warm:])
    first, last = spans.cpu_s[:quarter], spans.cpu_s[n - quarter :]
    return {
        "audio_s": [n * SPAN_S],
        "cpu_ms_per_s": [1000 * one / SPAN_S for one in spans.cpu_s],
        "rtf": [one / SPAN_S for one in spans.wall_s],
        "later_over_first": [percentile(last, 50) / percentile(first, 50)],
        "rss_peak_mb": [peak_rss_mb()],
        "rss_after_warm_up_mb": [spans.rss_mb[warm]],
        "rss_end_mb": [spans.rss_mb[-1]],
        "rss_slope_mb_per_h": [grows.slope],
        "rss_slope_error_mb_per_h": [grows.error],
        "finals": [spans.n_finals],
    }
