"""The spoken lines of adventure games are found in archives laid out as the real ones."""

import io
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

pytest.importorskip("torch", reason="training needs torch")

from wav2edge.training.adventures import left_out, spoken_lines
from wav2edge.training.voices import RATE_HZ

_UNPACK = """#!/bin/sh
# In place of the real program: what is behind the four bytes that tell the format.
test "$1" = decompress && tail -c +5 "$2" > "$3"
"""


def tone(hz: float, rate_hz: int, n_samples: int) -> npt.NDArray[np.float64]:
    """Half as loud as can be."""
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate_hz)


def loudest_hz(samples: npt.NDArray[np.float32]) -> float:
    """Where the spectrum has its peak."""
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE_HZ / len(samples))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both archives, and a program that unpacks."""
    share = tmp_path / "usr/share/scummvm"
    (share / "flight-of-the-amazon-queen").mkdir(parents=True)
    (share / "flight-of-the-amazon-queen/queen.1c").write_bytes(_queen())
    (share / "beneath-a-steel-sky").mkdir()
    directory, disk = _sky()
    (share / "beneath-a-steel-sky/sky.dnr").write_bytes(directory)
    (share / "beneath-a-steel-sky/sky.dsk").write_bytes(disk)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ancient").write_text(_UNPACK)
    (tmp_path / "bin/ancient").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


def _queen() -> bytes:
    """Two lines of 700 and 900 Hz, and a picture between them."""
    files = {"C1A.SB": _mp3(700), "ROOM.PCX": b"picture", "020001P2.SB": _mp3(900)}
    archive = b"QTBLCEM10".ljust(13, b"\0") + struct.pack(">H", len(files))
    start = len(archive) + 21 * len(files)
    for name, content in files.items():
        archive += struct.pack(">12sBII", name.encode(), 1, start, len(content))
        start += len(content)
    return archive + b"".join(files.values())


def _mp3(hz: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(hz, 11025, 11025), 11025, format="MP3")
    return file.getvalue()


def _sky() -> tuple[bytes, bytes]:
    """A line of 500 Hz behind 16 MB, whose place counts blocks; a picture; a line that is none."""
    packed = b"RNC\x01" + np.round(tone(500, 11025, 22050) * 128 + 128).astype(np.uint8).tobytes()
    spoken = bytes(22) + packed
    far = 1 << 24
    entries = [
        (60_000, 0, 10, 0),
        (50_007, 0x800000 | far >> 4, len(spoken), 1),
        (50_008, 0, 40, 2),
    ]
    directory = struct.pack("<I", len(entries))
    for number, place, size, flags in entries:
        directory += struct.pack("<H", number) + place.to_bytes(3, "little")
        directory += (size | flags << 22).to_bytes(3, "little")
    return directory, bytes(far) + spoken


def test_lines_of_both_games(packages: Path) -> None:
    """Names, lengths and pitches; what is no line is passed over."""
    lines = list(spoken_lines(packages))
    assert [name for name, _ in lines] == ["queen C1A.SB", "queen 020001P2.SB", "sky 50007"]
    for (_, samples), hz, lasts_s in zip(lines, (700, 900, 500), (1, 1, 2), strict=True):
        assert samples.dtype == np.float32
        assert len(samples) / RATE_HZ == pytest.approx(lasts_s, abs=0.15)  # MP3 pads
        assert loudest_hz(samples) == pytest.approx(hz, abs=3)
        assert np.abs(samples).max() == pytest.approx(0.5, abs=0.1)


def test_lines_after_one(packages: Path) -> None:
    """The first game's last line is followed by the second game's first; the last by none."""
    names = [name for name, _ in spoken_lines(packages, after="queen 020001P2.SB")]
    assert names == ["sky 50007"]
    assert list(spoken_lines(packages, after="sky 50007")) == []


def test_without_the_unpacking_program_one_game_is_left(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is lost."""
    monkeypatch.setenv("PATH", str(packages))
    assert len(list(spoken_lines(packages))) == 2
    assert list(left_out(packages)) == ["Beneath a Steel Sky"]
    assert "`ancient`" in left_out(packages)["Beneath a Steel Sky"]


def test_without_games_there_are_no_lines(tmp_path: Path) -> None:
    """A folder of other packages is no error."""
    assert list(spoken_lines(tmp_path)) == []
    assert len(left_out(tmp_path)) == 2
