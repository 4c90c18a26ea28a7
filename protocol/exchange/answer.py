"""What to answer to `Want`: a fair share of every group's next frames, within bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

MAX_ANSWER_BYTES = 512 * 1024
MAX_ANSWER_FRAMES = 256


class HeldFrame(Protocol):
    """What is kept beside the bytes of a frame: its id and their number."""

    @property
    def frame_id(self) -> bytes: ...

    @property
    def size(self) -> int: ...


def take_in_turn(queues: Iterable[Iterator[HeldFrame]]) -> tuple[bytes, ...]:
    """The ids of the frames to send now.

    Groups take turns: a commit in one group can wait for a commit in another, so an answer filled by one
    group alone could never be used. At least one frame is given where there is any, and none twice.
    """
    waiting = list(queues)
    chosen: dict[bytes, None] = {}
    size = 0
    while waiting:
        still: list[Iterator[HeldFrame]] = []
        for queue in waiting:
            frame = next(queue, None)
            if frame is None:
                continue
            if chosen and (size + frame.size > MAX_ANSWER_BYTES or len(chosen) == MAX_ANSWER_FRAMES):
                return tuple(chosen)
            still.append(queue)
            if frame.frame_id not in chosen:
                chosen[frame.frame_id] = None
                size += frame.size
        waiting = still
    return tuple(chosen)
