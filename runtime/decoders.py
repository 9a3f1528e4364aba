"""The decoder that answers what a caller asks for, made once for all who ask the same."""

import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from wav2edge.lm.decoder import Decoder
from wav2edge.lm.greedy import GreedyDecoder
from wav2edge.lm.utterance import UtteranceDecoder

from .bundle import Bundle
from .decoding import Decoding, templates_of
from .errors import OfflineOnlyError, OptionsError
from .transcript import PAUSE_S

if TYPE_CHECKING:
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.ngram import LanguageModel
    from wav2edge.lm.templates import Templates
    from wav2edge.lm.vocabulary import Vocabulary

_MOST_KEPT = 8  # decoders and language models of one recognizer
_ENDS = 1 << 20  # bytes at either end of a language model's file that tell it from another

_T = TypeVar("_T")


class Decoders:
    """Makes decoders for one bundle; threads may share it.

    Language models and all that is made ready of them are loaded once, however many streams use
    them.

    Args:
        bundle: Of the model.
        usual: What holds where nothing else is asked for.

    Raises:
        Wav2EdgeError: What is usual cannot be; see `make`.
    """

    def __init__(self, bundle: Bundle, usual: Decoding | None = None) -> None:
        self._bundle = bundle
        geometry = bundle.manifest.geometry
        self._hop_s = geometry.duration_ms(1) / 1000
        self._pause_frames = geometry.frames_for(PAUSE_S * 1000)
        self._kept: dict[object, Any] = {}
        self._making = threading.RLock()
        self._asked = usual or Decoding()
        self.usual = self.make(Decoding(), live=False)
        """The usual one, for recordings."""

    def make(self, asked: Decoding, *, live: bool) -> UtteranceDecoder:
        """Make a decoder.

        Args:
            asked: What is asked for; what it leaves open is as usual.
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
        asked = asked.over(self._asked)
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

    def vocabulary(self) -> "Vocabulary | None":
        """Return how the words of the usual language model are spelled; None without one.

        Raises:
            LanguageModelError: If it cannot be loaded.
        """
        asked = self._asked
        if asked.phrases is not None or asked.decoder == "greedy":
            return None
        with self._making:
            model = self._language_model(asked.lm)
        return None if model is None else model.scores.vocabulary

    def _found(self, asked: Decoding) -> tuple[str, Decoder[Any]]:
        """Return what a decoder is, in words, and the decoder."""
        if asked.phrases is not None:
            return self._phrases(templates_of(asked.phrases), asked.reject, asked.blank_penalty)
        if asked.reject is not None:
            raise OptionsError("reject was given without phrases: it is the least that they fit")
        has_model = self._bundle.manifest.language_model is not None and asked.lm is not False
        of_search = [asked.hotwords, asked.beam, asked.alpha, asked.beta, asked.blank_penalty]
        searches = has_model or asked.lm or asked.domain or any(x is not None for x in of_search)
        if asked.decoder == "greedy" or (asked.decoder is None and not searches):
            alphabet = self._bundle.alphabet
            return "greedy", GreedyDecoder(alphabet, pause_frames=self._pause_frames)
        model = self._language_model(asked.lm)
        if model is None and (asked.domain or asked.alpha is not None or asked.beta is not None):
            raise OptionsError(
                "alpha, beta and domain are about a language model, and there is none: name one "
                "(lm), or attach one to the bundle (wav2edge lm attach)"
            )
        from wav2edge.lm.fusion import BeamOptions

        base = model.options if model is not None else BeamOptions()
        if asked.domain:
            base = BeamOptions.of_domain(self._bundle.manifest.phrases_blank_penalty)
        options = _options(asked, base)
        if asked.decoder == "pyctcdecode":
            return "pyctcdecode", self._pyctcdecode(model, options, asked.hotwords)
        return self._beam(model, options)

    def _beam(self, model: "_Model | None", options: "BeamOptions") -> tuple[str, Decoder[Any]]:
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

    def _phrases(
        self, templates: "Templates", reject: float | None, penalty: float | None
    ) -> tuple[str, Decoder[Any]]:
        from wav2edge.lm.phrases import PhraseDecoder

        facts = self._bundle.manifest
        if reject is None:
            reject = facts.reject_phrases_below
        if penalty is None:
            penalty = facts.phrases_blank_penalty
        said = hashlib.sha256(repr(templates).encode()).hexdigest()
        identity = f"phrases {said[:16]} above {reject}, blank less {penalty}"

        def make() -> Decoder[Any]:
            return PhraseDecoder(
                self._bundle.alphabet, templates, reject=reject, blank_penalty=penalty
            )

        return identity, self._once(identity, make)

    def _pyctcdecode(
        self,
        model: "_Model | None",
        options: "BeamOptions",
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
        from wav2edge.lm.fusion import BeamOptions
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
    options: "BeamOptions"
    """How it is to be weighed if nothing else is asked for."""


def _options(asked: Decoding, base: "BeamOptions") -> "BeamOptions":
    from wav2edge.lm.fusion import BeamOptions

    if isinstance(asked.beam, BeamOptions):
        base = asked.beam
    elif asked.beam is not None:
        base = replace(base, beam_width=asked.beam)
    weights = {name: getattr(asked, name) for name in ("alpha", "beta", "blank_penalty")}
    return replace(base, **{name: one for name, one in weights.items() if one is not None})


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
