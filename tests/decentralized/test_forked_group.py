"""Groups with many committers on several forks: what is read, what wins, what is sent where (K-9 to K-22)."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from tests.decentralized.forked_members import NOW, ForkMember, add, gather, opened, welcomed
from tests.mls.group_members import Client, found, refused

from starling.protocol.decentralized.dmls_message import read_dmls_message, wrap
from starling.protocol.decentralized.fork_choice import rank
from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    ForkProposal,
    Ignored,
    IgnoredReason,
    ReleasedCommit,
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
    Remove,
    Rule,
    Update,
    WireFormat,
)
from starling.protocol.mls.psk import ResumptionPSKUsage

KNOWN, DELETED, EVICTED = (Ignored(reason) for reason in IgnoredReason)


def by_rank(member: ForkMember, *commits: ReleasedCommit) -> list[ReleasedCommit]:
    """The commits in the order in which they win, the best first, as a member sees it that holds them all."""
    tree = member.forked.tree
    return sorted(commits, key=lambda commit: rank(tree[commit.dmls_epoch]), reverse=True)


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


# fork choice (K-16, K-17)


def test_the_higher_tag_at_the_earliest_fork_wins_in_every_order() -> None:
    alice, bob, carol, dave = gather(4)
    commits = [alice.commit(), bob.commit(), carol.commit()]
    further = [member.commit() for member in (alice, bob, carol)]
    winners = set()
    for order in permutations(range(3)):
        reader = ForkMember(dave.client, ForkedGroup.load(dave.forked.save()))
        for number in order:
            reader.enter(commits[number].message)
        for number in order:
            reader.enter(further[number].message)
        tags = [reader.forked.tree[commit.dmls_epoch].confirmation_tag for commit in commits]
        assert reader.forked.head == further[tags.index(max(tags))].dmls_epoch
        assert set(reader.forked.heads) == {commit.dmls_epoch for commit in further}
        assert reader.forked.heads[0] == reader.forked.head
        winners.add(reader.forked.head)
    assert len(winners) == 1


def test_below_the_winner_the_same_holds_again() -> None:
    alice, bob, carol = gather(3)
    first, second = alice.commit(), bob.commit()
    for member, commits in ((alice, [second]), (bob, [first]), (carol, [first, second])):
        for commit in commits:
            member.enter(commit.message)
    winner, loser = by_rank(carol, first, second)
    again = [alice.commit(), bob.commit()]
    assert all(read_dmls_message(commit.message).dmls_epoch == winner.dmls_epoch for commit in again)
    for commit in again:
        carol.enter(commit.message)
    assert carol.forked.head == by_rank(carol, *again)[0].dmls_epoch
    assert loser.dmls_epoch in carol.forked.heads


def test_who_is_on_the_losing_fork_goes_over_and_sends_on_the_winner() -> None:
    alice, bob, carol = gather(3)
    first, second = alice.commit(), bob.commit()
    for commit in (first, second):
        carol.enter(commit.message)
    winner, loser = by_rank(carol, first, second)
    mover, stayer = (alice, bob) if loser is first else (bob, alice)
    longer = mover.commit()
    assert mover.forked.head == longer.dmls_epoch
    mover.enter(winner.message)
    assert mover.forked.head == stayer.forked.head == winner.dmls_epoch
    carol.enter(longer.message)
    assert carol.forked.head == winner.dmls_epoch
    for member in (stayer, carol):
        member.get(mover.say(b"here"))
        assert member.read == [b"here"]
    # The epoch that was entered late, from a punctured parent, can also be committed in.
    made = mover.commit()
    assert stayer.enter(made.message) == carol.enter(made.message) == made.dmls_epoch


# the committer's own puncture (K-9, K-22)


def test_a_commit_that_is_not_released_never_happened() -> None:
    alice, bob = gather(2)
    random = alice.client.random
    before = alice.forked.save()
    with pytest.raises(UsageError) as refusal:
        alice.forked.release(NOW)
    assert refusal.value.code == "nothing_made"
    alice.forked.commit(random=random)
    assert alice.forked.head == bob.forked.head
    with pytest.raises(UsageError) as refusal:
        alice.forked.commit(random=random)
    assert refusal.value.code == "unreleased"
    # The process ends here: what is loaded knows nothing of it, and holds what the epoch before held.
    loaded = ForkedGroup.load(alice.forked.save())
    assert loaded.save().forks == before.forks
    assert loaded.epochs == alice.forked.epochs
    alice.forked.abandon()
    alice.forked.abandon()
    alice.forked.commit(random=random)
    released = alice.forked.release(NOW)
    assert alice.forked.head == released.dmls_epoch == bob.enter(released.message)


def test_a_commit_is_not_released_beside_one_that_came_meanwhile() -> None:
    alice, bob = gather(2)
    alice.forked.commit(random=alice.client.random)
    theirs = bob.commit()
    assert isinstance(alice.forked.receive(theirs.message, now=NOW), ForkCommit)
    with pytest.raises(UsageError) as refusal:
        alice.forked.release(NOW)
    assert refusal.value.code == "superseded"
    alice.forked.abandon()
    mine = alice.commit()
    assert bob.enter(mine.message) == mine.dmls_epoch == alice.forked.head


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


# siblings (B11)


def test_four_siblings_are_held_and_the_winner_is_never_evicted() -> None:
    members = gather(7)
    reader = members[-1]
    commits = [member.commit() for member in members[:-1]]
    said = [member.say(b"on %d" % number) for number, member in enumerate(members[:-1])]
    evicted: list[bytes] = []
    for commit, text in zip(commits, said, strict=True):
        received = reader.get(commit.message)
        assert isinstance(received, ForkCommit)
        evicted.extend(received.evicted)
        if received.dmls_epoch in reader.forked.epochs:
            reader.get(text)
    assert len(evicted) == 2 and len(reader.forked.heads) == 4
    best = by_rank(reader, *commits)[0]
    assert reader.forked.head == best.dmls_epoch
    for commit, text in zip(commits, said, strict=True):
        if commit.dmls_epoch in evicted:
            assert reader.get(text) == DELETED
            assert reader.get(commit.message) == KNOWN
    assert reader.forked.tree[reader.forked.tree[best.dmls_epoch].parent or b""].siblings_entered == 6


def test_of_the_others_one_goes_in_which_nobody_wrote() -> None:
    members = gather(6)
    reader = members[-1]
    commits = [member.commit() for member in members[:-1]]
    for commit in commits[:4]:
        reader.enter(commit.message)
    ranked = by_rank(reader, *commits[:4])
    lowest = members[commits.index(ranked[-1])]
    reader.get(lowest.say(b"keep this"))
    received = reader.get(commits[4].message)
    assert isinstance(received, ForkCommit)
    assert received.evicted == (by_rank(reader, *[c for c in commits if c is not ranked[-1]])[-1].dmls_epoch,)
    assert ranked[-1].dmls_epoch in reader.forked.epochs


def test_what_we_wrote_ourselves_counts_as_well() -> None:
    for world in range(100):
        members = gather(5, world=world)
        alice = members[0]
        commits = [member.commit() for member in members]
        tags = [member.forked.group.confirmation_tag for member in members]
        if min(tags) == tags[0]:
            break
    alice.say(b"here")
    for commit in commits[1:]:
        alice.get(commit.message)
    assert commits[0].dmls_epoch in alice.forked.epochs
    assert len(alice.forked.heads) == 4


def test_what_an_evicted_fork_changed_is_still_due() -> None:
    members = gather(6)
    reader, clients = members[-1], [Client(f"newcomer {number}") for number in range(5)]
    commits = [
        member.commit([Add(client.bundle().key_package)])
        for member, client in zip(members[:-1], clients, strict=True)
    ]
    for commit in commits:
        reader.get(commit.message)
    reader.forked.sweep(NOW)
    reader.restart()
    due = reader.forked.due(random=reader.client.random)
    winner = next(client for client in clients if client.signature_key in reader.members())
    added = {proposal.key_package.leaf_node.signature_key for proposal in due if isinstance(proposal, Add)}
    assert added == {client.signature_key for client in clients if client is not winner}


def test_beyond_many_siblings_only_a_better_one_is_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starling.protocol.decentralized.fork_receiving.MAX_EVICTING", 2)
    members = gather(5)
    reader = members[-1]
    commits = [member.commit() for member in members[:-1]]
    for commit in commits[:2]:
        reader.enter(commit.message)
    best = max(reader.forked.tree[commit.dmls_epoch].confirmation_tag for commit in commits[:2])
    for commit, member in zip(commits[2:], members[2:4], strict=True):
        tag = member.forked.tree[commit.dmls_epoch].confirmation_tag
        received = reader.get(commit.message)
        assert (received == EVICTED) == (tag < best)
        best = max(tag, best)


# newcomers


@pytest.mark.parametrize("first_wins", [False, True])
def test_a_newcomer_compares_forks_by_the_lineage(first_wins: bool) -> None:
    """One who joined on a losing fork is brought over, reads both, and agrees with the rest."""
    for world in range(100):
        alice, bob, carol = gather(3, world=world)
        dave, first = add(alice, "dave")
        second = bob.commit()
        carol.enter(first.message)
        carol.enter(second.message)
        if (by_rank(carol, first, second)[0] is first) == first_wins:
            break
    assert dave.get(second.message) == DELETED  # it starts from an epoch before Dave joined
    alice.enter(second.message)
    bob.enter(first.message)
    due = carol.forked.due(random=carol.client.random)
    assert len(due) == (not first_wins)
    merged = carol.commit(due)
    if first_wins:
        dave.enter(merged.message)
    else:
        with pytest.raises(UnknownEpoch):
            dave.get(bob.say(b"over here"))
        assert merged.welcome is not None and dave.bundle is not None
        private_key = dave.client.signature_private_key
        for _ in range(2):
            name = dave.forked.rejoin(opened(merged.welcome), dave.bundle, private_key, now=NOW)
            assert name == merged.dmls_epoch
        dave.restart()
        assert first.dmls_epoch in dave.forked.heads
    for member in (alice, bob):
        member.enter(merged.message)
    assert {member.forked.head for member in (alice, bob, carol, dave)} == {merged.dmls_epoch}
    for member in (alice, bob, carol):
        member.get(dave.say(b"I am here"))
        assert member.read[-1] == b"I am here"


def test_where_no_common_ancestor_is_known_the_later_welcome_counts() -> None:
    alice, bob = gather(2)
    random = alice.client.random
    client = Client("dave")
    bundles = [client.bundle(), client.bundle()]
    epochs = []
    group = alice.forked.group
    for bundle in bundles:  # Welcomes of plain groups, without a lineage
        made = group.commit([Add(bundle.key_package)], random=random)
        assert made.welcome is not None
        epochs.append(made)
    assert epochs[0].welcome is not None and epochs[1].welcome is not None
    dave = welcomed(client, bundles[0], epochs[0].welcome)
    before = dave.forked.head
    after = dave.forked.rejoin(opened(epochs[1].welcome), bundles[1], client.signature_private_key, now=NOW)
    dave.restart()
    assert dave.forked.head == after != before
    assert dave.forked.heads == (after, before)
    assert dave.forked.due(random=random) == []
    assert bob.forked.head not in dave.forked.tree


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
