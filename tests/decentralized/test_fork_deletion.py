"""When the secrets of old epochs go, and that nothing of them stays (draft-kohbrok-mls-dmls-02 §7; K-14, K-15)."""

from __future__ import annotations

from tests.decentralized.forked_members import NOW, gather
from tests.decentralized.reachable import byte_strings, windows
from tests.mls.group_members import Client

from starling.protocol.decentralized.deletion import ForkLimits
from starling.protocol.decentralized.fork_results import Ignored, IgnoredReason
from starling.protocol.mls import Add, Remove
from starling.protocol.mls.epoch import Epoch


def test_an_epoch_goes_when_each_member_has_sent_a_commit_that_descends_from_it() -> None:
    alice, bob, carol = members = gather(3)
    first = alice.forked.head
    for committer, expected in ((alice, False), (bob, False), (carol, True)):
        made = committer.commit()
        for member in members:
            if member is not committer:
                member.enter(made.message)
        assert (first in bob.forked.sweep(NOW)) == expected
    # Carol has committed last: of what lies between, hers is the only epoch in which nobody else has gone on.
    assert bob.forked.head in bob.forked.epochs
    assert first not in bob.forked.epochs


def test_we_wait_neither_for_ourselves_nor_for_who_left() -> None:
    alice, bob, carol = gather(3)
    first = carol.forked.head
    made = alice.commit()
    for member in (bob, carol):
        member.enter(made.message)
    removal = alice.remove(bob)
    carol.enter(removal.message)
    assert first in carol.forked.sweep(NOW)
    # Alice waits for Carol alone, who has sent nothing.
    assert first not in alice.forked.sweep(NOW)


def test_a_commit_on_any_fork_that_descends_counts() -> None:
    alice, bob, carol = gather(3)
    parent = carol.forked.head
    one, two = alice.commit(), bob.commit()
    carol.enter(one.message)
    assert parent not in carol.forked.sweep(NOW)
    carol.enter(two.message)
    assert parent in carol.forked.sweep(NOW)
    # Both children go on, and the forks are still told apart.
    assert set(carol.forked.heads) == {one.dmls_epoch, two.dmls_epoch}
    tags = {name: carol.forked.tree[name].confirmation_tag for name in carol.forked.heads}
    assert carol.forked.head == max(tags, key=lambda name: tags[name])


def secrets_of(epoch: Epoch) -> set[bytes]:
    """All secrets of an epoch, its private keys among them."""
    found = {value for _, value in epoch.secrets.items()} | set(epoch.private_tree.export().values())
    found |= {bytes(epoch.signature_private_key)}
    assert epoch.secrets.init_nodes is not None
    for nodes in (
        epoch.secrets.init_nodes.save(),
        epoch.secret_tree.save().nodes,
        epoch.exporter_tree.save(),
    ):
        found |= {node.secret for node in nodes}
    return found


def test_nothing_of_a_deleted_epoch_stays() -> None:
    """What the epoch had when it was entered, and what it still had when it was punctured."""
    alice, bob, carol = gather(3)
    carol.get(alice.say(b"opens a ratchet"))
    bob.get(alice.say(b"the same"))
    parent = carol.forked.head
    before = secrets_of(carol.forked.group._epoch)
    signature_key = carol.client.signature_private_key
    one, two = alice.commit(), bob.commit()
    carol.enter(one.message)
    kept = carol.forked.epoch_group(parent)
    assert kept.secrets.init_nodes is not None
    secrets = windows([kept.save_ratchets()], 32) | {node.secret for node in kept.secrets.init_nodes.save()}
    # K-15: while it is retained the keys that would lead on, out or in are gone already.
    for name in (
        "exporter_secret",
        "external_secret",
        "resumption_psk",
        "confirmation_key",
        "epoch_authenticator",
    ):
        assert not kept.secrets.holds(name)
    assert kept._epoch.signature_private_key.is_wiped and kept._epoch.exporter_tree.save() == ()
    assert {"sender_data_secret", "membership_key"} == {name for name, _ in kept.secrets.items()}
    del kept
    carol.enter(two.message)
    assert parent in carol.forked.sweep(NOW)
    carol.restart()
    saved = carol.forked.save()
    left = windows([saved.forks, *saved.epochs.values(), *byte_strings(carol.forked)], 32)
    leaf_keys = set(carol.forked.group._epoch.private_tree.export().values())
    shared = leaf_keys | {signature_key}  # a leaf's keys live on where its member did not commit
    assert len(before - shared) > 8
    assert not (before - shared) & left
    assert len(secrets) > 256 and not (secrets - shared) & left


