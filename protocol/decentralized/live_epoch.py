"""An epoch whose secrets are held: the group in it, and what has come for its commits."""

from __future__ import annotations

from dataclasses import dataclass, field

from starling.protocol.crypto.secret import Secret
from starling.protocol.decentralized.key_schedule import PUNCTURED
from starling.protocol.extensions.replay_cache import ReplayCache
from starling.protocol.mls.commit import Commit
from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group import Group
from starling.protocol.mls.group_rules import GroupRules
from starling.protocol.mls.pending_proposals import PendingProposals
from starling.protocol.mls.proposal import Proposal, Update
from starling.protocol.wire import Struct, Vector, opaque

MAX_OPENED = 8
"""Handshake messages of one sender in one epoch that were opened and wait for something, such as a PSK."""


@dataclass(frozen=True, slots=True)
class _Opened(Struct):
    digest: opaque
    content: AuthenticatedContent


@dataclass(frozen=True, slots=True)
class _LeafKey(Struct):
    encryption_key: opaque
    private_key: opaque = field(repr=False)


@dataclass(frozen=True, slots=True)
class LiveEpochRecord(Struct):
    """A saved epoch: the two records of the group, and the rest."""

    group: opaque = field(repr=False)
    ratchets: opaque = field(repr=False)
    proposals: Vector[AuthenticatedContent]
    opened: Vector[_Opened]
    leaf_keys: Vector[_LeafKey] = field(repr=False)
    from_outside: Vector[opaque]


class LiveEpoch:
    """`proposals` stay when the epoch is superseded, since a sibling of the child may refer to them. `leaf_keys` are
    the private keys of our Updates among them, by encryption key. `from_outside` knows the private external messages
    that have come (P-12)."""

    __slots__ = ("_opened", "from_outside", "group", "leaf_keys", "proposals")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.proposals = PendingProposals(group.cipher_suite)
        self.leaf_keys: dict[bytes, Secret] = {}
        self.from_outside = ReplayCache()
        self._opened: dict[bytes, AuthenticatedContent] = {}

    def opened(self, digest: bytes) -> AuthenticatedContent | None:
        """The content of a handshake message that was opened before: its generation is consumed, so it is kept
        until it was processed."""
        return self._opened.get(digest)

    def keep(self, digest: bytes, content: AuthenticatedContent) -> None:
        """Keep what waits; a sender's oldest goes where too many of its own do."""
        self._opened[digest] = content
        sender = content.content.sender
        same = [each for each, kept in self._opened.items() if kept.content.sender == sender]
        for each in same[:-MAX_OPENED]:
            del self._opened[each]

    def done(self, digest: bytes) -> None:
        self._opened.pop(digest, None)

    def leaf_private_key(self, encryption_key: bytes) -> bytes | None:
        """A `FindLeafKey`."""
        key = self.leaf_keys.get(encryption_key)
        return None if key is None else bytes(key)

    def updates(self) -> list[Update]:
        """The Updates among the proposals."""
        proposals = [content.content.proposal for content in self.proposals.contents]
        return [proposal for proposal in proposals if isinstance(proposal, Update)]

    def covered(self, commit: Commit) -> list[tuple[int | None, Proposal]]:
        """The proposals of a commit that are known here, with the leaf index of who sent them by reference."""
        covered: list[tuple[int | None, Proposal]] = []
        for entry in commit.proposals:
            if entry.proposal is not None:
                covered.append((None, entry.proposal))
                continue
            found = self.proposals.received.get(entry.reference or b"")
            if found is not None and found.content.proposal is not None:
                covered.append((found.content.sender.leaf_index, found.content.proposal))
        return covered

    def wipe(self) -> None:
        """Delete all secrets, and what was received in the epoch."""
        self.group.wipe()
        for key in self.leaf_keys.values():
            key.wipe()
        self.leaf_keys.clear()
        self._opened.clear()
        self.proposals = PendingProposals(self.group.cipher_suite)

    def save(self) -> bytes:
        return LiveEpochRecord(
            self.group.save(),
            self.group.save_ratchets(),
            self.proposals.contents,
            tuple(_Opened(digest, content) for digest, content in self._opened.items()),
            tuple(_LeafKey(public, bytes(private)) for public, private in self.leaf_keys.items()),
            self.from_outside.digests,
        ).encode()

    @classmethod
    def load(cls, data: bytes, rules: GroupRules) -> LiveEpoch:
        """Raises `DecodeError`."""
        saved = LiveEpochRecord.decode(data)
        epoch = cls(Group.load(saved.group, saved.ratchets, rules=rules, key_schedule=PUNCTURED))
        for content in saved.proposals:
            epoch.proposals.add(content)
        epoch._opened = {entry.digest: entry.content for entry in saved.opened}
        epoch.leaf_keys = {entry.encryption_key: Secret(entry.private_key) for entry in saved.leaf_keys}
        epoch.from_outside = ReplayCache(saved.from_outside)
        return epoch
