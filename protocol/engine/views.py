"""What a node can show of itself: plain values for the socket, read from the engine's state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starling.protocol.distributed.roster_view import InviteInfo
from starling.protocol.engine import catching_up, denying, readmission
from starling.protocol.engine.reporting import is_converged
from starling.protocol.engine.universe import Universe

View = dict[str, Any]


def universe_view(universe: Universe) -> View:
    """One universe in short."""
    active = universe.is_active
    joining = universe.joining
    held = universe.roster.policy
    name = universe.roster.universe_name or (joining.ticket.universe_name if joining else "")
    return {
        "universe_id": universe.universe_id,
        "name": name,
        "state": _state(universe),
        "founder": universe.roster.founder,
        "role": universe.roster.members[universe.me].role if universe.me in universe.roster.members else None,
        # Who is no member any more keeps no roster, and so knows none.
        "policy": {"invite": held.invite, "remove": held.remove} if active else None,
        "members": len(universe.roster.members),
        "send_groups": len(universe.groups),
        "epoch": universe.own.graph.head_info.number if active else None,
        "cipher_suite": universe.cipher_suite,
        "verification": readmission.verification(universe) if universe.is_asking else None,
        "ready": active and universe.boot.done,
        "queued": universe.outbox.queued,
        "waiting": len(universe.waiting),
        "frames": sum(len(group.log) for group in universe.groups.values()),
        "converged": active and is_converged(universe),
        "rollback_suspected": universe.rollback_suspected,
        "refused": dict(universe.refused),
    }


def _state(universe: Universe) -> str:
    if universe.joining is not None:
        return "joining"
    if universe.removed:
        return "left" if universe.leaving is not None else "removed"
    if universe.is_admitted:
        return "active"
    return "asking" if universe.is_asking else "superseded"


def members_view(universe: Universe) -> list[View]:
    """The members: where each stands, and how far it has come in healing."""
    if not universe.is_active:
        return []
    return [_member_view(universe, identity) for identity in sorted(universe.roster.members)]


def _member_view(universe: Universe, identity: bytes) -> View:
    info = universe.roster.members[identity]
    group = universe.groups.get(info.send_group_id)
    is_self = identity == universe.me
    imports = {
        group_id: last.epoch
        for (importer, group_id), last in universe.ledger.last_imports.items()
        if importer == identity
    }
    return {
        "identity": identity,
        "name": universe.name_of(identity),
        "verified_at": universe.contacts.get(identity).verified_at,
        "role": info.role,
        "is_founder": identity == universe.roster.founder,
        "peer_id": info.peer_id,
        "is_self": is_self,
        "connected": is_self or info.peer_id in universe.links,
        "joined": group is not None,
        "epoch": group.graph.head_info.number if group is not None else None,
        "dmls_epoch": group.graph.head if group is not None else None,
        "cipher_suite": info.cipher_suite,
        "in_groups": catching_up.in_groups(universe, identity),
        "groups": len(universe.roster.members),
        "imports": len(imports),
        "last_update": group.last_update or None if group is not None else None,
        "suspended": identity in universe.standing.suspended,
        "blocked": identity in universe.standing.blocked,
        "last_heard": universe.standing.heard.get(identity),
        "excludes_us": info.send_group_id in universe.standing.excluded,
        "forked": group.forked if group is not None else False,
        "runs_twice": denying.runs_twice(universe, info),
        "asks_again": [asked.verification for asked in universe.asks_again.get(identity, ())],
        "addresses": list(universe.profiles.addresses(identity)),
    }


def former_view(universe: Universe) -> list[View]:
    """Who was a member, and by how many of the current ones each is removed from their groups already."""
    if not universe.is_active:
        return []
    roster = universe.roster
    return [
        {
            "identity": identity,
            "name": universe.name_of(identity),
            **_departure(universe, identity),
            "removed_by": catching_up.out_of_groups(universe, identity),
            "groups": len(roster.members),
        }
        for identity, info in sorted(roster.former.items())
        if identity not in roster.members
    ]


def _departure(universe: Universe, identity: bytes) -> View:
    departure = universe.roster.departure(identity)
    if departure is None:
        return {"reason": None, "by": None, "by_name": None}
    return {
        "reason": departure.reason.value,
        "by": departure.by,
        "by_name": universe.name_of(departure.by),
    }


def invites_view(universe: Universe, now: int) -> list[View]:
    """All tickets: who made each, what it gives, and who came by it."""
    return [
        {
            "invite_id": invite.invite_id,
            "role": invite.role,
            "uses": invite.uses,
            "spent": len(invite.spent),
            "spent_by": _people(universe, invite.spent),
            "inviter": _people(universe, [invite.author])[0],
            "expires_at": invite.expires_at,
            "revoked": invite.revoked,
            "overspent": invite.overspent,
            "state": _invite_state(invite, now),
        }
        for invite in universe.roster.invites.values()
    ]


def _people(universe: Universe, identities: Iterable[bytes]) -> list[View]:
    return [{"identity": identity, "name": universe.name_of(identity)} for identity in sorted(identities)]


def _invite_state(invite: InviteInfo, now: int) -> str:
    if invite.overspent:
        return "overspent"
    if invite.revoked:
        return "revoked"
    if len(invite.spent) >= invite.uses:
        return "used"
    return "expired" if invite.expires_at <= now else "open"


def evidence_view(universe: Universe) -> list[View]:
    """The evidence held against owners that committed twice or run twice, oldest first."""
    held = sorted(universe.evidence.kept.items(), key=lambda item: (item[1].detected_at, item[0]))
    return [
        {
            "owner": kept.evidence.identity,
            "name": universe.name_of(kept.evidence.identity),
            "group_id": group_id,
            "detected_at": kept.detected_at,
            "epochs": sorted(kept.evidence.contradictions),
            "denials": len(kept.evidence.denials),
            "evidence": kept.evidence.text(),
        }
        for group_id, kept in held
    ]
