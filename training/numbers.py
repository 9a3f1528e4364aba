"""Digits, numbers, dates, times, amounts and spelled letters in words, drawn for synthetic voices.

Words are lower case; letters that are spoken as letters are upper case. What is drawn is written as
it is spoken, and `normalize_text` of it is the transcript.
"""

import random

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
"""The ten digits as transcripts spell them."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ONES = tuple(digit.lower() for digit in DIGITS)
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_DAYS = "monday tuesday wednesday thursday friday saturday sunday today tomorrow".split()
_MINUTES = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55)
_CURRENCIES = (("dollar", "cent"), ("euro", "cent"), ("pound", "pence"))


def spell_number(n: int, *, conjunction: bool = False) -> str:
    """Spell 0 <= n < 1,000,000 in words.

    342 is "three hundred forty two", with `conjunction` "three hundred and forty two".
    """
    if not 0 <= n < 1_000_000:
        raise ValueError(f"can spell 0 to 999999, got {n}")
    if n < 10:
        return _ONES[n]
    if n < 20:
        return _TEENS[n - 10]
    if n < 100:
        tens, ones = divmod(n, 10)
        return _TENS[tens - 2] + (f" {_ONES[ones]}" if ones else "")
    unit, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    head, tail = divmod(n, unit)
    text = f"{spell_number(head, conjunction=conjunction)} {name}"
    if not tail:
        return text
    link = " and " if conjunction and tail < 100 else " "
    return text + link + spell_number(tail, conjunction=conjunction)


def spell_ordinal(n: int) -> str:
    """Spell an ordinal: 22 is "twenty second"."""
    *head, last = spell_number(n).split()
    if last in _IRREGULAR_ORDINALS:
        last = _IRREGULAR_ORDINALS[last]
    else:
        last = last.removesuffix("y") + ("ieth" if last.endswith("y") else "th")
    return " ".join([*head, last])


def digit_string(rng: random.Random, shortest: int = 1, longest: int = 8) -> str:
    """Draw digits, zero sometimes spoken "oh", twins sometimes "double"."""
    n_digits = rng.randint(shortest, longest)
    zero = "oh" if rng.random() < 0.25 else "zero"
    digits = [zero if d == "zero" else d for d in rng.choices(_ONES, k=n_digits)]
    if n_digits > 2 and rng.random() < 0.06:
        digits[-2:] = ["double", digits[-1]]
    return " ".join(digits)


def number(rng: random.Random) -> str:
    """Draw a quantity, a year, a date, a time, an amount, a fraction or an ordinal."""
    draws = (
        lambda: spell_number(rng.randrange(100)),
        lambda: spell_number(rng.randrange(10_000), conjunction=rng.random() < 0.3),
        lambda: spell_number(rng.randrange(100, 1000), conjunction=rng.random() < 0.4),
        lambda: spell_number(rng.choice((20, 35, 150, 400)) * 1000 + rng.randrange(1000)),
        lambda: year(rng),
        lambda: date(rng),
        lambda: clock(rng),
        lambda: amount(rng),
        lambda: decimal(rng),
        lambda: duration(rng),
        lambda: spell_ordinal(rng.randrange(1, 100)),
        lambda: f"{spell_number(rng.randrange(1, 101))} percent",
        lambda: f"{spell_number(rng.randrange(1, 101))} {rng.choice(('and a half', 'degrees'))}",
        lambda: " ".join(spell_number(rng.randrange(10, 100)) for _ in range(rng.randint(2, 4))),
    )
    return rng.choice(draws)()


def year(rng: random.Random) -> str:
    """Draw a year: "nineteen eighty four", "two thousand and nine", "eighteen oh five"."""
    style = rng.randrange(4)
    if style == 0:
        return spell_number(2000 + rng.randrange(30), conjunction=rng.random() < 0.5)
    tail = rng.randrange(1, 100)
    text = spell_number(tail) if tail > 9 else f"oh {spell_number(tail)}"
    return f"{spell_number(rng.choice((17, 18, 19, 19, 19, 20)))} {text}"


def date(rng: random.Random) -> str:
    """Draw a day: "may fifth", "the twenty second of june", "friday march first twenty thirty"."""
    month, day = rng.choice(_MONTHS), spell_ordinal(rng.randrange(1, 32))
    text = rng.choice((f"{month} {day}", f"{month} {day}", f"the {day} of {month}", f"the {day}"))
    if rng.random() < 0.2:
        text = f"{rng.choice(_DAYS)} {text}"
    return f"{text} {year(rng)}" if rng.random() < 0.35 and month in text else text


def clock(rng: random.Random) -> str:
    """Draw a time of day: "seven thirty A M", "quarter past six", "noon"."""
    hour = spell_number(rng.randrange(1, 13))
    style = rng.random()
    if style < 0.2:
        part = rng.choice(("half past", "quarter past", "quarter to", "a quarter to", "ten past"))
        return f"{part} {hour}"
    if style < 0.25:
        return rng.choice(("noon", "midnight"))
    minute = rng.choice(("", "", " o'clock", " thirty", " fifteen", " oh five", "other"))
    if minute == "other":
        minute = " " + spell_number(rng.choice(_MINUTES) if rng.random() < 0.6 else _minute(rng))
    endings = ("", "", "", " A M", " P M", " in the morning", " in the evening", " tonight")
    return hour + minute + rng.choice(endings)


def _minute(rng: random.Random) -> int:
    return rng.randrange(10, 60)


def duration(rng: random.Random) -> str:
    """Draw a length of time: "two hours and ten minutes", "an hour and a half"."""
    style = rng.random()
    if style < 0.1:
        return rng.choice(("half an hour", "an hour and a half", "a minute", "an hour", "one day"))
    n = rng.choice((*range(1, 13), 15, 20, 25, 30, 35, 40, 45, 50, 60, 90))
    unit = rng.choice(("minute", "minute", "second", "hour"))
    text = f"{spell_number(n)} {unit}" + ("" if n == 1 else "s")
    if unit != "second" and style < 0.3:
        smaller = "minutes" if unit == "hour" else "seconds"
        text += f" and {spell_number(rng.choice((5, 10, 15, 20, 30, 45)))} {smaller}"
    return text


def amount(rng: random.Random) -> str:
    """Draw an amount of money: "four euros and fifty cents", "nineteen ninety nine"."""
    whole, part = rng.randrange(1, 200), rng.randrange(1, 100)
    large, small = rng.choice(_CURRENCIES)
    plural = "" if whole == 1 else "s"
    if rng.random() < 0.4:
        return f"{spell_number(whole)} {large}{plural}"
    if rng.random() < 0.3:
        return f"{spell_number(whole)} {spell_number(max(part, 10))}"
    plural_part = "s" if part > 1 and small == "cent" else ""
    link = rng.choice((" and", ""))
    return f"{spell_number(whole)} {large}{plural}{link} {spell_number(part)} {small}{plural_part}"


def decimal(rng: random.Random) -> str:
    """Draw a decimal: "three point one four"."""
    digits = " ".join(rng.choices(_ONES, k=rng.randint(1, 3)))
    return f"{spell_number(rng.randrange(200))} point {digits}"


def letters(rng: random.Random, shortest: int = 2, longest: int = 6) -> str:
    """Draw spelled letters."""
    return " ".join(rng.choices(LETTERS, k=rng.randint(shortest, longest)))


def spelled(rng: random.Random) -> str:
    """Draw one to seven spelled letters, digits mixed in at times."""
    if rng.random() < 0.25:  # as on number plates and in codes
        return " ".join(rng.choice((rng.choice(LETTERS), rng.choice(_ONES))) for _ in range(5))
    text = letters(rng, 1, 7)
    return f"{text} {digit_string(rng, 1, 4)}" if rng.random() < 0.3 else text
