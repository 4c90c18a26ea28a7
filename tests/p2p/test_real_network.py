"""The promises of the interface, on real libp2p over loopback."""

from __future__ import annotations

import socket

import pytest
import trio
from libp2p.stream_muxer.yamux.yamux import Yamux
from tests.p2p.real_node import LOOPBACK, introduce, meshed, start, until

from starling.p2p import network
from starling.p2p.interface import (
    MAX_MESSAGE,
    MAX_STRANGER_MESSAGE,
    DialFailed,
    ListenError,
    Listening,
    NetworkOptions,
    PeerConnected,
)
from starling.p2p.limits import MAX_OFFENCES
from starling.p2p.network import Libp2pNetwork


async def test_frames_and_messages_between_members() -> None:
    async with trio.open_nursery() as nursery:
        one, two = await start(nursery, 1), await start(nursery, 2)
        introduce(one, two)
        await meshed(one, two)
        assert Listening(one.addresses) in one.seen
        frames = [b"frame %d" % number for number in range(100)]
        for frame in frames:
            assert one.network.publish("t", frame)
        await until(lambda: len(two.frames) == 100)
        assert two.frames == frames
        assert one.network.counters()["bundles_published"] < 20
        assert not one.frames
        # Large and small in order; a message of this size comes in far more than a hundred pieces.
        sent = [b"small", bytes(MAX_MESSAGE), b"after", b""]
        for data in sent:
            assert two.network.send(one.peer_id, data)
        await until(lambda: len(one.messages) == len(sent))
        assert one.messages == sent
        with pytest.raises(ValueError, match="at most"):
            two.network.send(one.peer_id, bytes(MAX_MESSAGE + 1))
        # The end is orderly: the other side hears of it at once, not by a time-out.
        two.scope.cancel()
        await until(lambda: not one.is_connected(two), 3)
        assert not one.network.send(two.peer_id, b"x")
        nursery.cancel_scope.cancel()


async def test_addresses_that_change_are_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "ADDRESS_CHECK", 0.05)
    async with trio.open_nursery() as nursery:
        one = await start(nursery, 1)
        answers: list[tuple[str, ...] | OSError] = [OSError(), (), one.addresses, ("/ip4/192.0.2.9/tcp/1",)]

        def dialable() -> tuple[str, ...]:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(one.network._host, "dialable", dialable)
        await until(lambda: Listening(("/ip4/192.0.2.9/tcp/1",)) in one.seen)
        await trio.sleep(0.2)
        told = [event for event in one.seen if isinstance(event, Listening)]
        assert told == [Listening(one.addresses), Listening(("/ip4/192.0.2.9/tcp/1",))]
        nursery.cancel_scope.cancel()


async def test_nobody_forwards_what_everybody_has_from_its_origin() -> None:
    async with trio.open_nursery() as nursery:
        nodes = [await start(nursery, number) for number in (1, 2, 3)]
        introduce(*nodes)
        await meshed(*nodes)
        for number in range(20):
            nodes[0].network.publish("t", b"%d" % number)
            await trio.sleep(0.01)
        await until(lambda: all(len(node.frames) == 20 for node in nodes[1:]))
        counters = [node.network.counters() for node in nodes]
        assert counters[0]["bundles_passed_on"] == 2 * counters[0]["bundles_published"]
        assert not any(found.get("bundles_passed_on") for found in counters[1:])
        nursery.cancel_scope.cancel()


async def test_what_somebody_cannot_have_from_its_origin_is_forwarded() -> None:
    async with trio.open_nursery() as nursery:
        one, two, three, four = [await start(nursery, number) for number in (1, 2, 3, 4)]
        introduce(two, three, four)
        one.network.set_known_peers({two.peer_id: two.addresses}, {})
        two.network.set_known_peers({node.peer_id: node.addresses for node in (one, three, four)}, {})
        await meshed(two, three, four)
        await meshed(one, two)
        one.network.publish("t", b"from the end")
        four.network.publish("t", b"from the middle")
        await until(lambda: three.frames and len(four.frames) == 1 and one.frames)
        await until(lambda: sorted(three.frames) == [b"from the end", b"from the middle"])
        assert one.frames == [b"from the middle"]
        nursery.cancel_scope.cancel()


