"""A recording in a file or on standard input, as blocks of mono samples: the door to libsndfile.

WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF and what else libsndfile reads. Nothing is ever held
whole: two hours cost what two minutes cost. Standard input and pipes are spooled to a temporary
file first, because most formats cannot be read without seeking.

libsndfile hides that a recording was cut short where it can. Here it is told: what could be read
comes out first, then a `TruncatedAudioError`.
"""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from .errors import (
    AudioFormatError,
    AudioNotFoundError,
    AudioReadError,
    EmptyAudioError,
    TruncatedAudioError,
)

STDIN = "-"

_BLOCK = 1 << 18  # samples over all channels that are decoded at a time: 1 MiB as float32
_SLOPPY = 64  # bytes: many writers miscount their own header, which loses nobody a word
_SLOPPY_MP3 = 2304  # samples, two MPEG frames: what encoders and decoders disagree about
_OGG_HEADER = 27  # bytes of a page before its table of segments
_LONGEST_GUESS = 64  # an MPEG frame of 320 kbit/s is 40 times one of 8
_UNKNOWN_LENGTH = 0x7FFF_0000  # bytes: what writers to a pipe (ffmpeg, sox) say, or more
_DECLARED = re.compile(  # libsndfile's log of a header that promises more than the file holds
    r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE
)
_CAN_READ = "WAV, FLAC, Ogg, Opus, MP3 and AIFF can be read; convert anything else to one of them"


class Recording:
    """An open recording. Use it in a `with` statement.

    Args:
        source: Path of a file, or `-` for standard input.

    Raises:
        AudioNotFoundError: If there is no such file.
        AudioReadError: If it is a folder, or the system refuses it.
        EmptyAudioError: If it has no bytes.
        AudioFormatError: If it is no audio that can be read.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        self.name = "standard input" if source == STDIN else os.fspath(source)
        self.n_samples = 0
        """Samples per channel, as the header has it; trust `blocks` alone to end where they end."""
        with contextlib.ExitStack() as closing:
            self._bytes = closing.enter_context(_opened(source, self.name))
            self._sound = closing.enter_context(self._decoder())
            self._closing = closing.pop_all()
        self.rate_hz: int = self._sound.samplerate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Read on to the end.

        Yields:
            Mono samples, float32 `[n]`, n > 0, the mean of all channels. Integer formats lie in
            [-1, 1]; float formats hold what they hold.

        Raises:
            EmptyAudioError: If there is not one sample.
            TruncatedAudioError: After all that could be read, if that is not all there was.
        """
        n_read = 0
        for block, failure in self._decoded():
            n_read += len(block)
            if len(block):
                yield block.mean(axis=1, dtype=np.float32)
            if failure or not len(block):
                break
        missing = failure or self._missing(n_read)
        if missing:
            raise TruncatedAudioError(
                f"{self.name} is cut short or damaged: {missing}; what could be read, "
                f"{n_read / self.rate_hz:.2f} s, was used; record or copy it again for the rest"
            )
        if n_read == 0:
            raise EmptyAudioError(f"{self.name} has a header but no samples: record it again")

    def _decoded(self) -> Iterator[tuple[NDArray[np.float32], str]]:
        """Yield blocks `[n, channels]`, each with why it is the last one, or nothing."""
        import soundfile

        n_frames = max(1, _BLOCK // self._sound.channels)
        while True:
            block = np.full((n_frames, self._sound.channels), np.nan, np.float32)
            failure = ""
            try:
                block = self._sound.read(n_frames, out=block)
            except soundfile.LibsndfileError:
                # What was decoded before the damage is in the block already; the rest is untouched.
                untouched = np.append(np.isnan(block[:, 0]), np.True_)
                block = block[: int(untouched.argmax())]
                failure = "it cannot be decoded any further"
            yield block, failure

    def _missing(self, n_read: int) -> str:
        """Say what the header promises and the file does not hold; empty if all is there."""
        declared = _DECLARED.search(self._sound.extra_info)
        if declared:
            promised, there = int(declared[1]), int(declared[2])
            if there + _SLOPPY < promised < _UNKNOWN_LENGTH:
                return f"its header promises {promised} bytes of sound and {there} are there"
        lost = self.n_samples - n_read
        allowed = 0
        if self._sound.format == "MP3":
            allowed = _SLOPPY_MP3 if self._mp3_knows_its_length() else sys.maxsize
        if lost > allowed:
            return f"its header promises {self.n_samples / self.rate_hz:.2f} s"
        if self._sound.format == "OGG" and not self._ogg_is_ended():
            return "its last page is not marked as the end"
        return ""

    def _mp3_knows_its_length(self) -> bool:
        """Tell whether the first frame counts the others; without that, libsndfile guesses."""
        tag = self._slice(0, 10)
        start = 0
        if tag[:3] == b"ID3":  # its size is four times seven bits (id3.org, ID3v2.4 section 3.1)
            start = 10 + sum(
                byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)
            )
        first_frame = self._slice(start, 64)
        return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))

    def _ogg_is_ended(self) -> bool:
        """Tell whether the last page is whole and marked as last (RFC 3533, section 6)."""
        n_bytes = os.fstat(self._bytes.fileno()).st_size
        tail = self._slice(max(0, n_bytes - (1 << 17)), 1 << 17)  # a page has at most 65307 bytes
        page = tail[max(0, tail.rfind(b"OggS")) :]
        if len(page) < _OGG_HEADER:
            return False
        body = _OGG_HEADER + page[26]  # behind the header, one length for each segment
        return bool(page[5] & 4) and len(page) >= body + sum(page[_OGG_HEADER:body])

    def _slice(self, start: int, n_bytes: int) -> bytes:
        self._bytes.seek(start)
        return self._bytes.read(n_bytes)

    def _decoder(self) -> Any:  # noqa: ANN401  (soundfile has no types)
        import soundfile

        class Forward(soundfile.SoundFile):  # type: ignore[misc]
            """Never seeks: soundfile seeks after each read, which breaks Opus and floods mpg123."""

            def seekable(self) -> bool:
                return False

        n_bytes = os.fstat(self._bytes.fileno()).st_size
        if n_bytes == 0:
            raise EmptyAudioError(f"{self.name} is empty: it has no bytes; record it again")
        unfinished = _unfinished_size(self._slice(0, 1 << 16), n_bytes)
        try:
            sound = Forward(_Contents(self._bytes, n_bytes, unfinished=unfinished))
            self.n_samples = sound.frames
            if sound.format == "MP3" and not self._mp3_knows_its_length():
                sound.close()
                sound = Forward(_Contents(self._bytes, n_bytes, endless=True))
        except soundfile.LibsndfileError as error:
            known = "malformed" in str(error).lower()
            why = "it starts like audio but is malformed" if known else "no known format"
            raise AudioFormatError(f"{self.name} is no audio: {why}; {_CAN_READ}") from error
        return sound


