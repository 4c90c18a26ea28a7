"""One send group as this node holds it: its epochs, their states, its verified frames, and their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from starling.protocol.decentralized.epoch_graph import MAX_CLOSED, EpochGraph, EpochInfo
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.member import leaf_identity
from starling.protocol.engine.context import Context
from starling.protocol.exchange.frame import MAX_STATEMENT
from starling.protocol.exchange.frame_log import FrameLog, KeptFrames, LoggedFrame
from starling.protocol.extensions.private_external_rules import MAX_USED_ROOT_KEYS, UsedRootKeys
from starling.protocol.mls.group import Group
from starling.protocol.packed import Blob, Either, Many, Uint, pack, shape, unpack

MAX_FORKS = 16
"""Parents of one group for which it is remembered that the owner committed twice on them."""

_ID = Blob(64)
_INFO = (
    Uint(), _ID, Uint(), Many(Blob.of(32), 4096), bool, Blob(MAX_STATEMENT), Uint(2**32 - 1),
    Either(None, Uint()), bool, Uint(2**32 - 1), Many(Uint(2**32 - 1), 2**16),
)  # fmt: skip
_LOGGED = (
    Blob(64, 1), _ID, Either(None, Uint(2**32 - 1)), Uint(2**32), bool, Many(Blob.of(32), 4096), _ID, Uint(),
)  # fmt: skip
_GROUP = (
    Blob.of(32), Blob.of(32), _ID, Uint(), Blob(MAX_STATEMENT), Many((_ID, bool), MAX_FORKS),
    Many((_ID, _ID), MAX_CLOSED), Many((_ID, Uint()), MAX_CLOSED), Blob(32), bool, Uint(),
    Many(Blob(64, 32), MAX_USED_ROOT_KEYS),
)  # fmt: skip
_MAX_ROW = 64 * 1024 * 1024

GroupLoader = Callable[[bytes, bytes], Group]


@dataclass(slots=True)
class SavedState:
    """The rows of an epoch that was not needed since the start: decoded on first use."""

    record: bytes = field(repr=False)
    ratchets: bytes = field(default=b"", repr=False)


def epoch_scope(group_id: bytes, dmls_epoch: bytes) -> bytes:
    """The sealing scope of one epoch's secrets: erased when the epoch is settled (I6)."""
    return b"epoch:" + hashlib.sha256(group_id + dmls_epoch).digest()


def psk_scope(group_id: bytes, dmls_epoch: bytes) -> bytes:
    return b"psk:" + hashlib.sha256(group_id + dmls_epoch).digest()


