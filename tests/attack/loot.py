"""What a thief finds on a node: everything that its engine holds in memory, and every row that its store opens."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from tests.engine.small_network import Node

from starling.protocol.distributed.psk_ledger import ExportedPsk
from starling.protocol.engine.engine import Engine
from starling.protocol.engine.group_state import SavedState
from starling.protocol.errors import DecodeError
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.group_record import save_epoch, save_ratchets
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.packed import unpack

KEY_LENGTH = 32
"""Nh, and the length of a private key, in the suites of send groups."""

_CODE = (ModuleType, FunctionType, BuiltinFunctionType, CodeType, type)


def reachable(*roots: object) -> Iterator[object]:
    """All objects that can be got at from these; code is none of a node's data."""
    seen = {id(root) for root in roots}
    stack: list[object] = list(roots)
    while stack:
        found = stack.pop()
        yield found
        for other in gc.get_referents(found):
            if id(other) not in seen and not isinstance(other, _CODE):
                seen.add(id(other))
                stack.append(other)


@dataclass(slots=True)
class Loot:
    """Copies, so that what the node deletes afterwards is not lost to the thief.

    `epochs` are saved epochs with their ratchets, `psks` by (group_id, dmls_epoch), `values` all strings that are as
    long as a key: any of them is tried as one.
    """

    epochs: set[tuple[bytes, bytes]] = field(default_factory=set)
    psks: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    packages: set[KeyPackage] = field(default_factory=set)
    values: set[bytes] = field(default_factory=set)

    def __or__(self, other: Loot) -> Loot:
        return Loot(
            self.epochs | other.epochs,
            self.psks | other.psks,
            self.packages | other.packages,
            self.values | other.values,
        )

    def add(self, found: object) -> None:
        match found:
            case Epoch():
                if _is_whole(found):
                    self.epochs.add((save_epoch(found), save_ratchets(found)))
            case SavedState():
                self.epochs.add((found.record, found.ratchets))
            case ExportedPsk():
                self.psks[found.group_id, found.dmls_epoch] = found.psk
            case KeyPackage():
                self.packages.add(found)
            case bytes() | bytearray() if len(found) == KEY_LENGTH:
                self.values.add(bytes(found))


def _is_whole(epoch: Epoch) -> bool:
    """Whether there is anything to save: a wiped epoch has no name left even."""
    return bool(epoch.secrets.extra)


def steal(node: Node) -> Loot:
    """Everything of a running node at this moment."""
    loot = Loot()
    for found in reachable(node.engine):
        loot.add(found)
    rows = {place: value for place, value in node.rows.items() if place[0] != "frame"}
    started = Engine(
        node.identity,
        [(table, key, value) for (table, key), value in rows.items()],
        now=node.network.now,
        random=bytes,
    )
    for found in reachable(started):
        loot.add(found)
    for (table, key), value in rows.items():
        if table == "epoch":
            loot.epochs.add((value, rows["ratchet", key]))
        for part in _parts(value):
            loot.add(part)
    return loot


def _parts(row: bytes) -> Iterable[Any]:
    """The strings in a row, where it is packed."""
    try:
        return list(reachable(unpack(row, max_bytes=2**26)))
    except DecodeError:
        return [row]
