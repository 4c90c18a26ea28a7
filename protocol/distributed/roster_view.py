"""What a roster's entries amount to (PROTOCOL 6): a pure function of the graph, the same on every node.

- A member entry is alive unless a removal of its subject stands that no re-admission among the entry and
  its ancestors names: a removal wins over everything it did not know.
- Of the alive entries the highest incarnation counts, whatever follows what: an entry with a new send group
  supersedes the standing one for good (5.6 B4). Of those, the ones that no other follows; then the highest
  version, then the greater body. (Only the founder admits yet, so a tie is about a restored founder.)
- An invite is revoked by any removal of it; of two entries for one ticket the one that grants less counts.

Only the founder grants rights and nobody can remove the founder, so no act falls with its author yet. A
removal nevertheless carries the acts that it honours, checked, so that later rules can evaluate old entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from types import MappingProxyType

from starling.protocol.distributed import labels
from starling.protocol.distributed.archivers import ArchiverInfo, standing_archivers
from starling.protocol.distributed.roster_body import (
    Admission,
    Founding,
    Invite,
    Kind,
    Removal,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_graph import Node, RosterGraph

MAX_TOPICS = 4


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """A current member, as its newest entry admits it. `sponsor` is the entry's author."""

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


@dataclass(frozen=True, slots=True)
class InviteInfo:
    """An invite. `spent` are the identities admitted with it, present and former."""

    invite_id: bytes
    mac_key: bytes = field(repr=False)
    role: str
    uses: int
    expires_at: int
    revoked: bool
    spent: frozenset[bytes]
    author: bytes
    entry_id: bytes


@dataclass(frozen=True, slots=True)
class RosterView:
    """The outcome. `removed` maps former members to the ids of the removals that stand, `former` to what they
    were; `send_groups` maps all ids of send groups, former ones too, to whose they are, and
    `peers` the peer ids of the members to who they are. `archivers` are no members."""

    universe_name: str | None
    members: Mapping[bytes, MemberInfo]
    removed: Mapping[bytes, tuple[bytes, ...]]
    former: Mapping[bytes, MemberInfo]
    send_groups: Mapping[bytes, MemberInfo]
    peers: Mapping[bytes, MemberInfo]
    archivers: Mapping[bytes, ArchiverInfo]
    invites: Mapping[bytes, InviteInfo]
    topic_secrets: tuple[bytes, ...] = field(repr=False)
    topic_is_stale: bool
    digest: bytes


def evaluate(graph: RosterGraph) -> RosterView:
    """Evaluate all entries of a graph."""
    admissions: dict[bytes, list[Node]] = {}
    removals: dict[bytes, list[Node]] = {}
    invites: dict[bytes, list[Node]] = {}
    revoked: set[bytes] = set()
    topics: list[Node] = []
    told: list[Node] = []  # the removals of those who knew the topic
    universe_name = None
    for node in graph.nodes:
        subject = node.read.entry.subject
        match node.read.body:
            case Admission():
                admissions.setdefault(subject, []).append(node)
            case Removal(target=Target.INVITE):
                revoked.add(subject)
            case Removal(target=Target.ARCHIVER):
                told.append(node)
            case Removal():
                removals.setdefault(subject, []).append(node)
                told.append(node)
            case Invite():
                invites.setdefault(subject, []).append(node)
            case Topic():
                topics.append(node)
            case Founding(universe_name=name):
                universe_name = name

    members: dict[bytes, MemberInfo] = {}
    removed: dict[bytes, tuple[bytes, ...]] = {}
    former: dict[bytes, MemberInfo] = {}
    send_groups: dict[bytes, MemberInfo] = {}
    spent: dict[bytes, set[bytes]] = {}
    for identity in sorted(admissions):
        nodes = admissions[identity]
        standing = removals.get(identity, [])
        answered = {node.position: _answered(node, nodes) for node in nodes}
        alive = [n for n in nodes if all(r.read.entry_id in answered[n.position] for r in standing)]
        if alive:
            members[identity] = _newest(alive)
        else:
            removed[identity] = tuple(sorted(r.read.entry_id for r in standing))
            former[identity] = _newest(nodes)
        for node in nodes:
            body = node.read.body
            group_id = _admission(node).send_group_id
            if group_id not in send_groups:
                send_groups[group_id] = _newest([n for n in nodes if _admission(n).send_group_id == group_id])
            if isinstance(body, Admission) and body.invite_id:
                spent.setdefault(body.invite_id, set()).add(identity)

    ordered = sorted(topics, key=lambda node: _topic_order(node, topics), reverse=True)
    newest = ordered[0].ancestors if ordered else 0
    return RosterView(
        universe_name=universe_name,
        members=MappingProxyType(members),
        removed=MappingProxyType(removed),
        former=MappingProxyType(former),
        peers=MappingProxyType({info.peer_id: info for info in reversed(members.values())}),
        archivers=MappingProxyType(standing_archivers(graph)),
        send_groups=MappingProxyType(send_groups | {info.send_group_id: info for info in members.values()}),
        invites=MappingProxyType(
            {
                invite_id: _invite(nodes, invite_id in revoked, frozenset(spent.get(invite_id, ())))
                for invite_id, nodes in sorted(invites.items())
            }
        ),
        topic_secrets=tuple(_secret(node) for node in ordered[:MAX_TOPICS]),
        topic_is_stale=any(not newest & node.bit for node in told),
        digest=_digest(graph),
    )


