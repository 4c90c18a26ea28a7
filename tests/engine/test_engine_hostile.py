"""Members that break the rules of their own group, or of another's: the harm is their own (PROTOCOL 5, I7)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.engine.forging import all_is_well, end, forged_commit, forged_message, lawless_group, packages
from tests.engine.small_network import MINUTE, SECOND, Network, Node, quiet

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.application import HEADS, ApplicationData
from starling.protocol.distributed.dependency import Dependency, build_dependencies
from starling.protocol.distributed.epoch_end import build_epoch_end
from starling.protocol.distributed.evidence import Evidence
from starling.protocol.distributed.head_statement import is_evidence
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.key_packages import build_key_packages
from starling.protocol.distributed.member import build_key_package
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.engine.inputs import FrameReceived, UpdateKeys
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange.frame import MessageFrame
from starling.protocol.exchange.member_messages import Frames, Want
from starling.protocol.exchange.messages import attach, decode_message
from starling.protocol.mls.proposal import Add, AppEphemeral, PreSharedKey
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.safe_aad import EMPTY

END = AppEphemeral(component_ids.EPOCH_END, build_epoch_end(0))


# members in groups of others


def test_a_member_cannot_speak_in_the_group_of_another() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    data = ApplicationData("text", b"i" * 16, (), b"as alice")
    bob.do(FrameReceived(carol.id, forged_message(carol, universe, alice, data.encode())))
    assert not bob.texts()
    assert bob.universe(universe).refused
    all_is_well(network, universe, alice, bob, carol)


def test_a_member_cannot_commit_in_the_group_of_another() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    epoch = bob.group(universe, alice).graph.head
    frame = forged_commit(carol, universe, alice, [END], path=False)
    bob.do(FrameReceived(carol.id, frame))
    alice.do(FrameReceived(carol.id, frame))
    assert bob.group(universe, alice).graph.head == epoch
    assert not bob.heard("fork.detected") and not bob.group(universe, alice).forked
    all_is_well(network, universe, alice, bob, carol)


def test_frames_with_the_owners_name_and_a_high_generation_do_not_stop_it() -> None:
    """A member knows the sender data secret of the group, so it can claim any generation for leaf 0."""
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    group = lawless_group(carol, universe, alice)
    head = carol.group(universe, alice).graph.head
    for _ in range(40):
        message = group.protect(b"x", authenticated_data=EMPTY, random=carol.random_source())
        bob.do(FrameReceived(carol.id, MessageFrame(wrap(message, head)).encode()))
    assert not bob.texts()
    waiting = len(bob.universe(universe).waiting)
    assert waiting <= 39
    all_is_well(network, universe, alice, bob, carol)


# owners that break the rules of their own group


Forgery = Callable[[Network, bytes, Node, Node], bytes]


def _no_end(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    proposals = [AppEphemeral(component_ids.DMLS_DEPS, build_dependencies([]))]
    return forged_commit(mallory, universe, mallory, proposals, path=False)


def _unknown_component(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    proposals = [AppEphemeral(0x8D66, b""), end(mallory, universe)]
    return forged_commit(mallory, universe, mallory, proposals, path=False)


def _garbage_end(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    broken = AppEphemeral(component_ids.EPOCH_END, b"\x01")
    return forged_commit(mallory, universe, mallory, [broken], path=False)


def _garbage_deps(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    broken = AppEphemeral(component_ids.DMLS_DEPS, b"\xff\xff")
    return forged_commit(mallory, universe, mallory, [broken, end(mallory, universe)], path=False)


def _deps_without_psks(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    newest = mallory.universe(universe).ledger.newest(other.universe(universe).group_id)
    assert newest is not None
    deps = build_dependencies([Dependency(newest.group_id, newest.epoch, newest.dmls_epoch)])
    return forged_commit(
        mallory, universe, mallory,
        [AppEphemeral(component_ids.DMLS_DEPS, deps), end(mallory, universe)], path=False,
    )  # fmt: skip


def _path_without_packages(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    return forged_commit(mallory, universe, mallory, [end(mallory, universe)], path=True)


def _packages_without_path(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    proposals = [end(mallory, universe), packages(mallory, universe)]
    return forged_commit(mallory, universe, mallory, proposals, path=False)


def _add_without_path(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    identity = Identity.generate("late", mallory.random_source())
    late = build_key_package(
        identity,
        cipher_suite=CIPHER_SUITES[1],
        universe_id=universe,
        send_group_id=new_send_group_id(universe, identity.identity_public_key, mallory.random_source()),
        incarnation=0,
        serial=1,
        signature_private_key=b"s" * 32,
        now=network.now,
        random=mallory.random_source(),
    ).key_package
    return forged_commit(mallory, universe, mallory, [Add(late), end(mallory, universe)], path=False)


def _two_ends(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    proposals = [end(mallory, universe), end(mallory, universe)]
    return forged_commit(mallory, universe, mallory, proposals, path=False)


def _no_safe_aad(network: Network, universe: bytes, mallory: Node, other: Node) -> bytes:
    return forged_commit(
        mallory, universe, mallory, [end(mallory, universe)], path=False, authenticated_data=b"\x05x"
    )


FORGERIES: list[Forgery] = [
    _no_end, _garbage_end, _garbage_deps, _deps_without_psks, _path_without_packages,
    _packages_without_path, _add_without_path, _unknown_component, _two_ends, _no_safe_aad,
]  # fmt: skip


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.__name__.strip("_"))
def test_a_commit_against_the_rules_is_refused_and_its_forwarder_is_not_to_blame(forgery: Forgery) -> None:
    """I7: what is wrong inside is the author's fault; who passes it on cannot know."""
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    bob.do(UpdateKeys(universe))
    network.run(SECOND)
    frame = forgery(network, universe, mallory, bob)
    head = alice.group(universe, mallory).graph.head
    for _ in range(20):
        alice.do(FrameReceived(bob.id, frame))
    assert alice.group(universe, mallory).graph.head == head
    assert alice.universe(universe).refused
    assert not alice.disconnects
    all_is_well(network, universe, alice, bob)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x90", ApplicationData(HEADS, b"i" * 16, (), b"?").encode()]
)
def test_a_message_that_is_none_takes_its_place_and_no_more(data: bytes) -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    frame = forged_message(mallory, universe, mallory, data)
    for _ in range(20):
        alice.do(FrameReceived(bob.id, frame))
    assert not alice.texts() and not alice.disconnects
    assert sum(alice.universe(universe).refused.values()) == 1
    all_is_well(network, universe, alice, bob)


