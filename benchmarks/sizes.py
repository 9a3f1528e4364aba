"""`wav2edge bench sizes`: how the cost grows with the model, from tiny over base to large.

Checkpoints with random weights go through the export, as a user's would. Needs the extra `export`
while the cache is empty.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base_model import keep_bundle, write_checkpoint
from .clips import find_clips
from .conditions import Conditions, options_of
from .cost import GAP_S, STREAM, HeardAudio, in_turn, offline_turn, stream_turn
from .fits import line
from .latency import described
from .result import Figure, Result, percentile, spread
from .sessions import ONE_THREAD, Sessions

Report = Callable[[str], None]

WHOLE_S = 10.0
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "conv_dim": (256,) * 7,
    },
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}
"""What differs from wav2vec2-base, in the words of `Wav2Vec2Config`; large is large-lv60."""

DEFINITIONS = {
    "weights_m": "parameters of the checkpoint, in millions",
    "file_mb": "the bundle's model and its weights, int8",
    "offline_cpu_ms_per_s": f"CPU time per second of audio, {WHOLE_S:g} s at once",
    "stream_cpu_ms_per_s": "CPU time per second of audio of a stream, chunk and look-ahead 320 ms, "
    "4 s left",
    "growth_offline_ms_per_s": "CPU ms per second of audio that each million parameters adds, a "
    "line through all rounds: median is the slope, lowest and highest its interval of 95 %",
    "growth_stream_ms_per_s": "the same of the stream",
    "r2": "share of the variance that the line explains",
    "n": "rounds, each size in turn; the first round warms up; of growth: points",
}
"""What each figure means; the size follows in its name."""


def measure(
    cache: Path,
    *,
    rounds: int = 5,
    sessions: Sessions = ONE_THREAD,
    report: Report = lambda _: None,
) -> Result:
    """Export each size and measure all of them in turn.

    Args:
        cache: Folder of the checkpoints and bundles; what is missing is made.
        rounds: Of each in turn.
        sessions: Opens them.
        report: Told what is being done.
    """
    bundles = {name: _kept(cache, name, report) for name in SIZES}
    recognizers = {name: sessions.load(bundle) for name, bundle in bundles.items()}
    weights_m = {name: _weights_m(bundle) for name, bundle in bundles.items()}
    clips = find_clips([])
    conditions = Conditions.now(
        recognizers["base"],
        threads=sessions.threads,
        options={"stream": options_of(STREAM), "rounds": rounds, "sizes": list(SIZES)},
        audio=described(clips, gap_s=GAP_S),
        libraries=("torch", "transformers", "onnx"),
    )
    heard = HeardAudio(clips, recognizers["base"].sample_rate_hz)
    whole = heard.whole(WHOLE_S)
    turns = {
        "offline": {weights_m[k]: offline_turn(one, whole) for k, one in recognizers.items()},
        "stream": {weights_m[k]: stream_turn(one, heard) for k, one in recognizers.items()},
    }
    spent = in_turn(turns, rounds, report)
    cpu_ms = {
        way: {at: [1000 * cpu_s for cpu_s, _ in runs] for at, runs in several.items()}
        for way, several in spent.items()
    }
    figures: dict[str, Figure | None] = {}
    for name, recognizer in recognizers.items():
        facts = recognizer.bundle.manifest.files
        file_mb = sum(one.bytes for key, one in facts.items() if key.startswith("model.onnx")) / 1e6
        figures[f"weights_m {name}"] = spread([weights_m[name]])
        figures[f"file_mb {name}"] = spread([file_mb])
        for way, several in cpu_ms.items():
            figures[f"{way}_cpu_ms_per_s {name}"] = spread(several[weights_m[name]])
    return Result(
        "sizes", conditions.ended(), figures | grown(cpu_ms), DEFINITIONS, _series(cpu_ms)
    )


def grown(cpu_ms: Mapping[str, Mapping[float, Sequence[float]]]) -> dict[str, Figure | None]:
    """Fit the cost over millions of parameters, by way, through every round's point."""
    figures: dict[str, Figure | None] = {}
    for way, several in cpu_ms.items():
        points = [(at, value) for at, values in several.items() for value in values]
        found = line([at for at, _ in points], [value for _, value in points])
        figures |= found.figures(way, "ms_per_s")
    return figures


def _series(cpu_ms: Mapping[str, Mapping[float, Sequence[float]]]) -> dict[str, list[float]]:
    return {"weights_m": list(cpu_ms["offline"])} | {
        f"{way} cpu": [percentile(values, 50) for values in several.values()]
        for way, several in cpu_ms.items()
    }


def _kept(cache: Path, name: str, report: Report) -> Path:
    """Return a size's bundle; it is exported if it is not there, or the exporter has changed."""
    home = cache if name == "base" else cache / name
    if not (home / "checkpoint" / "vocab.json").is_file():
        report(f"making the checkpoint, {name}")
        write_checkpoint(home / "checkpoint", **SIZES[name])
    keep_bundle(home / "checkpoint", home / "bundle", report, precision="int8")
    return home / "bundle"


def _weights_m(bundle: Path) -> float:
    """Return the checkpoint's parameters in millions: its file holds 4 bytes of each."""
    file = bundle.with_name("checkpoint") / "model.safetensors"
    return round(file.stat().st_size / 4e6, 1)
