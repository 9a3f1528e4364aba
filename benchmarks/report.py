"""Results as one page that needs nothing else, and as a summary in Markdown."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from .charts import N_COLORS
from .result import BenchmarkError, Result
from .section import Section
from .sections import sections

_STYLE = """
:root { color-scheme: light dark;
  --page: #ffffff; --ink: #1c2128; --soft: #57606a; --grid: #e3e7eb; --axis: #8b949e;
  --c0: #1f6fb5; --c1: #c2571a; --c2: #23804c; --c3: #8246a8; --c4: #b8324f; --c5: #5b6570;
  --c6: #9a7400; --c7: #0f8a92; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14181d; --ink: #e2e7ec; --soft: #9aa5b1; --grid: #2b323a; --axis: #6b7681;
  --c0: #6cabeb; --c1: #f09a5e; --c2: #63c48e; --c3: #c396e6; --c4: #f07c95; --c5: #aab4bf;
  --c6: #dbb548; --c7: #55c7cf; } }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 8px; }
p { margin: 4px 0 12px; } .soft, figcaption, summary { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr));
  gap: 20px 28px; align-items: start; }
figure { margin: 0; } figcaption { margin-bottom: 4px; font-size: 14px; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; } .ink { fill: var(--ink); } .label { fill: var(--soft); }
.name { paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
.grid { stroke: var(--grid); } .axis { stroke: var(--axis); fill: none; }
.line { fill: none; stroke-width: 2; }
.scroll { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: 3px 14px 3px 0; border-bottom: 1px solid var(--grid); text-align: right;
  white-space: nowrap; } th:first-child, td:first-child { text-align: left; }
pre { white-space: pre-wrap; font-size: 13px; } details { margin: 8px 0; }
""" + "\n".join(
    f".c{i}.line {{ stroke: var(--c{i}); }} .c{i}.fill {{ fill: var(--c{i}); }}"
    for i in range(N_COLORS)
)


def html(results: Sequence[Result], left_out: Mapping[str, str] | None = None) -> str:
    """Return a whole page; it loads nothing from elsewhere.

    Args:
        results: At least one.
        left_out: What was not measured, and why.

    Raises:
        BenchmarkError: If there is no result.
    """
    if not results:
        raise BenchmarkError("there is nothing to report: name results, or run a benchmark")
    body = [
        f"<h1>wav2edge on {escape(_machine(results))}</h1>",
        f"<p class='soft'>{_lead(results)}</p>",
    ]
    for section in sections(results):
        body += [f"<h2>{escape(section.title)}</h2>", *_section(section)]
    if left_out:
        items = [f"<li>{escape(what)}: {escape(why)}</li>" for what, why in left_out.items()]
        body += ["<h2>Not measured</h2>", "<ul>", *items, "</ul>"]
    body.append("<h2>Conditions</h2>")
    for result in results:
        told = escape("\n".join([*result.conditions.lines(), "", *_meanings(result)]))
        figures = escape("\n".join(result.lines()[: len(result.figures) + 1]))
        body.append(
            f"<details><summary>{escape(_named(result))}</summary><pre>{told}\n\n{figures}</pre>"
            "</details>"
        )
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>wav2edge: benchmarks</title><style>{_STYLE}</style></head>"
    )
    return "\n".join([head, "<body><main>", *body, "</main></body></html>", ""])


def markdown(results: Sequence[Result], left_out: Mapping[str, str] | None = None) -> str:
    """Return the same without the plots: sections, tables and conditions in Markdown."""
    lines = [f"# wav2edge on {_machine(results)}", "", _lead(results), ""]
    for section in sections(results):
        if section.text or section.rows:
            lines += [f"## {section.title}", "", *([section.text, ""] if section.text else [])]
            if section.is_long:
                lines += [f"{len(section.rows) - 1} figures: in the JSON and on the page.", ""]
            elif section.rows:
                lines += [*_piped(section.rows), ""]
    if left_out:
        lines += [
            "## Not measured",
            "",
            *[f"- {what}: {why}" for what, why in left_out.items()],
            "",
        ]
    lines += ["## Conditions", ""]
    for result in results:
        lines += [f"{_named(result)}:", "", "```text", *result.conditions.lines(), "```", ""]
    return "\n".join(lines)


def write_html(
    results: Sequence[Result], path: Path, left_out: Mapping[str, str] | None = None
) -> None:
    """Write the page; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(results, left_out), encoding="utf-8")


def write_markdown(
    results: Sequence[Result], path: Path, left_out: Mapping[str, str] | None = None
) -> None:
    """Write the summary; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(markdown(results, left_out), encoding="utf-8")


def _machine(results: Sequence[Result]) -> str:
    machines = dict.fromkeys(
        f"{one.conditions.cpu}, {one.conditions.cores} cores" for one in results
    )
    return "; ".join(machines)


def _lead(results: Sequence[Result]) -> str:
    models = dict.fromkeys(
        f"{one.conditions.model['name']} ({one.conditions.model['precision']})" for one in results
    )
    dates = sorted(one.conditions.date[:10] for one in results)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    written = datetime.now(UTC).date().isoformat()
    return escape(
        f"{', '.join(models)}; measured {when}, written {written}. Figures are medians; lowest and "
        "highest stand in brackets."
    )


def _section(section: Section) -> list[str]:
    parts = [f"<p>{escape(section.text)}</p>"] if section.text else []
    if section.charts:
        drawn = [
            f"<figure><figcaption>{escape(what)}</figcaption>{svg}</figure>"
            for what, svg in section.charts
        ]
        parts += ['<div class="charts">', *drawn, "</div>"]
    table = [_table(section.rows)] if section.rows else []
    if section.is_long:
        opened = f"<details><summary>{len(section.rows) - 1} figures</summary>"
        table = [opened, *table, "</details>"]
    return parts + table


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return f"<div class='scroll'><table><tr>{cells}</tr>{''.join(lines)}</table></div>"


def _piped(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in [head, rule, *body]]


def _named(result: Result) -> str:
    of = result.conditions
    return f"{result.benchmark}: {of.model['name']}, {of.threads} threads, {of.date}"


def _meanings(result: Result) -> list[str]:
    return [f"{name}: {meaning}" for name, meaning in result.definitions.items()]
