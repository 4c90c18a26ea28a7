"""Making roster entries: signed and encoded, not yet added (PROTOCOL 6). Raises UsageError without the right."""

from __future__ import annotations

from collections.abc import Callable

from starling.protocol.distributed.archivers import MAX_ARCHIVERS
from starling.protocol.distributed.identity import Identity, check_name
from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.roster_body import (
    MAX_HONOURS,
    MAX_USES,
    Admission,
    Archiver,
    Body,
    Heard,
    Invite,
    Kind,
    PolicyChange,
    Removal,
    RoleChange,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_checks import check_entry
from starling.protocol.distributed.roster_entry import MAX_PREDECESSORS, read_entry, sign_entry
from starling.protocol.distributed.roster_graph import RosterGraph
from starling.protocol.distributed.roster_rights import MEMBER, READER, ROLES, Policy
from starling.protocol.distributed.roster_situation import Situation, newest
from starling.protocol.distributed.roster_view import RosterView, evaluate
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid, UsageError


class RosterMaking:
    """What makes the entries of a roster. Each is judged as it will be by everybody who gets it."""

    def __init__(self, universe_id: bytes) -> None:
        self._graph = RosterGraph(universe_id)
        self._view: RosterView | None = None

    @property
    def universe_id(self) -> bytes:
        return self._graph.universe_id

    @property
    def view(self) -> RosterView:
        """What the entries amount to, evaluated at most once between two changes."""
        if self._view is None:
            self._view = evaluate(self._graph)
        return self._view

    def make_invite(
        self,
        identity: Identity,
        *,
        ticket_key: bytes,
        mac_key: bytes,
        uses: int,
        expires_at: int,
        role: str = MEMBER,
    ) -> bytes:
        """An invite for the ticket with this public key; up to 1,000 uses, until `expires_at`."""
        if not 1 <= uses <= MAX_USES:
            raise UsageError(f"an invite has 1 to {MAX_USES} uses")
        _check_role(role)
        body = Invite(ticket_key, mac_key, role, uses, expires_at)
        invite_id = invite_id_of(identity.identity_public_key, ticket_key)
        return self._make(identity, invite_id, Kind.INVITE, body)

    def make_revoke(self, identity: Identity, invite_id: bytes) -> bytes:
        """Takes an invite back; who joined by it stays."""
        if invite_id not in self.view.invites:
            raise UsageError("no such invite")
        return self._make(identity, invite_id, Kind.REMOVAL, Removal(Target.INVITE, ()))

    def make_member(self, identity: Identity, subject: bytes, admission: Admission) -> bytes:
        """Admits a member, or states a new incarnation; a former member is re-admitted by it."""
        check_name(admission.name)
        situation = self._situation()
        removals = tuple(node.entry_id for node in situation.unanswered(subject))
        is_back = subject not in self.view.members and bool(situation.removals(subject))
        kind = Kind.READMIT if is_back else Kind.MEMBER
        return self._make(identity, subject, kind, admission, naming=removals)

    def make_remove(self, identity: Identity, subject: bytes, *, disowning: bool = False) -> bytes:
        """Removes a member, honouring all of its acts that are known here, or `disowning` them all, which takes who is
        more senior; oneself: leaves."""
        member = self.view.members.get(subject)
        if member is None:
            raise UsageError("not a member")
        if subject == identity.identity_public_key:
            return self._leave(identity, member.entry_id)
        predecessors = self._predecessors(identity.identity_public_key, (member.entry_id,))
        honours = () if disowning else self._acts(subject, predecessors)
        body = Removal(Target.MEMBER, honours)
        return self._sign(identity, subject, Kind.REMOVAL, body, predecessors)

    def make_role(
        self, identity: Identity, subject: bytes, role: str, *, heard: Heard | None = None
    ) -> bytes:
        """Gives a member another role, honouring all of its acts that are known here, and as a reader what was `heard`
        of it."""
        member = self.view.members.get(subject)
        if member is None:
            raise UsageError("not a member")
        if _check_role(role) == member.role:
            raise UsageError("the member has this role already")
        predecessors = self._predecessors(identity.identity_public_key, (member.entry_id,))
        body = RoleChange(role, self._acts(subject, predecessors), heard if role == READER else None)
        return self._sign(identity, subject, Kind.ROLE, body, predecessors)

    def make_policy(self, identity: Identity, policy: Policy) -> bytes:
        """Who may invite and remove from here on."""
        return self._make(identity, self.universe_id, Kind.POLICY, PolicyChange(policy))

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
        archivers = self.view.archivers
        if subject in self.view.members or peer_id in self.view.peers:
            raise UsageError("a member's node cannot be the universe's archiver", "archiver.member")
        if subject in archivers:
            raise UsageError("this is an archiver of the universe already", "archiver.exists")
        if len(archivers) >= MAX_ARCHIVERS:
            raise UsageError(f"a universe has at most {MAX_ARCHIVERS} archivers", "archiver.too_many")
        body = Archiver(check_name(name), peer_id, public_key, offer, addresses)
        return self._make(identity, subject, Kind.ARCHIVER, body)

    def make_remove_archiver(self, identity: Identity, subject: bytes) -> bytes:
        """Takes an archiver's name off the roster."""
        info = self.view.archivers.get(subject)
        if info is None:
            raise UsageError("no such archiver in this universe", "archiver.unknown")
        body = Removal(Target.ARCHIVER, ())
        return self._make(identity, subject, Kind.REMOVAL, body, naming=(info.entry_id,))

    def make_topic(self, identity: Identity, random: Callable[[int], bytes]) -> bytes:
        """A new gossip topic, which nobody removed before knows."""
        return self._make(identity, self.universe_id, Kind.TOPIC, Topic(random(32)))

    def _situation(self) -> Situation:
        graph = self._graph
        return Situation(graph, graph.everything & ~graph.fallen_of(graph.everything, graph.tips))

    def _acts(self, subject: bytes, predecessors: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The newest acts of somebody among these entries and what they follow."""
        known = self._graph.ancestors_of(predecessors)
        acts = newest(node for node in self._graph.by(subject) if node.bit & known)
        return tuple(sorted(node.entry_id for node in acts))[:MAX_HONOURS]

    def _leave(self, identity: Identity, member_entry: bytes) -> bytes:
        # All that it follows is the member's own, so that leaving cannot fill anybody's roster.
        author = identity.identity_public_key
        newest = (node.entry_id for node in self._graph.heads_of(author))
        predecessors = tuple(dict.fromkeys((member_entry, *newest)))[:MAX_PREDECESSORS]
        return self._sign(identity, author, Kind.REMOVAL, Removal(Target.LEAVE, ()), predecessors)

    def _make(
        self, identity: Identity, subject: bytes, kind: Kind, body: Body, naming: tuple[bytes, ...] = ()
    ) -> bytes:
        predecessors = self._predecessors(identity.identity_public_key, naming)
        return self._sign(identity, subject, kind, body, predecessors)

    def _sign(
        self, identity: Identity, subject: bytes, kind: Kind, body: Body, predecessors: tuple[bytes, ...]
    ) -> bytes:
        graph = self._graph
        ancestors = graph.ancestors_of(predecessors)
        entry = sign_entry(
            identity,
            universe_id=self.universe_id,
            subject=subject,
            kind=kind,
            version=graph.next_version(identity.identity_public_key, ancestors),
            predecessors=predecessors,
            body=body,
        )
        try:
            read = read_entry(entry, self.universe_id)
            check_entry(graph, read, ancestors, graph.fallen_of(ancestors, predecessors))
        except Invalid as refusal:
            if refusal.rule is Rule.ENTRY_RIGHT:
                raise UsageError("this identity has not the right to make such an entry") from refusal
            raise UsageError(f"nobody would take such an entry: {refusal}") from refusal
        return entry

    def _predecessors(self, author: bytes, naming: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """What a new entry follows: what it must name, the author's own newest entries and what gives it its role, then
        the tips.

        Where these are too many, each author's first comes before anybody's second: who signs many side by side does
        not keep the others from following each other.
        """
        own = (node.entry_id for node in (*self._graph.heads_of(author), *self._situation().grants(author)))
        chosen = dict.fromkeys((*naming, *own))
        if len(chosen) > MAX_PREDECESSORS:
            raise UsageError("too many entries to name")
        turns: dict[bytes, int] = {}
        ordered = []
        for tip, node in sorted(self._graph.tips.items()):
            turns[node.author] = turns.get(node.author, 0) + 1
            ordered.append((turns[node.author], tip))
        for _, tip in sorted(ordered):
            if len(chosen) == MAX_PREDECESSORS:
                break
            chosen[tip] = None
        return tuple(chosen)


def _check_role(role: str) -> str:
    if role not in ROLES:
        raise UsageError(f"a role is one of {', '.join(ROLES)}")
    return role
