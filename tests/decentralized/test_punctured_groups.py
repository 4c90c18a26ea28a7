"""Groups with the key schedule of Decentralized MLS: several children of an epoch, each entered once (K-1 to K-8)."""

from __future__ import annotations

import pytest
from tests.mls.group_members import OwnerRules, Party, found, open_text, receive
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PUNCTURED
from starling.protocol.errors import Invalid, UsageError
from starling.protocol.mls import Extension, Group, GroupContextExtensions, MLSMessage, Rule
from starling.protocol.mls.extension import KOH_KEY_SCHEDULE
from starling.protocol.mls.key_schedule import RFC9420

RULES = OwnerRules()
NAMED = (Extension(KOH_KEY_SCHEDULE, b""),)


def owned(count: int) -> Party:
    """A group with the schedule, in which only the first speaks."""
    return found(count, RULES, NAMED, key_schedule=PUNCTURED)


def again(group: Group) -> Group:
    return Group.load(group.save(), group.save_ratchets(), rules=RULES, key_schedule=PUNCTURED)


def test_known_answers() -> None:
    suite = cipher_suite(1)
    vector = load_vectors("dmls/dmls-suite1.json")["schedule"]
    context = bytes.fromhex(vector["group_context_n"])
    for path_secret, expected in (
        (bytes.fromhex(vector["path_secret_n"]), vector),
        (None, vector["pathless"]),
    ):
        secrets = PUNCTURED.enter(suite, bytes.fromhex(vector["epoch_secret"]))
        assert secrets.extra[DMLS_EPOCH].hex() == vector["dmls_epoch"]
        init_input = PUNCTURED.init_input(suite, path_secret, context)
        assert init_input.hex() == expected["pprf_input"]
        assert PUNCTURED.init_secret(suite, secrets, init_input).hex() == expected["init_secret_n"]


def test_every_sibling_of_a_commit_can_be_entered_once_and_late_messages_read() -> None:
    party = owned(3)
    owner, parent = party.groups[:2]
    random = party.clients[0].random
    made = [owner.commit(handshake_generation=number, random=random) for number in (0, 7, 777)]
    late = owner.protect(b"late", random=random)
    entered = []
    for commit in made:
        child = receive(parent, commit.message)
        assert child.confirmation_tag == commit.next.confirmation_tag
        parent.supersede(child)
        entered.append(child)
        parent = again(parent)
    assert len({child.secrets.extra[DMLS_EPOCH] for child in entered}) == 3
    for commit in made:
        with pytest.raises(UsageError) as refused:
            receive(parent, commit.message)
        assert refused.value.code == "punctured"
    assert open_text(parent, late) == b"late"


def test_children_go_on_apart() -> None:
    party = owned(2)
    owner, other = party.groups
    random = party.clients[0].random
    branches = [owner.commit(handshake_generation=number, random=random) for number in (0, 1)]
    for branch in branches:
        entered = receive(other, branch.message)
        other.supersede(entered)
        further = branch.next.commit(random=random)
        assert receive(entered, further.message).confirmation_tag == further.next.confirmation_tag


def test_a_commit_that_proves_wrong_punctures_nothing() -> None:
    party = owned(2)
    owner, other = party.groups
    commit = owner.commit(random=party.clients[0].random)
    content = other.open_handshake(MLSMessage.decode(commit.message))
    before = other.save()
    object.__setattr__(content.auth, "confirmation_tag", bytes(32))
    with pytest.raises(Invalid) as refused:
        other.stage(content)
    assert refused.value.rule is Rule.CONFIRMATION_TAG
    assert other.save() == before
    assert receive(other, commit.message).confirmation_tag == commit.next.confirmation_tag


def test_what_is_stored_of_a_superseded_epoch_does_not_lead_to_the_child() -> None:
    party = owned(2)
    owner, other = party.groups
    suite = other.cipher_suite
    commit = owner.commit(random=party.clients[0].random)
    assert other.secrets.init_nodes is not None
    (root,) = other.secrets.init_nodes.save()
    child = receive(other, commit.message)
    init_input = child._epoch.init_input
    init_secret = PUNCTURED.init_secret(suite, other.secrets, init_input)
    assert root.secret in other.save()
    other.supersede(child)
    stored = other.save() + other.save_ratchets()
    assert root.secret not in stored and init_secret not in stored
    with pytest.raises(UsageError):
        PUNCTURED.init_secret(suite, again(other).secrets, init_input)
    # The input, by which one could look for it, goes as well.
    assert child._epoch.init_input == b""


def test_without_handshakes_nothing_leads_to_a_child() -> None:
    party = found(2, extensions=NAMED, key_schedule=PUNCTURED)
    owner, other = party.groups
    other.supersede(receive(other, owner.commit(random=party.clients[0].random).message))
    assert other.secrets.init_nodes is not None
    assert other.secrets.init_nodes.save() == ()


def test_the_group_names_its_key_schedule_and_keeps_it() -> None:
    for extensions, schedule in (
        ((), PUNCTURED),
        (NAMED, RFC9420),
        ((Extension(KOH_KEY_SCHEDULE, b"x"),), PUNCTURED),
    ):
        with pytest.raises(Invalid) as refused:
            found(1, extensions=extensions, key_schedule=schedule)
        assert refused.value.rule is Rule.KEY_SCHEDULE
    party = found(2, extensions=NAMED, key_schedule=PUNCTURED)
    with pytest.raises(Invalid) as refused:
        party.groups[0].commit([GroupContextExtensions(())], random=party.clients[0].random)
    assert refused.value.rule is Rule.KEY_SCHEDULE
    plain = found(2)
    with pytest.raises(Invalid) as refused:
        plain.groups[0].commit([GroupContextExtensions(NAMED)], random=plain.clients[0].random)
    assert refused.value.rule is Rule.KEY_SCHEDULE
