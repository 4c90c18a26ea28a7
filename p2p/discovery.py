"""Finding peers on the local network by multicast DNS.

Put together of libp2p's own parts, whose service wants a whole network to keep what it hears. They open their sockets
and threads when they are made and report through a list shared by the whole process, so they are made only when this
runs, with their output confined to this node. The peer id and the listening addresses are announced, nothing else.
"""

from __future__ import annotations

from collections import Counter

import trio
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.discovery.mdns.broadcaster import PeerBroadcaster
from libp2p.discovery.mdns.listener import PeerListener
from libp2p.discovery.mdns.mdns import SERVICE_TYPE
from libp2p.discovery.mdns.utils import stringGen
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStore
from zeroconf import Zeroconf

from starling.p2p.events import EventQueue
from starling.p2p.host import GuardedHost, parse_address
from starling.p2p.interface import Discovered
from starling.p2p.limits import shielded

MAX_ADDRESSES = 8
STOP_TIMEOUT = 3.0

_PORT = 4001
"""Of the SRV record, which libp2p has but nobody reads: the addresses stand in the TXT record."""


class Listener(PeerListener):
    """Reports what it hears and keeps nothing of it: any number of names can be said on a local network."""

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        super().add_service(zc, type_, name)
        self._forget()

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        super().update_service(zc, type_, name)
        self._forget()

    def _forget(self) -> None:
        self.discovered_services.clear()
        self.meta_query_services.clear()
        self.peerstore = PeerStore()


class _Service:
    """Hears from when it is made, and tells from `announce` on; all calls block."""

    def __init__(self) -> None:
        self._name = f"{stringGen()}.{SERVICE_TYPE}"
        self._zeroconf = Zeroconf()
        self._listener = Listener(PeerStore(), self._zeroconf, SERVICE_TYPE, self._name)
        self._broadcaster: PeerBroadcaster | None = None

    def announce(self, peer_id: ID, addresses: tuple[str, ...]) -> None:
        self._broadcaster = PeerBroadcaster(
            self._zeroconf, SERVICE_TYPE, self._name, str(peer_id), _PORT, list(addresses)
        )
        self._broadcaster.register()

    def stop(self) -> None:
        if self._broadcaster is not None:
            self._broadcaster.unregister()
        self._listener.stop()
        self._zeroconf.close()


async def discover(
    host: GuardedHost, addresses: tuple[str, ...], events: EventQueue, counters: Counter[str]
) -> None:
    """Announce this node, where it can be dialled, and report others as `Discovered`, until cancelled."""
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
    service: _Service | None = None
    try:
        service = await trio.to_thread.run_sync(_Service)
        # Of no addresses libp2p would make some at which nobody listens.
        if addresses:
            await trio.to_thread.run_sync(service.announce, host.get_id(), addresses)
        await trio.sleep_forever()
    except OSError:
        # No network, or multicast forbidden: one can live without.
        counters["discovery_failed"] += 1
    finally:
        peerDiscovery.unregister_peer_discovered_handler(from_thread)
        if service is not None:
            with shielded(STOP_TIMEOUT):
                await trio.to_thread.run_sync(service.stop)
