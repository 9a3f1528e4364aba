"""The README's figures: written from the results in `results/`, and nowhere by hand.

`measured.md` holds the words, with a placeholder where a figure stands, and the README holds what
comes out between two markers. A new row is a line in `measured.md` and a file in `results/`:

    {soak:rtf:.3f}                         the median of the figure `rtf` in results/soak.json
    {soak:rtf.lowest:.3f}                  or its lowest, highest, n
    {latency-low:step_ms_p95/1000:.2f}     over 1000, or *1000
    {decoder:equal model:.0%}              a share, as 100 %
    {peers:conditions.versions.numpy:s}    anything else in the file, by its keys
    {accuracy:row an4:}                    words and word error rates of one set, as cells

A time, a memory or a ratio of such is no median before it was measured three times, and is refused;
`FEW` holds the exceptions.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .result import BenchmarkError, Result

BEGIN, END = "<!-- measured: written by `wav2edge bench readme` -->", "<!-- end of measured -->"
TEMPLATE = Path(__file__).with_name("measured.md")
RESULTS = Path(__file__).with_name("results")
README = Path(__file__).resolve().parents[1] / "README.md"

FEW = {
    "soak": ("rss_slope_mb_per_h",),  # one line through an hour, its error beside it
    "window": ("session_later_over_first",),  # two quarters of an hour, 90 spans each
    # Of one fresh process, whatever the rounds; and what the best of many products would give.
    "speed": ("rss_beyond_model_", "floor_"),
    "pocketsphinx": ("cpu_ms_per_s",),  # over whole sets
}
"""How figures begin, by file, that are shown although they were measured once or twice.

A new one does not belong here: measure it again. One that was measured three times is taken out.
"""
_LEAST = 3
# Times, memory, and ratios of them by the words of their names; sizes of files and audio are none.
_COST = re.compile(r"_(s|ms|mb)(_|\b)|_over_|^ratio_|_gain\b|^cpu_|^rtf\b|_rtf\b")
_NO_COST = re.compile(r"(file_mb|model_mb|audio_s)\b")
_PLACEHOLDER = re.compile(r"\{([\w.-]+):([^:{}]+):([^{}]*)\}")
_NAME = re.compile(r"(?P<key>.*?)(?:\.(?P<part>median|lowest|highest|n))?(?P<scale>[*/]\d+)?")


def rendered(template: str, results: Path = RESULTS) -> str:
    """Fill a text's placeholders.

    Args:
        template: As `measured.md`.
        results: Folder of the JSON files.

    Raises:
        BenchmarkError: If a file or a figure is not there, or is none that can be written so, or is
            a cost that was measured less than three times.
    """
    measured = measured_few(template, results)
    few = [(file, name, n) for file, name, n in measured if not name.startswith(FEW.get(file, ()))]
    if few:
        names = "; ".join(f"{file}.json: {name} (n {n})" for file, name, n in few)
        commands = dict.fromkeys(again(file, results) for file, _, _ in few)
        raise BenchmarkError(
            f"costs of the README were measured less than {_LEAST} times: {names}; measure again "
            f"with --rounds (and --starts, where there is one) {_LEAST} or more: "
            f"{', '.join(commands)}"
        )
    return _PLACEHOLDER.sub(lambda found: _filled(results, *found.groups()), template)


def measured_few(template: str, results: Path = RESULTS) -> list[tuple[str, str, int]]:
    """Find costs whose median a text shows, though they were measured once or twice.

    Args:
        template: As `measured.md`.
        results: Folder of the JSON files; those that are not there are passed over.

    Returns:
        File, figure and n of each, those of `FEW` among them.
    """
    shown: dict[str, list[str]] = {}
    for file, name, _ in _PLACEHOLDER.findall(template):
        parts = _NAME.fullmatch(name)
        if parts and (parts["part"] or "median") == "median" and _costs(parts["key"]):
            shown.setdefault(file, []).append(parts["key"])
    found = []
    for file, names in shown.items():
        figures = _read(results, file).get("figures", {})
        measured = {name: figures[name]["n"] for name in names if figures.get(name)}
        found += [(file, name, n) for name, n in measured.items() if n < _LEAST]
    return found


def again(file: str, results: Path = RESULTS) -> str:
    """Return the command that measures a file's figures again, without its other options."""
    benchmark = _read(results, file).get("benchmark", file)
    command = {"cost": "speed"}.get(benchmark, benchmark)
    return f"wav2edge bench {command} --json benchmarks/results/{file}.json"


def updated(text: str, section: str) -> str:
    """Put a section between the markers of the README's text.

    Raises:
        BenchmarkError: If the markers are not there, once and in order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise BenchmarkError(f"the README lacks its markers: expected {BEGIN}, then {END}, once")
    return f"{before}{BEGIN}\n\n{section.strip()}\n\n{END}{after}"


def write(readme: Path = README, *, check: bool = False) -> bool:
    """Write the README's figures from the results.

    Args:
        readme: The file to write.
        check: Leave it as it is, and only tell whether it would change.

    Returns:
        Whether it was different.

    Raises:
        BenchmarkError: If there is no README beside the package (an installed one has none), or a
            placeholder cannot be filled.
    """
    try:
        text, template = (path.read_text(encoding="utf-8") for path in (readme, TEMPLATE))
    except OSError as error:
        raise BenchmarkError(f"{error}: run this in a checkout of the project") from error
    new = updated(text, rendered(template))
    if new != text and not check:
        readme.write_text(new, encoding="utf-8")
    return new != text


def _costs(name: str) -> bool:
    """Tell a time, a memory or a ratio of such by its name."""
    return _COST.search(name) is not None and _NO_COST.match(name) is None


def _read(results: Path, file: str) -> dict[str, Any]:
    """Read a result as it is; empty if it cannot be, which whoever fills it in tells."""
    try:
        found: dict[str, Any] = json.loads((results / f"{file}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _filled(results: Path, file: str, name: str, spec: str) -> str:
    """Return what one placeholder stands for."""
    path = results / f"{file}.json"
    if name.startswith("row "):
        return _cells(path, name.removeprefix("row "))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path.name} cannot be read: {error}; run its benchmark") from error
    parts = _NAME.fullmatch(name)
    assert parts is not None
    try:
        value = _looked_up(found, parts["key"], parts["part"] or "median")
        if parts["scale"]:
            factor = float(parts["scale"][1:])
            value = value * factor if parts["scale"][0] == "*" else value / factor
        shown = format(value, spec)
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(
            f"{path.name} has no {name!r} to be written as {spec!r} ({error}): name one of its "
            f"figures, or run its benchmark again"
        ) from error
    return shown.replace("%", " %")


def _cells(path: Path, name: str) -> str:
    """Return the cells of one row of the word error rates, without the row's name."""
    from .accuracy import table

    rows = [line.strip("| ").split(" | ", 1) for line in table(Result.read(path))]
    found = {row[0]: row[1] for row in rows if len(row) > 1}
    if name not in found:
        raise BenchmarkError(
            f"{path.name} has no set {name!r}: it has {', '.join(list(found)[2:])}"
        )
    return found[name]


def _looked_up(found: Mapping[str, Any], key: str, part: str) -> Any:  # noqa: ANN401  (JSON)
    """Find a figure's part, or any other value by its keys with dots between."""
    figures = found.get("figures", {})
    if key in figures:
        return figures[key][part]
    value: Any = found
    for step in key.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value
