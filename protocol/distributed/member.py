"""`dmls_member`: who a leaf is, in every leaf of every send group (X-1), and the making of such leaves.

The identity key and the libp2p key both sign the leaf's signature key with the other fields, so every tree
proves which identity owns which send group and which peer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.distributed import component_ids, labels, wire_formats
from starling.protocol.distributed.identity import KEY_LENGTH, Identity, peer_public_key, verify
from starling.protocol.distributed.joiner import Joiner
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.send_group_id import is_send_group_id_of
from starling.protocol.distributed.ticket import Ticket, TicketSecret
from starling.protocol.distributed.ticket_proof import prove
from starling.protocol.errors import DecodeError, Invalid, UsageError
from starling.protocol.extensions.external_receivers import EXTERNAL_RECEIVERS
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION_INFO,
    ROOT_PRIVATE_SIGNATURE_KEY,
)
from starling.protocol.mls import extension as extensions
from starling.protocol.mls.capabilities import MLS10, Capabilities
from starling.protocol.mls.components import (
    APP_COMPONENTS,
    LAST_RESORT_KEY_PACKAGE,
    SAFE_AAD,
    AppDataDictionary,
    ComponentsList,
    read_component,
)
from starling.protocol.mls.credential import BASIC, Credential
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode, Lifetime
from starling.protocol.wire import Struct, opaque, uint32, uint64

UNIVERSE_SUITES = (1, 3)
"""The suites of send groups, which every member supports. Not ECDSA's: its signatures can be turned into other
valid ones."""

KEY_PACKAGE_LIFETIME = 30 * 24 * 3600 * 1000
"""How long a KeyPackage may be used for adding, in milliseconds."""

_CLOCK_SKEW = 24 * 3600
"""How long before its making a KeyPackage is valid, in seconds: clocks without a server are wrong."""

_APP_DATA_UPDATE = 0x0008
_APP_EPHEMERAL = 0x0009

PROPOSAL_TYPES = (_APP_DATA_UPDATE, _APP_EPHEMERAL, component_ids.LEAF_REPLACE)
"""The non-default proposal types that every member supports, and every send group requires."""

COMPONENTS = (
    APP_COMPONENTS,
    SAFE_AAD,
    LAST_RESORT_KEY_PACKAGE,
    EXTERNAL_RECEIVERS,
    ROOT_PRIVATE_SIGNATURE_KEY,
    EXTERNAL_ENCRYPTION_INFO,
    component_ids.DMLS_UNIVERSE,
    component_ids.DMLS_DEPS,
    component_ids.DMLS_MEMBER,
    component_ids.EPOCH_END,
    component_ids.ROSTER_DIGEST,
    component_ids.KEY_PACKAGES,
    component_ids.TICKET_PROOF,
    component_ids.JOINER,
    component_ids.ANSWER_KEY,
)
"""The components that every member understands."""


class MemberId(NamedTuple):
    """A member as it counts for imports (X-13): restored or added again it is another one."""

    identity: bytes
    incarnation: int


@dataclass(frozen=True, slots=True)
class DmlsMemberTBS(Struct):
    """What both keys sign; `signature_key` is the leaf's."""

    universe_id: opaque
    send_group_id: opaque
    peer_id: opaque
    incarnation: uint32
    serial: uint64
    signature_key: opaque


@dataclass(frozen=True, slots=True)
class DmlsMember(Struct):
    """The component's data. `serial` (ms) rises with every leaf that a member makes."""

    universe_id: opaque
    send_group_id: opaque
    peer_id: opaque
    incarnation: uint32
    serial: uint64
    identity_signature: opaque
    peer_signature: opaque

    @classmethod
    def sign(
        cls,
        identity: Identity,
        *,
        universe_id: bytes,
        send_group_id: bytes,
        incarnation: int,
        serial: int,
        signature_key: bytes,
    ) -> DmlsMember:
        """Certify `signature_key` with both long-term keys."""
        peer_id = identity.peer_id
        tbs = DmlsMemberTBS(universe_id, send_group_id, peer_id, incarnation, serial, signature_key).encode()
        return cls(
            universe_id,
            send_group_id,
            peer_id,
            incarnation,
            serial,
            identity.sign(labels.MEMBER_IDENTITY, tbs),
            identity.sign_as_peer(labels.MEMBER_PEER, tbs),
        )


