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
    from wav2edge.lm.templates import Templates
    from wav2edge.runtime.alignment import Alignment
    from wav2edge.runtime.endpoint import EndpointOptions
    from wav2edge.runtime.events import Event, Final, Overflow, Partial, SpeechEnd, SpeechStart
    from wav2edge.runtime.live import LiveSource, Playback
    from wav2edge.runtime.microphone import Microphone
    from wav2edge.runtime.pool import StreamPool
    from wav2edge.runtime.pronunciation import Pronunciation
    from wav2edge.runtime.recognizer import Recognizer, load
    from wav2edge.runtime.stream import Stream, StreamOptions, StreamState
    from wav2edge.runtime.subtitles import Subtitles
    from wav2edge.runtime.transcript import Segment, Transcript, Word

__version__ = "0.1.0"

__all__ = [
    "Alignment",
    "EndpointOptions",
    "Event",
    "Final",
    "LiveSource",
    "Microphone",
    "Overflow",
    "Partial",
    "Playback",
    "Pronunciation",
    "Recognizer",
    "Segment",
    "SpeechEnd",
    "SpeechStart",
    "Stream",
    "StreamOptions",
    "StreamPool",
    "StreamState",
    "Subtitles",
    "Templates",
    "Transcript",
    "Wav2EdgeError",
    "Word",
    "__version__",
    "load",
]

_HOMES = {
    "Alignment": "wav2edge.runtime.alignment",
    "EndpointOptions": "wav2edge.runtime.endpoint",
    "Event": "wav2edge.runtime.events",
    "Final": "wav2edge.runtime.events",
    "LiveSource": "wav2edge.runtime.live",
    "Microphone": "wav2edge.runtime.microphone",
    "Overflow": "wav2edge.runtime.events",
    "Partial": "wav2edge.runtime.events",
    "Playback": "wav2edge.runtime.live",
    "Pronunciation": "wav2edge.runtime.pronunciation",
    "Recognizer": "wav2edge.runtime.recognizer",
    "Segment": "wav2edge.runtime.transcript",
    "SpeechEnd": "wav2edge.runtime.events",
    "SpeechStart": "wav2edge.runtime.events",
    "Stream": "wav2edge.runtime.stream",
    "StreamOptions": "wav2edge.runtime.stream",
    "StreamPool": "wav2edge.runtime.pool",
    "StreamState": "wav2edge.runtime.stream",
    "Subtitles": "wav2edge.runtime.subtitles",
    "Templates": "wav2edge.lm.templates",
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
