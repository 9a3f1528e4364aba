"""Audio: any file, rate and channel count gives the same samples; bad input gets a clear error."""

import io
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wav2edge.lm.errors import Wav2EdgeError
from wav2edge.runtime.audio import Audio, Resampler, possible_rate
from wav2edge.runtime.errors import (
    AudioError,
    AudioFormatError,
    AudioNotFoundError,
    AudioReadError,
    EmptyAudioError,
    SampleRateError,
    SamplesError,
    SampleTypeError,
    TruncatedAudioError,
)

RATE_HZ = 16_000
FORMATS = {  # suffix -> format, subtype, largest error of a sample
    "wav": ("WAV", "PCM_16", 1e-4),
    "float.wav": ("WAV", "FLOAT", 0.0),
    "u8.wav": ("WAV", "PCM_U8", 1e-2),
    "flac": ("FLAC", "PCM_24", 1e-6),
    "ogg": ("OGG", "VORBIS", 0.1),
    "opus": ("OGG", "OPUS", 0.1),
    "mp3": ("MP3", "MPEG_LAYER_III", 0.1),
    "aiff": ("AIFF", "PCM_16", 1e-4),
    "w64": ("W64", "PCM_16", 1e-4),
}
# How much of a sound these formats can give when their file is cut in the middle.
TELL_A_CUT = ("wav", "float.wav", "flac", "ogg", "opus", "mp3", "aiff", "w64")


def tone(n_samples: int, rate_hz: int = RATE_HZ, hertz: float = 220.0) -> NDArray[np.float32]:
    """A sine of amplitude 0.3 that swells in and out, so that no codec has an edge to smear."""
    times_s = np.arange(n_samples) / rate_hz
    swell = np.sin(np.pi * np.arange(n_samples) / max(1, n_samples))
    return (0.3 * swell * np.sin(2 * np.pi * hertz * times_s)).astype(np.float32)


def write(folder: Path, suffix: str, samples: NDArray[np.float32], rate_hz: int = RATE_HZ) -> Path:
    """Store samples, `[n]` or `[n, channels]`, in one of `FORMATS`."""
    container, subtype, _ = FORMATS[suffix]
    path = folder / f"sound.{suffix}"
    soundfile.write(path, samples, rate_hz, format=container, subtype=subtype)
    return path


def read(source: Any, sample_rate: Any = None, to_hz: int = RATE_HZ) -> NDArray[np.float32]:  # noqa: ANN401
    """All blocks of a source together."""
    with Audio(source, sample_rate=sample_rate, to_hz=to_hz) as audio:
        return np.concatenate([np.zeros(0, np.float32), *audio.blocks()])


def read_until_error(
    source: Path | NDArray[np.float32], sample_rate: int | None = None
) -> tuple[NDArray[np.float32], AudioError]:
    """The blocks that come before an error, and the error."""
    blocks = [np.zeros(0, np.float32)]
    with (
        Audio(source, sample_rate=sample_rate, to_hz=RATE_HZ) as audio,
        pytest.raises(AudioError) as caught,
    ):
        blocks += audio.blocks()  # what a list was given before an exception, it keeps
    return np.concatenate(blocks), caught.value


# --- what can be read ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_its_samples(suffix: str, tmp_path: Path) -> None:
    """Each format comes back as mono float32 of the same length, within what its codec loses."""
    samples = tone(48_000)
    found = read(write(tmp_path, suffix, samples))
    assert found.dtype == np.float32
    assert len(found) == len(samples)
    assert np.abs(found - samples).max() <= FORMATS[suffix][2]


