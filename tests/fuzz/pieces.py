"""The wire form of a value as a tree of pieces, so that bytes are changed where the structure is.

Leaves are bytes; a `Vector` gets its length when the tree is written. Written without a change the tree gives
the encoding: a second encoder, that the codec is compared with.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.kinds import Choice, Kind, Many, Number, Opaque, Optional, Structure, fields_of, present
from tests.fuzz.values import change_bytes

from starling.protocol.mls.message import MLSMessage


@dataclass
class Vector:
    """What stands behind a length; `header` replaces the right one."""

    parts: list[Piece]
    header: bytes | None = None


@dataclass
class Group:
    """Parts one behind the other."""

    parts: list[Piece] = field(default_factory=list)


Piece = bytes | Vector | Group


def _length(size: int, width: int | None = None) -> bytes:
    """A length of RFC 9420 §2.1.2, of 1, 2 or 4 bytes, minimal by default."""
    width = width or (1 if size < 0x40 else 2 if size < 0x4000 else 4)
    prefix = {1: 0, 2: 0x4000, 4: 0x80000000}[width]
    return (prefix | size % {1: 0x40, 2: 0x4000, 4: 0x40000000}[width]).to_bytes(width)


def written(piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return piece
    body = b"".join(map(written, piece.parts))
    if isinstance(piece, Group):
        return body
    return (_length(len(body)) if piece.header is None else piece.header) + body


def pieces(kind: Kind, held: Any) -> Piece:
    """The tree of a value; a field that lost its value is empty."""
    if held is None and isinstance(kind, Choice | Structure):
        return b""
    match kind:
        case Number():
            return int(held or 0).to_bytes(kind.size)
        case Opaque():
            return bytes(held or b"") if kind.size is not None else Vector([bytes(held or b"")])
        case Many(item):
            return Vector([pieces(item, entry) for entry in held or ()])
        case Optional(item):
            return Group([b"\x00"] if held is None else [b"\x01", pieces(item, held)])
        case Choice():
            tag = kind.tag_of(held)
            return Group([tag.to_bytes(kind.tag.size), pieces(Structure(type(held)), held)])
        case Structure():
            parts = [pieces(f.kind, getattr(held, f.name)) for f in fields_of(held) if present(held, f)]
            return Group([b"\x00\x01", *parts] if isinstance(held, MLSMessage) else list(parts))


def changed(rng: random.Random, tree: Piece) -> bytes:
    """The bytes with one piece wrong: a length, a number, a part that is missing, double or elsewhere."""
    inner: list[Vector | Group] = []
    _collect(tree, inner)
    inner = [node for node in inner if isinstance(node, Vector) or node.parts]
    if not inner:
        return change_bytes(rng, written(tree))
    node = rng.choice(inner)
    if isinstance(node, Vector) and rng.random() < 0.4:
        size = len(b"".join(map(written, node.parts)))
        node.header = _wrong_length(rng, size)
        return written(tree)
    parts = node.parts
    if not parts:
        parts.append(rng.randbytes(rng.choice((1, 4, 32))))
        return written(tree)
    at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(7):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, parts[other])
        case 2:
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            foreign = rng.choice(inner)
            parts[at] = written(foreign)
        case 4:
            del parts[at:]
        case _:
            parts[at] = change_bytes(rng, written(parts[at]))
    return written(tree)


def _wrong_length(rng: random.Random, size: int) -> bytes:
    match rng.randrange(6):
        case 0:
            return _length(size, rng.choice((1, 2, 4)))
        case 1:
            return _length(rng.choice((size + 1, max(size - 1, 0))))
        case 2:
            return _length(rng.choice((0, 0x3F, 0x40, 0x3FFF, 0x4000, 0x3FFFFFFF)))
        case 3:
            return rng.choice(
                (b"", b"\xc0", b"\xff" * 8, b"\x40\x00", b"\x80\x00\x00\x00", b"\xbf\xff\xff\xff")
            )
        case _:
            return _length(rng.randrange(2 * size + 2))


def _collect(piece: Piece, found: list[Vector | Group]) -> None:
    if isinstance(piece, bytes):
        return
    found.append(piece)
    for part in piece.parts:
        _collect(part, found)
