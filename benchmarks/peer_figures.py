"""What the comparison with peers found: figures, the table, and who is ahead."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from .conditions import Conditions
from .peer_contenders import CONTENDERS, OURS
from .peer_field import Measured, key
from .result import BenchmarkError, Figure, Result, median_of, spread

AT_PARITY = 0.01
"""Largest character error that counts as the same text, as the export's own gate has it."""
RIVALS = ("onnx-asr", "sherpa-onnx", "transformers", "onnxruntime", "openvino")
_GOALS = {
    "start_wall_s": "start to first transcript",
    "start_cpu_s": "start, CPU time",
    "rss_beyond_3s_mb": "memory beyond the model, 3 s",
    "rss_beyond_30s_mb": "memory beyond the model, 30 s",
    "cpu_10s": "CPU per second of audio, 10 s",
    "cpu_30s": "CPU per second of audio, 30 s",
    "live": "CPU per second of live audio",
}
_MEASURED_IN_TURN = ("start_wall_s", "start_cpu_s", "cpu_10s", "cpu_30s", "wall_10s", "wall_30s")
WARM_UP_ROUNDS = 2
"""Of each length, not counted: after one alone some are still more than twice as slow."""
_CONSTANT = ("file_mb", "operator_", "character_error", "n_characters", "equal_texts")
_OF_A_RUN = (
    "date", "revision", "modified", "load_before", "load_after",
    "names", "parts", "starts", "rounds", "warm_up_rounds", "lengths_s", "only", "note",
)  # fmt: skip

DEFINITIONS = {
    "start_wall_s": "a fresh process, from its start to the transcript of a 3 s clip: time",
    "start_cpu_s": "the same: CPU time of the whole process and all its threads, interpreter "
    "included",
    "file_mb": "size of the model's files",
    "rss_beyond_3s_mb": "largest resident set of a fresh process after the 3 s clip, less the size "
    "of the model's files",
    "rss_beyond_30s_mb": "the same after 30 s at once (the pipeline: in its chunks)",
    "cpu_10s": "CPU ms of the process per second of audio, 10 s at once, text included",
    "cpu_30s": "the same for 30 s at once",
    "wall_10s": "ms of time per second of audio, 10 s at once, text included",
    "wall_30s": "the same for 30 s at once",
    "unseen_over_seen": "CPU of a length that the process meets for the first time, over the "
    "second time",
    "cpu_stream": "CPU ms per second of audio of a live stream over 30 s, events included",
    "cpu_window": "CPU ms per second of live audio for who cannot stream: left context, chunk and "
    "look-ahead at once, for every chunk",
    "wall_stream": "as cpu_stream, ms of time",
    "wall_window": "as cpu_window, ms of time",
    "character_error": f"edit distance to the text of transformers in float32, over its "
    f"characters (n); at most {AT_PARITY:.0%}, or no more than ours, is equal parity",
    "equal_texts": "share of clips with exactly that text",
    "operator_": "ms per second of audio in the operators of one kind, 10 s at once, from the "
    "profile of ONNX Runtime or OpenVINO",
    "over_ours": "how many times ours (" + OURS + ") it is, round by round; n 1: by the medians, "
    "where rounds were measured in groups",
    "n": "fresh processes, each right after one that is not counted, or rounds, everybody in turn, "
    f"after {WARM_UP_ROUNDS} of each length that are not counted",
}
"""What each figure means, by its first word; the others are the model and the contender."""


def refuse_others(before: Result, conditions: Conditions) -> None:
    """Check, before minutes are spent, that rounds may be added to an earlier result.

    Raises:
        BenchmarkError: It is of another machine, version or model.
    """
    for name in ("cpu", "cores", "threads", "versions"):
        now, then = getattr(conditions, name), getattr(before.conditions, name)
        if now != then:
            _refuse(name, then, now)
    then, now = before.conditions.model["sha256"], conditions.model["sha256"]
    if then != now:
        _refuse("model", then, now)
    then, now = (one.audio.get("texts") for one in (before.conditions, conditions))
    if None not in (then, now) and then != now:
        _refuse("texts", then, now)


def _refuse(name: str, then: object, now: object) -> NoReturn:
    raise BenchmarkError(
        f"the earlier result has {name} {then!r}, now it is {now!r}: rounds of different "
        "conditions do not belong together; measure anew"
    )


