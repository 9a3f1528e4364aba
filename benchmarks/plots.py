"""A result as a picture. matplotlib comes with the extra `bench` and is imported when it draws."""

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .peer_plot import draw as _peers
from .result import BenchmarkError, Figure, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_SMALL = 8  # points
_Place = Literal["best", "lower right"]


def plot(result: Result, path: Path) -> None:
    """Draw a result and write it as PNG, or whatever the name's ending says.

    Raises:
        BenchmarkError: If there is nothing to draw for this benchmark, or the format is unknown.
    """
    from matplotlib.figure import Figure as Canvas

    if result.benchmark not in _DRAWN:
        raise BenchmarkError(
            f"there is no plot of {result.benchmark!r}, only of {', '.join(_DRAWN)}"
        )
    canvas = Canvas(figsize=(11, 4.6), layout="constrained")
    _DRAWN[result.benchmark](result, canvas)
    canvas.suptitle(_title(result), fontsize=_SMALL + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        canvas.savefig(path, dpi=130)
    except ValueError as error:
        raise BenchmarkError(f"{path} cannot be drawn: {error}; name a .png") from error


def _title(result: Result) -> str:
    """Say under which conditions the picture holds."""
    of, stream = result.conditions, result.conditions.options.get("stream", {})
    chunks = " / ".join(f"{value:g}" for value in stream.values())
    streamed = f", chunk / look-ahead / left {chunks} ms" if chunks else ""
    return (
        f"{result.benchmark}: {of.model['name']} ({of.model['precision']}){streamed}, "
        f"{of.threads} thread, {', '.join(of.providers)}\n{of.cpu}, load "
        f"{of.load_before[0] if of.load_before else 'unknown'}, onnxruntime "
        f"{of.versions.get('onnxruntime')}, revision {(of.revision or 'none')[:9]}"
        f"{' (modified)' if of.modified else ''}, {of.date[:10]}"
    )


def _latency(result: Result, canvas: "Canvas") -> None:
    words, ends, steps = canvas.subplots(1, 3)
    for name, label, style in (
        ("word_shown_unaware_s", "shown, computing aside", "C0:"),
        ("word_shown_s", "shown", "C0-"),
        ("word_stable_unaware_s", "stable, computing aside", "C1:"),
        ("word_stable_s", "stable", "C1-"),
    ):
        _cumulative(words, result.series[name], style, label)
    _labelled(
        words, "words", "seconds after the word's end", "share of words", legend="lower right"
    )
    _cumulative(ends, result.series["endpoint_s"], "C2:", "computing aside")
    _cumulative(ends, result.series["final_s"], "C2-", "final shown")
    bound = result.figures["endpoint_bound_ms"]
    if bound is not None:
        ends.axvline(bound.median / 1000, color="0.5", label="bound")
    _labelled(
        ends, "finals", "seconds after the last word's end", "share of clips", legend="lower right"
    )
    _cumulative(steps, [1000 * one for one in result.series["step_s"]], "C3-", "a step")
    _labelled(steps, "computing", "ms per step", "share of steps", legend="lower right")


def _soak(result: Result, canvas: "Canvas") -> None:
    memory, cost = canvas.subplots(1, 2)
    minutes = result.series["minute"]
    memory.plot(minutes, result.series["rss_mb"], "C0")
    slope = _median(result.figures["rss_slope_mb_per_h"])
    _labelled(memory, f"memory: {slope:+.2f} MB per hour after warm-up", "minute of audio", "MB")
    memory.set_ylim(min(result.series["rss_mb"]) - 1, max(result.series["rss_mb"]) + 1)
    cost.plot(minutes, result.series["cpu_ms_per_s"], "C3.", markersize=3)
    ratio = _median(result.figures["later_over_first"])
    _labelled(cost, f"cost: last quarter / first = {ratio:.3f}", "minute of audio", "CPU ms per s")
    cost.set_ylim(bottom=0)


def _window(result: Result, canvas: "Canvas") -> None:
    both, left, session = canvas.subplots(1, 3)
    ratios = [_median(result.figures[f"{name}_over_stream"]) for name in ("window", "legacy")]
    names = {
        "window_cpu_ms_per_s": "window",
        "legacy_cpu_ms_per_s": "window,\nolder exporter",
        "stream_cpu_ms_per_s": "stream",
    }
    _bars(both, result, names)
    title = f"{ratios[0]:.1f} and {ratios[1]:.1f} times less"
    _labelled(both, title, "", "CPU ms per second of audio")
    _bars(
        left,
        result,
        {"stream_left_2s_cpu_ms_per_s": "2 s", "stream_cpu_ms_per_s": "4 s",
         "stream_left_8s_cpu_ms_per_s": "8 s"},
    )  # fmt: skip
    more = _median(result.figures["left_8s_over_2s"])
    _labelled(left, f"8 s costs {100 * (more - 1):+.0f} % over 2 s", "left context", "")
    cost = result.series["session_cpu_ms_per_s"]
    seconds = _median(result.figures["session_s"])
    minutes = [(i + 1) / len(cost) * seconds / 60 for i in range(len(cost))]
    session.plot(minutes, cost, "C3.", markersize=3)
    session.set_ylim(0, 1.2 * max(cost))
    _labelled(session, "one long session", "minute of audio", "CPU ms per second of audio")


def _streams(result: Result, canvas: "Canvas") -> None:
    axes = canvas.subplots()
    rows = list(
        zip(*(result.series[name] for name in ("n_streams", "lag_p99_ms", "carried")), strict=True)
    )
    for carried, color, label in ((1.0, "C2", "carried"), (0.0, "C3", "too many")):
        points = [(n, lag) for n, lag, held in rows if held == carried]
        axes.plot([n for n, _ in points], [lag for _, lag in points], f"{color}o", label=label)
    axes.axhline(result.conditions.options["stream"]["chunk_ms"], color="0.5", label="one chunk")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    best = _median(result.figures["streams"])
    _labelled(axes, f"{best:.0f} streams on one core", "streams", "lag, 99th percentile, ms")


def _phrases(result: Result, canvas: "Canvas") -> None:
    axes = canvas.subplots()
    across = result.series["threshold"]
    for name, label, style in (
        ("false_rejects", "commands rejected", "C0-"),
        ("wrong", "commands heard as another", "C0:"),
        ("false_accepts_books", "read books accepted", "C3-"),
        ("false_accepts_noise", "noise accepted", "C1-"),
    ):
        axes.plot(across, result.series[name], style, label=label)
    axes.axvline(result.conditions.options["reject"], color="0.5", label="default")
    _labelled(axes, "phrases of a home assistant", "threshold of the fit", "share")


def _adaptation(result: Result, canvas: "Canvas") -> None:
    left, middle, right = canvas.subplots(1, 3)
    look_aheads = (0, 160, 320, 640)
    for i, name in enumerate(result.conditions.options["models"]):
        for axes, kind, where in (
            (left, "wer", "fsdd digit strings"),
            (middle, "cer", "all sets"),
        ):
            found = [result.figures.get(f"{kind} {name} 320/{ms} {where}") for ms in look_aheads]
            axes.plot(look_aheads, [100 * _median(one) for one in found], f"C{i}o-", label=name)
            offline = result.figures.get(f"{kind} {name} offline {where}")
            axes.axhline(100 * _median(offline), color=f"C{i}", linestyle=":", linewidth=1)
        points = [
            [result.figures.get(f"{kind} {name} {chunk}/{ms} all sets") for chunk, ms in
             product((160, 320, 640), look_aheads)] for kind in ("delay_ms", "cer")
        ]  # fmt: skip
        delays, errors = ([_median(one) for one in row] for row in points)
        right.plot(delays, [100 * one for one in errors], f"C{i}o", label=name)
    _labelled(left, "digit strings, chunk 320 ms (dotted: offline)", "look-ahead, ms", "WER, %")
    _labelled(middle, "all sets, chunk 320 ms (dotted: offline)", "look-ahead, ms", "CER, %")
    _labelled(
        right, "all sets, every chunk and look-ahead", "delay of a token, median, ms", "CER, %"
    )


def _pretraining(result: Result, canvas: "Canvas") -> None:
    told, used, learned = canvas.subplots(1, 3)
    series = result.series
    steps = series["pretraining step"]
    told.plot(steps, [100 * one for one in series["pretraining contrastive_accuracy"]], "C0")
    _labelled(told, "hidden frames told from 100 others", "steps of pre-training", "%")
    used.plot(steps, series["pretraining codebook_perplexity"], "C1")
    _labelled(used, "codewords in use", "steps of pre-training", "perplexity")
    for name, style in (("scratch", "C2"), ("pretrained", "C3")):
        learned.plot(series[f"{name} minutes"], series[f"{name} loss"], style, label=name)
    _labelled(learned, "transcribed minutes", "minutes of CPU on them", "CTC loss per token")


def _cumulative(axes: "Axes", values: Sequence[float], style: str, label: str) -> None:
    ordered = sorted(values)
    axes.step(
        ordered, [(i + 1) / len(ordered) for i in range(len(ordered))], style, label=label,
        where="post",
    )  # fmt: skip


def _bars(axes: "Axes", result: Result, names: dict[str, str]) -> None:
    """Draw medians, with the lowest and the highest as whiskers."""
    for place, (name, label) in enumerate(names.items()):
        figure = result.figures[name]
        if figure is None:
            continue
        reach = [[figure.median - figure.lowest], [figure.highest - figure.median]]
        axes.bar(label, figure.median, yerr=reach, capsize=4, color=f"C{place}")
        axes.annotate(
            f"{figure.median:.0f}", (place, figure.median), xytext=(12, 3),
            textcoords="offset points", fontsize=_SMALL,
        )  # fmt: skip


def _labelled(axes: "Axes", title: str, across: str, up: str, *, legend: _Place = "best") -> None:
    axes.set_title(title, fontsize=_SMALL + 2)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=_SMALL, loc=legend)


def _median(figure: Figure | None) -> float:
    return float("nan") if figure is None else figure.median


_DRAWN: dict[str, Callable[[Result, "Canvas"], None]] = {
    "adaptation": _adaptation,
    "latency": _latency,
    "peers": _peers,
    "phrases": _phrases,
    "pretraining": _pretraining,
    "soak": _soak,
    "streams": _streams,
    "window": _window,
}