@pytest.mark.parametrize("suffix", FORMATS)
def test_many_blocks_equal_one(suffix: str, tmp_path: Path) -> None:
    """Decoding in blocks gives what libsndfile gives in one piece: no codec is disturbed."""
    path = write(tmp_path, suffix, tone(300_001))
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read(path), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("n_channels", [1, 2, 6])
def test_channels_are_averaged(n_channels: int, tmp_path: Path) -> None:
    """Any number of channels becomes their mean."""
    channels = np.stack([tone(1000, hertz=100.0 * (c + 1)) for c in range(n_channels)], axis=1)
    found = read(write(tmp_path, "float.wav", channels))
    np.testing.assert_allclose(found, channels.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(
    "rate_hz", [1000, 7350, 8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000]
)
def test_every_rate_is_resampled(rate_hz: int, tmp_path: Path) -> None:
    """A tone recorded at any rate is the same tone at the model's rate."""
    path = write(tmp_path, "float.wav", tone(2 * rate_hz, rate_hz), rate_hz)
    found, expected = read(path), tone(2 * RATE_HZ)
    assert abs(len(found) - len(expected)) <= 1
    middle = slice(2000, 30_000)
    assert np.abs(found[middle] - expected[middle]).max() < 2e-3


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([7350, 8000, 11_025, 44_100, 96_000]),
    st.lists(st.integers(0, 20_000), max_size=6),
)
def test_resampling_in_blocks_equals_the_whole(rate_hz: int, cuts: list[int]) -> None:
    """However a stream is cut, resampling it gives what resampling it whole gives."""
    samples = np.random.default_rng(rate_hz).uniform(-1, 1, 20_000).astype(np.float32)
    resampler = Resampler(rate_hz, RATE_HZ)
    pieces = [resampler.push(piece) for piece in np.split(samples, sorted(cuts))]
    found = np.concatenate([*pieces, resampler.finish()])
    np.testing.assert_allclose(found, soxr.resample(samples, rate_hz, RATE_HZ), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", ">f8"])
def test_float_arrays_are_taken_as_they_are(dtype: Any) -> None:  # noqa: ANN401
    """Floats of any width and byte order mean the same."""
    samples = tone(1000).astype(dtype)
    np.testing.assert_allclose(read(samples, RATE_HZ), tone(1000), atol=1e-3)


@pytest.mark.parametrize("dtype", ["<i2", ">i2"])
def test_int16_is_scaled(dtype: str) -> None:
    """16-bit integers are divided by 32768, as they are in a WAV file."""
    samples = np.array([0, 16384, -32768, 32767], dtype)
    np.testing.assert_array_equal(
        read(samples, RATE_HZ), np.array([0, 0.5, -1, 32767 / 32768], np.float32)
    )


def test_strided_arrays_are_read_in_order() -> None:
    """A view with gaps, such as one channel of a stereo array, is read like a copy of it."""
    stereo = np.stack([tone(5000), -tone(5000)], axis=1)
    np.testing.assert_array_equal(read(stereo[:, 1], 8000), read(stereo[:, 1].copy(), 8000))


def test_an_array_is_not_changed() -> None:
    """The caller's samples stay as they were."""
    samples = tone(1000)
    read(samples, 8000)
    np.testing.assert_array_equal(samples, tone(1000))


def test_duration_is_counted_at_the_source_rate(tmp_path: Path) -> None:
    """Duration is that of the audio itself, whatever resampling rounds."""
    with Audio(
        write(tmp_path, "wav", tone(44_099, 44_100), 44_100), sample_rate=None, to_hz=8000
    ) as a:
        assert a.promised_s == pytest.approx(44_099 / 44_100)
        list(a.blocks())
        assert a.duration_s == pytest.approx(44_099 / 44_100)


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    """A named pipe, which cannot seek, is read like the file that goes through it."""
    path = write(tmp_path, "opus", tone(48_000))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    writer.start()
    found = read(pipe)
    writer.join()
    np.testing.assert_array_equal(found, read(path))


@pytest.mark.parametrize("suffix", ["wav", "flac", "opus", "mp3"])
def test_standard_input_is_a_file(suffix: str, tmp_path: Path) -> None:
    """`-` reads a recording of any format from standard input."""
    path = write(tmp_path, suffix, tone(48_000))
    code = (
        "from wav2edge.runtime.audio import Audio\n"
        "with Audio('-', sample_rate=None, to_hz=16000) as audio:\n"
        "    print(sum(len(block) for block in audio.blocks()))"
    )
    with path.open("rb") as stdin:
        found = subprocess.run(
            [sys.executable, "-c", code], stdin=stdin, capture_output=True, text=True, check=True
        )
    assert int(found.stdout) == 48_000


def patched(path: Path, riff: int, data: int) -> Path:
    """Rewrite the lengths in a WAV file's header."""
    contents = bytearray(path.read_bytes())
    struct.pack_into("<I", contents, 4, riff)
    struct.pack_into("<I", contents, contents.index(b"data") + 4, data)
    path.write_bytes(contents)
    return path


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),  # ffmpeg into a pipe
        (0x7FFFF024, 0x7FFFF000),  # sox into a pipe
        (0, 0),  # a recorder that lost power
        (36, 0),
    ],
)
def test_a_wav_whose_writer_could_not_go_back_is_whole(
    riff: int, data: int, tmp_path: Path
) -> None:
    """Lengths that say "unknown" or were never filled in cost no sample and raise no error."""
    path = write(tmp_path, "wav", tone(48_000))
    expected = read(path)
    np.testing.assert_array_equal(read(patched(path, riff, data)), expected)


