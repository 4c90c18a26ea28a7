"""One frame of another member on its way through the engine."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.exchange.frame import CommitFrame, MessageFrame


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame with who brought it."""

    peer_id: bytes
    data: bytes
    frame_id: bytes
    frame: CommitFrame | MessageFrame
    message: DMLSMessage
