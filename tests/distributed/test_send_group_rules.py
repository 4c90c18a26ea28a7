"""What a send group refuses of all that MLS offers (PROTOCOL X-4, X-9, K-10)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from starling.protocol.distributed import component_ids
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.send_group_rules import SendGroupRules
from starling.protocol.errors import Invalid
from starling.protocol.extensions.external_receivers import EXTERNAL_RECEIVERS
from starling.protocol.mls.framing import Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.proposal import (
    AppDataUpdate,
    AppDataUpdateOperation,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    SelfRemove,
)
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.wire_format import ContentType, SenderType

RULES = SendGroupRules(b"u" * 32)
CONTEXT = GroupContext(1, 1, b"g" * 32, 1, bytes(32), bytes(32), ())
NONCE = bytes(32)


def _check(proposals: Sequence[Proposal], committer: int | None = 0) -> None:
    RULES.check_proposals(CONTEXT, RatchetTree(), committer, proposals, True)


@pytest.mark.parametrize(
    "sender",
    [
        Sender(SenderType.NEW_MEMBER_COMMIT),
        Sender(SenderType.NEW_MEMBER_PROPOSAL),
        Sender(SenderType.EXTERNAL, None, 0),
        Sender.member(1),
    ],
)
@pytest.mark.parametrize("content_type", [ContentType.PROPOSAL, ContentType.COMMIT])
def test_nobody_but_the_owner_speaks(sender: Sender, content_type: int) -> None:
    with pytest.raises(Invalid) as refused:
        RULES.check_sender(sender, content_type)
    assert refused.value.rule is Rule.SENDER_NOT_OWNER


def test_the_owner_hears_who_asks_to_be_added_and_nothing_else_from_outside() -> None:
    """X-9."""
    own = SendGroupRules(b"u" * 32, is_own=True)
    own.check_sender(Sender(SenderType.NEW_MEMBER_PROPOSAL), ContentType.PROPOSAL)
    for sender, content_type in (
        (Sender(SenderType.NEW_MEMBER_PROPOSAL), ContentType.COMMIT),
        (Sender(SenderType.NEW_MEMBER_COMMIT), ContentType.COMMIT),
        (Sender(SenderType.EXTERNAL, None, 0), ContentType.PROPOSAL),
        (Sender.member(1), ContentType.PROPOSAL),
    ):
        with pytest.raises(Invalid) as refused:
            own.check_sender(sender, content_type)
        assert refused.value.rule is Rule.SENDER_NOT_OWNER


@pytest.mark.parametrize("committer", [None, 1])
def test_nobody_but_the_owner_commits(committer: int | None) -> None:
    with pytest.raises(Invalid) as refused:
        _check([ExternalInit(b"")], committer)
    assert refused.value.rule is Rule.SENDER_NOT_OWNER


@pytest.mark.parametrize(
    "proposal",
    [ExternalInit(b""), ReInit(b"", 1, 1, ()), GroupContextExtensions(()), SelfRemove()],
    ids=lambda proposal: type(proposal).__name__,
)
def test_proposals_that_send_groups_do_not_use(proposal: Proposal) -> None:
    with pytest.raises(Invalid) as refused:
        _check([proposal])
    assert refused.value.rule is Rule.COMMIT_PROPOSALS


def test_no_component_is_removed() -> None:
    for component_id in (2, component_ids.DMLS_UNIVERSE, component_ids.ROSTER_DIGEST, EXTERNAL_RECEIVERS):
        with pytest.raises(Invalid) as refused:
            _check([AppDataUpdate(component_id, AppDataUpdateOperation.REMOVE)])
        assert refused.value.rule is Rule.COMPONENT_UPDATE


@pytest.mark.parametrize(
    "psk_id",
    [
        PreSharedKeyID.resumption(ResumptionPSKUsage.APPLICATION, b"g" * 32, 0, NONCE),
        PreSharedKeyID.resumption(ResumptionPSKUsage.BRANCH, b"g" * 32, 0, NONCE),
        PreSharedKeyID.application(0x8123, b"id", NONCE),
    ],
    ids=["resumption", "branch", "application"],
)
def test_psks_that_are_no_imports(psk_id: PreSharedKeyID) -> None:
    with pytest.raises(Invalid) as refused:
        _check([PreSharedKey(psk_id)])
    assert refused.value.rule is Rule.PSK_TYPE
