"""Joins by ticket that are not what they should be, from either side (P-3, P-4, P-12, X-9, X-14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.engine.asked_to_join import (
    Shown,
    asked,
    kind_of,
    refusal,
    shown_to_joiner,
    stranger_bundle,
    two,
)
from tests.engine.joining_by_hand import Guest, with_key
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.distributed import policy
from starling.protocol.distributed.admission import admission_of
from starling.protocol.distributed.joiner import Joiner
from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_body import Admission, Kind
from starling.protocol.distributed.roster_entry import sign_entry
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.engine.inputs import JoinUniverse, RemoveMember
from starling.protocol.errors import UsageError
from starling.protocol.exchange.joining_messages import JoinAnswer, JoinProof, JoinRefused, JoinRequest
from starling.protocol.exchange.member_messages import RosterEntries
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle


def test_a_join_by_hand_succeeds() -> None:
    """The control of all that follow."""
    network, universe, alice, bob, guest = two()
    assert isinstance(guest.ask(alice), JoinAnswer)
    assert guest.me in alice.group(universe, alice).members()
    network.run(10 * SECOND)
    assert guest.me in bob.universe(universe).roster.members


# what a sponsor shows


Change = Callable[["Shown"], "Shown"]


WRONG_PROOFS: dict[str, Callable[[Shown], JoinProof]] = {
    "another key, signed by another root key, under the old proof": lambda shown: replace(
        shown.message, vouched=replace(shown.vouched, bundle=stranger_bundle(shown)).encode()
    ),
    "another key, with the ticket's MAC, without the sponsor's word": lambda shown: shown.again(
        replace(shown.vouched, bundle=stranger_bundle(shown))
    ),
    "a key that the root key did not sign": lambda shown: shown.signed_by(
        shown.sponsor.identity, with_key(shown.vouched.bundle, b"\x09" * 32)
    ),
    "the key of another epoch": lambda shown: shown.signed_by(
        shown.sponsor.identity, replace(shown.vouched.bundle, epoch=shown.vouched.bundle.epoch + 1)
    ),
    "the key of another group": lambda shown: shown.signed_by(
        shown.sponsor.identity,
        replace(
            shown.vouched.bundle,
            group_id=new_send_group_id(shown.message.universe_id, shown.sponsor.me, bytes),
        ),
    ),
    "the key of the group of another": lambda shown: shown.signed_by(
        shown.sponsor.identity, replace(shown.vouched.bundle, group_id=shown.joiner.random_source()(32))
    ),
    "a group id of another size": lambda shown: shown.signed_by(
        shown.sponsor.identity, replace(shown.vouched.bundle, group_id=shown.vouched.bundle.group_id[:31])
    ),
    "no key": lambda shown: shown.signed_by(shown.sponsor.identity, with_key(shown.vouched.bundle, b"short")),
    "a wrong MAC": lambda shown: replace(shown.message, mac=bytes(32)),
    "no structure": lambda shown: replace(shown.message, vouched=b"\xff" * 200),
    "the identity of another": lambda shown: shown.again(replace(shown.vouched, identity=shown.joiner.me)),
}


def test_a_proof_as_it_was_made_is_followed() -> None:
    """The control: made again from its parts it is the same."""
    network, _, alice, joiner, shown = shown_to_joiner()
    assert shown.again(shown.vouched) == shown.message
    assert shown.signed_by(alice.identity, shown.vouched.bundle) == shown.message
    joiner.hear(alice, shown.message)
    assert len(asked(network, joiner)) == 1


@pytest.mark.parametrize("wrong", WRONG_PROOFS)
def test_a_joiner_seals_nothing_by_a_wrong_proof(wrong: str) -> None:
    network, universe, alice, joiner, shown = shown_to_joiner()
    joiner.hear(alice, WRONG_PROOFS[wrong](shown))
    assert asked(network, joiner) == []
    assert joiner.universe(universe).refused == {"sponsor_proof": 1}


def test_a_proof_for_another_nonce_or_from_another_peer_is_passed_over() -> None:
    network, universe, alice, joiner, shown = shown_to_joiner()
    joiner.hear(alice, replace(shown.message, nonce=b"n" * 32))
    mallory = network.add("mallory")
    joiner.hear(mallory, shown.message)
    assert asked(network, joiner) == [] and joiner.universe(universe).refused == {}


def test_an_answer_of_who_is_not_the_member_that_vouched_is_refused() -> None:
    """Who knows the ticket's MAC key and sits at the peer id can vouch in its own name; the roster shows it."""
    network, universe, alice, joiner, shown = shown_to_joiner()
    joining = joiner.universe(universe).joining
    assert joining is not None
    joiner.hear(alice, shown.message)
    proven = joining.proven[alice.id]
    joining.proven[alice.id] = replace(proven, vouched=replace(proven.vouched, identity=b"m" * 32))
    network.drop = lambda source, target, send: kind_of(send) is JoinProof
    alice.hear(joiner, asked(network, joiner)[-1])
    network.run(100)
    assert joiner.universe(universe).refused["sponsor_identity"] == 1
    assert not joiner.heard("universe.joined")