def without_length(path: Path) -> bytes:
    """The bytes of an MP3 without its first frame, the one that counts the others."""
    contents = path.read_bytes()
    assert b"Xing" in contents[:100]
    return contents[contents.index(contents[:2], 4) :]


@pytest.mark.parametrize("tail", [b"", b"TAG" + bytes(125), b"APETAGEX" + bytes(200)])
def test_an_mp3_that_does_not_count_its_frames_is_whole(tail: bytes, tmp_path: Path) -> None:
    """An MP3 of varying bit rate is read to its end, not to where its first frame points."""
    loud_in_the_middle = tone(480_000)  # its frames differ in size
    path = write(tmp_path, "mp3", loud_in_the_middle)
    path.write_bytes(without_length(path) + tail)
    found = read(path)
    assert 480_000 <= len(found) < 480_000 + 4 * 1152  # nothing tells how much of it is padding
    delay = len(found) - 480_000
    errors = [np.abs(found[shift:][:480_000] - loud_in_the_middle).max() for shift in range(delay)]
    assert min(errors) < 0.1


def test_a_cut_mp3_that_does_not_count_its_frames_says_so(tmp_path: Path) -> None:
    """A cut inside a frame is told even where no length is."""
    path = write(tmp_path, "mp3", tone(480_000))
    contents = without_length(path)
    path.write_bytes(contents[: contents.rindex(contents[:2]) + 4])  # the last frame's header
    found, error = read_until_error(path)
    assert isinstance(error, TruncatedAudioError)
    assert len(found) > 479_000


def test_a_tag_before_an_mp3_changes_nothing(tmp_path: Path) -> None:
    """An ID3 tag, of whatever size and contents, moves the first frame and nothing else."""
    path = write(tmp_path, "mp3", tone(48_000))
    expected = read(path)
    tag = b"ID3\4\0\0" + bytes([0, 0, 2, 0]) + b"Info" * 64
    path.write_bytes(tag + path.read_bytes())
    np.testing.assert_array_equal(read(path), expected)
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])
    assert isinstance(read_until_error(path)[1], TruncatedAudioError)


