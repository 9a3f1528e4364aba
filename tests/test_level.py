"""Running statistics in a stream: what was heard before does not harm what is said now."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

pytest.importorskip("torch", reason="a group-norm checkpoint is trained with torch")

from random_checkpoint import write_tone_checkpoint

from wav2edge.export.convert import export
from wav2edge.lm.scoring import character_error_rate
from wav2edge.runtime.events import Final
from wav2edge.runtime.recognizer import Recognizer, load

Samples = NDArray[np.float32]
RATE_HZ = 16_000
BEFORE_S = 600


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained checkpoint that normalises twice: its samples, and by group norm."""
    folder = tmp_path_factory.mktemp("group-norm") / "checkpoint"
    return write_tone_checkpoint(folder, "base", do_normalize=True)


@pytest.fixture(scope="module")
def clips(checkpoint: Path) -> list[tuple[str, Samples]]:
    """Strings of 20 letters and their audio."""
    paths = sorted((checkpoint / "clips").glob("*.wav"))
    return [(path.stem.split("_")[1], soundfile.read(path, dtype="float32")[0]) for path in paths]


@pytest.fixture(scope="module")
def recognizer(checkpoint: Path) -> Recognizer:
    """The exported checkpoint; the export itself proves parity."""
    verify = sorted((checkpoint / "clips").glob("*.wav"))
    out = checkpoint.parent / "bundle"
    return load(export(str(checkpoint), out, precision="float32", verify=verify).bundle.folder)


def errors_after(
    before: Samples, gain: float, recognizer: Recognizer, clips: list[tuple[str, Samples]]
) -> float:
    """Character error of the clips, each after `before` and a second of near silence."""
    stream, pairs = recognizer.stream("balanced"), []
    stream.push(before)
    stream.push(np.full(RATE_HZ, 1e-5, np.float32))
    start_s = stream.state.live.n_samples / RATE_HZ - 0.2
    for text, samples in clips[:6]:
        one = stream.copy()
        events = one.push(samples * np.float32(gain)) + one.finish()
        words = [word for e in events if isinstance(e, Final) for word in e.segment.words]
        pairs.append((text, "".join(word.text for word in words if word.start_s > start_s)))
    return character_error_rate(pairs).rate


def silence(_: list[tuple[str, Samples]]) -> Samples:
    """Ten minutes of nothing."""
    return np.zeros(BEFORE_S * RATE_HZ, np.float32)


def noise(_: list[tuple[str, Samples]]) -> Samples:
    """Ten minutes of noise about as loud as the voice."""
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(BEFORE_S * RATE_HZ)).astype(np.float32)


def louder_voice(clips: list[tuple[str, Samples]]) -> Samples:
    """Ten minutes of the same voice ten times as loud as what follows."""
    return np.resize(np.concatenate([samples for _, samples in clips]), BEFORE_S * RATE_HZ)


@pytest.mark.parametrize(
    ("before", "gain"), [(silence, 1.0), (noise, 1.0), (louder_voice, 0.1), (silence, 0.01)]
)
def test_ten_minutes_of_anything_cost_at_most_two_points(
    before: object, gain: float, recognizer: Recognizer, clips: list[tuple[str, Samples]]
) -> None:
    """After silence, noise or a voice 20 dB louder the error is at most 2 points above offline."""
    assert callable(before)
    heard = [(text, recognizer.transcribe(samples, RATE_HZ).text) for text, samples in clips[:6]]
    offline = character_error_rate(heard).rate
    assert offline <= 0.02
    assert errors_after(before(clips), gain, recognizer, clips) <= offline + 0.02


def test_silence_and_noise_leave_the_statistics_alone(recognizer: Recognizer) -> None:
    """Steps in which nothing is said do not change what the next voice is normalised by."""
    stream = recognizer.stream("balanced")
    before = stream.state.live.acoustic.norm
    stream.push(np.zeros(20 * RATE_HZ, np.float32))
    after = stream.state.live.acoustic.norm
    assert after.samples.count == before.samples.count
    np.testing.assert_array_equal(after.windows.scatter, before.windows.scatter)


def test_the_statistics_travel_with_the_state(
    recognizer: Recognizer, clips: list[tuple[str, Samples]]
) -> None:
    """A stream resumed from a pickled state normalises by what was heard, not by the prior."""
    spoken, start = clips[0][1] * np.float32(0.1), recognizer.stream("balanced").state
    first = recognizer.stream("balanced")
    first.push(spoken)
    saved = pickle.loads(pickle.dumps(first.state))  # noqa: S301  (our own)
    before, after = start.live.acoustic.norm, saved.live.acoustic.norm
    assert not np.array_equal(before.windows.scatter, after.windows.scatter)
    second = recognizer.stream("balanced", state=saved)
    assert second.push(spoken) + second.finish() == first.push(spoken) + first.finish()
