"""Another member's commit: whether it may be followed, and all that follows from entering its epoch."""

from __future__ import annotations

from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.decentralized.epoch_graph import EpochInfo
from starling.protocol.distributed.commit_content import CommitContent, read_commit_content
from starling.protocol.distributed.head_statement import HeadStatement, is_evidence
from starling.protocol.distributed.member import leaf_identity
from starling.protocol.distributed.report import PSK
from starling.protocol.engine import absence, healing, readding, welcoming
from starling.protocol.engine.arrival import Arrival
from starling.protocol.engine.context import Context
from starling.protocol.engine.epochs import enter_epoch, note_imports
from starling.protocol.engine.forks import (
    forget_report,
    has_room,
    known_commits,
    make_room,
    note_fork,
    take_resolve,
    watch_for_clone,
)
from starling.protocol.engine.group_state import GroupState
from starling.protocol.engine.imports import note_update
from starling.protocol.engine.received_imports import stage_with_imports
from starling.protocol.engine.universe import Universe
from starling.protocol.errors import DecodeError, ProtocolError, UsageError
from starling.protocol.exchange.frame import CommitFrame
from starling.protocol.exchange.waiting import Need, Wait
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group


def receive_commit(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    arrival: Arrival,
    frame: CommitFrame,
) -> list[Need]:
    """Enter the epoch after `info` by its owner's commit, beside others where the owner made several (K-14).

    What is thereby no longer lacking is given back. Raises `Wait` for what it builds on and lacks, `Invalid`,
    `DecodeError` and what opening a handshake message raises for one that its owner should not have made.
    """
    statement = HeadStatement.decode(frame.head_statement)
    siblings = known_commits(state, info.dmls_epoch)
    if any(known.commit_hash == statement.commit_hash for known in siblings):
        return []
    group = state.state(info.dmls_epoch)
    if group is None:
        keep_evidence(ctx, universe, state, frame, arrival.message)
        return []
    if state.graph.is_too_far_ahead(info.dmls_epoch):
        raise Wait(Need("whole", state.group_id, b""))
    _check_statement(universe, state, info.number, group, statement, frame, arrival.message)
    if not has_room(universe, state, info):
        note_fork(ctx, universe, state, siblings[0], statement, is_lost=True)
        return []
    authenticated = group.open_handshake(arrival.message.message)
    content = _content_of(authenticated)
    try:
        staged, dependencies = stage_with_imports(universe, state, group, authenticated, content, ctx.now)
    except (ProtocolError, UsageError) as refusal:
        readding.note_refused_commit(ctx, universe, state, info, refusal)
        raise
    except readding.PskLost:
        readding.note_closed_off(ctx, universe, state, info, PSK)
        return []
    if staged.next is None:
        return _be_removed(ctx, universe, state, info, arrival, frame, content)
    universe.standing.heard[state.owner] = ctx.now
    make_room(ctx, universe, state, info)
    added = tuple(leaf_identity(package.leaf_node) for package in content.adds)
    removed = [_identity_at(group, index) for index in content.removes]
    child = enter_epoch(
        ctx,
        universe,
        state,
        staged.next,
        info,
        has_path=content.has_path,
        application_count=content.application_count,
        head_statement=frame.head_statement,
    )
    if siblings:
        note_fork(ctx, universe, state, siblings[0], statement)
    _note_branches(ctx, universe, state, info, child, content)
    note_imports(ctx, universe, state, info, child, dependencies)
    healing.note_commit(
        ctx,
        universe,
        state,
        info,
        child,
        staged.next,
        dependencies=dependencies,
        key_packages=content.key_packages,
        added=set(added),
    )
    readding.note_owner(ctx, universe, state, staged.next, content.key_packages)
    note_update(ctx, universe, state, child, content)
    state.log_commit(
        ctx,
        arrival.frame_id,
        arrival.data,
        dmls_epoch=info.dmls_epoch,
        child=child.dmls_epoch,
        adds=added,
    )
    ctx.event(
        "epoch.started",
        universe.universe_id,
        {
            "owner": state.owner,
            "epoch": child.number,
            "dmls_epoch": child.dmls_epoch,
            "path": content.has_path,
            "imports": len(dependencies),
            "removed": removed,
        },
    )
    return [
        Need("epoch", state.group_id, child.dmls_epoch),
        Need("whole", state.group_id, b""),
    ]


