"""Our Kneser-Ney: three sentences worked out by hand, sums of one, and KenLM's lmplz itself."""

import gzip
import math
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2edge.lm import counts
from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.arpa import ArpaModel
from wav2edge.lm.arpa_reader import NGrams
from wav2edge.lm.build import BuildOptions, Built, Engine, build_language_model
from wav2edge.lm.corpus import Normalizer, sentences
from wav2edge.lm.counts import EncodedText, count_ngrams
from wav2edge.lm.errors import (
    CorpusError,
    EngineError,
    LanguageModelNotFoundError,
    ModelOptionsError,
)
from wav2edge.lm.kneser_ney import FALLBACK, Discounts, estimate
from wav2edge.lm.ngram_trie import NGramTrie
from wav2edge.lm.perplexity import perplexity
from wav2edge.lm.vocabulary import Vocabulary

ENGINES: tuple[Engine, ...] = ("own", "lmplz")
THREE = [["a", "b"], ["a", "c"], ["a", "b"]]
TEXTS = st.lists(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=1, max_size=12
)


def built(
    text: Sequence[list[str]],
    folder: Path,
    *,
    order: int = 2,
    prune: tuple[int, ...] = (),
    words: frozenset[str] | None = None,
    fallback: Discounts | None = FALLBACK,
) -> NGrams:
    """Our model of a text, as its file says."""
    options = BuildOptions(order, prune, words, fallback)
    build_language_model(iter(text), folder / "lm.arpa", options)
    return NGrams.parse((folder / "lm.arpa").read_text(encoding="utf-8"), source="lm.arpa")


def probs(ngrams: NGrams) -> dict[str, float]:
    """Probabilities by n-gram."""
    return {key: 10**value for key, value in ngrams.log_probs.items()}


def test_three_sentences_by_hand(tmp_path: Path) -> None:
    """A bigram model of "a b", "a c", "a b", worked out on paper."""
    ngrams = built(THREE, tmp_path)
    # Distinct words before: a 1 (<s>), b 1, c 1, </s> 2: 5 in all. None has 3: the discounts are
    # the fallback's, 0.5 and 1; 3 x 0.5 and 1 are taken, half of all, shared evenly by a, b, c,
    # </s> and <unk>.
    share = 0.5 / 5
    p = {"<unk>": share, "</s>": (2 - 1) / 5 + share, "<s>": 1.0}
    p |= dict.fromkeys("abc", (1 - 0.5) / 5 + share)
    # Two bigrams count 1 (a c, c </s>), two 2 (a b, b </s>), one 3 (<s> a), none 4.
    y = 2 / (2 + 2 * 2)
    one, two, three = 1 - 2 * y * 2 / 2, 2 - 3 * y * 1 / 2, 3.0
    weights = {"<s>": three / 3, "a": (two + one) / 3, "b": two / 2, "c": one}
    p |= {
        "a b": (2 - two) / 3 + weights["a"] * p["b"],
        "a c": (1 - one) / 3 + weights["a"] * p["c"],
    }
    p["<s> a"] = (3 - three) / 3 + weights["<s>"] * p["a"]
    p["b </s>"] = (2 - two) / 2 + weights["b"] * p["</s>"]
    p["c </s>"] = (1 - one) / 1 + weights["c"] * p["</s>"]
    assert probs(ngrams) == pytest.approx(p, rel=1e-6)
    found = {key: 10**value for key, value in ngrams.backoffs.items()}
    assert found == pytest.approx(weights, rel=1e-6)


def test_pruning_by_hand(tmp_path: Path) -> None:
    """Pruned n-grams give what they had to the back-off weight; words are never pruned by 0."""
    ngrams = built(THREE, tmp_path, prune=(0, 1))
    assert "a c" not in probs(ngrams)
    assert "c </s>" not in probs(ngrams)
    weight = (1.5 + 1) / 3  # the discount of a b, and all of a c
    assert 10 ** ngrams.backoffs["a"] == pytest.approx(weight, rel=1e-6)
    assert ngrams.backoffs.get("c", 0.0) == 0.0
    assert probs(ngrams)["a b"] == pytest.approx((2 - 1.5) / 3 + weight * 0.2, rel=1e-6)


