"""Two adventure games of Debian, every line of them spoken by actors -> recordings.

Both were made free by their owners, to be given away and changed: "Flight of the Amazon Queen"
(John Passfield and Steven Stamatiadis 1995) and "Beneath a Steel Sky" (Revolution Software 1994).
Their archives are laid out as the engine ScummVM reads them (engines/queen/resource.cpp and
engines/sky/disk.cpp).
"""

import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import chain, dropwhile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from wav2edge.runtime.audio import Resampler

from .voices import RATE_HZ

Samples = npt.NDArray[np.float32]
_PACKED_GAME = "Beneath a Steel Sky"
_GAMES = {
    "Flight of the Amazon Queen": "usr/share/scummvm/flight-of-the-amazon-queen/queen.1c",
    _PACKED_GAME: "usr/share/scummvm/beneath-a-steel-sky/sky.dsk",
}
_ENTRY = struct.Struct(">12sBII")  # name, disk, offset, bytes
_SKY_HZ = 11_025
_FIRST_SPEECH, _END_OF_SPEECH = 50_000, 60_000  # numbers of the files of "Beneath a Steel Sky"
_HEADER_BYTES = 22  # before what is packed
_PACKED = b"RNC\x01"


def left_out(packages: Path) -> dict[str, str]:
    """Return the games whose lines cannot be had, and why."""
    reasons = {}
    for game, path in _GAMES.items():
        if not (packages / path).is_file():
            reasons[game] = "its package is not there: `make training-voices` fetches it"
        elif game == _PACKED_GAME and not shutil.which("ancient"):
            reasons[game] = "Debian's program `ancient`, which unpacks it, is not installed"
    return reasons


def spoken_lines(packages: Path, after: str = "") -> Iterator[tuple[str, Samples]]:
    """Yield game and line as a name, and float32 `[n_samples]` in [-1, 1] at 16 kHz.

    Args:
        packages: Where Debian's packages `flight-of-the-amazon-queen` and `beneath-a-steel-sky`
            were unpacked; what `left_out` names is passed over.
        after: Name of a line: only those after it are yielded.
    """
    missing = left_out(packages)
    there = (
        (_lines_of_sky if game == _PACKED_GAME else _lines_of_queen)(packages / path)
        for game, path in _GAMES.items()
        if game not in missing
    )
    lines: Iterator[tuple[str, bytes]] = chain.from_iterable(there)
    if after:
        lines = dropwhile(lambda line: line[0] != after, lines)
        next(lines, None)
    for name, encoded in lines:
        yield name, _unpacked(encoded) if encoded.startswith(_PACKED) else _decoded(encoded)


def _lines_of_queen(path: Path) -> Iterator[tuple[str, bytes]]:
    """MP3 files behind a directory: 15 bytes, the last two of them the number of entries."""
    archive = path.read_bytes()
    (n_entries,) = struct.unpack(">H", archive[13:15])
    for entry in range(n_entries):
        packed_name, _, start, n_bytes = _ENTRY.unpack_from(archive, 15 + entry * _ENTRY.size)
        name = packed_name.split(b"\0")[0].decode("ascii")
        if name.endswith(".SB"):
            yield f"queen {name}", archive[start : start + n_bytes]


def _lines_of_sky(path: Path) -> Iterator[tuple[str, bytes]]:
    """8-bit samples behind a header, packed; the directory has the number, place and size of each.

    The places are 24 bits, of which the highest says that the others count blocks of 16 bytes; the
    highest two of the sizes are flags.
    """
    disk, directory = path.read_bytes(), path.with_suffix(".dnr").read_bytes()
    for at in range(4, 4 + 8 * int.from_bytes(directory[:4], "little"), 8):
        number, place, size = (
            int.from_bytes(directory[at + first : at + end], "little")
            for first, end in ((0, 2), (2, 5), (5, 8))
        )
        start = (place & 0x7FFFFF) << 4 if place >> 23 else place
        piece = disk[start : start + (size & 0x3FFFFF)][_HEADER_BYTES:]
        if _FIRST_SPEECH <= number < _END_OF_SPEECH and piece.startswith(_PACKED):
            yield f"sky {number}", piece


def _decoded(encoded: bytes) -> Samples:
    samples, rate_hz = soundfile.read(io.BytesIO(encoded), dtype="float32")
    return _resampled(samples, rate_hz)


def _unpacked(packed: bytes) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "packed").write_bytes(packed)
        command = ["ancient", "decompress", "packed", "plain"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        unsigned = np.frombuffer((Path(folder) / "plain").read_bytes(), np.uint8)
    return _resampled(unsigned.astype(np.float32) / np.float32(128) - 1, _SKY_HZ)


def _resampled(samples: Samples, rate_hz: int) -> Samples:
    resampler = Resampler(rate_hz, RATE_HZ)
    return np.concatenate([resampler.push(samples), resampler.finish()])
