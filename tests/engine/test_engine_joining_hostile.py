"""Joins by ticket that are not what they should be, from either side (P-3, P-4, P-12, X-9, X-14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
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
from starling.protocol.distributed.ticket import Ticket, TicketSecret, sponsor_mac
from starling.protocol.distributed.vouched_info import VouchedInfo
from starling.protocol.engine import admitting
from starling.protocol.engine.inputs import JoinUniverse, RemoveMember, UpdateKeys
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.errors import UsageError
from starling.protocol.exchange.messages import (
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
    RosterEntries,
    attach,
    decode_message,
)
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle
from starling.protocol.extensions.private_external_rules import new_root_key
from starling.protocol.mls.group import Group

SUITE = cipher_suite(1)


def kind_of(send: Send) -> type | None:
    return type(decode_message(attach(send.data, []))[0]) if isinstance(send, SendToPeer) else None


def refusal(reason: str, universe: bytes, *, final: bool = True) -> JoinRefused:
    return JoinRefused(universe, reason, final)


def two(uses: int = 5) -> tuple[Network, bytes, Node, Node, Guest]:
    network, universe, (alice, bob) = quiet("alice", "bob")
    return network, universe, alice, bob, Guest(network, "guest", network.invite(alice, universe, uses=uses))


def test_a_join_by_hand_succeeds() -> None:
    """The control of all that follow."""
    network, universe, alice, bob, guest = two()
    assert isinstance(guest.ask(alice), JoinAnswer)
    assert guest.me in alice.group(universe, alice).members()
    network.run(10 * SECOND)
    assert guest.me in bob.universe(universe).roster.members


# what a sponsor shows


Change = Callable[["Shown"], "Shown"]


class Shown:
    """A proof in its parts, made whole again as one who knows the ticket's MAC key can."""

    def __init__(self, message: JoinProof, sponsor: Node, joiner: Node, mac_key: bytes) -> None:
        self.message, self.sponsor, self.joiner, self.mac_key = message, sponsor, joiner, mac_key
        self.vouched = VouchedInfo.decode(message.vouched)

    def again(self, vouched: VouchedInfo) -> JoinProof:
        encoded = vouched.encode()
        mac = sponsor_mac(
            self.mac_key,
            universe_id=self.message.universe_id,
            sponsor_peer_id=self.sponsor.id,
            joiner_peer_id=self.joiner.id,
            nonce=self.message.nonce,
            vouched=encoded,
        )
        return replace(self.message, vouched=encoded, mac=mac)

    def signed_by(self, identity: Any, bundle: ExternalEncryptionBundle) -> JoinProof:
        return self.again(VouchedInfo.sign(identity, self.message.universe_id, bundle))


def stranger_bundle(shown: Shown) -> ExternalEncryptionBundle:
    """A key of somebody else for the sponsor's epoch, with a root key of its own: right in itself (P-4)."""
    root = SUITE.signature_generate(lambda length: b"r" * length)[0]
    _, public_key = SUITE.hpke_derive_key_pair(b"m" * 32)
    bundle = with_key(shown.vouched.bundle, public_key)
    info = replace(bundle.info, root_public_signature_key=SUITE.signature_public_key(root))
    tbs = info._to_be_signed(bundle.group_id, bundle.epoch)
    signature = SUITE.sign_with_label(root, "ExternalEncryptionInfoTBS", tbs)
    return replace(bundle, info=replace(info, external_encryption_signature=signature))


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


def shown_to_joiner() -> tuple[Network, bytes, Node, Node, Shown]:
    """A joiner that has greeted its sponsor, and the proof, held back."""
    network, universe, (alice, _) = quiet("alice", "bob")
    joiner = network.add("joiner")
    held: list[JoinProof] = []

    def hold_back(source: Node, target: Node, send: Send) -> bool:
        if target is joiner and isinstance(send, SendToPeer):
            message = decode_message(attach(send.data, []))[0]
            if isinstance(message, JoinProof) and source is alice:
                held.append(message)
            return True
        return False

    network.drop = hold_back
    ticket = network.invite(alice, universe)
    joiner.do(JoinUniverse(ticket))
    network.run(SECOND)
    return network, universe, alice, joiner, Shown(held[-1], alice, joiner, Ticket.parse(ticket).keys.mac_key)


