"""What the comparison with PocketSphinx found: figures, tables, who is ahead, a section."""

from collections.abc import Mapping, Sequence

from wav2edge.lm.scoring import score

from .charts import bars
from .pocketsphinx_ways import OTHER, WAYS, domain_of, way_of
from .result import Figure, Result, spread
from .section import Section

OUTSIDE = "no command"
"""The set of recordings that hold none."""
DEFINITIONS = {
    "wer": "word error rate, by set and way, with its 95 % bootstrap interval; n: words. Domains: "
    "language models of sentences drawn from the templates, and phrases or a grammar of them",
    "cer": "character error rate, likewise; n: characters",
    "false_accepts": "share of what is no command (orders that no phrase knows, some of read books "
    "and noise) in which words are heard; n: recordings",
    "cpu_ms_per_s": "CPU ms of the process per second of audio, over the whole set; n: rounds",
    "lacking": "share of a set's running words that PocketSphinx's dictionary lacks",
    "start_wall_s": "a fresh process, from its start to the text of a recording of about 3 s, of "
    "its domain if it has one: time",
    "start_cpu_s": "the same: CPU time of the whole process, interpreter included",
    "rss_mb": "largest resident set of that process",
    "rss_beyond_mb": "the same less the size of the files",
    "rss_after_mb": "largest resident set of the process that heard all its sets",
    "file_mb": "acoustic model, dictionary, language model or grammar: what it reads",
}
"""What each figure means, by its first word; the others are the set, and the way or way/domain."""
COMMANDS_LABEL = "commands"
_COLUMNS = (
    "process", "CPU ms/s", "start, s", "start, CPU s", "memory, MB", "beyond files, MB",
    "files, MB", "heard in what is no command",
)  # fmt: skip


def key(*words: str) -> str:
    """Name a figure: what it is, of which set, of whom."""
    return " ".join(words)


def figures(
    series: Mapping[str, Sequence[float]], pairs: Mapping[str, Sequence[tuple[str, str]]]
) -> dict[str, Figure | None]:
    """Work out the figures.

    Args:
        series: What was measured, by the name of the figure.
        pairs: (transcript, text heard), by set and way.
    """
    found: dict[str, Figure | None] = {}
    for at, some in pairs.items():
        if at.startswith(f"{OUTSIDE} "):
            share = sum(bool(heard.strip()) for _, heard in some) / len(some)
            found[key("false_accepts", at)] = Figure(share, share, share, len(some))
            continue
        scored = score(some)
        words, characters = scored.words, scored.characters
        found[key("wer", at)] = Figure(words.rate, *scored.wer_interval, words.n_reference)
        found[key("cer", at)] = Figure(
            characters.rate, *scored.cer_interval, characters.n_reference
        )
    for name, values in series.items():
        found[name] = spread(values)
        if name.startswith("rss_mb "):
            size_mb = series[name.replace("rss_mb", "file_mb")][0]
            found[name.replace("rss_mb", "rss_beyond_mb")] = spread(one - size_mb for one in values)
    return found


def table(result: Result) -> list[str]:
    """Write word error rates in Markdown, one row a set, one column a way."""
    ways = [way for way in WAYS if any(name.endswith(f" {way}") for name in result.figures)]
    lines = [
        "| set | words | " + " | ".join(f"{WAYS[x].engine}, {WAYS[x].label}" for x in ways) + " |",
        "| --- | ---: |" + " ---: |" * len(ways),
    ]
    for name in result.conditions.audio:
        row = [result.figures.get(key("wer", name, way)) for way in ways]
        n_words = next(one.n for one in row if one)
        cells = [f"{100 * one.median:.1f} %" if one else "" for one in row]
        lines.append(f"| {name} | {n_words} | " + " | ".join(cells) + " |")
    return lines


def cost_table(result: Result) -> list[str]:
    """Write in Markdown what each process costs: CPU, start, memory, files, false accepts."""
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "| --- |" + " ---: |" * (len(_COLUMNS) - 1),
    ]
    for name in processes(result):
        way = WAYS[way_of(name)]
        domain = domain_of(name)
        label = f"{way.engine}, {way.label}" + (f": {domain}" if domain else "")
        of_outside = key("false_accepts", OUTSIDE, way_of(name))
        accepted = result.figures.get(of_outside) if domain == COMMANDS_LABEL else None
        cells = [
            _cell(_cpu(result, name), ".0f"),
            _cell(result.figures.get(f"start_wall_s {name}"), ".2f"),
            _cell(result.figures.get(f"start_cpu_s {name}"), ".2f"),
            *(_cell(result.figures.get(f"{x} {name}"), ".0f") for x in ("rss_mb", "rss_beyond_mb")),
            _cell(result.figures.get(f"file_mb {name}"), ".1f"),
            f"{accepted.median:.0%} of {accepted.n}" if accepted else "",
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def processes(result: Result) -> list[str]:
    """Return the names of all processes, in the order of their ways."""
    names = [name.partition(" ")[2] for name in result.figures if name.startswith("file_mb ")]
    order = list(WAYS)
    return sorted(names, key=lambda name: (order.index(way_of(name)), name))


def verdicts(result: Result) -> list[str]:
    """Tell of each set who is ahead, each in its best way."""
    lines = []
    for name in result.conditions.audio:
        best: dict[bool, tuple[float, str]] = {}
        for way, about in WAYS.items():
            figure = result.figures.get(key("wer", name, way))
            if figure is not None:
                one = (figure.median, about.label)
                best[about.engine == OTHER] = min(one, best.get(about.engine == OTHER, one))
        ours, theirs = best[False], best[True]
        said = "ahead" if ours[0] < theirs[0] else "BEHIND" if ours[0] > theirs[0] else "equal"
        lines.append(
            f"{name}: {100 * ours[0]:.1f} % ({ours[1]}) against {100 * theirs[0]:.1f} % "
            f"({theirs[1]}): {said}"
        )
    return lines


def section(result: Result) -> Section:
    """Return what a report shows: bars of the sets with a domain, and both tables."""
    charts = []
    for name in result.conditions.audio:
        found = {way: result.figures.get(key("wer", name, way)) for way in WAYS}
        if not any(WAYS[way].of_domain for way, one in found.items() if one):
            continue
        rows = [
            (f"{WAYS[way].engine}, {WAYS[way].label}", 100 * one.median)
            for way, one in found.items()
            if one is not None
        ]
        what = f"Word error rate of {name}"
        charts.append((what, bars(rows, unit="%", title=what)))
    head, _, *cells = [_cells(line) for line in table(result)]
    text = "Word error rates, each in its best way. " + "; ".join(verdicts(result)) + "."
    return Section("Beside PocketSphinx", text, charts, [head, *cells])


def _cpu(result: Result, name: str) -> Figure | None:
    """Return the CPU of a process on its domain's set, or over all sets, of which none counts more.

    What is no command is heard too, and counted apart.
    """
    way, domain = way_of(name), domain_of(name)
    if domain:
        return result.figures.get(key("cpu_ms_per_s", _set_of(result, domain), way))
    found = [result.figures.get(key("cpu_ms_per_s", one, way)) for one in result.conditions.audio]
    return spread(one.median for one in found if one is not None)


def _set_of(result: Result, domain: str) -> str:
    name: str = result.conditions.options["domains"][domain]
    return name


def _cell(figure: Figure | None, form: str) -> str:
    return "" if figure is None else format(figure.median, form)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
