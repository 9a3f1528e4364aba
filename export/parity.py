"""Is the exported graph the checkpoint?

Both are run on the same audio, offline and stepped in chunks, and compared.

Offline, the reference is the `transformers` model itself. Stepped, it is the torch step graph
driven by the same runtime over the same chunks, so that what is compared is the exported file and
not the effect of chunking.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.scoring import character_error_rate
from wav2edge.runtime.acoustic import AcousticModel, past_names

from .checkpoint import Checkpoint
from .errors import ParityError
from .step_graph import StepGraph

Array = npt.NDArray[np.float32]

CHUNK_MS, LOOK_AHEAD_MS, LEFT_MS = 640, 320, 4000  # the stepped comparison
_FLOOR = -15.0  # log-probs below this are noise of the last float bits
_TIE = 2e-3
FLOAT32_DIFFERENCE = 1e-3
INT8_AGREEMENT, INT8_CER, INT8_CHARACTERS = 0.98, 0.01, 200


@dataclass(frozen=True)
class Comparison:
    """One way of running the model, over all clips."""

    n_frames: int
    largest_difference: float
    """Between log-probs, where the reference exceeds -15."""
    mean_difference: float
    changed_frames: int
    """Frames whose best token changed although the reference's two best differ by over 2e-3."""
    agreement: float
    """Share of the reference's non-blank frames that agree; 1 if none.

    To agree, a frame's best token must also be the graph's best within one frame.
    """
    character_error_rate: float
    """Between the two greedy transcripts."""
    n_characters: int
    """Of the reference transcripts."""


@dataclass(frozen=True)
class ParityReport:
    """What goes into the manifest."""

    offline: Comparison
    stepped: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, with the conditions of the stepped run."""
        conditions = {"chunk_ms": CHUNK_MS, "look_ahead_ms": LOOK_AHEAD_MS, "left_ms": LEFT_MS}
        return {"offline": asdict(self.offline), "stepped": {**asdict(self.stepped), **conditions}}

    def check(self, precision: str) -> None:
        """Refuse a graph that drifted.

        Raises:
            ParityError: With the figure that is out of bounds.
        """
        for name, found in (("offline", self.offline), ("stepped in chunks", self.stepped)):
            faults = _float32_faults(found) if precision == "float32" else _int8_faults(found)
            for bad, text in faults:
                if bad:
                    raise ParityError(
                        f"the {precision} graph differs from the checkpoint, {name}: {text}; "
                        "nothing was written. Try --precision float32, other --verify recordings, "
                        "or --force to write it all the same"
                    )


def _float32_faults(found: Comparison) -> list[tuple[bool, str]]:
    difference, changed = found.largest_difference, found.changed_frames
    return [
        (
            not difference <= FLOAT32_DIFFERENCE,
            f"log-probs differ by {difference:.2e}, allowed {FLOAT32_DIFFERENCE:g}",
        ),
        (changed > 0, f"{changed} of {found.n_frames} frames have another best token, allowed 0"),
    ]


def _int8_faults(found: Comparison) -> list[tuple[bool, str]]:
    agreement, cer = found.agreement, found.character_error_rate
    return [
        (
            not agreement >= INT8_AGREEMENT,
            f"{agreement:.2%} of the spoken frames agree, expected {INT8_AGREEMENT:.0%}",
        ),
        (
            found.n_characters < INT8_CHARACTERS,
            (
                f"the checkpoint says only {found.n_characters} characters on the verification "
                f"audio, too few to judge by ({INT8_CHARACTERS} needed): give more speech with "
                "--verify"
            ),
        ),
        (
            not cer <= INT8_CER,
            f"character error between the transcripts {cer:.2%}, allowed {INT8_CER:.0%}",
        ),
    ]


class TorchSession:
    """The torch step graph behind the interface of the runtime's session."""

    device = None

    def __init__(self, step: StepGraph) -> None:
        self._step = step

    def has_input(self, name: str) -> bool:  # noqa: ARG002  (the session's interface)
        """Tell that there is no input but those that every graph has."""
        return False

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Run the entry point that has these outputs."""
        inputs = {
            name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in feeds.items()
        }
        with torch.no_grad():
            if "log_probs" in outputs:
                frames, names = inputs["frames"], past_names(len(self._step.context.layers))
                past = [inputs[x].reshape(len(frames), -1, frames.shape[2]) for x in names]
                found = self._step.context(frames, past, inputs["hold"], inputs.get("outside"))
            else:
                samples = inputs.pop("samples")
                kernel = [x.shape[1] for x in inputs.values() if x.ndim > 1]
                given = {
                    k: x.reshape(len(samples), -1, *kernel[: x.ndim - 1]) for k, x in inputs.items()
                }
                found = (self._step.front(samples, **given),)
        return [value.numpy() for value in found]


class Reference:
    """What a checkpoint says on some clips, offline and stepped; computed once.

    Args:
        checkpoint: The `transformers` model, asked offline.
        stepped: The torch step graph in float32, driven by the runtime, asked in chunks.
        clips: float32 `[n]` each, at the checkpoint's rate.
        report: Told what is being done.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        stepped: AcousticModel,
        clips: Sequence[Array],
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        words = checkpoint.vocabulary
        self._alphabet = Alphabet(
            words.tokens, words.blank_id, words.delimiter_id, words.special_ids
        )
        self._clips = clips
        self._offline, self._stepped = [], []
        for i, clip in enumerate(clips):
            report(f"asking the checkpoint, clip {i + 1} of {len(clips)}")
            logits = checkpoint.logits(torch.from_numpy(clip))
            self._offline.append(torch.log_softmax(logits, dim=-1).numpy())
            self._stepped.append(in_chunks(stepped, clip))

    def compare_offline(self, run: Callable[[Array], Array]) -> Comparison:
        """Compare what maps a whole clip `[n]` to log-probs `[frames, vocabulary]`."""
        pairs = [
            (expected, run(clip)) for expected, clip in zip(self._offline, self._clips, strict=True)
        ]
        return _compare(pairs, self._alphabet)

    def compare(
        self, exported: AcousticModel, report: Callable[[str], None] = lambda _: None
    ) -> ParityReport:
        """Compare an exported graph with the checkpoint."""
        offline, stepped = [], []
        for i, clip in enumerate(self._clips):
            report(f"comparing with the checkpoint, clip {i + 1} of {len(self._clips)}")
            offline.append((self._offline[i], whole(exported, clip)))
            stepped.append((self._stepped[i], in_chunks(exported, clip)))
        return ParityReport(_compare(offline, self._alphabet), _compare(stepped, self._alphabet))


