"""Why somebody is no member any more: removed, gone by itself, or fallen with who admitted it (PROTOCOL 6).

Who is no member is shown by which entries, and no others: those hold secrets of the members. So they may follow entries
that it never gets, and count before these are known.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starling.protocol.distributed.roster_body import Admission, Removal, RoleChange, Target
from starling.protocol.distributed.roster_entry import ReadEntry
from starling.protocol.distributed.roster_graph import RosterGraph
from starling.protocol.distributed.roster_nodes import Node, RosterNodes
from starling.protocol.distributed.roster_rights import ROLES, Right, need
from starling.protocol.distributed.roster_situation import Situation, newest
from starling.protocol.distributed.roster_standing import fallen, strikes_any


class Reason(enum.StrEnum):
    """Why somebody is no member any more."""

    REMOVED = "removed"
    LEFT = "left"
    ADMISSION = "admission"
    """Its admission fell: who admitted it, or made its ticket, had the right no more."""


@dataclass(frozen=True, slots=True)
class Departure:
    """`by` is who removed it, it itself where it left, or who lost the right to admit it; `entries` say so, encoded."""

    reason: Reason
    by: bytes
    entries: tuple[bytes, ...]


def departure_of(nodes: RosterNodes, present: int, identity: bytes) -> Departure | None:
    """By which of the entries `present`, a bit set, somebody is no member; None for who never was one."""
    own = [node for node in nodes.about(identity) if node.bit & present and node.removes_member]
    if own:
        node = min(own, key=lambda node: (node.is_leave, node.entry_id))
        return Departure(Reason.LEFT if node.is_leave else Reason.REMOVED, node.author, _encoded(own))
    looked_at: set[bytes] = set()
    to_look_at = _vouchers(nodes, identity)
    while to_look_at:
        found = [
            node
            for node in nodes.restrictions
            if node.bit & present
            and node.subject in to_look_at
            and strikes_any(nodes, node, nodes.everything)
        ]
        if found:
            by = min(node.subject for node in found)
            return Departure(Reason.ADMISSION, by, _encoded(found))
        looked_at |= to_look_at
        to_look_at = {who for held in to_look_at for who in _vouchers(nodes, held)} - looked_at
    return None


def told_departure(graph: RosterGraph, identity: bytes) -> Departure | None:
    """What entries that wait for others say of a member: that it is none any more, by the word of who may say so.

    Each names the entry that made its subject a member. One that honours acts which are not known here may honour what
    the member rests on, so it says nothing of others than its subject.
    """
    situation = Situation(graph, graph.everything & ~fallen(graph, graph.everything))
    words = [read for read in graph.waiting if _is_word(situation, read)]
    own = [read for read in words if read.entry.subject == identity and isinstance(read.body, Removal)]
    if own:
        read = own[0]
        reason = Reason.LEFT if read.entry.author == identity else Reason.REMOVED
        return Departure(reason, read.entry.author, (read.encoded,))
    known = [read for read in words if all(act in graph for act in _honours(read))]
    if not known or not situation.members_entries(identity):
        return None
    supposed = _supposing(graph, situation, known)
    present = supposed.everything & ~fallen(supposed, supposed.everything)
    if Situation(supposed, present).members_entries(identity):
        return None
    return departure_of(supposed, present, identity)


def _vouchers(nodes: RosterNodes, identity: bytes) -> set[bytes]:
    """Who admitted somebody, and who made the tickets by which it came."""
    found: set[bytes] = set()
    for node in nodes.about(identity):
        body = node.read.body
        if isinstance(body, Admission):
            found.add(node.author)
            if body.spend is not None:
                found.update(invite.author for invite in nodes.about(body.invite_id))
    return found - {identity}


def _encoded(entries: Iterable[Node]) -> tuple[bytes, ...]:
    return tuple(node.read.encoded for node in entries)


def _honours(read: ReadEntry) -> tuple[bytes, ...]:
    return read.body.honours if isinstance(read.body, Removal | RoleChange) else ()


def _is_word(situation: Situation, read: ReadEntry) -> bool:
    """Whether an entry restricts a member that is known here, on the word of who may do that now."""
    body, subject, author = read.body, read.entry.subject, read.entry.author
    standing = newest(situation.members_entries(subject))
    if not any(node.entry_id in read.entry.predecessors for node in standing):
        return False
    if isinstance(body, RoleChange):
        return situation.allows(author, need(Right.ROLE))
    if not isinstance(body, Removal) or body.target not in (Target.MEMBER, Target.LEAVE):
        return False
    role = ROLES[situation.rank(subject) - 1]
    return author == subject or situation.allows(author, need(Right.REMOVE, role))


def _supposing(graph: RosterGraph, situation: Situation, words: Sequence[ReadEntry]) -> RosterNodes:
    """The same entries, and these after what is known of those that they follow."""
    supposed = RosterNodes(graph.universe_id)
    for node in graph.nodes:
        supposed.put(node)
    for read in words:
        known = [predecessor for predecessor in read.entry.predecessors if predecessor in graph]
        right = Right.ROLE if isinstance(read.body, RoleChange) else Right.REMOVE
        role = ROLES[situation.rank(read.entry.subject) - 1]
        supposed.put(
            Node(
                read,
                len(supposed.nodes),
                graph.ancestors_of(known),
                need(right, role),
                graph.ancestors_of(_honours(read)),
            )
        )
    return supposed
