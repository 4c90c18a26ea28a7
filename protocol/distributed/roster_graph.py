"""The union of a universe's roster entries as a graph (PROTOCOL 6): what is in, waits, follows.

Whether an entry is taken in depends on the entry and its ancestors only, never on the order of arrival, so
two nodes with the same entries have the same graph. One bound cannot have this property: of an author's
entries under one version the first four to arrive are kept. Only an author with the right to make entries
can exceed it, by signing against the rules; unequal digests then show it. (A member without rights can only
leave, and the content of that entry is fully determined.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from starling.protocol.distributed.roster_body import (
    Admission,
    Archiver,
    Founding,
    Invite,
    Kind,
    Removal,
    Target,
)
from starling.protocol.distributed.roster_entry import ReadEntry, read_entry, universe_id_of
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid, Pending, ProtocolError

MAX_SIBLINGS = 4
MAX_WAITING = 256
MAX_WAITING_PER_AUTHOR = 32


_REMOVABLE = {Target.MEMBER: Admission, Target.INVITE: Invite, Target.ARCHIVER: Archiver}


@dataclass(frozen=True, slots=True)
class Node:
    """An entry in the graph; `ancestors` is a bit set of the positions of all entries it follows."""

    read: ReadEntry
    position: int
    ancestors: int

    @property
    def bit(self) -> int:
        return 1 << self.position

    def follows(self, other: Node) -> bool:
        """Whether `other` is an ancestor of this entry."""
        return bool(self.ancestors & other.bit)


class RosterGraph:
    """The entries of one universe, linked."""

    def __init__(self, universe_id: bytes) -> None:
        self.universe_id = universe_id
        self.nodes: list[Node] = []
        self.founder: bytes | None = None
        self._by_id: dict[bytes, Node] = {}
        self._encoded: set[bytes] = set()
        self._by_author: dict[bytes, list[Node]] = {}
        self._by_subject: dict[bytes, list[Node]] = {}
        self._tips: dict[bytes, Node] = {}
        self._waiting: dict[bytes, ReadEntry] = {}

    def __contains__(self, entry_id: bytes) -> bool:
        return entry_id in self._by_id

    def __getitem__(self, entry_id: bytes) -> Node:
        return self._by_id[entry_id]

    @property
    def ids(self) -> Iterable[bytes]:
        return self._by_id.keys()

    @property
    def tips(self) -> Mapping[bytes, Node]:
        """The entries that no other entry follows, by id."""
        return self._tips

    @property
    def wanted(self) -> frozenset[bytes]:
        """Ids that waiting entries name and that nobody has shown yet."""
        named = {p for read in self._waiting.values() for p in read.entry.predecessors}
        return frozenset(p for p in named if p not in self._by_id and p not in self._waiting)

    @property
    def waiting(self) -> Iterable[ReadEntry]:
        """The entries that follow others that are not here: their signatures hold, nothing else is checked."""
        return self._waiting.values()

    def about(self, subject: bytes) -> tuple[Node, ...]:
        """The entries with this subject, in order of arrival."""
        return tuple(self._by_subject.get(subject, ()))

    def by(self, author: bytes) -> tuple[Node, ...]:
        """The entries of this author, in order of arrival."""
        return tuple(self._by_author.get(author, ()))

    def ancestors_of(self, predecessors: Iterable[bytes]) -> int:
        """The bit set of known entries and all that they follow."""
        bits = 0
        for predecessor in predecessors:
            node = self._by_id[predecessor]
            bits |= node.ancestors | node.bit
        return bits

    def next_version(self, author: bytes, ancestors: int) -> int:
        """The version of an entry by `author` that follows exactly `ancestors`."""
        return 1 + max(
            (n.read.entry.version for n in self._by_author.get(author, ()) if ancestors & n.bit), default=0
        )

    def add(self, encoded: bytes) -> tuple[bytes, ...]:
        """Take in an entry, and those that waited for it; returns them encoded, predecessors first.

        Raises Pending where a predecessor is missing (the entry waits, within bounds), and all that
        `read_entry` raises, and Invalid for an entry that its ancestors do not allow.
        """
        if encoded in self._encoded:
            return ()  # every hello shows them all again: no second look at signatures
        read = read_entry(encoded, self.universe_id)
        if read.entry_id in self._by_id:
            return ()
        if any(predecessor not in self._by_id for predecessor in read.entry.predecessors):
            self._wait(read)
            raise Pending("a roster entry follows entries that are not here yet")
        self._waiting.pop(read.entry_id, None)
        self._link(read)
        return (encoded, *self._link_waiting())

    def _wait(self, read: ReadEntry) -> None:
        """Keep an entry for later; Invalid for one that no ancestors can make right."""
        if read.entry_id in self._waiting:
            return
        author = read.entry.author
        if self.founder is not None and author != self.founder:
            self._check_leave_alone(read)
        same = [entry_id for entry_id, r in self._waiting.items() if r.entry.author == author]
        if len(same) >= MAX_WAITING_PER_AUTHOR:
            del self._waiting[same[0]]
        elif len(self._waiting) >= MAX_WAITING:
            # The founder's go last: everybody else can make as many authors as it likes.
            others = (entry_id for entry_id, r in self._waiting.items() if r.entry.author != self.founder)
            del self._waiting[next(others)]
        self._waiting[read.entry_id] = read

    def _link_waiting(self) -> Iterator[bytes]:
        progress = True
        while progress:
            progress = False
            for entry_id, read in list(self._waiting.items()):
                if all(predecessor in self._by_id for predecessor in read.entry.predecessors):
                    del self._waiting[entry_id]
                    try:
                        self._link(read)
                    except ProtocolError:
                        continue  # it waited in vain: now that its ancestors are known, it is refused
                    progress = True
                    yield read.encoded

    def _link(self, read: ReadEntry) -> None:
        entry = read.entry
        ancestors = self.ancestors_of(entry.predecessors)
        if isinstance(read.body, Founding):
            self._check_founding(read, read.body)
        else:
            self._check_allowed(read, ancestors)
        if entry.version != self.next_version(entry.author, ancestors):
            raise Invalid(Rule.ENTRY_VERSION, f"{entry.version}")
        authored = self._by_author.setdefault(entry.author, [])
        if sum(node.read.entry.version == entry.version for node in authored) >= MAX_SIBLINGS:
            raise Invalid(Rule.ENTRY_QUOTA, f"version {entry.version}")
        node = Node(read, len(self.nodes), ancestors)
        self.nodes.append(node)
        self._by_id[read.entry_id] = node
        self._encoded.add(read.encoded)
        authored.append(node)
        self._by_subject.setdefault(entry.subject, []).append(node)
        for predecessor in entry.predecessors:
            self._tips.pop(predecessor, None)
        self._tips[read.entry_id] = node
        if isinstance(read.body, Founding):
            self.founder = entry.author

    def _check_founding(self, read: ReadEntry, body: Founding) -> None:
        entry = read.entry
        proved = universe_id_of(entry.author, body.universe_name, body.nonce)
        if proved != self.universe_id or entry.subject != self.universe_id or entry.predecessors:
            raise Invalid(Rule.ENTRY_FOUNDING)

    def _check_allowed(self, read: ReadEntry, ancestors: int) -> None:
        entry, body = read.entry, read.body
        if not entry.predecessors:
            raise Invalid(Rule.ENTRY_FOUNDING, "an entry follows the founding entry")
        if isinstance(body, Removal) and body.target is Target.LEAVE:
            self._check_leave(read)
            return
        if not self.may_author(entry.author, ancestors):
            raise Invalid(Rule.ENTRY_RIGHT)
        match body:
            case Removal():
                self._check_removal(read, body, ancestors)
            case Admission():
                self._check_admission(read, body, ancestors)
            case Invite() | Archiver():
                pass
            case _:
                if entry.subject != self.universe_id:
                    raise Invalid(Rule.ENTRY_FIELDS, "the subject of a topic is the universe")

    def may_author(self, author: bytes, ancestors: int) -> bool:
        """Whether the author held the founder's rights according to these entries: all, until it left.

        Nobody else has rights yet; leaving oneself needs none.
        """
        return author == self.founder and not any(
            ancestors & node.bit and isinstance(node.read.body, Removal)
            for node in self._by_subject.get(author, ())
        )

    def _check_leave_alone(self, read: ReadEntry) -> None:
        """What holds of the entry of somebody without rights whatever it follows: it leaves."""
        entry, body = read.entry, read.body
        if not isinstance(body, Removal) or body.target is not Target.LEAVE or entry.author != entry.subject:
            raise Invalid(Rule.ENTRY_RIGHT, "without rights one can only leave")
        if len(entry.predecessors) != 1:
            raise Invalid(Rule.ENTRY_LEAVE)

    def _check_leave(self, read: ReadEntry) -> None:
        entry = read.entry
        self._check_leave_alone(read)
        named = self._by_id[entry.predecessors[0]].read
        if not isinstance(named.body, Admission) or named.entry.subject != entry.subject:
            raise Invalid(Rule.ENTRY_LEAVE)

    def _check_removal(self, read: ReadEntry, body: Removal, ancestors: int) -> None:
        entry = read.entry
        if entry.author == entry.subject:
            raise Invalid(Rule.ENTRY_REMOVAL, "removing oneself is leaving")
        wanted = _REMOVABLE[body.target]
        if not any(
            ancestors & node.bit and isinstance(node.read.body, wanted)
            for node in self._by_subject.get(entry.subject, ())
        ):
            raise Invalid(Rule.ENTRY_REMOVAL)
        for honoured in body.honours:
            act = self._by_id.get(honoured)
            if act is None or not ancestors & act.bit or act.read.entry.author != entry.subject:
                raise Invalid(Rule.ENTRY_REMOVAL, "honours an act that it does not know")

    def _check_admission(self, read: ReadEntry, body: Admission, ancestors: int) -> None:
        entry = read.entry
        if body.invite_id:
            if not any(
                ancestors & node.bit and isinstance(node.read.body, Invite)
                for node in self._by_subject.get(body.invite_id, ())
            ):
                raise Invalid(Rule.ENTRY_INVITE)
        elif entry.subject != entry.author:
            raise Invalid(Rule.ENTRY_INVITE, "no invite is named")
        if entry.kind == Kind.READMIT and not any(
            self._by_id[p].read.entry.subject == entry.subject
            and self._by_id[p].read.entry.kind == Kind.REMOVAL
            for p in entry.predecessors
        ):
            raise Invalid(Rule.ENTRY_READMIT)