def merged(
    measured: Measured, before: Result | None, *, models: Sequence[str]
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Add what was measured to an earlier result.

    Args:
        measured: What is new.
        before: The earlier result; None: there is none.
        models: Names of those that are compared now.

    Returns:
        All series; and what the conditions' options tell besides: versions, reasons, all models,
        and the earlier runs, whose rounds are in the series too.

    Raises:
        BenchmarkError: A peer has another version than in the earlier result.
    """
    series = dict(measured.series)
    old = {} if before is None else before.conditions.options
    versions, reasons = old.get("peers", {}), old.get("failed", {})
    for name, said in measured.versions.items():
        if versions.get(name, said) != said:
            _refuse(name, versions[name], said)
    for name, values in () if before is None else before.series.items():
        if name in series and not name.startswith(_CONSTANT):
            series[name] = [*values, *series[name]]
        series.setdefault(name, values)
    return series, {
        "peers": versions | measured.versions,
        "failed": _still_failing(reasons, measured) | measured.reasons,
        "models": list(dict.fromkeys([*old.get("models", ()), *models])),
        "earlier": [] if before is None else _runs(before.conditions),
    }


def _still_failing(reasons: Mapping[str, str], measured: Measured) -> dict[str, str]:
    """Return who failed earlier and was not measured now."""
    well = {" ".join(name.split()[1:]) for name in measured.series}
    return {one: reason for one, reason in reasons.items() if one not in well}


def _runs(conditions: Conditions) -> list[dict[str, Any]]:
    """Tell of each run that a result is made of, oldest first: what was asked, how busy it was."""
    told = {name: getattr(conditions, name) for name in _OF_A_RUN if hasattr(conditions, name)}
    asked = {name: value for name, value in conditions.options.items() if name in _OF_A_RUN}
    return [*conditions.options.get("earlier", ()), told | asked]


def figures(
    series: Mapping[str, Sequence[float]], *, models: Sequence[str]
) -> dict[str, Figure | None]:
    """Return medians with their spread, and how many times ours each is."""
    found: dict[str, Figure | None] = {}
    for name, values in series.items():
        what, *rest = name.split(" ")
        if what == "character_error":
            n_characters = int(series[key("n_characters", *rest)][0])
            found[name] = Figure(values[0], values[0], values[0], n_characters)
        elif what != "n_characters":
            found[name] = spread(values)
    for model in models:
        for what in _MEASURED_IN_TURN:
            ours = series.get(key(what, model, OURS), ())
            for name in CONTENDERS:
                theirs = series.get(key(what, model, name), ())
                if name == OURS or not ours or not theirs:
                    continue
                ratios = [one / other for one, other in zip(theirs, ours, strict=False)]
                if len(theirs) != len(ours):  # measured in groups, with ours in each
                    ratios = [median_of(theirs) / median_of(ours)]
                found[key(f"{what}_over_ours", model, name)] = spread(ratios)
    return found


_HEAD = (
    "| | start, s | its CPU, s | model, MB | memory beyond it, 3 s | 30 s, MB | CPU ms/s, 10 s "
    "| 30 s | first time | live | character error |"
)
_COLUMNS = {
    "start_wall_s": 2,
    "start_cpu_s": 2,
    "file_mb": 0,
    "rss_beyond_3s_mb": 0,
    "rss_beyond_30s_mb": 0,
    "cpu_10s": 1,
    "cpu_30s": 1,
    "unseen_over_seen": 2,
    "live": 1,
}  # what a column shows, and its decimals


def table(result: Result) -> list[str]:
    """Write all out in Markdown, a table a model; who failed stands below it with the reason."""
    failed: Mapping[str, str] = result.conditions.options["failed"]
    lines = []
    for model in result.conditions.options["models"]:
        rows = filter(None, (_row(result, model, name) for name in CONTENDERS))
        lines += [f"### {model}", "", _HEAD, "| --- |" + " ---: |" * (len(_COLUMNS) + 1), *rows, ""]
        reasons = {name: failed.get(key(model, name)) for name in CONTENDERS}
        lines += [f"- {name} failed, {why}" for name, why in reasons.items() if why is not None]
        lines += ["", *_operators(result, model), ""]
    return lines


def _operators(result: Result, model: str) -> list[str]:
    """Say where the time of each goes, its six largest kinds of operators."""
    lines = []
    for name in CONTENDERS:
        spent = {
            what.removeprefix("operator_").removesuffix("_ms_per_s"): values[0]
            for what, (of, who), values in (
                (one.split(" ")[0], one.split(" ")[1:], values)
                for one, values in result.series.items()
                if one.startswith("operator_")
            )
            if (of, who) == (model, name)
        }
        largest = sorted(spent.items(), key=lambda one: -one[1])[:6]
        told = ", ".join(f"{kind} {ms:.1f}" for kind, ms in largest)
        if told:
            lines.append(f"- {name}, ms per second: {told}; in all {sum(spent.values()):.1f}")
    return lines


def _row(result: Result, model: str, name: str) -> str | None:
    """Return one's row, empty for who failed at once; None for who was not asked."""
    shown = [_shown(result, what, model, name, digits) for what, digits in _COLUMNS.items()]
    own = value_of(result, "character_error", model, name) is not None
    asked = own or any(shown) or key(model, name) in result.conditions.options["failed"]
    cells = [*shown, shown_error(result, model, name)]
    return f"| {name} | {' | '.join(cells)} |" if asked else None


def verdicts(result: Result) -> list[str]:
    """Say of each goal and each rival's best row whether ours is ahead, and by how much.

    A row whose text is further from the reference than ours, and than parity, is no rival on any
    model; it is named instead.
    """
    lines = []
    odd = [name for name in CONTENDERS if not at_parity(result, name)]
    for model in result.conditions.options["models"]:
        for what, said in _GOALS.items():
            ours = value_of(result, what, model, OURS)
            if ours is None:
                continue
            found = []
            for rival in RIVALS:
                best = _best(result, what, model, rival, odd)
                if best is not None:
                    times = best[0] / ours
                    word = "ahead" if times > 1 else "BEHIND"
                    found.append(f"{rival} {times:.2f} ({word}, {best[1]})")
            lines.append(f"{model}, {said}: {'; '.join(found)}")
    if odd:
        lines.append(f"not at equal parity, and so no rivals: {', '.join(odd)}")
    return lines


def at_parity(result: Result, name: str) -> bool:
    """Tell whether one's texts are the reference's, or as close to them as ours, where compared."""
    for model in result.conditions.options["models"]:
        error = value_of(result, "character_error", model, name)
        ours = value_of(result, "character_error", model, OURS) or 0.0
        if error is not None and error > max(AT_PARITY, ours):
            return False
    return True


def error_of(result: Result, model: str, name: str) -> tuple[float, str] | None:
    """Return one's character error, and the model that it was found on; None for none.

    No texts of random weights are compared: what the same contender does to another model tells.
    """
    for one in (model, *result.conditions.options["models"]):
        error = value_of(result, "character_error", one, name)
        if error is not None:
            return error, one
    return None


def shown_error(result: Result, model: str, name: str) -> str:
    """Write one's character error for a table; that of another model with its name."""
    found = error_of(result, model, name)
    if found is None:
        return ""
    error, of = found
    return f"{100 * error:.2f} %" + ("" if of == model else f" ({of})")


def _best(
    result: Result, what: str, model: str, rival: str, odd: Sequence[str]
) -> tuple[float, str] | None:
    """Return a rival's least value, and whose it is; our own file under its name is not its."""
    values = [
        (value, name)
        for name in CONTENDERS
        if name.startswith(rival) and name not in odd and not name.endswith("-ours")
        for value in [value_of(result, what, model, name)]
        if value is not None
    ]
    return min(values, default=None)


def _shown(result: Result, what: str, model: str, name: str, digits: int) -> str:
    value = value_of(result, what, model, name)
    return "" if value is None else f"{value:.{digits}f}"


def value_of(result: Result, what: str, model: str, name: str) -> float | None:
    """Return the median of one's values; None for none. `live` is a stream, or a window."""
    names = ("cpu_stream", "cpu_window") if what == "live" else (what,)
    values = [value for one in names for value in result.series.get(key(one, model, name), ())]
    return median_of(values) if values else None
