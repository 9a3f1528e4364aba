"""A recognizer that writes down what recordings without transcripts say.

Moonshine "tiny" (Jeffries et al. 2024, arXiv:2410.15608; MIT), whose English weights came inside
PyPI's `moonshine-voice` until 0.1.0. It cuts a recording at pauses and hears each piece alone.
"""

import importlib
import importlib.resources
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .voices import RATE_HZ

_WEIGHTS = "assets/tiny-en"


@dataclass(frozen=True)
class Line:
    """What was heard between two pauses."""

    text: str
    """With upper and lower case, digits and marks."""
    start_s: float
    end_s: float


class Teacher:
    """The recognizer, opened when it first hears something."""

    origin = "PyPI: pip install 'moonshine-voice<=0.1.0'; later releases come without weights"

    def is_there(self) -> bool:
        """Tell whether the package and its weights are installed."""
        if importlib.util.find_spec("moonshine_voice") is None:
            return False
        weights = importlib.resources.files("moonshine_voice") / _WEIGHTS
        return (weights / "encoder_model.ort").is_file()

    def lines(self, samples: npt.NDArray[np.float32]) -> list[Line]:
        """Write down float32 `[n_samples]` at 16 kHz."""
        heard = self._network.transcribe_without_streaming(samples.tolist(), RATE_HZ)
        return [
            Line(line.text, line.start_time, line.start_time + line.duration)
            for line in heard.lines
        ]

    @cached_property
    def _network(self) -> Any:  # noqa: ANN401 (the package ships no types)
        package = importlib.import_module("moonshine_voice")
        weights = importlib.resources.files("moonshine_voice") / _WEIGHTS
        return package.Transcriber(model_path=str(weights), model_arch=package.ModelArch.TINY)
