"""Several live streams at once: those that are due share a run, or run side by side in threads.

    pool = StreamPool()
    for stream, events in pool.push({one: samples, other: more}).items():
        ...

Streams stay their own: each gives the events that it gives alone, may be of any age, latency and
decoder, and may be pushed without the pool at any time. Nothing is waited for that was not pushed
in the same call.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from .acoustic import AcousticModel, StepRequest, Steps
from .audio import Samples
from .errors import OptionsError
from .events import Event
from .stream import Stream
from .together import check_together

_Key = TypeVar("_Key")
_T = TypeVar("_T")

_MOST_WORKERS = 1024


class StreamPool:
    """Pushes streams together.

    Args:
        workers: None: the steps that are due share runs of the network, which costs less the
            smaller the model and the more of them; for models in float32 and float16. A number: so
            many threads step streams side by side, each on its own, whatever the precision.

    Raises:
        OptionsError: If the number of threads cannot be.
    """

    def __init__(self, *, workers: int | None = None) -> None:
        if workers is not None and (
            isinstance(workers, bool)
            or not isinstance(workers, int)
            or not 1 <= workers <= _MOST_WORKERS
        ):
            raise OptionsError(
                f"workers is {workers!r}, expected a number of threads from 1 to {_MOST_WORKERS}, "
                "or None for streams that share a run"
            )
        self._workers = workers

    def push(self, audio: Mapping[Stream, Samples]) -> dict[Stream, list[Event]]:
        """Push audio to several streams; it returns when all of it is heard.

        Args:
            audio: What each stream gets, as `Stream.push` takes it.

        Returns:
            What each `push` would have returned.

        Raises:
            AudioError: If the samples of a stream cannot be; then none of them has been pushed.
            StreamFinishedError: If one is finished; then none has been pushed.
            BatchError: If streams of a model cannot share a run: int8 needs `workers`.
        """
        checked = {stream: stream.checked(samples) for stream, samples in audio.items()}
        return self._driven({stream: stream.pushing(x) for stream, x in checked.items()})

    def finish(self, streams: Iterable[Stream]) -> dict[Stream, list[Event]]:
        """Finish several streams.

        Returns:
            What each `finish` would have returned.

        Raises:
            BatchError: As `push`.
        """
        return self._driven({stream: stream.finishing() for stream in streams})

    def _driven(self, work: Mapping[Stream, Steps[list[Event]]]) -> dict[Stream, list[Event]]:
        if self._workers is not None:
            return self._side_by_side(work, self._workers)
        models = {stream: stream.acoustic for stream in work}
        for model in models.values():
            check_together(model.bundle.manifest)
        return together(work, models)

    def _side_by_side(
        self, work: Mapping[Stream, Steps[list[Event]]], workers: int
    ) -> dict[Stream, list[Event]]:
        with ThreadPoolExecutor(min(workers, max(1, len(work)))) as threads:
            found = {
                stream: threads.submit(stream.acoustic.alone, steps)
                for stream, steps in work.items()
            }
        return {stream: one.result() for stream, one in found.items()}


def together(
    work: Mapping[_Key, Steps[_T]], models: Mapping[_Key, AcousticModel]
) -> dict[_Key, _T]:
    """Drive computations so that the steps they ask for share runs.

    In each round every computation that is not done asks for one step.

    Args:
        work: Any number of them.
        models: Who makes the steps of each.

    Returns:
        What each returns.
    """
    done: dict[_Key, _T] = {}
    asked: dict[_Key, StepRequest] = {}

    def go_on(key: _Key, ask: Callable[[], StepRequest]) -> None:
        try:
            asked[key] = ask()
        except StopIteration as end:
            asked.pop(key, None)
            done[key] = end.value

    for key, steps in work.items():
        go_on(key, steps.__next__)
    while asked:
        for model, keys in _by_model(asked, models):
            for key, result in zip(keys, model.steps([asked[key] for key in keys]), strict=True):
                go_on(key, partial(work[key].send, result))
    return {key: done[key] for key in work}


def _by_model(
    asked: Iterable[_Key], models: Mapping[_Key, AcousticModel]
) -> Iterator[tuple[AcousticModel, list[_Key]]]:
    parts: dict[AcousticModel, list[_Key]] = {}
    for key in asked:
        parts.setdefault(models[key], []).append(key)
    return iter(list(parts.items()))
