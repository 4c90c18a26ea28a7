"""What a universe does by itself as time goes on, and when it wants to be woken."""

from __future__ import annotations

from starling.protocol.distributed import policy
from starling.protocol.engine import (
    absence,
    aligning,
    archiving,
    asking,
    boot,
    catching_up,
    departing,
    exchanging,
    frame_quota,
    imports,
    joining,
    readding,
    readmission,
    renaming,
    reporting,
    resolving,
    retention,
    sending,
    topics,
    watching,
)
from starling.protocol.engine.context import Context
from starling.protocol.engine.universe import Universe


def tick(ctx: Context, universe: Universe) -> bool:
    """Do all that is due; False where the universe is gone (a join that failed)."""
    if universe.joining is not None:
        return joining.knock_again(ctx, universe)
    if universe.removed:
        departing.tick(ctx, universe)
        return True
    readmission.watch(ctx, universe)
    if universe.boot.asks:
        boot.ask_members(ctx, universe)
    if not universe.boot.done and _due(universe.timers.resolve, ctx.now):
        universe.timers.resolve = (
            None  # the boot commit does not wait for it any more, and closes what is known
        )
    if not universe.boot.done and boot.is_due(universe, ctx.now):
        boot.boot_commit(ctx, universe)
    if universe.boot.done:
        _own_group(ctx, universe)
    for peer_id, link in universe.links.items():
        if link.pulse_at <= ctx.now:
            exchanging.pulse(ctx, universe, peer_id, link)
    catching_up.watch(ctx, universe)
    archiving.tick(ctx, universe)
    readding.watch(ctx, universe)
    asking.ask(ctx, universe)
    universe.waiting.forget_before(ctx.now - policy.WAITING_RETENTION)
    frame_quota.watch(ctx, universe)
    if _due(universe.timers.retention, ctx.now) or _due(universe.timers.full_sweep, ctx.now):
        retention.sweep(ctx, universe)
        watching.look_soon(ctx, universe)
    if _due(universe.timers.look, ctx.now):
        watching.look(ctx, universe)
    return True


def _own_group(ctx: Context, universe: Universe) -> None:
    timers = universe.timers
    if _due(universe.standing.look_at, ctx.now):
        absence.look(ctx, universe)
    if _due(timers.align, ctx.now):
        aligning.align(ctx, universe)
    if _due(timers.topic, ctx.now):
        topics.renew(ctx, universe)
    if _due(timers.readd, ctx.now):
        readding.ask(ctx, universe)
    if timers.first_path is not None and (_due(timers.first_path, ctx.now) or _all_joined(universe)):
        timers.first_path = None
        universe.save(ctx)
        imports.import_now(ctx, universe, with_path=True)
    if imports.update_is_due(universe, ctx.now):
        imports.import_now(ctx, universe, with_path=True)
    if _due(timers.resolve, ctx.now):
        resolving.resolve(ctx, universe)
    if _due(timers.imports, ctx.now):
        imports.import_now(ctx, universe)
    if universe.name_due:
        renaming.tell_name(ctx, universe)
    sending.flush(ctx, universe)
    if _due(timers.report, ctx.now):
        reporting.send_report(ctx, universe)
        reporting.note_convergence(ctx, universe)


def _all_joined(universe: Universe) -> bool:
    """Whether the Welcomes of all members are in, to KeyPackages of this incarnation."""
    groups = (universe.groups.get(info.send_group_id) for info in universe.others())
    return all(
        state is not None and readding.own_incarnation_in(state) == universe.incarnation for state in groups
    )


def _due(time: int | None, now: int) -> bool:
    return time is not None and time <= now


def next_wake(universe: Universe) -> int | None:
    """When something is due next."""
    if universe.joining is not None:
        return min(universe.joining.next_try, universe.joining.ticket.expires_at)
    if universe.removed:
        return departing.next_wake(universe)
    timers = universe.timers
    times = [timers.retention, timers.full_sweep, timers.look, archiving.next_wake(universe)]
    if universe.boot.done:
        times += [
            timers.align,
            timers.topic,
            timers.readd,
            timers.first_path,
            timers.resolve,
            timers.imports,
            timers.report,
        ]
        times.append(imports.next_update(universe))
        times.append(universe.standing.look_at)
    elif universe.silenced:
        times.append(readmission.next_wake(universe))
    else:
        times += [universe.boot.deadline, timers.resolve]
    times += [link.pulse_at for link in universe.links.values()]
    times += [behind.due for behind in universe.behind.values()]
    return min((time for time in times if time is not None), default=None)
