"""Drawing in place, seen through a small terminal that does what the control codes say."""

import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wav2edge.runtime.terminal import Screen, can_draw, cells, clipped, meter, printable, wrapped

fcntl = pytest.importorskip("fcntl", reason="pseudo-terminals are a matter of Unix")

_CODE = re.compile(r"\x1b\[(\??)(\d*)([A-Za-z])")


class Terminal:
    """What a person sees: rows of characters, each bright, dim or neither.

    It knows the codes that `Screen` uses and fails at any other. It wraps as terminals do, and
    rewraps what it wrapped when it is resized.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[list[tuple[str, str]]] = [[]]
        self.row = self.column = 0
        self.wraps = True
        self.style = ""

    def feed(self, text: str) -> None:
        """Do what a program wrote."""
        while text:
            code = _CODE.match(text)
            if code:
                self._do(code[1], int(code[2] or 1) if code[3] == "A" else code[2], code[3])
                text = text[code.end() :]
            else:
                self._show(text[0])
                text = text[1:]

    def text(self) -> list[str]:
        """The rows, down to the last that is not empty."""
        rows = ["".join(char for char, _ in row) for row in self.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def styles(self, row: int) -> str:
        """For each character of a row: B for bright, D for dim, a point for neither."""
        return "".join({"1": "B", "2": "D"}.get(style, ".") for _, style in self.rows[row])

    def resize(self, columns: int) -> None:
        """Become narrower: rows that do not fit are wrapped, and the cursor stays at its text."""
        rows: list[list[tuple[str, str]]] = []
        for i, row in enumerate(self.rows):
            parts: list[list[tuple[str, str]]] = [[]]
            for j, cell in enumerate(row):
                wide = row[j + 1 : j + 2] == [("", "")]  # its second half
                if len(parts[-1]) + 1 + wide > columns:
                    parts.append([])
                parts[-1].append(cell)
            if i == self.row:
                self.row = len(rows) + len(parts) - 1
                self.column = len(parts[-1])
            rows += parts
        self.columns, self.rows = columns, rows

    def _do(self, private: str, number: int | str, letter: str) -> None:
        row = self.rows[self.row]
        if private:
            assert (number, letter) in {("7", "h"), ("7", "l")}
            self.wraps = letter == "h"
        elif letter == "A":
            assert self.row >= int(number), "moved above what was drawn"
            self.row -= int(number)
        elif letter in "KJ":
            assert number == ""
            del row[self.column :]
            if letter == "J":
                del self.rows[self.row + 1 :]
        else:
            assert letter == "m"
            self.style = str(number) if number != "0" else ""

    def _show(self, char: str) -> None:
        assert char.isprintable() or char in "\r\n\u200c\u200d"
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row, self.column = self.row + 1, 0  # the line discipline adds the return
        else:
            if self.column + cells(char) > self.columns:
                if not self.wraps:
                    return
                self.row, self.column = self.row + 1, 0
            self._put(char)
        if self.row == len(self.rows):
            self.rows.append([])

    def _put(self, char: str) -> None:
        if self.row == len(self.rows):
            self.rows.append([])
        row, width = self.rows[self.row], cells(char)
        row += [(" ", "")] * (self.column + width - len(row))
        if width:  # a wide character's second half is empty
            row[self.column : self.column + width] = [(char, self.style), ("", "")][:width]
        elif self.column:
            row[self.column - 1] = (row[self.column - 1][0] + char, self.style)
        self.column += width


class Window:
    """A pseudo-terminal of any size, and what it shows."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        self.resize(80)
        self.screen = Screen(self.stream)
        self.seen = Terminal(80)

    def resize(self, columns: int, lines: int = 24) -> None:
        """Set the size that programs are told."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def look(self) -> Terminal:
        """Show what was written since."""
        os.set_blocking(self._master, False)
        written = b""
        while True:
            try:
                written += os.read(self._master, 1 << 16)
            except BlockingIOError:
                break
        self.seen.feed(written.decode())
        return self.seen

    def close(self) -> None:
        """Close both ends."""
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def window() -> Iterator[Window]:
    """A window of 80 columns."""
    one = Window()
    yield one
    one.close()


def test_text_is_drawn_over_itself(window: Window) -> None:
    """Each drawing replaces the one before; the stable part is bright, the rest dim."""
    window.screen.draw("ONE", "TWO THREE", "status")
    assert window.look().text() == ["ONE TWO THREE", "status"]
    assert window.look().styles(0) == "BBBDDDDDDDDDD"
    window.screen.draw("ONE TWO", "", "s")
    assert window.look().text() == ["ONE TWO", "s"]
    assert window.look().styles(0) == "BBBBBBB"
    assert window.look().styles(1) == "."


def test_lines_stay_above(window: Window) -> None:
    """A line takes the drawing's place, and the next drawing is below it."""
    window.screen.draw("ONE", "", "status")
    window.screen.line("ONE TWO")
    assert window.look().text() == ["ONE TWO"]
    window.screen.draw("", "THREE", "status")
    assert window.look().text() == ["ONE TWO", "THREE", "status"]
    window.screen.clear()
    assert window.look().text() == ["ONE TWO"]


