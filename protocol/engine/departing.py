"""Leaving a universe, also with nobody connected: what this node had of it is wiped at once (K-20). Only its signed
word stays, with where the others can be reached, until one of them is seen to have it, or for a week."""

from __future__ import annotations

from collections.abc import Iterator

from starling.protocol.distributed import policy
from starling.protocol.distributed.roster_body import Kind
from starling.protocol.distributed.roster_entry import decode_entry, entry_id
from starling.protocol.engine import forgetting, managing
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import send_entries
from starling.protocol.engine.leaving import MAX_ENTRIES, Leaving
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.exchange.member_messages import Pulse, RosterEntries
from starling.protocol.exchange.message import Message

_NO_DIGEST = bytes(32)
_ADDRESSES = 4


def leave(ctx: Context, universe: Universe, *, force: bool) -> dict[str, object]:
    """Leave for good. Raises `UsageError` for the last who may remove and admit others, unless told to all the same."""
    others = list(universe.others())
    if managing.is_last_admin(universe) and others and not force:
        raise UsageError(
            "this node is the last admin, and without one nobody can ever be removed; make another member one by "
            "'starling role', or insist by --force",
            "admin.last",
        )
    entry = universe.roster.make_remove(universe.identity, universe.me)
    addresses = {info.peer_id: universe.profiles.addresses(info.identity)[:_ADDRESSES] for info in others}
    entries = (*_own_entries(universe), entry)[-MAX_ENTRIES:]
    universe.leaving = Leaving(entries, addresses, ctx.now + policy.LEAVE_TOLD)
    forgetting.forget_universe(ctx, universe)
    _save(ctx, universe, universe.leaving)
    ctx.event("universe.left", universe.universe_id, {})
    for peer_id in sorted(addresses.keys() & universe.connected):
        say(ctx, universe, peer_id)
    return {"told": len(addresses.keys() & universe.connected)}


def _own_entries(universe: Universe) -> Iterator[bytes]:
    """What the last word follows, and perhaps nobody else has yet: the entry that makes this node a member, and what it
    has made."""
    standing = universe.roster.members[universe.me].entry_id
    for entry in universe.roster.entries():
        if decode_entry(entry).author == universe.me or entry_id(entry) == standing:
            yield entry


def say(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """Tell a connected member that this node has left. The pulse after it is answered with the removals of who is no
    member any more: then the peer has it."""
    leaving = universe.leaving
    if leaving is not None and peer_id in leaving.peers:
        send_entries(ctx, universe, peer_id, leaving.entries)
        ctx.send(peer_id, Pulse(universe.universe_id, _NO_DIGEST, _NO_DIGEST))


def take_message(ctx: Context, universe: Universe, peer_id: bytes, message: Message) -> None:
    """What a member says to who has left: only whether it knows that matters."""
    leaving = universe.leaving
    if leaving is None or peer_id not in leaving.peers or not isinstance(message, RosterEntries):
        return
    if any(_is_removal_of(entry, universe.me) for entry in message.entries):
        _finish(ctx, universe, leaving)


def _is_removal_of(entry: bytes, identity: bytes) -> bool:
    try:
        decoded = decode_entry(entry)
    except DecodeError:
        return False
    return decoded.kind == Kind.REMOVAL and decoded.subject == identity


def tick(ctx: Context, universe: Universe) -> None:
    """Say it again to those connected, and end it when nobody was found for long."""
    leaving = universe.leaving
    if leaving is None or not leaving.peers:
        return
    if leaving.until <= ctx.now:
        _finish(ctx, universe, leaving)
    elif leaving.next_try <= ctx.now:
        leaving.next_try = ctx.now + ctx.jittered(policy.LEAVE_AGAIN)
        for peer_id in sorted(leaving.peers.keys() & universe.connected):
            say(ctx, universe, peer_id)


def next_wake(universe: Universe) -> int | None:
    leaving = universe.leaving
    if leaving is None or not leaving.peers:
        return None
    return (
        min(leaving.next_try, leaving.until) if leaving.peers.keys() & universe.connected else leaving.until
    )


def _finish(ctx: Context, universe: Universe, leaving: Leaving) -> None:
    """Nothing is to be told any more; that it was this node's own will stays, for people."""
    universe.leaving = Leaving((), {}, leaving.until)
    _save(ctx, universe, universe.leaving)


def _save(ctx: Context, universe: Universe, leaving: Leaving) -> None:
    ctx.put("leaving", universe.universe_id, leaving.encode())
