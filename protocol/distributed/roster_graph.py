"""The union of a universe's roster entries as a graph (PROTOCOL 6): what is in, waits, follows.

Whether an entry is taken in depends on the entry and its ancestors only, never on the order of arrival, so
two nodes with the same entries have the same graph. One bound cannot have this property: of an author's
entries under one version the first four to arrive are kept, and those that an entry of somebody else follows. Only an
author with the right to make entries can exceed it, by signing against the rules; unequal digests then show it, until
it is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starling.protocol.distributed.roster_body import Founding
from starling.protocol.distributed.roster_checks import check_entry, check_founding
from starling.protocol.distributed.roster_entry import ReadEntry, read_entry
from starling.protocol.distributed.roster_nodes import Node, RosterNodes
from starling.protocol.distributed.roster_rights import NOBODY, Need
from starling.protocol.distributed.roster_situation import Situation
from starling.protocol.distributed.roster_standing import fallen, strikes_any
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid, Pending, ProtocolError

MAX_SIBLINGS = 4
MAX_WAITING = 256
MAX_WAITING_PER_AUTHOR = 32


class RosterGraph(RosterNodes):
    """The entries of one universe, linked, and those that wait for others."""

    def __init__(self, universe_id: bytes) -> None:
        super().__init__(universe_id)
        self._encoded: set[bytes] = set()
        self._waiting: dict[bytes, ReadEntry] = {}

    @property
    def wanted(self) -> frozenset[bytes]:
        """Ids that waiting entries name and that nobody has shown yet."""
        named = {p for read in self._waiting.values() for p in read.entry.predecessors}
        return frozenset(p for p in named if p not in self and p not in self._waiting)

    @property
    def waiting(self) -> Iterable[ReadEntry]:
        """The entries that follow others that are not here: their signatures hold, nothing else is checked."""
        return self._waiting.values()

    def fallen_of(self, ancestors: int, predecessors: Iterable[bytes]) -> int:
        """Which of the entries `ancestors`, named by `predecessors`, do not stand, as far as these tell."""
        for predecessor in predecessors:
            node = self[predecessor]
            if node.closure == ancestors:
                return node.fallen
        return fallen(self, ancestors)

    def add(self, encoded: bytes, *, bounded: bool = True) -> tuple[bytes, ...]:
        """Take in an entry, and those that waited for it; returns them encoded, predecessors first.

        Raises Pending where a predecessor is missing (the entry waits, within bounds), and all that
        `read_entry` raises, and Invalid for an entry that its ancestors do not allow. What was taken in before is not
        `bounded` again.
        """
        if encoded in self._encoded:
            return ()  # every hello shows them all again: no second look at signatures
        read = read_entry(encoded, self.universe_id)
        if read.entry_id in self:
            return ()
        if any(predecessor not in self for predecessor in read.entry.predecessors):
            self._wait(read)
            raise Pending("a roster entry follows entries that are not here yet")
        self._waiting.pop(read.entry_id, None)
        self._link(read, bounded=bounded)
        return (encoded, *self._link_waiting())

    def _wait(self, read: ReadEntry) -> None:
        """Keep an entry for later. Where there is no more room, those go first whose authors have the least rights:
        anybody can make as many authors as it likes."""
        if read.entry_id in self._waiting:
            return
        author = read.entry.author
        same = [entry_id for entry_id, r in self._waiting.items() if r.entry.author == author]
        if len(same) >= MAX_WAITING_PER_AUTHOR:
            del self._waiting[same[0]]
        elif len(self._waiting) >= MAX_WAITING:
            situation = Situation(self, self.everything)
            ranks = {r.entry.author: situation.rank(r.entry.author) for r in self._waiting.values()}
            least = min(self._waiting.values(), key=lambda r: ranks[r.entry.author])
            if ranks[least.entry.author] > situation.rank(author):
                return
            del self._waiting[least.entry_id]
        self._waiting[read.entry_id] = read

    def _link_waiting(self) -> Iterator[bytes]:
        progress = True
        while progress:
            progress = False
            for entry_id, read in list(self._waiting.items()):
                if all(predecessor in self for predecessor in read.entry.predecessors):
                    del self._waiting[entry_id]
                    try:
                        self._link(read, bounded=True)
                    except ProtocolError:
                        continue  # it waited in vain: now that its ancestors are known, it is refused
                    progress = True
                    yield read.encoded

    def _link(self, read: ReadEntry, *, bounded: bool) -> None:
        entry = read.entry
        ancestors = self.ancestors_of(entry.predecessors)
        known_fallen = self.fallen_of(ancestors, entry.predecessors)
        needed, honoured = Need(NOBODY), 0
        if isinstance(read.body, Founding) or not entry.predecessors:
            check_founding(read, self.universe_id)
        else:
            needed, honoured = check_entry(self, read, ancestors, known_fallen)
        if entry.version != self.next_version(entry.author, ancestors):
            raise Invalid(Rule.ENTRY_VERSION, f"{entry.version}")
        siblings = sum(node.version == entry.version for node in self.by(entry.author))
        if bounded and siblings >= MAX_SIBLINGS and read.entry_id not in self.wanted:
            raise Invalid(Rule.ENTRY_QUOTA, f"version {entry.version}")
        node = Node(read, len(self.nodes), ancestors, needed, honoured, known_fallen)
        self.put(node)
        self._encoded.add(read.encoded)
        if node.restricts and strikes_any(self, node, ancestors):
            node.fallen = fallen(self, node.closure)
