"""Live captions: text in the terminal while somebody speaks, and a subtitle file that grows.

The file is whole after each cue, so a player may show it while it grows:

    python live_captions.py talk.vtt                  # the microphone; Ctrl-C ends
    python live_captions.py talk.srt --file talk.wav  # a recording, played as if somebody spoke
"""

import argparse
import shutil
import signal
import sys
from pathlib import Path

import wav2edge

BRIGHT, DIM, PLAIN, ERASE = "\x1b[1m", "\x1b[2m", "\x1b[0m", "\r\x1b[K"


def show(event: wav2edge.Event) -> None:
    """Show what is said: bright what stays, dim what may still change, a line for each final."""
    live = sys.stdout.isatty()
    match event:
        case wav2edge.Partial(stable=stable) if live:
            width = shutil.get_terminal_size().columns - 1
            shown = event.text[-width:]
            n_dim = min(len(event.text) - len(stable), len(shown))
            n_bright = len(shown) - n_dim
            row = f"{BRIGHT}{shown[:n_bright]}{PLAIN}{DIM}{shown[n_bright:]}{PLAIN}"
            print(ERASE + row, end="", flush=True)
        case wav2edge.Final():
            print((ERASE if live else "") + event.text, flush=True)
        case wav2edge.SpeechEnd() if live:  # of noise as well: what was shown is taken back
            print(ERASE, end="", flush=True)


def main() -> int:
    """Listen until the source ends, or Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT.srt|OUT.vtt", help="must not exist")
    parser.add_argument("--file", help="play this recording instead of listening")
    parser.add_argument("--fast", action="store_true", help="play it as fast as it goes")
    parser.add_argument("--model", help="a bundle; default: the embedded model")
    parser.add_argument("--latency", default="balanced", help="low, balanced or accurate")
    arguments = parser.parse_args()
    source: wav2edge.LiveSource
    try:
        subtitles = wav2edge.Subtitles("vtt" if arguments.out.suffix == ".vtt" else "srt")
        recognizer = wav2edge.load(arguments.model)
        if arguments.file:
            source = wav2edge.Playback(arguments.file, fast=arguments.fast)
        else:
            source = wav2edge.Microphone()
        signal.signal(signal.SIGINT, lambda *_: source.stop())  # the last words still come
        with source, arguments.out.open("x", encoding="utf-8") as file:
            file.write(subtitles.head)
            stream = recognizer.stream(arguments.latency, sample_rate=source.rate_hz)
            for event in source.events(stream):
                show(event)
                if isinstance(event, wav2edge.Final):
                    file.write(subtitles.add(event.segment, until_s=event.time_s))
                    file.flush()  # who plays the file sees each line as it is said
    except (wav2edge.Wav2EdgeError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
