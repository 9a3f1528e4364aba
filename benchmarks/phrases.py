"""`wav2edge bench phrases`: false rejects against false accepts, over the threshold.

An assistant that knows the phrases of `home_assistant.txt` (or of another file) hears the recorded
commands, read books and noise. Digit strings, as `<digit>+`, tell what phrases are worth where
something is said that belongs to them.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.automaton import Automaton, meets
from wav2edge.lm.errors import TemplateError
from wav2edge.lm.greedy import GreedyDecoder
from wav2edge.lm.phrase_graph import compile_templates
from wav2edge.lm.phrases import Match, PhraseDecoder
from wav2edge.lm.scoring import word_error_rate
from wav2edge.lm.templates import Templates
from wav2edge.runtime.audio import Audio
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.training.evaluate import Spoken, digit_strings
from wav2edge.training.recordings import read_manifest, read_recording
from wav2edge.training.voices import RATE_HZ

from .conditions import Conditions
from .result import BenchmarkError, Figure, Result
from .sessions import ONE_THREAD, Sessions

HOME = Path(__file__).with_name("home_assistant.txt")
COMMANDS, BOOKS, DIGITS = "speech_to_phrase_en", "librispeech_", "fsdd"
MOST_REJECTS = 0.10  # of the commands, where the goal is read off
STEPS = 101  # of the threshold, from 0 to 1
DIGIT_PHRASES = "digit = zero | oh | one | two | three | four | five | six | seven | eight | nine"
LETTERS = "eeaaiioutnsrhldcmfpgwybvk"  # of made-up words
DEFINITIONS = {
    "false_rejects": "share of the recorded commands that are rejected, at the default threshold; "
    "n: commands",
    "wrong": "share of them that are accepted as another phrase",
    "not_covered": "share of them that no phrase allows",
    "false_accepts": "share of what is no command (read books, orders that no phrase knows, noise) "
    "that is accepted as one, at the default threshold; n: recordings",
    "false_accepts_books": "the same of what is said",
    "false_accepts_noise": "the same of the noise",
    "threshold_at_goal": f"the highest threshold at which at most {MOST_REJECTS:.0%} of the "
    "commands are rejected",
    "false_rejects_at_goal": "share of the commands rejected there",
    "false_accepts_at_goal": "share of what is no command accepted there",
    "auroc": "chance that a command fits better than what is none",
    "digits_wer_phrases": "word error rate of digit strings, any number of digits being the "
    "phrase; none is rejected; n: words",
    "digits_wer_greedy": "the same without phrases",
    "digits_false_rejects": "share of the digit strings that are rejected as such, at the default "
    "threshold",
    "digits_false_accepts": "share of commands, books and noise accepted as digit strings there",
    "search_cpu_ms_per_s": "CPU time of the search per second of what was heard; n: recordings",
    "compile_ms": "CPU time to make the graph",
    "nodes": "of the graph",
    "large_search_cpu_ms_per_s": "the same for 50 templates of six words or slots, with 30 slots "
    "of 100 words",
    "large_compile_ms": "CPU time to make that graph",
    "large_nodes": "of that graph",
}

Frames = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording as the model heard it."""

    text: str
    """Its transcript; empty where nothing is said that could be right."""
    log_probs: Frames
    seconds: float


@dataclass(frozen=True, slots=True)
class Recordings:
    """What is listened to."""

    commands: list[Heard]
    books: list[Heard]
    noise: list[Heard]
    digits: list[Heard]

    @property
    def others(self) -> list[Heard]:
        """All that is no command."""
        return self.books + self.noise


