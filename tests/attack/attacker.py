"""A passive attacker: the whole traffic, what was stolen from nodes, and everything that follows from both.

It knows the protocol and no limits but those of its keys: it enters epochs from whatever epoch it has a state of, as
whichever member it has a leaf key of, as often as it likes; what it enters gives it exporter secrets and so the PSKs
that others import; a stolen init key opens Welcomes. It goes on until nothing new comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.attack.loot import Loot
from tests.attack.traffic import TappedNetwork

from starling.protocol.crypto.secret import Secret
from starling.protocol.decentralized.dmls_message import DMLSMessage, read_dmls_message
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PUNCTURED
from starling.protocol.distributed.application import AGAIN, DIRECT, ApplicationData
from starling.protocol.distributed.commit_content import read_commit_content
from starling.protocol.distributed.direct import open_direct
from starling.protocol.distributed.export_psk import export_psk
from starling.protocol.distributed.send_group_rules import OWNER_LEAF, SendGroupRules
from starling.protocol.distributed.sent_again import SentAgain
from starling.protocol.distributed.universe_component import read_universe
from starling.protocol.errors import Pending, ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.frame import CommitFrame
from starling.protocol.exchange.member_messages import Profiles
from starling.protocol.exchange.message import Message
from starling.protocol.mls.epoch import Epoch
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_package import KeyPackage, KeyPackageBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage, open_private, open_sender_data
from starling.protocol.mls.private_tree import PrivateTree
from starling.protocol.mls.ratchet import MessageKey
from starling.protocol.mls.secret_tree import SecretTree
from starling.protocol.mls.welcome import Welcome
from starling.protocol.mls.wire_format import ContentType

_FAILURES = (ProtocolError, Unsupported, Pending, UsageError)
_NO_KEY = bytes([1]) * 32
"""Stands for the private key of a leaf where nothing is sealed to it."""

Place = tuple[bytes, bytes]
"""(group_id, dmls_epoch)."""


def reads(network: TappedNetwork, universe_id: bytes, *stolen: Loot) -> set[str]:
    """The user messages of the whole traffic so far that all of the stolen things together open."""
    loot = Loot()
    for each in stolen:
        loot = loot | each
    return Attacker(network, universe_id, loot).read()


class Attacker:
    """One attack: `read` gives what it comes to. `entered` are the epochs of which it has come to have a state."""

    def __init__(self, network: TappedNetwork, universe_id: bytes, loot: Loot) -> None:
        self._rules = SendGroupRules(universe_id)
        self._messages: dict[bytes, list[DMLSMessage]] = defaultdict(list)
        self._commits: dict[bytes, list[tuple[CommitFrame, DMLSMessage]]] = defaultdict(list)
        self._welcomes: list[Welcome] = []
        self._packages = set(loot.packages)
        self._psks = dict(loot.psks)
        self._keys = dict(_key_pairs(loot.values))
        self._states: dict[bytes, list[Group]] = defaultdict(list)
        self._known_children: set[bytes] = set()
        self.entered: set[Place] = set()
        for frame in network.frames.values():
            message = read_dmls_message(frame.dmls_message)
            if isinstance(frame, CommitFrame):
                self._commits[message.dmls_epoch].append((frame, message))
                if frame.welcome:
                    body = MLSMessage.decode(frame.welcome).body
                    assert isinstance(body, Welcome)
                    self._welcomes.append(body)
            else:
                self._messages[message.dmls_epoch].append(message)
        for said in network.said:
            self._packages.update(_told_packages(said))
        for record, ratchets in loot.epochs:
            self._hold(Group.load(record, ratchets, rules=self._rules, key_schedule=PUNCTURED))

    def _hold(self, group: Group) -> None:
        """Have a state, and export what its epoch gives to others, where that is not deleted."""
        name = group.secrets.extra[DMLS_EPOCH]
        self._states[name].append(group)
        self.entered.add((group.group_id, name))
        if group.secrets.holds("exporter_secret"):
            length = read_universe(group.context.extensions).export_length
            self._psks[group.group_id, name] = export_psk(group.export, length)

    def read(self) -> set[str]:
        self._open_welcomes()
        while self._follow_commits():
            pass
        return set(self._open_messages())

    # entering epochs

    def _open_welcomes(self) -> None:
        packages = {package.reference(): package for package in self._packages}
        for welcome in self._welcomes:
            for entry in welcome.secrets:
                package = packages.get(entry.new_member)
                if package is None or package.init_key not in self._keys:
                    continue
                leaf_key = self._keys.get(package.leaf_node.encryption_key, _NO_KEY)
                bundle = KeyPackageBundle(package, self._keys[package.init_key], leaf_key)
                group, _ = Group.join(welcome, bundle, _NO_KEY, rules=self._rules, key_schedule=PUNCTURED)
                self._hold(group)

    def _follow_commits(self) -> bool:
        """Try all commits on all states once; whether any gave something new."""
        found = []
        for name, states in self._states.items():
            for frame, message in self._commits[name]:
                if frame.dmls_message not in self._known_children:
                    child = next(
                        (child for state in states for child in self._children(state, message)), None
                    )
                    if child is not None:
                        self._known_children.add(frame.dmls_message)
                        found.append(child)
        for child in found:
            self._hold(child)
        return bool(found)

    def _children(self, parent: Group, message: DMLSMessage) -> Iterator[Group]:
        """The child of a commit, as each member that the attacker can be taken for."""
        try:
            content = parent.open_handshake(message.message)
        except _FAILURES:
            return
        psks = self._imported(content)
        if psks is None:
            return
        for view in self._views(parent):
            try:
                staged = view.stage(
                    content,
                    psks=lambda psk_id: psks.get(psk_id.psk_id or b""),
                    leaf_private_key=self._keys.get,
                )
            except _FAILURES:
                continue
            if staged.next is not None:
                yield staged.next

    def _imported(self, content: AuthenticatedContent) -> dict[bytes, bytes] | None:
        """The PSKs of a commit by psk_id, None where one is missing."""
        commit = content.content.commit
        assert commit is not None
        proposals = [item.proposal for item in commit.proposals if item.proposal is not None]
        dependencies = read_commit_content(proposals, has_path=commit.path is not None).dependencies
        psks: dict[bytes, bytes] = {}
        for dependency in dependencies:
            psk = self._psks.get((dependency.group_id, dependency.dmls_epoch))
            if psk is None:
                return None
            psks[dependency.psk_id] = psk
        return psks

    def _views(self, parent: Group) -> Iterator[Group]:
        """An epoch as each of its members would see it, with the leaf key where it is known."""
        for leaf_index, leaf in parent.tree.leaves():
            if leaf_index != OWNER_LEAF:
                key = self._keys.get(leaf.encryption_key, _NO_KEY)
                view = replace(
                    parent._epoch,
                    own_leaf_index=leaf_index,
                    private_tree=PrivateTree(leaf_index, {2 * leaf_index: key}),
                    signature_private_key=_wiped(),
                )
                yield Group(view)

    # reading

    def _open_messages(self) -> Iterator[str]:
        for name, states in self._states.items():
            for message in self._messages[name]:
                for state in states:
                    data = _open_message(state._epoch, message.message.body)
                    if data is not None and data.content_type == AGAIN:
                        yield from self._open_again(state, data.body)
                    elif data is not None and data.content_type == DIRECT:
                        yield from self._open_direct(state, data.body)
                    elif data is not None and not data.is_control:
                        yield data.body.decode()

    def _open_again(self, state: Group, body: bytes) -> Iterator[str]:
        """What was sealed once more, to the leaf of one member."""
        place = state.group_id + state.secrets.extra[DMLS_EPOCH]
        for view in self._views(state):
            try:
                messages = SentAgain.decode(body).open(view, place)
            except _FAILURES:
                continue
            for message in messages:
                yield ApplicationData.decode(message).body.decode()

    def _open_direct(self, state: Group, body: bytes) -> Iterator[str]:
        """What was sealed to the leaf of one member by the secrets of the epoch."""
        for view in self._views(state):
            try:
                opened = open_direct(view, body)
            except _FAILURES:
                continue
            if opened is not None:
                yield ApplicationData.decode(opened).body.decode()


def _open_message(epoch: Epoch, message: object) -> ApplicationData | None:
    """A message by the ratchet as it stands; by the whole tree where its root was kept."""
    assert isinstance(message, PrivateMessage) and message.content_type == ContentType.APPLICATION
    trees = [epoch.secret_tree]
    if epoch.secrets.holds("encryption_secret"):
        trees.append(SecretTree(epoch.suite, epoch.tree.leaf_count, epoch.secrets.encryption_secret))
    for tree in trees:
        try:
            sender = open_sender_data(epoch.suite, message, epoch.secrets.sender_data_secret)
            key: MessageKey = tree.application(sender.leaf_index).peek(sender.generation)
            content = open_private(epoch.suite, message, sender, key).content
            return ApplicationData.decode(content.application_data or b"")
        except _FAILURES:
            continue
    return None


def _wiped() -> Secret:
    secret = Secret(b"")
    secret.wipe()
    return secret


def _key_pairs(values: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Every value as a private key, by its public key."""
    for value in values:
        yield X25519PrivateKey.from_private_bytes(value).public_key().public_bytes_raw(), value


def _told_packages(message: Message) -> Iterator[KeyPackage]:
    """The KeyPackages that one peer told another."""
    match message:
        case Profiles(profiles=profiles):
            told = profiles
        case _:
            told = ()
    for packages, _ in told:
        yield from map(KeyPackage.decode, packages)