def test_words_of_a_list_alone(tmp_path: Path) -> None:
    """With a word list no n-gram holds another word; theirs goes to <unk> and the rest evenly."""
    found = probs(built(THREE, tmp_path, words=frozenset("ab")))
    assert not any("c" in key.split() for key in found)
    # c's count of 1, and 0.5 + 0.5 + 1 taken, over 4 words
    assert found["<unk>"] == pytest.approx(((1 + 2) / 5) / 4, rel=1e-6)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 4), st.integers(0, 2))
def test_probabilities_sum_to_one(
    tmp_path_factory: pytest.TempPathFactory, text: list[list[str]], order: int, threshold: int
) -> None:
    """After every context, known or not, pruned or not, the words and </s> have all probability."""
    folder = tmp_path_factory.getbasetemp()
    prune = (0, *[threshold] * (order - 1))
    try:
        ngrams = built(text, folder, order=order, prune=prune)
    except ModelOptionsError:
        return  # too short a text, or all pruned
    known = sorted({key for key in ngrams.log_probs if " " not in key} - {"<s>", "</s>"})
    model = ArpaModel(
        NGramTrie.of(ngrams.order, ngrams.log_probs, ngrams.backoffs),
        Vocabulary.of([(word, 0.0) for word in known], None, source="lm.arpa"),
    )
    for context in product([*"abcde", "zebra"], repeat=min(order, 3) - 1):
        state = model.start()
        for word in context:
            _, state = model.score(state, word)
        total = sum(10 ** model.score(state, word)[0] for word in (*known,))
        assert total + 10 ** model.end(state) == pytest.approx(1, abs=1e-5)


@given(TEXTS, st.integers(1, 4), st.sampled_from([1, 3, 1000]))
def test_counts_are_those_of_counting(text: list[list[str]], order: int, block: int) -> None:
    """However small the blocks are, every n-gram within a sentence is counted, and no other."""
    expected: dict[tuple[str, ...], int] = {}
    for words in text:
        whole = ["<s>", *words, "</s>"]
        for length, end in product(range(1, order + 1), range(1, len(whole) + 1)):
            key = tuple(whole[max(0, end - length) : end])
            if len(key) == length:
                expected[key] = expected.get(key, 0) + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "_BLOCK", block)
        encoded = EncodedText.encode(iter(text))
        levels = count_ngrams(encoded, order)
    found: dict[tuple[str, ...], int] = {}
    for index, level in enumerate(levels):
        for row in range(len(level.keys)):
            reversed_key, at = list[str](), row
            for one in reversed(levels[: index + 1]):
                at, word = divmod(int(one.keys[at]), one.n_types)
                reversed_key.append(encoded.words[word])
            found[tuple(reversed_key[::-1])] = int(level.counts[row])
    assert found.pop(("<unk>",)) == 0
    assert found == expected
    assert encoded.n_words == sum(map(len, text))


def test_a_text_too_small_to_tell_is_an_error(tmp_path: Path) -> None:
    """Discounts that cannot be computed are never made up: the message says how to set them."""
    with pytest.raises(ModelOptionsError, match=r"too small .* --discount-fallback 0\.5 1 1\.5"):
        built(THREE, tmp_path, fallback=None)
    assert list(tmp_path.iterdir()) == []


def test_the_fallback_is_told(tmp_path: Path) -> None:
    """Which orders took the fallback's discounts is in the result."""
    made = build_language_model(
        iter(THREE), tmp_path / "lm.arpa", BuildOptions(2, (), None, FALLBACK)
    )
    assert made.fallback_orders == (1,)
    assert made.n_ngrams == (6, 5)
    assert (made.n_sentences, made.n_words) == (3, 6)
    assert made.word_list.read_text(encoding="utf-8") == "a\nb\nc\n"


