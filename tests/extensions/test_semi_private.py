"""Semi-private messages between members and external receivers (draft-mahy-mls-semiprivatemessage-07)."""

from __future__ import annotations

import pytest
from tests.extensions.semi_private_groups import SEMI, OwnerRules, found, outsider, view
from tests.mls.group_members import receive, refused

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    encode_external_receivers,
    read_external_receivers,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls.group import Group
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import AppDataUpdate, AppDataUpdateOperation, Remove, SelfRemove, Update
from starling.protocol.mls.rules import Rule as MlsRule
from starling.protocol.mls.wire_format import WireFormat

ARCHIVE, RELAY, OTHER = outsider("archive"), outsider("relay"), outsider("other")


@pytest.mark.parametrize("suite", sorted(CIPHER_SUITES))
def test_members_and_receivers_open_the_same(suite: int) -> None:
    people = [outsider(name, suite) for name in ("archive", "relay", "third")]
    party = found(3, people, suite=suite)
    alice, bob, carol = party.groups
    before = view(alice)
    made = alice.commit(
        [Remove(2)], authenticated_data=b"known", wire_format=SEMI, padding=7, random=party.clients[0].random
    )
    expected = made.content
    assert expected.wire_format == SEMI
    for group in (bob, carol):
        assert group.open_handshake(MLSMessage.decode(made.message)) == expected
    for person in people:
        for known in (None, before):
            received = person.open(made.message, known)
            assert received.content == expected and received.sender_leaf_index == 0
            assert received.is_authenticated == (known is not None)
            assert received.changes.removes == (2,)
            assert set(received.changes.leaf_nodes) == {0}
    with pytest.raises(Invalid) as caught:
        outsider("nobody", suite).open(made.message)
    assert caught.value.rule is Rule.SEMI_PRIVATE_RECEIVER


def test_receivers_change_from_the_next_commit_on() -> None:
    party = found(2, [ARCHIVE])
    update = AppDataUpdate(
        EXTERNAL_RECEIVERS,
        AppDataUpdateOperation.UPDATE,
        encode_external_receivers([RELAY.receiver, OTHER.receiver]),
    )
    made = party.commit([update], options={"wire_format": SEMI})
    assert ARCHIVE.open(made.message).changes.proposals == (update,)
    assert refused(lambda: RELAY.open(made.message)) is Rule.SEMI_PRIVATE_RECEIVER
    receivers = read_external_receivers(party.groups[1].context.extensions)
    assert receivers == (RELAY.receiver, OTHER.receiver)
    made = party.commit(options={"wire_format": SEMI})
    assert RELAY.open(made.message).content == OTHER.open(made.message).content == made.content
    assert refused(lambda: ARCHIVE.open(made.message)) is Rule.SEMI_PRIVATE_RECEIVER


def test_self_remove_stays_public() -> None:
    party = found(2, [ARCHIVE])
    with pytest.raises(UsageError):
        party.groups[1].propose(SelfRemove(), wire_format=SEMI, random=party.clients[1].random)


def test_replays_and_the_ratchet_that_both_formats_share() -> None:
    """S-10: no generation serves twice, whatever the format."""
    party = found(2, [ARCHIVE])
    alice, bob = party.groups
    messages, generations = [], []
    for wire_format in (SEMI, WireFormat.MLS_PRIVATE_MESSAGE, SEMI, SEMI, WireFormat.MLS_PRIVATE_MESSAGE):
        message, _ = alice.propose(Remove(1), wire_format=wire_format, random=party.clients[0].random)
        messages.append(message)
        generations.append(bob.peek_generation(MLSMessage.decode(message))[1])
    assert generations == [0, 1, 2, 3, 4]
    for message in reversed(messages):
        bob.open_handshake(MLSMessage.decode(message))
    for message in messages:
        assert refused(bob.open_handshake, MLSMessage.decode(message)) is MlsRule.GENERATION_CONSUMED
    assert ARCHIVE.open(messages[0]) == ARCHIVE.open(messages[0])


def test_a_proposal_by_a_member_is_committed_in_either_format() -> None:
    party = found(3, [ARCHIVE])
    alice, bob, carol = party.groups
    leaf, private_key = party.clients[1].update_leaf(bob)
    message, content = bob.propose(Update(leaf), wire_format=SEMI, random=party.clients[1].random)
    assert set(ARCHIVE.open(message, view(alice)).changes.leaf_nodes) == {1}
    received = alice.open_handshake(MLSMessage.decode(message))
    assert carol.open_handshake(MLSMessage.decode(message)) == received == content
    for wire_format in (SEMI, WireFormat.MLS_PRIVATE_MESSAGE):
        made = alice.commit(by_reference=[received], wire_format=wire_format, random=party.clients[0].random)
        staged = bob.stage(
            bob.open_handshake(MLSMessage.decode(made.message)),
            proposals={content.reference(bob.cipher_suite): content},
            leaf_private_key=lambda _: private_key,
        )
        assert staged.next is not None and staged.next.confirmation_tag == made.next.confirmation_tag


def test_the_transcript_takes_the_wire_format() -> None:
    """S-7: what was sent semi-privately leads to another epoch than the same content sent privately."""
    party = found(1, [ARCHIVE])
    tags = set()
    for wire_format in (SEMI, WireFormat.MLS_PRIVATE_MESSAGE):
        made = party.groups[0].commit(
            path=False, proposals=_no_change(), wire_format=wire_format, random=bytes
        )
        assert made.content.encode()[:2] == wire_format.to_bytes(2)
        tags.add(made.next.context.confirmed_transcript_hash)
    assert len(tags) == 2


def _no_change() -> list[AppDataUpdate]:
    data = encode_external_receivers([ARCHIVE.receiver])
    return [AppDataUpdate(EXTERNAL_RECEIVERS, AppDataUpdateOperation.UPDATE, data)]


@pytest.mark.parametrize("generation", [0, 1, 523, 999])
def test_siblings_under_a_retained_ratchet(generation: int) -> None:
    """K-23: a second commit on an epoch that was superseded and punctured, at a generation of its own."""
    party = found(3, [ARCHIVE], rules=OwnerRules(), key_schedule=PUNCTURED)
    alice, bob, _ = party.groups
    known = view(alice)
    first = alice.commit(wire_format=SEMI, random=party.clients[0].random)
    second = alice.commit(wire_format=SEMI, handshake_generation=generation, random=party.clients[0].random)
    entered = receive(bob, first.message)
    bob.supersede(entered)
    loaded = Group.load(bob.save(), bob.save_ratchets(), rules=OwnerRules(), key_schedule=PUNCTURED)
    for group in (bob, loaded):
        assert group.peek_generation(MLSMessage.decode(second.message)) == (0, generation)
        sibling = receive(group, second.message)
        assert sibling.confirmation_tag == second.next.confirmation_tag
    for made in (first, second):
        assert ARCHIVE.open(made.message, known).content == made.content
    with pytest.raises(UsageError) as caught:
        entered.commit(wire_format=SEMI, random=party.clients[1].random)
    assert caught.value.code == "not_owner"
