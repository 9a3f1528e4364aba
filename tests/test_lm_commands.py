"""`wav2edge lm`: models built, measured, and carried by bundles, from the command line."""

import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_bundle import FACTS, TOKENS

from wav2edge import cli
from wav2edge.lm.errors import (
    DecoderError,
    LanguageModelError,
    LanguageModelReadError,
    VocabularyMismatchError,
)
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.ngram import load_language_model
from wav2edge.runtime.attachment import attach, attached_model, detach
from wav2edge.runtime.bundle import MANIFEST, Bundle
from wav2edge.runtime.errors import BundleError, DamagedBundleError, ManifestError

FEW = "a b\na c\na b\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Three sentences of the tiny bundle's letters."""
    path = tmp_path / "few.txt"
    path.write_text(FEW, encoding="utf-8")
    return path


@pytest.fixture
def arpa(text: Path, tmp_path: Path) -> Path:
    """A bigram model of them."""
    path = tmp_path / "lm.arpa"
    assert (
        cli.main(["lm", "build", str(text), "-o", str(path), "--order", "2", "--discount-fallback"])
        == 0
    )
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of capital letters, to be given a language model."""
    return Bundle.write(tmp_path / "bundle", FACTS, model=b"no model", tokens=TOKENS).folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- build and perplexity ------------------------------------------------------------------------


def test_build_writes_a_model_and_its_words(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lm build` writes ARPA and word list, and says what it made and what was set for it."""
    monkeypatch.setenv("PATH", str(tmp_path))  # no build_binary
    out = tmp_path / "lm.arpa"
    command = ["lm", "build", str(text), "-o", str(out), "--order", "2", "--discount-fallback"]
    assert cli.main(command) == 0
    said, complaints = capsys.readouterr()
    assert complaints == ""
    assert "6 words in 3 sentences" in said
    assert "6 1-grams, 5 2-grams" in said
    assert "the fallback's, for order 1" in said
    assert set(load_language_model(out, None).words) == {"a", "b", "c"}
    assert (tmp_path / "lm.words.txt").read_text(encoding="utf-8") == "a\nb\nc\n"


