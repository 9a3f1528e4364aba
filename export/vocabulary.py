"""The tokenizer's facts: tokens, blank, word delimiter; and the language, where there are several.

MMS (Pratap et al. 2023, arXiv:2305.13516) keeps one vocabulary a language in one `vocab.json`:

    {"eng": {"<pad>": 0, ..., "e": 5}, "deu": {"<pad>": 0, ..., "e": 5}}

and names the one to start with as `target_lang` in `tokenizer_config.json`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CheckpointNotFoundError, LanguageError, UnsupportedCheckpointError
from .foreign import first_line

_SHOWN_LANGUAGES = 12  # in a message; MMS has over a thousand


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer's facts."""

    tokens: tuple[str, ...]
    """In the order of the model's outputs."""
    blank_id: int
    delimiter_id: int | None
    special_ids: tuple[int, ...]
    separator: str = " "
    """What the tokenizer writes for the delimiter."""


@dataclass(frozen=True)
class Language:
    """One language of a checkpoint that has several."""

    name: str
    """As `vocab.json` spells it."""
    own: bool
    """It is the one that the checkpoint's weights are in when nothing is chosen."""


def choose_language(
    source: str, revision: str | None, asked: str | None, *, has_adapters: bool
) -> Language | None:
    """Return the language to export: the one asked for, else the checkpoint's own.

    Args:
        source: A folder or a hub id.
        revision: On the hub.
        asked: As `vocab.json` spells it ("eng"), or None.
        has_adapters: The checkpoint has weights for each language.

    Returns:
        None where the vocabulary is not divided by language.

    Raises:
        LanguageError: There is no such language, or none was asked for and the checkpoint names
            none; the message lists some that there are.
        CheckpointNotFoundError: `vocab.json` is missing or no JSON.
    """
    vocabularies = _json(source, revision, "vocab.json")
    languages = [name for name, value in vocabularies.items() if isinstance(value, dict)]
    if asked is not None and not (languages and has_adapters):
        what = "adapters" if languages else "vocabularies"
        raise LanguageError(
            f"{source} has no {what} for several languages (MMS has): leave --language {asked} out"
        )
    if not languages:
        return None
    own = _json(source, revision, "tokenizer_config.json").get("target_lang")
    chosen = asked or own
    if chosen is None:
        raise LanguageError(
            f"{source} has vocabularies for {len(languages)} languages and names none to start "
            f"with: choose with --language, for instance {listed(languages)}"
        )
    if chosen not in languages:
        raise LanguageError(
            f"{source} has no vocabulary for the language {chosen!r}: choose one of "
            f"{listed(languages)}"
        )
    return Language(str(chosen), chosen == own)


def listed(languages: Sequence[str]) -> str:
    """List languages for a message, not more than fit."""
    rest = len(languages) - _SHOWN_LANGUAGES
    shown = ", ".join(languages[:_SHOWN_LANGUAGES])
    return f"{shown} and {rest} more" if rest > 0 else shown


def read_vocabulary(
    source: str, revision: str | None, language: str | None, *, blank_id: int | None, size: int
) -> Vocabulary:
    """Read a tokenizer's facts.

    Args:
        source: A folder or a hub id.
        revision: On the hub.
        language: From `choose_language`.
        blank_id: The model's padding token, which is CTC's blank.
        size: The width of the model's output.

    Raises:
        CheckpointNotFoundError: The tokenizer's files are missing or cannot be read.
        UnsupportedCheckpointError: The tokenizer's blank is another one, or a token cannot be
            written down.
    """
    tokenizer = _tokenizer(source, revision, language)
    if blank_id is None or tokenizer.pad_token_id != blank_id:
        raise UnsupportedCheckpointError(
            f"{source}: config.json has pad_token_id {blank_id} and the tokenizer "
            f"{tokenizer.pad_token_id}; CTC's blank is the padding token, so both must be the same "
            "id"
        )
    # A vocabulary's own tokens go before those that were added to another language's.
    by_id = {id_: token for token, id_ in tokenizer.get_vocab().items()} | tokenizer.decoder
    named = {id_: token for id_, token in by_id.items() if 0 <= id_ < size}
    tokens = tuple(named.get(i, f"<unused {i}>") for i in range(size))
    if any("\n" in token or "\r" in token for token in tokens):
        raise UnsupportedCheckpointError(
            f"{source}: a token holds a line break, which tokens.txt cannot hold"
        )
    delimiter_id, separator = _delimiter(tokenizer, named)
    if tokenizer.do_lower_case:
        tokens = tuple(token.lower() if i != blank_id else token for i, token in enumerate(tokens))
    unused = (i for i in range(size) if i not in named)
    special = {i for i in (*tokenizer.all_special_ids, *unused) if i < size}
    return Vocabulary(
        tokens,
        blank_id,
        delimiter_id,
        tuple(sorted(special - {blank_id, delimiter_id})),
        separator,
    )


def _tokenizer(source: str, revision: str | None, language: str | None) -> Any:
    from transformers import Wav2Vec2CTCTokenizer

    chosen: dict[str, Any] = {} if language is None else {"target_lang": language}
    try:
        # "main" is the tokenizer's own default; unlike the others it takes no None.
        return Wav2Vec2CTCTokenizer.from_pretrained(source, revision=revision or "main", **chosen)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointNotFoundError(
            f"{source}: the tokenizer could not be read ({first_line(error)}); "
            "expected vocab.json and tokenizer_config.json"
        ) from error


def _delimiter(tokenizer: Any, named: dict[int, str]) -> tuple[int | None, str]:
    """Find the token between words, and what is written for it.

    Where the declared one is no token, a space that is one parts words as it stands.
    """
    # from_pretrained of transformers 5 keeps a declared delimiter only in the map; the property
    # says "|" all the same.
    fallback = tokenizer._word_delimiter_token  # noqa: SLF001  (the property logs where none is set)
    declared = tokenizer.special_tokens_map.get("word_delimiter_token", fallback)
    ids = {token: id_ for id_, token in named.items()}
    if declared in ids:
        return ids[declared], str(tokenizer.replace_word_delimiter_char)
    return ids.get(" "), " "


def _json(source: str, revision: str | None, name: str) -> dict[str, Any]:
    path = checkpoint_file(source, revision, name)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointNotFoundError(
            f"{source}: {name} is no JSON ({first_line(error)}); download the checkpoint again"
        ) from error
    if not isinstance(found, dict):
        raise CheckpointNotFoundError(
            f"{source}: {name} holds a {type(found).__name__}, expected an object"
        )
    return found


def checkpoint_file(source: str, revision: str | None, name: str) -> Path:
    """Find a file of a checkpoint, in its folder or on the hub.

    Raises:
        CheckpointNotFoundError: It is not there.
    """
    from transformers.utils.hub import cached_file

    try:
        return Path(str(cached_file(source, name, revision=revision)))
    except OSError as error:
        raise CheckpointNotFoundError(
            f"{source}: {name} could not be read ({first_line(error)}); expected it beside "
            "config.json"
        ) from error
