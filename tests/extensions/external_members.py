"""Groups that take private external messages, and people outside them, for the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.mls.group_members import Client, Party, Randomness

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.key_schedule import punctured_extensions
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION_INFO,
    ROOT_PRIVATE_SIGNATURE_KEY,
    ExternalEncryptionBundle,
)
from starling.protocol.extensions.private_external_rules import PrivateExternalRules, new_root_key
from starling.protocol.mls import Add, Extension, Group, KeyPackageBundle, MLSMessage, propose_own_add
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    KOH_KEY_SCHEDULE,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
)
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.key_schedule import RFC9420, KeySchedule
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode
from starling.protocol.mls.negotiation import required_extensions, supported_extensions
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.safe_aad import EMPTY, uses_safe_aad
from starling.protocol.mls.wire_format import WireFormat

NOW = 1_700_000_000_000
_COMPONENTS = (ROOT_PRIVATE_SIGNATURE_KEY, EXTERNAL_ENCRYPTION_INFO)
_FORMATS = (WireFormat.MLS_PRIVATE_EXTERNAL_MESSAGE,)


@dataclass
class OpenClient(Client):
    """A client that supports private external messages."""

    extensions: tuple[int, ...] = (
        APP_DATA_DICTIONARY,
        SUPPORTED_WIRE_FORMATS,
        REQUIRED_WIRE_FORMATS,
        KOH_KEY_SCHEDULE,
    )

    def leaf(self, source: int = KEY_PACKAGE) -> tuple[LeafNode, bytes]:
        leaf, private_key = super().leaf(source)
        supported = supported_extensions(
            app_components=_COMPONENTS, safe_aad=(EXTERNAL_ENCRYPTION_INFO,), wire_formats=_FORMATS
        )
        return replace(leaf, extensions=supported), private_key


def group_extensions(
    suite: int = 1, *, safe_aad: bool = False, root: bytes | None = None
) -> tuple[Extension, ...]:
    """Of a GroupContext with a root key, `root` if given."""
    data = new_root_key(cipher_suite(suite), Randomness(b"root")) if root is None else root
    return required_extensions(
        app_components=_COMPONENTS,
        safe_aad=(EXTERNAL_ENCRYPTION_INFO,) if safe_aad else None,
        wire_formats=_FORMATS,
        data={ROOT_PRIVATE_SIGNATURE_KEY: data},
    )


def open_group(
    count: int,
    suite: int = 1,
    *,
    extensions: tuple[Extension, ...] | None = None,
    rules: Callable[[], PrivateExternalRules] = PrivateExternalRules,
    key_schedule: KeySchedule = RFC9420,
) -> Party:
    """A group of so many members, each with rules of its own."""
    clients = [OpenClient(f"client {index}", cipher_suite(suite)) for index in range(count)]
    extensions = group_extensions(suite) if extensions is None else extensions
    if key_schedule is not RFC9420:
        extensions = (*extensions, *punctured_extensions())
    group = clients[0].create(rules(), extensions, key_schedule=key_schedule)
    if count == 1:
        return Party(list(clients), [group])
    bundles = [client.bundle() for client in clients[1:]]
    made = group.commit(
        [Add(bundle.key_package) for bundle in bundles],
        authenticated_data=EMPTY if uses_safe_aad(extensions) else b"",
        random=clients[0].random,
    )
    assert made.welcome is not None
    joined = [
        client.join(made.welcome, bundle, rules(), key_schedule)
        for client, bundle in zip(clients[1:], bundles, strict=True)
    ]
    party = Party(list(clients), [made.next, *joined])
    party.check_agreement()
    return party


def public(message: bytes) -> PublicMessage:
    body = MLSMessage.decode(message).body
    assert isinstance(body, PublicMessage)
    return body


def asks(
    group: Group, name: str = "newcomer", authenticated_data: bytes = b""
) -> tuple[OpenClient, KeyPackageBundle, MLSMessage]:
    """Somebody outside who asks to be added: its external proposal as a PublicMessage."""
    client = OpenClient(name, group.cipher_suite)
    bundle = client.bundle()
    return client, bundle, ask_with(group, client, bundle.key_package, authenticated_data)


def ask_with(
    group: Group, client: Client, key_package: KeyPackage, authenticated_data: bytes = b""
) -> MLSMessage:
    return MLSMessage.decode(
        propose_own_add(
            group.group_id, group.epoch, key_package, client.signature_private_key, authenticated_data
        )
    )


def bundle_of(group: Group) -> ExternalEncryptionBundle:
    """As it reaches an outsider: encoded and decoded."""
    return ExternalEncryptionBundle.decode(ExternalEncryptionBundle.of(group).encode())
