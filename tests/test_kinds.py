"""Every kind of checkpoint: MMS and its languages, UniSpeech, WavLM, data2vec, odd HuBERTs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="torch is absent: it comes with the extra `export`")
pytest.importorskip("transformers", reason="transformers is absent: see the extra `export`")
pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

import onnx
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
from wav2edge.export import graph_file, model_writer
from wav2edge.export.checkpoint import load_checkpoint
from wav2edge.export.convert import export, manifest_facts
from wav2edge.export.errors import LanguageError, UnsupportedCheckpointError, WeightsError
from wav2edge.export.foreign import silence
from wav2edge.export.kinds import is_stable, position_reach
from wav2edge.export.parity import TorchSession, whole
from wav2edge.export.step_graph import StepGraph
from wav2edge.lm.alphabet import Alphabet
from wav2edge.runtime.acoustic import AcousticModel
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.errors import DamagedBundleError
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.session import open_session

if TYPE_CHECKING:
    from wav2edge.runtime.session import Session

GERMAN = {**VOCABULARY, "Ä": 32, "Ö": 33, "sch": 34}
LANGUAGES = {"eng": VOCABULARY, "deu": GERMAN}
WAVLM = ["wavlm", "wavlm-large"]
EXPORTED = ["mms", "wavlm-large", "data2vec-even", "hubert-batch-norm", "unispeech"]
_CHARACTERS = [*map(chr, range(0x4E00, 0x4E00 + 9500)), *map(chr, range(0x0900, 0x0D00))]
MANY = {
    token: i
    for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", " ", *_CHARACTERS][:10_288])
}
LAST_BITS = 5e-7  # of a float32: log-probs of thousands of tokens lie near -10
Exports = Callable[..., "Stepped"]  # (kind, precision, folder of the bundle)


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
    tmp_path: Path, exported: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit they lie beside the graph, hashed, the same bytes each time.

    And the model says the same.
    """
    small = exported("data2vec-even", "float32").model
    monkeypatch.setattr(model_writer, "LARGEST", 100_000)
    first, second = (
        exported("data2vec-even", "float32", tmp_path / name).model.bundle for name in ("a", "b")
    )
    assert set(first.manifest.files) == {"model.onnx", "model.onnx.data", "tokens.txt"}
    assert first.manifest.files == second.manifest.files
    inside = small.bundle.manifest.files["model.onnx"].bytes
    assert first.manifest.files["model.onnx"].bytes < inside / 2
    samples = speech_like(20_000)
    np.testing.assert_array_equal(whole(model_of(first), samples), whole(small, samples))
    weights = first.folder / "model.onnx.data"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(DamagedBundleError, match=r"model\.onnx\.data has SHA-256"):
        Bundle.read(first.folder)


class Stepped:
    """A checkpoint and its step graph behind the runtime's driver, in torch or as exported."""

    def __init__(self, source: Path, model: AcousticModel, language: str | None = None) -> None:
        self.source = source
        self.checkpoint, self.model = load_checkpoint(str(source), language=language), model

    def theirs(self, samples: np.ndarray) -> np.ndarray:
        """What `transformers` says."""
        logits = self.checkpoint.logits(torch.from_numpy(samples))
        return torch.log_softmax(logits, dim=-1).numpy()

    def check(self, atol: float) -> None:
        """Compare in every way that the kind allows."""
        self.check_offline(atol)
        facts = self.model.bundle.manifest
        if not facts.group_norm and not facts.do_normalize:
            self.check_blocks(atol)
            self.check_splits(atol)

    def check_offline(self, atol: float) -> None:
        """Compare at lengths chosen to hurt: around a frame, around what positions see, seconds."""
        geometry, config = self.model.geometry, self.checkpoint.config
        reach = geometry.n_samples(sum(position_reach(config)) + 1)
        field = geometry.receptive_field
        for n in (field, field + geometry.hop - 1, field + geometry.hop, reach - 1, reach, 30_000):
            samples = speech_like(n)
            np.testing.assert_allclose(
                whole(self.model, samples), self.theirs(samples), atol=atol, rtol=LAST_BITS
            )

    def check_blocks(self, atol: float) -> None:
        """Compare two steps that hold nothing back with `transformers`, its attention masked."""
        geometry = self.model.geometry
        cut, samples = geometry.n_samples(31), speech_like(geometry.n_samples(80))
        for left in (31, 12):
            first, state = self.model.step(
                self.model.start(), samples[:cut], hold_frames=0, left_frames=left
            )
            second, _ = self.model.step(state, samples[cut:], hold_frames=0)
            expected = in_two_blocks(self.checkpoint.model, samples, 31, left)
            found = np.concatenate([first.log_probs, second.log_probs])
            np.testing.assert_allclose(found, expected, atol=atol, rtol=LAST_BITS)

    def check_splits(self, atol: float) -> None:
        """Compare one step with many awkward ones that hold everything back until the end."""
        samples, state = speech_like(20_000), self.model.start()
        for piece in np.split(samples, [1, 399, 400, 401, 5000, 5001, 12_320, 19_999]):
            step, state = self.model.step(state, piece, hold_frames=10**6)
            assert len(step.log_probs) == 0
        last, _ = self.model.step(state, np.zeros(0, np.float32), hold_frames=0)
        np.testing.assert_allclose(
            last.log_probs, whole(self.model, samples), atol=atol, rtol=LAST_BITS
        )


