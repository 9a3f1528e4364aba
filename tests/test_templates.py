"""Templates: what may be said is exactly what was written, and what makes no sense is named."""

import itertools
import random
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.automaton import GAP, Automaton, meets
from wav2edge.lm.errors import TemplateError
from wav2edge.lm.phrase_graph import compile_templates, number_words
from wav2edge.lm.templates import Templates

LETTERS = Alphabet(("_", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"), 0, 1)
LOWER = Alphabet(("_", *"abc"), 0)


def said(automaton: Automaton, alphabet: Alphabet = LETTERS, longest: int = 60) -> list[str]:
    """Every phrase of an automaton, up to a length in symbols; as often as there are paths."""
    found, paths = [], [(0, "")]
    while paths:
        state, text = paths.pop()
        if state in automaton.accepting:
            found.append(text)
        if len(text) < longest:
            paths += [
                (target, text + (" " if symbol == GAP else alphabet.tokens[symbol]))
                for symbol, target in automaton.arcs[state].items()
            ]
    return sorted(found)


def phrases(text: str, longest: int = 60) -> list[str]:
    """What the lines allow, in lower case."""
    automaton = compile_templates(Templates.read(text), LETTERS)
    return [phrase.lower() for phrase in said(automaton, longest=longest)]


def test_choices_slots_and_options() -> None:
    """The three ways to vary a phrase give each combination once."""
    text = "room = hall | living room\nturn (on|off) [the] {room} light[s]"
    assert phrases(text) == sorted(
        " ".join(word for word in words if word)
        for words in itertools.product(
            ["turn"], ["on", "off"], ["", "the"], ["hall", "living room"], ["light", "lights"]
        )
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[please] go [now]", ["go", "go now", "please go", "please go now"]),
        ("go[ on]", ["go", "go on"]),
        ("(red | green)ish", ["greenish", "redish"]),
        ("( a | b ) c", ["a c", "b c"]),
        ("a [b|c [d]] e", ["a b e", "a c d e", "a c e", "a e"]),
        ("x{2}", ["x x"]),
        ("(a|b c){1,2}", ["a", "a a", "a b c", "b c", "b c a", "b c b c"]),
        ("go [on]{2}", ["go", "go on", "go on on"]),
        ("{98..101}", ["ninety eight", "ninety nine", "one hundred", "one hundred one"]),
        ("{0..20..10} percent", ["ten percent", "twenty percent", "zero percent"]),
        ("go # away\n\n# all of it", ["go"]),
        ("s = a\n  | b\n  | c\n{s}", ["a", "b", "c"]),
        ("a = b | c\nd = {a} {a}\n{d} x", ["b b x", "b c x", "c b x", "c c x"]),
        ("Caf O'Clock", ["caf o'clock"]),
        ("O\N{RIGHT SINGLE QUOTATION MARK}Clock", ["o'clock"]),
        ("a (b | b | [b])", ["a", "a b"]),
    ],
)
def test_what_lines_allow(text: str, expected: list[str]) -> None:
    """Each piece of the language means what its description says; nothing is there twice."""
    assert phrases(text) == expected


def test_two_graphs_meet_where_they_allow_the_same_phrase() -> None:
    """`meets` tells whether a text is one of the phrases."""
    automaton = compile_templates(Templates.of(["turn (on|off) [the] fan", "stop+"]), LETTERS)
    for text, expected in (("turn off fan", True), ("turn the fan", False), ("stop stop", True),
                           ("turn on the", False), ("turn on the fan now", False)):  # fmt: skip
        assert meets(automaton, compile_templates(Templates.of([text]), LETTERS)) == expected


def test_repetition_without_end() -> None:
    """`+` and `*` go round; spaces part what is repeated."""
    assert phrases("go{2,} now", longest=14) == ["go go go now", "go go now"]
    assert phrases("d = a|b\nx {d}*", longest=5) == ["x", "x a", "x a a", "x a b", "x b", "x b a",
                                                     "x b b"]  # fmt: skip
    assert phrases("a+", longest=5) == ["a", "a a", "a a a"]


def test_numbers_in_words() -> None:
    """All numbers of a range are spelled, each in its own way."""
    assert number_words(999_999) == (
        *"nine hundred ninety nine thousand".split(),
        *number_words(999),
    )
    assert [" ".join(number_words(value)) for value in (0, 13, 40, 100, 1001, 20_300)] == [
        "zero", "thirteen", "forty", "one hundred", "one thousand one",
        "twenty thousand three hundred",
    ]  # fmt: skip
    assert len(phrases("{0..9999}")) == 10_000


def test_lists_are_templates_too() -> None:
    """Phrases and slots given as lists mean the same as lines of text."""
    made = Templates.of(["call {who}", "stop"], {"who": ["ann", "bob [marley]"]})
    found = said(compile_templates(made, LETTERS))
    assert found == ["CALL ANN", "CALL BOB", "CALL BOB MARLEY", "STOP"]


def test_an_alphabet_of_syllables() -> None:
    """Tokens of several letters are spelled in every way there is; case is the alphabet's."""
    alphabet = Alphabet(("_", "ka", "k", "a", "no"), 0)
    automaton = compile_templates(Templates.of(["Kano"]), alphabet)
    assert said(automaton, alphabet) == ["kano", "kano"]
    assert sorted(automaton.arcs[0]) == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("turn (on|off", r"line 1, column 6: '\(' is never closed"),
        ("go\nturn [on", r"line 2, column 6: '\[' is never closed"),
        ("turn on)", r"line 1, column 8: '\)' closes nothing"),
        ("turn (on]", r"line 1, column 9: '\]' where '\)' is expected"),
        ("go {there", r"line 1, column 4: '\{' opens no slot"),
        ("go there}", r"line 1, column 9: '\}' closes nothing"),
        ("go {} now", r"line 1, column 4: '\{' opens no slot"),
        ("go ()", "line 1, column 5: an empty choice"),
        ("go (a|)", "line 1, column 7: an empty choice"),
        ("go (a||b)", "line 1, column 7: an empty choice"),
        ("go | ", "line 1, column 5: an empty choice"),
        ("go {where}", r"line 1, column 4: no slot is named 'where', only: none"),
        ("a = b\ngo {where}", r"line 2, column 4: no slot is named 'where', only: a"),
        ("a = {b}\nb = x {a}\n{a}", r"line 2, column 7: slot 'a' holds itself \(a -> b -> a\)"),
        ("a = x {a}\ngo", "line 1, column 7: slot 'a' holds itself"),
        ("a = b\na = c\n{a}", "line 2, column 1: slot 'a' is defined before, in line 1"),
        ("a =\n{a}", "line 1, column 4: an empty choice in this line"),
        ("", "there is no phrase"),
        ("# nothing\n", "there is no phrase"),
        ("a = b", "there is no phrase"),
        ("[please]", "line 1, column 1: this phrase is said by saying nothing"),
        ("a = [b]\nc+\n{a} [d]", "line 3, column 1: this phrase is said by saying nothing"),
        ("+", r"line 1, column 1: '\+' repeats nothing"),
        ("a +", r"line 1, column 3: '\+' repeats nothing"),
        ("a++", r"line 1, column 3: '\+' repeats nothing"),
        ("{2,3}", r"line 1, column 1: '\{2,3\}' repeats nothing"),
        ("a{3,2}", r"line 1, column 2: \{3,2\} is no number of times"),
        ("a{0}", r"line 1, column 2: \{0\} is no number of times"),
        ("a{1,101}", "no number of times"),
        ("{5..2}", r"line 1, column 1: \{5..2\} is no range of numbers"),
        ("{1..9..0}", "is no range of numbers"),
        ("{1..1000000}", "is no range of numbers"),
        ("{1..20000}", "more than 10001 numbers"),
        ("go a = b", "line 1, column 6: '=' has no meaning here"),
        ("a = b\n | c)\n{a}", r"line 2, column 5: '\)' closes nothing"),
    ],
)
def test_what_makes_no_sense_is_an_error_with_its_place(text: str, words: str) -> None:
    """Each mistake is named with its line and column, and never half accepted."""
    with pytest.raises(TemplateError, match=words):
        Templates.read(text)


