"""Joining by an external commit, and again as a resync (RFC 9420 §12.4.3.2)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, OwnerRules, Party, found, open_text, receive, refused

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.errors import (
    DecodeError,
    Invalid,
    Pending,
    Unsupported,
    UsageError,
    VerificationFailed,
)
from starling.protocol.mls import framing
from starling.protocol.mls.commit import Commit, ProposalOrRef
from starling.protocol.mls.components import read_component
from starling.protocol.mls.extension import EXTERNAL_PUB, Extension, with_extension
from starling.protocol.mls.external_init import ExternalPub
from starling.protocol.mls.framing import AuthenticatedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppDataUpdateOperation,
    AppEphemeral,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    Remove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.wire_format import ContentType, SenderType, WireFormat


def _join(client: Client, info: GroupInfo, **options: Any) -> CommitResult:
    leaf, _ = client.signed_leaf()
    return Group.external_join(
        info,
        leaf,
        client.signature_private_key,
        random=client.random,
        **options,
    )


def _join_party(party: Party, client: Client, **options: Any) -> CommitResult:
    """The client joins by the GroupInfo of the last member; all follow, and who it replaces is left out."""
    made = _join(client, party.groups[-1].group_info(external_pub=True), **options)
    staged = [group.stage(group.open_handshake(MLSMessage.decode(made.message))) for group in party.groups]
    assert all(step.external and step.committer == made.next.own_leaf_index for step in staged)
    stay = [index for index, step in enumerate(staged) if not step.self_removed]
    party.clients = [*(party.clients[index] for index in stay), client]
    party.groups = [step.next for step in staged if step.next is not None] + [made.next]
    party.check_agreement()
    return made


def _everybody_talks(party: Party) -> None:
    for sender, client in zip(party.groups, party.clients, strict=True):
        message = sender.protect(client.name.encode(), random=client.random)
        for group in party.groups:
            if group is not sender:
                assert open_text(group, message) == client.name.encode()


@pytest.mark.parametrize("suite", CIPHER_SUITES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_new_member_joins_and_everybody_goes_on(count: int, suite: int) -> None:
    party = found(count, suite=suite)
    made = _join_party(party, Client("newcomer", CIPHER_SUITES[suite]))
    assert made.next.own_leaf_index == count and made.welcome is None
    _everybody_talks(party)
    for by in range(count + 1):
        party.commit(by=by)
    _everybody_talks(party)


def test_the_leftmost_blank_leaf_is_taken() -> None:
    party = found(4)
    party.groups.pop(1)
    party.clients.pop(1)
    party.commit([Remove(1)])
    made = _join_party(party, Client("newcomer"))
    assert made.next.own_leaf_index == 1
    _everybody_talks(party)


@pytest.mark.parametrize("own_leaf_index", [0, 1, 3])
def test_a_resync_replaces_the_old_leaf(own_leaf_index: int) -> None:
    party = found(4)
    client = party.clients[own_leaf_index]
    made = _join_party(party, client, resync=True)
    assert len(party.groups) == 4 and made.next.own_leaf_index == own_leaf_index
    assert made.content.content.commit is not None
    assert Remove(own_leaf_index) in [entry.proposal for entry in made.content.content.commit.proposals]
    _everybody_talks(party)


def test_a_resync_with_a_new_signature_key_finds_the_credential() -> None:
    party = found(3)
    renewed = Client("client 1")
    renewed.signature_private_key, renewed.signature_key = renewed.suite.signature_generate(os.urandom)
    made = _join_party(party, renewed, resync=True)
    assert made.next.own_leaf_index == 1
    _everybody_talks(party)


def test_the_only_member_resyncs_alone() -> None:
    party = found(1)
    made = _join_party(party, party.clients[0], resync=True)
    assert party.groups == [made.next] and made.next.epoch == 1


def test_a_resync_needs_an_old_leaf() -> None:
    party = found(2)
    info = party.groups[0].group_info(external_pub=True)
    with pytest.raises(UsageError) as refusal:
        _join(Client("stranger"), info, resync=True)
    assert refusal.value.code == "no_old_leaf"


def test_a_member_does_not_join_twice_without_a_resync() -> None:
    party = found(2)
    info = party.groups[0].group_info(external_pub=True)
    assert refused(lambda: _join(party.clients[1], info)) is Rule.LEAF_NODE_SIGNATURE_KEY


def test_the_tree_can_come_beside_the_group_info() -> None:
    party = found(3)
    info = party.groups[1].group_info(with_tree=False, external_pub=True)
    newcomer = Client("newcomer")
    assert refused(lambda: _join(newcomer, info)) is Rule.GROUP_INFO_TREE
    made = _join(newcomer, info, ratchet_tree=party.groups[0].tree)
    assert receive(party.groups[2], made.message).confirmation_tag == made.next.confirmation_tag


def test_psks_in_an_external_commit() -> None:
    party = found(2)
    psk_id = PreSharedKeyID.external(b"psk", b"n" * 32)
    find = {psk_id: b"a secret"}.get
    info = party.groups[0].group_info(external_pub=True)
    with pytest.raises(Pending):
        _join(Client("newcomer"), info, proposals=[PreSharedKey(psk_id)])
    made = _join(Client("newcomer"), info, proposals=[PreSharedKey(psk_id)], psks=find)
    with pytest.raises(Pending):
        receive(party.groups[0], made.message)
    assert receive(party.groups[0], made.message, psks=find).confirmation_tag == made.next.confirmation_tag


def test_application_data_in_an_external_commit() -> None:
    """A new dictionary, and data that go with the commit (extensions draft §4.7, §4.8)."""
    taken: list[bytes] = []

    class Components(GroupRules):
        def app_data_update(
            self, component_id: int, current: bytes | None, updates: Sequence[bytes]
        ) -> bytes:
            return b"".join(updates)

        def app_ephemeral(self, component_id: int, data: bytes) -> None:
            taken.append(data)

    rules = Components()
    party = found(2, rules)
    update = AppDataUpdate(0x8123, AppDataUpdateOperation.UPDATE, b"new data")
    _join_party(party, Client("newcomer"), proposals=[update, AppEphemeral(0x8123, b"seen")], rules=rules)
    assert taken == [b"seen"] * 3
    assert read_component(party.groups[2].context.extensions, 0x8123) == b"new data"
    _everybody_talks(party)


def test_a_new_member_sends_external_commits_and_nothing_else() -> None:
    party = found(2)
    group = party.groups[0]
    made = _join(Client("newcomer"), group.group_info(external_pub=True))
    body = MLSMessage.decode(made.message).body
    assert isinstance(body, PublicMessage)
    content = replace(body.content, content_type=ContentType.PROPOSAL, commit=None, proposal=Remove(1))
    auth = replace(body.auth, confirmation_tag=None)
    message = MLSMessage.decode(MLSMessage.of(PublicMessage(content, auth, None)).encode())
    assert refused(lambda: group.open_handshake(message)) is Rule.SENDER_TYPE
    by_candidate = replace(body, content=replace(body.content, sender=Sender(SenderType.NEW_MEMBER_PROPOSAL)))
    assert refused(lambda: group.open_handshake(MLSMessage.of(by_candidate))) is Rule.SENDER_TYPE


def test_the_application_says_who_may_propose_what() -> None:
    """Here nobody replaces a leaf from outside, and members remove nobody by proposals of others."""

    class Careful(GroupRules):
        def check_proposal(
            self, group_context: GroupContext, tree: RatchetTree, sender: Sender, proposal: Proposal
        ) -> None:
            if isinstance(proposal, Remove) and sender != Sender.member(0):
                raise Invalid(Rule.SENDER_TYPE)

    party = found(3, Careful())
    info = party.groups[0].group_info(external_pub=True)
    assert refused(lambda: _join(party.clients[1], info, resync=True, rules=Careful())) is Rule.SENDER_TYPE
    made = _join(party.clients[1], info, resync=True)
    opened = party.groups[2].open_handshake(MLSMessage.decode(made.message))
    assert refused(lambda: party.groups[2].stage(opened)) is Rule.SENDER_TYPE
    _, proposed = party.groups[2].propose(Remove(1), random=os.urandom)
    assert refused(party.groups[0].commit, by_reference=[proposed], random=os.urandom) is Rule.SENDER_TYPE
    assert party.groups[0].commit([Remove(1)], random=os.urandom).next.tree.leaf(1) is None


def test_a_member_that_joined_so_is_saved_and_loaded() -> None:
    party = found(2)
    _join_party(party, Client("newcomer"))
    group = party.groups[-1]
    party.groups[-1] = Group.load(group.save(), group.save_ratchets())
    party.commit(by=2)
    _everybody_talks(party)


def test_a_group_info_without_external_pub_or_with_a_bad_one() -> None:
    party = found(2)
    group, signing = party.groups[0], party.clients[0].signature_private_key
    assert refused(lambda: _join(Client("newcomer"), group.group_info())) is Rule.EXTERNAL_PUB
    for data in (b"", b"\x01", ExternalPub(b"short").encode(), ExternalPub(bytes(32)).encode()):
        info = group.group_info((Extension(EXTERNAL_PUB, data),))
        with pytest.raises(DecodeError):
            _join(Client("newcomer"), info)
    good = group.group_info(external_pub=True)
    forged = replace(good, signer=1).sign(group.cipher_suite, signing)
    assert refused(lambda: _join(Client("newcomer"), forged)) is Rule.GROUP_INFO_SIGNATURE
    # Somebody else's external key: the members do not come to the same epoch.
    other = with_extension(good.extensions, EXTERNAL_PUB, ExternalPub(b"\x09" + bytes(31)).encode())
    made = _join(Client("newcomer"), replace(good, extensions=other).sign(group.cipher_suite, signing))
    opened = group.open_handshake(MLSMessage.decode(made.message))
    assert refused(lambda: group.stage(opened)) is Rule.CONFIRMATION_TAG


def test_a_group_info_of_a_suite_that_the_newcomer_lacks_is_unsupported() -> None:
    party = found(2, suite=2)
    newcomer = Client("newcomer", CIPHER_SUITES[2])
    info = party.groups[0].group_info(external_pub=True)
    context = replace(info.group_context, cipher_suite=5)
    with pytest.raises(Unsupported):
        _join(newcomer, replace(info, group_context=context))


def test_a_superseded_epoch_is_not_joined() -> None:
    party = found(2)
    old = party.groups[1]
    made = _join(Client("newcomer"), old.group_info(external_pub=True))
    opened = old.open_handshake(MLSMessage.decode(made.message))
    party.commit()
    with pytest.raises(UsageError):
        old.stage(opened)
    with pytest.raises(UsageError):
        old.group_info(external_pub=True)


def test_groups_with_one_sender_refuse_external_commits() -> None:
    class Strict(OwnerRules):
        def check_sender(self, sender: framing.Sender, content_type: int) -> None:
            if sender.leaf_index != 0:
                raise Invalid(Rule.SENDER_TYPE)

    party = found(2, Strict())
    made = _join(Client("newcomer"), party.groups[0].group_info(external_pub=True))
    message = MLSMessage.decode(made.message)
    assert refused(lambda: party.groups[1].open_handshake(message)) is Rule.SENDER_TYPE
    assert refused(lambda: party.groups[1].stage(made.content)) is Rule.SENDER_TYPE


def _forged(
    made: CommitResult, proposals: Sequence[ProposalOrRef], *, path: bool = True
) -> AuthenticatedContent:
    """The commit with other proposals, as a receiver has opened it."""
    content = made.content.content
    assert content.commit is not None
    commit = Commit(tuple(proposals), content.commit.path if path else None)
    return replace(made.content, content=replace(content, commit=commit))


def _by_value(*proposals: Proposal) -> list[ProposalOrRef]:
    return [ProposalOrRef.by_value(proposal) for proposal in proposals]


def test_lists_that_an_external_commit_does_not_hold() -> None:
    party = found(3)
    group = party.groups[0]
    newcomer = Client("newcomer")
    made = _join(newcomer, group.group_info(external_pub=True))
    assert made.content.content.commit is not None
    init = made.content.content.commit.proposals[0].proposal
    assert isinstance(init, ExternalInit)
    psk = PreSharedKey(PreSharedKeyID.external(b"psk", b"n" * 32))
    cases: list[tuple[Rule, list[Proposal]]] = [
        (Rule.EXTERNAL_COMMIT_INIT, [psk]),
        (Rule.EXTERNAL_COMMIT_INIT, [init, init]),
        (Rule.EXTERNAL_COMMIT_REMOVE, [init, Remove(1), Remove(2)]),
        (Rule.EXTERNAL_COMMIT_PROPOSAL, [init, Add(newcomer.bundle().key_package)]),
        (Rule.EXTERNAL_COMMIT_PROPOSAL, [init, GroupContextExtensions(())]),
        (Rule.PROPOSAL_UPDATE_BY_VALUE, [init, Update(newcomer.signed_leaf()[0])]),
        (Rule.PROPOSAL_PSK_TWICE, [init, psk, psk]),
        (Rule.PROPOSAL_REMOVE_BLANK, [init, Remove(7)]),
    ]
    for rule, proposals in cases:
        content = _forged(made, _by_value(*proposals))
        assert refused(group.stage, content) is rule
    _, proposed = group.propose(Remove(1), random=os.urandom)
    reference = proposed.reference(group.cipher_suite)
    content = _forged(made, [*_by_value(init), ProposalOrRef.by_reference(reference)])
    assert (
        refused(lambda: party.groups[2].stage(content, proposals={reference: proposed}))
        is Rule.EXTERNAL_COMMIT_REFERENCE
    )
    assert refused(lambda: group.stage(_forged(made, _by_value(init), path=False))) is Rule.PATH_REQUIRED


def test_only_the_own_old_leaf_is_replaced_and_by_a_new_key() -> None:
    """A stranger that removes a member; and a member whose new leaf has its old key."""
    party = found(3)
    group = party.groups[0]
    info = group.group_info(external_pub=True)
    with pytest.raises(Invalid) as refusal:
        _join(Client("stranger"), info, proposals=[Remove(1)])
    assert refusal.value.rule is Rule.CREDENTIAL_SUCCESSOR

    class Lenient(GroupRules):
        def same_member(self, old: LeafNode, new: LeafNode) -> bool:
            return True

    stolen = _join(Client("stranger"), info, proposals=[Remove(1)], rules=Lenient())
    opened = group.open_handshake(MLSMessage.decode(stolen.message))
    assert refused(lambda: group.stage(opened)) is Rule.CREDENTIAL_SUCCESSOR
    suite, client = group.cipher_suite, party.clients[1]
    made = _join(client, info, resync=True)
    commit = made.content.content.commit
    old = group.tree.leaf(1)
    assert commit is not None and commit.path is not None and old is not None
    leaf = replace(commit.path.leaf_node, encryption_key=old.encryption_key)
    leaf = leaf.sign(suite, client.signature_private_key, group.group_id, 1)
    forged = replace(commit, path=replace(commit.path, leaf_node=leaf))
    content = replace(made.content, content=replace(made.content.content, commit=forged))
    assert refused(lambda: group.stage(content)) is Rule.PROPOSAL_UPDATE_KEY


def test_what_an_outsider_changes_is_not_verified() -> None:
    party = found(2)
    group = party.groups[0]
    made = _join(Client("newcomer"), group.group_info(external_pub=True))
    body = MLSMessage.decode(made.message).body
    assert isinstance(body, PublicMessage) and body.membership_tag is None
    changed = replace(body, content=replace(body.content, authenticated_data=b"other"))
    with pytest.raises(VerificationFailed):
        group.open_handshake(MLSMessage.of(changed))
    bad = replace(body, auth=replace(body.auth, confirmation_tag=bytes(32)))
    opened = group.open_handshake(MLSMessage.of(bad))
    assert refused(lambda: group.stage(opened)) is Rule.CONFIRMATION_TAG
    commit = body.content.commit
    assert commit is not None
    without = replace(body, content=replace(body.content, commit=replace(commit, path=None)))
    assert refused(lambda: group.open_handshake(MLSMessage.of(without))) is Rule.EXTERNAL_COMMIT_PATH


def test_a_kem_output_that_is_none() -> None:
    party = found(2)
    group = party.groups[0]
    newcomer = Client("newcomer")
    made = _join(newcomer, group.group_info(external_pub=True))
    for kem_output in (b"", b"short", bytes(32), bytes(33)):
        content = replace(_forged(made, _by_value(ExternalInit(kem_output))).content)
        tbs = framing.to_be_signed(WireFormat.MLS_PUBLIC_MESSAGE, content, group.context.encode())
        signature = framing.sign(group.cipher_suite, newcomer.signature_private_key, tbs)
        auth = FramedContentAuthData(signature, bytes(32))
        message = MLSMessage.decode(MLSMessage.of(PublicMessage(content, auth, None)).encode())
        with pytest.raises(DecodeError):
            group.stage(group.open_handshake(message))
