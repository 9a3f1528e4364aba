"""The report: every section is there, nothing is loaded from elsewhere, and charts are true."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")

from wav2edge.benchmarks import charts, cost, everything, fresh, keep_up, latency_figures, streams
from wav2edge.benchmarks.charts import Axis, Curve, curves
from wav2edge.benchmarks.clips import find_clips
from wav2edge.benchmarks.conditions import Conditions
from wav2edge.benchmarks.cost_sections import operators
from wav2edge.benchmarks.report import html, markdown
from wav2edge.benchmarks.result import BenchmarkError, Figure, Result
from wav2edge.cli import main
from wav2edge.runtime.recognizer import load

ONE = Figure(2.0, 1.0, 3.0, 3)
STREAM = {"chunk_ms": 320.0, "lookahead_ms": 320.0, "left_ms": 4000.0}


@pytest.fixture(scope="module")
def conditions(tiny_bundle: Path) -> Conditions:
    """Those of a stream of the tiny model."""
    return Conditions.now(load(tiny_bundle), threads=1, options={"stream": STREAM}, audio={})


@pytest.fixture(scope="module")
def results(tiny_bundle: Path, conditions: Conditions) -> list[Result]:
    """One of each benchmark: the answer to keep-up measured, the others made by hand."""
    options = keep_up.KeepUpOptions({"low": "low"}, rounds=1, seconds=3.0)
    kept = keep_up.measure(load(tiny_bundle), find_clips([]), options)
    spent = {
        "length": {one: [(0.01, 0.02)] for one in (10.0, 60.0, 600.0)},
        "left": {one: [(0.01 + 0.001 * one, 0.02)] for one in cost.LEFTS_S},
        "chunk": {one: [(1 / one, 0.02)] for one in cost.CHUNKS_MS},
        "streams": {float(n): [(0.01 * n, 0.02)] for n in cost.STREAMS},
        "threads offline": {n: [(0.01, 0.01 / n)] for n in (1.0, 2.0)},
        "threads stream": {n: [(0.01, 0.01 / n)] for n in (1.0, 2.0)},
    }
    figures, series = cost.tabled(spent)
    figures |= cost.grown(series) | {"operator_offline_front_Conv_ms_per_s": ONE}
    keys = ("word_shown_s", "word_stable_s", "final_s", "step_s")
    delays = {key: [0.1, 0.2, 0.4] for key in keys}
    held = {f"{way} mb": [50.0, 60.0] for way in fresh.WAYS} | {"length_s": [10.0, 600.0]}
    trials = {"n_streams": [1.0, 2.0], "lag_p99_ms": [10.0, 900.0], "carried": [1.0, 0.0]}
    starts = [f"{part}_ms {way}" for part in ("wall", "cpu", "import", "load", "hear")
              for way in fresh.WAYS]  # fmt: skip
    wer: dict[str, Figure | None] = {f"wer digits {way}": ONE for way in ("offline", "low")}
    sized = replace(conditions, options={"sizes": ["tiny", "base"]})
    grew = {"weights_m": [1.0, 95.0], "offline cpu": [1.0, 50.0], "stream cpu": [2.0, 90.0]}
    compared = replace(conditions, options={"models": ["base"]})
    beside = {
        "cpu_10s base wav2edge-int8": [30.0, 50.0],
        "cpu_10s base onnx-asr-int8": [1200.0],
        "cpu_window base onnx-asr-int8": [1300.0],
        "character_error base onnx-asr-int8": [0.02],
    }
    return [
        kept,
        Result("cost", conditions, figures, cost.DEFINITIONS, series),
        Result("latency", conditions, dict.fromkeys(latency_figures.DEFINITIONS, ONE), {}, delays),
        Result("accuracy", conditions, wer, {}),
        Result("memory", conditions, {"rss_loaded_mb": ONE}, {}, held),
        Result("start", conditions, dict.fromkeys(starts, ONE), {}),
        Result("streams", conditions, dict.fromkeys(streams.DEFINITIONS, ONE), {}, trials),
        Result("sizes", sized, {}, {}, grew),
        Result("peers", compared, {}, {}, beside),
        Result("decoder", conditions, {"cost <onnx>": ONE}, {}),
        Result("phrases", conditions, {f"one of {n}": ONE for n in range(60)}, {}),
    ]


class Page(HTMLParser):
    """What a page holds: its headings, tags, and every attribute that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        if tag not in ("meta", "path", "rect", "circle"):
            self.open.append(tag)
        self.loads += [name for name, _ in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag: str) -> None:
        """Tags close in order."""
        if tag not in ("path", "rect", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a heading."""
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_the_page_holds_every_section_and_nothing_from_elsewhere(results: list[Result]) -> None:
    """All questions have their section, with plots; no address, no script, no file is loaded."""
    text = html(results, {"decoder": "no language model"})
    page = Page(text)
    assert page.open == []
    assert page.headings == [
        "Does this device keep up?",
        "Cost against audio length",
        "Cost against left context, chunk and streams",
        "Cost against threads",
        "Operators",
        "Latency",
        "Accuracy against cost",
        "Memory",
        "Start",
        "Live streams",
        "Cost against model size",
        "Beside others: base",
        "How cost grows",
        "Decoder",
        "Phrases",
        "Not measured",
        "Conditions",
    ]
    assert page.tags.count("svg") == 2 + 3 + 2 + 1 + 4 + 1 + 1 + 1 + 1 + 2
    assert page.loads == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"https?:|//|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "&lt;onnx&gt;" in text
    assert "<details><summary>60 figures</summary>" in text


def test_the_summary_holds_the_same_tables(results: list[Result]) -> None:
    """Markdown has the sections with words or tables, and every result's conditions."""
    text = markdown(results, {"decoder": "no language model"})
    assert "| length, s | CPU ms per s | wall ms per s |" in text
    assert "| 600 | 10 | 20 |" in text
    assert "| left context, s | 16 | 26 |" in text
    assert "| Streamed | 2 | 5 | 10 |" in text
    assert "| Conv | 2 |  |" in text
    assert "| 600 | 60 | 60 |" in text
    assert "| base | 95 | 50 | 90 |" in text
    assert "| wav2edge-int8 |  |  |  | 40 |  |  |" in text
    assert "| onnx-asr-int8 * |  |  |  | 1200 | 1300 | 2.00 % |" in text
    assert "60 figures: in the JSON" in text
    assert "one of 59" not in text
    assert "- decoder: no language model" in text
    assert text.count("```text") == len(results)


def test_nothing_to_report_is_an_error() -> None:
    """A page without a result is refused."""
    with pytest.raises(BenchmarkError, match="nothing to report"):
        html([])


def test_points_stand_where_they_belong() -> None:
    """On an axis from 0 the point of half the value stands half as high, and infinity nowhere."""
    curve = charts.Curve("", [1.0, 2.0, 3.0], [10.0, 20.0, float("inf")])
    drawn = charts.curves([curve], charts.Axis("x"), charts.Axis("y"), title="t")
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)]
    bottom = float(re.findall(r'class="axis" d="M[\d.]+ [\d.]+V([\d.]+)', drawn)[0])
    assert len(heights) == 2
    assert (bottom - heights[1]) == pytest.approx(2 * (bottom - heights[0]), abs=0.2)