def test_errors_name_their_source() -> None:
    """The name of the file, or of the list, stands first."""
    with pytest.raises(TemplateError, match=r"^home.txt, line 1, column 1: no slot"):
        Templates.read("{x}", source="home.txt")
    with pytest.raises(TemplateError, match=r"^phrases, slot x, line 2, column 2: '\('"):
        Templates.of(["{x}"], {"x": ["a", "b(c"]})
    with pytest.raises(TemplateError, match="a list of strings is expected"):
        Templates.of("turn on")
    with pytest.raises(TemplateError, match="a list of strings is expected"):
        Templates.of(["{x}"], {"x": "abc"})
    with pytest.raises(TemplateError, match="slot 'x' with 0 options"):
        Templates.of(["{x}"], {"x": []})


def test_unspellable_words_are_named_with_their_places() -> None:
    """One error names every word that the alphabet cannot spell, unused slots' words as well."""
    text = "s = 7up | cola\nset 50 %\nwhat's up?"
    with pytest.raises(TemplateError) as caught:
        compile_templates(Templates.read(text), LETTERS)
    for part in ("'50' (phrases, line 2, column 5)", "'%'", "'up?' (phrases, line 3", "'7up'"):
        assert part in str(caught.value)
    assert "cola" not in str(caught.value)
    with pytest.raises(TemplateError, match="'zero'"):
        compile_templates(Templates.of(["{0..3}"]), LOWER)