def test_a_sloppy_header_is_forgiven(tmp_path: Path) -> None:
    """A header that counts itself along with the sound, as some writers do, is no cut."""
    path = write(tmp_path, "wav", tone(48_000))
    assert len(read(patched(path, 96_080, 96_044))) == 48_000


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Reading 40 minutes of stereo, 400 MB as float32, takes under 60 MB more than 4 minutes."""
    code = (
        "import resource, sys\n"
        "from wav2edge.runtime.audio import Audio\n"
        "with Audio(sys.argv[1], sample_rate=None, to_hz=8000) as audio:\n"
        "    print(sum(len(block) for block in audio.blocks()))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks_kb = []
    for minutes in (4, 40):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", 22_050, 2, "PCM_16") as file:
            for _ in range(minutes):
                file.write(np.zeros((60 * 22_050, 2), np.float32))
        out = subprocess.check_output([sys.executable, "-c", code, str(path)], text=True)
        n_samples, peak_kb = map(int, out.split())
        assert n_samples == minutes * 60 * 8000
        peaks_kb.append(peak_kb)
    assert peaks_kb[1] - peaks_kb[0] < 60_000


def test_no_real_recording_is_called_cut(shared_data: Path) -> None:
    """Recordings of every kind in the corpus are read to the end without an error."""
    by_suffix: dict[str, list[Path]] = {}
    for path in sorted((shared_data / "dev").rglob("*")):
        if path.suffix in {".wav", ".flac", ".ogg", ".opus", ".mp3"}:
            by_suffix.setdefault(path.suffix, []).append(path)
    assert by_suffix
    for paths in by_suffix.values():
        for path in paths[:: max(1, len(paths) // 40)]:
            assert len(read(path)) > 0, path


# --- what cannot ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda _: None, AudioNotFoundError, "does not exist"),
        (lambda path: path.mkdir(), AudioReadError, "is a folder"),
        (lambda path: path.write_bytes(b""), EmptyAudioError, "no bytes"),
        (lambda path: path.write_text("not a sound\n" * 99), AudioFormatError, "no known format"),
        (lambda path: path.write_bytes(os.urandom(5000)), AudioFormatError, "can be read"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVEfmt "), AudioFormatError, "is no audio"),
        (
            lambda path: soundfile.write(path, tone(0), RATE_HZ, format="WAV"),
            EmptyAudioError,
            "no samples",
        ),
    ],
    ids=["missing", "a folder", "empty", "text", "noise", "half a header", "no samples"],
)
@pytest.mark.parametrize("suffix", ["wav", "mp3", "raw", "txt"])
def test_what_is_no_recording_is_refused(
    make: Callable[[Path], Any], kind: type[AudioError], message: str, suffix: str, tmp_path: Path
) -> None:
    """Missing, empty, zero-length and non-audio files raise a typed error that names the file.

    The suffix makes no difference: the content decides.
    """
    path = tmp_path / f"sound.{suffix}"
    make(path)
    with pytest.raises(kind, match=message) as caught:
        read(path)
    assert "sound." + suffix in str(caught.value)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file that the system does not open is an error that says why."""
    if os.geteuid() == 0:
        pytest.skip("the superuser may read everything")
    path = write(tmp_path, "wav", tone(1000))
    path.chmod(0)
    with pytest.raises(AudioReadError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize("suffix", TELL_A_CUT)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_cut_recording_gives_what_it_has_and_says_so(
    suffix: str, share: float, tmp_path: Path
) -> None:
    """All samples before the cut come out, then an error; only the codec's last block is lost."""
    noise = np.random.default_rng(0).normal(0, 0.1, 480_000).astype(np.float32)
    path = write(tmp_path, suffix, noise)  # noise has the same bit rate throughout
    whole = read(path)
    contents = path.read_bytes()
    path.write_bytes(contents[: int(len(contents) * share)])
    found, error = read_until_error(path)
    assert isinstance(error, TruncatedAudioError)
    assert path.name in str(error)
    assert share - 0.05 < len(found) / len(whole) < share + 0.05
    np.testing.assert_allclose(found[:-2000], whole[: len(found) - 2000], atol=1e-3)


def test_a_damaged_flac_gives_what_lies_before_the_damage(tmp_path: Path) -> None:
    """Bytes overwritten in the middle of a FLAC file cost nothing that was before them."""
    path = write(tmp_path, "flac", np.random.default_rng(0).uniform(-0.5, 0.5, 100_000).astype("f"))
    whole = read(path)
    contents = bytearray(path.read_bytes())
    half = len(contents) // 2
    contents[half : half + 9000] = bytes(9000)
    path.write_bytes(contents)
    found, error = read_until_error(path)
    assert isinstance(error, TruncatedAudioError)
    n_before = 45_000  # less than half: FLAC decodes blocks of 4096
    np.testing.assert_array_equal(found[:n_before], whole[:n_before])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1, 170_000])
def test_nan_and_infinity_are_refused_where_they_stand(bad: float, place: int) -> None:
    """The error names the first bad sample; every sample before it has come out."""
    samples = tone(200_000)
    samples[place], samples[-1] = bad, bad
    found, error = read_until_error(samples, RATE_HZ)
    assert isinstance(error, SamplesError)
    assert f"sample {place} of the array is {bad:g}" in str(error)
    np.testing.assert_array_equal(found, samples[:place])


def test_nan_in_a_file_is_refused(tmp_path: Path) -> None:
    """Float WAV files can hold NaN; they are checked like arrays."""
    samples = tone(400_000)
    samples[300_000] = np.nan
    found, error = read_until_error(write(tmp_path, "float.wav", samples))
    assert "sample 300000 of" in str(error)
    assert len(found) == 300_000


