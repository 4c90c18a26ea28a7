"""An archiver's offers: one universe each, few, and of use to nobody else."""

from __future__ import annotations

import os

import pytest
from tests.archiver.archiver_network import add_archiver, with_archiver
from tests.engine.small_network import SECOND, Network

from starling.protocol.archiver.offers import MAX_OFFERS
from starling.protocol.distributed.archiver_offer import ArchiverOffer
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.inputs import (
    CreateUniverse,
    DropArchive,
    JoinUniverse,
    NameArchiver,
    PeerConnected,
    SendMessage,
    UpdateKeys,
)
from starling.protocol.errors import UsageError
from starling.protocol.exchange.member_messages import Hello


def test_an_offer_serves_one_universe() -> None:
    network, universe_id, vault, (alice, _bob) = with_archiver("Alice", "Bob")
    carol = network.add("Carol")
    other = carol.do(CreateUniverse("other"))
    used = alice.universe(universe_id).roster.archivers[vault.me]
    stolen = vault.offer()
    carol.do(NameArchiver(other, stolen))
    network.run(10 * SECOND)
    assert len(vault.archiver.universes()) == 2
    third = carol.do(CreateUniverse("third"))
    carol.do(NameArchiver(third, stolen))
    network.run(10 * SECOND)
    assert len(vault.archiver.universes()) == 2
    assert used.public_key != carol.universe(other).roster.archivers[vault.me].public_key
    vault.do(DropArchive(other))
    assert [view["universe_id"] for view in vault.archiver.universes()] == [universe_id]
    assert not [key for table, key in vault.rows if key.startswith(other)]


def test_an_unused_offer_is_nowhere_in_the_clear() -> None:
    """Who has its token can take it up for a universe of its own."""
    network = Network()
    universe_id, alice = network.found("Alice")
    vault = add_archiver(network)
    text = vault.offer()
    offer = ArchiverOffer.parse(text)
    assert all(offer.offer not in key for _, key in vault.rows)
    assert text not in repr(NameArchiver(universe_id, text))
    alice.do(NameArchiver(universe_id, text))
    (info,) = alice.universe(universe_id).roster.archivers.values()
    held = vault.archiver._offers.unused(offer.offer)
    assert held is not None
    assert all(repr(offer.offer) not in repr(shown) for shown in (offer, info, held))


def test_offers_are_bounded() -> None:
    network = Network()
    vault = add_archiver(network)
    for _ in range(MAX_OFFERS + 5):
        vault.offer()
    assert len(vault.table("offer")) == MAX_OFFERS


def test_who_knows_no_offer_cannot_use_the_archiver() -> None:
    network = Network()
    vault = add_archiver(network)
    vault.offer()
    mallory = network.add("Mallory")
    universe_id = mallory.do(CreateUniverse("mine"))
    roster = mallory.universe(universe_id).roster
    forged = roster.make_archiver(
        mallory.identity,
        subject=vault.me,
        name="Vault",
        peer_id=vault.id,
        public_key=Identity.generate("x", os.urandom).identity_public_key,
        offer=os.urandom(32),
        addresses=("/memory/Vault",),
    )
    rows = dict(vault.rows)
    vault.do(PeerConnected(mallory.id))
    vault.hear(mallory, Hello(universe_id, (*roster.entries(), forged)))
    assert vault.archiver.universes() == []
    assert vault.rows == rows


def test_bad_commands_change_nothing() -> None:
    _network, universe_id, vault, (alice, bob) = with_archiver("Alice", "Bob")
    rows = dict(vault.rows)
    for command in (
        CreateUniverse("mine"),
        JoinUniverse("starling1"),
        SendMessage(universe_id, bytes(16), b"text"),
        UpdateKeys(universe_id),
        NameArchiver(universe_id, "starlingarchiver1"),
        DropArchive(bytes(32)),
    ):
        with pytest.raises(UsageError):
            vault.do(command)
    assert vault.rows == rows
    rows = dict(alice.rows)
    for text in ("", "x", "starlingarchiver1abc", vault.offer()):
        with pytest.raises(UsageError):
            alice.do(NameArchiver(universe_id, text))
    with pytest.raises(UsageError):
        bob.do(NameArchiver(universe_id, vault.offer()))
    assert alice.rows == rows
