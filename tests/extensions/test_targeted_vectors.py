"""Targeted messages of both revisions with known answers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import VerificationFailed
from starling.protocol.extensions.targeted_protection import (
    SIGNATURE_LABEL,
    OpenedSender,
    TargetedPlace,
    TargetedProfile,
    TargetedSecrets,
    open_content,
    open_sender,
)
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.wire_format import WireFormat

both = pytest.mark.parametrize("profile", list(TargetedProfile))


def _message(vector: dict[str, Any]) -> TargetedMessage:
    encoded = bytes.fromhex(vector["targeted_message"])
    message = MLSMessage.decode(encoded)
    assert message.wire_format == WireFormat.MLS_TARGETED_MESSAGE and message.encode() == encoded
    assert isinstance(message.body, TargetedMessage)
    return message.body


def _opened_sender(
    vector: dict[str, Any], profile: TargetedProfile
) -> tuple[TargetedPlace, TargetedSecrets, OpenedSender]:
    suite = cipher_suite(vector["cipher_suite"])
    message = _message(vector)
    place = TargetedPlace(
        suite,
        profile,
        bytes.fromhex(vector.get("serialized_group_context", "")),
        bytes.fromhex(vector["group_id"]),
        vector["epoch"],
        vector["recipient_leaf_index"],
        bytes.fromhex(vector["authenticated_data"]),
    )
    assert (message.group_id, message.epoch) == (place.group_id, place.epoch)
    assert message.recipient_leaf_index == place.recipient_leaf_index
    assert message.authenticated_data == place.authenticated_data
    secrets = TargetedSecrets.of(suite, bytes.fromhex(vector["exporter_secret"]))
    return place, secrets, open_sender(place, secrets, message)


def _open(vector: dict[str, Any], profile: TargetedProfile) -> bytes:
    place, secrets, sender = _opened_sender(vector, profile)
    leaf = LeafNode.decode(bytes.fromhex(vector["sender_leaf_node"]))
    place.suite.verify_with_label(leaf.signature_key, SIGNATURE_LABEL, sender.tbs, sender.auth.signature)
    private_key = bytes.fromhex(vector["recipient_encryption_priv"])
    return open_content(
        place,
        secrets,
        sender,
        _message(vector).ciphertext,
        lambda *arguments: place.suite.hpke.open_psk(private_key, *arguments),
    )


@both
def test_the_known_answers_open(profile: TargetedProfile) -> None:
    for vector in load_vectors(f"targeted/targeted-{profile.value}.json"):
        assert _open(vector, profile).hex() == vector["application_data"]
        assert _opened_sender(vector, profile)[2].auth.sender_leaf_index == vector["sender_leaf_index"]
        # A length before the data, one byte for what is shorter than 64, zeros, and the tag of the AEAD.
        plain = 1 + len(vector["application_data"]) // 2 + vector["padding_length"]
        assert len(_message(vector).ciphertext) == plain + 16


@both
def test_the_other_revision_does_not_open_them(profile: TargetedProfile) -> None:
    (other,) = set(TargetedProfile) - {profile}
    for vector in load_vectors(f"targeted/targeted-{profile.value}.json"):
        with pytest.raises(VerificationFailed):
            _open(vector, other)
