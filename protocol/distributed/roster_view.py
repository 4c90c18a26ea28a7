"""What a roster's entries amount to (PROTOCOL 6): a pure function of the graph, the same on every node.

Of the entries that stand (`roster_standing`):

- A member entry is alive unless a removal of its subject stands that no re-admission among the entry and
  its ancestors names: a removal wins over everything it did not know.
- Of the alive entries the highest incarnation counts, whatever follows what: an entry with a new send group
  supersedes the standing one for good (5.6 B4). Of those, the ones that no other follows; then the highest
  version, then the greater body.
- An invite is revoked by any removal of it, when more came by it than it allows, when its author could not make it any
  more, and when somebody who came by it is removed: who is removed takes no tickets along. Of two entries for one
  ticket the one that grants less counts.
- The newest topic is the one that follows the most removals, then the most topics: so nobody can hold up that those who
  were removed are shut out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from types import MappingProxyType

from starling.protocol.distributed import labels
from starling.protocol.distributed.archivers import ArchiverInfo, standing_archivers
from starling.protocol.distributed.roster_body import (
    Admission,
    Founding,
    Heard,
    Invite,
    Removal,
    RoleChange,
    Spend,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_graph import RosterGraph
from starling.protocol.distributed.roster_nodes import Node
from starling.protocol.distributed.roster_rights import ROLES, Policy
from starling.protocol.distributed.roster_situation import Seniority, Situation, newest
from starling.protocol.distributed.roster_standing import void_entries

MAX_TOPICS = 4


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """A current member, as its newest entry admits it. `sponsor` is the entry's author, `role` what it is now.

    `seniority` is the chain of granter positions from the founder, the lesser the more senior; `overspent` says that
    more came by its ticket than that allowed. `heard` is what a member that was made a reader had written: what all
    who made it one had heard, empty where one of them says nothing.
    """

    identity: bytes
    name: str
    role: str
    send_group_id: bytes
    peer_id: bytes
    signature_key: bytes
    cipher_suite: int
    incarnation: int
    sponsor: bytes
    invite_id: bytes
    entry_id: bytes
    seniority: Seniority
    overspent: bool
    heard: tuple[Heard, ...]


@dataclass(frozen=True, slots=True)
class InviteInfo:
    """An invite. `spent` are the identities admitted with it, present and former; where they are more than `uses`, as
    happens in partitions, it is `overspent`, and with that revoked."""

    invite_id: bytes
    ticket_key: bytes
    mac_key: bytes = field(repr=False)
    role: str
    uses: int
    expires_at: int
    revoked: bool
    overspent: bool
    spent: frozenset[bytes]
    author: bytes
    entry_id: bytes


@dataclass(frozen=True, slots=True)
class RosterView:
    """The outcome. `seniority` are the members, most senior first. `removed` maps former members to the ids of the
    removals that stand, `former` to what they were; `send_groups` maps all ids of send groups, former ones too, to
    whose they are, and `peers` the peer ids of the members to who they are. `archivers` are no members. `fallen` are
    the entries that do not stand."""

    universe_name: str | None
    members: Mapping[bytes, MemberInfo]
    seniority: tuple[bytes, ...]
    policy: Policy
    removed: Mapping[bytes, tuple[bytes, ...]]
    former: Mapping[bytes, MemberInfo]
    send_groups: Mapping[bytes, MemberInfo]
    peers: Mapping[bytes, MemberInfo]
    archivers: Mapping[bytes, ArchiverInfo]
    invites: Mapping[bytes, InviteInfo]
    topic_secrets: tuple[bytes, ...] = field(repr=False)
    topic_is_stale: bool
    fallen: frozenset[bytes]
    digest: bytes


def evaluate(graph: RosterGraph) -> RosterView:
    """Evaluate all entries of a graph."""
    lost = graph.fallen_of(graph.everything, graph.tips)
    return _Evaluation(graph, graph.everything & ~lost).run(lost)


class _Evaluation:
    def __init__(self, graph: RosterGraph, present: int) -> None:
        self._graph = graph
        self._present = present
        self._situation = Situation(graph, present)

    def run(self, lost: int) -> RosterView:
        graph = self._graph
        admissions: dict[bytes, list[Node]] = {}
        invited: list[bytes] = []
        topics: list[Node] = []
        told: list[Node] = []  # the removals of those who knew the topic
        universe_name = None
        spent: dict[bytes, set[bytes]] = {}
        for node in graph.nodes:
            body = node.read.body
            if isinstance(body, Admission):
                admissions.setdefault(node.subject, []).append(node)
            if not node.bit & self._present:
                continue
            match body:
                case Admission(spend=Spend()):
                    spent.setdefault(body.invite_id, set()).add(node.subject)
                case Removal(target=Target.MEMBER | Target.LEAVE | Target.ARCHIVER):
                    told.append(node)
                case Invite():
                    invited.append(node.subject)
                case Topic():
                    topics.append(node)
                case Founding():
                    universe_name = body.universe_name
        invites = {key: self._invite(key, frozenset(spent.get(key, ()))) for key in sorted(set(invited))}
        members: dict[bytes, MemberInfo] = {}
        former: dict[bytes, MemberInfo] = {}
        for identity, nodes in sorted(admissions.items()):
            alive = [
                node
                for node in self._situation.members_entries(identity)
                if isinstance(node.read.body, Admission)
            ]
            if alive:
                members[identity] = self._member(_newest(alive), invites)
            else:
                former[identity] = self._member(_newest(nodes), invites)
        removed = {identity: self._removals(identity) for identity in former}
        ordered = self._in_order(topics, told)
        seen = ordered[0].ancestors if ordered else 0
        peers = {info.peer_id: info for info in reversed(members.values())}
        return RosterView(
            universe_name=universe_name,
            members=MappingProxyType(members),
            seniority=tuple(sorted(members, key=lambda identity: (members[identity].seniority, identity))),
            policy=self._situation.policy(),
            removed=MappingProxyType(removed),
            former=MappingProxyType(former),
            peers=MappingProxyType(peers),
            archivers=MappingProxyType(standing_archivers(graph, self._present, peers)),
            send_groups=MappingProxyType(self._send_groups(admissions, members)),
            invites=MappingProxyType(invites),
            topic_secrets=tuple(_secret(node) for node in ordered[:MAX_TOPICS]),
            topic_is_stale=not ordered or any(not seen & node.bit for node in told),
            fallen=frozenset(node.entry_id for node in graph.nodes if node.bit & lost),
            digest=_digest(graph, void_entries(graph, lost)),
        )

    def _member(self, node: Node, invites: Mapping[bytes, InviteInfo]) -> MemberInfo:
        entry, body = node.read.entry, _admission(node)
        held = self._situation.rank(entry.subject)
        invite = invites.get(body.invite_id)
        return MemberInfo(
            identity=entry.subject,
            name=body.name,
            role=ROLES[held - 1] if held else body.role,
            send_group_id=body.send_group_id,
            peer_id=body.peer_id,
            signature_key=body.signature_key,
            cipher_suite=body.cipher_suite,
            incarnation=body.incarnation,
            sponsor=entry.author,
            invite_id=body.invite_id,
            entry_id=node.entry_id,
            seniority=self._situation.seniority(entry.subject),
            overspent=invite is not None and invite.overspent,
            heard=self._heard(entry.subject),
        )

    def _heard(self, identity: bytes) -> tuple[Heard, ...]:
        """What all who gave somebody its role had heard of it; empty where one of them does not say."""
        granted = [node.read.body for node in self._situation.grants(identity)]
        heard = [body.heard if isinstance(body, RoleChange) else None for body in granted]
        return tuple(place for place in heard if place is not None) if None not in heard else ()

    def _invite(self, invite_id: bytes, spent: frozenset[bytes]) -> InviteInfo:
        node = self._situation.invite(invite_id)
        assert node is not None
        body = node.read.body
        assert isinstance(body, Invite)
        overspent = len(spent) > body.uses

        def is_known_to_removed(identity: bytes) -> bool:
            removals = self._situation.removals(identity)
            return any(not removal.is_leave and not node.follows(removal) for removal in removals)

        return InviteInfo(
            invite_id=invite_id,
            ticket_key=body.ticket_key,
            mac_key=body.mac_key,
            role=body.role,
            uses=body.uses,
            expires_at=body.expires_at,
            revoked=overspent or self._situation.is_revoked(node) or any(map(is_known_to_removed, spent)),
            overspent=overspent,
            spent=spent,
            author=node.author,
            entry_id=node.entry_id,
        )

    def _removals(self, identity: bytes) -> tuple[bytes, ...]:
        """The removals by which somebody is no member: its own, else of who admitted it, else of who admitted those."""
        looked_at: set[bytes] = set()
        to_look_at = {identity}
        while to_look_at:
            found = {node.entry_id for who in to_look_at for node in self._situation.removals(who)}
            if found:
                return tuple(sorted(found))
            looked_at |= to_look_at
            nodes = [node for who in to_look_at for node in self._graph.about(who)]
            to_look_at = {node.author for node in nodes} - looked_at
        return ()

    def _in_order(self, topics: list[Node], told: list[Node]) -> list[Node]:
        """Topics, newest first; concurrent ones are ordered by what everybody sees."""
        removals, others = _bits(told), _bits(topics)

        def order(node: Node) -> tuple[int, int, int, bytes]:
            removals_seen = (node.ancestors & removals).bit_count()
            return (removals_seen, (node.ancestors & others).bit_count(), node.version, _secret(node))

        return sorted(topics, key=order, reverse=True)

    def _send_groups(
        self, admissions: Mapping[bytes, list[Node]], members: Mapping[bytes, MemberInfo]
    ) -> dict[bytes, MemberInfo]:
        """Whose each group is or was: of several that name it a current member's, of those the most senior one's."""
        found: dict[bytes, MemberInfo] = {}
        for _, nodes in sorted(admissions.items()):
            for group_id in {_admission(node).send_group_id for node in nodes}:
                if group_id not in found:
                    named = [node for node in nodes if _admission(node).send_group_id == group_id]
                    found[group_id] = self._member(_newest(named), {})
        current = sorted(members.values(), key=lambda info: (info.seniority, info.identity), reverse=True)
        return found | {info.send_group_id: info for info in current}


def topic_name(secret: bytes) -> str:
    """The gossip topic of a topic secret: who is not told the secret cannot find the universe by it."""
    name = hashlib.sha256(labels.TOPIC.encode() + b"\x00" + secret).hexdigest()
    return f"/starling/1/{name}"


def _newest(entries: list[Node]) -> Node:
    incarnation = max(_admission(node).incarnation for node in entries)
    heads = newest(node for node in entries if _admission(node).incarnation == incarnation)
    return max(heads, key=lambda node: (node.version, node.read.entry.body, node.entry_id))


def _admission(node: Node) -> Admission:
    body = node.read.body
    assert isinstance(body, Admission)
    return body


def _secret(node: Node) -> bytes:
    body = node.read.body
    assert isinstance(body, Topic)
    return body.secret


def _bits(nodes: Iterable[Node]) -> int:
    return reduce(or_, (node.bit for node in nodes), 0)


def _digest(graph: RosterGraph, void: int) -> bytes:
    state = hashlib.sha256(labels.ROSTER_DIGEST.encode() + b"\x00" + graph.universe_id)
    for entry_id in sorted(node.entry_id for node in graph.nodes if not node.bit & void):
        state.update(entry_id)
    return state.digest()
