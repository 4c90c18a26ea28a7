"""All that an archiver has, on its disk and in memory, in the hands of an attacker that also has the traffic."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.archiver.archiver_network import ArchiverNode, with_archiver
from tests.attack.attacker import Attacker, reads
from tests.attack.loot import Loot, reachable, steal
from tests.attack.recorder import PRIVATE_KEY, TRANSITION, Recorder, find, masked
from tests.attack.traffic import TappedNetwork
from tests.engine.small_network import SECOND, Node

from starling.protocol.archiver.engine import ArchiverEngine
from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.distributed.archivers import receiver_of
from starling.protocol.distributed.member import leaf_identity
from starling.protocol.engine.inputs import UpdateKeys
from starling.protocol.errors import DecodeError
from starling.protocol.exchange.frame import CommitFrame
from starling.protocol.extensions.semi_private_receiver import ReceivedHandshake, open_semi_private
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.packed import unpack

SUITE = cipher_suite(1)
TEXTS = {f"{name} says {number}" for name in ("Alice", "Bob") for number in range(3)}


class Story:
    """Two members talk, update and import while an archiver listens, which opens their commits."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        with self.recorder.watching():
            self.network = TappedNetwork()
            _, self.universe_id, self.vault, self.members = with_archiver(
                "Alice", "Bob", network=self.network
            )
            self.stolen_from_alice = steal(self.members[0])
            self.stolen = Loot()
            for number in range(3):
                for node in self.members:
                    node.say(self.universe_id, f"{node.name} says {number}")
                    self.network.run(SECOND)
                    node.do(UpdateKeys(self.universe_id))
                    self.network.run(2 * SECOND)
                    self.take_all()
            self.network.run(10 * SECOND)
            self.take_all()

    def take_all(self) -> None:
        """Everything that the archiver has at this moment goes to the attacker."""
        for found in everything(self.vault):
            self.stolen.add(found)


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


def everything(node: Node) -> Iterator[object]:
    """All objects of a node: of its engine, of one that is started from its rows, and the rows with their parts."""
    records = [(table, key, value) for (table, key), value in node.rows.items() if table != "frame"]
    if isinstance(node, ArchiverNode):
        yield from reachable(node.archiver)
        yield from reachable(ArchiverEngine(node.identity, records, now=node.network.now, random=bytes))
    else:
        yield from reachable(node.engine)
    for value in node.rows.values():
        yield value
        try:
            yield from reachable(unpack(value, max_bytes=2**26))
        except DecodeError:
            continue


def strings(node: Node) -> set[bytes]:
    found = {bytes(item) for item in everything(node) if isinstance(item, bytes | bytearray)}
    return found | {item.encode() for item in everything(node) if isinstance(item, str)}


def loot_of(story: Story) -> Loot:
    """Everything that the archiver ever had, and all that its key opens of the whole traffic."""
    loot = story.stolen
    for opened in opened_commits(story):
        for found in reachable(opened):
            loot.add(found)
    return loot


def opened_commits(story: Story) -> list[ReceivedHandshake]:
    """Every commit that is sealed to the archiver, opened with its key: the content, and key and nonce."""
    archive = story.vault.archive(story.universe_id)
    receiver = receiver_of(story.vault.me, archive.offer.public_key)
    opened: list[ReceivedHandshake] = []
    for frame in story.network.frames.values():
        body = read_dmls_message(frame.dmls_message).message.body
        if isinstance(body, SemiPrivateMessage):
            opened.append(open_semi_private(body, receiver, archive.offer.private_key, suite=SUITE))
    return opened


def test_the_archiver_did_open_what_it_may(story: Story) -> None:
    commits = [frame for frame in story.network.frames.values() if isinstance(frame, CommitFrame)]
    opened = opened_commits(story)
    assert 6 <= len(opened) <= len(commits)
    seen = [leaf for found in opened for leaf in found.changes.leaf_nodes.values()]
    assert {leaf_identity(leaf) for leaf in seen} == {node.me for node in story.members}


def test_with_all_of_it_nothing_is_read(story: Story) -> None:
    attacker = Attacker(story.network, story.universe_id, loot_of(story))
    assert attacker.read() == set()
    assert attacker.entered == set()
    # With what a member had before they talked the same attacker does read.
    assert reads(story.network, story.universe_id, story.stolen_from_alice) & TEXTS


def test_no_text_is_on_its_disk_or_in_its_memory(story: Story) -> None:
    found = b"\n".join(strings(story.vault))
    assert not any(text.encode() in found for text in TEXTS)
    told = b"\n".join(str(event.body).encode() for event in story.members[0].events)
    assert any(text.encode() in told for text in TEXTS)


def test_no_secret_of_an_epoch_is_on_its_disk_or_in_its_memory(story: Story) -> None:
    identity = story.vault.identity
    private_key = story.vault.archive(story.universe_id).offer.private_key
    its_own = (private_key, identity.identity_private_key, identity.peer_private_key)
    public = {masked(bytes(value)) for value in (*its_own, *_names(story))}
    epochs = {origin for origin in story.recorder.origin.values() if len(origin) == SUITE.hash_length}
    assert len(epochs) > 6
    secrets = story.recorder.of(*epochs, PRIVATE_KEY, TRANSITION) - public
    assert find(secrets, strings(story.vault)) == set()
    # A member has some, so that the search would find them.
    assert find(secrets, strings(story.members[0]))


def _names(story: Story) -> set[bytes]:
    """The names of epochs, which are derived like secrets and travel in clear."""
    return {read_dmls_message(frame.dmls_message).dmls_epoch for frame in story.network.frames.values()} | {
        dmls_epoch
        for node in story.members
        for state in node.universe(story.universe_id).groups.values()
        for dmls_epoch in state.graph.epochs
    }
