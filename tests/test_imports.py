"""What importing wav2edge costs, measured in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import wav2edge

HEAVY = (
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "kenlm",
    "soundfile",
    "soxr",
    "sounddevice",
)
NEVER_ON_A_DEVICE = ("torch", "transformers", "onnx", "onnxscript", "kenlm", "huggingface_hub")


def loaded_after(code: str, *arguments: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after running `code`."""
    tail = (
        "\nimport sys, json; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + tail, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(names)


def cpu_s(code: str) -> float:
    """CPU seconds, user and system, of a fresh interpreter running `code`; the best of three."""
    tail = "\nimport os; t = os.times(); print(t.user + t.system)"
    return min(
        float(subprocess.check_output([sys.executable, "-c", code + tail], text=True))
        for _ in range(3)
    )


def test_import_loads_nothing_heavy() -> None:
    """`import wav2edge` loads neither torch nor transformers, kenlm, onnxruntime or soundfile."""
    assert loaded_after("import wav2edge") & {*HEAVY, "numpy"} == set()


def test_public_names_load_nothing_heavy() -> None:
    """Every public name can be held without loading a heavy library: those come with the call."""
    code = "import wav2edge\nfor name in wav2edge.__all__: getattr(wav2edge, name)"
    assert loaded_after(code) & set(HEAVY) == set()


def test_help_loads_nothing_heavy() -> None:
    """The whole command line is built, and its help printed, without a heavy library or numpy."""
    code = "import contextlib\nfrom wav2edge.cli import main\nassert main(['--help']) == 0"
    assert loaded_after(code) & {*HEAVY, "numpy"} == set()


def test_import_is_quick() -> None:
    """`import wav2edge`, with every public name, takes under 0.5 s of CPU more than no import."""
    code = "import wav2edge\nfor name in wav2edge.__all__: getattr(wav2edge, name)"
    assert cpu_s(code) - cpu_s("") < 0.5


def test_transcription_needs_no_torch(tiny_bundle: Path, root: Path) -> None:
    """A transcription, onnxruntime at work, loads neither torch nor transformers nor kenlm."""
    code = "import sys, wav2edge\nwav2edge.load(sys.argv[1]).transcribe(sys.argv[2]).to_json()"
    loaded = loaded_after(code, str(tiny_bundle), str(root / "runtime" / "embedded" / "demo.ogg"))
    assert "onnxruntime" in loaded
    assert loaded & set(NEVER_ON_A_DEVICE) == set()


@pytest.mark.parametrize("decoding", ["", "phrases='turn (on|off) the light'"])
def test_a_start_needs_no_masked_arrays(decoding: str) -> None:
    """`np.unique` would import numpy.ma at its first call: 10 ms and more of a device's start."""
    code = (
        f"import numpy, sys, wav2edge\nrecognizer = wav2edge.load({decoding})\n"
        "recognizer.transcribe(numpy.zeros(16000, numpy.float32), 16000)\n"
        "stream = recognizer.stream()\nstream.push(numpy.zeros(16000, numpy.float32))\n"
        "stream.finish()\nassert 'numpy.ma' not in sys.modules"
    )
    assert "onnxruntime" in loaded_after(code)


def test_unknown_names_are_refused_by_name() -> None:
    """A name that is not public raises AttributeError naming it, as any module would."""
    with pytest.raises(AttributeError, match="'wav2edge' has no attribute 'Lod'"):
        wav2edge.Lod  # noqa: B018  (the access is the test)


def test_dir_shows_what_is_public() -> None:
    """dir() lists the public names before they are loaded, so that editors can offer them."""
    assert set(wav2edge.__all__) <= set(dir(wav2edge))
