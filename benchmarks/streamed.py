"""How checkpoints hear in chunks, against themselves offline: error rates, and when tokens come.

Greedy, on the development sets, in torch: `wav2edge.training.unfolded` computes what a device
computes (a test holds them together), many chunks and utterances at once. The decoder and the
endpointing of a stream play no part.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from wav2edge.lm.greedy import GreedyDecoder
from wav2edge.lm.scoring import Score, score
from wav2edge.training.blocks import Chunking
from wav2edge.training.evaluate import Samples, Spoken, development_sets
from wav2edge.training.finetuning import from_checkpoint
from wav2edge.training.loading import collate
from wav2edge.training.spelling import read_spelling
from wav2edge.training.unfolded import geometry_of, normalization_of, streamed_logits
from wav2edge.training.voices import RATE_HZ

from .conditions import Conditions
from .result import BenchmarkError, Figure, Result, percentile

Array = npt.NDArray[np.float32]

CHUNKS_MS, LOOK_AHEADS_MS, LEFT_MS = (160, 320, 640), (0, 160, 320, 640), 4000
OFFLINE, ALL = "offline", "all sets"
_BATCH_S = 30.0
DEFINITIONS = {
    "wer": "word error rate, by model, chunk/look-ahead in ms, and set; lowest and highest: 95 % "
    "over utterances (bootstrap); n: words of the transcripts",
    "cer": "character error rate; n: characters of the transcripts",
    "delay_ms": "from the middle of the frame in which the first model says a token offline to the "
    "newest sample that must have been heard before the stream says it for good; median, and as "
    "highest the 90th percentile; computing aside; n: tokens that both say, those aside that the "
    "end of the recording made final",
    "drift_ms": "how much later the stream's frame of a token is than the first model's offline",
}


@dataclass(frozen=True)
class Said:
    """What was heard in one utterance."""

    text: str
    tokens: tuple[int, ...]
    """Letters, as ids."""
    middles_s: tuple[float, ...]
    """Of the frame in which each of them begins."""
    known_s: tuple[float, ...]
    """What had to be heard before it was final; infinite where the recording's end made it so."""

    @classmethod
    def read(cls, found: dict[str, Any]) -> "Said":
        """Return what was written as JSON."""
        return cls(found["text"], *(tuple(found[k]) for k in ("tokens", "middles_s", "known_s")))


class Ear:
    """A checkpoint that hears in chunks.

    Args:
        folder: Of the checkpoint, a `Wav2Vec2ForCTC`.
    """

    def __init__(self, folder: Path) -> None:
        spelling = read_spelling(str(folder))
        loaded = from_checkpoint(str(folder), spelling, needs_head=True)
        self._model = loaded.model.eval()
        self._alphabet = spelling.alphabet
        self._normalization = normalization_of(self._model, do_normalize=loaded.do_normalize)
        self.geometry = geometry_of(self._model)

    def chunking(self, setting: str) -> Chunking:
        """Return one of `settings` in frames, rounded up as a stream rounds it."""
        if setting == OFFLINE:
            return Chunking.whole()
        chunk, look_ahead = (self.geometry.frames_for(int(ms)) for ms in setting.split("/"))
        return Chunking(chunk, look_ahead, self.geometry.frames_for(LEFT_MS))

    def hear(self, clips: Sequence[Samples], chunking: Chunking) -> list[Said]:
        """Hear utterances, silence after each as a stream's end adds it."""
        import torch

        silence = np.zeros(self.geometry.receptive_field, np.float32)
        padded = [np.concatenate([clip, silence]) for clip in clips]
        order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
        said: dict[int, Said] = {}
        for group in _groups(order, [len(clip) for clip in padded]):
            batch = collate([padded[i] for i in group], [[] for _ in group])
            with torch.no_grad():
                logits, n_frames = streamed_logits(
                    self._model, batch.samples, batch.n_samples, chunking, self._normalization
                )
            log_probs = torch.log_softmax(logits, dim=-1).numpy()
            for i, rows, n in zip(group, log_probs, n_frames.tolist(), strict=True):
                said[i] = self._said(rows[:n], chunking)
        return [said[i] for i in range(len(clips))]

    def _said(self, log_probs: Array, chunking: Chunking) -> Said:
        decoder, alphabet = GreedyDecoder(self._alphabet), self._alphabet
        words, state = decoder.advance(decoder.start(), log_probs)
        text = alphabet.separator.join(word.text for word in (*words, *decoder.finish(state)))
        best = alphabet.masked(log_probs).argmax(axis=1)
        begins = np.flatnonzero(np.diff(best, prepend=-1))
        letters = [f for f in begins if best[f] not in (alphabet.blank_id, alphabet.delimiter_id)]
        return Said(
            text,
            tuple(int(best[f]) for f in letters),
            tuple(self.geometry.center_s(int(f)) for f in letters),
            tuple(self._known_s(int(f), len(best), chunking) for f in letters),
        )

    def _known_s(self, frame: int, n_frames: int, chunking: Chunking) -> float:
        """Return the audio that a frame's step had to wait for."""
        step = (frame + chunking.look_ahead_frames) // chunking.chunk_frames + 1
        newest = step * chunking.chunk_frames
        return self.geometry.n_samples(newest) / RATE_HZ if newest <= n_frames else math.inf


