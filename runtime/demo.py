"""`wav2edge demo`: the embedded model on one recording, with word times and the cost of the work.

The recording it takes by default was made by this project with Debian's flite; `training/clips.py`
says with which voices and words, and makes it again.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .transcript import Transcript

CLIP = Path(__file__).with_name("embedded") / "demo.ogg"
_THREADS = 1


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-command `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="transcribe a recording with the embedded model",
        description="Transcribe a recording with the embedded model: text, the time of each word, "
        "and what it cost.",
    )
    parser.add_argument(
        "audio",
        nargs="?",
        type=Path,
        default=CLIP,
        metavar="AUDIO",
        help="a recording; default: a clip that comes along, and says digits",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from .recognizer import load

    began_s = time.perf_counter()
    recognizer = load(threads=_THREADS)
    loaded_s = time.perf_counter()
    transcript = recognizer.transcribe(arguments.audio)
    ended_s = time.perf_counter()
    print(*report(transcript, loading_s=loaded_s - began_s, work_s=ended_s - loaded_s), sep="\n")
    return 0


def report(transcript: "Transcript", *, loading_s: float, work_s: float) -> list[str]:
    """Write out a transcript, its words and what it cost, line by line.

    Args:
        transcript: What was heard.
        loading_s: Seconds that loading the model took.
        work_s: Seconds from the recording's name to the transcript, decoding the file included.

    Returns:
        Lines to print. The real-time factor is `work_s` over the recording's length: under 1 is
        faster than the voice.
    """
    words = [
        f"{word.start_s:8.2f} {word.end_s:8.2f} {word.confidence:10.2f}   {word.text}"
        for word in transcript.words
    ]
    length_s = transcript.duration_s
    factor = f"{work_s / length_s:.3f}" if length_s > 0 else "undefined, the recording is empty"
    return [
        transcript.text or "(no words heard)",
        "",
        f"{'start_s':>8} {'end_s':>8} {'confidence':>10}   word",
        *words,
        "",
        f"audio {length_s:.2f} s, work {work_s:.2f} s on one thread, loading {loading_s:.2f} s",
        f"real-time factor {factor} (work / audio)",
    ]
