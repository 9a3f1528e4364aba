"""The folders that `pyctcdecode` keeps a decoder in; many models on the hub have one beside them.

```
alphabet.json           {"labels": [...], "is_bpe": false}: the blank is "", the delimiter " "
language_model/         only with a language model
  attrs.json            {"alpha", "beta", "unk_score_offset", "score_boundary"}
  unigrams.txt          the known words, one a line
  NAME.arpa             or .bin, .binary: one file
```
"""

import json
import math
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .alphabet import Alphabet
from .beam import BeamDecoder
from .errors import DecoderFolderError, DecoderFolderNotFoundError
from .fusion import BeamOptions
from .ngram import load_language_model, read_bytes

_ALPHABET, _MODEL = "alphabet.json", "language_model"
_WEIGHTS, _WORDS = "attrs.json", "unigrams.txt"
_ENDINGS = (".arpa", ".bin", ".binary")
_OPTIONS = {
    "alpha": "alpha",
    "beta": "beta",
    "unk_score_offset": "unknown_word_score",
    "score_boundary": "score_boundary",
}
_UNKNOWN = "⁇"  # what pyctcdecode makes of <unk> and [UNK]


@dataclass(frozen=True, slots=True)
class DecoderFolder:
    """What such a folder holds."""

    labels: tuple[str, ...]
    """The tokens; the blank is "", the delimiter a space."""
    model: Path | None = None
    """The language model, ARPA or a KenLM binary."""
    words: Path | None = None
    """Its word list; it may be empty."""
    options: BeamOptions = field(default_factory=BeamOptions)
    """The defaults with the folder's weights."""

    @property
    def alphabet(self) -> Alphabet:
        """The tokens as an alphabet of ours: what looks like a marker is never heard.

        Raises:
            DecoderFolderError: If there is no blank.
        """
        if "" not in self.labels:
            raise DecoderFolderError(
                f"{_ALPHABET} has no blank: expected one empty label; write the folder anew"
            )
        special = tuple(
            id_
            for id_, label in enumerate(self.labels)
            if label == _UNKNOWN or (len(label) > 2 and label[0] + label[-1] in {"<>", "[]"})  # noqa: PLR2004
        )
        delimiter = self.labels.index(" ") if " " in self.labels else None
        return Alphabet(self.labels, self.labels.index(""), delimiter, special)

    def decoder(self, alphabet: Alphabet | None = None, **of_stream: Any) -> BeamDecoder:  # noqa: ANN401
        """Make a decoder of ours with the folder's language model and weights.

        Args:
            alphabet: Of the model whose log-probs it will get; its tokens must be the folder's.
                None: the folder's own.
            of_stream: Further arguments of `BeamDecoder`: `hotwords`, `hop_s`, `pause_frames`.

        Raises:
            DecoderFolderError: If the tokens differ.
            LanguageModelError: If the language model cannot be loaded.
        """
        if alphabet is None:
            alphabet = self.alphabet
        else:
            self._compare(alphabet)
        model = None
        if self.model is not None:
            has_words = self.words is not None and self.words.stat().st_size > 0
            model = load_language_model(
                self.model, alphabet, words=self.words if has_words else None
            )
        return BeamDecoder(alphabet, model, options=self.options, **of_stream)

    def _compare(self, alphabet: Alphabet) -> None:
        ours = labels_of(alphabet)
        # pyctcdecode adds a blank where it finds none among the labels
        for id_ in range(max(len(ours), len(self.labels))):
            pair = [one[id_] if id_ < len(one) else None for one in (ours, self.labels)]
            heard = id_ not in alphabet.special_ids
            if None in pair or (heard and pair[0] != pair[1]):
                raise DecoderFolderError(
                    f"token {id_} is {pair[0]!r} in the model and {pair[1]!r} in {_ALPHABET} "
                    f"({len(ours)} and {len(self.labels)} tokens): take the folder that belongs "
                    "to the model"
                )


def labels_of(alphabet: Alphabet) -> tuple[str, ...]:
    """Return the tokens as `pyctcdecode` names them: blank "", delimiter a space."""
    named = {alphabet.blank_id: "", alphabet.delimiter_id: " "}
    return tuple(named.get(id_, token) for id_, token in enumerate(alphabet.tokens))