def measure(
    models: Mapping[str, Path],
    data: Path,
    *,
    options: Mapping[str, Any],
    seconds: float = 45.0,
    cache: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Score checkpoints on the development sets, offline and streamed.

    Args:
        models: Checkpoint folders by name; delays are against the first one's offline.
        data: Folder of the data manifest.
        options: How the models were trained, for the conditions.
        seconds: Of audio, from the beginning of each set.
        cache: Folder in which what was heard is kept, so that a run that was stopped goes on.
        report: Told what is being done.

    Raises:
        BenchmarkError: There is no manifest, or no development set.
    """
    import torch

    if not (data / "MANIFEST.tsv").is_file():
        raise BenchmarkError(f"{data} holds no MANIFEST.tsv: name the folder of the data manifest")
    sets = {name: _first(rows, seconds) for name, rows in development_sets(data).items() if rows}
    if not sets:
        raise BenchmarkError(f"{data}/MANIFEST.tsv has no transcribed row of the split dev")
    conditions = Conditions.of_model(
        _facts(next(iter(models.values()))),
        ("torch",),
        threads=torch.get_num_threads(),
        options={"models": list(models), **options, "left_ms": LEFT_MS, "decoder": "greedy"},
        audio={name: f"{_duration_s(rows):.1f} s" for name, rows in sets.items()},
        libraries=("torch", "transformers"),
    )
    figures: dict[str, Figure | None] = {}
    reference: dict[str, list[Said]] = {}
    for name, folder in models.items():
        ear = Ear(folder)
        kept = None if cache is None else cache / f"{_facts(folder)['sha256'][:16]}-{seconds:g}"
        for setting in settings():
            report(f"{name}, {setting}")
            said = _heard(ear, sets, setting, kept)
            reference = reference or said
            for key, figure in _figures(sets, said, reference).items():
                figures[f"{key[0]} {name} {setting} {key[1]}"] = figure
    return Result("adaptation", conditions.ended(), figures, DEFINITIONS)


def _heard(
    ear: Ear, sets: Mapping[str, Sequence[Spoken]], setting: str, kept: Path | None
) -> dict[str, list[Said]]:
    """Hear all sets, or read what was heard before."""
    file = None if kept is None else kept / f"{setting.replace('/', '-')}.json"
    if file is not None and file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        return {name: [Said.read(one) for one in rows] for name, rows in found.items()}
    chunking = ear.chunking(setting)
    said = {
        name: ear.hear([samples for samples, _ in rows], chunking) for name, rows in sets.items()
    }
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({name: [asdict(one) for one in rows] for name, rows in said.items()})
        draft = file.with_suffix(".tmp")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    return said


def table(result: Result) -> list[str]:
    """Write error rates and delays of all sets together as a table in Markdown."""
    names = result.conditions.options["models"]
    lines = [
        "| chunk/look-ahead, ms | "
        + " | ".join(f"{name}: WER, CER, delay" for name in names)
        + " |",
        "| --- |" + " ---: |" * len(names),
    ]
    for setting in settings():
        cells = []
        for name in names:
            rates = [result.figures[f"{kind} {name} {setting} {ALL}"] for kind in ("wer", "cer")]
            late = result.figures[f"delay_ms {name} {setting} {ALL}"]
            shown = ", ".join(f"{rate.median:.1%}" for rate in rates if rate is not None)
            cells.append(shown if late is None else f"{shown}, {late.median:.0f} ms")
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    return lines


def _facts(folder: Path) -> dict[str, Any]:
    """Return what the conditions tell of a checkpoint."""
    weights = (folder / "model.safetensors").read_bytes()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {
        "name": folder.name,
        "kind": config["model_type"],
        "layers": config["num_hidden_layers"],
        "hidden_size": config["hidden_size"],
        "precision": "float32",
        "file_mb": round(len(weights) / 1e6, 3),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }


def settings() -> list[str]:
    """Name what is measured: offline, and chunk/look-ahead in milliseconds."""
    return [OFFLINE, *(f"{a}/{b}" for a, b in product(CHUNKS_MS, LOOK_AHEADS_MS))]


def _figures(
    sets: Mapping[str, Sequence[Spoken]],
    said: Mapping[str, Sequence[Said]],
    reference: Mapping[str, Sequence[Said]],
) -> dict[tuple[str, str], Figure | None]:
    """Return figures by kind and set, and of all sets together."""
    found: dict[tuple[str, str], Figure | None] = {}
    every: list[tuple[str, str]] = []
    all_delays: list[float] = []
    all_drifts: list[float] = []
    for name, rows in sets.items():
        pairs = [(text, one.text) for (_, text), one in zip(rows, said[name], strict=True)]
        delays, drifts = _lateness_ms(said[name], reference[name])
        every, all_delays = every + pairs, all_delays + delays
        all_drifts += drifts
        found |= {(kind, name): figure for kind, figure in _rates(score(pairs)).items()}
        found["delay_ms", name] = _late(delays)
    found |= {(kind, ALL): figure for kind, figure in _rates(score(every)).items()}
    found["delay_ms", ALL], found["drift_ms", ALL] = _late(all_delays), _late(all_drifts)
    return found


def _rates(of: Score) -> dict[str, Figure]:
    return {
        "wer": Figure(of.words.rate, *of.wer_interval, of.words.n_reference),
        "cer": Figure(of.characters.rate, *of.cer_interval, of.characters.n_reference),
    }


def _lateness_ms(
    said: Sequence[Said], reference: Sequence[Said]
) -> tuple[list[float], list[float]]:
    """Return delay and drift of each token that both say, those that the end made final aside."""
    delays, drifts = [], []
    for ours, theirs in zip(said, reference, strict=True):
        for block in Levenshtein.opcodes(theirs.tokens, ours.tokens):
            if block.tag != "equal":
                continue
            places = range(block.src_end - block.src_start)
            for there, here in ((block.src_start + i, block.dest_start + i) for i in places):
                if math.isfinite(ours.known_s[here]):
                    delays.append(1000 * (ours.known_s[here] - theirs.middles_s[there]))
                    drifts.append(1000 * (ours.middles_s[here] - theirs.middles_s[there]))
    return delays, drifts


def _late(values_ms: Sequence[float]) -> Figure | None:
    if not values_ms:
        return None
    middle, most = percentile(values_ms, 50), percentile(values_ms, 90)
    return Figure(middle, min(values_ms), most, len(values_ms))


def _first(rows: Sequence[Spoken], seconds: float) -> list[Spoken]:
    """Return the first utterances, of so much audio."""
    kept: list[Spoken] = []
    for row in rows:
        if kept and _duration_s([*kept, row]) > seconds:
            break
        kept.append(row)
    return kept


def _duration_s(rows: Sequence[Spoken]) -> float:
    return sum(len(samples) for samples, _ in rows) / RATE_HZ


def _groups(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut utterances, shortest first, into batches."""
    groups: list[list[int]] = [[]]
    for i in order:
        if groups[-1] and (len(groups[-1]) + 1) * lengths[i] > _BATCH_S * RATE_HZ:
            groups.append([])
        groups[-1].append(i)
    return groups
