"""Transcripts: segments split at pauses, one line of JSON, subtitles that can be read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wav2edge.runtime.transcript import Segment, Transcript, Word


def spoken(*starts_s: float, text: str = "WORD", length_s: float = 0.4) -> list[Word]:
    """Words that start at the given times."""
    return [Word(text, start_s, start_s + length_s, 0.5) for start_s in starts_s]


TWO = Transcript.of(
    [Word("TURN", 0.5, 0.7, 0.9), Word("ON", 0.8, 0.91234, 0.4), Word("NOW", 3.0, 3.3, 0.81)],
    duration_s=4.25,
    file="a.wav",
)


def test_a_long_pause_ends_a_segment() -> None:
    """Words less than a second apart are one segment; text joins segments with one space."""
    assert [segment.text for segment in TWO.segments] == ["TURN ON", "NOW"]
    assert TWO.text == "TURN ON NOW"
    assert [word.text for word in TWO.words] == ["TURN", "ON", "NOW"]


def test_a_segment_spans_its_words() -> None:
    """A segment runs from its first word to its last; its confidence is their geometric mean."""
    segment = TWO.segments[0]
    assert (segment.start_s, segment.end_s) == (0.5, 0.91234)
    assert segment.confidence == pytest.approx(0.6)


def test_json_is_exactly_the_format() -> None:
    """JSON is one line with these keys in this order, times to the millisecond."""
    line = TWO.to_json()
    assert "\n" not in line
    assert line == json.dumps(
        {
            "file": "a.wav",
            "text": "TURN ON NOW",
            "duration_s": 4.25,
            "segments": [
                {
                    "text": "TURN ON",
                    "start_s": 0.5,
                    "end_s": 0.912,
                    "confidence": 0.6,
                    "words": [
                        {"text": "TURN", "start_s": 0.5, "end_s": 0.7, "confidence": 0.9},
                        {"text": "ON", "start_s": 0.8, "end_s": 0.912, "confidence": 0.4},
                    ],
                },
                {
                    "text": "NOW",
                    "start_s": 3.0,
                    "end_s": 3.3,
                    "confidence": 0.81,
                    "words": [{"text": "NOW", "start_s": 3.0, "end_s": 3.3, "confidence": 0.81}],
                },
            ],
        }
    )


def test_json_keeps_any_script_and_any_file_name() -> None:
    """Letters of all scripts stay readable, and a file name that is no UTF-8 is still JSON."""
    words = [Word("ÄPFEL", 0.0, 0.5, 1.0), Word("り", 0.6, 0.8, 1.0)]
    transcript = Transcript.of(words, duration_s=1.0, file="\udcff.wav")
    line = transcript.to_json().encode("utf-8").decode("utf-8")
    assert "ÄPFEL り" in line
    assert json.loads(line)["file"] == "\udcff.wav"


def test_nothing_heard_is_empty_in_every_format() -> None:
    """No words give no segments, no cues, and valid files."""
    silent = Transcript.of([], duration_s=2.0)
    assert json.loads(silent.to_json()) == {
        "file": None,
        "text": "",
        "duration_s": 2.0,
        "segments": [],
    }
    assert (silent.text, silent.words, silent.to_srt()) == ("", (), "")
    assert silent.to_vtt() == "WEBVTT\n"


def test_srt_is_numbered_cues() -> None:
    """SubRip: a number, times with a comma, text, an empty line between; short cues are held."""
    assert TWO.to_srt() == (
        "1\n00:00:00,500 --> 00:00:01,500\nTURN ON\n\n2\n00:00:03,000 --> 00:00:04,000\nNOW\n"
    )


def test_vtt_has_a_header_and_escapes() -> None:
    """WebVTT: a header, times with a point, and no markup made of what was said."""
    transcript = Transcript.of([Word("A<B&C>", 3661.0, 3662.5, 1.0)], duration_s=4000.0)
    assert transcript.to_vtt() == ("WEBVTT\n\n01:01:01.000 --> 01:01:02.500\nA&lt;B&amp;C&gt;\n")


def test_a_cue_is_held_no_longer_than_the_next_allows() -> None:
    """A short cue neither runs into the next one nor past the end of the audio."""
    words = [*spoken(0.0, length_s=0.1), *spoken(0.5, length_s=0.1)]
    transcript = Transcript.of(words, duration_s=0.8, pause_s=0.2)
    assert "00:00:00,000 --> 00:00:00,500" in transcript.to_srt()
    assert "00:00:00,500 --> 00:00:00,800" in transcript.to_srt()


def test_words_without_separator_stay_joined() -> None:
    """Where an alphabet has no delimiter no space appears, in text or in subtitles."""
    transcript = Transcript.of(spoken(0.0, 0.5, text="ka"), duration_s=1.0, separator="")
    assert transcript.text == "kaka"
    assert "\nkaka\n" in transcript.to_srt()


def cues(srt: str) -> list[tuple[float, float, list[str]]]:
    """Read SubRip back: start, end and lines of each cue."""
    found = []
    for cue in srt.split("\n\n") if srt else []:
        _, times, *lines = cue.strip().split("\n")
        start_s, end_s = (
            int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + float(clock[6:].replace(",", "."))
            for clock in times.split(" --> ")
        )
        found.append((start_s, end_s, lines))
    return found


@given(
    st.lists(
        st.tuples(st.text("AB", min_size=1, max_size=60), st.floats(0.1, 3.0), st.floats(0, 2.0)),
        max_size=60,
    )
)
def test_cues_fit_the_screen_and_lose_nothing(said: list[tuple[str, float, float]]) -> None:
    """Cues hold two lines of 42 and seven seconds, in order, and together every word.

    A single word that is longer than a line keeps its line whole.
    """
    words, now_s = [], 0.0
    for text, length_s, gap_s in said:
        words.append(Word(text, now_s, now_s + length_s, 0.9))
        now_s += length_s + gap_s
    found = cues(Transcript.of(words, duration_s=now_s).to_srt())
    assert [word for *_, lines in found for line in lines for word in line.split()] == [
        text for text, *_ in said
    ]
    for start_s, end_s, lines in found:
        assert len(lines) <= 2
        assert all(len(line) <= 42 or " " not in line for line in lines)
        assert end_s - start_s <= 7.001
    ends = [end_s for _, end_s, _ in found]
    assert all(end <= start + 1e-9 for end, (start, *_) in zip(ends, found[1:], strict=False))


def test_results_are_values() -> None:
    """Words, segments and transcripts cannot be changed after the fact."""
    for value in (TWO, TWO.segments[0], TWO.words[0]):
        with pytest.raises(AttributeError):
            value.text = "OFF"  # type: ignore[misc]
    assert Segment.of(TWO.words[:2]) == TWO.segments[0]
