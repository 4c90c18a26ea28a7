"""Messages of the apps: queued at once, encrypted as soon as the own group may be spoken in (I9, B2)."""

from __future__ import annotations

from typing import Any

from starling.protocol.distributed.application import ApplicationData, check_user_message
from starling.protocol.distributed.roster_rights import Right
from starling.protocol.engine import direct, imports, own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import note_change
from starling.protocol.engine.inputs import SendMessage
from starling.protocol.engine.outbox import Sent, SentAs, content_of
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError


def send(ctx: Context, universe: Universe, command: SendMessage) -> dict[str, Any]:
    """Send a message, or say again what became of it: repeating an id sends nothing twice."""
    check_user_message(command.content_type, command.message_id, command.refs, command.body)
    data = ApplicationData(command.content_type, command.message_id, command.refs, command.body)
    sent = universe.outbox.find(command.message_id)
    if sent is not None and sent.content != content_of(data, command.to):
        raise UsageError("another message was sent with this id; draw a new one", "id_used")
    if sent is None:
        if not universe.roster.may(universe.me, Right.SPEAK):
            raise UsageError(
                "a reader receives and does not write; an admin can change the role", "forbidden"
            )
        if command.to:
            direct.check_recipient(universe, command.to)
        if universe.outbox.is_full:
            raise UsageError("too many messages are queued; try again later", "queue.full")
        sent = universe.outbox.add(ctx, data, command.to)
        if universe.boot.done:
            flush(ctx, universe)
    return _result(command.message_id, sent)


def flush(ctx: Context, universe: Universe) -> None:
    """Encrypt and distribute what is queued, in order; what is for a member that is not in our group yet waits, and so
    does all of who has become a reader."""
    if not universe.roster.may(universe.me, Right.SPEAK):
        return
    queued = universe.outbox.pending()
    leaves = direct.leaves(universe) if any(sent.to for sent in queued) else {}
    pending = [sent for sent in queued if not sent.to or sent.to in leaves]
    if not pending:
        return
    imports.import_before_message(ctx, universe)
    for sent in pending:
        _send_now(ctx, universe, sent, leaves.get(sent.to))
    note_change(ctx, universe)


def _send_now(ctx: Context, universe: Universe, sent: Sent, leaf_index: int | None) -> None:
    data = ApplicationData.decode(sent.encoded)
    if leaf_index is None:
        recipients = own_group.protect(ctx, universe, data)
    else:
        own_group.protect(ctx, universe, direct.seal(ctx, universe, leaf_index, sent.encoded))
        recipients = 1
    info = universe.own.graph.head_info
    sent_as = SentAs(recipients, info.number, info.dmls_epoch, info.next_generation - 1)
    universe.outbox.mark_sent(ctx, data.message_id, sent_as)
    universe.timers.messages_since_update += 1
    ctx.event(
        "message.sent",
        universe.universe_id,
        {
            "id": data.message_id,
            "to": sent.to or None,
            "type": data.content_type,
            "body": data.body,
            "recipients": recipients,
            "epoch": info.number,
            "dmls_epoch": info.dmls_epoch,
        },
    )


def _result(message_id: bytes, sent: Sent) -> dict[str, Any]:
    if sent.sent_as is None:
        return {"id": message_id, "state": "undelivered" if sent.is_given_up else "queued"}
    return {
        "id": message_id,
        "state": "sent",
        "recipients": sent.sent_as.recipients,
        "epoch": sent.sent_as.epoch,
        "dmls_epoch": sent.sent_as.dmls_epoch,
    }
