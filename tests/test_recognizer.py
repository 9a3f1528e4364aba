"""The recognizer: the right words at the right times, in bounded memory, and nothing lost."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import FACTS, HOP, RATE_HZ, RECEPTIVE_FIELD, TOKENS, say

import wav2edge
from wav2edge.lm.errors import LanguageModelNotFoundError
from wav2edge.runtime import recognizer as module
from wav2edge.runtime import session
from wav2edge.runtime.bundle import MODEL, Bundle
from wav2edge.runtime.decoders import Decoders
from wav2edge.runtime.errors import (
    BundleNotFoundError,
    DamagedBundleError,
    ModelFormatError,
    ProviderError,
    SamplesError,
    ThreadsError,
    TruncatedAudioError,
)
from wav2edge.runtime.recognizer import Recognizer, load

if TYPE_CHECKING:
    from collections.abc import Callable

SENTENCE = "BAD CAB FEED AGED"


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model, which hears what `say` says."""
    return load(tiny_bundle)


# --- what is loaded ------------------------------------------------------------------------------


def test_a_decoder_is_made_beside_the_session(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session is opened while what decodes is made: a language model takes as long as it."""
    made = threading.Event()
    open_session: Callable[..., object] = session.open_session
    make: Callable[..., object] = Decoders.make

    def opens_late(*given: object, **asked: object) -> object:
        assert made.wait(30), "the session is waited for before a decoder is made"
        return open_session(*given, **asked)

    def makes(*given: object, **asked: object) -> object:
        try:
            return make(*given, **asked)
        finally:
            made.set()

    monkeypatch.setattr(module, "open_session", opens_late)
    monkeypatch.setattr(Decoders, "make", makes)
    assert load(tiny_bundle).transcribe(say("BAD"), RATE_HZ).text == "BAD"


def test_a_load_that_fails_leaves_no_thread(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that cannot be is told when the session is there; of two failures the model's."""
    opened = threading.Event()
    open_session: Callable[..., object] = session.open_session

    def opens(*given: object, **asked: object) -> object:
        time.sleep(0.2)
        opened.set()
        return open_session(*given, **asked)

    monkeypatch.setattr(module, "open_session", opens)
    before = threading.active_count()
    with pytest.raises(LanguageModelNotFoundError):
        load(tiny_bundle, lm=tiny_bundle / "missing.arpa")
    assert opened.is_set()
    assert threading.active_count() == before
    with pytest.raises(ThreadsError):
        load(tiny_bundle, threads=0, lm=tiny_bundle / "missing.arpa")
    assert threading.active_count() == before


# --- what is heard -------------------------------------------------------------------------------


def test_what_is_said_is_written_down(recognizer: Recognizer) -> None:
    """The text of an array is what its samples say."""
    assert recognizer.transcribe(say(SENTENCE), RATE_HZ).text == SENTENCE


def test_words_have_their_times(recognizer: Recognizer) -> None:
    """A word lasts from half a hop before its first frame's centre to half past its last's."""
    words = recognizer.transcribe(say("BAD CAB", n_frames=4), RATE_HZ).words
    middle_s = (RECEPTIVE_FIELD - HOP) / 2 / RATE_HZ
    frames = {"BAD": (0, 14), "CAB": (20, 34)}
    assert [word.text for word in words] == list(frames)
    for word in words:
        start, end = frames[word.text]
        assert word.start_s == pytest.approx(start * HOP / RATE_HZ + middle_s)
        assert word.end_s == pytest.approx(end * HOP / RATE_HZ + middle_s)
        assert 0.9 < word.confidence < 1


def test_times_stay_within_the_audio(recognizer: Recognizer) -> None:
    """No word starts before the audio or ends after it, even cut off at its last sample."""
    samples = say("BAD")[: 10 * HOP + RECEPTIVE_FIELD]
    (word,) = recognizer.transcribe(samples, RATE_HZ).words
    assert 0 <= word.start_s < word.end_s <= len(samples) / RATE_HZ


def test_silence_is_no_words(recognizer: Recognizer) -> None:
    """Ten seconds of zeros give an empty transcript of ten seconds."""
    transcript = recognizer.transcribe(np.zeros(10 * RATE_HZ, np.float32), RATE_HZ)
    assert (transcript.text, transcript.segments, transcript.duration_s) == ("", (), 10.0)


@pytest.mark.parametrize("n_samples", [0, 1, RECEPTIVE_FIELD - 1, RECEPTIVE_FIELD])
def test_audio_shorter_than_a_frame_is_empty(recognizer: Recognizer, n_samples: int) -> None:
    """Audio shorter than the receptive field is an empty text, not an error."""
    transcript = recognizer.transcribe(np.zeros(n_samples, np.float32), RATE_HZ)
    assert transcript.text == ""
    assert transcript.duration_s == n_samples / RATE_HZ


@pytest.mark.parametrize("n_sentences", [10, 22, 23, 24, 45, 100])
def test_long_recordings_lose_nothing_at_the_joints(
    recognizer: Recognizer, n_sentences: int
) -> None:
    """Beyond 30 s the model goes in steps; words and times are those of one step, at any length."""
    said = say((SENTENCE + " ") * n_sentences, n_frames=6)
    transcript = recognizer.transcribe(said, RATE_HZ)
    assert transcript.text == " ".join([SENTENCE] * n_sentences)
    period_s = len(say(SENTENCE + " ", n_frames=6)[: -(RECEPTIVE_FIELD - HOP)]) / RATE_HZ
    n_words = len(SENTENCE.split())
    for place, word in enumerate(transcript.words):
        first = transcript.words[place % n_words]
        assert word.start_s == pytest.approx(first.start_s + place // n_words * period_s)


@settings(deadline=None, max_examples=25)
@given(st.text("ABCDEFG ", max_size=30), st.integers(1, 5), st.integers(0, 200))
def test_any_text_is_heard(tiny_bundle: Path, text: str, n_frames: int, n_extra: int) -> None:
    """Whatever is said is what is heard, with one space where several were said."""
    samples = np.concatenate([say(text, n_frames=n_frames), np.zeros(n_extra, np.float32)])
    assert load(tiny_bundle).transcribe(samples, RATE_HZ).text == " ".join(text.split())


def test_a_file_is_heard_like_its_samples(recognizer: Recognizer, tmp_path: Path) -> None:
    """A recording and the array of its samples give the same words; the file's name is kept."""
    path = tmp_path / "said.wav"
    soundfile.write(path, say(SENTENCE), RATE_HZ, "FLOAT")
    from_file = recognizer.transcribe(path)
    assert from_file.words == recognizer.transcribe(say(SENTENCE), RATE_HZ).words
    assert from_file.file == str(path)
    assert recognizer.transcribe(str(path)) == from_file


def test_stereo_is_averaged(recognizer: Recognizer, tmp_path: Path) -> None:
    """Two channels are heard as their mean."""
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([2 * say("CAB"), 0 * say("CAB")], axis=1), RATE_HZ, "FLOAT")
    assert recognizer.transcribe(path).text == "CAB"


def test_threads_may_share_a_recognizer(recognizer: Recognizer) -> None:
    """Recordings transcribed at the same time do not hear each other."""
    texts = ["BAD", "CAB FACE", "EGG", "DEAF BEE", "CAGE"] * 3
    heard: dict[int, str] = {}

    def work(place: int) -> None:
        heard[place] = recognizer.transcribe(say(texts[place] * 20), RATE_HZ).text

    workers = [threading.Thread(target=work, args=(place,)) for place in range(len(texts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert heard == {place: text * 20 for place, text in enumerate(texts)}


def test_no_delimiter_is_no_spaces(tiny_bundle: Path, tmp_path: Path) -> None:
    """A model without word delimiter gives every token its time, and text without spaces."""
    model = (tiny_bundle / MODEL).read_bytes()
    facts = {**FACTS, "word_delimiter_id": None, "special_ids": [1, 9]}
    bundle = Bundle.write(tmp_path / "bundle", facts, model=model, tokens=TOKENS)
    transcript = load(bundle.folder).transcribe(say("BADGE"), RATE_HZ)
    assert transcript.text == "BADGE"
    assert [word.text for word in transcript.words] == list("BADGE")


def test_progress_is_told(recognizer: Recognizer) -> None:
    """A caller hears how far a long recording is, up to its end."""
    told: list[tuple[float, float]] = []
    samples = np.zeros(65 * RATE_HZ, np.float32)
    recognizer.transcribe(samples, RATE_HZ, progress=lambda *seconds: told.append(seconds))
    assert len(told) >= 3
    assert told == sorted(told)
    assert told[-1] == (65.0, 65.0)


# --- nothing is lost -----------------------------------------------------------------------------


def test_a_cut_recording_keeps_its_transcript(recognizer: Recognizer, tmp_path: Path) -> None:
    """The error of a truncated file carries what was heard, up to the cut."""
    path = tmp_path / "cut.wav"
    soundfile.write(path, say("BAD CAB " * 300), RATE_HZ, "PCM_16")
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])
    with pytest.raises(TruncatedAudioError) as caught:
        recognizer.transcribe(path)
    transcript = caught.value.transcript
    assert transcript is not None
    assert transcript.text.startswith("BAD CAB " * 149)
    assert transcript.file == str(path)
    assert transcript.duration_s == pytest.approx(len(contents) / 4 / RATE_HZ, abs=0.01)


def test_what_precedes_nan_is_kept(recognizer: Recognizer) -> None:
    """NaN in the middle of an array is an error that carries the words before it."""
    said = say("BAD CAB ")
    samples = np.concatenate([said, [np.nan], said])
    with pytest.raises(SamplesError, match=f"sample {len(said)} ") as caught:
        recognizer.transcribe(samples, RATE_HZ)
    assert caught.value.transcript is not None
    assert caught.value.transcript.text == "BAD CAB"


def test_nothing_heard_is_no_transcript(recognizer: Recognizer, tmp_path: Path) -> None:
    """An error before the first sample carries no transcript."""
    (tmp_path / "empty.wav").write_bytes(b"")
    for source in (tmp_path / "empty.wav", tmp_path / "missing.wav"):
        with pytest.raises(wav2edge.Wav2EdgeError) as caught:
            recognizer.transcribe(source)
        assert getattr(caught.value, "transcript", None) is None


def test_memory_does_not_grow_with_the_recording(tiny_bundle: Path, tmp_path: Path) -> None:
    """Transcribing 60 minutes takes under 40 MB more than transcribing 3."""
    code = (
        "import resource, sys, wav2edge\n"
        "print(wav2edge.load(sys.argv[1]).transcribe(sys.argv[2]).duration_s)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks_kb = []
    for minutes in (3, 60):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", RATE_HZ, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(np.zeros(60 * RATE_HZ, np.float32))
        out = subprocess.check_output(
            [sys.executable, "-c", code, str(tiny_bundle), str(path)], text=True
        )
        duration_s, peak_kb = out.split()
        assert float(duration_s) == 60 * minutes
        peaks_kb.append(int(peak_kb))
    assert peaks_kb[1] - peaks_kb[0] < 40_000


def test_an_idle_recognizer_uses_no_cpu(tiny_bundle: Path) -> None:
    """With four threads and work behind it, two idle seconds cost under 2 % of one core."""
    recognizer = load(tiny_bundle, threads=4)
    recognizer.transcribe(np.zeros(30 * RATE_HZ, np.float32), RATE_HZ)
    began_s = time.process_time()
    time.sleep(2.0)
    assert time.process_time() - began_s < 0.04


# --- loading -------------------------------------------------------------------------------------


def test_the_public_names_are_these(tiny_bundle: Path) -> None:
    """`wav2edge.load` makes a `wav2edge.Recognizer`, which makes a `wav2edge.Transcript`."""
    recognizer = wav2edge.load(str(tiny_bundle), threads=2, provider=["cpu"])
    assert isinstance(recognizer, wav2edge.Recognizer)
    assert isinstance(recognizer.transcribe(say("BAD"), RATE_HZ), wav2edge.Transcript)
    assert recognizer.providers == ("cpu",)
    assert recognizer.sample_rate_hz == RATE_HZ


def test_a_missing_embedded_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bundle named, and none installed, the error says both."""
    monkeypatch.setattr(module, "EMBEDDED", tmp_path)
    with pytest.raises(BundleNotFoundError, match=r"no bundle was named.* no embedded model"):
        load()


def test_an_absent_provider_is_told(tiny_bundle: Path) -> None:
    """A provider that is not there is an error at load, not a slower run later."""
    with pytest.raises(ProviderError, match="directml"):
        load(tiny_bundle, provider="directml")


def test_a_damaged_bundle_is_not_loaded(tiny_bundle: Path, tmp_path: Path) -> None:
    """Hashes are checked before the model is opened."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    (folder / MODEL).write_bytes(bytes((folder / MODEL).stat().st_size))
    with pytest.raises(DamagedBundleError, match=r"model\.onnx has SHA-256"):
        load(folder)


@pytest.mark.parametrize("kind", ["not a model", "another model"])
def test_a_bundle_with_another_onnx_is_refused(tmp_path: Path, kind: str) -> None:
    """A bundle whose hashes are right but whose model is none, or not ours, is refused."""
    onnx: Any = pytest.importorskip("onnx")
    contents = b"not a model"
    if kind == "another model":
        one = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        two = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        graph = onnx.helper.make_graph([node], "other", [one], [two])
        opset = onnx.helper.make_opsetid("", 18)
        contents = onnx.helper.make_model(
            graph, opset_imports=[opset], ir_version=10
        ).SerializeToString()
    folder = tmp_path / "bundle"
    Bundle.write(folder, FACTS, model=contents, tokens=TOKENS)
    expected = "is no ONNX model" if kind == "not a model" else "lacks samples"
    with pytest.raises(ModelFormatError, match=expected):
        load(folder)
