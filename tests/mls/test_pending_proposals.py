"""Which of the pending proposals are committed together (RFC 9420 §12.2)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, Party, found

from starling.protocol.errors import Invalid, Pending, UsageError
from starling.protocol.mls import pending_proposals
from starling.protocol.mls.apply_proposals import apply_proposals
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.leaf_node import UPDATE, Lifetime
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.pending_proposals import PendingProposals
from starling.protocol.mls.proposal import (
    Add,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.rules import Rule


@pytest.fixture(scope="module")
def party() -> Party:
    """A group in which no test makes progress."""
    return found(4)


def _propose(party: Party, by: int, proposal: Proposal) -> AuthenticatedContent:
    return party.groups[by].propose(proposal, random=os.urandom)[1]


def _update(party: Party, by: int) -> AuthenticatedContent:
    return _propose(party, by, Update(party.clients[by].update_leaf(party.groups[by])[0]))


def _psk(psk_id: bytes) -> PreSharedKey:
    return PreSharedKey(PreSharedKeyID.external(psk_id, b"n" * 32))


def test_everything_that_goes_together_is_committed_and_followed() -> None:
    party = found(4)
    newcomer = Client("newcomer")
    contents = [
        _update(party, 1),
        _propose(party, 2, Remove(3)),
        _propose(party, 1, Add(newcomer.bundle().key_package)),
    ]
    pending = PendingProposals(party.groups[0].cipher_suite)
    for content in contents:
        pending.add(content)
    assert len(pending) == 3 and party.groups[0].committable(pending.contents) == tuple(contents)
    made = party.groups[0].commit(
        by_reference=party.groups[0].committable(pending.contents), random=os.urandom
    )
    opened = party.groups[2].open_handshake(MLSMessage.decode(made.message))
    staged = party.groups[2].stage(opened, proposals=pending.received)
    assert staged.next is not None and staged.next.confirmation_tag == made.next.confirmation_tag
    assert (staged.added, staged.removed, staged.updated) == ((3,), (3,), (1,))


def test_of_proposals_for_one_leaf_one_is_left(party: Party) -> None:
    group = party.groups[0]
    first, second, removal = _update(party, 1), _update(party, 1), _propose(party, 2, Remove(1))
    again = _propose(party, 3, Remove(1))
    assert group.committable([first, second]) == (second,)
    assert group.committable([removal, first, again]) == (removal,)


def test_a_leaf_with_the_key_of_another_node_does_not_stop_a_commit(party: Party) -> None:
    """An Update or Add may be right by itself, and not in this tree."""
    group, client = party.groups[0], party.clients[1]
    other = group.tree.leaf(2)
    assert other is not None
    leaf = replace(client.leaf(UPDATE)[0], encryption_key=other.encryption_key)
    update = Update(leaf.sign(group.cipher_suite, client.signature_private_key, group.group_id, 1))
    bad, good = _propose(party, 1, update), _update(party, 3)
    assert group.committable([bad, good]) == (good,)
    assert group.commit(by_reference=group.committable([bad, good]), random=os.urandom)


def test_what_concerns_the_committer_is_left_to_others(party: Party) -> None:
    group = party.groups[0]
    removal = _propose(party, 1, Remove(0))
    assert group.committable([_update(party, 0), removal]) == ()
    assert party.groups[2].committable([removal]) == (removal,)


def test_a_reinit_is_committed_only_alone(party: Party) -> None:
    reinit = _propose(party, 1, ReInit(b"next", 1, 1, ()))
    removal = _propose(party, 2, Remove(3))
    assert party.groups[0].committable([reinit, removal]) == (removal,)
    assert party.groups[0].committable([reinit]) == (reinit,)


def test_what_is_committed_by_value_goes_first(party: Party) -> None:
    group = party.groups[0]
    reinit = _propose(party, 1, ReInit(b"next", 1, 1, ()))
    removal, update = _propose(party, 2, Remove(3)), _update(party, 1)
    contents = [reinit, removal, update]
    assert group.committable(contents, [Remove(3)]) == (update,)
    assert group.committable(contents, [ReInit(b"other", 1, 1, ())]) == ()
    assert group.committable([reinit], [Remove(3)]) == ()


def test_of_equal_kinds_the_latest_is_left(party: Party) -> None:
    contexts = [_propose(party, by, GroupContextExtensions(())) for by in (1, 2)]
    adds = [_propose(party, 1, Add(Client("newcomer").bundle().key_package)) for _ in range(2)]
    assert party.groups[0].committable([*contexts, *adds]) == (contexts[1], adds[1])


def test_what_is_invalid_or_lacks_its_psk_is_left_out(party: Party) -> None:
    group, now = party.groups[0], 10**12
    expired = Client("expired").bundle(lifetime=Lifetime(10, 20)).key_package
    contents = [
        _propose(party, 1, Remove(9)),
        _propose(party, 1, _psk(b"known")),
        _propose(party, 2, _psk(b"unknown")),
        _propose(party, 2, Add(expired)),
        _propose(party, 2, Remove(3)),
    ]

    def find(psk_id: PreSharedKeyID) -> bytes | None:
        return b"a secret" if psk_id.psk_id == b"known" else None

    assert group.committable(contents, psks=find, now=now) == (contents[1], contents[4])


def test_many_invalid_ones_do_not_make_a_commit_expensive(
    party: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [_propose(party, 1, Remove(leaf_index)) for leaf_index in range(9, 109)]
    good = [_propose(party, 2, _psk(b"known")), _propose(party, 2, Remove(3))]
    trials = []

    def counted(*arguments: Any, **options: Any) -> object:
        trials.append(arguments)
        return apply_proposals(*arguments, **options)

    monkeypatch.setattr(pending_proposals, "apply_proposals", counted)
    group = party.groups[0]
    assert group.committable([*good, *bad[:3]], psks=lambda psk_id: b"a secret") == tuple(good)
    trials.clear()
    group.committable([*bad, *good], psks=lambda psk_id: b"a secret")
    assert len(trials) == pending_proposals.MAX_TRIALS


def test_the_keeper_is_bounded(party: Party) -> None:
    pending = PendingProposals(party.groups[0].cipher_suite, limit=2)
    contents = [_propose(party, 1, _psk(b"%d" % number)) for number in range(3)]
    references = [pending.add(content) for content in contents[:2]]
    assert pending.add(contents[0]) == references[0] and list(pending.received) == references
    with pytest.raises(Pending):
        pending.add(contents[2])
    with pytest.raises(UsageError):
        pending.add(party.groups[0].commit(random=os.urandom).content)


def test_a_key_package_is_validated_before_it_is_proposed(party: Party) -> None:
    brief = Client("brief").bundle(lifetime=Lifetime(10, 20)).key_package
    with pytest.raises(Invalid) as refusal:
        party.groups[0].propose(Add(brief), now=21_000, random=os.urandom)
    assert refusal.value.rule is Rule.LEAF_NODE_LIFETIME
    assert party.groups[0].propose(Add(brief), now=20_000, random=os.urandom)
