"""Keeping the own send group in step with the roster: adding and removing, and telling others (X-13, X-15)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import policy
from starling.protocol.distributed.key_packages import check_key_package
from starling.protocol.distributed.member import leaf_identity, member_id, read_member
from starling.protocol.distributed.peer_address import PeerAddress
from starling.protocol.distributed.roster import MemberInfo, Roster
from starling.protocol.distributed.roster_body import Kind
from starling.protocol.distributed.roster_departures import Departure
from starling.protocol.distributed.roster_entry import decode_entry, entry_id
from starling.protocol.distributed.roster_rights import Policy, Right
from starling.protocol.distributed.send_group_rules import OWNER_LEAF
from starling.protocol.engine import absence, catching_up, direct, healing, own_group, resending
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import forget_imports, forget_psk, note_change
from starling.protocol.engine.exchanging import ask_for_roster, greet, profiles_of, send_entries
from starling.protocol.engine.imports import import_now
from starling.protocol.engine.key_changes import note_name, note_new_keys
from starling.protocol.engine.receiving import receive
from starling.protocol.engine.taken_keys import TakenKeys
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.messages import Profiles, WantProfiles
from starling.protocol.exchange.waiting import Need
from starling.protocol.mls.key_package import KeyPackage


def add_entries(
    ctx: Context, universe: Universe, entries: Iterable[bytes], source: bytes | None = None
) -> bool:
    """Merge roster entries; what is new is stored, acted on, and passed on to connected members."""
    before = {identity: info.send_group_id for identity, info in universe.roster.members.items()}
    groups = set(universe.roster.send_groups)
    rights = _rights(universe)
    new: list[bytes] = []
    incomplete = False
    for entry in entries:
        try:
            new.extend(universe.roster.add(entry))
        except Pending:
            incomplete = True
        except (ProtocolError, Unsupported) as refusal:
            universe.refuse(type(refusal).__name__)
    told = universe.roster.told_departure(universe.me) if incomplete else None
    if told is not None:
        _note_own_removal(ctx, universe, told)
        return True
    if incomplete and source is not None and (source in universe.links or universe.roster.awaits(source)):
        ask_for_roster(ctx, universe, source)
    if not new:
        return False
    for entry in new:
        key = universe.universe_id + entry_id(entry)
        ctx.put("roster", key, entry)
    _pass_on(ctx, universe, tuple(new), source)
    _note_members(ctx, universe, before)
    _note_rights(ctx, universe, *rights)
    for group_id in universe.roster.send_groups.keys() - groups:
        for waiting in universe.waiting.release(Need("roster", group_id, b"")):
            receive(ctx, universe, waiting.forwarder, waiting.frame)
    universe.timers.align = ctx.now
    note_change(ctx, universe)
    return True


def store_roster(ctx: Context, universe: Universe) -> None:
    """Store the whole roster, as a joiner got it."""
    for entry in universe.roster.entries():
        ctx.put("roster", universe.universe_id + entry_id(entry), entry)


def _pass_on(ctx: Context, universe: Universe, new: tuple[bytes, ...], source: bytes | None) -> None:
    for peer_id in universe.links:
        if peer_id != source:
            send_entries(ctx, universe, peer_id, new)
    for peer_id, link in universe.archivers.items():
        # Who was just removed does not learn of what follows, a new topic for one.
        if link.connected and peer_id != source and universe.roster.archiver_of_peer(peer_id) is not None:
            send_entries(ctx, universe, peer_id, new)


def _note_members(ctx: Context, universe: Universe, before: dict[bytes, bytes]) -> None:
    """Tell who came and who went since `before`, identities with their send groups. With another group a member
    went and came again."""
    members = universe.roster.members
    after = {identity: info.send_group_id for identity, info in members.items()}
    if after != before:
        for group_id in universe.groups:
            universe.sweep_soon(group_id, ctx.now)
    anew = {
        identity
        for identity in before.keys() & after.keys()
        if identity != universe.me and _is_readmitted(universe, members[identity])
    }
    # Looked up first: who is none any more itself forgets the roster below.
    departures = {identity: universe.roster.departure(identity) for identity in before.keys() - after.keys()}
    for identity, group_id in sorted(before.items() - after.items()):
        if identity in anew:
            universe.profiles.start_anew(ctx, identity, members[identity].peer_id)
        else:
            universe.profiles.forget(ctx, identity)
        universe.standing.end_exclusion(ctx, group_id)
        universe.asks_again.pop(identity, None)
        if identity not in members:
            universe.readmitted.pop(identity, None)
            universe.standing.end_suspension(ctx, identity)
        universe.stuck.forget(ctx, identity)
        universe.stuck.forget_group(ctx, group_id)
        if identity not in anew:
            universe.outbox.forget_member(ctx, identity)
            direct.drop_queued(ctx, universe, identity, "removed")
        if identity == universe.me:
            if identity not in members:
                _note_own_removal(ctx, universe, departures[identity])
        elif identity not in anew:
            _tell_removal(ctx, universe, identity, departures.get(identity))
            catching_up.note(universe, identity)
    if universe.removed:
        return
    for identity, _ in sorted(after.items() - before.items()):
        info = members[identity]
        body = {"identity": identity, "name": universe.name_of(identity), "sponsor": info.sponsor}
        if identity in anew:
            ctx.event("member.readmitted", universe.universe_id, body)
            note_new_keys(ctx, universe, info)
        elif identity != universe.me:
            ctx.event("member.joined", universe.universe_id, body)
            note_new_keys(ctx, universe, info)
            note_name(ctx, universe, identity)
            catching_up.note(universe, identity)
        if info.peer_id in universe.connected and info.peer_id not in universe.links:
            greet(ctx, universe, info.peer_id)
    for peer_id in [peer_id for peer_id in universe.links if universe.member_of_peer(peer_id) is None]:
        del universe.links[peer_id]


def _rights(universe: Universe) -> tuple[dict[bytes, str], Policy]:
    return {identity: info.role for identity, info in universe.roster.members.items()}, universe.roster.policy


def _note_rights(ctx: Context, universe: Universe, roles: dict[bytes, str], policy_before: Policy) -> None:
    """Tell who has another role than before, and whether others may invite or remove."""
    if universe.removed:
        return
    now_held, now = _rights(universe)
    for identity, role in sorted(now_held.items()):
        if roles.get(identity, role) != role:
            body = {"identity": identity, "name": universe.name_of(identity), "role": role}
            ctx.event("member.role", universe.universe_id, body)
    if now != policy_before:
        body = {"invite": now.invite, "remove": now.remove}
        ctx.event("policy.changed", universe.universe_id, body)


def _is_readmitted(universe: Universe, member: MemberInfo) -> bool:
    """Whether a member stands by an entry that answers no removal: with another send group it started anew."""
    entry = universe.roster.entry(member.entry_id)
    return entry is not None and decode_entry(entry).kind == Kind.MEMBER


def _tell_removal(ctx: Context, universe: Universe, identity: bytes, departure: Departure | None) -> None:
    reason = departure.reason.value if departure is not None else None
    by = departure.by if departure is not None else None
    body = {"identity": identity, "reason": reason, "by": by}
    ctx.event("member.removed", universe.universe_id, body)


def _note_own_removal(ctx: Context, universe: Universe, departure: Departure | None) -> None:
    """This node is no member any more, by others' word: it is told once."""
    if not universe.removed:
        _tell_removal(ctx, universe, universe.me, departure)
        forget_universe(ctx, universe)


