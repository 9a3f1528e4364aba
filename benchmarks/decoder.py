"""`wav2edge bench decoder`: what our beam search costs, side by side with other decoders.

The others run in environments of their own, made on first use: pyctcdecode needs numpy 1, and
flashlight-text has no wheels for Python 3.13 and later. All get the same log-probs, language model,
weights and beam width, one after the other in turn, so that all meet the same machine.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
from .result import BenchmarkError, Figure, Result, spread
from .sessions import ONE_THREAD, Sessions

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

DEFINITIONS = {
    "stream_cpu_ms_per_s": "CPU time per second of log-probs (50 frames), our beam search in "
    "chunks of 16 frames with forced commits, by kind of log-probs; n: rounds",
    "whole_cpu_ms_per_s": "our beam search, all frames in one call, no forced commits",
    "pyctcdecode_cpu_ms_per_s": "pyctcdecode 0.5.0, decode_beams(prune_history=True), kenlm",
    "flashlight_cpu_ms_per_s": "flashlight-text 0.0.7, lexicon decoder in C++: only words of its "
    "list can be found",
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
        rounds: Of each in turn.
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
            "order": words.order,
            "words": len(words.words),
        },
        audio={f"{name} frames": len(one.log_probs) for name, one in heard.items()},
        libraries=("kenlm",),
    )
    job = _write_job(cache, model, words, alphabet, heard, options)
    spent: dict[str, list[dict[str, float]]] = {name: [] for name in heard}
    texts: dict[tuple[str, str], str] = {}
    with _Peers(cache, job, report) as peers:
        for i in range(rounds):
            for name, one in heard.items():
                report(f"round {i + 1} of {rounds}, {name}")
                found = {
                    "stream": _ours(words, alphabet, options, one.log_probs, CHUNK_FRAMES),
                    "whole": _ours(words, alphabet, options, one.log_probs, None),
                    **{peer: peers.decode(peer, name) for peer in peers.names},
                }
                texts.update({(name, who): text for who, (_, text) in found.items()})
                spent[name].append({who: cpu_s for who, (cpu_s, _) in found.items()})
    figures: dict[str, Figure | None] = {}
    for name, one in heard.items():
        figures |= _figures(name, one, spent[name], texts, options)
    return Result("decoder", conditions.ended(), figures, DEFINITIONS)


def _figures(
    name: str,
    one: _Heard,
    spent: list[dict[str, float]],
    texts: Mapping[tuple[str, str], str],
    options: BeamOptions,
) -> dict[str, Figure | None]:
    scale = 1000 / (len(one.log_probs) * HOP_S)
    figures: dict[str, Figure | None] = {}
    for who in ("stream", "whole", *PEERS):
        rounds = [scale * cpu[who] for cpu in spent if who in cpu]
        figures[f"{who}_cpu_ms_per_s {name}"] = spread(rounds)
    for peer, ours in (
        ("pyctcdecode", "stream"),
        ("pyctcdecode", "whole"),
        ("flashlight", "stream"),
    ):
        ratios = [cpu[peer] / cpu[ours] for cpu in spent if peer in cpu]
        figures[f"{peer}_over_{ours} {name}"] = spread(ratios)
    if (name, "pyctcdecode") in texts:
        figures[f"equal {name}"] = spread([texts[name, "whole"] == texts[name, "pyctcdecode"]])
    likely = one.log_probs >= options.token_min_log_prob
    figures[f"tokens_per_frame {name}"] = spread([float(likely.sum(axis=1).mean())])
    for who in ("stream", "whole", *PEERS):
        if one.text is not None and (name, who) in texts:
            rate = word_error_rate([(one.text, texts[name, who])])
            wer = Figure(rate.rate, rate.rate, rate.rate, rate.n_reference)
            figures[f"wer {who} {name}"] = wer
    return figures


def _ours(
    model: LanguageModel,
    alphabet: Alphabet,
    options: BeamOptions,
    log_probs: Frames,
    chunk_frames: int | None,
) -> tuple[float, str]:
    """Return CPU seconds and text; nothing is remembered from one run to the next."""
    if chunk_frames is None:
        of_pyctcdecode = {"commit_s": None, "empty_last_word": True}
        options = BeamOptions(**{**options_of(options), **of_pyctcdecode})
    decoder = BeamDecoder(alphabet, model, options=options, hop_s=HOP_S)
    began = time.process_time()
    state, words = decoder.start(), []
    step = chunk_frames or len(log_probs)
    for first in range(0, len(log_probs), step):
        new, state = decoder.advance(state, log_probs[first : first + step])
        words += [word.text for word in new]
    words += [word.text for word in decoder.finish(state)]
    return time.process_time() - began, alphabet.separator.join(words)


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


def _write_job(
    cache: Path,
    model: Path,
    words: LanguageModel,
    alphabet: Alphabet,
    heard: Mapping[str, _Heard],
    options: BeamOptions,
) -> Path:
    """Write what the others need to know."""
    cache.mkdir(parents=True, exist_ok=True)
    plain = cache / "decoder.arpa"  # spelled as the alphabet spells, unpacked
    plain.write_text(_respelled(read_bytes(model).decode(), words), encoding="utf-8")
    arrays: dict[str, Any] = {name: np.maximum(one.log_probs, -1e4) for name, one in heard.items()}
    np.savez(cache / "decoder.npz", **arrays)
    job = cache / "decoder.json"
    named = {
        "log_probs": str(cache / "decoder.npz"),
        "labels": labels_of(alphabet),
        "model": str(plain),
        "words": sorted(words.words),
        **options_of(options),
    }
    job.write_text(json.dumps(named), encoding="utf-8")
    return job


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


class _Peers:
    """The other decoders, each a process that answers line by line.

    Args:
        cache: Folder of their environments.
        job: Of `_write_job`.
        report: Told what is being done, and which cannot be made.
    """

    def __init__(self, cache: Path, job: Path, report: Callable[[str], None]) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}
        for name, packages in PEERS.items():
            report(f"environment of {name}")
            try:
                python = environment(cache / f"venv-{name}", packages)
            except BenchmarkError as error:
                print(f"{name} cannot be installed here, not measured: {error}", file=sys.stderr)
                continue
            script = Path(__file__).with_name("decoder_peers.py")
            self._processes[name] = subprocess.Popen(  # noqa: S603  (our own script)
                [python, script, name, job],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    @property
    def names(self) -> list[str]:
        """Those that could be installed."""
        return list(self._processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.communicate()

    def decode(self, name: str, array: str) -> tuple[float, str]:
        """Return CPU seconds and text."""
        process = self._processes[name]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{array}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise BenchmarkError(
                f"{name} ended without an answer to {array!r}: run {process.args!r} to see why"
            )
        answer = json.loads(line)
        return answer["cpu_s"], answer["text"]
