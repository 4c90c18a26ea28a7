"""Private external messages to groups that fork: the name of the epoch, heads alone, and each once (P-11, P-12)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.decentralized.forked_members import KNOWN, NOW, ForkMember, by_rank, opened
from tests.extensions.external_members import OpenClient, ask_with, group_extensions
from tests.mls.group_members import Client, refused

from starling.protocol.decentralized.dmls_message import SHARED_GROUP_FORMATS, read_dmls_message, wrap
from starling.protocol.decentralized.fork_results import ForkCommit, ForkProposal
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.key_schedule import PUNCTURED, punctured_extensions
from starling.protocol.errors import DecodeError, Invalid, VerificationFailed
from starling.protocol.extensions.private_external import seal_private_external
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION_SECRET,
    ExternalEncryptionBundle,
)
from starling.protocol.extensions.private_external_rules import PrivateExternalRules, replace_root_key
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls import Add, MLSMessage, Remove
from starling.protocol.mls import rules as mls


@dataclass
class OpenMember(ForkMember):
    def restart(self) -> None:
        self.forked = ForkedGroup.load(self.forked.save(), rules=PrivateExternalRules(), limits=self.limits)


def gather(count: int) -> list[OpenMember]:
    clients = [OpenClient(f"member {index}") for index in range(count)]
    extensions = (*group_extensions(), *punctured_extensions())
    group = clients[0].create(PrivateExternalRules(), extensions, key_schedule=PUNCTURED)
    founder = OpenMember(clients[0], ForkedGroup(group, clients[0].signature_private_key, now=NOW))
    bundles = [client.bundle() for client in clients[1:]]
    released = founder.commit([Add(bundle.key_package) for bundle in bundles])
    assert released.welcome is not None
    members = [founder]
    for client, bundle in zip(clients[1:], bundles, strict=True):
        forked = ForkedGroup.join(
            opened(released.welcome),
            bundle,
            client.signature_private_key,
            rules=PrivateExternalRules(),
            now=NOW,
        )
        members.append(OpenMember(client, forked, bundle))
    return members


def bundle_at(member: ForkMember, head: bytes) -> ExternalEncryptionBundle:
    return ExternalEncryptionBundle.of(member.forked.epoch_group(head), head)


def ask(member: ForkMember, head: bytes, client: Client) -> bytes:
    """An external Add proposal to the members of one head, sealed, as an MLSMessage."""
    group = member.forked.epoch_group(head)
    asked = ask_with(group, client, client.bundle().key_package)
    return seal_private_external(asked, bundle_at(member, head), random=client.random)


def forked_in_two() -> tuple[OpenMember, OpenMember, OpenMember, bytes, bytes]:
    """Two members on a head of their own, of equal number, and a third that holds both; the winner's is first."""
    first, second, third = gather(3)
    commits = [first.commit(), second.commit()]
    for commit in commits:
        third.enter(commit.message)
    winner, loser = by_rank(third, *commits)
    if winner is commits[1]:
        first, second = second, first
    return first, second, third, winner.dmls_epoch, loser.dmls_epoch


def test_the_name_leads_to_the_head_that_it_was_sealed_to() -> None:
    first, second, third, winner, loser = forked_in_two()
    client = OpenClient("newcomer")
    for holder, head in ((first, winner), (second, loser)):
        message = wrap(ask(holder, head, client), head)
        received = third.get(message)
        assert isinstance(received, ForkProposal) and received.dmls_epoch == head
        assert third.get(message) == KNOWN  # P-12, and what is remembered is saved
        other = loser if head == winner else winner
        with pytest.raises(VerificationFailed):
            third.get(wrap(ask(holder, head, client), other))


