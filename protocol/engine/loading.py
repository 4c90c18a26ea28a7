"""From stored rows back to universes: the inverse of what the engine writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.policy import BOOT_WAIT
from starling.protocol.distributed.roster import Roster
from starling.protocol.engine import archiving, catching_up, joining, readmission
from starling.protocol.engine.epochs import load_import, load_psk, psk_universe
from starling.protocol.engine.group_state import load_group_row, load_logged
from starling.protocol.engine.healing_vectors import vector_universe
from starling.protocol.engine.leaving import Leaving
from starling.protocol.engine.outbox import OUTBOX_TABLES
from starling.protocol.engine.own_group import new_group_state
from starling.protocol.engine.places import PLACES_TABLE
from starling.protocol.engine.reporting import load_report
from starling.protocol.engine.standing import STANDING_TABLES
from starling.protocol.engine.stuck import STUCK_TABLES
from starling.protocol.engine.under_way import Boot
from starling.protocol.engine.universe import Universe

Row = tuple[bytes, bytes]

Tables = defaultdict[str, list[Row]]

_TABLES = (
    "profile",
    "bundle",
    "delivered",
    "report",
    "import",
    "evidence",
    "clock",
    "leaving",
    "claim",
    "feed",
    PLACES_TABLE,
)


def read_tables(records: Iterable[tuple[str, bytes, bytes]]) -> Tables:
    """Stored rows `(table, key, value)` by their table."""
    tables: Tables = defaultdict(list)
    for table, key, value in records:
        tables[table].append((key, value))
    return tables


def load_universes(identity: Identity, tables: Tables, now: int) -> dict[bytes, Universe]:
    """All universes of a store, each waiting for its boot commit."""
    universes = {key: Universe.load(identity, key, row, now) for key, row in tables["universe"]}
    _load_rosters(universes, tables["roster"])
    for table in (*_TABLES, *OUTBOX_TABLES, *STUCK_TABLES, *STANDING_TABLES):
        for key, row in tables[table]:
            universe = universes.get(key[:32])
            if universe is not None:
                _load_row(universe, table, key, row)
    for key, row in tables["psk"]:
        universe = universes.get(psk_universe(row))
        if universe is not None:
            load_psk(universe, key[:32], key[32:], row)
    for key, row in tables["healing"]:
        universe = universes.get(vector_universe(row))
        if universe is not None:
            universe.healing.load_vector(key, row)
    _load_groups(universes, tables)
    for universe in universes.values():
        universe.outbox.finish_loading()
        universe.delivered.finish_loading()
        universe.boot = Boot(deadline=now + BOOT_WAIT)
        universe.timers.readd = now if universe.stuck.groups else None
        if universe.group_id in universe.groups:
            universe.began_at = universe.own.graph.head_info.number
        # Whatever was due when the last run ended is looked at once the boot commit is made.
        universe.timers.full_sweep = now + BOOT_WAIT
    for key, row in tables["joining"]:
        if key in universes:
            joining.resume(universes[key], row, now)
    for universe in universes.values():
        readmission.resume(universe)
        universe.catching_up = catching_up.unfinished(universe)
    return universes


def _load_rosters(universes: dict[bytes, Universe], rows: list[Row]) -> None:
    entries: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for key, entry in rows:
        entries[key[:32]].append(entry)
    for universe_id, universe in universes.items():
        universe.roster = Roster.load(universe_id, entries[universe_id])


def _load_row(universe: Universe, table: str, key: bytes, row: bytes) -> None:
    if table == "profile":
        universe.profiles.load(key, row)
    elif table == "bundle":
        universe.bundles.load(key, row)
    elif table in OUTBOX_TABLES:
        universe.outbox.load(table, key, row)
    elif table == "delivered":
        universe.delivered.load(key, row)
    elif table == "evidence":
        universe.evidence.load(key, row)
    elif table == "leaving":
        universe.leaving = Leaving.decode(row)
    elif table == "claim":
        universe.claims.load(key, row)
    elif table == "clock":
        universe.healing.load_seen(key, row)
    elif table == "feed":
        archiving.load(universe, key, row)
    elif table == "import":
        load_import(universe, key, row)
    elif table in STUCK_TABLES:
        universe.stuck.load(table, key, row)
    elif table == PLACES_TABLE:
        universe.places.load(key, row)
    elif table in STANDING_TABLES:
        universe.standing.load(table, key, row)
    else:
        universe.reports[key[32:]] = load_report(row)


def _load_groups(universes: dict[bytes, Universe], tables: dict[str, list[Row]]) -> None:
    heads: dict[bytes, bytes] = {}
    groups = {}
    for group_id, row in tables["group"]:
        universe_id, owner = load_group_row(row)
        universe = universes.get(universe_id)
        if universe is None:
            continue
        state = new_group_state(universe, group_id, owner)
        heads[group_id] = state.load_row(row)
        groups[group_id] = universe.groups[group_id] = state
    ratchets = dict(tables["ratchet"])
    for key, row in tables["epoch_info"]:
        if key[:32] in groups:
            groups[key[:32]].load_info(key[32:], row)
    for key, row in tables["epoch"]:
        if key[:32] in groups:
            groups[key[:32]].load_state(key[32:], row, ratchets[key])
    # In the order in which they came, which is that in which others can use them.
    loaded = (load_logged(key, row) for key, row in tables["log"])
    for logged in sorted(loaded, key=lambda logged: logged.stored_at):
        if logged.group_id in groups:
            groups[logged.group_id].log.add(logged)
    for group_id, state in groups.items():
        state.finish_loading(heads[group_id])
