"""The proposals of a commit in the own send group beside those of members: imports, the GroupContext, and what the
commit says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.archivers import external_receivers
from starling.protocol.distributed.dependency import Dependency, build_dependencies
from starling.protocol.distributed.dmls_resolve import ClosedHead, build_resolve
from starling.protocol.distributed.epoch_end import build_epoch_end
from starling.protocol.distributed.universe_component import read_roster_digest
from starling.protocol.engine.context import Context
from starling.protocol.engine.universe import Universe
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    encode_external_receivers,
    read_external_receivers,
)
from starling.protocol.extensions.private_external_rules import replace_root_key
from starling.protocol.mls.group import Group
from starling.protocol.mls.proposal import (
    AppDataUpdate,
    AppDataUpdateOperation,
    AppEphemeral,
    PreSharedKey,
    Proposal,
)
from starling.protocol.mls.psk import PreSharedKeyID


def import_proposals(
    ctx: Context, universe: Universe, dependencies: Sequence[Dependency]
) -> Iterator[Proposal]:
    """The imported PSKs, each with a fresh nonce (X-4)."""
    nonce_length = cipher_suite(universe.cipher_suite).hash_length
    for dependency in dependencies:
        yield PreSharedKey(PreSharedKeyID.external(dependency.psk_id, ctx.random(nonce_length)))


def context_updates(
    ctx: Context, universe: Universe, group: Group, removes: Sequence[int]
) -> Iterator[Proposal]:
    """What changes in the GroupContext: the roster that this node has, the root key where somebody goes (P-6), and the
    archivers."""
    if read_roster_digest(group.context.extensions) != universe.roster.digest:
        yield AppDataUpdate(
            component_ids.ROSTER_DIGEST, AppDataUpdateOperation.UPDATE, universe.roster.digest
        )
    if removes:
        yield replace_root_key(cipher_suite(universe.cipher_suite), ctx.random)
    if not names_archivers(universe):
        update = encode_external_receivers(external_receivers(universe.roster.archivers.values()))
        yield AppDataUpdate(EXTERNAL_RECEIVERS, AppDataUpdateOperation.UPDATE, update)


def statements(
    dependencies: Sequence[Dependency], closes: Sequence[ClosedHead], count: int
) -> Iterator[AppEphemeral]:
    """What the commit says beside what it changes: the exact epochs of its imports (X-8), the heads that it closes
    (B5), and how many messages the epoch has that it ends (K-14)."""
    if dependencies:
        yield AppEphemeral(component_ids.DMLS_DEPS, build_dependencies(dependencies))
    if closes:
        yield AppEphemeral(component_ids.DMLS_RESOLVE, build_resolve(closes))
    yield AppEphemeral(component_ids.EPOCH_END, build_epoch_end(count))


def names_archivers(universe: Universe) -> bool:
    """Whether the own group's commits are for the archivers that the roster names, and for no others (S-13)."""
    named = read_external_receivers(universe.own.head.context.extensions)
    return named == external_receivers(universe.roster.archivers.values())
