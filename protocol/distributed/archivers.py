"""The archivers of a universe: nodes that are no members and keep ciphertext for those who are away (PROTOCOL 6).

An archiver has no leaf and no send group, so nothing that members hold says whether it is one: an entry stands unless
there is a removal that it does not follow, and of those that stand the one that no other follows counts.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from starling.protocol.distributed.roster_body import Archiver, Removal, Target
from starling.protocol.distributed.roster_nodes import Node, RosterNodes
from starling.protocol.extensions.external_receivers import ExternalReceiver
from starling.protocol.mls.credential import Credential

MAX_ARCHIVERS = 16
"""Of more, named in a partition, those with the lowest identity keys count (S-13)."""


@dataclass(frozen=True, slots=True)
class ArchiverInfo:
    """An archiver, as its newest entry names it; `author` is who named it."""

    identity: bytes
    name: str
    peer_id: bytes
    public_key: bytes
    offer: bytes = field(repr=False)
    addresses: tuple[str, ...]
    author: bytes
    entry_id: bytes


def external_receivers(archivers: Iterable[ArchiverInfo]) -> tuple[ExternalReceiver, ...]:
    """What the send groups of a universe with these archivers name: in the order of their identity keys."""
    ordered = sorted(archivers, key=lambda info: info.identity)
    return tuple(receiver_of(info.identity, info.public_key) for info in ordered)


def receiver_of(identity: bytes, public_key: bytes) -> ExternalReceiver:
    """An archiver as an external receiver: its basic credential is the identity key."""
    return ExternalReceiver(public_key, Credential.basic(identity))


def standing_archivers(
    graph: RosterNodes, present: int, peers: Container[bytes] = ()
) -> dict[bytes, ArchiverInfo]:
    """The archivers by identity key, in the order of their keys, at most 16; `present` are the entries that stand.

    An entry with one of the `peers`, the members' nodes, counts for nothing: else whoever may name archivers could
    have a member's node taken for one.
    """
    named: dict[bytes, list[Node]] = {}
    removals: dict[bytes, list[Node]] = {}
    for node in graph.nodes:
        if not node.bit & present:
            continue
        match node.read.body:
            case Archiver():
                named.setdefault(node.read.entry.subject, []).append(node)
            case Removal(target=Target.ARCHIVER):
                removals.setdefault(node.read.entry.subject, []).append(node)
    found: dict[bytes, ArchiverInfo] = {}
    for identity in sorted(named):
        standing = [
            node
            for node in named[identity]
            if all(node.follows(other) for other in removals.get(identity, ()))
            and _archiver(node).peer_id not in peers
        ]
        if standing and len(found) < MAX_ARCHIVERS:
            found[identity] = _info(_newest(standing))
    return found


def farewell(graph: RosterNodes, peer_id: bytes) -> tuple[bytes, ...]:
    """What a peer may know that was an archiver and is none: its removals, with all that they follow, encoded."""
    subjects = {
        node.read.entry.subject
        for node in graph.nodes
        if isinstance(node.read.body, Archiver) and node.read.body.peer_id == peer_id
    }
    removals = [
        node
        for node in graph.nodes
        if isinstance(node.read.body, Removal)
        and node.read.body.target is Target.ARCHIVER
        and node.read.entry.subject in subjects
    ]
    known = reduce(or_, (node.ancestors | node.bit for node in removals), 0)
    return tuple(node.read.encoded for node in graph.nodes if node.bit & known)


def _newest(standing: list[Node]) -> Node:
    followed = reduce(or_, (node.ancestors for node in standing))
    heads = [node for node in standing if not followed & node.bit]
    return max(heads, key=lambda node: (node.version, node.read.entry.body, node.entry_id))


def _archiver(node: Node) -> Archiver:
    body = node.read.body
    assert isinstance(body, Archiver)
    return body


def _info(node: Node) -> ArchiverInfo:
    entry, body = node.read.entry, _archiver(node)
    return ArchiverInfo(
        entry.subject,
        body.name,
        body.peer_id,
        body.public_key,
        body.offer,
        body.addresses,
        entry.author,
        node.read.entry_id,
    )
