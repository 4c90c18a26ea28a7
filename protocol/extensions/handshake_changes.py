"""What a proposal or commit changes, as far as it says so itself: for who is no member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starling.protocol.mls.framing import FramedContent
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.proposal import Add, Proposal, Remove, Update


@dataclass(frozen=True, slots=True)
class HandshakeChanges:
    """`proposals` are all that the content holds by value, of which `adds` and `removes` (leaf indexes) are some;
    `references` are the ProposalRefs of a commit. `leaf_nodes` are new leaves of members by leaf index: that of a
    commit's path, or of an Update. A proposal alone changes nothing yet."""

    proposals: tuple[Proposal, ...]
    references: tuple[bytes, ...]
    adds: tuple[KeyPackage, ...]
    removes: tuple[int, ...]
    leaf_nodes: Mapping[int, LeafNode]

    @classmethod
    def of(cls, content: FramedContent) -> HandshakeChanges:
        leaf_index = content.sender.leaf_index
        leaf_nodes: dict[int, LeafNode] = {}
        references: tuple[bytes, ...] = ()
        proposals: tuple[Proposal, ...] = ()
        if content.commit is not None:
            entries = content.commit.proposals
            proposals = tuple(entry.proposal for entry in entries if entry.proposal is not None)
            references = tuple(entry.reference for entry in entries if entry.reference is not None)
            if content.commit.path is not None and leaf_index is not None:
                leaf_nodes[leaf_index] = content.commit.path.leaf_node
        elif content.proposal is not None:
            proposals = (content.proposal,)
            if isinstance(content.proposal, Update) and leaf_index is not None:
                leaf_nodes[leaf_index] = content.proposal.leaf_node
        return cls(
            proposals,
            references,
            tuple(proposal.key_package for proposal in proposals if isinstance(proposal, Add)),
            tuple(proposal.removed for proposal in proposals if isinstance(proposal, Remove)),
            MappingProxyType(leaf_nodes),
        )
