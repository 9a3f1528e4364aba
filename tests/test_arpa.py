"""Our reader of ARPA files: scores a person can add up, and damage that is told with its line."""

import gzip
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from arpa_files import BY_HAND, arpa_text, random_entries
from hypothesis import given
from hypothesis import strategies as st

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.arpa import ArpaModel
from wav2edge.lm.arpa_columns import read_columns
from wav2edge.lm.arpa_reader import NGrams
from wav2edge.lm.errors import (
    KenlmMissingError,
    LanguageModelError,
    LanguageModelFormatError,
    LanguageModelNotFoundError,
    LanguageModelReadError,
    TruncatedLanguageModelError,
    VocabularyMismatchError,
)
from wav2edge.lm.ngram import LARGEST_OWN, LanguageModel, load_language_model
from wav2edge.lm.ngram_trie import NGramTrie
from wav2edge.lm.vocabulary import Vocabulary

TEXT = arpa_text(BY_HAND)
CAPITALS = Alphabet(("<pad>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"), blank_id=0, delimiter_id=1)


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """The file of BY_HAND."""
    path = tmp_path / "lm.arpa"
    path.write_text(TEXT, encoding="utf-8")
    return path


def scores(model: LanguageModel, words: Sequence[str]) -> list[float]:
    """log10 p of each word of a sentence, and of its end."""
    state, found = model.start(), []
    for word in words:
        score, state = model.score(state, word)
        found.append(score)
    return [*found, model.end(state)]


def parse(text: str) -> ArpaModel:
    """Read ARPA text as files are read."""
    return ArpaModel.parse(text.encode(), None, source="lm.arpa")


def by_lines(contents: bytes) -> NGramTrie:
    """What the reader that looks at each line reads."""
    read = NGrams.parse(contents.decode(), source="lm.arpa")
    return NGramTrie.of(read.order, read.log_probs, read.backoffs)


def test_scores_as_added_by_hand(by_hand: Path) -> None:
    """The longest n-gram counts; each word given up costs its back-off weight."""
    model = load_language_model(by_hand, None)
    assert model.order == 3
    assert scores(model, ["turn", "on", "light"]) == [
        -0.5,  # (<s> turn)
        -0.1875,  # (<s> turn on)
        -0.0625 - 0.125 - 1.75,  # no (turn on light), no (on light): both weights
        -1.0,  # nothing starts with light, its weight is 0
    ]
    assert scores(model, ["on", "turn"]) == [
        -0.5 - 1.25,
        -0.125 - 1.5,
        -0.25 - 1.0,
    ]


def test_unknown_words_score_as_unk(by_hand: Path) -> None:
    """A word that is not there is <unk>, and so is it as a context."""
    model = load_language_model(by_hand, None)
    assert scores(model, ["zebra", "turn"]) == [-0.5 - 2.0, -1.5, -0.25 - 1.0]
    assert "zebra" not in model
    assert "turn" in model
    assert set(model.words) == {"turn", "on", "light"}


def test_missing_unk_is_minus_100() -> None:
    """Without <unk> an unknown word has log10 p = -100, as in KenLM."""
    text = arpa_text({key: value for key, value in BY_HAND.items() if key != ("<unk>",)})
    ngrams = NGrams.parse(text, source="lm.arpa")
    assert ngrams.log_probs["<unk>"] == -100.0


def test_states_are_short_plain_values(by_hand: Path) -> None:
    """A state holds no word that no longer n-gram uses; it can be hashed, compared, pickled."""
    model = load_language_model(by_hand, None)
    start = model.start()
    assert start == ("<s>",)
    _, turned = model.score(start, "turn")
    assert turned == ("<s>", "turn")
    _, lit = model.score(turned, "light")
    assert lit == ()
    assert pickle.loads(pickle.dumps(turned)) == turned  # noqa: S301  (our own bytes)
    assert len({start, turned, lit, turned}) == 3


def test_words_are_spelled_as_the_alphabet_spells(by_hand: Path) -> None:
    """A lower-case model serves a model of capitals; scores are those of its own spelling."""
    model = load_language_model(by_hand, CAPITALS)
    assert set(model.words) == {"TURN", "ON", "LIGHT"}
    assert "turn" not in model
    assert scores(model, ["TURN", "ON"]) == scores(
        load_language_model(by_hand, None), ["turn", "on"]
    )


def test_unspellable_words_are_counted() -> None:
    """Words that no tokens make are left out and counted; of two made one the better wins."""
    unigrams = [("<s>", -1.0), ("no", -2.0), ("No", -1.5), ("été", -3.0), ("4711", -1.0)]
    found = Vocabulary.of(unigrams, CAPITALS, source="lm.arpa")
    assert found.entries == {"NO": "No"}
    assert (found.n_words, found.n_unspellable, found.n_folded) == (4, 2, 1)
    assert found.unspellable == ("été", "4711")


