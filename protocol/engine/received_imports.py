"""The PSKs that another member's commit imports: which they are, and whether it may (PROTOCOL X-4, X-7, X-8)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from starling.protocol.decentralized.epoch_graph import EpochGraph
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH
from starling.protocol.distributed import policy
from starling.protocol.distributed.commit_content import CommitContent
from starling.protocol.distributed.dependency import Dependency
from starling.protocol.distributed.export_psk import parse_psk_id
from starling.protocol.distributed.psk_ledger import ExportedPsk
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.universe_component import read_roster_digest
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.readding import PskLost, can_never_have
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import Invalid
from starling.protocol.exchange.waiting import Need, Wait
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group, StagedCommit
from starling.protocol.mls.rules import Rule as MLSRule

MAX_COMBINATIONS = 8
"""How many choices of forks are tried for a commit that does not name them (X-8)."""


def stage_with_imports(
    universe: Universe,
    state: GroupState,
    group: Group,
    authenticated: AuthenticatedContent,
    content: CommitContent,
    now: int,
) -> tuple[StagedCommit, tuple[Dependency, ...]]:
    """Stage a commit with the PSKs that it imports; which epochs those are of is given back.

    Raises `Wait` for one that may still come, `PskLost` for one that cannot or did not in time, `Invalid` for an
    import that is not allowed, and what staging raises.
    """
    named: Iterable[Dependency | None] = content.dependencies or itertools.repeat(None)
    graphs = universe.graphs()
    for psk_id, dependency in zip(content.psk_ids, named, strict=False):
        _check(universe, state, group, content, psk_id, dependency, graphs)
    if content.names_dependencies:
        try:
            choices = [_named(universe, state, content)]
        except Wait as wait:
            since = state.lacks_import.setdefault(group.secrets.extra[DMLS_EPOCH], now)
            # In a group that was given up nobody can add this node any more, so it is not worth the same wait.
            is_current = universe.is_current(wait.need.group_id)
            if now - since >= (policy.STALLED if is_current else policy.GONE_WAIT):
                raise PskLost from None
            raise
    else:
        choices = _candidates(universe, content)
    for position, choice in enumerate(choices, 1):
        try:
            staged = _stage(universe, group, authenticated, content, choice)
        except Invalid as refusal:
            if refusal.rule is not MLSRule.CONFIRMATION_TAG or position == len(choices):
                raise
            continue
        return staged, tuple(
            Dependency(exported.group_id, exported.epoch, exported.dmls_epoch) for exported in choice
        )
    raise Invalid(Rule.DEPENDENCY_PSKS)


def _stage(
    universe: Universe,
    group: Group,
    authenticated: AuthenticatedContent,
    content: CommitContent,
    choice: tuple[ExportedPsk, ...],
) -> StagedCommit:
    psks = dict(zip(content.psk_ids, (exported.psk for exported in choice), strict=True))
    return group.stage(
        authenticated,
        psks=lambda psk_id: psks.get(psk_id.psk_id or b""),
        leaf_private_key=universe.bundles.leaf_private_key,
    )


def _check(
    universe: Universe,
    state: GroupState,
    group: Group,
    content: CommitContent,
    psk_id: bytes,
    dependency: Dependency | None,
    graphs: Mapping[bytes, EpochGraph],
) -> None:
    """Whether a group may be imported from, and whether the epoch is newer than what was (X-4, X-7)."""
    epoch, group_id = parse_psk_id(psk_id)
    if group_id == state.group_id:
        raise Invalid(Rule.IMPORT_OWN_GROUP)
    if group_id not in universe.roster.send_groups:
        applied = content.roster_digest or read_roster_digest(group.context.extensions)
        if applied == universe.roster.digest:
            raise Invalid(Rule.PSK_ID)
        raise Wait(Need("roster", group_id, b""))
    parent = group.secrets.extra[DMLS_EPOCH]
    imported = (group_id, epoch, dependency.dmls_epoch if dependency is not None else b"")
    importing = (state.group_id, parent)
    if universe.ledger.is_behind(state.owner, imported, importing, graphs):
        raise Invalid(Rule.IMPORT_ORDER)


def _named(universe: Universe, state: GroupState, content: CommitContent) -> tuple[ExportedPsk, ...]:
    """Exactly what the commit names."""
    found = []
    for dependency in content.dependencies:
        exported = universe.ledger.find(dependency.group_id, dependency.dmls_epoch)
        if exported is None:
            if can_never_have(universe, state, dependency):
                raise PskLost
            raise Wait(Need("epoch", dependency.group_id, dependency.dmls_epoch))
        if exported.epoch != dependency.epoch:
            raise Invalid(Rule.DEPENDENCY_PSKS)
        found.append(exported)
    return tuple(found)


def _candidates(universe: Universe, content: CommitContent) -> list[tuple[ExportedPsk, ...]]:
    """What the commit may mean where it names nothing: the forks in the ledger that share the PSK ids."""
    forks = [universe.ledger.forks(*parse_psk_id(psk_id)) for psk_id in content.psk_ids]
    return list(itertools.islice(itertools.product(*forks), MAX_COMBINATIONS))
