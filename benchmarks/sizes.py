"""`wav2edge bench sizes`: how the cost grows with the model, from tiny over base to large.

Checkpoints with random weights go through the export, as a user's would. Needs the extra `export`
while the cache is empty.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from .base_model import keep_bundle, write_checkpoint
from .clips import find_clips
from .conditions import Conditions, options_of
from .cost import GAP_S, STREAM, HeardAudio, Spent, in_turn, offline_turn, really, stream_turn
from .fits import exponent
from .latency import described
from .result import Figure, Result, percentile, spread
from .sessions import ONE_THREAD, Sessions

Report = Callable[[str], None]
BySize = Mapping[float, Sequence[Spent]]
"""What each round took, by millions of parameters."""

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
    "offline_wall_ms_per_s": "the same by the clock",
    "stream_cpu_ms_per_s": "CPU time per second of audio of a stream, chunk, look-ahead and left "
    "context as the conditions say",
    "stream_wall_ms_per_s": "the same by the clock",
    "offline_cpu_ms_per_million": "CPU ms per second of audio that each further million parameters "
    f"adds from the smaller of two sizes to the larger, round by round; {WHOLE_S:g} s at once",
    "stream_cpu_ms_per_million": "the same of the stream",
    "growth_offline_exponent": "k in cost = c * parameters ** k, CPU time, one point a size, the "
    "median of its rounds: median is k, lowest and highest its interval of 95 %, n sizes",
    "growth_stream_exponent": "the same of the stream",
    "r2": "share of the variance that the power law explains, of logarithms",
    "n": "rounds, each size in turn, after one that warms up; of growth: sizes",
}
"""What each figure means, by the beginning of its name; the size follows in it.

`r2` is the end of a name: of the growth that the name begins with.
"""


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
        options={
            "stream": options_of(really(recognizers["base"], STREAM)),
            "rounds": rounds,
            "sizes": list(SIZES),
        },
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
    figures: dict[str, Figure | None] = {}
    for name, recognizer in recognizers.items():
        facts = recognizer.bundle.manifest.files
        file_mb = sum(one.bytes for key, one in facts.items() if key.startswith("model.onnx")) / 1e6
        figures[f"weights_m {name}"] = spread([weights_m[name]])
        figures[f"file_mb {name}"] = spread([file_mb])
    named = {weights: name for name, weights in weights_m.items()}
    for way, by_size in spent.items():
        figures |= costs(way, by_size, named) | further(way, by_size, named) | grown(way, by_size)
    return Result("sizes", conditions.ended(), figures, DEFINITIONS, _series(spent))


def costs(way: str, spent: BySize, named: Mapping[float, str]) -> dict[str, Figure | None]:
    """Return CPU and wall ms per second of audio of each size; `named` by parameters."""
    return {
        f"{way}_{clock}_ms_per_s {named[at]}": spread([1000 * one[i] for one in rounds])
        for at, rounds in spent.items()
        for i, clock in enumerate(("cpu", "wall"))
    }


def further(way: str, spent: BySize, named: Mapping[float, str]) -> dict[str, Figure | None]:
    """Return what a further million parameters adds from each size to the next."""
    found: dict[str, Figure | None] = {}
    for (small, below), (large, above) in pairwise(sorted(spent.items())):
        slopes = [
            1000 * (more - less) / (large - small)
            for (less, _), (more, _) in zip(below, above, strict=True)
        ]
        found[f"{way}_cpu_ms_per_million {named[small]} to {named[large]}"] = spread(slopes)
    return found


def grown(way: str, spent: BySize) -> dict[str, Figure | None]:
    """Fit the power of the size that the cost grows as, through one median a size."""
    medians = [percentile([cpu_s for cpu_s, _ in rounds], 50) for rounds in spent.values()]
    return exponent(list(spent), medians).figures(way, "exponent")


def _series(spent: Mapping[str, BySize]) -> dict[str, list[float]]:
    return {"weights_m": list(spent["offline"])} | {
        f"{way} {clock}": [
            percentile([1000 * one[i] for one in rounds], 50) for rounds in by_size.values()
        ]
        for way, by_size in spent.items()
        for i, clock in enumerate(("cpu", "wall"))
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
