"""What makes an MLS group a send group: the hooks that the group asks (PROTOCOL X-2, X-9, X-10, X-17, P-6)."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from starling.protocol.distributed.commit_content import CommitContent, read_commit_content
from starling.protocol.distributed.leaf_replace import LeafReplace, check_leaf_replace
from starling.protocol.distributed.member import verify_member
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.universe_component import update_component
from starling.protocol.distributed.wire_formats import handshake_wire_format
from starling.protocol.errors import Invalid
from starling.protocol.extensions.private_external_info import EXTERNAL_ENCRYPTION
from starling.protocol.extensions.private_external_rules import UsedRootKeys, check_root_key
from starling.protocol.extensions.semi_private import SEMI_PRIVATE
from starling.protocol.extensions.targeted_messages import TARGETED_SECRETS
from starling.protocol.mls.framing import Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.leaf_verification import LeafVerification
from starling.protocol.mls.proposal import Proposal
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat

OWNER_LEAF = 0

REMEMBERED_LEAVES = 1024
"""A member stands in the send groups of all others with a few leaves at a time: each is verified and held once."""


class SendGroupRules(GroupRules):
    """The rules of a send group."""

    retain_sender: int | None = OWNER_LEAF
    leaf_verification = LeafVerification(remembered=REMEMBERED_LEAVES)
    handshake_formats = MappingProxyType({WireFormat.MLS_SEMIPRIVATE_MESSAGE: SEMI_PRIVATE})
    custom_proposals = MappingProxyType({LeafReplace.proposal_type: LeafReplace})
    derivations = (EXTERNAL_ENCRYPTION, TARGETED_SECRETS)

    def __init__(self, universe_id: bytes, *, is_own: bool = False) -> None:
        """Those of one group; `is_own` where this node is the owner."""
        self.universe_id = universe_id
        self.is_own = is_own
        self.used_root_keys = UsedRootKeys()

    def check_sender(self, sender: Sender, content_type: int) -> None:
        """Leaf 0 speaks alone. Its owner also hears who asks to be added, in a private external message (X-9)."""
        asks = sender.sender_type == SenderType.NEW_MEMBER_PROPOSAL and content_type == ContentType.PROPOSAL
        if asks and self.is_own:
            return
        if sender.sender_type != SenderType.MEMBER or sender.leaf_index != OWNER_LEAF:
            raise Invalid(Rule.SENDER_NOT_OWNER)

    def check_wire_format(self, group_context: GroupContext, wire_format: int) -> None:
        if wire_format != handshake_wire_format(group_context.extensions):
            raise Invalid(Rule.HANDSHAKE_FORMAT)

    def check_proposals(
        self,
        group_context: GroupContext,
        tree: RatchetTree,
        committer_leaf_index: int | None,
        proposals: Sequence[Proposal],
        has_path: bool,
    ) -> None:
        if committer_leaf_index != OWNER_LEAF:
            raise Invalid(Rule.SENDER_NOT_OWNER)
        content = read_commit_content(proposals, has_path=has_path)
        check_root_key(group_context, proposals, self.used_root_keys)
        self.check_replaces(tree, content)

    def check_replaces(self, tree: RatchetTree, content: CommitContent) -> None:
        for replace in content.replaces:
            old = tree.leaf(replace.leaf_index)
            if old is None:
                raise Invalid(Rule.REPLACE_MEMBER)
            check_leaf_replace(replace, old, universe_id=self.universe_id, removed=content.removes)

    def validate_leaf(self, leaf_node: LeafNode, group_context: GroupContext) -> None:
        verify_member(leaf_node, universe_id=self.universe_id)

    def app_ephemeral(self, component_id: int, data: bytes) -> None:
        """Read with the whole commit, in `check_proposals`."""

    def app_data_update(self, component_id: int, current: bytes | None, updates: Sequence[bytes]) -> bytes:
        return update_component(component_id, current, updates)
