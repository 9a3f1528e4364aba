"""How log-probs become words: what a caller may ask for, and the decoder that answers it.

    load(lm="lm.arpa", hotwords={"Zigbee": 6.0})     beam search with a language model and hotwords
    load(phrases="turn (on|off) the light")          phrases, and nothing else
    load(decoder="greedy")                           the best token of each frame

Without any of it: the beam search with the bundle's own language model, or greedy where the bundle
has none.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from wav2edge.lm.decoder import Decoder
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.greedy import GreedyDecoder
from wav2edge.lm.templates import Templates
from wav2edge.lm.utterance import UtteranceDecoder

from .bundle import Bundle
from .errors import OfflineOnlyError, OptionsError, PhrasesNotFoundError
from .frames import Geometry
from .transcript import PAUSE_S

if TYPE_CHECKING:
    from wav2edge.lm.ngram import LanguageModel

Kind = Literal["greedy", "beam", "pyctcdecode"]
KINDS: tuple[Kind, ...] = ("greedy", "beam", "pyctcdecode")
PhrasesLike = str | os.PathLike[str] | Sequence[str] | Templates

_MOST_KEPT = 8  # decoders and language models of one recognizer
_ENDS = 1 << 20  # bytes at either end of a language model's file that tell it from another

_T = TypeVar("_T")


class DecodingArguments(TypedDict, total=False):
    """The fields of `Decoding` as keyword arguments; None is what is not asked for."""

    decoder: Kind | None
    lm: str | os.PathLike[str] | Literal[False] | None
    hotwords: Mapping[str, float] | None
    phrases: PhrasesLike | None
    beam: int | BeamOptions | None
    alpha: float | None
    beta: float | None
    reject: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """What a caller asks for.

    Raises:
        OptionsError: If two things exclude each other, or one means nothing.
    """

    decoder: Kind | None = None
    """None: what the others need. `pyctcdecode` is for recordings, and needs an extra."""
    lm: str | os.PathLike[str] | Literal[False] | None = None
    """A language model's file, ARPA or KenLM binary; None: the bundle's own, if it has one; False:
    none."""
    hotwords: Mapping[str, float] | None = None
    """Words that are expected, each with what it adds to a transcript's score; {}: none yet."""
    phrases: PhrasesLike | None = None
    """All that may be said: lines of text, a path (`pathlib.Path`) of a file of them, a list of
    phrases, or `Templates`; `lm/templates.py` tells how they are written."""
    beam: int | BeamOptions | None = None
    """Beams kept after each frame, or every option of the search."""
    alpha: float | None = None
    """Weight of the language model."""
    beta: float | None = None
    """Added for every word."""
    reject: float | None = None
    """Phrases that fit less are not heard, 0 to 1."""

    def __post_init__(self) -> None:
        if self.decoder is not None and self.decoder not in KINDS:
            raise OptionsError(f"decoder is {self.decoder!r}, expected {', '.join(KINDS)}")
        if self.beam is not None and not isinstance(self.beam, BeamOptions):
            whole = isinstance(self.beam, int) and not isinstance(self.beam, bool)
            if not whole or self.beam < 1:
                raise OptionsError(f"beam is {self.beam!r}, expected a whole number, 1 or more")
        if self.phrases is not None and (others := self._given(_OF_SEARCH)):
            raise OptionsError(
                f"phrases and {', '.join(others)} were given: phrases are all that can be heard, "
                "and exclude the rest; take one or the other"
            )
        if self.decoder == "greedy" and (others := self._given(_OF_SEARCH[1:])):
            raise OptionsError(
                f"decoder 'greedy' and {', '.join(others)} were given: greedy decoding knows none "
                "of them; leave out decoder, or them"
            )

    def over(self, other: "Decoding") -> "Decoding":
        """Return what is asked for here, and of another what this leaves open.

        What excludes something of the other here puts it aside.
        """
        mine = self._given(_ALL)
        if self.phrases is not None or self.decoder == "greedy":
            return self
        if self._given(_OF_SEARCH):
            greedy = other.decoder == "greedy"
            other = replace(
                other, phrases=None, reject=None, decoder=None if greedy else other.decoder
            )
        return replace(other, **mine)

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        """Return those of some options that were given."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


_ALL = tuple(field.name for field in fields(Decoding))
_OF_SEARCH = ("decoder", "lm", "hotwords", "beam", "alpha", "beta")


class Decoders:
    """Makes decoders for one bundle; threads may share it.

    Language models and all that is made ready of them are loaded once, however many streams use
    them.

    Args:
        bundle: Of the model.
        geometry: Of its frames.
    """

    def __init__(self, bundle: Bundle, geometry: Geometry) -> None:
        self._bundle = bundle
        self._hop_s = geometry.duration_ms(1) / 1000
        self._pause_frames = geometry.frames_for(PAUSE_S * 1000)
        self._kept: dict[object, Any] = {}
        self._making = threading.RLock()

    def make(self, asked: Decoding, *, live: bool) -> UtteranceDecoder:
        """Make a decoder.

        Args:
            asked: What is asked for.
            live: For a stream.

        Raises:
            OptionsError: If what is asked for excludes each other, or cannot be of this bundle.
            OfflineOnlyError: If a stream asks for `pyctcdecode`.
            LanguageModelError: If the language model cannot be loaded.
            PhrasesNotFoundError: If there is no such file of phrases.
            TemplateError: If the phrases cannot be read or spelled.
            HotwordError: If a hotword cannot be spelled.
            DecoderError: If an option of the search means nothing.
        """
        if live and asked.decoder == "pyctcdecode":
            raise OfflineOnlyError(
                "decoder 'pyctcdecode' was asked for in a stream, and decodes whole recordings "
                "alone: leave it out; our own beam search scores the same"
            )
        with self._making:
            identity, decoder = self._found(asked)
        knows_hotwords = asked.hotwords is not None and asked.decoder != "pyctcdecode"
        return UtteranceDecoder(
            decoder,
            identity=identity,
            hotwords=asked.hotwords if knows_hotwords else None,
            pause_frames=self._pause_frames,
            reject_below=self._bundle.manifest.reject_below,
        )

    def _found(self, asked: Decoding) -> tuple[str, Decoder[Any]]:
        """Return what a decoder is, in words, and the decoder."""
        if asked.phrases is not None:
            return self._phrases(templates_of(asked.phrases), asked.reject)
        if asked.reject is not None:
            raise OptionsError("reject was given without phrases: it is the least that they fit")
        has_model = self._bundle.manifest.language_model is not None and asked.lm is not False
        of_search = [asked.hotwords, asked.beam, asked.alpha, asked.beta]
        searches = has_model or asked.lm or any(one is not None for one in of_search)
        if asked.decoder == "greedy" or (asked.decoder is None and not searches):
            alphabet = self._bundle.alphabet
            return "greedy", GreedyDecoder(alphabet, pause_frames=self._pause_frames)
        model = self._language_model(asked.lm)
        if model is None and (asked.alpha is not None or asked.beta is not None):
            raise OptionsError(
                "alpha and beta weigh a language model, and there is none: name one (lm), or "
                "attach one to the bundle (wav2edge lm attach)"
            )
        options = _options(asked, model.options if model is not None else BeamOptions())
        if asked.decoder == "pyctcdecode":
            return "pyctcdecode", self._pyctcdecode(model, options, asked.hotwords)
        return self._beam(model, options)

    def _beam(self, model: "_Model | None", options: BeamOptions) -> tuple[str, Decoder[Any]]:
        from wav2edge.lm.beam import BeamDecoder

        identity = f"{options}, {model.identity if model is not None else 'no language model'}"

        def make() -> Decoder[Any]:
            return BeamDecoder(
                self._bundle.alphabet,
                None if model is None else model.scores,
                options=options,
                hop_s=self._hop_s,
                pause_frames=self._pause_frames,
            )

        return identity, self._once(identity, make)

    def _phrases(self, templates: Templates, reject: float | None) -> tuple[str, Decoder[Any]]:
        from wav2edge.lm.phrases import REJECT, PhraseDecoder

        reject = REJECT if reject is None else reject
        said = hashlib.sha256(repr(templates).encode()).hexdigest()
        identity = f"phrases {said[:16]} above {reject}"

        def make() -> Decoder[Any]:
            return PhraseDecoder(self._bundle.alphabet, templates, reject=reject)

        return identity, self._once(identity, make)

    def _pyctcdecode(
        self,
        model: "_Model | None",
        options: BeamOptions,
        hotwords: Mapping[str, float] | None,
    ) -> Decoder[Any]:
        from wav2edge.lm.pyctcdecode_decoder import PyctcdecodeDecoder

        path = words = None
        if model is not None:
            path, entries = model.path, model.scores.vocabulary.entries
            words = list(entries)
            if any(heard != word for heard, word in entries.items()):
                raise OptionsError(
                    f"{path} spells words in another case than the model's tokens, which "
                    "pyctcdecode does not map: take a language model in the tokens' case"
                )
        return PyctcdecodeDecoder(
            self._bundle.alphabet, path, words, options=options, hotwords=hotwords
        )

    def _language_model(
        self, asked: str | os.PathLike[str] | Literal[False] | None
    ) -> "_Model | None":
        """Load the language model that is named, or the bundle's own; None if there is none."""
        if asked is False:
            return None
        if asked is None:
            return self._once("the bundle's", self._attached)
        from wav2edge.lm.ngram import load_language_model

        path = Path(asked)
        identity = f"language model {path.name} {_fingerprint(path)}"

        def load() -> _Model:
            scores = load_language_model(path, self._bundle.alphabet)
            return _Model(identity, path, scores, BeamOptions())

        return self._once((path.resolve(), identity), load)

    def _attached(self) -> "_Model | None":
        from .attachment import attached_model

        facts, found = self._bundle.manifest.language_model, attached_model(self._bundle)
        if facts is None or found is None:
            return None
        path = self._bundle.folder / facts.file
        identity = f"language model {self._bundle.manifest.files[facts.file].sha256[:16]}"
        return _Model(identity, path, *found)

    def _once(self, key: object, make: Callable[[], _T]) -> _T:
        """Return what was made under a key before, or make it; the oldest is forgotten."""
        if key in self._kept:
            kept: _T = self._kept[key]
            return kept
        made = self._kept[key] = make()
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return made