def asked(network: Network, joiner: Node) -> list[JoinRequest]:
    return [message for _, message in network.messages(joiner) if isinstance(message, JoinRequest)]


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


def refused_as(network: Network, universe: bytes, sponsor: Node, guest: Guest, request: JoinRequest) -> str:
    """The clause by which a request is refused for good; nobody was admitted."""
    before = dict(sponsor.universe(universe).refused)
    members = set(sponsor.universe(universe).roster.members)
    (answer,) = guest.say(sponsor, request)
    assert answer == refusal("request.invalid", universe)
    assert set(sponsor.universe(universe).roster.members) == members
    after = sponsor.universe(universe).refused
    (rule,) = [word for word in after if after[word] != before.get(word, 0)]
    return rule


def test_a_ticket_that_was_never_made_admits_nobody() -> None:
    _, universe, alice, _, guest = two()
    forged = guest.package(ticket=TicketSecret(b"f" * 32))
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
    assert refused_as(network, universe, alice, guest, request) == "MEMBER_SEND_GROUP"


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


# stale, repeated, too many


def test_a_request_to_an_epoch_that_is_over_is_asked_again_at_once() -> None:
    network, universe, (alice, _) = quiet("alice", "bob")
    joiner = network.add("joiner")

    def go_on(source: Node, target: Node, send: Send) -> bool:
        if kind_of(send) is JoinProof and len(asked(network, joiner)) < 1:
            network.at(1, lambda: alice.do(UpdateKeys(universe)))
        return False

    network.drop = go_on
    joiner.do(JoinUniverse(network.invite(alice, universe)))
    network.run(300)
    told = [message for _, message, _ in joiner.told]
    assert refusal("request.stale", universe, final=False) in told
    assert joiner.heard("universe.joined") and len(asked(network, joiner)) == 2


