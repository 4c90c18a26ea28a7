"""Two nodes with the keys of one member, of which one starts anew before it has signed anything beside the other: the
other denies to be it, and everybody is told (PROTOCOL 5.6 B6).

What a node that starts anew was shown of its former send group is passed on to all, itself among them, since both
have one peer id. Who made one of these epochs in its present run knows that another process asks. A node that was put
back has no such run: so it is never taken for two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from starling.protocol.distributed import policy
from starling.protocol.distributed.denial import MAX_SHOWN, Denial, Sighting
from starling.protocol.distributed.evidence import MAX_DENIALS, Evidence
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.distributed.send_group_rules import OWNER_LEAF
from starling.protocol.engine.context import Context
from starling.protocol.engine.forks import tell_clone
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.universe import Universe
from starling.protocol.exchange.message import Message
from starling.protocol.exchange.readmission_messages import Denied, Sighted


def tell_sighting(ctx: Context, universe: Universe) -> None:
    """While this node asks to start anew: tell all connected members which heads of its former group they have."""
    former = universe.roster.members[universe.me].send_group_id
    # One member can claim anything: first what most of them say.
    shown = Counter(universe.shown_heads.values())
    heads = tuple(sorted(sorted(shown, key=lambda head: (-shown[head], head))[:MAX_SHOWN]))
    if heads:
        sighting = Sighting.sign(
            universe.identity,
            universe_id=universe.universe_id,
            former_group_id=former,
            send_group_id=universe.group_id,
            heads=heads,
        )
        _tell(ctx, universe, Sighted(universe.universe_id, sighting.encode()))


def runs_twice(universe: Universe, info: MemberInfo) -> bool:
    """Whether two nodes act as a member, perhaps as this node's own, for all that is known, and the roster has not said
    since which of them stays."""
    state = universe.groups.get(info.send_group_id)
    if state is None:
        return bool(universe.evidence.denials(info.send_group_id))
    return universe.is_frozen(state)


def is_denied(universe: Universe) -> bool:
    """Whether another node of this member denies to be the one that asks here, while it asks."""
    former = universe.roster.members[universe.me].send_group_id
    return universe.evidence.is_denied(former, universe.group_id)


def was_shown_heads(universe: Universe, identity: bytes, send_group_id: bytes) -> bool:
    """Whether who asks to start anew with a group tells of heads that another node of this member may have made."""
    held = universe.sightings.get(identity)
    return held is not None and held[1].send_group_id == send_group_id


def take_sighting(ctx: Context, universe: Universe, peer_id: bytes, message: Sighted) -> None:
    """A member starts anew: deny it where it is another node with the own keys, else pass it on.

    Raises what the checks raise.
    """
    sighting = Sighting.decode(message.sighting)
    member = universe.roster.members.get(sighting.identity)
    if member is None or sighting.universe_id != universe.universe_id:
        return
    if sighting.former_group_id != member.send_group_id:
        return  # the roster has said already which of them stays
    if sighting.identity == universe.me:
        _deny(ctx, universe, sighting)
        return
    if universe.evidence.is_denied(member.send_group_id, sighting.send_group_id):
        ctx.send(peer_id, _denied(universe, member.send_group_id))
        return
    held = universe.sightings.get(sighting.identity)
    if held is not None and (held[1] == sighting or 0 <= ctx.now - held[0] < policy.SIGHTING_MIN_GAP):
        return
    sighting.verify()
    universe.sightings = {
        identity: known
        for identity, known in universe.sightings.items()
        if identity in universe.roster.members
    } | {sighting.identity: (ctx.now, sighting)}
    _tell(ctx, universe, message, besides=peer_id)


def _deny(ctx: Context, universe: Universe, sighting: Sighting) -> None:
    """This node is a member, and did not ask: where it made in this run what the other one was shown, both live."""
    if universe.silenced or sighting.former_group_id != universe.group_id:
        return
    own = universe.own
    known = universe.evidence.denials(own.group_id)
    if set(universe.made).isdisjoint(sighting.heads) or (known and universe.is_frozen(own)):
        return
    sighting.verify()
    leaf = own.head.tree.leaf(OWNER_LEAF)
    assert leaf is not None, "the owner is leaf 0"
    denial = Denial.sign(universe.signature_private_key, sighting)
    universe.evidence.merge(ctx, own.group_id, Evidence.of(leaf, (), (denial,)))
    tell_clone(ctx, universe, own, ())
    _tell(ctx, universe, _denied(universe, own.group_id))


def take_denial(ctx: Context, universe: Universe, peer_id: bytes, message: Denied) -> None:
    """Evidence that a member, perhaps this one, runs twice: keep it, tell it, and pass it on. Raises `DecodeError`."""
    evidence = Evidence.parse_encoded(message.evidence)
    member = universe.roster.members.get(evidence.identity)
    group_id = evidence.member.send_group_id
    if member is None or evidence.member.universe_id != universe.universe_id:
        return
    if member.send_group_id != group_id or not evidence.denials:
        return
    known = universe.evidence.denials(group_id)
    if len(known) >= MAX_DENIALS or set(known) >= set(evidence.denials) or evidence.faults():
        return
    text = universe.evidence.merge(ctx, group_id, evidence)
    state = universe.groups.get(group_id)
    if state is not None:
        tell_clone(ctx, universe, state, ())
    elif universe.told_twice != member.entry_id:
        # This node is the one that asks, or not in that group yet.
        universe.told_twice = member.entry_id
        body = {"owner": evidence.identity, "evidence": text}
        ctx.event("clone.detected", universe.universe_id, body)
    _tell(ctx, universe, message, besides=peer_id)


def tell_again(ctx: Context, universe: Universe, peer_id: bytes) -> None:
    """A member's node has greeted: it may be the other one of two, or not have heard yet who runs twice."""
    member = universe.member_of_peer(peer_id)
    held = universe.sightings.get(member.identity) if member is not None else None
    if held is not None and member is not None and held[1].former_group_id == member.send_group_id:
        ctx.send(peer_id, Sighted(universe.universe_id, held[1].encode()))
    for state in _denied_groups(universe):
        ctx.send(peer_id, _denied(universe, state.group_id))


def _denied_groups(universe: Universe) -> Iterable[GroupState]:
    return (
        state
        for state in universe.groups.values()
        if universe.is_frozen(state) and universe.evidence.denials(state.group_id)
    )


def _denied(universe: Universe, group_id: bytes) -> Denied:
    return Denied(universe.universe_id, universe.evidence.kept[group_id].evidence.encode())


def _tell(ctx: Context, universe: Universe, message: Message, besides: bytes = b"") -> None:
    for peer_id in universe.links:
        if peer_id != besides:
            ctx.send(peer_id, message)
