"""Hostile input: what is sent is accepted, or refused by an error of the core, and a refusal changes nothing.

Outsiders change bytes of real messages. Insiders do worse: they know all secrets of the epoch, so they sign
and seal what they changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec

import pytest
from tests.mls.group_members import COMPONENT, Client, OwnerRules, ReplaceLeaf, dictionary, found, open_text

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import InternalError, StarlingError
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, Extension
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.key_schedule import welcome_key_nonce
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppDataUpdateOperation,
    AppEphemeral,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    Remove,
)
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.welcome import (
    EncryptedGroupSecrets,
    GroupSecrets,
    Welcome,
    open_group_info,
    open_group_secrets,
)

P = ParamSpec("P")

ROUNDS = 400
RULES = OwnerRules()


def _psk(psk_id: PreSharedKeyID) -> bytes:
    return b"a known secret of thirty-two byte"


def _mutate(rng: random.Random, data: bytes) -> bytes:
    """The data with one to four bytes flipped, set, deleted or inserted; never the same."""
    while True:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            at = rng.randrange(len(changed))
            match rng.randrange(4):
                case 0:
                    changed[at] ^= 1 << rng.randrange(8)
                case 1:
                    changed[at] = rng.choice((0, 1, 2, 3, 0x40, 0x80, 0xFF))
                case 2:
                    del changed[at]
                case _:
                    changed.insert(at, rng.randrange(256))
        if changed != data:
            return bytes(changed)


def _accepted(action: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """Whether it was accepted; anything but an error for the input fails the test."""
    try:
        action(*args, **kwargs)
    except InternalError:
        raise
    except StarlingError:
        return False
    return True


def _commits() -> tuple[Group, list[CommitResult]]:
    """A receiver at leaf 3 and commits of leaf 0 of every kind, all on one parent."""
    party = found(6, RULES, (dictionary({COMPONENT: b"x"}),))
    owner, random_of_owner = party.groups[0], party.clients[0].random
    newcomer = Client("newcomer").bundle().key_package
    replacement, _ = party.clients[4].signed_leaf()
    psk = PreSharedKey(PreSharedKeyID.external(b"id", bytes(32)))
    lists: list[list[Proposal]] = [
        [],
        [psk, AppEphemeral(COMPONENT, b"data")],
        [
            ReplaceLeaf(4, replacement),
            Remove(2),
            Add(newcomer),
            psk,
            AppDataUpdate(COMPONENT, AppDataUpdateOperation.UPDATE, b"y"),
        ],
        [GroupContextExtensions((Extension(APP_DATA_DICTIONARY, b"\x00"),))],
    ]
    commits = [
        owner.commit(proposals, psks=_psk, handshake_generation=number, random=random_of_owner)
        for number, proposals in enumerate(lists)
    ]
    return party.groups[3], commits


@pytest.mark.parametrize("kind", range(4))
def test_a_changed_commit_of_an_insider_is_refused(kind: int) -> None:
    """The signature counts as verified: what is behind it must hold by itself."""
    receiver, commits = _commits()
    rng = random.Random(kind)
    before = receiver.save(), receiver.save_ratchets()
    made = commits[kind].content
    assert made.content.commit is not None
    encoded = made.content.commit.encode()

    def stage(data: bytes) -> None:
        content = replace(made.content, commit=Commit.decode(data))
        receiver.stage(AuthenticatedContent(made.wire_format, content, made.auth), psks=_psk)

    assert _accepted(stage, encoded)
    for _ in range(ROUNDS):
        changed = _mutate(rng, encoded)
        assert not _accepted(stage, changed), changed.hex()
    assert (receiver.save(), receiver.save_ratchets()) == before


def test_a_changed_message_of_an_outsider_is_refused_and_burns_nothing() -> None:
    party = found(3, RULES)
    owner, receiver = party.groups[0], party.groups[2]
    rng = random.Random(7)
    text = owner.protect(b"hello", padding=20, random=party.clients[0].random)
    commit = owner.commit(random=party.clients[0].random).message
    before = receiver.save(), receiver.save_ratchets()

    def open_handshake(data: bytes) -> None:
        receiver.open_handshake(MLSMessage.decode(data))

    for _ in range(ROUNDS):
        changed = _mutate(rng, text)
        assert not _accepted(open_text, receiver, changed)
        changed = _mutate(rng, commit)
        assert not _accepted(open_handshake, changed)
    assert (receiver.save(), receiver.save_ratchets()) == before
    assert open_text(receiver, text) == b"hello"


def test_a_changed_external_commit_is_refused() -> None:
    """By its signature; and by what is behind it, where the one who joins signs what it likes."""
    party = found(3)
    receiver, newcomer = party.groups[1], Client("newcomer")
    made = Group.external_join(
        party.groups[0].group_info(external_pub=True),
        newcomer.signed_leaf()[0],
        newcomer.signature_private_key,
        random=newcomer.random,
    )
    assert made.content.content.commit is not None
    encoded = made.content.content.commit.encode()
    rng = random.Random(5)

    def stage(data: bytes) -> None:
        content = replace(made.content.content, commit=Commit.decode(data))
        receiver.stage(replace(made.content, content=content))

    def receive(data: bytes) -> None:
        receiver.stage(receiver.open_handshake(MLSMessage.decode(data)))

    before = receiver.save(), receiver.save_ratchets()
    assert _accepted(receive, made.message) and _accepted(stage, encoded)
    for _ in range(ROUNDS):
        changed = _mutate(rng, made.message)
        assert not _accepted(receive, changed)
        changed = _mutate(rng, encoded)
        assert not _accepted(stage, changed)
    assert (receiver.save(), receiver.save_ratchets()) == before


def test_a_changed_group_info_is_refused_by_who_joins_externally() -> None:
    party = found(3)
    owner, newcomer = party.groups[0], Client("newcomer")
    encoded = owner.group_info(external_pub=True).encode()
    leaf = newcomer.signed_leaf()[0]
    rng = random.Random(6)

    suite, signing = owner.cipher_suite, party.clients[0].signature_private_key

    def join(data: bytes, sign: bool = False) -> None:
        info = GroupInfo.decode(data)
        info = info.sign(suite, signing) if sign else info
        Group.external_join(info, leaf, newcomer.signature_private_key, random=newcomer.random)

    assert _accepted(join, encoded)
    for _ in range(ROUNDS // 2):
        changed = _mutate(rng, encoded)
        assert not _accepted(join, changed)
    for _ in range(ROUNDS // 4):
        # Signed by the member that changed it: it leads nowhere or to a group, never to a crash.
        changed = _mutate(rng, encoded)
        _accepted(join, changed, sign=True)


def _welcomed() -> tuple[bytes, KeyPackageBundle, Client, Client]:
    owner, joiner = Client("owner"), Client("joiner")
    group = owner.create(RULES)
    bundle = joiner.bundle()
    others = [Add(Client(f"other {number}").bundle().key_package) for number in range(4)]
    made = group.commit([*others, Add(bundle.key_package)], path=True, random=owner.random)
    assert made.welcome is not None
    return made.welcome, bundle, joiner, owner


def test_a_changed_welcome_is_refused_unless_the_change_concerns_others() -> None:
    encoded, bundle, joiner, _ = _welcomed()
    expected = joiner.join(encoded, bundle, RULES)
    rng = random.Random(3)
    for _ in range(ROUNDS):
        changed = _mutate(rng, encoded)
        try:
            group = joiner.join(changed, bundle, RULES)
        except (StarlingError, AssertionError):
            continue
        assert group.context == expected.context and group.tree == expected.tree


def test_a_group_info_that_an_insider_changed_and_sealed_again() -> None:
    """It may be accepted only where context and tree still are what the tag and the tree hash say."""
    encoded, bundle, joiner, owner = _welcomed()
    suite = cipher_suite(1)
    welcome = MLSMessage.decode(encoded).body
    assert isinstance(welcome, Welcome)
    secrets = open_group_secrets(suite, welcome, bundle)
    info = open_group_info(suite, welcome, secrets.joiner_secret, bytes(32))
    expected = joiner.join(encoded, bundle, RULES)
    key, nonce = welcome_key_nonce(suite, secrets.joiner_secret, bytes(32))
    rng = random.Random(4)

    def join(info_data: bytes, secrets_data: bytes) -> None:
        signed = GroupInfo.decode(info_data).sign(suite, owner.signature_private_key)
        sealed_info = suite.seal(key, nonce, b"", signed.encode())
        GroupSecrets.decode(secrets_data)
        sealed = suite.encrypt_with_label(
            bundle.key_package.init_key, "Welcome", sealed_info, secrets_data, owner.random
        )
        entry = EncryptedGroupSecrets(bundle.key_package.reference(), sealed)
        group, _ = Group.join(
            Welcome(suite.id, (entry,), sealed_info), bundle, joiner.signature_private_key, rules=RULES
        )
        assert group.context == expected.context and group.tree == expected.tree

    assert _accepted(join, info.encode(), secrets.encode())
    for number in range(ROUNDS):
        info_data, secrets_data = info.encode(), secrets.encode()
        if number % 4:
            info_data = _mutate(rng, info_data)
        else:
            secrets_data = _mutate(rng, secrets_data)
        _accepted(join, info_data, secrets_data)
