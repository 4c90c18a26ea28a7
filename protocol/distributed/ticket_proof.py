"""`ticket_proof`: a KeyPackage's proof that its owner holds a ticket (PROTOCOL 6, component 0x8D08).

It signs the joiner's keys and the invite's id, so nobody who sees the KeyPackage can spend the ticket for another one,
nor have its holder come by an invite of one's own with the same key.
"""

from __future__ import annotations

from dataclasses import dataclass

from starling.protocol.distributed import component_ids, labels
from starling.protocol.distributed.identity import KEY_LENGTH, sign, verify
from starling.protocol.distributed.rules import Rule
from starling.protocol.distributed.ticket import TicketSecret
from starling.protocol.errors import Invalid
from starling.protocol.mls.components import read_component
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.wire import Struct, opaque


@dataclass(frozen=True, slots=True)
class TicketProofTBS(Struct):
    """What the ticket's key signs; `signature_key` and `init_key` are those of the KeyPackage."""

    universe_id: opaque
    invite_id: opaque
    identity: opaque
    signature_key: opaque
    init_key: opaque


@dataclass(frozen=True, slots=True)
class TicketProof(Struct):
    """The component's data; `ticket_key` is the ticket's public key."""

    invite_id: opaque
    ticket_key: opaque
    signature: opaque


def prove(
    keys: TicketSecret, *, universe_id: bytes, identity: bytes, signature_key: bytes, init_key: bytes
) -> TicketProof:
    """Spend a ticket on a KeyPackage with these keys."""
    invite_id = keys.invite_id
    content = TicketProofTBS(universe_id, invite_id, identity, signature_key, init_key).encode()
    return TicketProof(invite_id, keys.public_key, sign(keys.private_key, labels.TICKET_PROOF, content))


def read_ticket_proof(key_package: KeyPackage) -> TicketProof | None:
    """The proof in a KeyPackage, unchecked. DecodeError."""
    data = read_component(key_package.extensions, component_ids.TICKET_PROOF)
    return None if data is None else TicketProof.decode(data)


def verify_ticket_proof(key_package: KeyPackage, universe_id: bytes) -> TicketProof:
    """Check the proof and give it back; whether invite and key belong together, and may be spent, the roster says.

    Raises Invalid where there is none, DecodeError, VerificationFailed.
    """
    proof = read_ticket_proof(key_package)
    if proof is None or len(proof.ticket_key) != KEY_LENGTH:
        raise Invalid(Rule.TICKET_PROOF)
    leaf = key_package.leaf_node
    identity = leaf.credential.identity
    if identity is None:
        raise Invalid(Rule.MEMBER_CREDENTIAL)
    content = TicketProofTBS(
        universe_id, proof.invite_id, identity, leaf.signature_key, key_package.init_key
    ).encode()
    verify(proof.ticket_key, labels.TICKET_PROOF, content, proof.signature)
    return proof
