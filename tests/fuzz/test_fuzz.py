"""A short run of the fuzzer, what it found before, and that it does find what is wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.fuzz import certificate_target, engine_target, findings, group_target, packed_target, wire_target
from tests.fuzz.corpus import entries, keep, replay
from tests.fuzz.findings import Finding
from tests.fuzz.hostile_member import HostileMember
from tests.fuzz.live_group import LiveGroup, check_agreement
from tests.fuzz.session import Session

from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.engine import receiving
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.ratchet import MessageKey, Ratchet
from starling.protocol.wire import Reader, Struct, opaque, uint16, uint32

SEED = "tests"


@pytest.mark.parametrize("name", sorted(wire_target.targets()))
def test_every_wire_structure(name: str) -> None:
    rng = random.Random(f"{SEED} {name}")
    accepted = [wire_target.run_structure(name, rng)[1] for _ in range(15)]
    assert any(accepted), "nothing of this structure was accepted"


@pytest.mark.parametrize("name", sorted(packed_target.TARGETS))
def test_every_packed_structure(name: str) -> None:
    rng = random.Random(f"{SEED} {name}")
    accepted = [packed_target.run_structure(name, rng)[1] for _ in range(25)]
    assert any(accepted), "nothing of this structure was accepted"


@pytest.mark.parametrize("file", entries(), ids=lambda file: file.stem)
def test_what_was_found_before(file: Path) -> None:
    replay(file)


# that it finds


@dataclass(frozen=True, slots=True)
class Crashing(Struct):
    """Decodes with an error that is not the core's, for one value."""

    number: uint32
    text: opaque

    @classmethod
    def read(cls, reader: Reader) -> Crashing:
        held = super(Crashing, cls).read(reader)
        if len(held.text) == 31:
            raise IndexError("a planted fault")
        return held


@dataclass(frozen=True, slots=True)
class Lax(Struct):
    """Takes two encodings of one value."""

    number: uint16

    @classmethod
    def read(cls, reader: Reader) -> Lax:
        held = super(Lax, cls).read(reader)
        return cls(held.number & 0xFFF0)


@dataclass(frozen=True, slots=True)
class Slow(Struct):
    """Works for longer than its size allows."""

    number: uint16

    @classmethod
    def read(cls, reader: Reader) -> Slow:
        sum(range(5_000_000))
        return super(Slow, cls).read(reader)


@dataclass(frozen=True, slots=True)
class Greedy(Struct):
    """Believes a number before it has looked."""

    number: uint32

    @classmethod
    def read(cls, reader: Reader) -> Greedy:
        held = super(Greedy, cls).read(reader)
        bytes(min(held.number, 2**24))
        return held


def _plant(monkeypatch: pytest.MonkeyPatch, cls: type[Any]) -> None:
    monkeypatch.setattr(wire_target, "targets", lambda: {cls.__name__: (cls, cls.decode, cls.encode)})


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (Crashing, "a planted fault"),
        (Lax, "encodes to something else"),
        (Slow, " s for "),
        (Greedy, "of memory"),
    ],
)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, cls: type[Any], what: str) -> None:
    _plant(monkeypatch, cls)
    monkeypatch.setattr(wire_target, "MEASURED", 0.5 if cls is Greedy else 0.0)
    if cls is Slow:
        monkeypatch.setattr(findings, "SECONDS", 0.02)
    rng = random.Random(SEED)
    with pytest.raises(Finding, match=what) as found:
        for _ in range(300):
            wire_target.run(rng)
    assert found.value.structure == cls.__name__


def test_a_finding_is_kept_and_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _plant(monkeypatch, Crashing)
    session = Session(SEED, {"wire": wire_target.run})
    steps = [session.step() for _ in range(100)]
    target, case, finding = next(step for step in steps if step[2] is not None)
    assert finding is not None and session.findings == sum(step[2] is not None for step in steps)
    file = keep(tmp_path, target, case, finding)
    with pytest.raises(Finding, match="a planted fault"):
        replay(file)
    assert json.loads(file.read_text())["structure"] == "Crashing"
    assert " findings" in session.progress()


def test_a_session_is_the_same_for_one_seed() -> None:
    seen: list[list[int]] = []
    for _ in range(2):
        rng = random.Random(SEED)
        seen.append([wire_target.run(rng) for _ in range(20)] + [rng.getrandbits(32)])
    assert seen[0] == seen[1]


def test_live_groups_with_hostile_members() -> None:
    inputs = [group_target.run(random.Random(f"{SEED} {number}")) for number in range(4)]
    assert all(inputs)


def test_a_changed_group_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratchet that moves before the signature is verified: a refused message would burn a generation."""
    monkeypatch.setattr(Ratchet, "peek", _greedy_peek(Ratchet.peek))
    with pytest.raises(Finding, match="refused and has changed the group"):
        for number in range(20):
            group_target.run(random.Random(f"{SEED} {number}"))


def _greedy_peek(peek: Callable[[Ratchet, int], MessageKey]) -> Callable[[Ratchet, int], MessageKey]:
    def moving(ratchet: Ratchet, generation: int) -> MessageKey:
        key = peek(ratchet, generation)
        ratchet._generation = max(ratchet._generation, 1)
        return key

    return moving


def test_members_that_disagree_are_found() -> None:
    live = LiveGroup(random.Random(SEED))
    other = LiveGroup(random.Random(f"{SEED} other"))
    with pytest.raises(Finding, match="different epochs"):
        check_agreement([live.members[0].group, other.members[0].group])


def test_an_engine_among_hostile_peers() -> None:
    assert engine_target.run(random.Random(SEED)) == engine_target.INPUTS


def test_an_engine_that_breaks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> DMLSMessage:
        raise KeyError("a planted fault")

    rng = random.Random(SEED)
    network, universe, nodes = engine_target.story(rng)
    hostile = HostileMember(rng, network, universe, nodes, nodes[1], nodes[2])
    monkeypatch.setattr(receiving, "read_dmls_message", broken)
    with pytest.raises(Finding, match="handle: KeyError"):
        engine_target.give(nodes[2], hostile.text())


def test_a_state_that_does_not_load_is_found() -> None:
    _, universe, nodes = engine_target.story(random.Random(SEED))
    nodes[0].rows["universe", universe] = b"\x00"
    with pytest.raises(Finding, match="does not load"):
        engine_target.reload(nodes[0])


def test_chains_of_certificates() -> None:
    rng = random.Random(SEED)
    assert sum(certificate_target.run(rng) for _ in range(40)) == 40 * (certificate_target.MUTANTS + 1)


def test_a_certificate_that_panics_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Panic(BaseException):
        """As the library below has it."""

    def panicking(credential: Credential, signature_key: bytes) -> None:
        if len(credential.certificates or ()) > 1:
            raise Panic("a planted fault")

    monkeypatch.setattr(certificate_target, "check_x509_credential", panicking)
    with pytest.raises(Finding, match="Panic: a planted fault") as found:
        for number in range(10):
            certificate_target.run(random.Random(number))
    with pytest.raises(Finding, match="a planted fault"):
        replay(keep(tmp_path, "certificates", "", found.value))


def test_a_newcomer_with_a_hostile_sponsor() -> None:
    assert engine_target.run_joiner(random.Random(SEED)) == engine_target.INPUTS


def test_a_sponsor_of_hostile_guests() -> None:
    assert engine_target.run_sponsor(random.Random(SEED)) == engine_target.INPUTS // 4
