"""What a figure was measured under: which machine, which model, which options, how busy it was."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wav2edge import __version__
from wav2edge.runtime.bundle import WEIGHTS

if TYPE_CHECKING:
    from wav2edge.runtime.recognizer import Recognizer

_ROOT = Path(__file__).resolve().parents[1]
_CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/sys/firmware/devicetree/base/model")  # what an ARM board calls itself
# Instructions that decide how fast matrices are multiplied, on x86 and on ARM.
_FLAGS = (
    "sse4_2 avx avx2 fma f16c avx512f avx512bw avx512vl avx512_vnni avx_vnni avx512_bf16 amx_tile "
    "amx_int8 amx_bf16 asimd asimdhp asimddp i8mm bf16 sve sve2"
).split()
_LIBRARIES = ("numpy", "onnxruntime", "soundfile", "soxr")


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything that a figure depends on beside the code itself; plain values, no local path."""

    date: str
    """When the run began: UTC, ISO 8601."""
    revision: str | None
    """The commit of the checkout; None for an installed package."""
    modified: bool | None
    """Whether the checkout differed from that commit."""
    cpu: str
    cpu_flags: tuple[str, ...]
    """Those of its instructions that matrix products gain from."""
    cores: int
    """That the process may use."""
    memory_mb: int | None
    system: str
    load_before: tuple[float, ...] | None
    """Load average over 1, 5 and 15 minutes when the run began; None where there is none."""
    load_after: tuple[float, ...] | None
    versions: dict[str, str]
    model: dict[str, Any]
    """Name, kind, sizes, precision, and the SHA-256 of its file."""
    providers: tuple[str, ...]
    """What really ran the model, most preferred first."""
    threads: int
    """CPU threads that one run of the model may use."""
    options: dict[str, Any]
    """Of the benchmark and the stream, as they really were."""
    audio: dict[str, Any]
    """What was heard: names, seconds, pauses."""

    @classmethod
    def now(
        cls,
        recognizer: "Recognizer",
        *,
        threads: int,
        options: Mapping[str, Any],
        audio: Mapping[str, Any],
        libraries: Sequence[str] = (),
    ) -> "Conditions":
        """Look around before a run.

        Args:
            recognizer: What will run.
            threads: As it was loaded with.
            options: Of the benchmark and the stream.
            audio: What will be heard.
            libraries: Distributions beside the runtime's own whose versions matter.
        """
        return cls.of_model(
            _model(recognizer),
            recognizer.providers,
            threads=threads,
            options=options,
            audio=audio,
            libraries=libraries,
        )

    @classmethod
    def of_model(
        cls,
        model: Mapping[str, Any],
        providers: Sequence[str],
        *,
        threads: int,
        options: Mapping[str, Any],
        audio: Mapping[str, Any],
        libraries: Sequence[str] = (),
    ) -> "Conditions":
        """Look around before a run of what is no bundle; `now` tells of the arguments.

        `model` holds its facts, `name` and `precision` among them, and no local path.
        """
        return cls(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            revision=_git("rev-parse", "HEAD"),
            modified=_modified(),
            cpu=_cpu(),
            cpu_flags=_cpu_flags(),
            cores=_cores(),
            memory_mb=_memory_mb(),
            system=platform.platform(),
            load_before=_load(),
            load_after=None,
            versions=_versions([*_LIBRARIES, *libraries]),
            model=dict(model),
            providers=tuple(providers),
            threads=threads,
            options=dict(options),
            audio=dict(audio),
        )

    def ended(self) -> "Conditions":
        """Return the same with the load after the run."""
        return replace(self, load_after=_load())

    def lines(self) -> list[str]:
        """Write the conditions out for a person, a few lines."""
        loads = [_shown_load(one) for one in (self.load_before, self.load_after)]
        model, precision = self.model, self.model["precision"]
        revision = (self.revision or "none")[:12] + (", modified" if self.modified else "")
        return [
            f"model     {model['name']}, {model['layers']} layers of {model['hidden_size']}",
            f"file      {precision}, {model['file_mb']:.1f} MB, SHA-256 {model['sha256'][:12]}",
            f"machine   {self.cpu}, {self.cores} cores ({' '.join(self.cpu_flags)}), {self.system}",
            f"run       {self.threads} threads, provider {', '.join(self.providers)}",
            f"load      {loads[0]} before, {loads[1]} after",
            f"when      {self.date}, revision {revision}",
            "versions  " + ", ".join(f"{name} {number}" for name, number in self.versions.items()),
            f"options   {_flat(self.options)}",
            f"audio     {_flat(self.audio)}",
        ]


def options_of(options: object) -> dict[str, Any]:
    """Return an options dataclass as plain values."""
    names: Sequence[str] = options.__slots__  # type: ignore[attr-defined]
    return {name: getattr(options, name) for name in names}


def _model(recognizer: "Recognizer") -> dict[str, Any]:
    facts = recognizer.bundle.manifest
    file = facts.files[recognizer.bundle.model_path.name]
    weights = facts.files.get(WEIGHTS)
    return {
        "name": facts.name,
        "kind": facts.model_type,
        "layers": facts.layers,
        "hidden_size": facts.hidden_size,
        "hop_ms": 1000 * facts.hop_samples / facts.sample_rate_hz,
        "precision": facts.precision["name"],
        "forced": facts.forced,
        "file_mb": round((file.bytes + (weights.bytes if weights else 0)) / 1e6, 3),
        "sha256": weights.sha256 if weights else file.sha256,
    }


def _versions(libraries: Sequence[str]) -> dict[str, str]:
    found = {"wav2edge": __version__, "python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # onnxruntime-gpu brings the same module
            found[name] = "unknown"
    return found


def _git(*arguments: str) -> str | None:
    """Ask git about this checkout; None if it is none, or there is no git."""
    if not (_ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603  (fixed words)
            ["git", *arguments],  # noqa: S607  (wherever the system keeps it)
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _modified() -> bool | None:
    """Tell whether a tracked file differs from the commit, other results aside."""
    changes = _git(
        "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"
    )
    return None if changes is None else bool(changes)


def _cpuinfo(key: str) -> str:
    """Return the first value of a key in /proc/cpuinfo; empty where there is none."""
    if not _CPUINFO.is_file():
        return ""
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _cpu() -> str:
    board = _BOARD.read_text(errors="replace").strip("\0\n ") if _BOARD.is_file() else ""
    named = _cpuinfo("model name") or board or platform.processor() or "unknown"
    return f"{named} ({platform.machine()})"


def _cpu_flags() -> tuple[str, ...]:
    there = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    return tuple(flag for flag in _FLAGS if flag in there)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _load() -> tuple[float, ...] | None:
    try:
        return tuple(round(one, 2) for one in os.getloadavg())
    except (AttributeError, OSError):
        return None


def _shown_load(load: tuple[float, ...] | None) -> str:
    return "unknown" if load is None else f"{load[0]:.2f}"


def _flat(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {f'({_flat(value)})' if isinstance(value, dict) else value}"
        for key, value in values.items()
    )
