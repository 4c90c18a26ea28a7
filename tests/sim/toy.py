"""An honest toy engine, and flawed ones: what the simulator's own oracle is tested with.

It speaks the engine's interface without cryptography: every member numbers its messages, tells its
neighbours how many it holds of whom every few seconds, and hands over what they lack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.inputs import (
    CreateInvite,
    CreateUniverse,
    FrameReceived,
    JoinUniverse,
    MessageFromPeer,
    OwnAddresses,
    PeerConnected,
    PeerDisconnected,
    RemoveMember,
    SendMessage,
    UpdateKeys,
)
from starling.protocol.engine.step import (
    Event,
    KnownPeers,
    Publish,
    Put,
    Send,
    SendToPeer,
    Step,
    Topics,
    Write,
)
from starling.protocol.errors import UsageError
from starling.protocol.packed import pack, unpack

_PULSE = 2_000
_TOPIC = "toy"
_MOST = 8 * 1024 * 1024


class ToyEngine:
    """Keeps rows `member`, `message` and `universe`; `flaw` names what it does wrong on purpose."""

    flaw = ""

    def __init__(
        self,
        identity: Identity,
        records: Iterable[tuple[str, bytes, bytes]],
        *,
        now: int,
        random: Callable[[int], bytes],
    ) -> None:
        self.me = identity.identity_public_key
        self.peer_id = identity.peer_id
        self.random = random
        self.addresses: tuple[str, ...] = ()
        self.universe = b""
        self.members: dict[bytes, tuple[bytes, tuple[str, ...], bool]] = {}
        self.logs: dict[bytes, dict[int, tuple[bytes, bytes]]] = {}
        self.shown: dict[bytes, int] = {}
        self.waiting: dict[tuple[bytes, int], tuple[Any, bytes]] = {}
        self.guests: dict[bytes, tuple[str, ...]] = {}
        self.connected: set[bytes] = set()
        self.recipients: dict[bytes, int] = {}
        self.said: dict[bytes, Any] = {}
        self.pulse_at = now
        self.key = random(16)
        self.seals = 0
        for table, key, value in records:
            row = unpack(value, max_bytes=_MOST)
            match table:
                case "universe":
                    self.universe = key
                    self.guests = {peer: tuple(addresses) for peer, addresses in row}
                case "member":
                    self.members[key] = (row[0], tuple(row[1]), row[2])
                case "message":
                    sender, number, message_id, recipients = row
                    self.recipients[key] = recipients
                    self.logs.setdefault(sender, {})[number] = (key, message_id)
                    self.shown[sender] = max(self.shown.get(sender, 0), number)

    def converged(self, universe_id: bytes) -> bool:
        """Whether every connected member last said what this node would say."""
        others = {
            peer for member, (peer, _, removed) in self.members.items() if member != self.me and not removed
        }
        return all(self.said.get(peer) == self._summary() for peer in others)

    def handle(self, input: Any, now: int) -> Step:
        self.writes: list[Write] = []
        self.sends: list[Send] = []
        self.events: list[Event] = []
        result: Any = None
        match input:
            case OwnAddresses(addresses):
                self.addresses = addresses
                self.sends.append(Topics(frozenset({_TOPIC})))
                if self.members:
                    self._learn(self.me, self.peer_id, addresses, self.members[self.me][2])
                self._tell_peers()
            case PeerConnected(peer_id):
                self.connected.add(peer_id)
                if self.guests:
                    self._say(peer_id, ["join", self.me, self.peer_id, list(self.addresses)])
            case PeerDisconnected(peer_id):
                self.connected.discard(peer_id)
            case FrameReceived(_, frame):
                self._frame(frame)
            case MessageFromPeer(peer_id, data):
                self._message(peer_id, data)
            case CreateUniverse(name):
                self.universe = hashlib.sha256(name.encode() + self.me).digest()
                self.writes.append(Put("universe", self.universe, pack([])))
                self._learn(self.me, self.peer_id, self.addresses, False)
                result = self.universe
            case CreateInvite():
                result = {"ticket": pack([self.universe, [[self.peer_id, list(self.addresses)]]]).hex()}
            case JoinUniverse(ticket):
                if self.members:
                    raise UsageError("already a member")
                self.universe, rows = unpack(bytes.fromhex(ticket), max_bytes=_MOST)
                self.guests = {peer: tuple(addresses) for peer, addresses in rows}
                self.writes.append(Put("universe", self.universe, pack(rows)))
                self._tell_peers()
                result = self.universe
            case SendMessage(_, message_id, body, _, _, to):
                result = self._send(message_id, body, to)
            case RemoveMember(_, identity):
                peer, addresses, _ = self.members[identity]
                self._learn(identity, peer, addresses, True)
            case UpdateKeys():
                result = 1
        if now >= self.pulse_at:
            self.pulse_at = now + _PULSE
            for peer_id in sorted(self.connected):
                if self.guests:
                    self._say(peer_id, ["join", self.me, self.peer_id, list(self.addresses)])
                elif self.universe:
                    self._say(peer_id, self._summary())
        return Step(tuple(self.writes), tuple(self.sends), tuple(self.events), self.pulse_at, result)

    # membership

    def _learn(self, identity: bytes, peer_id: bytes, addresses: tuple[str, ...], removed: bool) -> None:
        old = self.members.get(identity)
        new = (peer_id, tuple(addresses), removed or (old is not None and old[2]))
        if old == new:
            return
        self.members[identity] = new
        self.writes.append(Put("member", identity, pack([new[0], list(new[1]), new[2]])))
        if identity == self.me and self.guests:
            self.guests = {}
            self.writes.append(Put("universe", self.universe, pack([])))
            self.events.append(Event("universe.joined", self.universe, {}))
        self._tell_peers()

    def _tell_peers(self) -> None:
        known = {peer: addresses for peer, addresses, _ in self.members.values() if peer != self.peer_id}
        self.sends.append(KnownPeers(known, self.guests))

    # messages

    def _send(self, message_id: bytes, body: bytes, only: bytes) -> dict[str, Any]:
        log = self.logs.setdefault(self.me, {})
        for held_id, known in log.values():
            if known == message_id and self.flaw != "forgets ids":
                return {"state": "sent", "recipients": self.recipients[held_id]}
        number = len(log) + 1
        to = sorted(key for key, (_, _, removed) in self.members.items() if key != self.me and not removed)
        if only and self.flaw != "tells all":
            if only not in to:
                raise UsageError("no such member")
            to = [only]
        frame = pack([self.me, number, message_id, body, to, number, only])
        self.seals += 1
        nonce = (0 if self.flaw == "one nonce" else self.seals).to_bytes(12, "big")
        cipher_suite(1).seal(self.key, nonce, b"", frame)
        key = self._keep(self.me, number, message_id, frame, len(to))
        log[number] = (key, message_id)
        self.shown[self.me] = number
        self.recipients[key] = len(to)
        self.sends.append(Publish(_TOPIC, frame))
        return {"state": "sent", "recipients": len(to) + (self.flaw == "miscounts")}

    def _keep(self, sender: bytes, number: int, message_id: bytes, frame: bytes, recipients: int) -> bytes:
        key = hashlib.sha256(frame).digest()
        self.writes.append(Put("frame", key, frame))
        if not (self.flaw == "forgets what it showed" and sender != self.me):
            self.writes.append(Put("message", key, pack([sender, number, message_id, recipients])))
        return key

    def _frame(self, frame: bytes) -> None:
        row = unpack(frame, max_bytes=_MOST)
        sender, number = row[0], row[1]
        if number <= self.shown.get(sender, 0) or len(self.waiting) > 1_000:
            if self.flaw == "shows twice" and self.me in row[4]:
                self._show(row)
            return
        self.waiting[sender, number] = (row, frame)
        while True:
            following = (sender, self.shown.get(sender, 0) + 1)
            if self.flaw == "does not wait" and following not in self.waiting:
                following = min((key for key in self.waiting if key[0] == sender), default=following)
            if following not in self.waiting:
                return
            row, frame = self.waiting.pop(following)
            number, message_id, to = row[1], row[2], row[4]
            self.logs.setdefault(sender, {})[number] = (
                self._keep(sender, number, message_id, frame, len(to)),
                message_id,
            )
            self.shown[sender] = number
            if self.me in to and not (self.flaw == "drops" and number % 3 == 0):
                self._show(row)

    def _show(self, row: Any) -> None:
        sender, number, message_id, text = row[:4]
        if self.flaw == "misattributes" and number % 3 == 0:
            sender = self.me
        if self.flaw == "garbles" and number % 3 == 0:
            text = text + b"!"
        body = {"sender": sender, "id": message_id, "body": text, "to": row[6] or None}
        self.events.append(Event("message.received", self.universe, body))

    # between nodes

    def _say(self, peer_id: bytes, message: Any, frame_ids: tuple[bytes, ...] = ()) -> None:
        self.sends.append(SendToPeer(peer_id, pack(message), frame_ids))

    def _summary(self) -> Any:
        members = [
            [key, peer, list(addresses), removed]
            for key, (peer, addresses, removed) in sorted(self.members.items())
        ]
        return [
            "summary",
            members,
            [[sender, count] for sender, count in sorted(self.shown.items()) if count],
        ]

    def _message(self, peer_id: bytes, data: bytes) -> None:
        body, frames = unpack(data, max_bytes=_MOST)
        message = unpack(body, max_bytes=_MOST)
        match message:
            case ["join", identity, joiner, addresses]:
                self._learn(identity, joiner, tuple(addresses), False)
                self._say(peer_id, self._summary())
            case ["summary", members, counts]:
                for identity, peer, addresses, removed in members:
                    self._learn(identity, peer, tuple(addresses), removed)
                self.said[peer_id] = message
                theirs = dict(counts)
                lacking = [
                    key
                    for sender, log in sorted(self.logs.items())
                    for number, (key, _) in sorted(log.items())
                    if number > theirs.get(sender, 0)
                ]
                if lacking and self.flaw != "serves nothing":
                    self._say(peer_id, ["frames"], tuple(lacking[:200]))
            case ["frames"]:
                for frame in frames:
                    self._frame(frame)


def flawed(flaw: str) -> type[ToyEngine]:
    """A toy engine that does one thing wrong."""
    return type("FlawedToyEngine", (ToyEngine,), {"flaw": flaw})
