"""The README's figures are those of the project's own results, and a wrong one is noticed."""

import json
from pathlib import Path

import pytest

from wav2edge.benchmarks import readme
from wav2edge.benchmarks.result import BenchmarkError
from wav2edge.cli import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of one result: rtf 0.0276 (0.02 to 0.05), and a share of 98 %."""
    figure = {"median": 0.0276, "lowest": 0.02, "highest": 0.05, "n": 7}
    share = {"median": 0.98, "lowest": 0.98, "highest": 0.98, "n": 1}
    found = {"figures": {"rtf": figure, "wer a b": share, "no": None}, "versions": {"numpy": "2.4"}}
    (tmp_path / "soak.json").write_text(json.dumps(found), encoding="utf-8")
    return tmp_path


def test_the_readme_holds_what_the_results_say() -> None:
    """Written anew from benchmarks/results, the README stays as it is, letter by letter."""
    assert not readme.write(check=True), "run: wav2edge bench readme"


def test_every_figure_of_the_tables_is_a_placeholder() -> None:
    """No table of the template holds a figure by hand: the second cells hold no digit."""
    template = readme.TEMPLATE.read_text(encoding="utf-8")
    rows = [line for line in template.splitlines() if line.startswith("| ") and "---" not in line]
    figures = [readme._PLACEHOLDER.sub("", row.split(" | ")[1]) for row in rows]
    by_hand = [text for text in figures if any(map(str.isdigit, text))]
    assert by_hand == []


@pytest.mark.parametrize(
    ("placeholder", "expected"),
    [
        ("{soak:rtf:.3f}", "0.028"),
        ("{soak:rtf.highest*1000:.0f} ms", "50 ms"),
        ("{soak:rtf.n:d}", "7"),
        ("{soak:wer a b:.1%}", "98.0 %"),
        ("{soak:versions.numpy:s}", "2.4"),
        ("a {b} c", "a {b} c"),
    ],
)
def test_placeholders(placeholder: str, expected: str, results: Path) -> None:
    """A figure is its median, another part, scaled, a share, or any value of the file."""
    assert readme.rendered(placeholder, results) == expected


@pytest.mark.parametrize(
    "placeholder", ["{gone:rtf:.1f}", "{soak:gone:.1f}", "{soak:no:.1f}", "{soak:rtf:s}"]
)
def test_what_cannot_be_filled_is_an_error(placeholder: str, results: Path) -> None:
    """A file, a figure or a form that is not there is named, and nothing is written."""
    with pytest.raises(BenchmarkError, match=r"(gone|soak)\.json"):
        readme.rendered(placeholder, results)


def test_the_command_writes_between_the_markers_alone(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale figure is found by --check (status 2), mended without it, and the rest stays."""
    file, template = tmp_path / "README.md", tmp_path / "measured.md"
    stale = f"# A\n\n{readme.BEGIN}\n\nrtf 0.5\n\n{readme.END}\n\n## B\n"
    file.write_text(stale, encoding="utf-8")
    template.write_text("rtf {soak:rtf:.2f}\n", encoding="utf-8")
    monkeypatch.setattr(readme, "TEMPLATE", template)
    monkeypatch.setattr(readme.rendered, "__defaults__", (results,))
    monkeypatch.setattr(readme.write, "__defaults__", (file,))
    assert main(["bench", "readme", "--check"]) == 2
    assert file.read_text(encoding="utf-8") == stale
    assert main(["bench", "readme"]) == 0
    assert file.read_text(encoding="utf-8") == stale.replace("0.5", "0.03")
    with pytest.raises(BenchmarkError, match="markers"):
        readme.updated("# no markers\n", "x")
