"""A join over real libp2p, with every payload read as it is without the transport's encryption (P-4, P-12)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.daemon.node import CONFIG, Client
from tests.p2p.real_node import start, until

from starling.daemon import app, data_directory
from starling.daemon.paths import Paths
from starling.p2p.interface import NetworkOptions
from starling.p2p.network import Libp2pNetwork
from starling.protocol.engine import joining
from starling.protocol.exchange.joining_messages import JoinAnswer, JoinRequest
from starling.protocol.exchange.messages import decode_message

NAME = "Josephine of the Hill"
PATIENCE = 60.0


class Tapped(Libp2pNetwork):
    """Notes what its node says, gossip and streams."""

    def __init__(self, options: NetworkOptions, said: list[bytes]) -> None:
        super().__init__(options)
        self.said = said
        self.topics: frozenset[str] = frozenset()

    def publish(self, topic: str, frame: bytes) -> bool:
        self.said.append(frame)
        return super().publish(topic, frame)

    def send(self, peer_id: bytes, data: bytes) -> bool:
        self.said.append(data)
        return super().send(peer_id, data)

    def set_topics(self, topics: frozenset[str]) -> None:
        self.topics = topics
        super().set_topics(topics)


@asynccontextmanager
async def daemon(home: Path, name: str, said: list[bytes]) -> AsyncIterator[tuple[Client, Tapped]]:
    paths = Paths.find(str(home), {})
    data_directory.init(paths, name)
    started = trio.Event()
    networks: list[Tapped] = []

    def network(options: NetworkOptions) -> Tapped:
        networks.append(Tapped(options, said))
        return networks[0]

    async def run() -> None:
        with scope:
            await app.run(paths, CONFIG, ready=lambda said: started.set(), network_factory=network)

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(PATIENCE):
            await started.wait()
        async with await trio.open_unix_socket(os.fspath(paths.socket)) as stream:
            yield Client(stream), networks[0]
        scope.cancel()


@pytest.mark.parametrize("seal", [True, False], ids=["sealed", "in clear"])
async def test_nobody_outside_learns_who_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seal: bool
) -> None:
    """With a PublicMessage in place of the sealed one all of it is found: the control."""
    if not seal:

        def in_clear(message: Any, bundle: object, *, random: object) -> bytes:
            encoded: bytes = message.encode()
            return encoded

        monkeypatch.setattr(joining, "seal_private_external", in_clear)
    said: list[bytes] = []
    async with (
        daemon(tmp_path / "alice", "Alice", said) as (alice, founder),
        daemon(tmp_path / "joiner", NAME, said) as (joiner, _),
        trio.open_nursery() as nursery,
    ):
        universe = (await alice.result("universe.create", name="hikers"))["universe_id"]
        identity = bytes.fromhex((await joiner.result("profile.get"))["identity"])
        ticket = (await alice.result("invite.create", universe=universe))["ticket"]
        outsider = await start(nursery, 9)
        outsider.network.set_topics(founder.topics)
        addresses = tuple((await alice.result("daemon.status"))["addresses"])
        outsider.network.set_known_peers({founder.peer_id: addresses}, {})
        await until(lambda: outsider.is_connected(founder.peer_id), PATIENCE)
        said.clear()
        await joiner.result("universe.join", ticket=ticket, wait=False)
        wanted = JoinAnswer if seal else JoinRequest
        await until(lambda: any(isinstance(each, wanted) for each in messages(said)), PATIENCE)
        passed = said[: 1 + next(i for i, each in enumerate(messages(said)) if isinstance(each, wanted))]
        passed += outsider.frames + outsider.messages
        found = [what for what in (identity, NAME.encode()) if any(what in data for data in passed)]
        assert found == ([] if seal else [identity, NAME.encode()])
        nursery.cancel_scope.cancel()


def messages(said: list[bytes]) -> list[object]:
    found: list[object] = []
    for data in said:
        try:
            found.append(decode_message(data)[0])
        except Exception:  # a frame of gossip
            found.append(None)
    return found
