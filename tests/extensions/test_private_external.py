"""Sealing to a group from outside, and opening it there (P-9, P-10, P-13)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.extensions.external_members import OpenClient, asks, bundle_of, open_group, public
from tests.mls.group_members import Client, Party, open_text, refused

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.errors import Pending, UsageError, VerificationFailed
from starling.protocol.extensions.private_external import open_private_external, seal_private_external
from starling.protocol.extensions.private_external_info import (
    bundle_of_group_info,
    check_external_encryption_info,
    external_key_pair,
    info_extension,
)
from starling.protocol.extensions.private_external_rules import PrivateExternalRules, replace_root_key
from starling.protocol.extensions.replay_cache import MAX_REMEMBERED, ReplayCache
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls import Add, Group, MLSMessage, Proposal, Remove
from starling.protocol.mls import rules as mls
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.mls.wire_format import SenderType, WireFormat

LABEL = "PrivateExternalMessageContent"


def sealed_body(group: Group, message: MLSMessage, client: Client) -> PrivateExternalMessage:
    sealed = seal_private_external(message, bundle_of(group), random=client.random)
    body = MLSMessage.decode(sealed).body
    assert isinstance(body, PrivateExternalMessage)
    return body


def opened(group: Group, body: PrivateExternalMessage) -> MLSMessage:
    """Through the wire."""
    return open_private_external(group, MLSMessage.decode(MLSMessage.of(body).encode()))


@pytest.mark.parametrize("suite", CIPHER_SUITES)
def test_who_asks_is_added_and_everybody_goes_on(suite: int) -> None:
    party = open_group(3, suite)
    client, bundle, asked = asks(party.groups[0])
    body = sealed_body(party.groups[1], asked, client)  # any member's key is everybody's
    contents = [group.open_handshake(opened(group, body)) for group in party.groups]
    assert all(content == contents[0] for content in contents)
    assert contents[0].wire_format == WireFormat.MLS_PUBLIC_MESSAGE
    assert contents[0].content.sender.sender_type == SenderType.NEW_MEMBER_PROPOSAL
    received = {contents[0].reference(party.groups[0].cipher_suite): contents[0]}
    made = party.commit(
        options={"by_reference": [contents[0]]}, receiving=lambda index: {"proposals": received}
    )
    assert made.welcome is not None
    joined = client.join(made.welcome, bundle, PrivateExternalRules())
    party.clients.append(client)
    party.groups.append(joined)
    party.check_agreement()
    check_external_encryption_info(joined, bundle_of(party.groups[0]).info)
    message = joined.protect(b"hello", random=client.random)
    assert open_text(party.groups[1], message) == b"hello"


def test_an_outsider_sees_the_header_and_nothing_of_who_asks() -> None:
    group = open_group(1).groups[0]
    client, _, asked = asks(group, "somebody known")
    seen = MLSMessage.of(sealed_body(group, asked, client)).encode()
    inner = public(asked.encode())
    assert isinstance(inner.content.proposal, Add)
    package = inner.content.proposal.key_package
    secrets = [b"somebody known", client.signature_key, package.init_key, package.leaf_node.encryption_key]
    assert all(secret in asked.encode() for secret in secrets)  # in clear it would be all there
    assert not any(secret in seen for secret in secrets)
    assert package.reference() not in seen


def test_the_group_reads_it_until_it_moves_on_and_after_it_was_saved() -> None:
    party = open_group(2)
    old = party.groups[1]
    client, _, asked = asks(old)
    body = sealed_body(old, asked, client)
    loaded = Group.load(old.save(), old.save_ratchets(), rules=PrivateExternalRules())
    assert opened(loaded, body) == asked
    old_secret = old.secrets.get("external_encryption_secret")
    party.commit()
    assert refused(lambda: opened(party.groups[0], body)) is mls.Rule.WRONG_EPOCH
    assert refused(lambda: opened(old, body)) is Rule.EXTERNAL_ENCRYPTION_HEAD
    with pytest.raises(UsageError):
        external_key_pair(old)
    assert old_secret not in old.save() and old_secret not in party.groups[1].save()


def test_who_was_removed_cannot_open_what_comes_later() -> None:
    """P-14: the key is that of an epoch that the removed one never had."""
    party = open_group(3)
    gone = party.groups.pop()
    party.clients.pop()
    party.commit([Remove(2), replace_root_key(party.groups[0].cipher_suite, party.clients[0].random)])
    client, _, asked = asks(party.groups[0])
    body = replace(sealed_body(party.groups[0], asked, client), epoch=gone.epoch)
    with pytest.raises(VerificationFailed):
        opened(gone, body)


# external commits


def join_in_private(
    party: Party, client: OpenClient, *, resync: bool = False, proposals: tuple[Proposal, ...] = ()
) -> tuple[Group, MLSMessage]:
    """The joiner's group, and its external commit, sealed by what the GroupInfo says (P-13)."""
    member = party.groups[-1]
    given = member.group_info((info_extension(member),), external_pub=True)
    body = MLSMessage.decode(MLSMessage.of(given).encode()).body
    assert isinstance(body, GroupInfo)
    made = Group.external_join(
        body,
        client.signed_leaf()[0],
        client.signature_private_key,
        resync=resync,
        proposals=proposals,
        rules=PrivateExternalRules(),
        random=client.random,
    )
    bundle = bundle_of_group_info(body)
    sealed = seal_private_external(MLSMessage.decode(made.message), bundle, random=client.random)
    assert client.signature_key in made.message and client.signature_key not in sealed
    return made.next, MLSMessage.decode(sealed)


def test_an_external_commit_travels_sealed() -> None:
    party = open_group(3)
    client = OpenClient("newcomer")
    joined, sealed = join_in_private(party, client)
    following = []
    for group in party.groups:
        content = group.open_handshake(open_private_external(group, sealed))
        staged = group.stage(content)
        assert staged.next is not None and staged.external
        following.append(staged.next)
    party.clients.append(client)
    party.groups = [*following, joined]
    party.check_agreement()
    # What the committer gives out for the epoch that it has started is what every member knows (P-13).
    assert len({bundle_of(group) for group in party.groups}) == 1
    party.commit(by=3)


def test_a_resync_replaces_the_root_key() -> None:
    """It removes the old leaf, and so it is bound by P-6."""
    party = open_group(3)
    client = party.clients[1]
    assert isinstance(client, OpenClient)
    with pytest.raises(Exception) as refusal:
        join_in_private(party, client, resync=True)
    assert getattr(refusal.value, "rule", None) is Rule.ROOT_KEY_REPLACED
    update = replace_root_key(client.suite, client.random)
    joined, sealed = join_in_private(party, client, resync=True, proposals=(update,))
    for index in (0, 2):
        group = party.groups[index]
        staged = group.stage(group.open_handshake(open_private_external(group, sealed)))
        assert staged.next is not None and staged.next.context == joined.context


# what came before


def test_a_replay_cache_forgets_nothing_and_gets_full() -> None:
    cache = ReplayCache()
    for number in range(MAX_REMEMBERED):
        cache.check_room()
        cache.add(number.to_bytes(32))
    assert bytes(32) in cache and (MAX_REMEMBERED - 1).to_bytes(32) in cache
    with pytest.raises(Pending):
        cache.check_room()
    with pytest.raises(Pending):
        cache.add(b"one more")
    again = ReplayCache(cache.digests)
    assert bytes(32) in again and b"one more" not in again