def test_build_writes_text_as_a_model_does(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --alphabet words come in the model's case, without signs, and strangers are counted."""
    source = tmp_path / "text.txt"
    source.write_text("A, bad Cab!\na cab (xylophone)\n" * 2, encoding="utf-8")
    out = tmp_path / "lm.arpa"
    command = ["lm", "build", str(source), "-o", str(out), "--alphabet", str(bundle)]
    assert cli.main([*command, "--order", "2", "--discount-fallback", "0.5", "1", "1.5"]) == 0
    assert set(load_language_model(out, None).words) == {"A", "BAD", "CAB", "XYLOPHONE"}
    assert "1 of 4 words cannot be spelled, such as XYLOPHONE" in capsys.readouterr().out


def test_build_keeps_the_words_of_a_list(text: Path, tmp_path: Path) -> None:
    """--vocab and --normalize go together: the list is written as the text is."""
    listed = tmp_path / "list.txt"
    listed.write_text("a\nB\n", encoding="utf-8")
    out = tmp_path / "lm.arpa"
    command = ["lm", "build", str(text), "-o", str(out), "--order", "2", "--discount-fallback"]
    assert cli.main([*command, "--vocab", str(listed), "--normalize", "upper"]) == 0
    assert set(load_language_model(out, None).words) == {"A", "B"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "too small or too regular"),
        (["--order", "9"], "the order is 9, expected 1 to 6"),
        (["--prune", "2", "1"], "none smaller than the one before"),
        (["--discount-fallback", "0.5"], "takes three numbers or none"),
        (["--vocab", "none.txt"], "there is no word list none.txt"),
        (["--engine", "lmplz"], "lmplz is not on PATH"),
        (["--normalize", "upper", "--alphabet", "x"], "not allowed with"),
        (["--alphabet", "nowhere"], "bundle nowhere does not exist"),
    ],
)
def test_a_model_that_cannot_be_is_one_line(
    text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    """Whatever does not fit is one line and status 2, and leaves no file."""
    monkeypatch.setenv("PATH", str(tmp_path))
    before = contents(tmp_path)
    assert cli.main(["lm", "build", str(text), "-o", str(tmp_path / "lm.arpa"), *options]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert contents(tmp_path) == before


def test_perplexity_counts_unknown_words(
    arpa: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lm perplexity` tells words, unknown words, and the perplexity with and without them."""
    capsys.readouterr()
    assert cli.main(["lm", "perplexity", str(arpa), str(text)]) == 0
    assert "0 words, 0.00%" in capsys.readouterr().out
    other = tmp_path / "other.txt"
    other.write_text("a zebra\n", encoding="utf-8")
    assert cli.main(["lm", "perplexity", str(arpa), str(other)]) == 0
    assert "1 words, 50.00%" in capsys.readouterr().out


# --- bundles -------------------------------------------------------------------------------------


def test_a_bundle_carries_its_model(
    bundle: Path, arpa: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `lm attach` the bundle is whole by itself: model, options, hashes."""
    assert attached_model(Bundle.read(bundle)) is None
    command = ["lm", "attach", str(bundle), str(arpa), "--alpha", "0.75", "--beta", "-1"]
    command += ["--blank-penalty", "0.5"]
    assert cli.main(command) == 0
    assert "3 of 3 can be heard" in capsys.readouterr().out
    arpa.unlink()
    found = attached_model(Bundle.read(bundle))
    assert found is not None
    model, options = found
    assert set(model.words) == {"A", "B", "C"}
    assert (options.alpha, options.beta, options.beam_width) == (0.75, -1.0, 100)
    assert options.blank_penalty == 0.5
    said = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    assert said["language_model"]["file"] in said["files"]
    assert cli.main(["info", str(bundle)]) == 0
    assert "alpha 0.75, beta -1" in capsys.readouterr().out


def test_a_model_of_all_that_is_said_is_attached_as_such(bundle: Path, arpa: Path) -> None:
    """Its options are those of a domain, but for what is said otherwise."""
    assert cli.main(["lm", "attach", str(bundle), str(arpa), "--domain", "--alpha", "2"]) == 0
    found = attached_model(Bundle.read(bundle))
    assert found is not None
    assert found[1] == replace(BeamOptions.of_domain(), alpha=2.0)


def test_another_model_takes_its_place(bundle: Path, arpa: Path, text: Path) -> None:
    """Attaching again leaves the new model alone; attaching the same one changes options alone."""
    attach(Bundle.read(bundle), arpa, options={"alpha": 1})
    once = contents(bundle)
    attach(Bundle.read(bundle), arpa, options={"alpha": 2})
    assert {name for name, body in contents(bundle).items() if once.get(name) != body} == {MANIFEST}
    other = arpa.with_name("other.arpa")
    command = ["lm", "build", str(text), "-o", str(other), "--order", "1", "--discount-fallback"]
    assert cli.main(command) == 0
    attach(Bundle.read(bundle), other)
    found = attached_model(Bundle.read(bundle))
    assert found is not None
    assert found[0].order == 1
    assert len(list((bundle / "lm").iterdir())) == 1


def test_detaching_gives_the_bundle_back(bundle: Path, arpa: Path) -> None:
    """Without its language model a bundle holds the files that it had before."""
    before = contents(bundle)
    attach(Bundle.read(bundle), arpa)
    assert cli.main(["lm", "detach", str(bundle)]) == 0
    after = contents(bundle)
    assert {name for name in after if after[name] != before.get(name)} == {MANIFEST}
    assert not (bundle / "lm").exists()
    assert Bundle.read(bundle).manifest.language_model is None


def test_a_binary_brings_its_words(bundle: Path, text: Path, tmp_path: Path) -> None:
    """A KenLM binary is attached with its word list, under names of the bundle's own."""
    pytest.importorskip("kenlm", reason="the package kenlm is not installed (extra lm)")
    if shutil.which("build_binary") is None:
        pytest.skip("KenLM's build_binary is not on PATH")
    command = ["lm", "build", str(text), "-o", str(tmp_path / "lm.arpa"), "--order", "2"]
    assert cli.main([*command, "--discount-fallback"]) == 0
    changed, _ = attach(Bundle.read(bundle), tmp_path / "lm.bin")
    said = changed.manifest.language_model
    assert said is not None
    assert said.words is not None
    (tmp_path / "lm.bin").unlink()
    found = attached_model(Bundle.read(bundle))
    assert found is not None
    assert set(found[0].words) == {"A", "B", "C"}
    (bundle / said.words).write_text("D\nE\n", encoding="utf-8")
    with pytest.raises(DamagedBundleError, match="words-"):
        Bundle.read(bundle)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1.0}, "alpha is -1.0, expected 0 or more"),
        ({"alfa": 1.0}, "option 'alfa' is unknown"),
        ({"alpha": "much"}, "option alpha is 'much', expected a number"),
    ],
)
def test_options_that_mean_nothing_change_nothing(
    bundle: Path, arpa: Path, options: dict[str, object], message: str
) -> None:
    """An option that a beam search does not have leaves the bundle as it was."""
    before = contents(bundle)
    with pytest.raises(DecoderError, match=message):
        attach(Bundle.read(bundle), arpa, options=options)
    assert contents(bundle) == before


def test_a_model_that_cannot_be_loaded_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    """A damaged model, or one of another writing, leaves the bundle as it was."""
    before = contents(bundle)
    bad = tmp_path / "bad.arpa"
    bad.write_text("\\data\\\nngram 1=3\n", encoding="utf-8")
    with pytest.raises(LanguageModelError):
        attach(Bundle.read(bundle), bad)
    bad.write_text(
        "\\data\\\nngram 1=3\n\n\\1-grams:\n-1 <s>\n-1 </s>\n-1 μ\n\n\\end\\\n", encoding="utf-8"
    )
    with pytest.raises(VocabularyMismatchError):
        attach(Bundle.read(bundle), bad)
    assert contents(bundle) == before


def test_a_disk_that_takes_nothing_changes_nothing(
    bundle: Path, arpa: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the disk fails, the bundle is as it was, and the error is typed."""
    before = contents(bundle)
    real = os.fsync
    for survives in range(2):
        left = [survives]

        def fails(number: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            real(number)

        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(LanguageModelReadError, match="No space left"):
            attach(Bundle.read(bundle), arpa)
        assert contents(bundle) == before
    monkeypatch.undo()
    assert Bundle.read(bundle).manifest.language_model is None


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path, arpa: Path) -> None:
    """What is no bundle is given no model."""
    with pytest.raises(BundleError):
        attach(Bundle.read(tmp_path), arpa)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"file": "lm/none.arpa", "words": None, "options": {}}, "does not list lm/none.arpa"),
        ({"file": "../lm.arpa", "words": None, "options": {}}, "does not list"),
        ({"file": "model.onnx"}, "language_model is .*, expected file, words and options"),
        ("lm.arpa", "language_model is 'lm.arpa', expected an object"),
    ],
)
def test_a_manifest_that_tells_of_another_model_is_refused(
    bundle: Path, said: object, message: str
) -> None:
    """The language model is among the bundle's files and has all its facts, or it is refused."""
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    manifest["language_model"] = said
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        Bundle.read(bundle)


def test_options_of_a_manifest_are_checked_when_they_are_used(bundle: Path, arpa: Path) -> None:
    """An option that another version wrote, and this one does not know, is told."""
    attach(Bundle.read(bundle), arpa)
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    manifest["language_model"]["options"] = {"gamma": 1}
    (bundle / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ManifestError, match="option 'gamma' is unknown"):
        attached_model(Bundle.read(bundle))


def test_detaching_from_a_bundle_without_one_is_nothing(bundle: Path) -> None:
    """A bundle without a language model stays one."""
    assert detach(Bundle.read(bundle)).manifest.language_model is None
    assert stat.S_ISREG((bundle / MANIFEST).stat().st_mode)


def test_a_model_of_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences are drawn of phrases, beside text or without; neither is wrong use."""
    phrases, text, out = tmp_path / "home.txt", tmp_path / "text.txt", tmp_path / "lm.arpa"
    phrases.write_text("turn (on|off) the light[s]\n", encoding="utf-8")
    text.write_text("Good night\n", encoding="utf-8")
    made = ["lm", "build", "-o", str(out), "--discount-fallback", "--normalize", "upper"]
    assert cli.main([*made, "--phrases", str(phrases), "--draw", "50"]) == 0
    assert "200 words in 50 sentences" in capsys.readouterr().out
    words = out.with_suffix(".words.txt").read_text(encoding="utf-8").split()
    assert sorted(words) == ["LIGHT", "LIGHTS", "OFF", "ON", "THE", "TURN"]
    assert cli.main([*made, str(text), "--phrases", str(phrases), "--draw", "50"]) == 0
    assert "202 words in 51 sentences" in capsys.readouterr().out
    assert cli.main([*made, "--phrases", str(tmp_path / "gone.txt")]) == 2
    assert "expected a file of phrases" in capsys.readouterr().err
    assert cli.main(made) == 2
    assert "name a TEXT, or --phrases" in capsys.readouterr().err
