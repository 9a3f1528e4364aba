"""Work in a thread of its own, beside what its caller does meanwhile."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Beside(Generic[_T]):
    """Work that begins at once.

    A thread and nothing more: `concurrent.futures` would take longer to import than it saves.

    Args:
        work: What to do.
    """

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._made: list[_T] = []
        self._failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def result(self) -> _T:
        """Wait for its end; return what it made, or raise what it raised."""
        self._thread.join()
        for error in self._failed:
            raise error
        return self._made[0]

    def _run(self) -> None:
        try:
            self._made.append(self._work())
        except Exception as error:  # noqa: BLE001  (raised where the result is asked for)
            self._failed.append(error)