class GroupState:
    """A send group. `owner` is the identity key of leaf 0; `is_own` where that is this node."""

    def __init__(
        self,
        universe_id: bytes,
        group_id: bytes,
        owner: bytes,
        *,
        is_own: bool,
        load: GroupLoader,
        kept: KeptFrames,
        used_root_keys: UsedRootKeys,
    ) -> None:
        self.universe_id = universe_id
        self.group_id = group_id
        self.owner = owner
        self.is_own = is_own
        self.graph = EpochGraph()
        self.log = FrameLog(kept)
        self.used_root_keys = used_root_keys
        """Those of all epochs since this node is in the group, which none may have again (P-6)."""
        self.pinned_epoch = 0
        self.pinned_by = b""
        """The head statement of the frame by which this node entered (X-14), empty in the own group."""
        self.said_at: dict[bytes, tuple[int, int]] = {}
        """By the parent of a fork: how far this node was in its own group, epoch and messages, when it knew of a lost
        branch (`watch_lost_branches`)."""
        self.lost_since: dict[bytes, int] = {}
        """By the parent of a fork: since when, in this run, its second commit is known to be lost here."""
        self.closed_off: dict[bytes, int] = {}
        """By epoch: since when, in this run, a commit on it is known that does not open here."""
        self.lacks_import: dict[bytes, int] = {}
        """By epoch: since when, in this run, a commit on it waits for what it imports."""
        self.in_doubt_since: int | None = None
        """Since when, in this run, peers name or send what nothing known leads to."""
        self.unshared: dict[bytes, int] = {}
        """By epoch: since when, in this run, it waits for members that may lack messages which no commit counts."""
        self.forks: dict[bytes, bool] = {}
        """The parents on which the owner committed twice, as far as told (R4); whether the second commit could not be
        followed here, and the owner has not resolved it yet."""
        self.awaited: dict[bytes, int] = {}
        """Heads that the owner has closed and that never came here, with the time since which they are asked for."""
        self.asked_in_vain: dict[bytes, set[bytes]] = {}
        """By such a head, one of which others hold more, or an epoch of which they hold messages that no commit counts:
        the members that were asked for it and do not have it any more."""
        self.frozen_by = b""
        """The owner's roster entry under which its clone was found, empty where none was: nothing is imported from
        this group until the entry changes (B6)."""
        self.last_update = 0
        """When the newest path commit was processed, in milliseconds."""
        self.updated = False
        """Whether a path commit that adds nobody came from the owner: its joining is over."""
        self._states: dict[bytes, Group | SavedState] = {}
        self._load = load

    @property
    def forked(self) -> bool:
        """Whether the owner has contradicted itself and not resolved it: imports from it pause (R4)."""
        return self.graph.is_forked or any(self.forks.values())

    @property
    def entered_after(self) -> bytes:
        """The epoch whose commit let this node in: all up to it was never its to read. Empty in the own group."""
        return HeadStatement.decode(self.pinned_by).parent_dmls_epoch if self.pinned_by else b""

    # states

    def state(self, dmls_epoch: bytes) -> Group | None:
        """The key material of an epoch, None where it has none (any more)."""
        held = self._states.get(dmls_epoch)
        if isinstance(held, SavedState):
            held = self._load(held.record, held.ratchets)
            self._states[dmls_epoch] = held
        return held

    @property
    def head(self) -> Group:
        """The state of the head epoch."""
        group = self.state(self.graph.head)
        assert group is not None, "the head always has a state"
        return group

    def retained(self) -> Iterator[bytes]:
        """The epochs that still have a state."""
        return iter(tuple(self._states))

    def uncounted(self) -> list[EpochInfo]:
        """The superseded epochs with messages that no commit counts, which others may lack."""
        if len(self._states) == 1:
            return []  # the head alone, as nearly always
        return [info for info in map(self.graph.__getitem__, self._states) if info.has_uncounted]

    def members(self) -> dict[bytes, int]:
        """The leaves of the head epoch: identity to leaf index."""
        return {leaf_identity(leaf): index for index, leaf in self.head.tree.leaves()}

    # changes, each with its row

    def save(self, ctx: Context) -> None:
        row = [
            self.universe_id, self.owner, self.graph.head, self.pinned_epoch, self.pinned_by,
            [list(item) for item in self.forks.items()],
            [list(item) for item in self.graph.closed.items()], [list(item) for item in self.awaited.items()],
            self.frozen_by, self.updated, self.last_update, list(self.used_root_keys.hashes),
        ]  # fmt: skip
        ctx.put("group", self.group_id, pack(row))

    def enter(self, ctx: Context, info: EpochInfo, group: Group) -> None:
        """Store a new epoch with its state; it becomes the head where it descends from it."""
        self.graph.enter(info)
        self._states[info.dmls_epoch] = group
        if info.with_path:
            self.last_update = info.entered_at
        scope = epoch_scope(self.group_id, info.dmls_epoch)
        key = self.group_id + info.dmls_epoch
        ctx.put("epoch", key, group.save(), scope)
        ctx.put("ratchet", key, group.save_ratchets(), scope)
        self.save_info(ctx, info)
        self.save(ctx)

    def save_info(self, ctx: Context, info: EpochInfo) -> None:
        row = [
            info.number, info.parent or b"", info.entered_at, sorted(info.members), info.with_path,
            info.started_by, info.parent_count, info.superseded_at, info.given_up, info.next_generation,
            sorted(info.missing),
        ]  # fmt: skip
        ctx.put("epoch_info", self.group_id + info.dmls_epoch, pack(row))

    def save_state(self, ctx: Context, dmls_epoch: bytes) -> None:
        """Write an epoch's state again, after it was trimmed at supersede."""
        group = self.state(dmls_epoch)
        assert group is not None
        scope = epoch_scope(self.group_id, dmls_epoch)
        ctx.put("epoch", self.group_id + dmls_epoch, group.save(), scope)
        ctx.put("ratchet", self.group_id + dmls_epoch, group.save_ratchets(), scope)

    def save_ratchets(self, ctx: Context, dmls_epoch: bytes) -> None:
        group = self.state(dmls_epoch)
        assert group is not None
        scope = epoch_scope(self.group_id, dmls_epoch)
        ctx.put("ratchet", self.group_id + dmls_epoch, group.save_ratchets(), scope)

    def drop_state(self, ctx: Context, dmls_epoch: bytes) -> None:
        """Wipe an epoch's secrets, in memory and in the store."""
        held = self._states.pop(dmls_epoch, None)
        self.unshared.pop(dmls_epoch, None)
        self.closed_off.pop(dmls_epoch, None)
        self.lacks_import.pop(dmls_epoch, None)
        self.asked_in_vain.pop(dmls_epoch, None)
        if held is None:
            return
        if isinstance(held, Group):
            held.wipe()
        ctx.delete("epoch", self.group_id + dmls_epoch)
        ctx.delete("ratchet", self.group_id + dmls_epoch)
        ctx.erase(epoch_scope(self.group_id, dmls_epoch))

    def drop_info(self, ctx: Context, dmls_epoch: bytes) -> None:
        self.graph.drop(dmls_epoch)
        ctx.delete("epoch_info", self.group_id + dmls_epoch)

    def drop_branch(self, ctx: Context, epochs: Iterable[EpochInfo]) -> None:
        """Forget epochs of a branch with all that is kept of them, newest first."""
        for info in epochs:
            self.drop_state(ctx, info.dmls_epoch)
            held = self.log.epochs.get(info.dmls_epoch)
            for logged in (*held.messages.values(), *held.commits) if held is not None else ():
                self.drop_frame(ctx, logged)
            for logged in self.log.leading_to(info.dmls_epoch, info.parent):
                self.drop_frame(ctx, logged)
            self.drop_info(ctx, info.dmls_epoch)

    def log_commit(
        self,
        ctx: Context,
        frame_id: bytes,
        frame: bytes,
        *,
        dmls_epoch: bytes,
        child: bytes,
        adds: tuple[bytes, ...],
    ) -> None:
        """Keep the verified frame of a commit that ends `dmls_epoch`, starts `child` and adds these identities, to be
        served until all have acknowledged it."""
        logged = LoggedFrame(
            frame_id, self.group_id, dmls_epoch, None, len(frame), adds=adds, child=child, stored_at=ctx.now
        )
        self._log(ctx, logged, frame)

    def log_message(
        self,
        ctx: Context,
        frame_id: bytes,
        frame: bytes,
        *,
        dmls_epoch: bytes,
        generation: int,
        is_user: bool,
    ) -> None:
        """The same for the frame of a message of its owner; `is_user` says that it is an app's."""
        logged = LoggedFrame(
            frame_id, self.group_id, dmls_epoch, generation, len(frame), is_user, stored_at=ctx.now
        )
        self._log(ctx, logged, frame)

    def _log(self, ctx: Context, logged: LoggedFrame, frame: bytes) -> None:
        self.log.add(logged)
        row = [
            logged.group_id, logged.dmls_epoch, logged.generation, logged.size, logged.is_user,
            list(logged.adds), logged.child, logged.stored_at,
        ]  # fmt: skip
        ctx.put("log", logged.frame_id, pack(row))
        ctx.put("frame", logged.frame_id, frame)

    def drop_frame(self, ctx: Context, logged: LoggedFrame) -> None:
        self.log.remove(logged)
        ctx.delete("log", logged.frame_id)
        ctx.delete("frame", logged.frame_id)

    def delete(self, ctx: Context) -> None:
        """Forget the group whole: its owner or this node is no member any more."""
        for dmls_epoch in tuple(self._states):
            self.drop_state(ctx, dmls_epoch)
        for dmls_epoch in tuple(self.graph.epochs):
            self.drop_info(ctx, dmls_epoch)
        for logged in tuple(self.log.ids.values()):
            self.drop_frame(ctx, logged)
        ctx.delete("group", self.group_id)

    # loading

    def load_row(self, row: bytes) -> bytes:
        """Take the fields of a `group` row but the first two; the head's `dmls_epoch` is given back."""
        (
            _, _, head, self.pinned_epoch, self.pinned_by, forks, closed, awaited, self.frozen_by, self.updated,
            self.last_update, used_root_keys,
        ) = shape(unpack(row, max_bytes=_MAX_ROW), _GROUP)  # fmt: skip
        self.forks = dict(forks)
        self.graph.closed = dict(closed)
        self.awaited = dict(awaited)
        self.used_root_keys.load(used_root_keys)
        return bytes(head)

    def load_info(self, dmls_epoch: bytes, row: bytes) -> None:
        (
            number, parent, entered_at, members, with_path, started_by, parent_count, superseded_at, given_up,
            next_generation, missing,
        ) = shape(unpack(row, max_bytes=_MAX_ROW), _INFO)  # fmt: skip
        self.graph.epochs[dmls_epoch] = EpochInfo(
            dmls_epoch, number, parent or None, entered_at, frozenset(members), with_path, started_by,
            parent_count, superseded_at, given_up, next_generation, set(missing),
        )  # fmt: skip

    def load_state(self, dmls_epoch: bytes, record: bytes, ratchets: bytes) -> None:
        self._states[dmls_epoch] = SavedState(record, ratchets)

    def finish_loading(self, head: bytes) -> None:
        """After all rows: set the head, and take the progress of unfinished epochs from their ratchets."""
        self.graph.finish_loading(head)
        self.log.sort({dmls_epoch: info.number for dmls_epoch, info in self.graph.epochs.items()})
        for info in self.graph.epochs.values():
            if not info.children or not info.is_whole:
                group = self.state(info.dmls_epoch)
                if group is not None:
                    info.next_generation, missing = group.application_progress(0)
                    info.missing = set(missing)
        for logged in self.log.ids.values():
            epoch = self.graph.get(logged.dmls_epoch)
            if epoch is not None and logged.is_user and logged.generation is not None:
                epoch.user_count = max(epoch.user_count, logged.generation + 1)


def load_group_row(row: bytes) -> tuple[bytes, bytes]:
    """The universe id and the owner of a `group` row."""
    universe_id, owner, *_ = shape(unpack(row, max_bytes=_MAX_ROW), _GROUP)
    return universe_id, owner


def load_logged(frame_id: bytes, row: bytes) -> LoggedFrame:
    group_id, dmls_epoch, generation, size, is_user, adds, child, stored_at = shape(
        unpack(row, max_bytes=_MAX_ROW), _LOGGED
    )
    return LoggedFrame(
        frame_id, group_id, dmls_epoch, generation, size, is_user, tuple(adds), child, stored_at
    )
