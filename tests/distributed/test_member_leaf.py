"""`dmls_member`, KeyPackages, leaf replacement and the proof of a ticket."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.distributed.people import ALICE, BOB, CAROL, TICKET, group_of, random_from

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, cipher_suite
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.key_packages import (
    build_key_packages,
    check_key_package,
    parse_key_packages,
)
from starling.protocol.distributed.leaf_replace import LeafReplace, check_leaf_replace
from starling.protocol.distributed.member import (
    DmlsMember,
    MemberId,
    build_key_package,
    leaf_capabilities,
    leaf_extensions,
    member_id,
    read_member,
    verify_member,
)
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket_proof import read_ticket_proof, verify_ticket_proof
from starling.protocol.errors import Invalid, ProtocolError, UsageError, VerificationFailed
from starling.protocol.mls.components import AppDataDictionary, read_component, with_dictionary
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.leaf_node import COMMIT, LeafNode
from starling.protocol.mls.proposal import PROPOSALS
from starling.protocol.mls.ratchet_tree import RatchetTree

UNIVERSE = b"\x11" * 32
NOW = 1_700_000_000_000
KEY = b"\x33" * 32


def bundle(who: Identity = BOB, *, suite: int = 1, **changes: Any) -> KeyPackageBundle:
    arguments: dict[str, Any] = {
        "cipher_suite": cipher_suite(suite),
        "universe_id": UNIVERSE,
        "send_group_id": group_of(who, changes.get("universe_id", UNIVERSE)),
        "incarnation": 1,
        "serial": 10,
        "signature_private_key": KEY,
        "now": NOW,
        "random": random_from(who.name + str(changes)),
    }
    return build_key_package(who, **(arguments | changes))


def package(who: Identity = BOB, *, suite: int = 1, **changes: Any) -> KeyPackage:
    return bundle(who, suite=suite, **changes).key_package


def with_member(leaf: LeafNode, **changes: Any) -> LeafNode:
    """The leaf with other fields in its `dmls_member`, signatures as they were."""
    return replace(leaf, extensions=leaf_extensions(replace(read_member(leaf), **changes)))


@pytest.mark.parametrize("suite", [1, 3])
def test_a_key_package_proves_its_member(suite: int) -> None:
    made = package(suite=suite)
    member = check_key_package(made, universe_id=UNIVERSE, identity=BOB.identity_public_key, now=NOW)
    assert (member.universe_id, member.send_group_id, member.peer_id) == (
        UNIVERSE,
        group_of(BOB, UNIVERSE),
        BOB.peer_id,
    )
    assert (member.incarnation, member.serial) == (1, 10)
    assert member_id(made.leaf_node) == MemberId(BOB.identity_public_key, 1)
    assert DmlsMember.decode(member.encode()) == member
    assert read_component(made.extensions, 4) == b""  # usable by every owner


def test_the_private_keys_belong_to_the_key_package() -> None:
    suite = cipher_suite(1)
    made = bundle()
    for key, private in (
        (made.key_package.init_key, made.init_private_key),
        (made.key_package.leaf_node.encryption_key, made.encryption_private_key),
    ):
        sealed = suite.encrypt_with_label(key, "x", b"", b"text", random_from("seal"))
        assert suite.decrypt_with_label(private, "x", b"", sealed) == b"text"


def test_capabilities_support_what_send_groups_require() -> None:
    capabilities = leaf_capabilities()
    assert capabilities.cipher_suites == (1, 3)
    assert capabilities.extensions == (6, 7, 8, 0xF0D1)
    assert capabilities.proposals == (8, 9, 0xF0D2)


@pytest.mark.parametrize("suite", sorted(set(CIPHER_SUITES) - {1, 3}))
def test_other_suites_are_refused(suite: int) -> None:
    with pytest.raises(UsageError):
        package(suite=suite)
    with pytest.raises(Invalid) as caught:
        check_key_package(replace(package(), cipher_suite=suite), universe_id=UNIVERSE)
    assert caught.value.rule is Rule.KEY_PACKAGE_SUITE


@pytest.mark.parametrize(
    "changes",
    [
        {"send_group_id": group_of(BOB, UNIVERSE, b"another")},
        {"incarnation": 2},
        {"serial": 11},
        {"peer_id": CAROL.peer_id},
        {"identity_signature": b"\x00" * 64},
        {"peer_signature": b"\x00" * 64},
    ],
)
def test_no_field_can_be_changed(changes: dict[str, Any]) -> None:
    leaf = package().leaf_node
    verify_member(leaf, universe_id=UNIVERSE)
    with pytest.raises(VerificationFailed):
        verify_member(with_member(leaf, **changes), universe_id=UNIVERSE)


def test_another_signature_key_is_not_certified() -> None:
    leaf = replace(
        package().leaf_node, signature_key=package(signature_private_key=b"\x55" * 32).leaf_node.signature_key
    )
    with pytest.raises(VerificationFailed):
        verify_member(leaf, universe_id=UNIVERSE)


def test_another_identity_is_not_certified() -> None:
    leaf = replace(package().leaf_node, credential=Credential.basic(CAROL.identity_public_key))
    with pytest.raises(Invalid) as caught:
        verify_member(leaf, universe_id=UNIVERSE)
    assert caught.value.rule is Rule.MEMBER_SEND_GROUP
    with pytest.raises(VerificationFailed):
        verify_member(with_member(leaf, send_group_id=group_of(CAROL, UNIVERSE)), universe_id=UNIVERSE)


@pytest.mark.parametrize(
    ("leaf", "rule"),
    [
        (replace(package().leaf_node, extensions=()), Rule.MEMBER_COMPONENT),
        (replace(package().leaf_node, credential=Credential.basic(b"bob")), Rule.MEMBER_CREDENTIAL),
        (replace(package().leaf_node, credential=Credential(2, certificates=())), Rule.MEMBER_CREDENTIAL),
        (package(universe_id=b"\x12" * 32).leaf_node, Rule.MEMBER_UNIVERSE),
        (package(send_group_id=b"short").leaf_node, Rule.MEMBER_SEND_GROUP),
        (package(send_group_id=b"r" * 32).leaf_node, Rule.MEMBER_SEND_GROUP),
        (package(send_group_id=group_of(CAROL, UNIVERSE)).leaf_node, Rule.MEMBER_SEND_GROUP),
        (package(send_group_id=group_of(BOB, b"\x12" * 32)).leaf_node, Rule.MEMBER_SEND_GROUP),
        (with_member(package().leaf_node, peer_id=b"QmPeer"), Rule.MEMBER_PEER_ID),
    ],
)
def test_what_a_leaf_must_have(leaf: LeafNode, rule: Rule) -> None:
    with pytest.raises(Invalid) as caught:
        verify_member(leaf, universe_id=UNIVERSE)
    assert caught.value.rule is rule


def test_whose_key_package_it_is() -> None:
    with pytest.raises(Invalid) as caught:
        check_key_package(package(), universe_id=UNIVERSE, identity=CAROL.identity_public_key)
    assert caught.value.rule is Rule.MEMBER_IDENTITY


def test_the_lifetime_counts_when_a_time_is_given() -> None:
    made = package(lifetime=1_000_000)
    check_key_package(made, universe_id=UNIVERSE, now=NOW + 999_000)
    check_key_package(made, universe_id=UNIVERSE)
    with pytest.raises(Invalid):
        check_key_package(made, universe_id=UNIVERSE, now=NOW + 2_000_000)


def test_key_packages_component() -> None:
    made = (package(suite=1), package(suite=3))
    assert parse_key_packages(build_key_packages(made)) == made
    assert parse_key_packages(build_key_packages(())) == ()
    with pytest.raises(Invalid) as caught:
        build_key_packages((made[0], made[0]))
    assert caught.value.rule is Rule.KEY_PACKAGES_COUNT
    with pytest.raises(Invalid):
        build_key_packages(replace(made[0], cipher_suite=suite) for suite in range(1, 10))


# leaf replacement


def replacing(index: int = 3, **changes: Any) -> LeafReplace:
    return LeafReplace(index, package(**({"serial": 11} | changes)).leaf_node)


def test_a_newer_leaf_replaces() -> None:
    proposal = replacing()
    check_leaf_replace(proposal, package().leaf_node, universe_id=UNIVERSE, removed=(2, 4))
    assert PROPOSALS.encode(proposal)[:6] == b"\xf0\xd2\x00\x00\x00\x03"
    assert PROPOSALS.decode(PROPOSALS.encode(proposal)) == proposal
    assert LeafReplace.requires_path


def test_applying_puts_the_leaf_in_place() -> None:
    tree = RatchetTree((package(ALICE).leaf_node,))
    tree, index = tree.with_leaf_added(package().leaf_node)
    proposal = replacing(index)
    assert proposal.apply(tree).leaf(index) == proposal.leaf_node
    assert proposal.apply(tree).leaf(0) == tree.leaf(0)


@pytest.mark.parametrize(
    ("proposal", "removed", "rule"),
    [
        (replacing(0), (), Rule.REPLACE_LEAF_ZERO),
        (replacing(), (3,), Rule.REPLACE_REMOVED),
        (
            LeafReplace(
                3, replace(replacing().leaf_node, leaf_node_source=COMMIT, lifetime=None, parent_hash=b"")
            ),
            (),
            Rule.REPLACE_SOURCE,
        ),
        (LeafReplace(3, package(CAROL, serial=11).leaf_node), (), Rule.REPLACE_MEMBER),
        (replacing(send_group_id=group_of(BOB, UNIVERSE, b"another")), (), Rule.REPLACE_MEMBER),
        (replacing(universe_id=b"\x66" * 32), (), Rule.REPLACE_MEMBER),
        (replacing(incarnation=2), (), Rule.REPLACE_MEMBER),
        (replacing(serial=10), (), Rule.REPLACE_SERIAL),
        (replacing(serial=9), (), Rule.REPLACE_SERIAL),
    ],
)
def test_what_may_not_replace(proposal: LeafReplace, removed: tuple[int, ...], rule: Rule) -> None:
    with pytest.raises(Invalid) as caught:
        check_leaf_replace(proposal, package().leaf_node, universe_id=UNIVERSE, removed=removed)
    assert caught.value.rule is rule


def test_a_forged_leaf_may_not_replace() -> None:
    forged = LeafReplace(3, with_member(package().leaf_node, serial=12))
    with pytest.raises(VerificationFailed):
        check_leaf_replace(forged, package().leaf_node, universe_id=UNIVERSE)


# the proof of a ticket


def test_ticket_proof() -> None:
    made = package(ticket=TICKET)
    assert verify_ticket_proof(made, UNIVERSE).invite_id == TICKET.invite_id
    check_key_package(made, universe_id=UNIVERSE, now=NOW)
    assert read_ticket_proof(package()) is None


def test_ticket_proof_cannot_be_carried_over() -> None:
    made = package(ticket=TICKET)
    other = package(CAROL)
    for stolen in (
        replace(other, extensions=made.extensions),
        replace(made, init_key=other.init_key),
        replace(made, leaf_node=replace(made.leaf_node, signature_key=b"\x01" * 32)),
    ):
        with pytest.raises(VerificationFailed):
            verify_ticket_proof(stolen, UNIVERSE)
    with pytest.raises(VerificationFailed):
        verify_ticket_proof(made, b"\x99" * 32)


@pytest.mark.parametrize("data", [None, b"", b"\x00\x00", b"\x20" + bytes(31), b"\x01a\x00"])
def test_missing_or_malformed_ticket_proof(data: bytes | None) -> None:
    dictionary = AppDataDictionary.of({} if data is None else {component_ids.TICKET_PROOF: data})
    made = replace(package(), extensions=with_dictionary((), dictionary))
    with pytest.raises(ProtocolError):
        verify_ticket_proof(made, UNIVERSE)
