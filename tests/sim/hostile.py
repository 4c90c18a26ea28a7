"""A hostile member: it knows the universe and floods one node with everything that a peer can say."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.sim.node import Node

from starling.protocol.decentralized.dmls_message import read_dmls_message
from starling.protocol.engine.inputs import FrameReceived, Input, MessageFromPeer
from starling.protocol.exchange import messages
from starling.protocol.exchange.frame import Announcement, CommitFrame, Frame, MessageFrame, decode_frame
from starling.protocol.exchange.joining_messages import JoinAnswer, JoinHello, JoinRequest
from starling.protocol.exchange.member_messages import (
    Frames,
    Gone,
    Hello,
    Profiles,
    Pulse,
    RosterEntries,
    Summary,
    Want,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.readmission_messages import ReadmitRequest
from starling.protocol.mls.private_message import PrivateMessage


class HostilePeer:
    """Speaks as `peer_id`, a member of the universe or not; `frames` are real frames that it saw."""

    def __init__(self, seed: object, universe_id: bytes, peer_id: bytes, frames: list[bytes]) -> None:
        self.universe_id = universe_id
        self.peer_id = peer_id
        self._rng = random.Random(f"{seed} hostile")
        self._frames = [decode_frame(frame) for frame in frames]
        self._encoded = frames
        self._said: tuple[Callable[[], Input], ...] = (
            self.frame_of_unknown_epoch,
            self.frame_of_unknown_group,
            self.damaged_frame,
            self.announcement,
            self.garbage,
            self.summary,
            self.pulse,
            self.want,
            self.attached_frames,
            self.hello,
            self.roster_entries,
            self.profiles,
            self.want_profiles,
            self.gone,
            self.want_roster,
            self.join_hello,
            self.join_request,
            self.readmit_request,
            self.join_answer,
        )

    def something(self) -> Input:
        return self._rng.choice(self._said)()

    def flood(self, node: Node, inputs: int) -> None:
        for _ in range(inputs):
            node.deliver(self.something())

    # gossip

    def _changed(self, group_id: bytes | None) -> Frame:
        """A real frame with a header of our own: it can never be opened."""
        frame = self._rng.choice([item for item in self._frames if not isinstance(item, Announcement)])
        assert isinstance(frame, CommitFrame | MessageFrame)
        wrapped = read_dmls_message(frame.dmls_message)
        body = wrapped.message.body
        assert isinstance(body, PrivateMessage)
        body = replace(
            body,
            group_id=group_id or body.group_id,
            epoch=body.epoch + self._rng.randrange(100),
            ciphertext=self._rng.randbytes(self._rng.choice((64, 1_000, 20_000))),
        )
        changed = replace(
            wrapped, message=replace(wrapped.message, body=body), dmls_epoch=self._rng.randbytes(32)
        )
        return replace(frame, dmls_message=changed.encode())

    def frame_of_unknown_epoch(self) -> Input:
        return FrameReceived(self.peer_id, self._changed(None).encode())

    def frame_of_unknown_group(self) -> Input:
        return FrameReceived(self.peer_id, self._changed(self._rng.randbytes(32)).encode())

    def damaged_frame(self) -> Input:
        frame = bytearray(self._rng.choice(self._encoded))
        for _ in range(self._rng.randint(1, 4)):
            frame[self._rng.randrange(len(frame))] ^= 1 << self._rng.randrange(8)
        return FrameReceived(self.peer_id, bytes(frame))

    def announcement(self) -> Input:
        places = tuple(
            (self._group_id(), self._rng.randbytes(32), self._rng.randrange(2**32)) for _ in range(64)
        )
        return FrameReceived(self.peer_id, Announcement(places).encode())

    def garbage(self) -> Input:
        data = self._rng.randbytes(self._rng.choice((0, 1, 50, 5_000)))
        if self._rng.random() < 0.5:
            return FrameReceived(self.peer_id, data)
        return MessageFromPeer(self.peer_id, data)

    # streams

    def _group_id(self) -> bytes:
        if self._rng.random() < 0.5:
            return self._rng.randbytes(32)
        frame = self._rng.choice([item for item in self._frames if not isinstance(item, Announcement)])
        assert isinstance(frame, CommitFrame | MessageFrame)
        return read_dmls_message(frame.dmls_message).group_id

    def _say(self, message: Message, frames: list[bytes] | None = None) -> Input:
        return MessageFromPeer(self.peer_id, messages.attach(message.encode(), frames or []))

    def summary(self) -> Input:
        places = tuple(
            (
                self._group_id(),
                self._rng.randbytes(32),
                self._rng.randrange(2**40),
                self._rng.randrange(2**32),
                True,
                self._rng.randrange(2**40),
            )
            for _ in range(200)
        )
        return self._say(Summary(self.universe_id, self._rng.randbytes(32), places, True))

    def pulse(self) -> Input:
        return self._say(Pulse(self.universe_id, self._rng.randbytes(32), self._rng.randbytes(32)))

    def want(self) -> Input:
        epochs = tuple((self._rng.randbytes(32), 0, ()) for _ in range(16))
        groups = tuple((self._group_id(), epochs if self._rng.random() < 0.7 else ()) for _ in range(20))
        return self._say(Want(self.universe_id, groups))

    def attached_frames(self) -> Input:
        frames = [
            self._changed(None if self._rng.random() < 0.5 else self._rng.randbytes(32)).encode()
            for _ in range(16)
        ]
        return self._say(Frames(self.universe_id), frames)

    def _entries(self) -> tuple[bytes, ...]:
        return tuple(self._rng.randbytes(self._rng.choice((1, 100, 4_000))) for _ in range(50))

    def hello(self) -> Input:
        return self._say(Hello(self.universe_id, self._entries()))

    def roster_entries(self) -> Input:
        return self._say(RosterEntries(self.universe_id, self._entries()))

    def profiles(self) -> Input:
        profiles = tuple(((self._rng.randbytes(500),), self._rng.randbytes(200)) for _ in range(50))
        return self._say(Profiles(self.universe_id, profiles))

    def want_profiles(self) -> Input:
        wanted = tuple(self._rng.randbytes(32) for _ in range(1_000))
        return self._say(WantProfiles(self.universe_id, wanted))

    def gone(self) -> Input:
        groups = tuple((self._group_id(), self._rng.choice((None, 0, 2**40))) for _ in range(50))
        return self._say(Gone(self.universe_id, groups))

    def want_roster(self) -> Input:
        held = tuple(self._rng.randbytes(32) for _ in range(100))
        return self._say(WantRoster(self.universe_id, held))

    def join_hello(self) -> Input:
        return self._say(JoinHello(self.universe_id, self._rng.randbytes(32), self._rng.randbytes(32)))

    def join_request(self) -> Input:
        return self._say(JoinRequest(self.universe_id, self._rng.randbytes(1800)))

    def readmit_request(self) -> Input:
        profile = ((self._rng.randbytes(900), self._rng.randbytes(900)), self._rng.randbytes(100))
        signature = self._rng.randbytes(64)
        return self._say(ReadmitRequest(self.universe_id, "somebody", 1, profile, signature))

    def join_answer(self) -> Input:
        return self._say(JoinAnswer(self.universe_id, self._rng.randbytes(3000)))