def forget_universe(ctx: Context, universe: Universe) -> None:
    """K-20: who is no member any more opens nothing any more, and keeps nothing of it: neither keys, its own and the
    others', nor the roster's secrets. What apps have been told is theirs."""
    universe.removed = True
    universe.links.clear()
    universe.asks_again.clear()
    for group_id, state in universe.groups.items():
        universe.waiting.forget_group(group_id)
        forget_imports(ctx, universe, group_id)
        state.delete(ctx)
    universe.groups.clear()
    for exported in list(universe.ledger.psks.values()):
        forget_psk(ctx, universe, exported)
    for identity in list(universe.profiles.profiles):
        universe.profiles.forget(ctx, identity)
    for identity in universe.reports:
        ctx.delete("report", universe.universe_id + identity)
    universe.reports.clear()
    universe.unread_reports.clear()
    healing.forget_all(ctx, universe)
    for peer_id in universe.archivers:
        ctx.delete("feed", universe.universe_id + peer_id)
    universe.archivers.clear()
    universe.bundles.forget_all(ctx)
    universe.stuck.forget_all(ctx)
    universe.standing.forget_all(ctx)
    universe.gone.clear()
    universe.claims.forget_all(ctx)
    universe.outbox.forget_all(ctx)
    universe.delivered.forget_all(ctx)
    founding, *others = universe.roster.entries()
    for entry in others:
        ctx.delete("roster", universe.universe_id + entry_id(entry))
    # Its name and founder stay, for people.
    universe.roster = Roster.load(universe.universe_id, [founding])
    universe.signature_private_key = b""
    universe.save(ctx)


