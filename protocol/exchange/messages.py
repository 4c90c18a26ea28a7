"""Messages between two connected nodes, on a stream (PROTOCOL section 6, Joining, and section 7, Exchange).

On the wire a message is msgpack `[version, kind, fields, frames]`, where `frames` are whole frames that the
sender's loop attached from its store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from starling.protocol.distributed.evidence import MAX_BYTES as MAX_EVIDENCE
from starling.protocol.distributed.floor import MAX_FLOORS
from starling.protocol.distributed.key_packages import MAX_KEY_PACKAGE
from starling.protocol.distributed.roster_entry import MAX_ENTRY
from starling.protocol.errors import DecodeError
from starling.protocol.exchange.frame import MAX_FRAME
from starling.protocol.packed import Blob, Either, Many, Text, Uint, pack, shape, unpack

VERSION = 1
MAX_MESSAGE = 4 * 1024 * 1024
MAX_FRAMES = 256

_UNIVERSE_ID = Blob.of(32)
_DIGEST = Blob.of(32)
_EPOCH = Blob(64)
_GROUP_ID = Blob(64, 1)
_COUNT = Uint(2**32 - 1)
_ENTRY = Blob(MAX_ENTRY, 1)
_KEY_PACKAGE = Blob(MAX_KEY_PACKAGE, 1)
MAX_ENTRIES = 8192
"""Roster entries, or ids of such, in one message."""
_MAX_GROUPS = 1024
_MAX_POSITIONS = 2 * _MAX_GROUPS
MAX_WANTED_EPOCHS = 32
"""Of one group in one `Want`."""

_PROFILE = (Many(_KEY_PACKAGE, 8), Blob(2048))


MAX_LISTED = 512
"""Frames in one `Listed`."""

ListedRow = tuple[bytes, int, bytes, tuple[tuple[bytes, int, int], ...]]
Position = tuple[bytes, bytes, int, int, bool, int]
WantedEpoch = tuple[bytes, int, tuple[bytes, ...]]
WantedGroup = tuple[bytes, tuple[WantedEpoch, ...]]


@dataclass(frozen=True, slots=True)
class Message:
    """The base of all messages.

    `kind` is the wire number, `patterns` the shape of the fields in order, `max_bytes` what a whole one may have.
    """

    kind: ClassVar[int]
    patterns: ClassVar[tuple[Any, ...]]
    max_bytes: ClassVar[int] = MAX_MESSAGE

    def encode(self) -> bytes:
        """The message without attached frames, for `attach`."""
        values = [_plain(getattr(self, item.name)) for item in fields(self)]
        return pack([VERSION, self.kind, values])


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Opens the exchange in one universe: the entry that makes the sender a member, last, after the newest of those
    that it follows."""

    kind = 1
    max_bytes = 64 * 1024
    patterns = (_UNIVERSE_ID, Many(_ENTRY, 512))
    universe_id: bytes
    entries: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pulse(Message):
    """Every few seconds: digests of the roster and of all positions; equal digests end the talk."""

    kind = 2
    patterns = (_UNIVERSE_ID, _DIGEST, _DIGEST)
    universe_id: bytes
    roster_digest: bytes
    positions_digest: bytes


@dataclass(frozen=True, slots=True)
class Summary(Message):
    """How far the sender is in each send group that the receiver is in too.

    `positions` holds, per group and branch, `(group_id, head, number of the head's epoch, contiguous
    generations held in it, whether all earlier epochs are whole, floor)`. A place in one writer's log names the frames
    up to it, so no list of ids is needed. The floor is the number of the oldest epoch that the sender could still
    enter another child of. `answer` asks for a summary in return.
    """

    kind = 3
    patterns = (
        _UNIVERSE_ID,
        _DIGEST,
        Many((_GROUP_ID, _EPOCH, Uint(), _COUNT, bool, Uint()), _MAX_POSITIONS),
        bool,
    )
    universe_id: bytes
    roster_digest: bytes
    positions: tuple[Position, ...]
    answer: bool


@dataclass(frozen=True, slots=True)
class Want(Message):
    """Asks for what follows in some groups.

    Per group: `(group_id, epochs)`, where each epoch of which something may be lacking is `(dmls_epoch, contiguous
    generations held, its known children)`; no epoch at all asks for the frame that adds the asker.
    """

    kind = 4
    max_bytes = 256 * 1024  # of small numbers, which cost the most to check
    patterns = (
        _UNIVERSE_ID,
        Many((_GROUP_ID, Many((_EPOCH, _COUNT, Many(_EPOCH, 4)), MAX_WANTED_EPOCHS)), _MAX_GROUPS),
    )
    universe_id: bytes
    groups: tuple[WantedGroup, ...]


@dataclass(frozen=True, slots=True)
class Frames(Message):
    """The answer to `Want`. The frames are attached; whoever still lacks something asks again."""

    kind = 5
    patterns = (_UNIVERSE_ID,)
    universe_id: bytes


