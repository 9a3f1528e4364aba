"""One peer in a process of its own: orders go in, answers come out, and silence has a limit."""

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .result import BenchmarkError

WORKER = Path(__file__).with_name("peer_worker.py")
LIMIT_S = 180.0
_LAST_WORDS = 300  # characters of what a process wrote before it died


class PeerError(BenchmarkError):
    """A peer could not be started, failed, died, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one order gave."""

    text: str
    cpu_s: float
    """CPU time of the order, all threads of the process."""
    wall_s: float
    since_start_cpu_s: float
    """CPU time of the process since it began."""
    peak_rss_mb: float
    """Largest resident set of the process so far; NaN where the system does not tell."""
    ways: tuple[str, ...]
    """What the peer can do."""
    since_start_wall_s: float
    """Time since the process was started, as seen from outside."""


class PeerProcess:
    """A worker that runs until it is closed.

    Args:
        python: The interpreter of the peer's environment.
        script: What the peer does: a file as `peer_worker` describes it.
        job: For the script's `load`; written into `folder`.
        folder: For what is exchanged in files.
        limit_s: Longest time to wait for an answer.
        worker: The program that runs the script.

    Raises:
        PeerError: There is no such interpreter.
    """

    def __init__(
        self,
        python: Path,
        script: Path,
        job: Mapping[str, Any],
        folder: Path,
        *,
        limit_s: float = LIMIT_S,
        worker: Path = WORKER,
    ) -> None:
        self._limit_s, self._errors = limit_s, folder / "stderr.txt"
        asked = folder / "job.json"
        asked.write_text(json.dumps(dict(job)), encoding="utf-8")
        self._began = time.perf_counter()
        self._process = _started([python, "-I", worker, script, asked], self._errors, job)
        self._lines: queue.Queue[tuple[str, float]] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, way: str, audio: Path) -> Answer:
        """Let it do something.

        Args:
            way: One of the peer's; all have `whole`.
            audio: File of float32 samples at 16 kHz.

        Raises:
            PeerError: It cannot, it has ended, or it takes longer than the limit.
        """
        found, at = self._exchange({"do": way, "audio": str(audio)})
        return Answer(
            text=" ".join(found["text"].split()),
            cpu_s=found["cpu_s"],
            wall_s=found["wall_s"],
            since_start_cpu_s=found["since_start_cpu_s"],
            peak_rss_mb=float("nan") if found["peak_rss_mb"] is None else found["peak_rss_mb"],
            ways=tuple(found["ways"]),
            since_start_wall_s=at - self._began,
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of what the peer runs on.

        Raises:
            PeerError: As `ask`.
        """
        return self._exchange({"do": "versions"})[0]

    def close(self) -> None:
        """End it, whatever it is doing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()
        with suppress(OSError):  # what was not read by it is lost
            self._process.stdin.close()

    def _exchange(self, order: Mapping[str, str]) -> tuple[dict[str, Any], float]:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended: what it left says why
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        try:
            line, at = self._lines.get(timeout=self._limit_s)
        except queue.Empty:
            self.close()
            raise PeerError(f"gave no answer within {self._limit_s:g} s, and was ended") from None
        if not line:
            raise PeerError(f"ended with status {self._process.wait()}: {self._last_words()}")
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise PeerError(f"answered {line[:80]!r}, expected a line of JSON") from error
        if "error" in found:
            raise PeerError(str(found["error"]))
        return found, at

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put((line, time.perf_counter()))
        self._lines.put(("", time.perf_counter()))

    def _last_words(self) -> str:
        said = self._errors.read_text(encoding="utf-8", errors="replace")
        return " ".join(said.split())[-_LAST_WORDS:] or "without a word"


def _started(
    command: Sequence[str | Path], errors_to: Path, job: Mapping[str, Any]
) -> subprocess.Popen[str]:
    with errors_to.open("wb") as errors:
        try:
            return subprocess.Popen(  # noqa: S603  (our own worker)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_variables(job["threads"]),
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise PeerError(
                f"{command[0]} cannot be started: {error}; remove its environment, and it is made "
                "again"
            ) from error


def _variables(threads: int) -> dict[str, str]:
    """Return the environment: no more threads than asked for, and no hub."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
    }
