"""Who has which role and right according to some entries of a roster (PROTOCOL 6).

A member is who has a member entry among them that every removal of it among them is answered for. Its role is what the
newest of those entries and of the changes of its role say, of concurrent ones the weakest.

Seniority is the chain of the places at which rights were granted, from the founder on: the founder's is empty, who is
granted a right by somebody's fifth entry has the granter's with a 5 behind. The lesser chain is the more senior one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from starling.protocol.distributed.roster_body import (
    Admission,
    Founding,
    Invite,
    Kind,
    PolicyChange,
    Removal,
    RoleChange,
)
from starling.protocol.distributed.roster_nodes import Node, RosterNodes
from starling.protocol.distributed.roster_rights import ADMIN, NOBODY, Need, Policy, rank

Seniority = tuple[int, ...]

MAX_SENIORITY = 64
"""A longer chain of granters counts as this long."""

_NONE: Seniority = (2**64,)
"""The seniority of who has no right at all."""


class Situation:
    """What the entries `present`, a bit set, say about rights."""

    def __init__(self, nodes: RosterNodes, present: int) -> None:
        self._nodes = nodes
        self._present = present
        self._chains: dict[int, Seniority] | None = None

    def rank(self, identity: bytes) -> int:
        """The rank of an identity's role, NOBODY for who is no member."""
        return min(map(_rank, self.grants(identity)), default=NOBODY)

    def grants(self, identity: bytes) -> list[Node]:
        """The newest entries that give an identity its role."""
        return newest(self._roles(identity))

    def members_entries(self, identity: bytes) -> list[Node]:
        """The member entries by which an identity is a member, none where it is not; the founding entry is one."""
        about = [node for node in self._nodes.about(identity) if node.bit & self._present]
        if identity == self._nodes.founder and self._present & 1:
            about.insert(0, self._nodes.nodes[0])
        entries = [node for node in about if isinstance(node.read.body, Admission | Founding)]
        removals = [node for node in about if node.removes_member]
        if not removals:
            return entries
        readmissions = [node for node in entries if node.read.entry.kind == Kind.READMIT]
        alive = []
        for node in entries:
            answered: set[bytes] = set()
            for other in readmissions:
                if other is node or node.follows(other):
                    answered.update(other.read.entry.predecessors)
            if all(removal.entry_id in answered for removal in removals):
                alive.append(node)
        return alive

    def removals(self, identity: bytes) -> list[Node]:
        """The removals of an identity, answered or not."""
        about = self._nodes.about(identity)
        return [node for node in about if node.bit & self._present and node.removes_member]

    def unanswered(self, identity: bytes) -> list[Node]:
        """The removals of an identity that no re-admission names."""
        answered: set[bytes] = set()
        for node in self._nodes.about(identity):
            if node.bit & self._present and node.read.entry.kind == Kind.READMIT:
                answered.update(node.read.entry.predecessors)
        return [node for node in self.removals(identity) if node.entry_id not in answered]

    def policy(self) -> Policy:
        """The policy in force: the newest, of concurrent ones what all of them allow."""
        changes = newest([node for node in self._nodes.policies if node.bit & self._present])
        policies = [node.read.body.policy for node in changes if isinstance(node.read.body, PolicyChange)]
        return reduce(Policy.stricter, policies) if policies else Policy()

    def allows(self, identity: bytes, need: Need) -> bool:
        """Whether an identity has the rank that something needs."""
        return self.rank(identity) >= need.under(self.policy())

    def invites(self, invite_id: bytes) -> list[Node]:
        """The invite entries for a ticket."""
        about = self._nodes.about(invite_id)
        return [node for node in about if node.bit & self._present and isinstance(node.read.body, Invite)]

    def invite(self, invite_id: bytes) -> Node | None:
        """The entry that counts for a ticket: of those that its maker signed the one which grants least."""
        return min(self.invites(invite_id), key=_grants, default=None)

    def is_revoked(self, invite: Node) -> bool:
        """Whether a ticket is taken back, or its author could not make it any more."""
        taken_back = any(
            node.bit & self._present and isinstance(node.read.body, Removal)
            for node in self._nodes.about(invite.subject)
        )
        return taken_back or not self.allows(invite.author, invite.need)

    # seniority

    def seniority(self, identity: bytes, ancestors: int = -1) -> Seniority:
        """The chain of an identity, according to those of the entries that are among `ancestors`: -1 for all."""
        if self._chains is None:
            self._chains = {}
            for node in self._nodes.grants:
                if node.bit & self._present:
                    self._chains[node.position] = self._chain(node)
        return self._least(Situation(self._nodes, self._present & ancestors), identity)

    def _chain(self, grant: Node) -> Seniority:
        body = grant.read.body
        if isinstance(body, Founding):
            return ()
        granting = [grant]
        if isinstance(body, Admission) and body.spend is not None:
            # Who sponsors only witnesses: the right is from who made the ticket.
            among = Situation(self._nodes, self._present & grant.ancestors)
            granting = among.invites(body.invite_id) or granting
        return min(
            (*self._least(Situation(self._nodes, self._present & node.ancestors), node.author), node.version)
            for node in granting
        )[:MAX_SENIORITY]

    def _least(self, within: Situation, identity: bytes) -> Seniority:
        assert self._chains is not None
        roles = within._roles(identity)
        held = within.rank(identity)
        chains = (self._chains[node.position] for node in roles if _rank(node) >= held)
        return min(chains, default=_NONE)

    def _roles(self, identity: bytes) -> list[Node]:
        """What gives an identity its role: member entries, and changes of its role that follow one."""
        entries = self.members_entries(identity)
        changes = [
            node
            for node in self._nodes.about(identity)
            if node.bit & self._present
            and isinstance(node.read.body, RoleChange)
            and any(node.follows(entry) for entry in entries)
        ]
        return entries + changes


def newest(nodes: Iterable[Node]) -> list[Node]:
    """Those that none of the others follows."""
    listed = list(nodes)
    followed = 0
    for node in listed:
        followed |= node.ancestors
    return [node for node in listed if not followed & node.bit]


def _rank(grant: Node) -> int:
    body = grant.read.body
    return rank(body.role if isinstance(body, Admission | RoleChange) else ADMIN)


def _grants(invite: Node) -> tuple[int, int, bytes, int, bytes]:
    body = invite.read.body
    assert isinstance(body, Invite)
    # Of those that say the same it matters to nobody which is named, but all are to name one: the newest.
    return (body.uses, body.expires_at, invite.read.entry.body, -invite.version, invite.entry_id)
