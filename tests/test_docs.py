"""The README and the pages under test: Python runs, command lines are understood, folders exist."""

import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from wav2edge import cli

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TEXTS = (README, *sorted((ROOT / "docs" / "pages").rglob("*.md")))
TALK_S = 3.0  # of the demo's clip: what the blocks transcribe
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a text."""

    file: Path
    language: str
    line: int  # of its first line of code, from 1
    source: str

    def __str__(self) -> str:
        return f"{self.file.stem}-{self.language or 'text'}-line-{self.line}"


def blocks(file: Path, text: str) -> list[Block]:
    """Every fenced block of a Markdown text, in order."""
    return [
        Block(file, found[1], text.count("\n", 0, found.start(2)) + 1, found[2])
        for found in _FENCE.finditer(text)
    ]


def commands(*, starting: str) -> list[str]:
    """Every command line of the bash blocks that starts with the given program, once."""
    lines = [
        line
        for block in BLOCKS
        if block.language == "bash"
        for line in block.source.replace("\\\n", " ").splitlines()
    ]
    return sorted({line for line in lines if line.split(maxsplit=1)[:1] == [starting]})


BLOCKS = [block for file in TEXTS for block in blocks(file, file.read_text(encoding="utf-8"))]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def test_every_block_says_its_language() -> None:
    """A block without a language would escape these tests; there is some Python, and some bash."""
    assert {"bash", "python"} <= {block.language for block in BLOCKS}
    assert [str(block) for block in BLOCKS if not block.language] == []


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(
    block: Block, embedded_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Python block runs by itself, in a folder that holds a bundle and a recording."""
    (tmp_path / "my-bundle").symlink_to(embedded_bundle)
    samples, rate_hz = soundfile.read(embedded_bundle / "demo.ogg", dtype="float32")
    soundfile.write(tmp_path / "talk.wav", samples[: round(TALK_S * rate_hz)], rate_hz)
    monkeypatch.chdir(tmp_path)
    padded = "\n" * (block.line - 1) + block.source  # so that a failure names the text's line
    exec(compile(padded, str(block.file), "exec"), {"__name__": "page"})  # noqa: S102


@pytest.mark.parametrize("line", commands(starting="wav2edge"))
def test_wav2edge_lines_parse(line: str) -> None:
    """Each `wav2edge ...` line is understood by the command line's own parser."""
    arguments = cli.parser().parse_args(shlex.split(line, comments=True)[1:])
    assert callable(arguments.run)


@pytest.mark.parametrize("line", commands(starting="make"))
def test_make_lines_name_targets(line: str) -> None:
    """Each `make TARGET` line names a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {word for word in shlex.split(line, comments=True)[1:] if "=" not in word}
    assert named <= targets


@pytest.mark.parametrize("line", commands(starting="pip"))
def test_pip_lines_name_extras(line: str) -> None:
    """Each `pip install "wav2edge[...]"` line names extras that pyproject.toml has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for extras in re.findall(r"\[(.*?)\]", line) for name in extras.split(",")}
    assert named <= set(project["optional-dependencies"])


def test_map_names_every_folder() -> None:
    """Every folder that the README's map names is there, and no folder of code is left out."""
    section = README.read_text(encoding="utf-8").split("## Map")[1].split("\n## ")[0]
    named = set(re.findall(r"^\d+\. `(\w+)/`", section, re.MULTILINE))
    assert named == {path.parent.name for path in ROOT.glob("*/*.py")}


def test_blocks_are_found() -> None:
    """The reader of Markdown knows languages, lines and ends of blocks."""
    text = "a\n```bash\nwav2edge info\n```\nb\n```python\nx = 1\ny = 2\n```\n"
    expected = [
        Block(README, "bash", 3, "wav2edge info\n"),
        Block(README, "python", 7, "x = 1\ny = 2\n"),
    ]
    assert blocks(README, text) == expected
