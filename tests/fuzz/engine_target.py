"""Engines among hostile peers: whatever a member signs and encrypts, `handle` comes back, and the rest goes on."""

from __future__ import annotations

import random

from tests.engine.joining_by_hand import Guest
from tests.engine.small_network import MINUTE, SECOND, Network, Node
from tests.fuzz.findings import Finding, bounded
from tests.fuzz.hostile_member import HostileMember
from tests.fuzz.sealed_join import HostileAnswer, HostileGuest

from starling.protocol.engine.engine import Engine
from starling.protocol.engine.inputs import (
    CreateInvite,
    Input,
    JoinUniverse,
    RemoveMember,
    UpdateKeys,
)
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange import messages
from starling.protocol.exchange.joining_messages import JoinAnswer

INPUTS = 400
RELOAD = 50
"""After how many inputs the victim is loaded anew from what it has stored."""


def run(rng: random.Random) -> int:
    """One universe with one hostile member; how many inputs its victim got."""
    match rng.randrange(10):
        case 0 | 1:
            return run_joiner(rng)
        case 2:
            return run_sponsor(rng)
    network, universe, nodes = story(rng)
    mallory, victim, honest = rng.sample(nodes, 3)
    hostile = HostileMember(rng, network, universe, nodes, mallory, victim)
    for count in range(1, INPUTS + 1):
        item = hostile.something()
        if item is None:
            continue
        give(victim, item)
        if rng.random() < 0.03:
            network.run(rng.choice((5, 50, 2 * SECOND)))
        if count % RELOAD == 0:
            reload(victim)
    _check_going_on(network, universe, victim, honest, mallory)
    return INPUTS


def run_joiner(rng: random.Random) -> int:
    """A newcomer whose sponsor has proven itself, and then answers whatever it likes."""
    network = Network()
    universe, sponsor, other = network.found("alice", "bob")
    newcomer = network.add("dave")
    answers: list[bytes] = []

    def hold_back(source: Node, target: Node, send: Send) -> bool:
        if target is not newcomer or not isinstance(send, SendToPeer):
            return False
        frames = [source.rows["frame", key] for key in send.frame_ids]
        answers.append(messages.attach(send.data, frames))
        return isinstance(messages.decode_message(answers[-1])[0], JoinAnswer)

    network.cut(newcomer, other)
    network.drop = hold_back
    newcomer.do(JoinUniverse(network.invite(sponsor, universe), rng.choice((1, 3))))
    while not answers or not isinstance(last := messages.decode_message(answers[-1])[0], JoinAnswer):
        network.run(100)
    sealed = HostileAnswer(rng, newcomer, sponsor, universe, last)
    hostile = HostileMember(rng, network, universe, [sponsor, other], sponsor, newcomer)
    hostile.said = answers
    for count in range(1, INPUTS + 1):
        chance = rng.random()
        item = sealed.answer() if chance < 0.4 else None
        if item is None:
            item = hostile.changed_traffic() if chance < 0.8 else hostile.something()
        if item is not None:
            give(newcomer, item)
        if count % RELOAD == 0:
            reload(newcomer)
            network.run(SECOND)
    network.drop = lambda source, target, send: False
    network.run(30 * SECOND)
    return INPUTS


def run_sponsor(rng: random.Random) -> int:
    """A sponsor of whom somebody with a ticket asks whatever it likes, sealed."""
    network = Network()
    universe, sponsor, other = network.found("alice", "bob", suites=rng.choice(((1, 1), (3, 1))))
    ticket = network.invite(sponsor, universe, uses=1000)
    guests = [Guest(network, f"guest {number}", ticket) for number in range(4)]
    hostile = [HostileGuest(rng, guest, sponsor) for guest in guests]
    for count in range(1, INPUTS // 4 + 1):
        give(sponsor, rng.choice(hostile).request())
        if count % RELOAD == 0:
            reload(sponsor)
            network.run(SECOND)
    _check_going_on(network, universe, sponsor, other, sponsor)
    return INPUTS // 4


def story(rng: random.Random) -> tuple[Network, bytes, list[Node]]:
    """A universe in which all kinds of things have happened."""
    network = Network()
    suites = rng.choice(((1, 1, 1, 1), (1, 3, 1, 3)))
    universe, *nodes = network.found("alice", "bob", "carol", "dave", suites=suites)
    for node in nodes:
        node.say(universe, f"{node.name} says")
    if rng.random() < 0.5:
        nodes[rng.randrange(4)].do(UpdateKeys(universe))
        network.run(MINUTE)
    if rng.random() < 0.3:
        nodes[0].do(CreateInvite(universe))
    if rng.random() < 0.2:
        nodes[0].do(RemoveMember(universe, nodes[3].me))
        nodes = nodes[:3]
    network.run(2 * SECOND)
    return network, universe, nodes


def give(victim: Node, item: Input) -> None:
    """Let the victim handle an input and save what comes out. Raises `Finding`."""
    size = len(getattr(item, "frame", b"")) + len(getattr(item, "data", b""))
    try:
        with bounded(size, f"the engine for a {type(item).__name__}"):
            step = victim.handle(item)
    except Finding:
        raise
    except Exception as error:
        raise Finding(f"handle: {type(error).__name__}: {error}") from error
    victim.finish(step)


def reload(victim: Node) -> None:
    """Whatever was stored, the engine can be started from it."""
    rows = [(table, key, value) for (table, key), value in victim.rows.items() if table != "frame"]
    try:
        Engine(victim.identity, rows, now=victim.network.now, random=victim.random_source())
    except Exception as error:
        raise Finding(f"a stored state does not load: {type(error).__name__}: {error}") from error


def _check_going_on(network: Network, universe: bytes, victim: Node, honest: Node, mallory: Node) -> None:
    """An honest member's message still arrives, unless the founder itself was hostile. Who says that it has removed the
    victim from its group holds up what others have imported from there, for some minutes."""
    network.heal()
    network.run(2 * MINUTE)
    if mallory is _founder(network, universe):
        return
    honest.say(universe, "after all that")
    for _ in range(10):
        network.run(MINUTE)
        if b"after all that" in {body["body"] for body in victim.heard("message.received")}:
            return
    raise Finding("an honest member is not heard any more")


def _founder(network: Network, universe: bytes) -> Node | None:
    nodes = list(network.nodes.values())
    founder = nodes[0].universe(universe).roster.founder
    return next((node for node in nodes if node.me == founder), None)
