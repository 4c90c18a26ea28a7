"""The root key: replaced by whoever removes, never a second time; and what members check of an info (P-1, P-2, P-6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.extensions.external_members import bundle_of, group_extensions, open_group
from tests.mls.group_members import Party, Randomness, receive, refused

from starling.protocol.crypto.cipher_suite import CipherSuite, cipher_suite
from starling.protocol.errors import DecodeError, Invalid, VerificationFailed
from starling.protocol.extensions.private_external_info import (
    EXTERNAL_ENCRYPTION_INFO,
    ROOT_PRIVATE_SIGNATURE_KEY,
    ExternalEncryptionInfo,
    RootPrivateSignature,
    bundle_of_group_info,
    check_external_encryption_info,
    external_encryption_info,
    info_extension,
    info_item,
    info_of_aad,
    read_root_key,
    root_public_key,
)
from starling.protocol.extensions.private_external_rules import (
    MAX_USED_ROOT_KEYS,
    PrivateExternalRules,
    UsedRootKeys,
    check_root_key,
    new_root_key,
    replace_root_key,
)
from starling.protocol.extensions.rules import Rule
from starling.protocol.mls import (
    Add,
    AppDataDictionary,
    AppDataUpdate,
    Extension,
    GroupContextExtensions,
    GroupInfo,
    GroupRules,
    MLSMessage,
    Proposal,
    Remove,
    SafeAAD,
    SelfRemove,
)
from starling.protocol.mls.components import read_dictionary, with_dictionary
from starling.protocol.mls.extension import APP_DATA_DICTIONARY
from starling.protocol.mls.proposal import AppDataUpdateOperation
from starling.protocol.mls.safe_aad import read_safe_aad

SUITE = cipher_suite(1)
UPDATE = AppDataUpdateOperation.UPDATE


class Careless(PrivateExternalRules):
    """A committer that does not keep to P-6, to see the others refuse what it makes."""

    def check_proposals(self, *_: object) -> None:
        pass


def update(seed: bytes) -> AppDataUpdate:
    return replace_root_key(SUITE, Randomness(seed))


def refused_by_others(proposals: Sequence[Proposal], party: Party | None = None) -> object:
    """The rule by which a member refuses the commit of a careless one."""
    party = party or open_group(3)
    careless = party.groups[0]
    careless._epoch.rules = Careless()
    made = careless.commit(proposals, random=party.clients[0].random)
    return refused(lambda: receive(party.groups[1], made.message))


def test_a_removal_replaces_the_root_key_and_with_it_the_info() -> None:
    party = open_group(3)
    before = bundle_of(party.groups[0])
    party.clients.pop()
    gone = party.groups.pop()
    party.commit([Remove(2), update(b"new")])
    after = bundle_of(party.groups[0])
    assert after.info.root_public_signature_key != before.info.root_public_signature_key
    assert read_root_key(party.groups[1].context) == Randomness(b"new")(32)
    assert read_root_key(gone.context) == Randomness(b"root")(32)
    check_external_encryption_info(party.groups[1], after.info)


def test_a_removal_without_a_new_root_key_is_refused() -> None:
    party = open_group(3)
    assert refused(lambda: party.commit([Remove(2)])) is Rule.ROOT_KEY_REPLACED
    assert refused_by_others([Remove(2)]) is Rule.ROOT_KEY_REPLACED


def test_a_member_that_leaves_by_itself_is_removed_as_well() -> None:
    context = open_group(1).groups[0].context
    with pytest.raises(Invalid) as refusal:
        check_root_key(context, [SelfRemove()])
    assert refusal.value.rule is Rule.ROOT_KEY_REPLACED
    check_root_key(context, [SelfRemove(), update(b"new")])


def test_a_group_without_a_root_key_removes_as_ever() -> None:
    extensions = group_extensions(root=b"")
    dictionary = read_dictionary(extensions)
    assert dictionary is not None
    without = with_dictionary(extensions, dictionary.with_component(ROOT_PRIVATE_SIGNATURE_KEY, None))
    party = open_group(3, extensions=without)
    party.groups.pop()
    party.clients.pop()
    party.commit([Remove(2)])
    assert not party.groups[0].secrets.holds("external_encryption_secret")
    party.commit([update(b"first")])  # from here on it has one
    assert bundle_of(party.groups[1]).verify() is SUITE


def test_the_key_that_is_there_is_no_new_one() -> None:
    assert refused_by_others([Remove(2), update(b"root")]) is Rule.ROOT_KEY_NEW
    assert refused_by_others([update(b"root")]) is Rule.ROOT_KEY_NEW


def test_a_key_of_an_earlier_epoch_is_no_new_one() -> None:
    party = open_group(3)
    for group in party.groups:
        rules = group.rules
        assert isinstance(rules, PrivateExternalRules)
        assert rules.used_root_keys.note(group.context)
        assert not rules.used_root_keys.note(group.context)
    party.commit([update(b"second")])
    assert refused_by_others([Remove(2), update(b"root")], party) is Rule.ROOT_KEY_NEW
    unaware = UsedRootKeys()
    party.groups[1]._epoch.rules = PrivateExternalRules(unaware)
    made = party.groups[0].commit([Remove(2), update(b"root")], random=party.clients[0].random)
    assert receive(party.groups[1], made.message).epoch == 3  # who does not remember cannot know


def test_the_earlier_keys_are_bounded_and_saved_as_hashes() -> None:
    used = UsedRootKeys()
    context = open_group(1).groups[0].context
    used.note(context)
    (digest,) = used.hashes
    root = read_root_key(context)
    assert root is not None and digest == SUITE.hash(root_public_key(SUITE, root))
    full = UsedRootKeys(number.to_bytes(32) for number in range(MAX_USED_ROOT_KEYS))
    full.note(context)
    assert len(full.hashes) == MAX_USED_ROOT_KEYS and digest in full and bytes(32) not in full
    assert digest in UsedRootKeys(used.hashes)


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 33])
def test_what_is_no_private_key_is_refused(data: bytes) -> None:
    bad = AppDataUpdate(ROOT_PRIVATE_SIGNATURE_KEY, UPDATE, RootPrivateSignature(data).encode())
    assert refused_by_others([bad]) is Rule.ROOT_KEY


def test_what_is_no_root_private_signature_is_refused() -> None:
    party = open_group(1)
    trailing = new_root_key(SUITE, Randomness(b"new")) + b"\x00"
    with pytest.raises(DecodeError):
        party.commit([AppDataUpdate(ROOT_PRIVATE_SIGNATURE_KEY, UPDATE, trailing)])


def test_an_ecdsa_key_with_more_zeros_in_front_is_no_new_one() -> None:
    """One key has several encodings there, so the public halves are compared."""
    suite: CipherSuite = cipher_suite(2)
    party = open_group(2, 2)
    root = read_root_key(party.groups[0].context)
    assert root is not None
    longer = AppDataUpdate(ROOT_PRIVATE_SIGNATURE_KEY, UPDATE, RootPrivateSignature(bytes(4) + root).encode())
    assert refused(lambda: party.commit([longer])) is Rule.ROOT_KEY_NEW
    party.commit([replace_root_key(suite, Randomness(b"new"))])


def test_a_group_keeps_its_root_key_whatever_changes_it() -> None:
    removal = AppDataUpdate(ROOT_PRIVATE_SIGNATURE_KEY, AppDataUpdateOperation.REMOVE, None)
    assert refused_by_others([removal]) is Rule.ROOT_KEY_STAYS
    assert refused_by_others([update(b"one"), update(b"two")]) is Rule.ROOT_KEY_ONCE
    party = open_group(3)
    held = party.groups[0].context.extensions
    dictionary = read_dictionary(held)
    assert dictionary is not None

    def by_context(component: bytes | None) -> GroupContextExtensions:
        changed = dictionary.with_component(ROOT_PRIVATE_SIGNATURE_KEY, component)
        return GroupContextExtensions(with_dictionary(held, changed))

    assert refused_by_others([by_context(None)]) is Rule.ROOT_KEY_STAYS
    same = dictionary.get(ROOT_PRIVATE_SIGNATURE_KEY)
    assert refused_by_others([Remove(2), by_context(same)]) is Rule.ROOT_KEY_REPLACED
    fresh = new_root_key(SUITE, Randomness(b"fresh"))
    party.commit([Add(party.clients[0].__class__("newcomer").bundle().key_package), by_context(fresh)])
    assert read_root_key(party.groups[1].context) == Randomness(b"fresh")(32)


def test_rules_of_their_own_know_other_components_no_more_than_before() -> None:
    rules = PrivateExternalRules()
    assert rules.app_data_update(ROOT_PRIVATE_SIGNATURE_KEY, None, [b"data"]) == b"data"
    with pytest.raises(Invalid):
        rules.app_data_update(0x8123, None, [b"data"])
    assert isinstance(rules, GroupRules)


# what is given out


def test_members_know_the_info_of_their_epoch_and_no_other() -> None:
    party = open_group(2)
    mine, theirs = party.groups
    info = external_encryption_info(theirs)
    check_external_encryption_info(mine, info)
    other = replace(info, external_encryption_public_key=b"\x09" * 32)
    assert refused(lambda: check_external_encryption_info(mine, other)) is Rule.EXTERNAL_ENCRYPTION_KEY
    other = replace(info, cipher_suite=3)
    assert refused(lambda: check_external_encryption_info(mine, other)) is Rule.EXTERNAL_ENCRYPTION_KEY
    other = replace(info, root_public_signature_key=b"\x09" * 32)
    assert refused(lambda: check_external_encryption_info(mine, other)) is Rule.EXTERNAL_ENCRYPTION_ROOT
    with pytest.raises(VerificationFailed):
        check_external_encryption_info(mine, replace(info, external_encryption_signature=b"forged"))
    party.commit()
    assert (
        refused(lambda: check_external_encryption_info(party.groups[0], info)) is Rule.EXTERNAL_ENCRYPTION_KEY
    )


def test_the_info_rides_in_the_first_message_of_an_epoch() -> None:
    """P-1 b: the draft's place, one message later."""
    party = open_group(2, extensions=group_extensions(safe_aad=True))
    sender, receiver = party.groups
    items = SafeAAD.of(info_item(sender)).encode()
    message = sender.protect(b"hello", authenticated_data=items, random=party.clients[0].random)
    read = receiver.unprotect(MLSMessage.decode(message))
    info = info_of_aad(read_safe_aad(read.authenticated_data))
    assert info is not None
    check_external_encryption_info(receiver, info)
    assert info_of_aad(SafeAAD()) is None


def test_the_info_stands_in_a_group_info() -> None:
    """P-1 c."""
    group = open_group(1).groups[0]
    given = group.group_info((info_extension(group),))
    assert bundle_of_group_info(given) == bundle_of(group)
    none = group.group_info(())
    assert refused(lambda: bundle_of_group_info(none)) is Rule.EXTERNAL_ENCRYPTION_NONE
    info = external_encryption_info(group)

    def with_info(other: ExternalEncryptionInfo) -> GroupInfo:
        data = AppDataDictionary.of({EXTERNAL_ENCRYPTION_INFO: other.encode()}).encode()
        return group.group_info((Extension(APP_DATA_DICTIONARY, data),))

    assert bundle_of_group_info(with_info(info)) == bundle_of(group)
    for other, rule in (
        (replace(info, cipher_suite=3), Rule.EXTERNAL_ENCRYPTION_ROOT),
        (replace(info, root_public_signature_key=b"\x09" * 32), Rule.EXTERNAL_ENCRYPTION_ROOT),
    ):
        assert refused(bundle_of_group_info, with_info(other)) is rule
    with pytest.raises(VerificationFailed):
        bundle_of_group_info(with_info(replace(info, external_encryption_public_key=b"\x09" * 32)))
