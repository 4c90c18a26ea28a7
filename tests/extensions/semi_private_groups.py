"""Groups with external receivers, for the tests of semi-private messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tests.mls.group_members import Client, Party, ReplaceLeaf

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    ExternalReceiver,
    encode_external_receivers,
)
from starling.protocol.extensions.group_view import GroupView
from starling.protocol.extensions.semi_private import SemiPrivateRules
from starling.protocol.extensions.semi_private_receiver import ReceivedHandshake, open_semi_private
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    KOH_KEY_SCHEDULE,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
    Extension,
)
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_schedule import RFC9420, KeySchedule
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import required_extensions, supported_extensions
from starling.protocol.mls.proposal import Add
from starling.protocol.mls.semi_private_message import SemiPrivateMessage
from starling.protocol.mls.wire_format import WireFormat

SEMI = WireFormat.MLS_SEMIPRIVATE_MESSAGE
RULES = SemiPrivateRules()


class OwnerRules(SemiPrivateRules):
    """Only leaf 0 sends, under a retained handshake ratchet."""

    retain_sender = 0
    custom_proposals = MappingProxyType({ReplaceLeaf.proposal_type: ReplaceLeaf})


class Member(Client):
    """A client whose leaves support semi-private messages."""

    def leaf(self, source: int = KEY_PACKAGE) -> tuple[LeafNode, bytes]:
        leaf, private_key = super().leaf(source)
        extensions = supported_extensions(app_components=[EXTERNAL_RECEIVERS], wire_formats=[SEMI])
        return replace(leaf, extensions=extensions), private_key


def member(name: str, suite: int = 1) -> Member:
    types = (APP_DATA_DICTIONARY, SUPPORTED_WIRE_FORMATS, REQUIRED_WIRE_FORMATS, KOH_KEY_SCHEDULE)
    return Member(name, cipher_suite(suite), extensions=types)


@dataclass(frozen=True)
class Outsider:
    """An external receiver with its private key."""

    receiver: ExternalReceiver
    private_key: bytes
    suite: int = 1

    def open(self, message: bytes | SemiPrivateMessage, view: GroupView | None = None) -> ReceivedHandshake:
        body = message if isinstance(message, SemiPrivateMessage) else semi_private(message)
        return open_semi_private(
            body, self.receiver, self.private_key, suite=cipher_suite(self.suite), view=view
        )


def outsider(name: str, suite: int = 1) -> Outsider:
    private_key, public_key = cipher_suite(suite).hpke_generate(Client(name).random)
    return Outsider(ExternalReceiver(public_key, Credential.basic(name.encode())), private_key, suite)


def semi_private(message: bytes) -> SemiPrivateMessage:
    body = MLSMessage.decode(message).body
    assert isinstance(body, SemiPrivateMessage)
    return body


def context_extensions(outsiders: Sequence[Outsider]) -> tuple[Extension, ...]:
    data = encode_external_receivers([outsider.receiver for outsider in outsiders])
    return required_extensions(
        app_components=[EXTERNAL_RECEIVERS], wire_formats=[SEMI], data={EXTERNAL_RECEIVERS: data}
    )


def view(group: Group) -> GroupView:
    """What an outsider would know who has been given the GroupContext and the tree."""
    return GroupView(group.context, group.tree, group.interim_transcript_hash, group.rules)


def found(
    count: int,
    outsiders: Sequence[Outsider],
    *,
    rules: GroupRules = RULES,
    key_schedule: KeySchedule = RFC9420,
    suite: int = 1,
) -> Party:
    """A group of so many members, all but the first added by a semi-private commit."""
    clients = [member(f"member {index}", suite) for index in range(count)]
    extensions = context_extensions(outsiders)
    if key_schedule is PUNCTURED:
        extensions += (Extension(KOH_KEY_SCHEDULE, b""),)
    group = clients[0].create(rules, extensions, key_schedule=key_schedule)
    if count == 1:
        return Party(list(clients), [group])
    bundles = [client.bundle() for client in clients[1:]]
    adds = [Add(bundle.key_package) for bundle in bundles]
    made = group.commit(adds, path=True, wire_format=SEMI if outsiders else 2, random=clients[0].random)
    assert made.welcome is not None
    joined = [
        client.join(made.welcome, bundle, rules, key_schedule)
        for client, bundle in zip(clients[1:], bundles, strict=True)
    ]
    party = Party(list(clients), [made.next, *joined])
    party.check_agreement()
    return party
