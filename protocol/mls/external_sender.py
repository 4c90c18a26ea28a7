"""Senders outside the group that may propose (RFC 9420 §12.1.8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starling.protocol.errors import Invalid
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import EXTERNAL_SENDERS, Extension, find_extension
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppEphemeral,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
)
from starling.protocol.mls.rules import Rule
from starling.protocol.wire import Struct, Vector, opaque

_ALLOWED = (Add, Remove, PreSharedKey, ReInit, GroupContextExtensions, AppDataUpdate, AppEphemeral)


@dataclass(frozen=True, slots=True)
class ExternalSender(Struct):
    signature_key: opaque
    credential: Credential


@dataclass(frozen=True, slots=True)
class ExternalSenders(Struct):
    """The data of the external_senders extension (§12.1.8.1)."""

    external_senders: Vector[ExternalSender]


def check_external_senders(context: GroupContext, rules: GroupRules) -> None:
    """Validate the credentials of the senders that a GroupContext names (§5.3.1). Raises `DecodeError` or
    `Invalid`."""
    data = find_extension(context.extensions, EXTERNAL_SENDERS)
    if data is not None:
        for sender in ExternalSenders.decode(data).external_senders:
            sender.credential.check(sender.signature_key)
            rules.validate_credential(sender.credential, sender.signature_key, context)


def external_signature_key(
    extensions: Iterable[Extension], sender_index: int, proposal: Proposal | None
) -> bytes:
    """The signature key of an external sender. Raises `Invalid` where there is no such sender, or where it
    may not send this."""
    data = find_extension(extensions, EXTERNAL_SENDERS)
    senders = ExternalSenders.decode(data).external_senders if data is not None else ()
    if sender_index >= len(senders):
        raise Invalid(Rule.EXTERNAL_SENDER)
    if not isinstance(proposal, _ALLOWED):
        raise Invalid(Rule.PROPOSAL_EXTERNAL_TYPE)
    return senders[sender_index].signature_key


def new_member_signature_key(proposal: Proposal | None) -> bytes:
    """The signature key of a client that proposes its own Add. Raises `Invalid` for anything else."""
    if not isinstance(proposal, Add):
        raise Invalid(Rule.PROPOSAL_EXTERNAL_TYPE)
    return proposal.key_package.leaf_node.signature_key