def test_discounts_are_chen_and_goodmans() -> None:
    """Four words once, three twice, two three times, one four times: equation 26 by hand."""
    pool = "a b c d e e f f g g h h h i i i j j j j".split()
    levels = count_ngrams(EncodedText.encode([[word] for word in pool]), 1)
    one = estimate(levels, thresholds=[0])[0]
    y = 4 / (4 + 2 * 3)
    assert one.discounts == pytest.approx((1 - 2 * y * 3 / 4, 2 - 3 * y * 2 / 3, 3 - 4 * y * 1 / 2))
    assert not one.fallback


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order is 0, expected 1 to 6"),
        ({"order": 7}, "order is 7, expected 1 to 6"),
        ({"prune": (0, 2, 1)}, "0 2 1, expected 0 or more, none smaller"),
        ({"prune": (-1,)}, "expected 0 or more"),
        ({"prune": (0, 0, 0, 1)}, "4 pruning thresholds for a model of order 3"),
        ({"fallback": (0.0, 1.0, 1.5)}, "above 0 and up to 1, 2"),
        ({"fallback": (0.5, 2.5, 1.5)}, "above 0 and up to 1, 2"),
    ],
)
def test_impossible_models_are_refused(options: dict[str, object], message: str) -> None:
    """Orders, thresholds and discounts that cannot be are typed errors."""
    with pytest.raises(ModelOptionsError, match=message):
        BuildOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "prune", "message"),
    [(5, (), "no 5-grams|no n-gram of order 5 is in"), (2, (0, 9), "order 2 is left after")],
)
def test_empty_orders_are_refused(
    tmp_path: Path, order: int, prune: tuple[int, ...], message: str
) -> None:
    """An order without a single n-gram makes no model."""
    with pytest.raises(ModelOptionsError, match=message):
        built(THREE, tmp_path, order=order, prune=prune)
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_told_before_the_work(tmp_path: Path) -> None:
    """A folder that does not exist is an error before a word is read."""

    def never() -> Iterator[list[str]]:
        pytest.fail("the text was read")
        yield []

    with pytest.raises(LanguageModelNotFoundError, match="does not exist"):
        build_language_model(never(), tmp_path / "no" / "lm.arpa", BuildOptions())


def test_gzipped_models_are_the_same_bytes(tmp_path: Path) -> None:
    """The same text gives the same file, byte for byte; .gz is the same text packed."""
    options = BuildOptions(2, (), None, FALLBACK)
    for name in ("one.arpa", "two.arpa", "one.arpa.gz", "two.arpa.gz"):
        build_language_model(iter(THREE), tmp_path / name, options)
    assert (tmp_path / "one.arpa").read_bytes() == (tmp_path / "two.arpa").read_bytes()
    assert (tmp_path / "one.arpa.gz").read_bytes() == (tmp_path / "two.arpa.gz").read_bytes()
    assert (
        gzip.decompress((tmp_path / "one.arpa.gz").read_bytes())
        == (tmp_path / "one.arpa").read_bytes()
    )
    assert (tmp_path / "one.words.txt").is_file()


# --- text ----------------------------------------------------------------------------------------


def test_sentences_are_lines(tmp_path: Path) -> None:
    """Plain and gzipped text, blank lines skipped, a byte order mark dropped."""
    (tmp_path / "a.txt").write_text("\ufeffone two\n\n  \nthree", encoding="utf-8")
    (tmp_path / "b").write_bytes(gzip.compress(b"four\r\n"))
    told: list[tuple[str, float]] = []
    found = list(sentences([tmp_path / "a.txt", tmp_path / "b"], None, lambda *at: told.append(at)))
    assert found == [["one", "two"], ["three"], ["four"]]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"good\nb\xffd\n", "line 2: is no utf-8"),
        (b"good\nsay <s> now\n", "line 2: holds <s>"),
        (gzip.compress(b"good\n" * 1000, mtime=0)[:-9], "damaged gzip"),
    ],
    ids=["no utf-8", "a mark of the model", "cut short"],
)
def test_what_is_no_text_is_refused(tmp_path: Path, contents: bytes, message: str) -> None:
    """Bytes that are no text, and words with a meaning of their own, are told with their line."""
    (tmp_path / "a.txt").write_bytes(contents)
    with pytest.raises(CorpusError, match=message):
        list(sentences([tmp_path / "a.txt"]))


