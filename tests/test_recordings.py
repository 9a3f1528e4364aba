"""Recordings of people become utterances: labels that a teacher gives, telephone prompts."""

import csv
import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

pytest.importorskip("torch", reason="training needs torch")

from wav2edge.training import corpus, recordings
from wav2edge.training.recordings import prompt_text, prompts, utterances
from wav2edge.training.sentences import normalize_text
from wav2edge.training.teacher import Line, Teacher
from wav2edge.training.voices import RATE_HZ


def test_neighbouring_lines_are_joined_up_to_six_seconds() -> None:
    """Texts are normalised and joined, times reach from the first start to the last end."""
    lines = [
        Line("We saw,", 0.3, 1.2),
        Line("how quietly it went.", 1.5, 3.0),
        Line("And then they were gone, all of them at once,", 3.4, 6.9),
    ]
    assert utterances(lines) == [
        Line("WE SAW HOW QUIETLY IT WENT", 0.3, 3.0),
        Line("AND THEN THEY WERE GONE ALL OF THEM AT ONCE", 3.4, 6.9),
    ]


@pytest.mark.parametrize(
    "unfit",
    [
        Line("You", 1.6, 1.9),  # heard in a breath
        Line("in 97 days", 1.6, 2.6),  # spelled otherwise than spoken
        Line("Hm.", 1.6, 4.0),  # far slower than people read
        Line("and all of this was said in no more than a second", 1.6, 2.6),
    ],
)
def test_nothing_is_joined_across_a_line_that_is_left_out(unfit: Line) -> None:
    """What was said there would lack in the transcript."""
    before, after = Line("It rained a lot", 0.0, 1.5), Line("and we stayed", 4.1, 5.2)
    assert [line.text for line in utterances([before, unfit, after])] == [
        "IT RAINED A LOT",
        "AND WE STAYED",
    ]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Press 1 to go on, or 0 to end...", "PRESS ONE TO GO ON OR ZERO TO END"),
        ("zed", "ZED"),
        ("3D audio disabled", ""),
        ("Enter 12 digits.", ""),
        ("[descending tones]", ""),
        ("Enter your PIN.", ""),
    ],
)
def test_prompts_are_spelled_as_they_are_spoken(written: str, spoken: str) -> None:
    """Single digits become words; what may be spoken in several ways is left out."""
    assert prompt_text(written) == spoken


def test_prompts_are_read_from_the_unpacked_packages(tmp_path: Path) -> None:
    """Digits and letters are of the kinds that are joined; a text without a file is passed over."""
    sounds = tmp_path / "usr/share/asterisk/sounds/en_US_f_Allison"
    texts = tmp_path / "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    texts.parent.mkdir(parents=True)
    with gzip.open(texts, "wt") as file:
        file.write("; Sounds\n\ndigits/4: four\nletters/k: k\nhello: Good morning.\ngone: Gone.\n")
    tone = np.sin(np.arange(8000) / 3)
    for name in ("digits/4", "letters/k", "hello"):
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(sounds / f"{name}.wav", tone, 8000)
    found = list(prompts(tmp_path))
    assert [(kind, text) for kind, text, _, _ in found] == [
        ("digit", "FOUR"),
        ("symbol", "K"),
        ("prompt", "GOOD MORNING"),
    ]
    assert all(abs(len(samples) - RATE_HZ) < 400 for _, _, _, samples in found)


def test_letters_are_read_of_both_accents(tmp_path: Path) -> None:
    """Each is a word of one letter; what is no single letter is passed over."""
    for name in ("en/alpha/K.ogg", "en_GB/alpha/k.ogg", "en/syllab/ka.ogg", "de/alpha/k.ogg"):
        path = tmp_path / "usr/share/klettres" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(22050) / 9), 44100)
    found = list(recordings.letters(tmp_path))
    assert [spoken[:3] for spoken in found] == [
        ("symbol", "K", "klettres en"),
        ("symbol", "K", "klettres en_GB"),
    ]
    assert all(abs(len(samples) - RATE_HZ / 2) < 400 for _, _, _, samples in found)


