"""What the engine is given: things that happened on the network, the timer, and commands of actors.

Times are integers, milliseconds since the Unix epoch. Ids and keys are raw bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A libp2p peer is connected, whoever dialled."""

    peer_id: bytes


@dataclass(frozen=True, slots=True)
class PeerDisconnected:
    """The last connection to a peer is gone."""

    peer_id: bytes


@dataclass(frozen=True, slots=True)
class DialFailed:
    """One dial of a peer failed; the network layer goes on trying by itself."""

    peer_id: bytes


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """One frame came by gossip; `peer_id` is who forwarded it, not who wrote it."""

    peer_id: bytes
    frame: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageFromPeer:
    """One message came on a stream from a connected peer."""

    peer_id: bytes
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wake:
    """The time of `Step.wake_at` has come (or any other moment: it does no harm)."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The clock was set far off, which sleeping does not do: the machine may have been put back to an old state.

    It begins a new run (B2): the node commits before it encrypts again.
    """


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """Where this node listens now, as multiaddr texts without the peer id."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CreateUniverse:
    """Found a universe. `name` is for people (1 to 64 characters); result: the universe id (32 bytes)."""

    name: str
    cipher_suite: int = 1


@dataclass(frozen=True, slots=True)
class CreateInvite:
    """Make a ticket. Result: dict with `ticket` (text), `invite_id` and `expires_at`.

    `uses` is how many may join with it, 1 to 1,000; `expires_in` is in milliseconds; `role` is what who joins becomes:
    member, reader or admin, none above this node's own right.
    """

    universe_id: bytes
    uses: int = 1
    expires_in: int = 24 * 3600 * 1000
    role: str = "member"


@dataclass(frozen=True, slots=True)
class RevokeInvite:
    """Take an invite back; those who already joined stay."""

    universe_id: bytes
    invite_id: bytes


@dataclass(frozen=True, slots=True)
class JoinUniverse:
    """Begin to join by a ticket; result: the universe id. `universe.joined` or `join.failed` tells the end."""

    ticket: str = field(repr=False)
    cipher_suite: int = 1


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send to the whole universe, or to the one member whose identity key `to` is. Idempotent by `message_id`
    (16 bytes), which stands for one type, body and `to`.

    Result: dict with `state`, `queued`, `sent` or `undelivered`, and for `sent` the `recipients` (the other leaves
    of its epoch; 1 for a direct message), `epoch` and `dmls_epoch`; for `queued` the event `message.sent` tells
    them, or `message.undelivered` that the member has gone before it could be sent.
    """

    universe_id: bytes
    message_id: bytes
    body: bytes = field(repr=False)
    content_type: str = "text"
    refs: tuple[bytes, ...] = ()
    to: bytes = b""


@dataclass(frozen=True, slots=True)
class UpdateKeys:
    """Commit with a path now, whatever the timer says. Result: the new epoch."""

    universe_id: bytes


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Remove a member from the universe, where the policy lets this node; `identity` is its 32-byte identity key.

    With `disowning` all that it did falls too, so that nobody is a member any more who came by it alone; that takes who
    is more senior. Result: dict with `gone`, the identities of all who are no members any more, the member's first.
    """

    universe_id: bytes
    identity: bytes
    disowning: bool = False


@dataclass(frozen=True, slots=True)
class Recover:
    """Start anew in a universe, with a new send group and a higher incarnation (PROTOCOL 5.6): for a node that was
    put back to an old state, or runs twice.

    Result: dict with `state`, `asking` until somebody who may confirms it, or `active` for who may itself, and
    `verification`, the twelve digits to compare. Asking again changes nothing.
    """

    universe_id: bytes


@dataclass(frozen=True, slots=True)
class ReadmitMember:
    """Confirm that a member may start anew (admins only). `verification` are the twelve digits of the request that
    is meant, which two people have compared."""

    universe_id: bytes
    identity: bytes
    verification: str


@dataclass(frozen=True, slots=True)
class LeaveUniverse:
    """Leave a universe for good, also with nobody connected: they are told when they are. `force` where this node is
    the last that may remove and admit others.

    Result: dict with `told`, how many members were connected.
    """

    universe_id: bytes
    force: bool = False


@dataclass(frozen=True, slots=True)
class SetRole:
    """Make a member an admin, a member or a reader; only admins may."""

    universe_id: bytes
    identity: bytes
    role: str


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Who may invite, and who may remove: `member` or `admin`, None to leave it as it is. Only admins may.

    Result: dict with `invite` and `remove`, as they are then.
    """

    universe_id: bytes
    invite: str | None = None
    remove: str | None = None


@dataclass(frozen=True, slots=True)
class BlockMember:
    """Keep a member out of this node's own group and show nothing that it says, whatever the others do."""

    universe_id: bytes
    identity: bytes


@dataclass(frozen=True, slots=True)
class UnblockMember:
    """Take a blocked member into this node's own group again; what it said meanwhile is not shown."""

    universe_id: bytes
    identity: bytes


@dataclass(frozen=True, slots=True)
class Rejoin:
    """Have all members add this node again that have removed it from their groups while it was away (PROTOCOL B7).

    Result: dict with `groups`, how many those are as far as is known.
    """

    universe_id: bytes


@dataclass(frozen=True, slots=True)
class Rename:
    """Call oneself something else, in all universes: 1 to 64 printable characters without space around them."""

    name: str


@dataclass(frozen=True, slots=True)
class NameMember:
    """Call a person this on this node, in all universes; an empty petname clears it."""

    universe_id: bytes
    identity: bytes
    petname: str


@dataclass(frozen=True, slots=True)
class MarkVerified:
    """Note that the number of the pair was compared with a person, or take that back."""

    universe_id: bytes
    identity: bytes
    verified: bool


@dataclass(frozen=True, slots=True)
class NameArchiver:
    """Name an archiver by the offer that its operator made (`starling archiver offer`). Result: its identity key."""

    universe_id: bytes
    offer: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoveArchiver:
    """Take an archiver's name off the roster; `identity` is its 32-byte identity key."""

    universe_id: bytes
    identity: bytes


@dataclass(frozen=True, slots=True)
class OfferArchiver:
    """For an archiver's own node: make an offer, by which one universe may name it. Result: dict with `offer`."""


@dataclass(frozen=True, slots=True)
class DropArchive:
    """For an archiver's own node: forget a universe with everything that is kept of it."""

    universe_id: bytes


Command = (
    CreateUniverse
    | CreateInvite
    | RevokeInvite
    | JoinUniverse
    | SendMessage
    | UpdateKeys
    | RemoveMember
    | Recover
    | ReadmitMember
    | LeaveUniverse
    | SetRole
    | SetPolicy
    | BlockMember
    | UnblockMember
    | Rejoin
    | Rename
    | NameMember
    | MarkVerified
    | NameArchiver
    | RemoveArchiver
    | OfferArchiver
    | DropArchive
)
Input = (
    PeerConnected
    | PeerDisconnected
    | DialFailed
    | FrameReceived
    | MessageFromPeer
    | Wake
    | ClockJumped
    | OwnAddresses
    | Command
)
