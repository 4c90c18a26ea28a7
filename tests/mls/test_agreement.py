"""Whatever members do, in any order, they agree on the epoch that they come to (RFC 9420 §8.7)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mls.group_members import Client, open_text

from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import APP_DATA_DICTIONARY, EXTERNAL_SENDERS, Extension
from starling.protocol.mls.external_proposal import propose_as_external_sender, propose_own_add
from starling.protocol.mls.external_sender import ExternalSender, ExternalSenders
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.past_epochs import PastEpochs
from starling.protocol.mls.pending_proposals import PendingProposals
from starling.protocol.mls.proposal import (
    Add,
    AppEphemeral,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID, PSKType, ResumptionPSKUsage
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import WireFormat

PUBLIC = WireFormat.MLS_PUBLIC_MESSAGE
MAX_MEMBERS = 6
ADMIN_KEY, ADMIN_PUBLIC = Client("admin").signature_private_key, Client("admin").signature_key
ADMIN = ExternalSenders((ExternalSender(ADMIN_PUBLIC, Credential.basic(b"admin")),))
CONTEXT = (Extension(EXTERNAL_SENDERS, ADMIN.encode()),)


class Components(GroupRules):
    """Takes the data of every component."""

    def app_ephemeral(self, component_id: int, data: bytes) -> None:
        return


RULES = Components()


def _psk(psk_id: PreSharedKeyID) -> bytes:
    return b"the secret of " + (psk_id.psk_id or b"")


class Member:
    """One member with what it keeps besides its group."""

    def __init__(self, client: Client, group: Group) -> None:
        self.client = client
        self.past = PastEpochs()
        self.leaf_keys: dict[bytes, bytes] = {}
        self.enter(group)

    def enter(self, group: Group) -> None:
        self.group = group
        self.past.add(group.past_epoch())
        self.pending = PendingProposals(group.cipher_suite)

    def psk(self, psk_id: PreSharedKeyID) -> bytes | None:
        if psk_id.psktype == PSKType.RESUMPTION:
            return self.past.psk(psk_id)
        return _psk(psk_id)


class World:
    """A group whose members take steps; after each all agree."""

    def __init__(self) -> None:
        self.count = 0
        founder = self.client()
        self.members = [Member(founder, founder.create(RULES, CONTEXT))]
        self.newcomers: dict[bytes, tuple[Client, KeyPackageBundle]] = {}

    def client(self) -> Client:
        self.count += 1
        types = (8, 9, SelfRemove.proposal_type)
        return Client(f"client {self.count}", proposals=types)

    def newcomer(self) -> Add:
        client = self.client()
        bundle = client.bundle()
        self.newcomers[bundle.key_package.reference()] = (client, bundle)
        return Add(bundle.key_package)

    def other(self, by: int, number: int) -> Member | None:
        others = [member for index, member in enumerate(self.members) if index != by]
        return others[number % len(others)] if others else None

    # a message to everybody

    def receive_proposal(
        self, message: bytes, content: AuthenticatedContent | None, sender: Member | None
    ) -> None:
        for member in self.members:
            if member is sender:
                assert content is not None
                member.pending.add(content)
            else:
                member.pending.add(member.group.open_handshake(MLSMessage.decode(message)))

    def propose(self, member: Member, proposal: Proposal, *, public: bool = False) -> None:
        wire_format = PUBLIC if public else WireFormat.MLS_PRIVATE_MESSAGE
        message, content = member.group.propose(proposal, wire_format=wire_format, random=os.urandom)
        self.receive_proposal(message, content, member)

    def follow(self, made: CommitResult, committer: Member | None) -> None:
        """Everybody follows a commit, who was added joins, and who was removed leaves."""
        stay = []
        for member in self.members:
            if member is committer:
                group: Group | None = made.next
            else:
                opened = member.group.open_handshake(MLSMessage.decode(made.message))
                staged = member.group.stage(
                    opened,
                    psks=member.psk,
                    proposals=member.pending.received,
                    leaf_private_key=member.leaf_keys.get,
                )
                assert staged.self_removed == (staged.next is None)
                group = staged.next
            if group is None:
                member.group.wipe()
            else:
                member.group.supersede(group)
                member.enter(Group.load(group.save(), group.save_ratchets(), rules=RULES))
                stay.append(member)
        self.members = stay
        if made.welcome is not None:
            self.welcome(made)

    def welcome(self, made: CommitResult) -> None:
        assert made.welcome is not None
        welcome = MLSMessage.decode(made.welcome).body
        assert isinstance(welcome, Welcome)
        for entry in welcome.secrets:
            client, bundle = self.newcomers.pop(entry.new_member)
            known = self.members[0]
            group, _ = Group.join(
                welcome,
                bundle,
                client.signature_private_key,
                psks=known.psk,
                past_epochs=known.past.find,
                rules=RULES,
            )
            self.members.append(Member(client, group))

    def commit(self, member: Member, proposals: list[Proposal], *, public: bool = False) -> None:
        chosen = member.group.committable(member.pending.contents, proposals, psks=member.psk)
        made = member.group.commit(
            proposals,
            by_reference=chosen,
            psks=member.psk,
            wire_format=PUBLIC if public else WireFormat.MLS_PRIVATE_MESSAGE,
            random=os.urandom,
        )
        self.follow(made, member)

    def check(self) -> None:
        first = self.members[0].group
        for member in self.members[1:]:
            group = member.group
            assert group.secrets.epoch_authenticator == first.secrets.epoch_authenticator
            assert group.export("label", b"context", 32) == first.export("label", b"context", 32)
            assert (group.context, group.tree) == (first.context, first.tree)
        message = first.protect(b"text", padding=7, random=os.urandom)
        for member in self.members[1:]:
            assert open_text(member.group, message) == b"text"

    # the steps

    def step(self, kind: str, by: int, number: int) -> None:
        member = self.members[by % len(self.members)]
        other = self.other(by % len(self.members), number)
        group = member.group
        public = number % 2 == 0
        room = len(self.members) + len(self.newcomers) < MAX_MEMBERS
        match kind:
            case "update":
                self.commit(member, [], public=public)
            case "add" if room:
                self.commit(member, [self.newcomer() for _ in range(1 + number % 2)], public=public)
            case "remove" if other is not None:
                self.commit(member, [Remove(other.group.own_leaf_index)], public=public)
            case "psk":
                self.commit(member, self.psks(group, number), public=public)
            case "context":
                dictionary = (Extension(APP_DATA_DICTIONARY, b"\x00"),) if public else ()
                self.commit(member, [GroupContextExtensions((*CONTEXT, *dictionary))], public=public)
            case "ephemeral":
                self.commit(member, [AppEphemeral(0x8123, b"data")], public=public)
            case "propose update":
                leaf, private_key = member.client.update_leaf(group)
                member.leaf_keys[leaf.encryption_key] = private_key
                self.propose(member, Update(leaf), public=public)
            case "propose add" if room:
                self.propose(member, self.newcomer(), public=public)
            case "propose remove" if other is not None:
                self.propose(member, Remove(other.group.own_leaf_index), public=public)
            case "propose psk":
                self.propose(member, self.psks(group, number)[0], public=public)
            case "propose context":
                dictionary = (Extension(APP_DATA_DICTIONARY, b"\x00"),) if public else ()
                self.propose(member, GroupContextExtensions((*CONTEXT, *dictionary)), public=public)
            case "leave" if other is not None:
                self.propose(member, SelfRemove(), public=True)
            case "ask to join" if room:
                client = self.client()
                bundle = client.bundle()
                self.newcomers[bundle.key_package.reference()] = (client, bundle)
                key, place = client.signature_private_key, (group.group_id, group.epoch)
                self.receive_proposal(propose_own_add(*place, bundle.key_package, key), None, None)
            case "admin removes" if other is not None:
                removal = Remove(other.group.own_leaf_index)
                arguments = (group.cipher_suite, group.group_id, group.epoch, 0, removal, ADMIN_KEY)
                self.receive_proposal(propose_as_external_sender(*arguments), None, None)
            case "join externally" if room:
                self.join(self.client(), group, False, number)
            case "resync":
                self.join(member.client, group, True, number)
            case "branch":
                self.follow_on(member, lambda creator: self.branch(member, creator))
            case "reinitialize":
                self.newcomers.clear()
                self.commit(member, [ReInit(os.urandom(16), 1, 1, group.context.extensions)], public=public)
                self.follow_on(member, lambda creator: self.reinitialize(member, creator))
        self.check()

    def psks(self, group: Group, number: int) -> list[Proposal]:
        nonce = os.urandom(32)
        if number % 3 == 0:
            return [PreSharedKey(PreSharedKeyID.external(b"external", nonce))]
        if number % 3 == 1:
            return [PreSharedKey(PreSharedKeyID.application(0x8123, b"application", nonce))]
        usage = ResumptionPSKUsage.APPLICATION
        return [PreSharedKey(PreSharedKeyID.resumption(usage, group.group_id, group.epoch, nonce))]

    def join(self, client: Client, group: Group, resync: bool, number: int) -> None:
        nonce = os.urandom(32)
        psk = PreSharedKey(PreSharedKeyID.external(b"external", nonce))
        made = Group.external_join(
            group.group_info(external_pub=True),
            client.signed_leaf()[0],
            client.signature_private_key,
            resync=resync,
            proposals=[psk] if number % 2 else [],
            psks=_psk,
            rules=RULES,
            random=os.urandom,
        )
        self.follow(made, None)
        self.members.append(Member(client, made.next))

    def follow_on(self, member: Member, found: Callable[[dict[str, Any]], CommitResult]) -> None:
        """All members go over to a group that follows this one."""
        old = self.members
        self.newcomers.clear()
        for each in old:
            if each is not member:
                bundle = each.client.bundle()
                self.newcomers[bundle.key_package.reference()] = (each.client, bundle)
        leaf, private_key = member.client.signed_leaf()
        made = found(
            {
                "leaf_node": leaf,
                "encryption_private_key": private_key,
                "signature_private_key": member.client.signature_private_key,
                "random": os.urandom,
            }
        )
        self.members = [Member(member.client, made.next)]
        self.members[0].past = member.past
        member.past.add(made.next.past_epoch())
        if made.welcome is not None:
            self.welcome(made)

    def packages(self) -> list[KeyPackage]:
        return [bundle.key_package for _, bundle in self.newcomers.values()]

    def branch(self, member: Member, creator: dict[str, Any]) -> CommitResult:
        return member.group.branch(os.urandom(16), self.packages(), **creator)

    def reinitialize(self, member: Member, creator: dict[str, Any]) -> CommitResult:
        return member.group.reinitialize(self.packages(), **creator)


KINDS = (
    "update", "add", "remove", "psk", "context", "ephemeral", "propose update", "propose add", "propose remove",
    "propose psk", "propose context", "leave", "ask to join", "admin removes", "join externally", "resync",
    "branch", "reinitialize",
)  # fmt: skip


def test_every_kind_of_step() -> None:
    """Each once, one after the other, in a group of four."""
    world = World()
    world.step("add", 0, 1)
    world.step("add", 0, 0)
    for number, kind in enumerate(KINDS):
        world.step(kind, number, number)
        world.step("update", number + 1, number)
    assert len(world.members) > 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_any_steps(steps: list[tuple[str, int, int]]) -> None:
    world = World()
    world.step("add", 0, 1)
    for kind, by, number in steps:
        world.step(kind, by, number)
    world.step("update", 0, 0)
