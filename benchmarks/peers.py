"""`wav2edge bench peers`: what others make of the same weights, each in its own environment.

Every contender is a process (`peer_process`) that runs one script (`peer_*.py`) under the
interpreter of an environment that this benchmark makes. All get the same samples as an array, so
that reading and resampling are nobody's. Starts are fresh processes, costs come from processes
that stay; in each round everybody has a turn. Who cannot be installed, loaded or run is told with
the reason and left out of what follows.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.recognizer import load

from .base_model import BaseModel, fingerprint
from .clips import Clip, find_clips, looped
from .conditions import Conditions, options_of
from .operators import operator_times
from .peer_contenders import CONTENDERS, REFERENCE
from .peer_field import Field, Measured, Report, Seat, key, turn
from .peer_figures import DEFINITIONS, WARM_UP_ROUNDS, figures, merged, refuse_others
from .peer_models import PeerModels
from .peer_process import PeerProcess
from .result import BenchmarkError, Result
from .sessions import Sessions
from .sliding_window import OPTIONS

Array = NDArray[np.float32]

BASE = "base"
"""The model whose weights are random: no text of it is compared."""
PARTS = ("start", "cost", "live", "parity", "operators")
FIRST_S, LONGEST_S = 3.0, 30.0
_RATE_HZ = 16_000
_PROFILED_S = 10.0  # as in `operators`
_UNSEEN_S, _UNSEEN_STEP_S = 4.0, 0.06
_SYNTHETIC = "synthetic clips of the package"
_WINDOW_S = (OPTIONS.left_ms + OPTIONS.chunk_ms + OPTIONS.lookahead_ms) / 1000


@dataclass(frozen=True, slots=True)
class PeersOptions:
    """What is measured, and how often."""

    names: tuple[str, ...] = tuple(CONTENDERS)
    parts: tuple[str, ...] = PARTS
    starts: int = 5
    """Fresh processes of each, after one that is not counted."""
    rounds: int = 5
    """Of each length and of live audio, after `WARM_UP_ROUNDS` that are not counted."""
    lengths_s: tuple[float, ...] = (10.0, LONGEST_S)
    threads: int = 1
    only: str | None = None
    """One model's name, to leave out the others."""

    def __post_init__(self) -> None:
        for name, known in (("names", tuple(CONTENDERS)), ("parts", PARTS)):
            odd = [one for one in getattr(self, name) if one not in known]
            if odd:
                raise BenchmarkError(f"{name} has {', '.join(odd)}, expected {', '.join(known)}")


def measure(
    models: Mapping[str, BaseModel],
    cache: Path,
    options: PeersOptions,
    *,
    clips: Sequence[Clip] = (),
    heard: str = "",
    before: Result | None = None,
    report: Report = lambda _: None,
) -> Result:
    """Compare all.

    Args:
        models: The forms of each checkpoint by its name. The conditions tell of the first. Texts
            are compared for all but `BASE`.
        cache: Folder of the environments and of what is made for the peers.
        options: What is measured.
        clips: Speech to compare texts on; empty: the synthetic clips that come with the package.
        heard: What the conditions say of `clips`; empty: how many they are.
        before: An earlier result of the same machine, versions and models, which this one adds its
            rounds to.
        report: Told what is being done.

    Raises:
        BenchmarkError: `before` is of other conditions, or `options.only` is no model.
    """
    measured = Measured()
    if options.only is not None and options.only not in models:
        raise BenchmarkError(f"only is {options.only!r}, expected one of {', '.join(models)}")
    audio = {"cost": f"{_SYNTHETIC}, in a row"}
    if "parity" in options.parts and {options.only or one for one in models} != {BASE}:
        audio["texts"] = heard or (f"{len(clips)} clips" if clips else _SYNTHETIC)
    of_benchmark = {"warm_up_rounds": WARM_UP_ROUNDS, "stream": options_of(OPTIONS)}
    conditions = Conditions.now(
        load(next(iter(models.values())).bundle, threads=options.threads),
        threads=options.threads,
        options={**options_of(options), **of_benchmark},
        audio=audio,
    )
    if before is not None:
        refuse_others(before, conditions)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model, files in models.items():
            if options.only not in (None, model):
                continue
            field = Field(model, measured, report)
            made = cache / f"models-{model}-{fingerprint(files.checkpoint)}"
            _sit_down(field, PeerModels(files, made, report), cache, options)
            if "start" in options.parts:
                _starts(field, folder, options)
            if set(options.parts) - {"start"}:
                parity = "parity" in options.parts and model != BASE
                _alive(field, folder, options, list(clips or find_clips([])) if parity else [])
    series, told = merged(measured, before, models=list(models))
    conditions.options.update(told)
    if before is not None and "texts" in before.conditions.audio:
        conditions.audio.setdefault("texts", before.conditions.audio["texts"])
    found = figures(series, models=told["models"])
    return Result("peers", conditions.ended(), found, DEFINITIONS, series)