def test_long_text_shows_its_end(window: Window) -> None:
    """Of a text longer than three rows the newest is seen, and no row is as wide as the window."""
    window.resize(20)
    window.seen.columns = 20
    words = [f"WORD{i}" for i in range(30)]
    window.screen.draw(" ".join(words), "", "a status row that is too long")
    *rows, status = window.look().text()
    assert " ".join(rows).split() == words[-len(" ".join(rows).split()) :]
    assert len(rows) == 3
    assert status == "a status row tha..."


@pytest.mark.parametrize("columns", [40, 30, 12, 7])
def test_a_window_made_narrower_is_drawn_over_whole(window: Window, columns: int) -> None:
    """What the terminal wraps when it becomes narrower is found and erased again."""
    window.screen.line("FINAL")
    window.screen.draw("A" * 30 + " " + "B" * 30, "C" * 10, "status " * 8)
    window.look().resize(columns)
    assert len(window.seen.text()) > 3
    window.resize(columns)
    window.screen.draw("AB", "C", "ok")
    assert window.look().text() == ["FINAL", "AB C", "ok"]


_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@given(st.lists(st.tuples(_TEXT, _TEXT, st.booleans(), st.integers(5, 90)), max_size=8))
def test_whatever_is_drawn_nothing_is_left_behind(
    drawings: list[tuple[str, str, bool, int]],
) -> None:
    """Any texts, any widths: only lines and the last drawing are seen, and no row is too wide."""
    window = Window()
    try:
        lines = []
        for i, (stable, unstable, final, columns) in enumerate(drawings):
            window.resize(columns)
            window.look().resize(columns)
            if final:
                window.screen.line(f"{i}")
                lines.append(f"{i}")
            window.screen.draw(stable, unstable, "")
            drawn = window.look().text()[len(lines) :]
            assert window.seen.text()[: len(lines)] == lines
            assert len(drawn) <= 4
            assert all(cells(row) < columns for row in drawn)
        window.screen.clear()
        assert window.look().text() == lines
    finally:
        window.close()


@example("\ua674", 2)  # a mark alone takes a row, but no column
@given(_TEXT.map(printable), st.integers(2, 40))
def test_wrapping_loses_no_character(text: str, width: int) -> None:
    """Rows fit, follow each other, and leave out nothing but one space between two of them."""
    rows = wrapped(text, width)
    assert all(cells(text[start:end]) <= width for start, end in rows)
    end = 0
    for start, after in rows:
        assert text[end:start] in {"", " "}
        end = after
    assert text[end:] in {"", " "}


def test_wrapping_breaks_between_words() -> None:
    """Rows end at spaces where they can, and within a word that is longer than a row."""
    text = "AB CDE FGHIJKL M"
    assert [text[start:end] for start, end in wrapped(text, 6)] == ["AB CDE", "FGHIJK", "L M"]


def test_wide_characters_take_two_columns() -> None:
    """Chinese takes two columns a character, an accent none, and a cut never splits one."""
    assert cells("你好") == 4
    assert cells("e\u0301") == 1
    text = "你好你好"
    assert [text[start:end] for start, end in wrapped(text, 5)] == ["你好", "你好"]
    assert clipped(text, 8) == text
    assert clipped(text, 7) == "你好..."


def test_a_strangers_tokens_cannot_steer_the_terminal(window: Window) -> None:
    """Control codes in a text are shown as what they are not: signs."""
    window.screen.draw("A\x1b[2JB", "\r\x07", "\x9b31m")
    window.screen.line("\x1b]0;title\x07")
    shown = window.look().text()
    assert shown == ["\ufffd]0;title\ufffd"]


def test_the_meter_spans_60_decibels() -> None:
    """Silence is an empty bar, full scale a full one, and -30 dB half of it."""
    assert meter(-120.0) == "[--------------------]  -99 dB"
    assert meter(-30.0) == "[##########----------]  -30 dB"
    assert meter(0.0) == "[####################]    0 dB"


def test_only_terminals_are_drawn_on(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and pipes are not, nor a terminal that says it cannot."""
    monkeypatch.setenv("TERM", "xterm")
    assert can_draw(window.stream)
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw(window.stream)
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "w") as pipe:
        monkeypatch.setenv("TERM", "xterm")
        assert not can_draw(pipe)
    assert sys.platform != "win32"
