"""Welcomes to leaves that have been removed since, and answers from before a new one (PROTOCOL X-14, R6)."""

from __future__ import annotations

from tests.engine.small_network import MINUTE, SECOND, Network, Node
from tests.engine.test_engine_readmission import assert_all_talk, confirm

from starling.protocol.engine.inputs import BlockMember, JoinUniverse, Recover, UnblockMember, UpdateKeys
from starling.protocol.engine.step import Publish, Send
from starling.protocol.exchange.frame import CommitFrame, decode_frame
from starling.protocol.exchange.member_messages import Frames, Gone, Summary


def adds_somebody(frame: bytes) -> bool:
    decoded = decode_frame(frame)
    return isinstance(decoded, CommitFrame) and bool(decoded.welcome)


def somebody_came() -> tuple[Network, bytes, list[Node], list[bytes]]:
    """Dave has just joined alice, bob and carol: these, and the frames by which he lets them into his group. Bob's
    KeyPackage is still in use; and dave has imported since."""
    network = Network()
    universe, alice, bob, carol = network.found("alice", "bob", "carol")
    dave = network.add("dave")
    dave.do(JoinUniverse(network.invite(alice, universe)))
    network.run(SECOND)
    welcomes = [frame for frame in carol.frames(universe, dave) if adds_somebody(frame)]
    assert len(welcomes) == 1
    return network, universe, [alice, bob, carol, dave], welcomes


def test_who_is_blocked_gets_in_by_no_old_welcome() -> None:
    network, universe, nodes, welcomes = somebody_came()
    _, bob, carol, dave = nodes
    group_id = dave.universe(universe).group_id
    dave.do(BlockMember(universe, bob.me))
    network.run(SECOND)
    assert group_id not in bob.universe(universe).groups
    entered = len(bob.heard("group.entered"))
    for again in range(2):
        bob.hear(carol, Frames(universe), welcomes)
        assert group_id not in bob.universe(universe).groups
        assert group_id in bob.universe(universe).standing.excluded
        assert len(bob.heard("group.entered")) == entered
        if not again:
            network.stop(bob)
            network.restart(bob)
            network.run(10 * SECOND)
    dave.do(UnblockMember(universe, bob.me))
    network.run(10 * SECOND)
    assert_all_talk(network, universe, nodes, "once more")
    assert not bob.universe(universe).standing.left and not bob.table("left")
    assert len(bob.heard("member.excluded")) == 1


def test_who_started_anew_gets_in_by_no_welcome_to_its_former_leaf() -> None:
    """It is let in by the next commit, and who is behind may send it what let it in before."""
    network, universe, nodes, welcomes = somebody_came()
    alice, bob, carol, dave = nodes
    group_id = dave.universe(universe).group_id

    def reaches_bob_late(source: Node, target: Node, send: Send) -> bool:
        if target is not bob or source is alice:
            return False
        return not (source is dave and isinstance(send, Publish)) or adds_somebody(send.frame)

    network.drop = reaches_bob_late
    bob.do(Recover(universe))
    network.run(SECOND)
    network.cut(alice, bob)
    confirm(alice, universe, bob)
    network.run(SECOND)
    assert group_id not in bob.universe(universe).groups
    bob.hear(carol, Frames(universe), welcomes)
    assert group_id not in bob.universe(universe).groups
    network.drop = lambda source, target, send: False
    network.heal()
    network.run(MINUTE)
    assert_all_talk(network, universe, nodes, "once more")
    assert not bob.universe(universe).refused and not bob.universe(universe).standing.left


def test_who_was_let_in_meanwhile_does_not_mind_that_nothing_let_it_in_before() -> None:
    """The owner's answer was under way when its next commit added who had asked."""
    network, universe, nodes, _ = somebody_came()
    _, bob, _, dave = nodes
    held = bob.universe(universe)
    group_id = dave.universe(universe).group_id
    network.gossip = False
    network.drop = lambda source, target, send: target is bob
    dave.do(UpdateKeys(universe))
    info = dave.group(universe, dave).graph.head_info
    place = (group_id, info.dmls_epoch, info.number, 0, True, 0)
    bob.hear(dave, Summary(universe, held.roster.digest, (place,), False))
    assert held.behind[group_id].peer_id == dave.id
    bob.hear(dave, Gone(universe, ((group_id, None),)))
    assert not held.stuck.groups
    network.gossip = True
    network.drop = lambda source, target, send: False
    network.run(MINUTE)
    assert_all_talk(network, universe, nodes, "once more")
    assert not bob.heard("member.stuck")
