"""The mean of checkpoints of one run, which often errs less than each of them.

Where the rate has fallen, weights lie at the rim of a wide valley, and their mean nearer to its
middle (Izmailov et al. 2018, arXiv:1803.05407, section 3; several runs from one start: Wortsman et
al. 2022, arXiv:2203.05482).
"""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from .errors import OtherRunError, StartError, StartNotFoundError, TrainingOptionsError

_WEIGHTS = "model.safetensors"
_SAME = ("config.json", "vocab.json")
_OF_NO_WEIGHT = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")


def average(folders: Sequence[Path], out: Path, shares: Sequence[float] | None = None) -> None:
    """Write the mean of checkpoints.

    Args:
        folders: Two or more, in the layout of `transformers`, of the same configuration and
            vocabulary. What is beside the weights is taken from the first.
        out: A folder that is not there, or empty.
        shares: How much each counts, above 0; None: all the same.

    Raises:
        TrainingOptionsError: Too few checkpoints, or shares that do not fit them.
        StartNotFoundError: A checkpoint has no `model.safetensors`, or it cannot be read.
        StartError: The checkpoints are not of one kind.
        OtherRunError: There is something in `out`.
    """
    parts = _parts(len(folders), shares)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise OtherRunError(f"{out} is there: choose a new or empty folder")
    first = _read(folders[0])
    mean = {name: one.double() * parts[0] for name, one in first.items()}
    for folder, part in zip(folders[1:], parts[1:], strict=True):
        _refuse_other_kind(folders[0], folder)
        weights = _read(folder)
        _refuse_other_shapes(folders[0], first, folder, weights)
        for name, one in weights.items():
            mean[name] += one.double() * part
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: one.to(first[name].dtype) for name, one in mean.items()},
        out / _WEIGHTS,
        metadata={"format": "pt"},
    )
    for file in sorted(folders[0].iterdir()):
        if file.is_file() and file.name != _WEIGHTS:
            shutil.copyfile(file, out / file.name)


def _parts(n_folders: int, shares: Sequence[float] | None) -> list[float]:
    if n_folders < 2:
        raise TrainingOptionsError("a mean is of two checkpoints or more: name another one")
    given = [1.0] * n_folders if shares is None else list(shares)
    if len(given) != n_folders or not all(math.isfinite(one) and one > 0 for one in given):
        raise TrainingOptionsError(
            f"the shares are {given}, expected one number above 0 for each of the {n_folders} "
            "checkpoints"
        )
    return [one / sum(given) for one in given]


def _read(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder / _WEIGHTS, error) from error


def _unreadable(file: Path, error: Exception) -> StartNotFoundError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return StartNotFoundError(f"{file} cannot be read ({reason}): expected a checkpoint's folder")


def _refuse_other_kind(first: Path, other: Path) -> None:
    for name in _SAME:
        facts, others = _facts(first / name), _facts(other / name)
        differing = [key for key in {*facts, *others} if facts.get(key) != others.get(key)]
        if differing:
            raise StartError(
                f"{first / name} and {other / name} differ in {min(differing)}: a mean is of "
                "checkpoints of one model"
            )


def _facts(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(file, error) from error
    return {key: one for key, one in found.items() if key not in _OF_NO_WEIGHT}


def _refuse_other_shapes(
    first: Path,
    expected: dict[str, torch.Tensor],
    other: Path,
    found: dict[str, torch.Tensor],
) -> None:
    shapes = [{name: one.shape for name, one in some.items()} for some in (expected, found)]
    if shapes[0] != shapes[1]:
        [name, *_] = sorted(dict(shapes[0].items() ^ shapes[1].items()))
        raise StartError(f"{first} and {other} differ in {name}: they are not of one model")
