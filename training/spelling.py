"""How a transcript is spelled with the tokens of a model, and what becomes of it before.

A transcript is brought to one form: Unicode NFKC; typographic apostrophes are plain ones; the case
of the vocabulary's letters (upper where it has both or none); then every character that the
vocabulary has is kept. Of the others, punctuation and symbols become a space, and accents go where
the letter without them is there. What is left over (digits, mostly) makes the row unusable: nothing
is ever guessed.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from wav2edge.lm.alphabet import Alphabet

from .errors import StartError, StartNotFoundError, TrainingDataError

_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))


class UnspellableError(TrainingDataError):
    """A transcript has characters that the vocabulary lacks; the message lists them."""


@dataclass(frozen=True)
class Spelling:
    """The tokens of a CTC model that takes characters."""

    alphabet: Alphabet

    @cached_property
    def token_ids(self) -> dict[str, int]:
        """Token id of every character that can be spelled, the space included."""
        skipped = {self.alphabet.blank_id, self.alphabet.delimiter_id, *self.alphabet.special_ids}
        ids = {
            token: i
            for i, token in enumerate(self.alphabet.tokens)
            if i not in skipped and len(token) == 1
        }
        if self.alphabet.delimiter_id is not None:
            ids[" "] = self.alphabet.delimiter_id
        return ids

    def normalize(self, text: str) -> str:
        """Bring a transcript to the form that it is learned in.

        Raises:
            UnspellableError: Characters are left that the vocabulary lacks.
        """
        known = self.token_ids
        cased = _cased(text, known)
        kept = "".join(c if c in known else _replaced(c, known) for c in cased)
        missing = sorted(set(kept) - set(known) - {" "})
        if missing:
            raise UnspellableError(f"characters that the vocabulary lacks: {' '.join(missing)}")
        words = (word.strip("'") for word in kept.split())
        return self.alphabet.separator.join(word for word in words if word)

    def spell(self, text: str) -> list[int]:
        """Return the token ids of a normalised text."""
        known = self.token_ids
        return [known[c] for c in text]


def spelling_of(texts: Iterable[str]) -> Spelling:
    """Make a vocabulary of the letters, marks and apostrophes of transcripts, upper-cased.

    Digits are left out: they are written in one way and spoken in many.

    Raises:
        TrainingDataError: There is not one letter.
    """
    found = {
        c
        for text in texts
        for c in unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).upper()
        if unicodedata.category(c)[0] in "LM" or c == "'"
    }
    if not found - {"'"}:
        raise TrainingDataError(
            "the transcripts hold no letter to make a vocabulary of: expected a column text "
            "(or norm, or transcript) with what is said"
        )
    return Spelling(Alphabet((*_SPECIAL, "|", *sorted(found)), 0, 4, (1, 2, 3)))


def read_spelling(source: str) -> Spelling:
    """Read the vocabulary of a checkpoint.

    Args:
        source: A folder or a hub id.

    Raises:
        StartNotFoundError: It has none that can be read.
        StartError: It has one for each of several languages.
    """
    from transformers import Wav2Vec2CTCTokenizer

    try:
        tokenizer: Any = Wav2Vec2CTCTokenizer.from_pretrained(source)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StartNotFoundError(
            f"{source}: the vocabulary could not be read ({str(error).splitlines()[0]}); expected "
            "vocab.json and tokenizer_config.json"
        ) from error
    if any(isinstance(value, dict) for value in tokenizer.vocab.values()):
        raise StartError(f"{source} has vocabularies for several languages; expected one")
    ids = tokenizer.get_vocab()
    size = max(tokenizer.encoder.values(), default=-1) + 1
    by_id = {i: token for token, i in ids.items()}
    tokens = tuple(by_id.get(i, f"<unused {i}>") for i in range(size))
    delimiter = next((ids[t] for t in (tokenizer.word_delimiter_token, " ") if t in ids), None)
    blank = tokenizer.pad_token_id
    special = {i for i in tokenizer.all_special_ids if i < size}
    special |= {i for i in range(size) if i not in by_id}
    return Spelling(Alphabet(tokens, blank, delimiter, tuple(sorted(special - {blank, delimiter}))))


def has_vocabulary(source: str) -> bool:
    """Whether a checkpoint, in a folder or on the hub, comes with a vocabulary."""
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(source, "vocab.json", _raise_exceptions_for_missing_entries=False)
    except OSError:
        return False
    return found is not None


def write_tokenizer(spelling: Spelling, folder: Path, *, do_normalize: bool) -> None:
    """Write what `transformers` needs beside the weights: tokenizer and feature extractor.

    `vocab.json` comes last, so where it is, everything is.
    """
    alphabet = spelling.alphabet
    names = {token for i, token in enumerate(alphabet.tokens) if i in alphabet.special_ids}
    special = {
        f"{kind}_token": token
        for kind, token in (("bos", "<s>"), ("eos", "</s>"), ("unk", "<unk>"))
        if token in names
    }
    delimiter = "|" if alphabet.delimiter_id is None else alphabet.tokens[alphabet.delimiter_id]
    files: dict[str, dict[str, Any]] = {
        "tokenizer_config.json": {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            **special,
            "pad_token": alphabet.tokens[alphabet.blank_id],
            "word_delimiter_token": delimiter,
            "do_lower_case": False,
        },
        "preprocessor_config.json": {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "sampling_rate": 16_000,
            "padding_value": 0.0,
            "do_normalize": do_normalize,
            "return_attention_mask": True,
        },
        "vocab.json": {token: i for i, token in enumerate(alphabet.tokens)},
    }
    for name, values in files.items():
        text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


def _cased(text: str, known: Iterable[str]) -> str:
    plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    lower = any(c.islower() for c in known) and not any(c.isupper() for c in known)
    return plain.lower() if lower else plain.upper()


def _replaced(character: str, known: dict[str, int]) -> str:
    """What stands for a character that the vocabulary lacks; itself where nothing can."""
    if unicodedata.category(character)[0] in "PSZC":
        return " "
    letters: Sequence[str] = unicodedata.normalize("NFKD", character)
    if all(c in known or unicodedata.combining(c) for c in letters):
        return "".join(c for c in letters if c in known)
    return character
