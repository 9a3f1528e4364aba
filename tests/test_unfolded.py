"""The forward pass of training: it sees, frame by frame, what a device sees."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is absent: training needs it")
pytest.importorskip("transformers", reason="transformers is absent: training needs it")
pytest.importorskip("onnx", reason="onnx is absent: the step graph needs the extra `export`")

import torch
from random_checkpoint import write_checkpoint
from transformers import Wav2Vec2ForCTC

from wav2edge.export.checkpoint import load_checkpoint
from wav2edge.export.convert import manifest_facts
from wav2edge.export.parity import TorchSession
from wav2edge.export.step_graph import StepGraph
from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.training.blocks import Chunking
from wav2edge.training.unfolded import normalization_of, streamed_logits

if TYPE_CHECKING:
    from wav2edge.runtime.session import Session

CLOSE = 1e-4
# Group norm; layer norm; with adapters; both normalisations at once; an odd stack of convolutions.
KINDS = [("base", False), ("base", True), ("large", False), ("large", True), ("mms", True)]
KINDS += [("odd", False)]


@dataclass(frozen=True)
class Pair:
    """One random checkpoint, as it is trained and as it is run."""

    model: Wav2Vec2ForCTC
    device: AcousticModel
    do_normalize: bool

    def trained(
        self, clips: list[np.ndarray], chunking: Chunking, *, prior: bool = False
    ) -> list[np.ndarray]:
        """Log-probs of a padded batch, each without its padding."""
        lengths = torch.tensor([len(clip) for clip in clips])
        samples = torch.zeros(len(clips), int(lengths.max()))
        for row, clip in zip(samples, clips, strict=True):
            row[: len(clip)] = torch.from_numpy(clip)
        logits, n_frames = streamed_logits(
            self.model,
            samples,
            lengths,
            chunking,
            normalization_of(self.model, do_normalize=self.do_normalize),
            self.device.bundle.manifest.normalization_prior if prior else None,
        )
        rows = torch.log_softmax(logits, dim=-1).detach().numpy()
        return [row[:n] for row, n in zip(rows, n_frames.tolist(), strict=True)]

    def run(self, clip: np.ndarray, chunking: Chunking, *, prior: bool = False) -> np.ndarray:
        """Final log-probs, stepped as a live stream steps: whole chunks, then what is left."""
        state, rows, geometry = self.device.start(prior=prior), [], self.device.geometry
        need, rest = geometry.n_samples(chunking.chunk_frames), clip
        while len(state.tail) + len(rest) >= need:
            n = need - len(state.tail)
            done, state = self.device.step(
                state,
                rest[:n],
                hold_frames=chunking.look_ahead_frames,
                left_frames=chunking.left_frames,
            )
            rest = rest[n:]
            rows.append(done.log_probs)
        done, _ = self.device.step(state, rest, hold_frames=0, left_frames=chunking.left_frames)
        return np.concatenate([*rows, done.log_probs])


class Pairs(Protocol):
    """Give the pair of a kind."""

    def __call__(self, kind: str, *, do_normalize: bool = False) -> Pair:
        """Return it."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """Random checkpoints, made once each."""
    made: dict[tuple[str, bool], Pair] = {}

    def make(kind: str, *, do_normalize: bool = False) -> Pair:
        if (kind, do_normalize) not in made:
            made[kind, do_normalize] = pair(
                tmp_path_factory.mktemp(kind), kind, do_normalize=do_normalize
            )
        return made[kind, do_normalize]

    return make


def pair(folder: Path, kind: str, *, do_normalize: bool) -> Pair:
    """Write a random checkpoint and open it both ways."""
    write_checkpoint(folder / "checkpoint", kind, do_normalize=do_normalize)
    checkpoint = load_checkpoint(str(folder / "checkpoint"))
    facts = {**manifest_facts(checkpoint, [clip_of(8000)]), "precision": {}, "parity": {}}
    tokens = checkpoint.vocabulary.tokens
    bundle = Bundle.write(folder / "bundle", facts, model=b"none", tokens=tokens)
    # Which folds weight norms: what is trained is another model of the same file.
    device = AcousticModel(bundle, cast("Session", TorchSession(StepGraph(checkpoint.model))))
    model = Wav2Vec2ForCTC.from_pretrained(folder / "checkpoint").eval()
    return Pair(model, device, do_normalize)


def clip_of(n_samples: int, seed: int = 0) -> np.ndarray:
    """Noise whose loudness changes, not centred on zero."""
    rng = np.random.default_rng(seed)
    loudness = 0.01 + 0.2 * np.abs(np.sin(np.arange(n_samples) / 1500))
    return (loudness * rng.standard_normal(n_samples) + 0.02).astype(np.float32)


@pytest.mark.parametrize(("kind", "do_normalize"), KINDS)
def test_training_sees_what_the_device_runs(pairs: Pairs, kind: str, do_normalize: bool) -> None:  # noqa: FBT001
    """Any chunk, look-ahead and left context, any lengths in one padded batch.

    The final frames' log-probs are those of the step graph driven in chunks.
    """
    both = pairs(kind, do_normalize=do_normalize)
    one, hop = both.device.geometry.receptive_field, both.device.geometry.hop

    @settings(max_examples=8, deadline=None)
    @given(
        chunk=st.integers(1, 12),
        look_ahead=st.integers(0, 20),
        left=st.none() | st.integers(0, 15),
        lengths=st.lists(st.integers(one, one + 24 * hop), min_size=1, max_size=3),
        prior=st.booleans(),
    )
    def check(
        chunk: int, look_ahead: int, left: int | None, lengths: list[int], *, prior: bool
    ) -> None:
        chunking = Chunking(chunk, look_ahead, left)
        clips = [clip_of(n, seed) for seed, n in enumerate(lengths)]
        found = both.trained(clips, chunking, prior=prior)
        for clip, rows in zip(clips, found, strict=True):
            np.testing.assert_allclose(rows, both.run(clip, chunking, prior=prior), atol=CLOSE)

    check()


@pytest.mark.parametrize(("kind", "do_normalize"), [("base", False), ("large", True)])
def test_one_chunk_that_covers_everything_is_transformers(
    pairs: Pairs,
    kind: str,
    do_normalize: bool,  # noqa: FBT001
) -> None:
    """Padded or not, each utterance is what `transformers` says of it alone."""
    both, clips = pairs(kind, do_normalize=do_normalize), [clip_of(9000), clip_of(5333, 1)]
    for clip, rows in zip(clips, both.trained(clips, Chunking.whole()), strict=True):
        heard = torch.from_numpy(clip)
        if do_normalize:
            heard = (heard - heard.mean()) / torch.sqrt(heard.var(unbiased=False) + 1e-7)
        with torch.no_grad():
            expected = torch.log_softmax(both.model(heard[None]).logits[0], dim=-1).numpy()
        np.testing.assert_allclose(rows, expected, atol=CLOSE)


def test_chunks_matter(pairs: Pairs) -> None:
    """The model is one for which short chunks say something else: the equality above is no luck."""
    both, clip = pairs("large"), clip_of(9000)
    whole, cut = (both.trained([clip], x)[0] for x in (Chunking.whole(), Chunking(3, 2, 4)))
    assert np.abs(whole - cut).max() > 100 * CLOSE


@pytest.mark.parametrize(("kind", "do_normalize"), [("base", True), ("large", False)])
def test_every_weight_learns(pairs: Pairs, kind: str, do_normalize: bool) -> None:  # noqa: FBT001
    """A gradient reaches each parameter, and for a few it is what finite differences say."""
    model = copy.deepcopy(pairs(kind, do_normalize=do_normalize).model).double()
    normalization = normalization_of(model, do_normalize=do_normalize)
    samples = torch.from_numpy(clip_of(7000)).double()[None]

    def loss() -> torch.Tensor:
        logits, _ = streamed_logits(
            model, samples, torch.tensor([7000]), Chunking(4, 3, 6), normalization
        )
        return torch.log_softmax(logits, dim=-1)[..., 5].mean()

    loss().backward()
    for name, value in model.named_parameters():
        assert name == "wav2vec2.masked_spec_embed" or value.grad is not None, name
    kernels = cast("Any", model.wav2vec2.feature_extractor.conv_layers[0]).conv.weight
    with torch.no_grad():
        for at in ((0, 0, 3), (7, 0, 5)):
            before, differences = kernels[at].item(), []
            for step in (1e-4, -1e-4):
                kernels[at] = before + step
                differences.append(loss().item())
            kernels[at] = before
            slope = (differences[0] - differences[1]) / 2e-4
            assert kernels.grad is not None
            assert kernels.grad[at].item() == pytest.approx(slope, rel=1e-2, abs=1e-6)
