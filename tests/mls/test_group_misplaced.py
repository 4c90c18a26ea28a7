"""Messages that do not belong where they are given, and calls that cannot be answered."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

import pytest
from tests.mls.group_members import Client, Party, found, refused

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import DecodeError, UsageError, VerificationFailed
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import protect_private
from starling.protocol.mls.proposal import PROPOSALS, Add, CustomProposal, Remove, Update
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.ratchet import MessageKey, Ratchet
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import ContentType, WireFormat
from starling.protocol.wire import uint8

PUBLIC = WireFormat.MLS_PUBLIC_MESSAGE


@pytest.fixture(scope="module")
def party() -> Party:
    """A group in which no test makes progress."""
    return found(3)


def test_messages_of_another_kind_than_is_asked_for(party: Party) -> None:
    group = party.groups[1]
    public = MLSMessage.decode(party.groups[0].propose(Remove(2), wire_format=PUBLIC, random=os.urandom)[0])
    private = MLSMessage.decode(party.groups[0].propose(Remove(2), random=os.urandom)[0])
    package = MLSMessage.of(Client("somebody").bundle().key_package)
    assert refused(lambda: group.peek_generation(public)) is Rule.CONTENT_TYPE
    assert refused(lambda: group.unprotect(private)) is Rule.CONTENT_TYPE
    assert refused(lambda: group.unprotect(package)) is Rule.CONTENT_TYPE
    assert refused(lambda: group.open_handshake(package)) is Rule.CONTENT_TYPE
    assert isinstance(public.body, PublicMessage)
    content = FramedContent(b"group", 1, Sender.member(0), b"", ContentType.APPLICATION, b"data")
    data = MLSMessage.of(replace(public.body, content=content))
    assert refused(lambda: group.unprotect(data)) is Rule.PUBLIC_APPLICATION


def test_a_members_public_message_has_a_membership_tag(party: Party) -> None:
    body = MLSMessage.decode(
        party.groups[0].propose(Remove(2), wire_format=PUBLIC, random=os.urandom)[0]
    ).body
    assert isinstance(body, PublicMessage)
    without = MLSMessage.of(replace(body, membership_tag=None))
    with pytest.raises(VerificationFailed):
        party.groups[1].open_handshake(without)
    with pytest.raises(DecodeError):
        MLSMessage.decode(without.encode())


def test_a_private_message_of_a_blank_leaf(party: Party) -> None:
    """Any member can seal sender data; a leaf that is none sends nothing."""
    epoch = party.groups[0]._epoch
    suite = epoch.suite
    content = FramedContent(b"group", 1, Sender.member(3), b"", ContentType.APPLICATION, b"data")
    signed = AuthenticatedContent(WireFormat.MLS_PRIVATE_MESSAGE, content, FramedContentAuthData(bytes(64)))
    message = protect_private(
        suite,
        signed,
        MessageKey(bytes(suite.key_length), bytes(suite.nonce_length)),
        0,
        epoch.secrets.sender_data_secret,
        padding=0,
        random=os.urandom,
    )
    assert refused(lambda: party.groups[1].unprotect(MLSMessage.of(message))) is Rule.SENDER_BLANK


def test_only_commits_of_this_epoch_are_staged(party: Party) -> None:
    group = party.groups[1]
    made = party.groups[0].commit(random=os.urandom).content
    _, proposal = party.groups[0].propose(Remove(2), random=os.urandom)
    elsewhere = replace(made, content=replace(made.content, group_id=b"other"))
    later = replace(made, content=replace(made.content, epoch=2))
    assert refused(lambda: group.stage(elsewhere)) is Rule.WRONG_GROUP
    assert refused(lambda: group.stage(later)) is Rule.WRONG_EPOCH
    assert refused(lambda: group.stage(proposal)) is Rule.CONTENT_TYPE
    with pytest.raises(UsageError):
        group.commit(by_reference=[made], random=os.urandom)


def test_a_path_that_is_needed_or_asked_for(party: Party) -> None:
    group, newcomer = party.groups[0], Add(Client("newcomer").bundle().key_package)
    with pytest.raises(UsageError):
        group.commit([Remove(1)], path=False, random=os.urandom)
    with pytest.raises(UsageError):
        group.commit([newcomer], leaf_node=lambda leaf: leaf, random=os.urandom)
    assert group.commit([newcomer], path=True, leaf_node=lambda leaf: leaf, random=os.urandom).added == (3,)


def test_structures_of_versions_and_types_that_do_not_exist(party: Party) -> None:
    context = party.groups[0].context
    with pytest.raises(DecodeError):
        GroupContext.decode(replace(context, version=2).encode())
    with pytest.raises(DecodeError):
        Commit.decode(b"\x02\x03\x00\x00")
    with pytest.raises(TypeError):
        MLSMessage.of(context)


def test_a_ratchet_ends() -> None:
    ratchet = Ratchet(cipher_suite(1), bytes(32), 2**32 - 1)
    with pytest.raises(UsageError):
        ratchet.consume(2**32 - 1)
    assert ratchet.generation == 2**32 - 1


@dataclass(frozen=True, slots=True)
class Vandalize(CustomProposal):
    """A private proposal that does what none may."""

    proposal_type: ClassVar[int] = 0xF0DE
    requires_path: ClassVar[bool] = True

    what: uint8

    def apply(self, tree: RatchetTree) -> RatchetTree:
        return tree.with_nodes({2: None}) if self.what else RatchetTree(tree.nodes[:3])


PROPOSALS.register(Vandalize)


class Vandals(GroupRules):
    custom_proposals = MappingProxyType({Vandalize.proposal_type: Vandalize})


@pytest.mark.parametrize("what", [0, 1])
def test_a_private_proposal_neither_empties_a_leaf_nor_changes_the_size(what: int) -> None:
    party = found(3, Vandals(), proposals=(Vandalize.proposal_type,))
    assert refused(party.groups[0].commit, [Vandalize(what)], random=os.urandom) is Rule.PROPOSAL_CUSTOM


def test_a_private_proposal_that_takes_the_leaf_of_an_update_away() -> None:
    party = found(3, Vandals(), proposals=(Vandalize.proposal_type,))
    update = Update(party.clients[1].update_leaf(party.groups[1])[0])
    proposed = [
        party.groups[2].propose(Vandalize(1), random=os.urandom)[1],
        party.groups[1].propose(update, random=os.urandom)[1],
    ]
    assert (
        refused(party.groups[0].commit, by_reference=proposed, random=os.urandom)
        is Rule.PROPOSAL_UPDATE_SENDER
    )
