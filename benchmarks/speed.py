"""`wav2edge bench speed`: what the graph costs, against what people would run instead, base size.

One checkpoint with random weights, one process; everybody has a turn in each round, so
that all meet the same machine. Ours is told twice, with float32 and with integer convolutions: the
second is never the default, since what it does to a trained model has to be measured on that model.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.recognizer import Recognizer

from .base_model import CONVOLUTIONS, BaseModel, base_model
from .clips import find_clips, looped
from .conditions import Conditions, options_of
from .cost import HeardAudio, Spent, Turn, in_turn, really, stream_turn, timed
from .fresh import WAYS, run, write_recording
from .latency import described
from .operators import floors, operator_rounds, peaks, plain_operator_rounds
from .result import Figure, Result, spread
from .sessions import ONE_THREAD, Sessions
from .sliding_window import GAP_S, OPTIONS, compare

Array = NDArray[np.float32]
Report = Callable[[str], None]

LENGTHS_S = (10, 30)
_BESIDE_S = 10  # at once, beside the stream of the same round
_OURS = {"float": "ours_float_conv", "int": "ours_int_conv"}
_THEIRS = ("plain_int8", "legacy_int8", "plain_float32", "torch_float32")

DEFINITIONS = {
    "offline_": "CPU time of the process per second of audio, and time by the clock (wall), the "
    "whole recording at once, of the length that the name tells; ours_float_conv: our graph, "
    "products in int8, convolutions in float32; ours_int_conv: convolutions in int8 too "
    f"({CONVOLUTIONS}); plain_int8: torch's default export of the whole model, quantize_dynamic "
    "over MatMul; legacy_int8: the same from torch's exporter of before 2.9; plain_float32: "
    "torch's default export; torch_float32: transformers in eager mode",
    "ratio_": "how many times as much CPU time the other costs as ours, round by round",
    "ratio_stream_over_offline_": "how many times as much CPU time our stream costs as the same "
    f"graph with {_BESIDE_S} s at once, per second of audio, round by round, both in turn",
    "stream_": "CPU time per second of audio, and time by the clock (wall), of our stream, chunk, "
    "look-ahead and left context as the conditions say, events included",
    "window_": "CPU time per second of audio, and time by the clock (wall), of the plain int8 "
    "export, run again on left + chunk + look-ahead for every chunk",
    "rss_beyond_model_": "peak resident set of a fresh process, less the size of the model's file, "
    "in MB: 30 s streamed, and 30 s at once",
    "peak_": "the processor's peak in one large product of 2048 x 1024 x 1024, in 1e9 "
    "multiplications a second, in this run: the best of ten",
    "floor_": "what the multiplications of 10 s at once would take at these peaks, per second of "
    "audio, and nothing else",
    "operator_": "time of the operators of one kind in our graph, per second of audio, 10 s at "
    "once and stream step, from ONNX Runtime's profile; plain_int8 and plain_float32: of the whole "
    "model as torch exports it, 10 s at once; ten runs, after one that warms up",
    "n": "rounds, each contender in turn, after one that warms up, or a stream's first contexts",
}
"""What each figure means, by the beginning of its name, the longest that fits."""


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
        options={
            "stream": options_of(really(recognizers["float"], OPTIONS)),
            "rounds": rounds,
            "convolutions": CONVOLUTIONS,
        },
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
    figures |= {name: spread([value]) for name, value in singles.items()}
    figures |= _operators(files, sessions)
    return Result("speed", conditions.ended(), figures, DEFINITIONS)


def _operators(files: BaseModel, sessions: Sessions) -> dict[str, Figure | None]:
    found = {
        "plain_int8": plain_operator_rounds(files.plain, sessions),
        "plain_float32": plain_operator_rounds(files.plain_float32, sessions),
    }
    for kind, folder in (("float_conv", files.bundle), ("int_conv", files.bundle_integer)):
        found[kind] = operator_rounds(Bundle.read(folder), sessions, OPTIONS)
    return {
        f"operator_{kind}_{name}": spread(spent_ms)
        for kind, rounds in found.items()
        for name, spent_ms in rounds.items()
    }


def _offline(
    files: BaseModel, rounds: int, sessions: Sessions, report: Report
) -> dict[str, Figure | None]:
    audio = {length_s: _speech(length_s) for length_s in LENGTHS_S}
    with _contenders(files, sessions) as contenders:
        turns = {
            name: {float(n): timed(partial(run, audio[n]), n) for n in LENGTHS_S}
            for name, run in contenders.items()
        }
        spent = in_turn(turns, rounds, report)
    figures: dict[str, Figure | None] = {}
    for length_s in LENGTHS_S:
        of_length = {name: by_length[float(length_s)] for name, by_length in spent.items()}
        figures |= offline_figures(of_length, length_s)
    return figures


def offline_figures(
    spent: Mapping[str, Sequence[Spent]], length_s: int
) -> dict[str, Figure | None]:
    """Return costs and ratios of one length; `spent` by contender, a value a round."""
    found: dict[str, Figure | None] = {}
    for name, rounds in spent.items():
        found |= _costs(f"offline_{name}_{length_s}s", rounds)
    for ours in _OURS.values():
        for theirs in _THEIRS:
            ratio = spread(ratios(spent[theirs], spent[ours]))
            found[f"ratio_{theirs}_over_{ours}_{length_s}s"] = ratio
    return found


def ratios(above: Sequence[Spent], below: Sequence[Spent]) -> list[float]:
    """Return how many times as much CPU time the first took as the second, round by round."""
    return [one / other for (one, _), (other, _) in zip(above, below, strict=True)]


def _costs(name: str, rounds: Sequence[Spent]) -> dict[str, Figure | None]:
    return {
        f"{name}_{clock}_ms_per_s": spread([1000 * one[i] for one in rounds])
        for i, clock in enumerate(("cpu", "wall"))
    }


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
        name = _OURS[kind]
        figures |= _costs(f"stream_{name}", measured["stream"])
        figures |= _costs(f"window_beside_{name}", measured["window"])
        figures[f"ratio_window_over_stream_{name}"] = spread(
            ratios(measured["window"], measured["stream"])
        )
        beside = beside_offline(recognizer, _ours(recognizer.bundle.folder, sessions))
        spent = in_turn(beside, rounds, report)
        figures[f"ratio_stream_over_offline_{name}"] = spread(
            ratios(spent["stream"][OPTIONS.chunk_ms], spent["offline"][_BESIDE_S])
        )
    return figures


def beside_offline(
    recognizer: Recognizer, whole: Callable[[Array], object]
) -> dict[str, dict[float, Turn]]:
    """Return the turns of a stream, by its chunk, and of the same graph at once, by its seconds."""
    heard = HeardAudio(find_clips([]), recognizer.sample_rate_hz)
    audio = heard.whole(_BESIDE_S)
    return {
        "stream": {OPTIONS.chunk_ms: stream_turn(recognizer, heard, OPTIONS)},
        "offline": {_BESIDE_S: timed(lambda: whole(audio), _BESIDE_S)},
    }


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
