"""QR codes for the terminal: two modules in each character, so that they come out square."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

BORDER = 4
"""Modules of quiet zone on each side, as the standard wants."""

_BLACK_ON_WHITE = "\x1b[30;107m"
_RESET = "\x1b[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def draw(text: str, *, colours: bool) -> list[str]:
    """The lines of a code for a text. With colours dark is black on white; else what is light is drawn, for the usual
    terminal that writes light on dark."""
    # A quick start is for the commands that draw nothing.
    import segno

    modules = segno.make(text, error="l", micro=False).matrix_iter(border=BORDER)
    rows = [[bool(module) == colours for module in row] for row in modules]
    if len(rows) % 2:
        rows.append([not colours] * len(rows[0]))
    return list(_lines(rows, colours))


def _lines(rows: list[list[bool]], colours: bool) -> Iterator[str]:
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        line = "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        yield f"{_BLACK_ON_WHITE}{line}{_RESET}" if colours else line


def show(text: str) -> None:
    """Print a code, or say why it cannot be read where it would stand."""
    is_terminal = sys.stdout.isatty()
    lines = draw(text, colours=is_terminal and "NO_COLOR" not in os.environ)
    width = max(len(line.removeprefix(_BLACK_ON_WHITE).removesuffix(_RESET)) for line in lines)
    if is_terminal and width > os.get_terminal_size(sys.stdout.fileno()).columns:
        sys.stderr.write(
            f"starling: the QR code needs {width} columns, more than this terminal has; make it wider, or its letters "
            "smaller, and ask for a new ticket\n"
        )
        return
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
