"""What an application adds to the rules of RFC 9420: one hook object a group (§5.3.1, §12.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from starling.protocol.errors import Invalid
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.derivation import Derivation
from starling.protocol.mls.framing import Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.handshake_format import HandshakeFormat
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.leaf_verification import LeafVerification
from starling.protocol.mls.proposal import CustomProposal, Proposal
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule


class GroupRules:
    """Plain RFC 9420; a subclass overrides what it restricts or adds.

    `retain_sender`: the only leaf that ever sends. Its ratchets alone are kept, its handshake ratchet stays
    readable from generation 0 on, and no private keys of parent nodes are stored (K-15, K-23).
    `leaf_verification`: how the signatures of a tree's leaves are verified when we join.
    `handshake_formats`: further wire formats of members' handshakes, by code point; the GroupContext requires them
    too (C-2).
    `custom_proposals`: private proposal types by code point; each is also known to `PROPOSALS`.
    `derivations`: what extensions derive of every epoch; no two have a name in common.
    """

    retain_sender: int | None = None
    leaf_verification: LeafVerification = LeafVerification()
    handshake_formats: Mapping[int, HandshakeFormat] = MappingProxyType({})
    custom_proposals: Mapping[int, type[CustomProposal]] = MappingProxyType({})
    derivations: Sequence[Derivation] = ()

    def check_sender(self, sender: Sender, content_type: int) -> None:
        """Raise `Invalid` where this sender may not send this content, before anything is verified."""

    def check_wire_format(self, group_context: GroupContext, wire_format: int) -> None:
        """Raise `Invalid` where members' handshakes do not travel in this format in this epoch, though they could."""

    def check_proposal(
        self, group_context: GroupContext, tree: RatchetTree, sender: Sender, proposal: Proposal
    ) -> None:
        """Raise `Invalid` where who sent a committed proposal may not propose it (§12.2): a member, an external
        sender, a new member that asks to be added, or one that joins by this external commit."""

    def check_proposals(
        self,
        group_context: GroupContext,
        tree: RatchetTree,
        committer_leaf_index: int | None,
        proposals: Sequence[Proposal],
        has_path: bool,
    ) -> None:
        """Raise `Invalid` where the application refuses a list; context and tree are those before it.
        `committer_leaf_index` is None for an external commit."""

    def app_data_update(self, component_id: int, current: bytes | None, updates: Sequence[bytes]) -> bytes:
        """The new data of a component (extensions draft §4.7); raises `Invalid` for an unknown one and for a
        bad update."""
        raise Invalid(Rule.COMPONENT_UNKNOWN, f"{component_id:#06x}")

    def app_ephemeral(self, component_id: int, data: bytes) -> None:
        """Take the data of an AppEphemeral (extensions draft §4.8), in the order of the commit, which may
        still prove invalid; raise `Invalid` for an unknown component and for bad data."""
        raise Invalid(Rule.COMPONENT_UNKNOWN, f"{component_id:#06x}")

    def validate_leaf(self, leaf_node: LeafNode, group_context: GroupContext) -> None:
        """Raise `Invalid` where a leaf that enters the tree (or stands in it when we join) is not acceptable;
        without more its credential is validated."""
        self.validate_credential(leaf_node.credential, leaf_node.signature_key, group_context)

    def validate_credential(
        self, credential: Credential, signature_key: bytes, group_context: GroupContext
    ) -> None:
        """The Authentication Service (§5.3.1): raise `Invalid(CREDENTIAL)` unless the credential is that of who
        has the signature key, and is acceptable in the group. Asked of every leaf that enters the tree, or
        stands in it when we join, and of external senders. Here all are taken as they are.

        Of an X.509 credential it is known by then that its first certificate is that of the signature key;
        `x509.check_certificate_chain` checks the rest."""

    def same_member(self, old: LeafNode, new: LeafNode) -> bool:
        """Whether the credentials present the same member: asked where a leaf takes the place of another
        (§5.3.1, §12.2), and of the members of a group that follows another (§11.2, §11.3)."""
        return old.credential == new.credential


RFC_RULES = GroupRules()
"""RFC 9420 without additions."""
