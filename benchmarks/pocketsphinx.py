"""`wav2edge bench pocketsphinx`: another recognizer for small devices on the same recordings.

PocketSphinx brings an English model of its own. Both hear the development sets freely, with a
language model of the domain, and where all that can be said is known (digit strings, commands)
nothing but that: our phrases, its grammar, made of the same templates. Each way is a process of its
own (`peer_process`); they hear each recording in turn.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wav2edge.runtime.recognizer import Recognizer
from wav2edge.training.evaluate import Spoken
from wav2edge.training.recordings import read_manifest, read_recording
from wav2edge.training.voices import RATE_HZ

from .conditions import Conditions
from .decodings import DIGIT_STRINGS, scored_sets
from .peer_process import Answer, PeerProcess
from .peers import FIRST_S, speech
from .phrases import BOOKS, COMMANDS, DIGIT_PHRASES, HOME
from .pocketsphinx_figures import COMMANDS_LABEL, DEFINITIONS, OUTSIDE, figures, key
from .pocketsphinx_ways import (
    GRAMMAR_OPTIONS,
    OTHER,
    SENTENCES,
    WAYS,
    Domain,
    Seats,
    domain_of,
    way_of,
)
from .result import Figure, Result

Report = Callable[[str], None]

DOMAINS = {
    DIGIT_STRINGS: Domain("digits", f"{DIGIT_PHRASES}\n{{digit}}+"),
    COMMANDS: Domain(COMMANDS_LABEL, HOME.read_text(encoding="utf-8")),
}
"""What may be said in a set."""
OUTSIDE_S, OUTSIDE_STEP = 5.1, 3
"""Of read books and noise, recordings up to so long, every so manyth."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One recording, as a file of samples."""

    set_name: str
    audio: Path
    seconds: float
    text: str


@dataclass(slots=True)
class Found:
    """What is measured while the benchmark runs."""

    series: dict[str, list[float]] = field(default_factory=dict)
    texts: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)
    """(transcript, text heard) by set and way, then by recording."""

    def note(self, value: float, *name: str) -> None:
        """Keep one value."""
        self.series.setdefault(key(*name), []).append(value)

    def figures(self) -> dict[str, Figure | None]:
        """Work out the figures."""
        pairs = {at: list(texts.values()) for at, texts in self.texts.items()}
        return figures(self.series, pairs)


def measure(
    recognizer: Recognizer,
    data: Path,
    cache: Path,
    *,
    seconds: float = 45.0,
    starts: int = 3,
    rounds: int = 1,
    report: Report = lambda _: None,
) -> Result:
    """Compare both on the development sets.

    Args:
        recognizer: Ours; its bundle is what our processes load.
        data: Folder of the data manifest.
        cache: Folder of the environments.
        seconds: Of each set without a domain, from its beginning.
        starts: Fresh processes of each way.
        rounds: How often everything is heard; texts are those of the last round.
        report: Told what is being done.

    Raises:
        BenchmarkError: There is no development set, an environment cannot be made, or a process
            fails.
    """
    sets = {
        name: rows if name in DOMAINS else list(_first(rows, seconds))
        for name, rows in scored_sets(data).items()
    }
    domains = {name: domain for name, domain in DOMAINS.items() if name in sets}
    conditions = Conditions.now(
        recognizer,
        threads=1,
        options={
            "seconds": seconds,
            "starts": starts,
            "rounds": rounds,
            "sentences": SENTENCES,
            "grammar_options": GRAMMAR_OPTIONS,
            "domains": {domain.label: name for name, domain in domains.items()},
        },
        audio={name: len(rows) for name, rows in sets.items()},
    )
    found = Found()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report("environments, language models and grammars")
        seats = Seats(recognizer.bundle, cache, folder, list(domains.values()), _said(sets))
        recordings = list(_written(folder, {**sets, **_outside(data, sets)}))
        told = _alive(seats, recordings, rounds, found, report)
        firsts = {one.set_name: one.audio for one in reversed(recordings)}
        audio = {domain.label: firsts[name] for name, domain in domains.items()}
        _start(seats, {"": speech(folder, FIRST_S), **audio}, starts, found, report)
    conditions.options.update(told)
    return Result("pocketsphinx", conditions.ended(), found.figures(), DEFINITIONS, found.series)


def _first(rows: Iterable[Spoken], seconds: float) -> Iterator[Spoken]:
    heard_s = 0.0
    for samples, text in rows:
        if heard_s < seconds:
            yield samples, text
        heard_s += len(samples) / RATE_HZ


