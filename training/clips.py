"""The clips that this project ships: synthetic voices from Debian, so that they may go anywhere.

`export/clips/` is what an exported graph is compared with its checkpoint on;
`runtime/embedded/demo.ogg` is what `make demo` plays through. To make them again, run
`python -m wav2edge.training.clips FOLDER_OF_THE_CHECKOUT`.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile

from .voices import RATE_HZ, Voice

_FLITE = {name: Voice("flite", name, 160, 50) for name in ("slt", "rms", "awb")}
_ESPEAK = {name: Voice("espeak-ng", name, 150, 50) for name in ("en-us+f2", "en-gb+m3")}
VERIFY = (
    (_FLITE["slt"], "turn on the kitchen light and set the living room lamp to fifty percent"),
    (_FLITE["rms"], "zero one two three four five six seven eight nine"),
    (_FLITE["awb"], "what is the weather tomorrow in the afternoon"),
    (_ESPEAK["en-us+f2"], "please set a timer for twenty five minutes"),
    (_ESPEAK["en-gb+m3"], "nine four two seven zero six one"),
    (
        _FLITE["slt"],
        "the boy was there when the sun rose and he walked along the river to the old bridge",
    ),
    (_FLITE["rms"], "open the garage door and close the bedroom window"),
    (_FLITE["awb"], "i would like a large coffee with milk and a little sugar"),
)
# Digits, a little slower than they are usually read: what the embedded model is for.
_SLOW = {name: Voice("flite", name, 130, 50) for name in ("rms", "awb")}
DEMO = (
    (_SLOW["awb"], "four one five nine two six"),
    (_SLOW["rms"], "zero eight seven three"),
    (_SLOW["awb"], "two five one nine eight"),
)


def main(argv: list[str] | None = None) -> int:
    """Write the clips below the folder named."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    (folder / "export" / "clips").mkdir(parents=True, exist_ok=True)
    for i, (voice, text) in enumerate(VERIFY):
        _write(
            folder / "export" / "clips" / f"{i}_{voice.program}_{voice.name}.ogg", voice.speak(text)
        )
    pause = np.zeros(RATE_HZ, np.float32)
    _write(
        folder / "runtime" / "embedded" / "demo.ogg",
        np.concatenate([x for v, t in DEMO for x in (v.speak(t), pause)]),
    )
    return 0


def _write(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, samples, RATE_HZ, format="OGG", subtype="VORBIS")


if __name__ == "__main__":
    sys.exit(main())