async def test_both_dialling_at_once_settle_on_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starling.p2p.dialer.COURTESY", 0.0)
    async with trio.open_nursery() as nursery:
        one, two = await start(nursery, 1), await start(nursery, 2)
        introduce(one, two)
        await meshed(one, two)
        await trio.sleep(1.0)
        swarms = [node.network._host.swarm for node in (one, two)]
        assert [swarm.get_total_connections() for swarm in swarms] == [1, 1]
        outbound = [node.network.connected()[0].outbound for node in (one, two)]
        assert sorted(outbound) == [False, True]
        await meshed(one, two)
        one.network.publish("t", b"still here")
        one.network.send(two.peer_id, b"and here")
        await until(lambda: two.frames == [b"still here"] and two.messages == [b"and here"])
        assert [e for e in one.seen if isinstance(e, PeerConnected)] == [
            e for e in one.seen if "Peer" in type(e).__name__
        ]
        nursery.cancel_scope.cancel()


async def test_a_stranger_can_only_ask_until_it_is_a_member() -> None:
    async with trio.open_nursery() as nursery:
        member, stranger = await start(nursery, 1), await start(nursery, 2)
        # The stranger believes to be among members; the member does not know it.
        stranger.network.set_known_peers({member.peer_id: member.addresses}, {})
        await until(lambda: member.is_connected(stranger) and stranger.is_connected(member))
        stranger.network.send(member.peer_id, b"may I join")
        await until(lambda: member.messages == [b"may I join"])
        member.network.publish("t", b"secret")
        stranger.network.publish("t", b"noise")
        await trio.sleep(1.5)
        assert not member.frames
        assert not stranger.frames
        assert not stranger.network._gossip.peer_topics
        assert not member.network._gossip.peers
        assert not member.network._gossip.peer_topics
        assert [p.standing for p in member.network.connected()] == ["unknown"]
        # Now it is let in, and gossips on the same connection.
        before = len(member.seen)
        member.network.set_known_peers({stranger.peer_id: ()}, {})
        await meshed(member, stranger)
        member.network.publish("t", b"welcome")
        await until(lambda: b"welcome" in stranger.frames)
        stranger.network.publish("t", b"thanks")
        await until(lambda: b"thanks" in member.frames)
        assert not [e for e in member.seen[before:] if "Peer" in type(e).__name__]
        # And is put out again.
        member.network.set_known_peers({}, {})
        await until(lambda: not member.network._gossip.peers and not member.network._gossip.peer_topics)
        heard = len(stranger.frames)
        member.network.publish("t", b"without you")
        stranger.network.publish("t", b"hello?")
        await trio.sleep(1)
        assert len(stranger.frames) == heard
        assert b"hello?" not in member.frames
        # What a stranger may send is short.
        stranger.network.send(member.peer_id, bytes(MAX_STRANGER_MESSAGE + 1))
        await until(lambda: not member.is_connected(stranger))
        nursery.cancel_scope.cancel()


async def test_strangers_are_few_and_do_not_stay_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starling.p2p.gate.MAX_STRANGERS", 1)
    monkeypatch.setattr("starling.p2p.gate.STRANGER_IDLE", 0.8)
    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        strangers = [await start(nursery, number, {node.peer_id: node.addresses}, ()) for number in (2, 3)]
        await until(lambda: node.network.counters().get("connections_refused"))
        assert len(node.network.connected()) == 1
        await until(lambda: node.network.counters().get("strangers_idle"))
        assert strangers
        nursery.cancel_scope.cancel()


