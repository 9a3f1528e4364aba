"""Who still runs in a comparison: seats, what was measured of each, and why somebody left."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wav2edge.lm.errors import Wav2EdgeError

from .peer_process import PeerProcess

Report = Callable[[str], None]


def key(*words: str) -> str:
    """Name a figure: what it is, of which model, of whom; empty words are left out.

    >>> key("cpu_10s", "base", "openvino")
    'cpu_10s base openvino'
    """
    return " ".join(filter(None, words))


@dataclass(slots=True)
class Measured:
    """What is found while the benchmark runs."""

    series: dict[str, list[float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why somebody could not be measured, by model and name."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each environment."""

    def compare(
        self, model: str, name: str, texts: Sequence[str], reference: Sequence[str]
    ) -> None:
        """Keep how far one's texts are from the reference's."""
        from rapidfuzz.distance import Levenshtein

        pairs = list(zip(texts, reference, strict=True))
        distance = sum(Levenshtein.distance(one, other) for one, other in pairs)
        n_characters = sum(map(len, reference))
        equal = sum(one == other for one, other in pairs) / len(pairs)
        self.series[key("character_error", model, name)] = [distance / max(1, n_characters)]
        self.series[key("n_characters", model, name)] = [float(n_characters)]
        self.series[key("equal_texts", model, name)] = [equal]


@dataclass(frozen=True, slots=True)
class Seat:
    """A contender that is ready to run."""

    peer: str
    """Whose environment it is."""
    python: Path
    script: Path
    job: dict[str, Any]
    size_mb: float = 0.0
    """Of the model's files."""

    def started(self, folder: Path) -> PeerProcess:
        """Start its process; `folder` is for their exchange.

        Raises:
            PeerError: It cannot be started.
        """
        return PeerProcess(self.python, self.script, self.job, Path(tempfile.mkdtemp(dir=folder)))


class Field:
    """Those who still run, for one model; who fails leaves it with the reason.

    Args:
        model: Its name; empty where there is but one.
        measured: Where values and reasons are kept.
        report: Told what is being done.
    """

    def __init__(self, model: str, measured: Measured, report: Report) -> None:
        self.model, self.measured, self._report = model, measured, report
        self.seats: dict[str, Seat] = {}

    @contextmanager
    def trying(self, name: str, what: str) -> Iterator[None]:
        """Let one of them do something; it leaves the field if it cannot."""
        self._report(f"{key(self.model, name)}: {what}")
        try:
            yield
        except Wav2EdgeError as error:
            self.seats.pop(name, None)
            self.measured.reasons[key(self.model, name)] = f"{what}: {error}"

    def note(self, what: str, name: str, value: float) -> None:
        """Keep one value; NaN is none (no memory is told where the system does not)."""
        if not math.isnan(value):
            self.measured.series.setdefault(key(what, self.model, name), []).append(value)


def turn(i: int, *, rounds: int, warm_up: int) -> str:
    """Name the i-th turn, from 0, of rounds after some that warm up.

    >>> turn(1, rounds=5, warm_up=2), turn(2, rounds=5, warm_up=2)
    ('warm-up 2 of 2', 'round 1 of 5')
    """
    if i < warm_up:
        return f"warm-up {i + 1} of {warm_up}"
    return f"round {i - warm_up + 1} of {rounds}"
