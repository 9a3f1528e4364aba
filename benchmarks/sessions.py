"""How a benchmark opens models: with the threads and the provider that its command line names."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.decoding import DecodingArguments
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.recognizer import load as load_bundle
from wav2edge.runtime.session import Session, open_session


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens models alike.

    Attributes:
        threads: That one run of a model may use.
        provider: What runs it, by our names, most preferred first.
    """

    threads: int = 1
    provider: tuple[str, ...] = ("cpu",)

    def load(
        self, bundle: str | os.PathLike[str] | None, **decoding: Unpack[DecodingArguments]
    ) -> Recognizer:
        """Load a bundle; None: the embedded one."""
        return load_bundle(bundle, threads=self.threads, provider=self.provider, **decoding)

    def acoustic(self, bundle: Bundle) -> AcousticModel:
        """Load what gives a bundle's log-probs."""
        return AcousticModel(bundle, self.open(bundle.model_path))

    def open(self, model: Path, *, profile: Path | None = None) -> Session:
        """Open an ONNX file; `profile` as of `open_session`."""
        return open_session(model, threads=self.threads, provider=self.provider, profile=profile)


ONE_THREAD = Sessions()
"""One thread of the processor."""
