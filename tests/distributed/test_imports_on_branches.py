"""What an owner imported on a dead branch of its group is no reason to refuse it on the living one (X-7)."""

from __future__ import annotations

from starling.protocol.decentralized.epoch_graph import EpochGraph, EpochInfo
from starling.protocol.distributed.psk_ledger import ExportedPsk, LastImport, PskLedger

OWNER = b"o" * 32
SOURCE, IMPORTER = b"source", b"importer"


def graph_of(*epochs: tuple[bytes, bytes]) -> EpochGraph:
    graph = EpochGraph()
    for number, (name, parent) in enumerate(epochs):
        graph.enter(EpochInfo(name, number, parent or None, 0, frozenset({OWNER}), True))
    return graph


def test_the_import_is_itself_the_sibling() -> None:
    graphs = {
        SOURCE: graph_of((b"s0", b""), (b"s1", b"s0")),
        IMPORTER: graph_of((b"p", b""), (b"dead", b"p"), (b"alive", b"p")),
    }
    ledger = PskLedger()
    ledger.note_import(OWNER, SOURCE, LastImport(1, b"s1", IMPORTER, b"p", b"dead"), graphs)

    def is_behind(parent: bytes) -> bool:
        return ledger.is_behind(OWNER, (SOURCE, 1, b"s1"), (IMPORTER, parent), graphs)

    assert is_behind(b"dead") and not is_behind(b"alive")
    kept = ledger.note_import(OWNER, SOURCE, LastImport(1, b"s1", IMPORTER, b"alive", b"later"), graphs)
    assert [last.child for last in kept] == [b"later", b"dead"]


def test_a_branch_that_is_forgotten_takes_its_imports_along() -> None:
    graphs = {
        SOURCE: graph_of((b"s0", b"")),
        IMPORTER: graph_of((b"p", b""), (b"dead", b"p"), (b"alive", b"p")),
    }
    ledger = PskLedger()
    for number, child in ((0, b"dead"), (1, b"alive")):
        ledger.note_import(OWNER, SOURCE, LastImport(number, b"s%d" % number, IMPORTER, b"p", child), graphs)
    kept = ledger.forget_branch(OWNER, SOURCE, frozenset({b"alive"}))
    assert [last.child for last in kept] == [b"dead"]
    assert not ledger.forget_branch(OWNER, SOURCE, frozenset({b"dead"}))
    assert not ledger.last_imports and not ledger.other_imports


def test_what_was_imported_of_a_branch_that_is_not_known_any_more_is_forgotten() -> None:
    """This node came anew at epoch 5: it knows nothing of the dead branch, whose epoch 6 was imported."""
    importer = graph_of((b"p", b""), (b"before", b"p"), (b"dead", b"before"), (b"next", b"dead"))
    source = EpochGraph()
    source.enter(EpochInfo(b"s5", 5, None, 0, frozenset({OWNER}), True))
    graphs = {SOURCE: source, IMPORTER: importer}
    ledger = PskLedger()
    for number, child in ((4, b"before"), (6, b"dead")):
        ledger.note_import(OWNER, SOURCE, LastImport(number, b"old", IMPORTER, b"p", child), graphs)

    def is_behind(number: int, name: bytes) -> bool:
        return ledger.is_behind(OWNER, (SOURCE, number, name), (IMPORTER, b"next"), graphs)

    assert is_behind(5, b"s5")
    kept = ledger.forget_from(OWNER, SOURCE, 5)
    assert all(last.epoch < 5 for last in kept)
    assert not is_behind(5, b"s5")
    ledger.note_import(OWNER, SOURCE, LastImport(5, b"s5", IMPORTER, b"dead", b"next"), graphs)
    assert is_behind(5, b"s5") and is_behind(4, b"old")


def test_what_was_imported_of_a_dead_branch_that_has_settled_holds_up_nothing_since_it_was_closed() -> None:
    source = graph_of((b"s0", b""), (b"s1", b"s0"), (b"s2", b"s1"))
    source.close(b"dead", b"s1", 0)
    importer = graph_of((b"p", b""), (b"next", b"p"))
    graphs = {SOURCE: source, IMPORTER: importer}
    ledger = PskLedger()
    ledger.note_import(OWNER, SOURCE, LastImport(2, b"dead", IMPORTER, b"p", b"next"), graphs)

    def is_behind(number: int) -> bool:
        return ledger.is_behind(OWNER, (SOURCE, number, b"s%d" % number), (IMPORTER, b"next"), graphs)

    assert is_behind(0) and not is_behind(1) and not is_behind(2)
    source.close(b"dead", b"of which the record is gone", 0)
    assert not is_behind(2)


def test_what_is_on_a_branch_that_a_joiner_never_was_in_is_not_behind() -> None:
    """It was added to the dead branch, at a higher number; what it can never have is for the caller to see."""
    graphs = {SOURCE: graph_of((b"dead", b"")), IMPORTER: graph_of((b"p", b""), (b"next", b"p"))}
    graphs[SOURCE].epochs[b"dead"].number = graphs[SOURCE].epochs[b"dead"].line.first = 12
    ledger = PskLedger()
    ledger.note_import(OWNER, SOURCE, LastImport(12, b"dead", IMPORTER, b"p", b"next"), graphs)

    def is_behind(name: bytes) -> bool:
        return ledger.is_behind(OWNER, (SOURCE, 10, name), (IMPORTER, b"next"), graphs)

    assert is_behind(b"living"), "as long as there is one branch the numbers tell"
    graphs[SOURCE].close(b"living", b"dead", 0)
    assert not is_behind(b"living") and is_behind(b"")


def test_what_all_imported_stays_while_an_older_epoch_lingers() -> None:
    """A sibling of what led to the import may import the same: here the commit that ended `p`, on which a copy of the
    importer commits again."""
    source = graph_of((b"s0", b""), (b"s1", b"s0"))
    importer = graph_of((b"p", b""), (b"boot", b"p"), (b"import", b"boot"))
    graphs = {SOURCE: source, IMPORTER: importer}
    ledger = PskLedger()
    ledger.add(ExportedPsk(SOURCE, 1, b"s1", frozenset(), 0, b"psk"))
    ledger.note_import(OWNER, SOURCE, LastImport(1, b"s1", IMPORTER, b"boot", b"import"), graphs)

    def unneeded(*retained: bytes) -> list[bytes]:
        found = ledger.unneeded(1, {SOURCE: b"x" * 32}, [OWNER], {IMPORTER: retained}, graphs)
        return [exported.dmls_epoch for exported in found]

    assert unneeded(b"p", b"import") == []
    assert unneeded(b"boot", b"import") == []
    assert unneeded(b"import") == [b"s1"]
