"""Every kind of checkpoint: MMS and its languages, UniSpeech, WavLM, data2vec, odd HuBERTs."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is absent: it comes with the extra `export`")
pytest.importorskip("transformers", reason="transformers is absent: see the extra `export`")
pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

import torch
from random_checkpoint import (
    VOCABULARY,
    write_checkpoint,
    write_mms_checkpoint,
    write_processor,
)
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

from wav2edge.cli import main
from wav2edge.export import model_writer
from wav2edge.export.checkpoint import load_checkpoint
from wav2edge.export.convert import export
from wav2edge.export.errors import LanguageError, UnsupportedCheckpointError, WeightsError
from wav2edge.export.foreign import silence
from wav2edge.export.kinds import position_reach
from wav2edge.export.parity import whole
from wav2edge.lm.alphabet import Alphabet
from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.errors import DamagedBundleError
from wav2edge.runtime.session import open_session

GERMAN = {**VOCABULARY, "Ä": 32, "Ö": 33, "sch": 34}
LANGUAGES = {"eng": VOCABULARY, "deu": GERMAN}


def speech_like(n_samples: int, seed: int = 3) -> np.ndarray:
    """Noise whose loudness changes, so that statistics over time matter."""
    rng = np.random.default_rng(seed)
    loudness = 0.02 + 0.1 * np.abs(np.sin(np.arange(n_samples) / 2500))
    return (loudness * rng.standard_normal(n_samples)).astype(np.float32)


def model_of(bundle: Bundle) -> AcousticModel:
    """Open a bundle for stepping."""
    return AcousticModel(bundle, open_session(bundle.model_path, threads=1, provider="cpu"))


@pytest.fixture(scope="module")
def mms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the layout of MMS with two languages; its own is English."""
    with silence():
        return write_mms_checkpoint(tmp_path_factory.mktemp("mms"), LANGUAGES, own="eng")


