"""Who cannot follow whom: this node in others' groups, and what other members report of themselves (PROTOCOL R6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.distributed import policy
from starling.protocol.distributed.member import leaf_identity, read_member
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.packed import Blob, Either, Many, Text, Uint, pack, shape, unpack

STUCK_TABLES = ("stuck", "reported", "readded")

_INCARNATION = Uint(2**32 - 1)
_STUCK = (Blob(64), _INCARNATION, Text(16, 1), Either(None, _INCARNATION), bool)
_REPORTED = (Blob(64), _INCARNATION, Uint())
_READDED = (Many((Uint(), Uint()), policy.READDS_PER_DAY), Either(None, Uint()))


@dataclass(slots=True)
class Stuck:
    """A group in which this node, by `incarnation`, cannot go on from `dmls_epoch` (empty where it never entered it).

    `asked` is the incarnation by which it waits to be added again, None as long as it has not asked; `told` is
    whether the others know.
    """

    dmls_epoch: bytes
    incarnation: int
    reason: str
    asked: int | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """What another member reported of itself in one group: where and by which incarnation it is stuck there. Until it
    is there by a newer one nothing is imported from the group, at the longest until `until`."""

    dmls_epoch: bytes
    incarnation: int
    until: int


@dataclass(slots=True)
class Readded:
    """One member's share of the bounds: when it was added again in our group, with the epochs that this started, and
    when this node last asked to be added again because of the member's group."""

    times: list[tuple[int, int]] = field(default_factory=list)
    asked_at: int | None = None


class StuckBook:
    """All of this of one universe, with its rows; bounded by the roster's members."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self.groups: dict[bytes, Stuck] = {}
        """By group, those in which this node is stuck."""
        self.reports: dict[bytes, dict[bytes, Reported]] = {}
        """By group, who reported to be stuck in it."""
        self.readded: dict[bytes, Readded] = {}
        """By member."""
        self.has_asked = False
        """Whether this node has asked to be added again in this run."""

    def __contains__(self, group_id: bytes) -> bool:
        """Whether this node is stuck in a group."""
        return group_id in self.groups

    # this node

    def note(self, ctx: Context, group_id: bytes, stuck: Stuck) -> None:
        self.groups[group_id] = stuck
        row = [stuck.dmls_epoch, stuck.incarnation, stuck.reason, stuck.asked, stuck.told]
        ctx.put("stuck", self._universe_id + group_id, pack(row))

    def free(self, ctx: Context, group_id: bytes) -> None:
        """This node can follow the group again, or need not."""
        if self.groups.pop(group_id, None) is not None:
            ctx.delete("stuck", self._universe_id + group_id)

    def asked(self, ctx: Context, member: bytes) -> None:
        """This node asks to be added again because of a member's group."""
        self.readded.setdefault(member, Readded()).asked_at = ctx.now
        self._save_readded(ctx, member)

    def may_ask_at(self, member: bytes) -> int:
        """From when on one member's group may be the reason for that again."""
        held = self.readded.get(member)
        return held.asked_at + policy.DAY if held is not None and held.asked_at is not None else 0

    # others

    def take_report(self, ctx: Context, group_id: bytes, member: bytes, reported: Reported) -> bool:
        """Note a report; False where the same was reported before."""
        held = self.reports.setdefault(group_id, {})
        known = held.get(member)
        if known is not None and known.dmls_epoch == reported.dmls_epoch:
            return False
        held[member] = reported
        row = [reported.dmls_epoch, reported.incarnation, reported.until]
        ctx.put("reported", self._universe_id + member + group_id, pack(row))
        return True

    def pauses(self, state: GroupState, now: int) -> bool:
        """Whether nothing is to be imported from a group: somebody cannot follow it and is not in it anew (R6)."""
        reports = self.reports.get(state.group_id)
        if not reports:
            return False
        held = _incarnations(state)
        return any(
            now < reported.until and held.get(member, 2**32) <= reported.incarnation
            for member, reported in reports.items()
        )

    def drop_answered(self, ctx: Context, state: GroupState) -> None:
        """Forget the reports of those who are in the group anew, or no more, and what is over."""
        if state.group_id not in self.reports:
            return
        held = _incarnations(state)
        for member, reported in list(self.reports[state.group_id].items()):
            if ctx.now >= reported.until or held.get(member, 2**32) > reported.incarnation:
                self._drop_report(ctx, state.group_id, member)

    def may_readd_at(self, member: bytes, now: int) -> int:
        """From when on a member may be added to our group again by itself."""
        held = self.readded.get(member)
        recent = [time for time, _ in held.times if now - time < policy.DAY] if held is not None else []
        return min(recent) + policy.DAY if len(recent) >= policy.READDS_PER_DAY else 0

    def note_readded(self, ctx: Context, member: bytes, epoch: int) -> None:
        """A member was added again, in this epoch of our group."""
        held = self.readded.setdefault(member, Readded())
        held.times = [*held.times, (ctx.now, epoch)][-policy.READDS_PER_DAY :]
        self._save_readded(ctx, member)

    def readded_in(self, member: bytes) -> int:
        """The epoch of our group in which a member was last added again, 0 where it never was."""
        held = self.readded.get(member)
        return held.times[-1][1] if held is not None and held.times else 0

    def forget(self, ctx: Context, member: bytes) -> None:
        """Somebody is no member any more."""
        for group_id in [group_id for group_id, held in self.reports.items() if member in held]:
            self._drop_report(ctx, group_id, member)
        if self.readded.pop(member, None) is not None:
            ctx.delete("readded", self._universe_id + member)

    def forget_group(self, ctx: Context, group_id: bytes) -> None:
        """A group is gone."""
        self.free(ctx, group_id)
        for member in list(self.reports.get(group_id, ())):
            self._drop_report(ctx, group_id, member)

    def forget_all(self, ctx: Context) -> None:
        for group_id in [*self.groups, *self.reports]:
            self.forget_group(ctx, group_id)
        for member in list(self.readded):
            self.forget(ctx, member)

    def _drop_report(self, ctx: Context, group_id: bytes, member: bytes) -> None:
        del self.reports[group_id][member]
        if not self.reports[group_id]:
            del self.reports[group_id]
        ctx.delete("reported", self._universe_id + member + group_id)

    # rows

    def _save_readded(self, ctx: Context, member: bytes) -> None:
        held = self.readded[member]
        row = [[list(time) for time in held.times], held.asked_at]
        ctx.put("readded", self._universe_id + member, pack(row))

    def load(self, table: str, key: bytes, row: bytes) -> None:
        """Take a row of one of `STUCK_TABLES`."""
        value = unpack(row, max_bytes=4096)
        if table == "stuck":
            self.groups[key[32:]] = Stuck(*shape(value, _STUCK))
        elif table == "reported":
            self.reports.setdefault(key[64:], {})[key[32:64]] = Reported(*shape(value, _REPORTED))
        else:
            times, asked_at = shape(value, _READDED)
            self.readded[key[32:]] = Readded([(time, epoch) for time, epoch in times], asked_at)


def _incarnations(state: GroupState) -> dict[bytes, int]:
    """The incarnations by which the members are in a group's newest epoch."""
    return {leaf_identity(leaf): read_member(leaf).incarnation for _, leaf in state.head.tree.leaves()}
