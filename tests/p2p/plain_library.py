"""py-libp2p as it is, beside the node's own, for the tests of its faults."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from multiaddr import Multiaddr

from starling.p2p.host import make_host
from starling.p2p.interface import NetworkOptions, peer_id_of_seed
from starling.p2p.network import Libp2pNetwork

LOOPBACK = Multiaddr("/ip4/127.0.0.1/tcp/0")


def seed(number: int) -> bytes:
    return bytes([number]) * 32


def plain_host(number: int, **options: Any) -> Any:
    """A host as the library makes it."""
    logging.getLogger("libp2p").setLevel(logging.CRITICAL)
    return new_host(key_pair=create_new_key_pair(seed(number)), **options)


def plain_pubsub(host: Any, **options: Any) -> Pubsub:
    """Pubsub as the library makes it, with the defaults but for what must be given."""
    router = GossipSub([TProtocol(PROTOCOL_ID_V11)], degree=6, degree_low=4, degree_high=12)
    return Pubsub(host, router, **options)


def unstarted() -> Libp2pNetwork:
    return Libp2pNetwork(NetworkOptions(seed(1)))


def ids(count: int) -> list[ID]:
    return [ID(peer_id_of_seed(number.to_bytes(32))) for number in range(count)]


async def attacker(nursery: trio.Nursery, number: int, address: str, target: bytes) -> Any:
    """A bare host connected to a node, and the connection."""
    host = make_host(seed(number), Counter())

    async def run(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with host.run(listen_addrs=[]):
            task_status.started()
            await trio.sleep_forever()

    await nursery.start(run)
    assert await host.dial(target, (address,))
    return host, host.swarm.get_connections(ID(target))[0]
