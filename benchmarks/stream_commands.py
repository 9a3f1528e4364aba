"""The sub-commands of `wav2edge bench` that measure live streams."""

import argparse
from typing import TYPE_CHECKING

from .command_line import (
    Kinds,
    add_cache,
    add_latency,
    add_model,
    add_outputs,
    add_provider,
    add_recordings,
    add_rounds,
    add_runtime,
    add_sessions,
    at_least,
    check_outputs,
    clips,
    load,
    progress,
    sessions,
    stream_options,
    tell,
)

if TYPE_CHECKING:
    from .noise import Noise


def add_parsers(kinds: Kinds) -> None:
    """Add `latency`, `soak`, `streams`, `window` and `batching`."""
    _add_latency(kinds)
    one = kinds.add_parser(
        "soak",
        help="hours of audio through one stream: memory and cost",
        description="Push audio through one stream as fast as it goes, and look at clock and "
        "memory after each ten seconds of it. Both must stay flat.",
    )
    add_runtime(one)
    add_recordings(one)
    add_latency(one)
    one.add_argument("--minutes", type=float, default=60.0, help="of audio; default: 60")
    add_outputs(one, plot=True)
    one.set_defaults(run=_soak)
    one = kinds.add_parser(
        "streams",
        help="how many real-time streams one core carries",
        description="Threads on one core step streams whose audio comes in real time; the highest "
        "number whose backlog stays bounded is searched. On one core each run of the model has one "
        "thread.",
    )
    add_model(one)
    add_provider(one)
    add_recordings(one)
    add_latency(one)
    one.add_argument("--seconds", type=float, default=20.0, help="of each trial; default: 20")
    one.add_argument("--workers", type=int, default=4, help="threads; default: 4")
    add_outputs(one, plot=True)
    one.set_defaults(run=_streams)
    one = kinds.add_parser(
        "window",
        help="our stream against the whole model on a sliding window, at base size",
        description="wav2vec2-base with random weights, int8, chunk 320 ms, look-ahead "
        "320 ms, left context 4 s. Needs the extra `export` while the cache is empty.",
    )
    add_sessions(one)
    add_rounds(one, 12)
    one.add_argument("--minutes", type=float, default=5.0, help="of the session; default: 5")
    add_cache(one)
    add_outputs(one, plot=True)
    one.set_defaults(run=_window)

    one = kinds.add_parser(
        "batching",
        help="several streams in one run of the network, or in threads, against one by one",
        description="1 to 16 streams of --model; or at base size and at that of the embedded "
        "model, random weights in float32, which needs the extra `export` while the cache is "
        "empty. One by one, in two threads, and in one run, the last in float32 and float16 only. "
        "Whole recordings as well: seconds of audio in a second, one by one, and 1 to 16 in a run.",
    )
    add_model(one, default="random weights at two sizes")
    add_sessions(one)
    add_rounds(one, 7)
    add_cache(one)
    add_outputs(one)
    one.set_defaults(run=_batching)


def _add_latency(kinds: Kinds) -> None:
    one = kinds.add_parser(
        "latency",
        help="how soon a stream shows what is said",
        description="One stream hears all recordings, a pause after each: delays of words and "
        "finals with and without computing, revisions, word error rates, cost, memory. Several "
        "folders of recordings are told apart. Needs the extra `bench`.",
    )
    add_runtime(one)
    add_recordings(one)
    add_latency(one)
    one.add_argument("--endpoint", default="default", metavar="PRESET", help="default: default")
    one.add_argument("--realtime", action="store_true", help="deliver audio as it is spoken")
    one.add_argument("--gap", type=float, default=1.5, metavar="S", help="pause; default: 1.5")
    one.add_argument("--repeats", type=int, default=3, metavar="N", help="default: 3")
    one.add_argument("--vad", action="store_true", help="voice activity detector (extra `vad`)")
    one.add_argument(
        "--noise",
        nargs="+",
        metavar="FILE",
        help="mix these under recordings and pauses; of a manifest the rows of the split `noise`",
    )
    one.add_argument("--snr-db", type=float, default=15.0, metavar="DB", help="default: 15")
    add_outputs(one, plot=True)
    one.set_defaults(run=_latency)


def _latency(arguments: argparse.Namespace) -> int:
    from .latency import LatencyOptions, measure

    at_least(arguments, repeats=1, gap=0, snr_db=-60)
    recognizer = load(arguments)
    options = LatencyOptions(
        stream=stream_options(arguments.latency),
        endpoint=arguments.endpoint,
        realtime=arguments.realtime,
        gap_s=arguments.gap,
        repeats=arguments.repeats,
        threads=arguments.threads,
        vad=arguments.vad,
        noise=_noise(arguments, recognizer.sample_rate_hz),
    )
    return tell(measure(recognizer, clips(arguments), options, progress), arguments)


def _noise(arguments: argparse.Namespace, rate_hz: int) -> "Noise | None":
    from pathlib import Path

    from .clips import find_clips
    from .noise import Noise

    if arguments.noise is None:
        return None
    recordings = find_clips([Path(one) for one in arguments.noise], split="noise")
    return Noise(recordings, snr_db=arguments.snr_db, rate_hz=rate_hz)


def _soak(arguments: argparse.Namespace) -> int:
    from .soak import measure

    at_least(arguments, minutes=0)
    result = measure(
        load(arguments),
        clips(arguments),
        minutes=arguments.minutes,
        stream=stream_options(arguments.latency),
        threads=arguments.threads,
        report=progress,
    )
    return tell(result, arguments)


def _streams(arguments: argparse.Namespace) -> int:
    from .streams import StreamsOptions, measure

    at_least(arguments, seconds=1, workers=1)
    options = StreamsOptions(
        stream_options(arguments.latency), arguments.seconds, arguments.workers
    )
    return tell(measure(load(arguments), clips(arguments), options, progress), arguments)


def _window(arguments: argparse.Namespace) -> int:
    from .sliding_window import measure

    at_least(arguments, rounds=1, minutes=0)
    check_outputs(arguments)
    result = measure(
        arguments.cache,
        rounds=arguments.rounds,
        minutes=arguments.minutes,
        sessions=sessions(arguments),
        report=progress,
    )
    return tell(result, arguments)


def _batching(arguments: argparse.Namespace) -> int:
    from .batching import measure

    at_least(arguments, rounds=1)
    check_outputs(arguments)
    result = measure(
        arguments.cache,
        model=arguments.model,
        rounds=arguments.rounds,
        sessions=sessions(arguments),
        report=progress,
    )
    return tell(result, arguments)
