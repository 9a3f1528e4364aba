"""`wav2edge lm tune`: the weights of a language model that suit an acoustic model, by trying them.

The network runs once; every pair of alpha and beta then decodes the same log-probs. The surface of
word error rates says more than its lowest point: where it is flat, any weights will do, and where
the best pair lies at an edge, the grid was too small.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
    from wav2edge.runtime.bundle import Bundle
    from wav2edge.runtime.recognizer import Recognizer
    from wav2edge.runtime.session import Session

    from .clips import Clip

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
BETAS = (-1.0, 0.0, 1.0, 2.0, 3.0)
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
    from wav2edge.runtime.acoustic import AcousticModel
    from wav2edge.runtime.onnx_asr import LAYOUT, WholeModel

    from .clips import spoken_words

    bundle = recognizer.bundle
    whole = bundle.manifest.layout == LAYOUT
    model = WholeModel(bundle.manifest, session) if whole else AcousticModel(bundle, session)
    heard = []
    for clip in clips:
        words = spoken_words(clip.text or "")
        if words:
            samples = clip.samples(recognizer.sample_rate_hz)
            heard.append(Heard(np.concatenate(list(model.log_probs([samples]))), words))
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
    alphas: Sequence[float] = ALPHAS,
    betas: Sequence[float] = BETAS,
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
    from wav2edge.lm.scoring import word_error_rate

    from .clips import spoken_words

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


# --- the command ---------------------------------------------------------------------------------


def add_parsers(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tune` to the commands of `wav2edge lm`."""
    one = kinds.add_parser(
        "tune",
        help="find the weights of a language model on recordings",
        description="Decode recordings whose words are known with every pair of alpha and beta. "
        "Needs the extra `bench`.",
    )
    one.add_argument("bundle", metavar="BUNDLE")
    one.add_argument(
        "--audio",
        nargs="+",
        type=Path,
        required=True,
        metavar="MANIFEST",
        help=".tsv with a head line, or .jsonl; columns path, text, split",
    )
    one.add_argument("--split", help="only these rows of manifests")
    one.add_argument("--containing", metavar="PART", help="only paths that hold this")
    one.add_argument("--lm", metavar="LM", help="default: the one that the bundle carries")
    one.add_argument("--words", metavar="FILE", help="word list of a binary")
    one.add_argument("--alphas", type=float, nargs="+", default=list(ALPHAS), metavar="A")
    one.add_argument("--betas", type=float, nargs="+", default=list(BETAS), metavar="B")
    one.add_argument("--beam", type=int, metavar="N", help="beam width; default: 100")
    one.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the surface")
    one.add_argument("--out", type=Path, metavar="OUT.json", help="write figures and conditions")
    one.add_argument("--write", action="store_true", help="put model and best pair into the bundle")
    one.set_defaults(run=partial(_tune, one))


def _tune(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from wav2edge.runtime.bundle import Bundle
    from wav2edge.runtime.recognizer import Recognizer
    from wav2edge.runtime.session import open_session

    from .clips import find_clips

    bundle = Bundle.read(arguments.bundle)
    model, options = _model(parser, bundle, arguments)
    session = open_session(bundle.model_path, threads=1, provider="cpu")
    recognizer = Recognizer(bundle, session)
    part = arguments.containing or ""
    clips = find_clips(arguments.audio, split=arguments.split)
    clips = [one for one in clips if part in str(one.path)]
    conditions = Conditions.now(
        recognizer,
        threads=1,
        options={"beam_width": options.beam_width, "order": model.order},
        audio={"recordings": len(clips), "split": arguments.split, "containing": part},
    )
    _report("the network")
    heard = hear(recognizer, session, clips)
    grid = {"alphas": arguments.alphas, "betas": arguments.betas}
    surface = measure(recognizer, heard, model, options, **grid, report=_report)
    _report("")
    _print(surface)
    if arguments.plot is not None:
        plot(surface, arguments.plot)
    if arguments.out is not None:
        result_of(surface, conditions.ended()).write(arguments.out)
    if arguments.write:
        _write(bundle, surface, arguments)
        print(f"written      {bundle.folder}")
    return 0


def _model(
    parser: argparse.ArgumentParser, bundle: "Bundle", arguments: argparse.Namespace
) -> "tuple[LanguageModel, BeamOptions]":
    """Load the language model that was named, or the bundle's."""
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.ngram import load_language_model
    from wav2edge.runtime.attachment import attached_model

    if arguments.lm is not None:
        model = load_language_model(arguments.lm, bundle.alphabet, words=arguments.words)
        options = BeamOptions()
    else:
        found = attached_model(bundle)
        if found is None:
            parser.error(f"{bundle.folder} has no language model: name one with --lm")
        model, options = found
    if arguments.beam is not None:
        options = replace(options, beam_width=arguments.beam)
    return model, options


def _write(bundle: "Bundle", surface: Surface, arguments: argparse.Namespace) -> None:
    """Put the model that was tuned, and its best weights, into the bundle."""
    from wav2edge.runtime.attachment import attach

    weights = dict(zip(("alpha", "beta"), surface.best, strict=True))
    said = bundle.manifest.language_model
    if arguments.lm is not None or said is None:
        attach(bundle, arguments.lm, words=arguments.words, options=weights)
        return
    words = None if said.words is None else bundle.folder / said.words
    attach(bundle, bundle.folder / said.file, words=words, options={**said.options, **weights})


def _print(surface: Surface) -> None:
    """Write the surface out for a person."""
    print("word error rate, %; down: alpha, across: beta")
    print("      ", *(f"{beta:7g}" for beta in surface.betas))
    for alpha, row in zip(surface.alphas, surface.rates.tolist(), strict=True):
        print(f"{alpha:7g}", *(f"{100 * rate:7.2f}" for rate in row))
    alpha, beta = surface.best
    lowest, greedy = surface.rates.min(), surface.n_edits_greedy / surface.n_words
    print(
        f"best         alpha {alpha:g}, beta {beta:g}: {100 * lowest:.2f} %, greedy "
        f"{100 * greedy:.2f} %, {surface.n_words} words"
    )
    at_edge = alpha == surface.alphas[-1] or beta in (surface.betas[0], surface.betas[-1])
    if surface.n_edits.size > 1 and at_edge:
        print("             at an edge of the grid: try weights beyond it")


def _report(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
