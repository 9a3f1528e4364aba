"""`wav2edge bench start` and `memory`: what a process of its own takes, from nothing to the end.

Each run is a fresh interpreter, so that nothing is loaded or warm but the files in the system's
cache; every way and length has a turn in each round.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wav2edge.runtime.recognizer import Recognizer

from .clips import Clip, looped
from .conditions import Conditions, options_of
from .fits import line
from .latency import described
from .result import BenchmarkError, Figure, Result, percentile, spread

Report = Callable[[str], None]

WAYS = ("streaming", "offline")
START_S = 3.0
LENGTHS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SETTLED_S = 60.0  # from here on a recording goes in steps, and a stream's contexts are full
GAP_S = 0.5

START_DEFINITIONS = {
    "wall_ms": f"from starting the interpreter to the transcript of a recording of {START_S:g} s; "
    "offline: transcribed as a whole, streaming: pushed in blocks of 20 ms as fast as it goes",
    "cpu_ms": "CPU time of that process by then, all its threads",
    "import_ms": "of it, until wav2edge and what it needs is imported, the interpreter aside",
    "load_ms": "of it, until the model is loaded",
    "hear_ms": "of it, until the transcript is there",
    "n": "processes, each way in turn; the first of each warms the system's cache",
}
MEMORY_DEFINITIONS = {
    "rss_beyond_model_mb": "peak resident set of a fresh process, less the model's files, in MB: "
    "a recording of the length that the name ends with, streamed (balanced) or as a whole",
    "rss_loaded_mb": "its peak when the model is loaded, less the same",
    "growth_streaming_mb_per_h": "what an hour of audio adds by a line through the medians at "
    f"each length of {SETTLED_S:g} s and more: median is the slope, lowest and highest its "
    "interval of 95 %, n lengths",
    "growth_offline_mb_per_h": "the same of whole recordings, which go through the model in steps",
    "r2": "share of the variance that the line explains",
    "model_mb": "the model's file and its weights",
    "n": "processes, each way and length in turn; of growth: lengths",
}


@dataclass(frozen=True, slots=True)
class Fresh:
    """What one process took; by its own account but for `wall_s`."""

    wall_s: float
    """From starting it to the line in which it tells."""
    import_s: float
    load_s: float
    hear_s: float
    cpu_s: float
    loaded_mb: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class FreshOptions:
    """How to measure.

    Attributes:
        threads: Of the model.
        provider: As `wav2edge bench --provider` takes it.
        rounds: Of each in turn.
        longest_s: Recordings longer than this are left out.
    """

    threads: int = 1
    provider: str = "cpu"
    rounds: int = 3
    longest_s: float = LENGTHS_S[-1]


def run(
    way: str, bundle: Path, recording: Path, *, threads: int = 1, provider: str = "cpu"
) -> Fresh:
    """Hear a recording in a fresh process.

    Raises:
        BenchmarkError: If the process fails, with its last words.
    """
    module = "wav2edge.benchmarks.one_run"
    command = [sys.executable, "-m", module, way, str(bundle), str(recording)]
    command += [str(threads), provider]
    began_s = time.perf_counter()
    with subprocess.Popen(  # noqa: S603  (our own module)
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_variables(), text=True
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        wall_s = time.perf_counter() - began_s
        _, complaint = process.communicate()
    if not told:
        last = (complaint.strip().splitlines() or ["no word"])[-1]
        raise BenchmarkError(f"a process that hears {recording.name} ended early: {last}")
    return Fresh(wall_s=wall_s, **json.loads(told))


def _variables() -> dict[str, str]:
    """Return the environment of a process whose start counts.

    It may keep the bytecode of what it imports, as pip has done for all that it installed: without
    it, who runs from sources would be read and compiled anew in every start.
    """
    return {name: told for name, told in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure_start(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: FreshOptions,
    report: Report = lambda _: None,
) -> Result:
    """Measure the way from nothing to a first transcript.

    Args:
        recognizer: For the conditions; the processes load the same bundle themselves.
        clips: What is heard of them: the first three seconds.
        options: How to measure.
        report: Told what is being done.
    """
    conditions = _conditions(recognizer, clips, options)
    seen = _in_turn(recognizer, clips, options, [START_S], report, warm_ups=1)
    figures: dict[str, Figure | None] = {}
    series: dict[str, list[float]] = {}
    for (way, _), runs in seen.items():
        for part in ("wall", "cpu", "import", "load", "hear"):
            values = [1000 * float(getattr(one, f"{part}_s")) for one in runs]
            figures[f"{part}_ms {way}"] = spread(values)
            series[f"{part}_ms {way}"] = values
    return Result("start", conditions.ended(), figures, START_DEFINITIONS, series)


def measure_memory(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: FreshOptions,
    report: Report = lambda _: None,
) -> Result:
    """Measure the memory of a process over the length of what it hears.

    Args:
        recognizer: For the conditions; the processes load the same bundle themselves.
        clips: Heard over and over.
        options: How to measure.
        report: Told what is being done.
    """
    conditions = _conditions(recognizer, clips, options)
    model_mb = float(conditions.model["file_mb"])
    lengths_s = [one for one in LENGTHS_S if one <= options.longest_s] or [options.longest_s]
    seen = _in_turn(recognizer, clips, options, lengths_s, report)
    beyond = {key: [one.peak_mb - model_mb for one in runs] for key, runs in seen.items()}
    loaded = [one.loaded_mb - model_mb for runs in seen.values() for one in runs]
    figures: dict[str, Figure | None] = {
        "model_mb": spread([model_mb]),
        "rss_loaded_mb": spread(loaded),
    }
    for (way, length_s), values in beyond.items():
        figures[f"rss_beyond_model_mb {way} {length_s:g}"] = spread(values)
    return Result(
        "memory",
        conditions.ended(),
        figures | grown(beyond),
        MEMORY_DEFINITIONS,
        {
            "length_s": list(lengths_s),
            **{
                f"{way} mb": [percentile(beyond[way, length_s], 50) for length_s in lengths_s]
                for way in WAYS
            },
        },
    )


def grown(beyond: "dict[tuple[str, float], list[float]]") -> dict[str, Figure | None]:
    """Fit memory over hours of audio, by way, one point a length.

    Args:
        beyond: MB in each round, by way and seconds.
    """
    figures: dict[str, Figure | None] = {}
    for way in WAYS:
        points = [
            (length_s / 3600, percentile(values, 50))
            for (kind, length_s), values in beyond.items()
            if kind == way and length_s >= SETTLED_S
        ]
        found = line([at for at, _ in points], [mb for _, mb in points])
        figures |= found.figures(way, "mb_per_h")
    return figures


def _conditions(recognizer: Recognizer, clips: Sequence[Clip], options: FreshOptions) -> Conditions:
    with recognizer.stream() as stream:
        really = options_of(stream.options)
    return Conditions.now(
        recognizer,
        threads=options.threads,
        options={"stream": really, "rounds": options.rounds},
        audio=described(clips, gap_s=GAP_S),
    )


def _in_turn(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: FreshOptions,
    lengths_s: Sequence[float],
    report: Report,
    *,
    warm_ups: int = 0,
) -> dict[tuple[str, float], list[Fresh]]:
    """Run each way and length in each round; the warm-ups are forgotten."""
    seen: dict[tuple[str, float], list[Fresh]] = {}
    bundle, rate_hz = recognizer.bundle.folder, recognizer.sample_rate_hz
    with tempfile.TemporaryDirectory() as folder:
        for i in range(-warm_ups, options.rounds):
            for length_s in lengths_s:
                recording = Path(folder) / f"{length_s:g}.wav"
                if not recording.is_file():
                    write_recording(recording, clips, rate_hz, length_s)
                for way in WAYS:
                    told = "warming up" if i < 0 else f"round {i + 1} of {options.rounds}"
                    report(f"{told}, {way}, {length_s:g} s")
                    found = run(
                        way, bundle, recording, threads=options.threads, provider=options.provider
                    )
                    if i >= 0:
                        seen.setdefault((way, length_s), []).append(found)
    return seen


def write_recording(path: Path, clips: Sequence[Clip], rate_hz: int, length_s: float) -> None:
    """Write the clips, over and over, as a WAV file of 16 bits and a length."""
    samples = next(looped(clips, rate_hz=rate_hz, gap_s=GAP_S, block_s=length_s))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