def copied(folder: Path, to: Path) -> Path:
    """Copy a checkpoint, to damage it."""
    to.mkdir(exist_ok=True)
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def rewrite(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None takes one out."""
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


@pytest.mark.parametrize("language", [None, "eng", "deu"])
def test_a_language_brings_its_adapters_head_and_vocabulary(
    mms: Path, language: str | None
) -> None:
    """All three are what `transformers` loads for that language; None is the checkpoint's own."""
    spoken = language or "eng"
    checkpoint = load_checkpoint(str(mms), language=language)
    with silence():
        theirs = Wav2Vec2ForCTC.from_pretrained(
            mms, target_lang=spoken, ignore_mismatched_sizes=True
        ).eval()
    samples = torch.from_numpy(np.random.default_rng(0).normal(size=8000).astype(np.float32))
    scaled = (samples - samples.mean()) / torch.sqrt(samples.var(unbiased=False) + 1e-7)
    with torch.no_grad():
        expected = theirs(scaled[None]).logits[0]
    torch.testing.assert_close(checkpoint.logits(samples), expected, atol=1e-5, rtol=0)
    words = checkpoint.vocabulary
    assert words.tokens == tuple(LANGUAGES[spoken])
    assert (words.blank_id, words.delimiter_id, words.special_ids) == (0, 4, (1, 2, 3))
    assert checkpoint.source["language"] == spoken
    assert f"adapter.{spoken}.safetensors" in checkpoint.source["files"]
    assert len([name for name in checkpoint.source["files"] if name.startswith("adapter.")]) == 1


def test_a_language_that_is_not_there_is_told_which_are(mms: Path) -> None:
    """An unknown language is a typed error that lists some that there are."""
    with pytest.raises(LanguageError, match="'xyz': choose one of eng, deu"):
        load_checkpoint(str(mms), language="xyz")


def test_a_language_whose_file_is_missing_is_told_which_are_there(
    mms: Path, tmp_path: Path
) -> None:
    """A vocabulary without weights is no language; those with a file are named."""
    folder = copied(mms, tmp_path)
    (folder / "adapter.deu.safetensors").unlink()
    with pytest.raises(LanguageError, match=r"no adapter\.deu\.safetensors; there are eng:"):
        load_checkpoint(str(folder), language="deu")


def test_the_own_language_needs_no_file(mms: Path, tmp_path: Path) -> None:
    """A fine-tuned adapter is often published inside the main weights alone."""
    folder = copied(mms, tmp_path)
    samples = torch.from_numpy(np.random.default_rng(0).normal(size=8000).astype(np.float32))
    expected = load_checkpoint(str(folder), language="eng").logits(samples)
    (folder / "adapter.eng.safetensors").unlink()
    torch.testing.assert_close(load_checkpoint(str(folder)).logits(samples), expected)


def test_a_language_must_be_chosen_where_none_is_named(mms: Path, tmp_path: Path) -> None:
    """Without `target_lang` nothing is guessed."""
    folder = copied(mms, tmp_path)
    rewrite(folder / "tokenizer_config.json", target_lang=None)
    with pytest.raises(LanguageError, match=r"2 languages .* choose with --language"):
        load_checkpoint(str(folder))


def test_a_checkpoint_of_one_language_refuses_to_choose(tmp_path: Path) -> None:
    """`--language` for a checkpoint without adapters is an error, not ignored."""
    write_checkpoint(tmp_path, "large")
    with pytest.raises(LanguageError, match="leave --language eng out"):
        load_checkpoint(str(tmp_path), language="eng")


def test_adapters_of_another_checkpoint_are_refused(mms: Path, tmp_path: Path) -> None:
    """A file that lacks a layer, or whose layers have another size, is an error that says so."""
    folder = copied(mms, tmp_path)
    weights = load_file(folder / "adapter.deu.safetensors")
    fewer = {name: value for name, value in weights.items() if ".layers.1." not in name}
    save_file(fewer, folder / "adapter.deu.safetensors")
    with pytest.raises(WeightsError, match=r"adapter\.deu\.safetensors lacks wav2vec2\.encoder"):
        load_checkpoint(str(folder), language="deu")
    wider = {name: torch.cat([value, value]) for name, value in weights.items()}
    save_file(wider, folder / "adapter.deu.safetensors")
    with pytest.raises(WeightsError, match=r"adapter\.deu\.safetensors does not fit"):
        load_checkpoint(str(folder), language="deu")
    (folder / "adapter.deu.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="could not be read"):
        load_checkpoint(str(folder), language="deu")


def test_a_wrong_language_is_one_line(
    mms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the command line it is one line on stderr and status 2."""
    assert main(["export", str(mms), str(tmp_path / "out"), "--language", "xyz"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_adapters_that_no_layer_has_are_refused(tmp_path: Path) -> None:
    """`transformers` builds adapters into stable-layer-norm layers alone."""
    write_checkpoint(tmp_path, "base")
    rewrite(tmp_path / "config.json", adapter_attn_dim=8)
    with pytest.raises(UnsupportedCheckpointError, match="do_stable_layer_norm"):
        load_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "reach"),
    [("large", (8, 7)), ("odd", (3, 3)), ("data2vec", (6, 6)), ("data2vec-even", (6, 4))],
)
def test_positions_reach_as_far_as_gradients_do(
    tmp_path: Path, kind: str, reach: tuple[int, int]
) -> None:
    """The frames that a position sees are those that its output depends on, in `transformers`."""
    model = load_checkpoint(str(write_checkpoint(tmp_path, kind))).model
    assert position_reach(model.config) == reach
    frames = torch.randn(1, 40, model.config.hidden_size, requires_grad=True)
    model.base_model.encoder.pos_conv_embed(frames)[0, 20].sum().backward()
    assert frames.grad is not None
    (seen,) = torch.nonzero(frames.grad[0].abs().sum(dim=1), as_tuple=True)
    assert (20 - int(seen.min()), int(seen.max()) - 20) == reach


def test_what_stands_for_the_delimiter_is_the_tokenizers(tmp_path: Path) -> None:
    """`replace_word_delimiter_char` is what text has between words, as `transformers` has it."""
    write_checkpoint(tmp_path, "large")
    write_processor(tmp_path, VOCABULARY, do_normalize=False, replace_word_delimiter_char="_")
    words = load_checkpoint(str(tmp_path)).vocabulary
    assert words.separator == "_"
    alphabet = Alphabet(
        words.tokens, words.blank_id, words.delimiter_id, words.special_ids, words.separator
    )
    theirs = Wav2Vec2CTCTokenizer(
        str(tmp_path / "vocab.json"), replace_word_delimiter_char=words.separator
    )
    ids = [VOCABULARY[x] for x in "HEL"] + [0] + [VOCABULARY[x] for x in "LO|ME"]
    assert alphabet.text(ids) == theirs.decode(ids) == "HELLO_ME"
    assert alphabet.separator == "_"


def test_a_space_that_is_a_token_parts_words(tmp_path: Path) -> None:
    """Where the declared delimiter is no token, a space is one: words keep their times."""
    vocabulary = {name.replace("|", " "): i for name, i in VOCABULARY.items()}
    write_checkpoint(tmp_path, "large")
    write_processor(tmp_path, vocabulary, do_normalize=False)
    words = load_checkpoint(str(tmp_path)).vocabulary
    assert (words.delimiter_id, words.separator) == (4, " ")


def test_weights_of_a_large_model_have_a_file_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit they lie beside the graph, hashed, the same bytes each time.

    And the model says the same.
    """
    source = str(write_checkpoint(tmp_path / "checkpoint", "odd"))
    small = export(source, tmp_path / "small", precision="float32").bundle
    monkeypatch.setattr(model_writer, "LARGEST", 100_000)
    first, second = (
        export(source, tmp_path / name, precision="float32").bundle for name in ("first", "second")
    )
    assert set(first.manifest.files) == {"model.onnx", "model.onnx.data", "tokens.txt"}
    assert first.manifest.files == second.manifest.files
    assert first.manifest.files["model.onnx"].bytes < small.manifest.files["model.onnx"].bytes / 2
    samples = speech_like(20_000)
    np.testing.assert_array_equal(whole(model_of(first), samples), whole(model_of(small), samples))
    weights = first.folder / "model.onnx.data"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(DamagedBundleError, match=r"model\.onnx\.data has SHA-256"):
        Bundle.read(first.folder)
