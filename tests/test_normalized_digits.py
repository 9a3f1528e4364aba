"""Live `do_normalize` on real digit strings: what was heard before costs no more than two points.

No checkpoint that normalises was trained on speech. The embedded model, though, hears worse far
from the levels that it was trained at: told to normalise its input, and with its first convolution
made for that level, it needs the statistics to be right.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

import onnx
from onnx import numpy_helper

from wav2edge.benchmarks.clips import find_clips
from wav2edge.lm.scoring import word_error_rate
from wav2edge.runtime.events import Final
from wav2edge.runtime.normalization import Normalization
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.training.evaluate import development_sets

Samples = NDArray[np.float32]
RATE_HZ = 16_000
BEFORE_S = 600
ROOM = (3e-4 * np.random.default_rng(1).standard_normal(2 * RATE_HZ)).astype(np.float32)
LEVEL = 0.1  # about that of speech, where what is normalised has 1


@pytest.fixture(scope="module")
def strings(shared_data: Path) -> list[tuple[Samples, str]]:
    """Digits of a speaker that the model never heard, four or five in a row."""
    return development_sets(shared_data)["fsdd digit strings"]


@pytest.fixture(scope="module")
def normalizing(embedded_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """The embedded model behind `do_normalize`, with a prior from synthetic voices."""
    folder = tmp_path_factory.mktemp("normalizing") / "bundle"
    shutil.copytree(embedded_bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    rule = Normalization(True, False, manifest["conv_kernels"][0], manifest["conv_strides"][0])  # noqa: FBT003
    state = rule.start()
    for clip in find_clips([]):
        state = rule.heard(state, clip.samples(RATE_HZ))
    manifest |= {"do_normalize": True, "normalization_prior": state.prior(5.0, rule)}
    manifest["files"] |= {"model.onnx": _quieter(folder / "model.onnx", LEVEL)}
    del manifest["files"]["model.onnx.data"]
    (folder / "model.onnx.data").unlink()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return load(folder, decoder="greedy")  # a language model would mend what is asked about


def _quieter(path: Path, gain: float) -> dict[str, object]:
    """Let a model hear its samples so much quieter; return what a manifest says of its file."""
    model = onnx.load(path)
    for one in model.graph.initializer:
        if one.name == "front/convolutions.0.product.weight":
            scaled = numpy_helper.to_array(one) * np.float32(gain)
            one.CopyFrom(numpy_helper.from_array(scaled, one.name))
    onnx.save(model, path)
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def errors_after(
    before: Samples, recognizer: Recognizer, strings: list[tuple[Samples, str]], gain: float = 1.0
) -> float:
    """Word error rate of the strings, each after `before` and two seconds of a quiet room."""
    stream, pairs = recognizer.stream("balanced"), []
    stream.push(before)
    stream.push(ROOM)
    start_s = stream.state.live.n_samples / RATE_HZ - 0.2
    for samples, text in strings:
        one = stream.copy()
        events = one.push(samples * np.float32(gain)) + one.finish()
        words = [word for e in events if isinstance(e, Final) for word in e.segment.words]
        pairs.append((text, " ".join(word.text for word in words if word.start_s > start_s)))
    return word_error_rate(pairs).rate


@pytest.fixture(scope="module")
def fresh(normalizing: Recognizer, strings: list[tuple[Samples, str]]) -> float:
    """The error of streams that have just begun, at the level the prior was measured at."""
    return errors_after(np.zeros(0, np.float32), normalizing, strings)


def silence(_: list[tuple[Samples, str]]) -> Samples:
    """Ten minutes of nothing."""
    return np.zeros(BEFORE_S * RATE_HZ, np.float32)


def noise(_: list[tuple[Samples, str]]) -> Samples:
    """Ten minutes of noise."""
    rng = np.random.default_rng(0)
    return (0.003 * rng.standard_normal(BEFORE_S * RATE_HZ)).astype(np.float32)


def louder_voice(strings: list[tuple[Samples, str]]) -> Samples:
    """Ten minutes of the same voice, ten times as loud as what follows."""
    return np.resize(np.concatenate([samples for samples, _ in strings]), BEFORE_S * RATE_HZ)


@pytest.mark.parametrize(("before", "gain"), [(silence, 1.0), (noise, 1.0), (louder_voice, 0.1)])
def test_ten_minutes_of_anything_cost_at_most_two_points(
    before: Callable[[list[tuple[Samples, str]]], Samples],
    gain: float,
    normalizing: Recognizer,
    strings: list[tuple[Samples, str]],
    fresh: float,
) -> None:
    """Against a stream that has just begun."""
    assert fresh <= 0.15
    assert errors_after(before(strings), normalizing, strings, gain) <= fresh + 0.02


def test_the_statistics_matter(embedded_bundle: Path, strings: list[tuple[Samples, str]]) -> None:
    """Without normalisation the same model loses ten points where the voice is 40 dB quieter."""
    recognizer = load(embedded_bundle, decoder="greedy")

    def error(gain: float) -> float:
        heard = [
            (text, recognizer.transcribe(x * np.float32(gain), RATE_HZ)) for x, text in strings
        ]
        return word_error_rate([(text, one.text) for text, one in heard]).rate

    assert error(0.01) >= error(1.0) + 0.1
