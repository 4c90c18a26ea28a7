"""Values of a grammar: made at random, and changed in one place so that their structure stays whole."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from tests.fuzz.kinds import (
    BODIES,
    Choice,
    Field,
    Kind,
    Many,
    Number,
    Opaque,
    Optional,
    Structure,
    annotated_fields,
    fields_of,
    present,
)

from starling.protocol.mls.components import (
    APP_COMPONENTS,
    CONTENT_MEDIA_TYPES,
    SAFE_AAD,
    AppDataDictionary,
    ComponentsList,
)
from starling.protocol.mls.content_media_types import MediaTypeList
from starling.protocol.mls.credential import Certificate, Credential
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    EXTERNAL_PUB,
    EXTERNAL_SENDERS,
    REQUIRED_CAPABILITIES,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
    Extension,
    RequiredCapabilities,
)
from starling.protocol.mls.external_init import ExternalPub
from starling.protocol.mls.external_sender import ExternalSenders
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import WireFormats
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.wire_format import ContentType, SenderType
from starling.protocol.wire import Struct

_LENGTHS = (0, 0, 1, 2, 4, 8, 12, 16, 31, 32, 32, 32, 33, 48, 63, 64, 65, 66, 133, 255)
_LONG = (0x3FFF, 0x4000, 0x4001, 70_000)
_DEEP = 5


def number(rng: random.Random, kind: Number) -> int:
    if kind.values and rng.random() < 0.9:
        return rng.choice(kind.values)
    most = 256**kind.size - 1
    value = rng.choice((0, 1, 2, 3, 5, 255, 256, 0x0A0A, most // 2, most // 2 + 1, most - 1, most))
    return min(value, most) if rng.random() < 0.8 else rng.randrange(most + 1)


def opaque(rng: random.Random, kind: Opaque) -> bytes:
    if kind.size is not None:
        return rng.randbytes(kind.size)
    length = rng.choice(_LONG) if rng.random() < 0.004 else rng.choice(_LENGTHS)
    return rng.choice((rng.randbytes(length), rng.randbytes(length), bytes(length), b"\xff" * length))


def value(rng: random.Random, kind: Kind, depth: int = 0) -> Any:
    """A value that has a wire form."""
    match kind:
        case Number():
            return number(rng, kind)
        case Opaque():
            return opaque(rng, kind)
        case Many(item):
            count = rng.choice((0, 1, 1, 2, 3, 4)) if depth < _DEEP else rng.choice((0, 0, 1))
            if rng.random() < 0.02 and not isinstance(item, Structure | Choice):
                count = rng.choice((31, 32, 63, 64, 300))
            return tuple(value(rng, item, depth + 1) for _ in range(count))
        case Optional(item):
            return value(rng, item, depth + 1) if rng.random() < 0.6 else None
        case Choice():
            return value(rng, rng.choice(kind.table)[1], depth + 1)
        case Structure(cls):
            return structure(rng, cls, depth)


def structure(rng: random.Random, cls: Any, depth: int = 0) -> Any:
    """A value of one structure, its conditional fields as the deciding ones say."""
    below = depth + 1
    if cls is Credential:
        return _credential(rng)
    if cls is Extension and rng.random() < 0.6:
        return _extension(rng, depth)
    if cls is FramedContentAuthData:
        return _auth(rng, rng.choice((1, 2, 3)))
    if cls is AuthenticatedContent:
        content = structure(rng, FramedContent, below)
        return AuthenticatedContent(rng.choice((1, 2)), content, _auth(rng, content.content_type))
    if cls is PublicMessage:
        content = structure(rng, FramedContent, below)
        member = content.sender.sender_type == SenderType.MEMBER
        tag = opaque(rng, Opaque()) if member else None
        return PublicMessage(content, _auth(rng, content.content_type), tag)
    if cls is MLSMessage:
        return MLSMessage.of(structure(rng, rng.choice(BODIES), below))
    made: dict[str, Any] = {}
    for field in annotated_fields(cls):
        made[field.name] = _field(rng, field, made, depth)
    return cls(**made)


def _field(rng: random.Random, field: Field, made: dict[str, Any], depth: int) -> Any:
    if field.when is not None and made[field.when[0]] not in field.when[1]:
        return None
    return value(rng, field.kind, depth + 1)


def _credential(rng: random.Random) -> Credential:
    data = opaque(rng, Opaque())
    match rng.randrange(4):
        case 0:
            certificates = tuple(Certificate(opaque(rng, Opaque())) for _ in range(rng.randrange(3)))
            return Credential(2, certificates=certificates)
        case 1:
            return Credential(rng.choice((0, 3, 4, 0x0A0A, 0xFFFF)), opaque_data=data)
        case _:
            return Credential.basic(data)


_EXTENSION_DATA: dict[int, type[Struct]] = {
    REQUIRED_CAPABILITIES: RequiredCapabilities,
    EXTERNAL_PUB: ExternalPub,
    EXTERNAL_SENDERS: ExternalSenders,
    APP_DATA_DICTIONARY: AppDataDictionary,
    SUPPORTED_WIRE_FORMATS: WireFormats,
    REQUIRED_WIRE_FORMATS: WireFormats,
}
_COMPONENT_DATA: dict[int, type[Struct]] = {
    APP_COMPONENTS: ComponentsList,
    SAFE_AAD: ComponentsList,
    CONTENT_MEDIA_TYPES: MediaTypeList,
}


def _extension(rng: random.Random, depth: int) -> Extension:
    """An extension of a known type, with the data that it has."""
    kind, cls = rng.choice(sorted(_EXTENSION_DATA.items()))
    if cls is not AppDataDictionary:
        return Extension(kind, structure(rng, cls, depth + 2).encode())
    components = {0x8123: opaque(rng, Opaque())}
    for component_id, data in _COMPONENT_DATA.items():
        if rng.random() < 0.4:
            components[component_id] = structure(rng, data, depth + 2).encode()
    listed = AppDataDictionary.of(components)
    return Extension(kind, (change_structure(rng, listed) if rng.random() < 0.3 else listed).encode())


def _auth(rng: random.Random, content_type: int) -> FramedContentAuthData:
    tag = opaque(rng, Opaque()) if content_type == ContentType.COMMIT else None
    return FramedContentAuthData(opaque(rng, Opaque()), tag)


# changing


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """Some bytes flipped, set, cut, added, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        size = rng.choice((1, 1, 2, 4, 16, 64))
        match rng.randrange(8):
            case 0 | 1 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 2 if at < len(changed):
                changed[at] = rng.choice((0, 1, 2, 3, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF))
            case 3:
                del changed[at : at + size]
            case 4:
                del changed[at:]
            case 5:
                changed[at:at] = rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size))
            case 6:
                changed[at:at] = changed[at : at + size]
            case _:
                changed += rng.choice((b"\x00", rng.randbytes(size)))
    return bytes(changed)


