"""What `fork.list` shows of epochs: heads, who is where, what is kept and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.engine.branched import put_back_while_one_is_away
from tests.engine.small_network import DAY, MINUTE, SECOND, Node, quiet, settled

from starling.protocol.distributed.evidence import Evidence
from starling.protocol.engine.inputs import UpdateKeys
from starling.protocol.errors import UsageError


def group(node: Node, universe: bytes, owner: Node) -> dict[str, Any]:
    (found,) = node.engine.forks(universe, owner.me)
    return dict(found)


def test_a_universe_at_rest_keeps_nothing_and_all_are_at_the_head() -> None:
    _, universe, nodes = settled("alice", "bob", "carol")
    for node in nodes:
        shown = node.engine.forks(universe)
        assert [view["owner"] for view in shown] == sorted(other.me for other in nodes)
        for view in shown:
            (head,) = view["heads"]
            assert (head["here"], head["counts"], view["members"]) == (3, True, 3)
            assert view["elsewhere"] == view["kept"] == view["parents"] == []
            assert not view["forked"] and not view["evidence"] and view["joined"]
            assert view["is_own"] == (view["owner"] == node.me)


def test_who_is_away_is_elsewhere_and_is_waited_for() -> None:
    network, universe, (alice, bob, carol) = quiet("alice", "bob", "carol")
    network.run(MINUTE)
    before = alice.group(universe, alice).graph.head
    network.stop(carol)
    alice.do(UpdateKeys(universe))
    superseded = network.now
    network.run(10 * SECOND)
    view = group(bob, universe, alice)
    (head,) = view["heads"]
    assert head["here"] == 2 and view["elsewhere_count"] == 1
    assert [(row["identity"], row["dmls_epoch"]) for row in view["elsewhere"]] == [(carol.me, before)]
    assert view["elsewhere"][0]["epoch"] == head["epoch"] - 1
    (kept,) = view["kept"]
    assert (kept["dmls_epoch"], kept["reason"], kept["waits_for_count"]) == (before, "members", 1)
    assert [(row["identity"], row["name"]) for row in kept["waits_for"]] == [(carol.me, "carol")]
    assert kept["until"] == kept["superseded_at"] + 7 * DAY and kept["superseded_at"] - superseded < SECOND
    assert group(alice, universe, alice)["kept"] == [], "an owner keeps none of its own"
    network.restart(carol)
    network.run(MINUTE)
    assert group(bob, universe, alice)["kept"] == []


def test_a_missing_message_is_told_as_what_is_waited_for() -> None:
    network, universe, (alice, bob) = quiet("alice", "bob")
    network.run(MINUTE)
    alice.universe(universe).timers.last_import = network.now
    network.gossip = False
    alice.say(universe, "late")
    network.gossip = True
    network.streams = False
    alice.do(UpdateKeys(universe))
    network.run(SECOND)
    (kept,) = group(bob, universe, alice)["kept"]
    assert (kept["reason"], kept["waits_for"]) == ("messages", [])
    network.streams = True
    network.run(MINUTE)
    assert bob.texts() == ["late"] and group(bob, universe, alice)["kept"] == []


def test_of_one_group_everybody_is_named_and_of_all_only_some() -> None:
    network, universe, nodes = quiet("alice", "bob", "carol", "dave", "eve", "frank")
    alice = nodes[0]
    for node in nodes[1:5]:
        network.stop(node)
    alice.do(UpdateKeys(universe))
    network.run(10 * SECOND)
    frank = nodes[5]
    (short,) = [view for view in frank.engine.forks(universe) if view["owner"] == alice.me]
    assert (len(short["elsewhere"]), short["elsewhere_count"]) == (3, 4)
    assert all(len(kept["waits_for"]) <= 3 for kept in short["kept"])
    whole = group(frank, universe, alice)
    assert len(whole["elsewhere"]) == 4
    assert any(len(kept["waits_for"]) == 4 for kept in whole["kept"])


def test_the_page_says_what_the_views_hold() -> None:
    _, universe, (alice, bob) = quiet("alice", "bob")
    page = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text()
    (member,) = alice.engine.security(universe, bob.me)["members"]
    for title, shown in (
        ("A member in `security.view`:", member),
        ("`fork.list`:", group(alice, universe, bob)),
    ):
        table = page.split(title)[1].split("\n\n")[1]
        first_cells = "".join(row.split("|")[1] for row in table.splitlines())
        assert set(re.findall(r"`(\w+)`", first_cells)) == shown.keys()


def test_of_somebody_who_is_no_member_nothing_is_shown() -> None:
    _, universe, (alice, _) = quiet("alice", "bob")
    with pytest.raises(UsageError):
        alice.engine.forks(universe, b"n" * 32)


def test_both_branches_are_shown_until_the_dead_one_settles() -> None:
    network, universe, alice, bob, carol = put_back_while_one_is_away()
    lost = bob.group(universe, alice).graph.head
    network.restart(alice)
    network.run(5 * SECOND)
    alice.say(universe, "on the new branch")
    network.run(5 * SECOND)
    view = group(bob, universe, alice)
    head, closed = view["heads"]
    assert (head["counts"], head["closed_by"], closed["counts"]) == (True, None, False)
    assert closed["dmls_epoch"] == lost and closed["closed_by"] in bob.group(universe, alice).graph
    (parent,) = view["parents"]
    assert len(parent["children"]) == 2 and parent["epoch"] < closed["epoch"]
    assert view["evidence"] and not view["frozen"]
    assert [row["identity"] for row in view["elsewhere"]] == [carol.me]
    (held,) = bob.engine.evidence(universe)
    assert (held["owner"], held["name"]) == (alice.me, "alice")
    assert not Evidence.parse(held["evidence"]).faults() and held["epochs"] == [parent["epoch"]]
    network.restart(carol)
    network.run(MINUTE)
    for node in (alice, bob, carol):
        view = group(node, universe, alice)
        assert len(view["heads"]) == 1 and view["parents"] == view["elsewhere"] == []
    assert len({node.engine.security(universe)["digest"] for node in (alice, bob, carol)}) == 1
    network.stop(bob)
    network.restart(bob)
    assert bob.engine.evidence(universe) == [held], "evidence outlives the fork"
