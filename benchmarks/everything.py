"""`wav2edge bench all`: every benchmark that can be run on one bundle, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wav2edge.lm.errors import Wav2EdgeError
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import LATENCIES

from .clips import Clip
from .result import Result
from .sessions import Sessions

if TYPE_CHECKING:
    from .cost import CostOptions
    from .fresh import FreshOptions

Report = Callable[[str], None]

MORE = {
    "sizes": "exports with torch, 8 GB of memory: ask for it by --with-sizes, or --add its result",
    "peers": "takes 3 GB of disk and half an hour: ask for it by --with-peers, or --add its result",
}
"""What only runs when it is asked for, and why."""
_PEAK = "rss_peak_mb"
_NO_PEAK = (
    "not measured here: the peak of a process is that of all it has run, and other benchmarks ran "
    "in this one before; run latency by itself, or see memory"
)
ELSEWHERE = (
    "window", "batching", "soak", "alignment", "pronunciation", "phrases", "confidence", "hotwords",
    "adaptation", "pretraining", "pocketsphinx",
)  # fmt: skip
"""What `all` never runs."""


@dataclass(frozen=True, slots=True)
class AllOptions:
    """What to run, and how long.

    Attributes:
        open_with: Loads the bundle with another number of threads.
        threads: That the recognizer was loaded with.
        provider: As the command line names it.
        rounds: Of each benchmark's contenders in turn.
        longest_s: Recordings longer than this are left out.
        trial_s: Real time of each trial of live streams.
        data: Folder of MANIFEST.tsv, for the error rates.
        lm: An ARPA file, for the decoders.
        more: Some of `MORE`.
        cache: For models that are made, and what others are installed into.
    """

    open_with: Callable[[float], Recognizer]
    threads: int = 1
    provider: str = "cpu"
    rounds: int = 3
    longest_s: float = 600.0
    trial_s: float = 10.0
    data: Path | None = None
    lm: Path | None = None
    more: tuple[str, ...] = ()
    cache: Path = Path(".bench")


@dataclass(slots=True)
class Found:
    """What came out."""

    results: dict[str, Result] = field(default_factory=dict)
    """By the name of the file that each would be written to."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What could not be measured, and why."""


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: AllOptions,
    report: Report = lambda _: None,
    done: Callable[[str, Result], None] = lambda *_: None,
) -> Found:
    """Run all of them; one that cannot be run leaves the others alone.

    Args:
        recognizer: Loaded with `options.threads`.
        clips: What is heard.
        options: What to run.
        report: Told what is being done.
        done: Given each result as soon as it is there, and its name.
    """
    found = Found()
    for name, run in _benchmarks(recognizer, clips, options):
        try:
            result = run(lambda text, name=name: report(f"{name}: {text}"))  # type: ignore[misc]
        except (Wav2EdgeError, ModuleNotFoundError) as error:
            found.left_out[name] = str(error)
        else:
            found.results[name] = result
            done(name, result)
    if options.data is None:
        found.left_out["accuracy"] = "no transcripts: name the folder of a MANIFEST.tsv with --data"
    if options.lm is None:
        found.left_out["decoder"] = "no language model to compare decoders with: name an ARPA, --lm"
    found.left_out |= {name: why for name, why in MORE.items() if name not in options.more}
    found.left_out["others"] = (
        f"{', '.join(ELSEWHERE)}: run by their names, then --add their results"
    )
    return found


def _benchmarks(
    recognizer: Recognizer, clips: Sequence[Clip], options: AllOptions
) -> Iterator[tuple[str, Callable[[Report], Result]]]:
    """Yield what to run; each benchmark is imported when its turn comes."""
    from . import cost, fresh, keep_up, streams

    presets = keep_up.KeepUpOptions(
        dict(zip(LATENCIES, LATENCIES, strict=True)),
        threads=options.threads,
        rounds=options.rounds,
    )
    yield "keep-up", lambda report: keep_up.measure(recognizer, clips, presets, report)
    # Before cost: its long recordings grow the process, and hide what a session adds to it.
    for name in LATENCIES:
        yield f"latency-{name}", _latency(recognizer, clips, options, name)
    of_cost: CostOptions = cost.CostOptions(
        options.open_with, options.threads, options.rounds, options.longest_s
    )
    yield "cost", lambda report: cost.measure(recognizer, clips, of_cost, report)
    of_process: FreshOptions = fresh.FreshOptions(
        options.threads, options.provider, options.rounds, options.longest_s
    )
    yield "start", lambda report: fresh.measure_start(recognizer, clips, of_process, report)
    yield "memory", lambda report: fresh.measure_memory(recognizer, clips, of_process, report)
    live = streams.StreamsOptions(seconds=options.trial_s)
    yield "streams", lambda report: streams.measure(options.open_with(1), clips, live, report)
    yield from _with_data(recognizer, options)
    how = Sessions(options.threads, tuple(options.provider.split(",")))
    for name, run in (("sizes", _sizes), ("peers", _peers)):
        if name in options.more:
            yield name, partial(run, options, how)


def _latency(
    recognizer: Recognizer, clips: Sequence[Clip], options: AllOptions, name: str
) -> Callable[[Report], Result]:
    def run(report: Report) -> Result:
        from .latency import LatencyOptions
        from .latency import measure as measure_latency

        asked = LatencyOptions(stream=name, repeats=options.rounds, threads=options.threads)
        return without_peak(measure_latency(recognizer, clips, asked, report))

    return run


def without_peak(result: Result) -> Result:
    """Take back the peak of memory, which is that of all benchmarks so far and not of this one."""
    return replace(
        result,
        figures=result.figures | {_PEAK: None},
        definitions=result.definitions | {_PEAK: _NO_PEAK},
    )


def _sizes(options: AllOptions, how: Sessions, report: Report) -> Result:
    from . import sizes

    return sizes.measure(options.cache, rounds=options.rounds, sessions=how, report=report)


def _peers(options: AllOptions, how: Sessions, report: Report) -> Result:
    from .base_model import base_model
    from .peers import BASE, PeersOptions, measure

    asked = PeersOptions(starts=options.rounds, rounds=options.rounds, threads=how.threads)
    models = {BASE: base_model(options.cache, report)}
    return measure(models, options.cache / "peers", asked, report=report)


def _with_data(
    recognizer: Recognizer, options: AllOptions
) -> Iterator[tuple[str, Callable[[Report], Result]]]:
    """Yield what needs more than a bundle."""
    data, lm = options.data, options.lm
    if data is not None:
        from . import accuracy

        yield (
            "accuracy",
            lambda report: accuracy.measure(
                recognizer, data, threads=options.threads, report=report
            ),
        )
    if lm is not None:
        from . import decoder

        yield (
            "decoder",
            lambda report: decoder.measure(
                recognizer,
                lm,
                cache=options.cache,
                rounds=options.rounds,
                sessions=Sessions(options.threads, tuple(options.provider.split(","))),
                report=report,
            ),
        )
