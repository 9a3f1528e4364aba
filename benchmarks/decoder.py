"""`wav2edge bench decoder`: what our beam search costs, side by side with other decoders.

The others run in environments of their own, made on first use: pyctcdecode needs numpy 1, and
flashlight-text has no wheels for Python 3.13 and later. All get the same log-probs, language model,
weights and beam width, one after the other in turn, so that all meet the same machine. The first
round warms up. Who cannot be installed or run is told with the reason and left out of what follows.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.beam import BeamDecoder
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.ngram import LanguageModel, load_language_model, read_bytes
from wav2edge.lm.pyctcdecode_folder import labels_of
from wav2edge.lm.scoring import word_error_rate
from wav2edge.runtime.recognizer import Recognizer

from .clips import find_clips, looped
from .conditions import Conditions, options_of
from .environments import environment
from .peer_field import Field, Measured, Seat, turn
from .result import Figure, Result, spread
from .sessions import ONE_THREAD, Sessions

if TYPE_CHECKING:
    from .peer_process import PeerProcess

Frames = NDArray[np.float32]

HOP_S = 0.02
CHUNK_FRAMES = 16
GAP_S = 1.0
NOISES = {"clean": 0.5, "noisy": 2.5, "noisier": 3.5}
"""Standard deviations of the noise around logits of 8."""
PEERS = {
    "pyctcdecode": ("numpy==1.26.*", "pyctcdecode==0.5.0", "kenlm"),
    "flashlight": ("numpy", "flashlight-text==0.0.7"),
}
"""What each of the others is installed from."""
SCRIPT = Path(__file__).with_name("decoder_peers.py")
WARM_UP_ROUNDS = 1

DEFINITIONS = {
    "stream_cpu_ms_per_s": "CPU time per second of log-probs (50 frames), our beam search in "
    "chunks of 16 frames with forced commits, by kind of log-probs; n: rounds, after one "
    "that is not counted",
    "whole_cpu_ms_per_s": "our beam search, all frames in one call, no forced commits",
    "pyctcdecode_cpu_ms_per_s": "pyctcdecode 0.5.0, decode_beams(prune_history=True), kenlm",
    "flashlight_cpu_ms_per_s": "flashlight-text 0.0.7, lexicon decoder in C++: only words of its "
    "list can be found",
    "stream_wall_ms_per_s": "as stream_cpu_ms_per_s, but time",
    "whole_wall_ms_per_s": "as whole_cpu_ms_per_s, but time",
    "pyctcdecode_wall_ms_per_s": "as pyctcdecode_cpu_ms_per_s, but time",
    "flashlight_wall_ms_per_s": "as flashlight_cpu_ms_per_s, but time",
    "pyctcdecode_over_stream": "ratio of the CPU times, round by round",
    "pyctcdecode_over_whole": "ratio of the CPU times, round by round",
    "flashlight_over_stream": "ratio of the CPU times, round by round",
    "equal": "1 where ours (all frames in one call) and pyctcdecode found the same text",
    "wer": "word error rate of each against what was spelled; n: words",
    "tokens_per_frame": "tokens above the threshold",
    "n": "clean, noisy, noisier: words of the language model spelled as logits of 8 over noise of "
    "0.5, 2.5 and 3.5; model: the embedded model on the synthetic clips, hop 30 ms",
}
"""What each figure means."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """One kind of log-probs."""

    log_probs: Frames
    text: str | None
    """What was said, if it is known."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What one run of one decoder gave."""

    cpu_s: float
    wall_s: float
    text: str


_Round = dict[str, _Decoded]
"""One round over one kind of log-probs, by decoder."""


