"""Targeted messages in a group: from one member to another, which nobody else can read
(draft-ietf-mls-targeted-messages-00 and -01).

The secrets that they need are derived at the entry of every epoch, by groups whose rules have `TARGETED_SECRETS` among
their derivations (`TargetedRules`). `seal_targeted_message` and `open_targeted_message` leave to the caller how the
message travels; `protect_targeted` and `unprotect_targeted` are the wire format as such: negotiated (C-2), with the
revision that the GroupContext names, and each message taken once.

Beyond the text: nobody sends to itself, or takes a message that claims to be its own (T-11). Neither
`authenticated_data` is SafeAAD here, nor the application data ApplicationFraming (T-8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.crypto.hpke import Random
from starling.protocol.errors import Invalid, ProtocolError, UsageError, VerificationFailed
from starling.protocol.extensions.rules import Rule as ExtensionRule
from starling.protocol.extensions.targeted_protection import (
    SIGNATURE_LABEL,
    OpenedSender,
    TargetedPlace,
    TargetedProfile,
    TargetedSecrets,
    open_content,
    open_sender,
    seal_targeted,
)
from starling.protocol.mls.components import read_dictionary
from starling.protocol.mls.derivation import Derivation
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.framing import Sender
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import check_wire_format
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.wire_format import ContentType, WireFormat

TARGETED_PROFILE = 0x8D0B
"""The component of the GroupContext that names the revision, one byte: absent or 0 for 00, 1 for 01 (T-2)."""

NONCE_SIZE = 16
"""Random bytes in `authenticated_data` where the caller has nothing to say there (§7)."""

_PSK = "targeted_message_psk"
_SENDER_AUTH_DATA = "targeted_sender_auth_data"
_PROFILES = {
    None: TargetedProfile.DRAFT_00,
    b"\x00": TargetedProfile.DRAFT_00,
    b"\x01": TargetedProfile.DRAFT_01,
}


def _derive(
    suite: CipherSuite, context: GroupContext, epoch_secret: bytes, exporter_secret: bytes
) -> Mapping[str, bytes]:
    secrets = TargetedSecrets.of(suite, exporter_secret)
    return {_PSK: secrets.psk, _SENDER_AUTH_DATA: secrets.sender_auth_data}


TARGETED_SECRETS = Derivation(frozenset({_PSK, _SENDER_AUTH_DATA}), _derive, outlives_head=True)
"""The secrets of an epoch; `EpochSecrets.forget` its names when all messages of the epoch are here (T-10)."""


class TargetedRules(GroupRules):
    """RFC 9420 with targeted messages."""

    derivations = (TARGETED_SECRETS,)


@dataclass(frozen=True, slots=True)
class TargetedApplicationMessage:
    """What a verified targeted message says."""

    sender_leaf_index: int
    application_data: bytes = field(repr=False)
    authenticated_data: bytes


def profile_of(extensions: Iterable[Extension]) -> TargetedProfile:
    """The revision that GroupContext extensions name. Raises `Invalid(TARGETED_PROFILE)`."""
    dictionary = read_dictionary(tuple(extensions))
    named = dictionary.get(TARGETED_PROFILE) if dictionary is not None else None
    profile = _PROFILES.get(named)
    if profile is None:
        raise Invalid(ExtensionRule.TARGETED_PROFILE)
    return profile


def profile_component(profile: TargetedProfile) -> Mapping[int, bytes]:
    """The component of a GroupContext that names a revision, as `required_extensions` takes it."""
    return {TARGETED_PROFILE: int(profile.value).to_bytes(1)}


# however it travels


def seal_targeted_message(
    group: Group,
    profile: TargetedProfile,
    recipient_leaf_index: int,
    application_data: bytes,
    *,
    authenticated_data: bytes = b"",
    padding: int = 0,
    random: Random,
) -> TargetedMessage:
    """A message to the member at a leaf of the group's epoch. `padding` is a number of zero bytes.

    `UsageError`: `recipient` for a blank leaf and our own, `targeted_secrets` where the epoch has none, or as for all
    that is sent.
    """
    leaf = group.tree.leaf(recipient_leaf_index)
    if leaf is None or recipient_leaf_index == group.own_leaf_index:
        raise UsageError("a targeted message goes to another member of the group", "recipient")
    place = TargetedPlace(
        group.cipher_suite,
        profile,
        group.context.encode(),
        group.group_id,
        group.epoch,
        recipient_leaf_index,
        authenticated_data,
    )
    return seal_targeted(
        place,
        _secrets(group),
        sender_leaf_index=group.own_leaf_index,
        sign=group.sign_with_label,
        recipient_public_key=leaf.encryption_key,
        application_data=application_data,
        padding=padding,
        random=random,
    )


def open_targeted_message(
    group: Group, profile: TargetedProfile, message: TargetedMessage
) -> TargetedApplicationMessage:
    """Verify and open a message to us (§6, T-6); whether it came before is the caller's to know.

    Raises `Invalid`, `VerificationFailed`, `DecodeError`, or `UsageError` (`targeted_secrets`, `superseded`) where the
    epoch does not hold what it takes any more.
    """
    return _open(group, profile, message)[0]


def _open(
    group: Group, profile: TargetedProfile, message: TargetedMessage
) -> tuple[TargetedApplicationMessage, OpenedSender]:
    place, sender = _sender_of(group, profile, message)
    index = sender.auth.sender_leaf_index
    if index == group.own_leaf_index:
        raise Invalid(Rule.OWN_MESSAGE)
    leaf = group.tree.leaf(index)
    if leaf is None:
        raise Invalid(Rule.SENDER_BLANK)
    group.rules.check_sender(Sender.member(index), ContentType.APPLICATION)
    group.cipher_suite.verify_with_label(
        leaf.signature_key, SIGNATURE_LABEL, sender.tbs, sender.auth.signature
    )
    content = open_content(place, _secrets(group), sender, message.ciphertext, group.open_psk)
    return TargetedApplicationMessage(index, content, message.authenticated_data), sender


def _sender_of(
    group: Group, profile: TargetedProfile, message: TargetedMessage
) -> tuple[TargetedPlace, OpenedSender]:
    if message.group_id != group.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    if message.epoch != group.epoch:
        raise Invalid(Rule.WRONG_EPOCH)
    if message.recipient_leaf_index != group.own_leaf_index:
        raise Invalid(ExtensionRule.TARGETED_RECIPIENT)
    if group.reinit is not None:
        raise Invalid(Rule.REINIT_LAST)
    place = TargetedPlace(
        group.cipher_suite,
        profile,
        group.context.encode(),
        message.group_id,
        message.epoch,
        message.recipient_leaf_index,
        message.authenticated_data,
    )
    return place, open_sender(place, _secrets(group), message)


def holds_targeted_secrets(group: Group) -> bool:
    """Whether targeted messages of the group's epoch can be opened."""
    return group.secrets.holds(_PSK)


