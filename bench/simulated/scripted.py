"""Owners without an engine: each makes the frames of its own send group, and reads nothing.

A universe of a thousand engines would hold a million groups. A scripted owner holds one, its own, seen from leaf 0;
the public tree below is shared by all. What it sends is what an engine sends: real commits, reports and messages,
which real engines check, decrypt and follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.simulated.founding import SUITE, Founded
from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.decentralized.key_schedule import DMLS_EPOCH, PUNCTURED
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.application import ApplicationData
from starling.protocol.distributed.dependency import Dependency, build_dependencies
from starling.protocol.distributed.epoch_end import build_epoch_end
from starling.protocol.distributed.export_psk import export_psk
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.key_packages import build_key_packages
from starling.protocol.distributed.member import UNIVERSE_SUITES, build_key_package, build_owner_leaf
from starling.protocol.distributed.send_group_rules import OWNER_LEAF, SendGroupRules
from starling.protocol.distributed.universe_component import (
    DEFAULT_EXPORT_LENGTH,
    MODE_EXPLICIT,
    DmlsUniverse,
    send_group_extensions,
)
from starling.protocol.exchange.frame import CommitFrame, MessageFrame
from starling.protocol.extensions.private_external_rules import new_root_key
from starling.protocol.mls import key_schedule as schedules
from starling.protocol.mls.committing import create_group_info
from starling.protocol.mls.epoch import enter_epoch
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_context import GroupContext
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.leaf_node import COMMIT
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.proposal import AppEphemeral, PreSharedKey, Proposal
from starling.protocol.mls.psk import PreSharedKeyID
from starling.protocol.mls.ratchet_tree import RatchetTree
from starling.protocol.mls.safe_aad import EMPTY
from starling.protocol.mls.tree_hash import tree_hash
from starling.protocol.mls.welcome import create_welcome
from starling.protocol.mls.wire_format import MLS10, ContentType

Exported = tuple[Dependency, bytes]
"""An epoch that a path commit started, and its PSK."""

FIRST_EPOCH = 1
_SUITE = cipher_suite(SUITE)


def shared_tree(founded: Founded) -> RatchetTree:
    """Everybody at the leaf after its number, leaf 0 blank: each owner stands there in its own tree."""
    leaves = [seat.key_package.leaf_node for seat in founded.seats]
    tree, _ = RatchetTree().with_leaves_added([leaves[0], *leaves])
    tree = tree.with_nodes({0: None})
    tree_hash(_SUITE, tree)
    return tree


class ScriptedOwner:
    """The owner of `seat`, number `number`. Its group begins in epoch 1, as if one commit had added everybody;
    `welcome` is the frame of that commit, for those whose KeyPackages are given."""

    def __init__(
        self,
        founded: Founded,
        number: int,
        tree: RatchetTree,
        newcomers: Mapping[int, KeyPackage],
        random: Callable[[int], bytes],
    ) -> None:
        self.seat = founded.seats[number]
        self.universe_id = founded.universe_id
        self._random = random
        self._serial = 0
        self._end = 0
        context, epoch_secret, joiner_secret, own_tree, key = self._first_epoch(founded, number, tree)
        self.epoch = enter_epoch(
            suite=_SUITE,
            context=context,
            tree=own_tree,
            own_leaf_index=OWNER_LEAF,
            private_keys={0: key},
            signature_private_key=self.seat.signature_private_key,
            epoch_secret=epoch_secret,
            rules=SendGroupRules(founded.universe_id),
            key_schedule=PUNCTURED,
        )
        self.group = Group(self.epoch)
        self.past = b""
        self.welcome = self._welcome(joiner_secret, newcomers)

    @property
    def dmls_epoch(self) -> bytes:
        return self.group.secrets.extra[DMLS_EPOCH]

    @property
    def count(self) -> int:
        """Messages sent in the epoch that counts."""
        return self.group.application_progress(OWNER_LEAF)[0]

    def _first_epoch(
        self, founded: Founded, number: int, tree: RatchetTree
    ) -> tuple[GroupContext, bytes, bytes, RatchetTree, bytes]:
        seat = self.seat
        private_key, public_key = _SUITE.hpke_generate(self._random)
        made = build_owner_leaf(
            seat.identity,
            cipher_suite=_SUITE,
            universe_id=founded.universe_id,
            send_group_id=seat.group_id,
            incarnation=0,
            serial=1,
            signature_private_key=seat.signature_private_key,
            encryption_key=public_key,
            now=0,
        )
        leaf = replace(made, leaf_node_source=COMMIT, lifetime=None, parent_hash=b"").sign(
            _SUITE, seat.signature_private_key, seat.group_id, OWNER_LEAF
        )
        own_tree = tree.with_nodes({0: leaf, 2 * (number + 1): None})
        about = DmlsUniverse(
            founded.universe_id,
            DEFAULT_EXPORT_LENGTH,
            seat.identity.identity_public_key,
            MODE_EXPLICIT,
            b"",
        )
        context = GroupContext(
            MLS10,
            SUITE,
            seat.group_id,
            FIRST_EPOCH,
            tree_hash(_SUITE, own_tree),
            self._random(_SUITE.hash_length),
            send_group_extensions(about, founded.roster.digest, new_root_key(_SUITE, self._random)),
        )
        joiner_secret = self._random(_SUITE.hash_length)
        no_psk = bytes(_SUITE.hash_length)
        epoch_secret = schedules.epoch_secret(_SUITE, joiner_secret, no_psk, context.encode())
        return context, epoch_secret, joiner_secret, own_tree, private_key

    def _welcome(self, joiner_secret: bytes, newcomers: Mapping[int, KeyPackage]) -> bytes:
        info = create_group_info(self.epoch, with_tree=True)
        no_psk = bytes(_SUITE.hash_length)
        body = create_welcome(
            _SUITE, info, joiner_secret, no_psk, (), newcomers, lambda leaf_index: None, self._random
        )
        # The commit itself is closed to those whom it adds: random bytes do.
        commit = PrivateMessage(
            self.seat.group_id, FIRST_EPOCH - 1, ContentType.COMMIT, EMPTY, self._random(28), self._random(64)
        )
        parent = self._random(32)
        return self._frame(
            MLSMessage.of(commit).encode(), MLSMessage.of(body).encode(), parent, FIRST_EPOCH - 1
        )

    def _frame(self, message: bytes, welcome: bytes, parent: bytes, epoch: int) -> bytes:
        statement = HeadStatement.sign(
            self.seat.signature_private_key,
            universe_id=self.universe_id,
            group_id=self.seat.group_id,
            epoch=epoch,
            parent_dmls_epoch=parent,
            commit=message + welcome,
        )
        return CommitFrame(wrap(message, parent), statement.encode(), welcome).encode()

    # what it sends

    def say(self, data: ApplicationData) -> bytes:
        """The frame of one message."""
        message = self.group.protect(data.encode(), authenticated_data=EMPTY, random=self._random)
        return MessageFrame(wrap(message, self.dmls_epoch)).encode()

    def update(self, now: int) -> tuple[bytes, Exported]:
        """The frame of a path commit with fresh KeyPackages, and what others import of it."""
        self._serial = max(now, self._serial + 1)
        packages = [
            build_key_package(
                self.seat.identity,
                cipher_suite=cipher_suite(suite_id),
                universe_id=self.universe_id,
                send_group_id=self.seat.group_id,
                incarnation=0,
                serial=self._serial,
                signature_private_key=self.seat.signature_private_key,
                now=now,
                random=self._random,
            ).key_package
            for suite_id in UNIVERSE_SUITES
        ]
        published = AppEphemeral(component_ids.KEY_PACKAGES, build_key_packages(packages))
        frame = self._commit([published], {}, path=True)
        dependency = Dependency(self.seat.group_id, self.group.epoch, self.dmls_epoch)
        return frame, (dependency, export_psk(self.group.export, DEFAULT_EXPORT_LENGTH))

    def take_in(self, exported: Sequence[Exported]) -> bytes:
        """The frame of a pathless commit that imports these."""
        proposals: list[Proposal] = []
        for dependency, _ in exported:
            nonce = self._random(_SUITE.hash_length)
            proposals.append(PreSharedKey(PreSharedKeyID.external(dependency.psk_id, nonce)))
        dependencies = build_dependencies([dependency for dependency, _ in exported])
        proposals.append(AppEphemeral(component_ids.DMLS_DEPS, dependencies))
        return self._commit(proposals, {dep.psk_id: psk for dep, psk in exported}, path=False)

    def _commit(self, proposals: list[Proposal], psks: Mapping[bytes, bytes], *, path: bool) -> bytes:
        parent, epoch = self.dmls_epoch, self.group.epoch
        made = self.group.commit(
            [*proposals, AppEphemeral(component_ids.EPOCH_END, build_epoch_end(self.count))],
            path=path,
            psks=lambda psk_id: psks.get(psk_id.psk_id or b""),
            authenticated_data=EMPTY,
            handshake_generation=0,
            random=self._random,
        )
        self.group, self.past = made.next, parent
        return self._frame(made.message, b"", parent, epoch)
