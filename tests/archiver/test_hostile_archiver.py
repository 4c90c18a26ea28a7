"""An archiver that lies: what it gives is checked as any peer's, and what it says costs little."""

from __future__ import annotations

import os

from tests.archiver.archiver_network import ArchiverNode, with_archiver
from tests.engine.small_network import MINUTE, SECOND, Network

from starling.protocol.engine.inputs import PeerConnected
from starling.protocol.engine.step import SendToPeer
from starling.protocol.exchange.archiver_messages import Listed, ListPulse, WantFrames, WantList
from starling.protocol.exchange.feed import FrameKind
from starling.protocol.exchange.frame import CommitFrame, MessageFrame, decode_frame, frame_id
from starling.protocol.exchange.member_messages import Frames, Pulse, Summary, Want
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import attach, decode_message

LIST = b"\x07" * 16


class Liar:
    """A member that reaches nobody but an archiver, which says what the test says."""

    def __init__(self) -> None:
        self.network: Network
        self.vault: ArchiverNode
        self.network, self.universe_id, self.vault, (self.alice, self.bob) = with_archiver("Alice", "Bob")
        self.bob.say(self.universe_id, "the newest")
        self.network.run(10 * SECOND)
        for node in (self.vault, self.bob):
            self.network.stop(node)
        self.alice.connected.add(self.vault.id)
        self.alice.do(PeerConnected(self.vault.id))
        self.before = len(self.network.sent)

    def say(self, message: Message, frames: list[bytes] | None = None) -> None:
        self.alice.hear(self.vault, message, frames)

    def pulse(self, last: int) -> None:
        digest = self.alice.universe(self.universe_id).roster.digest
        self.say(ListPulse(self.universe_id, digest, LIST, last, b"", 0, full=False))

    def asked(self) -> list[Message]:
        """What the member has asked since this was last called."""
        sent = [
            decode_message(attach(send.data, []))[0]
            for node, send in self.network.sent[self.before :]
            if node is self.alice and isinstance(send, SendToPeer)
        ]
        self.before = len(self.network.sent)
        return [message for message in sent if isinstance(message, WantList | WantFrames)]

    def page(self, after: int, upto: int, frames: list[tuple[bytes, int, int]]) -> None:
        group_id = self.bob.universe(self.universe_id).group_id
        head = self.alice.group(self.universe_id, self.bob).graph.head_info
        row = (group_id, head.number, head.dmls_epoch, tuple(frames))
        self.say(Listed(self.universe_id, LIST, after, upto, (row,) if frames else ()))

    def state(self) -> tuple[object, ...]:
        """What must not change by anything that a liar says."""
        universe = self.alice.universe(self.universe_id)
        heads = [(state.group_id, state.graph.head) for state in universe.groups.values()]
        return heads, self.alice.texts(), universe.roster.digest, len(universe.waiting)


def spoilt(frame: bytes) -> bytes:
    decoded = decode_frame(frame)
    assert isinstance(decoded, CommitFrame | MessageFrame)
    message = decoded.dmls_message
    changed = message[:-60] + bytes([message[-60] ^ 1]) + message[-59:]
    if isinstance(decoded, CommitFrame):
        return CommitFrame(changed, decoded.head_statement, decoded.welcome).encode()
    return MessageFrame(changed).encode()


def test_spoilt_frames_are_refused() -> None:
    liar = Liar()
    before = liar.state()
    frames = [spoilt(value) for (table, _), value in liar.vault.rows.items() if table == "frame"]
    liar.pulse(100)
    liar.asked()
    kinds = [
        FrameKind.COMMIT if isinstance(decode_frame(f), CommitFrame) else FrameKind.MESSAGE for f in frames
    ]
    names = [frame_id(frame) for frame in frames]
    liar.page(
        0, 100, [(name, int(kind), at + 1) for at, (name, kind) in enumerate(zip(names, kinds, strict=True))]
    )
    (request,) = liar.asked()
    assert isinstance(request, WantFrames)
    liar.say(Frames(liar.universe_id), frames)
    assert liar.state()[:3] == before[:3]
    assert not liar.alice.disconnects


def test_what_was_not_asked_for_is_not_looked_at() -> None:
    liar = Liar()
    before = liar.state()
    refused = dict(liar.alice.universe(liar.universe_id).refused)
    liar.say(Frames(liar.universe_id), [os.urandom(50), b"\x93\x01\x02\x91\xc4\x01a"])
    liar.page(0, 5, [(os.urandom(32), 0, 1)])
    assert liar.state() == before
    assert liar.alice.universe(liar.universe_id).refused == refused
    assert not liar.asked()


def test_it_may_not_speak_as_a_member() -> None:
    liar = Liar()
    before = liar.state()
    group_id = liar.bob.universe(liar.universe_id).group_id
    sent = len(liar.network.sent)
    for message in (
        Want(liar.universe_id, ((group_id, ((b"e" * 32, 0, ()),)),)),
        Summary(liar.universe_id, bytes(32), ((group_id, b"e" * 32, 99, 0, True, 0),), True),
        Pulse(liar.universe_id, bytes(32), bytes(32)),
    ):
        liar.say(message)
    assert liar.state() == before
    assert not [send for node, send in liar.network.sent[sent:] if node is liar.alice]
    assert not liar.alice.universe(liar.universe_id).behind


def test_a_list_without_end_costs_little() -> None:
    liar = Liar()
    liar.pulse(2**50)
    place = 0
    pages = 0
    for _ in range(600):
        liar.network.run(100)
        for request in liar.asked():
            if isinstance(request, WantList):
                pages += 1
                place += 1
                liar.page(request.after, request.after + 1, [])
    assert 0 < pages <= 600


def test_what_it_lists_and_never_gives_is_asked_for_ever_more_seldom() -> None:
    liar = Liar()
    liar.pulse(3)
    asked = 0
    listed = [(os.urandom(32), 0, at + 1) for at in range(3)]
    for _ in range(120):
        liar.network.run(MINUTE)
        for request in liar.asked():
            asked += 1
            if isinstance(request, WantList):
                liar.page(request.after, 3, [entry for entry in listed if entry[2] > request.after])
    assert 5 < asked < 120
