"""A checkpoint becomes a bundle that is equal to it, or nothing is written."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="torch is absent: it comes with the extra `export`")
pytest.importorskip("transformers", reason="transformers is absent: see the extra `export`")
pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

import onnx
import torch
from onnx import numpy_helper
from random_checkpoint import VOCABULARY, write_checkpoint, write_processor
from safetensors.torch import load_file, save_file
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
)

from wav2edge.cli import main
from wav2edge.export import graph_file
from wav2edge.export.checkpoint import Checkpoint, load_checkpoint
from wav2edge.export.convert import Exported, export
from wav2edge.export.errors import (
    CheckpointNotFoundError,
    ParityError,
    UnsupportedCheckpointError,
    WeightsError,
)
from wav2edge.export.parity import Reference, TorchSession, in_chunks, whole
from wav2edge.export.step_graph import StepGraph
from wav2edge.lm.alphabet import Alphabet
from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.session import open_session

if TYPE_CHECKING:
    from wav2edge.runtime.session import Session

HOP, FIELD = 320, 400
# Lengths chosen to hurt: around one receptive field, around ten hops, and seconds.
TEN = FIELD + 10 * HOP
LENGTHS = [FIELD, FIELD + HOP - 1, FIELD + HOP, TEN - 1, TEN, TEN + 1, 48_000]

Exports = Callable[[str, str], tuple[Path, Exported]]  # (kind, precision) -> checkpoint, bundle


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Export a random checkpoint, each kind and precision once a session."""
    done: dict[tuple[str, str], tuple[Path, Exported]] = {}

    def make(kind: str, precision: str) -> tuple[Path, Exported]:
        if (kind, precision) not in done:
            folder = tmp_path_factory.mktemp(f"{kind}-{precision}")
            source = write_checkpoint(folder / "checkpoint", kind, do_normalize=kind == "base")
            done[kind, precision] = (
                source,
                export(str(source), folder / "bundle", precision=precision, force=True),
            )
        return done[kind, precision]

    return make


def speech_like(n_samples: int, seed: int = 3) -> np.ndarray:
    """Noise whose loudness changes, so that statistics over time matter."""
    rng = np.random.default_rng(seed)
    loudness = 0.02 + 0.1 * np.abs(np.sin(np.arange(n_samples) / 2500))
    return (loudness * rng.standard_normal(n_samples)).astype(np.float32)


def model_of(bundle: Bundle) -> AcousticModel:
    """Open a bundle for stepping."""
    return AcousticModel(bundle, open_session(bundle.model_path, threads=1, provider="cpu"))


def expected_log_probs(checkpoint: Checkpoint, samples: np.ndarray) -> np.ndarray:
    """What transformers says."""
    return torch.log_softmax(checkpoint.logits(torch.from_numpy(samples)), dim=-1).numpy()


@pytest.mark.parametrize("kind", ["base", "large", "hubert"])
def test_float32_equals_transformers_at_awkward_lengths(kind: str, exported: Exports) -> None:
    """Offline equals `transformers` within 1e-3 and with the same best tokens.

    Down to one receptive field.
    """
    source, done = exported(kind, "float32")
    checkpoint, model = load_checkpoint(str(source)), model_of(done.bundle)
    for n_samples in LENGTHS:
        samples = speech_like(n_samples)
        expected, found = expected_log_probs(checkpoint, samples), whole(model, samples)
        assert (
            found.shape == expected.shape == (model.geometry.n_frames(n_samples), len(VOCABULARY))
        )
        np.testing.assert_allclose(found[expected > -15], expected[expected > -15], atol=1e-3)
        best = np.sort(expected, axis=1)
        clear = best[:, -1] - best[:, -2] > 2e-3
        np.testing.assert_array_equal(found.argmax(1)[clear], expected.argmax(1)[clear])
    assert not done.bundle.manifest.forced


def test_31_seconds_in_one_step_equal_transformers(exported: Exports) -> None:
    """Slicing the convolutions changes nothing, group norm and input normalisation included."""
    source, done = exported("base", "float32")
    samples = speech_like(31 * 16_000)
    expected = expected_log_probs(load_checkpoint(str(source)), samples)
    np.testing.assert_allclose(
        whole(model_of(done.bundle), samples)[expected > -15], expected[expected > -15], atol=1e-3
    )


@pytest.mark.parametrize("kind", ["base", "large", "odd"])
def test_less_than_a_receptive_field_is_no_frame(kind: str, exported: Exports) -> None:
    """One sample short of the first frame gives no log-probs and no error."""
    _, done = exported(kind, "int8" if kind == "odd" else "float32")
    model = model_of(done.bundle)
    for n_samples in (0, 1, model.geometry.receptive_field - 1):
        assert whole(model, speech_like(n_samples)).shape == (0, len(VOCABULARY))


