"""What send groups carry: universe, dependencies, epoch ends, PSKs, ids, head statements, addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.distributed.people import ALICE, BOB
from tests.vectors import load_vectors

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.dependency import (
    MAX_DEPENDENCIES,
    Dependency,
    build_dependencies,
    parse_dependencies,
)
from starling.protocol.distributed.derived_group_id import derived_group_id
from starling.protocol.distributed.dmls_resolve import (
    MAX_CLOSED_HEADS,
    ClosedHead,
    Resolve,
    build_resolve,
    parse_resolve,
)
from starling.protocol.distributed.epoch_end import build_epoch_end, parse_epoch_end
from starling.protocol.distributed.export_psk import Export, export_psk, parse_psk_id, psk_id
from starling.protocol.distributed.head_statement import HeadStatement, is_evidence
from starling.protocol.distributed.identity import peer_public_key
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.universe_component import (
    DmlsUniverse,
    read_roster_digest,
    read_universe,
    send_group_extensions,
    update_component,
)
from starling.protocol.distributed.wire_formats import check_required_wire_formats
from starling.protocol.errors import DecodeError, Invalid, UsageError, VerificationFailed
from starling.protocol.extensions.external_receivers import EXTERNAL_RECEIVERS
from starling.protocol.extensions.private_external_info import ROOT_PRIVATE_SIGNATURE_KEY
from starling.protocol.extensions.private_external_rules import new_root_key
from starling.protocol.mls.components import read_component, read_dictionary, with_dictionary
from starling.protocol.mls.extension import (
    REQUIRED_CAPABILITIES,
    RequiredCapabilities,
    find_extension,
    with_extension,
)
from starling.protocol.mls.negotiation import WireFormats

UNIVERSE_ID = b"\x11" * 32
UNIVERSE = DmlsUniverse(UNIVERSE_ID, 32, ALICE.identity_public_key, 1, b"")
SUITE = cipher_suite(1)
ROOT = new_root_key(SUITE, lambda length: b"\x22" * length)


def exporter(exporter_secret: bytes) -> Export:
    """MLS-Exporter of an exporter secret (RFC 9420 §8.5)."""

    def export(label: str, context: bytes, length: int) -> bytes:
        derived = SUITE.derive_secret(exporter_secret, label)
        return SUITE.expand_with_label(derived, "exported", SUITE.hash(context), length)

    return export


# dmls_universe


def test_send_group_extensions() -> None:
    extensions = send_group_extensions(UNIVERSE, b"\x05" * 32, ROOT)
    assert read_universe(extensions) == UNIVERSE
    assert read_roster_digest(extensions) == b"\x05" * 32
    assert read_component(extensions, 2) == b"\x00"  # safe_aad is on, and empty
    required = RequiredCapabilities.decode(find_extension(extensions, REQUIRED_CAPABILITIES) or b"")
    assert set(required.proposal_types) == {8, 9, 0xF0D2}
    assert required.extension_types == (6, 7, 8, 0xF0D1)
    check_required_wire_formats(extensions)
    assert find_extension(extensions, 8) == bytes.fromhex("04f4e9fafe")
    assert find_extension(extensions, 0xF0D1) == b""
    assert read_component(extensions, ROOT_PRIVATE_SIGNATURE_KEY) == b"\x20" + b"\x22" * 32


@pytest.mark.parametrize(
    "universe",
    [
        replace(UNIVERSE, universe_id=b"short"),
        replace(UNIVERSE, owner_identity=b""),
        replace(UNIVERSE, export_length=15),
        replace(UNIVERSE, export_length=65),
        replace(UNIVERSE, mode=2),
        replace(UNIVERSE, supersedes=b"x"),
    ],
)
def test_universe_fields(universe: DmlsUniverse) -> None:
    extensions = send_group_extensions(UNIVERSE, bytes(32), ROOT)
    dictionary = read_dictionary(extensions)
    assert dictionary is not None
    changed = dictionary.with_component(component_ids.DMLS_UNIVERSE, universe.encode())
    with pytest.raises(Invalid) as caught:
        read_universe(with_dictionary(extensions, changed))
    assert caught.value.rule is Rule.UNIVERSE_FIELDS
    with pytest.raises(Invalid):
        send_group_extensions(universe, bytes(32), ROOT)


@pytest.mark.parametrize("formats", [None, (), (0xFAFE,), (0xF4E9,), (0xF4E9, 0xFAFE, 6)])
def test_other_wire_formats(formats: tuple[int, ...] | None) -> None:
    data = WireFormats(formats).encode() if formats is not None else None
    extensions = with_extension(send_group_extensions(UNIVERSE, bytes(32), ROOT), 8, data)
    with pytest.raises(Invalid) as caught:
        check_required_wire_formats(extensions)
    assert caught.value.rule is Rule.REQUIRED_WIRE_FORMATS


def test_missing_components() -> None:
    with pytest.raises(Invalid) as caught:
        read_universe(())
    assert caught.value.rule is Rule.UNIVERSE_COMPONENT
    with pytest.raises(Invalid) as caught:
        read_roster_digest(())
    assert caught.value.rule is Rule.ROSTER_DIGEST


def test_only_the_roster_digest_the_receivers_and_the_root_key_are_updated() -> None:
    old, new = bytes(32), b"\x07" * 32
    assert update_component(component_ids.ROSTER_DIGEST, old, (new,)) == new
    with pytest.raises(Invalid) as caught:
        update_component(component_ids.DMLS_UNIVERSE, UNIVERSE.encode(), (UNIVERSE.encode(),))
    assert caught.value.rule is Rule.UNIVERSE_IMMUTABLE
    for component_id, current, updates in (
        (component_ids.ROSTER_DIGEST, old, (new, new)),
        (component_ids.ROSTER_DIGEST, old, (b"short",)),
        (component_ids.ROSTER_DIGEST, None, (new,)),
        (2, b"\x00", (b"\x00",)),
        (EXTERNAL_RECEIVERS, None, (b"\x00", b"\x00")),
        (ROOT_PRIVATE_SIGNATURE_KEY, ROOT, (ROOT, ROOT)),
        (ROOT_PRIVATE_SIGNATURE_KEY, None, (ROOT,)),
    ):
        with pytest.raises(Invalid) as caught:
            update_component(component_id, current, updates)
        assert caught.value.rule is Rule.COMPONENT_UPDATE
    for current in (None, b"\x00"):
        assert update_component(EXTERNAL_RECEIVERS, current, (b"\x00",)) == b"\x00"
    assert update_component(ROOT_PRIVATE_SIGNATURE_KEY, b"old", (ROOT,)) == ROOT
    with pytest.raises(DecodeError):
        update_component(EXTERNAL_RECEIVERS, None, (b"\x01",))


# imports


def test_xue_psk_known_answer() -> None:
    vector = load_vectors("dmls/dmls-suite1.json")["xue_psk"]
    group_id = bytes.fromhex(vector["group_id"])
    made = psk_id(vector["epoch"], group_id)
    assert made.hex() == vector["psk_id"]
    assert parse_psk_id(made) == (vector["epoch"], group_id)
    export = exporter(bytes.fromhex(vector["exporter_secret"]))
    assert export_psk(export, 32).hex() == vector["psk_value_literal"]


@pytest.mark.parametrize("data", [b"", bytes(8), bytes(8 + 256)])
def test_psk_ids_that_are_none(data: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        parse_psk_id(data)
    assert caught.value.rule is Rule.PSK_ID


def test_derived_group_id() -> None:
    """Mode 0 of X-1: MLS-Exporter("derivedGroupId", signature key, Nh), one id for each member."""
    export = exporter(b"\x01" * 32)
    derived = SUITE.derive_secret(b"\x01" * 32, "derivedGroupId")
    expected = SUITE.expand_with_label(derived, "exported", SUITE.hash(b"key of bob"), 32)
    assert derived_group_id(export, b"key of bob", 32) == expected
    assert derived_group_id(export, b"key of carol", 32) != expected
    assert derived_group_id(exporter(b"\x02" * 32), b"key of bob", 32) != expected


def test_dependencies_are_sorted_by_psk_id() -> None:
    first, second, third = Dependency(b"z", 1, b"e"), Dependency(b"a", 2, b"e"), Dependency(b"b", 2, b"e")
    data = build_dependencies([third, first, second])
    assert parse_dependencies(data) == (first, second, third)
    swapped = first.encode() + third.encode() + second.encode()
    assert len(data) == 1 + len(swapped)
    for wrong in (swapped, first.encode() * 2, first.encode() + replace(first, dmls_epoch=b"f").encode()):
        with pytest.raises(Invalid) as caught:
            parse_dependencies(len(wrong).to_bytes(1, "big") + wrong)
        assert caught.value.rule is Rule.DEPENDENCY_ORDER


def test_dependencies_are_bounded() -> None:
    deps = [Dependency(b"group", epoch, b"e") for epoch in range(MAX_DEPENDENCIES + 1)]
    assert len(parse_dependencies(build_dependencies(deps[1:]))) == MAX_DEPENDENCIES
    with pytest.raises(Invalid) as caught:
        build_dependencies(deps)
    assert caught.value.rule is Rule.DEPENDENCY_COUNT


@given(st.binary(max_size=60))
def test_dependencies_of_any_bytes(data: bytes) -> None:
    try:
        deps = parse_dependencies(data)
    except (DecodeError, Invalid):
        return
    assert build_dependencies(deps) == data


def test_epoch_end() -> None:
    assert build_epoch_end(258) == b"\x00\x00\x01\x02"
    assert parse_epoch_end(b"\x00\x00\x01\x02") == 258
    for data in (b"", b"\x00" * 3, b"\x00" * 5):
        with pytest.raises(DecodeError):
            parse_epoch_end(data)


# head statements

SIGNATURE_KEY = SUITE.signature_public_key(b"\x08" * 32)


def head(commit: bytes, *, epoch: int = 4, parent: bytes = b"p" * 32) -> HeadStatement:
    return HeadStatement.sign(
        b"\x08" * 32,
        universe_id=UNIVERSE_ID,
        group_id=b"g" * 32,
        epoch=epoch,
        parent_dmls_epoch=parent,
        commit=commit,
    )


def test_resolve() -> None:
    heads = tuple(ClosedHead(bytes([number]) * 32, 7 + number) for number in range(MAX_CLOSED_HEADS))
    assert parse_resolve(build_resolve(heads)) == heads
    assert parse_resolve(build_resolve(heads[:1])) == heads[:1]


@pytest.mark.parametrize(
    "heads",
    [
        (),
        tuple(ClosedHead(bytes([number]) * 32, 7) for number in range(MAX_CLOSED_HEADS + 1)),
        (ClosedHead(b"a" * 32, 7), ClosedHead(b"a" * 32, 8)),
        (ClosedHead(b"", 7),),
        (ClosedHead(b"a" * 65, 7),),
    ],
)
def test_a_resolve_closes_some_heads_each_once(heads: tuple[ClosedHead, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        build_resolve(heads)
    assert refused.value.rule is Rule.RESOLVE_HEADS
    data = Resolve(heads).encode()
    with pytest.raises(Invalid) as refused:
        parse_resolve(data)
    assert refused.value.rule is Rule.RESOLVE_HEADS
    with pytest.raises(DecodeError):
        parse_resolve(data + b"x")


def test_head_statement() -> None:
    statement = HeadStatement.decode(head(b"commit").encode())
    statement.verify(SIGNATURE_KEY, commit=b"commit")
    statement.verify(SIGNATURE_KEY)
    with pytest.raises(Invalid) as caught:
        statement.verify(SIGNATURE_KEY, commit=b"other")
    assert caught.value.rule is Rule.HEAD_COMMIT
    for forged in (
        replace(statement, epoch=5),
        replace(statement, group_id=b"h" * 32),
        replace(statement, universe_id=b"u" * 32),
        replace(statement, parent_dmls_epoch=b"q" * 32),
        replace(statement, commit_hash=b"c" * 32),
    ):
        with pytest.raises(VerificationFailed):
            forged.verify(SIGNATURE_KEY)
    for malformed in (
        replace(statement, commit_hash=b"c"),
        replace(statement, group_id=b""),
        replace(statement, universe_id=b"x" * 256),
        replace(statement, parent_dmls_epoch=b""),
    ):
        with pytest.raises(Invalid) as caught:
            malformed.verify(SIGNATURE_KEY)
        assert caught.value.rule is Rule.HEAD_FIELDS


def test_evidence_is_two_commits_on_one_parent() -> None:
    assert is_evidence(head(b"one"), head(b"two"))
    assert not is_evidence(head(b"one"), head(b"one"))
    assert not is_evidence(head(b"one"), head(b"two", epoch=5))
    assert not is_evidence(head(b"one"), head(b"two", parent=b"q" * 32))


# addresses


def test_peer_address() -> None:
    texts = ("/ip4/192.0.2.1/tcp/4001", "/dns4/example.org/tcp/443")
    record = PeerAddress.decode(
        PeerAddress.sign(BOB, universe_id=UNIVERSE_ID, serial=7, addresses=texts).encode()
    )
    record.verify(UNIVERSE_ID)
    assert (record.texts, record.serial, record.peer_id) == (texts, 7, BOB.peer_id)
    assert peer_public_key(record.peer_id)
    for forged in (
        replace(record, serial=8),
        replace(record, addresses=()),
        replace(record, peer_id=ALICE.peer_id),
    ):
        with pytest.raises(VerificationFailed):
            forged.verify(UNIVERSE_ID)
    with pytest.raises(Invalid) as caught:
        record.verify(b"\x12" * 32)
    assert caught.value.rule is Rule.ADDRESS_UNIVERSE
    with pytest.raises(DecodeError):
        replace(record, peer_id=b"QmPeer").verify(UNIVERSE_ID)


@pytest.mark.parametrize(
    "addresses", [("/a",) * 9, ("/" + "a" * 128,), ("a",), ("/a b",), ("/a\n",), ("",), ("/é",)]
)
def test_addresses_are_bounded(addresses: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        PeerAddress.sign(BOB, universe_id=UNIVERSE_ID, serial=7, addresses=addresses)
    record = PeerAddress.sign(BOB, universe_id=UNIVERSE_ID, serial=7, addresses=())
    hostile = replace(record, addresses=tuple(text.encode() for text in addresses))
    with pytest.raises(Invalid) as caught:
        hostile.verify(UNIVERSE_ID)
    assert caught.value.rule is Rule.ADDRESS_FIELDS
