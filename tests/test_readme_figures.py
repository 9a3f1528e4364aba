"""The README's figures are those of the project's own results, and a wrong one is noticed."""

import json
import re
from pathlib import Path

import pytest

from wav2edge.benchmarks import readme
from wav2edge.benchmarks.result import BenchmarkError
from wav2edge.cli import main
from wav2edge.runtime.bundle import WEIGHTS
from wav2edge.runtime.recognizer import EMBEDDED

OTHER_MODELS = {
    "adaptation": "the checkpoint of an earlier version, as the text says",
    "batching": "random weights at two sizes",
    "decoder": "made-up log-probs, of the model's alphabet alone",
    "peers": "random weights at base size",
    "pretraining": "a tiny model, trained for the comparison",
    "sizes": "random weights at three sizes",
    "speed": "random weights at base size",
    "streams-base": "random weights at base size",
    "window": "random weights at base size",
}
"""What the template uses of other models than the embedded one."""

# What the template may say with digits. Figures are not among it: they are placeholders.
NAMES = (
    *("wav2edge", "wav2vec2-base (95 M)", "AVX512-VNNI", "speechocean762", "AN4"),
    *("int8", "int8-conv-smooth", "float32", "bfloat16", "pyctcdecode 0.5.0"),
)
WHAT_WAS_MEASURED = (  # lengths, presets, shares of a distribution
    *("320 ms chunk", "320 ms look-ahead", "4 s left", "left context 8 s against 2 s"),
    *("10 s at once", "30 s at once", "10 s and 30 s at once", "10 s to 10 minutes"),
    *("10 minutes streamed", "10 minutes at once", "transcript of 3 s", "after 3 s"),
    *("what 3 s and 30 s", "p95", "800 ms rule", "90th percentile", "95 % interval"),
    *("pauses of 1.5 s", "noise at 15 dB", "first 45 s", "of 24 recordings"),
    *("45 s of each set", "100 steps of 24 s", "0.14 M parameters", "chance 1 %"),
    "| 0 | 2 | 4 | 6 | 8 | 10 | 12 |",
)
ALLOWED = NAMES + WHAT_WAS_MEASURED
_ALLOWED = re.compile(
    r"^\| \d+/\d+ \||"  # chunk/look-ahead, which name a row
    + "|".join(
        rf"(?<![\w.]){re.escape(one)}(?!\w)" for one in sorted(ALLOWED, key=len, reverse=True)
    )
)


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


def by_hand(template: str) -> list[str]:
    """Return the lines that hold digits outside of placeholders and of what is allowed."""
    found = []
    for number, line in enumerate(template.splitlines(), 1):
        left = _ALLOWED.sub("", readme._PLACEHOLDER.sub("#", line))
        if any(map(str.isdigit, left)):
            found.append(f"line {number}: {left}")
    return found


def test_every_figure_is_a_placeholder() -> None:
    """Neither tables nor prose of the template hold a figure by hand."""
    template = readme.TEMPLATE.read_text(encoding="utf-8")
    assert by_hand(template) == [], "make these placeholders, or say in ALLOWED what they are"


def test_what_is_allowed_is_there() -> None:
    """The list stays small: what the template no longer says is taken out."""
    template = readme.TEMPLATE.read_text(encoding="utf-8")
    assert [one for one in ALLOWED if one not in template] == []


@pytest.mark.parametrize(
    "line",
    [
        "| base, streamed | {soak:rtf:.3f} | 0.03 |",
        "| 4 s | {soak:rtf:.3f} | the same |",
        "It takes {soak:rtf:.3f} to 0.05 of 10 s at once.",
        "12 s at once",
        "float321",
        "a start takes 3 s",
    ],
)
def test_a_figure_by_hand_is_found(line: str) -> None:
    """In any cell, in prose, beside what is allowed, and inside longer words."""
    assert len(by_hand(f"no figure in int8\n{line}\n")) == 1


def shipped() -> set[str]:
    """Hashes of the embedded model's weights, exported and as the checkpoint that they are from."""
    manifest = json.loads((EMBEDDED / "manifest.json").read_text(encoding="utf-8"))
    files = manifest["files"]
    weights = files.get(WEIGHTS) or files["model.onnx"]
    return {weights["sha256"], manifest["source"]["files"]["model.safetensors"]}


def test_figures_of_the_embedded_model_are_of_the_one_that_ships() -> None:
    """Each result that the template uses was measured on these weights, or is of another model."""
    template = readme.TEMPLATE.read_text(encoding="utf-8")
    used = {found[1] for found in readme._PLACEHOLDER.finditer(template)}
    assert set(OTHER_MODELS) <= used
    stale = []
    for file in sorted(used - set(OTHER_MODELS)):
        found = json.loads((readme.RESULTS / f"{file}.json").read_text(encoding="utf-8"))
        if found["conditions"]["model"]["sha256"] not in shipped():
            stale.append(f"{file}.json: {readme.again(file)}")
    assert not stale, (
        "measured on other weights than those that ship; run with the options that each file's "
        "conditions name:\n" + "\n".join(stale)
    )


def test_a_cost_that_was_measured_once_is_refused(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A median of one or two is none; ranges, n, shares and sizes of files are what they are."""
    once = {"median": 4.0, "lowest": 4.0, "highest": 4.0, "n": 2}
    names = "start_wall_s base", "rss_beyond_model_mb", "a_over_b", "cpu_10s x", "file_mb", "share"
    found = {"benchmark": "cost", "figures": dict.fromkeys(names, once)}
    (results / "once.json").write_text(json.dumps(found), encoding="utf-8")
    for name in names[:4]:
        with pytest.raises(BenchmarkError, match=r"bench speed --json .*once\.json"):
            readme.rendered(f"{{once:{name}*1000:.0f}}", results)
        assert readme.rendered(f"{{once:{name}.highest:.0f}} of {{once:{name}.n:d}}", results)
    for name in names[4:]:
        assert readme.rendered(f"{{once:{name}:.0f}}", results) == "4"
    monkeypatch.setattr(readme, "FEW", {"once": ("cpu_",)})
    assert readme.rendered("{once:cpu_10s x:.0f}", results) == "4"


def test_exceptions_are_needed() -> None:
    """What was measured three times since is an exception no longer."""
    template = readme.TEMPLATE.read_text(encoding="utf-8")
    few = readme.measured_few(template)
    needless = [
        f"{file}: {begins}"
        for file, all_begin in readme.FEW.items()
        for begins in all_begin
        if not any(one == file and name.startswith(begins) for one, name, _ in few)
    ]
    assert needless == [], "take these out of benchmarks/readme.py"


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