def _sit_down(field: Field, models: PeerModels, cache: Path, options: PeersOptions) -> None:
    """Make environments and models."""
    for name in options.names:
        contender = CONTENDERS[name]
        with field.trying(name, "installing"):
            python = contender.python(cache)
        if key(field.model, name) in field.measured.reasons:
            continue
        with field.trying(name, "making its model"):
            form = contender.form(models, python)
            job = contender.job(form, models.reading(), options.threads)
            field.seats[name] = Seat(contender.peer, python, contender.script, job, form.size_mb)
            field.note("file_mb", name, form.size_mb)


def _starts(field: Field, folder: Path, options: PeersOptions) -> None:
    """Fresh processes: time, CPU and memory.

    Each comes right after one that is not counted, so that everybody's files are in memory. Without
    it the first of an environment's models pays for all: some kernels soon drop what lies idle.
    """
    audio, longest = speech(folder, FIRST_S), speech(folder, LONGEST_S)
    for i in range(1, options.starts + 1):
        for name, seat in list(field.seats.items()):
            with field.trying(name, f"start {i} of {options.starts}"):
                with seat.started(folder) as peer:
                    peer.ask("whole", audio)
                    field.measured.versions[seat.peer] = peer.versions()
                with seat.started(folder) as peer:
                    _start(field, name, peer, audio, longest)


def _start(field: Field, name: str, peer: PeerProcess, first: Path, longest: Path) -> None:
    seat, answer = field.seats[name], peer.ask("whole", first)
    field.note("start_wall_s", name, answer.since_start_wall_s)
    field.note("start_cpu_s", name, answer.since_start_cpu_s)
    field.note("rss_beyond_3s_mb", name, answer.peak_rss_mb - seat.size_mb)
    peak_rss_mb = peer.ask("whole", longest).peak_rss_mb
    field.note("rss_beyond_30s_mb", name, peak_rss_mb - seat.size_mb)


def _alive(field: Field, folder: Path, options: PeersOptions, clips: Sequence[Clip]) -> None:
    """Measure with processes that stay."""
    with ExitStack() as stack:
        peers: dict[str, PeerProcess] = {}
        for name, seat in list(field.seats.items()):
            with field.trying(name, "loading"):
                peers[name] = stack.enter_context(seat.started(folder))
                peers[name].ask("whole", speech(folder, FIRST_S))
        if "cost" in options.parts:
            for length_s in options.lengths_s:
                _costs(field, peers, folder, options, length_s)
        if "live" in options.parts:
            _live_costs(field, peers, folder, options)
        if clips:
            _texts(field, peers, folder, clips)
        if "operators" in options.parts:
            _operators(field, peers, folder)


def _costs(
    field: Field,
    peers: Mapping[str, PeerProcess],
    folder: Path,
    options: PeersOptions,
    length_s: float,
) -> None:
    audio = speech(folder, length_s)
    for i in range(WARM_UP_ROUNDS + options.rounds):
        which = turn(i, rounds=options.rounds, warm_up=WARM_UP_ROUNDS)
        for name in list(field.seats):
            with field.trying(name, f"{length_s:g} s, {which}"):
                answer = peers[name].ask("whole", audio)
                if i >= WARM_UP_ROUNDS:
                    field.note(f"cpu_{length_s:g}s", name, 1000 * answer.cpu_s / length_s)
                    field.note(f"wall_{length_s:g}s", name, 1000 * answer.wall_s / length_s)


