"""Tickets: the text, its secrets, and the proof of a sponsor."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.distributed.people import ALICE, BOB, TICKET

from starling.protocol.distributed.ticket import (
    Ticket,
    TicketError,
    TicketMember,
    TicketSecret,
    sponsor_mac,
    verify_sponsor_mac,
)
from starling.protocol.errors import UsageError, VerificationFailed
from starling.protocol.packed import pack

UNIVERSE_ID = b"\x11" * 32


def issue(**changes: Any) -> Ticket:
    arguments: dict[str, Any] = {
        "universe_id": UNIVERSE_ID,
        "universe_name": "Home",
        "expires_at": 1_700_000_000_000,
        "members": (TicketMember(ALICE.peer_id, ("/ip4/192.0.2.1/tcp/4001",)),),
    }
    return Ticket.issue(ALICE, TICKET, **(arguments | changes))


def text_of(content: bytes) -> str:
    """The text form of any content, with a right checksum."""
    checked = content + hashlib.sha256(content).digest()[:5]
    return "starling1" + base64.b32encode(checked).decode().rstrip("=").lower()


def test_text_round_trip() -> None:
    ticket = issue()
    text = ticket.text()
    assert text.startswith("starling1")
    assert text.isalnum()
    assert Ticket.parse(text) == ticket
    assert Ticket.parse("  " + text.upper() + "\n") == ticket
    assert Ticket.parse("\n".join(text[i : i + 40] for i in range(0, len(text), 40))) == ticket
    assert ticket.keys == TICKET


def test_the_largest_ticket_can_be_read() -> None:
    addresses = tuple("/" + str(i) * 127 for i in range(8))
    ticket = issue(
        members=tuple(TicketMember(ALICE.peer_id, addresses) for _ in range(4)), universe_name="宇" * 64
    )
    assert Ticket.parse(ticket.text()) == ticket


def test_secrets_are_not_shown() -> None:
    ticket = issue()
    shown = ticket.inspect(0)
    assert shown["invite_id"] == TICKET.invite_id
    assert shown["inviter_name"] == "Alice"
    secrets = (TICKET.secret, TICKET.mac_key, TICKET.private_key)
    for secret in secrets:
        assert repr(secret) not in repr(ticket) + repr(TICKET) + repr(shown)


@given(st.data())
def test_every_typo_is_noticed(data: st.DataObject) -> None:
    text = issue().text()
    position = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyz234567019-").filter(lambda c: c != text[position])
    )
    with pytest.raises(TicketError):
        Ticket.parse(text[:position] + other + text[position + 1 :])
    with pytest.raises(TicketError):
        Ticket.parse(text[:position])


@given(st.text(max_size=60))
def test_any_text_is_refused(text: str) -> None:
    for attempt in (text, "starling1" + text):
        with pytest.raises(TicketError):
            Ticket.parse(attempt)


@given(st.binary(max_size=60))
def test_any_content_is_refused(content: bytes) -> None:
    with pytest.raises(TicketError):
        Ticket.parse(text_of(content))


def test_too_long() -> None:
    with pytest.raises(TicketError, match="too long"):
        Ticket.parse("starling1" + "a" * 20_000)


def test_another_version_is_named() -> None:
    with pytest.raises(TicketError, match="version"):
        Ticket.parse(text_of(pack([2, "whatever"])))


def test_nobody_changes_a_ticket() -> None:
    ticket = issue()
    for forged in (
        replace(ticket, members=(TicketMember(BOB.peer_id, ()),)),
        replace(ticket, inviter=BOB.identity_public_key),
        replace(ticket, universe_id=b"\x12" * 32),
        replace(ticket, universe_name="Elsewhere"),
        replace(ticket, expires_at=1_800_000_000_000),
    ):
        with pytest.raises(TicketError):
            Ticket.parse(forged.text())


@pytest.mark.parametrize(
    "changes",
    [
        {"universe_name": ""},
        {"universe_id": b"short"},
        {"expires_at": -1},
        {"members": (TicketMember(ALICE.peer_id, ()),) * 5},
        {"members": (TicketMember(b"QmPeer", ()),)},
        {"members": (TicketMember(ALICE.peer_id, ("/a",) * 9),)},
        {"members": (TicketMember(ALICE.peer_id, ("no address",)),)},
    ],
)
def test_what_cannot_be_issued(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        issue(**changes)


def test_derived_keys_differ() -> None:
    keys = {TICKET.secret, TICKET.private_key, TICKET.public_key, TICKET.mac_key}
    assert len(keys) == 4
    assert TicketSecret(TICKET.secret, TICKET.inviter) == TICKET
    with pytest.raises(UsageError):
        TicketSecret(b"short", TICKET.inviter)


def test_sponsor_mac() -> None:
    arguments: dict[str, Any] = {
        "universe_id": UNIVERSE_ID,
        "sponsor_peer_id": ALICE.peer_id,
        "joiner_peer_id": BOB.peer_id,
        "nonce": b"n" * 16,
        "vouched": b"the key of its group",
    }
    tag = sponsor_mac(TICKET.mac_key, **arguments)
    verify_sponsor_mac(TICKET.mac_key, tag, **arguments)
    swapped = {"sponsor_peer_id": BOB.peer_id, "joiner_peer_id": ALICE.peer_id}
    for changes in ({"nonce": b"m" * 16}, {"universe_id": b"\x12" * 32}, {"vouched": b"a key"}, swapped):
        with pytest.raises(VerificationFailed):
            verify_sponsor_mac(TICKET.mac_key, tag, **(arguments | changes))
    for key, wrong in ((TICKET.mac_key, b""), (TICKET.mac_key, tag[:-1]), (b"k" * 32, tag)):
        with pytest.raises(VerificationFailed):
            verify_sponsor_mac(key, wrong, **arguments)
