"""All messages between two connected nodes, on a stream, and how they are read (PROTOCOL sections 6 and 7).

On the wire a message is msgpack `[version, kind, fields, frames]`, where `frames` are whole frames that the
sender's loop attached from its store.
"""

from __future__ import annotations

from starling.protocol.errors import DecodeError
from starling.protocol.exchange.archiver_messages import Listed, ListPulse, MemberFloors, WantFrames, WantList
from starling.protocol.exchange.frame import MAX_FRAME
from starling.protocol.exchange.joining_messages import (
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
)
from starling.protocol.exchange.member_messages import (
    Excluded,
    Frames,
    Gone,
    Hello,
    Profiles,
    Pulse,
    RosterEntries,
    Summary,
    Want,
    WantProfiles,
    WantRoster,
)
from starling.protocol.exchange.message import MAX_FRAMES, MAX_MESSAGE, VERSION, Message, frozen
from starling.protocol.exchange.readmission_messages import Denied, ReadmitRequest, Sighted
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

_KINDS: dict[int, type[Message]] = {
    cls.kind: cls
    for cls in (
        Hello, Pulse, Summary, Want, Frames, RosterEntries, WantRoster, Profiles, WantProfiles, Gone, Excluded,
        ListPulse, WantList, Listed, WantFrames, MemberFloors,
        JoinHello, JoinProof, JoinRequest, JoinAnswer, JoinRefused,
        ReadmitRequest, Sighted, Denied,
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
    return cls(*map(frozen, shape(values, cls.patterns))), tuple(frames)
