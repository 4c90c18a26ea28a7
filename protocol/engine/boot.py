"""The boot commit: after a start nothing is encrypted in an epoch that an earlier run entered (B2, B3, K-23)."""

from __future__ import annotations

from starling.protocol.distributed.policy import BOOT_WAIT
from starling.protocol.engine import aligning, exchanging, imports, own_group, resolving
from starling.protocol.engine.context import Context
from starling.protocol.engine.under_way import Boot
from starling.protocol.engine.universe import Universe


def is_due(universe: Universe, now: int) -> bool:
    """B3: a peer has told, and shown, how far it knows our group, all first dials have failed, nobody is there, or
    time is up. Where the own group is not admitted it is never."""
    if universe.silenced:
        return False
    boot = universe.boot
    peers = {info.peer_id for info in universe.others()}
    waits = boot.waits_for_proof or boot.waits_for_roster or (universe.timers.resolve or 0) > now
    answered = boot.answered and not waits
    return answered or now >= boot.deadline or peers <= boot.failed


def new_run(ctx: Context, universe: Universe) -> None:
    """As after a start, with the connections that there are."""
    universe.timers.come_back_to(ctx.now)
    universe.standing.come_back_to(ctx.now)
    for link in universe.links.values():
        link.pulse_at = min(link.pulse_at, ctx.now)
    for behind in universe.behind.values():
        behind.due = min(behind.due, ctx.now)
    if universe.joining is not None:
        universe.joining.next_try = min(universe.joining.next_try, ctx.now)
    elif not universe.removed:
        universe.boot = Boot(deadline=ctx.now + BOOT_WAIT, asks=True)
        universe.told = None
        universe.began_at = universe.own.graph.head_info.number
        universe.made.clear()
        universe.resolves = 0


def ask_members(ctx: Context, universe: Universe) -> None:
    """Ask those who are connected already how far they know our group; others tell it when they connect."""
    universe.boot.asks = False
    for peer_id in universe.links:
        exchanging.send_summary(ctx, universe, peer_id, answer=True)


def boot_commit(ctx: Context, universe: Universe) -> None:
    """A path commit with all known removals, which closes the branches that members name where this node was put
    back; then the imports of all newest peer epochs."""
    removes = aligning.leaves_to_remove(ctx, universe)
    closes = resolving.closing(universe)
    universe.resolves += bool(closes)
    universe.timers.resolve = None
    # The KeyPackages of a copy may be out of use by now: they are put in leaves where somebody said that it is none.
    replaces = universe.boot.answered and not universe.was_put_back
    own_group.commit(
        ctx, universe, path=True, removes=removes, closes=closes, replace_leaves=replaces, boot=True
    )
    universe.boot.done = True
    imports.import_now(ctx, universe)
    aligning.align(ctx, universe)
