"""What reaches the nodes of a simulated universe, by what it is for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starling.protocol.exchange.member_messages import Pulse, Summary
from starling.protocol.exchange.messages import decode_message

MESSAGE, COMMIT, REPORT = "user messages", "commits", "reports"
PULSE, SUMMARY, EXCHANGE, AGAIN = "pulses", "summaries", "rest of the exchange", "what was known"
KINDS = (MESSAGE, COMMIT, REPORT, PULSE, SUMMARY, EXCHANGE, AGAIN)


@dataclass(slots=True)
class Traffic:
    """Bytes and pieces that arrived, by kind; and the commits that were made, by what for."""

    size: Counter[str] = field(default_factory=Counter)
    pieces: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)

    def arrived(self, kind: str, size: int) -> None:
        self.size[kind] += size
        self.pieces[kind] += 1

    def committed(self, body: Any) -> None:
        """By an event `epoch.started` of the own group."""
        self.made["commits"] += 1
        if body["path"]:
            self.made["updates"] += 1
        if body["imports"]:
            self.made["imports"] += 1

    def stream(self, data: bytes, frames: int) -> None:
        """A message of the exchange, without the `frames` bytes that are attached to it."""
        message, _ = decode_message(data)
        kind = {Pulse: PULSE, Summary: SUMMARY}.get(type(message), EXCHANGE)
        self.arrived(kind, len(data) - frames)

    def as_json(self) -> dict[str, Any]:
        return {"bytes": dict(self.size), "pieces": dict(self.pieces), "made": dict(self.made)}
