"""The evidence that this node holds against owners that committed twice or run twice (PROTOCOL R4, B6): one for each
send group.

It outlives the group: people need it to decide about a member, and to show why they did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from starling.protocol.distributed.denial import Denial
from starling.protocol.distributed.evidence import MAX_BYTES, MAX_DENIALS, MAX_STATEMENTS, Evidence
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.engine.context import Context
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.packed import Blob, Uint, pack, shape, unpack

MAX_KEPT = 1024
"""Send groups; the evidence that was found first gives way."""

_ROW = (Uint(), Blob(MAX_BYTES, 1))


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """`detected_at` is when the first contradiction was found here, in milliseconds."""

    detected_at: int
    evidence: Evidence


def contradicting(evidence: Evidence) -> Evidence:
    """The same with the statements alone that contradict others, of as many epochs as there is room for, and as many
    denials."""
    statements: list[HeadStatement] = []
    for _, found in sorted(evidence.contradictions.items()):
        room = MAX_STATEMENTS - len(statements)
        statements += found[:room] if room > 1 else ()
    return replace(evidence, statements=tuple(statements), denials=evidence.denials[:MAX_DENIALS])


class EvidenceStore:
    """Evidence by group id, in the table `evidence` under universe id and group id."""

    def __init__(self, universe_id: bytes) -> None:
        self._universe_id = universe_id
        self.kept: dict[bytes, KeptEvidence] = {}

    def add(
        self, ctx: Context, group_id: bytes, owner_leaf: LeafNode, statements: Iterable[HeadStatement]
    ) -> str:
        """Keep statements that contradict each other with those kept before; the text of all, empty where they prove
        nothing to others.

        Two Welcomes by which this node was let into a group on different branches can be such: only it knows that
        one does not lead to the other.
        """
        return self.merge(ctx, group_id, Evidence.of(owner_leaf, statements))

    def merge(self, ctx: Context, group_id: bytes, found: Evidence) -> str:
        """Keep what evidence about a group adds to that which is kept; the text of all, as with `add`."""
        held = self.kept.get(group_id)
        if held is not None:
            found = found.with_more(held.evidence.statements, held.evidence.denials)
        new = contradicting(found)
        if not (new.statements or new.denials) or new.faults():
            return held.evidence.text() if held is not None else ""
        if held is None and len(self.kept) >= MAX_KEPT:
            oldest = min(self.kept, key=lambda other: self.kept[other].detected_at)
            del self.kept[oldest]
            ctx.delete("evidence", self._universe_id + oldest)
        kept = KeptEvidence(held.detected_at if held is not None else ctx.now, new)
        self.kept[group_id] = kept
        ctx.put("evidence", self._universe_id + group_id, pack([kept.detected_at, new.encode()]))
        return new.text()

    def denials(self, group_id: bytes) -> tuple[Denial, ...]:
        """The denials of the owner of a group to be who asked to start anew."""
        held = self.kept.get(group_id)
        return held.evidence.denials if held is not None else ()

    def is_denied(self, former_group_id: bytes, send_group_id: bytes) -> bool:
        """Whether the owner of a group denies to be who starts anew with another one in its place."""
        return any(denial.sighting.send_group_id == send_group_id for denial in self.denials(former_group_id))

    def load(self, key: bytes, row: bytes) -> None:
        detected_at, encoded = shape(unpack(row, max_bytes=2 * MAX_BYTES), _ROW)
        self.kept[key[32:]] = KeptEvidence(detected_at, Evidence.decode(encoded))