def test_a_message_with_bad_additional_data_is_refused_and_its_forwarder_is_not_to_blame() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    data = ApplicationData("text", b"i" * 16, (), b"x").encode()
    frame = forged_message(mallory, universe, mallory, data, authenticated_data=b"\x05x")
    for _ in range(20):
        alice.do(FrameReceived(bob.id, frame))
    assert not alice.texts() and not alice.disconnects
    all_is_well(network, universe, alice, bob)


def test_bad_key_packages_in_a_commit_hurt_only_their_author() -> None:
    """The commit stands, the packages of another member beside it are not taken over."""
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    before = alice.universe(universe).profiles.key_package(bob.me, 1)
    own = alice.universe(universe).profiles.key_package(mallory.me, 1)
    foreign = AppEphemeral(
        component_ids.KEY_PACKAGES, build_key_packages(bob.universe(universe).bundles.newest())
    )
    frame = forged_commit(mallory, universe, mallory, [end(mallory, universe), foreign], path=True)
    epoch = alice.group(universe, mallory).graph.head_info.number
    alice.do(FrameReceived(mallory.id, frame))
    assert alice.group(universe, mallory).graph.head_info.number == epoch + 1
    assert alice.universe(universe).refused == {"key_packages": 1}
    assert alice.universe(universe).profiles.key_package(bob.me, 1) == before
    assert alice.universe(universe).profiles.key_package(mallory.me, 1) == own
    all_is_well(network, universe, alice, bob)