class _Contents:
    """The bytes of a file without its name, so that the content alone decides the format.

    Args:
        file: The file itself.
        n_bytes: Its size.
        unfinished: Where four bytes of it are to read `FF FF FF FF` instead.
        endless: Pretend that the file goes on. Of an MP3 that does not count its frames libsndfile
            guesses the length from the first one, and stops there; it stops at the true end of a
            file that it takes for a longer one.
    """

    def __init__(
        self, file: IO[bytes], n_bytes: int, *, unfinished: int | None = None, endless: bool = False
    ) -> None:
        self._file: Any = file
        self._unfinished = unfinished
        self._claimed = n_bytes * _LONGEST_GUESS if endless else n_bytes
        # Where a tag would be: libmpg123 looks there first, and takes a file without it for broken.
        self._tag = self._claimed - 256 if endless else self._claimed
        self._at = 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence, self._claimed)
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (a buffer of cffi)
        start = self._at
        if self._tag <= start < self._claimed:
            n_bytes = min(len(buffer), self._claimed - start)
            buffer[:n_bytes] = bytes(n_bytes)
        else:
            self._file.seek(start)
            n_bytes = self._file.readinto(buffer)
        if self._unfinished is not None:
            low, high = max(start, self._unfinished), min(start + n_bytes, self._unfinished + 4)
            if low < high:
                buffer[low - start : high - start] = bytes([255]) * (high - low)
        self._at += n_bytes
        return n_bytes


def _unfinished_size(head: bytes, n_bytes: int) -> int | None:
    """Find the length of a WAV file's sound if it says 0 because its writer never came to the end.

    Args:
        head: The first bytes of the file.
        n_bytes: All bytes of the file.

    Returns:
        Where the four bytes of the length are, or None where it can be believed.
    """
    riff = int.from_bytes(head[4:8], "little") + 8
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or riff >= n_bytes:
        return None
    at = 12
    while at + 8 < min(len(head), n_bytes):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        if head[at : at + 4] == b"data":
            return at + 4 if size == 0 else None
        at += 8 + size + size % 2
    return None


def version_of_decoder() -> str:
    """Return the version of libsndfile; what formats it reads depends on it (MP3 since 1.1)."""
    import soundfile

    return str(soundfile.__libsndfile_version__)


def _opened(source: str | os.PathLike[str], name: str) -> IO[bytes]:
    if source == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise AudioReadError("standard input is no recording: pipe one in, or name a file")
        return _spooled(sys.stdin.buffer)
    try:
        file = Path(source).open("rb")  # noqa: SIM115  (the caller closes it)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        with file:
            return _spooled(file)
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"{name} does not exist: check the path") from error
    except IsADirectoryError as error:
        raise AudioReadError(f"{name} is a folder: give the recordings in it") from error
    except OSError as error:
        raise AudioReadError(f"{name} cannot be read: {error.strerror or error}") from error


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    """Copy a stream that cannot seek to a temporary file, which goes when it is closed."""
    import shutil
    import tempfile

    spool = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
    shutil.copyfileobj(stream, spool, 1 << 20)
    spool.seek(0)
    return spool
