"""Synthetic voices: every program that is installed speaks; one that is not says where it is."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="training needs torch")

from wav2edge.training import neural, synthesizers
from wav2edge.training.voices import PROGRAMS, RATE_HZ, Voice, VoiceError, trim


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_voices_speak_without_the_silence_around(program: str) -> None:
    """At 16 kHz; the ends are speech, not padding; more words take longer."""
    if not PROGRAMS[program].is_there():
        pytest.skip(f"{program} is missing; it comes from {PROGRAMS[program].origin}")
    drawn = Voice.draw(random.Random(3), program)
    voice = Voice(program, drawn.name, 160, 50)
    word, words = voice.speak("seven"), voice.speak("seven seven seven seven")
    assert word.dtype == np.float32
    assert 0.2 < len(word) / RATE_HZ < 1.5
    assert len(words) > 2 * len(word)
    for samples in (word, words):
        assert len(trim(samples)) >= len(samples) - 700
        assert np.abs(samples).max() > 0.05


def spectra(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Log power in 25 mel bands every 10 ms, less its mean."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160] * np.hanning(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    edges = np.floor(256 * (10 ** np.linspace(0, np.log10(1 + 8000 / 700), 27) - 1) / (80 / 7))
    bands = np.add.reduceat(power, np.unique(edges[:-1].astype(int)), axis=1)
    logs = np.log(bands + 1e-6 * bands.max())
    return np.asarray(logs - logs.mean(axis=0))


def unlikeness(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Mean distance of two utterances' spectra along their best alignment in time."""
    a, b = spectra(first), spectra(second)
    cost = np.linalg.norm(a[:, None] - b[None], axis=2)
    total = np.full((len(a) + 1, len(b) + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            nearest = min(total[i, j], total[i, j + 1], total[i + 1, j])
            total[i + 1, j + 1] = cost[i, j] + nearest
    return float(total[-1, -1]) / (len(a) + len(b))


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_the_letter_a_is_no_article(program: str) -> None:
    """It sounds more like "hay" or "eight" than like "uh" or "eye"."""
    if not PROGRAMS[program].is_there():
        pytest.skip(f"{program} is missing; it comes from {PROGRAMS[program].origin}")
    voice = Voice(program, Voice.draw(random.Random(3), program).name, 140, 50)
    letters = voice.speak("M, A, M, A")
    right, wrong = (
        min(unlikeness(letters, voice.speak(f"em {word} em {word}")) for word in words)
        for words in (("hay", "eight"), ("uh", "eye"))
    )
    assert right < 0.95 * wrong


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_voice_is_slower_when_asked(program: str) -> None:
    """Half the words a minute take at least a third longer."""
    if not PROGRAMS[program].is_there():
        pytest.skip(f"{program} is missing; it comes from {PROGRAMS[program].origin}")
    name = Voice.draw(random.Random(3), program).name
    slow, fast = (
        Voice(program, name, rate, 50).speak("one two three four five") for rate in (110, 220)
    )
    assert len(slow) > 1.33 * len(fast)


def test_a_missing_program_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typed, and the message says what to install."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VoiceError, match="apt-get install flite"):
        Voice("flite", "slt", 160, 50).speak("seven")


def test_a_program_that_answers_no_sound_is_an_error() -> None:
    """Bytes that are no WAV are told, not decoded."""
    with pytest.raises(VoiceError, match="5 bytes that are no WAV"):
        synthesizers._decode(b"hello")


def test_voices_are_drawn_the_same_again() -> None:
    """From the same seed, with rates and pitches in their ranges."""
    programs = [name for name in PROGRAMS if name != "kokoro"]
    for seed, program in enumerate(programs * 20):
        voice = Voice.draw(random.Random(seed), program)
        assert voice == Voice.draw(random.Random(seed), program)
        assert 120 <= voice.words_per_minute <= 210
        assert 15 <= voice.pitch <= 85


def test_a_mixture_lies_between_its_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the way from the first to the second; names come from the folder's files."""
    monkeypatch.setenv("WAV2EDGE_KOKORO_VOICES", str(tmp_path))
    for name, value in (("af_one", 1.0), ("hm_two", 3.0)):
        np.full((510, 256), value, np.float32).tofile(tmp_path / f"{name}.bin")
    np.testing.assert_allclose(neural._style("af_one:0.25:hm_two"), 1.5)
    drawn = {neural.Kokoro().draw(random.Random(seed)).split(":")[0] for seed in range(50)}
    assert drawn == {"af_one"}, "English leads"


def test_trim_keeps_speech() -> None:
    """All but 20 ms of what is quiet around goes; silence stays as it is."""
    speech = np.zeros(RATE_HZ, np.float32)
    speech[6000:8000] = 0.5
    assert len(trim(speech)) == pytest.approx(2000 + 2 * 320, abs=2)
    assert len(trim(np.zeros(100, np.float32))) == 100


def test_two_voices_that_begin_together_load_once() -> None:
    """The network's package unpacks it at first use, which two threads must not do at once."""
    inside, most, made = 0, 0, []

    def make(name: str) -> object:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1
        made.append(name)
        return object()

    kept = neural.once(make)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(kept, ["a", "a", "b", "a"]))
    assert (most, sorted(made)) == (1, ["a", "b"])
    assert found[0] is found[1] is found[3] is not found[2]
