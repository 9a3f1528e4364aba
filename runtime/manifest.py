"""The manifest of a bundle, schema 2: what the runtime must know of a model and cannot guess."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, NewType, Self, get_type_hints

from .errors import ManifestError, SchemaError
from .frames import Geometry

SCHEMA = 2

_LARGEST = 1 << 20  # of any size: what is beyond is no model but an attempt on the memory

Nats = NewType("Nats", float)
"""Of a log-probability."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What must be true of a file of the bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class LanguageModelFacts:
    """The language model that a bundle carries."""

    file: str
    """Its name among the bundle's files: ARPA, gzipped or not, or a KenLM binary."""
    words: str | None
    """The name of a binary's word list."""
    options: dict[str, Any]
    """How a beam search weighs it: some of `BeamOptions`, by name."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of one model; every key of `manifest.json` but `schema`.

    Keys that are not known are ignored, so that a later version can add some.
    """

    name: str
    """What the checkpoint is called."""
    model_type: str
    """As `transformers` calls it: `wav2vec2`, `hubert`, `wavlm`, ..."""
    sample_rate_hz: int
    conv_kernels: tuple[int, ...]
    """Of the feature encoder: the first in samples, the others in its own frames."""
    conv_strides: tuple[int, ...]
    hidden_size: int
    layers: int
    heads: int
    head_size: int
    vocabulary_size: int
    position_left_frames: int
    """What the positional convolution sees before a frame."""
    position_right_frames: int
    """And behind it."""
    receptive_field_samples: int
    hop_samples: int
    blank_id: int
    word_delimiter_id: int | None
    """None: the model does not part words."""
    special_ids: tuple[int, ...]
    """Tokens never heard."""
    do_normalize: bool
    """Samples are scaled to mean 0 and variance 1 before the network."""
    group_norm: bool
    """The first convolution is normalised over time: `front` takes conv0_mean and conv0_root."""
    normalization_prior: dict[str, Any] | None
    """Statistics that a stream starts from."""
    precision: dict[str, Any]
    """`name`, and what each kind of layer was turned into."""
    opset: int
    source: dict[str, Any]
    """Where the checkpoint came from."""
    versions: dict[str, Any]
    """Of the libraries that made the bundle."""
    parity: dict[str, Any]
    """How far the network is from the checkpoint, as measured at export."""
    forced: bool
    """The bundle was written although parity was not reached."""
    files: dict[str, FileFacts]
    """Every other file of the bundle."""
    reject_below: float = 0.0
    """Segments of a recording less confident than this are noise; 0, the default, keeps all."""
    reject_phrases_below: float = 0.35
    """Phrases that fit less are not heard, where a caller says nothing else: the better a model
    hears, the better fits what was said."""
    phrases_blank_penalty: Nats = Nats(0.0)
    """Nats taken off the blank where phrases are heard: what the model gives it too often."""
    margin_frames: int = 0
    """Frames of silence that are heard behind a recording or a stream: for a model that hears badly
    what ends with its last sound."""
    word_separator: str = " "
    """What text has in place of the word delimiter."""
    knows_the_start: bool = False
    """`context` takes `outside`: how many of the first frames lie before the start of the audio."""
    batches: bool = False
    """Several streams may share a run: nothing in it is scaled by what all of them hold."""
    layout: str = "wav2edge"
    """`wav2edge`: the graph steps and streams; `onnx-asr`: it sees a recording as a whole."""
    language_model: LanguageModelFacts | None = None
    """None: the bundle has none, and is decoded greedily unless one is named."""

    @property
    def geometry(self) -> Geometry:
        """Of the frames."""
        return Geometry(self.conv_kernels, self.conv_strides, self.sample_rate_hz)

    @property
    def margin_samples(self) -> int:
        """Samples of the silence that `margin_frames` asks for."""
        return self.margin_frames * self.hop_samples

    @classmethod
    def from_json(cls, text: bytes, *, source: str) -> Self:
        """Read a manifest, and check that its facts can be.

        Args:
            text: JSON, UTF-8.
            source: The file's name, for messages.

        Raises:
            ManifestError: If it is no JSON object, lacks a key, or a value cannot be.
            SchemaError: If the schema is not the one this version knows.
        """
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{source} is no JSON: {error}; copy the bundle again") from error
        if not isinstance(found, dict):
            raise ManifestError(f"{source} is a JSON {type(found).__name__}, expected an object")
        _check_schema(found, source)
        values: dict[str, Any] = {}
        optional = {field.name for field in fields(cls) if field.default is not MISSING}
        for key, hint in get_type_hints(cls).items():
            if key not in found:
                if key in optional:
                    continue
                raise ManifestError(f"{source} lacks the key {key!r}: export the model again")
            try:
                values[key] = _READERS[hint](found[key])
            except _Mismatch as error:
                raise ManifestError(
                    f"{source}: {key} is {_shown(found[key])}, expected {error}: export the model "
                    "again, manifests are not written by hand"
                ) from None
        manifest = cls(**values)
        _check_sizes(manifest, source)
        return manifest


