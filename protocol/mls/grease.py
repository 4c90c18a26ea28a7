"""GREASE: values that mean nothing, sent so that others go on ignoring what they do not know (RFC 9420 §13.5).

They are put into what is signed afterwards: capabilities, leaves, and the extensions of KeyPackages and
GroupInfos. What comes in is never treated in a special way; only one's own list of what is supported has to
be read without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.leaf_node import LeafNode

GREASE_VALUES = tuple(0x0A0A + 0x1010 * number for number in range(15))
"""0x0A0A, 0x1A1A, ... 0xEAEA: the same in the registries of suites, extensions, proposals and credentials."""

_MAX_DATA = 32
Random = Callable[[int], bytes]


def is_grease(value: int) -> bool:
    return value in GREASE_VALUES


def grease_capabilities(capabilities: Capabilities, random: Random) -> Capabilities:
    """The capabilities with one GREASE value in each list that may hold them."""
    return replace(
        capabilities,
        cipher_suites=_with_value(capabilities.cipher_suites, random),
        extensions=_with_value(capabilities.extensions, random),
        proposals=_with_value(capabilities.proposals, random),
        credentials=_with_value(capabilities.credentials, random),
    )


def grease_leaf(leaf_node: LeafNode, random: Random) -> LeafNode:
    """The leaf, to be signed, with GREASE in its capabilities and one extension that they name."""
    capabilities = grease_capabilities(leaf_node.capabilities, random)
    known = [value for value in capabilities.extensions if is_grease(value)]
    extensions = _with_extension(leaf_node.extensions, _choose(known, random), random)
    return replace(leaf_node, capabilities=capabilities, extensions=extensions)


def grease_extensions(extensions: tuple[Extension, ...], random: Random) -> tuple[Extension, ...]:
    """The extensions of a KeyPackage or GroupInfo with one more, of up to 31 bytes, among them."""
    return _with_extension(extensions, _choose(GREASE_VALUES, random), random)


def supported(values: Iterable[int]) -> frozenset[int]:
    """What a list of one's own capabilities says without its GREASE values."""
    return frozenset(value for value in values if not is_grease(value))


def _choose(values: Iterable[int], random: Random) -> int:
    choices = tuple(values)
    return choices[random(1)[0] % len(choices)]


def _with_value(values: tuple[int, ...], random: Random) -> tuple[int, ...]:
    value = _choose(GREASE_VALUES, random)
    place = random(1)[0] % (len(values) + 1)
    return values if value in values else (*values[:place], value, *values[place:])


def _with_extension(
    extensions: tuple[Extension, ...], extension_type: int, random: Random
) -> tuple[Extension, ...]:
    if any(extension.extension_type == extension_type for extension in extensions):
        return extensions
    place = random(1)[0] % (len(extensions) + 1)
    extension = Extension(extension_type, random(random(1)[0] % _MAX_DATA))
    return (*extensions[:place], extension, *extensions[place:])
