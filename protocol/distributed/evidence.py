"""Evidence against an owner that committed twice, or whose keys two nodes hold, which anybody can check (PROTOCOL 5.1
R4, 5.6 B6).

It holds head statements that contradict each other, or denials, and what binds the key that signed them to an identity:
neither membership nor a GroupContext is needed. Statements say that the holder of the keys signed two commits where an
owner that keeps to the protocol signs one. They cannot say why: a node that was put back to an old state, a copy that
runs beside it, and a liar sign the same. A denial is signed by no node that was merely put back.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from starling.protocol.distributed.denial import Denial
from starling.protocol.distributed.head_statement import HeadStatement
from starling.protocol.distributed.identity import KEY_LENGTH
from starling.protocol.distributed.member import DmlsMember, leaf_identity, read_member, verify_binding
from starling.protocol.errors import DecodeError, ProtocolError
from starling.protocol.mls.leaf_node import LeafNode
from starling.protocol.wire import Struct, Vector, opaque, uint16

VERSION = 2
PREFIX = "starling-evidence1-"
"""What the text form begins with; unpadded base64url follows."""

MAX_STATEMENTS = 16
MAX_DENIALS = 4
MAX_BYTES = 8 * 1024
MAX_TEXT = 16 * 1024

Key = tuple[int, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Evidence(Struct):
    """`struct{uint16 version; opaque identity<V>; opaque signature_key<V>; DmlsMember member; HeadStatement
    statements<V>; Denial denials<V>;}`.

    `member` binds the signature key of leaf 0 to the identity key (X-1). The 2 to 16 statements ascend by epoch,
    parent and hash of the commit, so that one contradiction has one encoding; there may be none beside 1 to 4 denials,
    which ascend by their encoding.
    """

    version: uint16
    identity: opaque
    signature_key: opaque
    member: DmlsMember
    statements: Vector[HeadStatement]
    denials: Vector[Denial]

    @classmethod
    def of(
        cls, owner_leaf: LeafNode, statements: Iterable[HeadStatement], denials: Iterable[Denial] = ()
    ) -> Self:
        """From leaf 0 of the group and what its owner signed; what is repeated counts once."""
        key = owner_leaf.signature_key
        nothing = cls(VERSION, leaf_identity(owner_leaf), key, read_member(owner_leaf), (), ())
        return nothing.with_more(statements, denials)

    def with_more(self, statements: Iterable[HeadStatement], denials: Iterable[Denial]) -> Self:
        """The same with more that the owner signed."""
        distinct = {_key(statement): statement for statement in (*self.statements, *statements)}
        denied = {denial.encode(): denial for denial in (*self.denials, *denials)}
        return replace(
            self,
            statements=tuple(distinct[key] for key in sorted(distinct)),
            denials=tuple(denied[key] for key in sorted(denied)),
        )

    # the text form

    def text(self) -> str:
        """One line for files, mails and events."""
        return PREFIX + base64.urlsafe_b64encode(self.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of `text`, whatever white space came between; DecodeError for anything else."""
        if len(text) > MAX_TEXT:
            raise DecodeError(f"evidence has at most {MAX_TEXT} characters")
        word = "".join(text.split())
        if not word.startswith(PREFIX):
            raise DecodeError(f"evidence begins with {PREFIX}")
        encoded = word.removeprefix(PREFIX)
        try:
            data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars="-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise DecodeError("evidence is cut short or changed") from error
        evidence = cls.parse_encoded(data)
        if evidence.text() != word:
            raise DecodeError("evidence is not encoded in its one way")
        return evidence

    @classmethod
    def parse_encoded(cls, data: bytes) -> Self:
        """From the encoded structure, its form checked; DecodeError for anything else."""
        if len(data) > MAX_BYTES:
            raise DecodeError(f"evidence has at most {MAX_BYTES} bytes")
        evidence = cls.decode(data)
        evidence._check_form()
        return evidence

    def _check_form(self) -> None:
        if self.version != VERSION:
            raise DecodeError(f"evidence of version {self.version}, which is not known here")
        if len(self.identity) != KEY_LENGTH or len(self.signature_key) != KEY_LENGTH:
            raise DecodeError(f"the keys of evidence have {KEY_LENGTH} bytes")
        if len(self.denials) > MAX_DENIALS:
            raise DecodeError(f"evidence holds at most {MAX_DENIALS} denials")
        if not 2 <= len(self.statements) <= MAX_STATEMENTS and (self.statements or not self.denials):
            raise DecodeError(f"evidence holds 2 to {MAX_STATEMENTS} statements")
        keys = [_key(statement) for statement in self.statements]
        encoded = [denial.encode() for denial in self.denials]
        if keys != sorted(set(keys)) or encoded != sorted(set(encoded)):
            raise DecodeError("the statements of evidence do not ascend")

    # what it shows

    @property
    def contradictions(self) -> dict[int, tuple[HeadStatement, ...]]:
        """The statements that contradict each other, by the number of the epoch that they follow.

        An owner has one epoch of each number and makes one commit on it, so any two different ones are too many:
        on one parent they are two commits, on two parents two branches.
        """
        found: defaultdict[int, list[HeadStatement]] = defaultdict(list)
        for statement in self.statements:
            found[statement.epoch].append(statement)
        return {epoch: tuple(listed) for epoch, listed in found.items() if len(listed) > 1}

    def faults(self) -> tuple[str, ...]:
        """What does not hold, a sentence each; none where the evidence is valid."""
        faults = []
        try:
            verify_binding(self.member, self.identity, self.signature_key)
        except ProtocolError:
            faults.append("the identity and its peer did not both sign that the key is theirs")
        place = (self.member.universe_id, self.member.send_group_id)
        for number, denial in enumerate(self.denials, 1):
            sighting = denial.sighting
            try:
                denial.verify(self.signature_key)
            except ProtocolError:
                faults.append(f"denial {number} is not signed by the identity and the key")
            if (sighting.universe_id, sighting.former_group_id, sighting.identity) != (*place, self.identity):
                faults.append(f"denial {number} is about another group than the identity's")
        contradicting = self.contradictions
        for number, statement in enumerate(self.statements, 1):
            try:
                statement.verify(self.signature_key)
            except ProtocolError:
                faults.append(f"statement {number} is not signed by the key")
            if (statement.universe_id, statement.group_id) != place:
                faults.append(f"statement {number} is about another group than the identity's")
            if statement.epoch not in contradicting:
                faults.append(f"statement {number} contradicts no other")
        return tuple(faults)


def _key(statement: HeadStatement) -> Key:
    return (statement.epoch, statement.parent_dmls_epoch, statement.commit_hash)
