"""`dmls_universe`: what a send group is, bound to its transcript (X-2), and the rest of its GroupContext."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starling.protocol.distributed import component_ids, wire_formats
from starling.protocol.distributed.identity import KEY_LENGTH
from starling.protocol.distributed.member import PROPOSAL_TYPES
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.send_group_id import SEND_GROUP_ID_LENGTH
from starling.protocol.errors import Invalid
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    ExternalReceiver,
    encode_external_receivers,
    update_external_receivers,
)
from starling.protocol.extensions.private_external_info import ROOT_PRIVATE_SIGNATURE_KEY
from starling.protocol.mls import extension as extensions
from starling.protocol.mls.components import (
    APP_COMPONENTS,
    SAFE_AAD,
    AppDataDictionary,
    ComponentsList,
    read_component,
)
from starling.protocol.mls.credential import BASIC
from starling.protocol.mls.extension import Extension, RequiredCapabilities
from starling.protocol.wire import Struct, opaque, uint8, uint16

MODE_DERIVED = 0
MODE_EXPLICIT = 1

DEFAULT_EXPORT_LENGTH = 32
UNIVERSE_ID_LENGTH = 32
ROSTER_DIGEST_LENGTH = 32

_EXPORT_LENGTHS = range(16, 65)

_GROUP_COMPONENTS = (
    APP_COMPONENTS,
    SAFE_AAD,
    EXTERNAL_RECEIVERS,
    ROOT_PRIVATE_SIGNATURE_KEY,
    component_ids.DMLS_UNIVERSE,
    component_ids.DMLS_MEMBER,
    component_ids.ROSTER_DIGEST,
)


@dataclass(frozen=True, slots=True)
class DmlsUniverse(Struct):
    """The component's data.

    `owner_identity` is the identity key of leaf 0; `mode` says where group ids come from (X-1);
    `supersedes` is the id of the owner's earlier send group, empty for the first (5.6 B4).
    """

    universe_id: opaque
    export_length: uint16
    owner_identity: opaque
    mode: uint8
    supersedes: opaque

    def check(self) -> None:
        """Raises Invalid for sizes or a mode that are not allowed."""
        if (
            len(self.universe_id) != UNIVERSE_ID_LENGTH
            or len(self.owner_identity) != KEY_LENGTH
            or self.export_length not in _EXPORT_LENGTHS
            or self.mode not in (MODE_DERIVED, MODE_EXPLICIT)
            or len(self.supersedes) not in (0, SEND_GROUP_ID_LENGTH)
        ):
            raise Invalid(Rule.UNIVERSE_FIELDS)


def send_group_extensions(
    universe: DmlsUniverse,
    roster_digest: bytes,
    root_key: bytes,
    receivers: Sequence[ExternalReceiver] = (),
) -> tuple[Extension, ...]:
    """The GroupContext extensions of a new send group: the dictionary, required_capabilities, the
    required wire formats (C-2), and the key schedule (K-5). `root_key` is the data of the first root key (P-5),
    `receivers` are the external receivers of the first epochs (C-3).

    AppDataUpdate is required, so nobody can change the dictionary by GroupContextExtensions.
    """
    universe.check()
    _check_digest(roster_digest, Rule.ROSTER_DIGEST)
    dictionary = AppDataDictionary.of(
        {
            APP_COMPONENTS: ComponentsList(_GROUP_COMPONENTS).encode(),
            SAFE_AAD: ComponentsList().encode(),
            EXTERNAL_RECEIVERS: encode_external_receivers(receivers),
            ROOT_PRIVATE_SIGNATURE_KEY: root_key,
            component_ids.DMLS_UNIVERSE: universe.encode(),
            component_ids.ROSTER_DIGEST: roster_digest,
        }
    )
    required = RequiredCapabilities(
        extension_types=(
            extensions.APP_DATA_DICTIONARY,
            extensions.SUPPORTED_WIRE_FORMATS,
            extensions.REQUIRED_WIRE_FORMATS,
            extensions.KOH_KEY_SCHEDULE,
        ),
        proposal_types=PROPOSAL_TYPES,
        credential_types=(BASIC,),
    )
    return (
        Extension(extensions.REQUIRED_CAPABILITIES, required.encode()),
        Extension(extensions.APP_DATA_DICTIONARY, dictionary.encode()),
        wire_formats.REQUIRED,
        Extension(extensions.KOH_KEY_SCHEDULE, b""),
    )


def read_universe(context_extensions: Iterable[Extension]) -> DmlsUniverse:
    """The checked `dmls_universe` of a GroupContext. DecodeError, Invalid."""
    data = read_component(context_extensions, component_ids.DMLS_UNIVERSE)
    if data is None:
        raise Invalid(Rule.UNIVERSE_COMPONENT)
    universe = DmlsUniverse.decode(data)
    universe.check()
    return universe


def read_roster_digest(context_extensions: Iterable[Extension]) -> bytes:
    """The digest of the roster that the owner has applied, 32 bytes. DecodeError, Invalid."""
    data = read_component(context_extensions, component_ids.ROSTER_DIGEST)
    if data is None:
        raise Invalid(Rule.ROSTER_DIGEST)
    _check_digest(data, Rule.ROSTER_DIGEST)
    return data


def update_component(component_id: int, current: bytes | None, updates: Sequence[bytes]) -> bytes:
    """The new data of a component after AppDataUpdate proposals, for a send group's rules.

    The roster digest, the external receivers and the root key change, each once a commit and as a whole; the rules look
    at a new root key themselves (P-6). Raises DecodeError, Invalid.
    """
    if component_id == component_ids.DMLS_UNIVERSE:
        raise Invalid(Rule.UNIVERSE_IMMUTABLE)
    if len(updates) != 1:
        raise Invalid(Rule.COMPONENT_UPDATE)
    if component_id == EXTERNAL_RECEIVERS:
        return update_external_receivers(updates)
    if component_id == ROOT_PRIVATE_SIGNATURE_KEY and current is not None:
        return updates[0]
    if component_id != component_ids.ROSTER_DIGEST or current is None:
        raise Invalid(Rule.COMPONENT_UPDATE)
    _check_digest(updates[0], Rule.COMPONENT_UPDATE)
    return updates[0]


def _check_digest(digest: bytes, rule: Rule) -> None:
    if len(digest) != ROSTER_DIGEST_LENGTH:
        raise Invalid(rule, f"{len(digest)} bytes")
