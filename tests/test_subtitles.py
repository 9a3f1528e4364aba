"""Subtitles that grow: segment by segment they are what a whole transcript's are."""

import pytest

from wav2edge.runtime.errors import OptionsError
from wav2edge.runtime.subtitles import CUE_LINE, CUE_S, Subtitles
from wav2edge.runtime.transcript import Segment, Transcript, Word

LONG = [Word(f"WORD{i}", 0.9 * i, 0.9 * i + 0.5, 0.9) for i in range(14)]
SHORT = [Word("NO", 20.0, 20.2, 0.9)]


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_they_grow_to_the_same_file(form: str) -> None:
    """Segments added one by one, each until the next begins, make the transcript's own file."""
    whole = Transcript.of(LONG + SHORT, duration_s=21.5)
    growing = Subtitles("srt" if form == "srt" else "vtt")
    text = growing.head
    for segment, until_s in zip(whole.segments, (20.0, 21.5), strict=True):
        text += growing.add(segment, until_s)
    assert text == (whole.to_srt() if form == "srt" else whole.to_vtt())
    assert growing.n_cues == text.count("-->") > len(whole.segments)


def test_a_cue_stays_no_longer_than_it_may() -> None:
    """A word of 0.2 s stays a second, or until the time that is given, or at least its own."""
    for until_s, end in ((25.0, "21,000"), (20.5, "20,500"), (20.1, "20,200")):
        text = Subtitles("srt").add(Segment.of(SHORT), until_s)
        assert text == f"1\n00:00:20,000 --> 00:00:{end}\nNO\n"


def test_a_cue_fits_the_screen() -> None:
    """Two lines of 42 characters and seven seconds at most."""
    text = Subtitles("vtt").add(Segment.of(LONG), 30.0)
    lines = [line for line in text.splitlines() if line.startswith("WORD")]
    assert max(map(len, lines)) <= CUE_LINE
    assert text.count("-->") >= LONG[-1].end_s / CUE_S


def test_another_form_is_refused() -> None:
    """The error names what was given and what there is."""
    with pytest.raises(OptionsError, match="form is 'ass', expected srt or vtt"):
        Subtitles("ass")  # type: ignore[arg-type]
