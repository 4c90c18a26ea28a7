"""Processing what was sent on any fork of a group (K-10, K-13, K-19, K-20; draft-kohbrok-mls-dmls-02 §6)."""

from __future__ import annotations

from starling.protocol.decentralized.dmls_message import SHARED_GROUP_FORMATS, read_dmls_message
from starling.protocol.decentralized.fork_choice import MAX_EVICTING, rank
from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    ForkMessage,
    ForkProposal,
    ForkTargetedMessage,
    Ignored,
    IgnoredReason,
    Received,
    UnknownEpoch,
)
from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.held_epochs import HeldEpochs, dmls_epoch_of
from starling.protocol.decentralized.live_epoch import LiveEpoch
from starling.protocol.errors import Invalid, ProtocolError, UsageError, VerificationFailed
from starling.protocol.extensions.private_external import open_private_external
from starling.protocol.extensions.targeted_messages import epoch_of_targeted, unprotect_targeted
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import StagedCommit
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.proposal import PreSharedKey, Proposal, Update
from starling.protocol.mls.psk import FindPsk, PSKType
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.targeted_message import TargetedMessage
from starling.protocol.mls.wire_format import ContentType, SenderType

_KNOWN = (Rule.GENERATION_CONSUMED, Rule.OWN_MESSAGE, Rule.MESSAGE_REPEATED)


def receive(epochs: HeldEpochs, data: bytes, psks: FindPsk, now: int) -> Received:
    """What `ForkedGroup.receive` says."""
    message = read_dmls_message(data, SHARED_GROUP_FORMATS)
    if message.group_id != epochs.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    name = message.dmls_epoch
    live = epochs.live.get(name)
    if live is None:
        if epochs.is_known(name):
            return Ignored(IgnoredReason.DELETED)
        raise UnknownEpoch(name)
    body = message.message.body
    digest = epochs.suite.hash(data)
    try:
        if isinstance(body, TargetedMessage):
            return _targeted(epochs, name, live, message.message)
        if isinstance(body, PrivateMessage) and body.content_type == ContentType.APPLICATION:
            return _application(epochs, name, live, message.message)
        content = live.opened(digest)
        if content is None and digest in live.from_outside:
            return Ignored(IgnoredReason.KNOWN)
        content = content or _open_handshake(live, message.message, digest)
    except Invalid as invalid:
        if invalid.rule in _KNOWN:
            return Ignored(IgnoredReason.KNOWN)
        raise
    # Its generation is consumed now: whatever waits is tried again with what was opened.
    live.keep(digest, content)
    try:
        received = _handshake(epochs, name, live, content, psks, now)
    except ProtocolError:
        live.done(digest)
        raise
    live.done(digest)
    return received


def find_epoch(epochs: HeldEpochs, message: MLSMessage) -> bytes:
    """The head that a private external message without the name of an epoch was sealed to (P-11)."""
    body = message.body
    if not isinstance(body, PrivateExternalMessage):
        raise Invalid(Rule.CONTENT_TYPE)
    if body.group_id != epochs.group_id:
        raise Invalid(Rule.WRONG_GROUP)
    heads = [epoch for epoch in epochs.tree if epoch.held and epoch.superseded_at is None]
    names = [epoch.dmls_epoch for epoch in heads if epoch.number == body.epoch]
    if not names:
        raise Invalid(Rule.WRONG_EPOCH)
    for name in names:
        try:
            open_private_external(epochs.live[name].group, message)
        except VerificationFailed:
            continue
        return name
    raise VerificationFailed


def _open_handshake(live: LiveEpoch, message: MLSMessage, digest: bytes) -> AuthenticatedContent:
    if not isinstance(message.body, PrivateExternalMessage):
        return live.group.open_handshake(message)
    live.from_outside.check_room()
    content = live.group.open_handshake(open_private_external(live.group, message))
    live.from_outside.add(digest)
    return content


def _application(epochs: HeldEpochs, name: bytes, live: LiveEpoch, message: MLSMessage) -> ForkMessage:
    opened = live.group.unprotect(message)
    sender = epochs.member(live.group, opened.sender_leaf_index)
    epoch = epochs.tree[name]
    epoch.present.add(sender)
    epoch.messages += 1
    return ForkMessage(name, sender, opened.application_data, opened.authenticated_data)


