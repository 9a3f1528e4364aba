"""Word error rates by decoder: greedy, with a language model, with phrases; and hotwords by boost.

Phrases are measured where they mean something: digit strings against any number of digits, and
commands against the phrases of a home assistant.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from wav2edge.lm.scoring import word_error_rate
from wav2edge.runtime.decoding import DecodingArguments
from wav2edge.runtime.events import Final
from wav2edge.runtime.onnx_asr import LAYOUT
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.training.evaluate import Samples, Spoken, development_sets
from wav2edge.training.voices import RATE_HZ

from .conditions import Conditions
from .phrases import COMMANDS, DIGIT_PHRASES, HOME
from .result import BenchmarkError, Figure, Result

DECODERS = ("greedy", "beam", "lm", "phrases")
DIGIT_STRINGS = "fsdd digit strings"
BOOSTS = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0)
HOTWORD_SHARE = 0.1  # of the running words of a set
LATENCY = "balanced"
DEFINITIONS = {
    "wer": "word error rate, by set, decoder, and whether the recording was heard as a whole or "
    f"as a stream ({LATENCY}); n: words of the transcripts; none where phrases mean nothing",
}
HOTWORD_DEFINITIONS = {
    "hotword_wer": "share of the hotwords said that were not heard, by set and boost; the hotwords "
    f"of a set are its rarest words, as many as make up {HOTWORD_SHARE:.0%} of what is said, one "
    "list for the whole set; n: hotwords said",
    "other_wer": "errors in the other words, and words heard that nobody said, by the number of "
    "other words; n: other words said",
}

Report = Callable[[str], None]


def measure(
    recognizer: Recognizer,
    data: Path,
    decoders: Sequence[str],
    *,
    lm: Path | None = None,
    threads: int = 1,
    report: Report = lambda _: None,
) -> Result:
    """Score decoders on the development sets, recordings and streams.

    Args:
        recognizer: Loaded with `threads`.
        data: Folder of the data manifest.
        decoders: Some of `DECODERS`.
        lm: The language model; None: the bundle's own.
        threads: For the conditions.
        report: Told what is being done.

    Raises:
        BenchmarkError: If a decoder is unknown, there is no language model, or no development set.
        Wav2EdgeError: If the language model cannot be used.
    """
    unknown = [name for name in decoders if name not in DECODERS]
    if unknown or not decoders:
        raise BenchmarkError(f"decoders are {', '.join(decoders)}, expected some of {DECODERS}")
    if "lm" in decoders and lm is None and recognizer.bundle.manifest.language_model is None:
        raise BenchmarkError("there is no language model to measure: name one with --lm, or attach")
    sets = scored_sets(data)
    conditions = Conditions.now(
        recognizer,
        threads=threads,
        options={"decoders": list(decoders), "lm": None if lm is None else lm.name},
        audio={name: len(rows) for name, rows in sets.items()},
    )
    figures: dict[str, Figure | None] = {}
    for name, rows in sets.items():
        for decoder in decoders:
            report(f"{name}, {decoder}")
            asked = _asked(decoder, name, lm)
            for how in ("offline", "live"):
                figures[f"wer {name} {decoder} {how}"] = (
                    None if asked is None else _wer(recognizer, rows, asked, how)
                )
    return Result("decodings", conditions.ended(), figures, DEFINITIONS)


def table(result: Result) -> list[str]:
    """Write the word error rates as a table in Markdown, one row a set: offline / live."""
    decoders = result.conditions.options["decoders"]
    lines = [
        "| set | words | " + " | ".join(decoders) + " |",
        "| --- | ---: |" + " ---: |" * len(decoders),
    ]
    for name in result.conditions.audio:
        cells, n_words = [], 0
        for decoder in decoders:
            pair = [result.figures[f"wer {name} {decoder} {how}"] for how in ("offline", "live")]
            known = [one for one in pair if one is not None]
            n_words = max([n_words, *(one.n for one in known)])
            cells.append(" / ".join(f"{100 * one.median:.1f} %" for one in known))
        lines.append(f"| {name} | {n_words} | " + " | ".join(cells) + " |")
    return lines


def measure_hotwords(
    recognizer: Recognizer,
    data: Path,
    *,
    threads: int = 1,
    report: Report = lambda _: None,
) -> Result:
    """Score hotwords and the words around them over the boost, on the development sets.

    Args:
        recognizer: Loaded with `threads`; its own language model, if it has one, is used.
        data: Folder of the data manifest.
        threads: For the conditions.
        report: Told what is being done.

    Raises:
        BenchmarkError: If there is no development set.
    """
    sets = scored_sets(data)
    hotwords = {name: rarest([text for _, text in rows]) for name, rows in sets.items()}
    conditions = Conditions.now(
        recognizer,
        threads=threads,
        options={
            "boosts": list(BOOSTS),
            "hotwords": {name: len(words) for name, words in hotwords.items()},
        },
        audio={name: len(rows) for name, rows in sets.items()},
    )
    figures: dict[str, Figure | None] = {}
    for name, rows in sets.items():
        for boost in BOOSTS:
            report(f"{name}, boost {boost:g}")
            asked: DecodingArguments = {"hotwords": dict.fromkeys(hotwords[name], boost)}
            pairs = [(text, _heard(recognizer, one, asked)) for one, text in rows]
            rates = hotword_errors(pairs, frozenset(hotwords[name]))
            for kind, figure in zip(HOTWORD_DEFINITIONS, rates, strict=True):
                figures[f"{kind} {name} {boost:g}"] = figure
    return Result("hotwords", conditions.ended(), figures, HOTWORD_DEFINITIONS)


def hotword_table(result: Result) -> list[str]:
    """Write the rates as a table in Markdown: hotwords / other words, one row a set."""
    boosts = [f"{boost:g}" for boost in result.conditions.options["boosts"]]
    lines = [
        "| set | hotwords | " + " | ".join(boosts) + " |",
        "| --- | ---: |" + " ---: |" * len(boosts),
    ]
    for name in result.conditions.audio:
        cells, n_said = [], 0
        for boost in boosts:
            pair = [result.figures[f"{kind} {name} {boost}"] for kind in HOTWORD_DEFINITIONS]
            n_said = pair[0].n if pair[0] else 0
            cells.append(" / ".join(f"{100 * one.median:.0f}" for one in pair if one))
        lines.append(f"| {name} | {n_said} | " + " | ".join(cells) + " |")
    return lines


def rarest(texts: Sequence[str]) -> list[str]:
    """Return the rarest words, as many as make up `HOTWORD_SHARE` of what is said.

    >>> rarest(["ON ON ON ON ON OFF", "ON ON ON DIM DIM"])
    ['OFF', 'DIM']
    """
    counts = Counter(word for text in texts for word in text.split())
    chosen: list[str] = []
    for word, _ in sorted(counts.items(), key=lambda pair: (pair[1], pair[0])):
        if sum(counts[one] for one in chosen) >= HOTWORD_SHARE * counts.total():
            break
        chosen.append(word)
    return chosen


def hotword_errors(
    pairs: Sequence[tuple[str, str]], hotwords: frozenset[str]
) -> tuple[Figure | None, Figure | None]:
    """Part the word errors of (reference, hypothesis) pairs: of hotwords, and all others."""
    from rapidfuzz.distance import Levenshtein

    errors, said = [0, 0], [0, 0]
    for reference, hypothesis in pairs:
        words, heard = reference.split(), hypothesis.split()
        for word in words:
            said[word not in hotwords] += 1
        for edit in Levenshtein.editops(words, heard):
            is_hotword = edit.tag != "insert" and words[edit.src_pos] in hotwords
            errors[not is_hotword] += 1
    hot, other = (
        Figure(wrong / n, wrong / n, wrong / n, n) if n else None
        for wrong, n in zip(errors, said, strict=True)
    )
    return hot, other


def scored_sets(data: Path) -> dict[str, list[Spoken]]:
    """Return the development sets that hold transcripts.

    Raises:
        BenchmarkError: There is no manifest, or no such set.
    """
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    sets = {name: rows for name, rows in development_sets(data).items() if rows}
    if not sets:
        raise BenchmarkError(f"{data}/MANIFEST.tsv has no transcribed row of the split dev")
    return sets


def _asked(decoder: str, name: str, lm: Path | None) -> DecodingArguments | None:
    """Return what is asked for; None where phrases mean nothing."""
    if decoder == "greedy":
        return {"decoder": "greedy"}
    if decoder == "beam":
        return {"decoder": "beam", "lm": False}
    if decoder == "lm":
        return {"decoder": "beam", "lm": lm}
    phrases: dict[str, str | Path] = {DIGIT_STRINGS: f"{DIGIT_PHRASES}\n{{digit}}+", COMMANDS: HOME}
    return {"phrases": phrases[name]} if name in phrases else None


def _wer(
    recognizer: Recognizer, rows: Sequence[Spoken], asked: DecodingArguments, how: str
) -> Figure | None:
    live = how == "live"
    if live and recognizer.bundle.manifest.layout == LAYOUT:
        return None  # it cannot stream
    pairs = [(text, _heard(recognizer, one, asked, live=live)) for one, text in rows]
    rate = word_error_rate(pairs)
    return Figure(rate.rate, rate.rate, rate.rate, rate.n_reference)


def _heard(
    recognizer: Recognizer, samples: Samples, asked: DecodingArguments, *, live: bool = False
) -> str:
    if not live:
        return recognizer.transcribe(samples, RATE_HZ, **asked).text
    separator = recognizer.bundle.alphabet.separator
    with recognizer.stream(LATENCY, sample_rate=RATE_HZ, **asked) as stream:
        events = stream.events([samples])
        return separator.join(event.text for event in events if isinstance(event, Final))