def unanswered(graph: RosterGraph, identity: bytes, ancestors: int) -> tuple[bytes, ...]:
    """The removals of `identity`, by id, that no re-admission within the bit set `ancestors` names."""
    about = graph.about(identity)
    answered: set[bytes] = set()
    for node in about:
        if node.read.entry.kind == Kind.READMIT and node.bit & ancestors:
            answered.update(node.read.entry.predecessors)
    return tuple(
        sorted(
            node.read.entry_id
            for node in about
            if isinstance(node.read.body, Removal)
            and node.read.body.target in (Target.MEMBER, Target.LEAVE)
            and node.read.entry_id not in answered
        )
    )


def topic_name(secret: bytes) -> str:
    """The gossip topic of a topic secret: who is not told the secret cannot find the universe by it."""
    name = hashlib.sha256(labels.TOPIC.encode() + b"\x00" + secret).hexdigest()
    return f"/starling/1/{name}"


def _answered(node: Node, nodes: list[Node]) -> set[bytes]:
    """The ids named by the re-admissions that `node` is or follows."""
    named: set[bytes] = set()
    for other in nodes:
        if other.read.entry.kind == Kind.READMIT and (other is node or node.follows(other)):
            named.update(other.read.entry.predecessors)
    return named


def _newest(alive: list[Node]) -> MemberInfo:
    incarnation = max(_admission(node).incarnation for node in alive)
    newest = [node for node in alive if _admission(node).incarnation == incarnation]
    followed = reduce(or_, (node.ancestors for node in newest))
    heads = [node for node in newest if not followed & node.bit]
    return _member(max(heads, key=lambda node: (node.read.entry.version, node.read.entry.body)))


def _member(node: Node) -> MemberInfo:
    entry, body = node.read.entry, _admission(node)
    return MemberInfo(
        identity=entry.subject,
        name=body.name,
        role=body.role,
        send_group_id=body.send_group_id,
        peer_id=body.peer_id,
        signature_key=body.signature_key,
        cipher_suite=body.cipher_suite,
        incarnation=body.incarnation,
        sponsor=entry.author,
        invite_id=body.invite_id,
        entry_id=node.read.entry_id,
    )


def _admission(node: Node) -> Admission:
    body = node.read.body
    assert isinstance(body, Admission)
    return body


def _secret(node: Node) -> bytes:
    body = node.read.body
    assert isinstance(body, Topic)
    return body.secret


def _topic_order(node: Node, topics: list[Node]) -> tuple[int, int, bytes]:
    """A topic comes after all that it follows; concurrent ones are ordered by what everybody sees."""
    return (sum(node.follows(other) for other in topics), node.read.entry.version, _secret(node))


def _invite(nodes: list[Node], revoked: bool, spent: frozenset[bytes]) -> InviteInfo:
    def grants(node: Node) -> tuple[int, int, bytes]:
        body = node.read.body
        assert isinstance(body, Invite)
        return (body.uses, body.expires_at, node.read.entry.body)

    node = min(nodes, key=grants)
    entry, body = node.read.entry, node.read.body
    assert isinstance(body, Invite)
    return InviteInfo(
        invite_id=entry.subject,
        mac_key=body.mac_key,
        role=body.role,
        uses=body.uses,
        expires_at=body.expires_at,
        revoked=revoked,
        spent=spent,
        author=entry.author,
        entry_id=node.read.entry_id,
    )


def _digest(graph: RosterGraph) -> bytes:
    state = hashlib.sha256(labels.ROSTER_DIGEST.encode() + b"\x00" + graph.universe_id)
    for entry_id in sorted(graph.ids):
        state.update(entry_id)
    return state.digest()
