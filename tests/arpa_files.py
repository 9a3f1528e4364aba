"""ARPA files for tests: one that a person can add up, and any number of random ones."""

from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

Entries = Mapping[tuple[str, ...], tuple[float, float]]
"""log10 p and back-off weight by n-gram."""

WORDS = ("a", "b", "c", "d")

BY_HAND: Entries = {
    ("<unk>",): (-2.0, 0.0),
    ("<s>",): (-99.0, -0.5),
    ("</s>",): (-1.0, 0.0),
    ("turn",): (-1.5, -0.25),
    ("on",): (-1.25, -0.125),
    ("light",): (-1.75, 0.0),
    ("<s>", "turn"): (-0.5, -0.75),
    ("turn", "on"): (-0.375, -0.0625),
    ("<s>", "turn", "on"): (-0.1875, 0.0),
}


def arpa_text(entries: Entries) -> str:
    """Write n-grams as ARPA does."""
    order = max(map(len, entries))
    text = "\\data\\\n"
    for length in range(1, order + 1):
        text += f"ngram {length}={sum(len(key) == length for key in entries)}\n"
    for length in range(1, order + 1):
        text += f"\n\\{length}-grams:\n"
        for key, (log_prob, backoff) in entries.items():
            if len(key) == length:
                weight = f"\t{backoff!r}" if length < order and backoff else ""
                text += f"{log_prob!r}\t{' '.join(key)}{weight}\n"
    return text + "\n\\end\\\n"


@st.composite
def random_entries(draw: st.DrawFn) -> Entries:
    """n-grams of order 2 to 4, and all the shorter ones in them, as KenLM wants it."""
    order = draw(st.integers(2, 4))
    numbers = st.integers(-9_999_999, 0).map(lambda n: n / 1_000_000)
    weights = st.integers(-3_000_000, 500_000).map(lambda n: n / 1_000_000)
    unknown = [("<unk>",)] if draw(st.booleans()) else []
    keys: list[tuple[str, ...]] = [*unknown, ("<s>",), ("</s>",), *((word,) for word in WORDS)]
    level: Iterable[tuple[str, ...]] = keys
    for _ in range(order - 1):
        longer = [(*key, word) for key in level if key[-1] != "</s>" for word in (*WORDS, "</s>")]
        chosen = draw(st.lists(st.sampled_from(longer), unique=True, min_size=1, max_size=12))
        if all(key[-1] == "</s>" for key in chosen):  # nothing could be longer
            chosen.append(next(key for key in longer if key[-1] != "</s>"))
        level = chosen
        keys += [key[start:] for key in chosen for start in range(len(key) - 1)]
    return {
        key: (draw(numbers), draw(weights) if key[-1] != "</s>" else 0.0)
        for key in dict.fromkeys(keys)
    }


SENTENCES = st.lists(
    st.lists(st.sampled_from((*WORDS, "unheard", "<unk>")), max_size=8), min_size=1, max_size=6
)
"""Word sequences with unknown words among them."""
