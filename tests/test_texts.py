"""Texts for synthetic voices: spelled as they are spoken, varied, and never what will be asked."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

from wav2edge.training import numbers
from wav2edge.training.grammar import Grammar
from wav2edge.training.network import TOKEN_IDS
from wav2edge.training.sentences import KINDS, SentenceBank, Texts, normalize_text, with_pauses

GRAMMAR = Grammar.open()


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (342, "three hundred forty two"),
        (9001, "nine thousand one"),
        (20_500, "twenty thousand five hundred"),
    ],
)
def test_numbers_are_spelled(n: int, words: str) -> None:
    """In words, as they are spoken."""
    assert numbers.spell_number(n) == words


def test_british_numbers_have_a_conjunction() -> None:
    """Between hundreds or thousands and what is below a hundred, and nowhere else."""
    assert numbers.spell_number(342, conjunction=True) == "three hundred and forty two"
    assert numbers.spell_number(2005, conjunction=True) == "two thousand and five"
    assert numbers.spell_number(1200, conjunction=True) == "one thousand two hundred"


@pytest.mark.parametrize(
    ("n", "words"),
    [(1, "first"), (12, "twelfth"), (20, "twentieth"), (22, "twenty second"), (30, "thirtieth")],
)
def test_ordinals_are_spelled(n: int, words: str) -> None:
    """Only the last word takes the ending."""
    assert numbers.spell_ordinal(n) == words


def test_numbers_out_of_range_are_refused() -> None:
    """The message says what can be spelled."""
    with pytest.raises(ValueError, match="0 to 999999, got -1"):
        numbers.spell_number(-1)


def test_text_is_normalised_to_the_alphabet() -> None:
    """Accents fall, apostrophes stay inside words only, everything else parts words."""
    assert normalize_text("\u2018Caf\u00e9\u2019, don\u2019t -- stop!") == "CAFE DON'T STOP"


def spelled_texts() -> list[Callable[[random.Random], str]]:
    """Everything that draws a text without books."""
    from_grammar = [
        lambda rng, kind=kind: GRAMMAR.draw(kind, rng) for kind in sorted(GRAMMAR.templates)
    ]
    return [numbers.digit_string, numbers.number, numbers.spelled, *from_grammar]


@pytest.mark.parametrize("draw", spelled_texts())
def test_every_drawn_text_can_be_spelled(draw: Callable[[random.Random], str]) -> None:
    """A thousand draws differ; upper-cased they are their own transcripts."""
    texts = {draw(random.Random(seed)) for seed in range(1000)}
    assert len(texts) > 400
    for text in texts:
        assert text
        assert text.upper() == normalize_text(text)
        assert set(text.upper()) <= set(TOKEN_IDS)


def test_letters_and_words_are_told_apart() -> None:
    """Upper case is what is spoken as letters, and nothing else: "seven A M", "a large latte"."""
    texts = [draw(random.Random(seed)) for seed in range(300) for draw in spelled_texts()]
    upper = {word for text in texts for word in text.split() if word != word.lower()}
    assert all(len(word) == 1 or word == "TV" for word in upper)
    assert {"A", "M", "X", "TV"} <= upper


def test_an_article_goes_with_its_noun() -> None:
    """It is "an" before a vowel that is spoken as one."""
    grammar = Grammar({"x": ("a {n}",)}, {"n": ("espresso", "latte", "one", "oat milk", "unit")})
    texts = {grammar.draw("x", random.Random(seed)) for seed in range(100)}
    assert texts == {"an espresso", "a latte", "a one", "an oat milk", "a unit"}


def test_a_slot_that_nothing_fills_is_refused(tmp_path: Path) -> None:
    """The grammar is read whole before anything is drawn; the message names the slot."""
    file = tmp_path / "grammar.txt"
    file.write_text("[home]\nturn on the {lamp}\n\n[slots]\nroom: kitchen|hall\n")
    with pytest.raises(ValueError, match="lamp"):
        Grammar.open(file)


def test_sentences_of_the_development_sets_are_left_out() -> None:
    """What will be asked is not what is taught."""
    bank = SentenceBank.from_texts(["We went home. The cat sat down."], frozenset({"WE WENT HOME"}))
    assert bank.sentences == ("THE CAT SAT DOWN",)


def test_no_kind_draws_what_is_excluded() -> None:
    """Whatever the kind, an excluded text is drawn again; single digits cannot be avoided."""
    rng = random.Random(0)
    bank = SentenceBank(("THE CAT SAT DOWN", "THE DOG SAT DOWN"))
    free = Texts(bank, ("THE", "DOG"), frozenset(), GRAMMAR)
    drawn = {normalize_text(free.draw(rng)[1]) for _ in range(2000)}
    texts = Texts(bank, ("THE", "DOG"), frozenset(drawn), GRAMMAR)
    again = {normalize_text(texts.draw(random.Random(seed))[1]) for seed in range(500)}
    assert drawn & again <= set(numbers.DIGITS)


def test_every_kind_is_drawn_as_often_as_its_share() -> None:
    """Within three standard deviations."""
    texts = Texts(SentenceBank(("THE CAT SAT DOWN",)), (), frozenset(), GRAMMAR)
    rng = random.Random(0)
    kinds = [texts.draw(rng)[0] for _ in range(5000)]
    for kind, share in KINDS.items():
        spread = (5000 * share * (1 - share)) ** 0.5
        assert abs(kinds.count(kind) - 5000 * share / sum(KINDS.values())) < 3 * spread


def test_pauses_do_not_change_the_transcript() -> None:
    """Commas are added, words stay; letters are always set apart."""
    for seed in range(200):
        rng = random.Random(seed)
        for kind, text in (
            ("digits", "one two three four five six"),
            ("plain", "the cat sat down"),
        ):
            paused = with_pauses(text, kind, rng)
            assert normalize_text(paused) == text.upper()
    assert with_pauses("A B seven", "spelled", random.Random(0)) == "A, B, seven"
