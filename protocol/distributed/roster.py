"""Who is a member of a universe, with which role: signed entries that merge without order (PROTOCOL 6).

`Roster` is the union of the entries a node knows (roster_graph), what they amount to (roster_view), and
the making of new ones (roster_making). Merge is `add`; two rosters with the same entries have the same digest
and members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from starling.protocol.distributed.admission import admission_by
from starling.protocol.distributed.archivers import ArchiverInfo, farewell
from starling.protocol.distributed.identity import Identity, check_name
from starling.protocol.distributed.member import DmlsMember
from starling.protocol.distributed.roster_body import Admission, Founding, Kind
from starling.protocol.distributed.roster_departures import Departure, departure_of, told_departure
from starling.protocol.distributed.roster_entry import (
    decode_entry,
    entry_id,
    read_entry,
    sign_entry,
    universe_id_of,
)
from starling.protocol.distributed.roster_making import RosterMaking
from starling.protocol.distributed.roster_nodes import Node
from starling.protocol.distributed.roster_rights import ADMIN, READER, Policy, Right, need, rank
from starling.protocol.distributed.roster_view import InviteInfo, MemberInfo, topic_name
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.errors import Invalid

_ADMITS = frozenset({int(Kind.MEMBER), int(Kind.READMIT)})

__all__ = ["InviteInfo", "MemberInfo", "Roster", "entry_id", "found", "sorted_entries", "topic_name"]


class Roster(RosterMaking):
    """The roster of one universe. Raises nothing on reading; `add` says what it raises."""

    @classmethod
    def load(cls, universe_id: bytes, entries: Iterable[bytes]) -> Roster:
        """A roster of stored entries, in any order, checked again. Raises what `add` raises."""
        roster = cls(universe_id)
        for entry in sorted_entries(entries):
            roster._graph.add(entry, bounded=False)
        return roster

    def __repr__(self) -> str:
        return f"<Roster of {self.universe_id.hex()[:8]}: {len(self._graph.nodes)} entries>"

    # What it holds

    @property
    def founder(self) -> bytes | None:
        """The founder's identity key; None until the founding entry is here."""
        return self._graph.founder

    @property
    def universe_name(self) -> str | None:
        return self.view.universe_name

    @property
    def members(self) -> Mapping[bytes, MemberInfo]:
        """Current members by identity key, in the order of their keys."""
        return self.view.members

    @property
    def seniority(self) -> tuple[bytes, ...]:
        """Current members, most senior first: the founder, whom it gave rights, in their order, and so on."""
        return self.view.seniority

    @property
    def policy(self) -> Policy:
        """Who may invite and remove."""
        return self.view.policy

    @property
    def removed(self) -> Mapping[bytes, tuple[bytes, ...]]:
        """Former members, with the ids of the removals that stand."""
        return self.view.removed

    @property
    def former(self) -> Mapping[bytes, MemberInfo]:
        """What the former members were."""
        return self.view.former

    @property
    def send_groups(self) -> Mapping[bytes, MemberInfo]:
        """All send groups by id, with whose they are or were: nobody else may come with such an id."""
        return self.view.send_groups

    @property
    def peers(self) -> Mapping[bytes, MemberInfo]:
        """Current members by the id of their libp2p peer; of two that claim one, the lower identity key."""
        return self.view.peers

    @property
    def archivers(self) -> Mapping[bytes, ArchiverInfo]:
        """The archivers by identity key, at most 16."""
        return self.view.archivers

    def archiver_of_peer(self, peer_id: bytes) -> ArchiverInfo | None:
        """The archiver that a libp2p peer is."""
        return next((info for info in self.archivers.values() if info.peer_id == peer_id), None)

    def archiver_farewell(self, peer_id: bytes) -> tuple[bytes, ...]:
        """The entries by which a peer learns that it is no archiver any more; none where it is one, or never was."""
        return () if self.archiver_of_peer(peer_id) is not None else farewell(self._graph, peer_id)

    @property
    def invites(self) -> Mapping[bytes, InviteInfo]:
        return self.view.invites

    @property
    def topic_secrets(self) -> tuple[bytes, ...]:
        """Topic secrets, newest first, at most four: publish on the first, hear them all."""
        return self.view.topic_secrets

    @property
    def topics(self) -> tuple[str, ...]:
        """The gossip topics of `topic_secrets`."""
        return tuple(topic_name(secret) for secret in self.topic_secrets)

    @property
    def topic_is_stale(self) -> bool:
        """Whether somebody who was removed knows the newest topic: who may, makes a new one."""
        return self.view.topic_is_stale

    @property
    def digest(self) -> bytes:
        """32 bytes over the ids of all entries but those that make no difference any more (`void_entries`)."""
        return self.view.digest

    @property
    def revision(self) -> int:
        """Higher after every change."""
        return len(self._graph.nodes)

    @property
    def ids(self) -> frozenset[bytes]:
        return frozenset(self._graph.ids)

    @property
    def wanted(self) -> frozenset[bytes]:
        """Ids of entries that others follow and that are not here: to be asked for."""
        return self._graph.wanted

    def entries(self) -> tuple[bytes, ...]:
        """All entries, encoded, each after those that it follows."""
        return tuple(node.read.encoded for node in self._graph.nodes)

    def entry(self, wanted_id: bytes) -> bytes | None:
        """One entry, encoded, by its id."""
        return self._graph[wanted_id].read.encoded if wanted_id in self._graph else None

    def proof(self, identity: bytes, max_bytes: int) -> tuple[bytes, ...]:
        """The entry that makes somebody a member, last; before it those that made its author one, and so on, and the
        newest of the others that it follows."""
        member = self.members.get(identity)
        if member is None:
            return ()
        node = self._graph[member.entry_id]
        chosen = {node.position: node}
        size = len(node.read.encoded)
        for other in (*self._sponsors(node), *reversed(self._graph.nodes[: node.position])):
            if other.position not in chosen and node.follows(other):
                size += len(other.read.encoded)
                if size > max_bytes:
                    break
                chosen[other.position] = other
        return tuple(chosen[position].read.encoded for position in sorted(chosen))

    def _sponsors(self, node: Node) -> Iterator[Node]:
        """The entries that made an entry's author a member, and the author of that, up to the founder."""
        while node.author not in (self.founder, node.subject):
            named = (other for other in reversed(self._graph.about(node.author)) if node.follows(other))
            found = next((other for other in named if other.read.entry.kind in _ADMITS), None)
            if found is None:
                return
            yield found
            node = found

    def missing_from(self, ids: Iterable[bytes]) -> tuple[bytes, ...]:
        """The entries that somebody who has `ids` lacks, each after those that it follows."""
        known = frozenset(ids)
        return tuple(n.read.encoded for n in self._graph.nodes if n.read.entry_id not in known)

    # Merging

    def add(self, entry: bytes) -> tuple[bytes, ...]:
        """Merge one entry. Returns the entries that are new: this one and those that waited for it.

        () means that it was known. Pending: it follows entries that are not here; it waits, within bounds,
        and `wanted` says what to ask for. DecodeError, Invalid, Unsupported, VerificationFailed: refused.
        """
        added = self._graph.add(entry)
        if added:
            self._view = None
        return added

    # Decisions

    def departure(self, identity: bytes) -> Departure | None:
        """Why somebody is no member any more; None for a member, and for who never was one."""
        if identity in self.members:
            return None
        lost = self._graph.fallen_of(self._graph.everything, self._graph.tips)
        return departure_of(self._graph, self._graph.everything & ~lost, identity)

    def told_departure(self, identity: bytes) -> Departure | None:
        """Why a member is none any more, by entries that follow others not known here."""
        return told_departure(self._graph, identity) if identity in self.members else None

    def admits(self, entries: Sequence[bytes], peer_id: bytes) -> bool:
        """Whether the last of these is new here and says that a peer is a member's, on the word of who may sponsor.

        That is a member known here, or somebody whom the others of these entries lead back to one. It is true whatever
        the entry follows. Raises what `read_entry` raises.
        """
        return self._voucher(entries, peer_id, self._may_sponsor) is not None

    def disowns(self, entries: Sequence[bytes], peer_id: bytes) -> Departure | None:
        """Why the last of these does not make a peer a member's: it is the word of who is none any more, or of somebody
        whom the others lead back to one. Raises what `read_entry` raises."""
        voucher = self._voucher(entries, peer_id, lambda author: author in self.former)
        return self.departure(voucher) if voucher is not None else None

    def _voucher(
        self, entries: Sequence[bytes], peer_id: bytes, counts: Callable[[bytes], bool]
    ) -> bytes | None:
        """The first whose word counts, from the last of these entries back, which is new here and says that a peer is a
        member's."""
        if not entries or entry_id(entries[-1]) in self._graph:
            return None
        chain = [decode_entry(entries[-1])]
        others = {entry.subject: entry for entry in map(decode_entry, entries[:-1]) if entry.kind in _ADMITS}
        while not counts(chain[-1].author):
            if chain[-1].author not in others or self._knows(chain[-1].author):
                return None
            chain.append(others.pop(chain[-1].author))
        # The one by who is known first: a stranger that makes up a chain cannot sign that, and the rest costs nothing.
        bodies = [read_entry(entry.encode(), self.universe_id).body for entry in reversed(chain)]
        admits_all = all(isinstance(body, Admission) for body in bodies)
        is_peers = admits_all and isinstance(bodies[-1], Admission) and bodies[-1].peer_id == peer_id
        return chain[-1].author if is_peers else None

    def awaits(self, peer_id: bytes) -> bool:
        """Whether an entry that admits this peer waits for others that it follows, as `admits` says."""
        admissions = {read.entry.subject: read for read in self._graph.waiting if read.entry.kind in _ADMITS}
        for read in self._graph.waiting:
            if isinstance(read.body, Admission) and read.body.peer_id == peer_id:
                author, left = read.entry.author, dict(admissions)
                while not self._knows(author) and (sponsor := left.pop(author, None)) is not None:
                    author = sponsor.entry.author
                if self._may_sponsor(author):
                    return True
        return False

    def _knows(self, identity: bytes) -> bool:
        """Whether somebody is a member, or was: what others say of how it became one does not matter then."""
        return identity in self.members or identity in self.former

    def _may_sponsor(self, identity: bytes) -> bool:
        return self.may(identity, Right.SPONSOR) or (identity == self.founder and not self.members)

    def may(self, identity: bytes, right: Right, role: str = READER) -> bool:
        """Whether a member has a right now; `role` is that of the invitee, or of who is to be removed."""
        member = self.members.get(identity)
        return member is not None and rank(member.role) >= need(right, role).under(self.policy)

    def check_spend(self, invite_id: bytes, identity: bytes, now: int) -> MemberInfo | None:
        """Whether a sponsor may admit `identity` by an invite at the time `now`.

        Returns the member's entry where it is a member already, so that asking twice does no harm, and
        None where it may be admitted. Raises Invalid with the rule that stands against it. A former member
        needs an invite that was made in knowledge of its removal, who was removed one by somebody who may remove.
        """
        invite = self.invites.get(invite_id)
        if invite is None:
            raise Invalid(Rule.INVITE_UNKNOWN)
        if identity in self.members:
            return self.members[identity]
        made = self._graph[invite.entry_id]
        for removal in map(self._graph.__getitem__, self.removed.get(identity, ())):
            by_right = removal.is_leave or self.may(invite.author, Right.REMOVE, invite.role)
            if not by_right or not made.follows(removal):
                raise Invalid(Rule.INVITE_REMOVED)
        if invite.revoked:
            raise Invalid(Rule.INVITE_REVOKED)
        if now >= invite.expires_at:
            raise Invalid(Rule.INVITE_EXPIRED)
        if identity not in invite.spent and len(invite.spent) >= invite.uses:
            raise Invalid(Rule.INVITE_USED)
        return None


