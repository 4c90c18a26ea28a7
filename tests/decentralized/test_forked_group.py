"""Groups with many committers on several forks: what is read, what is committed where, what is saved (K-13, K-19)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.decentralized.forked_members import (
    KNOWN,
    NOW,
    gather,
)
from tests.mls.group_members import Client, found, refused

from starling.protocol.decentralized.dmls_message import read_dmls_message, wrap
from starling.protocol.decentralized.fork_results import (
    ForkProposal,
    UnknownEpoch,
)
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.held_epochs import SavedForks
from starling.protocol.errors import DecodeError, Pending, Unsupported, UsageError, VerificationFailed
from starling.protocol.mls import (
    Add,
    MLSMessage,
    PreSharedKey,
    PreSharedKeyID,
    ReInit,
    Rule,
    Update,
    WireFormat,
)
from starling.protocol.mls.psk import ResumptionPSKUsage

# reading (K-13, K-13b)


def test_messages_of_all_forks_are_read_whatever_comes_first() -> None:
    alice, bob, carol = gather(3)
    first, second = alice.commit(), bob.commit()
    said = [alice.say(b"on the first"), bob.say(b"on the second")]
    late = carol.say(b"before both")
    for message in said:
        with pytest.raises(UnknownEpoch) as waiting:
            carol.get(message)
        assert isinstance(waiting.value, Pending)
        assert waiting.value.dmls_epoch == read_dmls_message(message).dmls_epoch
    for commit, message in ((second, said[1]), (first, said[0])):
        assert carol.enter(commit.message) == commit.dmls_epoch
        carol.get(message)
    assert carol.read == [b"on the second", b"on the first"]
    for member, other in ((alice, second), (bob, first)):
        member.enter(other.message)
        member.get(late)
        assert member.read == [b"before both"]
    assert len({member.forked.head for member in (alice, bob, carol)}) == 1


def test_what_comes_twice_or_back_is_ignored() -> None:
    alice, bob = gather(2)
    text = alice.say(b"once")
    public = alice.commit(wire_format=WireFormat.MLS_PUBLIC_MESSAGE)
    private = bob.commit()
    for member, messages in ((alice, [text, public.message]), (bob, [private.message])):
        for message in messages:
            assert member.get(message) == KNOWN
    bob.get(text)
    bob.enter(public.message)
    for message in (text, public.message):
        assert bob.get(message) == KNOWN
    assert bob.read == [b"once"]


def test_a_wrong_name_is_a_plain_failure() -> None:
    alice, bob, carol = gather(3)
    first, second = alice.commit(), bob.commit()
    for commit in (first, second):
        carol.enter(commit.message)
    message = read_dmls_message(alice.say(b"mine")).message.encode()
    with pytest.raises(VerificationFailed):
        carol.get(wrap(message, second.dmls_epoch))
    with pytest.raises(UnknownEpoch):
        carol.get(wrap(message, bytes(32)))
    carol.get(wrap(message, first.dmls_epoch))
    assert carol.read == [b"mine"]


def test_only_what_is_sent_in_an_epoch_is_wrapped() -> None:
    alice, bob = gather(2)
    client = Client("newcomer")
    bundle = client.bundle()
    alice.forked.commit([Add(bundle.key_package)], random=client.random)
    released = alice.forked.release(NOW)
    assert released.welcome is not None
    bodies = [MLSMessage.decode(released.welcome).body, bundle.key_package, alice.forked.group_info()]
    for body in bodies:
        with pytest.raises(Unsupported):
            bob.get(wrap(MLSMessage.of(body).encode(), bob.forked.head))
    for cut in (released.message[:-1], released.message + b"\0", b""):
        with pytest.raises(DecodeError):
            bob.get(cut)
    bob.enter(released.message)


def test_messages_of_another_group_are_refused() -> None:
    alice, _ = gather(2)
    other = found(1).groups[0]
    message = other.protect(b"", random=Client("x").random)
    foreign = MLSMessage.decode(message)
    object.__setattr__(foreign.body, "group_id", b"another")
    assert refused(lambda: alice.get(wrap(foreign.encode(), alice.forked.head))) is Rule.WRONG_GROUP


def test_one_sender_or_another_key_schedule_is_no_group_with_forks() -> None:
    plain = found(1)
    with pytest.raises(UsageError, match="punctured"):
        ForkedGroup(plain.groups[0], plain.clients[0].signature_private_key, now=NOW)


# proposals and PSKs


def test_proposals_are_committed_on_any_fork_also_late() -> None:
    """An Update of ours, committed by two others: its private key serves both children."""
    alice, bob, carol = gather(3)
    leaf, private_key = carol.client.update_leaf(carol.forked.group)
    message, content = carol.forked.propose(
        Update(leaf), leaf_private_key=private_key, random=carol.client.random
    )
    carol.restart()
    made = []
    for member in (alice, bob):
        assert isinstance(member.get(message), ForkProposal)
        made.append(member.commit(by_reference=[content]))
    for commit, member in zip(made, (alice, bob), strict=True):
        assert carol.enter(commit.message) == commit.dmls_epoch
        carol.get(member.say(b"to the new leaf"))
    assert carol.read == [b"to the new leaf"] * 2


def test_an_update_may_bring_another_signature_key() -> None:
    """Committed in an epoch that is superseded, which holds no signature key to hand on."""
    alice, bob, carol = gather(3)
    random = carol.client.random
    leaf, private_key = carol.client.update_leaf(carol.forked.group)
    new, public = carol.client.suite.signature_generate(random)
    place = (carol.forked.group_id, carol.forked.group.own_leaf_index)
    leaf = replace(leaf, signature_key=public).sign(carol.client.suite, new, *place)
    message, content = carol.forked.propose(
        Update(leaf), leaf_private_key=private_key, signature_private_key=new, random=random
    )
    bob.get(message)
    made = bob.commit(by_reference=[content])
    carol.enter(alice.commit().message)
    assert carol.enter(made.message) == made.dmls_epoch
    key = carol.forked.epoch_group(made.dmls_epoch)._epoch.signing_key()
    assert bytes(key) == new


def test_a_commit_whose_proposal_or_psk_is_missing_can_be_tried_again() -> None:
    alice, bob, carol = gather(3)
    client = Client("newcomer")
    message, content = alice.forked.propose(Add(client.bundle().key_package), random=alice.client.random)
    psk_id = PreSharedKeyID.external(b"secret", bytes(32))
    known = {b"secret": b"of all three"}
    made = alice.commit(
        [PreSharedKey(psk_id)], by_reference=[content], psks=lambda psk: known.get(psk.psk_id or b"")
    )
    for _ in range(2):
        with pytest.raises(Pending, match="proposal"):
            carol.get(made.message)
        carol.restart()
    carol.get(message)
    with pytest.raises(Pending, match="pre-shared"):
        carol.get(made.message)
    carol.restart()
    assert carol.enter(made.message, psks=lambda psk: known.get(psk.psk_id or b"")) == made.dmls_epoch
    assert carol.get(made.message) == KNOWN
    assert not any(live._opened for live in carol.forked._epochs.live.values())
    assert bob.forked.tree[bob.forked.head].dmls_epoch != made.dmls_epoch


# resumption PSKs and groups that follow (K-19)


def test_resumption_psks_are_refused() -> None:
    alice, bob = gather(2)
    psk_id = PreSharedKeyID.resumption(ResumptionPSKUsage.APPLICATION, alice.forked.group_id, 1, bytes(32))
    with pytest.raises(UsageError) as refusal:
        alice.commit([PreSharedKey(psk_id)])
    assert refusal.value.code == "resumption_psk"
    made = alice.forked.group.commit(
        [PreSharedKey(psk_id)], psks=lambda _: b"a secret", random=alice.client.random
    )
    message = wrap(made.message, alice.forked.head)
    assert refused(lambda: bob.get(message, psks=lambda _: b"a secret")) is ForkRule.RESUMPTION_PSK


def test_nothing_follows_a_group_that_is_forked() -> None:
    alice, bob, _ = gather(3)
    reinit = ReInit(b"the next", 1, 1, alice.forked.group.context.extensions)
    assert alice.forked.sole_head() is alice.forked.group
    first, second = alice.commit(), bob.commit()
    alice.enter(second.message)
    for attempt in (lambda: alice.commit([reinit]), alice.forked.sole_head):
        with pytest.raises(UsageError) as refusal:
            attempt()
        assert refusal.value.code == "forked"
    bob.commit([reinit])
    assert bob.forked.group.reinit == reinit
    with pytest.raises(UsageError) as refusal:
        bob.say(b"too late")
    assert refusal.value.code == "reinitialized"
    assert first.dmls_epoch in alice.forked.epochs


# saving


def test_a_record_that_is_cut_or_of_another_version_is_refused() -> None:
    alice, bob = gather(2)
    alice.enter(bob.commit().message)
    saved = alice.forked.save()
    for forks in (saved.forks[:-1], b"\xff\xff" + saved.forks[2:], b""):
        with pytest.raises(DecodeError):
            ForkedGroup.load(SavedForks(forks, saved.epochs))
    with pytest.raises(UsageError, match="missing"):
        ForkedGroup.load(SavedForks(saved.forks, {}))
    again = ForkedGroup.load(saved)
    assert again.save() == saved
    assert repr(again) == f"<ForkedGroup {b'group'.hex()} with {len(saved.epochs)} epochs>"


def test_wiping_leaves_nothing() -> None:
    alice, bob = gather(2)
    bob.forked.commit(random=bob.client.random)
    bob.forked.wipe()
    assert bob.forked.epochs == () and bob.forked.save().epochs == {}
    assert bob.client.signature_private_key not in bob.forked.save().forks
    with pytest.raises(UsageError):
        bob.forked.release(NOW)
    assert alice.client.signature_private_key in alice.forked.save().forks
