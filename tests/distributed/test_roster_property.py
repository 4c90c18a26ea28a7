"""Random histories of a roster: the order of arrival changes nothing, and a plain model agrees (PROTOCOL 6).

Five people act on copies of a roster that know different entries: copies drift apart, merge, and are put back to what
they were. Everybody invites, admits, removes, leaves, changes roles and policy, revokes, and signs what nobody may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.distributed.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    TICKET,
    admission,
    person,
    random_from,
    signed_admission,
    universe,
)
from tests.distributed.roster_model import Model

from starling.protocol.distributed import roster_graph, roster_making
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_body import (
    Admission,
    Archiver,
    Body,
    Invite,
    Kind,
    PolicyChange,
    Removal,
    RoleChange,
    Target,
    Topic,
)
from starling.protocol.distributed.roster_entry import read_entry, sign_entry
from starling.protocol.distributed.roster_rights import ROLES, Policy
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import Pending, ProtocolError, UsageError

PEOPLE = (ALICE, BOB, CAROL, DAVE, person("Erin"))
COPIES = 3


def _start() -> Roster:
    """Alice has founded, Bob is an admin and Carol a member; nobody else has come yet."""
    roster = universe(uses=3)
    roster.add(admission(roster, BOB))
    roster.add(roster.make_role(ALICE, BOB.identity_public_key, "admin"))
    roster.add(admission(roster, CAROL))
    return roster


START = _start()

Action = tuple[str, int, int, int, int]

DEEDS = (
    *("invite", "admit", "admit", "admit", "anew", "remove", "remove", "disown", "leave", "role", "role"),
    *("policy", "topic", "revoke", "archiver", "merge", "merge", "put back", "forge", "forge"),
)

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(DEEDS),
        st.integers(0, COPIES - 1),  # whose copy
        st.integers(0, len(PEOPLE) - 1),  # who acts
        st.integers(0, len(PEOPLE) - 1),  # about whom, or with whom
        st.integers(0, 5),
    ),
    min_size=10,
    max_size=30,
)


@pytest.fixture(autouse=True, scope="module")
def _checks_of_one_node_alone_are_off() -> Iterator[None]:
    """Each entry is offered many times, and its signature stays right. Which of too many entries of one version a node
    keeps depends on what it got first."""
    with pytest.MonkeyPatch.context() as patch:
        read = cache(read_entry)
        patch.setattr(roster_graph, "read_entry", read)
        patch.setattr(roster_making, "read_entry", read)
        patch.setattr(roster_graph, "MAX_SIBLINGS", 1000)
        yield


class History:
    """Copies of one roster that act apart."""

    def __init__(self, actions: list[Action]) -> None:
        founded = START.entries()
        self.copies = [Roster.load(START.universe_id, founded) for _ in range(COPIES)]
        self.seen: dict[bytes, None] = dict.fromkeys(founded)
        """All entries that some copy took in, in that order."""
        self.refused: list[bytes] = []
        self.past = [founded]
        for number, action in enumerate(actions):
            self._act(number, *action)

    def _act(self, number: int, action: str, here: int, actor: int, about: int, choice: int) -> None:
        roster, who, other = self.copies[here], PEOPLE[actor], PEOPLE[about]
        subject = other.identity_public_key
        seed = f"{number} {action}"
        secret = _ticket(who, about, choice % 3)
        role = ROLES[choice % 3]
        try:
            match action:
                case "invite":
                    entry = roster.make_invite(
                        who,
                        ticket_key=secret.public_key,
                        mac_key=secret.mac_key,
                        uses=1,
                        expires_at=choice,
                        role=role,
                    )
                case "admit":
                    entry = self._admit(roster, who, other, number, choice)
                case "anew":
                    held = roster.members[subject].role if subject in roster.members else role
                    group = hashlib.sha256(seed.encode()).digest()
                    body = _admission(other, held, number + 2, secret, False, group)
                    entry = roster.make_member(who, subject, body)
                case "remove":
                    entry = roster.make_remove(who, subject)
                case "disown":
                    entry = _forged(roster, who, subject, Kind.REMOVAL, Removal(Target.MEMBER, ()), number)
                case "leave":
                    entry = roster.make_remove(who, who.identity_public_key)
                case "role":
                    entry = roster.make_role(who, subject, role)
                case "policy":
                    strict = ("member", "admin")
                    entry = roster.make_policy(who, Policy(strict[choice % 2], strict[choice // 2 % 2]))
                case "topic":
                    entry = roster.make_topic(who, random_from(seed))
                case "revoke":
                    entry = roster.make_revoke(who, secret.invite_id)
                case "archiver":
                    subject, named = b"archiver" * 4, Archiver("Box", other.peer_id, b"k" * 32, b"o" * 32, ())
                    if choice % 2:
                        entry = _forged(roster, who, subject, Kind.ARCHIVER, named, number)
                    else:
                        gone = Removal(Target.ARCHIVER, ())
                        entry = _forged(roster, who, subject, Kind.REMOVAL, gone, number)
                case "forge":
                    entry = self._forge(roster, who, other, number, choice)
                case "merge":
                    self._merge(roster, self.copies[about % COPIES])
                    return
                case _:
                    past = self.past[(number * 7 + choice) % len(self.past)]
                    self.copies[here] = Roster.load(roster.universe_id, past)
                    return
        except UsageError:
            return
        self._add(roster, entry)
        self.past.append(roster.entries())

    def _add(self, roster: Roster, entry: bytes) -> None:
        try:
            for new in roster.add(entry):
                self.seen[new] = None
        except ProtocolError:
            self.refused.append(entry)

    def _merge(self, roster: Roster, other: Roster) -> None:
        for entry in other.missing_from(roster.ids):
            roster.add(entry)

    def _admit(self, roster: Roster, who: Identity, other: Identity, number: int, choice: int) -> bytes:
        invites = sorted(roster.invites.values(), key=lambda invite: invite.invite_id)
        if not invites:
            raise UsageError("no invite")
        invite = invites[choice % len(invites)]
        secret = _SECRETS[invite.invite_id]
        body = _admission(other, invite.role, number + 2, secret, True, b"")
        return roster.make_member(who, other.identity_public_key, body)

    def _forge(self, roster: Roster, who: Identity, other: Identity, number: int, choice: int) -> bytes:
        """What the builders may refuse to make: it is for the rules to say."""
        subject = other.identity_public_key
        secret = _ticket(who if number % 2 else other, number % len(PEOPLE), choice % 3)
        acts = [node.entry_id for node in roster._graph.by(subject)]
        some = tuple(sorted(acts[: choice % 3]))
        made: list[tuple[bytes, Kind, Body]] = [
            (subject, Kind.REMOVAL, Removal(Target.MEMBER, some)),
            (subject, Kind.ROLE, RoleChange(ROLES[number % 3], some)),
            (subject, Kind.MEMBER, _admission(other, ROLES[number % 3], number, secret, True, b"")),
            (
                subject,
                Kind.READMIT,
                _admission(other, ROLES[number % 3], number, secret, number % 2 == 0, b""),
            ),
            (
                secret.invite_id,
                Kind.INVITE,
                Invite(secret.public_key, secret.mac_key, ROLES[number % 3], 1, 9),
            ),
            (roster.universe_id, Kind.POLICY, PolicyChange(Policy("member", "member"))),
            (roster.universe_id, Kind.TOPIC, Topic(bytes([number]) * 32)),
        ]
        return _forged(roster, who, *made[(number + choice) % len(made)], number)


def _forged(roster: Roster, who: Identity, subject: bytes, kind: Kind, body: Body, number: int) -> bytes:
    """Signed without being asked whether anybody takes it; it follows the newest entries, or but one older one."""
    graph = roster._graph
    predecessors = tuple(graph.tips)
    if number % 5 == 0:
        predecessors = (graph.nodes[number % len(graph.nodes)].entry_id,)
    version = graph.next_version(who.identity_public_key, graph.ancestors_of(predecessors))
    return sign_entry(
        who,
        universe_id=roster.universe_id,
        subject=subject,
        kind=kind,
        version=version,
        predecessors=predecessors,
        body=body,
    )


@cache
def _ticket(inviter: Identity, about: int, choice: int) -> TicketSecret:
    """The same secret, and so the same key, for whoever makes it: copies of a ticket."""
    secret = hashlib.sha256(f"ticket {about} {choice}".encode()).digest()
    return TicketSecret(secret, inviter.identity_public_key)


_TICKETS = [
    _ticket(inviter, about, choice)
    for inviter in PEOPLE
    for about in range(len(PEOPLE))
    for choice in range(3)
]
_SECRETS = {secret.invite_id: secret for secret in (*_TICKETS, TICKET)}


@cache
def _admission(
    who: Identity, role: str, incarnation: int, secret: TicketSecret, spends: bool, group: bytes
) -> Admission:
    return signed_admission(
        START.universe_id,
        who,
        role=role,
        incarnation=incarnation,
        ticket=secret,
        spends=spends,
        send_group_id=group,
    )


def outcome(roster: Roster) -> dict[str, object]:
    """What a roster amounts to, in the words of the model."""
    view = roster.view
    return {
        "fallen": view.fallen,
        "members": {
            identity: (info.role, info.entry_id, info.seniority) for identity, info in view.members.items()
        },
        "former": set(view.former),
        "policy": (view.policy.invite, view.policy.remove),
        "tickets": {
            key: (invite.entry_id, invite.revoked, invite.overspent, invite.spent)
            for key, invite in view.invites.items()
        },
        "topic": (b"".join(view.topic_secrets[:1]), view.topic_is_stale),
    }


@settings(max_examples=120)
@given(ACTIONS, st.randoms(use_true_random=False))
def test_a_plain_model_agrees_whatever_came_first(actions: list[Action], shuffle: Random) -> None:
    """On what is taken in, what stands, who is a member in which role, whose tickets are good, and the topic."""
    history = History(actions)
    model = Model()
    for entry in history.seen:
        assert model.offer(entry), "what some copy took in"
    expected = Roster.load(START.universe_id, history.seen)
    assert outcome(expected) == model.outcome()
    for entry in history.refused:
        assert not model.offer(entry), "what some copy refused"
    entries = [*history.seen, *history.refused]
    shuffle.shuffle(entries)
    roster = Roster(START.universe_id)
    for entry in entries:
        try:
            roster.add(entry)
        except (Pending, ProtocolError):
            continue
    assert roster.ids == expected.ids
    assert roster.view == expected.view


@settings(max_examples=40)
@given(ACTIONS)
def test_copies_that_meet_agree(actions: list[Action]) -> None:
    one, *others = History(actions).copies
    for _ in range(2):
        for other in others:
            for entry in other.missing_from(one.ids):
                one.add(entry)
            for entry in one.missing_from(other.ids):
                other.add(entry)
    assert all(other.view == one.view for other in others)
    assert not set(one.members) & set(one.removed)
    assert Roster.load(one.universe_id, one.entries()).view == one.view
