"""Sending own messages again to a member that was added again, or has this node anew (PROTOCOL B10).

A message is held until all its recipients have acknowledged it; who is added again has gone past some of them, and
gets those again, by the same ids and in their order. What is not held any more is counted, and told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.settling import has_past, held_generations
from starling.protocol.distributed.application import (
    AGAIN,
    LOST,
    MESSAGE_ID_SIZE,
    RESERVED_TYPES,
    ApplicationData,
)
from starling.protocol.distributed.sent_again import MAX_MESSAGES, SentAgain, build_lost, parse_lost
from starling.protocol.engine import direct, own_group
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import note_change
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.outbox import Sent
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError, ProtocolError

BATCH_BYTES = 48 * 1024
"""Of messages that are sealed together: with the rest they still fit into gossip."""


# the sender


def owed_to(universe: Universe, member: bytes) -> list[int]:
    """The held messages, by their order, that a member was to get and has not acknowledged."""
    again = {
        order: repeat
        for repeat in universe.outbox.repeats.values()
        if repeat.member == member
        for order in repeat.orders
    }
    held: dict[bytes, int | None] = {}
    owed = []
    for order, sent in universe.outbox.kept():
        assert sent.sent_as is not None, "what is kept was sent"
        if not sent.is_for(member):
            continue
        repeat = again.get(order)
        place = repeat.place if repeat is not None else sent.sent_as.place
        if place is None:
            owed.append(order)
            continue
        dmls_epoch, generation = place
        if dmls_epoch not in held:
            held[dmls_epoch] = _lacks_from(universe, member, dmls_epoch)
        first = held[dmls_epoch]
        if first is not None and generation >= first:
            owed.append(order)
    return owed


def _lacks_from(universe: Universe, member: bytes, dmls_epoch: bytes) -> int | None:
    """From which generation on a member may lack what was sent in an epoch of ours; None where it lacks nothing, or
    was not in it."""
    graph = universe.own.graph
    info = graph.get(dmls_epoch)
    if info is None or member not in info.members or member not in universe.roster.members:
        return None
    if member in universe.standing.blocked:
        return None
    report = universe.reported(member, universe.group_id)
    if has_past(graph, member, report, dmls_epoch):
        return None
    return held_generations(graph, report, info)


def send_again(ctx: Context, universe: Universe, member: bytes, orders: Collection[int]) -> None:
    """Send a member these messages again, sealed to its leaf in our newest epoch, and tell it how many are gone."""
    outbox = universe.outbox
    for repeat in [repeat for repeat in outbox.repeats.values() if repeat.member == member]:
        outbox.drop_repeat(ctx, repeat)
    state = universe.own
    leaf_index = state.members()[member]
    leaf = state.head.tree.leaf(leaf_index)
    assert leaf is not None, "the member has just been added"
    suite = cipher_suite(universe.cipher_suite)
    for batch in _batches(outbox.held(orders)):
        if batch[0].to:
            data = direct.seal(ctx, universe, leaf_index, batch[0].encoded)
        else:
            place = state.group_id + state.graph.head
            encoded = [sent.encoded for sent in batch]
            sealed = SentAgain.seal(suite, member, leaf.encryption_key, place, encoded, ctx.random)
            data = _message(ctx, AGAIN, sealed.encode())
        own_group.protect(ctx, universe, data)
        info = state.graph.head_info
        at = (info.dmls_epoch, info.next_generation - 1)
        outbox.add_repeat(ctx, member, [sent.order for sent in batch], at)
    lost = outbox.lost.get(member)
    if lost is not None:
        own_group.protect(ctx, universe, _message(ctx, LOST, build_lost(member, lost.count)))
        outbox.find_again(ctx, member)
    if orders:
        note_change(ctx, universe)


def _batches(messages: list[Sent]) -> list[list[Sent]]:
    """Messages that go together; a direct one goes alone, as it did when it was first sent."""
    batches: list[list[Sent]] = []
    size = 0
    for sent in messages:
        is_full = size + len(sent.encoded) > BATCH_BYTES
        if not batches or sent.to or batches[-1][0].to or is_full or len(batches[-1]) == MAX_MESSAGES:
            batches.append([])
            size = 0
        batches[-1].append(sent)
        size += len(sent.encoded)
    return batches


def _message(ctx: Context, content_type: str, body: bytes) -> ApplicationData:
    return ApplicationData(content_type, ctx.random(MESSAGE_ID_SIZE), (), body)


def hold_back(ctx: Context, universe: Universe, member: bytes, orders: Collection[int]) -> None:
    """A member is, for now, in no group of ours: it gets these messages again when it is added to one."""
    for repeat in [repeat for repeat in universe.outbox.repeats.values() if repeat.member == member]:
        universe.outbox.drop_repeat(ctx, repeat)
    if orders:
        universe.outbox.add_repeat(ctx, member, orders, None)


def hold_back_all(ctx: Context, universe: Universe) -> None:
    """The own group is given up for a new one: what its members have not acknowledged each gets again in that."""
    for info in universe.others():
        hold_back(ctx, universe, info.identity, owed_to(universe, info.identity))


def hold_back_whole(ctx: Context, universe: Universe, member: bytes) -> None:
    """A member starts anew, and is to be added again: what it has acknowledged does not count, as it was perhaps put
    back to an old state. What it has got it knows by the ids."""
    graph = universe.own.graph
    repeats = (repeat for repeat in universe.outbox.repeats.values() if repeat.member == member)
    owed = {order for repeat in repeats for order in repeat.orders}
    for order, sent in universe.outbox.kept():
        info = graph.get(sent.sent_as.dmls_epoch) if sent.sent_as is not None else None
        if info is not None and member in info.members and sent.is_for(member):
            owed.add(order)
    hold_back(ctx, universe, member, sorted(owed))


def held_back_for(universe: Universe, member: bytes) -> list[int]:
    """What a member is to get as soon as it is in our group."""
    return [
        order
        for repeat in universe.outbox.repeats.values()
        if repeat.member == member and repeat.place is None
        for order in repeat.orders
    ]


def forget_acknowledged(ctx: Context, universe: Universe) -> None:
    """Let go of messages whose frames went: all have acknowledged them, or they are beyond the limits. Who has not is
    told when it is added again."""
    outbox, log = universe.outbox, universe.own.log
    for repeat in list(outbox.repeats.values()):
        if repeat.place is not None and not log.holds(*repeat.place):
            first = _lacks_from(universe, repeat.member, repeat.place[0])
            if first is not None and repeat.place[1] >= first:
                outbox.lose(ctx, repeat.member, len(repeat.orders), universe.own.graph.head_info.number)
            outbox.drop_repeat(ctx, repeat)
    waiting: dict[int, set[bytes]] = {}
    for repeat in outbox.repeats.values():
        for order in repeat.orders:
            waiting.setdefault(order, set()).add(repeat.member)
    gone: list[Sent] = []
    excess, size = outbox.excess
    for order, sent in outbox.kept():
        assert sent.sent_as is not None, "what is kept was sent"
        is_excess = len(gone) < excess or size > 0
        if not is_excess and order in waiting:
            continue
        if not is_excess and log.holds(*sent.sent_as.place):
            break
        gone.append(sent)
        size -= len(sent.encoded)
    _let_go(ctx, universe, gone, waiting)
    _find_lost_again(ctx, universe)


def _let_go(
    ctx: Context, universe: Universe, gone: list[Sent], waiting: Mapping[int, Collection[bytes]]
) -> None:
    """Drop messages, and count those that somebody has not acknowledged and does not get in another way."""
    lacking: dict[bytes, dict[bytes, int]] = {}
    for sent in gone:
        assert sent.sent_as is not None, "what is kept was sent"
        dmls_epoch, generation = sent.sent_as.place
        if dmls_epoch not in lacking:
            info = universe.own.graph.get(dmls_epoch)
            members = info.members - {universe.me} if info is not None else frozenset()
            found = {member: _lacks_from(universe, member, dmls_epoch) for member in members}
            lacking[dmls_epoch] = {member: first for member, first in found.items() if first is not None}
        for member, first in lacking[dmls_epoch].items():
            if sent.is_for(member) and generation >= first and member not in waiting.get(sent.order, ()):
                universe.outbox.lose(ctx, member, 1, sent.sent_as.epoch)
        universe.outbox.drop(ctx, sent.order)


def _find_lost_again(ctx: Context, universe: Universe) -> None:
    """What was counted as lost for a member came to it all the same, from others who held it."""
    for member, lost in list(universe.outbox.lost.items()):
        report = universe.reported(member, universe.group_id)
        past = universe.own.graph.get(report.past) if report is not None else None
        if past is not None and past.number >= lost.epoch:
            universe.outbox.find_again(ctx, member)


# the receiver


def open_again(
    universe: Universe, state: GroupState, dmls_epoch: bytes, body: bytes
) -> list[ApplicationData]:
    """The messages that were sent to this node again, in their order; none where they are for another member."""
    group = state.state(dmls_epoch)
    try:
        again = SentAgain.decode(body)
        if again.identity != universe.me or group is None:
            return []
        messages = [
            ApplicationData.decode(message) for message in again.open(group, state.group_id + dmls_epoch)
        ]
    except ProtocolError as refusal:
        universe.refuse(type(refusal).__name__)
        return []
    return [message for message in messages if message.content_type not in RESERVED_TYPES]


def take_lost(ctx: Context, universe: Universe, state: GroupState, epoch: int, body: bytes) -> None:
    """An owner has lost messages that somebody never got: where that is this node, it is told to the apps."""
    try:
        identity, count = parse_lost(body)
    except DecodeError:
        universe.refuse("lost")
        return
    if identity == universe.me:
        told = {"owner": state.owner, "epoch": epoch, "held": None, "count": count}
        ctx.event("messages.unavailable", universe.universe_id, told)
