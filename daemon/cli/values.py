"""What words of the command line stand for; each raises `ArgumentTypeError` for one that is none."""

from __future__ import annotations

import argparse

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Seconds from 90s, 30m, 24h or 7d; a bare number is in hours."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "h")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write for example 30m, 24h or 7d")
    return seconds


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def count(text: str) -> int:
    if not text.isdecimal() or not 1 <= len(text) <= 18 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def message_id(text: str) -> str:
    try:
        if len(text) == 32 and len(bytes.fromhex(text)) == 16:
            return text.lower()
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("a message id is 32 hex digits (16 bytes)")


def identity(text: str) -> str:
    if 16 <= len(text) <= 64 and all(digit in "0123456789abcdef" for digit in text.lower()):
        return text.lower()
    raise argparse.ArgumentTypeError("an identity is 64 hex digits, or at least the first 16 of them")
