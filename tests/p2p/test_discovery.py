"""Finding each other by multicast DNS, which is kept on the loopback interface: nothing of it leaves the machine."""

from __future__ import annotations

from functools import partial

import ifaddr
import pytest
import trio
from tests.p2p.real_node import Node, start, until
from zeroconf import Zeroconf

from starling.p2p.interface import Discovered, Listening

ANY = ("/ip4/0.0.0.0/tcp/0",)
HERE, LATER = "127.0.0.1", "127.0.0.2"
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has no address but `HERE`."""
    monkeypatch.setattr("starling.p2p.discovery.Zeroconf", partial(Zeroconf, interfaces=[HERE]))
    monkeypatch.setattr("starling.p2p.network.ADDRESS_CHECK", 0.05)
    comes_to(monkeypatch, HERE)


def comes_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let this be the machine's address, in place of any other."""
    adapter = ifaddr.Adapter("cable", "cable", [ifaddr.IP(address, 8, "cable")])
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [adapter])


def seen_at(node: Node, other: Node) -> list[tuple[str, ...]]:
    """Where a node has heard that another one is, in order."""
    return [e.addresses for e in node.seen if isinstance(e, Discovered) and e.peer_id == other.peer_id]


async def test_a_node_is_found_again_after_its_address_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bob can be dialled by nobody, so it is Bob who has to hear where Alice, who runs on, is now."""
    async with trio.open_nursery() as nursery:
        alice, bob = (
            await start(nursery, 1, listen=ANY, mdns=True),
            await start(nursery, 2, listen=(), mdns=True),
        )
        ((port,),) = [address.rsplit("/", 1)[1:] for address in alice.addresses]
        here, later = f"/ip4/{HERE}/tcp/{port}", f"/ip4/{LATER}/tcp/{port}"
        assert alice.addresses == (here,)
        await until(lambda: (here,) in seen_at(bob, alice), PATIENCE)
        comes_to(monkeypatch, LATER)
        await until(lambda: Listening((later,)) in alice.seen, PATIENCE)
        await until(lambda: (later,) in seen_at(bob, alice), PATIENCE)
        alice.network.set_known_peers({bob.peer_id: ()}, {})
        bob.network.set_known_peers({alice.peer_id: seen_at(bob, alice)[-1]}, {})
        await until(lambda: bob.is_connected(alice) and alice.is_connected(bob), PATIENCE)
        (connected,) = bob.network.connected()
        assert connected.address == later
        nursery.cancel_scope.cancel()


async def test_a_node_that_only_dials_announces_nothing() -> None:
    """libp2p would say port 4001 of every address, where nobody listens."""
    async with trio.open_nursery() as nursery:
        alice, bob = (
            await start(nursery, 1, listen=ANY, mdns=True),
            await start(nursery, 2, listen=(), mdns=True),
        )
        await until(lambda: seen_at(bob, alice), PATIENCE)
        carol = await start(nursery, 3, listen=ANY, mdns=True)
        await until(lambda: seen_at(alice, carol) and seen_at(bob, carol), PATIENCE)
        assert seen_at(alice, bob) == seen_at(carol, bob) == []
        nursery.cancel_scope.cancel()
