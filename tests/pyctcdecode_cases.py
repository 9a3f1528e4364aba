"""Cases to decode twice: random and realistic log-probs, options, language model and hotwords."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spelled import LETTERS, SYLLABLES, Frames, log_softmax, spelled

from wav2edge.lm.alphabet import Alphabet

PHONES = Alphabet(("_", "|", "p", "t", "k", "aa", "iy", "uw", "m", "n"), 0, 1)
LIBRI = Alphabet((" ", *"abcdefghijklmnopqrstuvwxyz'", ""), 28, 0)  # of the logits in shared data
_WEIGHTS = ((0.5, 1.5, -10.0), (1.0, 0.0, -3.0), (0.2, 2.5, -8.0))


@dataclass(frozen=True)
class Case:
    """One thing to decode."""

    kind: str
    alphabet: Alphabet
    log_probs: Frames
    options: dict[str, Any]
    model: Path | None
    words: list[str] | None
    hotwords: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """As JSON may have it, the log-probs aside."""
        named = self.alphabet
        return {
            "alphabet": [named.tokens, named.blank_id, named.delimiter_id],
            "options": self.options,
            "model": self.model and str(self.model),
            "words": self.words,
            "hotwords": self.hotwords,
        }


def write_trigrams(path: Path, words: list[str], seed: int) -> Path:
    """Write a trigram model with scores of a seed: no real language, but a well-formed file."""
    rng = np.random.default_rng(seed)
    bigrams = sorted(
        {("<s>", w) for w in rng.choice(words, 20)}
        | {(str(a), str(b)) for a, b in rng.choice(words, (6 * len(words), 2))}
        | {(str(w), "</s>") for w in rng.choice(words, 20)}
    )
    after: dict[str, list[str]] = {}
    for first, second in bigrams:
        after.setdefault(first, []).append(second)
    trigrams = [
        (first, second, third)
        for first, second in bigrams
        for third in after.get(second, [])
        if rng.random() < 0.4
    ]
    unigrams = [("<unk>",), ("<s>",), ("</s>",), *((word,) for word in words)]
    grams: list[list[tuple[str, ...]]] = [[*unigrams], [*bigrams], [*trigrams]]
    lines = ["\\data\\", *(f"ngram {i + 1}={len(one)}" for i, one in enumerate(grams)), ""]
    for order, ngrams in enumerate(grams, 1):
        lines.append(f"\\{order}-grams:")
        for ngram in ngrams:
            backoff = f"\t{-rng.uniform(0, 1):.4f}" if order < 3 and ngram[-1] != "</s>" else ""
            score = -99.0 if ngram == ("<s>",) else -rng.uniform(0.1, 4.0 if order == 1 else 1.5)
            lines.append(f"{score:.4f}\t{' '.join(ngram)}{backoff}")
        lines.append("")
    path.write_text("\n".join([*lines, "\\end\\", ""]), encoding="utf-8")
    return path


def vocabulary(alphabet: Alphabet, seed: int, n: int = 150) -> list[str]:
    """Make words up; without a delimiter they are the tokens themselves."""
    if alphabet.delimiter_id is None:
        return list(alphabet.tokens[1:])
    rng = np.random.default_rng(seed)
    letters = alphabet.tokens[2:18]
    return sorted({"".join(rng.choice(letters, rng.integers(1, 7))) for _ in range(n)})


def make_cases(n: int, folder: Path, libri: Path | None) -> list[Case]:
    """Draw cases; the same ones every time.

    Args:
        n: How many.
        folder: For the language models.
        libri: Real logits of a large model; None: there are none.
    """
    rng = np.random.default_rng(2024)
    words = {one: vocabulary(one, 1) for one in (LETTERS, SYLLABLES, PHONES)}
    models = {
        one: write_trigrams(folder / f"{i}.arpa", words[one], i) for i, one in enumerate(words)
    }
    real = None if libri is None else _real(libri)
    cases = []
    for _ in range(n):
        kind = str(rng.choice(["random", "spelled", "real"], p=[0.25, 0.65, 0.1]))
        alphabet = (LETTERS, LETTERS, LETTERS, SYLLABLES, PHONES)[rng.integers(5)]
        if kind == "real" and real is not None:
            cases.append(_case(rng, kind, LETTERS, _cut(rng, real), words, models))
        elif kind == "random":
            logits = rng.normal(0, rng.uniform(1, 3), (rng.integers(1, 16), alphabet.size))
            cases.append(_case(rng, kind, alphabet, log_softmax(logits), words, models))
        else:
            frames = _spoken(rng, alphabet, words[alphabet])
            cases.append(_case(rng, kind, alphabet, frames, words, models))
    return cases


def write_cases(cases: list[Case], path: Path) -> None:
    """Write cases for the other environment."""
    path.write_text(json.dumps([case.plain() for case in cases]), encoding="utf-8")
    arrays: dict[str, Any] = {str(i): case.log_probs for i, case in enumerate(cases)}
    np.savez(path.with_suffix(".npz"), **arrays)


def _case(
    rng: np.random.Generator,
    kind: str,
    alphabet: Alphabet,
    frames: Frames,
    words: dict[Alphabet, list[str]],
    models: dict[Alphabet, Path],
) -> Case:
    alpha, beta, unknown = _WEIGHTS[rng.integers(3)]
    with_model = rng.random() < 0.5
    hotwords: dict[str, float] = {}
    if rng.random() < 0.4:
        extra = ["".join(rng.choice(alphabet.tokens[2:], 3)) for _ in range(rng.integers(0, 3))]
        named = [*rng.choice(words[alphabet], rng.integers(1, 4)), *extra]
        weight = float(rng.choice([2.0, 10.0, -3.0]))
        hotwords = {str(word): weight for word in named} | {" ".join(extra) or "": weight}
        hotwords.pop("", None)
    options = {
        "beam_width": int(rng.choice([1, 2, 5, 10, 20, 50, 100])),
        "beam_prune_log_prob": float(rng.choice([-5.0, -10.0, -20.0])),
        "token_min_log_prob": float(rng.choice([-3.0, -5.0, -7.0])),
        "alpha": alpha,
        "beta": beta,
        "unknown_word_score": unknown,
        "score_boundary": bool(rng.random() < 0.8),
        "blank_penalty": float(rng.choice([0.0, 0.0, 0.0, 1.5])),
    }
    return Case(
        kind,
        alphabet,
        frames,
        options,
        models[alphabet] if with_model else None,
        words[alphabet] if with_model else None,
        hotwords,
    )


def _spoken(rng: np.random.Generator, alphabet: Alphabet, words: list[str]) -> Frames:
    """Say a few words with noise, a delimiter after each."""
    tokens: list[int] = []
    for word in rng.choice(words, rng.integers(1, 5)):
        rest = str(word)
        while rest:
            id_ = next(i for i, one in enumerate(alphabet.tokens) if i and rest.startswith(one))
            tokens.append(id_)
            rest = rest.removeprefix(alphabet.tokens[id_])
        if alphabet.delimiter_id is not None:
            tokens.append(alphabet.delimiter_id)
    tokens = tokens[: len(tokens) - int(rng.integers(0, 2))] or [2]
    return spelled(tokens, alphabet, rng, noise=float(rng.uniform(0.5, 3.5)))[:40]


def _real(libri: Path) -> NDArray[np.float64]:
    """Real logits, their columns in the order of LETTERS."""
    with gzip.open(libri, "rt", encoding="utf-8") as file:
        logits = np.array(json.load(file), np.float64)
    order = [28, 0, *range(1, 28)]
    return logits[:, order]


def _cut(rng: np.random.Generator, logits: NDArray[np.float64]) -> Frames:
    """Take a piece, flattened and with a little noise; some as they are: whole numbers that tie."""
    start = int(rng.integers(0, len(logits) - 30))
    piece = logits[start : start + int(rng.integers(10, 60))]
    if rng.random() < 0.2:
        return log_softmax(piece)
    flatter = piece * rng.uniform(0.15, 0.6)
    return log_softmax(flatter + rng.normal(0, rng.uniform(0.01, 0.6), piece.shape))
