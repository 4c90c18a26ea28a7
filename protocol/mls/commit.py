"""Commits: the proposals that make the next epoch, and a path (RFC 9420 §12.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from starling.protocol.errors import DecodeError
from starling.protocol.mls.proposal import Proposal, ProposalField
from starling.protocol.mls.update_path import UpdatePath
from starling.protocol.wire import Reader, Remembered, Struct, Vector, When, opaque, uint8

BY_VALUE = 1
BY_REFERENCE = 2


@dataclass(frozen=True, slots=True)
class ProposalOrRef(Struct):
    """A proposal (type 1), or the ProposalRef (type 2, Nh bytes) of one that was sent before."""

    type: uint8
    proposal: Annotated[Proposal | None, When("type", BY_VALUE, of=ProposalField)]
    reference: Annotated[bytes | None, When("type", BY_REFERENCE, of=opaque)]

    @classmethod
    def by_value(cls, proposal: Proposal) -> ProposalOrRef:
        return cls(BY_VALUE, proposal, None)

    @classmethod
    def by_reference(cls, reference: bytes) -> ProposalOrRef:
        return cls(BY_REFERENCE, None, reference)

    @classmethod
    def read(cls, reader: Reader) -> ProposalOrRef:
        entry = super(ProposalOrRef, cls).read(reader)
        if entry.type not in (BY_VALUE, BY_REFERENCE):
            raise DecodeError("an unknown ProposalOrRef type")
        return entry


@dataclass(frozen=True, slots=True)
class Commit(Remembered):
    """`path` is None for a commit that changes no keys of its committer."""

    proposals: Vector[ProposalOrRef]
    path: UpdatePath | None