def _importing_the_unknown(universe: bytes, mallory: Node, owner: Node) -> bytes:
    """A commit in mallory's group that imports an epoch of this owner's, which nobody has."""
    dep = Dependency(owner.universe(universe).group_id, 77, b"e" * 32)
    psk = PreSharedKey(PreSharedKeyID.external(dep.psk_id, b"n" * 32))
    return forged_commit(
        mallory, universe, mallory,
        [psk, AppEphemeral(component_ids.DMLS_DEPS, build_dependencies([dep])), end(mallory, universe)],
        path=False, psks={dep.psk_id: b"p" * 32},
    )  # fmt: skip


def test_an_import_of_an_epoch_that_nobody_knows_stalls_only_its_author() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    frame = _importing_the_unknown(universe, mallory, bob)
    alice.do(FrameReceived(mallory.id, frame))
    assert len(alice.universe(universe).waiting) == 1
    asked = len(network.messages(alice))
    network.run(10 * MINUTE)
    wants = [message for _, message in network.messages(alice)[asked:] if isinstance(message, Want)]
    assert len(wants) < 60
    assert len(alice.universe(universe).waiting) == 0
    alice.say(universe, "on")
    network.run(10 * SECOND)
    assert bob.texts() == ["on"]


def test_commits_that_wait_for_each_other_are_not_asked_for_without_a_pause() -> None:
    """Two members import made up epochs of each other, and answer every question with the same again."""
    network, universe, (alice, mallory, trudy) = quiet("alice", "mallory", "trudy")
    frames = [
        _importing_the_unknown(universe, author, other)
        for author, other in ((mallory, trudy), (trudy, mallory))
    ]
    wants = []

    def answer(source: Node, target: Node, send: Send) -> bool:
        if isinstance(send, SendToPeer) and isinstance(decode_message(attach(send.data, []))[0], Want):
            wants.append(send)
            network.at(5, lambda: alice.hear(target, Frames(universe), frames))
        return source is alice

    network.drop = answer
    for frame in frames:
        alice.do(FrameReceived(mallory.id, frame))
    assert len(alice.universe(universe).waiting) == 2
    network.run(10 * SECOND)
    assert 2 <= len(wants) < 20


def test_two_commits_on_one_parent_are_told_and_lose_nothing_of_the_first() -> None:
    network, universe, (alice, bob, mallory) = quiet("alice", "bob", "mallory")
    sibling = forged_commit(
        mallory, universe, mallory, [end(mallory, universe), packages(mallory, universe)], path=True
    )
    mallory.do(UpdateKeys(universe))
    network.run(SECOND)
    network.cut(mallory, alice, bob)
    parent = alice.group(universe, mallory).graph.head_info.parent
    alice.do(FrameReceived(bob.id, sibling))
    alice.do(FrameReceived(bob.id, sibling))
    (told,) = alice.heard("fork.detected")
    assert (told["owner"], told["parent"]) == (mallory.me, parent)
    assert told["epoch"] == alice.group(universe, mallory).graph.head_info.number - 1
    evidence = Evidence.parse(told["evidence"])
    assert evidence.identity == mallory.me and not evidence.faults(), "anybody can check it"
    assert is_evidence(*evidence.statements)
    network.stop(alice)
    network.restart(alice)
    network.run(5 * SECOND)
    assert alice.group(universe, mallory).forked
    newest = alice.universe(universe).ledger.newest(mallory.universe(universe).group_id)
    assert newest is not None
    network.run(2 * MINUTE)
    alice.say(universe, "this imports what may be imported")
    last = alice.universe(universe).ledger.last_imports.get((alice.me, newest.group_id))
    assert last is None or last.epoch < newest.epoch, "imports from an owner that has forked pause"
    network.heal()
    mallory.say(universe, "on the first branch")
    network.run(2 * SECOND)
    assert alice.texts() == ["on the first branch"] and bob.texts()[-1] == "on the first branch"
