"""Run in pyctcdecode's own environment: decodes the cases of a file, writes what it found.

python pyctcdecode_reference.py CASES.json OUT.json; the log-probs lie beside in CASES.npz.
"""

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np


def main(cases: Path, out: Path) -> None:
    """Decode every case."""
    from wav2edge.lm.alphabet import Alphabet
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.pyctcdecode_decoder import PyctcdecodeDecoder

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    log_probs = np.load(cases.with_suffix(".npz"))
    decoders: dict[str, PyctcdecodeDecoder] = {}
    found: list[Any] = []
    for i, case in enumerate(json.loads(cases.read_text(encoding="utf-8"))):
        key = json.dumps([case[name] for name in ("alphabet", "model", "options", "hotwords")])
        if key not in decoders:
            tokens, blank, delimiter = case["alphabet"]
            decoders[key] = PyctcdecodeDecoder(
                Alphabet(tuple(tokens), blank, delimiter),
                case["model"] and Path(case["model"]),
                case["words"],
                options=BeamOptions(**case["options"]),
                hotwords=case["hotwords"],
            )
        decoder = decoders[key]
        _, state = decoder.advance(decoder.start(), log_probs[str(i)])
        best = decoder.nbest(state, 1)[0]
        found.append([best.text, best.acoustic_score, best.score])
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
