"""A group that lives: members that propose, commit, join, leave and talk by the library's own doors.

What the library itself makes, the library must take, and all must agree; `LiveGroup` checks it at every step.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import ParamSpec

from tests.fuzz.findings import REFUSALS, Finding
from tests.fuzz.group_member import Member, NegotiatingClient
from tests.mls.group_members import COMPONENT, Client, ComponentRules, OwnerRules, Randomness, dictionary

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.errors import UsageError
from starling.protocol.extensions.external_receivers import (
    EXTERNAL_RECEIVERS,
    ExternalReceiver,
    encode_external_receivers,
    read_external_receivers,
)
from starling.protocol.extensions.semi_private import SemiPrivateRules
from starling.protocol.mls.components import APP_COMPONENTS, CONTENT_MEDIA_TYPES, SAFE_AAD, ComponentsList
from starling.protocol.mls.content_media_types import ApplicationFraming, MediaType, MediaTypeList
from starling.protocol.mls.credential import Credential
from starling.protocol.mls.extension import (
    APP_DATA_DICTIONARY,
    EXTERNAL_SENDERS,
    KOH_KEY_SCHEDULE,
    REQUIRED_CAPABILITIES,
    REQUIRED_WIRE_FORMATS,
    SUPPORTED_WIRE_FORMATS,
    Extension,
    RequiredCapabilities,
    find_extension,
)
from starling.protocol.mls.external_sender import ExternalSender, ExternalSenders
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import CommitResult, Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.key_package import KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.negotiation import WireFormats
from starling.protocol.mls.proposal import (
    Add,
    AppDataUpdate,
    AppEphemeral,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.safe_aad import EMPTY, uses_safe_aad
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import WireFormat

P = ParamSpec("P")

SUITES = (1,) * 12 + (2, 2, 3, 3, 4, 5, 6, 7, 83)
MOST_MEMBERS = 7


class _Committers(ComponentRules):
    handshake_formats = SemiPrivateRules.handshake_formats


class _Owner(OwnerRules):
    handshake_formats = SemiPrivateRules.handshake_formats


class LiveGroup:
    """Members of one group in one epoch, and an outsider that is an external sender where the group has one."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.suite = cipher_suite(rng.choice(SUITES))
        self.random = Randomness(rng.randbytes(16))
        self.names = 0
        self.asked: ReInit | None = None
        self.bundles: dict[bytes, tuple[Client, KeyPackageBundle]] = {}
        self.rules: GroupRules = _Owner() if rng.random() < 0.2 else _Committers()
        _, self.receiver_key = self.suite.hpke_generate(self.random)
        self.outsider = self.new_client()
        creator = self.new_client()
        group = creator.create(self.rules, self._extensions(), rng.randbytes(rng.choice((1, 16, 32))))
        self.members = [Member(creator, group)]
        self.members[0].enter(group)
        joiners = rng.randrange(1, 5)
        self.commit([self.add() for _ in range(joiners)], by=self.members[0])

    @property
    def owned(self) -> bool:
        """Whether only leaf 0 sends."""
        return self.rules.retain_sender is not None

    @property
    def strangers(self) -> bool:
        """Whether the tree has leaves that nobody here can speak for."""
        leaves = sum(1 for _ in self.members[0].group.tree.leaves())
        return leaves != len(self.members)

    def senders(self) -> list[Member]:
        return [member for member in self.members if not self.owned or member.group.own_leaf_index == 0]

    def new_client(self) -> Client:
        self.names += 1
        extensions = (APP_DATA_DICTIONARY, SUPPORTED_WIRE_FORMATS, REQUIRED_WIRE_FORMATS, KOH_KEY_SCHEDULE)
        return NegotiatingClient(f"member {self.names}", self.suite, extensions, (8, 9, 10, 0xF0DD))

    def _extensions(self) -> tuple[Extension, ...]:
        found = []
        if self.rng.random() < 0.6:
            components = {COMPONENT: b"x"}
            if self.rng.random() < 0.3:
                components |= {APP_COMPONENTS: ComponentsList((COMPONENT,)).encode()}
            if self.rng.random() < 0.2:
                components |= {SAFE_AAD: ComponentsList().encode()}
            if self.rng.random() < 0.2:
                components |= {CONTENT_MEDIA_TYPES: MediaTypeList((MediaType(b"text/plain"),)).encode()}
            if self.rng.random() < 0.6:
                receiver = ExternalReceiver(self.receiver_key, Credential.basic(b"receiver"))
                components |= {EXTERNAL_RECEIVERS: encode_external_receivers([receiver])}
                formats = WireFormats((WireFormat.MLS_SEMIPRIVATE_MESSAGE,))
                found.append(Extension(REQUIRED_WIRE_FORMATS, formats.encode()))
            found.append(dictionary(components))
        if self.rng.random() < 0.4:
            sender = ExternalSender(self.outsider.signature_key, Credential.basic(b"outsider"))
            found.append(Extension(EXTERNAL_SENDERS, ExternalSenders((sender,)).encode()))
        if self.rng.random() < 0.4:
            required = RequiredCapabilities((APP_DATA_DICTIONARY,), (8, 9), (1,))
            found.append(Extension(REQUIRED_CAPABILITIES, required.encode()))
        return tuple(found)

    # what members propose

    def add(self, client: Client | None = None) -> Add:
        client = client or self.new_client()
        bundle = client.bundle()
        self.bundles[bundle.key_package.reference()] = (client, bundle)
        return Add(bundle.key_package)

    def psk_proposal(self) -> PreSharedKey:
        nonce = self.rng.randbytes(self.suite.hash_length)
        if self.rng.random() < 0.3:
            past = self.rng.choice(self.members).group
            return PreSharedKey(PreSharedKeyID.resumption(1, past.group_id, past.epoch, nonce))
        return PreSharedKey(PreSharedKeyID.external(self.rng.choice((b"a", b"b")), nonce))

    def proposal_of(self, member: Member) -> Proposal:
        """Something that this member may propose; it may still not fit with the rest of a list."""
        rng = self.rng
        match rng.randrange(9):
            case 0 | 1:
                return self.add()
            case 2 if len(self.members) > 2:
                return Remove(rng.choice(self.members).group.own_leaf_index)
            case 3 | 4:
                leaf, private_key = member.client.update_leaf(member.group)
                member.update_keys[leaf.encryption_key] = private_key
                return Update(leaf)
            case 5:
                return self.psk_proposal()
            case 6:
                return AppDataUpdate(COMPONENT, 1, rng.randbytes(3))
            case 7:
                return AppEphemeral(COMPONENT, rng.randbytes(3))
            case _:
                return GroupContextExtensions(self._extensions())

    # steps

    def step(self) -> None:
        """Something honest: a few proposals, then a commit; or an external commit; or some talk; or another group
        that follows this one."""
        rng = self.rng
        choice = rng.random()
        reinit = self.members[0].group.reinit
        if reinit is not None:
            if reinit == self.asked and not self.strangers:
                self.reinitialize()
        elif choice < 0.15:
            self.talk()
        elif choice < 0.2:
            self.branch()
        elif choice < 0.25 and not self.strangers:
            self.commit([self.reinit()], by=rng.choice(self.senders()), alone=True)
        elif choice < 0.4 and not self.owned and len(self.members) < MOST_MEMBERS:
            self.join_externally()
        else:
            if not self.owned:
                for _ in range(rng.choice((0, 0, 1, 2, 3))):
                    self.propose()
            by = rng.choice(self.senders())
            listed = [self.proposal_of(by) for _ in range(rng.choice((0, 0, 1, 2)))]
            self.commit([p for p in listed if not isinstance(p, Update)], by=by)

    def wire_format(self) -> int:
        extensions = self.members[0].group.context.extensions
        is_required = find_extension(extensions, REQUIRED_WIRE_FORMATS) is not None
        if is_required and read_external_receivers(extensions) and self.rng.random() < 0.5:
            return WireFormat.MLS_SEMIPRIVATE_MESSAGE
        if self.owned or self.rng.random() < 0.6:
            return WireFormat.MLS_PRIVATE_MESSAGE
        return WireFormat.MLS_PUBLIC_MESSAGE

    def authenticated_data(self) -> bytes:
        """What goes with a message, in the form that the group asks for."""
        return EMPTY if uses_safe_aad(self.members[0].group.context.extensions) else b""

    def propose(self) -> None:
        """One member's proposal, taken by all others."""
        member = self.rng.choice(self.members)
        wire_format = self.wire_format()
        proposal = self.proposal_of(member)
        if self.rng.random() < 0.1 and len(self.members) > 2:
            proposal, wire_format = SelfRemove(), WireFormat.MLS_PUBLIC_MESSAGE
        made, content = member.group.propose(
            proposal,
            wire_format=wire_format,
            authenticated_data=self.authenticated_data(),
            random=self.random,
        )
        reference = content.reference(self.suite)
        member.proposals[reference] = content
        for other in self.others(member):
            taken = other.group.open_handshake(MLSMessage.decode(made))
            if taken != content or taken.reference(self.suite) != reference:
                raise Finding("a proposal arrives as another")
            other.proposals[reference] = taken

    def commit(self, proposals: Sequence[Proposal], *, by: Member, alone: bool = False) -> None:
        """A commit of these and of those that wait, as far as they go together; without these where they are
        wrong by themselves."""
        waiting = [] if alone else list(by.proposals.values())
        self.rng.shuffle(waiting)
        try:
            chosen = by.group.committable(waiting, proposals, psks=by.psk)
            made = self._commit(by, proposals, chosen)
        except (*REFUSALS, UsageError):
            chosen = by.group.committable(waiting, psks=by.psk)
            try:
                made = self._commit(by, (), chosen)
            except (*REFUSALS, UsageError) as error:
                raise Finding("what waits stops a member from committing") from error
        self.take(by, made)

    def _commit(
        self, by: Member, proposals: Sequence[Proposal], references: Sequence[AuthenticatedContent]
    ) -> CommitResult:
        return by.group.commit(
            proposals,
            by_reference=references,
            path=self.rng.choice((None, None, True)),
            psks=by.psk,
            wire_format=self.wire_format(),
            authenticated_data=self.authenticated_data(),
            padding=self.rng.choice((0, 0, 100)),
            random=self.random,
        )

    def take(self, by: Member, made: CommitResult) -> None:
        """All others take a commit that the library made, and those that it adds join."""
        entering: list[tuple[Member, Group]] = [(by, made.next)]
        for other in self.others(by):
            opened = other.group.open_handshake(MLSMessage.decode(made.message))
            try:
                staged = other.group.stage(opened, **other.stage_options())
            except UsageError as error:
                if error.code != "leaf_key_missing":
                    raise
                continue  # it proposed a leaf, of which it has no key, while it was hostile
            if staged.next is not None:
                entering.append((other, staged.next))
        if made.welcome is not None:
            entering += self.welcome(made.welcome)
        self.enter(entering)

    def welcome(self, encoded: bytes) -> list[tuple[Member, Group]]:
        """Those whom a Welcome is for, with the groups that it gives them."""
        body = MLSMessage.decode(encoded).body
        assert isinstance(body, Welcome)
        joined = []
        for entry in body.secrets:
            if entry.new_member not in self.bundles:
                continue  # a key package of a hostile member's making: nobody comes
            client, bundle = self.bundles[entry.new_member]
            knows = self.members[0]
            group, _ = Group.join(
                body,
                bundle,
                client.signature_private_key,
                psks=knows.psk,
                past_epochs=knows.past.find,
                rules=self.rules,
            )
            joined.append((Member(client, group, past=knows.past), group))
        return joined

    def enter(self, entering: Sequence[tuple[Member, Group]]) -> None:
        check_agreement([group for _, group in entering])
        for member, group in entering:
            member.enter(group)
        self.members = [member for member, _ in entering]

    def join_externally(self) -> None:
        """A newcomer joins by an external commit, or a member comes back with its old identity."""
        info = self.rng.choice(self.members).group.group_info(external_pub=True)
        resync = self.rng.random() < 0.4
        client = self.rng.choice(self.members).client if resync else self.new_client()
        made = Group.external_join(
            info,
            client.leaf()[0],
            client.signature_private_key,
            resync=resync,
            authenticated_data=self.authenticated_data(),
            rules=self.rules,
            random=self.random,
        )
        entering: list[tuple[Member, Group]] = []
        for member in self.members:
            opened = member.group.open_handshake(MLSMessage.decode(made.message))
            staged = member.group.stage(opened, **member.stage_options())
            if staged.next is not None:
                entering.append((member, staged.next))
        newcomer = Member(client, made.next, past=self.members[0].past)
        self.enter([*entering, (newcomer, made.next)])

    def reinit(self) -> ReInit:
        """What this group asks for itself; a hostile one may ask for what nobody can do."""
        self.asked = ReInit(self.rng.randbytes(8), 1, self.suite.id, self._extensions())
        return self.asked

    def reinitialize(self) -> None:
        """All members go over to the group that the last commit asked for."""
        by = self.rng.choice(self.members)
        leaf, private_key = by.client.signed_leaf()
        made = by.group.reinitialize(
            [self.add(other.client).key_package for other in self.others(by)],
            leaf_node=leaf,
            encryption_private_key=private_key,
            signature_private_key=by.client.signature_private_key,
            random=self.random,
        )
        assert made.welcome is not None or len(self.members) == 1
        joined = self.welcome(made.welcome) if made.welcome is not None else []
        self.enter([(by, made.next), *joined])

    def branch_by(self, by: Member) -> CommitResult:
        """A new group of some members, in epoch 1."""
        leaf, private_key = by.client.signed_leaf()
        some = [other for other in self.others(by) if self.rng.random() < 0.7]
        return by.group.branch(
            self.rng.randbytes(8),
            [self.add(other.client).key_package for other in some],
            leaf_node=leaf,
            encryption_private_key=private_key,
            signature_private_key=by.client.signature_private_key,
            random=self.random,
        )

    def branch(self) -> None:
        """Some members meet in a new group; this one goes on."""
        made = self.branch_by(self.rng.choice(self.members))
        if made.welcome is not None:
            check_agreement([made.next, *(group for _, group in self.welcome(made.welcome))])

    def talk(self) -> None:
        """Messages of one sender, in any order, one of them twice."""
        sender = self.rng.choice(self.senders())
        plain = [self.rng.randbytes(self.rng.choice((0, 1, 300))) for _ in range(3)]
        # Framed in every group: where no media types are asked for it is as good as anything.
        texts = [ApplicationFraming(MediaType(b""), text).encode() for text in plain]
        aad = self.authenticated_data()
        sent = [
            sender.group.protect(
                text, authenticated_data=aad, padding=self.rng.choice((0, 9)), random=self.random
            )
            for text in texts
        ]
        for other in self.others(sender):
            order = self.rng.sample(range(len(texts)), len(texts))
            for place in order:
                opened = other.group.unprotect(MLSMessage.decode(sent[place]))
                if opened.application_data != texts[place]:
                    raise Finding("a text arrives as another")
            if accepts(other.group.unprotect, MLSMessage.decode(sent[0])):
                raise Finding("a text is opened twice")

    def others(self, member: Member) -> list[Member]:
        return [other for other in self.members if other is not member]


def accepts(action: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> bool:
    """Whether a call is accepted, else refused by an error that may come out."""
    try:
        action(*args, **kwargs)
    except REFUSALS:
        return False
    return True


def check_agreement(groups: Sequence[Group]) -> None:
    """All have entered the same epoch."""
    for group in groups[1:]:
        first = groups[0]
        if (group.context, group.tree, group.confirmation_tag, group.secrets.epoch_authenticator) != (
            first.context,
            first.tree,
            first.confirmation_tag,
            first.secrets.epoch_authenticator,
        ):
            raise Finding("members took the same commit and are in different epochs")
