"""Which other files an ONNX file reads, told without loading it.

A model above 2 GB keeps its weights in a second file, and names it. ONNX Runtime would open
whatever is named there; a bundle may come from a stranger. So the names are read first, straight
from the protobuf (https://protobuf.dev/programming-guides/encoding/), of which only the few
messages that can hold tensors are entered: fields are skipped by their length, weights never read.
"""

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

# Message -> {field number: message}, for what leads to a tensor (onnx.proto3 of ONNX 1.23).
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_KEY, _VALUE = 1, 2  # of an entry
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_DEEPEST = 100  # nested messages, as protobuf itself allows
_LONGEST_VARINT = 10  # bytes
_MORE = 0x80  # set in a byte that others follow

_Bytes = bytes | mmap.mmap


class MalformedError(Exception):
    """The bytes are no protobuf."""


def external_files(path: Path) -> tuple[str, ...]:
    """List the files that a model keeps weights in, as it names them, sorted.

    Raises:
        MalformedError: The file is no ONNX model.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise MalformedError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return tuple(sorted(set(_locations(data, 0, len(data), "model", 0))))


def _locations(data: _Bytes, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    """Yield the locations in one message of `data[start:end]`."""
    if depth > _DEEPEST:
        raise MalformedError("its messages are nested too deep")
    entered = _MESSAGES[message]
    for number, first, last in _fields(data, start, end):
        inner = entered.get(number)
        if inner == "entry":
            pair = {n: data[a:b] for n, a, b in _fields(data, first, last)}
            if pair.get(_KEY) == b"location":
                yield pair.get(_VALUE, b"").decode("utf-8", "backslashreplace")
        elif inner is not None:
            yield from _locations(data, first, last, inner, depth + 1)


def _fields(data: _Bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each length-delimited field; others are skipped."""
    place = start
    while place < end:
        tag = data[place]
        if tag < _MORE:  # nearly all are of one byte, and a call for each is felt in a start
            place += 1
        else:
            tag, place = _varint(data, place, end)
            if tag >> 32:  # some readers would cut it to 32 bits, and see another field than we
                raise MalformedError("it is no protobuf")
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            if place < end and data[place] < _MORE:
                size, place = data[place], place + 1
            else:
                size, place = _varint(data, place, end)
            if size > end - place:
                raise MalformedError("it ends too early")
            yield number, place, place + size
            place += size
        elif kind == _VARINT:
            _, place = _varint(data, place, end)
        elif kind in (_EIGHT, _FOUR):
            place += 8 if kind == _EIGHT else 4
        else:
            raise MalformedError("it is no protobuf")
    if place != end:
        raise MalformedError("it ends too early")


def _varint(data: _Bytes, place: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; return it and the place after it."""
    value = 0
    for i in range(_LONGEST_VARINT):
        if place + i >= end:
            break
        byte = data[place + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < _MORE:
            return value, place + i + 1
    raise MalformedError("it is no protobuf")
