"""Groups in which only leaf 0 sends: retained handshakes, replaced leaves, components (K-15, K-23, X-10)."""

from __future__ import annotations

import pytest
from tests.mls.group_members import COMPONENT, OwnerRules, ReplaceLeaf, dictionary, found, open_text, receive

from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls.components import read_component
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.proposal import (
    AppDataUpdate,
    AppDataUpdateOperation,
    AppEphemeral,
    PreSharedKey,
    Remove,
)
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.rules import Rule

RULES = OwnerRules()


def test_only_the_owner_sends() -> None:
    party = found(4, RULES)
    message = party.groups[0].protect(b"hello", random=party.clients[0].random)
    for group in party.groups[1:]:
        assert open_text(group, message) == b"hello"
    for attempt in (
        lambda: party.groups[1].protect(b"", random=party.clients[1].random),
        lambda: party.groups[1].commit(random=party.clients[1].random),
    ):
        with pytest.raises(UsageError) as refused:
            attempt()
        assert refused.value.code == "not_owner"
    with pytest.raises(Invalid) as deleted:
        party.groups[1].application_progress(1)
    assert deleted.value.rule is Rule.RATCHET_DELETED


def test_no_private_keys_of_parents_are_kept() -> None:
    party = found(5, RULES)
    party.commit()
    for group in party.groups:
        assert list(group._epoch.private_tree.export()) == [2 * group.own_leaf_index]


def test_psks_without_a_path_then_an_update() -> None:
    party = found(4, RULES)
    psk_id = PreSharedKeyID.external(b"psk", b"n" * 32)
    find = {psk_id: b"secret"}.get
    proposals = [PreSharedKey(psk_id), AppEphemeral(COMPONENT, b"because")]
    tree = party.groups[0].tree
    party.commit(proposals, options={"psks": find}, receiving=lambda index: {"psks": find})
    assert party.groups[3].tree == tree
    party.commit()
    assert party.groups[3].tree != tree


def test_the_proposals_are_seen_before_the_decision() -> None:
    party = found(2, RULES)
    made = party.groups[0].commit([AppEphemeral(COMPONENT, b"x")], random=party.clients[0].random)
    message = MLSMessage.decode(made.message)
    content = party.groups[1].open_handshake(message)
    assert content.content.commit is not None
    assert content.content.commit.proposals[0].proposal == AppEphemeral(COMPONENT, b"x")
    # Nothing was consumed: it opens again, in the same and in a loaded group.
    assert party.groups[1].open_handshake(message) == content
    assert party.groups[1].stage(content).next


def test_a_replaced_leaf_opens_the_path_with_its_new_key() -> None:
    party = found(5, RULES)
    leaf, private_key = party.clients[3].signed_leaf()
    keys = {leaf.encryption_key: private_key}
    made = party.groups[0].commit([ReplaceLeaf(3, leaf)], random=party.clients[0].random)
    content = party.groups[3].open_handshake(MLSMessage.decode(made.message))
    for without in (None, lambda key: None):
        with pytest.raises(UsageError) as refused:
            party.groups[3].stage(content, leaf_private_key=without)
        assert refused.value.code == "leaf_key_missing"
    staged = party.groups[3].stage(content, leaf_private_key=keys.get)
    assert staged.updated == (3,) and staged.added == ()
    assert staged.next is not None and staged.next.confirmation_tag == made.next.confirmation_tag
    others = [receive(party.groups[index], made.message) for index in (1, 2, 4)]
    party.groups = [made.next, others[0], others[1], staged.next, others[2]]
    party.check_agreement()
    party.commit()


def test_a_replacement_of_a_removed_or_the_committing_leaf_is_refused() -> None:
    party = found(4, RULES)
    leaf, _ = party.clients[3].signed_leaf()
    own, _ = party.clients[0].signed_leaf()
    for proposals in (
        [ReplaceLeaf(3, leaf), Remove(3)],
        [ReplaceLeaf(0, own)],
        [ReplaceLeaf(3, leaf), ReplaceLeaf(3, party.clients[3].signed_leaf()[0])],
    ):
        with pytest.raises(Invalid) as refused:
            party.groups[0].commit(proposals, random=party.clients[0].random)
        assert refused.value.rule is Rule.PROPOSAL_SAME_LEAF
    with pytest.raises(Invalid) as blank:
        party.groups[0].commit([ReplaceLeaf(7, leaf)], random=party.clients[0].random)
    assert blank.value.rule is Rule.PROPOSAL_CUSTOM


def test_app_data_updates_change_the_dictionary() -> None:
    party = found(3, RULES, (dictionary({COMPONENT: b"a", COMPONENT + 1: b"z"}),))
    update, remove = AppDataUpdateOperation.UPDATE, AppDataUpdateOperation.REMOVE
    party.commit([AppDataUpdate(COMPONENT, update, b"b"), AppDataUpdate(COMPONENT, update, b"c")])
    assert read_component(party.groups[2].context.extensions, COMPONENT) == b"abc"
    party.commit([AppDataUpdate(COMPONENT + 1, remove, None)])
    assert read_component(party.groups[2].context.extensions, COMPONENT + 1) is None
    assert read_component(party.groups[2].context.extensions, COMPONENT) == b"abc"
    refusals = {
        Rule.APP_DATA_ABSENT: [AppDataUpdate(COMPONENT + 1, remove, None)],
        Rule.APP_DATA_LIST: [AppDataUpdate(COMPONENT, remove, None), AppDataUpdate(COMPONENT, update, b"")],
    }
    for rule, proposals in refusals.items():
        with pytest.raises(Invalid) as refused:
            party.groups[0].commit(proposals, random=party.clients[0].random)
        assert refused.value.rule is rule


def test_a_superseded_epoch_reads_late_messages_and_has_no_other_child() -> None:
    party = found(3, RULES)
    parent = party.groups[1]
    first = party.groups[0].commit(random=party.clients[0].random)
    second = party.groups[0].commit(handshake_generation=777, random=party.clients[0].random)
    assert parent.peek_generation(MLSMessage.decode(first.message)) == (0, 0)
    assert parent.peek_generation(MLSMessage.decode(second.message)) == (0, 777)
    message = party.groups[0].protect(b"late", random=party.clients[0].random)
    one = receive(parent, first.message)
    assert receive(parent, second.message).confirmation_tag == second.next.confirmation_tag
    parent.supersede(one)
    for name in ("exporter_secret", "resumption_psk", "init_secret"):
        assert not parent.secrets.holds(name)
    with pytest.raises(UsageError):
        receive(parent, second.message)
    assert open_text(parent, message) == b"late"
    with pytest.raises(Invalid):
        open_text(parent, message)
    with pytest.raises(Invalid) as refused:
        party.groups[0].commit(handshake_generation=1000, random=party.clients[0].random)
    assert refused.value.rule is Rule.HANDSHAKE_GENERATION


def test_a_plain_group_does_not_choose_handshake_generations() -> None:
    party = found(2)
    with pytest.raises(UsageError):
        party.groups[0].commit(handshake_generation=3, random=party.clients[0].random)
