"""Groups that follow another: resumption PSKs, reinitialization and branches (RFC 9420 §8.6, §11.2, §11.3)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from tests.mls.group_members import Client, Party, dictionary, found, open_text, receive, refused

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.crypto.secret import Secret
from starling.protocol.errors import Pending, Unsupported, UsageError, VerificationFailed
from starling.protocol.mls.components import SAFE_AAD, ComponentsList
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, Extension
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_record import GroupRecord
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.past_epochs import PastEpoch, PastEpochs
from starling.protocol.mls.proposal import Add, PreSharedKey, ReInit, Remove
from starling.protocol.mls.psk import PreSharedKeyID, ResumptionPSKUsage, psk_secret
from starling.protocol.mls.rules import Rule
from starling.protocol.mls.safe_aad import EMPTY
from starling.protocol.mls.welcome import Welcome, create_welcome, open_group_secrets

NONCE = b"n" * 32
EXTENSIONS = (Extension(APP_DATA_DICTIONARY, b"\x00"),)


def _keeper(group: Group, limit: int = 8) -> PastEpochs:
    keeper = PastEpochs(limit)
    keeper.add(group.past_epoch())
    return keeper


def _join(
    made: CommitResult, bundle: KeyPackageBundle, client: Client, old: Group | PastEpoch | None
) -> Group:
    assert made.welcome is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    keeper = PastEpochs()
    if old is not None:
        keeper.add(old.past_epoch() if isinstance(old, Group) else old)
    return Group.join(welcome, bundle, client.signature_private_key, past_epochs=keeper.find)[0]


def _founder(client: Client) -> dict[str, Any]:
    leaf, private_key = client.signed_leaf()
    return {
        "leaf_node": leaf,
        "encryption_private_key": private_key,
        "signature_private_key": client.signature_private_key,
        "random": client.random,
    }


def _branch(party: Party, bundles: list[KeyPackageBundle], *, by: int = 0) -> CommitResult:
    return party.groups[by].branch(
        b"branch",
        [bundle.key_package for bundle in bundles],
        **_founder(party.clients[by]),
    )


def _reinitialize(group: Group, client: Client, bundles: list[KeyPackageBundle]) -> CommitResult:
    return group.reinitialize(
        [bundle.key_package for bundle in bundles],
        **_founder(client),
    )


# resumption PSKs of usage application


def test_a_resumption_psk_of_a_past_epoch() -> None:
    party = found(3)
    keepers = [_keeper(group) for group in party.groups]
    party.commit()
    psk_id = PreSharedKeyID.resumption(ResumptionPSKUsage.APPLICATION, b"group", 1, NONCE)
    party.commit(
        [PreSharedKey(psk_id)],
        options={"psks": keepers[0].psk},
        receiving=lambda index: {"psks": keepers[index].psk},
    )
    made = party.groups[0].commit([PreSharedKey(psk_id)], psks=keepers[0].psk, random=os.urandom)
    with pytest.raises(Pending):
        receive(party.groups[1], made.message)


def test_the_keeper_is_bounded_and_wipes() -> None:
    party = found(2)
    keeper = PastEpochs(limit=2)
    kept = []
    for _ in range(3):
        kept.append(party.groups[0].past_epoch())
        keeper.add(kept[-1])
        party.commit()
    assert kept[0].resumption_psk.is_wiped and not kept[1].resumption_psk.is_wiped
    assert keeper.find(b"group", 1) is None and keeper.find(b"group", 2) is kept[1]
    assert keeper.psk(PreSharedKeyID.external(b"group", NONCE)) is None
    keeper.forget(b"group")
    assert kept[2].resumption_psk.is_wiped and keeper.find(b"group", 3) is None
    assert bytes(32).hex() not in repr(PastEpoch(kept[0].context, (), None, Secret(bytes(32))))


def test_a_superseded_epoch_gives_no_resumption_psk() -> None:
    party = found(2)
    old = party.groups[0]
    party.commit()
    with pytest.raises(UsageError):
        old.past_epoch()


@pytest.mark.parametrize("usage", [ResumptionPSKUsage.REINIT, ResumptionPSKUsage.BRANCH, 0, 9])
def test_other_usages_are_not_proposed_in_a_group(usage: int) -> None:
    party = found(2)
    psk = PreSharedKey(PreSharedKeyID.resumption(usage, b"group", 1, NONCE))
    assert (
        refused(lambda: party.groups[0].commit([psk], psks=lambda psk_id: NONCE, random=os.urandom))
        is Rule.PROPOSAL_PSK_USAGE
    )


# branches


def test_a_branch_of_some_members() -> None:
    party = found(4, extensions=EXTENSIONS)
    bundles = [party.clients[index].bundle() for index in (1, 3)]
    made = _branch(party, bundles)
    joined = [
        _join(made, bundle, party.clients[index], party.groups[index])
        for bundle, index in zip(bundles, (1, 3), strict=True)
    ]
    new = Party([party.clients[index] for index in (0, 1, 3)], [made.next, *joined])
    new.check_agreement()
    assert made.next.context.extensions == EXTENSIONS and made.next.epoch == 1
    for by in range(3):
        new.commit(by=by)
    party.commit()


def test_a_group_with_safe_aad_is_branched_and_reinitialized() -> None:
    """The initial commit is framed as the new group asks, though nobody but its maker sees it."""
    safe = dictionary({SAFE_AAD: ComponentsList().encode()})
    client = Client("client")
    group = client.create(extensions=(safe,))
    party = Party([client], [group])
    assert _branch(party, []).next.epoch == 1
    reinit = ReInit(b"next", 1, 1, (safe,))
    ended = group.commit([reinit], authenticated_data=EMPTY, random=os.urandom).next
    assert _reinitialize(ended, client, []).next.group_id == b"next"


def test_a_branch_needs_the_group_before_it() -> None:
    party = found(3)
    bundle = party.clients[1].bundle()
    made = _branch(party, [bundle])
    with pytest.raises(Pending):
        _join(made, bundle, party.clients[1], None)
    past = party.groups[1].past_epoch()
    other_psk = replace(past, resumption_psk=Secret(bytes(32)))
    with pytest.raises(VerificationFailed):
        _join(made, bundle, party.clients[1], other_psk)
    assert _join(made, bundle, party.clients[1], past)
    other_suite = replace(past, context=replace(past.context, cipher_suite=3))
    assert refused(lambda: _join(made, bundle, party.clients[1], other_suite)) is Rule.BRANCH_PARAMETERS
    without = replace(past, members=past.members[1:])
    assert refused(lambda: _join(made, bundle, party.clients[1], without)) is Rule.BRANCH_MEMBERS


def test_a_branch_holds_only_members() -> None:
    party = found(2)
    stranger = Client("stranger").bundle()
    assert refused(lambda: _branch(party, [stranger])) is Rule.BRANCH_MEMBERS


# reinitialization


def _reinit(suite: int = 3, **changes: Any) -> ReInit:
    return replace(ReInit(b"next", 1, suite, EXTENSIONS), **changes)


def _ended(count: int = 3, reinit: ReInit | None = None) -> Party:
    party = found(count)
    party.commit([reinit or _reinit()], options={"path": False})
    return party


def test_a_group_is_reinitialized_with_another_suite() -> None:
    party = _ended()
    assert all(group.reinit == _reinit() for group in party.groups)
    successors = [Client(client.name, cipher_suite(3)) for client in party.clients]
    bundles = [client.bundle() for client in successors[:1] + successors[2:]]
    # Another member than the one that committed goes on.
    made = _reinitialize(party.groups[1], successors[1], bundles)
    joined = [
        _join(made, bundle, successors[index], party.groups[index])
        for bundle, index in zip(bundles, (0, 2), strict=True)
    ]
    new = Party([successors[index] for index in (1, 0, 2)], [made.next, *joined])
    new.check_agreement()
    context = made.next.context
    assert (context.group_id, context.cipher_suite, context.epoch) == (b"next", 3, 1)
    new.commit(by=2)
    message = new.groups[0].protect(b"we are here", random=os.urandom)
    assert open_text(new.groups[1], message) == b"we are here"


def test_a_reinit_of_another_member_is_committed_by_reference() -> None:
    party = found(3)
    _, proposed = party.groups[2].propose(_reinit(), random=os.urandom)
    made = party.groups[0].commit(by_reference=[proposed], random=os.urandom)
    opened = party.groups[1].open_handshake(MLSMessage.decode(made.message))
    reference = proposed.reference(party.groups[1].cipher_suite)
    staged = party.groups[1].stage(opened, proposals={reference: proposed})
    assert staged.reinit == _reinit() == made.next.reinit


def test_nothing_is_sent_or_taken_after_a_reinit() -> None:
    party = _ended()
    group, random = party.groups[0], party.clients[0].random
    for attempt in (
        lambda: group.protect(b"", random=random),
        lambda: group.commit(random=random),
        lambda: group.propose(Remove(1), random=random),
        group.group_info,
    ):
        with pytest.raises(UsageError) as refusal:
            attempt()
        assert refusal.value.code == "reinitialized"
    # A member that goes on all the same.
    record = replace(GroupRecord.decode(party.groups[1].save()), version=1, reinit=None)
    rogue = Group.load(record.encode(), party.groups[1].save_ratchets())
    text = MLSMessage.decode(rogue.protect(b"", random=os.urandom))
    commit = rogue.commit(random=os.urandom)
    assert refused(lambda: group.unprotect(text)) is Rule.REINIT_LAST
    assert refused(lambda: group.open_handshake(MLSMessage.decode(commit.message))) is Rule.REINIT_LAST
    assert refused(lambda: group.stage(commit.content)) is Rule.REINIT_LAST


def test_the_reinit_is_saved_with_the_group() -> None:
    party = _ended()
    group = party.groups[2]
    loaded = Group.load(group.save(), group.save_ratchets())
    assert loaded.reinit == _reinit() and loaded.save() == group.save()
    bundles = [Client(client.name, cipher_suite(3)).bundle() for client in party.clients[:2]]
    assert _reinitialize(loaded, Client("client 2", cipher_suite(3)), bundles).next.epoch == 1


def test_all_members_of_the_old_group_are_in_the_new_one() -> None:
    party = _ended()
    successors = [Client(client.name, cipher_suite(3)) for client in party.clients]
    bundles = [client.bundle() for client in successors[1:]]
    assert refused(lambda: _reinitialize(party.groups[0], successors[0], bundles[:1])) is Rule.REINIT_MEMBERS
    made = _reinitialize(party.groups[0], successors[0], bundles)
    past = party.groups[1].past_epoch()
    stranger = Client("stranger").signed_leaf()[0]
    more = replace(past, members=(*past.members, stranger))
    assert refused(lambda: _join(made, bundles[0], successors[1], more)) is Rule.REINIT_MEMBERS


def test_the_new_group_is_what_the_reinit_says() -> None:
    party = _ended(2)
    successor = Client("client 1", cipher_suite(3))
    bundle = successor.bundle()
    made = _reinitialize(party.groups[0], Client("client 0", cipher_suite(3)), [bundle])
    past = party.groups[1].past_epoch()
    for changes in ({"group_id": b"other"}, {"version": 2}, {"cipher_suite": 1}, {"extensions": ()}):
        other = replace(past, reinit=_reinit(**changes))
        assert refused(_join, made, bundle, successor, other) is Rule.REINIT_PARAMETERS
    assert (
        refused(lambda: _join(made, bundle, successor, replace(past, reinit=None))) is Rule.REINIT_COMMITTED
    )
    assert _join(made, bundle, successor, past).group_id == b"next"


def test_what_cannot_be_founded() -> None:
    with pytest.raises(UsageError) as refusal:
        _reinitialize(found(1).groups[0], Client("client 0"), [])
    assert refusal.value.code == "not_reinitialized"
    for reinit in (_reinit(version=2), _reinit(cipher_suite=0x0A0A)):
        with pytest.raises(Unsupported):
            _reinitialize(_ended(1, reinit).groups[0], Client("client 0"), [])


# Welcomes to successors


def test_a_successor_is_joined_in_epoch_one() -> None:
    """A Welcome to a later epoch that still claims to be that of a branch."""
    party = found(3)
    bundle = party.clients[1].bundle()
    made = _branch(party, [])
    later = made.next.commit(random=os.urandom).next
    psk_id = PreSharedKeyID.resumption(ResumptionPSKUsage.BRANCH, b"group", 1, NONCE)
    past = party.groups[0].past_epoch()
    # Usage branch is refused in a commit, so the founder founds again, from a group of epoch 1.
    forged = _forged_add(later, bundle, [psk_id], past)
    assert refused(lambda: _join(forged, bundle, party.clients[1], past)) is Rule.SUCCESSOR_EPOCH


def test_one_link_to_one_group() -> None:
    party = found(3)
    bundle = party.clients[1].bundle()
    made = _branch(party, [])
    past = party.groups[0].past_epoch()
    links = [
        PreSharedKeyID.resumption(usage, b"group", 1, NONCE)
        for usage in (ResumptionPSKUsage.BRANCH, ResumptionPSKUsage.REINIT)
    ]
    forged = _forged_add(made.next, bundle, links, past)
    assert refused(lambda: _join(forged, bundle, party.clients[1], past)) is Rule.WELCOME_PSKS


def test_psks_of_a_welcome_are_well_formed() -> None:
    party = found(3)
    bundle = party.clients[1].bundle()
    made = _branch(party, [])
    past = party.groups[0].past_epoch()
    good = PreSharedKeyID.resumption(ResumptionPSKUsage.BRANCH, b"group", 1, NONCE)
    cases = {
        Rule.PROPOSAL_PSK_TWICE: [
            good,
            PreSharedKeyID.external(b"a", NONCE),
            PreSharedKeyID.external(b"a", NONCE),
        ],
        Rule.PROPOSAL_PSK_NONCE: [replace(good, psk_nonce=b"short")],
        Rule.PROPOSAL_PSK_USAGE: [replace(good, usage=9)],
    }
    for rule, psk_ids in cases.items():
        forged = _forged_add(made.next, bundle, psk_ids, past)
        assert refused(_join, forged, bundle, party.clients[1], past) is rule


def _forged_add(
    group: Group, bundle: KeyPackageBundle, psk_ids: list[PreSharedKeyID], past: PastEpoch
) -> CommitResult:
    """An Add whose Welcome names these PSKs, whatever the commit holds."""
    suite = group.cipher_suite
    honest = PreSharedKeyID.external(b"honest", NONCE)
    made = group.commit(
        [PreSharedKey(honest), Add(bundle.key_package)],
        psks={honest: bytes(past.resumption_psk)}.get,
        path=False,
        random=os.urandom,
    )
    assert made.welcome is not None and made.group_info is not None
    welcome = MLSMessage.decode(made.welcome).body
    assert isinstance(welcome, Welcome)
    joiner_secret = open_group_secrets(suite, welcome, bundle).joiner_secret
    known = [(psk_id, bytes(past.resumption_psk)) for psk_id in psk_ids]
    forged = create_welcome(
        suite,
        made.group_info,
        joiner_secret,
        psk_secret(suite, known),
        psk_ids,
        {1: bundle.key_package},
        lambda leaf_index: None,
        os.urandom,
    )
    return replace(made, welcome=MLSMessage.of(forged).encode())
