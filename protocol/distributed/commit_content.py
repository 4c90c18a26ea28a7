"""What a commit of a send group says, read from its proposals and checked (PROTOCOL X-4 to X-13, K-14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from starling.protocol.distributed import component_ids
from starling.protocol.distributed.dependency import Dependency, parse_dependencies
from starling.protocol.distributed.dmls_resolve import ClosedHead, parse_resolve
from starling.protocol.distributed.epoch_end import parse_epoch_end
from starling.protocol.distributed.export_psk import parse_psk_id
from starling.protocol.distributed.key_packages import parse_key_packages
from starling.protocol.distributed.leaf_replace import LeafReplace
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppDataUpdateOperation,
    AppEphemeral,
    PreSharedKey,
    Proposal,
    Remove,
)
from starling.protocol.mls.psk import PSKType

_EPHEMERALS = frozenset(
    {
        component_ids.DMLS_DEPS,
        component_ids.DMLS_RESOLVE,
        component_ids.EPOCH_END,
        component_ids.KEY_PACKAGES,
    }
)


@dataclass(frozen=True, slots=True)
class CommitContent:
    """One commit of a send group.

    `psk_ids` are those that it imports, in their order, and `dependencies` the epochs that it names for them;
    where not `names_dependencies`, it names none. `roster_digest` is the new one, empty where it stays.
    `application_count` is what the ended epoch's owner sent in it; `key_packages` are the owner's fresh ones,
    there exactly where the commit has a path. `closed_heads` are those of branches that the owner gives up (5.6).
    """

    adds: tuple[KeyPackage, ...]
    removes: tuple[int, ...]
    replaces: tuple[LeafReplace, ...]
    psk_ids: tuple[bytes, ...]
    dependencies: tuple[Dependency, ...]
    names_dependencies: bool
    roster_digest: bytes
    application_count: int
    key_packages: tuple[KeyPackage, ...]
    closed_heads: tuple[ClosedHead, ...]
    has_path: bool


def read_commit_content(proposals: Sequence[Proposal], *, has_path: bool) -> CommitContent:
    """Sort the proposals of a commit by kind; raises `Invalid` with the clause that they break."""
    ephemerals: dict[int, bytes] = {}
    adds: list[KeyPackage] = []
    removes: list[int] = []
    replaces: list[LeafReplace] = []
    psk_ids: list[bytes] = []
    roster_digest = b""
    for proposal in proposals:
        if isinstance(proposal, Add):
            adds.append(proposal.key_package)
        elif isinstance(proposal, Remove):
            removes.append(proposal.removed)
        elif isinstance(proposal, LeafReplace):
            replaces.append(proposal)
        elif isinstance(proposal, PreSharedKey):
            if proposal.psk.psktype != PSKType.EXTERNAL or proposal.psk.psk_id is None:
                raise Invalid(Rule.PSK_TYPE)
            parse_psk_id(proposal.psk.psk_id)
            psk_ids.append(proposal.psk.psk_id)
        elif isinstance(proposal, AppEphemeral):
            if proposal.component_id not in _EPHEMERALS or proposal.component_id in ephemerals:
                raise Invalid(Rule.COMMIT_COMPONENTS)
            ephemerals[proposal.component_id] = proposal.data
        elif isinstance(proposal, AppDataUpdate):
            if proposal.op != AppDataUpdateOperation.UPDATE:
                raise Invalid(Rule.COMPONENT_UPDATE)
            if proposal.component_id == component_ids.ROSTER_DIGEST:
                roster_digest = proposal.update or b""
        else:
            raise Invalid(Rule.COMMIT_PROPOSALS)
    if any(a >= b for a, b in pairwise(psk_ids)):
        raise Invalid(Rule.DEPENDENCY_ORDER)
    names_dependencies = component_ids.DMLS_DEPS in ephemerals or not psk_ids
    dependencies = parse_dependencies(ephemerals.get(component_ids.DMLS_DEPS, b"\x00"))
    if names_dependencies and [dependency.psk_id for dependency in dependencies] != psk_ids:
        raise Invalid(Rule.DEPENDENCY_PSKS)
    if adds and psk_ids:
        raise Invalid(Rule.ADD_WITH_IMPORT)
    if (adds or replaces or removes) and not has_path:
        raise Invalid(Rule.ADD_WITHOUT_PATH)
    if component_ids.EPOCH_END not in ephemerals:
        raise Invalid(Rule.COMMIT_COMPONENTS)
    packages: tuple[KeyPackage, ...] = ()
    if component_ids.KEY_PACKAGES in ephemerals:
        packages = parse_key_packages(ephemerals[component_ids.KEY_PACKAGES])
    if bool(packages) != has_path:
        raise Invalid(Rule.KEY_PACKAGES_WITH_PATH)
    closed_heads: tuple[ClosedHead, ...] = ()
    if component_ids.DMLS_RESOLVE in ephemerals:
        closed_heads = parse_resolve(ephemerals[component_ids.DMLS_RESOLVE])
    return CommitContent(
        tuple(adds),
        tuple(removes),
        tuple(replaces),
        tuple(psk_ids),
        dependencies,
        names_dependencies,
        roster_digest,
        parse_epoch_end(ephemerals[component_ids.EPOCH_END]),
        packages,
        closed_heads,
        has_path,
    )
