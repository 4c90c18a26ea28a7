"""Targeted messages in a group: who can read them, and all that is refused."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from tests.extensions.targeted_group import (
    RULES,
    context_extensions,
    craft,
    encrypt_sender,
    founded,
    targeted,
)
from tests.mls.group_members import Randomness, refused

from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.errors import (
    DecodeError,
    Invalid,
    ProtocolError,
    Unsupported,
    UsageError,
    VerificationFailed,
)
from starling.protocol.extensions.rules import Rule as ExtensionRule
from starling.protocol.extensions.targeted_messages import (
    NONCE_SIZE,
    TARGETED_SECRETS,
    open_targeted_message,
    profile_of,
    protect_targeted,
    seal_targeted_message,
    unprotect_targeted,
)
from starling.protocol.extensions.targeted_protection import (
    TargetedPlace,
    TargetedProfile,
    TargetedSecrets,
    open_content,
    open_sender,
)
from starling.protocol.mls import Group, MLSMessage, ReInit, Remove, Rule
from starling.protocol.mls import replay_cache as replays
from starling.protocol.mls.group_rules import RFC_RULES
from starling.protocol.mls.negotiation import required_extensions
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.wire import encode_opaque

both = pytest.mark.parametrize("profile", [*TargetedProfile, None])
TEXT = b"for you alone"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _read(group: Group, encoded: bytes) -> bytes:
    return unprotect_targeted(group, MLSMessage.decode(encoded)).application_data


@both
@pytest.mark.parametrize("suite", [1, 2, 4, 7, 83])
def test_only_the_recipient_reads_it(suite: int, profile: TargetedProfile | None) -> None:
    _, groups = founded(3, profile, suite=suite)
    message = protect_targeted(groups[1], 2, TEXT, padding=7, random=Randomness(b"a"))
    opened = unprotect_targeted(groups[2], MLSMessage.decode(message))
    assert (opened.sender_leaf_index, opened.application_data) == (1, TEXT)
    assert opened.authenticated_data == targeted(message).authenticated_data
    assert len(opened.authenticated_data) == NONCE_SIZE
    assert TEXT not in message and TEXT.hex() not in repr(opened) and str(TEXT) not in repr(opened)
    assert refused(lambda: _read(groups[0], message)) is ExtensionRule.TARGETED_RECIPIENT
    assert refused(lambda: _read(groups[1], message)) is ExtensionRule.TARGETED_RECIPIENT


def test_the_randomness_of_the_system_serves_too() -> None:
    _, groups = founded(2, random=os.urandom)
    message = protect_targeted(groups[0], 1, TEXT, authenticated_data=b"request 42", random=os.urandom)
    opened = unprotect_targeted(groups[1], MLSMessage.decode(message))
    assert (opened.application_data, opened.authenticated_data) == (TEXT, b"request 42")


def test_a_third_member_with_all_its_secrets_cannot_read_it() -> None:
    """It knows who sent it, and that is all: the content is sealed to another leaf."""
    _, groups = founded(3)
    body = targeted(protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a")))
    third = groups[2]
    suite = third.cipher_suite
    secrets = TargetedSecrets.of(suite, third.secrets.exporter_secret)
    place = TargetedPlace(
        suite, TargetedProfile.DRAFT_01, b"", body.group_id, body.epoch, 1, body.authenticated_data
    )
    sender = open_sender(place, secrets, body)
    assert sender.auth.sender_leaf_index == 0
    with pytest.raises(VerificationFailed):
        open_content(place, secrets, sender, body.ciphertext, third.open_psk)
    assert open_content(place, secrets, sender, body.ciphertext, groups[1].open_psk) == TEXT


@pytest.mark.parametrize("profile", list(TargetedProfile))
def test_every_flipped_bit_is_refused_and_costs_nothing(profile: TargetedProfile) -> None:
    _, groups = founded(2, profile)
    message = protect_targeted(groups[0], 1, TEXT, padding=3, random=Randomness(b"a"))
    before = groups[1].save_ratchets()
    for bit in range(8 * len(message)):
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ProtocolError, Unsupported)):
            _read(groups[1], bytes(changed))
    for length in range(len(message)):
        with pytest.raises((ProtocolError, Unsupported)):
            _read(groups[1], message[:length])
    assert groups[1].save_ratchets() == before
    assert _read(groups[1], message) == TEXT


def test_a_message_is_taken_once_also_after_a_restart() -> None:
    _, groups = founded(2)
    first, second = (protect_targeted(groups[0], 1, TEXT, random=Randomness(seed)) for seed in (b"a", b"b"))
    assert _read(groups[1], first) == TEXT
    assert refused(lambda: _read(groups[1], first)) is Rule.MESSAGE_REPEATED
    group = Group.load(groups[1].save(), groups[1].save_ratchets(), rules=RULES)
    assert refused(lambda: _read(group, first)) is Rule.MESSAGE_REPEATED
    assert _read(group, second) == TEXT


def test_another_valid_signature_does_not_bring_it_again() -> None:
    """Of an ECDSA signature everybody can make a second one; any member can encrypt it."""
    _, groups = founded(3, suite=2)
    message = protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    assert _read(groups[1], message) == TEXT
    body = targeted(message)
    secrets = TargetedSecrets.of(groups[2].cipher_suite, groups[2].secrets.exporter_secret)
    place = TargetedPlace(
        groups[2].cipher_suite,
        TargetedProfile.DRAFT_01,
        b"",
        body.group_id,
        body.epoch,
        1,
        body.authenticated_data,
    )
    auth = open_sender(place, secrets, body).auth
    r, s = decode_dss_signature(auth.signature)
    auth = replace(auth, signature=encode_dss_signature(r, P256_ORDER - s))
    again = encrypt_sender(groups[2], body, auth)
    assert again.encode() != message
    assert refused(lambda: unprotect_targeted(groups[1], again)) is Rule.MESSAGE_REPEATED


def test_one_member_cannot_fill_the_memory_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "MAX_OF_ONE", 3)
    _, groups = founded(3)
    for seed in (b"a", b"b", b"c"):
        _read(groups[1], protect_targeted(groups[0], 1, TEXT, random=Randomness(seed)))
    message = protect_targeted(groups[0], 1, TEXT, random=Randomness(b"d"))
    assert refused(lambda: _read(groups[1], message)) is Rule.MESSAGE_LIMIT
    assert _read(groups[1], protect_targeted(groups[2], 1, TEXT, random=Randomness(b"a"))) == TEXT


# what a member can make by hand


def test_padding_that_is_not_zero_is_refused() -> None:
    _, groups = founded(2)
    padded = encode_opaque(TEXT) + bytes(20)
    assert unprotect_targeted(groups[1], craft(groups[0], 1, padded)).application_data == TEXT
    for place in (0, 7, 19):
        bad = encode_opaque(TEXT) + bytes(place) + b"\x01" + bytes(19 - place)
        message = craft(groups[0], 1, bad)
        assert refused(unprotect_targeted, groups[1], message) is Rule.PADDING


def test_content_that_does_not_decode_is_refused() -> None:
    _, groups = founded(2)
    for content in (b"", b"\x40", b"\x05abc", b"\x40\x05abcde"):
        message = craft(groups[0], 1, content)
        with pytest.raises(DecodeError):
            unprotect_targeted(groups[1], message)


def test_nobody_speaks_in_the_name_of_another() -> None:
    _, groups = founded(3)
    message = craft(groups[2], 1, encode_opaque(TEXT), sender=0)
    with pytest.raises(VerificationFailed):
        unprotect_targeted(groups[1], message)
    to_itself = craft(groups[2], 1, encode_opaque(TEXT), sender=1)
    assert refused(lambda: unprotect_targeted(groups[1], to_itself)) is Rule.OWN_MESSAGE
    for index in (3, 200, 2**32 - 1):
        nobody = craft(groups[2], 1, encode_opaque(TEXT), sender=index)
        assert refused(unprotect_targeted, groups[1], nobody) is Rule.SENDER_BLANK


def test_what_is_for_another_leaf_is_not_taken_by_changing_the_name_on_it() -> None:
    """By somebody who can make new sender data for it, the header is signed all the same."""
    _, groups = founded(3)
    body = targeted(protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a")))
    with pytest.raises(VerificationFailed):
        unprotect_targeted(groups[2], MLSMessage.of(replace(body, recipient_leaf_index=2)))
    misled = craft(groups[0], 2, encode_opaque(TEXT), sealed_to=1)
    with pytest.raises(VerificationFailed):
        unprotect_targeted(groups[2], misled)


def test_the_other_revision_is_refused() -> None:
    for profile in TargetedProfile:
        _, groups = founded(2, profile)
        (other,) = set(TargetedProfile) - {profile}
        message = seal_targeted_message(groups[0], other, 1, TEXT, random=Randomness(b"a"))
        with pytest.raises(VerificationFailed):
            unprotect_targeted(groups[1], MLSMessage.of(message))
        assert open_targeted_message(groups[1], other, message).application_data == TEXT


def test_a_revision_that_is_not_known_is_refused() -> None:
    for data in (b"", b"\x02", b"\x00\x01"):
        with pytest.raises(Invalid) as refusal:
            profile_of(required_extensions(data={0x8D0B: data}))
        assert refusal.value.rule is ExtensionRule.TARGETED_PROFILE
    _, groups = founded(2, extensions=(*required_extensions(wire_formats=(6,), data={0x8D0B: b"\x02"}),))
    with pytest.raises(UsageError) as unusable:
        protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    assert unusable.value.code == "not_negotiated"


# where there are none


def test_a_group_that_does_not_list_the_wire_format_has_none() -> None:
    _, groups = founded(2, extensions=context_extensions(TargetedProfile.DRAFT_01, (0xFAFE,))[1:2])
    with pytest.raises(UsageError) as unusable:
        protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    assert unusable.value.code == "not_negotiated"
    assert refused(lambda: unprotect_targeted(groups[1], craft(groups[0], 1, TEXT))) is Rule.WIRE_FORMAT


def test_without_the_rules_there_are_no_secrets() -> None:
    _, groups = founded(2, rules=RFC_RULES)
    with pytest.raises(UsageError) as unusable:
        protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    assert unusable.value.code == "targeted_secrets"


def test_nothing_is_sent_to_oneself_or_to_a_blank_leaf() -> None:
    _, groups = founded(3)
    removed = groups[0].commit([Remove(1)], random=Randomness(b"remove"))
    for group, recipient in ((groups[0], 0), (groups[0], 3), (groups[0], 2**31), (removed.next, 1)):
        with pytest.raises(UsageError) as unusable:
            protect_targeted(group, recipient, TEXT, random=Randomness(b"a"))
        assert unusable.value.code == "recipient"


def test_other_messages_and_other_places_are_refused() -> None:
    _, groups = founded(2)
    application = MLSMessage.decode(groups[0].protect(TEXT, random=Randomness(b"a")))
    assert refused(lambda: unprotect_targeted(groups[1], application)) is Rule.CONTENT_TYPE
    encoded = protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    assert refused(lambda: groups[1].unprotect(MLSMessage.decode(encoded))) is Rule.CONTENT_TYPE
    assert refused(lambda: groups[1].open_handshake(MLSMessage.decode(encoded))) is Rule.CONTENT_TYPE
    body = targeted(encoded)
    for changed, expected in (
        (replace(body, group_id=b"another"), Rule.WRONG_GROUP),
        (replace(body, epoch=7), Rule.WRONG_EPOCH),
    ):
        message = MLSMessage.of(changed)
        assert refused(unprotect_targeted, groups[1], message) is expected


def test_a_superseded_epoch_of_a_plain_group_takes_none() -> None:
    _, groups = founded(2)
    late = protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    made = groups[0].commit(random=Randomness(b"b"))
    entered = groups[1].stage(groups[1].open_handshake(MLSMessage.decode(made.message))).next
    assert entered is not None
    groups[0].supersede(made.next)
    groups[1].supersede(entered)
    with pytest.raises(UsageError):
        _read(groups[1], late)
    assert refused(lambda: _read(entered, late)) is Rule.WRONG_EPOCH
    assert _read(entered, protect_targeted(made.next, 1, TEXT, random=Randomness(b"c"))) == TEXT
    with pytest.raises(UsageError):
        protect_targeted(groups[0], 1, TEXT, random=Randomness(b"d"))


def test_after_a_reinit_nothing_is_taken() -> None:
    _, groups = founded(2)
    reinit = ReInit(b"the next one", 1, 1, ())
    made = groups[0].commit([reinit], random=Randomness(b"b"))
    staged = groups[1].stage(groups[1].open_handshake(MLSMessage.decode(made.message))).next
    assert staged is not None
    with pytest.raises(UsageError):
        protect_targeted(made.next, 1, TEXT, random=Randomness(b"c"))
    body = TargetedMessage(b"a group", staged.epoch, 1, b"", b"sender", b"content")
    assert refused(lambda: unprotect_targeted(staged, MLSMessage.of(body))) is Rule.REINIT_LAST


def test_the_secrets_can_go_before_the_epoch() -> None:
    """T-10: when all messages of an epoch are here."""
    _, groups = founded(2)
    message = protect_targeted(groups[0], 1, TEXT, random=Randomness(b"a"))
    kept = {groups[1].secrets.get(name) for name in TARGETED_SECRETS.names}
    assert all(secret in groups[1].save() for secret in kept)
    assert groups[1].secrets.forget(TARGETED_SECRETS.names)
    assert not any(secret in groups[1].save() for secret in kept)
    with pytest.raises(UsageError) as unusable:
        _read(groups[1], message)
    assert unusable.value.code == "targeted_secrets"


def test_psk_mode_is_not_base_mode() -> None:
    _, groups = founded(2)
    hpke = groups[0].cipher_suite.hpke
    leaf = groups[0].tree.leaf(1)
    assert leaf is not None
    random = Randomness(b"a")
    kem_output, seal = hpke.setup_psk(leaf.encryption_key, b"info", bytes(32), b"id", random)
    sealed = HPKECiphertext(kem_output, seal(b"aad", TEXT))
    assert groups[1].open_psk(b"info", b"aad", sealed, bytes(32), b"id") == TEXT
    for info, aad, psk, psk_id in (
        (b"other", b"aad", bytes(32), b"id"),
        (b"info", b"other", bytes(32), b"id"),
        (b"info", b"aad", b"\x01" * 32, b"id"),
        (b"info", b"aad", bytes(32), b"other"),
    ):
        with pytest.raises(VerificationFailed):
            groups[1].open_psk(info, aad, sealed, psk, psk_id)
