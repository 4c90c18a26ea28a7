"""Telling and learning profiles: the newest KeyPackages and addresses of members."""

from __future__ import annotations

from starling.protocol.distributed.member import read_member
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.roster import MemberInfo
from starling.protocol.engine.context import Context
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import ProtocolError, Unsupported
from starling.protocol.exchange.member_messages import Profiles
from starling.protocol.exchange.profiles import in_one_message
from starling.protocol.mls.key_package import KeyPackage


def take_profiles(ctx: Context, universe: Universe, message: Profiles) -> None:
    """Learn newer KeyPackages and addresses; each is checked by itself."""
    learned = False
    for packages, address in message.profiles:
        try:
            learned = learn_profile(ctx, universe, packages, address) or learned
        except (ProtocolError, Unsupported) as refusal:
            universe.refuse(type(refusal).__name__)
    if learned:
        universe.timers.align = ctx.now


def learn_profile(ctx: Context, universe: Universe, packages: tuple[bytes, ...], address: bytes) -> bool:
    """One member's profile; raises `ProtocolError` for anything that is not the member's own."""
    decoded = tuple(KeyPackage.decode(package) for package in packages)
    learned = False
    if decoded:
        identity = decoded[0].leaf_node.credential.identity or b""
        info = universe.roster.members.get(identity)
        if info is None or identity == universe.me:
            return False
        shown, known = read_member(decoded[0].leaf_node).incarnation, universe.incarnation_of(identity)
        if shown == known or (shown > known and _takes_word_of(universe, info)):
            learned = universe.profiles.learn_key_packages(ctx, identity, shown, decoded)
    if address:
        peer_id = PeerAddress.decode(address).peer_id
        info = universe.member_of_peer(peer_id)
        if info is not None and info.identity != universe.me:
            learned = universe.profiles.learn_address(ctx, info.identity, peer_id, address) or learned
    return learned


def _takes_word_of(universe: Universe, info: MemberInfo) -> bool:
    """B7: a newer incarnation is learned in the member's own group, which shows that it goes on from there. Only who
    is not in that group, or is stuck in it itself, takes the word of a KeyPackage."""
    return info.send_group_id not in universe.groups or info.send_group_id in universe.stuck


def answer_profiles(ctx: Context, universe: Universe, peer_id: bytes, identities: tuple[bytes, ...]) -> None:
    ctx.send(peer_id, profiles_of(universe, list(identities)))


def profiles_of(universe: Universe, identities: list[bytes]) -> Profiles:
    """The newest KeyPackages and addresses of these members, this node's own from its bundles: each once, and as many
    as one message can hold."""
    found = (_profile(universe, identity) for identity in dict.fromkeys(identities))
    return in_one_message(universe.universe_id, (profile for profile in found if profile is not None))


def _profile(universe: Universe, identity: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
    if identity == universe.me:
        own = universe.own_address
        packages = tuple(package.encode() for package in universe.bundles.newest())
        return packages, own.encode() if own is not None else b""
    profile = universe.profiles.get(identity)
    return profile.wire() if profile is not None else None
