"""One group of the driver: its epochs, the proposals that wait in it, and a commit that is not merged yet."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starling.protocol.errors import Invalid, Pending, UsageError
from starling.protocol.mls import (
    AuthenticatedContent,
    Client,
    CommitResult,
    ContentType,
    Group,
    MLSMessage,
    PastEpochs,
    PreSharedKeyID,
    Proposal,
    Rule,
    Update,
    WireFormat,
)
from starling.protocol.mls.private_message import PrivateMessage
from starling.protocol.mls.psk import PSKType
from starling.protocol.mls.public_message import PublicMessage

PAST_EPOCHS = 5
"""How many epochs before the current one still open late application messages."""

MAX_PROPOSALS = 1000
MAX_UNSTAGED = 16


class PskStore:
    """The PSKs of the process: external ones by id, resumption PSKs by group and epoch."""

    def __init__(self) -> None:
        self.external: dict[bytes, bytes] = {}
        self.epochs = PastEpochs(limit=1000)

    def find(self, psk_id: PreSharedKeyID) -> bytes | None:
        if psk_id.psktype == PSKType.EXTERNAL:
            return self.external.get(psk_id.psk_id or b"")
        return self.epochs.psk(psk_id)


@dataclass(frozen=True)
class CommitWish:
    """How a commit is to be made."""

    proposals: Sequence[Proposal]
    path: bool | None
    public: bool
    ratchet_tree_extension: bool
    authenticated_data: bytes


class Member:
    """A group of the driver, under a name (`handle`) that is the driver's alone."""

    def __init__(self, handle: str, group: Group, client: Client, psks: PskStore) -> None:
        self.handle = handle
        self.group = group
        self.client = client
        self.removed = False
        self._psks = psks
        self._past: deque[Group] = deque(maxlen=PAST_EPOCHS)
        self._proposals: dict[bytes, AuthenticatedContent] = {}
        self._update_keys: dict[bytes, bytes] = {}
        self._made: CommitResult | None = None
        self._unstaged: dict[bytes, AuthenticatedContent] = {}
        psks.epochs.add(group.past_epoch())

    def answer(self, **more: Any) -> dict[str, Any]:
        """What every answer about a group carries."""
        return {
            "group": self.handle,
            "epoch": self.group.epoch,
            "epoch_authenticator": self.group.secrets.epoch_authenticator.hex(),
            "tree_hash": self.group.context.tree_hash.hex(),
            **more,
        }

    # proposals and commits of ours

    def propose(self, proposal: Proposal, public: bool, authenticated_data: bytes) -> bytes:
        self._check_active()
        message, content = self.group.propose(
            proposal,
            wire_format=_wire_format(public),
            authenticated_data=authenticated_data,
            random=os.urandom,
        )
        self._keep_proposal(content)
        return message

    def update(self) -> Update:
        """An Update of our leaf; its private key is kept until somebody commits it."""
        leaf, private_key = self.client.update_leaf(self.group, random=os.urandom)
        self._update_keys[leaf.encryption_key] = private_key
        return Update(leaf)

    def commit(self, wish: CommitWish) -> CommitResult:
        """A commit of the proposals that wait (our own Updates stay out) and of these; not merged."""
        self._check_active()
        waiting = [content for content in self._proposals.values() if not self._is_own_update(content)]
        self._made = self.group.commit(
            wish.proposals,
            by_reference=waiting,
            path=wish.path,
            psks=self._psks.find,
            authenticated_data=wish.authenticated_data,
            wire_format=_wire_format(wish.public),
            with_tree=wish.ratchet_tree_extension,
            random=os.urandom,
        )
        return self._made

    def merge(self) -> None:
        """Enter the epoch of our commit, where there is one that was not merged."""
        if self._made is not None:
            self._enter(self._made.next)

    def discard(self) -> None:
        """Forget our commit that was not merged; without one, the proposals that wait."""
        if self._made is not None:
            self._made.next.wipe()
            self._made = None
        else:
            self._proposals.clear()

    def encrypt(self, plaintext: bytes, authenticated_data: bytes) -> bytes:
        self._check_active()
        return self.group.protect(plaintext, authenticated_data=authenticated_data, random=os.urandom)

    # messages of others

    def process(self, encoded: bytes) -> dict[str, Any]:
        """A proposal, a commit or an application message of another member, as `kind` of the answer says."""
        self._check_active()
        message = MLSMessage.decode(encoded)
        if isinstance(message.body, PrivateMessage) and message.body.content_type == ContentType.APPLICATION:
            return {"kind": "application", **self._decrypt(message)}
        content = self._unstaged.get(encoded)
        if content is None:
            content = self.group.open_handshake(message)
        if content.content.content_type == ContentType.PROPOSAL:
            self._keep_proposal(content)
            return {"kind": "proposal", "proposal_ref": content.reference(self.group.cipher_suite).hex()}
        try:
            staged = self.group.stage(
                content,
                psks=self._psks.find,
                leaf_private_key=self._update_keys.get,
                proposals=self._proposals,
            )
        except Pending:
            # The generation is used up: the same message can be processed again when what it waits for came.
            if len(self._unstaged) < MAX_UNSTAGED:
                self._unstaged[encoded] = content
            raise
        if staged.next is None:
            self.removed = True
        else:
            self._enter(staged.next)
        return {
            "kind": "commit",
            "added": list(staged.added),
            "removed": list(staged.removed),
            "updated": list(staged.updated),
            "committer": staged.committer,
            "external": staged.external,
            "self_removed": staged.self_removed,
            "reinit": staged.reinit is not None,
        }

    def decrypt(self, encoded: bytes) -> dict[str, Any]:
        return self._decrypt(MLSMessage.decode(encoded))

    def _decrypt(self, message: MLSMessage) -> dict[str, Any]:
        body = message.body
        group = self.group
        if isinstance(body, PublicMessage):
            raise Invalid(Rule.PUBLIC_APPLICATION)
        if isinstance(body, PrivateMessage) and body.group_id == group.group_id:
            group = next((past for past in self._past if past.epoch == body.epoch), group)
        opened = group.unprotect(message)
        return {
            "plaintext": opened.application_data.hex(),
            "aad": opened.authenticated_data.hex(),
            "sender": opened.sender_leaf_index,
            "message_epoch": group.epoch,
        }

    # epochs

    def _enter(self, following: Group) -> None:
        if self._made is not None and self._made.next is not following:
            self._made.next.wipe()
        self._made = None
        if len(self._past) == PAST_EPOCHS:
            self._past[0].wipe()
        self.group.supersede(following)
        self._past.append(self.group)
        self.group = following
        self._proposals.clear()
        self._update_keys.clear()
        self._unstaged.clear()
        self._psks.epochs.add(following.past_epoch())

    def _keep_proposal(self, content: AuthenticatedContent) -> None:
        if len(self._proposals) >= MAX_PROPOSALS:
            raise UsageError("too many proposals wait for a commit", "too_many_proposals")
        self._proposals[content.reference(self.group.cipher_suite)] = content

    def _is_own_update(self, content: AuthenticatedContent) -> bool:
        framed = content.content
        return isinstance(framed.proposal, Update) and framed.sender.leaf_index == self.group.own_leaf_index

    def _check_active(self) -> None:
        if self.removed:
            raise UsageError("this member was removed from the group", "removed")


def _wire_format(public: bool) -> int:
    return WireFormat.MLS_PUBLIC_MESSAGE if public else WireFormat.MLS_PRIVATE_MESSAGE
