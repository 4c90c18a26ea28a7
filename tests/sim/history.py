"""Histories: lists of actions that Hypothesis draws, and how they are played on a world."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import strategies as st
from tests.sim.faults import LEVELS
from tests.sim.node import Crash, EngineFactory, Node
from tests.sim.universes import fresh_universe, saved_universe
from tests.sim.violation import Violation
from tests.sim.world import World

_KINDS = (
    *["send"] * 10,
    *["burst"] * 2,
    "large",
    *["update"] * 2,
    *["crash before saved"] * 2,
    *["crash before sent"] * 2,
    *["crash idle"],
    *["restart"],
    *["partition"] * 2,
    *["heal"] * 2,
    *["wait"] * 3,
    "sleep",
    "invite",
    "repeat",
    "repeat",
)
KINDS_OF_COPIES = (*_KINDS, *["copy"] * 6, *["put back"] * 4, *["confirm"] * 2, "clone")
KINDS_OF_MEMBERS = (
    *KINDS_OF_COPIES,
    *["invite by"] * 3,
    *["remove by"] * 2,
    "leave",
    *["role"] * 2,
    "policy",
    *["archiver"] * 3,
)
"""Copies, and changes of who is a member with what rights."""
PAUSES = (0, 0, 5, 40, 100, 200, 500, 1_500)
_LARGE = 70_000
_SLEEP = 65_000
"""Longer than the age at which an import is due before a message."""


@dataclass(frozen=True, slots=True)
class Action:
    """`who` chooses a node, `amount` means what the kind makes of it; `pause` follows, in milliseconds."""

    kind: str
    who: int = 0
    amount: int = 0
    pause: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """`size` nodes at the start; `grown` from nothing (found, invite, join) instead of from disks."""

    seed: int
    size: int
    level: int
    actions: tuple[Action, ...]
    grown: bool = False
    suites: tuple[int, ...] = field(default=(1,))


def actions() -> st.SearchStrategy[Action]:
    return st.builds(
        Action, st.sampled_from(_KINDS), st.integers(0, 6), st.integers(0, 127), st.sampled_from(PAUSES)
    )


def histories(
    *, sizes: tuple[int, ...], steps: tuple[int, int], grown: bool = False, suites: tuple[int, ...] = (1,)
) -> st.SearchStrategy[History]:
    return st.builds(
        _history,
        st.integers(0, 2**32 - 1),
        st.sampled_from(sizes),
        st.integers(0, len(LEVELS) - 1),
        st.lists(actions(), min_size=steps[0], max_size=steps[1]),
        st.one_of(st.none(), st.none(), st.tuples(st.integers(1, 6), st.integers(0, steps[1]))),
        st.just(grown),
        st.just(suites),
    )


def _history(
    seed: int,
    size: int,
    level: int,
    drawn: list[Action],
    removal: tuple[int, int] | None,
    grown: bool,
    suites: tuple[int, ...],
) -> History:
    """At most one removal a history: what is promised about a removed member is little."""
    if removal is not None:
        who, place = removal
        drawn = [*drawn[:place], Action("remove", who, 0, 200), *drawn[place:]]
    return History(seed, size, level, tuple(drawn), grown, suites)


def play(history: History, factory: EngineFactory) -> Counter[str]:
    """Play one history to its end; raises `Violation`, which carries the history as a note.

    Gives back how often each fault occurred.
    """
    try:
        counts = _play(history, factory)
    except Violation as violation:
        violation.add_note(f"in {history!r}")
        raise
    counts["histories"] += 1
    return counts


def _play(history: History, factory: EngineFactory) -> Counter[str]:
    if history.grown:
        world = fresh_universe(factory, history.seed, history.suites)
    else:
        saved = saved_universe(factory, history.size, history.suites)
        world = World(factory, history.seed, saved=saved, suites=history.suites)
    with world.ledger.watching():
        world.network.level = LEVELS[history.level]
        world.start_all()
        if history.grown:
            for _ in range(history.size - 1):
                world.invite()
        for action in history.actions:
            _perform(world, action)
            world.run(action.pause)
        world.end_clones()
        world.finish()
    return world.counts


def _visit(carrier: Node, amount: int, restart_after: int) -> None:
    """Copy the archiver's data directory, put the copy back, or let it crash."""
    match amount % 4:
        case 0 | 1:
            carrier.saved = carrier.store.copy()
        case 2 if carrier.saved is not None:
            carrier.crash(None)
            carrier.store = carrier.saved.copy()
            carrier.start()
        case _:
            carrier.crash(restart_after)


def _perform(world: World, action: Action) -> None:
    app = world.apps[action.who % len(world.apps)]
    amount = action.amount
    restart_after = 200 + 150 * (amount // 4)
    match action.kind:
        case "send" if amount % 4 == 3:
            world.send_direct(app, amount // 4)
        case "send":
            world.send(app)
        case "burst":
            for number in range(2 + amount % 8):
                world.send(app)
                if number % 3 == 2:
                    world.send_direct(app, amount)
        case "large":
            world.send(app, _LARGE)
        case "update":
            world.update(app)
        case "crash before saved":
            world.crash(app, Crash.BEFORE_SAVED, 1 + amount % 4, restart_after)
        case "crash before sent":
            world.crash(app, Crash.BEFORE_SENT, 1 + amount % 4, restart_after)
        case "crash idle":
            world.crash(app, None, 0, restart_after)
        case "restart":
            world.crash(app, None, 0, 0)
        case "partition":
            world.partition([(amount >> index) & 1 for index in range(7)])
        case "heal":
            world.network.heal()
        case "wait":
            world.run(500 * (1 + amount // 8))
        case "sleep":
            world.run(_SLEEP if amount % 4 == 0 else 0)
        case "invite":
            world.invite()
        case "remove":
            world.remove(app)
        case "repeat":
            app.repeat(amount)
        case "copy":
            world.copy(app)
        case "put back":
            world.put_back(app)
        case "clone":
            world.clone(app)
        case "invite by":
            joiner = world.invite(app, ("member", "member", "admin", "reader")[amount % 4])
            if joiner is not None:  # its copy is of the middle of its joining, or soon after
                world.queue.after(10 * amount, lambda: world.copy(joiner))
        case "remove by":
            world.membership.remove(world.apps[amount % len(world.apps)], app)
        case "leave":
            world.membership.leave(app)
        case "role":
            role = "reader" if amount % 8 == 7 else ("member", "admin")[amount % 2]
            world.membership.set_role(world.apps[amount // 8 % len(world.apps)], app, role)
        case "policy":
            world.membership.set_policy(app, ("member", "member", "admin")[amount % 3])
        case "archiver" if world.carrier is not None:
            _visit(world.carrier, amount, restart_after)
        case "archiver":
            world.name_archiver()
        case "confirm":
            world.confirm()
