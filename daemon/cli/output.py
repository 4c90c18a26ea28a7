"""What people read: tables, times, lines without control characters of others."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WIDTH = 80
"""Columns of a terminal that what people read fits into."""


def clean(text: object) -> str:
    """A text of someone else, safe for a terminal: control characters are shown as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in str(text))


def name(entry: Mapping[str, Any]) -> str:
    """What a person is called here, on one line; the beginning of the identity where no name is known."""
    identity = entry.get("identity") or entry.get("owner") or entry.get("sender", "")
    known = entry.get("display_name") or entry.get("name") or entry.get("sender_name")
    return clean(known or identity[:16]).replace("\n", " ")


def block(text: object) -> str:
    """A text of someone else with its further lines set in, so that none can pass for a line of ours."""
    return clean(text).replace("\n", "\n    ")


def flat(value: object, name: str = "") -> str:
    """One value of an event, its lists with commas between, its moments in local time without a space."""
    if value is None:
        return "-"
    if name in _MOMENTS and isinstance(value, int):
        return when(value).replace(" ", "T")
    return ",".join(map(flat, value)) if isinstance(value, list) else block(value)


def line(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(clean(text) + "\n")
    sys.stdout.flush()


def paragraph(text: str, indent: str = "") -> None:
    """Print a sentence or more in lines of at most 80 columns."""
    for part in textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent):
        line(part)


def as_json(value: Any) -> None:
    """Print one JSON value on a line, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def answer(args: Namespace, result: Mapping[str, Any], text: str) -> int:
    """Print what a command did, as a sentence or as JSON; the exit code is given back."""
    if args.json:
        as_json(result)
    else:
        line(text)
    return 0


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], nothing: str) -> None:
    """Print rows under their column names; `nothing` where there are none."""
    cells = [[_cell(row.get(column), column) for column in columns] for row in rows]
    if not cells:
        return line(nothing)
    heads = [column.replace("_", " ") for column in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for row in [heads, *cells]:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return None


def pairs(values: Mapping[str, Any]) -> None:
    """Print name and value, one a line."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        line(f"{name.replace('_', ' ').ljust(width)}  {_cell(value, name)}")


def when(milliseconds: int) -> str:
    """A moment in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))


def grouped(digits: str) -> str:
    """A number that two people compare, in groups of four digits."""
    return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))


_MOMENTS = ("time", "expires_at", "last_update", "detected_at", "since", "before")


def _cell(value: Any, name: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _MOMENTS and isinstance(value, int):
        return when(value)
    if name == "verification":
        return grouped(str(value))
    if isinstance(value, list):
        return ", ".join(_cell(item, "") for item in value) or "-"
    if isinstance(value, dict):
        return " ".join(f"{key}={_cell(item, key)}" for key, item in value.items()) or "-"
    return clean(value).replace("\n", " ")
