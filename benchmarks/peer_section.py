"""The comparison with peers as a section of a report: charts and a table of one model."""

from .charts import bars, rounded
from .peer_contenders import CONTENDERS
from .peer_figures import AT_PARITY, value_of
from .result import Result
from .section import Section

_SHOWN = {
    "start_wall_s": ("start to first transcript of 3 s", "start, s"),
    "rss_beyond_30s_mb": ("memory beyond the model's file, 30 s at once", "memory, MB"),
    "cpu_10s": ("CPU per second of audio, 10 s at once", "CPU, ms per s"),
    "live": ("CPU per second of live audio", "live, ms per s"),
}


def section(result: Result, model: str) -> Section:
    """Return what there is of one model; contenders whose transcripts differ are marked."""
    charts = []
    table = [["", *[head for _, head in _SHOWN.values()]]]
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
            charts.append((title, bars(rows, unit=head.split()[1], title=title)))
    for name in measured:
        cells = ["" if value is None else rounded(value) for value in values[name].values()]
        table.append([_label(result, model, name), *cells])
    text = (
        "Each in an environment of its own, the same weights, in turn; less is better. * writes "
        f"more than {AT_PARITY:.0%} of the characters otherwise than the original model."
    )
    return Section(f"Beside others: {model}", text, charts, table)


def _label(result: Result, model: str, name: str) -> str:
    error = value_of(result, "character_error", model, name)
    return f"{name} *" if error is not None and error > AT_PARITY else name
