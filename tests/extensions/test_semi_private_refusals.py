"""Semi-private messages that are not sent, or not opened: bad receivers, changed fields, other epochs and groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.extensions.semi_private_groups import (
    RULES,
    SEMI,
    context_extensions,
    found,
    member,
    outsider,
    semi_private,
    view,
)
from tests.mls.group_members import refused

from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import DecodeError, Invalid, ProtocolError, UsageError, VerificationFailed
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    ExternalReceiver,
    encode_external_receivers,
    parse_external_receivers,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import AppDataUpdate, AppDataUpdateOperation, Remove
from starling.protocol.mls.rules import Rule as MlsRule
from starling.protocol.mls.semi_private_message import KeyForExternalReceiver, SemiPrivateMessage
from starling.protocol.mls.wire_format import ContentType

ARCHIVE, RELAY = outsider("archive"), outsider("relay")


def refused_update(receivers: list[ExternalReceiver], *, times: int = 1) -> object:
    party = found(2, [ARCHIVE])
    data = encode_external_receivers(receivers)
    update = AppDataUpdate(EXTERNAL_RECEIVERS, AppDataUpdateOperation.UPDATE, data)
    with pytest.raises(ProtocolError) as caught:
        party.groups[0].commit([update] * times, random=party.clients[0].random)
    return caught.value.rule if isinstance(caught.value, Invalid) else type(caught.value)


def test_bad_lists_of_receivers() -> None:
    many = [outsider(f"relay {number}").receiver for number in range(17)]
    bad_key = ExternalReceiver(b"short", Credential.basic(b"x"))
    assert refused_update(many) is Rule.EXTERNAL_RECEIVERS_LIST
    assert (
        refused_update([ARCHIVE.receiver, RELAY.receiver, ARCHIVE.receiver]) is Rule.EXTERNAL_RECEIVERS_LIST
    )
    assert refused_update([ARCHIVE.receiver], times=2) is Rule.EXTERNAL_RECEIVERS_UPDATE
    assert refused_update([ARCHIVE.receiver, bad_key]) is DecodeError
    with pytest.raises(DecodeError):
        parse_external_receivers(b"\x05short")
    with pytest.raises(DecodeError):
        member("alice").create(RULES, context_extensions([replace(ARCHIVE, receiver=bad_key)]))
    assert len(parse_external_receivers(encode_external_receivers(many[:16]))) == 16


def test_without_receivers_nothing_is_semi_private() -> None:
    party = found(2, [])
    alice, bob = party.groups
    with pytest.raises(UsageError) as caught:
        alice.commit(wire_format=SEMI, random=party.clients[0].random)
    assert caught.value.code == "no_external_receivers"
    # What is sent without any must be refused too.
    other = found(2, [ARCHIVE])
    message = other.groups[0].commit(wire_format=SEMI, random=other.clients[0].random).message
    body = replace(semi_private(message), keys_for_external_receivers=())
    with pytest.raises((VerificationFailed, Invalid)):
        bob.open_handshake(MLSMessage.of(body))


def test_a_group_that_does_not_require_the_format_has_none() -> None:
    """C-2, for who sends and who receives."""
    alice = member("alice")
    group = alice.create(RULES)
    with pytest.raises(UsageError) as caught:
        group.propose(Remove(0), wire_format=SEMI, random=alice.random)
    assert caught.value.code == "framing"
    party = found(2, [ARCHIVE])
    message = party.groups[0].commit(wire_format=SEMI, random=party.clients[0].random).message
    bob = party.groups[1]
    bob._epoch.context = replace(bob.context, extensions=bob.context.extensions[:1])
    assert refused(lambda: bob.open_handshake(MLSMessage.decode(message))) is MlsRule.WIRE_FORMAT


def test_rules_without_the_format_neither_send_nor_open() -> None:
    party = found(2, [ARCHIVE])
    alice, bob = party.groups
    message = alice.commit(wire_format=SEMI, random=party.clients[0].random).message
    for group in (alice, bob):
        group._epoch.rules = type("Plain", (type(RULES),), {"handshake_formats": {}})()
    assert refused(lambda: bob.open_handshake(MLSMessage.decode(message))) is MlsRule.CONTENT_TYPE
    with pytest.raises(UsageError):
        alice.commit(wire_format=SEMI, random=party.clients[0].random)


def test_application_messages_are_not_semi_private() -> None:
    party = found(2, [ARCHIVE])
    message = party.groups[0].commit(wire_format=SEMI, random=party.clients[0].random).message
    body = replace(semi_private(message), content_type=ContentType.APPLICATION)
    with pytest.raises(DecodeError):
        MLSMessage.decode(MLSMessage.of(body).encode())
    assert refused(lambda: party.groups[1].unprotect(MLSMessage.decode(message))) is MlsRule.CONTENT_TYPE


def _other_bytes(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else b"x"


def _in_key(
    change: Callable[[KeyForExternalReceiver], KeyForExternalReceiver],
) -> Callable[..., SemiPrivateMessage]:
    def changed(body: SemiPrivateMessage) -> SemiPrivateMessage:
        first, *others = body.keys_for_external_receivers
        return replace(body, keys_for_external_receivers=(change(first), *others))

    return changed


def _sealed(entry: KeyForExternalReceiver, part: str) -> KeyForExternalReceiver:
    sealed = entry.encrypted_keys_and_nonces
    changed = replace(sealed, **{part: _other_bytes(getattr(sealed, part))})
    return replace(entry, encrypted_keys_and_nonces=changed)


def _in_field(name: str) -> Callable[[SemiPrivateMessage], SemiPrivateMessage]:
    def changed(body: SemiPrivateMessage) -> SemiPrivateMessage:
        fields: dict[str, Any] = {name: _other_bytes(getattr(body, name))}
        return replace(body, **fields)

    return changed


CHANGES: dict[str, Callable[[SemiPrivateMessage], SemiPrivateMessage]] = {
    "group_id": lambda body: replace(body, group_id=b"other"),
    "epoch": lambda body: replace(body, epoch=body.epoch + 1),
    "content_type": lambda body: replace(body, content_type=ContentType.PROPOSAL),
    **{
        name: _in_field(name)
        for name in ("authenticated_data", "partial_context_hash", "framed_content_tbs_hash", "ciphertext")
    },
    "kem_output": _in_key(lambda entry: _sealed(entry, "kem_output")),
    "sealed key": _in_key(lambda entry: _sealed(entry, "ciphertext")),
    "reference": _in_key(
        lambda entry: replace(entry, external_receiver_ref=_other_bytes(entry.external_receiver_ref))
    ),
    "missing": lambda body: replace(body, keys_for_external_receivers=body.keys_for_external_receivers[:1]),
    "twice": lambda body: replace(body, keys_for_external_receivers=body.keys_for_external_receivers[:1] * 2),
    "one more": lambda body: replace(
        body,
        keys_for_external_receivers=(
            *body.keys_for_external_receivers,
            KeyForExternalReceiver(bytes(32), HPKECiphertext(bytes(32), bytes(32))),
        ),
    ),
    "reordered": lambda body: replace(
        body, keys_for_external_receivers=body.keys_for_external_receivers[::-1]
    ),
    "none": lambda body: replace(body, keys_for_external_receivers=()),
}


@pytest.mark.parametrize("kind", [*CHANGES, "encrypted_sender_data"])
def test_every_field_is_bound(kind: str) -> None:
    """Whatever is changed on the way, no member and no receiver takes it; only the sender data are not the receivers',
    and the keys of others are not seen by members before the content is opened."""
    party = found(2, [ARCHIVE, RELAY])
    made = party.groups[0].commit(wire_format=SEMI, authenticated_data=b"aad", random=party.clients[0].random)
    known, bob = view(party.groups[0]), party.groups[1]
    body = semi_private(made.message)
    if kind == "encrypted_sender_data":
        changed = replace(body, encrypted_sender_data=_other_bytes(body.encrypted_sender_data))
        assert ARCHIVE.open(changed).content == ARCHIVE.open(changed, known).content == made.content
    else:
        changed = CHANGES[kind](body)
        for person in (ARCHIVE, RELAY):
            for seen in (None, known):
                with pytest.raises(ProtocolError):
                    person.open(changed, seen)
    with pytest.raises(ProtocolError) as caught:
        bob.open_handshake(MLSMessage.of(changed))
    if kind in ("reference", "missing", "twice", "one more", "reordered", "none"):
        assert isinstance(caught.value, Invalid) and caught.value.rule is Rule.SEMI_PRIVATE_KEYS
    # Nothing was consumed by what was refused.
    assert bob.open_handshake(MLSMessage.decode(made.message)) == made.content


def test_an_outsider_of_another_epoch_or_group() -> None:
    party = found(2, [ARCHIVE])
    before = view(party.groups[0])
    made = party.commit(options={"wire_format": SEMI})
    assert refused(lambda: ARCHIVE.open(made.message, view(party.groups[0]))) is MlsRule.WRONG_EPOCH
    elsewhere = replace(before, group_context=replace(before.group_context, group_id=b"elsewhere"))
    assert refused(lambda: ARCHIVE.open(made.message, elsewhere)) is MlsRule.WRONG_GROUP
    assert refused(lambda: replace(before, tree=party.groups[0].tree)) is MlsRule.TREE_HASH
    with pytest.raises(VerificationFailed):
        replace(ARCHIVE, private_key=RELAY.private_key).open(made.message)
