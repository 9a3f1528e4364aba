"""Our beam search against pyctcdecode 0.5.0, and the folders of pyctcdecode read and written."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyctcdecode_cases import Case, make_cases, vocabulary, write_cases, write_trigrams
from spelled import LETTERS, SYLLABLES, log_softmax, said

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.arpa import ArpaModel
from wav2edge.lm.beam import BeamDecoder
from wav2edge.lm.errors import (
    DecoderError,
    DecoderFolderError,
    DecoderFolderNotFoundError,
    PyctcdecodeMissingError,
)
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.pyctcdecode_decoder import PyctcdecodeDecoder
from wav2edge.lm.pyctcdecode_folder import labels_of, read_decoder_folder, write_decoder_folder

N_CASES = 5000
Found = list[tuple[str, float, float]]
"""Text, acoustic score and score of each case."""


@pytest.fixture(scope="module")
def reference_python(root: Path) -> Path:
    """The interpreter of pyctcdecode's own environment."""
    python = root / ".venv-pyctcdecode" / "bin" / "python"
    if not (python.parents[1] / "installed").is_file():
        pytest.skip("no .venv-pyctcdecode: make test makes it (pip, g++ and cmake are needed)")
    return python


@pytest.fixture(scope="module")
def reference(
    reference_python: Path, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[Case]], Found]:
    """What decodes cases with pyctcdecode."""

    def decode(cases: list[Case]) -> Found:
        folder = tmp_path_factory.mktemp("cases")
        write_cases(cases, folder / "cases.json")
        script = root / "tests" / "pyctcdecode_reference.py"
        subprocess.run(
            [reference_python, script, folder / "cases.json", folder / "found.json"],
            env={**os.environ, "PYTHONPATH": str(root)},
            check=True,
            capture_output=True,
        )
        found: Found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
        return found

    return decode


def ours(cases: list[Case]) -> Found:
    """Decode cases with our search, forced commits off."""
    decoders: dict[str, BeamDecoder] = {}
    found: Found = []
    for case in cases:
        key = json.dumps([case.alphabet.tokens, str(case.model), case.options])
        if key not in decoders:
            model = None if case.model is None else ArpaModel.read(case.model, case.alphabet)
            options = BeamOptions(
                **case.options, commit_s=None, max_tokens=None, empty_last_word=True
            )
            decoders[key] = BeamDecoder(case.alphabet, model, options=options)
        decoder = decoders[key]
        state = decoder.with_hotwords(decoder.start(), case.hotwords)
        final, state = decoder.advance(state, case.log_probs)
        best = decoder.nbest(state, 1)[0]
        separator = case.alphabet.separator
        text = separator.join([*(word.text for word in final), *([best.text] * bool(best.text))])
        found.append((text, best.acoustic_score, best.score))
    return found


def differ(one: tuple[str, float, float], other: tuple[str, float, float]) -> bool:
    """Tell whether texts differ, or scores by more than 1e-3."""
    scores = zip(one[1:], other[1:], strict=True)
    return one[0] != other[0] or any(abs(a - b) > 1e-3 for a, b in scores)


def test_we_find_what_pyctcdecode_finds(
    reference: Callable[[list[Case]], Found], tmp_path: Path, root: Path
) -> None:
    """Of 5,000 cases 99.9 % are equal in text and score; the others are ties of beams.

    A tie is proved by moving every log-prob by about 1e-5, so that no two beams score the same:
    then both find the same.
    """
    named = os.environ.get("WAV2EDGE_DATA")
    data = Path(named) if named else root.parent / "shared" / "data"
    libri = data / "text" / "pyctcdecode_libri_logits.json.gz"
    cases = make_cases(N_CASES, tmp_path, libri if libri.is_file() else None)
    pairs = zip(ours(cases), reference(cases), strict=True)
    unequal = [case for case, (one, other) in zip(cases, pairs, strict=True) if differ(one, other)]
    assert len(unequal) <= N_CASES / 1000
    moved = [_moved(case, seed) for case in unequal for seed in range(3)]
    if moved:
        again = zip(ours(moved), reference(moved), strict=True)
        assert not any(differ(one, other) for one, other in again)


