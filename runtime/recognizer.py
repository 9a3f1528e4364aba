"""Recordings to transcripts: the front door of the runtime.

    recognizer = wav2edge.load()
    print(recognizer.transcribe("talk.wav").text)

Audio flows through in blocks and words come out of them: a recording of two hours needs no more
memory than one of two minutes.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, TypeVar, Unpack

import numpy as np

from .acoustic import AcousticModel, new_names, past_names
from .audio import Audio, Samples, until_failure
from .beside import Beside
from .bundle import MANIFEST, Bundle
from .decoders import Decoders
from .decoding import Decoding, DecodingArguments
from .errors import AudioError, BundleNotFoundError, OfflineOnlyError, OptionsError
from .onnx_asr import LAYOUT, WholeModel
from .session import Provider, Session, open_session
from .transcript import Transcript, timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wav2edge.lm.forced_search import SearchOptions
    from wav2edge.lm.greedy import SpokenWord
    from wav2edge.lm.vocabulary import Vocabulary

    from .alignment import Alignment
    from .endpoint import EndpointOptions
    from .pronunciation import Pronunciation
    from .stream import Stream, StreamOptions, StreamState
    from .vad import Vad

EMBEDDED = Path(__file__).with_name("embedded")
"""The bundle that comes with the package."""

_Options = TypeVar("_Options", "StreamOptions", "EndpointOptions")

Progress = Callable[[float, float], None]
"""Told, after each step, the seconds of audio done and the seconds that the recording promises."""


def load(
    bundle: str | os.PathLike[str] | None = None,
    *,
    threads: int = 1,
    provider: Provider | Sequence[Provider] = "cpu",
    **decoding: Unpack[DecodingArguments],
) -> "Recognizer":
    """Load a bundle, ready to transcribe.

    Args:
        bundle: Its folder; None is the model that comes with the package.
        threads: CPU threads that one transcription may use. One is the default: the cost is
            predictable, the rest of the device stays free, and several recordings transcribed side
            by side scale better than one spread over threads. Idle threads sleep.
        provider: What runs the model: `cpu`, `cuda`, `tensorrt`, `openvino`, `coreml`, `directml`,
            one of them with options, `("cuda", {"device_id": 1})`, or a list in order of
            preference. Each that is named must be there, or it is an error.
        **decoding: `lm`, `domain`, `hotwords`, `phrases`, `beam`, `alpha`, `beta`, `blank_penalty`,
            `decoder`, `reject`: how log-probs become words, unless a call says otherwise; see
            `Decoding`.

    Raises:
        Wav2EdgeError: If the decoding cannot be; see `Decoders.make`.
        BundleError: If the bundle cannot be used; each leaf in `errors` says why.
        ProviderError: If a provider is unknown, absent, or does not start.
        ThreadsError: If the number of threads cannot be.
    """
    if bundle is None and not (EMBEDDED / MANIFEST).is_file():
        raise BundleNotFoundError(
            f"no bundle was named, and this installation has no embedded model in {EMBEDDED}: name "
            "the folder of a bundle, or install wav2edge again"
        )
    usual = Decoding(**decoding)
    with Bundle.reading(EMBEDDED if bundle is None else bundle) as found:
        opened = Beside(partial(open_session, found.model_path, threads=threads, provider=provider))
        try:
            # A language model takes as long to load as the session, and one core more.
            decoders = Decoders(found, usual)
        finally:
            session = opened.result()
    return Recognizer(found, session, decoders)


class Recognizer:
    """A loaded model. It keeps nothing between two recordings; threads may share it.

    Args:
        bundle: What the model is.
        session: The model, loaded.
        decoders: How log-probs become words; None: as the bundle says.

    Raises:
        Wav2EdgeError: If the decoding cannot be; see `Decoders.make`.
        ModelFormatError: If the session's model is not one of ours.
    """

    def __init__(self, bundle: Bundle, session: Session, decoders: Decoders | None = None) -> None:
        self.bundle = bundle
        self.providers = session.providers
        """What runs the model, most preferred first."""
        self._model = _model(bundle, session)
        self._decoders = decoders or Decoders(bundle)
        self._vad: Vad | None = None
        self._loading = threading.Lock()

    @property
    def vocabulary(self) -> "Vocabulary | None":
        """The words of the language model: how many, and which can never be heard; None: none."""
        return self._decoders.vocabulary()

    @property
    def sample_rate_hz(self) -> int:
        """The rate that the model runs at; audio of any other is resampled to it."""
        return self.bundle.manifest.sample_rate_hz

    @property
    def margin(self) -> Samples:
        """The silence that the model hears behind a recording, float32 `[n]`; mostly none."""
        return np.zeros(self.bundle.manifest.margin_samples, np.float32)

    def transcribe(
        self,
        audio: str | os.PathLike[str] | Samples,
        sample_rate: SupportsIndex | float | None = None,
        *,
        progress: Progress | None = None,
        **decoding: Unpack[DecodingArguments],
    ) -> Transcript:
        """Write down what is said in a recording.

        Args:
            audio: Path of a WAV, FLAC, Ogg, Opus or MP3 file of any rate and number of channels;
                `-` for standard input; or mono samples `[n]`, floats in [-1, 1] or int16.
            sample_rate: Hertz of an array. Recordings know theirs.
            progress: Called after each step.
            **decoding: As of `load`, for this recording.

        Returns:
            Text, segments and words with their times. Audio shorter than one frame, or in which
            nothing is said, gives an empty one.

        Raises:
            AudioError: If the audio is missing, empty, cut short, no audio, or holds what sound
                cannot; each leaf in `errors` says which. What was heard before the fault is in the
                error's `transcript`.
            InferenceError: If ONNX Runtime fails.
            Wav2EdgeError: If the decoding cannot be; see `Decoders.make`.
        """
        decoder = self._decoders.usual
        if decoding:
            decoder = self._decoders.make(Decoding(**decoding), live=False)
        failures: list[AudioError] = []
        with Audio(audio, sample_rate=sample_rate, to_hz=self.sample_rate_hz) as source:
            words: list[SpokenWord] = []
            blocks = chain(until_failure(source.blocks(), failures), [self.margin])
            for new in decoder.recording(self._model.log_probs(blocks)):
                words += new
                if progress is not None:
                    progress(source.duration_s, source.promised_s)
            transcript = Transcript.of(
                timed(words, self._model.geometry, source.duration_s),
                duration_s=source.duration_s,
                file=os.fspath(audio) if isinstance(audio, str | os.PathLike) else None,
                separator=self.bundle.alphabet.separator,
            )
        for failure in failures:
            failure.transcript = transcript if transcript.duration_s > 0 else None
            raise failure
        return transcript

    def align(
        self,
        audio: str | os.PathLike[str] | Samples,
        text: str,
        sample_rate: SupportsIndex | float | None = None,
        *,
        options: "SearchOptions | None" = None,
        progress: Progress | None = None,
    ) -> "Alignment":
        """Find out when each word and letter of a known text is said.

        Hours of audio need no more memory than minutes do, beside the text itself.

        Args:
            audio: As of `transcribe`.
            text: What is said, as it is written; words that the audio lacks are told, and so is
                speech that no word explains.
            sample_rate: Hertz of an array.
            options: What those cost (`wav2edge.lm.forced_search.SearchOptions`).
            progress: Called after each step.

        Raises:
            ScriptError: If the text has no words, or some that the alphabet cannot spell.
            AlignmentError: If the text is too long for the audio.
            AudioError: As of `transcribe`; what was aligned before the fault is in the error's
                `alignment`.
            InferenceError: If ONNX Runtime fails.
        """
        from .aligner import Aligner

        aligner = Aligner(self._model, self.bundle)
        return aligner.align(audio, text, sample_rate, options, progress)[1]

    def pronounce(
        self,
        audio: str | os.PathLike[str] | Samples,
        text: str,
        sample_rate: SupportsIndex | float | None = None,
        *,
        options: "SearchOptions | None" = None,
        progress: Progress | None = None,
    ) -> "Pronunciation":
        """Score how well a known text is pronounced, by letters and words, 0 to 100.

        Log-probs of all frames are held at once: 15 MB an hour with 32 tokens.

        Args:
            audio: As of `transcribe`.
            text: As of `align`.
            sample_rate: Hertz of an array.
            options: As of `align`.
            progress: Called after each step.

        Raises:
            ScriptError: As of `align`, and so on.
            AlignmentError: If the text is too long for the audio.
            AudioError: As of `transcribe`.
            InferenceError: If ONNX Runtime fails.
        """
        from .aligner import Aligner
        from .pronunciation import Pronunciation

        frames: list[NDArray[np.float32]] = []
        aligner = Aligner(self._model, self.bundle)
        found = aligner.align(audio, text, sample_rate, options, progress, frames)
        return Pronunciation.of(*found, np.concatenate(frames), self.bundle.alphabet)

    def stream(
        self,
        latency: "str | StreamOptions" = "balanced",
        *,
        endpoint: "str | EndpointOptions" = "default",
        sample_rate: SupportsIndex | float | None = None,
        vad: bool = False,
        state: "StreamState | None" = None,
        **decoding: Unpack[DecodingArguments],
    ) -> "Stream":
        """Open a live stream. Streams share the model and nothing else; any number may be open.

        Args:
            latency: `low`, `balanced`, `accurate`, or the milliseconds themselves.
            endpoint: When a segment ends: `fast`, `default`, `patient`, or every rule's parameter.
            sample_rate: Hertz of what will be pushed; None: the model's own.
            vad: Let a voice activity detector (extra `vad`) say which frames are quiet, instead of
                their energy: for places where it is never quiet.
            state: `state` of a stream that had all the same options, in this process or, pickled,
                in another: the new one goes on as that one would, with that one's hotwords.
            **decoding: As of `load`, for this stream.

        Raises:
            OfflineOnlyError: If the model's layout, or the decoder, has no streaming.
            Wav2EdgeError: If the decoding cannot be; see `Decoders.make`.
            OptionsError: If a preset is unknown or a duration cannot be, or the detector does not
                know the model's rate.
            SampleRateError: If the rate is none that audio has.
            StateError: If the state is none, or one of another model, version, or options.
            VadMissingError: If `vad` is asked for and not installed.
        """
        from .endpoint import ENDPOINTS, Endpointer, EndpointOptions
        from .live_model import LiveModel
        from .segmenter import Segmenter
        from .stream import LATENCIES, Stream, StreamOptions

        if isinstance(self._model, WholeModel):
            raise OfflineOnlyError(
                f"{self.bundle.folder} is in the layout of onnx-asr, whose graph sees a recording "
                "as a whole and cannot stream: export the checkpoint with wav2edge export (its own "
                "layout) to stream it; transcribe works as it is"
            )
        options = _preset(latency, LATENCIES, StreamOptions, "latency")
        rules = _preset(endpoint, ENDPOINTS, EndpointOptions, "endpoint")
        decoder = self._decoders.make(Decoding(**decoding), live=True)
        geometry = self._model.geometry
        segmenter = Segmenter(decoder, Endpointer(rules, geometry), geometry)
        detector = self._detector() if vad else None
        return Stream(LiveModel(self._model, segmenter, options, detector), sample_rate, state)

    def _detector(self) -> "Vad":
        """Return the voice activity detector that all streams share, loaded once."""
        from .vad import open_vad

        with self._loading:
            if self._vad is None:
                self._vad = open_vad(self.sample_rate_hz)
            return self._vad


def _model(bundle: Bundle, session: Session) -> AcousticModel | WholeModel:
    """Put a bundle's model behind the driver of its layout."""
    facts = bundle.manifest
    if facts.layout == LAYOUT:
        return WholeModel(facts, session)
    statistics = ["conv0_mean", "conv0_root"] if facts.group_norm else []
    start = ["outside"] if facts.knows_the_start else []
    session.require(
        inputs=["samples", "frames", *past_names(facts.layers), "hold", *start, *statistics],
        outputs=["features", "log_probs", *new_names(facts.layers)],
    )
    return AcousticModel(bundle, session)


def _preset(
    value: object, presets: Mapping[str, _Options], kind: type[_Options], name: str
) -> _Options:
    """Return the options themselves, or those that go by a name."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, str) or value not in presets:
        raise OptionsError(
            f"{name} is {value!r}, expected {', '.join(presets)}, or {kind.__name__}(...)"
        )
    return presets[value]
