"""Word and character error rates on the development sets, greedy.

Run `python -m wav2edge.training.evaluate MODEL --data FOLDER`.

MODEL is a bundle (what ships) or a checkpoint folder (what is being trained). The development sets
are those of the data manifest, and one that is made of them: digit strings, the single digits of an
unseen speaker joined by 150 to 400 ms of silence.
"""

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wav2edge.lm.scoring import character_error_rate, word_error_rate

from .corpus import read_manifest, read_recording
from .sentences import normalize_text
from .voices import RATE_HZ

Samples = npt.NDArray[np.float32]
Spoken = tuple[Samples, str]
DIGIT_STRINGS, DIGITS_EACH, SEED = 30, 5, 0


def development_sets(data: Path) -> dict[str, list[Spoken]]:
    """Return the recordings and transcripts of each development set, digit strings first."""
    sets: dict[str, list[Spoken]] = defaultdict(list)
    digits: list[Spoken] = []
    for row in read_manifest(data, "dev"):
        text = normalize_text(row["norm"])
        if not text:
            continue
        spoken = (read_recording(data / row["path"]), text)
        (digits if row["set"] == "fsdd" else sets[row["set"]]).append(spoken)
    return {"fsdd digit strings": digit_strings(digits), **sets}


def digit_strings(digits: list[Spoken]) -> list[Spoken]:
    """Join single digits into 30 strings of 5 with gaps of 150 to 400 ms.

    The same seed gives the same strings.
    """
    rng = random.Random(SEED)
    order = list(digits)
    rng.shuffle(order)
    strings = []
    for first in range(0, min(len(order), DIGIT_STRINGS * DIGITS_EACH), DIGITS_EACH):
        spoken = order[first : first + DIGITS_EACH]
        pieces: list[Samples] = []
        for samples, _ in spoken:
            pieces += [np.zeros(int(rng.uniform(0.15, 0.4) * RATE_HZ), np.float32), samples]
        pieces.append(np.zeros(int(0.3 * RATE_HZ), np.float32))
        strings.append((np.concatenate(pieces), " ".join(text for _, text in spoken)))
    return strings


def evaluate(
    transcribe: Callable[[Samples], str], sets: dict[str, list[Spoken]]
) -> dict[str, dict[str, Any]]:
    """Score a function from samples at 16 kHz to text on each set.

    The first utterances come along as examples.
    """
    report = {}
    for name, rows in sets.items():
        pairs = [(text, transcribe(samples)) for samples, text in rows]
        words, characters = word_error_rate(pairs), character_error_rate(pairs)
        report[name] = {
            "utterances": len(rows),
            "words": words.n_reference,
            "wer": round(words.rate, 4),
            "cer": round(characters.rate, 4),
            "examples": pairs[:4],
        }
    return report


def open_model(model: Path) -> Callable[[Samples], str]:
    """Return the greedy transcription of a bundle or of a checkpoint folder."""
    if (model / "manifest.json").is_file():
        from wav2edge.runtime.recognizer import load

        recognizer = load(model, decoder="greedy")
        return lambda samples: recognizer.transcribe(samples, sample_rate=RATE_HZ).text
    return _open_checkpoint(model)


def _open_checkpoint(folder: Path) -> Callable[[Samples], str]:
    import torch
    from transformers import Wav2Vec2ForCTC

    from wav2edge.lm.alphabet import Alphabet

    from .network import TOKENS

    model = Wav2Vec2ForCTC.from_pretrained(folder).eval()
    alphabet = Alphabet(TOKENS, 0, TOKENS.index("|"), (1, 2, 3))

    def transcribe(samples: Samples) -> str:
        with torch.no_grad():
            logits = model(torch.from_numpy(samples)[None]).logits[0].numpy()
        return " ".join(alphabet.text(alphabet.masked(logits).argmax(axis=1)).split())

    return transcribe


def main(argv: list[str] | None = None) -> int:
    """Print a table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(
        prog="python -m wav2edge.training.evaluate", description=__doc__
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    report = evaluate(open_model(args.model), development_sets(args.data))
    if args.json:
        print(json.dumps(report, indent=1))
        return 0
    for name, row in report.items():
        rates = f"WER {row['wer']:7.1%}  CER {row['cer']:7.1%}"
        print(f"{name:24} {row['utterances']:4} utterances  {rates}")
        for expected, found in row["examples"]:
            print(f"    {expected[:70]}\n    > {found[:70]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
