"""Numbers read all at once: what `float` makes of each, or an error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2edge.lm.decimals import read_decimals

NUMBERS = st.one_of(
    st.floats(-100, 100).map(lambda number: f"{number:.7g}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?[0-9]{1,18}", fullmatch=True),
    st.from_regex(r"-?[0-9]{0,9}\.[0-9]{1,17}", fullmatch=True),
    st.sampled_from(["-0", "5.", "1e-5", "-1.5E+3", "0.123456789012345", "0.1234567890123456"]),
)


def read(numbers: list[str]) -> list[float]:
    """Read numbers that lie side by side."""
    lengths = np.array([len(number) for number in numbers])
    ends = np.cumsum(lengths + 1) - 1
    found: list[float] = read_decimals(" ".join(numbers).encode(), ends - lengths, ends).tolist()
    return found


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_numbers_are_what_float_says(numbers: list[str]) -> None:
    """To the last bit, the sign of zero included."""
    assert list(map(repr, read(numbers))) == [repr(float(number)) for number in numbers]


@pytest.mark.parametrize(
    "text",
    ["", "-", ".", "-.", "--1", "1-2", "1.2.3", "1:2", "1/2", "abc", "1_0", "nan", "-inf", "1e999"],
)
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    """Also what only Python takes for a number, and what neighbours have next to it."""
    with pytest.raises(ValueError, match="finite number"):
        read(["1", text, "2"])
