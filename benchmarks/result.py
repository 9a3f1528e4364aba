"""A benchmark's outcome: figures with their spread, and the conditions they hold under, as JSON."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from wav2edge.lm.errors import Wav2EdgeError

from .conditions import Conditions

SCHEMA = 1
_DIGITS = 5  # significant, of every number that is written


class BenchmarkError(Wav2EdgeError, ValueError):
    """A benchmark cannot be run as asked, or a result cannot be read."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity over several runs: its median, and how far they lie apart."""

    median: float
    lowest: float
    highest: float
    n: int
    """Runs, or rounds, or minutes: what the definition says."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found. It cannot be made without conditions."""

    benchmark: str
    conditions: Conditions
    figures: dict[str, Figure | None]
    """By name with its unit; None: could not be measured here, or there was nothing to measure."""
    definitions: dict[str, str]
    """What each figure means."""
    series: dict[str, list[float]] = field(default_factory=dict)
    """What the plots are drawn from."""

    def to_json(self) -> str:
        """Write the result, its numbers rounded to five significant digits."""
        return json.dumps({"schema": SCHEMA, **_rounded(asdict(self))}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, source: str = "the result") -> "Result":
        """Read what `to_json` wrote.

        Raises:
            BenchmarkError: If it is no JSON, of another schema, or a key is missing, unknown, or
                of the wrong type.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise BenchmarkError(f"{source} is no JSON: {error}; run the benchmark again") from None
        if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
            raise BenchmarkError(
                f"{source} is no result of schema {SCHEMA}: run the benchmark again"
            )
        read: Result = _read(cls, found, source)
        return read

    def write(self, path: Path) -> None:
        """Write the JSON file; its folder is made if it is not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Result":
        """Read a JSON file.

        Raises:
            BenchmarkError: As `from_json`, or if there is no such file.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BenchmarkError(f"{path} cannot be read: {error}; name a result's file") from error
        return cls.from_json(text, source=str(path))

    def lines(self) -> list[str]:
        """Write figures and conditions out for a person."""
        width = max(map(len, self.figures), default=0)
        table = [f"{name:{width}}  {_shown(figure)}" for name, figure in self.figures.items()]
        return [self.benchmark, *table, "", *self.conditions.lines()]


def median_of(values: Sequence[float]) -> float:
    """Return the median, NaN for none."""
    return percentile(values, 50)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, linear between neighbours (numpy's default); NaN for no values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def spread(values: Iterable[float]) -> Figure | None:
    """Return the median and the extremes of what was measured; NaN counts as not measured."""
    measured = [float(value) for value in values if not math.isnan(value)]
    if not measured:
        return None
    return Figure(median_of(measured), min(measured), max(measured), len(measured))


def thinned(values: Sequence[float], most: int = 1000) -> list[float]:
    """Take every k-th value, so that a series stays small."""
    return list(values[:: max(1, math.ceil(len(values) / most))])


def combined(runs: Sequence[Mapping[str, float]]) -> dict[str, Figure | None]:
    """Combine the same figures of several runs."""
    return {name: spread(run[name] for run in runs) for name in runs[0]}


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return "not measured"
    if figure.n == 1 or figure.lowest == figure.highest:
        return f"{figure.median:.5g}"
    return f"{figure.median:.5g}  ({figure.lowest:.5g} to {figure.highest:.5g}, n {figure.n})"


def _rounded(value: Any) -> Any:  # noqa: ANN401  (plain values of any depth)
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _read(kind: Any, found: Any, where: str) -> Any:  # noqa: ANN401  (types are data here)
    """Read plain values into a dataclass of ours, checking every key and type."""
    names = {one.name for one in fields(kind)}
    if not isinstance(found, dict) or set(found) != names:
        odd = sorted(names ^ set(found)) if isinstance(found, dict) else [type(found).__name__]
        raise BenchmarkError(
            f"{where} has missing or unknown keys ({', '.join(odd)}): run the benchmark again"
        )
    hints = get_type_hints(kind)
    return kind(**{name: _cast(hints[name], found[name], f"{where}: {name}") for name in found})


def _cast(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401
    if type(None) in get_args(hint):
        (hint,) = (one for one in get_args(hint) if one is not type(None))
        if value is None:
            return None
    if hint in (Conditions, Figure):
        return _read(hint, value, where)
    container, of = get_origin(hint), get_args(hint)
    if container is dict and isinstance(value, dict):
        return {key: _cast(of[1], item, where) for key, item in value.items()}
    if container in (list, tuple) and isinstance(value, list):
        return container(_cast(of[0], item, where) for item in value)
    if hint is Any or (type(value) is int and hint is float):
        return value
    if container is not None or type(value) is not hint:
        raise BenchmarkError(
            f"{where} is {value!r}, expected {hint}: results are written by the benchmarks"
        )
    return value
