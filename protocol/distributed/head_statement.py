"""An owner's statement that a commit follows an epoch, which others can show around (PROTOCOL 5.1 R4).

A commit alone proves nothing to others: checking it needs the GroupContext. Two different statements for
one parent prove that the owner committed twice, by equivocation or after a restored backup.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import sign, verify
from starling.protocol.distributed.rules import Rule
from starling.protocol.errors import Invalid
from starling.protocol.wire import Struct, opaque, uint64

_MAX_ID = 255


@dataclass(frozen=True, slots=True)
class HeadStatementTBS(Struct):
    """What is signed. `epoch` and `parent_dmls_epoch` are the parent's; `commit_hash` is SHA-256."""

    universe_id: opaque
    group_id: opaque
    epoch: uint64
    parent_dmls_epoch: opaque
    commit_hash: opaque


@dataclass(frozen=True, slots=True)
class HeadStatement(HeadStatementTBS):
    """The statement as it travels beside its commit."""

    signature: opaque

    @classmethod
    def sign(
        cls,
        signature_private_key: bytes,
        *,
        universe_id: bytes,
        group_id: bytes,
        epoch: int,
        parent_dmls_epoch: bytes,
        commit: bytes,
    ) -> HeadStatement:
        """Sign for `commit`, the encoded MLSMessage followed by that of its Welcome where it adds (R6), with the key
        of leaf 0 in the parent epoch."""
        commit_hash = hashlib.sha256(commit).digest()
        tbs = HeadStatementTBS(universe_id, group_id, epoch, parent_dmls_epoch, commit_hash)
        signature = sign(signature_private_key, labels.HEAD, tbs.encode())
        return cls(universe_id, group_id, epoch, parent_dmls_epoch, commit_hash, signature)

    @property
    def parent(self) -> tuple[bytes, bytes, int, bytes]:
        """What two statements must share to be about one parent."""
        return (self.universe_id, self.group_id, self.epoch, self.parent_dmls_epoch)

    def verify(self, signature_key: bytes, *, commit: bytes | None = None) -> None:
        """Check sizes, the hash of `commit` where it is given, and the signature by leaf 0 of the parent."""
        if (
            len(self.commit_hash) != 32
            or not 0 < len(self.universe_id) <= _MAX_ID
            or not 0 < len(self.group_id) <= _MAX_ID
            or not 0 < len(self.parent_dmls_epoch) <= _MAX_ID
        ):
            raise Invalid(Rule.HEAD_FIELDS)
        if commit is not None and not hmac.compare_digest(hashlib.sha256(commit).digest(), self.commit_hash):
            raise Invalid(Rule.HEAD_COMMIT)
        tbs = HeadStatementTBS(*self.parent, self.commit_hash)
        verify(signature_key, labels.HEAD, tbs.encode(), self.signature)


def is_evidence(a: HeadStatement, b: HeadStatement) -> bool:
    """Whether two statements, both verified under one key, prove two commits on one parent."""
    return a.parent == b.parent and a.commit_hash != b.commit_hash
