"""Groups that were saved go on where they were, at every point."""

from __future__ import annotations

import pytest
from tests.mls.group_members import OwnerRules, Party, found, open_text

from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.errors import DecodeError, Invalid, UsageError
from starling.protocol.mls.extension import KOH_KEY_SCHEDULE, Extension
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import RFC_RULES, GroupRules
from starling.protocol.mls.key_schedule import KeySchedule
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.rules import Rule


def _reload(party: Party, rules: GroupRules) -> None:
    party.groups = [Group.load(group.save(), group.save_ratchets(), rules=rules) for group in party.groups]


@pytest.mark.parametrize("rules", [RFC_RULES, OwnerRules()])
def test_save_and_load_between_all_steps(rules: GroupRules) -> None:
    party = found(4, rules)
    for number in range(3):
        _reload(party, rules)
        message = party.groups[0].protect(b"%d" % number, random=party.clients[0].random)
        _reload(party, rules)
        for group in party.groups[1:]:
            assert open_text(group, message) == b"%d" % number
        _reload(party, rules)
        party.commit()
    for group in party.groups:
        again = Group.load(group.save(), group.save_ratchets(), rules=rules)
        assert again.save() == group.save()
        assert again.save_ratchets() == group.save_ratchets()
        assert again.own_leaf_index == group.own_leaf_index


def test_what_was_consumed_stays_consumed_and_what_was_skipped_stays_open() -> None:
    rules = OwnerRules()
    party = found(2, rules)
    messages = [party.groups[0].protect(b"%d" % n, random=party.clients[0].random) for n in range(4)]
    open_text(party.groups[1], messages[2])
    _reload(party, rules)
    assert party.groups[0].application_generation == 4
    assert party.groups[1].application_progress(0) == (3, (0, 1))
    with pytest.raises(Invalid) as refused:
        open_text(party.groups[1], messages[2])
    assert refused.value.rule is Rule.GENERATION_CONSUMED
    assert open_text(party.groups[1], messages[0]) == b"0"


def test_a_superseded_epoch_is_saved_without_what_it_deleted() -> None:
    rules = OwnerRules()
    party = found(3, rules, (Extension(KOH_KEY_SCHEDULE, b""),), key_schedule=PUNCTURED)
    parent = party.groups[1]
    sibling = party.groups[0].commit(handshake_generation=5, random=party.clients[0].random)
    exporter = parent.secrets.exporter_secret
    signing = party.clients[1].signature_private_key
    party.commit()
    record = parent.save()
    assert exporter not in record and signing not in record
    loaded = Group.load(record, parent.save_ratchets(), rules=rules, key_schedule=PUNCTURED)
    content = loaded.open_handshake(MLSMessage.decode(sibling.message))
    staged = loaded.stage(content, signature_private_key=signing)
    assert staged.next is not None and staged.next.confirmation_tag == sibling.next.confirmation_tag
    with pytest.raises(UsageError):
        loaded.export("label", b"", 16)


def test_the_ratchets_of_a_send_group_are_small() -> None:
    party = found(12, OwnerRules())
    assert max(len(group.save_ratchets()) for group in party.groups) < 200


def test_loading_is_strict() -> None:
    party = found(2)
    record, ratchets = party.groups[0].save(), party.groups[0].save_ratchets()
    for bad in (record[:-1], record + b"\x00", b"\x00\x02" + record[2:], b"\x00\x03" + record[2:], b""):
        with pytest.raises(DecodeError):
            Group.load(bad, ratchets)
    with pytest.raises(DecodeError):
        Group.load(record, ratchets + b"\x00")

    class Other(KeySchedule):
        name = "other"

    with pytest.raises(UsageError):
        Group.load(record, ratchets, key_schedule=Other())


def test_nothing_secret_is_printed() -> None:
    party = found(2)
    group = party.groups[0]
    shown = repr(group) + repr(group.secrets) + repr(group._epoch) + repr(party.commit())
    assert party.clients[0].signature_private_key.hex() not in shown
    assert repr(party.clients[0].signature_private_key) not in shown
