"""What of messages sealed from outside is refused: nothing passes but what its sender made (P-9, P-10, P-13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.extensions.external_members import (
    OpenClient,
    ask_with,
    asks,
    bundle_of,
    group_extensions,
    open_group,
    public,
)
from tests.extensions.test_private_external import LABEL, opened, sealed_body
from tests.mls.group_members import found, refused

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import DecodeError, Unsupported, UsageError, VerificationFailed
from starling.protocol.extensions.private_external import open_private_external, seal_private_external
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle, external_key_pair
from starling.protocol.extensions.private_external_rules import PrivateExternalRules
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls import Add, Group, MLSMessage, SafeAAD
from starling.protocol.mls import rules as mls
from starling.protocol.mls.external_proposal import propose_as_external_sender
from starling.protocol.mls.framing import FramedContent
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.mls.wire_format import ContentType, WireFormat


def forge(
    group: Group, inner: bytes, *, header: Callable[[PrivateExternalMessage], PrivateExternalMessage]
) -> PrivateExternalMessage:
    """What somebody seals who does not keep to the rules; `header` changes what is outside."""
    suite = group.cipher_suite
    _, public_key = external_key_pair(group)
    client = OpenClient("forger")
    sealed = suite.encrypt_with_label(public_key, LABEL, b"", inner, client.random)
    honest = PrivateExternalMessage(group.group_id, group.epoch, ContentType.PROPOSAL, b"", sealed)
    return header(honest)


def same(body: PrivateExternalMessage) -> PrivateExternalMessage:
    return body


def test_a_forged_message_with_an_honest_header_opens() -> None:
    """The control of those below."""
    group = open_group(1).groups[0]
    asked = asks(group)[2]
    assert opened(group, forge(group, public(asked.encode()).encode(), header=same)) == asked


@pytest.mark.parametrize(
    "inner",
    [
        lambda content: replace(content, group_id=b"other"),
        lambda content: replace(content, epoch=content.epoch + 1),
        lambda content: replace(content, authenticated_data=b"other"),
        lambda content: replace(
            content, content_type=ContentType.APPLICATION, proposal=None, application_data=b"text"
        ),
    ],
    ids=["group_id", "epoch", "authenticated_data", "content_type"],
)
def test_each_field_of_the_header_is_compared_with_what_is_inside(
    inner: Callable[[FramedContent], FramedContent],
) -> None:
    """P-10: HPKE binds none of them. The content inside is what differs, so that what is outside leads here."""
    group = open_group(1).groups[0]
    message = public(asks(group)[2].encode())
    forged = replace(message, content=inner(message.content)).encode()
    assert refused(lambda: opened(group, forge(group, forged, header=same))) is Rule.PRIVATE_EXTERNAL_HEADER


def test_a_forwarder_that_changes_the_header_is_noticed() -> None:
    group = open_group(1).groups[0]
    client, _, asked = asks(group, authenticated_data=b"clear")
    body = sealed_body(group, asked, client)
    for changed in (
        replace(body, authenticated_data=b"other"),
        replace(body, authenticated_data=b""),
        replace(body, content_type=ContentType.COMMIT),
        replace(body, content_type=ContentType.APPLICATION),
    ):
        assert refused(opened, group, changed) is Rule.PRIVATE_EXTERNAL_HEADER
    assert refused(lambda: opened(group, replace(body, group_id=b"other"))) is mls.Rule.WRONG_GROUP
    assert refused(lambda: opened(group, replace(body, epoch=group.epoch + 1))) is mls.Rule.WRONG_EPOCH
    with pytest.raises(DecodeError):
        opened(group, replace(body, content_type=4))


def test_every_changed_byte_of_the_ciphertext_is_noticed() -> None:
    group = open_group(1).groups[0]
    client, _, asked = asks(group)
    body = sealed_body(group, asked, client)
    sealed = body.encrypted_public_message
    for index in range(0, len(sealed.kem_output), 5):
        changed = flip(sealed.kem_output, index)
        with pytest.raises(VerificationFailed):
            opened(group, replace(body, encrypted_public_message=HPKECiphertext(changed, sealed.ciphertext)))
    for index in (*range(0, len(sealed.ciphertext), 37), len(sealed.ciphertext) - 1):
        changed = flip(sealed.ciphertext, index)
        with pytest.raises(VerificationFailed):
            opened(group, replace(body, encrypted_public_message=HPKECiphertext(sealed.kem_output, changed)))


def flip(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


@pytest.mark.parametrize("tail", [b"\x00", b"\x00" * 64, b"more"])
def test_nothing_follows_the_public_message(tail: bytes) -> None:
    """P-10; zeros are no padding here."""
    group = open_group(1).groups[0]
    inner = public(asks(group)[2].encode()).encode()
    with pytest.raises(DecodeError):
        opened(group, forge(group, inner + tail, header=same))
    with pytest.raises(DecodeError):
        opened(group, forge(group, inner[:-1], header=same))


def test_a_whole_mls_message_inside_is_refused() -> None:
    """P-9: a PublicMessage, without the envelope."""
    group = open_group(1).groups[0]
    with pytest.raises(DecodeError):
        opened(group, forge(group, asks(group)[2].encode(), header=same))


def test_members_send_nothing_this_way() -> None:
    party = open_group(2)
    member, other = party.groups
    message, _ = member.propose(
        Add(OpenClient("newcomer").bundle().key_package),
        wire_format=WireFormat.MLS_PUBLIC_MESSAGE,
        random=party.clients[0].random,
    )
    with pytest.raises(UsageError):
        seal_private_external(MLSMessage.decode(message), bundle_of(member), random=party.clients[0].random)
    forged = forge(other, public(message).encode(), header=same)
    assert refused(lambda: opened(other, forged)) is Rule.PRIVATE_EXTERNAL_SENDER


def test_external_senders_are_as_much_outside() -> None:
    """P-9: which of them may propose what is said by the PublicMessage's rules, as without the seal."""
    group = open_group(1).groups[0]
    sender = OpenClient("sender")
    asked = MLSMessage.decode(
        propose_as_external_sender(
            group.cipher_suite,
            group.group_id,
            group.epoch,
            0,
            Add(sender.bundle().key_package),
            sender.signature_private_key,
        )
    )
    read = opened(group, sealed_body(group, asked, sender))
    assert read == asked
    assert refused(lambda: group.open_handshake(read)) is mls.Rule.EXTERNAL_SENDER


