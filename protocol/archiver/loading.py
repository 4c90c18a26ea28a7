"""From stored rows back to offers and archives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from starling.protocol.archiver.archive import Archive
from starling.protocol.archiver.kept_frames import load_archived
from starling.protocol.archiver.offers import Offers
from starling.protocol.distributed.floor import Floors
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.policy import FrameQuota
from starling.protocol.distributed.roster import Roster
from starling.protocol.errors import UsageError

_TABLES = frozenset({"offer", "archive", "roster", "floor", "profile", "archived"})


def load_archives(
    identity: Identity, records: Iterable[tuple[str, bytes, bytes]], quota: FrameQuota
) -> tuple[Offers, dict[bytes, Archive]]:
    """Everything of a store. Raises `UsageError` where it is a member's."""
    tables: defaultdict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for table, key, value in records:
        if table not in _TABLES:
            raise UsageError(
                "this node takes part in universes as a member; it cannot be an archiver", "role"
            )
        tables[table].append((key, value))
    offers = Offers(identity)
    for _, row in tables["offer"]:
        offers.load(row)
    offers.finish_loading()
    archives: dict[bytes, Archive] = {}
    for universe_id, _ in tables["archive"]:
        offer = offers.of_universe(universe_id)
        if offer is not None:
            archives[universe_id] = Archive(universe_id, identity.identity_public_key, offer, quota)
            archives[universe_id].is_named = True
    entries: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for key, entry in tables["roster"]:
        entries[key[:32]].append(entry)
    for universe_id, archive in archives.items():
        archive.roster = Roster.load(universe_id, entries[universe_id])
    for key, row in tables["floor"]:
        if key[:32] in archives:
            archives[key[:32]].note_floors(Floors.decode(row))
    for key, row in tables["profile"]:
        if key[:32] in archives:
            archives[key[:32]].profiles.load(key, row)
    loaded = (load_archived(key, row) for key, row in tables["archived"])
    for universe_id, frame in sorted(loaded, key=lambda item: item[1].place):
        if universe_id in archives:
            frames = archives[universe_id].frames
            frames.load(frame, frames.listing.add(frame.frame_id, frame.place))
    return offers, archives
