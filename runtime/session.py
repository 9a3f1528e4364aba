"""The door to onnxruntime: a model file, the threads it may use, and the provider that runs it.

A model holds two entry points in one file (`acoustic.py` tells which). Released builds of ONNX
Runtime run every node and demand every input, whatever `only_execute_path_to_fetches` says; so the
entries are branches of an `If` that asks whether there are samples. `Session.run` feeds the inputs
that it was not given with zeros whose free dimensions are 0, and the entry that was not meant costs
a few microseconds.

Threads, and that they sleep instead of spinning, are set here and nowhere else: an idle session
uses no CPU. A provider is what was asked for, or an error.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .device import Device, Window, copying_model
from .errors import (
    InferenceError,
    ModelFormatError,
    ProviderError,
    ThreadsError,
    UnsafePathError,
)
from .model_file import MalformedError, external_files
from .providers import COMES_WITH, NAMES, Provider, asked_for, ours

__all__ = [
    "Provider",
    "Session",
    "available_providers",
    "open_session",
    "runtime_distributions",
    "version_of_runtime",
]

Array = NDArray[np.float32]
Lengths = NDArray[np.int64]

_WITH_MEMORY = ("cuda",)  # providers whose memory is not the host's
_NO_MODEL = {"InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile"}  # its exceptions' names
_MOST_THREADS = 1024
_WEIGHTS_ENDINGS = (".data", "_data")  # of the one further file that a model may keep weights in


class Session:
    """A loaded model. It keeps nothing between two runs and may be used by several threads."""

    def __init__(self, session: Any, device: Device | None = None) -> None:  # noqa: ANN401  (onnxruntime has no types)
        self._session = session
        self.device = device
        """Where a stream's past stays between two runs; None: it comes back to the host."""
        self.inputs: tuple[str, ...] = tuple(one.name for one in session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(one.name for one in session.get_outputs())
        self.providers: tuple[str, ...] = tuple(map(ours, session.get_providers()))
        """What really runs the model, most preferred first. ONNX Runtime always adds `cpu`."""
        self._types = {
            one.name: np.int64 if one.type == "tensor(int64)" else np.float32
            for one in session.get_inputs()
        }
        self._nothing = {
            one.name: np.zeros(
                [size if isinstance(size, int) else 0 for size in one.shape], self._types[one.name]
            )
            for one in session.get_inputs()
        }

    def has_input(self, name: str) -> bool:
        """Tell whether the model takes an input of this name."""
        return name in self.inputs

    def require(self, *, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Check that the model is one of ours.

        Raises:
            ModelFormatError: If it lacks an input or an output, naming which.
        """
        missing = [name for name in inputs if name not in self.inputs]
        missing += [name for name in outputs if name not in self.outputs]
        if missing:
            raise ModelFormatError(
                f"the model lacks {', '.join(missing)}: it has inputs {', '.join(self.inputs)} and "
                f"outputs {', '.join(self.outputs)}; models come from wav2edge export"
            )

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array | Lengths]) -> list[Array]:
        """Run what the outputs need.

        Args:
            outputs: Names, all of one entry point.
            feeds: float32 arrays by input name, or lengths as whole numbers where the model takes
                them; every input of that entry point.

        Returns:
            One float32 array for each output, in their order. They are views of memory that ONNX
            Runtime allocated for this run: nothing is copied, and nobody else holds it.

        Raises:
            InferenceError: If ONNX Runtime fails, with its own words.
        """
        given = self._given(feeds)
        return self._tried(
            given, lambda: self._session.run(list(outputs), {**self._nothing, **given})
        )

    def run_in_place(
        self,
        outputs: Sequence[str],
        feeds: Mapping[str, Array | Lengths],
        reads: Mapping[str, Window],
        writes: Mapping[str, Window],
    ) -> list[Array]:
        """Run with some inputs and outputs that lie on the device; the session has one.

        Args:
            outputs: Names of those that come to the host.
            feeds: As of `run`.
            reads: Inputs on the device.
            writes: Outputs that are written there.

        Returns:
            As `run`.

        Raises:
            InferenceError: As `run`.
        """
        assert self.device is not None
        device, given = self.device, self._given(feeds)
        rest = {name: value for name, value in self._nothing.items() if name not in reads}
        return self._tried(given, lambda: device.run(outputs, {**rest, **given}, reads, writes))

    def _given(self, feeds: Mapping[str, Array | Lengths]) -> dict[str, NDArray[Any]]:
        return {
            name: np.ascontiguousarray(value, self._types.get(name, np.float32))
            for name, value in feeds.items()
        }

    def _tried(
        self, given: Mapping[str, NDArray[Any]], run: Callable[[], list[Array]]
    ) -> list[Array]:
        try:
            found = run()
        except Exception as error:  # its exceptions share no base of their own
            shapes = {name: value.shape for name, value in given.items()}
            raise InferenceError(f"inference failed on {shapes}: {_first_line(error)}") from error
        assert all(isinstance(one, np.ndarray) and one.dtype == np.float32 for one in found)
        return found

    def end_profile(self) -> list[dict[str, Any]]:
        """Return the events of a session that was opened with `profile`; it records no more.

        They are those of Chrome's trace event format: name, cat, dur in microseconds, args.
        """
        with open(self._session.end_profiling(), encoding="utf-8") as file:  # noqa: PTH123
            events: list[dict[str, Any]] = json.load(file)
        return events


def open_session(
    model_path: str | os.PathLike[str],
    *,
    threads: int,
    provider: Provider | Sequence[Provider],
    profile: str | os.PathLike[str] | None = None,
    in_place: bool | None = None,
) -> Session:
    """Load a model.

    Args:
        model_path: The ONNX file. A model above 2 GB keeps its weights beside it, in a file of the
            same name and `.data`; it may name no other.
        threads: Threads that one run may use, 1 or more. They sleep while nothing runs.
        provider: What runs the model, with options if it needs some:
            `("tensorrt", {"trt_fp16_enable": True})`. In a list the first one that can take a node
            of the network takes it. Each provider in it must be there: a list is no way to hide
            that one is missing.
        profile: Write how long each operator takes into a file whose path begins like this, until
            `Session.end_profile` is called.
        in_place: A stream's past stays on the device. None: if the first provider is `cuda`.

    Raises:
        ModelFormatError: If the file is no ONNX model that this ONNX Runtime can load.
        ProviderError: If a provider is unknown or not there, or did not start.
        ThreadsError: If the number of threads cannot be.
        UnsafePathError: If the model names other files to read.
    """
    import onnxruntime

    _refuse_other_files(Path(model_path))
    asked = asked_for(provider)
    _check_there(asked)
    options = _options(threads)
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, os.fspath(profile)
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(model_path),
            options,
            providers=[(NAMES[name], dict(chosen)) for name, chosen in asked.items()],
            enable_fallback=0,  # it would fall back to another provider, and print that it did
        )
    except Exception as error:  # its exceptions share no base of their own
        if set(asked) == {"cpu"} or type(error).__name__ in _NO_MODEL:
            raise ModelFormatError(
                f"{os.fspath(model_path)} is no ONNX model that onnxruntime "
                f"{version_of_runtime()} can load: {_first_line(error)}; export it again"
            ) from error
        raise ProviderError(
            f"provider {', '.join(asked)} did not start: {_first_line(error)}; check its drivers "
            "and options, or ask for cpu"
        ) from error
    opened = Session(session, _device(session, asked, options, in_place=in_place))
    if lost := [name for name in asked if name not in opened.providers]:
        raise ProviderError(
            f"provider {', '.join(lost)} is installed but did not start, {opened.providers[0]} "
            "would have run instead: check its drivers and libraries, or ask for that one"
        )
    return opened


def _device(
    session: Any,  # noqa: ANN401
    asked: Mapping[str, Mapping[str, object]],
    options: Any,  # noqa: ANN401
    *,
    in_place: bool | None,
) -> Device | None:
    """Return the memory beside the first provider's processor, if it shall be used."""
    import onnxruntime

    name = next(iter(asked))
    if not (name in _WITH_MEMORY if in_place is None else in_place):
        return None
    providers = [(NAMES[one], dict(chosen)) for one, chosen in asked.items()]
    copier = onnxruntime.InferenceSession(copying_model(), options, providers=providers)
    place = name if name in _WITH_MEMORY else "cpu"
    index = int(str(asked[name].get("device_id", 0)))
    return Device(session, copier, onnxruntime.OrtValue, place, index)


def _refuse_other_files(path: Path) -> None:
    """Refuse a model that makes ONNX Runtime open anything but its own weights beside it."""
    try:
        named = external_files(path)
    except (MalformedError, OSError) as error:
        raise ModelFormatError(
            f"{path} is no ONNX model: {error}; copy it again, or export it again"
        ) from error
    for name in named:
        beside = path.with_name(name) if name in {path.name + x for x in _WEIGHTS_ENDINGS} else None
        if beside is None or beside.resolve().parent != path.parent.resolve():
            raise UnsafePathError(
                f"{path} wants to read {name!r}: a model reads {path.name}.data beside it and "
                "nothing else; do not use it unless you know who made it"
            )
        if not beside.is_file():
            raise ModelFormatError(
                f"{beside} is missing, and holds the model's weights: copy it too"
            )


def available_providers() -> tuple[str, ...]:
    """List the providers of the installed ONNX Runtime, by our names where they have one."""
    import onnxruntime

    return tuple(map(ours, onnxruntime.get_available_providers()))


def version_of_runtime() -> str:
    """Return the version of ONNX Runtime that is imported."""
    import onnxruntime

    return str(onnxruntime.__version__)


def runtime_distributions() -> dict[str, str]:
    """Find the distributions that install `onnxruntime`, and their versions.

    There must be exactly one. Two (`onnxruntime` and `onnxruntime-gpu`, say) overwrite each other's
    files, and which providers are left is an accident.
    """
    from importlib.metadata import packages_distributions, version

    names = sorted(set(packages_distributions().get("onnxruntime", ())))
    return {name: version(name) for name in names}


def _options(threads: int) -> Any:  # noqa: ANN401  (onnxruntime has no types)
    import onnxruntime

    if isinstance(threads, bool) or not isinstance(threads, int):
        raise ThreadsError(f"threads is {threads!r}, expected a whole number of them")
    if not 1 <= threads <= _MOST_THREADS:
        raise ThreadsError(f"threads is {threads}, expected 1 to {_MOST_THREADS}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Patterns are kept for every length ever seen, and save no time here: memory would only grow.
    options.enable_mem_pattern = False
    # Whatever it logs as an error it raises as well, and the exception is what our error quotes.
    options.log_severity_level = 4
    return options


def _check_there(asked: Mapping[str, object]) -> None:
    there = available_providers()
    for name in asked:
        if name not in there:
            raise ProviderError(
                f"provider {name} is not there: onnxruntime {version_of_runtime()} has "
                f"{', '.join(there)}; ask for one of these, or install {COMES_WITH.get(name)} "
                "in its place"
            )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