def test_tokens_of_several_letters_spell() -> None:
    """A word is spelled if some sequence of tokens makes it, however long each token is."""
    alphabet = Alphabet(("<pad>", "|", "sch", "s", "u", "le"), blank_id=0, delimiter_id=1)
    found = Vocabulary.of(
        [("Schule", -1.0), ("schs", -1.0), ("sl", -1.0)], alphabet, source="lm.arpa"
    )
    assert list(found.entries) == ["schule", "schs"]


def test_without_a_delimiter_every_token_is_a_word() -> None:
    """Where the alphabet parts no words, only a word of one token can be heard."""
    alphabet = Alphabet(("<pad>", "ka", "mi"), blank_id=0)
    found = Vocabulary.of([("ka", -1.0), ("kami", -1.0)], alphabet, source="lm.arpa")
    assert list(found.entries) == ["ka"]


def test_nothing_spellable_is_an_error(by_hand: Path) -> None:
    """A model of another writing is refused, and the message shows some of its words."""
    greek = Alphabet(("<pad>", "|", "λ", "μ"), blank_id=0, delimiter_id=1)
    with pytest.raises(VocabularyMismatchError, match=r"none of the 3 words .* 'turn', 'on'"):
        load_language_model(by_hand, greek)


def test_gzipped_arpa_is_the_same(by_hand: Path, tmp_path: Path) -> None:
    """A gzipped file gives the same scores, whatever its name."""
    packed = tmp_path / "lm.gz"
    packed.write_bytes(gzip.compress(TEXT.encode()))
    sentence = ["turn", "on", "light"]
    assert scores(load_language_model(packed, None), sentence) == scores(
        load_language_model(by_hand, None), sentence
    )


@pytest.mark.parametrize("change", ["\r\n", "spaces", "blank lines", "comment", "<UNK>"])
def test_other_ways_of_writing_it(change: str) -> None:
    """Windows line ends, spaces for tabs, blank lines, a comment, <UNK>: all the same model."""
    changed = {
        "\r\n": TEXT.replace("\n", "\r\n"),
        "spaces": TEXT.replace("\t", "  "),
        "blank lines": TEXT.replace("\n-", "\n\n-"),
        "comment": "# made by hand\n" + TEXT,
        "<UNK>": TEXT.replace("<unk>", "<UNK>"),
    }[change]
    assert changed != TEXT
    assert NGrams.parse(changed, source="x") == NGrams.parse(TEXT, source="x")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("\\data\\", "\\date\\", 1, r"expected \\data\\"),
        ("ngram 2=2", "ngram 3=2", 3, "expected ngram 2=COUNT"),
        ("ngram 2=2", "ngram 2=-2", 3, "expected ngram 2=COUNT"),
        (
            "ngram 2=2",
            "ngram 2=3",
            18,
            "expected one more of the n-grams of order 2, 3 by the head",
        ),
        ("ngram 1=6", "ngram 1=5", 12, r"expected \\2-grams:"),
        ("\\2-grams:", "\\3-grams:", 14, r"expected \\2-grams:"),
        ("-1.75\tlight", "-1.75", 12, "expected a log-probability, 1 word,"),
        ("-1.75\tlight", "-1.75\tlight\t0\t0", 12, "expected a log-probability, 1 word,"),
        ("-1.75\tlight", "much\tlight", 12, "log-probability 'much', expected a finite number"),
        ("-1.75\tlight", "nan\tlight", 12, "log-probability 'nan', expected a finite number"),
        ("-1.75\tlight", "-inf\tlight", 12, "log-probability '-inf', expected a finite number"),
        ("-1.75\tlight", "0.5\tlight", 12, "log-probability 0.5, expected 0 or less"),
        ("-1.75\tlight", "-1.75\tlight\tnan", 12, "back-off weight 'nan', expected a finite"),
        ("-1.75\tlight", "-1.75\ton", 12, "'on' for the second time"),
        ("turn on\t-", "turn off\t-", 16, "'turn off', whose word 'off'"),
        ("<s> turn on\n", "<s> turn on\t-1\n", 19, "no longer n-grams follow"),
        ("<s> turn on\n", "<s> on turn\n", 19, "whose context '<s> on'"),
        ("\\end\\\n", "\\end\\\nmore\n", 22, "expected nothing more"),
        ("\\end\\", "-1\ta b c", 21, r"expected \\end\\"),
    ],
)
def test_damage_is_told_with_its_line(old: str, new: str, line: int, message: str) -> None:
    """Wrong order, counts, numbers and n-grams are each refused, naming the line."""
    assert old in TEXT
    with pytest.raises(LanguageModelFormatError, match=message) as caught:
        parse(TEXT.replace(old, new, 1))
    assert f"lm.arpa, line {line}: " in str(caught.value)


