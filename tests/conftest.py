"""Fixtures shared by the tests: where the recordings lie, and where this checkout does."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from virtual_microphone import VirtualMicrophone

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings: WAV2EDGE_DATA, or shared/data beside the checkout."""
    named = os.environ.get("WAV2EDGE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(
            f"no recordings: {folder} holds no MANIFEST.tsv; name their folder in WAV2EDGE_DATA"
        )
    return folder


@pytest.fixture(scope="session")
def embedded_bundle() -> Path:
    """The folder of the embedded model."""
    folder = ROOT / "runtime" / "embedded"
    if not (folder / "manifest.json").is_file():
        pytest.skip("no embedded model: runtime/embedded holds no manifest.json")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle whose model a person can predict; see tiny_bundle.py."""
    pytest.importorskip("onnx", reason="the tiny model is built with onnx")
    from tiny_bundle import write_tiny_bundle

    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder


@pytest.fixture(scope="session")
def tone_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained checkpoint: eight tones are eight letters. Skips where torch is absent."""
    pytest.importorskip("torch", reason="a checkpoint is trained with torch")
    from random_checkpoint import write_tone_checkpoint

    return write_tone_checkpoint(tmp_path_factory.mktemp("tones") / "checkpoint")


@pytest.fixture
def virtual_microphone() -> Iterator["VirtualMicrophone"]:
    """A microphone without hardware; skips where PulseAudio or PortAudio is absent."""
    from virtual_microphone import VirtualMicrophone

    with VirtualMicrophone() as microphone:
        yield microphone
