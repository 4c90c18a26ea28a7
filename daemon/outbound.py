"""What the engine wants sent, given to the network after the commit."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starling.daemon.store import Store
from starling.p2p import interface as p2p
from starling.protocol.engine.step import Disconnect, KnownPeers, Publish, Send, SendToPeer, Topics
from starling.protocol.exchange.messages import attach

log = logging.getLogger("starling.outbound")

MAX_DISCOVERED = 256


class Outbound:
    """Performs sends; keeps where peers were seen on the local network, as a hint for dialling."""

    def __init__(self, network: p2p.Network, store: Store) -> None:
        self._network = network
        self._store = store
        self._known = KnownPeers({}, {})
        self._discovered: dict[bytes, tuple[str, ...]] = {}

    def send_all(self, sends: Iterable[Send]) -> None:
        """Perform sends in order. None of them waits, and none of them promises arrival."""
        for send in sends:
            try:
                self._send(send)
            except ValueError as error:
                log.error("the network refused a %s: %s", type(send).__name__, error)

    def _send(self, send: Send) -> None:
        match send:
            case Publish():
                self._network.publish(send.topic, send.frame)
            case SendToPeer():
                frames = (self._store.frame(frame_id) for frame_id in send.frame_ids)
                kept = [frame for frame in frames if frame is not None]
                self._network.send(send.peer_id, attach(send.data, kept))
            case Topics():
                self._network.set_topics(send.topics)
            case KnownPeers():
                self._known = send
                self._tell_known()
            case Disconnect():
                log.info("disconnecting %s: %s", p2p.peer_id_text(send.peer_id), send.reason)
                self._network.disconnect(send.peer_id, send.reason)

    def discovered(self, peer_id: bytes, addresses: tuple[str, ...]) -> None:
        """A peer says on the local network where it is: unverified, so used only for peers we know."""
        if self._discovered.pop(peer_id, None) is None and len(self._discovered) >= MAX_DISCOVERED:
            del self._discovered[next(iter(self._discovered))]
        self._discovered[peer_id] = addresses[:8]
        if peer_id in self._known.members or peer_id in self._known.guests:
            self._tell_known()

    def _tell_known(self) -> None:
        def merged(peers: dict[bytes, tuple[str, ...]]) -> dict[bytes, tuple[str, ...]]:
            return {
                peer_id: tuple(dict.fromkeys((*self._discovered.get(peer_id, ()), *addresses)))
                for peer_id, addresses in peers.items()
            }

        self._network.set_known_peers(merged(dict(self._known.members)), merged(dict(self._known.guests)))