@pytest.mark.parametrize("special", ["<s>", "</s>"])
def test_a_model_without_sentence_ends_is_refused(special: str) -> None:
    """Without <s> or </s> no sentence can be scored; the message says which line to add."""
    text = arpa_text({key: value for key, value in BY_HAND.items() if special not in key})
    with pytest.raises(LanguageModelFormatError, match=f"has no {special} among its words"):
        parse(text)


@given(random_entries())
def test_columns_are_what_the_lines_are(
    entries: dict[tuple[str, ...], tuple[float, float]],
) -> None:
    """The fast reader takes every file written as usual, and reads what the careful one reads."""
    contents = arpa_text(entries).encode()
    read = read_columns(contents)
    assert (read is None) == (("<unk>",) not in entries)
    assert read in (None, by_lines(contents))


@given(place=st.integers(0, len(TEXT) - 1), byte=st.integers(0, 127), insert=st.booleans())
def test_whatever_the_fast_reader_takes_the_careful_one_takes_so(
    place: int, byte: int, *, insert: bool
) -> None:
    """One byte changed or put in anywhere: the fast reader leaves it, or both read the same."""
    contents = TEXT.encode()
    contents = contents[:place] + bytes([byte]) + contents[place + (not insert) :]
    read = read_columns(contents)
    assert read is None or read == by_lines(contents)


@given(random_entries(), st.data())
def test_every_truncation_is_an_error(
    entries: dict[tuple[str, ...], tuple[float, float]], data: st.DataObject
) -> None:
    r"""Whatever is cut off a valid file, up to the last letter of \end\, the typed error comes."""
    text = arpa_text(entries)
    cut = data.draw(st.integers(0, len(text) - 2))
    parse(text)
    with pytest.raises((TruncatedLanguageModelError, LanguageModelFormatError)):
        parse(text[:cut])


def test_every_truncation_of_a_gzip_file_is_an_error(tmp_path: Path) -> None:
    """A gzipped file cut short anywhere is the typed error too."""
    packed, path = gzip.compress(TEXT.encode()), tmp_path / "lm.arpa.gz"
    for cut in range(len(packed)):
        path.write_bytes(packed[:cut])
        with pytest.raises(LanguageModelError):
            load_language_model(path, None)


@pytest.mark.parametrize(
    ("contents", "error", "message"),
    [
        (b"", TruncatedLanguageModelError, "is empty"),
        (b"\n \n", TruncatedLanguageModelError, "is empty"),
        (b"blmt 3 200", LanguageModelFormatError, "an IRSTLM binary"),
        (b"iARPA\n", LanguageModelFormatError, "an IRSTLM intermediate file"),
        (b"PK\x03\x04....", LanguageModelFormatError, "a zip archive"),
        (b"\x7fELF\x00\x01", LanguageModelFormatError, "neither ARPA text nor a KenLM binary"),
        (b"mmap lm http://kheafield.org/", LanguageModelFormatError, "of another version"),
        (b"\x1f\x8b\x08broken", LanguageModelError, "gzip"),
        (b"hello\n", LanguageModelFormatError, "line 1: found 'hello'"),
        (
            TEXT.encode("latin-1").replace(b"light", b"l\xfcfte"),
            LanguageModelFormatError,
            "line 12",
        ),
    ],
)
def test_foreign_files_are_refused(
    tmp_path: Path, contents: bytes, error: type[LanguageModelError], message: str
) -> None:
    """What is no language model, or another program's, is refused by name."""
    path = tmp_path / "lm.bin"
    path.write_bytes(contents)
    with pytest.raises(error, match=message):
        load_language_model(path, None)


def test_no_file_and_no_file_but_a_folder(tmp_path: Path) -> None:
    """A missing file is also FileNotFoundError, a folder also OSError."""
    with pytest.raises(LanguageModelNotFoundError, match="does not exist"):
        load_language_model(tmp_path / "lm.arpa", None)
    with pytest.raises(LanguageModelReadError):
        load_language_model(tmp_path, None)


@pytest.mark.parametrize("packed", [False, True])
def test_large_files_need_kenlm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    """Above 5 MB of text, gzipped or not, a device without kenlm is told what to install."""
    monkeypatch.setitem(sys.modules, "kenlm", None)
    text = TEXT.encode() + b" \n" * (LARGEST_OWN // 2)
    path = tmp_path / "lm.arpa"
    path.write_bytes(gzip.compress(text) if packed else text)
    with pytest.raises(KenlmMissingError, match=r'pip install "wav2edge\[lm\]"'):
        load_language_model(path, None)
    assert ArpaModel.read(path, None).order == 3


def test_small_files_do_not_load_kenlm(by_hand: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small ARPA file needs nothing but the base install."""
    monkeypatch.setitem(sys.modules, "kenlm", None)
    assert load_language_model(by_hand, CAPITALS).order == 3
