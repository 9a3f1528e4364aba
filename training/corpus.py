"""Recordings and synthetic speech -> one cache of 16 kHz samples that training reads at random.

The cache is a folder: `samples.i16` (little-endian int16 mono at 16 kHz, utterances end to end) and
`index.json` (a list of `Utterance`). It is built of recordings and synthetic voices, goes on where
it was stopped, can be trained on while it grows, and is safe to delete. 115 MB hold an hour.
"""

import gzip
import json
import random
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import recordings
from .adventures import left_out
from .recordings import Spoken
from .sentences import SentenceBank, Texts, normalize_text, with_pauses
from .teacher import Teacher
from .voices import PROGRAMS, RATE_HZ, Voice, VoiceError

# Hours of each voice program, the slowest last: an hour of Kokoro takes a core some 25 minutes, and
# what of it is there can be trained on.
HOURS = {
    "hibari": 6.0,
    "espeak-ng": 16.0,
    "pico": 6.0,
    "flite": 7.0,
    "rhvoice": 2.5,
    "festival": 0.4,
    "kokoro": 8.0,
}
_AT_ONCE = 400  # utterances between two saves
# Speech that is faster or slower than this was not spoken to its end, or not as text.
_FASTEST, _SLOWEST = 0.02, 0.4
"""Seconds per character."""


@dataclass(frozen=True)
class Utterance:
    """One utterance of the cache."""

    kind: str
    start: int
    """First sample in `samples.i16`."""
    n_samples: int
    text: str
    """Normalised transcript; empty for noise."""
    speaker: str
    """Of synthetic speech, the program and its voice."""

    @property
    def program(self) -> str:
        """The voice program of synthetic speech; empty for recordings."""
        return self.speaker.partition(" ")[0] if self.kind.startswith("synthetic") else ""


@dataclass(frozen=True)
class Corpus:
    """The cache, opened for reading."""

    samples: npt.NDArray[np.int16]
    utterances: tuple[Utterance, ...]

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open the cache in `folder`.

        Raises:
            FileNotFoundError: It was not prepared yet.
        """
        if not (folder / "index.json").is_file():
            raise FileNotFoundError(
                f"{folder} holds no prepared corpus (index.json); prepare it first"
            )
        rows = json.loads((folder / "index.json").read_text())
        samples = np.memmap(folder / "samples.i16", dtype="<i2", mode="r")
        return cls(samples, tuple(Utterance(**row) for row in rows))

    def audio(self, utterance: Utterance) -> npt.NDArray[np.float32]:
        """Return float32 `[n_samples]` in [-1, 1] at 16 kHz."""
        piece = self.samples[utterance.start : utterance.start + utterance.n_samples]
        return piece.astype(np.float32) / np.float32(32768)


def prepare(
    data: Path,
    folder: Path,
    seed: int,
    report: Callable[[str], None],
    hours: dict[str, float] = HOURS,
    packages: Path | None = None,
) -> Corpus:
    """Build the cache in `folder`, or go on with it.

    Args:
        data: Folder of the manifest and the recordings.
        folder: Of the cache; what it holds stays, and what is missing is added.
        seed: Of texts and voices.
        report: Called with lines for a human.
        hours: How much synthetic speech each voice program is asked for; one that is not installed
            is reported and left out.
        packages: Where packages of Debian with recordings were unpacked, see `recordings`; what
            is not there is reported and left out.
    """
    cache = _Cache(folder)
    if not cache.rows:
        cache.extend(chain(recordings.transcribed(data), recordings.noises(data)))
    if packages is None or not packages.is_dir():
        report("no prompts, letters and games: `make training-voices` fetches them")
        packages = None
    else:
        for what, kind, by, spoken in (
            ("telephone prompts", "prompt", "", recordings.prompts(packages)),
            ("letters", "symbol", "klettres", recordings.letters(packages)),
        ):
            if not _add_once(cache, kind, spoken, by):
                report(f"no {what}: `make training-voices` fetches them")
    _add_heard(cache, data, packages, report)
    texts = texts_of(data)
    for program, wanted_h in hours.items():
        if PROGRAMS[program].is_there():
            _speak_hours(cache, texts, program, wanted_h, seed)
            report(f"voices of {program}: {cache.hours(program):.2f} h of {wanted_h:.2f} h")
        else:
            report(f"no voices of {program}: they come from {PROGRAMS[program].origin}")
    for kind in sorted({row.kind for row in cache.rows}):
        rows = [row for row in cache.rows if row.kind == kind]
        total_h = sum(row.n_samples for row in rows) / RATE_HZ / 3600
        report(f"{kind}: {len(rows)} utterances, {total_h:.2f} h")
    return Corpus.open(folder)


class _Cache:
    """The cache, opened for writing: what was added since the last `save` is lost by a kill."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._index, self._samples = folder / "index.json", folder / "samples.i16"
        rows = json.loads(self._index.read_text()) if self._index.is_file() else []
        self.rows = [Utterance(**row) for row in rows]
        self._end = sum(row.n_samples for row in self.rows)
        self._samples.touch()

    def add(self, spoken: Spoken) -> None:
        """Append one utterance."""
        kind, text, speaker, samples = spoken
        clipped = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2")
        with self._samples.open("r+b") as file:
            file.seek(2 * self._end)
            file.write(clipped.tobytes())
        self.rows.append(Utterance(kind, self._end, len(clipped), text, speaker))
        self._end += len(clipped)

    def extend(self, spoken: Iterable[Spoken]) -> None:
        """Append all of them, or after an error none."""
        for one in spoken:
            self.add(one)
        self.save()

    def save(self) -> None:
        """Write the index; a kill in the middle leaves the old one."""
        draft = self._index.with_suffix(".tmp")
        draft.write_text(json.dumps([asdict(row) for row in self.rows]))
        draft.replace(self._index)

    def hours(self, program: str) -> float:
        """Count the hours of a voice program."""
        n_samples = sum(row.n_samples for row in self.rows if row.program == program)
        return n_samples / RATE_HZ / 3600


