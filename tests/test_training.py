"""Training: texts that can be spelled, a network that sees what it may, a run that goes on."""

import csv
import gzip
import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="training needs torch")

import torch
from torch.utils.data import DataLoader, IterableDataset

from wav2edge.runtime.stream import LATENCIES
from wav2edge.training import corpus, ctc
from wav2edge.training.batches import Batches
from wav2edge.training.blocks import Chunking
from wav2edge.training.evaluate import digit_strings
from wav2edge.training.interruption import leave_signals
from wav2edge.training.network import (
    TOKEN_IDS,
    TOKENS,
    ctc_log_probs,
    gabor_filters,
    log_probs_by_depth,
    small_model,
)
from wav2edge.training.numbers import DIGITS
from wav2edge.training.objective import Batch, Progress
from wav2edge.training.phones import Phones
from wav2edge.training.schedule import Budget
from wav2edge.training.unfolded import geometry_of, normalization_of, streamed_logits
from wav2edge.training.voices import RATE_HZ

flite_there = pytest.mark.skipif(
    not shutil.which("flite"), reason="flite is missing: apt-get install flite"
)
FEW_H = {"flite": 0.01}
OLD_STATE = ("model", "average", "optimizer", "step", "audio_s", "trained_s")


@pytest.mark.parametrize(("share", "whole"), [(0.1, 0.5), (0.9, 0.25)])
def test_most_batches_come_in_chunks_at_last(share: float, whole: float) -> None:
    """Half of them see everything, a quarter where eight bits are learned."""
    draw = torch.Generator().manual_seed(0)
    drawn = [ctc._draw_chunking(draw, share) for _ in range(2000)]
    assert drawn.count(None) / 2000 == pytest.approx(whole, abs=0.04)
    frames = geometry_of(small_model(0)).frames_for
    for one in LATENCIES.values():
        preset = (frames(one.chunk_ms), frames(one.lookahead_ms), frames(one.left_ms))
        assert Chunking(*preset) in ctc.STREAMS
    assert {*drawn} == {None, *(ctc.STREAMS if share > 0.5 else ctc.CHUNKS)}


def test_gabor_filters_are_tuned_to_their_bands() -> None:
    """A sine at a band's centre excites that band most, in one of its phases."""
    filters = gabor_filters(32, 320, RATE_HZ)
    gains = filters.norm(dim=1)[::4]
    for band in (5, 15, 28):
        spectrum = torch.fft.rfft(filters[4 * band], 16_000).abs()
        center_hz = int(spectrum.argmax())
        sine = torch.sin(2 * torch.pi * center_hz * torch.arange(320) / RATE_HZ)
        heard = (filters @ sine).abs().reshape(32, 4).amax(dim=1) / gains
        assert abs(int(heard.argmax()) - band) <= 1


def test_tokens_are_those_of_the_published_model() -> None:
    """32 tokens, blank 0, word delimiter 4, as in facebook/wav2vec2-base-960h."""
    assert (len(TOKENS), TOKENS[0], TOKENS[4], TOKEN_IDS[" "], TOKEN_IDS["E"]) == (
        32,
        "<pad>",
        "|",
        4,
        5,
    )


def test_without_chunks_it_is_the_model_of_transformers() -> None:
    """Whole and padded: the same log-probs as `transformers` gives each utterance alone."""
    model = small_model(0).eval()
    lengths = [12_000, 8000]
    samples = torch.zeros(2, lengths[0])
    for row, n in zip(samples, lengths, strict=True):
        row[:n] = 0.1 * torch.randn(n)
    with torch.no_grad():
        log_probs, n_frames = ctc_log_probs(model, samples, torch.tensor(lengths))
        for i, n in enumerate(lengths):
            alone = torch.log_softmax(model(samples[i : i + 1, :n]).logits[0], dim=-1)
            torch.testing.assert_close(log_probs[i, : int(n_frames[i])], alone, atol=2e-4, rtol=0)


