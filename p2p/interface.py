"""What the daemon sees of the network: one interface, plain values, no libp2p.

The network moves bytes and decides nothing about groups. A peer id is the multihash of a libp2p public
key, 38 bytes for the Ed25519 keys used here; addresses are multiaddr texts without the peer id, such as
`/ip4/192.0.2.7/tcp/4001`.

    network = open_network(NetworkOptions(identity_seed=seed, listen=("/ip4/0.0.0.0/tcp/4001",)))
    addresses = await nursery.start(network.run)
    async for event in network.events:
        ...

`run` ends by cancellation, closing every connection first; `events` ends with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # The stubs that libp2p brings along hide trio's own annotations from type checkers.
    from trio_typing import TaskStatus

MAX_FRAME = 60 * 1024
"""The longest frame that may be gossiped, in bytes; longer ones are asked for by message."""

MAX_MESSAGE = 4 * 1024 * 1024
"""The longest message that a member, or a guest that was dialled for a join, may send."""

MAX_STRANGER_MESSAGE = 64 * 1024
"""The longest message that any other peer may send."""


class NetworkError(Exception):
    """The base of what the network raises."""


class ListenError(NetworkError):
    """The node cannot listen on an address: in use, not of this machine, or not understood."""

    def __init__(self, address: str, cause: str) -> None:
        super().__init__(f"cannot listen on {address}: {cause}")
        self.address = address
        self.cause = cause


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A peer has its first connection, whoever dialled; `address` is for the log, "" where unknown."""

    peer_id: bytes
    address: str = ""


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """The last connection to a peer is gone, and with it whatever was still queued for it."""

    peer_id: bytes


@dataclass(frozen=True, slots=True)
class DialFailed:
    """One dial of a known peer failed at all its addresses; the network goes on trying by itself."""

    peer_id: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """One gossiped frame; `peer_id` is who forwarded it. It may come more than once."""

    topic: str
    peer_id: bytes
    frame: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One message from a connected peer, in the order of its sending.

    It may come twice where a connection was replaced while it was sent.
    """

    peer_id: bytes
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the node listens from now on: the whole set, dialable addresses without the peer id."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discovered:
    """A peer announced itself on the local network: unverified, a hint for dialling."""

    peer_id: bytes
    addresses: tuple[str, ...]


NetworkEvent = PeerConnected | PeerDisconnected | DialFailed | Frame | Message | Listening | Discovered


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How a node takes part.

    `identity_seed` is the 32-byte Ed25519 seed of the libp2p identity. `listen` are multiaddr texts,
    port 0 for a free one, empty for a node that only dials. `mdns` announces peer id and addresses on the
    local network and looks for others.
    """

    identity_seed: bytes = field(repr=False)
    listen: tuple[str, ...] = ()
    mdns: bool = False

    def __post_init__(self) -> None:
        if len(self.identity_seed) != 32:
            raise ValueError("identity_seed must be 32 bytes")


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One connected peer, for people: `standing` is `member`, `guest` or `unknown`, `since` in seconds."""

    peer_id: bytes
    address: str
    outbound: bool
    standing: str
    since: float


class Events(Protocol):
    """The one channel of events: for one receiver, ends with `trio.EndOfChannel`."""

    async def receive(self) -> NetworkEvent: ...

    def receive_nowait(self) -> NetworkEvent:
        """The next event, or `trio.WouldBlock`."""

    def __aiter__(self) -> AsyncIterator[NetworkEvent]: ...


class Network(Protocol):
    """A node's place in the network. All methods but `run` return at once and never block.

    Calling them before `run` has started is allowed: topics and peers are remembered.
    """

    @property
    def peer_id(self) -> bytes:
        """The node's own peer id, 38 bytes."""

    @property
    def events(self) -> Events:
        """Everything that happens, in order. Unread messages hold back their senders; unread frames
        are dropped and counted as `frames_lost`."""

    async def run(self, *, task_status: TaskStatus[tuple[str, ...]]) -> None:
        """Take part until cancelled; started with the addresses listened on. Raises `ListenError`."""

    def publish(self, topic: str, frame: bytes) -> bool:
        """Gossip a frame of 1 to `MAX_FRAME` bytes; False where the queue was full and it was dropped.

        Nothing promises that it arrives. `ValueError` for a frame of another size.
        """

    def send(self, peer_id: bytes, data: bytes) -> bool:
        """Queue a message of at most `MAX_MESSAGE` bytes; False where dropped (no connection, no room).

        Messages to a peer keep their order. `ValueError` for a longer one.
        """

    def set_topics(self, topics: frozenset[str]) -> None:
        """Be subscribed to exactly these topics."""

    def set_known_peers(
        self, members: Mapping[bytes, tuple[str, ...]], guests: Mapping[bytes, tuple[str, ...]]
    ) -> None:
        """Who may gossip and is kept connected, and who is dialled for a join only: the whole sets."""

    def disconnect(self, peer_id: bytes, reason: str = "") -> None:
        """Close every connection to a peer; a known peer is dialled again later."""

    def connected(self) -> tuple[PeerInfo, ...]:
        """The connected peers."""

    def counters(self) -> Mapping[str, int]:
        """What was sent, received, dropped and refused since the start, by name."""


_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MAX_PEER_ID = 64


def peer_id_text(peer_id: bytes) -> str:
    """The usual text of a peer id: base58 of its multihash, `12D3Koo...` for Ed25519."""
    number = int.from_bytes(peer_id)
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    zeros = len(peer_id) - len(peer_id.lstrip(b"\0"))
    return "1" * zeros + digits


def peer_id_from_text(text: str) -> bytes:
    """The multihash behind the text of a peer id; `ValueError` where it is none."""
    if not 0 < len(text) <= 2 * _MAX_PEER_ID:
        raise ValueError("not a peer id")
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise ValueError("not a peer id")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    peer_id = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8)
    # A multihash: function, length of the digest, digest; 0 is the identity function, 0x12 SHA-256.
    if len(peer_id) < 3 or peer_id[0] not in (0x00, 0x12) or len(peer_id) != 2 + peer_id[1]:
        raise ValueError("not a peer id")
    return peer_id


def peer_id_of(public_key: bytes) -> bytes:
    """The peer id of an Ed25519 public key (32 bytes): the identity multihash of its libp2p encoding."""
    if len(public_key) != 32:
        raise ValueError("an Ed25519 public key has 32 bytes")
    encoded = b"\x08\x01\x12\x20" + public_key
    return bytes((0x00, len(encoded))) + encoded


def peer_id_of_seed(identity_seed: bytes) -> bytes:
    """The peer id that belongs to a 32-byte Ed25519 seed."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return peer_id_of(Ed25519PrivateKey.from_private_bytes(identity_seed).public_key().public_bytes_raw())


def open_network(options: NetworkOptions) -> Network:
    """A node on real libp2p, to be started with `run`; only here is libp2p imported (about a second)."""
    from starling.p2p.network import Libp2pNetwork

    return Libp2pNetwork(options)
