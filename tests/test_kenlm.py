"""The door to KenLM: the same scores as our reader, word lists that belong, files that do not."""

import gzip
import math
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from arpa_files import BY_HAND, SENTENCES, Entries, arpa_text, random_entries
from hypothesis import HealthCheck, given, settings

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.arpa import ArpaModel
from wav2edge.lm.errors import (
    KenlmMissingError,
    LanguageModelError,
    LanguageModelFormatError,
    VocabularyMismatchError,
    WordListError,
)
from wav2edge.lm.ngram import LARGEST_OWN, LanguageModel, load_language_model

KENLM = b"mmap lm http://kheafield.com/code"
CAPITALS = Alphabet(("<pad>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"), blank_id=0, delimiter_id=1)
PADDING = "\n" * (LARGEST_OWN + 1)  # makes any ARPA file one that only KenLM takes


def build_binary() -> str:
    """The program that makes binaries; skips where it is absent."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    program = shutil.which("build_binary")
    if program is None:
        pytest.skip("KenLM's build_binary is not on PATH")
    return program


@pytest.fixture(scope="module", params=["trie", "probing"])
def binary(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """BY_HAND as a binary, with its word list."""
    program = build_binary()
    folder = tmp_path_factory.mktemp("binary")
    (folder / "lm.arpa").write_text(arpa_text(BY_HAND), encoding="utf-8")
    subprocess.run(
        [program, request.param, folder / "lm.arpa", folder / "lm.bin"],
        check=True,
        capture_output=True,
    )
    (folder / "lm.words.txt").write_text("turn\non\nlight\n", encoding="utf-8")
    return folder / "lm.bin"


def assert_equal(ours: LanguageModel, theirs: LanguageModel, sentences: list[list[str]]) -> None:
    """Both give every word of every sentence, and its end, the same score within 1e-5."""
    for sentence in sentences:
        own, other = ours.start(), theirs.start()
        for word in sentence:
            score, own = ours.score(own, word)
            expected, other = theirs.score(other, word)
            assert score == pytest.approx(expected, abs=1e-5)
        assert ours.end(own) == pytest.approx(theirs.end(other), abs=1e-5)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random_entries(), SENTENCES)
def test_our_reader_scores_as_kenlm(
    tmp_path: Path, entries: Entries, sentences: list[list[str]]
) -> None:
    """Random models, random sentences, unknown words among them: equal within 1e-5."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    from wav2edge.lm.kenlm_model import open_arpa

    path = tmp_path / "lm.arpa"
    path.write_text(arpa_text(entries), encoding="utf-8")
    assert_equal(ArpaModel.read(path, None), open_arpa(path, None), sentences)


@pytest.mark.parametrize("name", ["kenlm_test.arpa", "mfa_test_lm.arpa.gz"])
def test_our_reader_scores_as_kenlm_on_real_models(shared_data: Path, name: str) -> None:
    """Models that other tools made: equal within 1e-5 on sentences of their own words."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    from wav2edge.lm.kenlm_model import open_arpa

    path = shared_data / "text" / name
    ours, theirs = ArpaModel.read(path, None), open_arpa(path, None)
    words = sorted(ours.words)
    assert words == sorted(theirs.words)
    sentences = [[*words[start::97], "unheard", *words[start::89]] for start in range(40)]
    assert_equal(ours, theirs, sentences)


@pytest.mark.parametrize("packed", [False, True])
def test_large_arpa_goes_to_kenlm(tmp_path: Path, *, packed: bool) -> None:
    """Above 5 MB KenLM reads the file, gzipped or not, and its words are known as ours are."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    path = tmp_path / "lm.arpa"
    text = (arpa_text(BY_HAND) + PADDING).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    model = load_language_model(path, CAPITALS)
    assert type(model).__name__ == "KenlmModel"
    assert set(model.words) == {"TURN", "ON", "LIGHT"}
    assert_equal(ArpaModel.read(path, CAPITALS), model, [["TURN", "ON", "LIGHT"], ["ZEBRA"]])


def test_binary_scores_as_its_arpa(binary: Path) -> None:
    """A binary with its word list gives the scores of the ARPA file it was made of."""
    model = load_language_model(binary, CAPITALS)
    assert model.order == 3
    assert (model.vocabulary.n_words, model.vocabulary.n_unspellable) == (3, 0)
    ours = ArpaModel.read(binary.with_name("lm.arpa"), CAPITALS)
    assert_equal(ours, model, [["TURN", "ON", "LIGHT"], ["ZEBRA", "ON"], []])


