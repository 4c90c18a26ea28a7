"""Which entries of a roster stand (PROTOCOL 6): removals and what falls with them, the same whatever came first.

- A removal, or a change of a role, is a *restriction* of its subject. Of what the subject did it strikes what neither
  follows nor is honoured by it: everything, or what the new role does not allow. So acts stand that all restrictions
  honour, and signing something with old predecessors is of no use to who was removed.
- What needs a right from an entry that fell falls too: the acts of who was admitted by it alone, and so on.
- Restrictions that strike each other: those of the more senior stand, and are not undone by what a junior says of their
  author. Two that are equally senior both stand. So they are decided in the order of seniority, each once and for all.
- Leaving always stands, and the founding entry. Both need nobody's leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed.roster_body import Admission, Invite, RoleChange
from starling.protocol.distributed.roster_nodes import Node, RosterNodes
from starling.protocol.distributed.roster_rights import ADMIN, NOBODY, rank
from starling.protocol.distributed.roster_situation import Seniority, Situation


def fallen(nodes: RosterNodes, within: int) -> int:
    """Which of the entries `within` do not stand, as far as these tell; all that they follow is among them."""
    return _Contest(nodes, within).run() if is_contested(nodes, within) else 0


def is_contested(nodes: RosterNodes, within: int) -> bool:
    """Whether some entry strikes another: else all stand."""
    return any(strikes_any(nodes, node, within) for node in nodes.restrictions if node.bit & within)


def strikes_any(nodes: RosterNodes, restriction: Node, within: int) -> bool:
    """Whether a restriction strikes anything, as long as it stands itself."""
    most = _limit(restriction)
    return any(
        node.bit & within
        and node.may_fall
        and _is_struck(node, restriction)
        and (rank(ADMIN) if node.need.setting else node.need.rank) > most
        for node in nodes.by(restriction.subject)
    )


def void_entries(nodes: RosterNodes, lost: int) -> int:
    """Those of the entries that do not stand of which it matters to nobody whether a node has them: signed by who was
    removed, unknown to the removal, and followed by nothing but their like.

    Who signs against the rules can give different ones to everybody. As soon as it is removed they make no difference.
    """
    void = followed = 0
    for node in reversed(nodes.nodes if lost else []):
        if node.bit & lost & ~followed and any(
            removal.removes_member and not removal.bit & lost and _is_struck(node, removal)
            for removal in nodes.about(node.author)
        ):
            void |= node.bit
        else:
            followed |= node.ancestors
    return void


@dataclass(frozen=True, slots=True)
class _Standing:
    restriction: Node
    seniority: Seniority
    """Of its author; of who leaves it is before all others."""


class _Contest:
    def __init__(self, nodes: RosterNodes, within: int) -> None:
        self._nodes = nodes
        self._within = within
        self._standing: dict[bytes, list[_Standing]] = {}
        """By subject."""

    def run(self) -> int:
        undecided = []
        for node in self._nodes.restrictions:
            if node.bit & self._within:
                if node.is_leave:
                    self._stand(node, ())
                else:
                    undecided.append(node)
        lost = 0
        fallen = self._settle(lost)
        while undecided:
            situation = Situation(self._nodes, self._within & ~fallen)
            order = {node.position: situation.seniority(node.author, node.ancestors) for node in undecided}
            first = min(order.values())
            decided = [node for node in undecided if order[node.position] == first]
            undecided = [node for node in undecided if order[node.position] != first]
            upheld = [node for node in decided if self._is_upheld(node, first, fallen)]
            for node in decided:
                lost |= node.bit
            for node in upheld:
                self._stand(node, first)
                lost &= ~node.bit
            fallen = self._settle(lost)
        return fallen

    def _stand(self, node: Node, seniority: Seniority) -> None:
        self._standing.setdefault(node.subject, []).append(_Standing(node, seniority))

    def _is_upheld(self, node: Node, seniority: Seniority, fallen: int) -> bool:
        strikers = [
            other.restriction
            for other in self._standing.get(node.author, ())
            if other.restriction.is_leave or other.seniority < seniority
        ]
        return self._holds(node, strikers, fallen)

    def _settle(self, lost: int) -> int:
        """What falls while these restrictions stand, and of the others those that are `lost` do not."""
        fallen = lost
        for node in self._nodes.nodes:
            if not node.bit & self._within or not node.may_fall or node.restricts:
                continue
            strikers = [other.restriction for other in self._standing.get(node.author, ())]
            if not strikers and not fallen & node.ancestors & self._rests_on(node):
                continue
            if not self._holds(node, strikers, fallen):
                fallen |= node.bit
        return fallen

    def _rests_on(self, node: Node) -> int:
        """Which entries may bear on whether this one stands."""
        body = node.read.body
        bits = self._nodes.about_bits(node.author)
        if node.need.setting:
            bits |= self._nodes.policy_bits
        if isinstance(body, Admission) and body.spend is not None:
            bits |= self._nodes.about_bits(body.invite_id)
        return bits

    def _holds(self, node: Node, strikers: list[Node], fallen: int) -> bool:
        """Whether the author had the right, by what stands of the entry's ancestors, and no striker takes it."""
        situation = Situation(self._nodes, node.ancestors & ~fallen)
        struck = [_limit(other) for other in strikers if _is_struck(node, other)]
        held = min([situation.rank(node.author), *struck])
        if held < node.need.under(situation.policy()):
            return False
        body = node.read.body
        if not isinstance(body, Admission) or body.spend is None:
            return True
        invites = (invite.read.body for invite in situation.invites(body.invite_id))
        return any(isinstance(invite, Invite) and invite.role == body.role for invite in invites)


def _is_struck(node: Node, restriction: Node) -> bool:
    return not (node is restriction or node.follows(restriction) or restriction.honoured & node.bit)


def _limit(restriction: Node) -> int:
    """The rank that a restriction leaves its subject."""
    body = restriction.read.body
    return rank(body.role) if isinstance(body, RoleChange) else NOBODY
