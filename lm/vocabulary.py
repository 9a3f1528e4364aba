"""Which words of a language model the alphabet can spell, and how it spells them.

A language model is written in whatever case its text had, an acoustic model in the one case of its
tokens: `hello` of the one is `HELLO` of the other. Words that no sequence of tokens makes can never
be heard; they are left out, and counted, so that nobody wonders about a model that does not help.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .alphabet import Alphabet
from .errors import VocabularyMismatchError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
SPECIAL = frozenset({START, END, UNKNOWN, "<UNK>"})
"""Entries of every model that are no words."""

_SHOWN = 10  # words named in a message


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a language model, as they are heard.

    >>> letters = Alphabet(("<pad>", "|", "N", "O"), blank_id=0, delimiter_id=1)
    >>> found = Vocabulary.of([("no", -1.0), ("No", -2.0), ("né", -3.0)], letters, source="lm.arpa")
    >>> dict(found.entries), found.n_words, found.n_unspellable, found.n_folded
    ({'NO': 'no'}, 3, 1, 1)
    """

    entries: Mapping[str, str]
    """The model's own spelling by the alphabet's."""
    n_words: int
    """Of the model, without `<s>`, `</s>` and `<unk>`."""
    n_unspellable: int = 0
    """So many of them the alphabet cannot spell."""
    unspellable: tuple[str, ...] = ()
    """Some of those, the first that the model has."""
    n_folded: int = 0
    """So many are spelled as another, more frequent one is, and give way to it."""

    @classmethod
    def of(
        cls, unigrams: Iterable[tuple[str, float]], alphabet: Alphabet | None, *, source: str
    ) -> "Vocabulary":
        """Spell the words of a model.

        Args:
            unigrams: Each word with its log-probability: where two are spelled alike the more
                probable one counts, of equals the first.
            alphabet: The acoustic model's tokens; None: words are what the model says.
            source: The file's name, for messages.

        Raises:
            VocabularyMismatchError: If there are words, and none can be spelled.
        """
        unigrams = [pair for pair in unigrams if pair[0] not in SPECIAL]
        if alphabet is not None and unigrams and _all_fit(unigrams, alphabet):
            return cls({word: word for word, _ in unigrams}, len(unigrams))
        spell = _speller(alphabet)
        best: dict[str, tuple[float, str]] = {}
        unspellable: list[str] = []
        n_words = n_spelled = 0
        for word, log_prob in unigrams:
            n_words += 1
            heard = spell(word)
            if heard is None:
                if len(unspellable) < _SHOWN:
                    unspellable.append(word)
                continue
            n_spelled += 1
            if heard not in best or best[heard][0] < log_prob:
                best[heard] = (log_prob, word)
        if alphabet is not None and n_spelled == 0:
            raise VocabularyMismatchError(
                f"none of the {n_words} words of {source} can be spelled with the model's tokens "
                f"({_tokens(alphabet)}); its words are such as {_quoted(unspellable)}: take a "
                "language model of the same language and writing, or make one with "
                "wav2edge lm build --alphabet"
            )
        return cls(
            {heard: word for heard, (_, word) in best.items()},
            n_words,
            n_words - n_spelled,
            tuple(unspellable),
            n_spelled - len(best),
        )


def _all_fit(unigrams: Iterable[tuple[str, float]], alphabet: Alphabet) -> bool:
    """Tell at once whether all words are spelled letter by letter as they are."""
    letters = frozenset(heard_tokens(alphabet))
    return alphabet.delimiter_id is not None and letters.issuperset(
        "".join(word for word, _ in unigrams)
    )


def _speller(alphabet: Alphabet | None) -> Callable[[str], str | None]:
    """Return what spells a word: as it is, else in upper case, else in lower case, else None."""
    if alphabet is None:
        return lambda word: word
    tokens = frozenset(heard_tokens(alphabet))
    longest = max(map(len, tokens), default=0)
    one_token_a_word = alphabet.delimiter_id is None

    def fits(word: str) -> bool:
        if one_token_a_word:
            return word in tokens
        return tokens.issuperset(word) or (longest > 1 and _parts(word, tokens, longest))

    def spell(word: str) -> str | None:
        return next((form for form in (word, word.upper(), word.lower()) if fits(form)), None)

    return spell


def spelling_tokens(alphabet: Alphabet) -> tuple[str, ...]:
    """Return all tokens by id, those empty that spell nothing: blank, delimiter and special."""
    silent = {alphabet.blank_id, alphabet.delimiter_id, *alphabet.special_ids}
    return tuple("" if id_ in silent else token for id_, token in enumerate(alphabet.tokens))


def heard_tokens(alphabet: Alphabet) -> tuple[str, ...]:
    """Return the tokens that spell words: neither blank nor delimiter nor special."""
    return tuple(filter(None, spelling_tokens(alphabet)))


def _parts(word: str, tokens: frozenset[str], longest: int) -> bool:
    """Tell whether a word is a sequence of tokens."""
    reached = [True] + [False] * len(word)
    for end in range(1, len(word) + 1):
        reached[end] = any(
            reached[start] and word[start:end] in tokens
            for start in range(max(0, end - longest), end)
        )
    return reached[-1]


def _tokens(alphabet: Alphabet) -> str:
    tokens = heard_tokens(alphabet)
    return " ".join(tokens[:40]) + (" ..." if len(tokens) > 40 else "")  # noqa: PLR2004  (a line)


def _quoted(words: list[str]) -> str:
    return ", ".join(map(repr, words)) or "none"
