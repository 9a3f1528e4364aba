"""Results -> the sections of a report: what was measured, as charts, tables and a few words."""

from collections.abc import Callable, Mapping, Sequence

from .charts import CPU, Axis, Curve, cumulative, curves
from .cost_sections import cost_sections
from .peer_section import section as peer_section
from .result import Result
from .section import Section, shown

_SHARE = Axis("share, %", ticks=(0, 25, 50, 75, 100))
_LATENCY_ROWS = {
    "rtf": "real-time factor",
    "cpu_ms_per_s": "CPU ms per second of audio",
    "word_shown_ms_aware_p50": "a word is shown, ms after its end, p50",
    "word_shown_ms_aware_p95": "the same, p95",
    "word_stable_ms_aware_p50": "a word is stable, ms after its end, p50",
    "speech_end_to_final_ms_p50": "end of speech to final, ms, p50",
    "speech_end_to_final_ms_p95": "the same, p95",
}


def sections(results: Sequence[Result]) -> list[Section]:
    """Return what there is to show of the results, in the order of a user's questions."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.benchmark, []).append(result)
    found = [section for make in _MAKERS for section in make(by_name)]
    shown = {"keep-up", "cost", "latency", "accuracy", "memory", "start", "streams", "sizes",
             "peers", "pocketsphinx"}  # fmt: skip
    return found + [_plain(one) for name in by_name if name not in shown for one in by_name[name]]


ByName = Mapping[str, Sequence[Result]]


def _keep_up(by_name: ByName) -> list[Section]:
    from .keep_up import lines, table

    found = []
    for result in by_name.get("keep-up", ()):
        verdict, *_ = lines(result)
        found.append(Section("Does this device keep up?", f"It {verdict}.", rows=table(result)))
    return found


def _cost(by_name: ByName) -> list[Section]:
    return [section for one in by_name.get("cost", ()) for section in cost_sections(one)]


def _latency(by_name: ByName) -> list[Section]:
    several = by_name.get("latency", ())
    if not several:
        return []
    charts = []
    for key, what, axis, scale in (
        ("word_shown_s", "A word is shown", "s after the word's end", 1.0),
        ("word_stable_s", "A word is stable", "s after the word's end", 1.0),
        ("final_s", "A final is there", "s after the last word's end", 1.0),
        ("step_s", "A step of computing", "ms", 1000.0),
    ):
        drawn = [
            cumulative(_stream_name(one), [scale * value for value in one.series[key]])
            for one in several
            if one.series.get(key)
        ]
        if drawn:
            across = Axis(axis, from_zero=False)
            charts.append((what, curves(drawn, across, _SHARE, title=what)))
    rows = [["", *[_stream_name(one) for one in several]]]
    rows += [
        [label, *[shown(one.figures.get(name)) for one in several]]
        for name, label in _LATENCY_ROWS.items()
    ]
    text = "How many of all words, finals and steps were done so soon; computing included."
    return [Section("Latency", text, charts, rows)]


def _stream_name(result: Result) -> str:
    """Name a latency result by its chunk, look-ahead and left context, and its noise."""
    stream, noise = result.conditions.options["stream"], result.conditions.audio.get("noise")
    sizes = f"{stream['chunk_ms']:g} + {stream['lookahead_ms']:g} ms"
    return sizes + (f", noise {noise['snr_db']:g} dB" if noise else "")


def _accuracy(by_name: ByName) -> list[Section]:
    """Set error rates against what each preset costs on the machine of the latency results."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    spent = _spent_by_preset(by_name)
    for result in by_name.get("accuracy", ()):
        for name, figure in result.figures.items():
            kind, _, rest = name.partition(" ")
            set_name, _, latency = rest.rpartition(" ")
            if kind == "wer" and figure is not None and latency in spent:
                point = spent[latency], 100 * figure.median, latency
                points.setdefault(set_name, []).append(point)
    if not points:
        points = _heard_in_latency(by_name)
    if not points:
        return []
    drawn = []
    for i, (name, found) in enumerate(points.items()):
        x, y, named = zip(*sorted(found), strict=True)
        drawn.append(Curve(name, x, y, named if i == 0 else ()))
    what = "Word error rate over cost"
    chart = curves(drawn, CPU, Axis("word error rate, %"), title=what)
    labels = list(dict.fromkeys(label for of in points.values() for _, _, label in of))
    rows = [["word error rate", *labels]]
    for name, of in points.items():
        rates = {label: f"{rate:.1f} %" for _, rate, label in of}
        rows.append([name, *[rates.get(label, "") for label in labels]])
    return [Section("Accuracy against cost", charts=[(what, chart)], rows=rows)]


def _spent_by_preset(by_name: ByName) -> dict[str, float]:
    """Return CPU ms per second of audio, by preset and offline, where they were measured."""
    spent: dict[str, float] = {}
    for result in by_name.get("keep-up", ()):
        for name, figure in result.figures.items():
            if name.startswith("cpu_ms_per_s ") and figure is not None:
                spent[name.partition(" ")[2]] = figure.median
        whole = result.figures["offline_cpu_ms_per_s"]
        if whole is not None:
            spent["offline"] = whole.median
    return spent