def find_epoch_of_targeted(epochs: HeldEpochs, message: MLSMessage) -> bytes:
    """The name of the epoch in which a TargetedMessage was sent. Raises `Invalid`, or `VerificationFailed` where it
    is none that is held."""
    body = message.body
    if not isinstance(body, TargetedMessage):
        raise Invalid(Rule.CONTENT_TYPE)
    return dmls_epoch_of(epoch_of_targeted((live.group for live in epochs.live.values()), body))


def _targeted(epochs: HeldEpochs, name: bytes, live: LiveEpoch, message: MLSMessage) -> ForkTargetedMessage:
    opened = unprotect_targeted(live.group, message)
    sender = epochs.member(live.group, opened.sender_leaf_index)
    epoch = epochs.tree[name]
    epoch.present.add(sender)
    epoch.messages += 1
    return ForkTargetedMessage(name, sender, opened.application_data, opened.authenticated_data)


def _handshake(
    epochs: HeldEpochs, name: bytes, live: LiveEpoch, content: AuthenticatedContent, psks: FindPsk, now: int
) -> Received:
    commit = content.content.commit
    if commit is not None:
        return _commit(epochs, name, live, content, commit, psks, now)
    reference = live.proposals.add(content)
    leaf_index = content.content.sender.leaf_index
    if leaf_index is not None:
        epochs.tree[name].present.add(epochs.member(live.group, leaf_index))
    return ForkProposal(name, reference, content)


def _commit(
    epochs: HeldEpochs,
    name: bytes,
    live: LiveEpoch,
    content: AuthenticatedContent,
    commit: Commit,
    psks: FindPsk,
    now: int,
) -> Received:
    parent = epochs.tree[name]
    tag = content.auth.confirmation_tag or b""
    siblings = epochs.tree.children(parent)
    if any(sibling.confirmation_tag == tag for sibling in siblings):
        return Ignored(IgnoredReason.KNOWN)
    external = content.content.sender.sender_type == SenderType.NEW_MEMBER_COMMIT
    if external and parent.superseded_at is not None:
        raise Invalid(ForkRule.EXTERNAL_COMMIT_ON_HEAD)
    would_win = not siblings or (not external, tag) > max(map(rank, siblings))
    if parent.siblings_entered >= MAX_EVICTING and not would_win:
        return Ignored(IgnoredReason.EVICTED)
    covered = live.covered(commit)
    proposals = [proposal for _, proposal in covered]
    if any(map(is_resumption_psk, proposals)):
        raise Invalid(ForkRule.RESUMPTION_PSK)
    staged = _stage(epochs, live, content, covered, psks)
    if staged is None:
        return Ignored(IgnoredReason.DELETED)
    if staged.next is None:
        epochs.leave(parent, staged, tag, epochs.changes(proposals), now)
        return ForkCommit(name, None, staged, ())
    committer = epochs.member(staged.next, staged.committer)
    entered, evicted = epochs.enter(
        parent, staged.next, committer, epochs.changes(proposals), now, external=external
    )
    return ForkCommit(name, entered, staged, evicted)


def _stage(
    epochs: HeldEpochs,
    live: LiveEpoch,
    content: AuthenticatedContent,
    covered: list[tuple[int | None, Proposal]],
    psks: FindPsk,
) -> StagedCommit | None:
    """None for a commit whose epoch was entered before and is gone: the parent is punctured there."""
    try:
        return live.group.stage(
            content,
            psks=psks,
            leaf_private_key=live.leaf_private_key,
            signature_private_key=_signature_key(epochs, live, covered),
            proposals=live.proposals.received,
        )
    except UsageError as error:
        if error.code == "punctured":
            return None
        raise


def _signature_key(
    epochs: HeldEpochs, live: LiveEpoch, covered: list[tuple[int | None, Proposal]]
) -> bytes | None:
    """The signature key of our leaf after a commit, which may cover an Update of ours."""
    own = live.group.own_leaf_index
    leaf = live.group.tree.leaf(own)
    for sender, proposal in covered:
        if isinstance(proposal, Update) and sender == own:
            leaf = proposal.leaf_node
    return epochs.signature_key(leaf.signature_key) if leaf is not None else None


def is_resumption_psk(proposal: Proposal | None) -> bool:
    return isinstance(proposal, PreSharedKey) and proposal.psk.psktype == PSKType.RESUMPTION
