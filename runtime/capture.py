"""Between the thread that captures audio and the one that listens: a queue, and the true time."""

import math
import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

QUEUE_S = 10.0  # of audio that wait at most
BITE_S = 1.0  # lost at a time: one hole of a second spoils fewer words than fifty of 20 ms
WINDOW_S = 2.0  # in which a device that fell behind can catch up
LOSS_S = 0.05  # what is less is not told: devices deliver in lumps
DRIFT = 0.002  # of all time: clocks differ, most by less than a tenth of that


class CaptureQueue:
    """Audio on its way from the thread that captures to the one that listens.

    Args:
        rate_hz: Of the samples.
        capacity_s: What may wait. Beyond it the oldest go, `BITE_S` at a time.
    """

    def __init__(self, rate_hz: int, *, capacity_s: float = QUEUE_S) -> None:
        self._capacity, self._bite = round(capacity_s * rate_hz), round(BITE_S * rate_hz)
        self._pieces: deque[tuple[int, Array]] = deque()  # with the place of their first sample
        self._changed = threading.Condition()
        self._n_captured = 0  # samples since the start, those that were lost included
        self.n_waiting = 0
        """Samples that were captured and not taken."""
        self.ended = False
        """Set it, and nothing more comes in. It takes no lock, so that a signal handler can."""

    def put(self, samples: Array, *, n_lost: int = 0) -> None:
        """Add samples `[n]`, before which the device lost `n_lost`. Never waits for the taker."""
        with self._changed:
            if self.ended:
                return
            first = self._n_captured + n_lost
            self._pieces.append((first, samples))
            self._n_captured = first + len(samples)
            self.n_waiting += len(samples)
            if self.n_waiting > self._capacity:
                while len(self._pieces) > 1 and self.n_waiting > self._capacity - self._bite:
                    self.n_waiting -= len(self._pieces.popleft()[1])
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[int, Array] | None:
        """Return the oldest piece and its first sample's place, or None if none came in time."""
        with self._changed:
            if not self._pieces and not self.ended:
                self._changed.wait(timeout_s)
            if not self._pieces:
                return None
            first, samples = self._pieces.popleft()
            self.n_waiting -= len(samples)
            return first, samples


class LossDetector:
    """Finds what a device lost without a word: sound cards drop audio when nobody takes it in time.

    A device delivers as many samples as time passes, less what lies in its buffers. How much is
    missing therefore swings, but its minimum over a window of two seconds, in which every buffer
    ran empty once, rises only by what is gone for good. It is told at most three windows late,
    in one piece or two.

    Args:
        rate_hz: What the device says that it delivers.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._n_delivered = 0  # with what was found to be lost
        self._started_s: float | None = None
        self._window_ends_s = 0.0
        self._least = math.inf  # missing samples in this window
        self._usual = math.inf  # in the window before

    def delivered(self, n_samples: int, now_s: float) -> int:
        """Count a delivery.

        Args:
            n_samples: That came.
            now_s: Of a steady clock.

        Returns:
            How many samples were lost, by what is known now; mostly 0.
        """
        if self._started_s is None:
            self._started_s, self._window_ends_s = now_s, now_s + WINDOW_S
        lost = 0
        if now_s >= self._window_ends_s:
            rise = self._least - self._usual
            lost = round(rise) if LOSS_S * self._rate_hz < rise < math.inf else 0
            drifted = self._usual + DRIFT * WINDOW_S * self._rate_hz
            self._usual, self._least = min(self._least - lost, drifted), math.inf
            self._window_ends_s = now_s + WINDOW_S
        self._n_delivered += lost + n_samples
        missing = (now_s - self._started_s) * self._rate_hz - self._n_delivered
        self._least = min(self._least, missing)
        return lost
