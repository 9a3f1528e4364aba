"""Sentences drawn from templates: text for a language model of a domain."""

import random
from collections.abc import Iterator

from .phrase_graph import number_words
from .template_reader import Choice, Letters, Numbers, Part, Repeat, Sequence, Slot
from .templates import Templates

MOST_TIMES = 8
"""How often what has no end is said again at most."""


def draw_sentences(templates: Templates, n: int, *, seed: int = 0) -> Iterator[list[str]]:
    r"""Draw phrases, each as likely as any other, and in them each choice as likely as its others.

    Args:
        templates: What may be said.
        n: How many sentences.
        seed: The same seed draws the same.

    Yields:
        The words of one sentence, in lower case.

    >>> home = Templates.read("room = hall | study\nheat the {room} to {16..25} [degrees]")
    >>> for words in draw_sentences(home, 2):
    ...     print(" ".join(words))
    heat the study to sixteen
    heat the study to twenty
    """
    drawer = _Drawer(templates, random.Random(seed))  # noqa: S311  (sentences, not secrets)
    parts = [part for part, _ in templates.phrases]
    for _ in range(n):
        yield drawer.text(drawer.rng.choice(parts)).split()


class _Drawer:
    """Draws the text of a part, its gaps as spaces."""

    def __init__(self, templates: Templates, rng: random.Random) -> None:
        self._slots, self.rng = templates.slots, rng

    def text(self, part: Part) -> str:
        match part:
            case Choice(options):
                return self.text(self.rng.choice(options))
            case Slot(name, _):
                return self.text(self._slots[name][0])
            case Sequence(parts):
                return "".join(map(self.text, parts))
            case Repeat(again, least, most):
                times = self.rng.randint(least, max(least, MOST_TIMES) if most is None else most)
                return " ".join(self.text(again) for _ in range(times))
            case Numbers(low, high, step):
                return " ".join(number_words(self.rng.randrange(low, high + 1, step)))
        spoken = part.text if isinstance(part, Letters) else " "
        return spoken.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
