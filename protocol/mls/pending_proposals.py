"""Proposals that wait for a commit, and which of them can be committed together (RFC 9420 §12.1, §12.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starling.protocol.crypto.cipher_suite import CipherSuite
from starling.protocol.errors import Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.mls.apply_proposals import apply_proposals, check_new_tree
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.framing import AuthenticatedContent, Sender
from starling.protocol.mls.proposal import (
    Add,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    SelfRemove,
    Update,
)
from starling.protocol.mls.proposal_list import CommittedProposal, received_proposal, removed_leaf
from starling.protocol.mls.psk import FindPsk

MAX_PENDING = 256
"""How many proposals of one epoch are kept: what comes beyond that waits for the next commit."""

MAX_TRIALS = 64
"""How many lists are tried where the whole one is invalid: members must not make committing expensive."""


class PendingProposals:
    """The verified proposals of one epoch, by ProposalRef, in the order they came; a new one each epoch.

    While one of them is valid and uncommitted no application data should be sent (§12.4).
    """

    def __init__(self, suite: CipherSuite, limit: int = MAX_PENDING) -> None:
        self._suite = suite
        self._limit = limit
        self._by_reference: dict[bytes, AuthenticatedContent] = {}

    def __len__(self) -> int:
        return len(self._by_reference)

    def add(self, content: AuthenticatedContent) -> bytes:
        """Keep a proposal that `open_handshake` or `propose` gave; its ProposalRef (Nh bytes). Raises
        `Pending` where there are too many already."""
        if content.content.proposal is None:
            raise UsageError("only proposals are kept")
        reference = content.reference(self._suite)
        if reference not in self._by_reference and len(self._by_reference) >= self._limit:
            raise Pending("too many proposals wait for a commit")
        self._by_reference[reference] = content
        return reference

    @property
    def received(self) -> Mapping[bytes, AuthenticatedContent]:
        """What `stage` takes."""
        return self._by_reference

    @property
    def contents(self) -> tuple[AuthenticatedContent, ...]:
        """What `Group.committable` takes."""
        return tuple(self._by_reference.values())


def committable(
    epoch: Epoch,
    contents: Sequence[AuthenticatedContent],
    by_value: Sequence[Proposal],
    psks: FindPsk,
    now: int | None,
) -> tuple[AuthenticatedContent, ...]:
    """Those of the proposals that we can commit together and with `by_value`, in their order.

    Of several for one leaf a SelfRemove goes before a Remove and that before the latest Update; the latest
    GroupContextExtensions counts; a ReInit only where it is alone. What is invalid, or excluded by one of
    `by_value`, is left out.
    """
    entries = [(content, received_proposal(content)) for content in contents]
    own = Sender.member(epoch.own_leaf_index)
    fixed = [CommittedProposal(proposal, own) for proposal in by_value]
    chosen = _chosen([entry for _, entry in entries], fixed, epoch.own_leaf_index)
    candidates = [number for number in sorted(chosen) if _has_psk(entries[number][1].proposal, psks)]
    kept: list[int] = []
    waiting = [candidates]
    for _ in range(MAX_TRIALS):
        if not waiting:
            break
        numbers = waiting.pop()
        trial = sorted(kept + numbers)
        if _applies(epoch, [entries[number][1] for number in trial] + fixed, now):
            kept = trial
        elif len(numbers) > 1:
            half = len(numbers) // 2
            waiting += [numbers[half:], numbers[:half]]
    return tuple(entries[number][0] for number in kept)


def _chosen(
    entries: Sequence[CommittedProposal], fixed: Sequence[CommittedProposal], committer: int
) -> set[int]:
    """The places of the proposals that are preferred among those that exclude each other."""
    taken = {_rivalry(entry, -1)[0] for entry in fixed} | {("leaf", committer)}
    best: dict[object, tuple[int, int]] = {}
    for number, entry in enumerate(entries):
        key, rank = _rivalry(entry, number)
        if key not in taken and (key not in best or rank > best[key][0]):
            best[key] = (rank, number)
    chosen = {number for _, number in best.values()}
    if any(isinstance(entry.proposal, ReInit) for entry in fixed):
        return set()
    others = {number for number in chosen if not isinstance(entries[number].proposal, ReInit)}
    return others if others or fixed else chosen


def _rivalry(entry: CommittedProposal, number: int) -> tuple[object, int]:
    """A key that excluding proposals share, and a rank among them: the highest and first one counts."""
    proposal = entry.proposal
    leaf = removed_leaf(entry)
    if leaf is not None:
        return ("leaf", leaf), 2**32 + isinstance(proposal, SelfRemove)
    if isinstance(proposal, Update):
        return ("leaf", entry.sender.leaf_index), number
    if isinstance(proposal, Add):
        return ("client", proposal.key_package.leaf_node.signature_key), number
    if isinstance(proposal, PreSharedKey):
        return ("psk", proposal.psk), number
    if isinstance(proposal, (GroupContextExtensions, ReInit)):
        return type(proposal), number
    return number, number


def _has_psk(proposal: Proposal, psks: FindPsk) -> bool:
    return not isinstance(proposal, PreSharedKey) or psks(proposal.psk) is not None


def _applies(epoch: Epoch, entries: Sequence[CommittedProposal], now: int | None) -> bool:
    own = epoch.own_leaf_index
    try:
        applied = apply_proposals(
            epoch.suite, epoch.context, epoch.tree, own, entries, epoch.rules, has_path=True, now=now
        )
        check_new_tree(epoch.tree, applied.tree)
    except (ProtocolError, Unsupported):
        return False
    return True
