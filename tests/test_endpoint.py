"""Where a segment ends, on frames that a human can count."""

import math

import pytest

from wav2edge.runtime.endpoint import (
    ENDPOINTS,
    FLOOR_DB,
    Endpointer,
    EndpointOptions,
    EndpointState,
    Reason,
)
from wav2edge.runtime.errors import OptionsError
from wav2edge.runtime.frames import Geometry

TEN_MS = Geometry((80,), (80,), 8000)
QUIET, LOUD = -68.0, -20.0


def run(options: EndpointOptions, frames: list[tuple[bool, float]]) -> list[tuple[int, Reason]]:
    """Where the rules fire: frame index and reason."""
    endpointer, state, found = Endpointer(options, TEN_MS), EndpointState(), []
    for i, (spoken, energy_db) in enumerate(frames):
        reason, state = endpointer.advance(state, spoken=spoken, energy_db=energy_db)
        if reason is not None:
            found.append((i, reason))
    return found


def test_silence_after_speech_ends_the_segment_on_the_frame() -> None:
    """500 ms at 10 ms a frame: the 50th frame without a token, counted from the last spoken one."""
    frames = [(True, LOUD)] * 30 + [(False, QUIET)] * 100
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)
    assert run(options, frames) == [(30 + 49, Reason.SILENCE)]


def test_a_pause_shorter_than_the_rule_ends_nothing() -> None:
    """490 ms between two words are one segment."""
    frames = [(True, LOUD), *[(False, QUIET)] * 49] * 5
    assert run(EndpointOptions(trailing_silence_ms=500, no_speech_ms=None), frames) == []


def test_a_silence_that_is_not_quiet_needs_patience() -> None:
    """Loud blanks may be a mumbled word: they end the segment after twice the time."""
    frames = [(False, QUIET)] * 50 + [(True, LOUD)] * 30 + [(False, LOUD)] * 150
    options = EndpointOptions(trailing_silence_ms=500, patience=2, no_speech_ms=None)
    assert run(options, frames) == [(80 + 99, Reason.SILENCE)]


def test_the_noise_after_a_last_word_does_not_delay_the_end() -> None:
    """Half the silence may be breath and room; a click in the rest undoes little."""
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)
    tail = [(False, -30.0)] * 25 + [(False, QUIET)] * 10 + [(False, LOUD)] + [(False, QUIET)] * 60
    frames = [(False, QUIET)] * 50 + [(True, LOUD)] * 30 + tail
    assert run(options, frames) == [(80 + 49, Reason.SILENCE)]


def test_steady_noise_counts_as_quiet() -> None:
    """The floor rises to a noise that stays: speech in noise ends as fast as speech in silence."""
    noise = -30.0
    frames = [(False, noise)] * 2000 + [(True, LOUD)] * 30 + [(False, noise)] * 100
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)
    assert run(options, frames) == [(2030 + 49, Reason.SILENCE)]


def test_noise_that_has_just_set_in_is_none_of_the_voice() -> None:
    """Far above any floor, 15 dB below the loudest word it is quiet; a little louder it is not."""
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)
    silence, words = [(False, QUIET)] * 50, [(True, -30.0), (False, LOUD), (True, -30.0)] * 10
    for noise_db, waits in ((LOUD - 15.0, 50), (LOUD - 14.9, 100)):
        found = run(options, [*silence, *words, *[(False, noise_db)] * 150])
        assert found == [(80 + waits - 1, Reason.SILENCE)]


def test_the_loudest_is_that_of_the_segment() -> None:
    """What was loud before it, a slammed door, say, makes nothing faint in it."""
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)
    frames = [(False, QUIET)] * 50 + [(False, 0.0)] * 5 + [(True, -25.0)] * 30
    assert run(options, [*frames, *[(False, -25.0)] * 150]) == [(85 + 99, Reason.SILENCE)]


def test_a_segment_has_a_longest() -> None:
    """Speech without a pause is cut every two seconds if that is the limit."""
    options = EndpointOptions(max_segment_ms=2000, no_speech_ms=None)
    found = run(options, [(True, LOUD)] * 500)
    assert found == [(199, Reason.TOO_LONG), (399, Reason.TOO_LONG)]


def test_no_speech_is_told_once() -> None:
    """After five seconds of nothing, and not again until somebody has spoken."""
    options = EndpointOptions(no_speech_ms=1000, trailing_silence_ms=500)
    silence = [(False, QUIET)] * 350
    frames = [*silence, (True, LOUD), *silence]
    assert run(options, frames) == [
        (99, Reason.NO_SPEECH),
        (350 + 50, Reason.SILENCE),
        (350 + 50 + 100, Reason.NO_SPEECH),
    ]


def test_digital_silence_does_not_make_every_noise_loud() -> None:
    """The floor stops at -70 dB: hiss of -65 dB after digital silence is still quiet."""
    frames = [(False, -math.inf)] * 100 + [(True, LOUD)] + [(False, -65.0)] * 60
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)
    assert run(options, frames) == [(100 + 50, Reason.SILENCE)]
    assert FLOOR_DB == -70.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"trailing_silence_ms": -1},
        {"max_segment_ms": math.nan},
        {"patience": 0.5},
        {"quiet_db": math.inf},
        {"speech_probability": 1.5},
    ],
)
def test_parameters_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    """The error names the parameter."""
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        EndpointOptions(**wrong)


def test_presets_differ_in_patience() -> None:
    """Fast ends sooner than default, default sooner than patient."""
    waits = [ENDPOINTS[name].trailing_silence_ms for name in ("fast", "default", "patient")]
    assert waits == sorted(set(waits))


def test_a_detector_s_word_counts_instead_of_the_energy() -> None:
    """Loud frames without speech end a segment after the rule; quiet speech without a token waits.

    The patience is the same: twice as long whatever it sounds like.
    """
    options = EndpointOptions(trailing_silence_ms=500, no_speech_ms=None)

    def ended(energy_db: float, probability: float) -> int:
        endpointer, state = Endpointer(options, TEN_MS), EndpointState()
        for i in range(200):
            reason, state = endpointer.advance(
                state, spoken=i < 30, energy_db=energy_db, speech_probability=probability
            )
            if reason is not None:
                return i
        return -1

    assert ended(LOUD, 0.49) == 30 + 49
    assert ended(QUIET, 0.5) == 30 + 99