def leaf_identity(leaf: LeafNode) -> bytes:
    """The 32-byte identity key in a leaf's basic credential; Invalid for any other credential."""
    credential = leaf.credential
    if credential.credential_type != BASIC or credential.identity is None:
        raise Invalid(Rule.MEMBER_CREDENTIAL)
    if len(credential.identity) != KEY_LENGTH:
        raise Invalid(Rule.MEMBER_CREDENTIAL, f"{len(credential.identity)} bytes")
    return credential.identity


def read_member(leaf: LeafNode) -> DmlsMember:
    """The `dmls_member` of a leaf, its signatures unchecked. DecodeError, Invalid where there is none."""
    data = read_component(leaf.extensions, component_ids.DMLS_MEMBER)
    if data is None:
        raise Invalid(Rule.MEMBER_COMPONENT)
    return DmlsMember.decode(data)


def member_id(leaf: LeafNode) -> MemberId:
    """Identity and incarnation of a leaf. DecodeError, Invalid."""
    return MemberId(leaf_identity(leaf), read_member(leaf).incarnation)


def verify_member(leaf: LeafNode, *, universe_id: bytes) -> DmlsMember:
    """Check the `dmls_member` of a leaf, both signatures included (X-1); the leaf's own is checked by MLS.

    Raises DecodeError, Invalid, VerificationFailed.
    """
    identity = leaf_identity(leaf)
    member = read_member(leaf)
    if member.universe_id != universe_id:
        raise Invalid(Rule.MEMBER_UNIVERSE)
    verify_binding(member, identity, leaf.signature_key)
    return member


def verify_binding(member: DmlsMember, identity: bytes, signature_key: bytes) -> None:
    """Check that the send group is this identity's (X-14), and that identity key and libp2p key both signed
    `signature_key`. Raises Invalid, VerificationFailed."""
    if not is_send_group_id_of(member.send_group_id, member.universe_id, identity):
        raise Invalid(Rule.MEMBER_SEND_GROUP)
    try:
        peer_key = peer_public_key(member.peer_id)
    except DecodeError as error:
        raise Invalid(Rule.MEMBER_PEER_ID) from error
    _verify_signatures(member, identity, peer_key, signature_key)


@functools.lru_cache(maxsize=4096)
def _verify_signatures(member: DmlsMember, identity: bytes, peer_key: bytes, signature_key: bytes) -> None:
    # One leaf stands in the trees of many groups, so what was verified is remembered; failures are not.
    tbs = DmlsMemberTBS(
        member.universe_id,
        member.send_group_id,
        member.peer_id,
        member.incarnation,
        member.serial,
        signature_key,
    ).encode()
    verify(identity, labels.MEMBER_IDENTITY, tbs, member.identity_signature)
    verify(peer_key, labels.MEMBER_PEER, tbs, member.peer_signature)


def leaf_capabilities() -> Capabilities:
    """What every member of a universe supports: the suites of send groups and what they require."""
    return Capabilities(
        versions=(MLS10,),
        cipher_suites=UNIVERSE_SUITES,
        extensions=(
            extensions.APP_DATA_DICTIONARY,
            extensions.SUPPORTED_WIRE_FORMATS,
            extensions.REQUIRED_WIRE_FORMATS,
            extensions.KOH_KEY_SCHEDULE,
        ),
        proposals=PROPOSAL_TYPES,
        credentials=(BASIC,),
    )


def leaf_extensions(member: DmlsMember) -> tuple[Extension, ...]:
    """A leaf's extensions: the dictionary with app_components, safe_aad (none) and `dmls_member`; the supported wire
    formats."""
    dictionary = AppDataDictionary.of(
        {
            APP_COMPONENTS: ComponentsList(COMPONENTS).encode(),
            SAFE_AAD: ComponentsList().encode(),
            component_ids.DMLS_MEMBER: member.encode(),
        }
    )
    return (Extension(extensions.APP_DATA_DICTIONARY, dictionary.encode()), wire_formats.SUPPORTED)


