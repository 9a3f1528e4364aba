"""Log-probs as a model might give them: texts spelled out over frames, with noise of a seed."""

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.alphabet import Alphabet

LETTERS = Alphabet(("<pad>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"), blank_id=0, delimiter_id=1)
SYLLABLES = Alphabet(("_", "ka", "mi", "no", "ta", "ru"), blank_id=0)
Frames = NDArray[np.float32]


def log_softmax(logits: NDArray[np.float64]) -> Frames:
    """Normalise rows."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - total, np.float32)


def spelled(
    tokens: list[int], alphabet: Alphabet, rng: np.random.Generator, *, noise: float = 0.0
) -> Frames:
    """Say tokens, each for a frame or two, blanks between: logits of 8 over noise."""
    ids: list[int] = []
    for token in tokens:
        if ids and ids[-1] == token:
            ids.append(alphabet.blank_id)
        ids += [token] * int(rng.integers(1, 3)) + [alphabet.blank_id] * int(rng.integers(0, 3))
    logits = rng.normal(0.0, noise, (len(ids), alphabet.size))
    logits[np.arange(len(ids)), ids] += 8.0
    return log_softmax(logits)


def said(text: str, seed: int = 0, *, noise: float = 0.0) -> Frames:
    """Say a text in LETTERS."""
    tokens = [LETTERS.tokens.index("|" if letter == " " else letter) for letter in text]
    return spelled(tokens, LETTERS, np.random.default_rng(seed), noise=noise)
