"""What the pages take from elsewhere, so that nothing is written twice: a Markdown extension.

A line of its own in a page becomes what it names:

    <!-- section: README.md, Decisions -->   the text under that heading of a file
    <!-- whole: CHANGELOG.md -->             a file without its title
    <!-- code: examples/threads.py -->       a file as code
    <!-- drawing: stream.svg -->             a drawing, inline, so that it takes the page's colours
    <!-- commands -->                        every command, from the parser of the command line
    <!-- errors -->                          every error, from its class

Paths start at the root of the checkout; drawings lie in docs/drawings.
"""

import argparse
import html
import inspect
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from wav2edge import cli  # noqa: E402  (of this checkout, installed or not)
from wav2edge.lm.errors import Wav2EdgeError  # noqa: E402

_LINE = re.compile(r"<!-- (?P<kind>[a-z]+)(?:: (?P<what>.+))? -->")
_HOMES_OF_ERRORS = ("lm", "runtime")
_WIDTH = 78  # columns of a usage


class IncludeError(Exception):
    """A page names something that is not there."""


class Includes(Extension):
    """Registers the preprocessor."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802  (its name there)
        """Add it to a Markdown converter."""
        md.preprocessors.register(_Including(md), "wav2edge-includes", 100)


def makeExtension(**options: object) -> Includes:  # noqa: N802  (its name there)
    """Return the extension; Markdown looks for this name."""
    return Includes(**options)


class _Including(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return [new for line in lines for new in self._included(line)]

    def _included(self, line: str) -> list[str]:
        found = _LINE.fullmatch(line)
        if found is None or found["kind"] not in _KINDS:
            return [line]
        return ["", *_KINDS[found["kind"]](found["what"] or "").splitlines(), ""]


# --- files ---------------------------------------------------------------------------------------


def section(what: str) -> str:
    """Return the text under a heading of the second level: `FILE, HEADING`."""
    file, _, heading = what.partition(", ")
    parts = re.split(r"^## (.+)\n", _read(file), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    if heading not in found:
        raise IncludeError(f"{file} has no heading {heading!r}, only {', '.join(found)}")
    return found[heading].strip()


def whole(file: str) -> str:
    """Return a file without its title."""
    return re.sub(r"\A# .*\n+", "", _read(file))


def code(file: str) -> str:
    """Return a file as a block of code."""
    language = {".py": "python", ".toml": "toml"}.get(Path(file).suffix, "text")
    return f'```{language} title="{file}"\n{_read(file).rstrip()}\n```'


def drawing(file: str) -> str:
    """Return a drawing without blank lines, which would end it for Markdown."""
    lines = _read(f"docs/drawings/{file}").splitlines()
    return "\n".join(['<figure class="drawing">', *filter(str.strip, lines), "</figure>"])


def _read(file: str) -> str:
    path = ROOT / file
    if not path.is_file():
        raise IncludeError(f"{file} is named in a page, and is not there")
    return path.read_text(encoding="utf-8")


# --- the command line ----------------------------------------------------------------------------


def commands(_: str) -> str:
    """Return every command with its options, as headings and definition lists."""
    os.environ["NO_COLOR"] = "1"
    return "\n".join(_commands(cli.parser(), level=2))


def _commands(parser: argparse.ArgumentParser, *, level: int) -> Iterator[str]:
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {one.dest: one.help for one in action._choices_actions}
        for name, command in action.choices.items():
            yield f"{'#' * level} {command.prog} {{ #{command.prog.replace(' ', '-')} }}\n"
            yield from _command(command, command.description or _sentence(helps.get(name)))
            yield from _commands(command, level=level + 1)


def _command(parser: argparse.ArgumentParser, description: str) -> Iterator[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=_WIDTH)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups)
    yield _escaped(description) + "\n"
    yield f"```text\n{formatter.format_help().strip()}\n```\n"
    for group in parser._action_groups:
        actions = [
            one
            for one in group._group_actions
            if not isinstance(one, argparse._HelpAction | argparse._SubParsersAction)
        ]
        if actions and group.title not in ("options", "positional arguments"):
            yield f"**{_sentence(group.title)}**\n"
        for one in actions:
            said = formatter._expand_help(one) if one.help else "As the usage says."
            shown = formatter._format_action_invocation(one)
            yield f"`{shown}`\n:   {_escaped(said)}\n"


def _sentence(text: str | None) -> str:
    return f"{text[:1].upper()}{text[1:]}" if text else ""


def _escaped(text: str) -> str:
    """Keep Markdown from reading signs of a help text as its own; code in backticks stays."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_\[\]#|])", r"\\\1", html.escape(one)) for one in parts[::2]]
    return "`".join(parts)


# --- errors --------------------------------------------------------------------------------------


def errors(_: str) -> str:
    """Return a table of every error, the built-in that it also is, and what it means."""
    rows = ["| error | is also | when |", "| --- | --- | --- |"]
    for folder in _HOMES_OF_ERRORS:
        module = import_module(f"wav2edge.{folder}.errors")
        for error in vars(module).values():
            if not (inspect.isclass(error) and issubclass(error, Wav2EdgeError)):
                continue
            if error.__module__ != module.__name__ or error is Wav2EdgeError:
                continue
            family = [one for one in error.__bases__ if issubclass(one, Wav2EdgeError)]
            built_in = [one.__name__ for one in error.__bases__ if one not in family]
            means = (inspect.getdoc(error) or "").replace("\n", " ")
            rows.append(f"| `{error.__name__}` | {', '.join(built_in)} | {_escaped(means)} |")
    return "\n".join(rows)


_KINDS = {
    "section": section,
    "whole": whole,
    "code": code,
    "drawing": drawing,
    "commands": commands,
    "errors": errors,
}