def test_rows_learn_what_the_modules_of_transformers_learn() -> None:
    """The loss and every gradient are those of `transformers`, in float32."""
    model = small_model(0).eval()  # no dropout, no masks
    samples = 0.1 * torch.randn(2, 6000)
    gradients = []
    for run in (
        lambda: ctc_log_probs(model, samples, torch.tensor([6000, 6000]))[0],
        lambda: torch.log_softmax(model(samples).logits, dim=-1),
    ):
        model.zero_grad()
        found: torch.Tensor = run()  # type: ignore[no-untyped-call]
        found[..., 5].sum().backward()
        gradients.append({k: v.grad for k, v in model.named_parameters() if v.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, one in gradients[0].items():
        scale = float(gradients[1][name].abs().max())
        torch.testing.assert_close(one, gradients[1][name], atol=2e-4 * scale + 1e-6, rtol=1e-3)


def test_a_layer_in_the_middle_is_asked_through_the_same_head() -> None:
    """After the last layer it says what the end says."""
    model = small_model(0).eval()
    samples = 0.1 * torch.randn(1, 6000)
    with torch.no_grad():
        found, _ = log_probs_by_depth(model, samples, torch.tensor([6000]), after=8)
        early, _ = log_probs_by_depth(model, samples, torch.tensor([6000]), after=5)
    assert torch.equal(found[0], found[1])
    assert torch.equal(early[1], found[1])
    assert not torch.allclose(early[0], early[1])


def test_phones_are_those_of_the_dictionary() -> None:
    """Words become sounds; an unknown word makes the utterance unknown, silence is known."""
    phones = Phones()
    assert len(phones.names) == 1 + 39
    spoken = phones.of(["TURN", "A", "LIGHT"])
    assert spoken is not None
    assert [phones.names[i] for i in spoken] == ["T", "ER", "N", "EY", "L", "AY", "T"]
    assert phones.of(["LIGHT", "XQZZT"]) is None
    assert phones.of([]) == []


def test_the_phones_loss_counts_known_utterances_alone() -> None:
    """It is the CTC loss of the known utterance, whatever stands beside it."""
    objective = ctc.Chunked(small_model(0))
    log_probs = torch.log_softmax(torch.randn(2, 30, 40), dim=-1)
    n_frames = torch.tensor([30, 30])
    known = [TOKEN_IDS[c] for c in "TWO"]
    for other in ("XQZZT", "QXZ"):
        tokens = torch.tensor([*known, *(TOKEN_IDS[c] for c in other)])
        n_tokens = torch.tensor([len(known), len(other)])
        batch = Batch(torch.zeros(2, 1), torch.tensor([1, 1]), tokens, n_tokens)
        found = objective._phone_loss(log_probs, n_frames, batch)
        wanted = torch.nn.functional.ctc_loss(
            log_probs[:1].transpose(0, 1),
            torch.tensor([list(Phones().of(["TWO"]) or ())]),
            torch.tensor([30]),
            torch.tensor([2]),
            reduction="sum",
        )
        assert float(found.value) == pytest.approx(float(wanted) / 2, rel=1e-5)
    assert float(objective._phone_loss(log_probs[1:], n_frames[1:], _only(other)).value) == 0


def _only(text: str) -> Batch:
    tokens = torch.tensor([TOKEN_IDS[c] for c in text])
    return Batch(torch.zeros(1, 1), torch.tensor([1]), tokens, torch.tensor([len(text)]))


def test_eight_bits_while_training_are_near_and_let_gradients_through() -> None:
    """Rounded products differ, by little, and every weight still gets a gradient."""
    model = small_model(0).eval()
    samples = 0.1 * torch.randn(2, 6000)
    lengths = torch.tensor([6000, 6000])
    with torch.no_grad():
        whole = log_probs_by_depth(model, samples, lengths)[0][-1]
    rounded = log_probs_by_depth(model, samples, lengths, int8=True)[0][-1]
    assert 1e-5 < float((rounded.detach() - whole).abs().max()) < 0.1
    rounded[..., 5].sum().backward()
    assert all(bool(one.grad.abs().any()) for one in model.parameters() if one.grad is not None)
    assert model.wav2vec2.encoder.layers[0].attention.q_proj.weight.grad is not None


def test_the_end_of_a_run_is_heard_in_eight_bits() -> None:
    """From four fifths of the run on, and not before."""
    objective = ctc.Chunked(small_model(0).eval())
    samples = 0.1 * torch.randn(1, 16_000)
    tokens = torch.tensor([TOKEN_IDS[c] for c in "TWO"])
    batch = Batch(samples, torch.tensor([16_000]), tokens, torch.tensor([3]))
    with torch.no_grad():
        losses = [
            float(objective.loss(batch, Progress(i, 100), torch.Generator().manual_seed(1)).value)
            for i in (0, 79, 80, 100)
        ]
    assert losses[0] == losses[1] != losses[2] == losses[3]


class _Eight(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(8))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are told to end there otherwise")
def test_reading_processes_leave_signals_to_their_parent() -> None:
    """What `torchrun` or Ctrl-C sends to the whole group does not take batches away."""
    loader = DataLoader(_Eight(), batch_size=None, num_workers=1, worker_init_fn=leave_signals)
    numbers: Any = iter(loader)
    found = [int(next(numbers))]
    for process in numbers._workers:
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)
    assert [*found, *map(int, numbers)] == list(range(8))


def test_a_stream_of_the_small_network_is_that_of_any_checkpoint() -> None:
    """The rows' quick way gives what the modules of `transformers` give, look-ahead and all."""
    model = small_model(0).eval()
    samples, lengths = 0.1 * torch.randn(2, 40_000), torch.tensor([40_000, 23_000])
    samples[1, 23_000:] = 0
    normalization = normalization_of(model, do_normalize=False)
    with torch.no_grad():
        for chunking in ctc.STREAMS[3:]:
            found, n_frames = ctc_log_probs(model, samples, lengths, chunking)
            logits, wanted = streamed_logits(model, samples, lengths, chunking, normalization)
            assert torch.equal(n_frames, wanted)
            for one, other, n in zip(found, logits, n_frames.tolist(), strict=True):
                torch.testing.assert_close(one[:n], other[:n].log_softmax(-1), atol=2e-4, rtol=0)


def test_what_streams_learn_at_last_is_what_everything_in_sight_gives() -> None:
    """A stream that sees it all is not apart, one of short chunks is; the loss holds both."""
    objective = ctc.Chunked(small_model(0).eval())
    samples, tokens = 0.1 * torch.randn(1, 40_000), torch.tensor([TOKEN_IDS[c] for c in "TWO"])
    batch = Batch(samples, torch.tensor([40_000]), tokens, torch.tensor([3]))
    found: dict[Chunking | None, dict[str, float]] = {}
    for chunking in (None, Chunking(84), Chunking(6, 6, 12)):
        with pytest.MonkeyPatch.context() as patched, torch.no_grad():
            patched.setattr(ctc, "_draw_chunking", lambda *_, drawn=chunking: drawn)
            loss = objective.loss(batch, Progress(99, 100), torch.Generator())
        found[chunking] = {**loss.figures, "loss": float(loss.value)}
    whole, seen, streamed = found.values()
    assert whole["loss_apart"] == 0
    assert seen["loss_apart"] == pytest.approx(0, abs=1e-4)
    assert seen["loss"] == pytest.approx(0.3 * whole["loss"], rel=1e-3)
    assert streamed["loss_apart"] > 10 * abs(seen["loss_apart"]) + 1e-4
    spoken = 0.65 * streamed["loss_letters"] + 0.35 * streamed["loss_phones"]
    wanted = 0.3 * spoken + 0.7 * streamed["loss_apart"]
    assert streamed["loss"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("chunking", [Chunking(6), Chunking(7, 0, 14), Chunking(6, 1, 20)])
def test_a_chunk_sees_nothing_later(chunking: Chunking) -> None:
    """What follows a chunk and its look-ahead does not change it."""
    model = small_model(0).eval()
    samples = 0.1 * torch.randn(1, 40_000)
    other = samples.clone()
    chunk, look_ahead = chunking.chunk_frames, chunking.look_ahead_frames
    seen_until = (4 * chunk - 1) * 480 + 1040  # samples that four chunks see
    final = 4 * chunk - look_ahead
    other[:, seen_until:] = torch.randn(1, 40_000 - seen_until)
    with torch.no_grad():
        first, second = (
            ctc_log_probs(model, x, torch.tensor([40_000]), chunking)[0] for x in (samples, other)
        )
    torch.testing.assert_close(first[:, :final], second[:, :final], atol=1e-5, rtol=0)
    assert not torch.allclose(first[:, 5 * chunk :], second[:, 5 * chunk :], atol=1e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the layout that training reads, made of hums."""
    folder = tmp_path_factory.mktemp("data")
    rng, rows = np.random.default_rng(0), []
    for i, digit in enumerate(DIGITS):
        rows.append((f"train/fsdd/{i}.flac", "train", digit, "one"))
        rows.append((f"train/alphanumeric/{i}.flac", "train", digit, "two"))
    rows += [(f"train/speechocean762/{i}.flac", "train", "GOOD MORNING", "three") for i in range(3)]
    rows += [
        ("train/ljspeech/0.flac", "train", "A QUIET DAY", "four"),
        ("dev/misc/0.flac", "dev", "WE WENT HOME", "five"),
    ]
    rows += [("noise/noise/0.flac", "noise", "", ""), ("noise/noise/rir.flac", "noise", "", "")]
    for path, _, _, _ in rows:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, 0.1 * rng.standard_normal(8000), RATE_HZ)
    with (folder / "MANIFEST.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["path", "split", "norm", "speaker", "notes"])
        writer.writerows((*row, "room impulse response" if "rir" in row[0] else "") for row in rows)
    (folder / "text").mkdir()
    with gzip.open(folder / "text" / "gutenberg_x.txt.gz", "wt") as file:
        file.write("The river was wide. We went home. He looked at the old bridge.")
    for speeches in ("state_union.zip", "inaugural.zip"):
        with zipfile.ZipFile(folder / "text" / speeches, "w") as archive:
            archive.writestr("a.txt", "My fellow citizens.")
    with gzip.open(folder / "text" / "librispeech_vocab_counts.txt.gz", "wt") as file:
        file.write("the\t9\nriver\t5\na\t5\nbridge\t2\n")
    with gzip.open(folder / "text" / "ljspeech_metadata.csv.gz", "wt") as file:
        file.write("LJ1|Printing is old.|Printing is old.\n")
    return folder


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training folder with its corpus: the hums, and half a minute of a synthetic voice."""
    if not shutil.which("flite"):
        pytest.skip("flite is missing: apt-get install flite")
    folder = tmp_path_factory.mktemp("training")
    corpus.prepare(data, folder / "corpus", 1, lambda _: None, FEW_H)
    return folder


def test_the_corpus_holds_what_was_said(prepared: Path) -> None:
    """Utterances lie where the index says; kinds follow folders; no development text is in it."""
    opened = corpus.Corpus.open(prepared / "corpus")
    kinds = {row.kind for row in opened.utterances}
    assert {"digit", "symbol", "sentence", "read", "noise", "room", "synthetic-command"} <= kinds
    spoken_s = sum(row.n_samples for row in opened.utterances if row.program == "flite") / RATE_HZ
    assert 36 <= spoken_s < 50
    assert all(len(opened.audio(row)) == row.n_samples > 0 for row in opened.utterances)
    assert "WE WENT HOME" not in {row.text for row in opened.utterances}
    assert opened.utterances[-1].start + opened.utterances[-1].n_samples == len(opened.samples)


@flite_there
def test_a_stopped_corpus_goes_on(data: Path, tmp_path: Path) -> None:
    """What is in the cache stays; samples behind the index are overwritten; no recording twice."""
    folder = tmp_path / "corpus"
    first = corpus.prepare(data, folder, 1, lambda _: None, {"flite": 0.001})
    start = first.samples.copy()
    with (folder / "samples.i16").open("ab") as file:
        file.write(b"half an utterance")  # as a kill leaves it
    second = corpus.prepare(data, folder, 1, lambda _: None, {"flite": 0.002})
    assert second.utterances[: len(first.utterances)] == first.utterances
    np.testing.assert_array_equal(second.samples[: len(start)], start)
    added = second.utterances[len(first.utterances) :]
    assert added
    assert {row.program for row in added} == {"flite"}
    assert added[0].start == len(start)


def test_a_voice_program_that_is_missing_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others speak all the same; the line says where the program comes from."""
    monkeypatch.setenv("PATH", "")
    told: list[str] = []
    opened = corpus.prepare(data, tmp_path / "corpus", 1, told.append, {"espeak-ng": 1.0})
    assert any("apt-get install espeak-ng" in line for line in told)
    assert {row.program for row in opened.utterances} == {""}


def test_batches_are_drawn_the_same_again(prepared: Path) -> None:
    """The same seed gives the same batches; they hold their transcripts and keep their size."""
    opened = corpus.Corpus.open(prepared / "corpus")
    drawn = [
        list(
            islice(Batches(opened, TOKEN_IDS, seed=3, early_batches=2, seconds=20.0, max_s=9.0), 6)
        )
        for _ in range(2)
    ]
    for first, second in zip(*drawn, strict=True):
        torch.testing.assert_close(first.samples, second.samples)
        assert first.tokens.tolist() == second.tokens.tolist()
        assert int(first.n_tokens.sum()) == len(first.tokens)
        assert first.samples.numel() <= 20.0 * RATE_HZ or len(first.samples) == 1


def test_the_embedded_recipe_goes_on(prepared: Path) -> None:
    """Called again it goes on within its budget, also from a state without settings."""
    ctc.train(prepared, budget=Budget(2), seed=1, peak_rate=1e-4, seconds=4.0)
    state = torch.load(prepared / "state.pt", weights_only=True)
    assert state["step"] == 2
    old = {name: state.get(name) for name in OLD_STATE}  # its moments cannot be gone on with
    torch.save(old, prepared / "state.pt")
    trainer = ctc.train(prepared, budget=Budget(3), seed=1, peak_rate=1e-4, seconds=4.0)
    assert trainer.used.step == 3
    assert trainer.used.audio_s > old["audio_s"]
    names = {path.name for path in (prepared / "checkpoint").iterdir()}
    assert {"model.safetensors", "vocab.json", "preprocessor_config.json"} <= names
    config = json.loads((prepared / "checkpoint" / "config.json").read_text())
    assert config["architectures"] == ["Wav2Vec2ForCTC"]


def test_digit_strings_are_the_same_every_time() -> None:
    """30 strings of 5, drawn from a seed, with gaps of 150 to 400 ms of silence."""
    digits = [(np.ones(1000, np.float32), DIGITS[i % 10]) for i in range(150)]
    first, second = digit_strings(digits), digit_strings(digits)
    assert [text for _, text in first] == [text for _, text in second]
    assert len(first) == 30
    for samples, text in first:
        silent = len(samples) - 5000 - int(0.3 * RATE_HZ)
        assert 5 * 0.15 * RATE_HZ - 5 <= silent <= 5 * 0.4 * RATE_HZ
        assert len(text.split()) == 5


def test_who_spells_letters_and_speaks_digits_is_heard_with_both() -> None:
    """Letters of a speaker do not take the place of the digits that he spoke elsewhere."""
    rows = tuple(
        corpus.Utterance(kind, i * 8000, 8000, text, "allison")
        for i, (kind, text) in enumerate([("digit", "FOUR"), ("symbol", "K"), ("symbol", "SIX")])
    )
    noisy = np.random.default_rng(0).integers(-3000, 3000, 24_000).astype(np.int16)
    drawn = Batches(
        corpus.Corpus(noisy, rows), TOKEN_IDS, seed=1, early_batches=99, seconds=60.0, max_s=9.0
    )
    ids = {id_: character for character, id_ in TOKEN_IDS.items()}
    heard = " ".join("".join(ids[t] for t in b.tokens.tolist()) for b in islice(drawn, 4))
    assert all(word in heard for word in ("FOUR", "SIX", "K"))