@pytest.mark.parametrize("kind", ["large", "odd"])
def test_holding_everything_back_until_the_end_is_offline(kind: str, exported: Exports) -> None:
    """A layer-norm model stepped in awkward pieces equals one step to 1e-4.

    Everything is held back until the last step.
    """
    _, done = exported(kind, "float32")
    model, samples = model_of(done.bundle), speech_like(40_000)
    state, cuts = model.start(), [1, 399, 400, 401, 5000, 5001, 20_320, 39_999]
    for piece in np.split(samples, cuts):
        step, state = model.step(state, piece, hold_frames=10**6)
        assert len(step.log_probs) == 0
    last, _ = model.step(state, np.zeros(0, np.float32), hold_frames=0)
    np.testing.assert_allclose(last.log_probs, whole(model, samples), atol=1e-4)


def test_the_state_is_a_value(exported: Exports) -> None:
    """A step neither changes the state it was given nor depends on other steps in between."""
    _, done = exported("base", "float32")
    model, samples = model_of(done.bundle), speech_like(32_000)
    _, state = model.step(model.start(), samples[:16_000], hold_frames=5)
    first, _ = model.step(state, samples[16_000:], hold_frames=5, left_frames=20)
    model.step(state, speech_like(9000, seed=9), hold_frames=0)
    again, _ = model.step(state, samples[16_000:], hold_frames=5, left_frames=20)
    np.testing.assert_array_equal(first.log_probs, again.log_probs)
    np.testing.assert_array_equal(first.provisional, again.provisional)


def test_frames_come_out_once_and_in_order(exported: Exports) -> None:
    """Look-ahead frames are provisional in one step and final in a later one.

    None is lost or said twice.
    """
    _, done = exported("large", "float32")
    model, state, n_seen = (m := model_of(done.bundle)), m.start(), 0
    for i, piece in enumerate(np.split(speech_like(50_000), range(3000, 50_000, 3000))):
        step, state = model.step(state, piece, hold_frames=7, left_frames=15)
        assert step.first_frame == n_seen
        n_seen += len(step.log_probs)
        assert len(step.provisional) == min(
            7, model.geometry.n_frames(min(50_000, 3000 * (i + 1))) - n_seen
        )
        assert state.left.n_frames <= 15
    step, state = model.step(state, np.zeros(0, np.float32), hold_frames=0)
    assert n_seen + len(step.log_probs) == model.geometry.n_frames(50_000) == state.n_frames


@pytest.mark.parametrize("kind", ["base", "odd"])
def test_int8_stays_near_and_the_manifest_says_so(kind: str, exported: Exports) -> None:
    """On random weights int8 moves log-probs by 0.05 on average at most.

    Precision and parity stand in the manifest.
    """
    _, done = exported(kind, "int8")
    assert done.parity.offline.mean_difference <= 0.05
    assert done.parity.stepped.mean_difference <= 0.05
    manifest = done.bundle.manifest
    assert manifest.precision["operators"]["MatMulInteger"] >= 2 * 4 + 1
    assert "ConvInteger" not in manifest.precision["operators"]
    assert (
        manifest.parity["offline"]["largest_difference"] == done.parity.offline.largest_difference
    )
    assert manifest.source["files"]["model.safetensors"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, exported: Exports) -> None:
    """`model.onnx` is a function of checkpoint and versions, and holds no path of the machine."""
    source, done = exported("odd", "float32")
    again = export(str(source), tmp_path / "again", precision="float32", force=True)
    first, second = (bundle.model_path.read_bytes() for bundle in (done.bundle, again.bundle))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    for text in (str(source.parent), str(Path(graph_file.__file__).parent), "site-packages", ".py"):
        assert text.encode() not in first
    assert str(source.parent) not in (done.bundle.folder / "manifest.json").read_text()


def corrupted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make the scale of the first layer's queries, keys and values a hundred times too large."""
    scale = next(
        tensor
        for tensor in model.graph.initializer
        if tensor.name.startswith("context/") and tensor.name.endswith("_scale")
    )
    values = numpy_helper.to_array(scale) * np.float32(100)
    scale.CopyFrom(numpy_helper.from_array(values, scale.name))
    return model


