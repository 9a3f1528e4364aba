"""Whether a file is the one that was written: its size, and its SHA-256."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from .beside import Beside
from .errors import BundleNotFoundError, DamagedBundleError


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_size(path: Path, n_bytes: int) -> None:
    """Check that a file is there, as long as it was.

    Raises:
        BundleNotFoundError: If it is missing.
        DamagedBundleError: If it has another size.
    """
    if not path.is_file():
        raise BundleNotFoundError(
            f"{path} is missing, though the manifest lists it: copy the whole folder again"
        )
    there = path.stat().st_size
    if there != n_bytes:
        raise DamagedBundleError(
            f"{path} has {there} bytes, the manifest says {n_bytes}: copy the bundle again"
        )


def check_contents(path: Path, sha256: str) -> None:
    """Check that a file holds what was written.

    Raises:
        DamagedBundleError: If it does not.
    """
    found = sha256_of(path)
    if found != sha256:
        raise DamagedBundleError(
            f"{path} has SHA-256 {found}, the manifest says {sha256}: the file was changed or "
            "damaged; copy the bundle again, or export it again"
        )


@contextmanager
def checking(path: Path, sha256: str) -> Iterator[None]:
    """Check a file's contents beside what is done in this context.

    Raises:
        DamagedBundleError: At its end, if they are others; whatever else went wrong there.
        OSError: As that.
    """
    checked = Beside(partial(check_contents, path, sha256))
    try:
        yield
    finally:
        checked.result()