def test_a_forged_signature_inside_is_refused() -> None:
    group = open_group(1).groups[0]
    client, bundle, _ = asks(group)
    other = OpenClient("somebody else")
    read = opened(group, sealed_body(group, ask_with(group, other, bundle.key_package), client))
    with pytest.raises(VerificationFailed):
        group.open_handshake(read)


def test_other_messages_and_groups_without_the_format_are_refused() -> None:
    group = open_group(1).groups[0]
    client, _, asked = asks(group)
    assert refused(lambda: open_private_external(group, asked)) is mls.Rule.CONTENT_TYPE
    body = sealed_body(group, asked, client)
    plain = found(1).groups[0]
    assert refused(lambda: opened(plain, body)) is mls.Rule.WIRE_FORMAT
    unkeyed = tuple(
        item for item in group_extensions() if item.extension_type != 6
    )  # the format without a root key
    closed = OpenClient("client 0").create(PrivateExternalRules(), unkeyed)
    assert refused(lambda: opened(closed, body)) is Rule.EXTERNAL_ENCRYPTION_HEAD
    with pytest.raises(UsageError):
        ExternalEncryptionBundle.of(closed)


def test_what_is_sealed_is_for_the_key_that_is_used() -> None:
    party = open_group(1)
    old = party.groups[0]
    client, _, asked = asks(old)
    bundle = bundle_of(old)
    party.commit()
    with pytest.raises(UsageError):
        seal_private_external(asked, bundle_of(party.groups[0]), random=client.random)
    other = OpenClient("client 0").create(PrivateExternalRules(), group_extensions(), b"other group")
    with pytest.raises(UsageError):
        seal_private_external(asks(other)[2], bundle, random=client.random)
    with pytest.raises(UsageError):
        seal_private_external(MLSMessage.of(client.bundle().key_package), bundle, random=client.random)


@pytest.mark.parametrize(
    "change",
    [
        lambda bundle: replace(bundle, group_id=b"other"),
        lambda bundle: replace(bundle, epoch=bundle.epoch + 1),
        lambda bundle: replace(bundle, info=replace(bundle.info, cipher_suite=3)),
        lambda bundle: replace(
            bundle, info=replace(bundle.info, external_encryption_public_key=b"\x09" * 32)
        ),
        lambda bundle: replace(bundle, info=replace(bundle.info, root_public_signature_key=b"\x09" * 32)),
        lambda bundle: replace(
            bundle,
            info=replace(
                bundle.info, external_encryption_signature=flip(bundle.info.external_encryption_signature, 5)
            ),
        ),
    ],
)
def test_every_field_of_a_bundle_is_signed(
    change: Callable[[ExternalEncryptionBundle], ExternalEncryptionBundle],
) -> None:
    """P-3; `dmls_epoch` alone is not, which is a hint."""
    bundle = bundle_of(open_group(1).groups[0])
    assert bundle.verify() is CIPHER_SUITES[1]
    assert replace(bundle, dmls_epoch=b"name").verify() is CIPHER_SUITES[1]
    with pytest.raises(VerificationFailed):
        change(bundle).verify()


def test_a_bundle_of_another_version_or_suite_or_without_a_key_is_refused() -> None:
    bundle = bundle_of(open_group(1).groups[0])
    with pytest.raises(Unsupported):
        replace(bundle, version=2).verify()
    with pytest.raises(Unsupported):
        replace(bundle, info=replace(bundle.info, cipher_suite=0x7777)).verify()
    with pytest.raises(DecodeError):
        replace(bundle, info=replace(bundle.info, external_encryption_public_key=b"short")).verify()


def test_the_authenticated_data_stands_in_clear_and_is_safe_aad_where_the_group_asks() -> None:
    """P-15."""
    party = open_group(1, extensions=group_extensions(safe_aad=True))
    group = party.groups[0]
    items = SafeAAD.of({0x8123: b"shown to all"}).encode()
    client, _, asked = asks(group, authenticated_data=items)
    body = sealed_body(group, asked, client)
    assert body.authenticated_data == items
    assert group.open_handshake(opened(group, body)).content.authenticated_data == items
    bare = sealed_body(group, asks(group, authenticated_data=b"not framed")[2], client)
    assert refused(lambda: group.open_handshake(opened(group, bare))) is mls.Rule.SAFE_AAD_FORM
