"""What is shipped: a wheel built from a copy of this checkout, installed apart and looked into."""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

import wav2edge

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "export", "lm", "runtime", "training")
pytest.importorskip("setuptools", reason="builds with the setuptools of this environment")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline; without the links, which a checkout on Windows may lack."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = ignore_patterns("__pycache__", *FOLDERS)
    for folder in FOLDERS:
        copytree(ROOT / folder, tree / folder, ignore=ignore_patterns("__pycache__"))
    copytree(ROOT / "wav2edge", tree / "wav2edge", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, tree)
    target = tmp_path_factory.mktemp("wheel")
    build = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", target, tree]
    subprocess.run([sys.executable, "-m", *map(str, build)], check=True)
    (built,) = target.glob("*.whl")
    return built


def test_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    """Each module, type marker and file of the embedded model ships, under wav2edge/; no tests."""
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}
    modules = {f"wav2edge/{path.name}" for path in (ROOT / "wav2edge").glob("*.py")}
    modules |= {f"wav2edge/{n}/{path.name}" for n in FOLDERS for path in (ROOT / n).glob("*.py")}
    assert modules == {name for name in shipped if name.endswith(".py")}
    embedded = (path for path in (ROOT / "runtime" / "embedded").rglob("*") if path.is_file())
    data = {
        f"wav2edge/runtime/{path.relative_to(ROOT / 'runtime').as_posix()}" for path in embedded
    }
    assert {"wav2edge/py.typed", "wav2edge/runtime/embedded/demo.ogg", *data} <= shipped


def test_wheel_runs_by_itself(wheel: Path, tmp_path: Path) -> None:
    """The wheel's own files, and not this checkout's, answer to `wav2edge --version`."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, '.'); import wav2edge.cli; print(wav2edge.cli.__file__); "
        "sys.exit(wav2edge.cli.main(['--version']))"
    )
    command = [sys.executable, "-I", "-c", code]
    said = subprocess.check_output(command, cwd=tmp_path, text=True).splitlines()
    assert Path(said[0]).resolve() == tmp_path.resolve() / "wav2edge" / "cli.py"
    assert said[1] == f"wav2edge {wav2edge.__version__}"
