"""The weights of a language model that suit an acoustic model, found by trying them.

The network runs once; every pair of alpha and beta then decodes the same log-probs. The surface of
word error rates says more than its lowest point: where it is flat, any weights will do, and where
the best pair lies at an edge, the grid was too small.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .conditions import Conditions
from .result import BenchmarkError, Figure, Result

if TYPE_CHECKING:
    from wav2edge.lm.decoder import Decoder
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.greedy import SpokenWord
    from wav2edge.lm.ngram import LanguageModel
    from wav2edge.runtime.recognizer import Recognizer
    from wav2edge.runtime.session import Session

    from .clips import Clip

DEFINITIONS = {
    "wer": "word error rate with the best weights; n: words of the transcripts",
    "wer_greedy": "word error rate of greedy decoding, without a language model",
    "alpha": "weight of the language model, where the word error rate is lowest",
    "beta": "bonus of each word there; of equal pairs the one with the smallest weights",
}


@dataclass(frozen=True, slots=True)
class Heard:
    """One recording: what the network made of it, and what was said."""

    log_probs: NDArray[np.float32]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Surface:
    """Word errors by alpha and beta."""

    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    n_edits: NDArray[np.int64]
    """`[alphas, betas]`"""
    n_edits_greedy: int
    n_words: int

    @property
    def best(self) -> tuple[float, float]:
        """The pair with the fewest errors; of equals the smallest weights."""
        _, alpha, _, beta = min(
            (int(self.n_edits[row, column]), alpha, abs(beta), beta)
            for row, alpha in enumerate(self.alphas)
            for column, beta in enumerate(self.betas)
        )
        return alpha, beta

    @property
    def rates(self) -> NDArray[np.float64]:
        """Word error rates, `[alphas, betas]`."""
        return self.n_edits / self.n_words


def hear(recognizer: "Recognizer", session: "Session", clips: "Sequence[Clip]") -> list[Heard]:
    """Run the network over recordings whose words are known.

    Raises:
        BenchmarkError: If there are none.
        AudioError: If one cannot be read.
    """
    from wav2edge.lm.scoring import spoken_words
    from wav2edge.runtime.acoustic import AcousticModel
    from wav2edge.runtime.onnx_asr import LAYOUT, WholeModel

    bundle = recognizer.bundle
    whole = bundle.manifest.layout == LAYOUT
    model = WholeModel(bundle.manifest, session) if whole else AcousticModel(bundle, session)
    heard = []
    for clip in clips:
        words = spoken_words(clip.text or "")
        if words:
            samples = clip.samples(recognizer.sample_rate_hz)
            rows = list(model.log_probs([samples, recognizer.margin]))
            heard.append(Heard(np.concatenate(rows), words))
    if not heard:
        raise BenchmarkError(
            "no recording has a transcript: name a manifest with the columns path and text"
        )
    return heard


def measure(
    recognizer: "Recognizer",
    heard: Sequence[Heard],
    model: "LanguageModel",
    options: "BeamOptions",
    *,
    alphas: Sequence[float],
    betas: Sequence[float],
    report: Callable[[str], None] = lambda _: None,
) -> Surface:
    """Decode everything with every pair of weights.

    Args:
        recognizer: For alphabet and frames.
        heard: From `hear`.
        model: The language model.
        options: Of the beam search; alpha and beta are replaced.
        alphas: Weights of the language model.
        betas: Bonuses of each word.
        report: Told what is being done.

    Raises:
        DecoderError: If a weight means nothing.
    """
    from wav2edge.lm.beam import BeamDecoder
    from wav2edge.lm.greedy import GreedyDecoder

    alphabet, facts = recognizer.bundle.alphabet, recognizer.bundle.manifest
    n_edits = np.zeros((len(alphas), len(betas)), np.int64)
    for row, alpha in enumerate(alphas):
        for column, beta in enumerate(betas):
            report(f"alpha {alpha:g}, beta {beta:g}")
            weighed = replace(options, alpha=alpha, beta=beta)
            hop_s = facts.hop_samples / facts.sample_rate_hz
            decoder = BeamDecoder(alphabet, model, options=weighed, hop_s=hop_s)
            n_edits[row, column] = _n_edits(decoder, heard)
    greedy = _n_edits(GreedyDecoder(alphabet), heard)
    n_words = sum(len(one.words) for one in heard)
    return Surface(tuple(alphas), tuple(betas), n_edits, greedy, n_words)


def _n_edits(decoder: "Decoder[Any]", heard: Sequence[Heard]) -> int:
    from wav2edge.lm.scoring import spoken_words, word_error_rate

    pairs = []
    for one in heard:
        found: tuple[SpokenWord, ...]
        found, state = decoder.advance(decoder.start(), one.log_probs)
        words = (*found, *decoder.finish(state))
        text = decoder.alphabet.separator.join(word.text for word in words)
        pairs.append((" ".join(one.words), " ".join(spoken_words(text))))
    return word_error_rate(pairs).n_edits


def result_of(surface: Surface, conditions: Conditions) -> Result:
    """Return a surface with the conditions that it holds under."""
    alpha, beta = surface.best
    lowest = float(surface.rates.min())
    figures = {
        "wer": lowest,
        "wer_greedy": surface.n_edits_greedy / surface.n_words,
        "alpha": alpha,
        "beta": beta,
    }
    series = {"alphas": list(surface.alphas), "betas": list(surface.betas)}
    for value, row in zip(surface.alphas, surface.rates.tolist(), strict=True):
        series[f"wer at alpha {value:g}"] = row
    return Result(
        "tuning",
        conditions,
        {name: Figure(value, value, value, surface.n_words) for name, value in figures.items()},
        DEFINITIONS,
        series,
    )


def plot(surface: Surface, path: Path) -> None:
    """Draw the surface, its best point marked; matplotlib comes with the extra `bench`.

    Raises:
        BenchmarkError: If the format is unknown.
    """
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(6.4, 4.6), layout="constrained")
    axes = canvas.subplots()
    shown = axes.imshow(100 * surface.rates, cmap="viridis_r", aspect="auto", origin="lower")
    axes.set_xticks(range(len(surface.betas)), [f"{beta:g}" for beta in surface.betas])
    axes.set_yticks(range(len(surface.alphas)), [f"{alpha:g}" for alpha in surface.alphas])
    axes.set_xlabel("beta: bonus of each word")
    axes.set_ylabel("alpha: weight of the language model")
    middle = (surface.rates.min() + surface.rates.max()) / 2
    for (row, column), rate in np.ndenumerate(surface.rates):
        color = "white" if rate > middle else "black"
        axes.text(column, row, f"{100 * rate:.1f}", ha="center", va="center", color=color)
    alpha, beta = surface.best
    axes.plot(
        surface.betas.index(beta), surface.alphas.index(alpha), "s", ms=34, mfc="none", mec="C3"
    )
    canvas.colorbar(shown, label="word error rate, %")
    greedy = 100 * surface.n_edits_greedy / surface.n_words
    axes.set_title(f"{surface.n_words} words; greedy {greedy:.1f} %", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        canvas.savefig(path, dpi=130)
    except ValueError as error:
        raise BenchmarkError(f"{path} cannot be drawn: {error}; name a .png") from error
