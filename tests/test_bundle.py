"""Bundles: written whole or not at all, and refused by name when anything of them does not fit."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import FACTS, HOP, RECEPTIVE_FIELD, TOKENS, tiny_model

from wav2edge.lm.errors import Wav2EdgeError
from wav2edge.runtime.bundle import MANIFEST, MODEL, Bundle
from wav2edge.runtime.bundle import TOKENS as TOKENS_FILE
from wav2edge.runtime.errors import (
    BundleError,
    BundleExistsError,
    BundleNotFoundError,
    DamagedBundleError,
    ManifestError,
    ModelFormatError,
    SchemaError,
    UnsafePathError,
)

MODEL_BYTES = b"any bytes: a bundle does not look into its model"


def write(folder: Path, **options: Any) -> Bundle:  # noqa: ANN401
    """Write the tiny facts with a model that is none."""
    facts = {**FACTS, **options.pop("facts", {})}
    return Bundle.write(folder, facts, **{"model": MODEL_BYTES, "tokens": TOKENS, **options})


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The folder of a bundle, to be damaged."""
    return write(tmp_path / "bundle").folder


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle in place."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


# --- writing and reading -------------------------------------------------------------------------


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A bundle read back holds the facts, the alphabet and the files it was written with."""
    written = write(tmp_path / "new" / "bundle", others={"README.md": b"# Card\n"})
    found = Bundle.read(written.folder)
    assert found == written
    assert found.manifest.hop_samples == HOP
    assert found.manifest.receptive_field_samples == RECEPTIVE_FIELD
    assert found.manifest.conv_kernels == tuple(FACTS["conv_kernels"])
    assert found.alphabet.tokens == TOKENS
    assert (found.alphabet.blank_id, found.alphabet.delimiter_id) == (0, 1)
    assert found.alphabet.special_ids == (9,)
    assert found.model_path.read_bytes() == MODEL_BYTES
    assert {path.name for path in found.folder.iterdir()} == {
        MANIFEST,
        MODEL,
        TOKENS_FILE,
        "README.md",
    }


def test_the_files_are_as_documented(bundle: Path) -> None:
    """tokens.txt is a token a line; manifest.json has schema 2 and the size of every other file."""
    assert (bundle / TOKENS_FILE).read_bytes() == b"".join(f"{t}\n".encode() for t in TOKENS)
    manifest = json.loads((bundle / MANIFEST).read_text("utf-8"))
    assert manifest["schema"] == 2
    assert {name: facts["bytes"] for name, facts in manifest["files"].items()} == {
        MODEL: len(MODEL_BYTES),
        TOKENS_FILE: (bundle / TOKENS_FILE).stat().st_size,
    }


def test_the_same_bundle_twice_is_the_same_bytes(tmp_path: Path) -> None:
    """Writing has no clock and no chance in it."""
    folders = [write(tmp_path / name).folder for name in ("one", "two")]
    for name in (MANIFEST, MODEL, TOKENS_FILE):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1


def test_a_model_file_is_copied(tmp_path: Path) -> None:
    """A model may be given as a path; it stays where it was."""
    model = tmp_path / "some.onnx"
    model.write_bytes(MODEL_BYTES)
    assert write(tmp_path / "bundle", model=model).model_path.read_bytes() == MODEL_BYTES
    assert model.is_file()


def test_tokens_of_any_script_survive(tmp_path: Path) -> None:
    """Tokens keep blanks, separators of other alphabets, and several characters."""
    tokens = ("<pad>", " ", "ß", "tʃ", "\u2028", "り", "\r", "x y")
    facts = {"vocabulary_size": 8, "word_delimiter_id": 1, "special_ids": []}
    write(tmp_path / "bundle", tokens=tokens, facts=facts)
    assert Bundle.read(tmp_path / "bundle").alphabet.tokens == tokens


def test_a_written_bundle_is_readable_by_others(bundle: Path) -> None:
    """The folder and its files have the permissions that the user's umask gives."""
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o777 & ~umask
    assert stat.S_IMODE((bundle / MODEL).stat().st_mode) == 0o666 & ~umask