def test_a_product_is_never_written_out() -> None:
    """Twelve slots of ten words, a million million phrases, are a graph of a few hundred states."""
    slots = {"s": [f"{a}{b}" for a in "abcde" for b in "xy"]}
    automaton = compile_templates(Templates.of([" ".join(["{s}"] * 12)], slots), LETTERS)
    assert len(automaton.arcs) == 12 * 3


def test_common_beginnings_and_endings_are_shared() -> None:
    """The graph of a word list is its minimal automaton."""
    automaton = compile_templates(Templates.of(["taps", "tops", "tap", "top"]), LETTERS)
    assert len(automaton.arcs) == 5


def test_large_templates_compile_soon() -> None:
    """Fifty templates over thirty slots of a hundred words each compile within two seconds."""
    rng = random.Random(3)

    def word() -> str:
        return "".join(rng.choice("aeioubcdfghlmnprst") for _ in range(rng.randint(3, 9)))

    slots = {f"s{n}": [word() for _ in range(100)] for n in range(30)}
    lines = [
        " ".join(word() if rng.random() < 0.7 else f"{{s{rng.randrange(30)}}}" for _ in range(6))
        for _ in range(50)
    ]
    before = time.process_time()
    automaton = compile_templates(Templates.of(lines, slots), LETTERS)
    assert time.process_time() - before < 2
    assert len(automaton.arcs) > 10_000


def test_a_graph_without_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would fill the memory is an error that says what to do, before it fills it."""
    monkeypatch.setattr("wav2edge.lm.automaton.MOST_STATES", 10_000)
    with pytest.raises(TemplateError, match=r"more than 10000 states: repeat less"):
        compile_templates(Templates.of(["(((a b){100} c){100} d){100}"]), LETTERS)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> tuple[str, frozenset[tuple[str, ...]]]:
    """A template over a, b and c, with all the word sequences that it stands for."""
    kinds = ["word", "sequence", "choice", "option", "repeat"] if depth else ["word"]
    match draw(st.sampled_from(kinds)):
        case "word":
            letter = draw(st.sampled_from(["a", "b", "ab", "c"]))
            return letter, frozenset({(letter,)})
        case "sequence":
            texts, sets = zip(
                *draw(st.lists(trees(depth - 1), min_size=1, max_size=3)), strict=True
            )
            joined = frozenset(tuple(itertools.chain(*words)) for words in itertools.product(*sets))
            return " ".join(texts), joined
        case "choice":
            texts, sets = zip(
                *draw(st.lists(trees(depth - 1), min_size=1, max_size=3)), strict=True
            )
            return f"({' | '.join(texts)})", frozenset().union(*sets)
        case "option":
            text, words = draw(trees(depth - 1))
            return f"[{text}]", words | {()}
    text, words = draw(trees(depth - 1))
    least, most = draw(st.sampled_from([(0, 1), (1, 2), (2, 2), (0, 2)]))
    repeated = frozenset(
        tuple(itertools.chain(*chosen))
        for times in range(least, most + 1)
        for chosen in itertools.product(words, repeat=times)
    )
    return f"({text}){{{least},{most}}}", repeated


@settings(deadline=None, max_examples=200)
@given(trees(), st.booleans())
def test_the_graph_says_what_the_template_says(
    tree: tuple[str, frozenset[tuple[str, ...]]],
    in_slot: bool,  # noqa: FBT001  (drawn)
) -> None:
    """For any nesting, in a slot or not: the same phrases as by writing all of them out."""
    text, words = tree
    assume(() not in words and len(words) < 300)
    lines = f"s = {text}\n{{s}}" if in_slot else text
    longest = max(len(" ".join(one)) for one in words)
    assert phrases(lines, longest=longest + 1) == sorted({" ".join(one) for one in words})
