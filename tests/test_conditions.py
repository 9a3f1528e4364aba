"""Augmentation: effects do what they say, rooms decay as asked, all can be drawn again."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="training needs torch")

from wav2edge.training import augment
from wav2edge.training.conditions import Conditions
from wav2edge.training.corpus import Corpus, Utterance
from wav2edge.training.rooms import draw_room, simulate_room
from wav2edge.training.voices import RATE_HZ


def hiss(seed: int = 0) -> npt.NDArray[np.float32]:
    """One second of white noise."""
    return (0.1 * np.random.default_rng(seed).standard_normal(RATE_HZ)).astype(np.float32)


def test_augmentation_does_what_it_says() -> None:
    """Speed changes the length, noise the ratio in dB, level the RMS, a telephone the band."""
    rng = np.random.default_rng(0)
    speech = hiss()
    assert len(augment.change_voice(speech, 1.25)) == pytest.approx(RATE_HZ / 1.25, abs=2)
    noise = augment.colored_noise(RATE_HZ, 1.0, rng)
    added = augment.add_noise(speech, noise, 10.0) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(added**2)) == pytest.approx(10.0, abs=0.1)
    assert np.sqrt(np.mean(augment.set_level(speech, -20.0) ** 2)) == pytest.approx(0.005, rel=0.01)
    high = np.abs(np.fft.rfft(augment.telephone(speech)))[4500:]
    assert high.mean() < 0.02 * np.abs(np.fft.rfft(speech))[4500:].mean()


def test_a_microphone_fades_outside_its_band() -> None:
    """An octave above 48 dB, two below 24 dB; inside, the gains asked for (within 3 dB)."""
    speech = hiss()
    heard = augment.microphone(speech, np.full(7, 6.0), 200.0, 3000.0)
    before, after = (np.abs(np.fft.rfft(x)) ** 2 for x in (speech, heard))
    for hz, gain_db in ((50, 6 - 24), (1000, 6), (6000, 6 - 48)):
        band = slice(int(0.98 * hz), int(1.02 * hz) + 2)
        measured_db = 10 * np.log10(after[band].mean() / before[band].mean())
        assert measured_db == pytest.approx(gain_db, abs=3.0)


def test_mu_law_has_255_steps_and_keeps_what_is_quiet() -> None:
    """Small samples are kept finely, large ones coarsely: within 3 percent, or near zero."""
    speech = hiss()
    coded = augment.mu_law(speech)
    assert len(np.unique(coded)) <= 255
    assert np.abs(coded).max() == pytest.approx(np.abs(speech).max(), rel=1e-3)
    peak = np.abs(speech).max()
    assert np.all(np.abs(coded - speech) <= 0.03 * np.abs(speech) + 2e-4 * peak)


def test_clipping_cuts_peaks_only() -> None:
    """At the share of the peak; what is below stays as it was."""
    speech = hiss()
    clipped = augment.clip(speech, 0.5)
    limit = 0.5 * np.abs(speech).max()
    assert np.abs(clipped).max() == pytest.approx(limit)
    inside = np.abs(speech) < limit
    np.testing.assert_array_equal(clipped[inside], speech[inside])


@pytest.mark.parametrize("decay_s", [0.2, 0.4])
def test_a_room_decays_as_asked(decay_s: float) -> None:
    """Schroeder's integral falls by 60 dB in the time asked for, within a third."""
    size_m, microphone_m = np.array([5.0, 4.0, 2.6]), np.array([2.0, 2.0, 1.2])
    speaker_m = np.array([3.2, 2.4, 1.6])
    rng = np.random.default_rng(0)
    response = simulate_room(size_m, speaker_m, microphone_m, decay_s, rng).astype(float)
    left = np.cumsum(response[::-1] ** 2)[::-1]
    left_db = 10 * np.log10(left / left[0] + 1e-12)
    first, last = (int(np.argmax(left_db < level)) for level in (-5, -25))
    assert 3 * (last - first) / RATE_HZ == pytest.approx(decay_s, rel=0.33)