def read_decoder_folder(folder: Path) -> DecoderFolder:
    """Read what `BeamSearchDecoderCTC.save_to_dir` wrote.

    Raises:
        DecoderFolderNotFoundError: If the folder or a file of it is missing.
        DecoderFolderError: If a file means nothing, the tokens are word pieces, or there is not
            exactly one language model.
    """
    found = _json(folder / _ALPHABET, {"labels", "is_bpe"})
    labels = found["labels"]
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise DecoderFolderError(f"{folder / _ALPHABET}: labels are no list of texts")
    if found["is_bpe"]:
        raise DecoderFolderError(
            f"{folder / _ALPHABET} holds word pieces (is_bpe): expected letters or other tokens "
            "with a delimiter between words; wav2vec 2.0 models have those"
        )
    if len(set(labels)) != len(labels):
        raise DecoderFolderError(f"{folder / _ALPHABET} has labels that come twice")
    if not (folder / _MODEL).is_dir():
        return DecoderFolder(tuple(labels))
    weights = _json(folder / _MODEL / _WEIGHTS, set(_OPTIONS))
    words = folder / _MODEL / _WORDS
    if not words.is_file():
        raise DecoderFolderNotFoundError(f"{words} is missing: write the folder anew")
    options = replace(BeamOptions(), **_checked(weights, folder / _MODEL / _WEIGHTS))
    return DecoderFolder(tuple(labels), _only_model(folder / _MODEL), words, options)


def write_decoder_folder(
    folder: Path,
    alphabet: Alphabet,
    *,
    model: Path | None = None,
    words: Collection[str] = (),
    options: BeamOptions | None = None,
) -> None:
    """Write what `BeamSearchDecoderCTC.load_from_dir` reads.

    Args:
        folder: Made if it is not there.
        alphabet: Of the acoustic model; every token is written, those never heard as well.
        model: ARPA, gzipped or not, or a KenLM binary; it is copied.
        words: The known words, as the language model spells them.
        options: Their weights are written; None: the defaults.

    Raises:
        DecoderFolderError: If the folder is not empty, the alphabet has no delimiter, or the
            language model's name has an ending that `pyctcdecode` does not know.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DecoderFolderError(f"{folder} is not empty: name a new folder")
    if alphabet.delimiter_id is None:
        raise DecoderFolderError(
            "the alphabet has no word delimiter: pyctcdecode would join all it hears to one word"
        )
    name = None if model is None else model.name.removesuffix(".gz")
    if name is not None and not name.endswith(_ENDINGS):
        raise DecoderFolderError(f"{model} must end in {', '.join(_ENDINGS)} for pyctcdecode")
    folder.mkdir(parents=True, exist_ok=True)
    written = {"labels": list(labels_of(alphabet)), "is_bpe": False}
    (folder / _ALPHABET).write_text(json.dumps(written), encoding="utf-8")
    if model is None or name is None:
        return
    (folder / _MODEL).mkdir()
    weights = {key: getattr(options or BeamOptions(), ours) for key, ours in _OPTIONS.items()}
    (folder / _MODEL / _WEIGHTS).write_text(json.dumps(weights), encoding="utf-8")
    listed = "".join(f"{word}\n" for word in sorted(words))
    (folder / _MODEL / _WORDS).write_text(listed, encoding="utf-8")
    if name == model.name:
        shutil.copyfile(model, folder / _MODEL / name)
    else:
        (folder / _MODEL / name).write_bytes(read_bytes(model))


def _json(path: Path, keys: set[str]) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DecoderFolderNotFoundError(
            f"{path} is missing: name a folder that pyctcdecode wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise DecoderFolderError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or set(found) != keys:
        raise DecoderFolderError(f"{path} is expected to have the keys {', '.join(sorted(keys))}")
    return found


def _checked(weights: dict[str, Any], path: Path) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for key, ours in _OPTIONS.items():
        value = weights[key]
        is_flag = isinstance(value, bool)
        number = isinstance(value, int | float) and not is_flag and math.isfinite(value)
        if not (is_flag if key == "score_boundary" else number):
            raise DecoderFolderError(f"{path}: {key} is {value!r}, expected a number or true/false")
        checked[ours] = value if is_flag else float(value)
    return checked


def _only_model(folder: Path) -> Path:
    models = sorted(
        one for one in folder.iterdir() if one.suffix in _ENDINGS and not one.name.startswith(".")
    )
    if not models:
        raise DecoderFolderNotFoundError(
            f"{folder} holds no language model: expected one file that ends in "
            f"{', '.join(_ENDINGS)}"
        )
    if len(models) > 1:
        names = ", ".join(one.name for one in models)
        raise DecoderFolderError(f"{folder} holds several language models ({names}): keep one")
    return models[0]