def test_an_answer_is_sealed_to_the_request_that_it_answers() -> None:
    network, universe, alice, joiner, shown = shown_to_joiner()
    joining = joiner.universe(universe).joining
    assert joining is not None
    joiner.hear(alice, shown.message)
    joining.proven[alice.id] = replace(joining.proven[alice.id], answer_key=b"k" * 32)
    network.drop = lambda source, target, send: kind_of(send) is JoinProof
    alice.hear(joiner, asked(network, joiner)[-1])
    network.run(100)
    assert joiner.universe(universe).refused["join_answer"] == 1 and not joiner.heard("universe.joined")


# what a joiner asks


def refused_as(
    network: Network,
    universe: bytes,
    sponsor: Node,
    guest: Guest,
    request: JoinRequest,
    reason: str = "request.invalid",
) -> str:
    """The clause by which a request is refused for good; nobody was admitted."""
    before = dict(sponsor.universe(universe).refused)
    members = set(sponsor.universe(universe).roster.members)
    (answer,) = guest.say(sponsor, request)
    assert answer == refusal(reason, universe)
    assert set(sponsor.universe(universe).roster.members) == members
    after = sponsor.universe(universe).refused
    (rule,) = [word for word in after if after[word] != before.get(word, 0)]
    return rule


def test_a_ticket_that_was_never_made_admits_nobody() -> None:
    _, universe, alice, _, guest = two()
    forged = guest.package(ticket=TicketSecret(b"f" * 32, guest.ticket.inviter))
    assert guest.ask(alice, forged) == refusal("ticket.unknown", universe)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"ticket": None}, "TICKET_PROOF"),
        ({"universe_id": b"u" * 32}, "VerificationFailed"),
        ({"cipher_suite": cipher_suite(3)}, "KEY_PACKAGE_SUITE"),
        ({"send_group_id": b"g" * 31}, "MEMBER_SEND_GROUP"),
        ({"joiner": Joiner(b"guest", 1, b"", b"")}, "JOINER"),
        ({"joiner": Joiner(b"guest", 1, b"", b"\x01" * 500)}, "JOINER"),
        ({"joiner": Joiner.padded(" guest ", 1, b"")}, "JOINER"),
        ({"joiner": Joiner.padded("", 1, b"")}, "JOINER"),
        ({"joiner": Joiner.padded("guest", 2, b"")}, "KEY_PACKAGE_SUITE"),
        ({"joiner": Joiner.padded("guest", 1, b"no address")}, "DecodeError"),
        ({"lifetime": -(40 * 24 * 3600 * 1000)}, "LEAF_NODE_LIFETIME"),
    ],
)
def test_a_key_package_that_is_none_of_a_joiner(wrong: dict[str, Any], rule: str) -> None:
    network, universe, alice, _, guest = two()
    request = guest.request(guest.greet(alice), guest.package(**wrong))
    assert refused_as(network, universe, alice, guest, request).startswith(rule)


def test_the_key_package_and_the_ticket_of_another_do_not_serve() -> None:
    """A thief of the request cannot open it; who has it open, a member, cannot use it for itself either."""
    network, universe, alice, _, guest = two()
    thief = Guest(network, "thief", network.invite(alice, universe))
    bundle = thief.greet(alice)
    whole = guest.request(guest.greet(alice))
    assert refused_as(network, universe, alice, thief, whole) == "MEMBER_IDENTITY"
    resigned = thief.sealed(bundle, thief.asks(bundle, guest.package()))
    assert refused_as(network, universe, alice, thief, resigned) == "VerificationFailed"
    assert isinstance(guest.ask(alice), JoinAnswer)


def test_an_address_of_another_peer_is_refused() -> None:
    network, universe, alice, bob, guest = two()
    address = bob.universe(universe).own_address
    assert address is not None
    joiner = Joiner.padded("guest", 1, address.encode())
    request = guest.request(guest.greet(alice), guest.package(joiner=joiner))
    assert refused_as(network, universe, alice, guest, request) == "PEER_ADDRESS_PEER"


