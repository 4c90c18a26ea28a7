"""Finding out that this node was put back to an old state, or runs twice (PROTOCOL X-9, 5.3, B3).

Whoever holds a member's state can act as it, so nothing here prevents anything: it is told to people.
"""

from __future__ import annotations

from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.rules import Rule
from starling.protocol.engine.context import Context
from starling.protocol.engine.exchanging import ask_for_roster
from starling.protocol.engine.forks import MOST_RESOLVES, known_commits, tell_clone
from starling.protocol.engine.resolving import resolve_soon
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Invalid
from starling.protocol.exchange.frame import CommitFrame

MAX_TOLD = 16
"""Alarms in one run: whoever reads sixteen knows."""


def take_own_commit(
    ctx: Context, universe: Universe, peer_id: bytes, frame: CommitFrame, message: DMLSMessage
) -> None:
    """A commit of our own group from somebody else: one that we know, or proof of a state that we do not have.

    Proof is a head statement under our own key: no peer can make one. Its parent is an epoch that we hold, or a
    newer one than our head; of older epochs we may have forgotten the end.
    """
    own = universe.own
    statement = HeadStatement.decode(frame.head_statement)
    if statement.parent != (universe.universe_id, own.group_id, message.epoch, message.dmls_epoch):
        raise Invalid(Rule.HEAD_COMMIT)
    info = own.graph.get(message.dmls_epoch)
    known = known_commits(own, message.dmls_epoch)
    if any(held.commit_hash == statement.commit_hash for held in known):
        return
    forgotten = info is None and message.dmls_epoch not in own.graph.closed and not known
    if forgotten and message.epoch < own.graph.oldest_number:
        return
    if statement.commit_hash in universe.rollbacks or len(universe.rollbacks) >= MAX_TOLD:
        return
    leaf = own.head.tree.leaf(0)
    assert leaf is not None, "the owner is leaf 0"
    statement.verify(leaf.signature_key, commit=message.message.encode() + frame.welcome)
    universe.behind.pop(own.group_id, None)
    universe.rollbacks[statement.commit_hash] = statement
    universe.was_put_back = True
    if info is not None or known:
        held_at = universe.branched_at
        universe.branched_at = message.epoch if held_at is None else min(message.epoch, held_at)
    evidence = [found.encode() for found in (*known, statement)]
    ctx.event(
        "rollback.detected",
        universe.universe_id,
        {"parent": message.dmls_epoch, "epoch": message.epoch, "evidence": evidence},
    )
    if message.dmls_epoch in own.graph.closed and len(set(own.graph.closed.values())) >= MOST_RESOLVES:
        # The commits of one number contradict each other on whatever branches they are; this one may be newer than all
        # that is known of the own branch.
        made = [info.started_by for info in own.graph.epochs.values() if info.started_by]
        tell_clone(ctx, universe, own, (*map(HeadStatement.decode, made), *universe.rollbacks.values()))
    resolve_soon(ctx, universe)
    if not universe.boot.done and peer_id in universe.links:
        universe.boot.waits_for_roster = True
        ask_for_roster(ctx, universe, peer_id)
