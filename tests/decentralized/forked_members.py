"""Members of a group that forks, for the tests: clients, their `ForkedGroup`, and what they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.mls.group_members import Client

from starling.protocol.decentralized.deletion import ForkLimits
from starling.protocol.decentralized.fork_choice import rank
from starling.protocol.decentralized.fork_results import (
    ForkCommit,
    ForkMessage,
    Ignored,
    IgnoredReason,
    Received,
    ReleasedCommit,
)
from starling.protocol.decentralized.forked_group import ForkedGroup
from starling.protocol.decentralized.held_epochs import by_signature_key
from starling.protocol.decentralized.key_schedule import PUNCTURED, punctured_extensions
from starling.protocol.mls import Add, KeyPackageBundle, MLSMessage, Proposal, Remove, Welcome

NOW = 1_000_000
KNOWN, DELETED, EVICTED = (Ignored(reason) for reason in IgnoredReason)


def opened(welcome: bytes) -> Welcome:
    body = MLSMessage.decode(welcome).body
    assert isinstance(body, Welcome)
    return body


@dataclass
class ForkMember:
    """A client and its group. Each step saves and loads the group again, so that what is stored is what counts;
    unless that takes too long (`restarts`)."""

    client: Client
    forked: ForkedGroup
    bundle: KeyPackageBundle | None = None
    limits: ForkLimits | None = None
    read: list[bytes] = field(default_factory=list)
    now: int = NOW
    restarts: bool = True

    @property
    def name(self) -> bytes:
        return self.client.signature_key

    def step(self) -> None:
        if self.restarts:
            self.restart()

    def restart(self) -> None:
        self.forked = ForkedGroup.load(self.forked.save(), limits=self.limits)

    def commit(self, proposals: Sequence[Proposal] = (), **options: Any) -> ReleasedCommit:
        self.forked.commit(proposals, random=self.client.random, **options)
        released = self.forked.release(self.now)
        self.step()
        return released

    def say(self, text: bytes) -> bytes:
        return self.forked.protect(text, random=self.client.random)

    def get(self, message: bytes, **options: Any) -> Received:
        received = self.forked.receive(message, now=self.now, **options)
        if isinstance(received, ForkMessage):
            self.read.append(received.application_data)
        self.step()
        return received

    def enter(self, message: bytes, **options: Any) -> bytes:
        """The epoch of a commit of somebody else."""
        received = self.get(message, **options)
        assert isinstance(received, ForkCommit) and received.dmls_epoch is not None
        return received.dmls_epoch

    def leaf_of(self, other: ForkMember) -> int:
        return next(
            index
            for index, leaf in self.forked.group.tree.leaves()
            if by_signature_key(leaf) == other.client.signature_key
        )

    def remove(self, other: ForkMember) -> ReleasedCommit:
        return self.commit([Remove(self.leaf_of(other))])

    def members(self) -> set[bytes]:
        return {leaf.signature_key for _, leaf in self.forked.group.tree.leaves()}


def welcomed(
    client: Client, bundle: KeyPackageBundle, welcome: bytes, limits: ForkLimits | None = None
) -> ForkMember:
    forked = ForkedGroup.join(opened(welcome), bundle, client.signature_private_key, limits=limits, now=NOW)
    return ForkMember(client, forked, bundle, limits)


def add(by: ForkMember, name: str) -> tuple[ForkMember, ReleasedCommit]:
    """A new client added by somebody, and the commit for the others."""
    client = Client(name)
    bundle = client.bundle()
    released = by.commit([Add(bundle.key_package)])
    assert released.welcome is not None
    return welcomed(client, bundle, released.welcome, by.limits), released


def gather(count: int, limits: ForkLimits | None = None, world: int = 0) -> list[ForkMember]:
    """A group of so many members in one epoch, founded by the first; with other keys in each `world`."""
    clients = [Client(f"member {index} of {world}") for index in range(count)]
    group = clients[0].create(extensions=punctured_extensions(), key_schedule=PUNCTURED)
    founder = ForkMember(
        clients[0],
        ForkedGroup(group, clients[0].signature_private_key, limits=limits, now=NOW),
        limits=limits,
    )
    if count == 1:
        return [founder]
    bundles = [client.bundle() for client in clients[1:]]
    released = founder.commit([Add(bundle.key_package) for bundle in bundles])
    assert released.welcome is not None
    joined = [
        welcomed(client, bundle, released.welcome, limits)
        for client, bundle in zip(clients[1:], bundles, strict=True)
    ]
    return [founder, *joined]


def by_rank(member: ForkMember, *commits: ReleasedCommit) -> list[ReleasedCommit]:
    """The commits in the order in which they win, the best first, as a member sees it that holds them all."""
    tree = member.forked.tree
    return sorted(commits, key=lambda commit: rank(tree[commit.dmls_epoch]), reverse=True)