def test_integers_passed_as_floats_are_refused() -> None:
    """The unscaled values of a 16-bit recording are told from samples a bit too loud."""
    with pytest.raises(SamplesError, match=r"sample \d+ of the array .* divide by"):
        read(tone(2000) * 32768, RATE_HZ)
    assert len(read(tone(2000) * 8, RATE_HZ)) == 2000


def test_huge_floats_raise_no_warning() -> None:
    """A float64 beyond float32 is a clear error, not an overflow."""
    with pytest.raises(SamplesError, match="1e\\+300"):
        read(np.array([0.0, 1e300]), RATE_HZ)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint16, np.int64, bool, complex])
def test_types_without_a_scale_are_refused(dtype: Any) -> None:  # noqa: ANN401
    """Integers other than int16, booleans and complex numbers are refused, with what to do."""
    with pytest.raises(SampleTypeError, match="divide integers by their full scale"):
        read(np.zeros(1000, dtype), RATE_HZ)


@pytest.mark.parametrize("value", [[0.0, 0.1], 3, None, b"RIFF", io.BytesIO(b"RIFF")])
def test_what_is_neither_path_nor_array_is_refused(value: Any) -> None:  # noqa: ANN401
    """Lists, bytes and open files are refused by the name of their type."""
    with pytest.raises(SampleTypeError, match=type(value).__name__):
        read(value, RATE_HZ)


@pytest.mark.parametrize("shape", [(2, 1000), (1000, 2), (1, 1000), ()])
def test_several_axes_are_refused(shape: tuple[int, ...]) -> None:
    """An array of several channels is refused with how to average them."""
    with pytest.raises(SamplesError, match="average the channels"):
        read(np.zeros(shape, np.float32), RATE_HZ)


@pytest.mark.parametrize(
    "rate", [0, -16_000, 999, 10_000_000, 44_100.5, np.nan, np.inf, True, "16000"]
)
def test_rates_that_cannot_be_are_refused(rate: Any) -> None:  # noqa: ANN401
    """Zero, negative, absurd and fractional rates are refused, naming what was given."""
    with pytest.raises(SampleRateError, match="whole hertz from 1000 to 1000000"):
        read(tone(1000), rate)


def test_whole_rates_of_any_type_are_taken() -> None:
    """Python and numpy integers, and floats that are whole, are rates."""
    rates = (16_000, 16_000.0, np.int64(16_000), np.float64(16_000))
    assert {possible_rate(rate) for rate in rates} == {16_000}


def test_an_array_needs_its_rate() -> None:
    """An array without a sample rate is refused: guessing one garbles the text without a word."""
    with pytest.raises(SampleRateError, match="pass sample_rate"):
        read(tone(1000))


def test_a_recording_knows_its_rate_better(tmp_path: Path) -> None:
    """A sample rate given with a recording must be the recording's own."""
    path = write(tmp_path, "wav", tone(1000, 8000), 8000)
    assert len(read(path, 8000)) == 2000
    with pytest.raises(SampleRateError, match="says 8000 Hz itself"):
        read(path, 16_000)


@pytest.mark.parametrize("rate_hz", [1, 100, 2_000_000])
def test_a_recording_with_a_silly_rate_is_refused(rate_hz: int, tmp_path: Path) -> None:
    """A header with a rate that no recorder has is refused, not resampled by a thousand."""
    with pytest.raises(SampleRateError, match=str(rate_hz)):
        read(write(tmp_path, "wav", tone(1000), rate_hz))


def test_errors_are_also_built_ins() -> None:
    """Whoever knows only Python catches these as what they are."""
    pairs = {
        AudioNotFoundError: FileNotFoundError,
        AudioReadError: OSError,
        AudioFormatError: ValueError,
        EmptyAudioError: ValueError,
        TruncatedAudioError: EOFError,
        SamplesError: ValueError,
        SampleTypeError: TypeError,
        SampleRateError: ValueError,
    }
    for leaf, built_in in pairs.items():
        assert issubclass(leaf, built_in)
        assert issubclass(leaf, Wav2EdgeError)
