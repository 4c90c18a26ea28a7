"""Which entries a roster takes in (PROTOCOL 6): what depends on an entry and its ancestors alone.

An entry is judged by the situation at it: what stands of its ancestors as far as they tell themselves.
"""

from __future__ import annotations

from starling.protocol.distributed.roster_body import (
    MAX_HONOURS,
    Admission,
    Archiver,
    Founding,
    Invite,
    Kind,
    PolicyChange,
    Removal,
    RoleChange,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_entry import MAX_VERSION, ReadEntry, universe_id_of
from starling.protocol.distributed.roster_nodes import Node, RosterNodes
from starling.protocol.distributed.roster_rights import (
    ADMIN,
    MEMBER,
    NOBODY,
    READER,
    ROLES,
    Need,
    Right,
    need,
    rank,
)
from starling.protocol.distributed.roster_situation import Situation, newest
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid

MAX_MEMBER_VERSION = 512
"""How many entries one may make who is no admin, not counting that it leaves."""

_REMOVABLE = {Target.MEMBER: Admission, Target.INVITE: Invite, Target.ARCHIVER: Archiver}
_NOTHING = Need(NOBODY)


def check_founding(read: ReadEntry, universe_id: bytes) -> None:
    """Raises Invalid where it is not the universe's founding entry."""
    entry, body = read.entry, read.body
    if not isinstance(body, Founding):
        raise Invalid(Rule.ENTRY_FOUNDING, "an entry follows the founding entry")
    proved = universe_id_of(entry.author, body.universe_name, body.nonce)
    if proved != universe_id or entry.subject != universe_id or entry.predecessors:
        raise Invalid(Rule.ENTRY_FOUNDING)


def check_entry(nodes: RosterNodes, read: ReadEntry, ancestors: int, fallen: int) -> tuple[Need, int]:
    """Check an entry that follows `ancestors`, of which `fallen` do not stand.

    Gives back what its author needed, and for a restriction what it honours. Raises Invalid.
    """
    check = _Check(nodes, read, ancestors, Situation(nodes, ancestors & ~fallen))
    return check.run()


class _Check:
    def __init__(self, nodes: RosterNodes, read: ReadEntry, ancestors: int, situation: Situation) -> None:
        self._nodes = nodes
        self._read = read
        self._author = read.entry.author
        self._subject = read.entry.subject
        self._ancestors = ancestors
        self._situation = situation

    def run(self) -> tuple[Need, int]:
        body = self._read.body
        if isinstance(body, Founding):
            raise Invalid(Rule.ENTRY_FOUNDING, "there is one")
        if isinstance(body, Removal) and body.target is Target.LEAVE:
            self._check_leave()
            return _NOTHING, self._ancestors
        needed = self._need()
        if not self._situation.allows(self._author, needed):
            raise Invalid(Rule.ENTRY_RIGHT)
        if self._read.entry.version > MAX_MEMBER_VERSION and self._rank(self._author) < rank(ADMIN):
            raise Invalid(Rule.ENTRY_QUOTA, f"version {self._read.entry.version} of {MAX_VERSION}")
        honoured = 0
        match body:
            case Removal():
                honoured = self._check_removal(body)
            case RoleChange():
                if self._rank(self._subject) == NOBODY:
                    raise Invalid(Rule.ENTRY_ROLE)
                honoured = self._check_honours(body.honours)
            case Admission():
                self._check_admission(body)
            case PolicyChange() | Topic():
                if self._subject != self._nodes.universe_id:
                    raise Invalid(Rule.ENTRY_FIELDS, "the subject of a topic or policy is the universe")
            case Invite() | Archiver():
                pass
        return needed, honoured

    def _need(self) -> Need:
        match self._read.body:
            case Invite(role=role):
                return need(Right.INVITE, role)
            case Admission(spend=spend):
                return need(Right.SPONSOR if spend is not None else Right.READMIT)
            case Removal(target=Target.INVITE):
                is_own = any(node.author == self._author for node in self._known(self._subject, Invite))
                return Need(rank(MEMBER)) if is_own else need(Right.REVOKE)
            case Removal(target=Target.MEMBER):
                held = self._rank(self._subject)
                return need(Right.REMOVE, ROLES[held - 1] if held else READER)
            case PolicyChange():
                return need(Right.POLICY)
            case Topic():
                return need(Right.TOPIC)
            case RoleChange():
                return need(Right.ROLE)
        return need(Right.ARCHIVER)

    def _rank(self, identity: bytes) -> int:
        return self._situation.rank(identity)

    def _known(self, subject: bytes, kind: type) -> list[Node]:
        """The ancestors about a subject with a body of this kind."""
        about = self._nodes.about(subject)
        return [node for node in about if self._ancestors & node.bit and isinstance(node.read.body, kind)]

    def _check_leave(self) -> None:
        if self._author != self._subject:
            raise Invalid(Rule.ENTRY_RIGHT, "one leaves for oneself")
        named = [self._nodes[predecessor] for predecessor in self._read.entry.predecessors]
        is_own = [node.subject == self._subject and isinstance(node.read.body, Admission) for node in named]
        if not any(is_own) or not all(
            own or node.author == self._author for own, node in zip(is_own, named, strict=True)
        ):
            raise Invalid(Rule.ENTRY_LEAVE)
        if self._rank(self._author) == NOBODY:
            raise Invalid(Rule.ENTRY_LEAVE, "who is no member cannot leave")

    def _check_removal(self, body: Removal) -> int:
        if self._author == self._subject:
            raise Invalid(Rule.ENTRY_REMOVAL, "removing oneself is leaving")
        if not self._known(self._subject, _REMOVABLE[body.target]):
            raise Invalid(Rule.ENTRY_REMOVAL)
        return self._check_honours(body.honours)

    def _check_honours(self, honours: tuple[bytes, ...]) -> int:
        """What is honoured. Who is more senior is not undone by what a junior knew of it."""
        honoured = 0
        for act in honours:
            node = self._nodes.get(act)
            if node is None or not self._ancestors & node.bit or node.author != self._subject:
                raise Invalid(Rule.ENTRY_REMOVAL, "honours an act that it does not know")
            honoured |= node.closure
        left = [
            node
            for node in self._nodes.by(self._subject)
            if self._ancestors & ~honoured & node.bit and node.may_fall
        ]
        if left and self._author != self._subject and not self._cannot_honour_all(honours):
            seniority = self._situation.seniority
            if seniority(self._subject) <= seniority(self._author):
                raise Invalid(Rule.ENTRY_SENIOR)
        return honoured

    def _cannot_honour_all(self, honours: tuple[bytes, ...]) -> bool:
        """Whether a subject has signed so many entries side by side that no removal can name them; nobody honest does.
        Else it could not be removed by a junior."""
        acts = newest(node for node in self._nodes.by(self._subject) if self._ancestors & node.bit)
        return len(honours) == MAX_HONOURS and set(honours) <= {node.entry_id for node in acts}

    def _check_admission(self, body: Admission) -> None:
        held = self._rank(self._subject)
        removals = self._situation.removals(self._subject)
        is_readmission = self._read.entry.kind == Kind.READMIT
        if is_readmission != (held == NOBODY and bool(removals)):
            raise Invalid(Rule.ENTRY_READMIT)
        unanswered = {node.entry_id for node in self._situation.unanswered(self._subject)}
        if not unanswered <= set(self._read.entry.predecessors):
            raise Invalid(Rule.ENTRY_READMIT)
        if body.spend is not None:
            if held != NOBODY:
                raise Invalid(Rule.ENTRY_MEMBER)
            self._check_spend(body, removals if is_readmission else [])
        elif held != NOBODY:
            if held != rank(body.role):
                raise Invalid(Rule.ENTRY_ROLE)
        elif not is_readmission:
            raise Invalid(Rule.ENTRY_INVITE, "no invite is spent")

    def _check_spend(self, body: Admission, removals: list[Node]) -> None:
        invite = self._situation.invite(body.invite_id)
        if invite is None or self._situation.is_revoked(invite):
            raise Invalid(Rule.ENTRY_INVITE)
        offered = invite.read.body
        if not isinstance(offered, Invite) or offered.role != body.role:
            raise Invalid(Rule.ENTRY_ROLE)
        if body.spend is None or body.spend.ticket_key != offered.ticket_key:
            raise Invalid(Rule.ENTRY_INVITE, "the key is not the invite's")
        if not all(invite.follows(removal) for removal in removals):
            raise Invalid(Rule.ENTRY_READMIT)
        if not all(removal.is_leave for removal in removals) and not self._situation.allows(
            invite.author, need(Right.REMOVE, body.role)
        ):
            raise Invalid(Rule.ENTRY_READMIT, "who was removed comes back by somebody who may remove")
