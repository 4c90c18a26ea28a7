"""The whole traffic of a network, as one who listens everywhere records it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from tests.engine.small_network import Network, Node

from starling.protocol.engine.step import Publish, Send, SendToPeer
from starling.protocol.exchange.frame import Announcement, CommitFrame, MessageFrame, decode_frame
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.messages import attach, decode_message


class TappedNetwork(Network):
    """Keeps every frame that is gossiped or handed over, and every message between peers, lost ones too.

    It can keep frames from a node: while that is `withheld_from`, all messages of groups that would reach it, and
    those still after that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[bytes, CommitFrame | MessageFrame] = {}
        """By their bytes, in the order in which they were first seen."""
        self.said: list[Message] = []
        self.withheld_from: Node | None = None
        self.withheld: defaultdict[bytes, set[bytes]] = defaultdict(set)
        """By peer id, the frames that do not get there."""
        self.drop = self._drop

    def send(self, source: Node, send: Send) -> None:
        match send:
            case Publish(_, frame):
                self._record(frame)
            case SendToPeer(peer_id, data, frame_ids):
                kept = [(key, held) for key in frame_ids if (held := source.frame(key)) is not None]
                message, frames = decode_message(attach(data, [held for _, held in kept]))
                self.said.append(message)
                for frame in frames:
                    self._record(frame)
                passed = (key for key, held in kept if not self._withholds(peer_id, held))
                send = replace(send, frame_ids=tuple(passed))
        super().send(source, send)

    def _record(self, data: bytes) -> None:
        frame = decode_frame(data)
        if not isinstance(frame, Announcement):
            self.frames.setdefault(data, frame)

    def _drop(self, source: Node, target: Node, send: Send) -> bool:
        return isinstance(send, Publish) and self._withholds(target.id, send.frame)

    def _withholds(self, peer_id: bytes, frame: bytes) -> bool:
        node = self.withheld_from
        if node is not None and node.id == peer_id and isinstance(decode_frame(frame), MessageFrame):
            self.withheld[peer_id].add(frame)
        return frame in self.withheld[peer_id]
