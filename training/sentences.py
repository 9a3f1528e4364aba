"""Texts for synthetic voices.

Digits, numbers, spelled letters, orders to a home or a coffee machine, plain sentences.

Every text is upper case and uses only the characters of `normalize_text`, so it can be spelled with
the 32 tokens of `facebook/wav2vec2-base-960h`. Nothing here reads the development sets: sentences
come from public-domain books, and a sentence that also stands in a development transcript is
dropped by `training/corpus.py`.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_TEENS = "TEN ELEVEN TWELVE THIRTEEN FOURTEEN FIFTEEN SIXTEEN SEVENTEEN EIGHTEEN NINETEEN".split()
_TENS = "TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()
_ORDINALS = (
    "FIRST SECOND THIRD FOURTH FIFTH SIXTH SEVENTH EIGHTH NINTH TENTH ELEVENTH TWELFTH THIRTEENTH "
    "FOURTEENTH FIFTEENTH SIXTEENTH SEVENTEENTH EIGHTEENTH NINETEENTH TWENTIETH THIRTIETH"
).split()
_MONTHS = (
    "JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER"
).split()
_DAYS = "MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY TODAY TOMORROW".split()

# {slot} is filled from SLOTS, {number} and {minutes} from the number speller, (a|b) picks one.
COMMANDS = (
    "{please}TURN (ON|OFF) {the}{room} (LIGHT|LIGHTS|LAMP|FAN|HEATER|TV|RADIO)",
    "{please}TURN (ON|OFF) {the}(LIGHT|LIGHTS|LAMP) IN {the}{room}",
    "{please}SWITCH (ON|OFF) {the}{thing}",
    "SWITCH {the}{thing} (ON|OFF)",
    "TURN {the}{thing} (ON|OFF)",
    "{please}(DIM|BRIGHTEN) {the}{room} LIGHTS",
    "SET {the}{room} (LIGHT|LIGHTS|LAMP) TO {number} PERCENT",
    "SET {the}{room} BRIGHTNESS TO {number} PERCENT",
    "SET THE BRIGHTNESS OF {the}{room} LAMP TO {number} PERCENT",
    "(MAKE|SET|TURN) {the}{room} LIGHTS (TO|) {color}",
    "SET {the}{room} TEMPERATURE TO {number} DEGREES",
    "SET THE THERMOSTAT TO {number}{degrees}",
    "(OPEN|CLOSE|SHUT) {the}{cover}",
    "(OPEN|CLOSE) {the}{cover} IN {the}{room}",
    "(LOCK|UNLOCK) {the}{door}",
    "IS {the}{door} (OPEN|CLOSED|LOCKED|UNLOCKED)",
    "ARE {the}{room} LIGHTS (ON|OFF)",
    "ARE ANY (WINDOWS|DOORS|LIGHTS) (OPEN|CLOSED|ON|OFF)",
    "HOW MANY (LIGHTS|WINDOWS|DOORS) ARE (OPEN|ON|OFF|CLOSED) IN {the}{room}",
    "WHAT (IS|WAS) {the}{room} (TEMPERATURE|HUMIDITY)",
    "WHAT'S {the}{room} (TEMPERATURE|HUMIDITY)",
    "WHAT'S THE (TEMPERATURE|HUMIDITY) (IN|OF) {the}{room}",
    "HOW (WARM|COLD|HOT) IS (IT|IT OUTSIDE|IT IN {the}{room})",
    "WHAT'S THE WEATHER{when}",
    "WHAT IS THE WEATHER (LIKE|){when}",
    "WILL IT (RAIN|SNOW|BE SUNNY){when}",
    "WHAT'S THE (TIME|DATE)",
    "WHAT IS THE (TIME|DATE)",
    "WHAT DAY IS IT",
    "{please}(SET|START) A TIMER FOR {minutes}",
    "{please}(SET|START|CREATE) A {minutes} TIMER",
    "(PAUSE|STOP|RESUME|CHECK|DELETE|CANCEL) (THE|MY|ALL) (TIMER|TIMERS)",
    "(PAUSE|STOP|RESUME|START) TIMER",
    "HOW MUCH TIME IS LEFT ON (THE|MY) TIMER",
    "ADD {minutes} TO (THE|MY) TIMER",
    "(WAKE ME UP|SET AN ALARM) (AT|FOR) {clock}",
    "REMIND ME TO {errand}{when}",
    "ADD {grocery} TO (MY|THE) (SHOPPING|TO DO|GROCERY) LIST",
    "PLAY (SOME|) {music}",
    "PLAY {music} (IN|ON) {the}{room} (SPEAKER|TV|RADIO|)",
    "(PAUSE|RESUME|STOP) (THE|) (MUSIC|MOVIE|TV|RADIO|SONG)",
    "(NEXT|PREVIOUS) (SONG|TRACK|CHANNEL|ONE)",
    "(SKIP|REPEAT) (THIS|THE) (SONG|TRACK)",
    "(PAUSE|RESUME|STOP|NEXT|SKIP|PREVIOUS|MUTE|UNMUTE|PLAY|YES|NO|OKAY|HELP|REPEAT|START|GO BACK)",
    "(PAUSE|RESUME|SKIP|PLAY|NEXT TRACK|MUTE) (ON|IN) {the}(TV|SPEAKER|RADIO|{room})",
    "TURN THE VOLUME (UP|DOWN)",
    "VOLUME (UP|DOWN)",
    "SET (THE|{the}{room}) VOLUME TO {number} PERCENT",
    "(LOUDER|QUIETER) PLEASE",
    "(START|STOP) {the}(VACUUM|ROBOT|WASHING MACHINE|DISHWASHER|COFFEE MACHINE)",
    "RETURN {the}(VACUUM|ROBOT) TO (ITS|THE) (BASE|DOCK)",
    "(ACTIVATE|START|RUN) {the}{scene}{mode}",
    "(GOOD MORNING|GOOD NIGHT|GOOD EVENING|I'M HOME|I'M LEAVING|HELLO|THANK YOU|NEVER MIND)",
    "WHERE IS {person}",
    "(CALL|TEXT|RING) {person}",
    "{order} {coffee}{with}",
    "{order} {coffee} WITH {milk}{with}",
    "{order} {coffee} AND {coffee}",
    "(LARGE|SMALL|MEDIUM) {coffee} (PLEASE|)",
)
SLOTS: dict[str, tuple[str, ...]] = {
    "please": ("", "", "", "PLEASE ", "COULD YOU ", "CAN YOU "),
    "the": ("THE ", "THE ", "THE ", "MY ", ""),
    "degrees": ("", " DEGREES"),
    "mode": ("", " MODE", " SCENE"),
    "when": (
        "",
        "",
        " TODAY",
        " TOMORROW",
        " TONIGHT",
        " ON MONDAY",
        " THIS WEEKEND",
        " THIS MORNING",
    ),
    "room": tuple(
        "KITCHEN,BEDROOM,BATHROOM,LIVING ROOM,DINING ROOM,OFFICE,GARAGE,HALLWAY,"
        "BASEMENT,ATTIC,GARDEN,PORCH,GUEST ROOM,KIDS ROOM,LAUNDRY ROOM,STUDY,"
        "UPSTAIRS,DOWNSTAIRS,OUTDOOR,OUTSIDE,INDOOR,CEILING,BED,DESK,CORNER,"
        "FRONT YARD,BACK YARD,NURSERY,PANTRY,BALCONY".split(",")
    ),
    "thing": tuple(
        "LIGHT,LIGHTS,LAMP,FAN,CEILING FAN,HEATER,HEATING,AIR CONDITIONER,TV,"
        "TELEVISION,RADIO,SPEAKER,COFFEE MACHINE,OVEN,KETTLE,BED LIGHT,DESK LAMP,"
        "NIGHT LIGHT,OUTDOOR LIGHTS,CHRISTMAS TREE,ALARM,CAMERA,HUMIDIFIER,"
        "SPRINKLER,PUMP,PLUG,OUTLET,STOVE,EVERYTHING".split(",")
    ),
    "cover": tuple(
        "WINDOW,WINDOWS,CURTAIN,CURTAINS,BLINDS,SHADES,SHUTTERS,GARAGE DOOR,GATE,FRONT DOOR,"
        "LEFT CURTAIN,RIGHT WINDOW,AWNING,VALVE".split(",")
    ),
    "door": tuple(
        "FRONT DOOR,BACK DOOR,DOOR,GARAGE DOOR,GATE,CAR,SIDE DOOR,WINDOW,KITCHEN WINDOW".split(",")
    ),
    "color": tuple(
        "RED,GREEN,BLUE,WHITE,YELLOW,ORANGE,PURPLE,PINK,WARM WHITE,BROWN,TURQUOISE".split(",")
    ),
    "scene": tuple(
        "PARTY,MOVIE,READING,DINNER,NIGHT,MORNING,VACATION,ROMANTIC,RELAX,WORK,CLEANING,BEDTIME,"
        "MOOD,COZY".split(",")
    ),
    "errand": tuple(
        "CALL MY MOTHER,BUY MILK,TAKE OUT THE TRASH,WATER THE PLANTS,FEED THE CAT,PAY THE BILLS,"
        "GO TO BED,WALK THE DOG,TAKE MY MEDICINE".split(",")
    ),
    "grocery": tuple(
        "MILK,EGGS,BREAD,BUTTER,CHEESE,APPLES,COFFEE,RICE,SUGAR,TOMATOES,ONIONS,BANANAS,"
        "PAPER TOWELS,WATER".split(",")
    ),
    "music": tuple(
        "MUSIC,JAZZ,THE NEWS,ROCK MUSIC,CLASSICAL MUSIC,THE RADIO,MY PLAYLIST,A SONG,"
        "SOMETHING ELSE,BLUES,POP,A MOVIE".split(",")
    ),
    "person": tuple(
        "JOHN,MARY,DAVID,ANNA,MICHAEL,SARAH,PETER,MOM,DAD,MY WIFE,MY HUSBAND,GRANDMA,ALICE,BOB,"
        "EMMA,JAMES,ROBERT,LINDA,THE DOCTOR".split(",")
    ),
    "order": tuple(
        "I WANT A,I WOULD LIKE A,I'D LIKE A,CAN I HAVE A,CAN I GET A,MAKE ME A,GIVE ME A,"
        "PLEASE MAKE A,BREW A,COULD I HAVE A,I'LL HAVE A,MAKE A".split(",")
    ),
    "coffee": tuple(
        "COFFEE,LATTE,CAPPUCCINO,ESPRESSO,DOUBLE ESPRESSO,AMERICANO,MOCHA,LARGE LATTE,"
        "SMALL COFFEE,MEDIUM AMERICANO,LARGE CAPPUCCINO,SINGLE SHOT LATTE,DOUBLE SHOT CAPPUCCINO,"
        "TRIPLE SHOT MOCHA,ICED COFFEE,BLACK COFFEE,HOT CHOCOLATE,CUP OF TEA,SMALL ESPRESSO,"
        "LARGE MOCHA,DECAF COFFEE,MEDIUM LATTE,FLAT WHITE,MACCHIATO".split(",")
    ),
    "milk": tuple(
        "MILK,OAT MILK,SOY MILK,ALMOND MILK,SKIM MILK,WHOLE MILK,CREAM,LOTS OF MILK,NO MILK,"
        "A LITTLE MILK,HALF AND HALF".split(",")
    ),
    "with": (
        "",
        "",
        " PLEASE",
        " WITH SUGAR",
        " AND SUGAR",
        " WITHOUT SUGAR",
        " AND NO SUGAR",
        " WITH BROWN SUGAR",
        " WITH TWO SUGARS",
        " AND SOME SUGAR",
        " WITH CINNAMON",
        " AND A LOT OF SUGAR",
    ),
}


def normalize_text(text: str) -> str:
    """Spell `text` with `A-Z`, apostrophes inside words and single spaces.

    Everything else becomes a space. Accents are dropped (NFKD), digits are not spelled out: a text
    with digits is not fit for training and callers skip it.
    """
    plain = unicodedata.normalize("NFKD", text.replace("\u2019", "'")).upper()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[^A-Z']+", " ", plain)
    return " ".join(w.strip("'") for w in plain.split()).strip()


def spell_number(n: int) -> str:
    """Spell 0 <= n < 10,000 in words: 342 -> "THREE HUNDRED FORTY TWO"."""
    if not 0 <= n < 10_000:
        raise ValueError(f"can spell 0 to 9999, got {n}")
    if n < 10:
        return DIGITS[n]
    if n < 20:
        return _TEENS[n - 10]
    if n < 100:
        tens, ones = divmod(n, 10)
        return _TENS[tens - 2] + (f" {DIGITS[ones]}" if ones else "")
    unit, name = (1000, "THOUSAND") if n >= 1000 else (100, "HUNDRED")
    head, tail = divmod(n, unit)
    return f"{DIGITS[head]} {name}" + (f" {spell_number(tail)}" if tail else "")


def digit_string(rng: random.Random) -> str:
    """Draw one to eight digits, zero sometimes spoken "OH"."""
    digits = [rng.choice(DIGITS) for _ in range(rng.randint(1, 8))]
    return " ".join("OH" if d == "ZERO" and rng.random() < 0.3 else d for d in digits)


def number(rng: random.Random) -> str:
    """Draw a quantity, a year, a date, a time or a price."""
    kind = rng.randrange(6)
    if kind == 0:
        return spell_number(rng.randrange(100))
    if kind == 1:
        return spell_number(rng.randrange(10_000))
    if kind == 2:
        return f"{spell_number(rng.choice((18, 19, 20)))} {spell_number(rng.randrange(10, 100))}"
    if kind == 3:
        day = f"{rng.choice(_MONTHS)} {rng.choice(_ORDINALS)}"
        year = "" if rng.random() < 0.5 else f" NINETEEN {spell_number(rng.randrange(10, 100))}"
        return day + year
    if kind == 4:
        return clock(rng)
    amount = spell_number(rng.randrange(1, 100))
    return f"{amount} {rng.choice(('DOLLARS', 'POINT', 'PERCENT', 'MINUTES', 'DEGREES'))}"


def clock(rng: random.Random) -> str:
    """Draw a time of day: "SEVEN THIRTY A M"."""
    hour = spell_number(rng.randrange(1, 13))
    minute = rng.choice(("", " O'CLOCK", " FIFTEEN", " THIRTY", " FORTY FIVE", " OH FIVE"))
    return hour + minute + rng.choice(("", "", " A M", " P M", " IN THE MORNING"))


def spelled(rng: random.Random) -> str:
    """Draw two to seven spelled letters, digits mixed in at times."""
    symbols = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    out = [rng.choice(symbols) for _ in range(rng.randint(1, 7))]
    if rng.random() < 0.4:
        out += [rng.choice(DIGITS) for _ in range(rng.randint(1, 3))]
    return " ".join(out)


def duration(rng: random.Random) -> str:
    """Draw a length of time: "TWO HOURS AND TEN MINUTES"."""
    amount = spell_number(rng.choice((*range(1, 13), 15, 20, 25, 30, 40, 45, 50, 60, 90)))
    unit = rng.choice(("MINUTE", "SECOND", "HOUR"))
    first = f"{amount} {unit}" + ("" if amount == "ONE" else "S")
    if unit == "HOUR" and rng.random() < 0.4:
        return f"{first} AND {spell_number(rng.choice((5, 10, 15, 20, 30, 45)))} MINUTES"
    return first


def command(rng: random.Random) -> str:
    """Draw an order to a home or a coffee machine from `COMMANDS`."""
    fill: dict[str, Callable[[], str]] = {
        "number": lambda: spell_number(
            rng.choice((*range(1, 31), 40, 50, 60, 70, 75, 80, 90, 100))
        ),
        "minutes": lambda: duration(rng),
        "clock": lambda: clock(rng),
    }
    text = rng.choice(COMMANDS)
    while found := re.search(r"\{(\w+)\}|\(([^(){}]*)\)", text):
        slot, options = found.groups()
        if slot is None:
            new = rng.choice(options.split("|"))
        else:
            new = fill[slot]() if slot in fill else rng.choice(SLOTS[slot])
        text = text[: found.start()] + new + text[found.end() :]
    return normalize_text(text)


@dataclass(frozen=True)
class SentenceBank:
    """Plain sentences of 2 to 14 words, cut out of running text."""

    sentences: tuple[str, ...]

    @classmethod
    def from_texts(cls, texts: Iterable[str], excluded: frozenset[str]) -> "SentenceBank":
        """Cut texts at full stops and commas.

        What holds digits, is too long or stands in `excluded` is dropped.
        """
        found: dict[str, None] = {}
        for text in texts:
            for piece in re.split(r"[.;:!?\n\"]+\s*|--|, ", re.sub(r"(?<!\n)\n(?!\n)", " ", text)):
                plain = normalize_text(piece)
                if (
                    not any(c.isdigit() for c in piece)
                    and 2 <= len(plain.split()) <= 14
                    and plain not in excluded
                ):
                    found[plain] = None
        return cls(tuple(found))

    def draw(self, rng: random.Random) -> str:
        """Draw one sentence."""
        return rng.choice(self.sentences)
