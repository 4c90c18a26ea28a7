"""The key schedule against the official vectors (RFC 9420 §8), and how epoch secrets are held."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import UsageError
from starling.protocol.mls import key_schedule
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.key_schedule import RFC9420, EpochSecrets

_NAMES = (
    "sender_data_secret", "encryption_secret", "exporter_secret", "external_secret", "confirmation_key",
    "membership_key", "resumption_psk", "epoch_authenticator", "init_secret",
)  # fmt: skip


def test_key_schedule_vectors() -> None:
    for vector in load_vectors("mls/key-schedule.json"):
        init_secret = bytes.fromhex(vector["initial_init_secret"])
        for number, epoch in enumerate(vector["epochs"]):
            init_secret = _check_epoch(vector, number, epoch, init_secret)


def _check_epoch(vector: dict[str, Any], number: int, epoch: dict[str, Any], init_secret: bytes) -> bytes:
    suite = cipher_suite(vector["cipher_suite"])
    context = GroupContext(
        1,
        suite.id,
        bytes.fromhex(vector["group_id"]),
        number,
        bytes.fromhex(epoch["tree_hash"]),
        bytes.fromhex(epoch["confirmed_transcript_hash"]),
        (),
    ).encode()
    assert context.hex() == epoch["group_context"]
    psk_secret = bytes.fromhex(epoch["psk_secret"])
    joiner = key_schedule.joiner_secret(suite, init_secret, bytes.fromhex(epoch["commit_secret"]), context)
    assert joiner.hex() == epoch["joiner_secret"]
    assert key_schedule.welcome_secret(suite, joiner, psk_secret).hex() == epoch["welcome_secret"]
    secrets = RFC9420.enter(suite, key_schedule.epoch_secret(suite, joiner, psk_secret, context))
    for name in _NAMES:
        assert secrets.get(name).hex() == epoch[name], name
    assert suite.hpke_derive_key_pair(secrets.external_secret)[1].hex() == epoch["external_pub"]
    exporter = epoch["exporter"]
    exported = key_schedule.export(
        suite,
        secrets.exporter_secret,
        exporter["label"],
        bytes.fromhex(exporter["context"]),
        exporter["length"],
    )
    assert exported.hex() == exporter["secret"]
    return secrets.init_secret


def test_a_deleted_secret_reads_as_the_callers_fault() -> None:
    secrets = RFC9420.enter(cipher_suite(1), bytes(32))
    assert secrets.take("encryption_secret")
    with pytest.raises(UsageError):
        _ = secrets.encryption_secret
    secrets.keep_only({"sender_data_secret"})
    assert secrets.holds("sender_data_secret") and not secrets.holds("init_secret")
    secrets.wipe()
    with pytest.raises(UsageError):
        _ = secrets.sender_data_secret


def test_epoch_secrets_do_not_print_copy_or_pickle() -> None:
    secrets = EpochSecrets({"init_secret": b"\x5a" * 32}, {"public": b"value"})
    assert "5a" not in repr(secrets) and "Z" not in repr(secrets)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(secrets)
