"""Models in the layout of onnx-asr (https://github.com/istupakov/onnx-asr): whole recordings alone.

    model.onnx      input_values float32 [B, n], input_lengths int64 [B] -> logprobs [B, frames, V]
    vocab.txt       a token and its id a line; <blk> is the blank, and the sign U+2581 a space
    config.json     {"model_type": "wav2vec2-ctc", "subsampling_factor": 320}

That project's `docs/conversion.md` describes it, and others publish models in it. Such a graph
keeps no state: it cannot stream. A folder that `wav2edge export --layout onnx-asr` wrote has a
manifest besides, and is read as a bundle; of any other the three files tell all that is known.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.errors import AlphabetError

from .errors import DamagedBundleError, ManifestError
from .frames import Geometry
from .manifest import Manifest
from .session import Session

Array = NDArray[np.float32]

LAYOUT = "onnx-asr"
MODEL_TYPE = "wav2vec2-ctc"
CONFIG, VOCABULARY = "config.json", "vocab.txt"
BLANK, SPACE = "<blk>", "\u2581"

# Up to WHOLE_S one run sees everything; a longer recording goes in windows that overlap.
WHOLE_S = 30.0
_STEP_S, _AHEAD_S, _LEFT_S = 20.0, 2.0, 10.0

RATE_HZ = 16_000  # onnx-asr runs every model of this type at it
_KERNELS, _STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # of every published model
_SPECIAL = ("<s>", "</s>", "<unk>", "<pad>")
_LARGEST_CONFIG = 1 << 20  # bytes; theirs have a hundred


class WholeModel:
    """A model that sees a recording as a whole, in an inference session.

    Args:
        manifest: Of the bundle.
        session: Its model, loaded.

    Raises:
        ModelFormatError: If the session's model is not one of this layout.
    """

    def __init__(self, manifest: Manifest, session: Session) -> None:
        session.require(inputs=["input_values", "input_lengths"], outputs=["logprobs"])
        self._session, self._n_tokens = session, manifest.vocabulary_size
        self.geometry = manifest.geometry

    def log_probs(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """Run a recording in bounded memory.

        Up to 30 s are one run. Longer ones go in windows of 20 s, which see 10 s before and 2 s
        behind; what the graph itself normalises over its input, it does so for each window.

        Args:
            blocks: float32 `[n]` at the bundle's rate, in order, of any size.

        Yields:
            float32 `[n_frames, vocabulary]`, in order.
        """
        n_left, n_step, n_ahead = (
            self.geometry.frames_for(1000 * s) for s in (_LEFT_S, _STEP_S, _AHEAD_S)
        )
        audio, n_done = np.zeros(0, np.float32), 0  # frames at its start that were yielded before
        limit = int(WHOLE_S * self.geometry.rate_hz)
        for block in blocks:
            audio = np.concatenate([audio, block])
            window = self.geometry.n_samples(n_done + n_step + n_ahead)
            while len(audio) > max(limit, window):
                yield self._run(audio[:window])[n_done : n_done + n_step]
                audio = audio[(n_done + n_step - n_left) * self.geometry.hop :]
                n_done, limit = n_left, 0  # from here on one window at a time
                window = self.geometry.n_samples(n_done + n_step + n_ahead)
        yield self._run(audio)[n_done:]

    def _run(self, audio: Array) -> Array:
        """Run samples `[n]` -> rows `[n_frames, vocabulary]`; too few samples are no frame."""
        n_frames = self.geometry.n_frames(len(audio))
        if not n_frames:
            return np.zeros((0, self._n_tokens), np.float32)
        (found,) = self._session.run(
            ("logprobs",),
            {"input_values": audio[None], "input_lengths": np.array([len(audio)], np.int64)},
        )
        return found[0, :n_frames]


def is_onnx_asr(folder: Path) -> bool:
    """Tell whether a folder holds a model in this layout."""
    path = folder / CONFIG
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            return False
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("model_type") == MODEL_TYPE


def read_facts(folder: Path) -> tuple[Manifest, Alphabet]:
    """Read what the files of a folder of this layout tell; sizes they do not tell are 0.

    Raises:
        DamagedBundleError: `vocab.txt` is not one, or names no blank.
        ManifestError: `config.json` gives a subsampling factor that cannot be.
    """
    factor = json.loads((folder / CONFIG).read_bytes()).get("subsampling_factor", 320)
    if isinstance(factor, bool) or not isinstance(factor, int) or not 0 < factor <= RATE_HZ:
        raise ManifestError(
            f"{folder / CONFIG}: subsampling_factor is {factor!r}, expected samples a frame, 320"
        )
    alphabet = _alphabet(folder / VOCABULARY)
    known = factor == Geometry(_KERNELS, _STRIDES, RATE_HZ).hop
    kernels, strides = (_KERNELS, _STRIDES) if known else ((factor,), (factor,))
    geometry = Geometry(kernels, strides, RATE_HZ)
    manifest = Manifest(
        name=folder.resolve().name,
        model_type=MODEL_TYPE,
        layout=LAYOUT,
        sample_rate_hz=RATE_HZ,
        conv_kernels=kernels,
        conv_strides=strides,
        receptive_field_samples=geometry.receptive_field,
        hop_samples=geometry.hop,
        vocabulary_size=alphabet.size,
        blank_id=alphabet.blank_id,
        word_delimiter_id=alphabet.delimiter_id,
        special_ids=alphabet.special_ids,
        **_UNTOLD,
    )
    return manifest, alphabet


_UNTOLD: Mapping[str, Any] = {
    **dict.fromkeys(("hidden_size", "layers", "heads", "head_size"), 0),
    **dict.fromkeys(("position_left_frames", "position_right_frames", "opset"), 0),
    **{key: {} for key in ("precision", "source", "versions", "parity", "files")},
    **dict.fromkeys(("do_normalize", "group_norm", "forced"), False),
    "normalization_prior": None,
}


def _alphabet(path: Path) -> Alphabet:
    try:
        text = path.read_text(encoding="utf-8")
        pairs = [line.split(" ") for line in text.split("\n") if line]
        named = {int(id_): token for token, id_ in pairs}
    except (OSError, ValueError) as error:
        raise DamagedBundleError(
            f"{path} could not be read ({error}): each line is a token, a space and its id"
        ) from error
    if not named or BLANK not in named.values() or min(named) < 0 or max(named) > 2 * len(named):
        raise DamagedBundleError(
            f"{path} has {len(named)} tokens, expected ids from 0 on and {BLANK} among them, CTC's "
            "blank: convert the model again"
        )
    ids = {token: id_ for id_, token in named.items()}
    special = [id_ for id_, token in named.items() if token in _SPECIAL]
    unused = [id_ for id_ in range(max(named)) if id_ not in named]
    try:
        return Alphabet(
            tuple(named.get(i, f"<unused {i}>").replace(SPACE, " ") for i in range(max(named) + 1)),
            blank_id=ids[BLANK],
            delimiter_id=ids.get(SPACE),
            special_ids=tuple(sorted(special + unused)),
        )
    except AlphabetError as error:
        raise DamagedBundleError(f"{path}: {error}") from error
