"""What an extension derives of an epoch lives and goes with the secrets of the epoch."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.mls.group_members import OwnerRules, found

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.errors import UsageError
from starling.protocol.mls import key_schedule
from starling.protocol.mls.derivation import Derivation
from starling.protocol.mls.extension import KOH_KEY_SCHEDULE, Extension
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext

FORKING = (Extension(KOH_KEY_SCHEDULE, b""),)


def _of_the_epoch(
    suite: CipherSuite, context: GroupContext, epoch_secret: bytes, _: bytes
) -> dict[str, bytes]:
    return {"of the head": suite.derive_secret(epoch_secret, "head") + context.epoch.to_bytes(8)}


def _exported(suite: CipherSuite, _: GroupContext, __: bytes, exporter_secret: bytes) -> Mapping[str, bytes]:
    return {"lasting": key_schedule.export(suite, exporter_secret, "lasting", b"", 32)}


class DerivingRules(OwnerRules):
    derivations = (
        Derivation(frozenset({"of the head", "never derived"}), _of_the_epoch),
        Derivation(frozenset({"lasting"}), _exported, outlives_head=True),
    )


RULES = DerivingRules()


def test_all_members_derive_the_same_in_every_epoch() -> None:
    party = found(3, RULES, FORKING, key_schedule=PUNCTURED)
    seen = set()
    for _ in range(3):
        values = {(group.secrets.get("of the head"), group.secrets.get("lasting")) for group in party.groups}
        assert len(values) == 1
        assert next(iter(values))[1] == party.groups[2].export("lasting", b"", 32)
        seen |= values
        party.commit()
    assert len(seen) == 3


def test_it_is_saved_superseded_and_wiped_with_the_epoch() -> None:
    party = found(2, RULES, FORKING, key_schedule=PUNCTURED)
    group = party.groups[1]
    head, lasting = group.secrets.get("of the head"), group.secrets.get("lasting")
    assert head in group.save() and lasting in group.save()

    group = Group.load(group.save(), group.save_ratchets(), rules=RULES, key_schedule=PUNCTURED)
    assert (group.secrets.get("of the head"), group.secrets.get("lasting")) == (head, lasting)
    party.groups[1] = group
    party.commit()
    assert group.secrets.get("lasting") == lasting
    with pytest.raises(UsageError):
        group.secrets.get("of the head")
    assert head not in group.save() and lasting in group.save()

    assert group.secrets.forget({"lasting", "of the head"})
    assert not group.secrets.forget({"lasting"})
    assert lasting not in group.save()

    child = party.groups[1]
    child.wipe()
    assert not child.secrets.holds("of the head") and not child.secrets.holds("lasting")


def test_nothing_of_it_stays_where_nothing_can_be_read_any_more() -> None:
    party = found(2, RULES, FORKING, key_schedule=PUNCTURED)
    group = party.groups[0]
    made = group.commit(random=party.clients[0].random)
    group.supersede(made.next, keep_handshake=False)
    assert not group.secrets.holds("lasting")
