"""Messaging Layer Security (RFC 9420) and the MLS extensions draft, as a library.

What an application needs is named here; the modules hold the rest, one concept each. `Client` makes key packages and
groups, `Group` is one epoch as a member sees it, `MLSMessage` is what travels. Cipher suites come from
`starling.protocol.crypto.cipher_suite`, errors from `starling.protocol.errors`.
"""

from starling.protocol.mls.capabilities import Capabilities
from starling.protocol.mls.client import Client
from starling.protocol.mls.components import AppDataDictionary
from starling.protocol.mls.content_media_types import ApplicationFraming, MediaType
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import Extension, RequiredCapabilities
from starling.protocol.mls.external_proposal import propose_as_external_sender, propose_own_add
from starling.protocol.mls.external_sender import ExternalSender, ExternalSenders
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.grease import grease_capabilities, grease_extensions, grease_leaf
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_changes import CommitResult, StagedCommit
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.leaf_node import LeafNode, Lifetime
from starling.protocol.mls.leaf_verification import LeafVerification
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import required_extensions, supported_extensions
from starling.protocol.mls.past_epochs import PastEpoch, PastEpochs
from starling.protocol.mls.pending_proposals import PendingProposals
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppEphemeral,
    CustomProposal,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from starling.protocol.mls.protection import ApplicationMessage
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import SafeAAD
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat

__all__ = [
    "Add",
    "AppDataDictionary",
    "AppDataUpdate",
    "AppEphemeral",
    "ApplicationFraming",
    "ApplicationMessage",
    "AuthenticatedContent",
    "Capabilities",
    "Client",
    "CommitResult",
    "ContentType",
    "Credential",
    "CustomProposal",
    "Extension",
    "ExternalInit",
    "ExternalSender",
    "ExternalSenders",
    "Group",
    "GroupContext",
    "GroupContextExtensions",
    "GroupInfo",
    "GroupRules",
    "KeyPackage",
    "KeyPackageBundle",
    "KeySchedule",
    "LeafNode",
    "LeafVerification",
    "Lifetime",
    "MLSMessage",
    "MediaType",
    "PastEpoch",
    "PastEpochs",
    "PendingProposals",
    "PreSharedKey",
    "PreSharedKeyID",
    "Proposal",
    "RatchetTree",
    "ReInit",
    "Remove",
    "RequiredCapabilities",
    "Rule",
    "SafeAAD",
    "SelfRemove",
    "SenderType",
    "StagedCommit",
    "Update",
    "Welcome",
    "WireFormat",
    "grease_capabilities",
    "grease_extensions",
    "grease_leaf",
    "propose_as_external_sender",
    "propose_own_add",
    "required_extensions",
    "supported_extensions",
]
