"""A phone menu that callers speak to: 8 kHz calls, routed by phrase, with confirm and retry.

    python phone_menu.py phone_menu.toml --prompts prompts --port 9092

Calls come from Asterisk (audiosocket.py). Each step is one line of JSON on standard output.
"""

import argparse
import tomllib
from pathlib import Path
from typing import Any

from audiosocket import RATE_HZ, Line, serve

import wav2edge


class Menu:
    """What may be said, and where it leads; calls share it.

    Args:
        recognizer: Of a model that knows the words.
        text: As in phone_menu.toml.
    """

    def __init__(self, recognizer: wav2edge.Recognizer, text: dict[str, Any]) -> None:
        self._recognizer, self._prompts = recognizer, text["prompts"]
        self._tries = int(text["tries"])
        self._routes, self._answers = _phrases(text["routes"]), _phrases(text["answers"])

    def route(self, line: Line) -> str:
        """Ask, confirm, and ask again; who is not understood gets the operator."""
        for _ in range(self._tries):
            line.say("ask", self._prompts["ask"])
            route = self._heard(line, self._routes)
            if route is None:
                line.say("retry", self._prompts["retry"])
                continue
            line.say("confirm", self._prompts["confirm"].format(route=route))
            if self._heard(line, self._answers) == "yes":
                line.say("done", self._prompts["done"].format(route=route))
                return route
        line.say("operator", self._prompts["operator"])
        return "operator"

    def _heard(self, line: Line, phrases: wav2edge.Templates) -> str | None:
        """Return the name of the phrase that is said next; None for anything else, and silence."""
        line.tell(listen="now")
        stream = self._recognizer.stream(
            "low", endpoint="fast", sample_rate=RATE_HZ, phrases=phrases
        )
        for event in stream.events(line):
            if isinstance(event, wav2edge.Final):
                reading = phrases.reading(event.text)
                return None if reading is None else next(iter(reading.slots))
            if isinstance(event, wav2edge.SpeechEnd):
                return None
        return None


def _phrases(named: dict[str, str]) -> wav2edge.Templates:
    """Make each entry a slot and a phrase of its own: a reading's slot then tells its name."""
    return wav2edge.Templates.of(
        [f"{{{name}}}" for name in named], {name: [said] for name, said in named.items()}
    )


def main() -> None:
    """Answer calls until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("menu", type=Path, help="TOML, as phone_menu.toml beside this program")
    parser.add_argument("--prompts", type=Path, default=Path("prompts"), help="NAME.wav, 8000 Hz")
    parser.add_argument("--port", type=int, default=9092, help="0: any that is free")
    parser.add_argument("--model", help="a bundle; default: the embedded model")
    given = parser.parse_args()
    menu = Menu(wav2edge.load(given.model), tomllib.loads(given.menu.read_text(encoding="utf-8")))
    serve(given.port, given.prompts, menu.route)


if __name__ == "__main__":
    main()
