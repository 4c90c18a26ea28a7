"""Naming archivers in the roster, and what is known of those that are named."""

from __future__ import annotations

from typing import Any

from starling.protocol.distributed.archiver_offer import ArchiverOffer, OfferError
from starling.protocol.distributed.roster_rights import Right
from starling.protocol.engine import managing, membership, topics
from starling.protocol.engine.archiver_link import ArchiverLink
from starling.protocol.engine.context import Context
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import UsageError


def name_archiver(ctx: Context, universe: Universe, text: str) -> bytes:
    """Name an archiver by its offer's text; its identity key is given back. Raises `UsageError`."""
    try:
        offer = ArchiverOffer.parse(text)
    except OfferError as error:
        raise UsageError(
            f"{error} Copy the whole text that 'starling archiver offer' printed.", "offer.bad"
        ) from None
    _require_right(universe)
    entry = universe.roster.make_archiver(
        universe.identity,
        subject=offer.identity,
        name=offer.name,
        peer_id=offer.peer_id,
        public_key=offer.public_key,
        offer=offer.offer,
        addresses=offer.addresses,
    )
    membership.add_entries(ctx, universe, [entry])
    return offer.identity


def remove_archiver(ctx: Context, universe: Universe, identity: bytes) -> None:
    """Take an archiver's name off the roster, and replace the topic, which it knows. Raises `UsageError`."""
    _require_right(universe)
    entry = universe.roster.make_remove_archiver(universe.identity, identity)
    membership.add_entries(ctx, universe, [entry])
    topics.renew(ctx, universe)


def _require_right(universe: Universe) -> None:
    managing.require(universe, Right.ARCHIVER, "only admins name and remove archivers")


def _has_all(universe: Universe, link: ArchiverLink) -> bool:
    """Whether the archiver has all that this node keeps for others, as far as it said."""
    return bool(universe.list_id) and link.read >= universe.kept.listing.last


def archivers_view(universe: Universe) -> list[dict[str, Any]]:
    """The archivers: who named each, whether it is connected and full, has been read to its end, and has all."""
    rows = []
    for info in universe.roster.archivers.values():
        link = universe.archivers.get(info.peer_id)
        connected = link is not None and link.connected
        rows.append(
            {
                "identity": info.identity,
                "name": info.name,
                "peer_id": info.peer_id,
                "named_by": info.author,
                "connected": connected,
                "full": link.full if link is not None else None,
                "caught_up": link.feed.is_current if link is not None and connected else None,
                "has_all": _has_all(universe, link) if link is not None and connected else None,
                "addresses": list(info.addresses),
            }
        )
    return rows
