"""Secrets that can be wiped, and that do not print, copy or pickle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from starling.protocol.errors import UsageError

T = TypeVar("T")


class Secret:
    """A secret with one owner. `bytes(secret)` gives its value until `wipe` overwrites it in place,
    and raises `UsageError` after that.

    Python may have made other copies of the bytes; this bounds how long the one that is kept lives.
    """

    __slots__ = ("_parsed", "_value")

    def __init__(self, value: bytes, parsed: Any = None) -> None:
        self._value: bytearray | None = bytearray(value)
        self._parsed = parsed

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
            self._parsed = None

    def parsed(self, parse: Callable[[bytes], T]) -> T:
        """What `parse`, always the same, makes of a private key: making the key object costs as much as
        signing with it, so it is made once and lives as long as the value."""
        if self._parsed is None:
            self._parsed = parse(bytes(self))
        parsed: T = self._parsed
        return parsed

    def for_next_owner(self) -> Secret:
        """The same secret with an owner and a life of its own, the key object included."""
        return Secret(bytes(self), self._parsed)

    def __repr__(self) -> str:
        return "<Secret>"

    def __copy__(self) -> NoReturn:
        raise TypeError("a secret is not copied")

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError("a secret is not copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


PrivateKey = bytes | Secret
"""A private key as raw bytes, or with an owner who keeps its key object too."""


def parsed_key(private_key: PrivateKey, parse: Callable[[bytes], T]) -> T:
    """The key object of a private key, from its owner where it has one."""
    return private_key.parsed(parse) if isinstance(private_key, Secret) else parse(private_key)
