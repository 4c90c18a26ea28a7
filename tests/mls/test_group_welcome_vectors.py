"""Welcomes: the official vectors (RFC 9420 §12.4.3.1)."""

from __future__ import annotations

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import Invalid, VerificationFailed
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import RFC9420, confirmation_tag, epoch_secret
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.welcome import Welcome, open_group_info, open_group_secrets


def test_welcome_vectors() -> None:
    for vector in load_vectors("mls/welcome.json"):
        suite = cipher_suite(vector["cipher_suite"])
        key_package = MLSMessage.decode(bytes.fromhex(vector["key_package"])).body
        welcome = MLSMessage.decode(bytes.fromhex(vector["welcome"])).body
        assert isinstance(key_package, KeyPackage) and isinstance(welcome, Welcome)
        bundle = KeyPackageBundle(key_package, bytes.fromhex(vector["init_priv"]), b"")
        secrets = open_group_secrets(suite, welcome, bundle)
        no_psk = bytes(suite.hash_length)
        info = open_group_info(suite, welcome, secrets.joiner_secret, no_psk)
        info.verify(suite, bytes.fromhex(vector["signer_pub"]))
        context = info.group_context
        epoch = RFC9420.enter(suite, epoch_secret(suite, secrets.joiner_secret, no_psk, context.encode()))
        expected = confirmation_tag(suite, epoch.confirmation_key, context.confirmed_transcript_hash)
        assert info.confirmation_tag == expected
        with pytest.raises(VerificationFailed):
            open_group_info(suite, welcome, secrets.joiner_secret, b"\x01" * suite.hash_length)
        wrong_key = KeyPackageBundle(key_package, suite.hpke_generate(lambda n: bytes(n))[0], b"")
        with pytest.raises(VerificationFailed):
            open_group_secrets(suite, welcome, wrong_key)
        elsewhere = Welcome(welcome.cipher_suite, (), welcome.encrypted_group_info)
        with pytest.raises(Invalid) as refused:
            open_group_secrets(suite, elsewhere, bundle)
        assert refused.value.rule is Rule.WELCOME_NOT_FOR_ME