def _moved(case: Case, seed: int) -> Case:
    noise = np.random.default_rng(seed).normal(0, 1e-5, case.log_probs.shape)
    return replace(case, log_probs=log_softmax(case.log_probs.astype(np.float64) + noise))


def test_the_cases_are_worth_it(tmp_path: Path) -> None:
    """Half the cases have a language model, many hotwords, and all kinds of options occur."""
    cases = make_cases(1000, tmp_path, None)
    assert 400 < sum(case.model is not None for case in cases) < 600
    assert 300 < sum(bool(case.hotwords) for case in cases) < 500
    assert {case.options["beam_width"] for case in cases} == {1, 2, 5, 10, 20, 50, 100}
    assert {case.alphabet.separator for case in cases} == {"", " "}
    assert len({text for text, _, _ in ours(cases[:200])}) > 150


def test_a_folder_of_ours_is_read_by_pyctcdecode(reference_python: Path, tmp_path: Path) -> None:
    """Pyctcdecode loads what we write, with the same labels, words and weights."""
    words = vocabulary(LETTERS, 1)
    arpa = write_trigrams(tmp_path / "small.arpa", words, 0)
    options = BeamOptions(alpha=0.7, beta=0.25, unknown_word_score=-4.0, score_boundary=False)
    write_decoder_folder(tmp_path / "made", LETTERS, model=arpa, words=words, options=options)
    script = (
        "import sys, json; from pyctcdecode import BeamSearchDecoderCTC as B;"
        "d = B.load_from_dir(sys.argv[1]); m = d._language_model;"
        "d.save_to_dir(sys.argv[2]);"
        "print(json.dumps([d._alphabet.labels, sorted(m._unigram_set), m.serializable_attrs]))"
    )
    (tmp_path / "theirs").mkdir()
    done = subprocess.run(
        [reference_python, "-c", script, tmp_path / "made", tmp_path / "theirs"],
        check=True,
        capture_output=True,
        text=True,
    )
    labels, unigrams, weights = json.loads(done.stdout.splitlines()[-1])
    assert tuple(labels) == labels_of(LETTERS)
    assert unigrams == words
    assert weights == {
        "alpha": 0.7,
        "beta": 0.25,
        "unk_score_offset": -4.0,
        "score_boundary": False,
    }
    read = read_decoder_folder(tmp_path / "theirs")
    assert (read.labels, read.options) == (labels_of(LETTERS), options)
    assert read.model is not None
    assert read.model.read_bytes() == arpa.read_bytes()


def test_a_folder_makes_a_decoder(tmp_path: Path) -> None:
    """What was written decodes as the decoder that it was written from."""
    words = vocabulary(LETTERS, 1)
    arpa = write_trigrams(tmp_path / "small.arpa", words, 0)
    options = BeamOptions(alpha=0.7, beta=0.25)
    write_decoder_folder(tmp_path / "made", LETTERS, model=arpa, words=words, options=options)
    folder = read_decoder_folder(tmp_path / "made")
    from_folder = folder.decoder(LETTERS)
    direct = BeamDecoder(LETTERS, ArpaModel.read(arpa, LETTERS), options=options)
    frames = said(" ".join(words[:4]), noise=2.0)
    for decoder in (from_folder, direct):
        _, state = decoder.advance(decoder.start(), frames)
        assert decoder.nbest(state, 3) == direct.nbest(state, 3)
    assert folder.decoder().alphabet.blank_id == 0
    write_decoder_folder(tmp_path / "plain", LETTERS)
    assert read_decoder_folder(tmp_path / "plain").model is None


def test_markers_in_a_folder_are_never_heard(tmp_path: Path) -> None:
    """Labels such as <s> and the unknown mark are special tokens of the alphabet."""
    labels = ["", "<s>", "</s>", "⁇", " ", "a", "b"]
    (tmp_path / "alphabet.json").write_text(json.dumps({"labels": labels, "is_bpe": False}))
    alphabet = read_decoder_folder(tmp_path).alphabet
    assert (alphabet.blank_id, alphabet.delimiter_id, alphabet.special_ids) == (0, 4, (1, 2, 3))


