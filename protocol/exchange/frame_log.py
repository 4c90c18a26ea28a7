"""The verified frames that a node holds of one send group, by their place in its owner's log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


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


class FrameLog:
    """One group's frames by epoch."""

    def __init__(self) -> None:
        self.epochs: dict[bytes, EpochFrames] = {}
        self.ids: dict[bytes, LoggedFrame] = {}

    def add(self, frame: LoggedFrame) -> None:
        epoch = self.epochs.setdefault(frame.dmls_epoch, EpochFrames())
        if frame.generation is None:
            epoch.commits.append(frame)
        else:
            epoch.messages[frame.generation] = frame
        self.ids[frame.frame_id] = frame

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

    def __contains__(self, frame_id: bytes) -> bool:
        return frame_id in self.ids

    def __len__(self) -> int:
        return len(self.ids)

    def commits(self) -> Iterator[LoggedFrame]:
        for epoch in self.epochs.values():
            yield from epoch.commits

    def adding(self, identity: bytes) -> LoggedFrame | None:
        """The newest held frame that adds this member."""
        found = [frame for frame in self.commits() if identity in frame.adds]
        return found[-1] if found else None

    def leading_to(self, dmls_epoch: bytes) -> list[LoggedFrame]:
        """The held commit that starts this epoch, if any."""
        return [frame for frame in self.commits() if frame.child == dmls_epoch]

    def after(
        self, dmls_epoch: bytes, contiguous: int, held: frozenset[int], child: bool
    ) -> Iterator[LoggedFrame]:
        """What somebody lacks who holds this much of an epoch: its messages in order, its commits, and
        all that follows them."""
        pending = [(dmls_epoch, contiguous, held, child)]
        while pending:
            current, first, known, has_child = pending.pop(0)
            epoch = self.epochs.get(current)
            if epoch is None:
                continue
            for generation in sorted(epoch.messages):
                if generation >= first and generation not in known:
                    yield epoch.messages[generation]
            if has_child:
                continue
            for commit in epoch.commits:
                yield commit
                pending.append((commit.child, 0, frozenset(), False))
