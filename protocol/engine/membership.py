"""What the roster says of the members: merging it, passing it on, and telling who came and who went (X-13, X-15)."""

from __future__ import annotations

from collections.abc import Iterable

from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.distributed.roster_body import Kind
from starling.protocol.distributed.roster_departures import Departure
from starling.protocol.distributed.roster_entry import decode_entry, entry_id
from starling.protocol.distributed.roster_rights import Policy
from starling.protocol.engine import catching_up, direct
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import note_change
from starling.protocol.engine.exchanging import ask_for_roster, greet, send_entries
from starling.protocol.engine.forgetting import forget_universe
from starling.protocol.engine.key_changes import note_name, note_new_keys
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Pending, ProtocolError, Unsupported
from starling.protocol.exchange.waiting import Need


def add_entries(
    ctx: Context, universe: Universe, entries: Iterable[bytes], source: bytes | None = None
) -> bool:
    """Merge roster entries; what is new is stored, acted on, and passed on to connected members."""
    before = {identity: info.send_group_id for identity, info in universe.roster.members.items()}
    groups = set(universe.roster.send_groups)
    rights = _rights(universe)
    new: list[bytes] = []
    incomplete = False
    for entry in entries:
        try:
            new.extend(universe.roster.add(entry))
        except Pending:
            incomplete = True
        except (ProtocolError, Unsupported) as refusal:
            universe.refuse(type(refusal).__name__)
    told = universe.roster.told_departure(universe.me) if incomplete else None
    if told is not None:
        _note_own_removal(ctx, universe, told)
        return True
    if incomplete and source is not None and (source in universe.links or universe.roster.awaits(source)):
        ask_for_roster(ctx, universe, source)
    if not new:
        return False
    for entry in new:
        key = universe.universe_id + entry_id(entry)
        ctx.put("roster", key, entry)
    _pass_on(ctx, universe, tuple(new), source)
    _note_members(ctx, universe, before)
    _note_rights(ctx, universe, *rights)
    for group_id in universe.roster.send_groups.keys() - groups:
        for waiting in universe.waiting.release(Need("roster", group_id, b"")):
            receive(ctx, universe, waiting.forwarder, waiting.frame)
    universe.timers.align = ctx.now
    note_change(ctx, universe)
    return True


def store_roster(ctx: Context, universe: Universe) -> None:
    """Store the whole roster, as a joiner got it."""
    for entry in universe.roster.entries():
        ctx.put("roster", universe.universe_id + entry_id(entry), entry)


def _pass_on(ctx: Context, universe: Universe, new: tuple[bytes, ...], source: bytes | None) -> None:
    for peer_id in universe.links:
        if peer_id != source:
            send_entries(ctx, universe, peer_id, new)
    for peer_id, link in universe.archivers.items():
        # Who was just removed does not learn of what follows, a new topic for one.
        if link.connected and peer_id != source and universe.roster.archiver_of_peer(peer_id) is not None:
            send_entries(ctx, universe, peer_id, new)


def _note_members(ctx: Context, universe: Universe, before: dict[bytes, bytes]) -> None:
    """Tell who came and who went since `before`, identities with their send groups. With another group a member
    went and came again."""
    members = universe.roster.members
    after = {identity: info.send_group_id for identity, info in members.items()}
    if after != before:
        for group_id in universe.groups:
            universe.sweep_soon(group_id, ctx.now)
    anew = {
        identity
        for identity in before.keys() & after.keys()
        if identity != universe.me and is_readmitted(universe, members[identity])
    }
    # Looked up first: who is none any more itself forgets the roster below.
    departures = {identity: universe.roster.departure(identity) for identity in before.keys() - after.keys()}
    for identity, group_id in sorted(before.items() - after.items()):
        if identity in anew:
            universe.profiles.start_anew(ctx, identity, members[identity].peer_id)
        else:
            universe.profiles.forget(ctx, identity)
        universe.standing.end_exclusion(ctx, group_id)
        universe.asks_again.pop(identity, None)
        if identity not in members:
            universe.readmitted.pop(identity, None)
            universe.standing.end_suspension(ctx, identity)
        universe.stuck.forget(ctx, identity)
        universe.stuck.forget_group(ctx, group_id)
        if identity not in anew:
            universe.outbox.forget_member(ctx, identity)
            direct.drop_queued(ctx, universe, identity, "removed")
        if identity == universe.me:
            if identity not in members:
                _note_own_removal(ctx, universe, departures[identity])
        elif identity not in anew:
            _tell_removal(ctx, universe, identity, departures.get(identity))
            catching_up.note(universe, identity)
    if universe.removed:
        return
    for identity, _ in sorted(after.items() - before.items()):
        info = members[identity]
        body = {"identity": identity, "name": universe.name_of(identity), "sponsor": info.sponsor}
        if identity in anew:
            ctx.event("member.readmitted", universe.universe_id, body)
            note_new_keys(ctx, universe, info)
        elif identity != universe.me:
            ctx.event("member.joined", universe.universe_id, body)
            note_new_keys(ctx, universe, info)
            note_name(ctx, universe, identity)
            catching_up.note(universe, identity)
        if info.peer_id in universe.connected and info.peer_id not in universe.links:
            greet(ctx, universe, info.peer_id)
    for peer_id in [peer_id for peer_id in universe.links if universe.member_of_peer(peer_id) is None]:
        del universe.links[peer_id]


def _rights(universe: Universe) -> tuple[dict[bytes, str], Policy]:
    return {identity: info.role for identity, info in universe.roster.members.items()}, universe.roster.policy


def _note_rights(ctx: Context, universe: Universe, roles: dict[bytes, str], policy_before: Policy) -> None:
    """Tell who has another role than before, and whether others may invite or remove."""
    if universe.removed:
        return
    now_held, now = _rights(universe)
    for identity, role in sorted(now_held.items()):
        if roles.get(identity, role) != role:
            body = {"identity": identity, "name": universe.name_of(identity), "role": role}
            ctx.event("member.role", universe.universe_id, body)
    if now != policy_before:
        body = {"invite": now.invite, "remove": now.remove}
        ctx.event("policy.changed", universe.universe_id, body)


def is_readmitted(universe: Universe, member: MemberInfo) -> bool:
    """Whether a member stands by an entry that answers no removal: with another send group it started anew."""
    entry = universe.roster.entry(member.entry_id)
    return entry is not None and decode_entry(entry).kind == Kind.MEMBER


def _tell_removal(ctx: Context, universe: Universe, identity: bytes, departure: Departure | None) -> None:
    reason = departure.reason.value if departure is not None else None
    by = departure.by if departure is not None else None
    body = {"identity": identity, "reason": reason, "by": by}
    ctx.event("member.removed", universe.universe_id, body)


def _note_own_removal(ctx: Context, universe: Universe, departure: Departure | None) -> None:
    """This node is no member any more, by others' word: it is told once."""
    if not universe.removed:
        _tell_removal(ctx, universe, universe.me, departure)
        forget_universe(ctx, universe)
