"""The alphabet spells what Hugging Face's own tokenizer spells, and refuses what cannot fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.errors import AlphabetError, LogProbsError, Wav2EdgeError

BASE = Alphabet(("<pad>", "<s>", "</s>", "<unk>", "|", *"ETAON"), 0, 4, (1, 2, 3))
LOWER = Alphabet(("a", "b", "'", " ", "[UNK]", "[PAD]"), 5, 3, (4,))
PHONES = Alphabet(("<pad>", "<s>", "</s>", "<unk>", "ə", "tʃ", "ŋə", "n", "t"), 0, None, (1, 2, 3))
SYLLABLES = Alphabet(("_", "<unk>", "ka", "k", "a", "ㄱ", "—", "."), 0, 6, (1,))
ALPHABETS = {"base": BASE, "lower case": LOWER, "no delimiter": PHONES, "syllables": SYLLABLES}


def hf_tokenizer(alphabet: Alphabet, folder: Path) -> Any:  # noqa: ANN401  (transformers' class)
    """The tokenizer that `transformers` builds from the same facts."""
    transformers = pytest.importorskip("transformers", reason="the reference is transformers")
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: i for i, token in enumerate(alphabet.tokens)}))
    delimiter = alphabet.delimiter_id
    return transformers.Wav2Vec2CTCTokenizer(
        str(vocabulary),
        unk_token=alphabet.tokens[alphabet.special_ids[-1]],
        pad_token=alphabet.tokens[alphabet.blank_id],
        bos_token=alphabet.tokens[alphabet.special_ids[0]],
        eos_token=alphabet.tokens[alphabet.special_ids[0]],
        word_delimiter_token="|" if delimiter is None else alphabet.tokens[delimiter],
    )


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
def test_text_is_what_transformers_decodes(alphabet: Alphabet, tmp_path: Path) -> None:
    """For any ids without special tokens, text equals the tokenizer's own decode, exactly."""
    tokenizer = hf_tokenizer(alphabet, tmp_path)
    heard = [i for i in range(alphabet.size) if i not in alphabet.special_ids]

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.sampled_from(heard), max_size=40))
    def agrees(ids: list[int]) -> None:
        assert tokenizer.decode(ids) == alphabet.text(ids)

    agrees()


def test_runs_are_grouped_before_blanks_go() -> None:
    """A letter twice in a row is one letter; with a blank between, it is two."""
    e = BASE.tokens.index("E")
    assert (BASE.text([e, e]), BASE.text([e, 0, e])) == ("E", "EE")


def test_no_frames_spell_nothing() -> None:
    """No ids, or blanks alone, are the empty text."""
    assert (BASE.text([]), BASE.text([0, 0, 0]), BASE.text(np.zeros(0, np.int64))) == ("", "", "")


def test_special_tokens_are_masked_and_nothing_is_renormalised() -> None:
    """Masking sets special columns to -inf, keeps every other value, and leaves its input alone."""
    log_probs = np.log(np.full((3, BASE.size), 1 / BASE.size, np.float32))
    before = log_probs.copy()
    masked = BASE.masked(log_probs)
    assert np.isneginf(masked[:, [1, 2, 3]]).all()
    np.testing.assert_array_equal(masked[:, [0, *range(4, 10)]], before[:, [0, *range(4, 10)]])
    np.testing.assert_array_equal(log_probs, before)


@pytest.mark.parametrize("shape", [(3,), (3, 9), (3, 11), (1, 3, 10)])
def test_log_probs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """An array that is not [frames, tokens] is refused, naming both shapes."""
    with pytest.raises(LogProbsError, match="10 tokens"):
        BASE.masked(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"blank_id": 3}, "blank_id is 3, but the 3 tokens have ids 0 to 2"),
        ({"blank_id": -1}, "blank_id is -1"),
        ({"blank_id": 0, "delimiter_id": 7}, "delimiter_id is 7"),
        ({"blank_id": 0, "special_ids": (1, 5)}, r"special_ids\[1\] is 5"),
        ({"blank_id": 0, "special_ids": (0,)}, "blank_id is 0, which special_ids masks"),
        ({"blank_id": 0, "delimiter_id": 0}, "both token 0"),
        ({"blank_id": 0, "tokens": ("_", "a", "a")}, "'a' has the ids 1 and 2"),
    ],
)
def test_facts_that_do_not_fit_are_refused(facts: dict[str, Any], message: str) -> None:
    """Ids outside the alphabet, masked blanks and tokens with two ids are refused by name."""
    with pytest.raises(AlphabetError, match=message) as caught:
        Alphabet(**{"tokens": ("_", "a", "b"), **facts})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, Wav2EdgeError)


def test_masked_tokens_may_repeat() -> None:
    """Spare outputs that share a name are no trouble as long as they are masked."""
    assert Alphabet(("_", "a", "<x>", "<x>"), 0, None, (2, 3)).text([1]) == "a"