@pytest.mark.parametrize(
    ("spoil", "error", "match"),
    [
        ({"alphabet.json": None}, DecoderFolderNotFoundError, "alphabet.json is missing"),
        ({"alphabet.json": "{"}, DecoderFolderError, "cannot be read"),
        ({"alphabet.json": '{"labels": []}'}, DecoderFolderError, "keys"),
        ({"alphabet.json": '{"labels": 3, "is_bpe": false}'}, DecoderFolderError, "no list"),
        ({"alphabet.json": '{"labels": ["a"], "is_bpe": true}'}, DecoderFolderError, "word pieces"),
        ({"alphabet.json": '{"labels": ["a", "a"], "is_bpe": false}'}, DecoderFolderError, "twice"),
        ({"language_model/attrs.json": None}, DecoderFolderNotFoundError, "attrs.json"),
        ({"language_model/attrs.json": "[]"}, DecoderFolderError, "keys"),
        ({"language_model/unigrams.txt": None}, DecoderFolderNotFoundError, "unigrams"),
        ({"language_model/small.arpa": None}, DecoderFolderNotFoundError, "no language model"),
        ({"language_model/other.bin": ""}, DecoderFolderError, "several"),
        (
            {
                "language_model/attrs.json": '{"alpha": "x", "beta": 1, "unk_score_offset": 1, '
                '"score_boundary": true}'
            },
            DecoderFolderError,
            "alpha is 'x'",
        ),
    ],
)
def test_a_spoiled_folder_is_refused(
    tmp_path: Path, spoil: dict[str, str | None], error: type[Exception], match: str
) -> None:
    """Each thing that may be wrong with a folder is an error that names it."""
    arpa = write_trigrams(tmp_path / "small.arpa", vocabulary(LETTERS, 1), 0)
    write_decoder_folder(tmp_path / "made", LETTERS, model=arpa)
    for name, contents in spoil.items():
        file = tmp_path / "made" / name
        if contents is None:
            file.unlink()
        else:
            file.write_text(contents)
    with pytest.raises(error, match=match):
        read_decoder_folder(tmp_path / "made")


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    """Tokens that differ are named; a full folder and an alphabet without words are refused."""
    write_decoder_folder(tmp_path / "made", LETTERS)
    other = Alphabet((*LETTERS.tokens[:-1], "Ä"), 0, 1)
    with pytest.raises(DecoderFolderError, match="token 28 is 'Ä' in the model and \"'\""):
        read_decoder_folder(tmp_path / "made").decoder(other)
    with pytest.raises(DecoderFolderError, match="not empty"):
        write_decoder_folder(tmp_path / "made", LETTERS)
    with pytest.raises(DecoderFolderError, match="no word delimiter"):
        write_decoder_folder(tmp_path / "new", SYLLABLES)


def test_pyctcdecode_is_asked_for_by_name() -> None:
    """Where it is not installed the error says what to do; its one weight is checked before."""
    with pytest.raises(DecoderError, match="one weight"):
        PyctcdecodeDecoder(LETTERS, hotwords={"A": 1.0, "B": 2.0})
    with pytest.raises(PyctcdecodeMissingError, match="pip install"):
        PyctcdecodeDecoder(LETTERS)


def test_pyctcdecode_keeps_the_protocol(reference_python: Path, root: Path) -> None:
    """In its environment it decodes offline behind the protocol of our decoders."""
    script = (
        "import sys; sys.path.insert(0, 'tests'); from spelled import LETTERS, said;"
        "from wav2edge.lm.pyctcdecode_decoder import PyctcdecodeDecoder as P;"
        "d = P(LETTERS); f = said('NO ON'); w, s = d.advance(d.start(), f[:5]);"
        "v, s = d.advance(s, f[5:]); assert not w and not v; again = d.restart(s);"
        "assert d.n_frames(again) == len(f) and d.finish(again) == ();"
        "_, t = d.advance(again, f);"
        "print(*((x.text, x.start_frame, round(x.confidence, 1)) for x in d.finish(t)), len(f))"
    )
    done = subprocess.run(
        [reference_python, "-W", "ignore", "-c", script],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    heard = BeamDecoder(LETTERS)
    frames = said("NO ON")
    words, state = heard.advance(heard.start(), frames)
    expected = [
        (word.text, word.start_frame + len(frames), 1.0) for word in (*words, *heard.finish(state))
    ]
    assert done.stdout.strip() == " ".join(map(str, [*expected, len(frames)]))
