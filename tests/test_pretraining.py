"""Self-supervised pre-training: what is hidden, what is asked, what comes out."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is absent: training needs it")
pytest.importorskip("transformers", reason="transformers is absent: training needs it")

import torch
from transformers import Wav2Vec2ForCTC

from wav2edge.training.configs import CONFIGS, named_config
from wav2edge.training.errors import StartError, StartNotFoundError
from wav2edge.training.objective import Batch, Progress
from wav2edge.training.pretraining import (
    Hiding,
    Pretraining,
    accuracy,
    contrastive_logits,
    masked_loss,
    objective_of,
)

START = Progress(0, 100)
NONE = torch.zeros(0, dtype=torch.int64)


def tiny(seed: int = 0) -> Pretraining:
    """The tiny model, untrained."""
    return objective_of(Namespace(config="tiny", start=None, seed=seed))


def batch_of(lengths: list[int], seed: int = 0) -> Batch:
    """Tones that rise or fall by two octaves a second, padded."""
    rng = np.random.default_rng(seed)
    samples = torch.zeros(len(lengths), max(lengths))
    for row, n in zip(samples, lengths, strict=True):
        octaves = rng.uniform(0, 1) + np.arange(n) / 8000 * rng.choice([-1, 1])
        angle = 2 * np.pi * np.cumsum(250 * 2 ** (2 * (octaves % 2))) / 16_000
        row[:n] = torch.from_numpy(0.1 * np.sin(angle) + 0.01 * rng.standard_normal(n))
    return Batch(samples, torch.tensor(lengths), NONE, torch.zeros(len(lengths), dtype=torch.int64))


@pytest.mark.parametrize("config", CONFIGS)
def test_only_audio_is_hidden(config: str) -> None:
    """Never padding; about half of each utterance; nothing of one too short for a choice."""
    made = Pretraining.__new__(Pretraining)  # the drawing needs a configuration, no weights
    made.model = type("Model", (), {"config": named_config(config)})()
    made.hiding, made.rate_hz = Hiding(), 16_000
    np.random.seed(0)  # noqa: NPY002  (transformers draws its masks from it)
    lengths = torch.tensor([48_000, 32_000, 5000, 1200, 300])
    shares = []
    for _ in range(12):
        hidden = made.hidden_frames(lengths)
        for row, n in zip(hidden, lengths.tolist(), strict=True):
            for kernel, stride in zip(
                made.model.config.conv_kernel, made.model.config.conv_stride, strict=True
            ):
                n = max(0, (n - kernel) // stride + 1)  # noqa: PLW2901
            assert not row[n:].any()
            assert int(row.sum()) != 1
        assert not hidden[-1].any()
        shares.append(float(hidden[0].float().mean()))
        found, n_hidden = made.negatives(hidden), hidden.sum(dim=1)
        assert len(found) == int(n_hidden.sum())
        for places, own in zip(found, hidden.flatten().nonzero()[:, 0], strict=True):
            assert hidden.flatten()[places].all()
            assert (places // hidden.shape[1] == own // hidden.shape[1]).all()
            assert (places != own).all()
    assert 0.4 < np.mean(shares) < 0.6


@pytest.mark.parametrize("train", [True, False])
def test_the_loss_is_that_of_transformers(train: bool) -> None:  # noqa: FBT001
    """On the same hidden frames and negatives; in training with the same dropout and Gumbel noise.

    In training all frames are hidden: `transformers` draws noise for the others too.
    """
    lengths = [24_000, 24_000] if train else [24_000, 16_000, 9000]
    made, batch = tiny(), batch_of(lengths)
    made.model.train(train)
    np.random.seed(0)  # noqa: NPY002
    hidden = made.hidden_frames(batch.n_samples) | torch.tensor(train)
    negatives = made.negatives(hidden)
    torch.manual_seed(0)
    loss = masked_loss(made.model, batch, hidden, negatives)
    everywhere = torch.zeros(*hidden.shape, negatives.shape[1], dtype=torch.int64)
    everywhere[hidden] = negatives
    torch.manual_seed(0)
    expected = made.model(
        batch.samples,
        attention_mask=(torch.arange(24_000) < batch.n_samples[:, None]).long(),
        mask_time_indices=hidden,
        sampled_negative_indices=everywhere,
    )
    assert loss.weight == int(hidden.sum())
    assert loss.value.item() * loss.weight == pytest.approx(expected.loss.item(), rel=1e-4)
    assert loss.figures["codebook_perplexity"] == pytest.approx(
        expected.codevector_perplexity.item(), rel=1e-5
    )


def test_the_task_is_learned() -> None:
    """On gliding tones, hidden frames are told from others of the utterance more often by far."""
    made, right = tiny(), []
    made.model.train()
    made.model.config.layerdrop = 0.0
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=4e-3)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    for step in range(60):
        made.before_step(Progress(step, 60))
        loss = made.loss(batch_of([9600] * 8, seed=step), Progress(step, 60), torch.Generator())
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
        right.append(loss.figures["contrastive_accuracy"])
    assert np.mean(right[:5]) < 0.2
    assert np.mean(right[-10:]) > 2 * np.mean(right[:5])


def test_a_collapsed_codebook_is_no_success() -> None:
    """Where all negatives are the truth itself, no frame counts as right."""
    said, word = torch.randn(4, 8), torch.randn(8)
    logits = contrastive_logits(said, word.expand(4, 8), word.expand(4, 5, 8), 0.1)
    assert accuracy(logits) == 0.0
    others = torch.randn(4, 5, 8)
    assert accuracy(contrastive_logits(said, said, others, 0.1)) == 1.0
    assert accuracy(contrastive_logits(said, -said, others, 0.1)) == 0.0


def test_the_choice_hardens() -> None:
    """From 2 to 0.5 along the run, by the same factor every step."""
    made, found = tiny(), []
    for step in (0, 50, 100):
        made.before_step(Progress(step, 100))
        found.append(made.model.quantizer.temperature)
    assert found == pytest.approx([2.0, 1.0, 0.5])


def test_a_batch_with_nothing_to_hide_moves_nothing() -> None:
    """It weighs nothing, and its gradient is zero."""
    made = tiny()
    loss = made.loss(batch_of([1200, 1100]), START, torch.Generator())
    loss.value.backward()
    assert (loss.weight, loss.value.item()) == (0.0, 0.0)
    assert all((p.grad is None or not p.grad.any()) for p in made.model.parameters())


def test_fine_tuning_starts_from_what_it_writes(tmp_path: Path) -> None:
    """The encoder's weights, what fine-tuning masks, and the feature extractor; it can go on too.

    A CTC checkpoint, without quantizer, is refused by name.
    """
    made = tiny()
    made.save(made.model, tmp_path / "one")
    model = Wav2Vec2ForCTC.from_pretrained(tmp_path / "one")
    ours = made.model.wav2vec2.state_dict()
    for name, value in model.wav2vec2.state_dict().items():
        torch.testing.assert_close(value, ours[name], atol=0, rtol=0)
    assert model.config.mask_feature_prob == named_config("tiny").mask_feature_prob > 0
    on = objective_of(Namespace(config="tiny", start=str(tmp_path / "one"), seed=1))
    assert on.do_normalize == made.do_normalize
    assert torch.equal(on.model.quantizer.codevectors, made.model.quantizer.codevectors)
    model.save_pretrained(tmp_path / "two")
    (tmp_path / "two" / "preprocessor_config.json").write_bytes(
        (tmp_path / "one" / "preprocessor_config.json").read_bytes()
    )
    with pytest.raises(StartError, match="quantizer"):
        objective_of(Namespace(config="tiny", start=str(tmp_path / "two"), seed=1))
    with pytest.raises(StartNotFoundError, match="nowhere"):
        objective_of(Namespace(config="tiny", start=str(tmp_path / "nowhere"), seed=1))