def _note_branches(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    parent: EpochInfo,
    child: EpochInfo,
    content: CommitContent,
) -> None:
    """Which branch counts from now on, what its owner may have forgotten there, and whether two nodes act as it."""
    state.awaited.pop(child.dmls_epoch, None)
    state.asked_in_vain.pop(child.dmls_epoch, None)
    take_resolve(ctx, universe, state, child, content.closed_heads)
    if state.graph.leave_closed():
        forget_report(ctx, universe, state)
        state.save(ctx)
    elif child.dmls_epoch == state.graph.head and parent.next_generation > child.parent_count:
        forget_report(ctx, universe, state)
    watch_for_clone(ctx, universe, state, child)


def _be_removed(
    ctx: Context,
    universe: Universe,
    state: GroupState,
    info: EpochInfo,
    arrival: Arrival,
    frame: CommitFrame,
    content: CommitContent,
) -> list[Need]:
    """A commit without this node's leaf: it leaves the group, and enters it again where the commit adds it anew."""
    # By a newer incarnation this node is let in anew, in this commit or the next one.
    anew = readding.own_incarnation_in(state) < universe.incarnation
    adds_again = universe.me in (leaf_identity(package.leaf_node) for package in content.adds)
    graph = state.graph
    on_another_branch = info.dmls_epoch != graph.head or graph.is_forked
    counts = any(graph.are_related(head.dmls_epoch, graph.head) for head in content.closed_heads)
    if (
        on_another_branch
        and not counts
        and not (adds_again and state.group_id in universe.stuck)
        and readding.may_be_dead(ctx, state, info)
    ):
        return []  # it is still in the group on the branch that counts
    if anew or adds_again:
        absence.drop_group(ctx, universe, state)
    else:
        absence.leave_group(ctx, universe, state)
    # It may add this node again, at this later epoch.
    return welcoming.receive_welcome(ctx, universe, arrival.frame_id, arrival.data, frame, arrival.message)


def _content_of(authenticated: AuthenticatedContent) -> CommitContent:
    commit = authenticated.content.commit
    if commit is None:
        raise DecodeError("a commit frame without a commit")
    proposals = [item.proposal for item in commit.proposals if item.proposal is not None]
    if len(proposals) != len(commit.proposals):
        raise DecodeError("a send group's commit covers proposals by value")
    return read_commit_content(proposals, has_path=commit.path is not None)


def _check_statement(
    universe: Universe,
    state: GroupState,
    number: int,
    group: Group,
    statement: HeadStatement,
    frame: CommitFrame,
    message: DMLSMessage,
) -> None:
    """R4: the owner's own word for this commit and its Welcome, before anything costly is done."""
    expected = (universe.universe_id, state.group_id, number, message.dmls_epoch)
    owner_leaf = group.tree.leaf(0)
    if statement.parent != expected or owner_leaf is None:
        raise DecodeError("the head statement is about something else")
    statement.verify(owner_leaf.signature_key, commit=message.message.encode() + frame.welcome)


def keep_evidence(
    ctx: Context, universe: Universe, state: GroupState, frame: CommitFrame, message: DMLSMessage
) -> None:
    """A second commit on an epoch whose state is gone cannot be followed: that it was made is told all the same."""
    statement = HeadStatement.decode(frame.head_statement)
    known = next(iter(known_commits(state, message.dmls_epoch)), None)
    if known is not None and is_evidence(known, statement):
        _check_statement(universe, state, known.epoch, state.head, statement, frame, message)
        note_fork(ctx, universe, state, known, statement, is_lost=True)


def _identity_at(group: Group, index: int) -> bytes:
    leaf = group.tree.leaf(index)
    return leaf_identity(leaf) if leaf is not None else b""
