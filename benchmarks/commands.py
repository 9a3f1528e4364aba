"""The command `wav2edge bench`: one sub-command a benchmark; each prints, and writes JSON."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wav2edge.runtime.decoding_arguments import add_decoding, decoding_of

from . import decoder_commands

if TYPE_CHECKING:
    from wav2edge.runtime.recognizer import Recognizer
    from wav2edge.runtime.stream import StreamOptions

    from .clips import Clip
    from .noise import Noise
    from .result import Result


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bench` and what belongs to it."""
    parser = subparsers.add_parser("bench", help="measure speed, latency, memory and accuracy")
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    _add_latency(kinds)
    _add_accuracy(kinds)
    _add_soak(kinds)
    _add_streams(kinds)
    _add_window(kinds)
    _add_speed(kinds)
    _add_phrases(kinds)
    decoder_commands.add_parsers(kinds, _tell, _progress)
    one = kinds.add_parser("plot", help="draw a result again")
    one.add_argument("result", type=Path, metavar="RESULT.json")
    one.add_argument("out", type=Path, metavar="OUT.png")
    one.set_defaults(run=_plot)


def _add_latency(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser(
        "latency",
        help="how soon a stream shows what is said",
        description="One stream hears all recordings, a pause after each: delays of words and "
        "finals with and without computing, revisions, word error rates, cost, memory. Several "
        "folders of recordings are told apart.",
    )
    _add_model(one)
    _add_audio(one)
    _add_stream(one)
    one.add_argument("--threads", type=int, default=1, metavar="N", help="default: 1")
    one.add_argument("--provider", default="cpu", metavar="P", help="default: cpu")
    one.add_argument("--endpoint", default="default", metavar="PRESET", help="default: default")
    one.add_argument("--realtime", action="store_true", help="deliver audio as it is spoken")
    one.add_argument("--gap", type=float, default=1.5, metavar="S", help="pause; default: 1.5")
    one.add_argument("--repeats", type=int, default=3, metavar="N", help="default: 3")
    one.add_argument("--vad", action="store_true", help="voice activity detector (extra `vad`)")
    one.add_argument(
        "--noise",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="mix these under recordings and pauses; of a manifest the rows of the split `noise`",
    )
    one.add_argument("--snr-db", type=float, default=15.0, metavar="DB", help="default: 15")
    _add_outputs(one)
    one.set_defaults(run=partial(_latency, one))


def _add_accuracy(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser(
        "accuracy", help="word error rates of every development set, offline and at each preset"
    )
    _add_model(one)
    one.add_argument("--data", type=Path, required=True, help="folder of MANIFEST.tsv")
    one.add_argument(
        "--decoders",
        metavar="D,D",
        help="compare some of greedy, beam, lm, phrases instead, as in greedy,lm,phrases",
    )
    _add_outputs(one, plot=False)
    add_decoding(one)
    one.set_defaults(run=_accuracy)


def _add_soak(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser("soak", help="hours of audio through one stream: memory and cost")
    _add_model(one)
    _add_audio(one)
    _add_stream(one)
    one.add_argument("--minutes", type=float, default=60.0, help="of audio; default: 60")
    _add_outputs(one)
    one.set_defaults(run=partial(_soak, one))


def _add_streams(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser("streams", help="how many real-time streams one core carries")
    _add_model(one)
    _add_audio(one)
    _add_stream(one)
    one.add_argument("--seconds", type=float, default=20.0, help="of each trial; default: 20")
    one.add_argument("--workers", type=int, default=4, help="threads; default: 4")
    _add_outputs(one)
    one.set_defaults(run=partial(_streams, one))


def _add_window(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser(
        "window",
        help="our stream against the whole model on a sliding window, at base size",
        description="wav2vec2-base with random weights, int8, one thread, chunk 320 ms, look-ahead "
        "320 ms, left context 4 s. Needs the extra `export` while the cache is empty.",
    )
    one.add_argument("--rounds", type=int, default=12, metavar="N", help="default: 12")
    one.add_argument("--minutes", type=float, default=5.0, help="of the session; default: 5")
    one.add_argument("--cache", type=Path, default=Path(".bench"), help="default: .bench")
    _add_outputs(one)
    one.set_defaults(run=partial(_window, one))


def _add_speed(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser(
        "speed",
        help="what the graph costs, against plain exports and torch, at base size",
        description="wav2vec2-base with random weights, one thread: offline, streaming, memory, "
        "operators, and the processor's peak. Needs the extra `export`.",
    )
    one.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    one.add_argument("--cache", type=Path, default=Path(".bench"), help="default: .bench")
    _add_outputs(one)
    one.set_defaults(run=partial(_speed, one))


def _add_phrases(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    one = kinds.add_parser(
        "phrases",
        help="phrases of an assistant: false rejects against false accepts",
        description="Recorded commands, read books and noise against phrases that a home assistant "
        "knows, over the threshold; digit strings with phrases and without; cost.",
    )
    _add_model(one)
    one.add_argument("--data", type=Path, required=True, help="folder of MANIFEST.tsv")
    one.add_argument("--phrases", type=Path, metavar="FILE", help="default: a home assistant's")
    _add_outputs(one)
    one.set_defaults(run=_phrases)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="BUNDLE", help="default: the embedded model")


def _add_audio(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--audio",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="recordings, or manifests (.tsv with a head line, .jsonl; columns path, text, words, "
        "split); default: the synthetic clips that come with the package",
    )
    parser.add_argument("--split", help="only these rows of manifests")


def _add_stream(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--latency",
        default="balanced",
        metavar="PRESET",
        help="low, balanced, accurate, or chunk/look-ahead/left in ms, as in 320/320/4000; "
        "default: balanced",
    )


def _add_outputs(parser: argparse.ArgumentParser, *, plot: bool = True) -> None:
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result")
    if plot:
        parser.add_argument("--plot", type=Path, metavar="OUT.png", help="draw it (extra `bench`)")


def _latency(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .latency import LatencyOptions, measure

    _at_least(parser, arguments, repeats=1, gap=0, snr_db=-60)
    recognizer = _load(arguments, threads=arguments.threads, provider=arguments.provider)
    options = LatencyOptions(
        stream=_stream_options(parser, arguments.latency),
        endpoint=arguments.endpoint,
        realtime=arguments.realtime,
        gap_s=arguments.gap,
        repeats=arguments.repeats,
        threads=arguments.threads,
        vad=arguments.vad,
        noise=_noise(arguments, recognizer.sample_rate_hz),
    )
    return _tell(measure(recognizer, _clips(arguments), options, _progress), arguments)


def _accuracy(arguments: argparse.Namespace) -> int:
    from wav2edge.runtime.recognizer import load

    from . import accuracy, decodings

    data, compared = arguments.data, arguments.decoders
    if compared is not None:
        names, lm = compared.split(","), arguments.lm and Path(arguments.lm)
        result = decodings.measure(_load(arguments), data, names, lm=lm, report=_progress)
        table = decodings.table
    else:
        recognizer = load(arguments.model, **decoding_of(arguments))
        result = accuracy.measure(recognizer, data, report=_progress)
        table = accuracy.table
    status = _tell(result, arguments)
    print("", *table(result), sep="\n")
    return status


def _soak(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .soak import measure

    _at_least(parser, arguments, minutes=0)
    result = measure(
        _load(arguments),
        _clips(arguments),
        minutes=arguments.minutes,
        stream=_stream_options(parser, arguments.latency),
        report=_progress,
    )
    return _tell(result, arguments)


def _streams(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .streams import StreamsOptions, measure

    _at_least(parser, arguments, seconds=1, workers=1)
    options = StreamsOptions(
        _stream_options(parser, arguments.latency), arguments.seconds, arguments.workers
    )
    return _tell(measure(_load(arguments), _clips(arguments), options, _progress), arguments)


def _window(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .sliding_window import measure

    _at_least(parser, arguments, rounds=1, minutes=0)
    result = measure(
        arguments.cache, rounds=arguments.rounds, minutes=arguments.minutes, report=_progress
    )
    return _tell(result, arguments)


def _speed(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from .speed import measure

    _at_least(parser, arguments, rounds=1)
    return _tell(measure(arguments.cache, rounds=arguments.rounds, report=_progress), arguments)


def _phrases(arguments: argparse.Namespace) -> int:
    from .phrases import HOME, measure

    phrases = arguments.phrases if arguments.phrases is not None else HOME
    return _tell(
        measure(_load(arguments), arguments.data, phrases=phrases, report=_progress), arguments
    )


def _plot(arguments: argparse.Namespace) -> int:
    from .plots import plot
    from .result import Result

    plot(Result.read(arguments.result), arguments.out)
    return 0


def _load(
    arguments: argparse.Namespace, *, threads: int = 1, provider: str = "cpu"
) -> "Recognizer":
    from wav2edge.runtime.recognizer import load

    return load(arguments.model, threads=threads, provider=provider.split(","))


def _clips(arguments: argparse.Namespace) -> "list[Clip]":
    from .clips import find_clips

    return find_clips(arguments.audio, split=arguments.split)


def _noise(arguments: argparse.Namespace, rate_hz: int) -> "Noise | None":
    from .clips import find_clips
    from .noise import Noise

    if arguments.noise is None:
        return None
    recordings = find_clips(arguments.noise, split="noise")
    return Noise(recordings, snr_db=arguments.snr_db, rate_hz=rate_hz)


def _stream_options(parser: argparse.ArgumentParser, text: str) -> "str | StreamOptions":
    """Read a preset's name, or chunk/look-ahead/left in milliseconds."""
    from wav2edge.runtime.stream import StreamOptions

    if "/" not in text:
        return text
    try:
        chunk_ms, lookahead_ms, left_ms = (float(part) for part in text.split("/"))
    except ValueError:
        parser.error(f"--latency is {text!r}, expected a preset or three numbers: 320/320/4000")
    return StreamOptions(chunk_ms, lookahead_ms, left_ms)


def _at_least(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, **least: float
) -> None:
    for name, limit in least.items():
        value = getattr(arguments, name)
        if not limit <= value < float("inf"):
            parser.error(f"--{name.replace('_', '-')} is {value}, expected {limit} or more")


def _tell(result: "Result", arguments: argparse.Namespace) -> int:
    """Write what was asked for, then print the result: who reads along may go away."""
    _progress("")
    if arguments.json is not None:
        result.write(arguments.json)
    if getattr(arguments, "plot", None) is not None:
        from .plots import plot

        plot(result, arguments.plot)
    print(*result.lines(), sep="\n")
    return 0


def _progress(text: str) -> None:
    """Show what is being done, on a terminal only, in place."""
    if sys.stderr.isatty():
        print(f"\r{text[:100]}\x1b[K", end="", file=sys.stderr, flush=True)
