"""The comparison with peers as a picture: bars beside each other, ours dark."""

from typing import TYPE_CHECKING

from .peer_contenders import CONTENDERS
from .peer_figures import AT_PARITY, value_of
from .result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_PANELS = {
    "start_cpu_s": "start to first transcript, CPU s",
    "rss_beyond_30s_mb": "memory beyond the model, 30 s at once, MB",
    "cpu_10s": "CPU ms per second of audio, 10 s at once",
    "live": "CPU ms per second of live audio",
}
_SMALL = 7  # points
_WIDTH, _HEIGHT = 15.0, 4.4  # inches, the height of one model


def draw(result: Result, canvas: "Canvas") -> None:
    """Draw one row of panels a model; what was not measured has no bar."""
    models = [
        model
        for model in result.conditions.options["models"]
        if any(name.split(" ")[1] == model for name in result.series)
    ]
    canvas.set_size_inches(_WIDTH, _HEIGHT * max(1, len(models)))
    rows = canvas.subplots(max(1, len(models)), len(_PANELS), squeeze=False)
    for row, model in zip(rows, models, strict=False):
        for axes, what in zip(row, _PANELS, strict=True):
            _panel(axes, result, model, what)
        row[0].set_ylabel(model)
        for axes in row[1:]:
            axes.tick_params(labelleft=False)


def _panel(axes: "Axes", result: Result, model: str, what: str) -> None:
    names = list(CONTENDERS)[::-1]
    values = [value_of(result, what, model, name) for name in names]
    bars = [0.0 if value is None else value for value in values]
    axes.barh(names, bars, color=["C0" if name.startswith("wav2edge") else "0.7" for name in names])
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        if value is not None:
            error = value_of(result, "character_error", model, name)
            other = " (other text)" if error is not None and error > AT_PARITY else ""
            axes.annotate(f" {value:.3g}{other}", (0, place), fontsize=_SMALL, va="center")
    axes.set_title(_PANELS[what], fontsize=_SMALL + 1)
    axes.tick_params(labelsize=_SMALL)
    axes.grid(alpha=0.3, axis="x")
