"""What a group refuses: each clause by a message that breaks just that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, ComponentRules, Party, ReplaceLeaf, dictionary, found, refused

from starling.protocol.errors import Invalid, ProtocolError, Unsupported, VerificationFailed
from starling.protocol.mls.commit import Commit, ProposalOrRef
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    REQUIRED_CAPABILITIES,
    Extension,
    RequiredCapabilities,
)
from starling.protocol.mls.framing import AuthenticatedContent, FramedContent, FramedContentAuthData, Sender
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.leaf_node import Lifetime
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppEphemeral,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage
from starling.protocol.mls.public_message import PublicMessage
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import ContentType, WireFormat

NONCE = b"n" * 32


def _commit(
    party: Party,
    proposals: Sequence[Proposal] = (),
    *,
    references: Sequence[bytes] = (),
    sender: Sender | None = None,
    path: bool = True,
) -> AuthenticatedContent:
    """A commit of leaf 0 as a receiver has opened it, with proposals that no honest member would commit."""
    honest = party.groups[0].commit(random=party.clients[0].random).content.content
    assert honest.commit is not None
    entries = [ProposalOrRef.by_reference(reference) for reference in references]
    entries += [ProposalOrRef.by_value(proposal) for proposal in proposals]
    content = replace(
        honest,
        sender=sender or honest.sender,
        commit=Commit(tuple(entries), honest.commit.path if path else None),
    )
    return AuthenticatedContent(
        WireFormat.MLS_PRIVATE_MESSAGE, content, FramedContentAuthData(b"", bytes(32))
    )


def _package(name: str = "newcomer", *, proposals: tuple[int, ...] = (8, 9, 0xF0DD)) -> Add:
    return Add(Client(name, proposals=proposals).bundle().key_package)


def _required(*proposal_types: int) -> Extension:
    return Extension(REQUIRED_CAPABILITIES, RequiredCapabilities((), proposal_types, ()).encode())


def _psk(nonce: bytes = NONCE) -> PreSharedKey:
    return PreSharedKey(PreSharedKeyID.external(b"psk", nonce))


CASES: dict[str, tuple[Rule, Callable[[Party], Sequence[Proposal]]]] = {
    "update by value": (
        Rule.PROPOSAL_UPDATE_BY_VALUE,
        lambda party: [Update(party.clients[0].update_leaf(party.groups[0])[0])],
    ),
    "remove of the committer": (Rule.PROPOSAL_REMOVE_OF_COMMITTER, lambda party: [Remove(0)]),
    "remove of nobody": (Rule.PROPOSAL_REMOVE_BLANK, lambda party: [Remove(3)]),
    "remove far outside": (Rule.PROPOSAL_REMOVE_BLANK, lambda party: [Remove(2**32 - 1)]),
    "remove twice": (Rule.PROPOSAL_SAME_LEAF, lambda party: [Remove(2), Remove(2)]),
    "add twice": (Rule.PROPOSAL_SAME_CLIENT, lambda party: [_package(), _package()]),
    "add a member": (
        Rule.PROPOSAL_SAME_CLIENT,
        lambda party: [Add(party.clients[2].bundle().key_package)],
    ),
    "psk twice": (Rule.PROPOSAL_PSK_TWICE, lambda party: [_psk(), _psk()]),
    "psk nonce": (Rule.PROPOSAL_PSK_NONCE, lambda party: [_psk(b"short")]),
    "psk usage": (
        Rule.PROPOSAL_PSK_USAGE,
        lambda party: [
            PreSharedKey(PreSharedKeyID.resumption(ResumptionPSKUsage.BRANCH, b"group", 0, NONCE))
        ],
    ),
    "extensions twice": (
        Rule.PROPOSAL_CONTEXT_TWICE,
        lambda party: [GroupContextExtensions(()), GroupContextExtensions(())],
    ),
    "extension type twice": (
        Rule.EXTENSION_TWICE,
        lambda party: [GroupContextExtensions((_required(), _required()))],
    ),
    "unsupported extension": (
        Rule.PROPOSAL_CONTEXT_SUPPORT,
        lambda party: [GroupContextExtensions((Extension(0xF123, b""),))],
    ),
    "unsupported required capability": (
        Rule.LEAF_NODE_CAPABILITIES,
        lambda party: [GroupContextExtensions((_required(0xF123),))],
    ),
    "reinit beside another": (
        Rule.PROPOSAL_REINIT_ALONE,
        lambda party: [ReInit(b"", 1, 1, ()), Remove(2)],
    ),
    "reinit to a lower version": (Rule.PROPOSAL_REINIT_VERSION, lambda party: [ReInit(b"", 0, 1, ())]),
    "external init": (Rule.PROPOSAL_EXTERNAL_INIT, lambda party: [ExternalInit(b"")]),
    "key package signature": (
        Rule.KEY_PACKAGE_SIGNATURE,
        lambda party: [Add(replace(_package().key_package, signature=bytes(64)))],
    ),
    "key package suite": (
        Rule.KEY_PACKAGE_VERSION,
        lambda party: [Add(replace(_package().key_package, cipher_suite=3))],
    ),
}


@pytest.fixture(scope="module")
def party() -> Party:
    """A group in which no test makes progress."""
    return found(3)


@pytest.mark.parametrize("case", CASES)
def test_receivers_refuse_a_bad_list(party: Party, case: str) -> None:
    rule, proposals = CASES[case]
    assert refused(lambda: party.groups[1].stage(_commit(party, proposals(party)))) is rule


@pytest.mark.parametrize("case", [case for case in CASES if case != "update by value"])
def test_committers_refuse_a_bad_list(party: Party, case: str) -> None:
    rule, proposals = CASES[case]
    assert refused(lambda: party.groups[0].commit(proposals(party), random=party.clients[0].random)) is rule


def test_the_path_is_required(party: Party) -> None:
    for proposals in ([], [Remove(2)], [GroupContextExtensions(())]):
        content = _commit(party, proposals, path=False)
        assert refused(party.groups[1].stage, content) is Rule.PATH_REQUIRED


def test_an_added_members_lifetime_is_checked_against_now(party: Party) -> None:
    bundle = Client("brief").bundle(lifetime=Lifetime(10, 20))
    content = _commit(party, [Add(bundle.key_package)])
    assert refused(lambda: party.groups[1].stage(content, now=21_000)) is Rule.LEAF_NODE_LIFETIME
    assert refused(lambda: party.groups[1].stage(content, now=20_999)) is not Rule.LEAF_NODE_LIFETIME


def test_all_members_that_stay_support_a_proposal_type() -> None:
    party = found(2, ComponentRules())
    made = party.groups[0].commit([_package(proposals=())], random=party.clients[0].random)
    random = party.clients[0].random
    ephemeral = AppEphemeral(0x8123, b"")
    assert refused(lambda: made.next.commit([ephemeral], random=random)) is Rule.PROPOSAL_TYPE_SUPPORT
    assert made.next.commit([ephemeral, Remove(2)], random=random).added == ()
    # A member that the same commit adds need not support it either.
    assert party.groups[0].commit([ephemeral, _package(proposals=())], random=random).added == (2,)


def test_updates_are_of_their_senders_and_new() -> None:
    party = found(3)
    leaf, _ = party.clients[1].update_leaf(party.groups[1])
    suite = party.clients[0].suite
    _, of_committer = party.groups[0].propose(
        Update(party.clients[0].update_leaf(party.groups[0])[0]), random=party.clients[0].random
    )
    _, honest = party.groups[1].propose(Update(leaf), random=party.clients[1].random)
    outside = replace(honest, content=replace(honest.content, sender=Sender(2, None, 0)))
    old = party.groups[1].tree.leaf(1)
    assert old is not None
    same_key = replace(
        honest,
        content=replace(
            honest.content,
            proposal=Update(
                replace(leaf, encryption_key=old.encryption_key).sign(
                    suite, party.clients[1].signature_private_key, b"group", 1
                )
            ),
        ),
    )
    other_place = replace(honest, content=replace(honest.content, sender=Sender.member(2)))
    wrong_source = replace(honest, content=replace(honest.content, proposal=Update(old)))
    cases = {
        Rule.PROPOSAL_UPDATE_OF_COMMITTER: of_committer,
        Rule.PROPOSAL_UPDATE_SENDER: outside,
        Rule.PROPOSAL_UPDATE_KEY: same_key,
        Rule.LEAF_NODE_SIGNATURE: other_place,
        Rule.LEAF_NODE_SOURCE: wrong_source,
    }
    for rule, content in cases.items():
        reference = content.reference(suite)
        commit = _commit(party, references=[reference])
        assert refused(party.groups[2].stage, commit, proposals={reference: content}) is rule


def test_the_dictionary_changes_by_app_data_updates_only_where_they_are_required() -> None:
    required = _required(8)
    party = found(2, extensions=(required, dictionary({0x8123: b"a"})))
    changed = GroupContextExtensions((required, dictionary({0x8123: b"b"})))
    dropped = GroupContextExtensions((required,))
    for proposal in (changed, dropped):
        content = _commit(party, [proposal])
        assert refused(party.groups[1].stage, content) is Rule.APP_DATA_BY_CONTEXT
    kept = GroupContextExtensions((dictionary({0x8123: b"a"}), required))
    party.commit([kept])
    assert party.groups[1].context.extensions[0].extension_type == APP_DATA_DICTIONARY


def test_components_and_private_proposals_that_are_not_known(party: Party) -> None:
    group = party.groups[1]
    for proposal in (AppDataUpdate(0x8123, 1, b""), AppEphemeral(0x8123, b"")):
        content = _commit(party, [proposal])
        assert refused(group.stage, content) is Rule.COMPONENT_UNKNOWN
    leaf, _ = party.clients[2].signed_leaf()
    with pytest.raises(Unsupported):
        group.stage(_commit(party, [ReplaceLeaf(2, leaf)]))


def test_senders_of_commits(party: Party) -> None:
    group = party.groups[1]
    assert refused(lambda: group.stage(_commit(party, sender=Sender.member(1)))) is Rule.OWN_MESSAGE
    assert refused(lambda: group.stage(_commit(party, sender=Sender.member(3)))) is Rule.SENDER_BLANK
    assert refused(lambda: group.stage(_commit(party, sender=Sender(2, None, 0)))) is Rule.SENDER_TYPE


def test_the_confirmation_tag_and_every_part_of_a_path_count(party: Party) -> None:
    made = party.groups[0].commit(random=party.clients[0].random)
    group = party.groups[1]
    content = made.content
    assert content.content.commit is not None and content.content.commit.path is not None
    bad_tag = replace(content, auth=replace(content.auth, confirmation_tag=bytes(32)))
    assert refused(lambda: group.stage(bad_tag)) is Rule.CONFIRMATION_TAG
    path = content.content.commit.path
    bad_paths = {
        Rule.UPDATE_PATH_LENGTH: replace(path, nodes=path.nodes[:-1]),
        Rule.UPDATE_PATH_PARENT_HASH: replace(path, leaf_node=replace(path.leaf_node, parent_hash=b"")),
        Rule.LEAF_NODE_SIGNATURE: replace(path, leaf_node=replace(path.leaf_node, signature=bytes(64))),
    }
    for rule, bad in bad_paths.items():
        framed = replace(content.content, commit=Commit((), bad))
        assert refused(group.stage, replace(content, content=framed)) is rule


def _public(party: Party) -> PublicMessage:
    message, _ = party.groups[0].propose(
        Remove(2), wire_format=WireFormat.MLS_PUBLIC_MESSAGE, random=party.clients[0].random
    )
    body = MLSMessage.decode(message).body
    assert isinstance(body, PublicMessage)
    return body


def test_public_messages(party: Party) -> None:
    group, body = party.groups[1], _public(party)

    def attempt(**changes: Any) -> Callable[[], object]:
        changed = replace(body, **changes)
        return lambda: group.open_handshake(MLSMessage.of(changed))

    assert attempt()()
    for changes in (
        {"membership_tag": bytes(32)},
        {"auth": replace(body.auth, signature=bytes(64))},
        {"content": replace(body.content, authenticated_data=b"other")},
    ):
        with pytest.raises(VerificationFailed):
            attempt(**changes)()
    content = body.content
    assert refused(attempt(content=replace(content, epoch=2))) is Rule.WRONG_EPOCH
    assert refused(attempt(content=replace(content, group_id=b"other"))) is Rule.WRONG_GROUP
    assert refused(attempt(content=replace(content, sender=Sender.member(3)))) is Rule.SENDER_BLANK
    application = FramedContent(b"group", 1, Sender.member(0), b"", ContentType.APPLICATION, b"data")
    assert refused(attempt(content=application)) is Rule.PUBLIC_APPLICATION
    new_member = replace(content, sender=Sender(3))
    assert refused(attempt(content=new_member, membership_tag=None)) is Rule.PROPOSAL_EXTERNAL_TYPE
    external = replace(content, sender=Sender(2, None, 0))
    assert refused(attempt(content=external, membership_tag=None)) is Rule.EXTERNAL_SENDER


def test_a_membership_tag_covers_the_signature() -> None:
    """A member's valid signature in another member's message: the tag of the group does not help."""
    party = found(3)
    body = _public(party)
    stolen = replace(body, content=replace(body.content, sender=Sender.member(1)))
    with pytest.raises(VerificationFailed):
        party.groups[2].open_handshake(MLSMessage.of(stolen))


def test_private_messages_that_were_changed(party: Party) -> None:
    message = party.groups[0].protect(b"data", random=party.clients[0].random)
    body = MLSMessage.decode(message).body
    assert isinstance(body, PrivateMessage)
    group = party.groups[1]
    before = group.save_ratchets()
    for position in range(4, len(message), 3):
        changed = bytearray(message)
        changed[position] ^= 1
        with pytest.raises((ProtocolError, Unsupported)):
            group.unprotect(MLSMessage.decode(bytes(changed)))
    assert refused(lambda: group.open_handshake(MLSMessage.of(body))) is Rule.CONTENT_TYPE
    assert group.application_progress(0)[1] == ()
    assert len(group.save_ratchets()) >= len(before)
    assert group.unprotect(MLSMessage.of(body)).application_data == b"data"


def _welcome(party: Party) -> tuple[Client, Welcome, KeyPackageBundle]:
    newcomer = Client("newcomer")
    bundle = newcomer.bundle()
    made = party.groups[0].commit([Add(bundle.key_package)], random=party.clients[0].random)
    assert made.welcome is not None and isinstance(made.group_info, GroupInfo)
    body = MLSMessage.decode(made.welcome).body
    assert isinstance(body, Welcome)
    return newcomer, body, bundle


def test_welcomes(party: Party) -> None:
    newcomer, welcome, bundle = _welcome(party)
    key = newcomer.signature_private_key

    def join(welcome: Welcome, with_bundle: KeyPackageBundle = bundle) -> Callable[[], object]:
        return lambda: Group.join(welcome, with_bundle, key)

    assert join(welcome)()
    assert refused(join(welcome, Client("another").bundle())) is Rule.WELCOME_NOT_FOR_ME
    assert refused(join(replace(welcome, cipher_suite=3))) is Rule.WELCOME_SUITE
    changed = bytearray(welcome.encrypted_group_info)
    changed[5] ^= 1
    with pytest.raises(VerificationFailed):
        join(replace(welcome, encrypted_group_info=bytes(changed)))()


def test_a_committer_signs_with_the_key_of_its_leaf() -> None:
    party = found(2)
    other = Client("other").signature_key
    with pytest.raises(Invalid) as caught:
        party.commit(options={"path": True, "leaf_node": lambda leaf: replace(leaf, signature_key=other)})
    assert caught.value.rule is Rule.LEAF_NODE_SIGNATURE
