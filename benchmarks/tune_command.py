"""The command `wav2edge lm tune`."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .command_line import add_recordings, clips, progress

if TYPE_CHECKING:
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.ngram import LanguageModel
    from wav2edge.runtime.bundle import Bundle

    from .tuning import Surface

_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
_BETAS = (-1.0, 0.0, 1.0, 2.0, 3.0)


def add_parsers(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tune` to the commands of `wav2edge lm`."""
    one = kinds.add_parser(
        "tune",
        help="find the weights of a language model on recordings",
        description="Decode recordings whose words are known with every pair of alpha and beta. "
        "Needs the extra `bench`.",
    )
    one.add_argument("bundle", metavar="BUNDLE")
    add_recordings(one, required=True)
    one.add_argument("--containing", metavar="PART", help="only paths that hold this")
    one.add_argument("--lm", metavar="LM", help="default: the one that the bundle carries")
    one.add_argument("--words", metavar="FILE", help="word list of a binary")
    one.add_argument("--alphas", type=float, nargs="+", default=list(_ALPHAS), metavar="A")
    one.add_argument("--betas", type=float, nargs="+", default=list(_BETAS), metavar="B")
    one.add_argument("--beam", type=int, metavar="N", help="beam width; default: 100")
    one.add_argument("--plot", type=Path, metavar="OUT.png", help="draw the surface")
    one.add_argument("--out", type=Path, metavar="OUT.json", help="write figures and conditions")
    one.add_argument("--write", action="store_true", help="put model and best pair into the bundle")
    one.set_defaults(run=partial(_tune, one))


def _tune(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from wav2edge.runtime.bundle import Bundle
    from wav2edge.runtime.recognizer import Recognizer
    from wav2edge.runtime.session import open_session

    from .conditions import Conditions
    from .tuning import hear, measure, plot, result_of

    bundle = Bundle.read(arguments.bundle)
    model, options = _model(parser, bundle, arguments)
    session = open_session(bundle.model_path, threads=1, provider="cpu")
    recognizer = Recognizer(bundle, session)
    part = arguments.containing or ""
    recordings = [one for one in clips(arguments) if part in str(one.path)]
    conditions = Conditions.now(
        recognizer,
        threads=1,
        options={"beam_width": options.beam_width, "order": model.order},
        audio={"recordings": len(recordings), "split": arguments.split, "containing": part},
    )
    progress("the network")
    heard = hear(recognizer, session, recordings)
    grid = {"alphas": arguments.alphas, "betas": arguments.betas}
    surface = measure(recognizer, heard, model, options, **grid, report=progress)
    progress("")
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


def _write(bundle: "Bundle", surface: "Surface", arguments: argparse.Namespace) -> None:
    """Put the model that was tuned, and its best weights, into the bundle."""
    from wav2edge.runtime.attachment import attach

    weights = dict(zip(("alpha", "beta"), surface.best, strict=True))
    said = bundle.manifest.language_model
    if arguments.lm is not None or said is None:
        attach(bundle, arguments.lm, words=arguments.words, options=weights)
        return
    words = None if said.words is None else bundle.folder / said.words
    attach(bundle, bundle.folder / said.file, words=words, options={**said.options, **weights})


def _print(surface: "Surface") -> None:
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
