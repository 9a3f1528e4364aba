"""`align` and `pronounce`: what is printed in each format, and how each wrong use ends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_bundle import RATE_HZ, say

from wav2edge.cli import main
from wav2edge.lm.errors import AlignmentError
from wav2edge.runtime.errors import AudioNotFoundError
from wav2edge.runtime.recognizer import load
from wav2edge.runtime.textgrid import Interval, textgrid


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """A recording of BAD CAB: 0.01 s a frame, three frames a letter and one of silence."""
    path = tmp_path / "said.wav"
    soundfile.write(path, say("BAD CAB"), RATE_HZ, "FLOAT")
    return path


def times(found: object) -> list[tuple[float, float]]:
    """Start and end of entries."""
    assert isinstance(found, list)
    return [(one["start_s"], one["end_s"]) for one in found]


def test_a_person_can_predict_the_times(tiny_bundle: Path) -> None:
    """Word and letters lie where `say` puts them, as far as a frame sees beyond its hop."""
    found = load(tiny_bundle).align(say("BAD CAB"), "bad cab", RATE_HZ)
    bad, cab = found.words
    assert (bad.start_s, bad.end_s) == pytest.approx((0.0, 0.11), abs=0.0011)
    assert (cab.start_s, cab.end_s) == pytest.approx((0.16, 0.27), abs=0.0011)
    assert [one.text for one in cab.characters] == ["C", "A", "B"]
    assert cab.characters[1].start_s == pytest.approx(0.20, abs=0.0011)
    assert (found.missing, found.unexplained) == ((), ())
    assert found.log_ratio == pytest.approx(0.0, abs=1e-4)


def test_text_format_tells_all(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a word, as it was written; missing words and other speech stand in their places."""
    arguments = ["align", str(said), "Egg, bad!", "--model", str(tiny_bundle)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert [line.split(maxsplit=3)[3] for line in out.splitlines()] == [
        "Egg,  (not in the audio)",
        "bad!",
        "(not in the text; heard CAB)",
    ]
    assert err == ""


def test_json_has_words_and_characters(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line holds words with characters, the places of missing ones, and other speech."""
    arguments = ["align", str(said), "bad egg cab", "--format", "json", "--model", str(tiny_bundle)]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["file", "duration_s", "log_ratio", "words", "missing", "unexplained"]
    assert found["missing"] == [1]
    assert [word["text"] for word in found["words"]] == ["bad", "egg", "cab"]
    assert found["words"][1] == {
        "text": "egg", "start_s": None, "end_s": None, "confidence": 0.0, "characters": [],
    }  # fmt: skip
    (first, _), *_, (_, last) = times(found["words"][0]["characters"])
    assert [(first, last)] == times(found["words"][:1])


@pytest.mark.parametrize(("form", "head"), [("srt", "1\n00:00:00,0"), ("vtt", "WEBVTT\n\n00:00")])
def test_captions_keep_the_writing(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], form: str, head: str
) -> None:
    """Captions hold the text as it was written; what they leave out is told on stderr."""
    arguments = ["align", str(said), "Bad cab, egg.", "--format", form, "--model", str(tiny_bundle)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith(head)
    assert out.rstrip().endswith("Bad cab,")
    assert err == "wav2edge: 1 of 3 words are not in the audio, and left out: egg.\n"


def test_long_texts_become_captions_that_can_be_read(tiny_bundle: Path) -> None:
    """Lines have at most 42 characters and captions two lines, none longer than 7 s."""
    text = " ".join(["bad cab"] * 30)
    srt = load(tiny_bundle).align(say(text.upper()), text, RATE_HZ).to_srt()
    captions = srt.strip().split("\n\n")
    assert len(captions) > 1
    for caption in captions:
        lines = caption.splitlines()[2:]
        assert 1 <= len(lines) <= 2
        assert max(map(len, lines)) <= 42


# --- Praat ---------------------------------------------------------------------------------------

GRID = """\
File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 0.5
            text = "say"
        intervals [3]:
            xmin = 0.5
            xmax = 1
            text = "\""no\"""
        intervals [4]:
            xmin = 1
            xmax = 1.5
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "none"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = ""
"""


def test_textgrid_is_what_praat_writes() -> None:
    """Every tier is filled from end to end, quotes are doubled, no number has an exponent."""
    tiers = {"words": [Interval(0.25, 0.5, "say"), Interval(0.5, 1.0, '"no"')], "none": []}
    assert textgrid(tiers, 1.5) == GRID
    assert "e-" not in textgrid({"words": [Interval(0.00001, 1.0, "x")]}, 1.0)


def test_textgrid_of_an_alignment_has_no_gap(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In each of the three tiers every interval begins where the last one ended."""
    arguments = ["align", str(said), "bad", "--format", "textgrid", "--model", str(tiny_bundle)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    tiers = out.split("item [")[2:]
    assert [re.findall(r'name = "(\w+)"', tier) for tier in tiers] == [
        ["words"],
        ["characters"],
        ["unexplained"],
    ]
    for tier in tiers:
        starts = re.findall(r" {12}xmin = (\S+)", tier)
        ends = re.findall(r" {12}xmax = (\S+)", tier)
        assert starts[1:] == ends[:-1]
        assert all(float(start) < float(end) for start, end in zip(starts, ends, strict=True))
        assert f"intervals: size = {len(starts)}" in tier
    assert re.findall(r'text = "(\w+)"', tiers[2]) == ["CAB"]


# --- pronounce -----------------------------------------------------------------------------------


def test_pronounce_tells_the_wrong_letter(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was said as written has 100; of BAE for BAD the last letter is low; EGG has 0."""
    arguments = ["pronounce", str(said), "bae cab egg", "--model", str(tiny_bundle)]
    assert main([*arguments, "--format", "json", "--missing", "20"]) == 0
    found = json.loads(capsys.readouterr().out)
    bae, cab, egg = found["words"]
    assert [letter["text"] for letter in bae["letters"]] == ["B", "A", "E"]
    assert [letter["score"] > 99 for letter in bae["letters"]] == [True, True, False]
    assert bae["letters"][2]["score"] < 1
    assert (cab["start_s"] > bae["end_s"], egg["score"], egg["start_s"]) == (True, 0.0, None)
    letters = [letter["score"] for word in found["words"] for letter in word["letters"]]
    assert found["score"] == pytest.approx(np.mean(letters), abs=0.1)


def test_pronounce_prints_a_table(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line a word with its letters, and the score of all at the end."""
    assert main(["pronounce", str(said), "Bad cab, egg", "--model", str(tiny_bundle)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "word  score  letters",
        "Bad     100  B 100  A 100  D 100",
        "cab,    100  C 100  A 100  B 100",
        "egg       0  not in the audio",
        "all      67",
    ]


# --- texts, pipes, errors ------------------------------------------------------------------------


def run(*arguments: str | Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "wav2edge", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_text_comes_from_a_file_or_a_pipe(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's name, with or without .txt, a byte order mark, and `-` all give the same."""
    arguments = ["--format", "json", "--model", str(tiny_bundle)]
    assert main(["align", str(said), "bad\ncab", *arguments]) == 0
    expected = capsys.readouterr().out
    for name, content in (("words.txt", b"\xef\xbb\xbfbad\r\ncab\n"), ("words", b"bad cab")):
        path = said.with_name(name)
        path.write_bytes(content)
        assert main(["align", str(said), str(path), *arguments]) == 0
        assert capsys.readouterr().out == expected
    piped = run("align", said, "-", *arguments, stdin=b"bad cab")
    assert (piped.stdout.decode(), piped.stderr) == (expected, b"")
    piped = run("align", "-", "bad cab", *arguments, stdin=said.read_bytes())
    assert json.loads(piped.stdout)["words"] == json.loads(expected)["words"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nowhere.txt", "nowhere.txt cannot be read (No such file"),
        ("folder/words", "folder/words cannot be read"),
        ("", "holds no word"),
        ("bad 2 cab", "cannot spell '2' (word 2)"),
        ("bad cab " * 40, "the audio has 28"),
        ("bad " + "x" * 5000, "cannot spell"),
    ],
)
def test_a_text_that_cannot_be_is_one_line(
    said: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    """Status 2 and one line that names what is wrong; nothing on stdout."""
    for command in ("align", "pronounce"):
        assert main([command, str(said), text, "--model", str(tiny_bundle)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert complaint in err


def test_wrong_use_is_one_line(
    said: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two dashes, a text that is no UTF-8, no audio, and costs that mean nothing have status 2."""
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9")
    for arguments, complaint in (
        (["-", "-"], "are both -"),
        ([str(said), str(latin)], "is no UTF-8 text"),
        (["nowhere.wav", "bad"], "nowhere.wav"),
        ([str(said), "bad", "--missing", "0"], "above 0"),
    ):
        assert main(["align", *arguments, "--model", str(tiny_bundle)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert complaint in err


def test_what_was_aligned_of_a_broken_recording_is_printed(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words before the fault have their times; then one line tells the fault, and status 2."""
    path = tmp_path / "whole.flac"
    soundfile.write(path, say("BAD CAB" * 400), RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert main(["align", str(path), "bad", "--model", str(tiny_bundle)]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[0].endswith("bad")
    assert err.count("\n") == 1


def test_errors_have_types(tiny_bundle: Path) -> None:
    """The library raises what the command line tells; each is a built-in error too."""
    recognizer = load(tiny_bundle)
    with pytest.raises(AlignmentError):
        recognizer.align(np.zeros(100, np.float32), "bad", RATE_HZ)
    with pytest.raises(AudioNotFoundError):
        recognizer.pronounce("nowhere.wav", "bad")