def test_a_corrupted_scale_is_not_written(
    tmp_path: Path, tone_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate sees one wrong scale of a trained checkpoint.

    It is an error with the figure, and nothing is on the disk.
    """
    real = graph_file._join
    monkeypatch.setattr(
        graph_file, "_join", lambda *args, batched: corrupted(real(*args, batched=batched))
    )
    clips = sorted((tone_checkpoint / "clips").glob("*.wav"))
    with pytest.raises(ParityError, match=r"agree, expected 98%|character error"):
        export(str(tone_checkpoint), tmp_path / "bundle", verify=clips)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tone_checkpoint: Path) -> Exported:
    """The trained checkpoint, exported as int8 and compared on all its clips."""
    clips = sorted((tone_checkpoint / "clips").glob("*.wav"))
    out = tmp_path_factory.mktemp("trained") / "bundle"
    return export(str(tone_checkpoint), out, verify=clips)


def test_a_trained_checkpoint_passes_the_gate(trained: Exported) -> None:
    """int8 of a trained checkpoint passes without --force.

    It agrees on 98 % of the spoken frames and says the same text.
    """
    assert trained.parity.offline.n_characters >= 200
    assert not trained.bundle.manifest.forced


def test_too_little_speech_does_not_pass_the_int8_gate(
    trained: Exported, tone_checkpoint: Path
) -> None:
    """Fewer than 200 characters prove nothing: the error says how many there were."""
    checkpoint = load_checkpoint(str(tone_checkpoint))
    clip, _ = soundfile.read(min((tone_checkpoint / "clips").glob("*.wav")), dtype="float32")
    stepped = AcousticModel(
        trained.bundle, cast("Session", TorchSession(StepGraph(checkpoint.model)))
    )
    report = Reference(checkpoint, stepped, [clip]).compare(model_of(trained.bundle))
    assert report.offline.agreement == 1.0
    with pytest.raises(ParityError, match="only 20 characters"):
        report.check("int8")


def published_layout(folder: Path) -> None:
    """Rename the weights as older checkpoints on the hub have them.

    With their known missing and extra keys.
    """
    weights = load_file(folder / "model.safetensors")
    names = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    for new, old in names.items():
        key = f"wav2vec2.encoder.pos_conv_embed.conv.{new}"
        weights[f"wav2vec2.encoder.pos_conv_embed.conv.{old}"] = weights.pop(key)
    weights.pop("wav2vec2.masked_spec_embed")
    weights["quantizer.codevectors"], weights["project_q.weight"] = (
        torch.zeros(1, 4, 2),
        torch.zeros(2, 2),
    )
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def test_published_checkpoints_load_with_their_known_differences(tmp_path: Path) -> None:
    """weight_g/weight_v, no masked_spec_embed and left-over heads give the same logits.

    The heads are those of pre-training.
    """
    samples = torch.from_numpy(speech_like(8000))
    before = load_checkpoint(str(write_checkpoint(tmp_path, "base"))).logits(samples)
    published_layout(tmp_path)
    torch.testing.assert_close(load_checkpoint(str(tmp_path)).logits(samples), before)


def test_a_missing_weight_is_refused_not_made_up(tmp_path: Path) -> None:
    """A checkpoint without its CTC head's weights is an error that names the parameter."""
    write_checkpoint(tmp_path, "large")
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lm_head\.weight"):
        load_checkpoint(str(tmp_path))


def test_a_weight_of_another_shape_is_refused(tmp_path: Path) -> None:
    """A vocabulary that does not fit the head is an error, not a new head."""
    write_checkpoint(tmp_path, "large")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 40}))
    with pytest.raises(WeightsError, match="another shape"):
        load_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"add_adapter": True}, "add_adapter"),
        ({"architectures": ["Wav2Vec2ForPreTraining"]}, "no CTC head"),
        ({"model_type": "wav2vec2-bert", "architectures": ["Wav2Vec2BertForCTC"]}, "mel input"),
        (
            {"model_type": "wav2vec2-conformer", "architectures": ["Wav2Vec2ConformerForCTC"]},
            "wav2vec2-conformer",
        ),
    ],
)
def test_other_kinds_are_refused_by_name(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    """What has no step graph is refused before its weights are read, with what is supported."""
    write_checkpoint(tmp_path, "large")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(UnsupportedCheckpointError, match=reason) as caught:
        load_checkpoint(str(tmp_path))
    assert "Wav2Vec2ForCTC" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["config.json", "preprocessor_config.json", "vocab.json", "model.safetensors"]
)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """Each file that a checkpoint needs is missed with an error that says what was expected."""
    (write_checkpoint(tmp_path, "base") / name).unlink()
    with pytest.raises(
        (CheckpointNotFoundError, UnsupportedCheckpointError, WeightsError)
    ) as caught:
        load_checkpoint(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_do_normalize_is_never_guessed(tmp_path: Path) -> None:
    """A feature extractor that does not say is an error."""
    write_checkpoint(tmp_path, "base")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16_000}))
    with pytest.raises(UnsupportedCheckpointError, match="do_normalize"):
        load_checkpoint(str(tmp_path))


