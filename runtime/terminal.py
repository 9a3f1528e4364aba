"""What commands write on: the standard streams, and text that grows in place on a terminal.

Only what every terminal of the last forty years knows is used: carriage return, up, erase, bold,
dim. Nothing is drawn wider than the terminal, since what wraps cannot be erased again.
"""

import contextlib
import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_JOINERS = "\u200c\u200d"  # no sign of their own, and part of how some scripts are spelled
_MOST_ROWS = 3
_METER_DB = (-60.0, 0.0)
_METER_CELLS = 20


# --- standard streams ----------------------------------------------------------------------------


def speak_utf8() -> None:
    """Write UTF-8 whatever the locale says; a file name that is none is escaped, not fatal."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def own_stderr() -> Iterator[None]:
    """Keep stderr for this program alone.

    libmpg123, inside libsndfile, writes its own remarks on a damaged MP3 to file descriptor 2, and
    ALSA and PortAudio on a device that went away. What matters of it is told by our errors, in one
    line.
    """
    try:
        kept = os.dup(2)
    except OSError:  # it is closed already
        yield
        return
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, kept)
        if _writes_to(sys.stderr, 2):
            ours = undo.enter_context(
                open(kept, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
            )
            undo.enter_context(contextlib.redirect_stderr(ours))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        undo.callback(os.dup2, kept, 2)
        yield


def _writes_to(stream: object, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False


# --- drawing in place ----------------------------------------------------------------------------


def can_draw(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and _understands_codes()


def _understands_codes() -> bool:
    """Ask Windows' console to understand control codes; everybody else's terminal does."""
    if sys.platform != "win32":
        return True
    import ctypes

    console = ctypes.windll.kernel32
    handle = console.GetStdHandle(-11)  # STD_OUTPUT_HANDLE
    return bool(console.SetConsoleMode(handle, 7))  # ENABLE_VIRTUAL_TERMINAL_PROCESSING


class Screen:
    """The bottom rows of a terminal.

    Args:
        terminal: What is drawn on.
    """

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._drawn: list[str] = []  # the rows that are to be drawn over
        self._columns = 0  # there were when it was drawn

    def draw(self, stable: str, unstable: str, status: str, *, separator: str = " ") -> None:
        """Draw over what was drawn before: the text, the stable part bright, and a status row."""
        columns, lines = self._size()
        width = max(1, columns - 1)  # the last column makes some terminals wrap
        stable, unstable = printable(stable), printable(unstable)
        text = separator.join(part for part in (stable, unstable) if part)
        rows = wrapped(text, width)
        most = max(1, min(_MOST_ROWS, lines - 2))
        shown = [text[start:end] for start, end in rows[-most:]]
        styled = [_styled(text[start:end], len(stable) - start) for start, end in rows[-most:]]
        status = clipped(printable(status), width)
        drawing = "\n".join(row + _ERASE_LINE for row in [*styled, status])
        # What the terminal has wrapped it would join again: only erasing makes it forget that.
        again = _ERASE_BELOW if columns != self._columns else ""
        self._write(self._home(columns) + again + _NO_WRAP + drawing + _ERASE_BELOW + _WRAP)
        self._drawn, self._columns = [*shown, status], columns

    def line(self, text: str) -> None:
        """Write a line that stays, above what is drawn next; the terminal may wrap it."""
        self._write(self._home(self._size()[0]) + _ERASE_BELOW + printable(text) + "\n")
        self._drawn = []

    def clear(self) -> None:
        """Take away what is drawn."""
        self._write(self._home(self._size()[0]) + _ERASE_BELOW)
        self._drawn = []

    def _home(self, columns: int) -> str:
        """Move to where the drawing begins; a terminal made narrower has wrapped it meanwhile."""
        rows = sum(_rows(row, columns) for row in self._drawn)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")

    def _size(self) -> tuple[int, int]:
        """Columns and lines as they are now: people resize, so the environment cannot say."""
        try:
            size = os.get_terminal_size(self._terminal.fileno())
        except (OSError, ValueError):
            return 80, 24
        return size.columns or 80, size.lines or 24

    def _write(self, text: str) -> None:
        self._terminal.write(text)
        self._terminal.flush()


def meter(level_db: float) -> str:
    """Draw a level, decibels of full scale, as a bar from -60 to 0."""
    low, high = _METER_DB
    share = (min(max(level_db, low), high) - low) / (high - low)
    n = round(share * _METER_CELLS)
    return f"[{'#' * n}{'-' * (_METER_CELLS - n)}] {max(level_db, -99):4.0f} dB"


def printable(text: str) -> str:
    """Replace what would steer the terminal: a token of a stranger's bundle may hold anything."""
    return "".join(
        char if char.isprintable() or char in _JOINERS else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def cells(text: str) -> int:
    """Count the columns that text takes."""
    return sum(map(_cells, text))


def clipped(text: str, width: int) -> str:
    """Cut text to a width, with dots where it was cut."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 3:
        text = text[:-1]
    return text + "..."[:width]


def wrapped(text: str, width: int) -> list[tuple[int, int]]:
    """Break text into rows between words, and within a word that is longer than a row.

    Args:
        text: One line.
        width: Columns of a row.

    Returns:
        Where each row starts and ends in the text; the space between two rows is in neither.
    """
    rows, start, space, used = [], 0, -1, 0
    for i, char in enumerate(text):
        if used + _cells(char) > width and i > start:
            if char == " ":
                end, following = i, i + 1
            elif space > start:
                end, following = space, space + 1
            else:
                end = following = i
            rows.append((start, end))
            start, used = following, cells(text[following:i])
        if char == " ":
            space = i
        if i >= start:
            used += _cells(char)
    if start < len(text):
        rows.append((start, len(text)))
    return rows


def _styled(row: str, n_stable: int) -> str:
    """Make the first characters of a row bright and the rest dim."""
    n = min(max(0, n_stable), len(row))
    stable = f"{_BOLD}{row[:n]}{_PLAIN}" if n else ""
    return stable + (f"{_DIM}{row[n:]}{_PLAIN}" if n < len(row) else "")


def _rows(text: str, columns: int) -> int:
    """Count the rows that a terminal breaks text into, wherever it is."""
    rows, used = 1, 0
    for char in text:
        if used + _cells(char) > columns:
            rows, used = rows + 1, 0
        used += _cells(char)
    return rows


def _cells(char: str) -> int:
    """Count the columns of one character (Unicode Standard Annex 11)."""
    if unicodedata.combining(char) or char in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