def test_the_direct_sound_comes_first_and_at_its_time() -> None:
    """A metre takes 1 / 343 s; nothing is heard before."""
    at_m = np.array([2.0, 2.0, 1.2])
    room = simulate_room(
        np.array([5.0, 4.0, 2.6]),
        at_m + np.array([1.0, 0.0, 0.0]),
        at_m,
        0.3,
        np.random.default_rng(0),
    )
    direct = round(RATE_HZ / 343)
    assert int(np.abs(room).argmax()) == direct
    assert not room[:direct].any()


def test_rooms_differ_and_can_be_drawn_again() -> None:
    """The same seed gives the same room; another one another."""
    first, again, other = (draw_room(np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(first) <= RATE_HZ // 2


@pytest.fixture
def heard(tmp_path: Path) -> Corpus:
    """A corpus of two voices, one noise and one room."""
    rows, rng = [], np.random.default_rng(0)
    kinds = (("sentence", "HELLO"), ("synthetic-plain", "HELLO"), ("noise", ""), ("room", ""))
    for i, (kind, text) in enumerate(kinds):
        rows.append(Utterance(kind, i * RATE_HZ, RATE_HZ, text, "one two"))
    samples = (3000 * rng.standard_normal(len(rows) * RATE_HZ)).astype("<i2")
    samples.tofile(tmp_path / "samples.i16")
    (tmp_path / "index.json").write_text(json.dumps([asdict(row) for row in rows]))
    return Corpus.open(tmp_path)


def test_conditions_are_drawn_the_same_again(heard: Corpus) -> None:
    """200 draws: finite, within full scale, at least as long as the speech at its fastest."""
    speech, conditions, same = hiss(), Conditions(heard, 7), Conditions(heard, 7)
    for seed in range(200):
        first, again = (c.apply(speech, np.random.default_rng(seed)) for c in (conditions, same))
        np.testing.assert_array_equal(first, again)
        assert np.isfinite(first).all()
        assert np.abs(first).max() <= 1.0 + 1e-6
        assert len(first) >= RATE_HZ * np.exp(-0.2)


def test_some_are_silent_for_seconds_before_they_speak(heard: Corpus) -> None:
    """About one in four: the first word after a long wait must be heard too."""
    conditions, speech = Conditions(heard, 7), hiss()
    lengths = [len(conditions.apply(speech, np.random.default_rng(seed))) for seed in range(200)]
    # At its slowest, with the usual half seconds around it.
    waited = np.array(lengths) > RATE_HZ * (np.exp(0.2) + 1.1)
    assert 0.1 <= waited.mean() <= 0.35


def test_some_are_cut_tight_and_some_lie_in_digital_silence(heard: Corpus) -> None:
    """A word alone begins and ends with its sound more often than not; zeros may lie around."""
    conditions, rng = Conditions(heard, 1), np.random.default_rng(4)
    word = hiss()[: RATE_HZ // 2]
    drawn = [conditions.apply(word, rng) for _ in range(200)]
    assert 0.4 < np.mean([len(one) < 1.3 * len(word) for one in drawn]) < 0.9
    assert 0.05 < np.mean([not one[:20].any() for one in drawn]) < 0.4


def test_noise_is_as_long_as_asked(heard: Corpus) -> None:
    """Whichever kind is drawn, people talking among them; noise alone may be almost silent."""
    conditions, rng = Conditions(heard, 7), np.random.default_rng(0)
    for n_samples in (100, RATE_HZ, 3 * RATE_HZ):
        for _ in range(10):
            noise = conditions.noise(n_samples, rng)
            assert noise.shape == (n_samples,)
            assert noise.dtype == np.float32
            assert noise.std() > 0
    levels = [np.sqrt(np.mean(conditions.only_noise(rng) ** 2)) for _ in range(60)]
    assert min(levels) < 0.001
    assert max(levels) > 0.02