@pytest.mark.parametrize("whose", ["sponsor", "other member", "former member", "pinned"])
def test_a_send_group_id_that_is_somebody_elses_is_refused(whose: str) -> None:
    """X-14: else the joiner would be taken for the owner of that group, or nobody could enter it."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    guest = Guest(network, "guest", network.invite(alice, universe))
    ids = {
        "sponsor": alice.universe(universe).group_id,
        "other member": bob.universe(universe).group_id,
        "former member": carol.universe(universe).group_id,
        "pinned": guest.fresh_group_id(),
    }
    if whose == "former member":
        alice.do(RemoveMember(universe, carol.me))
        network.run(MINUTE)
    elif whose == "pinned":
        state = alice.universe(universe)
        state.groups[ids[whose]] = state.groups[bob.universe(universe).group_id]
    request = guest.request(guest.greet(alice), guest.package(send_group_id=ids[whose]))
    assert refused_as(network, universe, alice, guest, request) == "MEMBER_SEND_GROUP"


def test_a_sponsor_cannot_give_away_the_group_of_another() -> None:
    """X-14: by an entry that knows nothing of the owner, and of one who comes before it in seniority. If that stood,
    nobody could enter the owner's group any more, and the owner would fall silent."""
    network, universe, (alice, mallory) = quiet("alice", "mallory")
    guest = Guest(network, "accomplice", network.invite(mallory, universe))
    network.run(5 * SECOND)
    old = Roster.load(universe, mallory.universe(universe).roster.entries())
    bob = network.add("bob")
    bob.do(JoinUniverse(network.invite(alice, universe)))
    network.run(MINUTE)
    entries = []
    for group_id in (bob.universe(universe).group_id, guest.group_id):  # the second is the control
        admission = admission_of(
            guest.package(send_group_id=group_id),
            name="accomplice",
            role="member",
            cipher_suite=1,
            invite_id=guest.ticket.keys.invite_id,
            spends=True,
        )
        body = old.make_member
        if group_id != guest.group_id:
            with pytest.raises(UsageError, match="MEMBER_SEND_GROUP"):
                body(mallory.identity, guest.me, admission)
            read = Roster.load(universe, old.entries())
            entries.append(lawless_entry(read, mallory, guest.me, admission))
        else:
            entries.append(body(mallory.identity, guest.me, admission))
    for entry, stands in zip(entries, (False, True), strict=True):
        for node in (alice, bob):
            node.hear(mallory, RosterEntries(universe, (entry,)))
            assert (guest.me in node.universe(universe).roster.members) == stands
    bob.say(universe, "still here")
    network.run(MINUTE)
    assert alice.texts() == ["still here"]


def lawless_entry(roster: Roster, author: Node, subject: bytes, admission: Admission) -> bytes:
    """What somebody signs who does not ask whether anybody would take it."""
    predecessors = tuple(sorted(roster._graph.tips))
    ancestors = roster._graph.ancestors_of(predecessors)
    return sign_entry(
        author.identity,
        universe_id=roster.universe_id,
        subject=subject,
        kind=Kind.MEMBER,
        version=roster._graph.next_version(author.me, ancestors),
        predecessors=predecessors,
        body=admission,
    )


def test_who_was_admitted_does_not_come_again_with_another_group() -> None:
    network, universe, alice, _, guest = two()
    assert isinstance(guest.ask(alice), JoinAnswer)
    request = guest.request(guest.greet(alice), guest.package(send_group_id=guest.fresh_group_id()))
    rule = refused_as(network, universe, alice, guest, request, "member.known")
    assert rule == "MEMBER_ADMITTED"


def test_only_adds_are_taken_and_only_with_a_key_for_the_answer() -> None:
    """X-9, and that the proposal is of a newcomer: nothing else is heard from outside."""
    network, universe, alice, _, guest = two()
    bundle = guest.greet(alice)
    package = guest.package()
    request = guest.request(bundle, package, other=b"something")
    assert refused_as(network, universe, alice, guest, request) == "ANSWER_KEY"
    request = guest.request(bundle, package, answer_key=b"short")
    assert refused_as(network, universe, alice, guest, request) == "DecodeError"
    inner = guest.asks(bundle, package)
    body: Any = inner.body
    external = replace(body.content, sender=replace(body.content.sender, sender_type=2, sender_index=0))
    forged = replace(inner, body=replace(body, content=external))
    assert refused_as(network, universe, alice, guest, guest.sealed(bundle, forged)) == "SENDER_NOT_OWNER"


def test_a_request_in_clear_or_of_another_kind_is_refused() -> None:
    network, universe, alice, _, guest = two()
    bundle = guest.greet(alice)
    clear = JoinRequest(universe, wrap(guest.asks(bundle, guest.package()).encode(), bundle.dmls_epoch))
    assert refused_as(network, universe, alice, guest, clear) == "Unsupported"
    assert refused_as(network, universe, alice, guest, JoinRequest(universe, b"\x00" * 40)) != ""


def test_a_sponsor_opens_only_what_is_for_its_own_group() -> None:
    """X-9: all members have the key of a group, and its owner alone adds to it."""
    network, universe, alice, bob, guest = two()
    bundle = ExternalEncryptionBundle.of(
        alice.group(universe, bob).head, alice.group(universe, bob).graph.head
    )
    guest.greet(alice)
    request = guest.request(bundle)
    assert refused_as(network, universe, alice, guest, request) == "WRONG_GROUP"


def test_one_spoilt_byte_anywhere_admits_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "JOIN_OPENED_OF_PEER", 10**6)
    monkeypatch.setattr(policy, "JOIN_OPENED", 10**6)
    _, universe, alice, _, guest = two()
    bundle = guest.greet(alice)
    good = guest.request(bundle).message
    for position in range(0, len(good), 23):
        spoilt = good[:position] + bytes([good[position] ^ 4]) + good[position + 1 :]
        (answer,) = guest.say(alice, JoinRequest(universe, spoilt))
        assert isinstance(answer, JoinRefused)
    assert guest.me not in alice.universe(universe).roster.members
    assert isinstance(guest.say(alice, JoinRequest(universe, good))[0], JoinAnswer)
