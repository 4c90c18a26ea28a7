"""Both branches of an owner that was put back, or lies, are followed, told and in the end one (PROTOCOL 5.1, 5.6)."""

from __future__ import annotations

from tests.engine.branched import COMMON, LOST, NEW, Saved, kinds, put_back_while_one_is_away, swap
from tests.engine.frames import header_of, is_commit
from tests.engine.small_network import DAY, MINUTE, SECOND, Node, quiet

from starling.protocol.decentralized.epoch_graph import MAX_AHEAD, MAX_CHILDREN, MAX_CLOSED, EpochInfo
from starling.protocol.decentralized.settling import RETENTION
from starling.protocol.distributed.dmls_resolve import MAX_CLOSED_HEADS
from starling.protocol.distributed.evidence import Evidence
from starling.protocol.distributed.policy import MAX_MEMBERS
from starling.protocol.engine.asking import in_messages
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import positions
from starling.protocol.engine.forks import drop_branch
from starling.protocol.engine.inputs import FrameReceived, UpdateKeys
from starling.protocol.engine.reporting import send_report
from starling.protocol.engine.resolving import MAX_NAMED, branched_at, cut_off
from starling.protocol.exchange.member_messages import MAX_WANTED_EPOCHS, Summary, Want
from starling.protocol.exchange.messages import attach, decode_message


def test_who_was_put_back_is_followed_on_both_branches() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    parent, lost = bob.group(universe, alice).graph.head_info.parent, bob.group(universe, alice).graph.head
    network.restart(alice)
    network.run(5 * SECOND)
    alice.say(universe, NEW)
    network.run(5 * SECOND)
    assert bob.texts() == [COMMON, LOST, NEW]
    (fork,) = bob.heard("fork.detected")
    assert (fork["owner"], fork["parent"]) == (alice.me, parent)
    assert fork["heads"][0] == lost and len(fork["heads"]) == 2
    evidence = Evidence.parse(fork["evidence"])
    assert evidence.identity == alice.me and not evidence.faults()
    (resolved,) = bob.heard("fork.resolved")
    assert resolved == {"owner": alice.me, "head": fork["heads"][1], "closed": [lost]}
    assert alice.heard("fork.resolved") == [resolved]
    assert bob.group(universe, alice).graph.head == alice.group(universe, alice).graph.head
    network.restart(carol)
    network.run(MINUTE)
    assert carol.texts() == [COMMON, LOST, NEW]
    for node in (alice, bob, carol):
        assert node.engine.converged(universe), node.name
        assert node.group(universe, alice).graph.heads == (alice.group(universe, alice).graph.head,)
        assert not node.heard("clone.detected")


def test_nothing_is_encrypted_on_the_old_branch_before_it_is_closed() -> None:
    network, universe, alice, bob, _ = put_back_while_one_is_away()
    network.restart(alice)
    alice.say(universe, NEW)
    network.run(5 * SECOND)
    told = kinds(alice)
    assert told.index("rollback.detected") < told.index("fork.resolved") < told.index("message.sent")
    assert told.count("fork.resolved") == told.count("rollback.detected") == 1
    assert bob.texts()[-1] == NEW


def test_who_met_nobody_closes_the_other_branch_when_it_meets_the_others() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    network.cut(alice, bob, carol)
    network.restart(alice)
    alice.say(universe, NEW)
    network.run(10 * SECOND)
    assert alice.engine.universe(universe)["ready"] and "rollback.detected" not in kinds(alice)
    network.restart(carol)
    network.heal()
    network.run(30 * SECOND)
    assert kinds(alice).count("fork.resolved") == 1
    for node in (bob, carol):
        assert sorted(node.texts()) == sorted([COMMON, LOST, NEW])
        assert len(node.heard("fork.resolved")) == len(node.heard("fork.detected")) == 1
        assert not node.group(universe, alice).forked
    assert all(node.engine.converged(universe) for node in (alice, bob, carol))


def test_a_closed_branch_goes_with_all_that_is_kept_of_it() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    lost = bob.group(universe, alice).graph.head
    network.restart(alice)
    network.run(10 * SECOND)
    group_id = alice.universe(universe).group_id

    def kept(node: Node) -> list[str]:
        return sorted(table for table, key in node.rows if key == group_id + lost)

    assert {"epoch", "epoch_info", "psk", "ratchet"} <= set(kept(bob)), "carol may still want it"
    assert not bob.heard("epoch.settled")[-1]["closed"]
    network.restart(carol)
    network.run(30 * SECOND)
    for node in (bob, carol):
        assert kept(node) == []
        assert lost not in node.group(universe, alice).graph
        assert [told["owner"] for told in node.heard("epoch.settled") if told["closed"]] == [alice.me]
        places = {logged.dmls_epoch for logged in node.group(universe, alice).log.ids.values()}
        assert lost not in places
        assert not [psk for psk in node.universe(universe).ledger.psks if psk[1] == lost]


