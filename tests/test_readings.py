"""What a phrase that was heard meant: slots, numbers, and which phrase it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wav2edge
from wav2edge.lm.phrase_graph import number_words
from wav2edge.lm.readings import Reading

HOME = wav2edge.Templates.read(
    "room = hall | living room | the guest's room\n"
    "digit = one | two | three\n"
    "turn (on|off) [the] {room} light[s] [please]\n"
    "[please] set a timer for {0..999} (minute[s]|hour[s])\n"
    "call ({digit}){2,3}\n"
    "from {room} to {room}\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TURN ON THE LIVING ROOM LIGHTS", Reading(0, {"room": "living room"})),
        ("turn off hall light please", Reading(0, {"room": "hall"})),
        ("Turn on the guest\u2019s room light", Reading(0, {"room": "the guest's room"})),
        ("SET A TIMER FOR SIX HUNDRED ONE MINUTES", Reading(1, {}, (601,))),
        ("PLEASE SET A TIMER FOR ONE HOUR", Reading(1, {}, (1,))),
        ("CALL ONE TWO THREE", Reading(2, {"digit": "one two three"})),
        ("FROM HALL TO LIVING ROOM", Reading(3, {"room": "hall living room"})),
    ],
)
def test_a_phrase_tells_its_slots_and_numbers(text: str, expected: Reading) -> None:
    """A text of the phrases is read back: which phrase, what each slot said, each number."""
    assert HOME.reading(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "turn on", "turn on the light", "turnon hall light", "turn on hall lights now",
        "call one", "call one two three one", "set a timer for a thousand minutes", "hall",
    ],
)  # fmt: skip
def test_other_text_is_none_of_them(text: str) -> None:
    """What the phrases do not allow, words run together and too few repetitions too, is None."""
    assert HOME.reading(text) is None


@given(st.integers(0, 999))
def test_numbers_are_read_back(value: int) -> None:
    """Every number of a range is read as itself, though its words begin with another's."""
    reading = HOME.reading(f"set a timer for {' '.join(number_words(value))} minutes")
    assert reading == Reading(1, {}, (value,))


def test_what_may_be_silent_is_not_repeated_for_ever() -> None:
    """A repeated part that may say nothing ends."""
    templates = wav2edge.Templates.of(["go ([now] [then])+ home"])
    assert templates.reading("go now then now home") == Reading(0)
    assert templates.reading("go later home") is None