def test_a_sponsor_that_always_says_stale_is_not_asked_without_end() -> None:
    network, universe, (alice, _) = quiet("alice", "bob")
    joiner = network.add("joiner")
    joiner.do(JoinUniverse(network.invite(alice, universe)))
    answer = alice.engine.handle

    def stale(item: Any, now: int) -> Any:
        if isinstance(getattr(item, "data", None), bytes):
            message = decode_message(item.data)[0]
            if isinstance(message, JoinRequest):
                alice.universe(universe).door.told.clear()
        return answer(item, now)

    alice.engine.handle = stale  # type: ignore[method-assign]  # forgets whom it has told
    network.run(policy.JOIN_AGAIN // 2)
    assert len(asked(network, joiner)) == 1 + policy.JOIN_HURRIED
    network.run(MINUTE)
    assert len(asked(network, joiner)) < MINUTE // policy.JOIN_AGAIN * 2 * (1 + policy.JOIN_HURRIED)


def counting_openings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    opened: list[object] = []
    real = admitting.open_private_external

    def count(group: Group, message: Any) -> Any:
        opened.append(message)
        return real(group, message)

    monkeypatch.setattr(admitting, "open_private_external", count)
    return opened


def test_the_same_request_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """P-12."""
    _, universe, alice, _, guest = two()
    opened = counting_openings(monkeypatch)
    request = guest.request(guest.greet(alice), guest.package(ticket=None))
    assert guest.say(alice, request) == [refusal("request.invalid", universe)]
    for _ in range(10):
        assert guest.say(alice, request) == [refusal("request.repeated", universe, final=False)]
    assert len(opened) == 1


def test_a_request_after_its_answer_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    _, universe, alice, _, guest = two()
    request = guest.request(guest.greet(alice))
    assert isinstance(guest.say(alice, request)[0], JoinAnswer)
    opened = counting_openings(monkeypatch)
    assert guest.say(alice, request) == [refusal("request.stale", universe, final=False)]
    guest.greet(alice)
    assert guest.say(alice, request) == [refusal("request.stale", universe, final=False)]
    assert opened == []


def test_an_answer_that_was_lost_is_given_again_and_counts_once() -> None:
    network, universe, alice, _, guest = two(uses=1)
    package = guest.package()
    for _ in range(3):
        assert isinstance(guest.ask(alice, package), JoinAnswer)
        network.run(SECOND)
    spent = {invite["invite_id"]: invite["spent"] for invite in alice.engine.invites(universe)}
    assert spent[guest.ticket.keys.invite_id] == 1
    assert alice.universe(universe).roster.members[guest.me].send_group_id == guest.group_id


def test_one_peer_has_few_requests_opened_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, alice, _, guest = two()
    opened = counting_openings(monkeypatch)
    busy = refusal("sponsor.busy", universe, final=False)
    bundle = guest.greet(alice)
    for count in range(20):
        answers = guest.say(alice, guest.request(bundle, guest.package(ticket=None)))
        assert (answers == [busy]) == (count >= policy.JOIN_OPENED_OF_PEER)
    assert len(opened) == policy.JOIN_OPENED_OF_PEER
    other = Guest(network, "other", network.invite(alice, universe))
    assert isinstance(other.ask(alice), JoinAnswer)  # another one is not held up
    network.run(MINUTE)
    assert isinstance(guest.ask(alice), JoinAnswer)


def test_many_peers_have_no_more_opened_than_is_bearable(monkeypatch: pytest.MonkeyPatch) -> None:
    network, universe, (alice, _) = quiet("alice", "bob")
    network.run(MINUTE)
    ticket = network.invite(alice, universe)
    opened = counting_openings(monkeypatch)
    hello = JoinHello(universe, Ticket.parse(ticket).keys.invite_id, b"n" * 32)
    proven = 0
    for number in range(200):
        guest = Guest(network, f"guest {number}", ticket)
        (answer,) = guest.say(alice, hello)
        proven += isinstance(answer, JoinProof)
        for _ in range(3):
            guest.say(alice, JoinRequest(universe, guest.random(900)))
    assert proven == policy.JOIN_PEERS
    assert len(opened) <= policy.JOIN_OPENED
    door = alice.universe(universe).door
    assert sum(door.opened.values()) <= policy.JOIN_OPENED
    assert len(door.told) == policy.JOIN_PEERS and len(door.seen) <= policy.JOIN_REMEMBERED
    network.run(MINUTE)
    assert isinstance(Guest(network, "late", ticket).ask(alice), JoinAnswer)


def test_one_peer_is_greeted_a_few_times_a_minute() -> None:
    network, universe, alice, _, guest = two()
    hello = JoinHello(universe, guest.ticket.keys.invite_id, b"n" * 32)
    answers = [guest.say(alice, hello)[0] for _ in range(100)]
    assert sum(isinstance(answer, JoinProof) for answer in answers) == policy.JOIN_HELLOS_OF_PEER
    network.run(MINUTE)
    guest.greet(alice)


def test_the_door_forgets_what_it_has_seen_in_order() -> None:
    _, universe, alice, _, guest = two()
    guest.greet(alice)
    door = alice.universe(universe).door
    for number in range(policy.JOIN_REMEMBERED + 1):
        door.remember(number.to_bytes(32))
    assert len(door.seen) == policy.JOIN_REMEMBERED
    assert not door.is_repeated(bytes(32)) and door.is_repeated((1).to_bytes(32))


def test_a_joiner_asks_one_sponsor_at_a_time() -> None:
    network, _, alice, joiner, shown = shown_to_joiner()
    joining = next(iter(joiner.engine._node.universes.values())).joining
    assert joining is not None
    joiner.hear(alice, shown.message)
    joiner.connected.add(alice.id)
    now = network.now
    connected = {alice.id}
    assert not joining.waits_for_another(alice.id, connected, now)
    assert joining.waits_for_another(b"other", connected, now)
    assert not joining.waits_for_another(b"other", connected, now + policy.JOIN_ELSEWHERE)
    assert not joining.waits_for_another(b"other", set(), now)


def test_a_root_key_is_made_for_each_group() -> None:
    assert new_root_key(SUITE, lambda length: b"a" * length) != new_root_key(
        SUITE, lambda length: b"b" * length
    )