def in_two_blocks(
    model: Any,  # noqa: ANN401
    samples: np.ndarray,
    n_first: int,
    n_left: int,
) -> np.ndarray:
    """Run the layers of `transformers` on audio that arrives in two pieces.

    Frames of the first see nothing of the second; those of the second see the last `n_left` of it.
    """
    encoder, config = model.base_model.encoder, model.config
    with torch.no_grad():
        heard = model.base_model.feature_extractor(torch.from_numpy(samples)[None])
        projected = model.base_model.feature_projection(heard.transpose(1, 2))
        frames = projected[0] if isinstance(projected, tuple) else projected
        n = frames.shape[1]
        early = encoder.pos_conv_embed(frames[:, :n_first])
        late = encoder.pos_conv_embed(frames)[:, n_first:]
        hidden = frames + torch.cat([early, late], dim=1)
        hidden = hidden if is_stable(config) else encoder.layer_norm(hidden)
        mask = torch.zeros(n, n)
        mask[:n_first, n_first:] = -torch.inf
        mask[n_first:, : n_first - n_left] = -torch.inf
        if config.model_type == "wavlm":
            worth = encoder.layers[0].attention.compute_bias(n, n) + mask
            for layer in encoder.layers:
                hidden, _ = layer(hidden, position_bias=worth)
        else:
            for layer in encoder.layers:
                hidden = layer(hidden, attention_mask=mask[None, None])
        hidden = encoder.layer_norm(hidden) if is_stable(config) else hidden
        return torch.log_softmax(model.lm_head(hidden), dim=-1)[0].numpy()


def written(folder: Path, kind: str) -> tuple[Path, str | None]:
    """Write a checkpoint of a kind; MMS is read in its second language.

    UniSpeech has a vocabulary of 10,288 characters, as the Omnilingual models have.
    """
    if kind == "mms":
        return write_mms_checkpoint(folder, LANGUAGES, own="eng"), "deu"
    if kind == "unispeech":
        write_checkpoint(folder, kind, vocab_size=len(MANY))
        write_processor(folder, MANY, do_normalize=False)
        return folder, None
    return write_checkpoint(folder, kind), None


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """Export kinds; each is traced once, because tracing takes longer than all the rest.

    The trace is the same for float32 and int8-plain: their integers are put into it afterwards.
    """
    traced: dict[tuple[str, ...], onnx.ModelProto] = {}
    trace, place = graph_file._trace, tmp_path_factory.mktemp("exported")
    now = ["", ""]

    def remembered(module: torch.nn.Module, *args: Any) -> onnx.ModelProto:  # noqa: ANN401
        key = *now, type(module).__name__
        if key not in traced:
            traced[key] = trace(module, *args)
        copy = onnx.ModelProto()
        copy.CopyFrom(traced[key])
        return copy

    def make(kind: str, precision: str, out: Path | None = None) -> Stepped:
        now[:], folder = (kind, "int8" if precision == "int8" else ""), place / kind
        language = "deu" if kind == "mms" else None
        if not folder.exists():
            written(folder, kind)
        out = out or place / f"{kind}-{precision}"
        if not out.exists():
            clips = [clip(place)]
            export(
                str(folder), out, precision=precision, language=language, verify=clips, force=True
            )
        return Stepped(folder, model_of(Bundle.read(out)), language)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_file, "_trace", remembered)
        yield make


