"""A settled epoch leaves no secret, neither in memory nor on the disk (invariant I6, PROTOCOL K-14, K-15, X-18).

A universe runs with the daemon's own stores while every secret that is made is recorded; then all files of the
nodes are searched byte by byte, and so are the rows that their stores still open and all live objects of the process.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.attack.disk import DiskNetwork, DiskNode
from tests.attack.recorder import (
    PRIVATE_KEY,
    SIGNATURE_KEY,
    SLOT_KEY,
    TEXT,
    TICKET,
    Masked,
    Memory,
    Recorder,
    find,
    masked,
)
from tests.attack.scene import Breach, Scene
from tests.engine.small_network import HOUR, SECOND

from starling.daemon.sealing import Sealer
from starling.protocol.engine.inputs import ReadmitMember, Recover, RemoveMember
from starling.protocol.extensions.private_external_info import read_root_key, root_public_key

OTHER_SEALERS = 3
"""Of an open store, beside those of its scopes: the reading side's two, and the one that wraps the slots."""


Story = Callable[[Path, Recorder], tuple[DiskNetwork, bytes, list[DiskNode]]]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """A universe in which much was said and nothing is open any more."""

    network: DiskNetwork
    universe_id: bytes
    nodes: tuple[DiskNode, ...]
    recorder: Recorder
    memory: Memory
    sealers: int
    """How many the process had before."""

    @property
    def heads(self) -> set[bytes]:
        return {
            state.graph.head
            for node in self.nodes
            for state in node.universe(self.universe_id).groups.values()
        }

    @property
    def gone(self) -> set[Masked]:
        """The secrets of settled epochs, and of the ways into all epochs."""
        live = self.heads | {PRIVATE_KEY, SIGNATURE_KEY, SLOT_KEY, TEXT, TICKET}
        return {secret for secret, origin in self.recorder.origin.items() if origin not in live}

    def keys_in_use(self) -> set[bytes]:
        """Public keys of leaves and of KeyPackages in force, of identities, and of the heads' root keys (P-5)."""
        keys: set[bytes] = set()
        for node in self.nodes:
            universe = node.universe(self.universe_id)
            keys |= {node.identity.identity_public_key, node.identity.peer_id[-32:]}
            for package in (bundle.key_package for bundle in universe.bundles.all()):
                keys |= {package.init_key, package.leaf_node.encryption_key}
            for state in universe.groups.values():
                for _, leaf in state.head.tree.leaves():
                    keys |= {leaf.encryption_key, leaf.signature_key}
                root_key = read_root_key(state.head.context)
                assert root_key is not None
                keys.add(root_public_key(state.head.cipher_suite, root_key))
        return keys


@contextmanager
def aftermath(story: Story) -> Iterator[Aftermath]:
    """What is left of a universe once all has settled."""
    memory, recorder, sealers = Memory(), Recorder(), live_sealers()
    with tempfile.TemporaryDirectory() as home:
        with recorder.watching():
            network, universe_id, nodes = story(Path(home), recorder)
        try:
            yield Aftermath(network, universe_id, tuple(nodes), recorder, memory, sealers)
        finally:
            for node in nodes:
                node.store.close()


def little_happens(home: Path, recorder: Recorder) -> tuple[DiskNetwork, bytes, list[DiskNode]]:
    """Three members speak, and start again after it, which updates their keys."""
    network = DiskNetwork(home)
    universe_id, *nodes = network.found("v", "x", "y")
    Scene.at_rest()
    speak_and_start_again(network, universe_id, recorder, nodes)
    return network, universe_id, nodes


def much_happens(home: Path, recorder: Recorder) -> tuple[DiskNetwork, bytes, list[DiskNode]]:
    """Four members; each speaks, and starts again after it, which updates its keys. Then one is removed, another is put
    back to a copy of its directory twice, the second time too late for all but to be let in anew, and the founder
    starts anew too."""
    network = DiskNetwork(home)
    universe_id, *nodes = network.found("v", "x", "y", "d", suites=(1, 3, 1, 1))
    for node in nodes:
        recorder.add(node.identity.identity_private_key, SIGNATURE_KEY)
        recorder.add(node.identity.peer_private_key, SIGNATURE_KEY)
    v, x, y, d = nodes
    speak_and_start_again(network, universe_id, recorder, nodes)
    v.do(RemoveMember(universe_id, d.me))
    network.run(10 * SECOND)
    network.stop(y)  # so that the others keep the parent, and both branches are followed
    y.store.close()
    put_back(network, universe_id, x)
    network.restart(y)
    network.run(30 * SECOND)
    assert v.heard("fork.resolved") and y.heard("fork.resolved")
    put_back(network, universe_id, x)
    asked = x.do(Recover(universe_id))
    network.run(10 * SECOND)
    v.do(ReadmitMember(universe_id, x.me, asked["verification"]))
    network.run(20 * SECOND)
    v.do(Recover(universe_id))
    network.run(20 * SECOND)
    speak_and_start_again(network, universe_id, recorder, [v, x, y])
    return network, universe_id, nodes


