"""The comparison with peers as a section of a report: charts and a table of one model."""

from .charts import bars, rounded
from .peer_contenders import CONTENDERS, OURS
from .peer_field import key
from .peer_figures import AT_PARITY, error_of, shown_error, value_of
from .result import Result
from .section import Section

_RATIO = "start_cpu_s_over_ours"
_SHOWN = {
    "start_wall_s": ("start to first transcript of 3 s", "start, s"),
    "start_cpu_s": ("CPU time of that start, all threads", "CPU of the start, s"),
    "rss_beyond_30s_mb": ("memory beyond the model's file, 30 s at once", "memory, MB"),
    "cpu_10s": ("CPU per second of audio, 10 s at once", "CPU, ms per s"),
    "live": ("CPU per second of live audio", "live, ms per s"),
}


def section(result: Result, model: str) -> Section:
    """Return what there is of one model; contenders whose transcripts differ are marked."""
    charts = []
    values = {
        name: {what: value_of(result, what, model, name) for what in _SHOWN} for name in CONTENDERS
    }
    measured = [name for name in CONTENDERS if any(v is not None for v in values[name].values())]
    for what, (title, head) in _SHOWN.items():
        rows = [
            (_label(result, model, name), value)
            for name in measured
            if (value := values[name][what]) is not None
        ]
        if rows:
            unit = head.rpartition(", ")[2].split()[0]
            charts.append((title, bars(rows, unit=unit, title=title)))
    table = [["", *_heads()]]
    for name in measured:
        cells = {what: "" if v is None else rounded(v) for what, v in values[name].items()}
        cells["start_cpu_s"] += _times_ours(result, model, name)
        table.append(
            [_label(result, model, name), *cells.values(), shown_error(result, model, name)]
        )
    return Section(f"Beside others: {model}", _text(result), charts, table)


def _heads() -> list[str]:
    heads = {what: head for what, (_, head) in _SHOWN.items()}
    heads["start_cpu_s"] += " (times ours)"
    return [*heads.values(), "character error"]


def _times_ours(result: Result, model: str, name: str) -> str:
    """Write how many times ours a start's CPU is; empty where it was not compared."""
    found = result.figures.get(key(_RATIO, model, name))
    if name == OURS or found is None:
        return ""
    return f" ({found.median:.2f})"


def _text(result: Result) -> str:
    threads = result.conditions.threads
    return (
        "Each in an environment of its own, the same weights, in turn, "
        f"{threads} thread{'s' * (threads > 1)} to run the model; less is better. The CPU of a "
        "start counts every thread: ours checks the weights' SHA-256 in a second one while it "
        f"loads. * writes more than {AT_PARITY:.0%} of the characters otherwise than the original "
        "model; no texts of random weights are compared, and what the same contender does to "
        "another model stands with that model's name."
    )


def _label(result: Result, model: str, name: str) -> str:
    found = error_of(result, model, name)
    return f"{name} *" if found is not None and found[0] > AT_PARITY else name
