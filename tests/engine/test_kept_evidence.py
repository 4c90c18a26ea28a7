"""The evidence that a node keeps: what is added, what is left out, and that it stays within bounds."""

from __future__ import annotations

from tests.distributed.people import ALICE, group_of
from tests.distributed.test_evidence import (
    DENIED,
    GROUP,
    NEW_GROUP,
    OTHER_SIGNING,
    UNIVERSE,
    denial,
    head,
    leaf_of,
    sighting,
)

from starling.protocol.distributed.evidence import MAX_BYTES, MAX_DENIALS, MAX_STATEMENTS, Evidence
from starling.protocol.engine.context import Context
from starling.protocol.engine.kept_evidence import MAX_KEPT, EvidenceStore
from starling.protocol.engine.step import Put


def kept() -> tuple[EvidenceStore, Context]:
    return EvidenceStore(UNIVERSE), Context(1_000, lambda length: bytes(length))


def rows(ctx: Context) -> dict[bytes, bytes]:
    return {write.key: write.value for write in ctx.step(None, None).writes if isinstance(write, Put)}


def test_what_is_found_later_is_added_to_what_was() -> None:
    store, ctx = kept()
    first = store.add(ctx, GROUP, leaf_of(), [head(b"one"), head(b"two")])
    both = Evidence.parse(store.add(ctx, GROUP, leaf_of(), [head(b"a", epoch=30), head(b"b", epoch=30)]))
    assert Evidence.parse(first).contradictions.keys() == {12}
    assert both.contradictions.keys() == {12, 30} and not both.faults()
    assert store.kept[GROUP].evidence == both


def test_what_contradicts_nothing_is_left_out() -> None:
    store, ctx = kept()
    assert store.add(ctx, GROUP, leaf_of(), [head(b"one")]) == ""
    assert store.add(ctx, GROUP, leaf_of(), [head(b"one"), head(b"two", epoch=13)]) == ""
    assert not store.kept and not rows(ctx)
    text = store.add(ctx, GROUP, leaf_of(), [head(b"one"), head(b"two"), head(b"on", epoch=13)])
    assert [statement.epoch for statement in Evidence.parse(text).statements] == [12, 12]


def test_what_is_not_signed_by_the_owner_is_not_kept() -> None:
    store, ctx = kept()
    forged = head(b"two", signing=OTHER_SIGNING)
    assert store.add(ctx, GROUP, leaf_of(), [head(b"one"), forged]) == ""
    text = store.add(ctx, GROUP, leaf_of(), [head(b"one"), head(b"two")])
    assert store.add(ctx, GROUP, leaf_of(), [forged, head(b"three", signing=OTHER_SIGNING)]) == text


def test_an_owner_that_contradicts_itself_for_ever_fills_no_store() -> None:
    store, ctx = kept()
    for number in range(40):
        pair = [head(b"one", epoch=number), head(b"two", epoch=number), head(b"three", epoch=number)]
        text = store.add(ctx, GROUP, leaf_of(), pair)
        evidence = Evidence.parse(text)
        assert not evidence.faults() and len(evidence.statements) <= MAX_STATEMENTS
    assert len(rows(ctx)) == 1
    for number in range(MAX_KEPT + 5):
        group_id = group_of(ALICE, UNIVERSE, number.to_bytes(2))
        statements = [head(commit, group=group_id) for commit in (b"one", b"two")]
        if number > 3 and number < MAX_KEPT - 3:
            store.kept[group_id] = store.kept[GROUP]  # as good as another, and quicker
        else:
            assert store.add(ctx, group_id, leaf_of(group=group_id), statements)
    assert len(store.kept) == MAX_KEPT and group_id in store.kept and GROUP not in store.kept


def test_denials_are_kept_beside_statements() -> None:
    store, ctx = kept()
    assert not store.is_denied(GROUP, NEW_GROUP)
    assert Evidence.parse(store.merge(ctx, GROUP, DENIED)) == DENIED
    text = store.add(ctx, GROUP, leaf_of(), [head(b"one"), head(b"two"), head(b"on", epoch=13)])
    assert store.is_denied(GROUP, NEW_GROUP) and not store.is_denied(NEW_GROUP, NEW_GROUP)
    assert store.denials(GROUP) == DENIED.denials
    assert len(Evidence.parse(text).statements) == 2 and Evidence.parse(text).denials == DENIED.denials
    forged = Evidence.of(leaf_of(), [], [denial(sighting(b"i" * 32), OTHER_SIGNING)])
    assert store.merge(ctx, GROUP, forged) == text


def test_all_that_can_be_kept_of_one_group_can_be_sent() -> None:
    store, ctx = kept()
    for epoch in range(MAX_STATEMENTS):
        store.add(ctx, GROUP, leaf_of(), [head(b"one", epoch=epoch), head(b"two", epoch=epoch)])
    for number in range(MAX_DENIALS + 1):
        heads = (bytes([number, position]) * 32 for position in range(8))
        text = store.merge(ctx, GROUP, Evidence.of(leaf_of(), [], [denial(sighting(*heads))]))
    evidence = Evidence.parse(text)
    assert len(evidence.statements) == MAX_STATEMENTS and len(evidence.denials) == MAX_DENIALS
    assert len(evidence.encode()) < MAX_BYTES


def test_it_comes_back_from_its_row() -> None:
    store, ctx = kept()
    store.add(ctx, GROUP, leaf_of(), [head(b"one"), head(b"two")])
    store.merge(ctx, GROUP, DENIED)
    again, _ = kept()
    for key, row in rows(ctx).items():
        again.load(key, row)
    assert again.kept == store.kept and again.kept[GROUP].detected_at == 1_000
