"""Wav2Vec 2.0 on the device that hears the voice: a bundle and audio in, text out.

    recognizer = wav2edge.load()
    print(recognizer.transcribe("talk.wav").text)

Importing this package loads nothing but itself: each public name brings its module along when it
is first asked for, and heavy libraries come with the call that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wav2edge.lm.errors import Wav2EdgeError
    from wav2edge.runtime.recognizer import Recognizer, load
    from wav2edge.runtime.transcript import Segment, Transcript, Word

__version__ = "0.1.0"

__all__ = ["Recognizer", "Segment", "Transcript", "Wav2EdgeError", "Word", "__version__", "load"]

_HOMES = {
    "Recognizer": "wav2edge.runtime.recognizer",
    "Segment": "wav2edge.runtime.transcript",
    "Transcript": "wav2edge.runtime.transcript",
    "Wav2EdgeError": "wav2edge.lm.errors",
    "Word": "wav2edge.runtime.transcript",
    "load": "wav2edge.runtime.recognizer",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use, and keep it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Name what is public, loaded or not yet."""
    return sorted({*globals(), *__all__})
