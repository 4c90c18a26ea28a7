"""The simulated universes of the bench measure what they say they do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bench import charts
from bench.options import QUICK
from bench.simulated import healing, membership, sizes, talking, thousand
from bench.simulated.topology import dialled, diameter
from bench.simulated.traffic import COMMIT, MESSAGE, REPORT
from bench.simulated.universe import SimulatedUniverse

from starling.protocol.distributed import policy


def test_a_universe_heals_and_talks_within_its_goals() -> None:
    options = replace(QUICK, universe_sizes=(5,), heals=1, talked_messages=100)
    found = sizes.run(options)["5"]
    (healed,) = found["healed"]
    assert healed["diameter"] == 1
    assert healed["retained_per_node"] > 0, "everybody wrote, so there is something to settle"
    assert 0 < healed["converged_s"] <= healed["goal_s"] == 2 * policy.PULSE_INTERVAL / 1000
    assert healed["converged_s"] <= healed["settled_s"] <= 2 * healed["goal_s"]
    talked = found["talked"]
    # One update of each after a hundred messages, and an import of it by each of the others.
    assert talked["messages"] == policy.update_message_limit(5)
    assert talked["commits"] == {"commits": 5, "updates": 1, "imports": 4}
    assert talked["commits_per_message"] == 0.05
    assert talked["bytes_per_message"][MESSAGE] > 4 / 5 * talking.SIZE
    each = talked["bytes_per_message"]
    assert each[REPORT] < each[MESSAGE], "only what is different is reported"
    assert len(sizes.rows({"5": found})) == 4


def test_a_window_shorter_than_a_cycle_counts_a_wave() -> None:
    talked = talking.measure(SimulatedUniverse(4, "wave"), 1, "wave")
    assert talked["messages"] == 4 * talking.LEAST_ROUNDS
    assert talked["commits"] == {"commits": 4, "updates": 1, "imports": 3}
    assert talked["commits_per_message"] == 4 / policy.update_message_limit(4)


def test_a_universe_that_is_parted_does_not_converge() -> None:
    """The control: what is measured is not there before the heal."""
    universe = SimulatedUniverse(3, "parted")
    universe.network.part([universe.members[:1], universe.members[1:]])
    universe.say(universe.members[0], 10)
    universe.renew(universe.members[1])
    universe.run(2 * policy.MINUTE)
    assert not universe.converged()
    assert not universe.settled()
    assert healing.measure(universe, "parted")["converged_s"] > 0
    assert universe.settled()


def test_one_is_admitted_and_removed_by_all() -> None:
    found = membership.run(replace(QUICK, membership_sizes=(4,)))["4"]
    joined = found["joined"]
    assert 0 < joined["joined_s"] <= joined["admitted_by_all_s"] < policy.PULSE_INTERVAL / 1000
    assert 0 < joined["bytes_until_joined"] <= joined["bytes_until_admitted"]
    assert 0 < found["removed"]["removed_by_all_s"] < policy.PULSE_INTERVAL / 1000
    assert found["removed"]["told_s"] >= 0
    assert len(membership.rows({"4": found})) == 4


def test_real_engines_follow_scripted_owners() -> None:
    result = thousand.run(replace(QUICK, scripted_size=7))
    assert result["refused"] == [{}, {}, {}]
    assert result["commits"]["commits"] == 7
    assert all(result["bytes_per_message"][kind] > 0 for kind in (MESSAGE, COMMIT, REPORT))


def test_diallers_connect_everybody() -> None:
    peers = [number.to_bytes(2) for number in range(100)]
    graph: dict[bytes, set[bytes]] = {peer: set() for peer in peers}
    for link in dialled(peers):
        a, b = link
        graph[a].add(b)
        graph[b].add(a)
    assert diameter(graph) <= 6
    assert len(dialled(peers[:5])) == 10


def test_pictures_take_the_newest_of_all_results(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps({"results": {"universe": {"20": "old", "5": "five"}, "thousand": "only"}}))
    new.write_text(json.dumps({"results": {"universe": {"20": "new"}, "thousand": {"error": "ended"}}}))
    merged: tuple[object, object] = charts.merged([old, new])
    assert merged == ({5: "five", 20: "new"}, "only")
    with pytest.raises(charts.ChartError, match="no simulated universes"):
        charts.draw([], tmp_path)
