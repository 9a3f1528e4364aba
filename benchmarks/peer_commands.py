"""The sub-command `wav2edge bench peers`."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from .command_line import Kinds, add_cache, add_outputs, add_recordings, add_rounds, add_threads

if TYPE_CHECKING:
    from .base_model import BaseModel
    from .clips import Clip

_NAMED = 3  # files that the conditions name
_PARTS = ("start", "cost", "live", "parity", "operators")


def add_parsers(kinds: Kinds) -> None:
    """Add `peers`."""
    one = kinds.add_parser(
        "peers",
        help="others on the same weights: start, memory, cost, text",
        description="transformers, ONNX Runtime, onnx-asr, sherpa-onnx and OpenVINO on the same "
        "weights, each in an environment of its own that is made in the cache (pip; 3 GB). "
        "wav2vec2-base with random weights, and a checkpoint of yours for which texts are compared "
        "as well. Needs the extra `export`. pyctcdecode and flashlight-text are in `decoder`. All "
        "run on the processor; what others cannot load is no --model, so name a --checkpoint.",
    )
    one.add_argument("--checkpoint", type=Path, metavar="DIR", help="in the layout of transformers")
    one.add_argument("--peers", metavar="NAME,NAME", help="only these")
    one.add_argument(
        "--parts", metavar="PART,PART", default=",".join(_PARTS), help="default: all of them"
    )
    one.add_argument("--only", metavar="MODEL", help="base, or the checkpoint's name: only this")
    one.add_argument("--lengths", default="10,30", metavar="S,S", help="default: 10,30")
    one.add_argument("--starts", type=int, default=5, metavar="N", help="default: 5")
    one.add_argument("--add", type=Path, metavar="RESULT.json", help="add rounds to this result")
    one.add_argument("--markdown", type=Path, metavar="OUT.md", help="write the table")
    one.add_argument("--most", type=int, default=100, metavar="N", help="of clips; default: 100")
    add_threads(one)
    add_recordings(one)
    add_rounds(one, 5)
    add_cache(one)
    add_outputs(one, plot=True)
    one.set_defaults(run=_peers)


def _peers(arguments: argparse.Namespace) -> int:
    from .command_line import at_least, check_outputs, progress, write_out
    from .peer_contenders import CONTENDERS
    from .peer_figures import table, verdicts
    from .peers import PeersOptions, measure
    from .result import Result

    at_least(arguments, rounds=1, starts=1, most=1, threads=1)
    check_outputs(arguments)
    options = PeersOptions(
        names=tuple(arguments.peers.split(",")) if arguments.peers else tuple(CONTENDERS),
        parts=tuple(arguments.parts.split(",")),
        starts=arguments.starts,
        rounds=arguments.rounds,
        lengths_s=_numbers(arguments.lengths),
        threads=arguments.threads,
        only=arguments.only,
    )
    before = None if arguments.add is None else Result.read(arguments.add)
    clips, heard = _clips(arguments)
    result = measure(
        _models(arguments), arguments.cache / "peers", options,
        clips=clips, heard=heard, before=before, report=progress,
    )  # fmt: skip
    lines = [*table(result), *verdicts(result)]
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join([*lines, ""]), encoding="utf-8")
    progress("")
    write_out([result], arguments)
    print(*lines, "", *result.conditions.lines(), sep="\n")
    return 0


def _models(arguments: argparse.Namespace) -> "dict[str, BaseModel]":
    """Return the forms of wav2vec2-base, and of the checkpoint that was named."""
    from .base_model import base_model, exported, fingerprint
    from .command_line import progress
    from .peers import BASE

    chosen = arguments.checkpoint
    made_of = "" if chosen is None else fingerprint(chosen)  # a wrong path is told at once
    models = {BASE: base_model(arguments.cache, progress)}
    if chosen is not None:
        name = chosen.resolve().name.replace(" ", "-")
        folder = arguments.cache / "peers" / f"forms-{name}-{made_of}"
        models[name] = exported(chosen, folder, progress)
    return models


def _clips(arguments: argparse.Namespace) -> "tuple[list[Clip], str]":
    """Return the clips that were named, of too many every so manyth, and what they are."""
    from .command_line import clips

    if not arguments.audio:
        return [], ""
    found = clips(arguments)
    step = math.ceil(len(found) / arguments.most)
    named = [one.name for one in arguments.audio]
    of = ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" * (len(named) > _NAMED))
    split = "" if arguments.split is None else f", split {arguments.split}"
    taken = found[::step]
    return taken, f"{len(taken)} clips, 1 of {step} of {of}{split}"


def _numbers(text: str) -> tuple[float, ...]:
    from .command_line import complain

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        complain(f"--lengths is {text!r}, expected seconds: 10,30")