@dataclass(frozen=True, slots=True)
class RosterEntries(Message):
    """Roster entries that the receiver may lack, predecessors first."""

    kind = 6
    patterns = (_UNIVERSE_ID, Many(_ENTRY, MAX_ENTRIES))
    universe_id: bytes
    entries: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WantRoster(Message):
    """Asks for the roster entries that are not among these ids."""

    kind = 7
    patterns = (_UNIVERSE_ID, Many(Blob.of(32), MAX_ENTRIES))
    universe_id: bytes
    held: tuple[bytes, ...]

    @classmethod
    def beside(cls, universe_id: bytes, held: Iterable[bytes]) -> WantRoster:
        """Of a roster that is too long to name, some is told again."""
        return cls(universe_id, tuple(sorted(held)[:MAX_ENTRIES]))


@dataclass(frozen=True, slots=True)
class Profiles(Message):
    """Of members: their newest KeyPackages (one a suite) and their signed addresses (empty if unknown)."""

    kind = 8
    patterns = (_UNIVERSE_ID, Many(_PROFILE, _MAX_GROUPS))
    universe_id: bytes
    profiles: tuple[tuple[tuple[bytes, ...], bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class WantProfiles(Message):
    """Asks for the profiles of these members (identity keys)."""

    kind = 9
    patterns = (_UNIVERSE_ID, Many(Blob.of(32), _MAX_GROUPS))
    universe_id: bytes
    identities: tuple[bytes, ...]

    @classmethod
    def some(cls, universe_id: bytes, identities: Iterable[bytes]) -> WantProfiles:
        """Of as many as one message can name; whoever still lacks some asks again."""
        return cls(universe_id, tuple(dict.fromkeys(identities))[:_MAX_GROUPS])


@dataclass(frozen=True, slots=True)
class Gone(Message):
    """The answer to `Want` where the frames are not held any more: per group the number of the oldest epoch from which
    the sender can lead on to the newest, None where it can from none."""

    kind = 10
    max_bytes = 128 * 1024
    patterns = (_UNIVERSE_ID, Many((_GROUP_ID, Either(None, Uint())), _MAX_GROUPS, 1))
    universe_id: bytes
    groups: tuple[tuple[bytes, int | None], ...]


@dataclass(frozen=True, slots=True)
class ListPulse(Message):
    """Between a member and an archiver, on connect and every few seconds: the digest of the roster, and how far the
    sender's list of its frames goes. The list is named by a random `list_id`; with another one it begins anew.
    `read` is up to where the sender has all that it wants of the receiver's list `read_id` (empty: it knows none).
    An archiver that is `full` takes no more messages from the receiver."""

    kind = 32
    patterns = (_UNIVERSE_ID, _DIGEST, Blob.of(16), Uint(), Blob(16), Uint(), bool)
    universe_id: bytes
    roster_digest: bytes
    list_id: bytes
    last: int
    read_id: bytes
    read: int
    full: bool


@dataclass(frozen=True, slots=True)
class WantList(Message):
    """Asks for what a list has after a place in it."""

    kind = 33
    patterns = (_UNIVERSE_ID, Blob.of(16), Uint())
    universe_id: bytes
    list_id: bytes
    after: int


@dataclass(frozen=True, slots=True)
class Listed(Message):
    """The answer to `WantList`: frames that are held after the place `after`, in order, up to the place `upto`.

    Each row is `(group_id, number of the epoch, dmls_epoch, frames)`, and each of its frames `(frame id, what it
    is, its place)`: see `feed.FrameKind`.
    """

    kind = 34
    max_bytes = 256 * 1024
    patterns = (
        _UNIVERSE_ID,
        Blob.of(16),
        Uint(),
        Uint(),
        Many((_GROUP_ID, Uint(), _EPOCH, Many((Blob.of(32), Uint(2), Uint()), MAX_LISTED, 1)), MAX_LISTED),
    )
    universe_id: bytes
    list_id: bytes
    after: int
    upto: int
    rows: tuple[ListedRow, ...]


@dataclass(frozen=True, slots=True)
class WantFrames(Message):
    """Asks for frames by their ids; `Frames` answers, with as many of them as it may have."""

    kind = 35
    patterns = (_UNIVERSE_ID, Many(Blob.of(32), MAX_FRAMES, 1))
    universe_id: bytes
    frame_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MemberFloors(Message):
    """A member's signed floors (`distributed.floor`), for an archiver."""

    kind = 36
    max_bytes = 64 * 1024
    patterns = (_UNIVERSE_ID, Blob(MAX_FLOORS, 1))
    universe_id: bytes
    floors: bytes


@dataclass(frozen=True, slots=True)
class Excluded(Message):
    """The sender has removed the receiver, still a member, from its own send group while it was away; `absent` where
    that was because nothing was heard of it."""

    kind = 11
    patterns = (_UNIVERSE_ID, bool)
    universe_id: bytes
    absent: bool


@dataclass(frozen=True, slots=True)
class JoinHello(Message):
    """A joiner's first word: which invite, and a nonce for the sponsor to prove itself on."""

    kind = 16
    patterns = (_UNIVERSE_ID, Blob.of(32), Blob.of(32))
    universe_id: bytes
    invite_id: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class JoinProof(Message):
    """The sponsor vouches for the key by which it is to be asked (an encoded `VouchedInfo`), and proves that it knows
    the ticket's MAC key (P-4)."""

    kind = 17
    max_bytes = 4096
    patterns = (_UNIVERSE_ID, Blob.of(32), Blob(1024, 1), Blob.of(32))
    universe_id: bytes
    nonce: bytes
    vouched: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class JoinRequest(Message):
    """A DMLSMessage with a PrivateExternalMessage: the joiner's external Add proposal, sealed to the sponsor. Nothing
    beside it tells who asks."""

    kind = 18
    max_bytes = 32 * 1024
    patterns = (_UNIVERSE_ID, Blob(16 * 1024, 1))
    universe_id: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class JoinAnswer(Message):
    """Admitted: an HPKECiphertext of an `Admitted`, sealed to the key that the joiner has sent. A long roster takes
    several; to the last is attached the frame that adds the joiner."""

    kind = 19
    patterns = (_UNIVERSE_ID, Blob(MAX_MESSAGE, 1))
    universe_id: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class JoinRefused(Message):
    """Not admitted; `reason` is a short word, `final` says that trying again is useless."""

    kind = 20
    patterns = (_UNIVERSE_ID, Text(64, 1), bool)
    universe_id: bytes
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class ReadmitRequest(Message):
    """A member asks to start anew: a `JoinRequest` without a ticket, signed by its identity key instead (5.6 B7)."""

    kind = 24
    max_bytes = 64 * 1024
    patterns = (_UNIVERSE_ID, Text(64, 1), Uint(0xFFFF), _PROFILE, Blob.of(64))
    universe_id: bytes
    name: str
    cipher_suite: int
    profile: tuple[tuple[bytes, ...], bytes] = field(repr=False)
    signature: bytes


@dataclass(frozen=True, slots=True)
class Sighted(Message):
    """A member that starts anew tells which heads of its former send group it was shown, by an encoded
    `denial.Sighting`, and others pass it on: whoever made one of them in its present run is another node with the same
    keys (5.6 B6)."""

    kind = 25
    max_bytes = 4096
    patterns = (_UNIVERSE_ID, Blob(2048, 1))
    universe_id: bytes
    sighting: bytes


@dataclass(frozen=True, slots=True)
class Denied(Message):
    """Evidence that two nodes hold the keys of a member: an encoded `Evidence` with a denial (5.6 B6)."""

    kind = 26
    max_bytes = 16 * 1024
    patterns = (_UNIVERSE_ID, Blob(MAX_EVIDENCE, 1))
    universe_id: bytes
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Admitted:
    """What an answer to a joiner holds, msgpack `[entries, profiles]`: the roster or its next part, and with the last
    part all profiles."""

    entries: tuple[bytes, ...] = field(repr=False)
    profiles: tuple[tuple[tuple[bytes, ...], bytes], ...] = field(repr=False)

    def encode(self) -> bytes:
        return pack([_plain(self.entries), _plain(self.profiles)])

    @classmethod
    def decode(cls, data: bytes) -> Admitted:
        """Raises `DecodeError`."""
        values = shape(unpack(data, max_bytes=MAX_MESSAGE), _ADMITTED)
        return cls(*map(_frozen, values))


_ADMITTED = (Many(_ENTRY, MAX_ENTRIES), Many(_PROFILE, _MAX_GROUPS))

_KINDS: dict[int, type[Message]] = {
    cls.kind: cls
    for cls in (
        Hello, Pulse, Summary, Want, Frames, RosterEntries, WantRoster, Profiles, WantProfiles, Gone, Excluded,
        ListPulse, WantList, Listed, WantFrames, MemberFloors,
        JoinHello, JoinProof, JoinRequest, JoinAnswer, JoinRefused, ReadmitRequest,
        Sighted, Denied,
    )
}  # fmt: skip

_WIRE = (Blob(MAX_MESSAGE, 1), Many(Blob(MAX_FRAME, 1), MAX_FRAMES))
_ENVELOPE = (Uint(255), Uint(255), [object])


def attach(data: bytes, frames: list[bytes]) -> bytes:
    """What goes on the wire: an encoded message and whole frames from the store."""
    return pack([data, frames])


def decode_message(data: bytes) -> tuple[Message, tuple[bytes, ...]]:
    """The message and its attached frames; `DecodeError` for anything else."""
    body, frames = shape(unpack(data, max_bytes=MAX_MESSAGE), _WIRE)
    version, kind, values = shape(unpack(body, max_bytes=MAX_MESSAGE), _ENVELOPE)
    if version != VERSION:
        raise DecodeError(f"message version {version} is not known")
    cls = _KINDS.get(kind)
    if cls is None:
        raise DecodeError(f"message kind {kind} is not known")
    if len(body) > cls.max_bytes:
        raise DecodeError(f"{len(body)} bytes where a {cls.__name__} has at most {cls.max_bytes}")
    return cls(*map(_frozen, shape(values, cls.patterns))), tuple(frames)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
