"""What a node holds of the members beside the roster: when each was last heard, whom it keeps out of its own send group
and why, and in whose groups it is itself not any more (X-15)."""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed import policy
from starling.protocol.engine.context import Context
from starling.protocol.packed import Blob, Many, Uint, pack, shape, unpack

STANDING_TABLES = ("heard", "blocked", "suspended", "excluded", "left")

_MAX_HEARD = 4096
_HEARD = (Uint(), Many((Blob.of(32), Uint()), _MAX_HEARD))
_SUSPENDED = (Uint(), Uint(2**32 - 1), Uint())
_EXCLUDED = (Uint(), bool)
_LEFT = (Uint(), Uint(2**32 - 1))


@dataclass(frozen=True, slots=True)
class Suspended:
    """A member that this node has removed from its own group because it is silent, in milliseconds since when. It
    comes back by a higher incarnation; `messages` is how many this node had sent until then."""

    last_heard: int
    incarnation: int
    messages: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A current member's group that this node was removed from: when it learned that, and whether that was for being
    silent, as the owner says."""

    since: int
    absent: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A group that has this node's leaf no more: the number of the last epoch that had it, and the leaf's
    incarnation."""

    epoch: int
    incarnation: int


class Standing:
    """All of this of one universe, with its rows; bounded by the roster's members, former ones included."""

    def __init__(self, universe_id: bytes, now: int) -> None:
        self._universe_id = universe_id
        self.heard: dict[bytes, int] = {}
        """By member: when something that it said last came, or it was connected."""
        self.company_at = now
        """When it was last found that somebody had been heard since the time before."""
        self.look_at = now + policy.ABSENCE_FIRST
        """When to look next."""
        self._saved_at = 0
        self.blocked: dict[bytes, int] = {}
        """By member: since when."""
        self.suspended: dict[bytes, Suspended] = {}
        """By member."""
        self.excluded: dict[bytes, Exclusion] = {}
        """By group."""
        self.left: dict[bytes, Left] = {}
        """By group, those that this node is to enter by a later Welcome only."""

    def keeps_out(self, identity: bytes) -> bool:
        """Whether a member is to have no leaf in this node's own group."""
        return identity in self.blocked or identity in self.suspended

    # who was heard

    def save_heard(self, ctx: Context, members: frozenset[bytes]) -> None:
        """Now and then: a few hours more or less do not matter."""
        self.heard = {identity: time for identity, time in self.heard.items() if identity in members}
        if 0 <= ctx.now - self._saved_at < policy.HEARD_SAVED:
            return
        self._saved_at = ctx.now
        row = [self.company_at, [list(item) for item in self.heard.items()][:_MAX_HEARD]]
        ctx.put("heard", self._universe_id, pack(row))

    def shift(self, duration: int, now: int) -> None:
        """A time that does not count, since this node itself was away."""
        self.heard = {identity: min(time + duration, now) for identity, time in self.heard.items()}

    def come_back_to(self, now: int) -> None:
        """The clock was set."""
        self.look_at = min(self.look_at, now)
        self.company_at = min(self.company_at, now)

    # who is kept out

    def block(self, ctx: Context, identity: bytes) -> None:
        self.blocked[identity] = ctx.now
        ctx.put("blocked", self._universe_id + identity, pack([ctx.now]))

    def unblock(self, ctx: Context, identity: bytes) -> None:
        del self.blocked[identity]
        ctx.delete("blocked", self._universe_id + identity)

    def suspend(self, ctx: Context, identity: bytes, suspended: Suspended) -> None:
        self.suspended[identity] = suspended
        row = [suspended.last_heard, suspended.incarnation, suspended.messages]
        ctx.put("suspended", self._universe_id + identity, pack(row))

    def end_suspension(self, ctx: Context, identity: bytes) -> None:
        if self.suspended.pop(identity, None) is not None:
            ctx.delete("suspended", self._universe_id + identity)

    # where this node is kept out

    def exclude(self, ctx: Context, group_id: bytes, *, absent: bool) -> None:
        self.excluded[group_id] = Exclusion(ctx.now, absent)
        ctx.put("excluded", self._universe_id + group_id, pack([ctx.now, absent]))

    def end_exclusion(self, ctx: Context, group_id: bytes) -> None:
        """This node is in the group again, or it is no member's any more."""
        if self.excluded.pop(group_id, None) is not None:
            ctx.delete("excluded", self._universe_id + group_id)

    def leave(self, ctx: Context, group_id: bytes, left: Left) -> None:
        """This node's leaf was removed from a group."""
        self.left[group_id] = left
        ctx.put("left", self._universe_id + group_id, pack([left.epoch, left.incarnation]))

    def enter(self, ctx: Context, group_id: bytes) -> None:
        """This node is in a group by a Welcome."""
        self.end_exclusion(ctx, group_id)
        if self.left.pop(group_id, None) is not None:
            ctx.delete("left", self._universe_id + group_id)

    def forget_all(self, ctx: Context) -> None:
        """This node is no member any more. Whom a person has blocked stays blocked."""
        for identity in list(self.suspended):
            self.end_suspension(ctx, identity)
        for group_id in list(self.excluded):
            self.end_exclusion(ctx, group_id)
        for group_id in list(self.left):
            self.enter(ctx, group_id)
        self.heard.clear()
        ctx.delete("heard", self._universe_id)

    # rows

    def load(self, table: str, key: bytes, row: bytes) -> None:
        """Take a row of one of `STANDING_TABLES`."""
        value = unpack(row, max_bytes=512 * 1024)
        match table:
            case "heard":
                self.company_at, heard = shape(value, _HEARD)
                self.heard = dict(heard)
            case "blocked":
                (self.blocked[key[32:]],) = shape(value, (Uint(),))
            case "suspended":
                self.suspended[key[32:]] = Suspended(*shape(value, _SUSPENDED))
            case "excluded":
                self.excluded[key[32:]] = Exclusion(*shape(value, _EXCLUDED))
            case _:
                self.left[key[32:]] = Left(*shape(value, _LEFT))
