"""An estimated model as ARPA text, and its words as a list."""

import gzip
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from .corpus import Progress
from .counts import Level
from .errors import LanguageModelReadError
from .kneser_ney import Estimate
from .vocabulary import SPECIAL

_BLOCK = 1 << 16  # n-grams that are written at a time


def write_arpa(
    path: Path,
    words: Sequence[str],
    levels: Sequence[Level],
    estimates: Sequence[Estimate],
    progress: Progress | None = None,
) -> None:
    """Write ARPA; the file is there complete, or not at all. A name in `.gz` is gzipped.

    Raises:
        LanguageModelReadError: If the disk does not take it.
    """
    names = np.array(words, object)
    with _written(path) as file:
        head = [
            f"ngram {order}={np.count_nonzero(one.kept)}\n"
            for order, one in enumerate(estimates, start=1)
        ]
        file.write(("\\data\\\n" + "".join(head)).encode())
        for index, one in enumerate(estimates):
            file.write(f"\n\\{index + 1}-grams:\n".encode())
            rows = np.flatnonzero(one.kept)
            for start in range(0, len(rows), _BLOCK):
                block = rows[start : start + _BLOCK]
                file.write(_lines(names, levels[: index + 1], one, block, index + 1 == len(levels)))
                if progress is not None:
                    progress(f"writing {index + 1}-grams", (start + len(block)) / len(rows))
        file.write(b"\n\\end\\\n")


def write_word_list(path: Path, words: Sequence[str], unigrams: Estimate) -> None:
    """Write the words that were kept, one a line, in the model's order.

    Raises:
        LanguageModelReadError: If the disk does not take it.
    """
    with _written(path) as file:
        kept = (words[row] for row in np.flatnonzero(unigrams.kept).tolist())
        file.write("".join(f"{word}\n" for word in kept if word not in SPECIAL).encode())


def _lines(
    names: NDArray[np.object_],
    levels: Sequence[Level],
    found: Estimate,
    rows: NDArray[np.int64],
    highest: bool,  # noqa: FBT001
) -> bytes:
    columns = [names[ids].tolist() for ids in _word_ids(levels, rows)]
    ngrams = columns[0] if len(columns) == 1 else map(" ".join, zip(*columns, strict=True))
    log_probs = found.log_probs[rows].tolist()
    if highest:
        lines = [f"{prob:.7g}\t{ngram}\n" for prob, ngram in zip(log_probs, ngrams, strict=True)]
    else:
        backoffs = found.backoffs[rows].tolist()
        lines = [
            f"{prob:.7g}\t{ngram}\t{backoff:.7g}\n"
            for prob, ngram, backoff in zip(log_probs, ngrams, backoffs, strict=True)
        ]
    return "".join(lines).encode()


def _word_ids(levels: Sequence[Level], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the words of n-grams, first words first: one array for each place."""
    columns = []
    for level in reversed(levels):
        rows, words = np.divmod(level.keys[rows], level.n_types)
        columns.append(words)
    return columns[::-1]


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """Open a draft, and put it in its place when all of it is on the disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("wb") as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LanguageModelReadError(
            f"{path} cannot be written ({error.strerror or error}): name a file in a folder that "
            "exists, on a disk with room"
        ) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
