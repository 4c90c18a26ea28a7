"""Nodes with the daemon's own store, each in a directory of its own, instead of rows in memory."""

from __future__ import annotations

import os
from pathlib import Path

from tests.attack.recorder import Masked, masked
from tests.attack.traffic import TappedNetwork
from tests.engine.small_network import Network, Node

from starling.daemon.key_slots import SLOT_SIZE
from starling.daemon.store import SLOTS, Batch, Store
from starling.protocol.engine.engine import Engine
from starling.protocol.engine.inputs import OwnAddresses
from starling.protocol.engine.step import Put, Step

NODE_KEY = bytes(range(100, 132))
"""What the slots are wrapped with: the thief has it."""


class DiskNode(Node):
    """A node of which nothing but its identity outlives a stop in memory."""

    def __init__(self, name: str, network: Network, directory: Path) -> None:
        self.directory = directory
        self.lasting: list[Masked] = []
        """All rows that were ever sealed by the lasting key: what was deleted of them may still be on the disk."""
        directory.mkdir()
        super().__init__(name, network)

    def start(self) -> None:
        if self.runs == 1:
            Store.create(self.directory, NODE_KEY, self.identity.save(), os.urandom)
        self.store = Store(self.directory, NODE_KEY)
        self.engine = Engine(
            self.identity, self.store.records(), now=self.network.now, random=self.random_source()
        )
        self.connected = set()
        self.do(OwnAddresses((f"/memory/{self.name}",)))

    def save(self, step: Step) -> None:
        for write in step.writes:
            if isinstance(write, Put) and not write.scope and write.table != "frame":
                self.lasting.append(masked(write.value))
        self.store.commit(Batch(self.network.now, list(step.writes), list(step.events)))
        self.events += step.events

    def frame(self, frame_id: bytes) -> bytes | None:
        return self.store.frame(frame_id)

    def files(self) -> list[bytes]:
        """Every byte of the directory: the database with its log, and the slots."""
        return [path.read_bytes() for path in sorted(self.directory.iterdir())]

    def slots(self) -> set[bytes]:
        """The slots of the key file that hold something."""
        data = (self.directory / SLOTS).read_bytes()
        slots = (data[at : at + SLOT_SIZE] for at in range(0, len(data), SLOT_SIZE))
        return {slot for slot in slots if slot.strip(b"\x00")}

    def idle_scopes(self) -> set[bytes]:
        """The scopes of which every row was deleted: their keys open what is left of these on the disk."""
        rows = self.store._reader.execute("SELECT DISTINCT slot FROM records")
        sealing = {slot for (slot,) in rows}
        return {name for name, slot in self.store._scopes.items() if slot not in sealing}

    def records(self) -> list[bytes]:
        """What the store opens."""
        return [value for _, _, value in self.store.records()]


class DiskNetwork(TappedNetwork):
    """A network of such nodes, their directories under `home`."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home

    def add(self, name: str) -> Node:
        node = DiskNode(name, self, self.home / name)
        self.nodes[node.id] = node
        return node
