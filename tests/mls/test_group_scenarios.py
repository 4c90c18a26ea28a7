"""Groups by the plain rules of RFC 9420: how they begin, change, and talk."""

from __future__ import annotations

import pytest
from tests.mls.group_members import Client, Party, found, open_text, receive

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES
from starling.protocol.errors import Invalid, Pending, UsageError
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.group import Group
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import Add, GroupContextExtensions, PreSharedKey, Remove, Update
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import WireFormat


def _everybody_talks(party: Party) -> None:
    for client, group in zip(party.clients, party.groups, strict=True):
        message = group.protect(
            client.name.encode(), padding=7, authenticated_data=b"ad", random=client.random
        )
        for other in party.groups:
            if other is not group:
                received = other.unprotect(MLSMessage.decode(message))
                assert received.application_data == client.name.encode()
                assert received.authenticated_data == b"ad"
                assert received.sender_leaf_index == group.own_leaf_index


@pytest.mark.parametrize("suite", sorted(CIPHER_SUITES))
def test_create_add_and_talk(suite: int) -> None:
    party = found(4, suite=suite)
    _everybody_talks(party)
    assert [group.epoch for group in party.groups] == [1] * 4


@pytest.mark.parametrize("wire_format", [WireFormat.MLS_PRIVATE_MESSAGE, WireFormat.MLS_PUBLIC_MESSAGE])
def test_every_member_commits_in_turn(wire_format: int) -> None:
    party = found(5)
    for by in range(5):
        party.commit(by=by, options={"wire_format": wire_format, "authenticated_data": b"why"})
        _everybody_talks(party)


def test_an_add_without_a_path() -> None:
    party = found(3, path=False)
    _everybody_talks(party)
    newcomer = Client("newcomer")
    bundle = newcomer.bundle()
    made = party.commit([Add(bundle.key_package)], options={"path": False}, by=2)
    assert made.welcome is not None and made.added == (3,)
    party.clients.append(newcomer)
    party.groups.append(newcomer.join(made.welcome, bundle))
    party.check_agreement()
    _everybody_talks(party)


def test_the_tree_beside_the_welcome() -> None:
    party = found(2)
    newcomer = Client("newcomer")
    bundle = newcomer.bundle()
    made = party.commit([Add(bundle.key_package)], options={"with_tree": False})
    assert made.welcome is not None
    with pytest.raises(Invalid) as refused:
        newcomer.join(made.welcome, bundle)
    assert refused.value.rule is Rule.GROUP_INFO_TREE
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    tree = type(made.next.tree).decode(made.next.tree.encode())
    group, _ = Group.join(welcome, bundle, newcomer.signature_private_key, ratchet_tree=tree)
    assert group.confirmation_tag == made.next.confirmation_tag


def test_a_removed_member_learns_it_and_nothing_more() -> None:
    party = found(4)
    gone = party.groups.pop(2)
    party.clients.pop(2)
    made = party.groups[0].commit([Remove(2)], random=party.clients[0].random)
    staged = gone.stage(gone.open_handshake(MLSMessage.decode(made.message)))
    assert staged.self_removed and staged.next is None and staged.removed == (2,)
    others = [receive(group, made.message) for group in party.groups[1:]]
    party.groups = [made.next, *others]
    party.check_agreement()
    _everybody_talks(party)


def test_add_and_remove_at_once_gives_the_blank_leaf_to_the_new_member() -> None:
    party = found(4)
    party.groups.pop(1)
    party.clients.pop(1)
    newcomer = Client("newcomer")
    bundle = newcomer.bundle()
    made = party.commit([Add(bundle.key_package), Remove(1)])
    assert made.added == (1,) and made.welcome is not None
    party.clients.append(newcomer)
    party.groups.append(newcomer.join(made.welcome, bundle))
    _everybody_talks(party)


def test_updates_and_removes_by_reference() -> None:
    party = found(4)
    leaf, private_key = party.clients[1].update_leaf(party.groups[1])
    message, update = party.groups[1].propose(Update(leaf), random=party.clients[1].random)
    public, add = party.groups[2].propose(
        Add(Client("newcomer").bundle().key_package),
        wire_format=WireFormat.MLS_PUBLIC_MESSAGE,
        random=party.clients[2].random,
    )
    for index, group in enumerate(party.groups):
        if index != 1:
            assert group.open_handshake(MLSMessage.decode(message)) == update
        if index != 2:
            assert group.open_handshake(MLSMessage.decode(public)) == add
    suite = party.groups[0].cipher_suite
    received = {content.reference(suite): content for content in (update, add)}

    def receiving(index: int) -> dict[str, object]:
        return {
            "proposals": received,
            "leaf_private_key": lambda key: private_key if key == leaf.encryption_key else None,
        }

    party.commit(options={"by_reference": (update, add)}, receiving=receiving, by=3)
    assert party.groups[0].tree.leaf(1) == leaf
    _everybody_talks(party)
    party.commit(by=1)


