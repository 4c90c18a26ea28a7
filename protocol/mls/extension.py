"""Extensions and their types (RFC 9420 §13, §17.3; extensions draft §6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starling.protocol.errors import Invalid
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque, uint16

APPLICATION_ID = 0x0001
RATCHET_TREE = 0x0002
REQUIRED_CAPABILITIES = 0x0003
EXTERNAL_PUB = 0x0004
EXTERNAL_SENDERS = 0x0005
APP_DATA_DICTIONARY = 0x0006
SUPPORTED_WIRE_FORMATS = 0x0007
REQUIRED_WIRE_FORMATS = 0x0008
KOH_KEY_SCHEDULE = 0xF0D1

KEY_SCHEDULE_EXTENSIONS = frozenset({KOH_KEY_SCHEDULE})
"""GroupContext extensions by which a group has another key schedule than RFC 9420's (K-5)."""

DEFAULT_TYPES = frozenset(range(APPLICATION_ID, EXTERNAL_SENDERS + 1))
"""Extension types that need not be listed in capabilities (§7.2)."""


@dataclass(frozen=True, slots=True)
class Extension(Struct):
    """The data may hold a secret of the group (P-5)."""

    extension_type: uint16
    extension_data: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequiredCapabilities(Struct):
    """What every member must support (§11.1)."""

    extension_types: Vector[uint16] = ()
    proposal_types: Vector[uint16] = ()
    credential_types: Vector[uint16] = ()


def find_extension(extensions: Iterable[Extension], extension_type: int) -> bytes | None:
    """The data of the extension of this type, None where there is none."""
    for extension in extensions:
        if extension.extension_type == extension_type:
            return extension.extension_data
    return None


def with_extension(
    extensions: Iterable[Extension], extension_type: int, data: bytes | None
) -> tuple[Extension, ...]:
    """The extensions with this one replaced or added, or removed where `data` is None."""
    kept = [extension for extension in extensions if extension.extension_type != extension_type]
    if data is None:
        return tuple(kept)
    place = next(
        (i for i, extension in enumerate(extensions) if extension.extension_type == extension_type), len(kept)
    )
    kept.insert(place, Extension(extension_type, data))
    return tuple(kept)


def check_unique(extensions: Iterable[Extension]) -> None:
    """No type may stand twice in one list (§13)."""
    types = [extension.extension_type for extension in extensions]
    if len(types) != len(set(types)):
        raise Invalid(Rule.EXTENSION_TWICE)
