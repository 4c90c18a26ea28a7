"""The linked entries of a universe's roster, and how they are found (PROTOCOL 6).

Sets of entries are integers, one bit for each position in order of arrival: what an entry follows, what stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starling.protocol.distributed.roster_body import (
    Admission,
    Founding,
    PolicyChange,
    Removal,
    RoleChange,
    Target,
)
from starling.protocol.distributed.roster_entry import ReadEntry
from starling.protocol.distributed.roster_rights import Need


@dataclass(slots=True, eq=False)
class Node:
    """An entry in its place. `ancestors` are all entries that it follows, `need` is what its author needed.

    `honoured` are, for a restriction, the acts of its subject that it leaves alone, with all that they follow; `fallen`
    are those among the entry and its ancestors that do not stand, as far as these tell.
    """

    read: ReadEntry
    position: int
    ancestors: int
    need: Need
    honoured: int = 0
    fallen: int = 0

    @property
    def bit(self) -> int:
        return 1 << self.position

    @property
    def closure(self) -> int:
        """The entry and all that it follows."""
        return self.ancestors | self.bit

    def follows(self, other: Node) -> bool:
        """Whether `other` is an ancestor of this entry."""
        return bool(self.ancestors & other.bit)

    @property
    def author(self) -> bytes:
        return self.read.entry.author

    @property
    def subject(self) -> bytes:
        return self.read.entry.subject

    @property
    def entry_id(self) -> bytes:
        return self.read.entry_id

    @property
    def version(self) -> int:
        return self.read.entry.version

    @property
    def removes_member(self) -> bool:
        """Whether somebody is no member any more by it: removed, or gone."""
        body = self.read.body
        return isinstance(body, Removal) and body.target in (Target.MEMBER, Target.LEAVE)

    @property
    def is_leave(self) -> bool:
        body = self.read.body
        return isinstance(body, Removal) and body.target is Target.LEAVE

    @property
    def restricts(self) -> bool:
        """Whether it bounds what its subject may have done meanwhile."""
        return self.removes_member or isinstance(self.read.body, RoleChange)

    @property
    def may_fall(self) -> bool:
        """Whether it stands only as long as its author had the right: all but the founding, and leaving."""
        return not self.is_leave and not isinstance(self.read.body, Founding)


class RosterNodes:
    """The linked entries, by position, id, author and subject."""

    def __init__(self, universe_id: bytes) -> None:
        self.universe_id = universe_id
        self.founder: bytes | None = None
        self.nodes: list[Node] = []
        self.restrictions: list[Node] = []
        self.policies: list[Node] = []
        self.grants: list[Node] = []
        """What gives somebody a role: the founding entry, member entries, changes of roles."""
        self.policy_bits = 0
        self._by_id: dict[bytes, Node] = {}
        self._by_author: dict[bytes, list[Node]] = {}
        self._by_subject: dict[bytes, list[Node]] = {}
        self._about: dict[bytes, int] = {}
        self._tips: dict[bytes, Node] = {}

    def __contains__(self, entry_id: bytes) -> bool:
        return entry_id in self._by_id

    def __getitem__(self, entry_id: bytes) -> Node:
        return self._by_id[entry_id]

    def get(self, entry_id: bytes) -> Node | None:
        return self._by_id.get(entry_id)

    @property
    def everything(self) -> int:
        """The bit set of all entries."""
        return (1 << len(self.nodes)) - 1

    @property
    def ids(self) -> Iterable[bytes]:
        return self._by_id.keys()

    @property
    def tips(self) -> Mapping[bytes, Node]:
        """The entries that no other entry follows, by id."""
        return self._tips

    def about(self, subject: bytes) -> tuple[Node, ...]:
        """The entries with this subject, in order of arrival."""
        return tuple(self._by_subject.get(subject, ()))

    def about_bits(self, subject: bytes) -> int:
        """The same as a bit set."""
        return self._about.get(subject, 0)

    def by(self, author: bytes) -> tuple[Node, ...]:
        """The entries of this author, in order of arrival."""
        return tuple(self._by_author.get(author, ()))

    def heads_of(self, author: bytes) -> tuple[Node, ...]:
        """The newest entries of an author: those that none of its own follows."""
        own = self._by_author.get(author, ())
        followed = 0
        for node in own:
            followed |= node.ancestors
        return tuple(node for node in own if not followed & node.bit)

    def ancestors_of(self, predecessors: Iterable[bytes]) -> int:
        """The bit set of known entries and all that they follow."""
        bits = 0
        for predecessor in predecessors:
            bits |= self._by_id[predecessor].closure
        return bits

    def next_version(self, author: bytes, ancestors: int) -> int:
        """The version of an entry by `author` that follows exactly `ancestors`."""
        own = self._by_author.get(author, ())
        return 1 + max((node.version for node in own if ancestors & node.bit), default=0)

    def put(self, node: Node) -> None:
        """Take in an entry whose predecessors are in."""
        body, entry = node.read.body, node.read.entry
        self.nodes.append(node)
        self._by_id[node.entry_id] = node
        self._by_author.setdefault(entry.author, []).append(node)
        self._by_subject.setdefault(entry.subject, []).append(node)
        self._about[entry.subject] = self._about.get(entry.subject, 0) | node.bit
        for predecessor in entry.predecessors:
            self._tips.pop(predecessor, None)
        self._tips[node.entry_id] = node
        if node.restricts:
            self.restrictions.append(node)
        if isinstance(body, Founding | Admission | RoleChange):
            self.grants.append(node)
        if isinstance(body, Founding):
            self.founder = entry.author
            self._about[entry.author] = self._about.get(entry.author, 0) | node.bit
        elif isinstance(body, PolicyChange):
            self.policies.append(node)
            self.policy_bits |= node.bit
