"""Who is a member of a universe, with which role: signed entries that merge without order (PROTOCOL 6).

`Roster` is the union of the entries a node knows (roster_graph), what they amount to (roster_view), and
the making of new ones. Merge is `add`; two rosters with the same entries have the same digest and members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from starling.protocol.distributed.archivers import MAX_ARCHIVERS, ArchiverInfo, farewell
from starling.protocol.distributed.identity import Identity, check_name
from starling.protocol.distributed.roster_body import (
    MAX_HONOURS,
    MAX_USES,
    Admission,
    Archiver,
    Body,
    Founding,
    Invite,
    Kind,
    Removal,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_entry import (
    MAX_PREDECESSORS,
    decode_entry,
    entry_id,
    read_entry,
    sign_entry,
    universe_id_of,
)
from starling.protocol.distributed.roster_graph import RosterGraph
from starling.protocol.distributed.roster_view import (
    InviteInfo,
    MemberInfo,
    RosterView,
    evaluate,
    topic_name,
    unanswered,
)
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid, UsageError

__all__ = ["InviteInfo", "MemberInfo", "Roster", "entry_id", "found", "sorted_entries", "topic_name"]


class Roster:
    """The roster of one universe. Raises nothing on reading; `add` says what it raises."""

    def __init__(self, universe_id: bytes) -> None:
        self._graph = RosterGraph(universe_id)
        self._view: RosterView | None = None

    @classmethod
    def load(cls, universe_id: bytes, entries: Iterable[bytes]) -> Roster:
        """A roster of stored entries, in any order, checked again. Raises what `add` raises."""
        roster = cls(universe_id)
        for entry in sorted_entries(entries):
            roster.add(entry)
        return roster

    def __repr__(self) -> str:
        return f"<Roster of {self.universe_id.hex()[:8]}: {len(self._graph.nodes)} entries>"

    # What it holds

    @property
    def universe_id(self) -> bytes:
        return self._graph.universe_id

    @property
    def founder(self) -> bytes | None:
        """The founder's identity key; None until the founding entry is here."""
        return self._graph.founder

    @property
    def universe_name(self) -> str | None:
        return self.view.universe_name

    @property
    def view(self) -> RosterView:
        """What the entries amount to, evaluated at most once between two changes."""
        if self._view is None:
            self._view = evaluate(self._graph)
        return self._view

    @property
    def members(self) -> Mapping[bytes, MemberInfo]:
        """Current members by identity key, in the order of their keys."""
        return self.view.members

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
        """32 bytes over the ids of all entries."""
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
        """The entry that makes somebody a member, last, after the newest of those that it follows."""
        member = self.members.get(identity)
        if member is None:
            return ()
        node = self._graph[member.entry_id]
        chosen = [node.read.encoded]
        size = len(node.read.encoded)
        for other in reversed(self._graph.nodes[: node.position]):
            if node.follows(other):
                size += len(other.read.encoded)
                if size > max_bytes:
                    break
                chosen.append(other.read.encoded)
        return tuple(reversed(chosen))

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

    def is_told_removed(self, identity: bytes) -> bool:
        """Whether the founder says that this member is removed, in an entry that follows others not known here.

        A removed member is not shown those: they hold secrets of the others. The founder holds every right, so
        its word counts before its ancestors are known, if it names the entry that made the member one.
        """
        member = self.members.get(identity)
        return member is not None and any(
            isinstance(read.body, Removal)
            and read.body.target is Target.MEMBER
            and read.entry.subject == identity
            and read.entry.author == self.founder
            and member.entry_id in read.entry.predecessors
            for read in self._graph.waiting
        )

    def admits(self, entry: bytes, peer_id: bytes) -> bool:
        """Whether this is the founder's word, new here, that a peer is a member's: true whatever it follows."""
        decoded = decode_entry(entry)
        if decoded.author != self.founder or entry_id(entry) in self._graph:
            return False
        body = read_entry(entry, self.universe_id).body
        return isinstance(body, Admission) and body.peer_id == peer_id

    def awaits(self, peer_id: bytes) -> bool:
        """Whether an entry that admits this peer waits for others that it follows."""
        return any(
            isinstance(read.body, Admission)
            and read.body.peer_id == peer_id
            and read.entry.author == self.founder
            for read in self._graph.waiting
        )

    def may(self, identity: bytes, kind: Kind) -> bool:
        """Whether an identity may make an entry of this kind now: the founder everything but a founding."""
        everything = (1 << len(self._graph.nodes)) - 1
        return kind is not Kind.POLICY and self._graph.may_author(identity, everything)

    def check_spend(self, invite_id: bytes, identity: bytes, now: int) -> MemberInfo | None:
        """Whether a sponsor may admit `identity` by an invite at the time `now`.

        Returns the member's entry where it is a member already, so that asking twice does no harm, and
        None where it may be admitted. Raises Invalid with the rule that stands against it. A former member
        needs an invite that was made in knowledge of its removal.
        """
        invite = self.invites.get(invite_id)
        if invite is None:
            raise Invalid(Rule.INVITE_UNKNOWN)
        if identity in self.members:
            return self.members[identity]
        if invite.revoked:
            raise Invalid(Rule.INVITE_REVOKED)
        if now >= invite.expires_at:
            raise Invalid(Rule.INVITE_EXPIRED)
        made = self._graph[invite.entry_id]
        for removal in self.removed.get(identity, ()):
            if not made.follows(self._graph[removal]):
                raise Invalid(Rule.INVITE_REMOVED)
        if identity not in invite.spent and len(invite.spent) >= invite.uses:
            raise Invalid(Rule.INVITE_USED)
        return None

    # Making entries: signed and encoded, not yet added

    def make_invite(
        self,
        identity: Identity,
        *,
        invite_id: bytes,
        mac_key: bytes,
        uses: int,
        expires_at: int,
        role: str = "member",
    ) -> bytes:
        """An invite for the ticket with the public key `invite_id`; up to 1,000 uses, until `expires_at`."""
        if not 1 <= uses <= MAX_USES:
            raise UsageError(f"an invite has 1 to {MAX_USES} uses")
        return self._make(identity, invite_id, Kind.INVITE, Invite(mac_key, role, uses, expires_at))

    def make_revoke(self, identity: Identity, invite_id: bytes) -> bytes:
        """Takes an invite back; who joined by it stays."""
        if invite_id not in self.invites:
            raise UsageError("no such invite")
        return self._make(identity, invite_id, Kind.REMOVAL, Removal(Target.INVITE, ()))

    def make_member(
        self,
        identity: Identity,
        *,
        subject: bytes,
        name: str,
        send_group_id: bytes,
        peer_id: bytes,
        signature_key: bytes,
        cipher_suite: int,
        incarnation: int,
        invite_id: bytes,
        role: str = "member",
    ) -> bytes:
        """Admits a member, or states a new incarnation; a former member is re-admitted by it."""
        body = Admission(
            check_name(name),
            role,
            send_group_id,
            peer_id,
            signature_key,
            cipher_suite,
            incarnation,
            invite_id,
        )
        everything = (1 << len(self._graph.nodes)) - 1
        removals = unanswered(self._graph, subject, everything)
        kind = Kind.READMIT if removals else Kind.MEMBER
        return self._make(identity, subject, kind, body, naming=removals)

    def make_remove(self, identity: Identity, subject: bytes) -> bytes:
        """Removes a member, honouring all of its acts that are known here; oneself: leaves."""
        member = self.members.get(subject)
        if member is None:
            raise UsageError("not a member")
        if subject == identity.identity_public_key:
            return self._leave(identity, member)
        acts = tuple(
            n for n in self._graph.by(subject) if not any(m.follows(n) for m in self._graph.by(subject))
        )
        honours = tuple(sorted(n.read.entry_id for n in acts))[:MAX_HONOURS]
        body = Removal(Target.MEMBER, honours)
        return self._make(identity, subject, Kind.REMOVAL, body, naming=(member.entry_id,))

    def make_archiver(
        self,
        identity: Identity,
        *,
        subject: bytes,
        name: str,
        peer_id: bytes,
        public_key: bytes,
        offer: bytes,
        addresses: tuple[str, ...],
    ) -> bytes:
        """Names an archiver: no member, it keeps ciphertext for those who are away."""
        if subject in self.members or peer_id in self.peers:
            raise UsageError("a member's node cannot be the universe's archiver")
        if subject in self.archivers:
            raise UsageError("this is an archiver of the universe already")
        if len(self.archivers) >= MAX_ARCHIVERS:
            raise UsageError(f"a universe has at most {MAX_ARCHIVERS} archivers")
        body = Archiver(check_name(name), peer_id, public_key, offer, addresses)
        return self._make(identity, subject, Kind.ARCHIVER, body)

    def make_remove_archiver(self, identity: Identity, subject: bytes) -> bytes:
        """Takes an archiver's name off the roster."""
        info = self.archivers.get(subject)
        if info is None:
            raise UsageError("no such archiver in this universe")
        body = Removal(Target.ARCHIVER, ())
        return self._make(identity, subject, Kind.REMOVAL, body, naming=(info.entry_id,))

    def make_topic(self, identity: Identity, random: Callable[[int], bytes]) -> bytes:
        """A new gossip topic, which nobody removed before knows."""
        return self._make(identity, self.universe_id, Kind.TOPIC, Topic(random(32)))

    def _leave(self, identity: Identity, member: MemberInfo) -> bytes:
        # Fully determined by the member entry, so that leaving cannot fill anybody's roster.
        predecessors = (member.entry_id,)
        ancestors = self._graph.ancestors_of(predecessors)
        return sign_entry(
            identity,
            universe_id=self.universe_id,
            subject=member.identity,
            kind=Kind.REMOVAL,
            version=self._graph.next_version(member.identity, ancestors),
            predecessors=predecessors,
            body=Removal(Target.LEAVE, ()),
        )

    def _make(
        self, identity: Identity, subject: bytes, kind: Kind, body: Body, naming: tuple[bytes, ...] = ()
    ) -> bytes:
        author = identity.identity_public_key
        if not self.may(author, kind):
            raise UsageError("this identity has not the right to make such an entry")
        predecessors = self._predecessors(author, naming)
        ancestors = self._graph.ancestors_of(predecessors)
        return sign_entry(
            identity,
            universe_id=self.universe_id,
            subject=subject,
            kind=kind,
            version=self._graph.next_version(author, ancestors),
            predecessors=predecessors,
            body=body,
        )

    def _predecessors(self, author: bytes, naming: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What a new entry follows: what it must name, the author's own newest entries, then the tips."""
        own = self._graph.by(author)
        newest = (n.read.entry_id for n in own if not any(m.follows(n) for m in own))
        chosen = dict.fromkeys((*naming, *newest))
        if len(chosen) > MAX_PREDECESSORS:
            raise UsageError("too many entries to name")
        for tip in sorted(self._graph.tips):
            if len(chosen) == MAX_PREDECESSORS:
                break
            chosen[tip] = None
        return tuple(chosen)


def found(
    identity: Identity,
    *,
    universe_name: str,
    send_group_id: bytes,
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
        roster.make_member(
            identity,
            subject=founder,
            name=identity.name,
            send_group_id=send_group_id,
            peer_id=identity.peer_id,
            signature_key=signature_key,
            cipher_suite=cipher_suite,
            incarnation=incarnation,
            invite_id=b"",
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