def _secrets(group: Group) -> TargetedSecrets:
    if not holds_targeted_secrets(group):
        raise UsageError("this epoch does not hold the secrets of targeted messages", "targeted_secrets")
    return TargetedSecrets(group.secrets.get(_PSK), group.secrets.get(_SENDER_AUTH_DATA))


# the wire format as such


def protect_targeted(
    group: Group,
    recipient_leaf_index: int,
    application_data: bytes,
    *,
    authenticated_data: bytes | None = None,
    padding: int = 0,
    random: Random,
) -> bytes:
    """An encoded MLSMessage that only the member at that leaf can read (§3), by the revision of the GroupContext.

    `authenticated_data` travels in clear; without any it is 16 random bytes. Raises as `seal_targeted_message`, and
    `UsageError` (`not_negotiated`) where required_wire_formats does not list the format.
    """
    try:
        check_wire_format(group.context.extensions, WireFormat.MLS_TARGETED_MESSAGE)
        profile = profile_of(group.context.extensions)
    except Invalid as invalid:
        raise UsageError(f"the group has no targeted messages: {invalid}", "not_negotiated") from None
    message = seal_targeted_message(
        group,
        profile,
        recipient_leaf_index,
        application_data,
        authenticated_data=random(NONCE_SIZE) if authenticated_data is None else authenticated_data,
        padding=padding,
        random=random,
    )
    return MLSMessage.of(message).encode()


def unprotect_targeted(group: Group, message: MLSMessage) -> TargetedApplicationMessage:
    """Open a TargetedMessage, once: the ratchets are to be saved with what it says (T-8).

    Raises as `open_targeted_message`, `Invalid(MESSAGE_REPEATED)` for one that was opened, and `Invalid(WIRE_FORMAT)`
    where the group does not have them.
    """
    body = message.body
    if not isinstance(body, TargetedMessage):
        raise Invalid(Rule.CONTENT_TYPE)
    check_wire_format(group.context.extensions, WireFormat.MLS_TARGETED_MESSAGE)
    opened, sender = _open(group, profile_of(group.context.extensions), body)
    # All but the signature: somebody could make a second valid one of an ECDSA signature.
    digest = group.cipher_suite.hash(sender.tbs + body.ciphertext)
    group.replay_cache.check(opened.sender_leaf_index, digest)
    group.replay_cache.add(opened.sender_leaf_index, digest)
    return opened


def epoch_of_targeted(epochs: Iterable[Group], message: TargetedMessage) -> Group:
    """Which of several epochs a message was sent in, where the number does not tell: on forks of a group (T-9).

    Raises `Invalid(WRONG_EPOCH)` where none has its number, or `VerificationFailed` where it is of none of them.
    """
    place = (message.group_id, message.epoch)
    candidates = [group for group in epochs if (group.group_id, group.epoch) == place]
    if not candidates:
        raise Invalid(Rule.WRONG_EPOCH)
    for group in filter(holds_targeted_secrets, candidates):
        try:
            _sender_of(group, profile_of(group.context.extensions), message)
        except ProtocolError:
            continue
        return group
    raise VerificationFailed
