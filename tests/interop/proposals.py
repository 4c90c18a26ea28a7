"""Proposals as requests of the driver describe them: an object with a `type`."""

from __future__ import annotations

import os

from tests.interop.arguments import Arguments
from tests.interop.member import Member

from starling.protocol.errors import UsageError
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.proposal import (
    Add,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    SelfRemove,
)
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage
from starling.protocol.mls.wire_format import MLS10

_UINT16 = 2**16 - 1
_UINT32 = 2**32 - 1


def read_proposal(member: Member, arguments: Arguments) -> Proposal:
    """The proposal that a request describes, to be made by this member now."""
    kind = arguments.text("type")
    nonce_length = member.group.cipher_suite.hash_length
    match kind:
        case "add":
            return Add(arguments.message("key_package", KeyPackage))
        case "update":
            return member.update()
        case "remove":
            return Remove(arguments.integer("leaf_index", most=_UINT32))
        case "self_remove":
            return SelfRemove()
        case "psk":
            return PreSharedKey(PreSharedKeyID.external(arguments.binary("psk_id"), os.urandom(nonce_length)))
        case "resumption_psk":
            return PreSharedKey(
                PreSharedKeyID.resumption(
                    ResumptionPSKUsage.APPLICATION,
                    arguments.binary("psk_group_id", member.group.group_id),
                    arguments.integer("psk_epoch", member.group.epoch),
                    os.urandom(nonce_length),
                )
            )
        case "group_context_extensions":
            name = "extensions" if arguments.has("extensions") else "group_extensions"
            return GroupContextExtensions(arguments.extensions(name))
        case "reinit":
            return ReInit(
                arguments.binary("group_id", os.urandom(16)),
                arguments.integer("version", MLS10, most=_UINT16),
                arguments.integer("suite", member.group.cipher_suite.id, most=_UINT16),
                arguments.extensions("extensions"),
            )
    raise UsageError(f"no such proposal type: {kind}", "bad_argument")