def _said(sets: Mapping[str, Sequence[Spoken]]) -> dict[str, list[str]]:
    """Return every word of each set, as often as it is said."""
    return {
        name: [word.lower() for _, text in rows for word in text.split()]
        for name, rows in sets.items()
    }


def _outside(data: Path, sets: Mapping[str, Any]) -> dict[str, list[Spoken]]:
    """Return what is no command: orders that no phrase knows, and some of books and noise."""
    if COMMANDS not in sets:
        return {}
    rows = read_manifest(data, "dev")
    unknown = [row for row in rows if row["set"] == COMMANDS and not row["norm"].strip()]
    others = [row for row in rows if row["set"].startswith(BOOKS)] + [
        row for row in read_manifest(data, "noise") if "impulse" not in row["notes"]
    ]
    short = [row for row in others if float(row["duration_s"]) <= OUTSIDE_S][::OUTSIDE_STEP]
    return {OUTSIDE: [(read_recording(data / row["path"]), "") for row in unknown + short]}


def _written(folder: Path, sets: Mapping[str, Sequence[Spoken]]) -> Iterator[Heard]:
    for number, (name, rows) in enumerate(sets.items()):
        for i, (samples, text) in enumerate(rows):
            path = folder / f"{number}-{i}.f32"
            samples.astype(np.float32).tofile(path)
            yield Heard(name, path, len(samples) / RATE_HZ, text)


def _alive(
    seats: Seats, recordings: Sequence[Heard], rounds: int, found: Found, report: Report
) -> dict[str, Any]:
    """Measure with processes that stay; return what the conditions tell of them."""
    with ExitStack() as stack:
        processes = {name: stack.enter_context(seats.started(name)) for name in seats.jobs}
        told = _about(seats, processes, recordings[0].audio, found)
        for _ in range(rounds):
            _hear(processes, recordings, found, report)
    return told


def _about(
    seats: Seats, processes: Mapping[str, PeerProcess], audio: Path, found: Found
) -> dict[str, Any]:
    """Ask what is loaded; return what the conditions tell of it."""
    added: dict[str, str] = {}
    versions: dict[str, dict[str, str]] = {}
    for name, process in processes.items():
        engine = WAYS[way_of(name)].engine
        versions[engine] = process.versions()
        if engine != OTHER:
            found.note(seats.file_mb(name), "file_mb", name)
            continue
        told = json.loads(process.ask("about", audio).text)
        found.note(told["file_mb"], "file_mb", name)
        added |= told["added"]
        for set_name, share in told["lacking"].items():
            found.series[key("lacking", set_name)] = [share]
    return {"added_words": added, "peers": versions}


def _hear(
    processes: Mapping[str, PeerProcess], recordings: Sequence[Heard], found: Found, report: Report
) -> None:
    """Let everybody hear each recording in turn."""
    spent_s: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for i, one in enumerate(recordings):
        report(f"{i + 1} of {len(recordings)}, {one.set_name}")
        for name in _who_hears(one.set_name, processes):
            answer: Answer = processes[name].ask("whole", one.audio)
            at = key(one.set_name, way_of(name))
            spent_s[at] = spent_s.get(at, 0.0) + answer.cpu_s
            seconds[at] = seconds.get(at, 0.0) + one.seconds
            found.texts.setdefault(at, {})[i] = (one.text, answer.text)
            found.series[key("rss_after_mb", name)] = [answer.peak_rss_mb]
    for at, cpu_s in spent_s.items():
        found.note(1000 * cpu_s / seconds[at], "cpu_ms_per_s", at)


def _who_hears(set_name: str, names: Iterable[str]) -> list[str]:
    """Return who hears a set: what is no command, those alone who know what a command is."""
    domain = DOMAINS.get(COMMANDS if set_name == OUTSIDE else set_name)
    known = "" if domain is None else domain.label
    return [
        name
        for name in names
        if (domain_of(name) == known if domain_of(name) else set_name != OUTSIDE)
    ]


def _start(
    seats: Seats, audio: Mapping[str, Path], starts: int, found: Found, report: Report
) -> None:
    """Start fresh processes in turn; the files are in the cache of the disk by now.

    Each hears something of its domain: what is none takes some of them long to search.
    """
    for i in range(starts):
        for name in seats.jobs:
            report(f"start {i + 1} of {starts}, {name}")
            with seats.started(name) as process:
                answer = process.ask("whole", audio[domain_of(name)])
            found.note(answer.since_start_wall_s, "start_wall_s", name)
            found.note(answer.since_start_cpu_s, "start_cpu_s", name)
            found.note(answer.peak_rss_mb, "rss_mb", name)