@dataclass(frozen=True, slots=True)
class _Model:
    """A language model, loaded."""

    identity: str
    path: Path
    scores: "LanguageModel"
    options: BeamOptions
    """How it is to be weighed if nothing else is asked for."""


def templates_of(phrases: PhrasesLike) -> Templates:
    """Read phrases, however they are given; see `Decoding.phrases`.

    Raises:
        PhrasesNotFoundError: If a file cannot be read.
        TemplateError: If a phrase cannot be understood.
    """
    if isinstance(phrases, Templates):
        return phrases
    if isinstance(phrases, str):
        return Templates.read(phrases)
    if not isinstance(phrases, os.PathLike):
        return Templates.of(phrases)
    path = Path(phrases)
    try:
        return Templates.read(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise PhrasesNotFoundError(
            f"{path} cannot be read ({why}): expected a file of phrases, UTF-8, one a line"
        ) from error


def _options(asked: Decoding, base: BeamOptions) -> BeamOptions:
    if isinstance(asked.beam, BeamOptions):
        base = asked.beam
    elif asked.beam is not None:
        base = replace(base, beam_width=asked.beam)
    alpha = base.alpha if asked.alpha is None else asked.alpha
    return replace(base, alpha=alpha, beta=base.beta if asked.beta is None else asked.beta)


def _fingerprint(path: Path) -> str:
    """Tell a large file from others without reading all of it; empty where loading will say why."""
    try:
        with path.open("rb") as file:
            n_bytes = path.stat().st_size
            digest = hashlib.sha256(str(n_bytes).encode() + file.read(_ENDS))
            file.seek(max(0, n_bytes - _ENDS))
            digest.update(file.read())
    except OSError:
        return ""
    return digest.hexdigest()[:16]