@pytest.mark.parametrize(
    "kind",
    ["hubert-batch-norm", "unispeech", "unispeech-sat", *WAVLM, "data2vec", "data2vec-even", "mms"],
)
def test_the_step_graph_equals_transformers(tmp_path: Path, kind: str) -> None:
    """Offline at awkward lengths, in any split, and in blocks: each kind is the checkpoint.

    Splits and blocks are compared for the kinds that do not normalise over the utterance.
    """
    source, language = written(tmp_path / "checkpoint", kind)
    checkpoint = load_checkpoint(str(source), language=language)
    facts = {**manifest_facts(checkpoint, [speech_like(8000)]), "precision": {}, "parity": {}}
    bundle = Bundle.write(
        tmp_path / "bundle", facts, model=b"none", tokens=checkpoint.vocabulary.tokens
    )
    session = cast("Session", TorchSession(StepGraph(checkpoint.model)))
    Stepped(source, AcousticModel(bundle, session), language).check(2e-6)


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        *((kind, precision) for kind in EXPORTED for precision in ("float32", "int8-plain")),
        ("data2vec-even", "int8"),
    ],
)
def test_the_exported_graph_equals_transformers(
    exported: Exports, kind: str, precision: str
) -> None:
    """What is in the file is the checkpoint as well; int8 moves log-probs by 0.03 at most."""
    stepped, atol = exported(kind, precision), 2e-6 if precision == "float32" else 0.03
    stepped.check(atol)
    manifest = stepped.model.bundle.manifest
    assert manifest.parity["stepped"]["largest_difference"] < 5 * atol
    assert ("MatMulInteger" in manifest.precision["operators"]) == (precision != "float32")


def test_the_bundle_speaks_the_language_that_was_chosen(exported: Exports) -> None:
    """The manifest names it, and its tokens are those of its vocabulary."""
    bundle = exported("mms", "float32").model.bundle
    assert bundle.manifest.source["language"] == "deu"
    assert bundle.alphabet.tokens == tuple(GERMAN)


def test_ten_thousand_characters_load_and_decode(exported: Exports) -> None:
    """A bundle of 10,288 tokens of many scripts, a space among them, transcribes what it hears.

    The text is the tokenizer's.
    """
    stepped = exported("unispeech", "float32")
    folder = stepped.model.bundle.folder
    recognizer = Recognizer(
        stepped.model.bundle, open_session(folder / "model.onnx", threads=1, provider="cpu")
    )
    assert recognizer.bundle.alphabet.size == len(MANY) == 10_288
    assert recognizer.bundle.alphabet.delimiter_id == MANY[" "]
    samples = speech_like(30_000)
    rows = stepped.theirs(samples)
    rows[:, list(recognizer.bundle.alphabet.special_ids)] = -np.inf
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(stepped.source)
    expected = tokenizer.decode(rows.argmax(axis=1))
    assert len(set(expected)) > 10
    assert recognizer.transcribe(samples, 16_000).text == expected


def clip(folder: Path) -> Path:
    """Write two seconds to compare on."""
    path = folder / "clip.wav"
    soundfile.write(path, speech_like(32_000), 16_000, subtype="FLOAT")
    return path


def test_a_single_file_of_weights_is_told_what_it_is(tmp_path: Path) -> None:
    """Fairseq's and torchaudio's files are refused with the way out, and never unpickled."""
    (tmp_path / "wav2vec_small_960h.pt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(UnsupportedCheckpointError, match="fairseq and torchaudio"):
        load_checkpoint(str(tmp_path / "wav2vec_small_960h.pt"))
