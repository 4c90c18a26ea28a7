"""The arguments of one request of the driver, read with their types: whatever is wrong is a `UsageError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from starling.protocol.errors import UsageError
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.message import MLSMessage
from starling.protocol.wire import Struct

Body = TypeVar("Body", bound=Struct)

_UINT64 = 2**64 - 1


class Arguments:
    """A JSON object. Each method raises `UsageError` where the argument is missing without a default, or is
    of another type."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        value = self._value(name, default)
        if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
            raise _bad(name, "a string of Unicode characters")
        return value

    def binary(self, name: str, default: bytes | None = None) -> bytes:
        """Bytes, as hex."""
        value = self._value(name, default)
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise _bad(name, "a string of hexadecimal digits")
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise _bad(name, "a string of hexadecimal digits") from None

    def boolean(self, name: str, default: bool) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise _bad(name, "true or false")
        return value

    def integer(self, name: str, default: int | None = None, *, least: int = 0, most: int = _UINT64) -> int:
        value = self._value(name, default)
        if not _is_integer(value) or not least <= value <= most:
            raise _bad(name, f"an integer from {least} to {most}")
        return int(value)

    def code_points(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of uint16."""
        value = self._value(name, default)
        if not isinstance(value, (list, tuple)) or not all(
            _is_integer(item) and 0 <= item < 2**16 for item in value
        ):
            raise _bad(name, "a list of integers of 16 bits")
        return tuple(value)

    def objects(self, name: str) -> list[Arguments]:
        """A list of objects, empty by default."""
        value = self._value(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise _bad(name, "a list of objects")
        return [Arguments(item) for item in value]

    def binaries(self, name: str) -> list[bytes]:
        """A list of hex strings, empty by default."""
        value = self._value(name, [])
        if not isinstance(value, list):
            raise _bad(name, "a list of strings of hexadecimal digits")
        return [Arguments({name: item}).binary(name) for item in value]

    def extensions(self, name: str) -> tuple[Extension, ...]:
        """A list of `{"type": uint16, "data": hex}` or `[type, data]`, empty by default."""
        value = self._value(name, [])
        if isinstance(value, list):
            value = [_as_object(item) for item in value]
        return tuple(
            Extension(item.integer("type", most=2**16 - 1), item.binary("data", b""))
            for item in Arguments({name: value}).objects(name)
        )

    def message(self, name: str, kind: type[Body]) -> Body:
        """The body of a complete MLSMessage of this kind. Raises `DecodeError` and `Unsupported` too."""
        return message_body(self.binary(name), kind, name)

    def _value(self, name: str, default: Any) -> Any:
        value = self._values.get(name)
        if value is None:
            value = default
        if value is None:
            raise UsageError(f"the argument {name} is missing", "bad_argument")
        return value


def message_body(encoded: bytes, kind: type[Body], name: str) -> Body:
    """The body of an encoded MLSMessage; `UsageError` where it is of another kind."""
    body = MLSMessage.decode(encoded).body
    if not isinstance(body, kind):
        raise _bad(name, f"an MLSMessage with a {kind.__name__}")
    return body


def _as_object(item: object) -> object:
    return (
        dict(zip(("type", "data"), item, strict=True)) if isinstance(item, list) and len(item) == 2 else item
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bad(name: str, wanted: str) -> UsageError:
    return UsageError(f"the argument {name} is not {wanted}", "bad_argument")
