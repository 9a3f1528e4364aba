"""Plain decimal numbers read from bytes, all at once: `-2.696924`, `0`, `-99`.

Eight digits are one 64-bit integer, and three products make a number of them (Lemire 2021, "Number
Parsing at a Gigabyte per Second", section 4). Up to 15 digits are an integer that a double holds
exactly, and so is its power of ten: their quotient is rounded once, as `float` rounds.
"""

import math

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Codes = NDArray[np.uint64]
Places = NDArray[np.int64]
Reals = NDArray[np.float64]

_MOST_DIGITS = 15
_EIGHT = 8
_MINUS, _DOT = b"-."
_MASKS = np.array([(1 << 64) - (1 << 8 * (8 - n)) for n in range(9)], np.uint64)  # the last n bytes
_ZEROS = np.uint64(0x3030303030303030)
_TENS = 10.0 ** np.arange(_MOST_DIGITS + 1)


def read_decimals(contents: bytes, starts: Places, ends: Places) -> Reals:
    """Read numbers.

    Args:
        contents: Some bytes.
        starts: Where the numbers start, `[n]`; ascending.
        ends: One past where they end, `[n]`.

    Returns:
        What `float` makes of each.

    Raises:
        ValueError: If one is no finite number.
    """
    room = bytes(_EIGHT) + contents + b" "
    text = np.frombuffer(room, np.uint8)
    eights = np.ndarray(len(contents) + 1, "<u8", room, strides=(1,))  # the bytes before a place
    is_negative = text[starts + _EIGHT] == _MINUS
    begins = starts + is_negative
    dots = _dots(text, begins, ends)
    n_whole, n_part = dots - begins, (ends - dots - 1).clip(0)
    plain = (n_whole + n_part <= _MOST_DIGITS) & (n_whole <= _EIGHT) & (n_whole + n_part > 0)
    total = np.zeros(len(starts))
    pieces = (
        (dots, n_whole.clip(0, _EIGHT), n_part),
        (ends - _EIGHT, (n_part - _EIGHT).clip(0, _EIGHT), np.int64(_EIGHT)),
        (ends, n_part.clip(0, _EIGHT), np.int64(0)),
    )
    for stops, n_digits, power in pieces:
        value, are_digits = _digits(eights[stops.clip(0)], _MASKS[n_digits])
        plain &= are_digits
        total += value * _TENS.take(power, mode="clip")
    numbers: Reals = total / _TENS.take(n_part, mode="clip")
    np.negative(numbers, out=numbers, where=is_negative)
    for one in (~plain).nonzero()[0].tolist():
        numbers[one] = _number(contents[starts[one] : ends[one]])
    return numbers


def _dots(text: Bytes, begins: Places, ends: Places) -> Places:
    """Return where the decimal points are; the end where there is none."""
    dots = ends.copy()
    left = (begins < ends).nonzero()[0]
    for n_before in range(_EIGHT + 1):
        at = begins[left] + n_before
        is_dot = (text[at + _EIGHT] == _DOT) & (at < ends[left])
        dots[left[is_dot]] = at[is_dot]
        left = left[~is_dot & (at + 1 < ends[left])]
        if not len(left):
            break
    return dots


def _digits(eight: Codes, mask: Codes) -> tuple[Reals, NDArray[np.bool_]]:
    """Read eight digits each, those under the mask; tell whether these are digits."""
    eight, zeros = eight & mask, _ZEROS & mask
    high = np.uint64(0xF0F0F0F0F0F0F0F0)
    are_digits = (eight & high) == zeros
    are_digits &= ((eight + np.uint64(0x0606060606060606)) & high) == zeros
    value = eight & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value * np.uint64(2561)) >> np.uint64(8)
    value = ((value & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601)) >> np.uint64(16)
    value = ((value & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001)) >> np.uint64(32)
    return value.astype(np.float64), are_digits


def _number(text: bytes) -> float:
    """Read what is not plain: many digits, an exponent."""
    try:
        number = math.nan if b"_" in text else float(text)  # 1_0 is a number to Python alone
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"found {text!r}, expected a finite number")
    return number
