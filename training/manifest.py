"""Tables of recordings -> rows that can be trained on, and those that cannot, each with a reason.

A table is tab separated with a head line. Column `path` is seen from the table's own folder; what
is said stands in `text`, `norm` or `transcript`, the first that is there; `split`, if it is there,
parts the rows.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import soundfile

from .errors import TrainingDataError, TrainingDataNotFoundError
from .spelling import Spelling, UnspellableError
from .voices import RATE_HZ

_TEXTS = ("text", "norm", "transcript")


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    path: Path
    text: str
    """As it is written there; empty where nothing is."""
    notes: str = ""

    @property
    def set_name(self) -> str:
        """Its folder: recordings of one kind lie together."""
        return self.path.parent.name


@dataclass(frozen=True)
class Recorded:
    """A recording that can be trained on."""

    path: Path
    n_samples: int
    """At 16 kHz."""
    text: str
    """Normalised; empty where none is wanted."""


@dataclass(frozen=True)
class Unusable:
    """A recording that cannot be trained on."""

    path: Path
    reason: str
    """A few words that are the same for all rows of one kind."""
    detail: str = ""


@dataclass(frozen=True)
class Usable:
    """What tables hold."""

    recorded: tuple[Recorded, ...]
    unusable: tuple[Unusable, ...]

    @property
    def hours(self) -> float:
        """Of what can be used."""
        return sum(one.n_samples for one in self.recorded) / RATE_HZ / 3600

    def counts(self) -> Counter[str]:
        """Count what is unusable, by reason."""
        return Counter(one.reason for one in self.unusable)

    def write_unusable(self, file: Path) -> None:
        """List what is unusable in a table with the columns path, reason and detail."""
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, delimiter="\t", lineterminator="\n")
            writer.writerow(("path", "reason", "detail"))
            writer.writerows((one.path, one.reason, one.detail) for one in self.unusable)


def read_rows(tables: Iterable[Path], splits: Sequence[str] = ()) -> list[Row]:
    """Read tables.

    Args:
        tables: `.tsv` files.
        splits: Only rows of these; none: all.

    Raises:
        TrainingDataNotFoundError: A table is not there.
        TrainingDataError: A file is no such table, or there is no row.
    """
    named = list(tables)
    rows = [row for table in named for row in _read_table(table, splits)]
    if not rows:
        where = f" of the split {', '.join(splits)}" if splits else ""
        raise TrainingDataError(f"{', '.join(map(str, named))}: there is no row{where}")
    return rows


def _read_table(table: Path, splits: Sequence[str]) -> list[Row]:
    if not table.is_file():
        what = "is a folder: name the table in it" if table.is_dir() else "is not there"
        raise TrainingDataNotFoundError(f"{table} {what}; expected a .tsv file with a column path")
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_MINIMAL)
            columns = reader.fieldnames or []
            found = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingDataError(f"{table} cannot be read as a table: {error}") from error
    if "path" not in columns or (splits and "split" not in columns):
        wanted = "path" if "path" not in columns else "split"
        raise TrainingDataError(
            f"{table} has no column {wanted}: expected tab separated values with a head line, such "
            "as path, text and split"
        )
    column = next((name for name in _TEXTS if name in columns), None)
    return [
        Row(table.parent / row["path"], (row[column] or "") if column else "", row.get("notes", ""))
        for row in found
        if row["path"] and (not splits or row["split"] in splits)
    ]


def usable(
    rows: Sequence[Row],
    spelling: Spelling | None,
    *,
    n_frames: Callable[[int], int],
    longest_s: float,
    shortest_s: float = 0.1,
) -> Usable:
    """Sort rows into those that can be trained on and those that cannot.

    Only headers are read; a recording that breaks off later is left out when it is met.

    Args:
        rows: Of tables.
        spelling: Of the model; None where no transcript is needed.
        n_frames: Frames that the model makes of so many samples.
        longest_s: Longer recordings are left out.
        shortest_s: Shorter recordings are left out.

    Raises:
        TrainingDataError: Not one row can be used; the message counts the reasons.
    """
    good: list[Recorded] = []
    bad: list[Unusable] = []
    for row in rows:
        one = _sorted(row, spelling, n_frames, shortest_s, longest_s)
        (good if isinstance(one, Recorded) else bad).append(one)  # type: ignore[arg-type]
    found = Usable(tuple(good), tuple(bad))
    if not good:
        reasons = ", ".join(f"{n} {reason}" for reason, n in found.counts().most_common())
        raise TrainingDataError(f"none of {len(rows)} recordings can be used: {reasons}")
    return found


class _UnfitError(Exception):
    """A row cannot be used: reason, detail."""


def _sorted(
    row: Row,
    spelling: Spelling | None,
    n_frames: Callable[[int], int],
    shortest_s: float,
    longest_s: float,
) -> Recorded | Unusable:
    try:
        text = "" if spelling is None else _text_of(row, spelling)
        duration_s = _duration_s(row.path, shortest_s, longest_s)
        n_samples = int(duration_s * RATE_HZ)
    except _UnfitError as error:
        return Unusable(row.path, *error.args)
    if n_frames(n_samples) < _frames_of(text):
        detail = f"{n_frames(n_samples)} frames for {len(text)} characters"
        return Unusable(row.path, "too short for its transcript", detail)
    return Recorded(row.path, n_samples, text)


def _text_of(row: Row, spelling: Spelling) -> str:
    try:
        text = spelling.normalize(row.text)
    except UnspellableError as error:
        raise _UnfitError("cannot be spelled", str(error)) from error
    if not text:
        raise _UnfitError("no transcript", row.text)
    return text


def _duration_s(path: Path, shortest_s: float, longest_s: float) -> float:
    if not path.is_file():
        raise _UnfitError("file missing")
    try:
        header = soundfile.info(path)
    except (OSError, RuntimeError) as error:
        raise _UnfitError("unreadable", str(error).splitlines()[0]) from error
    duration_s: float = header.frames / header.samplerate
    if duration_s < shortest_s:
        raise _UnfitError("too short", f"{duration_s:.2f} s")
    if duration_s > longest_s:
        raise _UnfitError("too long", f"{duration_s:.1f} s")
    return duration_s


def _frames_of(text: str) -> int:
    """CTC needs a frame for every token, and a blank between two that are the same."""
    return len(text) + sum(a == b for a, b in pairwise(text))