class _Mismatch(Exception):  # noqa: N818  (never leaves this module)
    """A value is not of the type that it should be; the message names the type."""


def _check_schema(found: Mapping[str, Any], source: str) -> None:
    schema = found.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise ManifestError(f"{source}: schema is {_shown(schema)}, expected a whole number")
    if schema != SCHEMA:
        remedy = "update wav2edge" if schema > SCHEMA else "export the model again"
        raise SchemaError(
            f"{source} follows schema {schema}, this version knows schema {SCHEMA}: {remedy}"
        )


def _check_sizes(manifest: Manifest, source: str) -> None:
    """Refuse sizes that contradict each other, or that no model has."""
    positive = {
        "sample_rate_hz": manifest.sample_rate_hz,
        "hidden_size": manifest.hidden_size,
        "layers": manifest.layers,
        "heads": manifest.heads,
        "head_size": manifest.head_size,
        "vocabulary_size": manifest.vocabulary_size,
        **{f"conv_kernels[{i}]": size for i, size in enumerate(manifest.conv_kernels)},
        **{f"conv_strides[{i}]": size for i, size in enumerate(manifest.conv_strides)},
    }
    for name, size in positive.items():
        if not 0 < size <= _LARGEST:
            raise ManifestError(f"{source}: {name} is {size}, expected 1 to {_LARGEST}")
    for name in ("position_left_frames", "position_right_frames", "margin_frames"):
        if not 0 <= getattr(manifest, name) <= _LARGEST:
            raise ManifestError(
                f"{source}: {name} is {getattr(manifest, name)}, expected 0 or more"
            )
    kernels, strides = manifest.conv_kernels, manifest.conv_strides
    if not kernels or len(kernels) != len(strides):
        raise ManifestError(
            f"{source} has {len(kernels)} conv_kernels and {len(strides)} conv_strides, expected "
            "one of each for every convolution"
        )
    geometry = manifest.geometry
    said = (manifest.receptive_field_samples, manifest.hop_samples)
    if said != (geometry.receptive_field, geometry.hop):
        raise ManifestError(
            f"{source} gives receptive field and hop as {said} samples, its convolutions make "
            f"{(geometry.receptive_field, geometry.hop)}: export the model again"
        )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Mismatch("text")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Mismatch("a whole number")
    return value


def _whole_or_none(value: object) -> int | None:
    return None if value is None else _whole(value)


def _nats(value: object) -> Nats:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise _Mismatch("a number of nats, 0 or more")
    return Nats(float(value))


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _Mismatch("a number from 0 to 1")
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Mismatch("true or false")
    return value


def _wholes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise _Mismatch("a list of whole numbers")
    return tuple(_whole(one) for one in value)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Mismatch("an object")
    return value


def _object_or_none(value: object) -> dict[str, Any] | None:
    return None if value is None else _object(value)


def _files(value: object) -> dict[str, FileFacts]:
    facts = {}
    for name, said in _object(value).items():
        entry = _object(said)
        if not {"sha256", "bytes"} <= set(entry):
            raise _Mismatch("sha256 and bytes for each file")
        facts[name] = FileFacts(_text(entry["sha256"]), _whole(entry["bytes"]))
    return facts


def _language_model(value: object) -> LanguageModelFacts | None:
    if value is None:
        return None
    entry = _object(value)
    if not {"file", "words", "options"} <= set(entry):
        raise _Mismatch("file, words and options")
    words = None if entry["words"] is None else _text(entry["words"])
    return LanguageModelFacts(_text(entry["file"]), words, _object(entry["options"]))


_READERS: Mapping[object, Callable[[object], object]] = {
    str: _text,
    int: _whole,
    int | None: _whole_or_none,
    float: _share,
    Nats: _nats,
    bool: _truth,
    tuple[int, ...]: _wholes,
    dict[str, Any]: _object,
    dict[str, Any] | None: _object_or_none,
    dict[str, FileFacts]: _files,
    LanguageModelFacts | None: _language_model,
}


def _shown(value: object) -> str:
    """Write a value for a message, without a page of it."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004  (a line)