def owner_extensions(
    identity: Identity,
    *,
    universe_id: bytes,
    send_group_id: bytes,
    incarnation: int,
    serial: int,
    signature_key: bytes,
) -> tuple[Extension, ...]:
    """The extensions of the leaf that an owner puts into a path commit."""
    return leaf_extensions(
        DmlsMember.sign(
            identity,
            universe_id=universe_id,
            send_group_id=send_group_id,
            incarnation=incarnation,
            serial=serial,
            signature_key=signature_key,
        )
    )


def build_owner_leaf(
    identity: Identity,
    *,
    cipher_suite: CipherSuite,
    universe_id: bytes,
    send_group_id: bytes,
    incarnation: int,
    serial: int,
    signature_private_key: bytes,
    encryption_key: bytes,
    now: int,
    lifetime: int = KEY_PACKAGE_LIFETIME,
) -> LeafNode:
    """A signed leaf with source key_package, to create a send group with or to put into a KeyPackage.

    `now` and `lifetime` are in milliseconds. UsageError for a suite that send groups do not use.
    """
    if cipher_suite.id not in UNIVERSE_SUITES:
        raise UsageError("send groups use suites 1 and 3")
    signature_key = cipher_suite.signature_public_key(signature_private_key)
    leaf = LeafNode(
        encryption_key=encryption_key,
        signature_key=signature_key,
        credential=Credential.basic(identity.identity_public_key),
        capabilities=leaf_capabilities(),
        leaf_node_source=KEY_PACKAGE,
        lifetime=Lifetime(max(0, now // 1000 - _CLOCK_SKEW), (now + lifetime) // 1000),
        parent_hash=None,
        extensions=owner_extensions(
            identity,
            universe_id=universe_id,
            send_group_id=send_group_id,
            incarnation=incarnation,
            serial=serial,
            signature_key=signature_key,
        ),
        signature=b"",
    )
    return leaf.sign(cipher_suite, signature_private_key)


def build_key_package(
    identity: Identity,
    *,
    cipher_suite: CipherSuite,
    universe_id: bytes,
    send_group_id: bytes,
    incarnation: int,
    serial: int,
    signature_private_key: bytes,
    now: int,
    random: Callable[[int], bytes],
    lifetime: int = KEY_PACKAGE_LIFETIME,
    ticket: Ticket | TicketSecret | None = None,
    joiner: Joiner | None = None,
) -> KeyPackageBundle:
    """A KeyPackage of a member, with `ticket_proof` where a ticket is given, and what a joiner tells of itself.

    It is marked as a last resort (extensions draft §6.4): every owner adds the member by the same one.
    """
    init_private_key, init_key = cipher_suite.hpke_generate(random)
    encryption_private_key, encryption_key = cipher_suite.hpke_generate(random)
    leaf = build_owner_leaf(
        identity,
        cipher_suite=cipher_suite,
        universe_id=universe_id,
        send_group_id=send_group_id,
        incarnation=incarnation,
        serial=serial,
        signature_private_key=signature_private_key,
        encryption_key=encryption_key,
        now=now,
        lifetime=lifetime,
    )
    components = {LAST_RESORT_KEY_PACKAGE: b""}
    if ticket is not None:
        components[component_ids.TICKET_PROOF] = prove(
            ticket.keys if isinstance(ticket, Ticket) else ticket,
            universe_id=universe_id,
            identity=identity.identity_public_key,
            signature_key=leaf.signature_key,
            init_key=init_key,
        ).encode()
    if joiner is not None:
        components[component_ids.JOINER] = joiner.encode()
    dictionary = AppDataDictionary.of(components)
    key_package = KeyPackage(
        version=MLS10,
        cipher_suite=cipher_suite.id,
        init_key=init_key,
        leaf_node=leaf,
        extensions=(Extension(extensions.APP_DATA_DICTIONARY, dictionary.encode()),),
        signature=b"",
    ).sign(signature_private_key)
    return KeyPackageBundle(key_package, init_private_key, encryption_private_key)