def test_other_encodings_are_named(tmp_path: Path) -> None:
    """Text in another encoding is read as what it is said to be; an unknown one is an error."""
    (tmp_path / "a.txt").write_bytes("Gr\u00fcn\n".encode("latin-1"))
    assert list(sentences([tmp_path / "a.txt"], encoding="latin-1")) == [["Grün"]]
    with pytest.raises(CorpusError, match="encoding 'latin-0' is unknown"):
        list(sentences([tmp_path / "a.txt"], encoding="latin-0"))


def test_no_text_is_refused(tmp_path: Path) -> None:
    """Text without a word makes no model, and has no perplexity."""
    with pytest.raises(CorpusError, match="holds no words"):
        built([], tmp_path)
    with pytest.raises(LanguageModelNotFoundError, match=r"none\.txt does not exist"):
        list(sentences([tmp_path / "none.txt"]))


@pytest.mark.parametrize(
    ("tokens", "line", "expected"),
    [
        (
            "ABC'",
            "\u2018Don\u2019t,\u201d she said; \u2014 'tis 4 o'clock!",
            "DON'T SHE SAID TIS 4 O'CLOCK",
        ),
        ("abc", "Don't re-enter.", "dont re enter"),
        ("abc-", "Re-enter - now", "re-enter now"),
        ("aBc", "Mixed Case.", "Mixed Case"),
        ("ÄÖ", "a\u0308pfel_und  \u00f6l", "ÄPFEL UND ÖL"),
    ],
)
def test_text_becomes_what_can_be_heard(tokens: str, line: str, expected: str) -> None:
    """One case, no punctuation but what the alphabet has within words, composed letters."""
    alphabet = Alphabet(("<pad>", "|", *tokens), blank_id=0, delimiter_id=1)
    assert Normalizer.of(alphabet)(line) == expected


# --- perplexity ----------------------------------------------------------------------------------


def test_perplexity_by_hand(tmp_path: Path) -> None:
    """Ends count as words; unknown words are counted apart."""
    built(THREE, tmp_path)
    model = ArpaModel.read(tmp_path / "lm.arpa", None)
    found = perplexity(model, [["a", "b"], ["zebra"]])
    a_b = 0.5 / 3 + (1.5 + 1 / 3) / 3 * 0.2
    known = [0.2, a_b, 0.5 / 2 + 0.75 * 0.3, 0.3]  # a, b, </s>, and </s> after <unk>
    unknown = 0.1
    assert (found.n_sentences, found.n_words, found.n_unknown) == (2, 3, 1)
    assert found.of_known == pytest.approx(math.prod(known) ** (-1 / 4), rel=1e-5)
    assert found.value == pytest.approx((math.prod(known) * unknown) ** (-1 / 5), rel=1e-5)


# --- lmplz ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def books(shared_data: Path) -> list[list[str]]:
    """Some 200,000 words of English prose, line by line."""
    paths = sorted((shared_data / "text").glob("gutenberg_[am]*.txt.gz"))
    if not paths:
        pytest.skip("no books in the text folder of the recordings")
    lines = sentences(paths, Normalizer("upper", "'"), encoding="latin-1")
    return list(islice(lines, 20_000))


@pytest.fixture(scope="module")
def lmplz() -> None:
    """Skips where KenLM's lmplz is not on PATH."""
    if shutil.which("lmplz") is None:
        pytest.skip("KenLM's lmplz is not on PATH; the README says how to build it")