def _heard_in_latency(by_name: ByName) -> dict[str, list[tuple[float, float, str]]]:
    """Return the error rates that the latency runs found, where transcripts were known."""
    found = []
    for result in by_name.get("latency", ()):
        rate, spent = result.figures.get("wer_streaming"), result.figures.get("cpu_ms_per_s")
        if rate is not None and spent is not None and "noise" not in result.conditions.audio:
            found.append((spent.median, 100 * rate.median, _stream_name(result)))
    return {"recordings of the latency runs": found} if found else {}


def _memory(by_name: ByName) -> list[Section]:
    found = []
    for result in by_name.get("memory", ()):
        drawn = [
            Curve(way, result.series["length_s"], result.series[f"{way} mb"])
            for way in ("streaming", "offline")
        ]
        what = "Peak memory beyond the model's file"
        axes = Axis("length of the recording, s"), Axis("MB")
        loaded = shown(result.figures["rss_loaded_mb"])
        text = f"Fresh processes. Loaded, before any audio: {loaded} MB beyond the model's file."
        rows = [["length, s", "streaming, MB", "offline, MB"]]
        points = zip(drawn[0].x, drawn[0].y, drawn[1].y, strict=True)
        rows += [[f"{x:g}", f"{live:.4g}", f"{whole:.4g}"] for x, live, whole in points]
        found.append(Section("Memory", text, [(what, curves(drawn, *axes, title=what))], rows))
    return found


def _start(by_name: ByName) -> list[Section]:
    found = []
    for result in by_name.get("start", ()):
        parts = ("import", "load", "hear", "wall", "cpu")
        rows = [["", *[f"{label}, ms" for label in (*parts[:-1], "CPU")]]]
        rows += [
            [way, *[shown(result.figures[f"{part}_ms {way}"]) for part in parts]]
            for way in ("offline", "streaming")
        ]
        text = "From starting the interpreter to the transcript of a recording of 3 s."
        found.append(Section("Start", text, rows=rows))
    return found


def _streams(by_name: ByName) -> list[Section]:
    found = []
    for result in by_name.get("streams", ()):
        rows = [result.series[name] for name in ("n_streams", "lag_p99_ms", "carried")]
        drawn = []
        for label, held in (("carried", 1.0), ("too many", 0.0)):
            points = [(n, lag) for n, lag, carried in zip(*rows, strict=True) if carried == held]
            if points:
                x, y = zip(*points, strict=True)
                drawn.append(Curve(label, x, y, joined=False))
        what = "Within what 99 of 100 pushes are done"
        across = Axis("streams in real time, one core", from_zero=False)
        chart = curves(drawn, across, Axis("ms", log=True), title=what)
        best = shown(result.figures["streams"], ".0f")
        text = f"{result.conditions.model['name']}: one core carries {best}."
        found.append(Section("Live streams", text, [(what, chart)]))
    return found


def _sizes(by_name: ByName) -> list[Section]:
    found = []
    for result in by_name.get("sizes", ()):
        names = result.conditions.options["sizes"]
        drawn = [
            Curve(way, result.series["weights_m"], result.series[f"{way} cpu"], names if i else ())
            for i, way in enumerate(("offline", "stream"))
        ]
        what = "Cost over the model's size"
        chart = curves(drawn, Axis("parameters, millions"), CPU, title=what)
        table = [["model", "parameters, millions", "offline, CPU ms per s", "stream"]]
        points = zip(names, drawn[0].x, drawn[0].y, drawn[1].y, strict=True)
        table += [[name, f"{x:.4g}", f"{a:.4g}", f"{b:.4g}"] for name, x, a, b in points]
        found.append(Section("Cost against model size", charts=[(what, chart)], rows=table))
    return found


def _peers(by_name: ByName) -> list[Section]:
    several = by_name.get("peers", ())
    return [
        peer_section(one, model) for one in several for model in one.conditions.options["models"]
    ]


def _pocketsphinx(by_name: ByName) -> list[Section]:
    from .pocketsphinx_figures import section

    return [section(one) for one in by_name.get("pocketsphinx", ())]


def _growth(by_name: ByName) -> list[Section]:
    rows = [["what grows", "slope (interval of 95 %)", "r²", "points"]]
    for result in (one for several in by_name.values() for one in several):
        for name, slope in result.figures.items():
            if not name.startswith("growth_") or name.endswith("_r2") or slope is None:
                continue
            stem = next(k for k in result.figures if k.endswith("_r2") and name.startswith(k[:-3]))
            r2 = result.figures[stem]
            label = f"{result.benchmark}: {name.removeprefix('growth_').replace('_', ' ')}"
            rows.append([label, shown(slope), shown(r2, ".3f"), str(slope.n)])
    text = "A line by least squares; the exponent is one of logarithms."
    return [Section("How cost grows", text, rows=rows)] if len(rows) > 1 else []


def _plain(result: Result) -> Section:
    rows = [["figure", "median (lowest to highest)"]]
    rows += [[name, shown(figure)] for name, figure in result.figures.items()]
    return Section(result.benchmark.capitalize(), rows=rows)


_MAKERS: tuple[Callable[[ByName], list[Section]], ...] = (
    _keep_up, _cost, _latency, _accuracy, _memory, _start, _streams, _sizes, _peers,
    _pocketsphinx, _growth,
)  # fmt: skip
