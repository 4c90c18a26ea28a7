"""A member of a fuzzed group: its client, its state of the group, and what it keeps of the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tests.fuzz.findings import REFUSALS
from tests.mls.group_members import COMPONENT, Client, dictionary

from starling.protocol.mls.components import APP_COMPONENTS, CONTENT_MEDIA_TYPES, ComponentsList
from starling.protocol.mls.content_media_types import MediaType, MediaTypeList
from starling.protocol.mls.extension import SUPPORTED_WIRE_FORMATS, Extension
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group
from starling.protocol.mls.leaf_node import KEY_PACKAGE, LeafNode
from starling.protocol.mls.negotiation import WireFormats
from starling.protocol.mls.past_epochs import PastEpochs
from starling.protocol.mls.psk import PreSharedKeyID, PSKType
from starling.protocol.mls.wire_format import WireFormat


class NegotiatingClient(Client):
    """A client whose leaves say that it understands what the groups here ask for."""

    def leaf(self, source: int = KEY_PACKAGE) -> tuple[LeafNode, bytes]:
        leaf, private_key = super().leaf(source)
        components = {
            APP_COMPONENTS: ComponentsList((COMPONENT,)).encode(),
            CONTENT_MEDIA_TYPES: MediaTypeList((MediaType(b"text/plain"),)).encode(),
        }
        formats = Extension(
            SUPPORTED_WIRE_FORMATS, WireFormats((WireFormat.MLS_SEMIPRIVATE_MESSAGE,)).encode()
        )
        return replace(leaf, extensions=(dictionary(components), formats)), private_key


@dataclass
class Member:
    """A client in the group, with what it keeps of the epoch."""

    client: Client
    group: Group
    proposals: dict[bytes, AuthenticatedContent] = field(default_factory=dict)
    update_keys: dict[bytes, bytes] = field(default_factory=dict)
    past: PastEpochs = field(default_factory=PastEpochs)

    def psk(self, psk_id: PreSharedKeyID) -> bytes | None:
        """External PSKs are known by a short id to all, resumption PSKs as they were kept."""
        if psk_id.psktype == PSKType.RESUMPTION:
            past = self.past.find(psk_id.psk_group_id or b"", psk_id.psk_epoch or 0)
            return bytes(past.resumption_psk) if past is not None else None
        return b"psk " + psk_id.psk_id if psk_id.psk_id is not None and len(psk_id.psk_id) < 40 else None

    def enter(self, group: Group) -> None:
        """Go on in the next epoch, all its ratchets opened, so that opening one is no change later."""
        self.past.add(group.past_epoch())
        self.group = group
        self.proposals.clear()
        for leaf_index in range(group.tree.leaf_count):
            try:
                group.application_progress(leaf_index)
            except REFUSALS:
                continue

    def clone(self) -> Group:
        """The group from its store: trying something on it leaves ours as it is."""
        group = self.group
        return Group.load(group.save(), group.save_ratchets(), rules=group._epoch.rules)

    def stage_options(self) -> dict[str, Any]:
        return {"psks": self.psk, "leaf_private_key": self.update_keys.get, "proposals": self.proposals}
