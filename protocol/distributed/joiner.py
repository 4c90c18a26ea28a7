"""What a joiner tells of itself, inside its KeyPackage: nothing stands beside what is sealed (PROTOCOL 6, P-12)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starling.protocol.distributed import component_ids
from starling.protocol.distributed.identity import is_name
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import DecodeError, Invalid
from starling.protocol.mls.components import read_component
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.wire import Struct, opaque, uint16

SIZE_CLASS = 512
"""All else in a joiner's KeyPackage has always the same length, so this is how much its size tells, in bytes."""

MAX_SIZE = 4096
_LONG_PREFIX = 64
"""From this length on a vector's length takes two bytes."""


@dataclass(frozen=True, slots=True)
class Joiner(Struct):
    """The data of the component: name (UTF-8), the suite of its own send group to be, its signed addresses (an encoded
    `PeerAddress`, or empty), and zeros that fill it to a multiple of 512 bytes."""

    name: opaque
    cipher_suite: uint16
    address: opaque
    padding: opaque

    @classmethod
    def padded(cls, name: str, cipher_suite: int, address: bytes) -> Joiner:
        """With as much padding as it needs."""
        bare = cls(name.encode(), cipher_suite, address, b"")
        missing = -len(bare.encode()) % SIZE_CLASS
        if missing == _LONG_PREFIX:  # 63 zeros are too few, and 64 too many by the longer prefix
            missing += SIZE_CLASS
        return replace(bare, padding=bytes(missing if missing < _LONG_PREFIX else missing - 1))

    def check(self) -> str:
        """The name. Raises `Invalid`."""
        size = len(self.encode())
        if size % SIZE_CLASS or size > MAX_SIZE or any(self.padding):
            raise Invalid(Rule.JOINER)
        try:
            name = self.name.decode()
        except UnicodeDecodeError:
            raise Invalid(Rule.JOINER) from None
        if not is_name(name):
            raise Invalid(Rule.JOINER)
        return name


def read_joiner(key_package: KeyPackage) -> Joiner:
    """The component of a KeyPackage, unchecked; raises `Invalid` where there is none."""
    data = read_component(key_package.extensions, component_ids.JOINER)
    if data is None:
        raise Invalid(Rule.JOINER)
    try:
        return Joiner.decode(data)
    except DecodeError:
        raise Invalid(Rule.JOINER) from None