def align(ctx: Context, universe: Universe) -> None:
    """Commit what the roster asks for: removals at once; then imports, then adds (X-13, X-15). A change of archivers
    is committed at once too: one that is none any more opens the commit that says so, and no later one."""
    universe.timers.align = None
    _watch_topic(ctx, universe)
    absence.take_back(ctx, universe)
    removes = leaves_to_remove(ctx, universe)
    for group_id in list(universe.stuck.reports):
        state = universe.groups.get(group_id)
        if state is not None:
            universe.stuck.drop_answered(ctx, state)
    leaves = {
        leaf_identity(leaf): (index, member_id(leaf).incarnation)
        for index, leaf in universe.own.head.tree.leaves()
        if index not in removes
    }
    adds: list[KeyPackage] = []
    again: dict[bytes, int] = {}
    unknown: list[bytes] = []
    put_off: list[int] = []
    taken = TakenKeys(universe.own.head)
    for identity in universe.roster.members:
        incarnation = universe.incarnation_of(identity)
        index, held = leaves.get(identity, (None, -1))
        if identity == universe.me or held >= incarnation or universe.standing.keeps_out(identity):
            continue
        if index is not None and held >= universe.roster.members[identity].incarnation:
            allowed_at = _may_add_again_at(ctx, universe, identity)
            if allowed_at is None or allowed_at > ctx.now:
                put_off += [allowed_at] if allowed_at is not None else []
                continue
        package = usable_key_package(ctx, universe, identity, incarnation, is_again=index is not None)
        if package is None:
            unknown.append(identity)
        elif taken.take(package.leaf_node, index):
            adds.append(package)
            if index is not None:
                again[identity] = index
    if adds:
        if removes:
            own_group.commit(ctx, universe, path=True, removes=removes)
        if len(adds) > len(again):
            import_now(ctx, universe)  # who is in the group already may lack just what would be imported
        owed = {identity: resending.owed_to(universe, identity) for identity in again}
        own_group.commit(ctx, universe, path=True, removes=list(again.values()), adds=adds)
        for identity in again:
            universe.stuck.note_readded(ctx, identity, universe.own.graph.head_info.number)
            theirs = universe.groups.get(universe.roster.members[identity].send_group_id)
            if theirs is not None:
                theirs.updated = False  # its next path commit is imported at once, as a joiner's first
                theirs.save(ctx)
        for identity in map(leaf_identity, (package.leaf_node for package in adds)):
            orders = owed.get(identity) or resending.held_back_for(universe, identity)
            resending.send_again(ctx, universe, identity, orders)
    elif removes:
        own_group.commit(ctx, universe, path=True, removes=removes)
    if not own_group.names_archivers(universe):
        own_group.commit(ctx, universe, path=False)
    if unknown:
        for peer_id in universe.links:
            ctx.send(peer_id, WantProfiles.some(universe.universe_id, unknown))
        pause = min(policy.ASK_AGAIN << min(universe.timers.profile_asks, 8), policy.ASK_SELDOM)
        universe.timers.profile_asks += 1
        universe.timers.align = ctx.now + ctx.jittered(pause)
    else:
        universe.timers.profile_asks = 0
        universe.timers.align = min(put_off, default=None)