def whole(model: AcousticModel, clip: Array) -> Array:
    """Run a clip as one step that sees everything."""
    return model.step(model.start(), clip, hold_frames=0)[0].log_probs


def in_chunks(model: AcousticModel, clip: Array) -> Array:
    """Run a clip in chunks, with look-ahead and limited left context."""
    frames = {
        key: model.geometry.frames_for(ms)
        for key, ms in (("hold", LOOK_AHEAD_MS), ("left", LEFT_MS))
    }
    size = model.geometry.frames_for(CHUNK_MS) * model.geometry.hop
    state, rows = model.start(), []
    for first in range(0, len(clip), size):
        last = first + size >= len(clip)
        done, state = model.step(
            state,
            clip[first : first + size],
            hold_frames=0 if last else frames["hold"],
            left_frames=frames["left"],
        )
        rows.append(done.log_probs)
    return np.concatenate(rows)


def _compare(pairs: Sequence[tuple[Array, Array]], alphabet: Alphabet) -> Comparison:
    for expected, found in pairs:
        if expected.shape != found.shape:
            raise ParityError(
                f"the graph gives log-probs of shape {found.shape}, the checkpoint {expected.shape}"
            )
    differences = [np.abs(found - expected)[expected > _FLOOR] for expected, found in pairs]
    flat = np.concatenate([np.zeros(1), *differences])
    agreed = [_agreement(expected, found, alphabet.blank_id) for expected, found in pairs]
    n_spoken = sum(n for _, n in agreed)
    texts = [
        tuple(alphabet.text(alphabet.masked(x).argmax(axis=1)) for x in pair) for pair in pairs
    ]
    errors = character_error_rate((a, b) for a, b in texts)
    return Comparison(
        n_frames=sum(len(expected) for expected, _ in pairs),
        largest_difference=float(flat.max()),
        mean_difference=float(flat[1:].mean()) if len(flat) > 1 else 0.0,
        changed_frames=sum(_changed(expected, found) for expected, found in pairs),
        agreement=sum(n for n, _ in agreed) / n_spoken if n_spoken else 1.0,
        character_error_rate=errors.rate,
        n_characters=errors.n_reference,
    )


def _changed(expected: Array, found: Array) -> int:
    best = np.sort(expected, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > _TIE
    return int((clear & (expected.argmax(axis=1) != found.argmax(axis=1))).sum())


def _agreement(expected: Array, found: Array, blank_id: int) -> tuple[int, int]:
    """Count the reference's non-blank frames that agree within one frame, and all of them."""
    want, got = expected.argmax(axis=1), np.pad(found.argmax(axis=1), 1, constant_values=-1)
    near = (got[:-2] == want) | (got[1:-1] == want) | (got[2:] == want)
    spoken = want != blank_id
    return int((near & spoken).sum()), int(spoken.sum())
