"""Sessions: what was asked for is what runs, idle means idle, and each entry point runs alone."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tiny_bundle import LEFT_FRAMES, RECEPTIVE_FIELD, TOKENS

from wav2edge.lm.errors import Wav2EdgeError
from wav2edge.runtime import session as door
from wav2edge.runtime.bundle import MODEL
from wav2edge.runtime.errors import (
    InferenceError,
    ModelFormatError,
    ProviderError,
    ThreadsError,
)
from wav2edge.runtime.session import Provider, Session, available_providers, open_session

V = len(TOKENS)


@pytest.fixture
def session(tiny_bundle: Path) -> Session:
    """The tiny model, on one thread."""
    return open_session(tiny_bundle / MODEL, threads=1, provider="cpu")


def context_feeds(n_frames: int, n_past: int, n_held: int) -> dict[str, NDArray[np.float32]]:
    """Inputs of the context entry."""
    return {
        "frames": np.zeros((1, LEFT_FRAMES + n_frames, 1), np.float32),
        "key_0": np.zeros((n_past, 1), np.float32),
        "value_0": np.zeros((n_past, 1), np.float32),
        "hold": np.zeros(n_held, np.float32),
    }


# --- running -------------------------------------------------------------------------------------


def test_each_entry_runs_without_the_other(session: Session) -> None:
    """One file, two entry points: each is run without feeding the other's inputs."""
    samples = np.zeros((1, RECEPTIVE_FIELD), np.float32)
    (features,) = session.run(["features"], {"samples": samples})
    assert features.shape == (1, 1, 1)
    log_probs, keys = session.run(["log_probs", "new_key_0"], context_feeds(5, 3, 2))
    assert (log_probs.shape, keys.shape) == ((1, 5, V), (3, 1))


@pytest.mark.parametrize("n_past", [0, 1, 4])
@pytest.mark.parametrize("n_held", [0, 1, 5])
def test_empty_state_is_accepted(session: Session, n_past: int, n_held: int) -> None:
    """A cache of no frames and a look-ahead of none are arrays of length 0, and work."""
    log_probs, keys = session.run(["log_probs", "new_key_0"], context_feeds(5, n_past, n_held))
    assert (log_probs.shape[1], keys.shape[0]) == (5, 5 - n_held)


def test_views_are_run_like_copies(session: Session) -> None:
    """Arrays with gaps, or of float64, give what their copies as float32 give."""
    samples = np.random.default_rng(0).uniform(-1, 1, (1, 2000))
    found = session.run(["features"], {"samples": samples[:, ::2]})  # type: ignore[dict-item]
    copied = np.ascontiguousarray(samples[:, ::2], np.float32)
    np.testing.assert_array_equal(found[0], session.run(["features"], {"samples": copied})[0])


def test_results_are_not_reused(session: Session) -> None:
    """What a run returned stays what it was when the next one runs."""
    ones, halves = (np.full((1, 800), value, np.float32) for value in (1.0, 0.5))
    (first,) = session.run(["features"], {"samples": ones})
    before = first.copy()
    session.run(["features"], {"samples": halves})
    np.testing.assert_array_equal(first, before)


def test_threads_may_share_a_session(session: Session) -> None:
    """Eight threads at once get the answers that each would get alone."""
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            level = np.float32(rng.uniform())
            samples = np.full((1, int(rng.integers(90, 5000))), level)
            (features,) = session.run(["features"], {"samples": samples})
            if not np.allclose(features, level, atol=1e-5):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_memory_does_not_grow_with_the_lengths_seen(session: Session) -> None:
    """A thousand runs of a thousand different lengths keep nothing of each."""

    def resident_kb() -> int:
        status = Path("/proc/self/status")
        if not status.is_file():
            pytest.skip("resident memory is read from /proc")
        return int(next(x for x in status.read_text().splitlines() if "VmRSS" in x).split()[1])

    largest = np.zeros((1, 400_000), np.float32)
    session.run(["features"], {"samples": largest})
    before_kb = resident_kb()
    for n_samples in range(1000, 400_000, 399):
        session.run(["features"], {"samples": largest[:, :n_samples]})
    assert resident_kb() - before_kb < 10_000


def test_a_failing_run_is_an_error_of_ours(session: Session, capfd: Any) -> None:  # noqa: ANN401
    """What ONNX Runtime refuses is an InferenceError with its words, and nothing is printed."""
    with pytest.raises(InferenceError, match=r"\(1, 3\)"):
        session.run(["features"], {"samples": np.zeros((1, 3), np.float32)})
    assert capfd.readouterr() == ("", "")
    assert issubclass(InferenceError, RuntimeError)


# --- threads -------------------------------------------------------------------------------------


