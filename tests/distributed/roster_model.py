"""What a set of roster entries amounts to, evaluated in the plainest way: the judge of the real evaluation.

Written from the rules (docs/joining.md, PROTOCOL 6), with sets of entry ids and without any shortcut: every question
is answered anew from the entries. Only the decoding of entries, and the ids of invites, are shared with what it judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.roster_body import decode_body
from starling.protocol.distributed.roster_entry import decode_entry, entry_id

INVITE, MEMBER, ROLE, REMOVAL, POLICY, TOPIC, READMIT, ARCHIVER = range(1, 9)
STRENGTH = {"nobody": 0, "reader": 1, "member": 2, "admin": 3}
NOBODY = "nobody"

Ids = frozenset[bytes]
Chain = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """One entry, decoded."""

    id: bytes
    author: bytes
    subject: bytes
    kind: int
    version: int
    named: Ids
    body: Any
    raw_body: bytes

    @property
    def is_founding(self) -> bool:
        return self.kind == POLICY and not self.named

    @property
    def admits(self) -> bool:
        return self.kind in (MEMBER, READMIT)

    @property
    def target(self) -> str:
        return str(self.body.target.value) if self.kind == REMOVAL else ""

    @property
    def ends_membership(self) -> bool:
        return self.target in ("member", "leave")

    @property
    def restricts(self) -> bool:
        return self.ends_membership or self.kind == ROLE

    @property
    def cannot_fall(self) -> bool:
        return self.is_founding or self.target == "leave"

    @property
    def spends(self) -> bool:
        return self.admits and self.body.spend is not None


class Model:
    """All entries that are known, and every question about them."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self._before: dict[bytes, Ids] = {}
        self._fallen: dict[Ids, Ids] = {}
        self.founder = b""

    def offer(self, encoded: bytes) -> bool:
        """Take in an entry whose predecessors are known, where the rules allow it; says whether they did."""
        decoded = decode_entry(encoded)
        entry = Entry(
            entry_id(encoded),
            decoded.author,
            decoded.subject,
            decoded.kind,
            decoded.version,
            frozenset(decoded.predecessors),
            decode_body(decoded.kind, decoded.body),
            decoded.body,
        )
        before = frozenset().union(*(self._before[i] | {i} for i in entry.named)) if entry.named else Ids()
        if not entry.is_founding and not self._acceptable(entry, before):
            return False
        self.entries[entry.id] = entry
        self._before[entry.id] = before
        if entry.is_founding:
            self.founder = entry.author
        return True

    # what is among some entries

    def among(self, ids: Iterable[bytes], test: Callable[[Entry], bool]) -> list[Entry]:
        return [self.entries[i] for i in ids if test(self.entries[i])]

    def before(self, entry: Entry) -> Ids:
        return self._before[entry.id]

    def follows(self, later: Entry, earlier: Entry) -> bool:
        return earlier.id in self._before[later.id]

    def newest(self, entries: list[Entry]) -> list[Entry]:
        return [e for e in entries if not any(self.follows(other, e) for other in entries)]

    # roles and rights, according to the entries `ids`

    def member_entries(self, who: bytes, ids: Ids) -> list[Entry]:
        """The entries by which somebody is a member."""
        ends = self.among(ids, lambda e: e.ends_membership and e.subject == who)
        made = self.among(
            ids, lambda e: (e.admits and e.subject == who) or (e.is_founding and e.author == who)
        )

        def survives(entry: Entry) -> bool:
            line = [e for e in made if e.kind == READMIT and (e == entry or self.follows(entry, e))]
            return all(any(end.id in e.named for e in line) for end in ends)

        return [entry for entry in made if survives(entry)]

    def role_entries(self, who: bytes, ids: Ids) -> list[Entry]:
        made = self.member_entries(who, ids)
        changed = self.among(ids, lambda e: e.kind == ROLE and e.subject == who)
        return made + [e for e in changed if any(self.follows(e, entry) for entry in made)]

    def role(self, who: bytes, ids: Ids) -> str:
        given = [given_role(e) for e in self.newest(self.role_entries(who, ids))]
        return min(given, key=lambda role: STRENGTH[role], default=NOBODY)

    def policy(self, ids: Ids) -> tuple[str, str]:
        """Who may invite, who may remove."""
        changes = self.newest(self.among(ids, lambda e: e.kind == POLICY and not e.is_founding))
        if not changes:
            return "member", "admin"
        weakest = max((e.body.policy.invite for e in changes), key=lambda role: STRENGTH[role])
        return weakest, max((e.body.policy.remove for e in changes), key=lambda role: STRENGTH[role])

    def needed(self, entry: Entry, ids: Ids, role_of_subject: str) -> str:
        """The role that an entry needs of its author; what its subject was is told, it may be in dispute."""
        invite, remove = self.policy(ids)
        if entry.kind == INVITE:
            return stronger(invite, stronger("member", entry.body.role))
        if entry.target == "member":
            return stronger(remove, stronger("member", role_of_subject))
        if entry.target == "invite":
            own = self.among(
                self.before_of(entry, ids),
                lambda e: e.kind == INVITE and e.subject == entry.subject and e.author == entry.author,
            )
            return "member" if own else "admin"
        if entry.kind == TOPIC or entry.spends:
            return "member"
        return "admin"

    def before_of(self, entry: Entry, ids: Ids) -> Ids:
        return self._before.get(entry.id, ids)

    # seniority

    def chain(self, who: bytes, ids: Ids) -> Chain:
        """The positions at which rights were granted, from the founder on."""
        held = STRENGTH[self.role(who, ids)]
        grants = [e for e in self.role_entries(who, ids) if STRENGTH[given_role(e)] >= held]
        return min((self.chain_of_grant(e, ids) for e in grants), default=(2**64,))

    def chain_of_grant(self, grant: Entry, ids: Ids) -> Chain:
        if grant.is_founding:
            return ()
        deeds = [grant]
        if grant.spends:
            deeds = self.invites(grant.body.invite_id, ids & self.before(grant)) or deeds
        return min((*self.chain(e.author, ids & self.before(e)), e.version) for e in deeds)

    # tickets

    def invites(self, ticket: bytes, ids: Ids) -> list[Entry]:
        return self.among(ids, lambda e: e.kind == INVITE and e.subject == ticket)

    def invite(self, ticket: bytes, ids: Ids) -> Entry | None:
        """The entry that counts: the one that grants least."""
        return min(
            self.invites(ticket, ids),
            key=lambda e: (e.body.uses, e.body.expires_at, e.raw_body, -e.version, e.id),
            default=None,
        )

    def taken_back(self, invite: Entry, ids: Ids) -> bool:
        if self.among(ids, lambda e: e.target == "invite" and e.subject == invite.subject):
            return True
        needed = self.needed(invite, ids, NOBODY)
        return STRENGTH[self.role(invite.author, ids)] < STRENGTH[needed]

    # which stand

    def fallen(self, ids: Ids) -> Ids:
        """Those of the entries that do not stand."""
        if ids not in self._fallen:
            self._fallen[ids] = self._contest(ids)
        return self._fallen[ids]

    def _contest(self, ids: Ids) -> Ids:
        standing: list[tuple[Entry, Chain | None]] = [
            (e, None) for e in self.among(ids, lambda e: e.target == "leave")
        ]
        undecided = self.among(ids, lambda e: e.restricts and e.target != "leave")
        lost: set[bytes] = set()
        fallen = self._falls(ids, standing, lost)
        while undecided:
            chains = {e.id: self.chain(e.author, (ids - fallen) & self.before(e)) for e in undecided}
            first = min(chains.values())
            turn = [e for e in undecided if chains[e.id] == first]
            undecided = [e for e in undecided if chains[e.id] != first]
            seniors = [r for r, chain in standing if chain is None or chain < first]
            upheld = [e for e in turn if self._holds(e, seniors, fallen)]
            lost |= {e.id for e in turn if e not in upheld}
            standing += [(e, first) for e in upheld]
            fallen = self._falls(ids, standing, lost)
        return fallen

    def _falls(self, ids: Ids, standing: list[tuple[Entry, Chain | None]], lost: set[bytes]) -> Ids:
        fallen = set(lost)
        for entry in sorted((self.entries[i] for i in ids), key=lambda e: len(self.before(e))):
            if entry.cannot_fall or entry.restricts:
                continue
            if not self._holds(entry, [r for r, _ in standing], Ids(fallen)):
                fallen.add(entry.id)
        return Ids(fallen)

    def _holds(self, entry: Entry, restrictions: list[Entry], fallen: Ids) -> bool:
        ids = self.before(entry) - fallen
        held = self.role(entry.author, ids)
        for restriction in restrictions:
            if restriction.subject == entry.author and self._strikes(restriction, entry):
                held = weaker(held, restriction.body.role if restriction.kind == ROLE else NOBODY)
        before = self.before(entry)
        was = self.role(entry.subject, before - self.fallen(before))
        if STRENGTH[held] < STRENGTH[self.needed(entry, ids, was)]:
            return False
        if entry.spends:
            return any(e.body.role == entry.body.role for e in self.invites(entry.body.invite_id, ids))
        return True

    def _strikes(self, restriction: Entry, entry: Entry) -> bool:
        if restriction == entry or self.follows(entry, restriction):
            return False
        if restriction.target == "leave":
            return entry.id not in self.before(restriction)
        honoured = restriction.body.honours
        return not any(entry.id in self._before[i] | {i} for i in honoured)

    # what is taken in

    def _acceptable(self, entry: Entry, before: Ids) -> bool:
        ids = before - self.fallen(before)
        own = self.among(before, lambda e: e.author == entry.author)
        if not entry.named or entry.is_founding:
            return False
        if entry.version != 1 + max((e.version for e in own), default=0):
            return False
        if entry.target == "leave":
            return self._may_leave(entry, ids)
        was = self.role(entry.subject, ids)
        held = STRENGTH[self.role(entry.author, ids)]
        if held < STRENGTH[self.needed(entry, ids, was)]:
            return False
        if entry.kind == REMOVAL:
            return self._removes_rightly(entry, before, ids)
        if entry.kind == ROLE:
            return was != NOBODY and self._honours_rightly(entry, before, ids)
        if entry.admits:
            return self._admits_rightly(entry, ids)
        if entry.kind == INVITE:
            return entry.subject == invite_id_of(entry.author, entry.body.ticket_key)
        return True

    def _may_leave(self, entry: Entry, ids: Ids) -> bool:
        named = [self.entries[i] for i in entry.named]
        own = [e for e in named if e.admits and e.subject == entry.subject]
        return (
            entry.author == entry.subject
            and bool(own)
            and all(e in own or e.author == entry.author for e in named)
            and self.role(entry.author, ids) != NOBODY
        )

    def _removes_rightly(self, entry: Entry, before: Ids, ids: Ids) -> bool:
        tests: dict[str, Callable[[Entry], bool]] = {
            "member": lambda e: e.admits,
            "invite": lambda e: e.kind == INVITE,
            "archiver": lambda e: e.kind == ARCHIVER,
        }
        test = tests[entry.target]
        known = self.among(before, lambda e: e.subject == entry.subject and test(e))
        return entry.author != entry.subject and bool(known) and self._honours_rightly(entry, before, ids)

    def _honours_rightly(self, entry: Entry, before: Ids, ids: Ids) -> bool:
        honoured: set[bytes] = set()
        for act in entry.body.honours:
            if act not in before or self.entries[act].author != entry.subject:
                return False
            honoured |= self._before[act] | {act}
        acts = self.among(before, lambda e: e.author == entry.subject and not e.cannot_fall)
        if all(e.id in honoured for e in acts) or entry.author == entry.subject:
            return True
        return self.chain(entry.author, ids) < self.chain(entry.subject, ids)

    def _admits_rightly(self, entry: Entry, ids: Ids) -> bool:
        who, body = entry.subject, entry.body
        was = self.role(who, ids)
        ends = self.among(ids, lambda e: e.ends_membership and e.subject == who)
        comes_back = was == NOBODY and bool(ends)
        if comes_back != (entry.kind == READMIT):
            return False
        answers = self.among(ids, lambda e: e.kind == READMIT and e.subject == who)
        answered = frozenset().union(entry.named, *(e.named for e in answers))
        if not all(end.id in answered for end in ends):
            return False
        if not entry.spends:
            return given_role(entry) == was if was != NOBODY else comes_back
        invite = self.invite(body.invite_id, ids)
        if was != NOBODY or invite is None or self.taken_back(invite, ids) or invite.body.role != body.role:
            return False
        if invite.body.ticket_key != body.spend.ticket_key:
            return False
        if not comes_back:
            return True
        if not all(self.follows(invite, end) for end in ends):
            return False
        _, remove = self.policy(ids)
        inviter = STRENGTH[self.role(invite.author, ids)]
        able = inviter >= STRENGTH[stronger(remove, stronger("member", body.role))]
        return able or all(end.target == "leave" for end in ends)

    # the outcome

    def outcome(self) -> dict[str, Any]:
        """What everybody must agree on."""
        everything = Ids(self.entries)
        ids = everything - self.fallen(everything)
        people = {e.subject for e in self.entries.values() if e.admits}
        members = {}
        for who in people:
            made = [e for e in self.member_entries(who, ids) if e.admits]
            if made:
                highest = max(e.body.incarnation for e in made)
                heads = self.newest([e for e in made if e.body.incarnation == highest])
                counts = max(heads, key=lambda e: (e.version, e.raw_body, e.id))
                members[who] = (self.role(who, ids), counts.id, self.chain(who, ids))
        tickets = {e.subject for e in self.among(ids, lambda e: e.kind == INVITE)}
        return {
            "fallen": self.fallen(everything),
            "members": members,
            "former": people - members.keys(),
            "policy": self.policy(ids),
            "tickets": {ticket: self._ticket(ticket, ids) for ticket in tickets},
            "topic": self._topic(ids),
        }

    def _ticket(self, ticket: bytes, ids: Ids) -> tuple[bytes, bool, bool, Ids]:
        """The entry that counts, whether it is revoked, and overspent, and by whom it was spent."""
        invite = self.invite(ticket, ids)
        assert invite is not None
        spent = {e.subject for e in self.among(ids, lambda e: e.spends and e.body.invite_id == ticket)}
        overspent = len(spent) > invite.body.uses
        known_to_removed = self.among(
            ids, lambda e: e.target == "member" and e.subject in spent and not self.follows(invite, e)
        )
        revoked = overspent or self.taken_back(invite, ids) or bool(known_to_removed)
        return invite.id, revoked, overspent, Ids(spent)

    def _topic(self, ids: Ids) -> tuple[bytes, bool]:
        """The newest topic secret, and whether somebody who is gone knows it."""
        gone = self.among(ids, lambda e: e.ends_membership or e.target == "archiver")
        topics = self.among(ids, lambda e: e.kind == TOPIC)

        def order(topic: Entry) -> tuple[int, int, int, bytes]:
            seen = [self.follows(topic, end) for end in gone]
            earlier = [self.follows(topic, other) for other in topics]
            return sum(seen), sum(earlier), topic.version, topic.body.secret

        newest = max(topics, key=order, default=None)
        if newest is None:
            return b"", True
        return newest.body.secret, not all(self.follows(newest, end) for end in gone)


def given_role(entry: Entry) -> str:
    """The role that an entry gives its subject."""
    return "admin" if entry.is_founding else str(entry.body.role)


def stronger(one: str, other: str) -> str:
    return max(one, other, key=lambda role: STRENGTH[role])


def weaker(one: str, other: str) -> str:
    return min(one, other, key=lambda role: STRENGTH[role])