def change(rng: random.Random, kind: Kind, held: Any, depth: int = 0) -> Any:
    """The value with something changed in one place; it may have lost its wire form."""
    lost = held is None and not isinstance(kind, Optional)  # by an earlier change
    if lost or (depth and rng.random() < 0.08):
        return value(rng, kind, depth)
    match kind:
        case Number():
            most = 256**kind.size - 1
            near = (held + 1, held - 1, held ^ 1, 0, most, most - 1, most // 2 + 1, *kind.values)
            return min(max(rng.choice(near), 0), most)
        case Opaque():
            if kind.size is not None:
                return bytes(reversed(held)) if rng.random() < 0.3 else rng.randbytes(kind.size)
            return opaque(rng, kind) if rng.random() < 0.25 else change_bytes(rng, held)
        case Many(item):
            return _change_many(rng, item, held, depth)
        case Optional(item):
            if held is None:
                return value(rng, item, depth + 1)
            return None if rng.random() < 0.2 else change(rng, item, held, depth + 1)
        case Choice():
            if rng.random() < 0.1:
                return value(rng, kind, depth)
            return change(rng, Structure(type(held)), held, depth + 1)
        case Structure():
            return change_structure(rng, held, depth)


def _change_many(rng: random.Random, item: Kind, held: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
    items = list(held)
    if not items:
        return (value(rng, item, depth + 1),)
    at, other = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(10):
        case 0:
            del items[at]
        case 1:
            items.insert(at, items[other])
        case 2:
            items[at], items[other] = items[other], items[at]
        case 3:
            items.insert(at, value(rng, item, depth + 1))
        case 4:
            items = items[:at]
        case 5 if len(items) < 64:
            items = items * rng.choice((2, 3, 20))
        case _:
            items[at] = change(rng, item, items[at], depth + 1)
    return tuple(items)


def change_structure(rng: random.Random, held: Any, depth: int = 0) -> Any:
    """The structure with one field changed; where that one decides which others are there, mostly with them."""
    if isinstance(held, MLSMessage):
        return MLSMessage.of(change_structure(rng, held.body, depth + 1))
    fields = [field for field in fields_of(held) if present(held, field)]
    if not fields:
        return held
    # Fields with more in them are changed more often.
    weights = [1 if isinstance(field.kind, Number | Opaque) else 4 for field in fields]
    (field,) = rng.choices(fields, weights)
    changed = change(rng, field.kind, getattr(held, field.name), depth + 1)
    changes = {field.name: changed}
    if rng.random() < 0.95:
        for other in fields_of(held):
            if other.when is not None and other.when[0] == field.name:
                there = changed in other.when[1]
                if there != (getattr(held, other.name) is not None):
                    changes[other.name] = value(rng, other.kind, depth + 1) if there else None
    return dataclasses.replace(held, **changes)
