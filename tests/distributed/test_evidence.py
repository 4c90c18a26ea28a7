"""Evidence that an owner committed twice, or that two nodes have its keys: what anybody can check, and what is no
evidence (PROTOCOL R4, B6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.distributed.people import ALICE, BOB, group_of, random_from

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.denial import MAX_SHOWN, Denial, Sighting
from starling.protocol.distributed.evidence import MAX_BYTES, MAX_DENIALS, MAX_STATEMENTS, PREFIX, Evidence
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.member import build_owner_leaf
from starling.protocol.errors import DecodeError
from starling.protocol.mls.leaf_node import LeafNode

SUITE = cipher_suite(1)
UNIVERSE = b"u" * 32
GROUP = group_of(ALICE, UNIVERSE)
SIGNING, SIGNATURE_KEY = SUITE.signature_generate(random_from("signing"))
OTHER_SIGNING, _ = SUITE.signature_generate(random_from("other"))


def leaf_of(who: Identity = ALICE, group: bytes = GROUP, universe: bytes = UNIVERSE) -> LeafNode:
    _, encryption_key = SUITE.hpke_generate(random_from("encryption"))
    return build_owner_leaf(
        who,
        cipher_suite=SUITE,
        universe_id=universe,
        send_group_id=group,
        incarnation=3,
        serial=7,
        signature_private_key=SIGNING,
        encryption_key=encryption_key,
        now=1_000_000,
    )


def head(
    commit: bytes,
    *,
    epoch: int = 12,
    parent: bytes = b"p" * 32,
    signing: bytes = SIGNING,
    group: bytes = GROUP,
) -> HeadStatement:
    return HeadStatement.sign(
        signing, universe_id=UNIVERSE, group_id=group, epoch=epoch, parent_dmls_epoch=parent, commit=commit
    )


NEW_GROUP = group_of(ALICE, UNIVERSE, b"new")


def sighting(
    *heads: bytes,
    who: Identity = ALICE,
    former: bytes = GROUP,
    new: bytes = NEW_GROUP,
    universe: bytes = UNIVERSE,
) -> Sighting:
    return Sighting.sign(
        who, universe_id=universe, former_group_id=former, send_group_id=new, heads=heads or (b"h" * 32,)
    )


def denial(shown: Sighting, signing: bytes = SIGNING) -> Denial:
    return Denial.sign(signing, shown)


VALID = Evidence.of(leaf_of(), [head(b"one"), head(b"two")])
DENIED = Evidence.of(leaf_of(), [], [denial(sighting())])


def test_two_commits_on_one_parent_are_evidence() -> None:
    assert VALID.faults() == ()
    assert VALID.identity == ALICE.identity_public_key
    assert [len(listed) for listed in VALID.contradictions.values()] == [2]
    assert Evidence.parse(VALID.text()) == VALID


def test_two_branches_are_evidence_at_every_number_that_both_have() -> None:
    """Whoever has not seen the fork itself can prove it by what was built on both sides."""
    found = Evidence.of(leaf_of(), [head(b"one", parent=b"a" * 32), head(b"two", parent=b"b" * 32)])
    assert found.faults() == ()


def test_a_denial_is_evidence_with_statements_and_without() -> None:
    assert DENIED.faults() == () and DENIED.contradictions == {}
    both = Evidence.of(leaf_of(), VALID.statements, DENIED.denials)
    assert both.faults() == ()
    for evidence in (DENIED, both):
        assert Evidence.parse(evidence.text()) == evidence


SIGNED = sighting()


@pytest.mark.parametrize(
    ("shown", "fault"),
    [
        (sighting(who=BOB), "another group"),
        (sighting(former=b"g" * 32), "another group"),
        (sighting(universe=b"v" * 32), "another group"),
        (sighting(new=GROUP), "not signed"),
        (sighting(b"b" * 32, b"a" * 32), "not signed"),
        (sighting(b"a" * 32, b"a" * 32), "not signed"),
        (sighting(b""), "not signed"),
        (sighting(b"h" * 65), "not signed"),
        (sighting(*(bytes([number]) * 32 for number in range(MAX_SHOWN + 1))), "not signed"),
        (replace(SIGNED, heads=(b"i" * 32,)), "not signed"),
        (replace(SIGNED, heads=()), "not signed"),
        (replace(SIGNED, send_group_id=b"n" * 32), "not signed"),
        (replace(SIGNED, identity=b"short"), "not signed"),
        (replace(SIGNED, signature=sighting(who=BOB).signature), "not signed"),
    ],
)
def test_a_denial_of_what_was_not_signed_so_does_not_hold(shown: Sighting, fault: str) -> None:
    read = Evidence.parse(Evidence.of(leaf_of(), [], [denial(shown)]).text())
    assert any(fault in sentence for sentence in read.faults()), read.faults()


def test_a_denial_is_the_owners() -> None:
    forged = Evidence.of(leaf_of(), [], [denial(SIGNED, OTHER_SIGNING)])
    assert any("denial 1 is not signed" in sentence for sentence in forged.faults())
    changed = replace(DENIED, denials=(replace(DENIED.denials[0], sighting=sighting(b"i" * 32)),))
    assert any("denial 1 is not signed" in sentence for sentence in changed.faults())


def test_one_contradiction_has_one_text() -> None:
    assert Evidence.of(leaf_of(), [head(b"two"), head(b"one"), head(b"two")]).text() == VALID.text()


def test_mail_programs_may_break_the_line() -> None:
    text = VALID.text()
    broken = "\r\n".join(text[start : start + 70] for start in range(0, len(text), 70))
    assert Evidence.parse(f"  {broken}\n") == VALID


@pytest.mark.parametrize(
    ("evidence", "fault"),
    [
        (
            Evidence.of(leaf_of(), [head(b"one"), head(b"two", signing=OTHER_SIGNING)]),
            "not signed by the key",
        ),
        (Evidence.of(leaf_of(), [head(b"one"), head(b"two", epoch=13)]), "contradicts no other"),
        (Evidence.of(leaf_of(), [head(b"one"), head(b"two"), head(b"on", epoch=13)]), "contradicts no other"),
        (Evidence.of(leaf_of(group=b"h" * 32), [head(b"one"), head(b"two")]), "another group"),
        (Evidence.of(leaf_of(universe=b"v" * 32), [head(b"one"), head(b"two")]), "another group"),
        (Evidence.of(leaf_of(), [head(b"one"), head(b"two", group=b"h" * 32)]), "another group"),
        (replace(VALID, identity=BOB.identity_public_key), "identity"),
        (replace(VALID, member=replace(VALID.member, incarnation=4)), "identity"),
        (replace(VALID, member=replace(VALID.member, peer_id=BOB.peer_id)), "identity"),
        (replace(VALID, member=replace(VALID.member, peer_id=b"no peer")), "identity"),
        (replace(VALID, signature_key=BOB.identity_public_key), "identity"),
    ],
)
def test_what_does_not_hold_is_said(evidence: Evidence, fault: str) -> None:
    read = Evidence.parse(evidence.text())
    assert any(fault in sentence for sentence in read.faults()), read.faults()


def test_a_changed_hash_is_not_signed() -> None:
    first, second = VALID.statements
    forged = replace(VALID, statements=(first, replace(second, commit_hash=b"\xff" * 32)))
    assert any("not signed" in fault for fault in Evidence.parse(forged.text()).faults())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        PREFIX,
        PREFIX + "AAAA",
        PREFIX + "!!!!",
        PREFIX + "é",
        VALID.text()[:-8],
        VALID.text() + "AAAA",
        VALID.text().replace("_", "/").replace("-", "+"),
        "x" + VALID.text(),
        VALID.text() + VALID.text(),
        PREFIX + "A" * 20_000,
        replace(VALID, version=1).text(),
        replace(VALID, identity=b"short").text(),
        replace(VALID, signature_key=b"s" * 33).text(),
        replace(VALID, statements=VALID.statements[:1]).text(),
        replace(VALID, statements=VALID.statements[::-1]).text(),
        replace(VALID, statements=(VALID.statements[0],) * 2).text(),
        replace(VALID, statements=tuple(head(bytes([i])) for i in range(MAX_STATEMENTS + 1))).text(),
        replace(VALID, member=replace(VALID.member, peer_id=b"p" * MAX_BYTES)).text(),
        replace(DENIED, denials=()).text(),
        replace(DENIED, denials=DENIED.denials * 2).text(),
        replace(DENIED, statements=VALID.statements[:1]).text(),
        Evidence.of(
            leaf_of(), [], [denial(sighting(bytes([n]) * 32)) for n in range(MAX_DENIALS + 1)]
        ).text(),
    ],
)
def test_what_is_no_evidence(text: str) -> None:
    with pytest.raises(DecodeError):
        Evidence.parse(text)


WHOLE = Evidence.of(leaf_of(), VALID.statements, DENIED.denials)


@given(st.integers(0, len(WHOLE.encode()) - 1), st.integers(0, 7))
def test_no_bit_can_be_changed(position: int, bit: int) -> None:
    data = bytearray(WHOLE.encode())
    data[position] ^= 1 << bit
    try:
        changed = Evidence.decode(bytes(data))
        read = Evidence.parse(changed.text())
    except DecodeError:
        return
    assert read.faults()
