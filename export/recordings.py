"""Which recordings a graph is compared with its checkpoint on, and their samples."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wav2edge.runtime.audio import Audio

from .errors import ExportError

Array = npt.NDArray[np.float32]


def default_clips() -> list[Path]:
    """Return the synthetic clips that come with this package."""
    return sorted((Path(__file__).parent / "clips").glob("*.ogg"))


def listed(paths: Sequence[Path], split: str | None = None) -> list[Path]:
    """Replace each `.tsv` file by the recordings it lists in its column `path`.

    Paths in it are relative to it. With `split` only those rows count whose column `split` says so.

    Raises:
        ExportError: It cannot be read, has no such column, or no row of that split.
    """
    found: list[Path] = []
    for path in paths:
        if path.suffix != ".tsv":
            found.append(path)
            continue
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, delimiter="\t"))
            chosen = [row for row in rows if split is None or row["split"] == split]
            found += [path.parent / row["path"] for row in chosen]
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise ExportError(
                f"{path} lists no recordings ({type(error).__name__}: {error}): expected a table, "
                "tab separated, with a column named path"
            ) from error
        if not chosen:
            raise ExportError(
                f"{path} lists no recordings of split {split!r}: name another --split"
            )
    return found


def read_clips(paths: Sequence[Path], rate_hz: int) -> list[Array]:
    """Read recordings as float32 `[n]` at `rate_hz`."""
    clips = []
    for path in paths:
        with Audio(path, sample_rate=None, to_hz=rate_hz) as audio:
            clips.append(np.concatenate(list(audio.blocks())))
    return clips
