"""The layout of onnx-asr: written and verified, read by that package's contract, and read by us."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("torch", reason="torch is absent: it comes with the extra `export`")
pytest.importorskip("transformers", reason="transformers is absent: see the extra `export`")
pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

import onnxruntime
import torch
from random_checkpoint import write_checkpoint, write_tone_checkpoint

from wav2edge.cli import main
from wav2edge.export import convert
from wav2edge.export.checkpoint import load_checkpoint
from wav2edge.export.errors import UnsupportedCheckpointError
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.errors import (
    BundleNotFoundError,
    DamagedBundleError,
    ManifestError,
    ModelFormatError,
    OfflineOnlyError,
)
from wav2edge.runtime.recognizer import load

FILES = ("model.onnx", "vocab.txt", "config.json")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained checkpoint that normalises over the utterance twice: samples, and group norm."""
    return write_tone_checkpoint(
        tmp_path_factory.mktemp("asr") / "checkpoint", "base", do_normalize=True
    )


@pytest.fixture(scope="module")
def ours(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, exported at the command line in this layout, as int8."""
    out = tmp_path_factory.mktemp("onnx-asr") / "bundle"
    clips = [str(path) for path in recordings(checkpoint)]
    line = ["export", str(checkpoint), str(out), "--layout", "onnx-asr", "--verify", *clips]
    assert main(line) == 0
    return out


@pytest.fixture
def theirs(ours: Path, tmp_path: Path) -> Path:
    """The same folder as somebody else would publish it: three files, no manifest."""
    folder = tmp_path / "published"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes((ours / name).read_bytes())
    return folder


def recordings(checkpoint: Path) -> list[Path]:
    """Recordings whose names tell what is said."""
    return sorted((checkpoint / "clips").glob("*.wav"))


def said(path: Path) -> str:
    """What is said in one."""
    return path.stem.partition("_")[2]


def read_by_contract(folder: Path, batch: list[np.ndarray]) -> list[str]:
    """Transcribe as onnx-asr's documents have it, with nothing of ours."""
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {int(id_): token for token, id_ in (line.split(" ") for line in lines if line)}
    blank = next(id_ for id_, token in vocabulary.items() if token == "<blk>")  # noqa: S105
    lengths = np.array([len(one) for one in batch], np.int64)
    values = np.stack([np.pad(one, (0, max(lengths) - len(one))) for one in batch])
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (rows,) = session.run(["logprobs"], {"input_values": values, "input_lengths": lengths})
    assert rows.dtype == np.float32
    assert rows.shape[2] == len(vocabulary)
    factor, texts = json.loads((folder / "config.json").read_text())["subsampling_factor"], []
    for one, n_samples in zip(rows, lengths, strict=True):
        ids = one[: n_samples // factor + 1].argmax(axis=1)  # as they count frames: some too many
        first = np.diff(ids, prepend=-1) != 0
        spelled = "".join(vocabulary[i] for i in ids[first & (ids != blank)])
        texts.append(spelled.replace("\u2581", " ").strip())
    return texts


def test_a_batch_says_what_each_recording_says(ours: Path, checkpoint: Path) -> None:
    """Read by the layout's contract, in a batch of several lengths, each text is what was said.

    One of them is shorter than a frame, and says nothing.
    """
    clips = [soundfile.read(path, dtype="float32")[0] for path in recordings(checkpoint)[:3]]
    expected = [said(path) for path in recordings(checkpoint)[:3]]
    half = clips[1][: len(clips[1]) // 2]
    texts = read_by_contract(ours, [*clips, half, clips[0][:399]])
    assert texts[:3] == expected
    assert len(texts[3]) in (9, 10)
    assert expected[1].startswith(texts[3])
    assert texts[4] == ""


def test_onnx_asr_itself_says_the_same(ours: Path, checkpoint: Path) -> None:
    """The package, where it is installed and knows this type of model, agrees with our runtime."""
    package = pytest.importorskip("onnx_asr", reason="onnx-asr is absent: pip install onnx-asr")
    try:
        model = package.load_model("wav2vec2-ctc", ours)
    except ValueError as error:
        pytest.skip(f"this onnx-asr does not know wav2vec2-ctc: {error}")
    recognizer = load(ours)
    for path in recordings(checkpoint):
        samples, _ = soundfile.read(path, dtype="float32")
        assert model.recognize(samples) == recognizer.transcribe(samples, 16_000).text == said(path)


def test_the_manifest_tells_where_it_comes_from(ours: Path) -> None:
    """Written by us, it is checked as every bundle: hashes, parity of its own graph, source."""
    manifest = Bundle.read(ours).manifest
    assert manifest.layout == "onnx-asr"
    assert set(manifest.files) == {*FILES, "tokens.txt"}
    assert manifest.parity["offline"]["agreement"] >= 0.98
    assert "stepped" not in manifest.parity
    assert manifest.precision["name"] == "int8"
    (ours / "vocab.txt").write_bytes((ours / "vocab.txt").read_bytes() + b" ")
    with pytest.raises(DamagedBundleError, match=r"vocab\.txt"):
        Bundle.read(ours)
    (ours / "vocab.txt").write_bytes((ours / "vocab.txt").read_bytes()[:-1])


def test_a_folder_of_somebody_else_is_transcribed_with(theirs: Path, checkpoint: Path) -> None:
    """Three files without a manifest are enough; words have the times that they were said at."""
    recognizer = load(theirs)
    for path in recordings(checkpoint)[:4]:
        transcript = recognizer.transcribe(path)
        assert transcript.text == said(path)
        word = transcript.words[0]
        assert word.start_s == pytest.approx(0.08, abs=0.1)
        assert word.end_s == pytest.approx(transcript.duration_s - 0.08, abs=0.1)
    assert recognizer.transcribe(np.zeros(399, np.float32), 16_000).text == ""


def test_a_long_recording_goes_in_windows(theirs: Path, checkpoint: Path) -> None:
    """Seams neither drop nor double a letter, whatever the blocks that audio comes in."""
    paths = recordings(checkpoint)
    samples = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths])
    assert len(samples) > 45 * 16_000
    found = load(theirs).transcribe(samples, 16_000)
    assert "".join(found.text.split()) == "".join(said(path) for path in paths)


def test_streaming_is_refused_with_what_to_do(theirs: Path, ours: Path) -> None:
    """Neither can stream, and the error says how to get one that can."""
    for folder in (theirs, ours):
        with pytest.raises(OfflineOnlyError, match=r"export the checkpoint .* transcribe works"):
            load(folder).stream()


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt"])
def test_a_missing_file_is_named(theirs: Path, name: str) -> None:
    """Each of the files is missed by name."""
    (theirs / name).unlink()
    with pytest.raises(BundleNotFoundError, match=name):
        load(theirs)


@pytest.mark.parametrize(
    ("name", "contents", "error", "reason"),
    [
        ("vocab.txt", "a b 0\n", DamagedBundleError, "a token, a space and its id"),
        ("vocab.txt", "a 0\nb 1\n", DamagedBundleError, "<blk>"),
        ("vocab.txt", "<blk> 0\na 99\n", DamagedBundleError, "ids from 0 on"),
        ("vocab.txt", "<blk> 0\na 1\na 2\n", DamagedBundleError, "'a' has the ids"),
        ("vocab.txt", "", DamagedBundleError, "<blk>"),
        (
            "config.json",
            '{"model_type": "wav2vec2-ctc", "subsampling_factor": "x"}',
            ManifestError,
            "subsampling_factor is 'x'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    theirs: Path, name: str, contents: str, error: type[Exception], reason: str
) -> None:
    """Files that do not follow the layout are an error that says what was expected."""
    (theirs / name).write_text(contents)
    with pytest.raises(error, match=reason):
        load(theirs)


def test_a_graph_of_another_layout_is_refused(theirs: Path, tiny_bundle: Path) -> None:
    """A model without these inputs is named as such."""
    (theirs / "model.onnx").write_bytes((tiny_bundle / "model.onnx").read_bytes())
    with pytest.raises(ModelFormatError, match="input_values"):
        load(theirs)


def test_info_tells_what_there_is_to_tell(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`wav2edge info` of such a folder says that it is one, and what it does not know."""
    assert main(["info", str(theirs)]) == 0
    text = capsys.readouterr().out
    assert "onnx-asr: whole recordings alone, no streams" in text
    assert "parity     not measured" in text


def test_another_rate_is_refused_before_anything_is_traced(tmp_path: Path) -> None:
    """onnx-asr runs this type at 16 kHz; a checkpoint of 8 kHz would be run at twice its speed."""
    source = write_checkpoint(tmp_path / "checkpoint", "odd")
    config = source / "preprocessor_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "sampling_rate": 8000}))
    with pytest.raises(UnsupportedCheckpointError, match="8000 Hz"):
        convert.export(str(source), tmp_path / "out", layout="onnx-asr", precision="float32")


def test_equal_to_transformers_in_float32(tmp_path: Path) -> None:
    """The graph of a kind that asks for the start is the checkpoint, alone or in a batch."""
    source = write_checkpoint(tmp_path / "checkpoint", "data2vec", do_normalize=True)
    rng = np.random.default_rng(0)
    batch = (0.1 * rng.standard_normal((3, 20_000))).astype(np.float32)
    soundfile.write(tmp_path / "clip.wav", batch[0], 16_000, subtype="FLOAT")
    done = convert.export(
        str(source),
        tmp_path / "out",
        layout="onnx-asr",
        precision="float32",
        verify=[tmp_path / "clip.wav"],
    )
    assert done.parity.offline.largest_difference < 1e-5
    session = onnxruntime.InferenceSession(
        done.bundle.model_path, providers=["CPUExecutionProvider"]
    )
    lengths, checkpoint = [20_000, 400, 7777], load_checkpoint(str(source))
    (rows,) = session.run(None, {"input_values": batch, "input_lengths": np.array(lengths)})
    for one, samples, n_samples in zip(rows, batch, lengths, strict=True):
        logits = checkpoint.logits(torch.from_numpy(samples[:n_samples]))
        expected = torch.log_softmax(logits, dim=-1).numpy()
        np.testing.assert_allclose(one[: len(expected)], expected, atol=2e-6, rtol=5e-7)
        assert not one[len(expected) :].argmax(axis=1).any()  # blank, token 0
