"""How well a language model expects a text."""

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import CorpusError
from .ngram import LanguageModel


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Scores of a text; the end of each sentence counts as a word, as in KenLM's `query`."""

    n_sentences: int
    n_words: int
    n_unknown: int
    """Words that the model does not know; they score as `<unk>`."""
    log10_known: float
    """Sum of log10 p over the words that it knows, and the ends of sentences."""
    log10_unknown: float
    """The same over the others."""

    @property
    def value(self) -> float:
        """Perplexity of all words."""
        n_scored = self.n_words + self.n_sentences
        return float(10 ** (-(self.log10_known + self.log10_unknown) / n_scored))

    @property
    def of_known(self) -> float:
        """Perplexity of the words that the model knows."""
        return float(10 ** (-self.log10_known / (self.n_words + self.n_sentences - self.n_unknown)))


def perplexity(model: LanguageModel, sentences: Iterable[list[str]]) -> Perplexity:
    """Score sentences.

    Args:
        model: The language model.
        sentences: Words, spelled as the model's are.

    Raises:
        CorpusError: If there are none.
    """
    n_sentences = n_words = n_unknown = 0
    known = unknown = 0.0
    for words in sentences:
        state = model.start()
        for word in words:
            score, state = model.score(state, word)
            if word in model:
                known += score
            else:
                unknown += score
                n_unknown += 1
        known += model.end(state)
        n_sentences += 1
        n_words += len(words)
    if n_sentences == 0:
        raise CorpusError("the text holds no words: give one sentence a line")
    return Perplexity(n_sentences, n_words, n_unknown, known, unknown)
