"""What PocketSphinx does with its own English model (`peer_worker`).

The job gives options of its decoder, the words that it shall know (none: all of its dictionary),
and words by set, of which those are counted that its dictionary lacks. What it shall know and lacks
is spoken like the words that it is made of (`eco` and `bee`); what is not made of such is an error.
"""

import importlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "pocketsphinx")
LEAST_LETTERS = 2  # of a word that another is made of


def load(job: dict[str, Any]) -> dict[str, Callable[[NDArray[np.float32]], str]]:
    """Load model, dictionary, and language model or grammar; `about` tells of them as JSON."""
    library = importlib.import_module("pocketsphinx")
    model = Path(library.get_model_path("en-us"))
    dictionary, options = model / "cmudict-en-us.dict", dict(job["options"])
    known = read_dictionary(dictionary)
    added = {word: composed(word, known) for word in job["words"] if word not in known}
    with tempfile.TemporaryDirectory() as folder:
        if job["words"]:
            lines = [f"{word} {phones}" for word, phones in added.items()]
            lines += entries(dictionary, frozenset(job["words"]))
            own = Path(folder, "words.dict")
            own.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            options["dict"] = str(own)
        decoder = library.Decoder(loglevel="FATAL", **options)
        size = _size([Path(options.get("dict", dictionary)), *(model / "en-us").iterdir()])
    named = [Path(options[one]) for one in ("lm", "jsgf") if one in options]
    size += _size(named or [model / "en-us.lm.bin"])

    def whole(samples: NDArray[np.float32]) -> str:
        decoder.start_utt()
        decoder.process_raw(
            (np.clip(samples, -1, 1) * np.iinfo(np.int16).max).astype(np.int16).tobytes(),
            full_utt=True,
        )
        decoder.end_utt()
        found = decoder.hyp()
        return "" if found is None else str(found.hypstr)

    def about(_: NDArray[np.float32]) -> str:
        lacking = {
            name: sum(word not in known for word in words) / len(words)
            for name, words in job["said"].items()
        }
        return json.dumps({"file_mb": size / 1e6, "added": added, "lacking": lacking})

    return {"whole": whole, "about": about}


def entries(path: Path, words: frozenset[str]) -> list[str]:
    """Return the lines of these words, all readings of each (`tomato`, `tomato(2)`)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.partition(" ")[0].partition("(")[0] in words]


def _size(files: Iterable[Path]) -> int:
    return sum(one.stat().st_size for one in files)


def read_dictionary(path: Path) -> dict[str, str]:
    """Return the phones of each word; of several readings the first."""
    known: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        known.setdefault(word, phones.strip())
    return known


def composed(word: str, known: Mapping[str, str]) -> str:
    """Speak a word like the fewest words that it is made of, the first as long as can be.

    Raises:
        ValueError: It is made of none.
    """
    found: dict[int, tuple[str, ...]] = {len(word): ()}
    for first in range(len(word) - LEAST_LETTERS, -1, -1):
        ways = list(_ways(word, first, known, found))
        if ways:
            found[first] = min(ways, key=lambda pieces: (len(pieces), -len(pieces[0])))
    if 0 not in found:
        raise ValueError(f"its dictionary lacks {word!r} and words that it is made of")
    return " ".join(known[piece] for piece in found[0])


def _ways(
    word: str, first: int, known: Mapping[str, str], found: Mapping[int, tuple[str, ...]]
) -> Iterable[tuple[str, ...]]:
    """Yield a piece that begins at `first`, and how the rest of the word was parted."""
    for last, rest in found.items():
        if last - first >= LEAST_LETTERS and word[first:last] in known:
            yield word[first:last], *rest