class _Hears:
    """A teacher who hears the same in the second half of everything."""

    origin = "nowhere"
    there = True

    def is_there(self) -> bool:
        return self.there

    def lines(self, samples: npt.NDArray[np.float32]) -> list[Line]:
        ends_s = len(samples) / RATE_HZ
        return [Line("Good morning.", ends_s / 2, ends_s)]


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """A data folder with one recording of two seconds, not transcribed, that is noise too."""
    (tmp_path / "text").mkdir()
    soundfile.write(tmp_path / "a.flac", np.repeat([0.1, 0.4], RATE_HZ), RATE_HZ)
    with (tmp_path / "MANIFEST.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["path", "split", "norm", "speaker", "notes"])
        writer.writerow(["a.flac", "unlabelled", "", "six", ""])
        writer.writerow(["a.flac", "noise", "", "", ""])
    return tmp_path


def test_the_corpus_takes_what_the_teacher_hears_once(
    unlabelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The piece that was heard, with its text and speaker; prepared again nothing is added."""
    monkeypatch.setattr(corpus, "Teacher", _Hears)
    monkeypatch.setattr(corpus, "texts_of", lambda _: None)
    for _ in range(2):
        opened = corpus.prepare(unlabelled, tmp_path / "corpus", 1, lambda _: None, {})
    [row] = [row for row in opened.utterances if row.kind == "heard"]
    assert (row.kind, row.text, row.speaker) == ("heard", "GOOD MORNING", "six")
    np.testing.assert_allclose(opened.audio(row), np.full(RATE_HZ, 0.4), atol=1e-3)


def test_games_are_heard_on_from_where_a_kill_left_them(
    unlabelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was heard before is saved at every fourth line here, and is not heard again."""
    n_lines, n_heard = 10, 0

    def lines(_: Path, after: str) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        nonlocal n_heard
        for line in range(int(after or -1) + 1, n_lines):
            if n_heard == 6:
                n_heard += 1
                raise KeyboardInterrupt
            n_heard += 1
            yield str(line), np.full(2 * RATE_HZ, line / n_lines, np.float32)

    monkeypatch.setattr(corpus, "Teacher", _Hears)
    monkeypatch.setattr(corpus, "texts_of", lambda _: None)
    monkeypatch.setattr(corpus, "_AT_ONCE", 4)
    monkeypatch.setattr(recordings, "spoken_lines", lines)
    told: list[str] = []

    def prepared() -> corpus.Corpus:
        return corpus.prepare(
            unlabelled, tmp_path / "corpus", 1, told.append, {}, packages=tmp_path
        )

    with pytest.raises(KeyboardInterrupt):
        prepared()
    opened = prepared()
    rows = [row for row in opened.utterances if row.kind == "acted"]
    assert [row.speaker for row in rows] == [str(line) for line in range(n_lines)]
    assert n_heard == n_lines + 1 + 2  # the kill, and the two lines that were not saved yet
    for line, row in enumerate(rows):
        np.testing.assert_allclose(opened.audio(row), line / n_lines, atol=1e-3)
    for missing in ("no telephone prompts", "no letters", "Amazon Queen is left", "Sky is left"):
        assert any(missing in line for line in told)


def test_what_is_left_out_is_told(
    unlabelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without teacher and packages the corpus is made all the same."""
    monkeypatch.setattr(corpus, "Teacher", type("_Missing", (_Hears,), {"there": False}))
    monkeypatch.setattr(corpus, "texts_of", lambda _: None)
    told: list[str] = []
    opened = corpus.prepare(unlabelled, tmp_path / "corpus", 1, told.append, {})
    assert {row.kind for row in opened.utterances} == {"noise"}
    assert any("without transcripts" in line and "nowhere" in line for line in told)
    assert any("make training-voices" in line for line in told)


@pytest.mark.skipif(
    importlib.util.find_spec("moonshine_voice") is None,
    reason="the teacher is missing: pip install 'moonshine-voice<=0.1.0'",
)
def test_the_teacher_hears_words(shared_data: Path) -> None:
    """Of a sentence read aloud it hears nearly every word, at times inside the recording."""
    rows = recordings.read_manifest(shared_data, "dev")
    row = next(row for row in rows if row["set"] == "librispeech_dev-clean")
    samples = recordings.read_recording(shared_data / row["path"])
    lines = Teacher().lines(samples)
    assert all(0 <= line.start_s < line.end_s <= len(samples) / RATE_HZ + 0.1 for line in lines)
    heard = set(normalize_text(" ".join(line.text for line in lines)).split())
    spoken = set(row["norm"].split())
    assert len(heard & spoken) > 0.8 * len(spoken | heard)
