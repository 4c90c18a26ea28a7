"""Finding peers on the local network by multicast DNS.

libp2p's own service opens its sockets and threads when it is made and reports through a list shared by the
whole process, so it is made only when it runs, with its output confined to this node. It announces the peer
id and the listening addresses, nothing else.
"""

from __future__ import annotations

from collections import Counter
from typing import cast

import trio
from libp2p.abc import INetworkService
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.discovery.mdns.mdns import MDNSDiscovery
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStore

from starling.p2p.events import EventQueue
from starling.p2p.host import GuardedHost, parse_address
from starling.p2p.interface import Discovered
from starling.p2p.limits import shielded

MAX_ADDRESSES = 8
STOP_TIMEOUT = 3.0


class _Announced:
    """All that the service gets of the host: its peer id, and a place to keep what it hears."""

    def __init__(self, host: GuardedHost) -> None:
        self._host = host
        self.peerstore = PeerStore()

    def get_peer_id(self) -> ID:
        return self._host.get_id()


async def discover(
    host: GuardedHost, addresses: tuple[str, ...], events: EventQueue, counters: Counter[str]
) -> None:
    """Announce this node and report others as `Discovered`, until cancelled."""
    token = trio.lowlevel.current_trio_token()

    def report(info: PeerInfo) -> None:
        found = []
        for address in info.addrs[:MAX_ADDRESSES]:
            text = str(address).split("/p2p/")[0]
            try:
                parse_address(text)
            except ValueError:
                continue
            found.append(text)
        if info.peer_id != host.get_id() and found:
            events.put(Discovered(info.peer_id.to_bytes(), tuple(found)))

    def from_thread(info: PeerInfo) -> None:
        try:
            token.run_sync_soon(report, info)
        except trio.RunFinishedError:
            counters["hints_lost"] += 1

    peerDiscovery.register_peer_discovered_handler(from_thread)
    service: MDNSDiscovery | None = None
    try:
        service = await trio.to_thread.run_sync(
            lambda: MDNSDiscovery(cast(INetworkService, _Announced(host)), listen_addrs=list(addresses))
        )
        await trio.to_thread.run_sync(service.broadcaster.register)
        await trio.sleep_forever()
    except OSError:
        # No network, or multicast forbidden: one can live without.
        counters["discovery_failed"] += 1
    finally:
        peerDiscovery.unregister_peer_discovered_handler(from_thread)
        if service is not None:
            with shielded(STOP_TIMEOUT):
                await trio.to_thread.run_sync(service.stop)