def _live_costs(
    field: Field, peers: Mapping[str, PeerProcess], folder: Path, options: PeersOptions
) -> None:
    """Lengths that were never seen before, and live audio: a stream, or a window that slides."""
    for i in range(WARM_UP_ROUNDS + options.rounds):
        which = turn(i, rounds=options.rounds, warm_up=WARM_UP_ROUNDS)
        unseen = speech(folder, _UNSEEN_S + _UNSEEN_STEP_S * i)
        for name in list(field.seats):
            with field.trying(name, f"live, {which}"):
                twice = [peers[name].ask("whole", unseen).cpu_s for _ in range(2)]
                spent = _live(peers[name], folder)
                if i >= WARM_UP_ROUNDS:
                    field.note("unseen_over_seen", name, twice[0] / twice[1])
                    for what, ms_per_s in spent.items():
                        field.note(what, name, ms_per_s)


def _live(peer: PeerProcess, folder: Path) -> dict[str, float]:
    """Return CPU and time in ms per second of live audio, named for a stream or a window."""
    way, answer = "window", peer.ask("whole", speech(folder, _WINDOW_S))
    length_s = OPTIONS.chunk_ms / 1000  # a window is heard anew for every chunk
    if "stream" in answer.ways:
        # No shorter: while the left context fills up, a stream costs less than later.
        way, answer, length_s = "stream", peer.ask("stream", speech(folder, LONGEST_S)), LONGEST_S
    return {
        f"cpu_{way}": 1000 * answer.cpu_s / length_s,
        f"wall_{way}": 1000 * answer.wall_s / length_s,
    }


def _operators(field: Field, peers: Mapping[str, PeerProcess], folder: Path) -> None:
    """Ask who can tell where the time goes, and ask our own graph."""
    for name, seat in list(field.seats.items()):
        with field.trying(name, "operators"):
            spent: dict[str, float] = {}
            if seat.peer == "wav2edge":
                found = operator_times(
                    Bundle.read(seat.job["model"]), Sessions(seat.job["threads"])
                )
                spent = {one: ms for one, ms in found.items() if one.startswith("offline")}
            elif "operators" in peers[name].ask("whole", speech(folder, FIRST_S)).ways:
                told = json.loads(peers[name].ask("operators", speech(folder, _PROFILED_S)).text)
                spent = {kind: ms / _PROFILED_S for kind, ms in told.items() if ms}
            for kind, ms in spent.items():
                field.measured.series[key(f"operator_{kind}", field.model, name)] = [ms]


def _texts(
    field: Field, peers: Mapping[str, PeerProcess], folder: Path, clips: Sequence[Clip]
) -> None:
    """Hear all clips with all; the reference is what transformers says in float32."""
    texts: dict[str, list[str]] = {}
    for i, clip in enumerate(clips):
        audio = _written(folder / f"clip-{i}.f32", clip.samples(_RATE_HZ))
        for name in list(field.seats):
            with field.trying(name, f"text {i + 1} of {len(clips)}"):
                texts.setdefault(name, []).append(peers[name].ask("whole", audio).text.upper())
    if REFERENCE in field.seats:
        for name in field.seats:
            field.measured.compare(field.model, name, texts[name], texts[REFERENCE])


def speech(folder: Path, length_s: float) -> Path:
    """Return a file of so much speech, float32 at 16 kHz: the package's clips in a row."""
    path = folder / f"speech-{round(1000 * length_s)}ms.f32"
    if path.is_file():
        return path
    blocks = looped(find_clips([]), rate_hz=_RATE_HZ, gap_s=0.2, block_s=length_s)
    return _written(path, next(blocks))


def _written(path: Path, samples: Array) -> Path:
    samples.astype(np.float32).tofile(path)
    return path