def test_branches_and_what_was_closed_are_there_after_a_restart() -> None:
    network, universe, alice, bob, _ = put_back_while_one_is_away()
    network.restart(alice)
    network.run(10 * SECOND)
    before = bob.group(universe, alice)
    told = len(bob.heard("fork.detected"))
    assert len(before.graph.heads) == 2 and before.graph.closed and before.forks
    network.stop(bob)
    network.restart(bob)
    after = bob.group(universe, alice)
    assert after is not before
    assert after.graph.heads == before.graph.heads and after.graph.closed == before.graph.closed
    assert after.forks == before.forks
    network.run(30 * SECOND)
    assert len(bob.heard("fork.detected")) == told, "once for each parent"


def test_a_second_commit_on_an_epoch_that_is_gone_is_evidence_and_nothing_else() -> None:
    """All are past the epoch, and what is needed to enter another child of it is wiped."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    saved = Saved(alice)
    alice.do(UpdateKeys(universe))
    network.run(MINUTE)
    head = bob.group(universe, alice).graph.head
    network.cut(alice, bob, carol)
    swap(network, alice, saved)
    network.run(10 * SECOND)
    frame = [frame for frame in network.published(alice) if is_commit(frame)][-1]
    assert header_of(frame)[2] == bob.group(universe, alice).graph.head_info.parent
    bob.do(FrameReceived(carol.id, frame))
    (fork,) = bob.heard("fork.detected")
    assert fork["heads"] == [head] and not Evidence.parse(fork["evidence"]).faults()
    group = bob.group(universe, alice)
    assert group.graph.heads == (head,) and group.forked
    bob.do(FrameReceived(carol.id, frame))
    assert len(bob.heard("fork.detected")) == 1


def test_who_was_put_back_may_import_again_what_it_imported_on_the_branch_that_it_forgot() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    saved = Saved(alice)
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    network.run(2 * MINUTE)
    alice.say(universe, "with what bob has put in")
    network.run(SECOND)
    group_id = bob.universe(universe).group_id
    imported = bob.universe(universe).ledger.last_imports[alice.me, group_id]
    swap(network, alice, saved)
    network.run(5 * SECOND)
    alice.say(universe, NEW)
    network.run(10 * SECOND)
    assert bob.texts() == ["with what bob has put in", NEW]
    ledger = bob.universe(universe).ledger
    imports = list(ledger.imports(alice.me, group_id))
    assert {last.dmls_epoch for last in imports} == {imported.dmls_epoch}
    assert len({last.parent for last in imports}) == 2, "one on each branch"
    assert "IMPORT_ORDER" not in bob.universe(universe).refused
    network.stop(bob)
    network.restart(bob)
    assert list(bob.universe(universe).ledger.imports(alice.me, group_id)) == imports
    network.restart(carol)
    network.run(30 * SECOND)
    assert sorted(carol.texts()) == sorted(bob.texts())


def test_what_a_dead_branch_lacks_does_not_hold_up_the_living_one() -> None:
    """The message in the common epoch, of which only the dead branch tells, is nowhere any more."""
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    group = bob.group(universe, alice)
    parent = group.graph.head_info.parent
    (said,) = [logged for logged in group.log.ids.values() if logged.dmls_epoch == parent and logged.is_user]
    group.log.remove(said)
    network.restart(alice)
    network.run(5 * SECOND)
    alice.say(universe, NEW)
    network.restart(carol)
    network.run(20 * SECOND)
    assert carol.texts() == [NEW]
    graph = carol.group(universe, alice).graph
    assert len(graph.heads) == 2 and not graph.is_whole and graph.hole(graph.head) is None
    for _ in range(MAX_AHEAD + 2):
        alice.do(UpdateKeys(universe))
        network.run(SECOND)
    alice.say(universe, "still heard")
    network.run(5 * SECOND)
    assert carol.texts() == [NEW, "still heard"]


def test_what_was_reported_on_a_dead_branch_does_not_count() -> None:
    """Before she was put back alice had acknowledged what bob said; she lacks it now, and gets it again."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    saved = Saved(alice)
    bob.say(universe, "acknowledged, and forgotten")
    alice.do(UpdateKeys(universe))
    network.run(5 * SECOND)
    on_lost = bob.universe(universe).reports[alice.me]
    assert on_lost.heads[bob.universe(universe).group_id][0].count >= 1
    frames = bob.frames(universe, alice)
    swap(network, alice, saved)
    for _ in range(5000):
        network.run(1)
        if bob.heard("fork.resolved"):
            break
    assert alice.me not in bob.universe(universe).reports
    network.run(10 * SECOND)
    assert alice.texts() == ["acknowledged, and forgotten"] * 2, "the second time from her old state"
    network.stop(bob)
    network.restart(carol)
    network.run(10 * SECOND)
    on_new = carol.universe(universe).reports[alice.me]
    for frame in frames:
        carol.do(FrameReceived(alice.id, frame))
    network.run(50)
    assert not carol.group(universe, alice).awaited, "all of the other branch is there"
    assert carol.universe(universe).reports[alice.me] == on_new


