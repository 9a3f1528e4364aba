"""`wav2edge bench window`: our stream against the usual way, the whole model on a sliding window.

The same checkpoint, the same quantization, one process; one round of each in turn, so
that both meet the same machine. What the stream costs includes everything up to the events; of the
window only the model's run is counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.session import Session
from wav2edge.runtime.stream import Stream, StreamOptions

from .base_model import base_model
from .clips import find_clips, looped
from .conditions import Conditions, options_of
from .latency import described
from .result import Result, percentile, spread, thinned
from .sessions import ONE_THREAD, Sessions

Array = NDArray[np.float32]

OPTIONS = StreamOptions(chunk_ms=320.0, lookahead_ms=320.0, left_ms=4000.0)
SHORT_LEFT_MS, LONG_LEFT_MS = 2000.0, 8000.0
STEPS = 8  # in a round
GAP_S = 1.5
_SPAN_S = 10.0  # of the long session

DEFINITIONS = {
    "stream_cpu_ms_per_s": "CPU time of the process per second of audio, our stream, 4 s left",
    "window_cpu_ms_per_s": "the same, the plain export run again on left + chunk + look-ahead for "
    "every chunk",
    "window_over_stream": "their ratio, round by round",
    "legacy_cpu_ms_per_s": "the window again, its graph from torch's exporter of before 2.9",
    "legacy_over_stream": "its ratio to our stream, round by round",
    "stream_rtf": "real-time factor of our stream: time over audio",
    "window_rtf": "real-time factor of the sliding window",
    "stream_left_2s_cpu_ms_per_s": "our stream with a left context of 2 s",
    "stream_left_8s_cpu_ms_per_s": "our stream with a left context of 8 s",
    "left_8s_over_2s": "their ratio, round by round",
    "session_s": "audio of a long session of our stream, 4 s left",
    "session_cpu_ms_per_s": f"its CPU time per second of audio; n: spans of {_SPAN_S:.0f} s",
    "session_later_over_first": "median of its last quarter's spans over that of its first",
    "n": f"rounds of {STEPS} chunks each, one after the other in turn, all contexts full",
}
"""What each figure means."""


def measure(
    cache: Path,
    *,
    rounds: int = 12,
    minutes: float = 5.0,
    sessions: Sessions = ONE_THREAD,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Compare both, and run a long session.

    Args:
        cache: Folder of the exported files; they are made if they are not there.
        rounds: Of each in turn.
        minutes: Of the long session.
        sessions: Opens all graphs.
        report: Told what is being done.
    """
    files = base_model(cache, report)
    recognizer = sessions.load(files.bundle)
    windows = {
        name: sessions.open(path)
        for name, path in (("window", files.plain), ("legacy", files.legacy))
    }
    clips = find_clips([])
    conditions = Conditions.now(
        recognizer,
        threads=sessions.threads,
        options={
            "stream": options_of(OPTIONS),
            "rounds": rounds,
            "minutes": minutes,
            "window_files_mb": [path.stat().st_size / 1e6 for path in (files.plain, files.legacy)],
        },
        audio=described(clips, gap_s=GAP_S),
        libraries=("torch", "transformers", "onnx"),
    )
    once = looped(
        clips, rate_hz=recognizer.sample_rate_hz, gap_s=GAP_S, block_s=OPTIONS.chunk_ms / 1000
    )
    measured = compare(recognizer, windows, once, rounds=rounds, report=report)
    session = long_session(recognizer, once, minutes=minutes, report=report)
    values = {**figures(measured), **_session_figures(session)}
    return Result(
        "window",
        conditions.ended(),
        {name: spread(several) for name, several in values.items()},
        DEFINITIONS,
        {"session_cpu_ms_per_s": thinned([1000 * one for one in session])},
    )