def test_a_missing_reference_waits() -> None:
    party = found(3)
    _, content = party.groups[1].propose(Remove(2), random=party.clients[1].random)
    made = party.groups[0].commit(by_reference=(content,), random=party.clients[0].random)
    opened = party.groups[1].open_handshake(MLSMessage.decode(made.message))
    with pytest.raises(Pending):
        party.groups[1].stage(opened)
    assert party.groups[1].stage(opened, proposals={content.reference(party.clients[0].suite): content}).next


def test_external_psks_with_and_without_a_path() -> None:
    party = found(3)
    for path in (False, True):
        psk_id = PreSharedKeyID.external(b"psk", bytes((path,)) * 32)
        find = {psk_id: b"a secret"}.get
        made = party.groups[0].commit(
            [PreSharedKey(psk_id)], path=path, psks=find, random=party.clients[0].random
        )
        content = party.groups[1].open_handshake(MLSMessage.decode(made.message))
        assert content.content.commit is not None and (content.content.commit.path is not None) is path
        with pytest.raises(Pending):
            party.groups[1].stage(content)
        with pytest.raises(Invalid) as refused:
            party.groups[1].stage(content, psks=lambda psk_id: b"another secret")
        assert refused.value.rule is Rule.CONFIRMATION_TAG
        second = party.groups[1].stage(content, psks=find).next
        assert second is not None
        party.groups = [made.next, second, receive(party.groups[2], made.message, psks=find)]
        party.check_agreement()


def test_a_welcome_names_the_psks_of_its_commit() -> None:
    party = found(2)
    psk_id = PreSharedKeyID.external(b"psk", b"n" * 32)
    find = {psk_id: b"a secret"}.get
    newcomer = Client("newcomer")
    bundle = newcomer.bundle()
    made = party.commit(
        [PreSharedKey(psk_id), Add(bundle.key_package)],
        options={"psks": find},
        receiving=lambda index: {"psks": find},
    )
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    with pytest.raises(Pending):
        Group.join(welcome, bundle, newcomer.signature_private_key)
    group, _ = Group.join(welcome, bundle, newcomer.signature_private_key, psks=find)
    assert group.confirmation_tag == made.next.confirmation_tag


def test_group_context_extensions() -> None:
    party = found(3)
    extension = Extension(0x0006, b"\x00")
    party.commit([GroupContextExtensions((extension,))])
    assert party.groups[2].context.extensions == (extension,)
    _everybody_talks(party)


def test_a_committer_changes_its_signature_key_with_a_path() -> None:
    party = found(3)
    private_key, public_key = party.clients[1].suite.signature_generate(party.clients[1].random)
    party.commit(by=1, options={"signature_private_key": private_key})
    leaf = party.groups[0].tree.leaf(1)
    assert leaf is not None and leaf.signature_key == public_key
    _everybody_talks(party)


def test_messages_out_of_order_and_late() -> None:
    party = found(3)
    sender, receiver = party.groups[0], party.groups[1]
    messages = [sender.protect(b"%d" % number, random=party.clients[0].random) for number in range(6)]
    assert receiver.peek_generation(MLSMessage.decode(messages[5])) == (0, 5)
    for number in (4, 0, 2):
        assert open_text(receiver, messages[number]) == b"%d" % number
    assert receiver.application_progress(0) == (5, (1, 3))
    with pytest.raises(Invalid) as refused:
        open_text(receiver, messages[2])
    assert refused.value.rule is Rule.GENERATION_CONSUMED
    old = receiver
    party.commit(by=2)
    assert open_text(old, messages[3]) == b"3"
    assert open_text(old, messages[5]) == b"5"
    with pytest.raises(Invalid) as refused:
        open_text(party.groups[1], messages[1])
    assert refused.value.rule is Rule.WRONG_EPOCH


def test_a_superseded_epoch_sends_and_exports_nothing() -> None:
    party = found(2)
    old = party.groups[0]
    party.commit()
    for attempt in (
        lambda: old.protect(b"", random=party.clients[0].random),
        lambda: old.commit(random=party.clients[0].random),
        lambda: old.export("label", b"", 16),
        old.group_info,
    ):
        with pytest.raises(UsageError):
            attempt()
    assert old.secrets.holds("sender_data_secret")
    old.wipe()
    assert not old.secrets.holds("sender_data_secret")


def test_a_commit_leaves_the_epoch_whole_until_it_is_superseded() -> None:
    party = found(2)
    abandoned = party.groups[0].commit(random=party.clients[0].random)
    abandoned.next.wipe()
    _everybody_talks(party)
    party.commit(by=1)
    _everybody_talks(party)