def _add_heard(
    cache: _Cache, data: Path, packages: Path | None, report: Callable[[str], None]
) -> None:
    teacher = Teacher()
    if not teacher.is_there():
        report(f"recordings without transcripts are left out: {teacher.origin}")
        return
    _add_once(cache, "heard", recordings.heard(data, teacher, report))
    if packages is not None:  # half an hour of a core: what was heard is saved on the way
        for game, why in left_out(packages).items():
            report(f"{game} is left out: {why}")
        last = next((row.speaker for row in reversed(cache.rows) if row.kind == "acted"), "")
        lines = recordings.acted(packages, teacher, report, last)
        while some := tuple(islice(lines, _AT_ONCE)):
            cache.extend(some)


def _add_once(cache: _Cache, kind: str, spoken: Iterable[Spoken], by: str = "") -> bool:
    """Add recordings of a kind, where none by that speaker is there yet; tell whether some are."""

    def are_there() -> bool:
        return any(row.kind == kind and row.speaker.startswith(by) for row in cache.rows)

    if not are_there():
        cache.extend(spoken)
    return are_there()


def _speak_hours(cache: _Cache, texts: Texts, program: str, wanted_h: float, seed: int) -> None:
    """Let a program speak until it has spoken for so long, two utterances at a time."""
    while cache.hours(program) < wanted_h:
        n_done = sum(row.program == program for row in cache.rows)
        rng = random.Random(f"{seed} {program} {n_done}")
        orders = [(*texts.draw(rng), program, rng.getrandbits(32)) for _ in range(_AT_ONCE)]
        with ThreadPoolExecutor(2) as pool:
            spoken = [found for found in pool.map(lambda o: _speak(*o), orders) if found]
        if not spoken:
            raise VoiceError(f"{program} could speak none of {_AT_ONCE} texts")
        missing_s = (wanted_h - cache.hours(program)) * 3600
        for one in spoken:
            if missing_s > 0:
                cache.add(one)
                missing_s -= len(one[3]) / RATE_HZ
        cache.save()


def _speak(kind: str, text: str, program: str, seed: int) -> Spoken | None:
    """Speak one text; None if what the voice made of it cannot be the text."""
    rng = random.Random(seed)
    voice = Voice.draw(rng, program)
    try:
        samples = voice.speak(with_pauses(text, kind, rng))
    except VoiceError:
        return None
    pace = len(samples) / RATE_HZ / (len(text) + 2)
    if np.abs(samples).max(initial=0.0) < 0.05 or not _FASTEST < pace < _SLOWEST:
        return None
    return f"synthetic-{kind}", normalize_text(text), f"{voice.program} {voice.name}", samples


def texts_of(data: Path) -> Texts:
    """Return what is drawn for the voices: books and words of the data folder, and the grammar."""
    dev = frozenset(normalize_text(r["norm"]) for r in recordings.read_manifest(data, "dev"))
    return Texts(SentenceBank.from_texts(_books(data), dev), tuple(_words(data)), dev)


def _books(data: Path) -> Iterable[str]:
    for path in sorted((data / "text").glob("gutenberg_*.txt.gz")):
        if "milton" not in path.name and "shakespeare" not in path.name:
            with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
                yield file.read()
    for speeches in ("state_union.zip", "inaugural.zip"):
        with zipfile.ZipFile(data / "text" / speeches) as archive:
            for name in archive.namelist():
                if name.endswith(".txt"):
                    yield archive.read(name).decode("latin-1")
    with gzip.open(data / "text" / "ljspeech_metadata.csv.gz", "rt") as file:
        for line in file:
            yield line.rsplit("|", 1)[-1]


def _words(data: Path) -> Iterator[str]:
    """The 20,000 most frequent words of books read aloud that are longer than one letter."""
    with gzip.open(data / "text" / "librispeech_vocab_counts.txt.gz", "rt") as file:
        words = (line.split()[0] for line, _ in zip(file, range(20_000), strict=False))
        yield from (word for word in words if len(word) > 1 and normalize_text(word))
