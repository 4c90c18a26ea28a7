"""What the engine gives back: plain values for the loop to save, then to send.

The loop commits `writes` and `events` in one transaction, and only then performs `sends` (invariant I1,
durable before visible).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Put:
    """Store `value` under (`table`, `key`), replacing what is there.

    Values are sealed at rest. `scope` names the sealing key: empty for the node's lasting key, else a
    name of at most 64 bytes whose key `EraseScope` destroys, and with it every value sealed under it.
    Rows of the table `frame` hold ciphertext that travels anyway: they are stored as they are, and are
    not given back at a restart but fetched one by one.
    """

    table: str
    key: bytes
    value: bytes = field(repr=False)
    scope: bytes = b""


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the row (`table`, `key`); no error where there is none."""

    table: str
    key: bytes


@dataclass(frozen=True, slots=True)
class EraseScope:
    """Destroy the sealing key of `scope`; the engine deletes the rows themselves by `Delete`."""

    scope: bytes


Write = Put | Delete | EraseScope


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip one frame (at most 60 KiB) on a topic; nothing promises that it arrives."""

    topic: str
    frame: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendToPeer:
    """Send one message to a connected peer, dropped silently where it is not connected.

    `data` is an encoded message of `exchange.messages`; the loop appends the stored frames named by
    `frame_ids` (32 bytes each) with `exchange.messages.attach`, leaving out those it no longer has.
    """

    peer_id: bytes
    data: bytes = field(repr=False)
    frame_ids: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Topics:
    """The gossip topics to be subscribed to from now on: the whole set."""

    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class KnownPeers:
    """Who may gossip and exchange, and where to dial them: the whole set.

    `members` maps a peer id of a member to its addresses (multiaddr text without the peer id), empty
    where none is known. `guests` are peers to dial for a join only. Every other peer can only join.
    """

    members: Mapping[bytes, tuple[str, ...]]
    guests: Mapping[bytes, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the connection to a peer; `reason` is a short word for the log."""

    peer_id: bytes
    reason: str


Send = Publish | SendToPeer | Topics | KnownPeers | Disconnect


@dataclass(frozen=True, slots=True)
class Event:
    """Something for the apps: durable, numbered by the store, told to every cursor.

    `kind` is a dotted word such as `message.received`; `body` holds only str, int, bool, None, bytes,
    and lists and dicts of these.
    """

    kind: str
    universe_id: bytes
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one input.

    `wake_at` is when the engine wants `Wake` at the latest, in milliseconds of the clock given to it;
    None is never. `result` answers a command, None for other inputs.
    """

    writes: tuple[Write, ...] = ()
    sends: tuple[Send, ...] = ()
    events: tuple[Event, ...] = ()
    wake_at: int | None = None
    result: Any = None
