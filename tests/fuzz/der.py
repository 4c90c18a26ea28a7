"""DER as a tree, so that a certificate is changed where its structure is and keeps its lengths right."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.fuzz.values import change_bytes

_CONSTRUCTED = 0x20


@dataclass
class Node:
    """One element: its tag, and its parts or its bytes."""

    tag: int
    content: bytes = b""
    parts: list[Node] | None = None

    def encode(self) -> bytes:
        body = self.content if self.parts is None else b"".join(part.encode() for part in self.parts)
        return bytes((self.tag,)) + _length(len(body)) + body


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    encoded = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0x80 | len(encoded),)) + encoded


def parse(data: bytes) -> Node:
    """The tree of well-formed DER."""
    node, end = _parse(data, 0)
    assert end == len(data)
    return node


def _parse(data: bytes, at: int) -> tuple[Node, int]:
    tag, size, at = data[at], data[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        size, at = int.from_bytes(data[at : at + width]), at + width
    end = at + size
    if not tag & _CONSTRUCTED:
        return Node(tag, data[at:end]), end
    parts = []
    while at < end:
        part, at = _parse(data, at)
        parts.append(part)
    return Node(tag, parts=parts), end


def change(rng: random.Random, root: Node) -> None:
    """Something changed in one place of the tree."""
    inner: list[Node] = []
    leaves: list[Node] = []
    _collect(root, inner, leaves)
    if leaves and rng.random() < 0.5:
        leaf = rng.choice(leaves)
        leaf.content = (
            change_bytes(rng, leaf.content) if rng.random() < 0.8 else rng.randbytes(rng.randrange(40))
        )
        return
    node = rng.choice(inner)
    parts = node.parts
    if not parts or rng.random() < 0.2:
        node.tag = rng.choice((0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x17, 0x18, 0x30, 0x31, 0xA0, 0xA3))
        return
    at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(5):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, parts[other])
        case 2:
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            parts[at] = rng.choice(leaves)
        case _:
            parts[at].tag = rng.randrange(256)


def _collect(node: Node, inner: list[Node], leaves: list[Node]) -> None:
    if node.parts is None:
        leaves.append(node)
        return
    inner.append(node)
    for part in node.parts:
        _collect(part, inner, leaves)
