"""`wav2edge bench accuracy`: word error rates on every development set, offline and at each preset.

The sets are those of `training/evaluate.py`: one stream an utterance, finished at its end.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wav2edge.lm.scoring import score
from wav2edge.runtime.endpoint import ENDPOINTS
from wav2edge.runtime.events import Final
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import LATENCIES
from wav2edge.training.evaluate import Samples, Spoken, development_sets
from wav2edge.training.voices import RATE_HZ

from .conditions import Conditions, options_of
from .result import BenchmarkError, Figure, Result

OFFLINE = "offline"
DEFINITIONS = {
    "wer": "word error rate, by set and latency, with its 95 % bootstrap interval; n: words",
    "cer": "character error rate, likewise; n: characters",
}


def measure(
    recognizer: Recognizer,
    data: Path,
    *,
    endpoint: str = "default",
    threads: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Score the model on the development sets.

    Args:
        recognizer: Loaded with `threads`.
        data: Folder of the data manifest.
        endpoint: Preset of the endpointing.
        threads: For the conditions.
        report: Told what is being done.

    Raises:
        BenchmarkError: If there is no manifest, or it has no development set.
        AudioError: If a recording cannot be read.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    sets = {name: rows for name, rows in development_sets(data).items() if rows}
    if not sets:
        raise BenchmarkError(f"{data}/MANIFEST.tsv has no transcribed row of the split dev")
    conditions = Conditions.now(
        recognizer,
        threads=threads,
        options={
            "presets": {name: _really(recognizer, name) for name in LATENCIES},
            "endpoint": options_of(ENDPOINTS[endpoint]),
        },
        audio={name: len(rows) for name, rows in sets.items()},
    )
    figures: dict[str, Figure | None] = {}
    for name, rows in sets.items():
        for latency in (OFFLINE, *LATENCIES):
            report(f"{name}, {latency}")
            for kind, figure in _scores(_heard(recognizer, rows, latency, endpoint)).items():
                figures[f"{kind} {name} {latency}"] = figure
    return Result("accuracy", conditions.ended(), figures, DEFINITIONS)


def table(result: Result) -> list[str]:
    """Write the word error rates as a table in Markdown, one row a set."""
    latencies = [OFFLINE, *result.conditions.options["presets"]]
    lines = [
        "| set | words | " + " | ".join(latencies) + " |",
        "| --- | ---: |" + " ---: |" * len(latencies),
    ]
    for name in result.conditions.audio:
        row = [result.figures[f"wer {name} {latency}"] for latency in latencies]
        n_words = row[0].n if row[0] else 0
        cells = [f"{100 * one.median:.1f} %" if one else "" for one in row]
        lines.append(f"| {name} | {n_words} | " + " | ".join(cells) + " |")
    return lines


def _really(recognizer: Recognizer, latency: str) -> dict[str, Any]:
    """Return what a preset becomes: the model rounds it up to whole frames."""
    with recognizer.stream(latency) as stream:
        return options_of(stream.options)


def _heard(
    recognizer: Recognizer, rows: Iterable[Spoken], latency: str, endpoint: str
) -> list[tuple[str, str]]:
    """Return (transcript, text heard) of each utterance."""
    separator = recognizer.bundle.alphabet.separator

    def hear(samples: Samples) -> str:
        if latency == OFFLINE:
            return recognizer.transcribe(samples, RATE_HZ).text
        with recognizer.stream(latency, endpoint=endpoint, sample_rate=RATE_HZ) as stream:
            events = stream.events([samples])
            return separator.join(one.text for one in events if isinstance(one, Final))

    return [(text, hear(samples)) for samples, text in rows]


def _scores(pairs: list[tuple[str, str]]) -> dict[str, Figure]:
    found = score(pairs)
    rates = {
        "wer": (found.words, found.wer_interval),
        "cer": (found.characters, found.cer_interval),
    }
    return {
        kind: Figure(rate.rate, *interval, rate.n_reference)
        for kind, (rate, interval) in rates.items()
    }
