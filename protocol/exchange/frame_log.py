"""The verified frames that a node holds of one send group, by their place in its owner's log."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

from starling.protocol.exchange.listing import Listing


@dataclass(frozen=True, slots=True)
class LoggedFrame:
    """Where a frame stands: the epoch it was sent in, and the generation of a message (None: a commit).

    `adds` are the identities that a commit adds; `child` is the `dmls_epoch` that a commit starts.
    """

    frame_id: bytes
    group_id: bytes
    dmls_epoch: bytes
    generation: int | None
    size: int
    is_user: bool = False
    adds: tuple[bytes, ...] = ()
    child: bytes = b""
    stored_at: int = 0


@dataclass(slots=True)
class EpochFrames:
    """The frames sent in one epoch: messages by generation, and the commits that end it."""

    messages: dict[int, LoggedFrame] = field(default_factory=dict)
    commits: list[LoggedFrame] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.messages or self.commits)


@dataclass(slots=True)
class KeptFrames:
    """What the frame logs of one universe hold together; `grown` are the groups that got frames lately."""

    frames: int = 0
    size: int = 0
    grown: set[bytes] = field(default_factory=set)
    listing: Listing = field(default_factory=Listing)
    """All of them in the order in which they came, for archivers."""


class FrameLog:
    """One group's frames by epoch, oldest epoch first; `size` is how many bytes they have."""

    def __init__(self, kept: KeptFrames) -> None:
        self.epochs: dict[bytes, EpochFrames] = {}
        self.ids: dict[bytes, LoggedFrame] = {}
        self.size = 0
        self._kept = kept

    def add(self, frame: LoggedFrame) -> None:
        epoch = self.epochs.setdefault(frame.dmls_epoch, EpochFrames())
        if frame.generation is None:
            epoch.commits.append(frame)
        else:
            epoch.messages[frame.generation] = frame
        self.ids[frame.frame_id] = frame
        self._count(1, frame.size)
        self._kept.grown.add(frame.group_id)
        self._kept.listing.add(frame.frame_id)

    def remove(self, frame: LoggedFrame) -> None:
        if self.ids.pop(frame.frame_id, None) is None:
            return
        epoch = self.epochs[frame.dmls_epoch]
        if frame.generation is None:
            epoch.commits.remove(frame)
        else:
            del epoch.messages[frame.generation]
        if not epoch:
            del self.epochs[frame.dmls_epoch]
        self._kept.listing.remove(frame.frame_id)
        self._count(-1, -frame.size)

    def _count(self, frames: int, size: int) -> None:
        self.size += size
        self._kept.frames += frames
        self._kept.size += size

    def sort(self, numbers: Mapping[bytes, int]) -> None:
        """Put stored epochs in the order of these numbers; an epoch without one is older than all."""
        self.epochs = dict(sorted(self.epochs.items(), key=lambda item: numbers.get(item[0], -1)))

    def oldest_first(self) -> Iterator[LoggedFrame]:
        """All frames, the messages first: without a commit nothing after it can be read."""
        for epoch in self.epochs.values():
            yield from map(epoch.messages.__getitem__, sorted(epoch.messages))
        yield from self.commits()

    def __contains__(self, frame_id: bytes) -> bool:
        return frame_id in self.ids

    def __len__(self) -> int:
        return len(self.ids)

    def holds(self, dmls_epoch: bytes, generation: int) -> bool:
        """Whether the message of this place is held."""
        epoch = self.epochs.get(dmls_epoch)
        return epoch is not None and generation in epoch.messages

    def commits(self) -> Iterator[LoggedFrame]:
        for epoch in self.epochs.values():
            yield from epoch.commits

    def adding(self, identity: bytes) -> LoggedFrame | None:
        """The newest held frame that adds this member."""
        found = [frame for frame in self.commits() if identity in frame.adds]
        return found[-1] if found else None

    def leading_to(self, dmls_epoch: bytes, parent: bytes | None = None) -> list[LoggedFrame]:
        """The held commit that starts this epoch, if any; sooner found where its parent is known."""
        commits = iter(self.epochs.get(parent, EpochFrames()).commits) if parent else self.commits()
        return [frame for frame in commits if frame.child == dmls_epoch]

    def after(self, dmls_epoch: bytes, contiguous: int, known: Container[bytes]) -> Iterator[LoggedFrame]:
        """What somebody lacks who holds this much of an epoch: its messages in order, its commits but those to the
        `known` children, and all that follows them."""
        pending: list[tuple[bytes, int, Container[bytes]]] = [(dmls_epoch, contiguous, known)]
        while pending:
            current, first, children = pending.pop(0)
            epoch = self.epochs.get(current)
            if epoch is None:
                continue
            for generation in sorted(epoch.messages):
                if generation >= first:
                    yield epoch.messages[generation]
            for commit in epoch.commits:
                if commit.child not in children:
                    yield commit
                    pending.append((commit.child, 0, ()))