# --- a failed write leaves nothing ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"facts": {"hop_samples": 81}}, ManifestError, "receptive field and hop"),
        ({"facts": {"blank_id": 10}}, ManifestError, "blank_id is 10"),
        ({"tokens": TOKENS[:-1]}, DamagedBundleError, "9 lines, the model has 10 tokens"),
        ({"tokens": ("a\nb", *TOKENS[1:])}, ManifestError, "cannot hold a newline"),
        ({"others": {"../card.md": b""}}, UnsafePathError, "leads out"),
        ({"model": Path("no such model.onnx")}, FileNotFoundError, "no such model"),
    ],
)
def test_a_failed_write_leaves_nothing(
    options: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    """Facts that do not fit raise, and neither the folder nor any draft of it is left."""
    with pytest.raises(kind, match=message):
        write(tmp_path / "bundle", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the disk refuses half-way leaves nothing, and the bundle that was there."""
    old = write(tmp_path / "bundle")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    model = tmp_path / "model"
    model.write_bytes(b"newer")
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "bundle", model=model, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model"]
    assert Bundle.read(old.folder) == old


def test_a_bundle_is_replaced_only_on_request(bundle: Path) -> None:
    """A folder that holds a bundle is refused, unless it is asked for."""
    with pytest.raises(BundleExistsError, match="holds a bundle already"):
        write(bundle, model=b"newer")
    assert Bundle.read(bundle).model_path.read_bytes() == MODEL_BYTES
    write(bundle, model=b"newer", overwrite=True)
    assert Bundle.read(bundle).model_path.read_bytes() == b"newer"
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_nothing_but_a_bundle_is_replaced(tmp_path: Path) -> None:
    """A folder of other things is never replaced; an empty one may be used."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (tmp_path / "file").write_bytes(b"file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleExistsError, match="holds other things"):
        write(tmp_path / "photos", overwrite=True)
    with pytest.raises(BundleExistsError, match="is a file"):
        write(tmp_path / "file", overwrite=True)
    assert write(tmp_path / "empty").model_path.is_file()
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"


# --- bad bundles ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [MODEL, TOKENS_FILE, MANIFEST])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    """A bundle without one of its files is refused, naming the file."""
    (bundle / name).unlink()
    with pytest.raises(BundleNotFoundError, match=name):
        Bundle.read(bundle)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    """A folder that is not there, or is a file, is refused by name."""
    with pytest.raises(BundleNotFoundError, match="nowhere does not exist"):
        Bundle.read(tmp_path / "nowhere")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(BundleNotFoundError, match="is a file, and a bundle is a folder"):
        Bundle.read(tmp_path / "model.onnx")


def test_a_changed_byte_is_found(bundle: Path) -> None:
    """One flipped bit in the model is a wrong hash."""
    model = bundle / MODEL
    model.write_bytes(bytes([MODEL_BYTES[0] ^ 1]) + MODEL_BYTES[1:])
    with pytest.raises(DamagedBundleError, match=r"has SHA-256 .*the manifest says"):
        Bundle.read(bundle)


def test_a_shorter_file_is_found(bundle: Path) -> None:
    """A copy that was cut short is told by its size."""
    (bundle / MODEL).write_bytes(MODEL_BYTES[:-1])
    with pytest.raises(DamagedBundleError, match="has 47 bytes, the manifest says 48"):
        Bundle.read(bundle)


def test_windows_line_ends_are_found(bundle: Path) -> None:
    """A tokens.txt that some tool rewrote is not the one that was written."""
    tokens = bundle / TOKENS_FILE
    tokens.write_bytes(tokens.read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(DamagedBundleError, match="bytes"):
        Bundle.read(bundle)


@pytest.mark.parametrize(
    ("schema", "remedy"),
    [(3, "update wav2edge"), (1, "export the model again"), (0, "export the model")],
)
def test_another_schema_is_refused(bundle: Path, schema: int, remedy: str) -> None:
    """A manifest of another schema says which, and what to do; nothing else of it is read."""
    (bundle / MANIFEST).write_text(json.dumps({"schema": schema}))
    with pytest.raises(
        SchemaError, match=f"schema {schema}, this version knows schema 2: {remedy}"
    ):
        Bundle.read(bundle)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"text"', "[" * 100_000, '{"schema": "1"}', '{"schema": true}', "\0"],
)
def test_a_manifest_that_is_none_is_refused(bundle: Path, text: str) -> None:
    """What is no JSON object with a schema is a ManifestError, whatever it is."""
    (bundle / MANIFEST).write_text(text)
    with pytest.raises(ManifestError, match=MANIFEST):
        Bundle.read(bundle)


def test_a_manifest_of_a_gigabyte_is_not_read(bundle: Path) -> None:
    """A file that is no manifest is refused by its size alone."""
    with (bundle / MANIFEST).open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(ManifestError, match="1073741824 bytes"):
        Bundle.read(bundle)


@pytest.mark.parametrize("key", [*FACTS, "files"])
def test_every_key_is_needed(bundle: Path, key: str) -> None:
    """A manifest without one of its keys is refused, naming the key."""
    edit(bundle, lambda manifest: manifest.pop(key))
    with pytest.raises(ManifestError, match=f"lacks the key '{key}'"):
        Bundle.read(bundle)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", 3, "name is 3, expected text"),
        ("hidden_size", 1.0, "hidden_size is 1.0, expected a whole number"),
        ("hidden_size", True, "hidden_size is True, expected a whole number"),
        ("hidden_size", 0, "hidden_size is 0, expected 1 to"),
        ("layers", 10**12, "layers is 10{12}, expected 1 to"),
        ("position_left_frames", -1, "position_left_frames is -1"),
        ("conv_kernels", "10", "conv_kernels is '10', expected a list of whole numbers"),
        ("conv_kernels", [20], "1 conv_kernels and 2 conv_strides"),
        ("conv_strides", [10, 0], r"conv_strides\[1\] is 0"),
        ("hop_samples", 320, r"receptive field and hop as \(90, 320\) samples"),
        ("do_normalize", 1, "do_normalize is 1, expected true or false"),
        ("normalization_prior", 7, "normalization_prior is 7, expected an object"),
        ("word_delimiter_id", 99, "delimiter_id is 99"),
        ("special_ids", [0], "blank_id is 0, which special_ids masks"),
        ("files", {"model.onnx": {}}, "sha256 and bytes"),
        ("files", {}, "does not list model.onnx"),
        ("source", "x" * 1000, r"source is 'x+\.\.\., expected an object"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    bundle: Path, key: str, value: object, message: str
) -> None:
    """A value of a wrong type, or that contradicts another, is refused with what was expected."""
    edit(bundle, lambda manifest: manifest.update({key: value}))
    with pytest.raises(ManifestError, match=message):
        Bundle.read(bundle)


def test_unknown_keys_are_left_alone(bundle: Path) -> None:
    """A later version may add a key without breaking this one."""
    edit(bundle, lambda manifest: manifest.update({"colour": "blue"}))
    assert Bundle.read(bundle).manifest.name == "tiny"


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/hostname",
        "a/../../secret",
        "..\\secret",
        "C:secret",
        "C:\\secret",
        "",
        ".",
        "a//b",
        "nul\0byte",
    ],
)
def test_a_name_that_leaves_the_folder_is_refused(bundle: Path, name: str) -> None:
    """Absolute names, `..`, backslashes and drives are refused on every system, unopened."""
    (bundle.parent / "secret").write_bytes(b"secret")
    edit(bundle, lambda manifest: manifest["files"].update({name: {"sha256": "", "bytes": 6}}))
    with pytest.raises(UnsafePathError, match="leads out of the bundle"):
        Bundle.read(bundle)


