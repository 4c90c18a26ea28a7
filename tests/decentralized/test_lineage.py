"""The lineage in a GroupInfo: what it says, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.decentralized.forked_members import gather
from tests.mls.group_members import refused

from starling.protocol.decentralized.fork_rules import ForkRule
from starling.protocol.decentralized.lineage import (
    LINEAGE,
    MAX_LINEAGE,
    Ancestor,
    Lineage,
    lineage_extension,
    read_lineage,
)
from starling.protocol.errors import DecodeError
from starling.protocol.mls import Extension
from starling.protocol.mls.group_info import GroupInfo


def info_of(ancestors: list[Ancestor], epoch: int) -> GroupInfo:
    info = gather(1)[0].forked.group_info()
    extension = Extension(LINEAGE, Lineage(tuple(ancestors)).encode())
    return replace(info, group_context=replace(info.group_context, epoch=epoch), extensions=(extension,))


def ancestor(number: int, name: bytes = b"", tag: bytes = bytes(32), external: int = 0) -> Ancestor:
    return Ancestor(name or number.to_bytes(32), number, tag, external)


def test_a_group_info_tells_what_led_to_it() -> None:
    alice, bob = gather(2)
    for member, other in ((alice, bob), (bob, alice)):
        other.enter(member.commit().message)
    told = read_lineage(alice.forked.group_info(), 32)
    path = alice.forked.tree.path(alice.forked.head)
    assert [each.dmls_epoch for each in told] == [epoch.dmls_epoch for epoch in path]
    assert [each.confirmation_tag for each in told] == [epoch.confirmation_tag for epoch in path]
    assert [each.number for each in told] == [0, 1, 2, 3]
    assert read_lineage(alice.forked.group.group_info(), 32) == ()


def test_a_long_lineage_is_cut_at_its_beginning() -> None:
    alice, _ = gather(2)
    path = [alice.forked.tree[alice.forked.head]] * (MAX_LINEAGE + 5)
    assert len(Lineage.decode(lineage_extension(path).extension_data).ancestors) == MAX_LINEAGE


@pytest.mark.parametrize(
    "ancestors",
    [
        [],
        [ancestor(number) for number in range(7 - MAX_LINEAGE, 8) if number >= 0] * 20,
        [ancestor(5)],
        [ancestor(9)],
        [ancestor(6), ancestor(8)],
        [ancestor(7), ancestor(6)],
        [ancestor(6, b"n" * 32), ancestor(7, b"n" * 32)],
        [ancestor(7, b"short")],
        [ancestor(7, tag=b"t" * 31)],
        [ancestor(7, external=2)],
    ],
    ids=["none", "many", "gap", "beyond", "hole", "order", "twice", "name", "tag", "external"],
)
def test_what_is_no_lineage_is_refused(ancestors: list[Ancestor]) -> None:
    assert refused(lambda: read_lineage(info_of(ancestors, 8), 32)) is ForkRule.LINEAGE


def test_a_lineage_that_is_cut_short_is_refused() -> None:
    info = info_of([ancestor(7)], 8)
    (extension,) = info.extensions
    cut = Extension(LINEAGE, extension.extension_data[:-1])
    with pytest.raises(DecodeError):
        read_lineage(replace(info, extensions=(cut,)), 32)
    assert len(read_lineage(info, 32)) == len(read_lineage(info_of([ancestor(7)], 7), 32)) == 1
