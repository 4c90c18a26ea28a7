"""The whole traffic of a network, as one who listens everywhere records it."""

from __future__ import annotations

from tests.engine.small_network import Network, Node

from starling.protocol.engine.step import Publish, Send, SendToPeer
from starling.protocol.exchange.frame import Announcement, CommitFrame, MessageFrame, decode_frame
from starling.protocol.exchange.messages import Message, attach, decode_message


class TappedNetwork(Network):
    """Keeps every frame that is gossiped or handed over, and every message between peers, lost ones too."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[bytes, CommitFrame | MessageFrame] = {}
        """By their bytes, in the order in which they were first seen."""
        self.said: list[Message] = []

    def send(self, source: Node, send: Send) -> None:
        match send:
            case Publish(_, frame):
                self._record(frame)
            case SendToPeer(_, data, frame_ids):
                kept = [source.rows["frame", key] for key in frame_ids if ("frame", key) in source.rows]
                message, frames = decode_message(attach(data, kept))
                self.said.append(message)
                for frame in frames:
                    self._record(frame)
        super().send(source, send)

    def _record(self, data: bytes) -> None:
        frame = decode_frame(data)
        if not isinstance(frame, Announcement):
            self.frames.setdefault(data, frame)
