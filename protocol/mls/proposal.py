"""Proposals: the changes that a commit can make (RFC 9420 §12.1; extensions draft §4.7, §4.8, §6.3).

The wire gives no length of a proposal, so one of an unknown type cannot be skipped: it is `Unsupported`.
`PROPOSALS.register` makes a private type known to the codec; `GroupRules.custom_proposals` lets a group
use it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from starling.protocol.errors import DecodeError
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.wire import Reader, Select, Struct, Vector, When, opaque, uint8, uint16, uint32

if TYPE_CHECKING:
    from starling.protocol.mls.ratchet_tree import RatchetTree


class Proposal(Struct):
    """The base of all proposals: `requires_path` is the registry's column "Path Required" (§17.4)."""

    __slots__ = ()
    proposal_type: ClassVar[int]
    requires_path: ClassVar[bool] = False


class CustomProposal(Proposal, ABC):
    """The base of private proposals that change the tree. They are applied where Updates are; the leaves that
    they put in place are not new ones: a path of the same commit is sealed to them."""

    __slots__ = ()

    @abstractmethod
    def apply(self, tree: RatchetTree) -> RatchetTree:
        """The changed tree; raises `Invalid`. The leaves that changed are validated afterwards."""


@dataclass(frozen=True, slots=True)
class Add(Proposal):
    """Add the client of a key package (§12.1.1)."""

    proposal_type: ClassVar[int] = 1
    key_package: KeyPackage


@dataclass(frozen=True, slots=True)
class Update(Proposal):
    """Replace the sender's leaf (§12.1.2)."""

    proposal_type: ClassVar[int] = 2
    requires_path: ClassVar[bool] = True
    leaf_node: LeafNode


@dataclass(frozen=True, slots=True)
class Remove(Proposal):
    """Remove a member by its leaf index (§12.1.3)."""

    proposal_type: ClassVar[int] = 3
    requires_path: ClassVar[bool] = True
    removed: uint32


@dataclass(frozen=True, slots=True)
class PreSharedKey(Proposal):
    """Mix a pre-shared key into the key schedule (§12.1.4)."""

    proposal_type: ClassVar[int] = 4
    psk: PreSharedKeyID


@dataclass(frozen=True, slots=True)
class ReInit(Proposal):
    """Go on in a new group with other parameters (§12.1.5)."""

    proposal_type: ClassVar[int] = 5
    group_id: opaque
    version: uint16
    cipher_suite: uint16
    extensions: Vector[Extension]


@dataclass(frozen=True, slots=True)
class ExternalInit(Proposal):
    """The KEM output of a member that adds itself (§12.1.6)."""

    proposal_type: ClassVar[int] = 6
    requires_path: ClassVar[bool] = True
    kem_output: opaque


@dataclass(frozen=True, slots=True)
class GroupContextExtensions(Proposal):
    """Replace the extensions of the GroupContext (§12.1.7)."""

    proposal_type: ClassVar[int] = 7
    requires_path: ClassVar[bool] = True
    extensions: Vector[Extension]


class AppDataUpdateOperation:
    """What an AppDataUpdate does with the component's data."""

    UPDATE = 1
    REMOVE = 2


@dataclass(frozen=True, slots=True)
class AppDataUpdate(Proposal):
    """Update (op 1) or remove (op 2) a component's data in the GroupContext (extensions draft §4.7). The data may be a
    secret of the group (P-5), so it is not printed."""

    proposal_type: ClassVar[int] = 8
    component_id: uint16
    op: uint8
    update: Annotated[bytes | None, When("op", AppDataUpdateOperation.UPDATE, of=opaque)] = field(
        default=None, repr=False
    )

    @classmethod
    def read(cls, reader: Reader) -> AppDataUpdate:
        proposal = super(AppDataUpdate, cls).read(reader)
        if proposal.op not in (AppDataUpdateOperation.UPDATE, AppDataUpdateOperation.REMOVE):
            raise DecodeError("an unknown AppDataUpdate operation")
        return proposal


@dataclass(frozen=True, slots=True)
class AppEphemeral(Proposal):
    """Data of a component that goes with a commit and changes nothing (extensions draft §4.8)."""

    proposal_type: ClassVar[int] = 9
    component_id: uint16
    data: opaque


@dataclass(frozen=True, slots=True)
class SelfRemove(Proposal):
    """Remove the member that sends it (extensions draft §6.3): in a PublicMessage, committed by reference."""

    proposal_type: ClassVar[int] = 10
    requires_path: ClassVar[bool] = True


PROPOSALS = Select(
    uint16,
    {
        proposal.proposal_type: proposal
        for proposal in (
            Add, Update, Remove, PreSharedKey, ReInit, ExternalInit, GroupContextExtensions,
            AppDataUpdate, AppEphemeral, SelfRemove,
        )
    },
    tag="proposal_type",
)  # fmt: skip
"""The codec of a proposal with its type: `PROPOSALS.encode(proposal)`, `PROPOSALS.decode(data)`."""

ProposalField = Annotated[Proposal, PROPOSALS]
"""The field type of a proposal inside another structure."""