@pytest.mark.parametrize("name", [MODEL, TOKENS_FILE, MANIFEST])
def test_a_link_out_of_the_folder_is_refused(bundle: Path, name: str) -> None:
    """A file that is a link to one outside is refused, though its bytes are the right ones."""
    outside = bundle.parent / "outside"
    (bundle / name).rename(outside)
    (bundle / name).symlink_to(outside)
    with pytest.raises(UnsafePathError, match=name):
        Bundle.read(bundle)


def test_links_inside_and_to_the_folder_are_fine(bundle: Path) -> None:
    """A bundle may be reached through a link, and link to its own files."""
    (bundle / MODEL).rename(bundle / "weights")
    (bundle / MODEL).symlink_to("weights")
    link = bundle.parent / "link"
    link.symlink_to(bundle)
    assert Bundle.read(link).manifest.name == "tiny"


def test_a_loop_of_links_is_refused(bundle: Path) -> None:
    """Links that lead to each other end in an error, not in a loop."""
    (bundle / MODEL).unlink()
    (bundle / MODEL).symlink_to(MODEL)
    with pytest.raises((UnsafePathError, BundleNotFoundError)):
        Bundle.read(bundle)


def test_errors_are_also_built_ins() -> None:
    """Whoever knows only Python catches these as what they are."""
    pairs = {
        BundleNotFoundError: FileNotFoundError,
        BundleExistsError: FileExistsError,
        ManifestError: ValueError,
        SchemaError: ValueError,
        DamagedBundleError: ValueError,
        UnsafePathError: ValueError,
        ModelFormatError: ValueError,
    }
    for leaf, built_in in pairs.items():
        assert issubclass(leaf, built_in)
        assert issubclass(leaf, BundleError)
        assert issubclass(leaf, Wav2EdgeError)


