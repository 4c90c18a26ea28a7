"""What connected members hold more of, and what of it was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Link:
    """The exchange with one connected member."""

    pulse_at: int
    is_new: bool = False
    """Whether it was met while this node asks to start anew, and has not said yet how far it is."""


@dataclass(slots=True)
class Behind:
    """A group in which a peer holds more: `head` and `count` are what it said, `due` when to ask it. `others` are
    peers that meanwhile named heads that are not known either: they are asked after it."""

    peer_id: bytes
    head: bytes
    count: int
    due: int
    attempts: int = 0
    asked: object = None
    others: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Lack:
    """Something of a group that a peer has and this node does not get: since when, when a peer last said so, and how
    far this node was in the group then."""

    since: int
    named_at: int
    place: tuple[bytes, int]
    told: bool = False


@dataclass(slots=True)
class GoneFrames:
    """Which peers said that the frames are gone which this node needs of a group, while it was at `place`."""

    place: bytes
    peers: set[bytes] = field(default_factory=set)