async def test_a_flooding_stranger_is_held_back() -> None:
    async with trio.open_nursery() as nursery:
        node = await start(nursery, 1)
        stranger = await start(nursery, 2, {node.peer_id: node.addresses}, ())
        await until(lambda: stranger.is_connected(node))
        for _ in range(100):
            stranger.network.send(node.peer_id, b"please")
        await trio.sleep(1.5)
        assert 20 <= len(node.messages) <= 30
        nursery.cancel_scope.cancel()


async def test_a_member_that_sends_nonsense_is_disconnected() -> None:
    async with trio.open_nursery() as nursery:
        one, two = await start(nursery, 1), await start(nursery, 2)
        introduce(one, two)
        await meshed(one, two)
        for number in range(MAX_OFFENCES):
            await two.network._gossip.publish("t", b"no bundle %d" % number)
        await until(lambda: not one.is_connected(two))
        assert not one.frames
        assert one.network.counters()["offences"] == MAX_OFFENCES
        await until(lambda: one.network.counters().get("connections_refused"))
        nursery.cancel_scope.cancel()


async def test_a_peer_is_found_at_any_of_its_addresses_and_soon_after_it_is_back() -> None:
    async with trio.open_nursery() as nursery:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        later = Libp2pNetwork(NetworkOptions(bytes([2]) * 32)).peer_id
        address = f"/ip4/127.0.0.1/tcp/{port}"
        one = await start(nursery, 1, {later: ("/ip4/127.0.0.1/tcp/9", "nonsense", address)})
        await until(lambda: DialFailed(later) in one.seen)
        two = await start(nursery, 2, {one.peer_id: ()}, (address,))
        await until(lambda: one.is_connected(two), 5)
        nursery.cancel_scope.cancel()


async def test_a_port_in_use_is_one_clear_error() -> None:
    async with trio.open_nursery() as nursery:
        one = await start(nursery, 1)
        other = Libp2pNetwork(NetworkOptions(bytes([2]) * 32, one.addresses))
        with pytest.raises(ListenError, match="in use"):
            await nursery.start(other.run)
        nursery.cancel_scope.cancel()


async def test_an_address_that_is_none_is_the_same_error() -> None:
    network = Libp2pNetwork(NetworkOptions(bytes([2]) * 32, ("/ip4/127.0.0.1/udp/4001/quic-v1",)))
    with pytest.raises(ListenError, match="form"):
        await network.run()


async def test_a_member_disconnected_on_purpose_comes_back_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starling.p2p.network.POSTPONE", 0.5)
    async with trio.open_nursery() as nursery:
        one, two = await start(nursery, 1), await start(nursery, 2, listen=LOOPBACK)
        introduce(one, two)
        await meshed(one, two)
        one.network.disconnect(two.peer_id, "test")
        await until(lambda: not one.is_connected(two))
        await until(lambda: one.is_connected(two))
        await meshed(one, two)
        nursery.cancel_scope.cancel()


async def test_a_peer_that_takes_nothing_any_more_can_be_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """libp2p's farewell waits behind what the peer did not take, without end."""
    async with trio.open_nursery() as nursery:
        one, two = await start(nursery, 1), await start(nursery, 2)
        introduce(one, two)
        await meshed(one, two)
        muxed = one.network._host.swarm.get_connections()[0].muxed_conn
        assert isinstance(muxed, Yamux)
        closed = trio.Event()
        close = muxed.secured_conn.close

        async def stuck_write(data: bytes) -> None:
            await closed.wait()
            raise trio.ClosedResourceError

        async def close_socket() -> None:
            closed.set()
            await close()

        monkeypatch.setattr(muxed, "_write_frame", stuck_write)
        monkeypatch.setattr(muxed.secured_conn, "close", close_socket)
        monkeypatch.setattr("starling.p2p.gate.FAREWELL", 1.5)
        one.network.disconnect(two.peer_id)
        await trio.sleep(0.3)
        assert one.is_connected(two)
        await until(lambda: not one.is_connected(two))
        assert one.network.counters()["sockets_closed"] == 1
        nursery.cancel_scope.cancel()