def measure(
    recognizer: Recognizer,
    model: Path,
    *,
    cache: Path,
    rounds: int = 5,
    seconds: float = 20.0,
    sessions: Sessions = ONE_THREAD,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Measure all decoders.

    Args:
        recognizer: Its alphabet is the decoders', its log-probs are one of the kinds.
        model: A language model, ARPA.
        cache: Folder of the environments.
        rounds: Of each in turn, after one that is not counted.
        seconds: Of each spelled kind.
        sessions: Opens the model whose log-probs are decoded; every decoder has one thread.
        report: Told what is being done.
    """
    alphabet = recognizer.bundle.alphabet
    options = BeamOptions()
    words = load_language_model(model, alphabet)
    heard = {
        name: _spelled(words, alphabet, noise, int(seconds / HOP_S))
        for name, noise in NOISES.items()
    }
    heard["model"] = _Heard(_from_clips(recognizer, sessions, seconds), None)
    conditions = Conditions.now(
        recognizer,
        threads=sessions.threads,
        options={
            **options_of(options),
            "chunk_frames": CHUNK_FRAMES,
            "rounds": rounds,
            "warm_up_rounds": WARM_UP_ROUNDS,
            "order": words.order,
            "words": len(words.words),
        },
        audio={f"{name} frames": len(one.log_probs) for name, one in heard.items()},
        libraries=("kenlm",),
    )
    field = Field("", Measured(), report)
    ours: dict[str, Callable[[Frames], _Decoded]] = {
        "stream": lambda frames: _ours(words, alphabet, options, frames, CHUNK_FRAMES),
        "whole": lambda frames: _ours(words, alphabet, options, frames, None),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _sit_down(field, cache, _job(folder, model, words, alphabet, options))
        found = _compare(field, ours, heard, folder, rounds)
    conditions.options.update(peers=field.measured.versions, failed=field.measured.reasons)
    figures: dict[str, Figure | None] = {}
    for kind, one in heard.items():
        figures |= _figures(kind, one, found[kind], options)
    return Result("decoder", conditions.ended(), figures, DEFINITIONS)


def _sit_down(field: Field, cache: Path, job: Mapping[str, Any]) -> None:
    """Make the others' environments."""
    for name, packages in PEERS.items():
        with field.trying(name, "installing"):
            python = environment(cache / f"venv-{name}", packages)
            field.seats[name] = Seat(name, python, SCRIPT, {**job, "decoder": name})


def _compare(
    field: Field,
    ours: Mapping[str, Callable[[Frames], _Decoded]],
    heard: Mapping[str, _Heard],
    folder: Path,
    rounds: int,
) -> dict[str, list[_Round]]:
    """Let everybody decode each kind of log-probs in turn; return the rounds that count."""
    kept: dict[str, list[_Round]] = {kind: [] for kind in heard}
    files = {kind: _written(folder / f"{kind}.f32", one.log_probs) for kind, one in heard.items()}
    with ExitStack() as stack:
        peers: dict[str, PeerProcess] = {}
        for name, seat in list(field.seats.items()):
            with field.trying(name, "loading"):
                peers[name] = stack.enter_context(seat.started(folder))
                field.measured.versions[name] = peers[name].versions()
        for i in range(WARM_UP_ROUNDS + rounds):
            which = turn(i, rounds=rounds, warm_up=WARM_UP_ROUNDS)
            for kind, one in heard.items():
                found = {who: decode(one.log_probs) for who, decode in ours.items()}
                for name in list(field.seats):
                    with field.trying(name, f"{kind}, {which}"):
                        answer = peers[name].ask("whole", files[kind])
                        found[name] = _Decoded(answer.cpu_s, answer.wall_s, answer.text)
                if i >= WARM_UP_ROUNDS:
                    kept[kind].append(found)
    return kept


def _written(path: Path, log_probs: Frames) -> Path:
    """Write log-probs row by row; none is infinite, which others cannot read."""
    np.maximum(log_probs, -1e4).astype(np.float32).tofile(path)
    return path


def _figures(
    kind: str, one: _Heard, found: Sequence[_Round], options: BeamOptions
) -> dict[str, Figure | None]:
    """Return all of one kind of log-probs; who left has the rounds until then."""
    scale = 1000 / (len(one.log_probs) * HOP_S)
    figures: dict[str, Figure | None] = {}
    for who in ("stream", "whole", *PEERS):
        runs = [each[who] for each in found if who in each]
        figures[f"{who}_cpu_ms_per_s {kind}"] = spread(scale * run.cpu_s for run in runs)
        figures[f"{who}_wall_ms_per_s {kind}"] = spread(scale * run.wall_s for run in runs)
    for peer, ours in (
        ("pyctcdecode", "stream"),
        ("pyctcdecode", "whole"),
        ("flashlight", "stream"),
    ):
        ratios = [each[peer].cpu_s / each[ours].cpu_s for each in found if peer in each]
        figures[f"{peer}_over_{ours} {kind}"] = spread(ratios)
    texts = {who: run.text for each in found for who, run in each.items()}
    if "pyctcdecode" in texts:
        figures[f"equal {kind}"] = spread([texts["whole"] == texts["pyctcdecode"]])
    likely = one.log_probs >= options.token_min_log_prob
    figures[f"tokens_per_frame {kind}"] = spread([float(likely.sum(axis=1).mean())])
    for who, text in texts.items():
        if one.text is not None:
            rate = word_error_rate([(one.text, text)])
            figures[f"wer {who} {kind}"] = Figure(rate.rate, rate.rate, rate.rate, rate.n_reference)
    return figures


def _ours(
    model: LanguageModel,
    alphabet: Alphabet,
    options: BeamOptions,
    log_probs: Frames,
    chunk_frames: int | None,
) -> _Decoded:
    """Decode once; nothing is remembered from one run to the next."""
    if chunk_frames is None:
        of_pyctcdecode = {"commit_s": None, "empty_last_word": True}
        options = BeamOptions(**{**options_of(options), **of_pyctcdecode})
    decoder = BeamDecoder(alphabet, model, options=options, hop_s=HOP_S)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    state, words = decoder.start(), []
    step = chunk_frames or len(log_probs)
    for first in range(0, len(log_probs), step):
        new, state = decoder.advance(state, log_probs[first : first + step])
        words += [word.text for word in new]
    words += [word.text for word in decoder.finish(state)]
    return _Decoded(
        time.process_time() - cpu_s,
        time.perf_counter() - wall_s,
        alphabet.separator.join(words),
    )


def _spelled(model: LanguageModel, alphabet: Alphabet, noise: float, n_frames: int) -> _Heard:
    """Spell words that the model finds likely after one another."""
    rng = np.random.default_rng(0)
    words = sorted(model.words)
    state = model.start()
    said: list[str] = []
    ids: list[int] = []
    while len(ids) < n_frames:
        likely = max(rng.choice(words, 20), key=lambda word: model.score(state, str(word))[0])
        _, state = model.score(state, str(likely))
        said.append(str(likely))
        for token in [alphabet.tokens.index(letter) for letter in likely]:
            if ids and ids[-1] == token:
                ids.append(alphabet.blank_id)
            ids += [token] + [alphabet.blank_id] * int(rng.integers(1, 4))
        ids += [alphabet.delimiter_id or 0, alphabet.blank_id]
    logits = rng.normal(0, noise, (len(ids), alphabet.size))
    logits[:, list(alphabet.special_ids)] = -1e4
    logits[np.arange(len(ids)), ids] += 8.0
    logits -= logits.max(axis=1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return _Heard(np.asarray(log_probs, np.float32), " ".join(said))


def _from_clips(recognizer: Recognizer, sessions: Sessions, seconds: float) -> Frames:
    """Return the model's own log-probs of the clips, one after the other."""
    rate_hz = recognizer.sample_rate_hz
    model = sessions.acoustic(recognizer.bundle)
    blocks = looped(find_clips([]), rate_hz=rate_hz, gap_s=GAP_S, block_s=seconds)
    return np.concatenate(list(model.log_probs([next(blocks)])))


def _job(
    folder: Path,
    model: Path,
    words: LanguageModel,
    alphabet: Alphabet,
    options: BeamOptions,
) -> dict[str, Any]:
    """Return what the others need to know."""
    plain = folder / "decoder.arpa"  # spelled as the alphabet spells, unpacked
    plain.write_text(_respelled(read_bytes(model).decode(), words), encoding="utf-8")
    return {
        "labels": labels_of(alphabet),
        "model": str(plain),
        "words": sorted(words.words),
        "threads": 1,
        **options_of(options),
    }


def _respelled(text: str, model: LanguageModel) -> str:
    """Spell the words of an ARPA file as the alphabet does."""
    heard = {own: spelled for spelled, own in model.vocabulary.entries.items()}
    lines = []
    for line in text.splitlines():
        score, tab, rest = line.partition("\t")
        ngram, tab_2, backoff = rest.partition("\t")
        spelled = " ".join(heard.get(word, word) for word in ngram.split(" "))
        lines.append(f"{score}{tab}{spelled}{tab_2}{backoff}" if tab else line)
    return "\n".join([*lines, ""])
