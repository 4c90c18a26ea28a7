"""Messages to one member: sealed when they leave, opened by whom they are for, and told where they cannot leave."""

from __future__ import annotations

from starling.protocol.distributed.application import (
    DIRECT,
    MESSAGE_ID_SIZE,
    RESERVED_TYPES,
    ApplicationData,
)
from starling.protocol.distributed.direct import open_direct, seal_direct
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import ProtocolError, UsageError


def check_recipient(universe: Universe, to: bytes) -> None:
    """Raises `UsageError` unless it is another member's identity."""
    if to == universe.me:
        raise UsageError("a message to oneself goes nowhere; name another member", "recipient.self")
    if to not in universe.roster.members:
        raise UsageError("no such member in this universe", "member.unknown")
    if to in universe.standing.blocked:
        raise UsageError("this member is blocked here; see 'starling unblock'", "member.blocked")


def leaves(universe: Universe) -> dict[bytes, int]:
    """The leaves of the own group to which messages are sealed, by member. A member that has started anew may still
    have its old one: as with a message to all, it then gets the message again by its new leaf, and in order."""
    held = universe.own.members()
    return {identity: held[identity] for identity in universe.roster.members.keys() & held.keys()}


def seal(ctx: Context, universe: Universe, leaf_index: int, message: bytes) -> ApplicationData:
    """Encoded application data for a leaf of the own group's newest epoch. Its id shows nobody that it was sent before,
    as the one inside does."""
    body = seal_direct(universe.own.head, leaf_index, message, ctx.random)
    return ApplicationData(DIRECT, ctx.random(MESSAGE_ID_SIZE), (), body)


def open_message(
    ctx: Context, universe: Universe, state: GroupState, dmls_epoch: bytes, body: bytes
) -> ApplicationData | None:
    """The message where it is for this node and in order."""
    group = state.state(dmls_epoch)
    assert group is not None, "what brought it was opened in the epoch"
    try:
        opened = open_direct(group, body)
        message = ApplicationData.decode(opened) if opened is not None else None
    except ProtocolError as refusal:
        universe.refuse(type(refusal).__name__)
        return None
    except UsageError:
        # The epoch was whole once: more came to it from a branch that was not known then.
        told = {"owner": state.owner, "epoch": group.epoch, "held": None, "count": 1}
        ctx.event("messages.unavailable", universe.universe_id, told)
        return None
    if message is not None and message.content_type in RESERVED_TYPES:
        universe.refuse("direct")
        return None
    return message


def drop_queued(ctx: Context, universe: Universe, identity: bytes, reason: str) -> None:
    """Nothing is for this member any more: what waits for it leaves for nobody, and the apps are told why."""
    for message_id in universe.outbox.queued_for(identity):
        universe.outbox.give_up(ctx, message_id)
        told = {"id": message_id, "to": identity, "reason": reason}
        ctx.event("message.undelivered", universe.universe_id, told)
