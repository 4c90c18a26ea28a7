"""The hash of the peers among which a message needs no forwarding."""

from __future__ import annotations

from starling.p2p.reach import MAX_DIRECT, REACH_SIZE, UNTOLD, reach

A, B, C = b"a" * 38, b"b" * 38, b"c" * 38


def test_all_in_a_full_mesh_have_the_same_reach() -> None:
    assert reach(A, [B, C]) == reach(B, [C, A]) == reach(C, [A, B])
    assert len(reach(A, [])) == REACH_SIZE


def test_another_set_of_peers_has_another_reach() -> None:
    assert len({reach(A, [B, C]), reach(A, [B]), reach(A, []), reach(b"a" * 37, [b"a" + B, C])}) == 4


def test_with_too_many_peers_the_mesh_forwards() -> None:
    peers = [bytes([number]) * 38 for number in range(MAX_DIRECT + 1)]
    assert reach(A, peers[:-1]) != UNTOLD
    assert reach(A, peers) == UNTOLD