def measure(
    recognizer: Recognizer,
    data: Path,
    *,
    phrases: Path = HOME,
    sessions: Sessions = ONE_THREAD,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure acceptance and rejection.

    Args:
        recognizer: Its model is heard.
        data: Folder of the data manifest.
        phrases: File of templates.
        sessions: Opens the model again, for its log-probs.
        report: Told what is being done.

    Raises:
        BenchmarkError: If the manifest is missing, or the manifest has no commands or nothing else.
        PhrasesNotFoundError: If there is no such file of phrases.
        TemplateError: If they cannot be understood or spelled.
    """
    templates = Templates.of_file(phrases)
    alphabet, facts = recognizer.bundle.alphabet, recognizer.bundle.manifest
    reject, penalty = facts.reject_phrases_below, facts.phrases_blank_penalty
    listen = partial(PhraseDecoder, alphabet, reject=0, blank_penalty=penalty)
    decoder, compile_ms = _timed(lambda: listen(templates))
    heard = _hear(recognizer, data, sessions, report)
    conditions = Conditions.now(
        recognizer,
        threads=sessions.threads,
        options={"phrases": phrases.name, "reject": reject, "blank_penalty": penalty},
        audio={
            name: len(getattr(heard, name)) for name in ("commands", "books", "noise", "digits")
        },
    )
    report("commands, books and noise")
    before = time.process_time()
    all_rows = (heard.commands, heard.books, heard.noise)
    commands, books, noise = ([_match(decoder, one) for one in rows] for rows in all_rows)
    spent_s = time.process_time() - before
    figures = _acceptance(heard.commands, commands, books, noise, reject)
    automaton = compile_templates(templates, alphabet)
    figures["not_covered"] = _share(
        [not _is_covered(automaton, one.text, alphabet) for one in heard.commands]
    )
    figures |= _digits(heard.digits, heard.commands + heard.others, listen, reject)
    n_all = len(commands) + len(books) + len(noise)
    seconds = sum(one.seconds for one in heard.commands + heard.others)
    figures["search_cpu_ms_per_s"] = _one(1000 * spent_s / seconds, n_all)
    figures["compile_ms"], figures["nodes"] = _one(compile_ms), _one(decoder.n_nodes)
    report("large templates")
    figures |= _large(alphabet, heard.commands + heard.books)
    return Result(
        "phrases",
        conditions.ended(),
        {name: figures.get(name) for name in DEFINITIONS},
        DEFINITIONS,
        _curve(heard.commands, commands, books, noise),
    )


def _hear(
    recognizer: Recognizer, data: Path, sessions: Sessions, report: Callable[[str], None]
) -> Recordings:
    """Run the model over every recording once."""
    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} has no MANIFEST.tsv: name the folder of the data manifest")
    model = sessions.acoustic(recognizer.bundle)

    def hear(samples: NDArray[np.float32], text: str) -> Heard:
        with Audio(samples, sample_rate=RATE_HZ, to_hz=recognizer.sample_rate_hz) as source:
            rows = list(model.log_probs(chain(source.blocks(), [recognizer.margin])))
        return Heard(text, np.concatenate(rows), len(samples) / RATE_HZ)

    found = Recordings([], [], [], [])
    digits: list[Spoken] = []
    for row in read_manifest(data, "dev") + read_manifest(data, "noise"):
        if row["set"] == DIGITS:
            digits.append((read_recording(data / row["path"]), row["norm"]))
        kept = _list_of(row, found)
        if kept is not None:
            report(row["path"])
            kept.append(hear(read_recording(data / row["path"]), row["norm"]))
    found.digits.extend(hear(samples, text) for samples, text in digit_strings(digits))
    if not found.commands or not found.others:
        raise BenchmarkError(
            f"{data}/MANIFEST.tsv has {len(found.commands)} commands ({COMMANDS}) and "
            f"{len(found.others)} other recordings ({BOOKS}*, noise): both are needed"
        )
    return found


def _list_of(row: dict[str, str], found: Recordings) -> list[Heard] | None:
    """Return where a recording belongs; a command without a transcript is none of the phrases."""
    if row["split"] == "noise":
        return None if "impulse" in row["notes"] else found.noise
    if row["set"].startswith(BOOKS):
        return found.books
    if row["set"] == COMMANDS:
        return found.commands if row["norm"].strip() else found.books
    return None


def _match(decoder: PhraseDecoder, heard: Heard) -> Match | None:
    _, state = decoder.advance(decoder.start(), heard.log_probs)
    return decoder.match(state)


def _acceptance(
    commands: Sequence[Heard],
    heard: Sequence[Match | None],
    books: Sequence[Match | None],
    noise: Sequence[Match | None],
    reject: float,
) -> dict[str, Figure | None]:
    """Read shares off at the default threshold, and where few commands are rejected."""
    fits, others = _fits(heard), _fits([*books, *noise])
    # As many commands as may be rejected are; the next one is not.
    at_goal = float(np.sort(fits)[int(MOST_REJECTS * len(fits))])
    wins = (fits[:, None] > others).mean() + (fits[:, None] == others).mean() / 2
    return {
        "false_rejects": _share(fits < reject),
        "wrong": _share(_is_wrong(commands, heard) & (fits >= reject)),
        "false_accepts": _share(_accepted(others, reject)),
        "false_accepts_books": _share(_accepted(_fits(books), reject)),
        "false_accepts_noise": _share(_accepted(_fits(noise), reject)),
        "threshold_at_goal": _one(at_goal, len(fits)),
        "false_rejects_at_goal": _share(fits < at_goal),
        "false_accepts_at_goal": _share(_accepted(others, at_goal)),
        "auroc": _one(float(wins), len(fits) + len(others)),
    }


def _curve(
    commands: Sequence[Heard],
    heard: Sequence[Match | None],
    books: Sequence[Match | None],
    noise: Sequence[Match | None],
) -> dict[str, list[float]]:
    """Return the shares at every threshold."""
    thresholds = np.linspace(0, 1, STEPS)
    fits, wrong = _fits(heard), _is_wrong(commands, heard)
    return {
        "threshold": thresholds.tolist(),
        "false_rejects": [float((fits < one).mean()) for one in thresholds],
        "wrong": [float((wrong & _accepted(fits, one)).mean()) for one in thresholds],
        "false_accepts_books": [_mean(_accepted(_fits(books), one)) for one in thresholds],
        "false_accepts_noise": [_mean(_accepted(_fits(noise), one)) for one in thresholds],
    }


def _fits(matches: Sequence[Match | None]) -> NDArray[np.float64]:
    """Return how well each fits; nothing heard is below every threshold."""
    return np.array([-1.0 if one is None else one.fit for one in matches])


def _accepted(fits: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    return fits >= threshold


def _is_wrong(commands: Sequence[Heard], heard: Sequence[Match | None]) -> NDArray[np.bool_]:
    """Tell where a phrase is not the one that was said."""
    return np.array([_text(match) != one.text for one, match in zip(commands, heard, strict=True)])


def _text(match: Match | None) -> str:
    return "" if match is None else " ".join(word.text for word in match.words).upper()


def _is_covered(automaton: Automaton, text: str, alphabet: Alphabet) -> bool:
    """Tell whether a phrase allows a text."""
    try:
        return meets(automaton, compile_templates(Templates.of([text.lower()]), alphabet))
    except TemplateError:  # it cannot be spelled
        return False


def _digits(
    digits: Sequence[Heard],
    others: Sequence[Heard],
    listen: Callable[[Templates], PhraseDecoder],
    reject: float,
) -> dict[str, Figure | None]:
    """Score digit strings with and without phrases, and what is none of them."""
    phrases = listen(Templates.read(f"{DIGIT_PHRASES}\n{{digit}}+"))
    greedy = GreedyDecoder(phrases.alphabet)
    matches = [_match(phrases, one) for one in digits]
    pairs: dict[str, list[tuple[str, str]]] = {"phrases": [], "greedy": []}
    for one, match in zip(digits, matches, strict=True):
        pairs["phrases"].append((one.text.upper(), _text(match)))
        words, state = greedy.advance(greedy.start(), one.log_probs)
        free = " ".join(word.text for word in (*words, *greedy.finish(state))).upper()
        pairs["greedy"].append((one.text.upper(), free))
    rates = {name: word_error_rate(both) for name, both in pairs.items()}
    found = {
        f"digits_wer_{name}": _one(rate.rate, rate.n_reference) if rate.n_reference else None
        for name, rate in rates.items()
    }
    found["digits_false_rejects"] = _share(_fits(matches) < reject)
    fits = _fits([_match(phrases, one) for one in others])
    return found | {"digits_false_accepts": _share(_accepted(fits, reject))}


def _large(alphabet: Alphabet, heard: Sequence[Heard]) -> dict[str, Figure | None]:
    """Measure a graph that is searched in a beam."""
    rng = random.Random(0)  # noqa: S311  (words, not secrets)

    def word() -> str:
        return "".join(rng.choice(LETTERS) for _ in range(rng.randint(3, 9)))

    slots = {f"slot{number}": [word() for _ in range(100)] for number in range(30)}
    lines = [
        " ".join(rng.choice([word(), f"{{slot{rng.randrange(30)}}}"]) for _ in range(6))
        for _ in range(50)
    ]
    templates = Templates.of(lines, slots)
    decoder, compile_ms = _timed(lambda: PhraseDecoder(alphabet, templates, reject=0))
    _, spent_ms = _timed(lambda: [_match(decoder, one) for one in heard])
    return {
        "large_search_cpu_ms_per_s": _one(spent_ms / sum(one.seconds for one in heard), len(heard)),
        "large_compile_ms": _one(compile_ms),
        "large_nodes": _one(decoder.n_nodes),
    }


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what work makes, and its CPU time in milliseconds."""
    before = time.process_time()
    made = work()
    return made, 1000 * (time.process_time() - before)


def _one(value: float, n: int = 1) -> Figure:
    return Figure(float(value), float(value), float(value), n)


def _share(which: Sequence[bool] | NDArray[np.bool_]) -> Figure | None:
    return _one(_mean(which), len(which)) if len(which) else None


def _mean(which: Sequence[bool] | NDArray[np.bool_]) -> float:
    return float(np.mean(which)) if len(which) else 0.0
