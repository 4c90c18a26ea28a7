"""Forgetting a universe of which this node is no member any more (K-20)."""

from __future__ import annotations

from starling.protocol.distributed.roster import Roster
from starling.protocol.distributed.roster_entry import entry_id
from starling.protocol.engine import healing
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_imports, forget_psk
from starling.protocol.engine.universe import Universe


def forget_universe(ctx: Context, universe: Universe) -> None:
    """K-20: who is no member any more opens nothing any more, and keeps nothing of it: neither keys, its own and the
    others', nor the roster's secrets. What apps have been told is theirs."""
    universe.removed = True
    universe.links.clear()
    universe.asks_again.clear()
    for group_id, state in universe.groups.items():
        universe.waiting.forget_group(group_id)
        forget_imports(ctx, universe, group_id)
        state.delete(ctx)
    universe.groups.clear()
    for exported in list(universe.ledger.psks.values()):
        forget_psk(ctx, universe, exported)
    for identity in list(universe.profiles.profiles):
        universe.profiles.forget(ctx, identity)
    for identity in universe.reports:
        ctx.delete("report", universe.universe_id + identity)
    universe.reports.clear()
    universe.unread_reports.clear()
    healing.forget_all(ctx, universe)
    for peer_id in universe.archivers:
        ctx.delete("feed", universe.universe_id + peer_id)
    universe.archivers.clear()
    universe.bundles.forget_all(ctx)
    universe.stuck.forget_all(ctx)
    universe.standing.forget_all(ctx)
    universe.places.forget_all(ctx)
    universe.gone.clear()
    universe.claims.forget_all(ctx)
    universe.outbox.forget_all(ctx)
    universe.delivered.forget_all(ctx)
    founding, *others = universe.roster.entries()
    for entry in others:
        ctx.delete("roster", universe.universe_id + entry_id(entry))
    # Its name and founder stay, for people.
    universe.roster = Roster.load(universe.universe_id, [founding])
    universe.signature_private_key = b""
    universe.save(ctx)