def test_states_survive_pickling_and_forgetting(
    binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state is a value: another process, or a model that forgot it, goes on from it alike."""
    from wav2edge.lm import kenlm_model

    model = load_language_model(binary, CAPITALS)
    _, state = model.score(model.start(), "TURN")
    _, state = model.score(state, "ON")
    copied = pickle.loads(pickle.dumps(state))  # noqa: S301  (our own bytes)
    fresh = load_language_model(binary, CAPITALS)
    assert fresh.score(copied, "LIGHT") == model.score(state, "LIGHT")
    assert fresh.end(copied) == model.end(state)
    monkeypatch.setattr(kenlm_model, "_KEPT", 1)
    assert model.score(state, "LIGHT") == fresh.score(copied, "LIGHT")


@pytest.mark.parametrize("name", ["lm.words.txt", "words.txt", "unigrams.txt", "elsewhere.txt"])
def test_word_lists_are_found(binary: Path, tmp_path: Path, name: str) -> None:
    """The list lies beside the binary under one of three names, or is named."""
    shutil.copy(binary, tmp_path / "lm.bin")
    (tmp_path / name).write_text("<unk>\n<s>\n</s>\nturn\non\n\nlight", encoding="utf-8")
    named = tmp_path / name if name == "elsewhere.txt" else None
    model = load_language_model(tmp_path / "lm.bin", CAPITALS, words=named)
    assert set(model.words) == {"TURN", "ON", "LIGHT"}


def test_a_binary_without_words_is_refused(binary: Path, tmp_path: Path) -> None:
    """Without a list every word would be unknown: an error that says where a list may lie."""
    shutil.copy(binary, tmp_path / "lm.bin")
    with pytest.raises(WordListError, match=r"lm\.words\.txt, words\.txt, unigrams\.txt"):
        load_language_model(tmp_path / "lm.bin", CAPITALS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("TURN\nON\nLIGHT\n", "of the 3 words in .* knows 0"),
        ("turn\non\nzebra\n", "of the 3 words in .* knows 2"),
        ("", "of the 0 words in .* knows 0"),
        ("turn\non light\n", "line 2: found 'on light', expected one word"),
        ("turn\t12\n", "line 1: found"),
    ],
)
def test_a_list_of_another_model_is_refused(
    binary: Path, tmp_path: Path, words: str, message: str
) -> None:
    """A list whose words the model does not know is not its list."""
    listed = tmp_path / "words.txt"
    listed.write_text(words, encoding="utf-8")
    with pytest.raises(WordListError, match=message):
        load_language_model(binary, CAPITALS, words=listed)


def test_nothing_spellable_is_an_error(binary: Path) -> None:
    """A binary of another writing is refused as an ARPA file is."""
    greek = Alphabet(("<pad>", "|", "λ", "μ"), blank_id=0, delimiter_id=1)
    with pytest.raises(VocabularyMismatchError, match="none of the 3 words"):
        load_language_model(binary, greek)


def test_truncated_binaries_are_errors(binary: Path, tmp_path: Path) -> None:
    """A binary cut anywhere inside its tables is a typed error, never a crash."""
    contents = binary.read_bytes()
    path = tmp_path / "lm.bin"
    listed = binary.with_name("lm.words.txt")
    end = contents.rindex(b"<unk>\0")  # the words' text follows the tables; KenLM does not need it
    for cut in [*range(1, end - 1, max(1, end // 60)), end - 64]:
        path.write_bytes(contents[:cut])
        with pytest.raises(LanguageModelError):
            load_language_model(path, None, words=listed)


def test_a_binary_without_kenlm_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package a binary is an error that names the extra."""
    monkeypatch.setitem(sys.modules, "kenlm", None)
    path = tmp_path / "lm.bin"
    path.write_bytes(KENLM + b" format version 5\n\0" + bytes(200))
    with pytest.raises(KenlmMissingError, match=r'pip install "wav2edge\[lm\]"'):
        load_language_model(path, CAPITALS)


def test_a_foreign_file_behind_the_right_name_is_refused(tmp_path: Path) -> None:
    """Bytes that only begin as a KenLM binary does are a typed error; gzipped ones say gunzip."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    path = tmp_path / "lm.bin"
    path.write_bytes(KENLM + b" format version 5\n\0" + os.urandom(4000))
    with pytest.raises(LanguageModelFormatError, match="KenLM cannot read"):
        load_language_model(path, CAPITALS)
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(LanguageModelFormatError, match="gunzip"):
        load_language_model(path, CAPITALS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ngram 2=2", "ngram 2=3", "KenLM cannot read"),
        ("\\2-grams:", "\\3-grams:", "KenLM cannot read"),
        ("-1.75\tlight", "0.5\tlight", "KenLM cannot read"),
        ("-1.75\tlight", "nan\tlight", "line 12: found 'nan'"),
        ("-1.75\tlight", "-inf\tlight", "line 12: found '-inf'"),
        ("<s> turn on\n", "<s> on turn\n", "KenLM cannot read"),
        ("\\end\\", "", "KenLM cannot read"),
    ],
)
def test_damaged_large_arpa_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What our reader refuses in small files is refused in large ones, NaN included."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    path = tmp_path / "lm.arpa"
    path.write_text(arpa_text(BY_HAND).replace(old, new, 1) + PADDING, encoding="utf-8")
    with pytest.raises(LanguageModelFormatError, match=message):
        load_language_model(path, CAPITALS)


def test_scores_are_finite_for_every_word(binary: Path) -> None:
    """No word of the list, nor one outside it, has a score that is no number."""
    model = load_language_model(binary, CAPITALS)
    for word in (*model.words, "ZEBRA", ""):
        assert math.isfinite(model.score(model.start(), word)[0])
