"""`wav2edge bench batching`: several streams in one run or in threads, against one by one.

Random weights in float32, at base size and at that of the embedded model; or a bundle. All streams
are at the same chunk, their left context full. Ways take turns; what is compared is the CPU time of
each turn, for threads the time on the clock, since they cost what single streams cost.

Whole recordings likewise: so many of 10 s in one run, against one after the other; how many seconds
of audio go through in a second is told by the clock, which is what counts on a GPU.

Streams of an int8 bundle cannot share a run: then what needs one is None, and the conditions say
why.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.errors import BatchError
from wav2edge.runtime.pool import StreamPool
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.steps import StepRequest
from wav2edge.runtime.stream import Stream, StreamOptions
from wav2edge.runtime.together import check_together

from .base_model import keep_bundle, write_checkpoint
from .conditions import Conditions, options_of
from .result import Result, spread
from .sessions import ONE_THREAD, Sessions

Array = NDArray[np.float32]

STREAMS = (1, 2, 4, 8, 16)
RECORDINGS = (1, 4, 16)
WHOLE_S = 10.0
WORKERS = 2
MODEL = "model"
"""What figures call a bundle that is named."""
_SIZES = "base, and embedded: random weights in float32 at the embedded sizes"
_FILLED = 1.5  # of the left context, pushed before anything is timed
_TOGETHER = "together"
_WAYS = ("alone", _TOGETHER, "threads")


@dataclass
class _Set:
    """As many streams of each way, and what their turns took; nothing for a way left out."""

    n_streams: int
    streams: dict[str, list[Stream]]
    cpu_s: dict[str, list[float]]
    wall_s: dict[str, list[float]]

    @classmethod
    def of(cls, warm: Stream, n_streams: int, ways: Sequence[str]) -> "_Set":
        """Copy a stream whose left context is full."""
        streams = {way: [warm.copy() for _ in range(n_streams)] for way in ways}
        return cls(n_streams, streams, {way: [] for way in _WAYS}, {way: [] for way in _WAYS})

    def turn(self, way: str, chunk: Array, *, timed: bool) -> None:
        """Push a chunk to every stream of a way."""
        streams = self.streams[way]
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        if way == "alone":
            for stream in streams:
                stream.push(chunk)
        else:
            pool = StreamPool(workers=WORKERS if way == "threads" else None)
            pool.push(dict.fromkeys(streams, chunk))
        if timed:
            self.cpu_s[way].append(time.process_time() - cpu_s)
            self.wall_s[way].append(time.perf_counter() - wall_s)


def measure(
    cache: Path,
    *,
    model: str | None = None,
    rounds: int = 7,
    sessions: Sessions = ONE_THREAD,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Time 1 to 16 streams each way.

    Args:
        cache: A folder for models, which git ignores.
        model: A bundle to measure instead; None: random weights. If its streams cannot share a
            run, as in int8, the figures of one run are None, and `left_out` of the conditions'
            options holds the reason.
        rounds: Turns of each way and number.
        sessions: Opens them.
        report: Told what is being done.
    """
    options = StreamOptions()
    found: dict[str, list[float]] = {}
    conditions: Conditions | None = None
    for size in ("base", "embedded") if model is None else (MODEL,):
        bundle = _bundle(cache, size, report) if model is None else model
        recognizer = sessions.load(bundle, decoder="greedy")
        left_out = _left_out(recognizer)
        ways = [way for way in _WAYS if way not in left_out]
        conditions = conditions or Conditions.now(
            recognizer,
            threads=sessions.threads,
            options={
                "stream": options_of(recognizer.stream(options).options),
                "rounds": rounds,
                "workers": WORKERS,
                "sizes": _SIZES if model is None else "model: the bundle",
                **({"left_out": left_out} if left_out else {}),
            },
            audio={"what": "noise, one chunk a turn"},
        )
        for one in _sets(recognizer, options, ways, rounds, report):
            found |= _figures(size, one)
        model_of_it = sessions.acoustic(recognizer.bundle)
        for n, spent in _whole(model_of_it, ways, max(1, rounds // 3), report).items():
            found |= _offline_figures(f"{size}_{n}", n, spent)
    assert conditions is not None
    return Result(
        "batching",
        conditions.ended(),
        {name: spread(values) for name, values in found.items()},
        {name: _meaning(name) for name in found},
    )


def _left_out(recognizer: Recognizer) -> dict[str, str]:
    """Return the ways that a bundle's streams cannot go, and why."""
    try:
        check_together(recognizer.bundle.manifest)
    except BatchError as error:
        return {_TOGETHER: str(error)}
    return {}


def _bundle(cache: Path, size: str, report: Callable[[str], None]) -> Path:
    """Return a float32 bundle with random weights; what is missing is made."""
    checkpoint = cache / ("checkpoint" if size == "base" else "checkpoint-embedded-size")
    if not (checkpoint / "vocab.json").is_file():
        report(f"making a checkpoint with random weights, {size} size")
        if size == "base":
            write_checkpoint(checkpoint)
        else:
            from wav2edge.training.network import save_checkpoint, small_model

            save_checkpoint(small_model(0).eval(), checkpoint)
    bundle = cache / ("bundle-float32" if size == "base" else "bundle-embedded-size-float32")
    keep_bundle(checkpoint, bundle, report, precision="float32")
    return bundle


def _sets(
    recognizer: Recognizer,
    options: StreamOptions,
    ways: Sequence[str],
    rounds: int,
    report: Callable[[str], None],
) -> list[_Set]:
    rng = np.random.default_rng(0)
    warm = recognizer.stream(options)
    n_chunk = round(warm.options.chunk_ms * warm.rate_hz / 1000)

    def noise(n_samples: int) -> Array:
        return (0.1 * rng.standard_normal(n_samples)).astype(np.float32)

    n_warm = 2 + round(_FILLED * warm.options.left_ms / warm.options.chunk_ms)
    warm.push(noise(n_warm * n_chunk))
    sets = [_Set.of(warm, n, ways) for n in STREAMS]
    for number in range(rounds + 1):  # the first one moves what the copies still share
        report(f"{recognizer.bundle.manifest.name}: round {number} of {rounds}")
        for one in sets:
            chunk = noise(n_chunk)
            for way in _rotated(ways, number):
                one.turn(way, chunk, timed=number > 0)
    return sets


def _whole(
    model: AcousticModel, ways: Sequence[str], rounds: int, report: Callable[[str], None]
) -> dict[int, dict[str, list[float]]]:
    """Time log-probs of whole recordings, by their number: seconds of each turn and way."""
    rng = np.random.default_rng(1)
    n_samples = int(WHOLE_S * model.geometry.rate_hz)
    spent: dict[int, dict[str, list[float]]] = {n: {"alone": [], _TOGETHER: []} for n in RECORDINGS}
    ways = [way for way in ways if way in ("alone", _TOGETHER)]
    for number in range(rounds + 1):  # the first one warms up
        report(f"recordings: round {number} of {rounds}")
        for n in RECORDINGS:
            noise = (0.1 * rng.standard_normal((n, n_samples))).astype(np.float32)
            requests = [StepRequest(model.start(), one, 0, 0) for one in noise]
            for way in _rotated(ways, number):
                began_s = time.perf_counter()
                if way == _TOGETHER:
                    model.steps(requests)
                else:
                    for one in requests:
                        model.step(one.state, one.samples, hold_frames=0, left_frames=0)
                if number:
                    spent[n][way].append(time.perf_counter() - began_s)
    return spent


def _rotated(ways: Sequence[str], number: int) -> Sequence[str]:
    """Let another way begin each time."""
    first = number % len(ways)
    return (*ways[first:], *ways[:first])


def _figures(size: str, one: _Set) -> dict[str, list[float]]:
    n, label = one.n_streams, f"{size}_{one.n_streams}"
    cpu_s, wall_s = one.cpu_s, one.wall_s
    return {
        **{f"{label}_{way}_cpu_ms": [1000 * took / n for took in cpu_s[way]] for way in _WAYS},
        f"{label}_alone_step_ms": [1000 * took / n for took in wall_s["alone"]],
        f"{label}_together_step_ms": [1000 * took for took in wall_s[_TOGETHER]],
        f"{label}_threads_step_ms": [1000 * took / n for took in wall_s["threads"]],
        f"{label}_together_gain": _ratios(cpu_s["alone"], cpu_s[_TOGETHER]),
        f"{label}_threads_gain": _ratios(wall_s["alone"], wall_s["threads"]),
    }


def _offline_figures(
    label: str, n: int, spent: Mapping[str, Sequence[float]]
) -> dict[str, list[float]]:
    alone, together = spent["alone"], spent[_TOGETHER]
    return {
        f"{label}_whole_alone_audio_s_per_s": [n * WHOLE_S / seconds for seconds in alone],
        f"{label}_whole_together_audio_s_per_s": [n * WHOLE_S / seconds for seconds in together],
        f"{label}_whole_gain": _ratios(alone, together),
    }


def _ratios(alone: Sequence[float], other: Sequence[float]) -> list[float]:
    """Divide round by round; nothing for a way that was left out."""
    return [a / b for a, b in zip(alone, other, strict=True)] if other else []


def _meaning(name: str) -> str:
    size, n, *what = name.split("_")
    things = f"recordings of {WHOLE_S:g} s" if what[0] == "whole" else "streams"
    return (
        f"{size} size, {n} {things}: "
        + {
            "alone_cpu_ms": "CPU time of a step of one stream, pushed one by one",
            "together_cpu_ms": "the same, in one run of the network",
            "threads_cpu_ms": f"the same, in {WORKERS} threads",
            "alone_step_ms": "time on the clock of a step of one stream",
            "together_step_ms": "time on the clock of one run with a step of each",
            "threads_step_ms": f"time on the clock of a step of every stream in {WORKERS} threads, "
            "over the number of streams",
            "whole_alone_audio_s_per_s": "seconds of audio that go through in a second on the "
            "clock, one recording after the other, log-probs without decoding",
            "whole_together_audio_s_per_s": "the same, in one run of the transformer",
            "whole_gain": "time of one after the other over that of one run",
            "together_gain": "CPU time of one by one over that of one run",
            "threads_gain": f"time on the clock of one by one over that of {WORKERS} threads",
        }["_".join(what)]
    )