def found(
    identity: Identity,
    *,
    universe_name: str,
    signature_key: bytes,
    cipher_suite: int,
    incarnation: int,
    random: Callable[[int], bytes],
) -> tuple[bytes, Roster]:
    """Found a universe: its id, and a roster with the founding, the founder as member, and a topic."""
    founder = identity.identity_public_key
    founding = Founding(check_name(universe_name), random(32))
    universe_id = universe_id_of(founder, universe_name, founding.nonce)
    roster = Roster(universe_id)
    member = DmlsMember.sign(
        identity,
        universe_id=universe_id,
        send_group_id=new_send_group_id(universe_id, founder, random),
        incarnation=incarnation,
        serial=0,
        signature_key=signature_key,
    )
    roster.add(
        sign_entry(
            identity,
            universe_id=universe_id,
            subject=universe_id,
            kind=Kind.POLICY,
            version=1,
            predecessors=(),
            body=founding,
        )
    )
    roster.add(
        sign_entry(
            identity,
            universe_id=universe_id,
            subject=founder,
            kind=Kind.MEMBER,
            version=2,
            predecessors=tuple(roster.ids),
            body=admission_by(
                member,
                name=identity.name,
                role=ADMIN,
                signature_key=signature_key,
                cipher_suite=cipher_suite,
                invite_id=b"",
                spend=None,
            ),
        )
    )
    roster.add(roster.make_topic(identity, random))
    return universe_id, roster


def sorted_entries(entries: Iterable[bytes]) -> tuple[bytes, ...]:
    """Encoded entries, each after those among them that it follows; fit for `add` one after another.

    Raises DecodeError where one is malformed; nothing else is checked.
    """
    encoded = {entry_id(entry): entry for entry in entries}
    waiting_for: dict[bytes, int] = {}
    followers: dict[bytes, list[bytes]] = {}
    for key, entry in encoded.items():
        named = {p for p in decode_entry(entry).predecessors if p in encoded}
        waiting_for[key] = len(named)
        for predecessor in named:
            followers.setdefault(predecessor, []).append(key)
    ready = [key for key, count in waiting_for.items() if count == 0]
    ordered: list[bytes] = []
    while ready:
        key = ready.pop()
        ordered.append(encoded[key])
        for follower in followers.get(key, ()):
            waiting_for[follower] -= 1
            if waiting_for[follower] == 0:
                ready.append(follower)
    return tuple(ordered)
