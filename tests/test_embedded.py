"""The model that ships: its size, its parity, and what it makes of real recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.events import Final, SpeechStart
from wav2edge.runtime.recognizer import Recognizer, load

pytest.importorskip("rapidfuzz", reason="error rates are counted with rapidfuzz")

from wav2edge.lm.scoring import character_error_rate, word_error_rate
from wav2edge.training.evaluate import Spoken, digit_strings
from wav2edge.training.sentences import normalize_text

Samples = NDArray[np.float32]
RATE_HZ = 16_000


def recordings(shared_data: Path, split: str, folder: str) -> list[Spoken]:
    """The recordings of one folder of the manifest, and their transcripts."""
    from wav2edge.training.recordings import read_manifest, read_recording

    rows = [row for row in read_manifest(shared_data, split) if row["set"] == folder]
    return [
        (read_recording(shared_data / row["path"]), normalize_text(row["norm"])) for row in rows
    ]


@pytest.fixture(scope="module")
def recognizer(embedded_bundle: Path) -> Recognizer:
    """The embedded model, loaded as a user loads it."""
    assert embedded_bundle.is_dir()
    return load()


@pytest.fixture(scope="module")
def strings(shared_data: Path) -> list[tuple[Samples, str, list[tuple[float, float]]]]:
    """Digit strings of an unseen speaker, their text, and where each digit starts and ends."""
    strings = digit_strings(recordings(shared_data, "dev", "fsdd"))
    return [(samples, text, _spans(samples)) for samples, text in strings]


def _spans(samples: Samples) -> list[tuple[float, float]]:
    """Find the digits between the gaps of digital silence, at least 140 ms long."""
    sounding = np.flatnonzero(samples != 0)
    breaks = np.flatnonzero(np.diff(sounding) > 0.14 * RATE_HZ)
    starts = sounding[np.concatenate([[0], breaks + 1])]
    ends = sounding[np.concatenate([breaks, [len(sounding) - 1]])]
    return [(start / RATE_HZ, end / RATE_HZ) for start, end in zip(starts, ends, strict=True)]


def test_the_bundle_is_small_proved_and_described(embedded_bundle: Path) -> None:
    """At most 12 MB, int8, not forced, parity reported, a card that names data and licences."""
    bundle = Bundle.read(embedded_bundle)
    assert sum(facts.bytes for facts in bundle.manifest.files.values()) <= 12e6
    assert bundle.manifest.precision["name"] == "int8"
    assert not bundle.manifest.forced
    assert bundle.manifest.parity["offline"]["agreement"] >= 0.98
    card = (embedded_bundle / "MODEL_CARD.md").read_text()
    for word in ("WER", "CER", "CC BY", "espeak-ng", "dictation"):
        assert word in card


def test_digit_strings_of_an_unseen_speaker(
    recognizer: Recognizer, strings: list[tuple[Samples, str, list[tuple[float, float]]]]
) -> None:
    """Word error rate at most 20 % on 30 strings of 5 digits."""
    pairs = [(text, recognizer.transcribe(samples, RATE_HZ).text) for samples, text, _ in strings]
    assert word_error_rate(pairs).rate <= 0.20


def test_word_times_of_joined_digits(
    recognizer: Recognizer, strings: list[tuple[Samples, str, list[tuple[float, float]]]]
) -> None:
    """The median error of starts and of ends is at most 100 ms, where every digit is heard."""
    starts, ends = [], []
    for samples, _, spans in strings:
        words = [w for s in recognizer.transcribe(samples, RATE_HZ).segments for w in s.words]
        if len(words) == len(spans):
            starts += [abs(word.start_s - span[0]) for word, span in zip(words, spans, strict=True)]
            ends += [abs(word.end_s - span[1]) for word, span in zip(words, spans, strict=True)]
    assert len(starts) >= 50
    assert float(np.median(starts)) <= 0.1
    assert float(np.median(ends)) <= 0.1


def test_silence_has_no_words(recognizer: Recognizer) -> None:
    """Ten seconds of digital silence, and of the faintest noise, say nothing."""
    for samples in (
        np.zeros(10 * RATE_HZ),
        1e-5 * np.random.default_rng(0).standard_normal(160_000),
    ):
        assert recognizer.transcribe(samples, RATE_HZ).text == ""


def test_noise_has_next_to_no_words(recognizer: Recognizer, shared_data: Path) -> None:
    """All noise recordings together, dogs, rain, helicopters, give at most 5 words."""
    n_words = 0
    for samples, _ in recordings(shared_data, "noise", "noise"):
        n_words += len(recognizer.transcribe(samples, RATE_HZ).text.split())
    assert n_words <= 5


def test_long_recordings_hardly_depend_on_the_step(
    recognizer: Recognizer, strings: list[tuple[Samples, str, list[tuple[float, float]]]]
) -> None:
    """Two minutes in steps of 10, 20 and 30 s differ in at most 0.5 % of the characters."""
    gap = np.zeros(RATE_HZ // 2, np.float32)
    samples = np.concatenate([x for one, _, _ in strings for x in (one, gap)])
    assert len(samples) > 90 * RATE_HZ
    alphabet, texts = recognizer.bundle.alphabet, []
    assert isinstance(recognizer._model, AcousticModel)
    for step_s in (10.0, 20.0, 30.0):
        log_probs = np.concatenate(list(recognizer._model.log_probs([samples], step_s=step_s)))
        texts.append(alphabet.text(alphabet.masked(log_probs).argmax(axis=1)))
    for text in (texts[0], texts[2]):
        assert character_error_rate([(texts[1], text)]).rate <= 0.005


def test_streaming_says_about_what_offline_says(
    recognizer: Recognizer, strings: list[tuple[Samples, str, list[tuple[float, float]]]]
) -> None:
    """At the accurate preset digit strings lose at most 5 points of WER against offline."""
    offline, live = [], []
    for samples, text, _ in strings:
        offline.append((text, recognizer.transcribe(samples, RATE_HZ).text))
        stream = recognizer.stream("accurate")
        events = stream.push(samples) + stream.finish()
        live.append((text, " ".join(e.text for e in events if isinstance(e, Final))))
        assert isinstance(events[0], SpeechStart)
    assert word_error_rate(live).rate <= word_error_rate(offline).rate + 0.05


def test_the_verification_clips_are_what_they_say(recognizer: Recognizer) -> None:
    """The shipped clips are mono at 16 kHz, and the digits in them come out as text."""
    clips = sorted((Path(__file__).parents[1] / "export" / "clips").glob("*.ogg"))
    assert {soundfile.info(path).samplerate for path in clips} == {RATE_HZ}
    text = recognizer.transcribe(clips[1]).text
    spoken = "ZERO ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE"
    assert word_error_rate([(spoken, text)]).rate <= 0.3


def test_json_is_one_line_with_the_promised_keys(
    recognizer: Recognizer, embedded_bundle: Path
) -> None:
    """The demo clip's JSON has the keys that the command promises."""
    found = json.loads(recognizer.transcribe(embedded_bundle / "demo.ogg").to_json())
    assert list(found) == ["file", "text", "duration_s", "segments"]
    assert list(found["segments"][0]) == ["text", "start_s", "end_s", "confidence", "words"]
    assert list(found["segments"][0]["words"][0]) == ["text", "start_s", "end_s", "confidence"]