def test_vocabulary_facts_are_the_tokenizers(tmp_path: Path) -> None:
    """Blank, delimiter, special tokens and multi-character tokens are taken over.

    Greedy text equals the tokenizer's.
    """
    write_checkpoint(tmp_path, "odd", vocab_size=9, pad_token_id=2)
    vocabulary = {"a": 0, "ch": 1, "<pad>": 2, "<unk>": 3, "_": 4, "<s>": 5, "</s>": 6, "\u0259": 7}
    write_processor(tmp_path, vocabulary, do_normalize=False, delimiter="_")
    words = load_checkpoint(str(tmp_path)).vocabulary
    assert words.tokens == ("a", "ch", "<pad>", "<unk>", "_", "<s>", "</s>", "\u0259", "<unused 8>")
    assert (words.blank_id, words.delimiter_id, words.special_ids) == (2, 4, (3, 5, 6, 8))
    # from_pretrained of transformers 5.23 forgets the delimiter; built directly, it keeps it.
    names = {"word_delimiter_token": "_"}
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"), **names)
    alphabet = Alphabet(words.tokens, words.blank_id, words.delimiter_id, words.special_ids)
    ids = [0, 0, 2, 0, 1, 1, 4, 4, 7, 2, 2, 1]
    assert alphabet.text(ids) == tokenizer.decode(ids) == "aach \u0259ch"


def test_a_pretrained_model_without_head_is_refused(tmp_path: Path) -> None:
    """The published self-supervised checkpoints have no CTC head."""
    Wav2Vec2ForPreTraining(
        Wav2Vec2Config(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            conv_dim=(32,) * 7,
            codevector_dim=32,
            proj_codevector_dim=32,
            num_conv_pos_embedding_groups=4,
        )
    ).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedCheckpointError, match="no CTC head"):
        load_checkpoint(str(tmp_path))


@pytest.mark.parametrize("source", ["nowhere", "./nowhere", "/nowhere/at/all", "pyproject.toml"])
def test_a_wrong_path_is_one_line(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the command line a wrong checkpoint is one line on stderr and status 2."""
    assert main(["export", source, str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "nowhere" in captured.err or "pyproject" in captured.err
    assert not (tmp_path / "out").exists()


def test_base_size_equals_transformers(tmp_path: Path) -> None:
    """The published base sizes (95 M parameters) pass the float32 gate, offline and in chunks."""
    config = Wav2Vec2Config(vocab_size=len(VOCABULARY), pad_token_id=0)
    torch.manual_seed(0)
    Wav2Vec2ForCTC(config).save_pretrained(tmp_path / "base")
    write_processor(tmp_path / "base", VOCABULARY, do_normalize=True)
    done = export(
        str(tmp_path / "base"), tmp_path / "bundle", precision="float32", verify=_two_clips()
    )
    assert done.parity.offline.largest_difference <= 1e-3
    assert done.parity.stepped.largest_difference <= 1e-3


def _two_clips() -> list[Path]:
    return sorted((Path(graph_file.__file__).parent / "clips").glob("*.ogg"))[:2]


def test_stepping_hears_the_running_statistics(exported: Exports) -> None:
    """Any split of the audio into steps leaves the same normalisation statistics as one pass."""
    _, done = exported("base", "float32")
    model, samples = model_of(done.bundle), speech_like(30_000)
    _, once = model.step(model.start(), samples, hold_frames=0)
    state = model.start()
    for piece in np.split(samples, [7, 1000, 1001, 17_333]):
        _, state = model.step(state, piece, hold_frames=3)
    assert state.norm.windows.count == once.norm.windows.count
    np.testing.assert_allclose(
        state.norm.windows.covariance, once.norm.windows.covariance, rtol=1e-9
    )
    np.testing.assert_allclose(state.norm.samples.mean, once.norm.samples.mean, rtol=1e-9)


def test_chunks_of_a_layer_norm_model_do_not_depend_on_the_future(exported: Exports) -> None:
    """What is final does not change when more audio follows."""
    _, done = exported("large", "float32")
    model, samples = model_of(done.bundle), speech_like(64_000)
    other = np.concatenate([samples[:40_000], speech_like(24_000, seed=8)])
    first, second = in_chunks(model, samples), in_chunks(model, other)
    n_same = model.geometry.n_frames(40_000) - model.geometry.frames_for(640 + 320) - 1
    np.testing.assert_allclose(first[:n_same], second[:n_same], atol=1e-5)