def test_the_tiny_model_is_deterministic() -> None:
    """The model that other tests predict is the same bytes whenever it is built."""
    assert tiny_model().SerializeToString() == tiny_model().SerializeToString()


@pytest.mark.parametrize("value", [1.5, -0.1, "half", None, True])
def test_a_rejection_threshold_is_a_share(bundle: Path, value: object) -> None:
    """It may be left out, which keeps everything; what is no number from 0 to 1 is refused."""
    assert Bundle.read(bundle).manifest.reject_below == 0.0
    edit(bundle, lambda manifest: manifest.update(reject_below=0.5))
    assert Bundle.read(bundle).manifest.reject_below == 0.5
    edit(bundle, lambda manifest: manifest.update(reject_below=value))
    with pytest.raises(ManifestError, match="reject_below"):
        Bundle.read(bundle)


def test_weights_beside_a_model_come_along_and_are_checked(tmp_path: Path) -> None:
    """A model's second file is copied, listed, and refused when it is damaged or not listed."""
    model = tmp_path / "large.onnx"
    model.write_bytes(MODEL_BYTES)
    (tmp_path / "large.onnx.data").write_bytes(b"weights")
    bundle = write(tmp_path / "bundle", model=model)
    weights = bundle.folder / "model.onnx.data"
    assert weights.read_bytes() == b"weights"
    assert bundle.manifest.files[weights.name].bytes == 7
    weights.write_bytes(b"Weights")
    with pytest.raises(DamagedBundleError, match="SHA-256"):
        Bundle.read(bundle.folder)
    with pytest.raises(DamagedBundleError, match="SHA-256"), Bundle.reading(bundle.folder) as found:
        raise ModelFormatError(f"{found.model_path}: what damaged weights may lead to")
    weights.write_bytes(b"Weight")
    with pytest.raises(DamagedBundleError, match="6 bytes"), Bundle.reading(bundle.folder):
        raise AssertionError("nothing may be done with a file that is too short")
    other = write(tmp_path / "other", model=MODEL_BYTES).folder
    (other / "model.onnx.data").write_bytes(b"weights")
    with pytest.raises(DamagedBundleError, match=r"model\.onnx\.data is not what"):
        Bundle.read(other)
