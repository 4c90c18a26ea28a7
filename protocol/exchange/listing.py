"""The list of the frames that a node holds, in the order in which they came: another node can ask for what followed.

Places are integers that only rise; a place names everything before it. So who reads a list notes one number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

_SHORTEST = 64


class Listing:
    """Frame ids by place. What is removed leaves no trace, and no place is used twice."""

    def __init__(self) -> None:
        self.last = 0
        """The place of the newest frame that ever was in the list."""
        self._places: list[int] = []
        self._ids: list[bytes | None] = []
        self._by_id: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, frame_id: bytes) -> bool:
        return frame_id in self._by_id

    def add(self, frame_id: bytes, place: int | None = None) -> int:
        """Append a frame; without a place it gets the next one. The place is given back."""
        self.last = max(self.last + 1, place or 0)
        self._places.append(self.last)
        self._ids.append(frame_id)
        self._by_id[frame_id] = self.last
        return self.last

    def remove(self, frame_id: bytes) -> None:
        place = self._by_id.pop(frame_id, None)
        if place is None:
            return
        self._ids[bisect_right(self._places, place) - 1] = None
        if len(self._ids) > max(_SHORTEST, 2 * len(self._by_id)):
            kept = [(place, held) for place, held in zip(self._places, self._ids, strict=True) if held]
            self._places = [place for place, _ in kept]
            self._ids = [held for _, held in kept]

    def after(self, place: int) -> Iterator[tuple[int, bytes]]:
        """The frames after a place, in order, with their places."""
        for index in range(bisect_right(self._places, place), len(self._places)):
            frame_id = self._ids[index]
            if frame_id is not None:
                yield self._places[index], frame_id