def test_without_a_name_the_heads_of_its_number_are_tried() -> None:
    first, second, third, winner, loser = forked_in_two()
    client = OpenClient("newcomer")
    for holder, head in ((first, winner), (second, loser)):
        received = third.forked.receive_from_outside(ask(holder, head, client), now=NOW)
        assert isinstance(received, ForkProposal) and received.dmls_epoch == head
    only_first = ask(second, loser, client)
    with pytest.raises(VerificationFailed):
        first.forked.receive_from_outside(only_first, now=NOW)
    first.commit()
    assert first.forked.group.epoch == 3
    old = MLSMessage.decode(only_first)
    assert refused(lambda: first.forked.receive_from_outside(old.encode(), now=NOW)) is mls.Rule.WRONG_EPOCH
    with pytest.raises(Invalid):
        first.forked.receive_from_outside(MLSMessage.of(client.bundle().key_package).encode(), now=NOW)
    with pytest.raises(DecodeError):
        first.forked.receive_from_outside(old.encode() + b"\x00", now=NOW)


def test_a_message_to_a_group_of_another_id_is_refused() -> None:
    member, _ = gather(2)
    other = OpenClient("member 0").create(
        PrivateExternalRules(),
        (*group_extensions(), *punctured_extensions()),
        b"another group",
        key_schedule=PUNCTURED,
    )
    stranger = OpenMember(
        OpenClient("member 0"), ForkedGroup(other, Client("x").signature_private_key, now=NOW)
    )
    asked = ask(stranger, stranger.forked.head, OpenClient("newcomer"))
    assert refused(lambda: member.forked.receive_from_outside(asked, now=NOW)) is mls.Rule.WRONG_GROUP


def test_a_superseded_epoch_is_written_to_no_more() -> None:
    """P-11: it keeps what leads to siblings, and not the key for outsiders."""
    first, _, third, winner, _ = forked_in_two()
    asked = wrap(ask(first, winner, OpenClient("newcomer")), winner)
    kept = first.forked.epoch_group(winner)
    secret = kept.secrets.get(EXTERNAL_ENCRYPTION_SECRET)
    first.commit()
    assert refused(lambda: first.get(asked)) is Rule.EXTERNAL_ENCRYPTION_HEAD
    assert not first.forked.epoch_group(winner).secrets.holds(EXTERNAL_ENCRYPTION_SECRET)
    assert all(secret not in record for record in first.forked.save().epochs.values())
    assert isinstance(third.get(asked), ForkProposal)  # there it is the newest one still


def test_who_asked_on_a_fork_is_added_there() -> None:
    first, _, third, winner, _ = forked_in_two()
    client = OpenClient("newcomer")
    bundle = client.bundle()
    group = first.forked.epoch_group(winner)
    asked = ask_with(group, client, bundle.key_package)
    message = wrap(seal_private_external(asked, bundle_at(first, winner), random=client.random), winner)
    for member in (first, third):
        assert isinstance(member.get(message), ForkProposal)
    contents = first.forked._epochs.live[winner].proposals.contents
    released = first.commit(by_reference=contents)
    assert third.enter(released.message) == released.dmls_epoch
    assert released.welcome is not None
    joined = ForkedGroup.join(
        opened(released.welcome),
        bundle,
        client.signature_private_key,
        rules=PrivateExternalRules(),
        now=NOW,
    )
    newcomer = OpenMember(client, joined, bundle)
    third.get(newcomer.say(b"I am in"))
    assert third.read == [b"I am in"]


def test_an_external_commit_travels_sealed_and_removes_with_a_new_root_key() -> None:
    first, second, third, winner, _ = forked_in_two()
    client = first.client
    leaf, _ = client.signed_leaf()
    joined, message = ForkedGroup.external_join(
        third.forked.group_info(),
        leaf,
        client.signature_private_key,
        resync=True,
        proposals=(replace_root_key(client.suite, client.random),),
        rules=PrivateExternalRules(),
        now=NOW,
        random=client.random,
    )
    inner = read_dmls_message(message, SHARED_GROUP_FORMATS).message
    sealed = wrap(seal_private_external(inner, bundle_at(third, winner), random=client.random), winner)
    assert client.signature_key in message and client.signature_key not in sealed
    received = third.get(sealed)
    assert isinstance(received, ForkCommit) and received.dmls_epoch == joined.head
    assert third.get(sealed) == KNOWN
    assert bundle_at(third, joined.head) == ExternalEncryptionBundle.of(joined.group, joined.head)
    with pytest.raises(Invalid) as refusal:
        third.commit([Remove(0)])
    assert refusal.value.rule is Rule.ROOT_KEY_REPLACED
    assert second.forked.head != joined.head
