"""Who comes and goes in groups that fork: external commits, removals, and who is added again (K-10, K-20)."""

from __future__ import annotations

import pytest
from tests.decentralized.forked_members import (
    DELETED,
    KNOWN,
    NOW,
    ForkMember,
    by_rank,
    gather,
    opened,
)
from tests.mls.group_members import Client, refused

from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    UnknownEpoch,
)
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.errors import UsageError
from starling.protocol.mls import (
    Add,
    Remove,
)

# external commits (K-10)


def external(member: ForkMember, name: str) -> tuple[ForkMember, bytes]:
    client = Client(name)
    leaf, _ = client.leaf()
    forked, message = ForkedGroup.external_join(
        member.forked.group_info(), leaf, client.signature_private_key, now=NOW, random=client.random
    )
    return ForkMember(client, forked), message


def test_an_external_commit_starts_from_a_head() -> None:
    for world in range(100):
        alice, bob, carol = gather(3, world=world)
        joiner, message = external(alice, f"from outside {world}")
        assert alice.enter(message) == bob.enter(message) == joiner.forked.head
        other = carol.commit()
        tags = [member.forked.group.confirmation_tag for member in (joiner, carol)]
        if tags[0] > tags[1]:
            break
    joiner.get(alice.say(b"welcome"))
    alice.get(joiner.say(b"thanks"))
    assert joiner.read == [b"welcome"] and alice.read == [b"thanks"]
    # Carol had gone on from the same epoch: she refuses it, and what she did wins everywhere, though its tag is lower.
    assert refused(lambda: carol.get(message)) is ForkRule.EXTERNAL_COMMIT_ON_HEAD
    for member in (alice, bob):
        member.enter(other.message)
        assert member.forked.head == carol.forked.head == other.dmls_epoch
    # Who came from outside is added, and knows by the lineage that its own fork lost.
    bundle = joiner.client.bundle()
    back = alice.commit([Add(bundle.key_package)])
    assert back.welcome is not None
    joiner.forked.rejoin(opened(back.welcome), bundle, joiner.client.signature_private_key, now=NOW)
    assert joiner.forked.head == alice.forked.head == back.dmls_epoch
    # The secret for external commits went when the epoch was superseded.
    parent = carol.forked.epoch_group(carol.forked.tree[other.dmls_epoch].parent or b"")
    assert not parent.secrets.holds("external_secret")


def test_an_external_join_needs_the_lineage() -> None:
    alice, _ = gather(2)
    info = alice.forked.group.group_info(external_pub=True)
    client = Client("from outside")
    leaf, _ = client.leaf()
    rule = refused(
        lambda: ForkedGroup.external_join(
            info, leaf, client.signature_private_key, now=NOW, random=client.random
        )
    )
    assert rule is ForkRule.LINEAGE


# removal (K-20)


def test_who_was_removed_reads_what_came_before_and_keeps_nothing() -> None:
    alice, bob, carol = gather(3)
    late = bob.say(b"before")
    removal = alice.remove(carol)
    received = carol.get(removal.message)
    assert isinstance(received, ForkCommit) and received.dmls_epoch is None
    assert carol.forked.is_removed
    carol.get(late)
    assert carol.read == [b"before"]
    assert carol.get(removal.message) == KNOWN
    for attempt in (lambda: carol.say(b""), carol.commit):
        with pytest.raises(UsageError) as refusal:
            attempt()
        assert refusal.value.code == "removed"
    assert carol.forked.due(random=carol.client.random) == []
    with pytest.raises(UnknownEpoch):
        carol.get(alice.say(b"after"))
    assert carol.forked.sweep(NOW, retain=True) == ()
    kept = carol.forked.epochs
    assert set(carol.forked.sweep(NOW)) == set(kept)
    assert carol.forked.epochs == ()
    carol.restart()
    assert carol.get(late) == DELETED


def test_who_was_removed_on_a_losing_fork_goes_on_on_the_winner_until_removed_there() -> None:
    for world in range(100):
        alice, bob, carol = gather(3, world=world)
        removal, other = alice.remove(carol), bob.commit()
        bob.enter(removal.message)
        if by_rank(bob, removal, other)[0] is other:
            break
    carol.get(removal.message)
    assert carol.forked.is_removed
    carol.enter(other.message)
    assert not carol.forked.is_removed
    assert carol.forked.head == other.dmls_epoch
    carol.get(bob.say(b"still here"))
    assert carol.read == [b"still here"]
    alice.enter(other.message)
    due = alice.forked.due(random=alice.client.random)
    assert due == [Remove(alice.leaf_of(carol))]
    assert carol.forked.due(random=carol.client.random) == []  # nobody removes itself
    again = alice.commit(due)
    carol.get(again.message)
    assert carol.forked.is_removed
    assert alice.forked.due(random=alice.client.random) == []


def test_who_is_added_again_comes_back_below_the_removal() -> None:
    alice, bob, carol = gather(3)
    removal = alice.remove(carol)
    carol.get(removal.message)
    bob.enter(removal.message)
    bundle = carol.client.bundle()
    back = alice.commit([Add(bundle.key_package)])
    assert back.welcome is not None
    name = carol.forked.rejoin(opened(back.welcome), bundle, carol.client.signature_private_key, now=NOW)
    assert name == back.dmls_epoch == carol.forked.head
    assert not carol.forked.is_removed
    assert carol.forked.tree[name].parent == removal.dmls_epoch
    carol.restart()
    carol.get(alice.say(b"again"))
    assert carol.read == [b"again"]


def test_who_is_removed_and_added_in_one_commit_goes_on_there() -> None:
    alice, bob, carol = gather(3)
    bundle = carol.client.bundle()
    swapped = alice.commit([Remove(alice.leaf_of(carol)), Add(bundle.key_package)])
    received = carol.get(swapped.message)
    assert isinstance(received, ForkCommit) and received.dmls_epoch is None and carol.forked.is_removed
    assert swapped.welcome is not None
    key = carol.client.signature_private_key
    assert carol.forked.rejoin(opened(swapped.welcome), bundle, key, now=NOW) == swapped.dmls_epoch
    assert not carol.forked.is_removed and carol.forked.head == swapped.dmls_epoch
    bob.enter(swapped.message)
    bob.get(carol.say(b"as if nothing had been"))
    assert bob.read == [b"as if nothing had been"]


def test_a_welcome_to_another_group_brings_nobody_back() -> None:
    alice, bob = gather(2)
    bundle = bob.client.bundle()
    client = Client("elsewhere")
    group = client.create(
        extensions=alice.forked.group.context.extensions,
        group_id=b"another",
        key_schedule=alice.forked.group.key_schedule,
    )
    made = group.commit([Add(bundle.key_package)], random=client.random)
    assert made.welcome is not None
    welcome = opened(made.welcome)
    private_key = bob.client.signature_private_key
    assert refused(lambda: bob.forked.rejoin(welcome, bundle, private_key, now=NOW)) is ForkRule.OTHER_GROUP