def compare(
    recognizer: Recognizer,
    models: Mapping[str, Session],
    chunks: Iterator[Array],
    *,
    rounds: int,
    report: Callable[[str], None],
) -> dict[str, list[tuple[float, float]]]:
    """Run all in turn.

    Args:
        recognizer: Our side.
        models: The whole model, by the name of its window.
        chunks: Endless audio, a chunk at a time.
        rounds: How often.
        report: Told how far it is.

    Returns:
        By name, CPU time and time per second of audio in each round.
    """
    lefts_ms = {"stream": OPTIONS.left_ms, "short": SHORT_LEFT_MS, "long": LONG_LEFT_MS}
    streams = {name: _stream(recognizer, left_ms) for name, left_ms in lefts_ms.items()}
    windows = {name: _Window(one, recognizer.sample_rate_hz) for name, one in models.items()}
    n_warm = int(LONG_LEFT_MS / OPTIONS.chunk_ms) + STEPS
    for chunk in islice(chunks, n_warm):
        for stream in streams.values():
            stream.push(chunk)
        for window in windows.values():
            window.slide(chunk)
    for window in windows.values():
        window.run()
    contenders: dict[str, Callable[[Array], object]] = {}
    contenders |= {name: stream.push for name, stream in streams.items()}
    contenders |= {name: window.push for name, window in windows.items()}
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for i in range(rounds):
        report(f"round {i + 1} of {rounds}")
        audio = list(islice(chunks, STEPS))
        for name, push in contenders.items():
            measured[name].append(_timed(push, audio))
    return measured


def figures(measured: dict[str, list[tuple[float, float]]]) -> dict[str, list[float]]:
    """Return the figures, each with its value in every round."""
    cpu = {name: [1000 * spent for spent, _ in rounds] for name, rounds in measured.items()}
    return {
        "stream_cpu_ms_per_s": cpu["stream"],
        "window_cpu_ms_per_s": cpu["window"],
        "window_over_stream": _ratios(cpu["window"], cpu["stream"]),
        "legacy_cpu_ms_per_s": cpu["legacy"],
        "legacy_over_stream": _ratios(cpu["legacy"], cpu["stream"]),
        "stream_rtf": [spent for _, spent in measured["stream"]],
        "window_rtf": [spent for _, spent in measured["window"]],
        "stream_left_2s_cpu_ms_per_s": cpu["short"],
        "stream_left_8s_cpu_ms_per_s": cpu["long"],
        "left_8s_over_2s": _ratios(cpu["long"], cpu["short"]),
    }


def long_session(
    recognizer: Recognizer,
    chunks: Iterator[Array],
    *,
    minutes: float,
    report: Callable[[str], None],
) -> list[float]:
    """Return the CPU time per second of audio of each span of one long session."""
    stream = _stream(recognizer, OPTIONS.left_ms)
    for chunk in islice(chunks, int(OPTIONS.left_ms / OPTIONS.chunk_ms) + STEPS):
        stream.push(chunk)
    spent = []
    per_span = round(1000 * _SPAN_S / OPTIONS.chunk_ms)
    for i in range(max(4, round(60 * minutes / _SPAN_S))):
        report(f"session, {i * _SPAN_S / 60:.1f} of {minutes:g} minutes")
        spent.append(_timed(stream.push, list(islice(chunks, per_span)))[0])
    return spent


def _session_figures(session: Sequence[float]) -> dict[str, list[float]]:
    quarter = len(session) // 4
    first, last = session[:quarter], session[len(session) - quarter :]
    return {
        "session_s": [len(session) * _SPAN_S],
        "session_cpu_ms_per_s": [1000 * one for one in session],
        "session_later_over_first": [percentile(last, 50) / percentile(first, 50)],
    }


class _Window:
    """The usual way: for every chunk the whole model runs on the last left + chunk + look-ahead."""

    def __init__(self, plain: Session, rate_hz: int) -> None:
        whole_ms = OPTIONS.left_ms + OPTIONS.chunk_ms + OPTIONS.lookahead_ms
        self._plain = plain
        self._samples = np.zeros(int(whole_ms * rate_hz / 1000), np.float32)

    def slide(self, chunk: Array) -> None:
        """Move the window on."""
        self._samples = np.concatenate([self._samples[len(chunk) :], chunk])

    def run(self) -> None:
        """Run the model on the window."""
        self._plain.run(("logits",), {"input_values": self._samples[None]})

    def push(self, chunk: Array) -> None:
        """Take a chunk, as a stream does."""
        self.slide(chunk)
        self.run()


def _stream(recognizer: Recognizer, left_ms: float) -> Stream:
    return recognizer.stream(StreamOptions(OPTIONS.chunk_ms, OPTIONS.lookahead_ms, left_ms))


def _timed(push: Callable[[Array], object], chunks: Sequence[Array]) -> tuple[float, float]:
    """Return CPU time and time per second of audio."""
    audio_s = len(chunks) * OPTIONS.chunk_ms / 1000
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for chunk in chunks:
        push(chunk)
    return (time.process_time() - cpu_s) / audio_s, (time.perf_counter() - wall_s) / audio_s


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(above, below, strict=True)]