def test_threads_and_spinning_are_set(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every session is given its number of threads, and told to let them sleep."""
    given: list[Any] = []
    real = onnxruntime.InferenceSession

    def spy(path: str, options: Any, **more: Any) -> Any:  # noqa: ANN401
        given.append(options)
        return real(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    open_session(tiny_bundle / MODEL, threads=3, provider="cpu")
    (options,) = given
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    for pool in ("intra", "inter"):
        assert options.get_session_config_entry(f"session.{pool}_op.allow_spinning") == "0"


def test_an_idle_session_uses_no_cpu(tiny_bundle: Path) -> None:
    """After a run, two seconds of waiting cost under 2 % of one core, with four threads."""
    session = open_session(tiny_bundle / MODEL, threads=4, provider="cpu")
    samples = np.zeros((1, 2_000_000), np.float32)
    for _ in range(3):
        session.run(["features"], {"samples": samples})
    began_s = time.process_time()
    time.sleep(2.0)
    assert time.process_time() - began_s < 0.04


@pytest.mark.parametrize("threads", [0, -1, 10_000, 1.5, True, "2", None])
def test_a_number_of_threads_that_cannot_be_is_refused(tiny_bundle: Path, threads: Any) -> None:  # noqa: ANN401
    """Threads are a whole number from 1; nothing means "choose for me"."""
    with pytest.raises(ThreadsError, match=str(threads)):
        open_session(tiny_bundle / MODEL, threads=threads, provider="cpu")
    assert issubclass(ThreadsError, ValueError)


# --- providers -----------------------------------------------------------------------------------


def test_the_provider_that_runs_is_told(session: Session) -> None:
    """A session says what runs it."""
    assert session.providers == ("cpu",)


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "openvino", "coreml", "directml"])
def test_a_provider_that_is_absent_is_an_error(tiny_bundle: Path, name: str) -> None:
    """Asked for and absent is an error that names what is there: never a silent fallback."""
    if name in available_providers():
        pytest.skip(f"{name} is there")
    ways: list[Provider | list[Provider]] = [name, [name, "cpu"], ["cpu", (name, {})], (name, {})]
    for asked in ways:
        with pytest.raises(ProviderError, match=rf"provider {name} is not there: .*\bcpu\b"):
            open_session(tiny_bundle / MODEL, threads=1, provider=asked)


@pytest.mark.parametrize(
    "provider", ["cpu", ["cpu"], ("cpu",), ("cpu", {}), [("cpu", {"use_arena": "0"})]]
)
def test_all_ways_to_ask_for_a_provider(tiny_bundle: Path, provider: Any) -> None:  # noqa: ANN401
    """A name, a list, a tuple, and pairs of name and options all work."""
    session = open_session(tiny_bundle / MODEL, threads=1, provider=provider)
    assert session.providers == ("cpu",)


@pytest.mark.parametrize("provider", ["gpu", "CPUExecutionProvider", "", [], None, 3, ["cpu", 3]])
def test_an_unknown_provider_is_an_error(tiny_bundle: Path, provider: Any) -> None:  # noqa: ANN401
    """Names that are none of ours are refused with those that are, or with the form expected."""
    with pytest.raises(ProviderError, match="expected"):
        open_session(tiny_bundle / MODEL, threads=1, provider=provider)
    assert issubclass(ProviderError, ValueError)
    assert issubclass(ProviderError, Wav2EdgeError)


class _Fallen:
    """What ONNX Runtime returns when a provider is installed but its libraries are not."""

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs


def test_a_provider_that_did_not_start_is_an_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that is there but gave way to another is an error, after creation too."""
    monkeypatch.setattr(door, "available_providers", lambda: ("cuda", "cpu"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: _Fallen())
    with pytest.raises(ProviderError, match="cuda is installed but did not start, cpu would"):
        open_session(tiny_bundle / MODEL, threads=1, provider="cuda")


def test_a_provider_that_raises_is_a_provider_error(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure to start a provider is told as such, not as a broken model, and is not retried."""
    monkeypatch.setattr(door, "available_providers", lambda: ("cuda", "cpu"))
    tries: list[Any] = []

    def fail(*_: object, **options: object) -> None:
        tries.append(options)
        raise RuntimeError("CUDA driver version is insufficient\nfor CUDA runtime version")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(ProviderError, match="provider cuda did not start: CUDA driver version is"):
        open_session(tiny_bundle / MODEL, threads=1, provider="cuda")
    assert len(tries) == 1
    assert tries[0]["enable_fallback"] == 0


def test_exactly_one_distribution_installs_onnxruntime() -> None:
    """The environment of the tests has one onnxruntime, and it is found by name and version."""
    found = door.runtime_distributions()
    assert len(found) == 1
    assert door.version_of_runtime() in found.values()


# --- models --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "contents", [b"", b"not a model", b"\x08\x0a", bytes(range(256)) * 100], ids=len
)
def test_a_file_that_is_no_onnx_is_refused(contents: bytes, tmp_path: Path, capfd: Any) -> None:  # noqa: ANN401
    """Anything but an ONNX model is a ModelFormatError naming the file; nothing is printed."""
    path = tmp_path / "model.onnx"
    path.write_bytes(contents)
    with pytest.raises(ModelFormatError, match=r"model\.onnx is no ONNX model"):
        open_session(path, threads=1, provider="cpu")
    assert capfd.readouterr() == ("", "")


def test_a_cut_model_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    """A model that lost its end is no model."""
    contents = (tiny_bundle / MODEL).read_bytes()
    path = tmp_path / "model.onnx"
    path.write_bytes(contents[: len(contents) // 2])
    with pytest.raises(ModelFormatError):
        open_session(path, threads=1, provider="cpu")


def test_a_model_of_another_kind_is_refused(session: Session) -> None:
    """A model without our inputs and outputs is refused by the names it lacks."""
    session.require(inputs=["samples"], outputs=["features", "new_value_0"])
    with pytest.raises(ModelFormatError, match="lacks input_values, logits"):
        session.require(inputs=["input_values"], outputs=["logits"])
    assert session.has_input("key_0")
    assert not session.has_input("conv0_mean")
