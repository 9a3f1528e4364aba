"""A voice assistant at home: a wake phrase, orders of a grammar, and a callback for each order.

The wake phrase and an order may come in one breath or in two:

    python home_assistant.py                      # the orders of home_assistant.txt
    python home_assistant.py my_orders.txt --file talk.wav
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import wav2edge

AWAKE_S = 8.0  # after the wake phrase, and after each order
Order = Callable[[str, dict[str, str], list[int]], None]


def attend(
    source: wav2edge.LiveSource, recognizer: wav2edge.Recognizer, orders: Path, on_order: Order
) -> None:
    """Call `on_order(text, slots, numbers)` for each order that follows the wake phrase."""
    phrases = wav2edge.Templates.of_file(orders)
    stream = recognizer.stream(endpoint="fast", sample_rate=source.rate_hz, phrases=phrases)
    awake_until_s = 0.0
    for event in source.events(stream):
        if not isinstance(event, wav2edge.Final):
            continue
        reading = phrases.reading(event.text)
        if reading is None:
            continue
        if "wake" in reading.slots or event.segment.start_s < awake_until_s:
            awake_until_s = event.segment.end_s + AWAKE_S
            if reading.phrase > 0:  # the first phrase is the wake phrase alone
                on_order(event.text, dict(reading.slots), list(reading.numbers))


def act(text: str, slots: dict[str, str], numbers: list[int]) -> None:
    """Do what was ordered: here, say so. Call your lights and kettles from here."""
    print(json.dumps({"order": text, "slots": slots, "numbers": numbers}), flush=True)


def main() -> None:
    """Listen until the recording ends, or Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("orders", type=Path, nargs="?", default=Path(__file__).with_suffix(".txt"))
    parser.add_argument("--file", help="play this recording instead of listening")
    parser.add_argument("--model", help="a bundle; default: the embedded model")
    given = parser.parse_args()
    source = wav2edge.Playback(given.file, fast=True) if given.file else wav2edge.Microphone()
    with source:
        attend(source, wav2edge.load(given.model), given.orders, act)


if __name__ == "__main__":
    main()
