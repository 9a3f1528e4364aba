"""How well a model hears: word and character error rates of each set, with their intervals.

A set is a folder of recordings. A model is a bundle (what ships) or a checkpoint folder (what is
being trained); each is decoded greedily, and with a language model where there is one.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.greedy import GreedyDecoder
from wav2edge.lm.scoring import ErrorRate, Score, score

from .augment import standardise
from .errors import StartNotFoundError, TrainingDataError
from .manifest import Recorded, Row
from .recordings import read_manifest, read_recording
from .sentences import normalize_text
from .voices import RATE_HZ

if TYPE_CHECKING:
    from wav2edge.lm.decoder import Decoder

Samples = npt.NDArray[np.float32]
Spoken = tuple[Samples, str]
DIGIT_STRINGS, DIGITS_EACH, SEED = 30, 5, 0


class Model(Protocol):
    """Something that hears."""

    def hear(self, samples: Samples) -> dict[str, str]:
        """Return the text of float32 `[n]` at 16 kHz, for each way of decoding."""
        ...


class BundleModel:
    """A bundle, decoded greedily, and with its language model or another.

    Args:
        folder: Of the bundle.
        lm: A language model's file; None: the bundle's own, if it has one.
    """

    def __init__(self, folder: Path, lm: Path | None = None) -> None:
        from wav2edge.runtime.recognizer import load

        self._recognizer = load(folder)
        self._lm = lm
        self._has_lm = lm is not None or self._recognizer.bundle.manifest.language_model is not None

    def hear(self, samples: Samples) -> dict[str, str]:
        """Return the text for each way of decoding."""
        texts = {"greedy": self._recognizer.transcribe(samples, RATE_HZ, decoder="greedy").text}
        if self._has_lm:
            texts["lm"] = self._recognizer.transcribe(samples, RATE_HZ, lm=self._lm).text
        return texts


class CheckpointModel:
    """A `...ForCTC` of `transformers`, heard one whole recording at a time.

    Args:
        model: In inference mode.
        alphabet: Its tokens.
        do_normalize: Recordings are brought to mean 0 and variance 1.
        lm: A language model's file.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401  (kinds differ)
        alphabet: Alphabet,
        *,
        do_normalize: bool,
        lm: Path | None = None,
    ) -> None:
        self._model, self._alphabet, self._do_normalize = model, alphabet, do_normalize
        self._decoders: dict[str, Decoder[Any]] = {"greedy": GreedyDecoder(alphabet)}
        if lm is not None:
            from wav2edge.lm.beam import BeamDecoder
            from wav2edge.lm.ngram import load_language_model

            hop_s = float(np.prod(model.config.conv_stride)) / RATE_HZ
            language = load_language_model(lm, alphabet)
            self._decoders["lm"] = BeamDecoder(alphabet, language, hop_s=hop_s)

    @classmethod
    def open(cls, folder: Path, lm: Path | None = None) -> "CheckpointModel":
        """Open a checkpoint folder.

        Raises:
            StartError: It is no CTC checkpoint.
            StartNotFoundError: A file of it is missing.
        """
        from transformers.utils.logging import disable_progress_bar

        from . import finetuning
        from .spelling import read_spelling

        disable_progress_bar()
        spelling = read_spelling(str(folder))
        objective = finetuning.from_checkpoint(
            str(folder), spelling, new_head=False, needs_head=True
        )
        return cls(
            objective.model.eval(), spelling.alphabet, do_normalize=objective.do_normalize, lm=lm
        )

    def log_probs(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Return natural log-probabilities, `[frames, tokens]`."""
        import torch

        heard = standardise(samples) if self._do_normalize else samples
        with torch.no_grad():
            given = torch.from_numpy(np.ascontiguousarray(heard))[None].to(self._model.device)
            logits = self._model(given).logits[0].float()
        found: npt.NDArray[np.float32] = torch.log_softmax(logits, dim=-1).cpu().numpy()
        return found

    def hear(self, samples: Samples) -> dict[str, str]:
        """Return the text for each way of decoding; nothing of what is shorter than a frame."""
        from .finetuning import frames_of

        if frames_of(self._model)(len(samples)) < 1:
            return dict.fromkeys(self._decoders, "")
        log_probs = self.log_probs(samples)
        texts = {}
        for name, decoder in self._decoders.items():
            words, state = decoder.advance(decoder.start(), log_probs)
            spoken = (*words, *decoder.finish(state))
            texts[name] = self._alphabet.separator.join(word.text for word in spoken)
        return texts


def open_model(model: Path, lm: Path | None = None) -> Model:
    """Open a bundle or a checkpoint folder.

    Raises:
        StartNotFoundError: It is neither.
        Wav2EdgeError: It cannot be used.
    """
    if (model / "manifest.json").is_file():
        return BundleModel(model, lm)
    if not (model / "config.json").is_file():
        raise StartNotFoundError(
            f"{model} is neither a bundle (manifest.json) nor a checkpoint (config.json)"
        )
    return CheckpointModel.open(model, lm)


def evaluate(
    model: Model,
    sets: Mapping[str, Iterable[Spoken]],
    report: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Score]]:
    """Score a model on each set, and on all of them where there are several.

    Args:
        model: What hears.
        sets: Recordings and their transcripts.
        report: Told what is being done.

    Returns:
        By set, then by way of decoding.
    """
    found: dict[str, dict[str, Score]] = {}
    every: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, rows in sets.items():
        pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for i, (samples, text) in enumerate(rows):
            report(f"{name}: {i}")
            for decoder, heard in model.hear(samples).items():
                pairs[decoder].append((text, heard))
        for decoder, some in pairs.items():
            every[decoder] += some
        found[name] = {decoder: score(some) for decoder, some in pairs.items()}
    if len(found) > 1:
        found["all"] = {decoder: score(some) for decoder, some in every.items()}
    return found


def heard_score(model: Model, recorded: Sequence[Recorded]) -> Score:
    """Score a model, decoded greedily, on recordings that can be trained on."""
    return score((one.text, model.hear(read_recording(one.path))["greedy"]) for one in recorded)


def as_json(found: Mapping[str, Mapping[str, Score]]) -> dict[str, Any]:
    """Return scores as JSON can hold them; rates and their intervals are rounded."""

    def row(one: Score) -> dict[str, Any]:
        return {
            "utterances": one.n_utterances,
            "words": one.words.n_reference,
            "wer": round(one.words.rate, 4),
            "wer_95": [round(limit, 4) for limit in one.wer_interval],
            "cer": round(one.characters.rate, 4),
            "cer_95": [round(limit, 4) for limit in one.cer_interval],
        }

    return {name: {how: row(one) for how, one in ways.items()} for name, ways in found.items()}


def table(found: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """Write scores as a table in Markdown, one row for each set and way of decoding."""
    lines = [
        "| set | decoder | utterances | words | WER | 95 % | CER | 95 % |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, ways in found.items():
        for how, one in ways.items():
            cells = (
                name,
                how,
                str(one.n_utterances),
                str(one.words.n_reference),
                *_cells(one.words, one.wer_interval),
                *_cells(one.characters, one.cer_interval),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cells(rate: ErrorRate, limits: tuple[float, float]) -> tuple[str, str]:
    low, high = limits
    return f"{rate.rate:.1%}", f"{low:.1%} to {high:.1%}"


def sets_of(rows: Iterable[Row], joined: Sequence[str] = ()) -> dict[str, Iterable[Spoken]]:
    """Part recordings into sets by their folders; those without a transcript are left out.

    Args:
        rows: Of tables.
        joined: Sets of single words, each of which is joined into `digit_strings`.

    Raises:
        TrainingDataError: There is no transcript, or no such set.
        AudioError: Met while the sets are gone through: a recording cannot be read.
    """
    by_set: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.text:
            by_set[row.set_name].append(row)
    unknown = sorted(set(joined) - set(by_set))
    if unknown or not by_set:
        raise TrainingDataError(
            f"there is no set {unknown[0]!r}: there are {', '.join(by_set)}"
            if unknown
            else "no row has a transcript: expected a column text, norm or transcript"
        )
    sets: dict[str, Iterable[Spoken]] = {}
    for name in joined:
        sets[f"{name} strings"] = digit_strings(list(_read(by_set.pop(name))))
    sets.update({name: _read(some) for name, some in by_set.items()})
    return sets


def _read(rows: Sequence[Row]) -> Iterator[Spoken]:
    return ((read_recording(row.path), row.text) for row in rows)


def development_sets(data: Path) -> dict[str, list[Spoken]]:
    """Return the recordings and transcripts of each development set, digit strings first."""
    sets: dict[str, list[Spoken]] = defaultdict(list)
    digits: list[Spoken] = []
    for row in read_manifest(data, "dev"):
        text = normalize_text(row["norm"])
        if not text:
            continue
        spoken = (read_recording(data / row["path"]), text)
        (digits if row["set"] == "fsdd" else sets[row["set"]]).append(spoken)
    return {"fsdd digit strings": digit_strings(digits), **sets}


def digit_strings(digits: list[Spoken]) -> list[Spoken]:
    """Join single digits into 30 strings of 5 with gaps of 150 to 400 ms.

    The same seed gives the same strings.
    """
    rng = random.Random(SEED)
    order = list(digits)
    rng.shuffle(order)
    strings = []
    for first in range(0, min(len(order), DIGIT_STRINGS * DIGITS_EACH), DIGITS_EACH):
        spoken = order[first : first + DIGITS_EACH]
        pieces: list[Samples] = []
        for samples, _ in spoken:
            pieces += [np.zeros(int(rng.uniform(0.15, 0.4) * RATE_HZ), np.float32), samples]
        pieces.append(np.zeros(int(0.3 * RATE_HZ), np.float32))
        strings.append((np.concatenate(pieces), " ".join(text for _, text in spoken)))
    return strings