def test_late_messages_are_read_until_their_epoch_is_deleted() -> None:
    alice, bob, carol = gather(3)
    late, later = alice.say(b"late"), alice.say(b"too late")
    for commit in (alice.commit(), bob.commit()):
        carol.enter(commit.message)
    carol.get(late)
    carol.forked.sweep(NOW)
    assert carol.get(later) == Ignored(IgnoredReason.DELETED)
    assert carol.read == [b"late"]


def test_no_epoch_is_kept_longer_than_the_age() -> None:
    alice, bob, carol = gather(3, ForkLimits(age=1000))
    lost = {alice.forked.head}
    one, two = alice.commit(), bob.commit()
    for commit in (one, two):
        carol.enter(commit.message)
    lost |= set(carol.forked.heads[1:])
    carol.restart()
    assert carol.forked.sweep(NOW + 1000, retain=True) == ()
    assert set(carol.forked.sweep(NOW + 1001, retain=True)) == lost
    assert carol.forked.epochs == (carol.forked.head,)
    carol.restart()
    assert carol.forked.sweep(NOW + 10**9, retain=True) == ()


def test_no_more_epochs_are_kept_than_allowed_and_losing_ones_go_first() -> None:
    alice, bob, carol = gather(3, ForkLimits(retained=3))
    parent = carol.forked.head
    one, two = alice.commit(), bob.commit()
    for commit in (one, two):
        carol.enter(commit.message)
    winner = alice if carol.forked.head == one.dmls_epoch else bob
    loser = bob if winner is alice else alice
    for commit in (winner.commit(), loser.commit()):
        carol.enter(commit.message)
    losing = [
        epoch.dmls_epoch
        for epoch in carol.forked.tree
        if epoch.dmls_epoch not in {each.dmls_epoch for each in carol.forked.tree.path(carol.forked.head)}
    ]
    gone = carol.forked.sweep(NOW, retain=True)
    assert len(carol.forked.epochs) == 4 and len(gone) == 1
    assert gone[0] in losing and parent in carol.forked.epochs


def test_what_is_remembered_of_old_epochs_is_bounded() -> None:
    alice, bob = gather(2, ForkLimits(remembered=3))
    names = [alice.forked.head]
    for number in range(10):
        made = alice.commit(
            [Remove(2)] if number % 2 else [Add(Client(f"newcomer {number}").bundle().key_package)]
        )
        bob.enter(made.message)
        names.append(made.dmls_epoch)
        bob.forked.sweep(NOW)
        bob.restart()
    assert [epoch.dmls_epoch for epoch in bob.forked.tree] == names[-4:]
    assert bob.forked.epochs == (names[-1],)
    assert not any(epoch.added for epoch in bob.forked.tree if epoch.dmls_epoch != names[-1])


def test_signature_keys_go_with_the_last_leaf_that_has_them() -> None:
    alice, bob = gather(2)
    old = bob.client.signature_private_key
    new = bob.client.suite.signature_generate(bob.client.random)[0]

    def holds(key: bytes) -> bool:
        return key in windows([bob.forked.save().forks], 32)

    alice.enter(bob.commit(path=True, signature_private_key=new).message)
    bob.forked.sweep(NOW)
    assert holds(old) and holds(new)  # a sibling of the new epoch would still need the old one
    bob.enter(alice.commit().message)
    bob.forked.sweep(NOW)
    assert not holds(old) and holds(new)
    alice.enter(bob.commit().message)
