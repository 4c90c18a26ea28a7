"""Netsplits as in draft-kohbrok-mls-dmls-02 §6.1, in any order and within one another: what holds once they heal."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.decentralized.forked_members import NOW, ForkMember
from tests.decentralized.split_network import SplitNetwork

ACTIONS = (
    "split",
    "meet",
    "commit",
    "add",
    "remove",
    "talk",
    "deliver",
    "deliver",
    "talk",
    "sweep",
    "restart",
)
MOST_NEWCOMERS = 3


def happen(network: SplitNetwork, action: str) -> None:
    if action == "split":
        network.split()
    elif action == "meet":
        network.meet()
    elif action == "deliver":
        for _ in range(4):
            network.deliver_one()
    elif action == "restart":
        network.restart()
    elif action == "sweep":
        for joined in network.joined():
            assert joined.forked.sweep(NOW, retain=True) == ()
    else:
        member = network.any_member()
        if member is None:
            return
        if action == "commit":
            network.commit(member, [])
        elif action == "talk":
            network.talk(member)
        elif action == "remove":
            network.remove(member)
        elif len(network.added) < MOST_NEWCOMERS:
            network.add(member)


def consolidate(network: SplitNetwork) -> None:
    """Whoever sees that something is due commits it."""
    network.heal()
    network.deliver_all()
    for _ in range(12):
        for member in network.joined():
            due = member.forked.due(random=member.client.random)
            if due:
                assert network.commit(member, due)
                break
        else:
            return
        network.deliver_all()
    raise AssertionError("the forks do not come together")


def members_of_the_winner(network: SplitNetwork) -> list[ForkMember]:
    names = network.places[0].member.members() if network.places[0].member else set()
    return [member for member in network.joined() if member.name in names]


def check(network: SplitNetwork) -> None:
    consolidate(network)
    everybody = members_of_the_winner(network)
    # Every client holds the same fork, with what all forks changed.
    assert len({member.forked.head for member in everybody}) == 1
    assert {member.name for member in everybody} == (network.founders | network.added) - network.removed
    for member in network.joined():
        assert member in everybody or member.forked.is_removed
    # Everything was read, once, by all who were in the fork that it was said in.
    for place in network.places:
        expected = [
            text for text, readers in network.expected.items() if place.client.signature_key in readers
        ]
        assert sorted(place.member.read if place.member else []) == sorted(expected)
    # What was lost or left behind goes once all have gone on.
    old = {name for member in network.joined() for name in member.forked.epochs}
    for member in everybody:
        assert network.commit(member, [])
        network.deliver_all()
    for member in network.joined():
        member.forked.sweep(NOW)
        if member not in everybody:
            assert member.forked.epochs == ()
            continue
        assert not old & set(member.forked.epochs)
        assert member.forked.heads == (everybody[0].forked.head,)
        text = b"after all " + member.name
        sent = member.say(text)
        for other in everybody:
            if other is not member:
                other.get(sent)
                assert other.read[-1] == text


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(ACTIONS), min_size=10, max_size=24), st.randoms(use_true_random=False))
def test_forks_come_together_again(actions: list[str], random: Random) -> None:
    network = SplitNetwork(4, random.randrange)
    for action in actions:
        happen(network, action)
    check(network)
