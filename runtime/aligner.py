"""A recording and its text to an alignment: what `align` and `pronounce` of a recognizer share."""

import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.alignment import AlignedScript, align
from wav2edge.lm.errors import AlignmentError
from wav2edge.lm.forced_search import SearchOptions
from wav2edge.lm.script import Script

from .alignment import Alignment
from .audio import Audio, Samples, until_failure
from .bundle import Bundle

if TYPE_CHECKING:
    from .acoustic import AcousticModel
    from .errors import AudioError
    from .onnx_asr import WholeModel

Frames = NDArray[np.float32]


class Aligner:
    """Lays texts over recordings; holds nothing between two of them.

    Args:
        model: Drives the bundle's model.
        bundle: What the model is.
    """

    def __init__(self, model: "AcousticModel | WholeModel", bundle: Bundle) -> None:
        self._model, self._bundle = model, bundle

    def align(
        self,
        audio: str | os.PathLike[str] | Samples,
        text: str,
        sample_rate: SupportsIndex | float | None,
        options: SearchOptions | None,
        progress: Callable[[float, float], None] | None,
        frames: list[Frames] | None = None,
    ) -> tuple[AlignedScript, Alignment]:
        """Align, in frames and in seconds.

        Args:
            audio: As of `Recognizer.align`, and so on.
            text: What is said.
            sample_rate: Hertz of an array.
            options: What missing words and other speech cost.
            progress: Called after each step.
            frames: All log-probs are added to it, if they are to be kept.

        Raises:
            Wav2EdgeError: As of `Recognizer.align`.
        """
        failures: list[AudioError] = []
        alphabet = self._bundle.alphabet
        script = Script.of(text, alphabet)
        rate_hz = self._bundle.manifest.sample_rate_hz
        with Audio(audio, sample_rate=sample_rate, to_hz=rate_hz) as source:
            margin = np.zeros(self._bundle.manifest.margin_samples, np.float32)
            blocks = chain(until_failure(source.blocks(), failures), [margin])

            def heard() -> Iterator[Frames]:
                for piece in self._model.log_probs(blocks):
                    if frames is not None:
                        frames.append(piece)
                    yield piece
                    if progress is not None:
                        progress(source.duration_s, source.promised_s)

            try:
                found = align(script, alphabet, heard(), options)
            except AlignmentError as error:
                raise (failures[0] if failures else error) from None
            alignment = Alignment.of(
                found,
                self._model.geometry,
                duration_s=source.duration_s,
                file=os.fspath(audio) if isinstance(audio, str | os.PathLike) else None,
                separator=alphabet.separator,
            )
        for failure in failures:
            failure.alignment = alignment
            raise failure
        return found, alignment