def test_what_was_reported_and_is_forgotten_does_not_count() -> None:
    """Alice made no commit before she was put back, so there is no dead branch: bob alone has what she reported."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    saved = Saved(alice)
    before = len(bob.frames(universe, alice))
    bob.say(universe, "acknowledged, and forgotten")
    network.run(5 * SECOND)
    forgotten = bob.frames(universe, alice)[before:]
    network.stop(alice)
    saved.put_back(alice)
    head = alice.group(universe, alice).graph.head
    network.cut(alice, bob)
    network.restart(alice)
    network.run(10 * SECOND)
    commit = next(
        frame for frame in alice.frames(universe, alice) if header_of(frame)[2] == head and is_commit(frame)
    )
    assert alice.me in bob.universe(universe).reports
    bob.do(FrameReceived(alice.id, commit))
    assert alice.me not in bob.universe(universe).reports, "she has to get it again"
    network.stop(bob)
    network.restart(carol)
    network.run(10 * SECOND)
    newest = carol.universe(universe).reports[alice.me]
    assert not carol.texts()
    for frame in forgotten:
        carol.do(FrameReceived(alice.id, frame))
    assert carol.universe(universe).reports[alice.me] == newest
    assert carol.group(universe, alice).graph.is_whole


def test_long_dead_branches_go_together() -> None:
    """Of those that go first so many epochs are remembered as closed that the others' heads are forgotten there."""
    network, universe, alice, bob, _ = put_back_while_one_is_away()
    network.restart(alice)
    network.run(5 * SECOND)
    graph = bob.group(universe, alice).graph
    (lost,) = graph.closed
    fork = graph[lost].parent
    assert fork is not None
    long_ago = network.now - RETENTION - DAY
    for name in (b"one", b"two"):
        end = fork
        for number in range(MAX_CLOSED + 1):
            parent, end = graph[end], name + number.to_bytes(32)
            graph.enter(
                EpochInfo(
                    end, parent.number + 1, parent.dmls_epoch, network.now, parent.members, with_path=True
                )
            )
        graph.close(end, graph.head, long_ago)
    assert len(graph.tips) == 4
    bob.universe(universe).sweep_soon(alice.universe(universe).group_id, network.now)
    network.run(MINUTE)
    assert not [tip for tip in graph.tips if tip.startswith((b"one", b"two"))]
    assert graph.head in graph.tips and len(graph.closed) <= MAX_CLOSED
    assert end in graph.closed, "the heads are what may be closed again"


def test_a_closed_branch_that_has_settled_is_not_asked_for_when_it_is_closed_again() -> None:
    network, universe, alice, bob, _ = put_back_while_one_is_away()
    other = Saved(alice)
    lost = bob.group(universe, alice).graph.head
    network.restart(alice)
    network.run(5 * SECOND)
    group = bob.group(universe, alice)
    assert lost in group.graph.closed and len(group.graph.tips) == 2
    branch = group.graph.alone(lost)
    drop_branch(Context(network.now, bytes), bob.universe(universe), group, branch)
    swap(network, alice, other)
    network.run(5 * SECOND)
    assert len(bob.heard("fork.resolved")) == 2 and lost in bob.heard("fork.resolved")[1]["closed"]
    assert not bob.group(universe, alice).awaited


