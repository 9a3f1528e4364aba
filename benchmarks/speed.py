"""`wav2edge bench speed`: what the graph costs, against what people would run instead, base size.

One checkpoint with random weights, one process; everybody has a turn in each round, so
that all meet the same machine. Ours is told twice, with float32 and with integer convolutions: the
second is never the default, since what it does to a trained model has to be measured on that model.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.recognizer import Recognizer

from .base_model import CONVOLUTIONS, BaseModel, base_model
from .clips import find_clips, looped
from .conditions import Conditions, options_of
from .fresh import WAYS, run, write_recording
from .latency import described
from .operators import floors, operator_times, peaks, plain_operator_times
from .result import Figure, Result, spread
from .sessions import ONE_THREAD, Sessions
from .sliding_window import GAP_S, OPTIONS, compare

Array = NDArray[np.float32]
Report = Callable[[str], None]

LENGTHS_S = (10, 30)
_OURS = {"float": "ours_float_conv", "int": "ours_int_conv"}
_THEIRS = ("plain_int8", "legacy_int8", "plain_float32", "torch_float32")

DEFINITIONS = {
    "offline_": "CPU time of the process per second of audio, the whole recording at once, of the "
    "length that the name ends with; ours_float_conv: our graph, products in int8, convolutions in "
    f"float32; ours_int_conv: convolutions in int8 too ({CONVOLUTIONS}); plain_int8: torch's "
    "default export of the whole model, quantize_dynamic over MatMul; legacy_int8: the same from "
    "torch's exporter of before 2.9; plain_float32: torch's default export; torch_float32: "
    "transformers in eager mode",
    "ratio_": "how many times as much the other costs as ours, round by round",
    "stream_": "CPU time per second of audio of our stream, chunk 320 ms, look-ahead 320 ms, 4 s "
    "left, events included",
    "window_": "CPU time per second of audio of the plain int8 export, run again on left + chunk + "
    "look-ahead for every chunk",
    "rss_beyond_model_": "peak resident set of a fresh process, less the size of the model's file, "
    "in MB: 30 s streamed, and 30 s at once",
    "peak_": "the processor's peak in one large product of 2048 x 1024 x 1024, in 1e9 "
    "multiplications a second, in this run",
    "floor_": "what the multiplications of 10 s at once would take at these peaks, per second of "
    "audio, and nothing else",
    "operator_": "time of the operators of one kind in our graph, per second of audio, 10 s at "
    "once and stream step, from ONNX Runtime's profile; plain_int8 and plain_float32: of the whole "
    "model as torch exports it, 10 s at once",
    "n": "rounds, each contender in turn",
}
"""What each figure means, by the beginning of its name."""


def measure(
    cache: Path,
    *,
    rounds: int = 5,
    sessions: Sessions = ONE_THREAD,
    report: Report = lambda _: None,
) -> Result:
    """Compare all.

    Args:
        cache: Folder of the exported files; they are made if they are not there.
        rounds: Of each in turn.
        sessions: Opens all graphs; torch runs on the processor with as many threads.
        report: Told what is being done.
    """
    files = base_model(cache, report)
    recognizers = {
        "float": sessions.load(files.bundle),
        "int": sessions.load(files.bundle_integer),
    }
    clips = find_clips([])
    conditions = Conditions.now(
        recognizers["float"],
        threads=sessions.threads,
        options={"stream": options_of(OPTIONS), "rounds": rounds, "convolutions": CONVOLUTIONS},
        audio=described(clips, gap_s=GAP_S),
        libraries=("torch", "transformers", "onnx"),
    )
    figures: dict[str, Figure | None] = {}
    figures |= _offline(files, rounds, sessions, report)
    figures |= _streamed(files, recognizers, rounds, sessions, report)
    figures |= _memory(files, sessions, report)
    report("peaks and operators")
    peak = peaks(sessions)
    config = json.loads((files.checkpoint / "config.json").read_text(encoding="utf-8"))
    singles = peak | floors(config, peak)
    for kind, path in (("plain_int8", files.plain), ("plain_float32", files.plain_float32)):
        for name, spent_ms in plain_operator_times(path, sessions).items():
            singles[f"operator_{kind}_{name}"] = spent_ms
    for kind, folder in (("float_conv", files.bundle), ("int_conv", files.bundle_integer)):
        for name, spent_ms in operator_times(Bundle.read(folder), sessions).items():
            singles[f"operator_{kind}_{name}"] = spent_ms
    figures |= {name: spread([value]) for name, value in singles.items()}
    return Result("speed", conditions.ended(), figures, DEFINITIONS)


def _offline(
    files: BaseModel, rounds: int, sessions: Sessions, report: Report
) -> dict[str, Figure | None]:
    figures: dict[str, Figure | None] = {}
    with _contenders(files, sessions) as contenders:
        for length_s in LENGTHS_S:
            audio = _speech(length_s)
            times: dict[str, list[float]] = {name: [] for name in contenders}
            for i in range(rounds + 1):
                report(f"offline, {length_s} s, round {i} of {rounds}")
                for name, run in contenders.items():
                    spent_ms = 1000 * _cpu_s(run, audio) / length_s
                    if i:  # the first round warms up
                        times[name].append(spent_ms)
            figures |= offline_figures(times, length_s)
    return figures


def offline_figures(
    times: Mapping[str, Sequence[float]], length_s: int
) -> dict[str, Figure | None]:
    """Return costs and ratios; `times` are CPU ms per second of audio, by contender."""
    found = {
        f"offline_{name}_{length_s}s_cpu_ms_per_s": spread(values) for name, values in times.items()
    }
    for ours in _OURS.values():
        for theirs in _THEIRS:
            ratios = [a / b for a, b in zip(times[theirs], times[ours], strict=True)]
            found[f"ratio_{theirs}_over_{ours}_{length_s}s"] = spread(ratios)
    return found


@contextmanager
def _contenders(
    files: BaseModel, sessions: Sessions
) -> Iterator[dict[str, Callable[[Array], object]]]:
    import torch
    from transformers import Wav2Vec2ForCTC

    eager = Wav2Vec2ForCTC.from_pretrained(files.checkpoint).eval()
    n_threads = torch.get_num_threads()
    torch.set_num_threads(sessions.threads)

    def run_eager(audio: Array) -> None:
        with torch.inference_mode():
            eager(torch.from_numpy(audio[None]))

    contenders: dict[str, Callable[[Array], object]] = {"torch_float32": run_eager}
    for name, path in (
        ("plain_int8", files.plain),
        ("legacy_int8", files.legacy),
        ("plain_float32", files.plain_float32),
    ):
        contenders[name] = _plain(path, sessions)
    for kind, folder in (("float", files.bundle), ("int", files.bundle_integer)):
        contenders[_OURS[kind]] = _ours(folder, sessions)
    try:
        yield contenders
    finally:
        torch.set_num_threads(n_threads)


def _plain(path: Path, sessions: Sessions) -> Callable[[Array], object]:
    session = sessions.open(path)
    return lambda audio: session.run(("logits",), {"input_values": audio[None]})


def _ours(folder: Path, sessions: Sessions) -> Callable[[Array], object]:
    model = sessions.acoustic(Bundle.read(folder))
    return lambda audio: list(model.log_probs([audio]))


def _streamed(
    files: BaseModel,
    recognizers: Mapping[str, Recognizer],
    rounds: int,
    sessions: Sessions,
    report: Report,
) -> dict[str, Figure | None]:
    figures: dict[str, Figure | None] = {}
    windows = {"window": sessions.open(files.plain)}
    for kind, recognizer in recognizers.items():
        chunks = looped(
            find_clips([]),
            rate_hz=recognizer.sample_rate_hz,
            gap_s=GAP_S,
            block_s=OPTIONS.chunk_ms / 1000,
        )
        measured = compare(recognizer, windows, chunks, rounds=rounds, report=report)
        ours = [1000 * spent for spent, _ in measured["stream"]]
        window = [1000 * spent for spent, _ in measured["window"]]
        name = _OURS[kind]
        figures[f"stream_{name}_cpu_ms_per_s"] = spread(ours)
        figures[f"window_beside_{name}_cpu_ms_per_s"] = spread(window)
        figures[f"ratio_window_over_stream_{name}"] = spread(
            [a / b for a, b in zip(window, ours, strict=True)]
        )
        offline = [1000 * _cpu_s(_ours(recognizer.bundle.folder, sessions), _speech(10)) / 10]
        figures[f"ratio_stream_over_offline_{name}"] = spread([min(ours) / min(offline)])
    return figures


def _memory(files: BaseModel, sessions: Sessions, report: Report) -> dict[str, Figure | None]:
    """Measure in processes of their own: what this one has loaded does not count."""
    figures: dict[str, Figure | None] = {}
    file_mb = sum(one.stat().st_size for one in files.bundle.iterdir()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "30.wav"
        write_recording(recording, find_clips([]), 16_000, 30.0)
        for way in WAYS:
            report(f"memory, {way}")
            provider = ",".join(sessions.provider)
            found = run(way, files.bundle, recording, threads=sessions.threads, provider=provider)
            figures[f"rss_beyond_model_{way}_mb"] = spread([found.peak_mb - file_mb])
    return figures


def _speech(length_s: int) -> Array:
    blocks = looped(find_clips([]), rate_hz=16_000, gap_s=0.2, block_s=float(length_s))
    return next(blocks)


def _cpu_s(run: Callable[[Array], object], audio: Array) -> float:
    started = time.process_time()
    run(audio)
    return time.process_time() - started
