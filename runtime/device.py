"""Keys and values that stay beside the processor that made them, a GPU above all.

A run reads the left context where it lies and writes the new rows right behind it, through ONNX
Runtime's IO binding: nothing of it crosses to the host between two steps. As in `left_context.py` a
context is a window into a block with room at its end, a value that never changes; whoever goes on
from an older one copies first, on the device.

Streams that share a run have their contexts gathered through the host.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .left_context import Claims, LeftContext

Array = NDArray[np.float32]

_BYTES = 4  # of a float32


@dataclass(frozen=True)
class Window:
    """Rows `[n, width]` of float32 in a device's memory."""

    address: int
    shape: tuple[int, int]


class Device:
    """Memory of one device, and runs of a session that read and write it in place.

    Args:
        session: ONNX Runtime's, of the model.
        copier: Another, of a model that copies `x` to `y`, on the same device.
        values: ONNX Runtime's `OrtValue`.
        name: `cuda` or `cpu`.
        index: Which of them.
    """

    def __init__(self, session: Any, copier: Any, values: Any, name: str, index: int) -> None:  # noqa: ANN401
        self._session, self._copier, self._values = session, copier, values
        self._place = name, index

    def allocate(self, n_rows: int, width: int) -> Any:  # noqa: ANN401
        """Return an `OrtValue` of float32 `[n_rows, width]`, not yet written."""
        return self._values.ortvalue_from_shape_and_type((n_rows, width), np.float32, *self._place)

    def run(
        self,
        outputs: Sequence[str],
        feeds: Mapping[str, Any],
        reads: Mapping[str, Window],
        writes: Mapping[str, Window],
    ) -> list[Array]:
        """Run the model.

        Args:
            outputs: Names of those that come to the host.
            feeds: Inputs from the host.
            reads: Inputs that lie on the device.
            writes: Outputs that go there.
        """
        return self._run(self._session, outputs, feeds, reads, writes)

    def copy(self, source: Window, target: Window) -> None:
        """Copy rows on the device."""
        self._run(self._copier, (), {}, {"x": source}, {"y": target})

    def _run(
        self,
        session: Any,  # noqa: ANN401
        outputs: Sequence[str],
        feeds: Mapping[str, Any],
        reads: Mapping[str, Window],
        writes: Mapping[str, Window],
    ) -> list[Array]:
        binding = session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, rows in reads.items():
            binding.bind_input(name, *self._place, np.float32, rows.shape, rows.address)
        for name in outputs:
            binding.bind_output(name)
        for name, rows in writes.items():
            binding.bind_output(name, *self._place, np.float32, rows.shape, rows.address)
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return [value.numpy() for value in binding.get_outputs()[: len(outputs)]]


class _Block:
    """Rows of every array, with room at their end."""

    def __init__(self, device: Device, n_arrays: int, capacity: int, width: int) -> None:
        self.device, self.width, self.capacity = device, width, capacity
        self.values = [device.allocate(max(1, capacity), width) for _ in range(n_arrays)]
        self.addresses = [value.data_ptr() for value in self.values]
        self.claims = Claims(capacity)

    def windows(self, first: int, n_rows: int) -> list[Window]:
        """Return the same rows of every array."""
        offset = first * self.width * _BYTES
        return [Window(address + offset, (n_rows, self.width)) for address in self.addresses]


class DeviceContext:
    """Keys and values of the last `n_frames` frames on a device; immutable.

    It can do what a `LeftContext` can, and `reserved` besides.
    """

    __slots__ = ("_block", "_first", "n_frames")

    def __init__(self, block: _Block, first: int, n_frames: int) -> None:
        self._block, self._first = block, first
        self.n_frames = n_frames

    @classmethod
    def of(cls, device: Device, arrays: Array) -> Self:
        """Bring `[arrays, n, width]` to a device."""
        n_arrays, n_frames, width = arrays.shape
        block = _Block(device, n_arrays, n_frames, width)
        block.claims.take(0, n_frames)
        if n_frames:
            for value, rows in zip(block.values, arrays, strict=True):
                value.update_inplace(np.ascontiguousarray(rows))
        return cls(block, 0, n_frames)

    def reads(self) -> list[Window]:
        """Return where it lies, array by array."""
        return self._block.windows(self._first, self.n_frames)

    def reserved(self, n_new: int, n_frames: int | None) -> tuple[list[Window], "DeviceContext"]:
        """Make room for new rows.

        Args:
            n_new: Rows of each array that will be written.
            n_frames: How many to keep then, the newest; None: all.

        Returns:
            Where they shall be written, and the context that holds them afterwards.
        """
        n_all = self.n_frames + n_new
        n_kept = n_all if n_frames is None else min(n_frames, n_all)
        block, last = self._block, self._first + self.n_frames
        if not block.claims.take(last, n_new):
            n_old = max(0, n_kept - n_new)
            block = self._moved(n_old, n_new, n_kept)
            last = n_old
        return block.windows(last, n_new), DeviceContext(block, last + n_new - n_kept, n_kept)

    def _moved(self, n_old: int, n_new: int, n_kept: int) -> _Block:
        old, room = self._block, max(2 * n_new, n_kept // 2)
        block = _Block(old.device, len(old.values), n_old + n_new + room, old.width)
        block.claims.take(0, n_old + n_new)
        if n_old:
            sources = old.windows(self._first + self.n_frames - n_old, n_old)
            for source, target in zip(sources, block.windows(0, n_old), strict=True):
                old.device.copy(source, target)
        return block

    def extended(self, new: Sequence[Array], n_frames: int | None) -> "DeviceContext":
        """Return the context after frames that the host has; see `LeftContext.extended`."""
        host = LeftContext.of(self.arrays()).extended(new, n_frames)
        return DeviceContext.of(self._block.device, host.arrays())

    def arrays(self) -> Array:
        """Bring it to the host: float32 `[arrays, n_frames, width]`."""
        last = self._first + self.n_frames
        return np.stack([value.numpy()[self._first : last] for value in self._block.values])

    @property
    def sizes(self) -> tuple[int, int]:
        """How many arrays, and channels of each."""
        return len(self._block.values), self._block.width

    @property
    def nbytes(self) -> int:
        """Bytes of the block it lies in."""
        return len(self._block.values) * self._block.capacity * self._block.width * _BYTES

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what it sees as a context of the host, which any device can go on from."""
        return LeftContext.of, (self.arrays(),)


def copying_model() -> bytes:
    """Write an ONNX model that copies rows `x` to `y`, without the library that makes models."""

    def field(number: int, value: int | bytes | str) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3, value])
        body = value.encode() if isinstance(value, str) else value
        return bytes([number << 3 | 2, len(body)]) + body

    def rows(name: str) -> bytes:
        sizes = b"".join(field(1, field(2, size)) for size in ("n", "width"))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, sizes)))

    node = field(1, "x") + field(2, "y") + field(4, "Identity")
    graph = field(1, node) + field(2, "copy") + field(11, rows("x")) + field(12, rows("y"))
    return field(1, 8) + field(8, field(2, 13)) + field(7, graph)