def put_back(network: DiskNetwork, universe_id: bytes, node: DiskNode) -> None:
    """Its directory is copied; it goes on, and then it has the copy again."""
    network.stop(node)
    node.store.close()
    copied = {path: path.read_bytes() for path in node.directory.iterdir()}
    network.restart(node)
    network.run(10 * SECOND)
    node.say(universe_id, f"what {node.name} forgets, said at {network.now}")
    network.run(10 * SECOND)
    network.stop(node)
    node.store.close()
    for path in node.directory.iterdir():
        path.unlink()
    for path, data in copied.items():
        path.write_bytes(data)
    network.restart(node)
    network.run(30 * SECOND)


def speak_and_start_again(
    network: DiskNetwork, universe_id: bytes, recorder: Recorder, nodes: list[DiskNode]
) -> None:
    for node, other in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        for to in (None, other):
            text = f"what {node.name} says at {network.now} to {to.name if to is not None else 'all'}"
            recorder.add(text.encode(), TEXT)
            node.say(universe_id, text, to=to)
        network.run(SECOND)
        network.stop(node)
        node.store.close()
        network.restart(node)
        network.run(10 * SECOND)
    network.leap(2 * HOUR)


@pytest.fixture(scope="module", name="after")
def one_aftermath() -> Iterator[Aftermath]:
    with aftermath(much_happens) as made:
        yield made


def live_sealers() -> int:
    gc.collect()
    return sum(isinstance(found, Sealer) for found in gc.get_objects())


def check_absent(secrets: set[Masked], places: Iterable[bytes], where: str) -> None:
    found = find(secrets, places)
    if found:
        raise Breach(f"{len(found)} secrets are {where}")


def public_keys(private_key: bytes) -> set[bytes]:
    """What a private key may be: of a leaf, of a KeyPackage, of a signer."""
    return {
        X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw(),
        Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw(),
    }


def test_a_settled_epoch_leaves_no_secret_in_memory_or_on_the_disk(after: Aftermath) -> None:
    secrets, gone = after.recorder.origin, after.gone
    assert len(gone) > 5_000
    for node in after.nodes:
        check_absent(set(secrets), node.files(), f"in the clear in the files of {node.name}")
        check_absent(gone, node.records(), f"in rows that the store of {node.name} opens")
    erasable = {secret for secret, origin in secrets.items() if origin not in (SIGNATURE_KEY, TEXT, TICKET)}
    for node in after.nodes:
        check_absent(erasable, map(masked, node.lasting), f"under a key of {node.name} that is never erased")
    check_absent(gone, after.memory.strings(), "in live objects")

    in_use = after.keys_in_use()
    for key in find(after.recorder.of(PRIVATE_KEY, SIGNATURE_KEY), after.memory.strings()):
        if not public_keys(masked(key)) & in_use:
            raise Breach("a private key that opens nothing any more is in live objects")

    # That the story came about:
    assert len(set(secrets.values()) - after.heads) > 20
    for node in after.nodes:
        universe = node.universe(after.universe_id)
        assert len(node.texts()) == {"v": 9, "x": 7, "y": 9, "d": 4}[node.name]
        assert universe.removed == (node.name == "d")
        assert not universe.ledger.psks
        assert all(set(state.retained()) == {state.graph.head} for state in universe.groups.values())


def test_an_erased_key_of_the_store_is_nowhere_any_more(after: Aftermath) -> None:
    """The rows that it sealed are, for deleting them does not take them from the disk."""
    for node in after.nodes:
        live = node.slots()
        assert len(live) == len(node.store._scopes) + 2
        if node.idle_scopes():
            raise Breach("a key is kept that seals no row any more")
        erased = {masked(slot) for slot in after.recorder.wrapped - live}
        assert len(erased) > 20
        check_absent(erased, node.files(), f"wrapped in the files of {node.name}")
    held = sum(len(node.store._sealers) + OTHER_SEALERS for node in after.nodes)
    if live_sealers() - after.sealers > held:
        raise Breach("an erased key is in live objects")


def test_the_search_finds_what_is_there(after: Aftermath) -> None:
    """The controls: a live epoch's row opens, and what is planted in a file or in memory is found."""
    live = after.recorder.of(*after.heads)
    *members, removed = after.nodes
    assert all(find(live, node.records()) for node in members)
    assert not find(live, removed.records())
    assert find(live, after.memory.strings())

    held = [masked(next(iter(after.gone)))]
    node = after.nodes[0]
    (node.directory / "left behind").write_bytes(b"at an odd place: " + held[0] + b" and more")
    with pytest.raises(Breach, match="1 secrets"):
        check_absent(after.gone, node.files(), "planted")
    with pytest.raises(Breach, match="1 secrets"):
        check_absent(after.gone, after.memory.strings(), "held by this test")
