"""Cost results as sections of a report: over length, contexts, chunks, threads, operators."""

from .charts import CPU, Axis, Curve, bars, curves
from .result import Result
from .section import Section, shown


def cost_sections(result: Result) -> list[Section]:
    """Return what a cost result says over length, settings, threads and operators."""
    return [_length(result), _settings(result), _threads(result), operators(result)]


def _length(result: Result) -> Section:
    cpu, wall = (
        Curve(label, result.series["length at"], result.series[f"length {clock}"])
        for label, clock in (("CPU", "cpu"), ("wall", "wall"))
    )
    of_each = "Each second of audio, the whole recording at once"
    totals = [length * ms / 1000 for length, ms in zip(cpu.x, cpu.y, strict=True)]
    across = Axis("length of the recording, s", log=True, ticks=cpu.x)
    grows = result.figures.get("growth_length_exponent")
    text = f"Total cost grows as length to the power of {shown(grows)}." if grows else ""
    rows = [["length, s", "CPU ms per s", "wall ms per s"]]
    rows += [
        [
            f"{one:g}",
            *[shown(result.figures[f"offline_{c}_ms_per_s {one:g}"]) for c in ("cpu", "wall")],
        ]
        for one in cpu.x
    ]
    charts = [
        (of_each, curves([cpu, wall], across, Axis("ms per second of audio"), title=of_each)),
        (
            "Total CPU time of a recording",
            curves(
                [Curve("", cpu.x, totals)], across, Axis("CPU s", log=True),
                title="Total CPU time of a recording over its length",
            ),
        ),
    ]  # fmt: skip
    return Section("Cost against audio length", text, charts, rows)


def _settings(result: Result) -> Section:
    charts = []
    rows = [["what is varied", "at", "CPU ms per s"]]
    for name, label, log in (
        ("left", "left context, s", False),
        ("chunk", "chunk, ms", True),
        ("streams", "streams side by side, one thread", False),
    ):
        curve = Curve("", result.series[f"{name} at"], result.series[f"{name} cpu"])
        what = f"Streamed: CPU over {label}"
        charts.append((what, curves([curve], Axis(label, log=log, ticks=curve.x), CPU, title=what)))
        rows += [[label, f"{x:g}", f"{y:.4g}"] for x, y in zip(curve.x, curve.y, strict=True)]
    stream = result.conditions.options["stream"]
    text = (
        f"A stream with its contexts full: chunk {stream['chunk_ms']:g} ms, look-ahead "
        f"{stream['lookahead_ms']:g} ms and {stream['left_ms'] / 1000:g} s left, but for what is "
        "varied."
    )
    return Section("Cost against left context, chunk and streams", text, charts, rows)


def _threads(result: Result) -> Section:
    charts = []
    rows = [["what", "threads", "wall ms per s", "CPU ms per s"]]
    for way, what in (("offline", "10 s at once"), ("stream", "Streamed")):
        series = [
            Curve(
                label, result.series[f"threads {way} at"], result.series[f"threads {way} {clock}"]
            )
            for label, clock in (("wall", "wall"), ("CPU", "cpu"))
        ]
        axes = Axis("threads", ticks=series[0].x), Axis("ms per second of audio")
        charts.append(
            (f"{what}, over threads", curves(series, *axes, title=f"{what}, over threads"))
        )
        points = zip(series[0].x, series[0].y, series[1].y, strict=True)
        rows += [[what, f"{x:g}", f"{wall:.4g}", f"{cpu:.4g}"] for x, wall, cpu in points]
    return Section("Cost against threads", charts=charts, rows=rows)


def operators(result: Result) -> Section:
    """Return what each kind of operator takes, those that take longest first."""
    charts = []
    ways = {"offline": "10 s at once", "step": "A stream's step"}
    spent = {way: _spent_by_operator(result, way) for way in ways}
    for way, what in ways.items():
        rows = sorted(spent[way].items(), key=lambda one: -one[1])
        if rows:
            charts.append((f"{what}, ms per second of audio", bars(rows, unit="ms", title=what)))
    if not charts:
        return Section("Operators", "Told for the CPU alone.")
    table = [["ms per second of audio", *ways.values()]]
    longest_first = sorted(
        {name for of in spent.values() for name in of},
        key=lambda name: [-of.get(name, 0.0) for of in spent.values()],
    )
    for operator in longest_first:
        cells = (f"{of[operator]:.3g}" if operator in of else "" for of in spent.values())
        table.append([operator, *cells])
    text = "Time in each kind of operator, convolutions and transformer together."
    return Section("Operators", text, charts, table)


def _spent_by_operator(result: Result, way: str) -> dict[str, float]:
    """Return ms per second of audio by kind of operator, of both halves of the graph."""
    spent: dict[str, float] = {}
    for name, figure in result.figures.items():
        head, _, kind = name.removesuffix("_ms_per_s").partition(f"operator_{way}_")
        if not head and kind and figure is not None:
            label = kind.partition("_")[2]
            spent[label] = spent.get(label, 0.0) + figure.median
    return spent
