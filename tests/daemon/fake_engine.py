"""A small engine for tests of the daemon: universes by name, messages that are sent at once or held back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from starling.protocol.distributed.identity import Identity
from starling.protocol.engine import inputs
from starling.protocol.engine.step import Delete, Event, Publish, Put, SendToPeer, Step
from starling.protocol.errors import UsageError


class FakeEngine:
    """Keeps universes and the messages it was given in records, as the real one would.

    `hold` keeps messages queued until a Wake after `release`. A frame of a peer becomes a received message;
    one that is `crash` raises. With a `fault` set a message, or a frame that is `fault`, fails half way.
    """

    def __init__(self, identity: Identity, records: Iterable[tuple[str, bytes, bytes]]) -> None:
        self.identity = identity
        self.names: dict[bytes, str] = {}
        self.messages: dict[bytes, bytes] = {}
        self.handled: list[Any] = []
        self.known: list[tuple[bytes, str, str | None]] = [
            (identity.identity_public_key, identity.name, None)
        ]
        """The people of every universe: identity, name, petname."""
        self.hold = False
        self.in_trouble = ""
        self.fault: Exception | None = None
        self.queued: list[inputs.SendMessage] = []
        for table, key, value in records:
            if table == "universe":
                self.names[key] = value.decode()
            elif table == "message":
                self.messages[key] = value

    def handle(self, what: Any, now: int) -> Step:
        self.handled.append(what)
        match what:
            case inputs.CreateUniverse(name):
                universe_id = (len(self.names) + 1).to_bytes(32)
                self.names[universe_id] = name
                event = Event("universe.created", universe_id, {"name": name})
                return Step((Put("universe", universe_id, name.encode()),), (), (event,), None, universe_id)
            case inputs.SendMessage(universe_id, message_id):
                if universe_id not in self.names:
                    raise UsageError("no such universe on this node", "universe.unknown")
                if self.fault is not None:
                    self._sent(what)
                    raise self.fault
                if self.hold:
                    self.queued.append(what)
                    return Step(result={"id": message_id, "state": "queued"})
                return self._sent(what)
            case inputs.JoinUniverse(ticket):
                if ticket == "expired":
                    raise UsageError("the ticket has expired; ask for a new one", "ticket.expired")
                if ticket == "revoked":
                    refusal = Event("join.failed", b"j" * 32, {"reason": "ticket.revoked"})
                    return Step(events=(refusal,), result=b"j" * 32)
                return Step(result=b"j" * 32, wake_at=now)
            case inputs.CreateInvite(_, uses, expires_in):
                made = {"ticket": "starling1", "invite_id": b"i" * 32, "expires_at": now + expires_in}
                return Step(result={**made, "uses": uses})
            case inputs.Rename(name):
                self.identity = replace(self.identity, name=name)
                return Step()
            case inputs.Wake() if self.queued and not self.hold:
                steps = [self._sent(message) for message in self.queued]
                self.queued.clear()
                return Step(
                    tuple(w for s in steps for w in s.writes), (), tuple(e for s in steps for e in s.events)
                )
            case inputs.FrameReceived(_, b"crash"):
                raise RuntimeError("secret detail")
            case inputs.FrameReceived(_, b"fault") if self.fault is not None:
                self.names.clear()
                raise self.fault
            case inputs.FrameReceived(peer_id, frame):
                body: dict[str, object] = {
                    "sender": peer_id,
                    "sender_name": "Bob",
                    "id": frame[:16].ljust(16),
                    "type": "text",
                }
                body |= {"body": frame, "refs": [], "epoch": 1, "dmls_epoch": b"d" * 32}
                return Step(events=(Event("message.received", b"\1" * 32, body),))
            case inputs.MessageFromPeer(peer_id, data):
                return Step(sends=(SendToPeer(peer_id, b"answer", (data, b"missing")),))
            case inputs.OfferArchiver():
                return Step(result={"offer": "starlingarchiver1"})
            case inputs.NameArchiver():
                return Step(result=b"a" * 32)
            case inputs.UpdateKeys(universe_id):
                return Step((Delete("universe", universe_id),), result=7)
        return Step()

    def _sent(self, what: inputs.SendMessage) -> Step:
        outcome = {"id": what.message_id, "recipients": 2, "epoch": 1, "dmls_epoch": b"d" * 32}
        event = Event("message.sent", what.universe_id, {**outcome, "type": "text", "body": what.body})
        if what.message_id in self.messages:
            return Step(result={"state": "sent", **outcome})
        self.messages[what.message_id] = what.body
        writes = (Put("message", what.message_id, what.body), Put("frame", what.message_id, b"F" + what.body))
        return Step(
            writes, (Publish("topic", b"F" + what.body),), (event,), None, {"state": "sent", **outcome}
        )

    def universes(self) -> list[Mapping[str, Any]]:
        return [{"universe_id": i, "name": name} for i, name in self.names.items()]

    def universe(self, universe_id: bytes) -> Mapping[str, Any]:
        if universe_id not in self.names:
            raise UsageError("no such universe on this node", "universe.unknown")
        policy = {"invite": "member", "remove": "admin"}
        return {"universe_id": universe_id, "name": self.names[universe_id], "policy": policy}

    def trouble(self, universe_id: bytes) -> str:
        return self.in_trouble

    def members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return [
            {"identity": self.identity.identity_public_key, "name": "Ann", "peer_id": self.identity.peer_id}
        ]

    def former_members(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return []

    def people(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        self.universe(universe_id)
        return [
            {
                "identity": identity,
                "name": name,
                "petname": petname,
                "display_name": petname or name,
                "verified_at": None,
                "is_member": True,
            }
            for identity, name, petname in self.known
        ]

    def named(self, universe_id: bytes, value: Mapping[str, Any]) -> Mapping[str, Any]:
        return value

    def archivers(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return [{"identity": b"a" * 32, "name": "Vault"}]

    def invites(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return []

    def security(self, universe_id: bytes, member: bytes | None = None) -> Mapping[str, Any]:
        return {
            "converged": True, "digest": "123456789012", "digest_hex": b"d" * 32, "diverged_since": None,
            "members": [],
        }  # fmt: skip

    def forks(self, universe_id: bytes, owner: bytes | None = None) -> list[Mapping[str, Any]]:
        return []

    def evidence(self, universe_id: bytes) -> list[Mapping[str, Any]]:
        return []

    def converged(self, universe_id: bytes) -> bool:
        return True

    def peers(self) -> list[Mapping[str, Any]]:
        return []

    def status(self) -> Mapping[str, Any]:
        return {"name": self.identity.name, "peer_id": self.identity.peer_id}
