"""Frames that cannot be processed yet: a bounded place where they wait for what they lack (I7, PROTOCOL 5.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

MAX_FRAMES_PER_GROUP = 256
MAX_BYTES_PER_GROUP = 1024 * 1024
MAX_FRAMES_PER_FORWARDER = 2048
MAX_BYTES_PER_FORWARDER = 8 * 1024 * 1024
"""What one peer may have waiting in all groups; an answer of the exchange has 256 frames and 512 KiB."""

MAX_UNKNOWN_GROUPS = 64
MAX_UNKNOWN_BYTES = 1024 * 1024
"""What one peer may have waiting of groups that nobody has told of yet."""

_LEAST_WEIGHT = MAX_BYTES_PER_GROUP // MAX_FRAMES_PER_GROUP


class Need(NamedTuple):
    """What a frame waits for: something about an epoch of a group.

    `kind` is `epoch` (to be entered), `progress` (to have come to this generation), `whole` (older epochs of the
    group first) or `roster` (the group's owner to become known; `dmls_epoch` is empty).
    """

    kind: str
    group_id: bytes
    dmls_epoch: bytes
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Wait(Exception):  # not an error: it ends the handling of a frame that has to wait
    """The frame lacks something."""

    need: Need


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    frame_id: bytes
    frame: bytes = field(repr=False)
    group_id: bytes
    forwarder: bytes
    need: Need
    known_group: bool
    since: int

    @property
    def weight(self) -> int:
        """What it takes of its group's room: many small frames fill it as well as a few large ones."""
        return max(len(self.frame), _LEAST_WEIGHT)


@dataclass(slots=True)
class _Share:
    """What waits of one group, or by one peer."""

    frames: dict[bytes, WaitingFrame] = field(default_factory=dict)
    size: int = 0

    def add(self, waiting: WaitingFrame) -> None:
        self.frames[waiting.frame_id] = waiting
        self.size += len(waiting.frame)

    def remove(self, waiting: WaitingFrame) -> None:
        del self.frames[waiting.frame_id]
        self.size -= len(waiting.frame)


class Waiting:
    """The waiting frames of one universe.

    A group has a room, which peers share: who brings a frame to a full one may push out the newest of a peer that
    has more there. So a peer alone may use all of it, and none can keep another's frames out.
    """

    def __init__(self) -> None:
        self._frames: dict[bytes, WaitingFrame] = {}
        self._by_need: defaultdict[Need, list[bytes]] = defaultdict(list)
        self._groups: dict[bytes, _Share] = {}
        self._forwarders: dict[bytes, _Share] = {}
        self._unknown: dict[bytes, _Share] = {}
        """By forwarder, what is of groups that nobody has told of."""
        self._importing: defaultdict[bytes, int] = defaultdict(int)
        """By group, how many frames of others wait for an epoch of it."""

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame_id: bytes) -> bool:
        return frame_id in self._frames

    def add(self, waiting: WaitingFrame) -> bool:
        """Keep a frame; False where its group or its forwarder has used its share: it is to be asked for
        again, and nothing is lost."""
        if waiting.frame_id in self._frames:
            return True
        if not self._may_bring(waiting):
            return False
        pushed_out = self._pushed_out(waiting)
        if pushed_out is None:
            return False
        for frame_id in pushed_out:
            self._remove(frame_id)
        self._frames[waiting.frame_id] = waiting
        self._by_need[waiting.need].append(waiting.frame_id)
        for shares, key in self._shares(waiting):
            shares.setdefault(key, _Share()).add(waiting)
        if _is_import(waiting):
            self._importing[waiting.need.group_id] += 1
        return True

    def _shares(self, waiting: WaitingFrame) -> Iterator[tuple[dict[bytes, _Share], bytes]]:
        yield self._groups, waiting.group_id
        yield self._forwarders, waiting.forwarder
        if not waiting.known_group:
            yield self._unknown, waiting.forwarder

    def _may_bring(self, waiting: WaitingFrame) -> bool:
        size = len(waiting.frame)
        held = self._forwarders.get(waiting.forwarder, _Share())
        if len(held.frames) >= MAX_FRAMES_PER_FORWARDER or held.size + size > MAX_BYTES_PER_FORWARDER:
            return False
        if waiting.known_group:
            return True
        unknown = self._unknown.get(waiting.forwarder, _Share())
        groups = {frame.group_id for frame in unknown.frames.values()}
        return unknown.size + size <= MAX_UNKNOWN_BYTES and (
            waiting.group_id in groups or len(groups) < MAX_UNKNOWN_GROUPS
        )

    def _pushed_out(self, waiting: WaitingFrame) -> list[bytes] | None:
        """What has to go from the group's room so that this frame fits: nothing while there is room, None where it
        is this frame that has to stay out."""
        room = self._groups.get(waiting.group_id)
        if room is None:
            return []
        count, size = len(room.frames) + 1, room.size + len(waiting.frame)
        pushed_out: list[bytes] = []
        if count <= MAX_FRAMES_PER_GROUP and size <= MAX_BYTES_PER_GROUP:
            return pushed_out
        brought: dict[bytes, list[WaitingFrame]] = {waiting.forwarder: []}
        for frame in room.frames.values():
            brought.setdefault(frame.forwarder, []).append(frame)
        weights = {peer: sum(frame.weight for frame in frames) for peer, frames in brought.items()}
        own = weights.pop(waiting.forwarder) + waiting.weight
        while count > MAX_FRAMES_PER_GROUP or size > MAX_BYTES_PER_GROUP:
            most = max(weights, key=weights.__getitem__, default=None)
            if most is None or not brought[most]:
                return None
            newest = brought[most].pop()
            weights[most] -= newest.weight
            if weights[most] < own:
                return None
            pushed_out.append(newest.frame_id)
            count, size = count - 1, size - len(newest.frame)
        return pushed_out

    def release(self, need: Need) -> list[WaitingFrame]:
        """Take out the frames that waited for this, oldest first."""
        return [self._remove(frame_id) for frame_id in list(self._by_need.get(need, ()))]

    def blocked(self, group_id: bytes) -> Need | None:
        """What the oldest waiting frame of a group waits for in another group, if any does."""
        room = self._groups.get(group_id, _Share())
        return next((frame.need for frame in room.frames.values() if _is_import(frame)), None)

    def imports_from(self, group_id: bytes) -> bool:
        """Whether a frame of another group waits for an epoch of this one."""
        return group_id in self._importing

    def importers_from(self, group_id: bytes) -> set[bytes]:
        """The groups of which a frame waits for an epoch of this one."""
        if group_id not in self._importing:
            return set()
        waiting = filter(_is_import, self._frames.values())
        return {frame.group_id for frame in waiting if frame.need.group_id == group_id}

    def generations(self, group_id: bytes, dmls_epoch: bytes) -> list[int]:
        """To which generations of an epoch its own group's frames wait for it to come."""
        room = self._groups.get(group_id, _Share())
        needs = (frame.need for frame in room.frames.values())
        return [need.generation for need in needs if need[:3] == ("progress", group_id, dmls_epoch)]

    def has_group(self, group_id: bytes) -> bool:
        return group_id in self._groups

    def forget_before(self, time: int) -> int:
        """Drop what has waited since before this time; it is asked for again where it still matters."""
        old = list(takewhile(lambda frame: frame.since < time, self._frames.values()))
        for frame in old:
            self._remove(frame.frame_id)
        return len(old)

    def forget_group(self, group_id: bytes) -> None:
        for frame_id in list(self._groups.get(group_id, _Share()).frames):
            self._remove(frame_id)

    def _remove(self, frame_id: bytes) -> WaitingFrame:
        waiting = self._frames.pop(frame_id)
        queue = self._by_need[waiting.need]
        queue.remove(frame_id)
        if not queue:
            del self._by_need[waiting.need]
        for shares, key in self._shares(waiting):
            shares[key].remove(waiting)
            if not shares[key].frames:
                del shares[key]
        if _is_import(waiting):
            self._importing[waiting.need.group_id] -= 1
            if not self._importing[waiting.need.group_id]:
                del self._importing[waiting.need.group_id]
        return waiting


def _is_import(waiting: WaitingFrame) -> bool:
    return waiting.need.kind == "epoch" and waiting.need.group_id != waiting.group_id