@pytest.mark.parametrize(
    ("order", "prune", "limited"),
    [
        (1, (), False),
        (3, (), False),
        (3, (0, 0, 1), False),
        (3, (1, 1, 2), False),
        (3, (0, 0, 1), True),
        (5, (0, 1), False),
    ],
)
@pytest.mark.usefixtures("lmplz")
def test_equals_lmplz_on_real_text(
    books: list[list[str]], tmp_path: Path, order: int, prune: tuple[int, ...], *, limited: bool
) -> None:
    """The same n-grams as lmplz, probabilities and weights within 1e-4, perplexity within 0.1 %."""
    text = [line for number, line in enumerate(books) if number % 10]
    frequent = frozenset(word for line in text[:2000] for word in line)
    options = BuildOptions(order, prune, frequent if limited else None)
    read: dict[str, NGrams] = {}
    made: dict[str, Built] = {}
    for engine in ENGINES:
        out = tmp_path / f"{engine}.arpa"
        made[engine] = build_language_model(iter(text), out, options, engine=engine)
        read[engine] = NGrams.parse(out.read_text(encoding="utf-8"), source=engine)
    ours, theirs = read["own"], read["lmplz"]
    assert made["own"].n_ngrams == made["lmplz"].n_ngrams
    assert sorted(made["own"].word_list.read_text(encoding="utf-8").split()) == sorted(
        made["lmplz"].word_list.read_text(encoding="utf-8").split()
    )
    assert ours.log_probs.keys() == theirs.log_probs.keys()
    assert max(abs(ours.log_probs[key] - theirs.log_probs[key]) for key in ours.log_probs) < 1e-4
    contexts = ours.backoffs.keys() | theirs.backoffs.keys()
    differences = [abs(ours.backoffs.get(k, 0) - theirs.backoffs.get(k, 0)) for k in contexts]
    assert max(differences, default=0) < 1e-4
    held_out = books[::20]
    own, other = (
        perplexity(ArpaModel.read(made[engine].arpa, None), held_out).value
        for engine in ("own", "lmplz")
    )
    assert own == pytest.approx(other, rel=1e-3)
    assert 50 < own < 5000


@pytest.mark.usefixtures("lmplz")
def test_equals_lmplz_with_fallback_discounts(tmp_path: Path) -> None:
    """A text too small to tell its discounts gives the model that lmplz gives."""
    options = BuildOptions(3, (), None, FALLBACK)
    for engine in ENGINES:
        build_language_model(iter(THREE), tmp_path / engine, options, engine=engine)
    ours, theirs = (
        NGrams.parse((tmp_path / engine).read_text(encoding="utf-8"), source=engine)
        for engine in ("own", "lmplz")
    )
    assert ours.log_probs == pytest.approx(theirs.log_probs, abs=1e-5)
    assert ours.backoffs == pytest.approx(theirs.backoffs, abs=1e-5)


@pytest.mark.usefixtures("lmplz")
def test_what_lmplz_says_is_passed_on(tmp_path: Path) -> None:
    """Where lmplz gives up, its own words come with the error."""
    with pytest.raises(EngineError, match="discount"):
        build_language_model(iter(THREE), tmp_path / "lm.arpa", BuildOptions(2), engine="lmplz")


def test_an_absent_lmplz_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without lmplz on PATH the engine is an error that names our own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"lmplz is not on PATH.*leave out --engine"):
        build_language_model(iter(THREE), tmp_path / "lm.arpa", BuildOptions(2), engine="lmplz")


def test_a_binary_is_made_where_it_can_be(tmp_path: Path) -> None:
    """With KenLM's build_binary on PATH a binary comes with the model, and gives its scores."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    if shutil.which("build_binary") is None:
        pytest.skip("KenLM's build_binary is not on PATH")
    from wav2edge.lm.ngram import load_language_model

    made = build_language_model(
        iter(THREE), tmp_path / "lm.arpa", BuildOptions(2, (), None, FALLBACK)
    )
    assert made.binary == tmp_path / "lm.bin"
    ours, theirs = ArpaModel.read(made.arpa, None), load_language_model(made.binary, None)
    assert np.isclose(perplexity(ours, THREE).value, perplexity(theirs, THREE).value, rtol=1e-5)


def test_no_binary_without_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without build_binary the model is ARPA alone, and that is told by None."""
    monkeypatch.setenv("PATH", str(tmp_path))
    made = build_language_model(
        iter(THREE), tmp_path / "lm.arpa", BuildOptions(2, (), None, FALLBACK)
    )
    assert made.binary is None
