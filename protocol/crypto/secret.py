"""Secrets that can be wiped, and that do not print, copy or pickle."""

from __future__ import annotations

from typing import Any, NoReturn

from starling.protocol.errors import UsageError


class Secret:
    """A secret with one owner. `bytes(secret)` gives its value until `wipe` overwrites it in place,
    and raises `UsageError` after that.

    Python may have made other copies of the bytes; this bounds how long the one that is kept lives.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value: bytearray | None = bytearray(value)

    def __bytes__(self) -> bytes:
        if self._value is None:
            raise UsageError("the secret was wiped")
        return bytes(self._value)

    @property
    def is_wiped(self) -> bool:
        return self._value is None

    def wipe(self) -> None:
        """Overwrite and forget the value; doing it again does no harm."""
        if self._value is not None:
            self._value[:] = bytes(len(self._value))
            self._value = None

    def __repr__(self) -> str:
        return "<Secret>"

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret is not copied")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError("a secret is not copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
