"""Frames that cannot be processed yet: a bounded place where they wait for what they lack (I7, PROTOCOL 5.3)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FRAMES_PER_GROUP = 256
MAX_BYTES_PER_GROUP = 1024 * 1024
MAX_UNKNOWN_GROUPS = 64
MAX_BYTES_PER_FORWARDER = 1024 * 1024


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
class WaitingFrame:
    frame_id: bytes
    frame: bytes = field(repr=False)
    group_id: bytes
    forwarder: bytes
    need: Need
    known_group: bool
    since: int


class Waiting:
    """The waiting frames of one universe."""

    def __init__(self) -> None:
        self._frames: dict[bytes, WaitingFrame] = {}
        self._by_need: defaultdict[Need, list[bytes]] = defaultdict(list)
        self._count: defaultdict[bytes, int] = defaultdict(int)
        self._bytes: defaultdict[bytes, int] = defaultdict(int)
        self._unknown: defaultdict[bytes, int] = defaultdict(int)

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame_id: bytes) -> bool:
        return frame_id in self._frames

    def add(self, waiting: WaitingFrame) -> bool:
        """Keep a frame; False where its group or its forwarder has used its share: it is to be asked for
        again, and nothing is lost."""
        if waiting.frame_id in self._frames:
            return True
        size = len(waiting.frame)
        group = waiting.group_id
        # Asked with `get`: what is refused leaves nothing behind, its group's name neither.
        count = self._count.get(group, 0)
        if count >= MAX_FRAMES_PER_GROUP or (count and self._bytes[group] + size > MAX_BYTES_PER_GROUP):
            return False
        if not waiting.known_group:
            if self._unknown.get(waiting.forwarder, 0) + size > MAX_BYTES_PER_FORWARDER:
                return False
            groups = {frame.group_id for frame in self._frames.values() if not frame.known_group}
            if group not in groups and len(groups) >= MAX_UNKNOWN_GROUPS:
                return False
            self._unknown[waiting.forwarder] += size
        self._frames[waiting.frame_id] = waiting
        self._by_need[waiting.need].append(waiting.frame_id)
        self._count[group] += 1
        self._bytes[group] += size
        return True

    def release(self, need: Need) -> list[WaitingFrame]:
        """Take out the frames that waited for this, oldest first."""
        return [self._remove(frame_id) for frame_id in list(self._by_need.get(need, ()))]

    def blocked(self, group_id: bytes) -> Need | None:
        """What the oldest waiting frame of a group waits for in another group, if any does."""
        for frame in self._frames.values():
            if frame.group_id == group_id and frame.need.kind == "epoch" and frame.need.group_id != group_id:
                return frame.need
        return None

    def imports_from(self, group_id: bytes) -> bool:
        """Whether a frame of another group waits for an epoch of this one."""
        return any(
            need.kind == "epoch"
            and need.group_id == group_id
            and self._frames[frame_ids[0]].group_id != group_id
            for need, frame_ids in self._by_need.items()
        )

    def has_group(self, group_id: bytes) -> bool:
        return group_id in self._count

    def forget_before(self, time: int) -> int:
        """Drop what has waited since before this time; it is asked for again where it still matters."""
        old = [frame.frame_id for frame in self._frames.values() if frame.since < time]
        for frame_id in old:
            self._remove(frame_id)
        return len(old)

    def forget_group(self, group_id: bytes) -> None:
        for frame in [frame for frame in self._frames.values() if frame.group_id == group_id]:
            self._remove(frame.frame_id)

    def _remove(self, frame_id: bytes) -> WaitingFrame:
        waiting = self._frames.pop(frame_id)
        queue = self._by_need[waiting.need]
        queue.remove(frame_id)
        if not queue:
            del self._by_need[waiting.need]
        size = len(waiting.frame)
        self._count[waiting.group_id] -= 1
        self._bytes[waiting.group_id] -= size
        if not self._count[waiting.group_id]:
            del self._count[waiting.group_id], self._bytes[waiting.group_id]
        if not waiting.known_group:
            self._unknown[waiting.forwarder] -= size
            if not self._unknown[waiting.forwarder]:
                del self._unknown[waiting.forwarder]
        return waiting