def test_the_commands_write_page_and_summary(
    results: list[Result], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bench report` makes both of kept results; a file that is none, or a folder, is one line."""
    for i, result in enumerate(results):
        result.write(tmp_path / f"{i}.json")
    kept = [str(tmp_path / f"{i}.json") for i in range(len(results))]
    out, summary = tmp_path / "new" / "report.html", tmp_path / "report.md"
    assert main(["bench", "report", *kept, "--html", str(out), "--markdown", str(summary)]) == 0
    assert Page(out.read_text(encoding="utf-8")).open == []
    assert summary.read_text(encoding="utf-8").startswith("# wav2edge on ")
    assert main(["bench", "report", *kept]) == 0
    assert "## Latency" in capsys.readouterr().out
    for wrong in ([str(tmp_path / "gone.json")], [kept[0], "--html", str(tmp_path)]):
        assert main(["bench", "report", *wrong]) == 2
        said = capsys.readouterr().err
        assert said.startswith("wav2edge: error: ")
        assert said.count("\n") == 1


def test_all_goes_on_where_one_cannot_be_run(
    results: list[Result], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One benchmark lacks a library and one its data: the third is there, and both are told."""

    def broken(error: Exception) -> Callable[[everything.Report], Result]:
        def run(_: everything.Report) -> Result:
            raise error

        return run

    runs = [
        ("latency-low", broken(ModuleNotFoundError("No module named 'rapidfuzz'"))),
        ("memory", broken(BenchmarkError("no data"))),
        ("keep-up", lambda _: results[0]),
    ]
    monkeypatch.setattr(everything, "_benchmarks", lambda *_: iter(runs))
    written: list[str] = []
    options = everything.AllOptions(lambda _: load(tiny_bundle))
    found = everything.measure(
        load(tiny_bundle), [], options, done=lambda name, _: written.append(name)
    )
    assert list(found.results) == written == ["keep-up"]
    assert "rapidfuzz" in found.left_out["latency-low"]
    assert found.left_out["memory"] == "no data"
    assert {"accuracy", "decoder", "peers", "sizes"} < set(found.left_out)


def test_numbers_along_an_axis_never_run_into_one_another() -> None:
    """Where points lie close together every one has its line, and not all have a number."""
    at = [1.02, 2.01, 4.02, 8.01, 16.02]
    chart = curves([Curve("", at, at)], Axis("left", ticks=at), Axis("up", ticks=[1.0]), title="")
    numbers = re.findall(r'x="([\d.]+)"[^>]*>([\d.]+)</text>', chart)
    places = [float(x) for x, number in numbers if float(number) in at]
    written = [number for _, number in numbers if float(number) in at]
    assert written == ["1.02", "4.02", "8.01", "16.02"]
    assert all(b - a > 30 for a, b in pairwise(places))
    assert len(re.findall(r'class="grid" d="M[\d.]+ [\d.]+V', chart)) == len(at)


def test_operators_stand_by_what_they_take(conditions: Conditions) -> None:
    """In the table as in the bars: those that take longest first; what one way lacks is empty."""
    took = {"offline_front_Conv": 1.0, "offline_context_MatMul": 2.0, "step_context_Gelu": 3.0}
    figures: dict[str, Figure | None] = {
        f"operator_{name}_ms_per_s": Figure(ms, ms, ms, 1) for name, ms in took.items()
    }
    assert operators(Result("cost", conditions, figures, {})).rows[1:] == [
        ["MatMul", "2", ""],
        ["Conv", "1", ""],
        ["Gelu", "", "3"],
    ]
