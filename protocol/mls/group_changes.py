"""What a commit gave, to who received it and to who made it (RFC 9420 §12.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starling.protocol.mls.framing import AuthenticatedContent
from starling.protocol.mls.group_info import GroupInfo
from starling.protocol.mls.proposal import ReInit

if TYPE_CHECKING:
    from starling.protocol.mls.group import Group


@dataclass(frozen=True, slots=True)
class StagedCommit:
    """What another's commit does: `next` is None where it removes us; the rest are leaf indexes.

    `committer` is in the new tree; with `external` it joined by this commit. `reinit` is there where the
    commit ends the group: nothing more is sent in `next`, and a Welcome to its successor follows (§11.2).
    """

    next: Group | None
    added: tuple[int, ...]
    removed: tuple[int, ...]
    updated: tuple[int, ...]
    self_removed: bool
    committer: int
    external: bool
    reinit: ReInit | None


@dataclass(frozen=True, slots=True)
class CommitResult:
    """Our commit: `message` and `welcome` are encoded MLSMessages, `added` leaf indexes in order of their
    Adds.

    `welcome` and `group_info` are there where members were added.
    """

    message: bytes
    content: AuthenticatedContent
    next: Group
    welcome: bytes | None
    group_info: GroupInfo | None
    added: tuple[int, ...]
