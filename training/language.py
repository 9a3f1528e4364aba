"""Text for the embedded bundle's language model: what the synthetic voices are given to speak.

    python -m wav2edge.training.language --data FOLDER text.txt
    wav2edge lm build text.txt -o lm.arpa.gz --prune 0 3 8 --vocab text.vocab.txt
    wav2edge lm attach BUNDLE lm.arpa.gz

Digits, numbers, spelled letters, orders, and plain sentences, each drawn as often as for training.
No development transcript is read but to leave out what stands in one; the vocabulary, written
beside the text, leaves out words that are hardly ever drawn.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .corpus import texts_of
from .sentences import Texts, normalize_text

_SENTENCES, _SEED = 400_000, 0
_LEAST = 12  # times a word is drawn, to be kept


def sentences(texts: Texts, n: int, *, seed: int = _SEED) -> Iterator[str]:
    """Draw transcripts; the same seed draws the same."""
    rng = random.Random(seed)
    for _ in range(n):
        yield normalize_text(texts.draw(rng)[1])


def vocabulary(lines: list[str], least: int = _LEAST) -> list[str]:
    """Return the words that come so often, sorted.

    >>> vocabulary(["TURN ON", "TURN OFF"], least=2)
    ['TURN']
    """
    counts = Counter(word for line in lines for word in line.split())
    return sorted(word for word, count in counts.items() if count >= least)


def main(argv: list[str] | None = None) -> int:
    """Write text and vocabulary."""
    parser = argparse.ArgumentParser(
        prog="python -m wav2edge.training.language", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="text, a sentence a line")
    parser.add_argument("--data", type=Path, required=True, help="folder of MANIFEST.tsv")
    parser.add_argument("--sentences", type=int, default=_SENTENCES, metavar="N")
    args = parser.parse_args(argv)
    lines = list(sentences(texts_of(args.data), args.sentences))
    words = vocabulary(lines)
    args.out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    listed = args.out.with_suffix(".vocab.txt")
    listed.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    print(f"{len(lines)} sentences to {args.out}, {len(words)} words to {listed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
