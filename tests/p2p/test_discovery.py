"""Finding each other by multicast DNS, which is kept on the loopback interface: nothing of it leaves the machine."""

from __future__ import annotations

from functools import partial

import ifaddr
import pytest
import trio
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.discovery.mdns.listener import META_QUERY_TYPE
from libp2p.discovery.mdns.mdns import SERVICE_TYPE
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStore
from tests.p2p.real_node import Node, start, until
from zeroconf import DNSQuestionType, ServiceInfo, Zeroconf

from starling.p2p.discovery import Listener
from starling.p2p.interface import Discovered, Listening, peer_id_of_seed, peer_id_text

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


def test_any_number_of_names_is_reported_and_none_is_kept() -> None:
    class Names(Zeroconf):
        """A local network on which somebody says a new name each time."""

        def get_service_info(
            self,
            type_: str,
            name: str,
            timeout: int = 0,
            question_type: DNSQuestionType | None = None,
        ) -> ServiceInfo:
            address = f"/ip4/{HERE}/tcp/4001/p2p/{peer_id_text(peer_id_of_seed(name.encode().zfill(32)))}"
            return ServiceInfo(type_, f"{name}.{type_}", properties={"dnsaddr": address})

    reported: list[PeerInfo] = []
    names = Names(interfaces=[HERE])
    listener = Listener(PeerStore(), names, SERVICE_TYPE, f"own.{SERVICE_TYPE}")
    peerDiscovery.register_peer_discovered_handler(reported.append)
    try:
        for number in range(20):
            listener.add_service(names, SERVICE_TYPE, str(number))
            listener.update_service(names, SERVICE_TYPE, str(number))
            listener.add_service(names, META_QUERY_TYPE, str(number))
    finally:
        peerDiscovery.unregister_peer_discovered_handler(reported.append)
        listener.stop()
        names.close()
    assert len({info.peer_id for info in reported}) == 20
    assert not listener.discovered_services and not listener.meta_query_services
    assert not listener.peerstore.peer_ids()


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