def _watch_topic(ctx: Context, universe: Universe) -> None:
    """Who was removed knows the newest topic: there has to be another one. Who removes makes it at once; after a leave,
    or where that got lost, the most senior member that is there does, and the others wait whether it does."""
    timers, roster = universe.timers, universe.roster
    if not roster.topic_is_stale or not roster.may(universe.me, Right.TOPIC):
        timers.topic = None
    elif timers.topic is None:
        there = {info.identity for info in universe.others() if info.peer_id in universe.links}
        before = itertools.takewhile(lambda identity: identity != universe.me, roster.seniority)
        timers.topic = ctx.now + policy.TOPIC_TURN * (1 + sum(identity in there for identity in before))


def renew_topic(ctx: Context, universe: Universe) -> None:
    """Make a topic that nobody knows who was removed, where none has made one yet. Who has made as many entries as it
    may leaves that to the others."""
    universe.timers.topic = None
    if not universe.roster.topic_is_stale or not universe.roster.may(universe.me, Right.TOPIC):
        return
    try:
        entry = universe.roster.make_topic(universe.identity, ctx.random)
    except UsageError:
        universe.refuse("topic")
        return
    add_entries(ctx, universe, [entry])


def removed_leaves(universe: Universe) -> list[int]:
    """The leaves of the own group that the roster does not count as members any more, or by a newer incarnation, or
    that this node keeps out."""
    least = {
        info.identity: info.incarnation
        for info in universe.roster.members.values()
        if not universe.standing.keeps_out(info.identity)
    }
    found = []
    for index, leaf in universe.own.head.tree.leaves():
        identity, incarnation = member_id(leaf)
        if index != OWNER_LEAF and (identity not in least or incarnation < least[identity]):
            found.append(index)
    return found


def leaves_to_remove(ctx: Context, universe: Universe) -> list[int]:
    """Those of them that are removed now: who started anew keeps its old leaf until it can be added by a new one, else
    it would miss what is sent between. What it may lack is held back for it."""
    removes = []
    for index in removed_leaves(universe):
        leaf = universe.own.head.tree.leaf(index)
        identity = leaf_identity(leaf) if leaf is not None else b""
        info = universe.roster.members.get(identity)
        kept_out = universe.standing.keeps_out(identity)
        if info is not None and not kept_out and _is_readmitted(universe, info):
            if usable_key_package(ctx, universe, identity, universe.incarnation_of(identity)) is None:
                continue
            resending.hold_back_whole(ctx, universe, identity)
        removes.append(index)
    return removes


def _may_add_again_at(ctx: Context, universe: Universe, identity: bytes) -> int | None:
    """From when on a member that asks for it may be added again by itself; None where a person has to confirm it, as
    its own group has forked (B7)."""
    state = universe.groups.get(universe.roster.members[identity].send_group_id)
    if state is not None and state.forked:
        return None
    return universe.stuck.may_readd_at(identity, ctx.now)


def usable_key_package(
    ctx: Context, universe: Universe, identity: bytes, incarnation: int, *, is_again: bool = False
) -> KeyPackage | None:
    """The KeyPackage to add a member by; None where none is known that holds and is of this incarnation."""
    package = universe.profiles.key_package(identity, universe.cipher_suite)
    if is_again:
        package = universe.profiles.fresh_key_package(identity, universe.cipher_suite, ctx.now)
    if package is None:
        return None
    try:
        package.validate(cipher_suite(universe.cipher_suite), ctx.now)
        member = check_key_package(package, universe_id=universe.universe_id, identity=identity)
    except (ProtocolError, Unsupported):
        return None
    return package if member.incarnation == incarnation else None


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