def test_a_message_that_comes_late_on_a_closed_branch_is_reported() -> None:
    """It may be one that no app is told of: nothing else would bring the others the count that they wait for."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    saved = Saved(alice)
    alice.do(UpdateKeys(universe))
    network.run(5 * SECOND)
    network.cut(alice, bob)
    ctx = Context(network.now, bytes)
    send_report(ctx, alice.universe(universe))
    alice.finish(ctx.step(alice.wake, None))
    late = alice.frames(universe, alice)[-1]
    network.stop(alice)
    saved.put_back(alice)
    network.heal()
    network.restart(alice)
    network.run(5 * SECOND)
    graph = bob.group(universe, alice).graph
    (lost,) = graph.closed

    def reported() -> list[int]:
        rows = alice.universe(universe).reports[bob.me].heads[alice.universe(universe).group_id]
        return [row.count for row in rows if row.head == lost]

    held = graph[lost].contiguous
    assert reported() == [held]
    bob.do(FrameReceived(alice.id, late))
    assert graph[lost].contiguous == held + 1
    network.run(5 * SECOND)
    assert reported() == [held + 1]


def test_the_owner_hears_from_which_epoch_on_the_others_can_follow_it() -> None:
    """While carol is away bob can follow it; once all are past the epoch nobody can, and it starts anew."""
    network, universe, alice, _, carol = put_back_while_one_is_away()
    network.restart(alice)
    network.run(5 * SECOND)
    node = alice.universe(universe)
    group_id, number = node.group_id, branched_at(node)
    assert node.rollbacks and cut_off(node) == [] and not node.floors, "bob follows"
    assert number == alice.group(universe, alice).graph.head_info.number - 1
    other = Saved(alice)
    network.restart(carol)
    network.run(10 * SECOND)
    for _ in range(3):
        alice.do(UpdateKeys(universe))
        network.run(MINUTE)
    assert node.group_id == group_id
    swap(network, alice, other)
    network.run(10 * SECOND)
    assert alice.universe(universe).group_id != group_id


def test_a_member_that_invents_heads_does_not_keep_the_true_ones_open() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    lost = bob.group(universe, alice).graph.head
    network.cut(alice, bob, carol)
    network.restart(alice)
    network.run(10 * SECOND)
    node = alice.universe(universe)
    group = alice.group(universe, alice)
    number, digest = group.graph.head_info.number, node.roster.digest
    invented = tuple((node.group_id, bytes([name]) * 32, number, 0, True, 0) for name in range(64))
    alice.hear(carol, Summary(universe, digest, invented, False))
    assert len(node.foreign_heads) == MAX_NAMED == MAX_CLOSED_HEADS
    alice.hear(
        bob, Summary(universe, digest, ((node.group_id, lost, number, 0, True, 0), invented[0]), False)
    )
    network.run(5 * SECOND)
    assert not group.graph.closed, "nothing is closed by mere claims"
    network.heal()
    network.run(30 * SECOND)
    assert lost in group.graph.closed and not bob.group(universe, alice).forked
    assert 1 <= node.resolves <= 2


def test_no_question_is_too_large_to_be_answered() -> None:
    epoch = (b"e" * 32, 2**32 - 1, (b"c" * 32,) * MAX_CHILDREN)
    groups = [(bytes([number]) * 32, (epoch,) * MAX_WANTED_EPOCHS) for number in range(MAX_MEMBERS)]
    parts = list(in_messages(groups))
    assert [group for part in parts for group in part] == groups and len(parts) == 5
    for part in parts:
        want = Want(b"u" * 32, part)
        assert decode_message(attach(want.encode(), []))[0] == want


def test_what_is_kept_beside_a_gap_does_not_lower_the_floor() -> None:
    """An epoch that a path commit ended stays longer than a younger one; of that no other child can be followed."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.stop(carol)
    for _ in range(2):
        alice.do(UpdateKeys(universe))
        network.run(MINUTE)
    group = bob.group(universe, alice)
    graph = group.graph
    *kept, head = sorted(group.retained(), key=lambda dmls_epoch: graph[dmls_epoch].number)

    def floor() -> int:
        rows = positions(bob.universe(universe), alice.identity.peer_id)
        (found,) = (row[-1] for row in rows if row[0] == group.group_id)
        return found

    assert len(kept) >= 2 and floor() == graph[kept[0]].number
    group.drop_state(Context(network.now, bytes), kept[-1])
    assert floor() == graph[head].number
