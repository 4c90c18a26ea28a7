"""The consent in a member entry: identity, node and ticket of the member have signed what it says (PROTOCOL 6).

So whoever admits others can neither speak for somebody nor spend a ticket that nobody showed.
"""

from __future__ import annotations

import functools

from starling.protocol.distributed import labels
from starling.protocol.distributed.identity import verify
from starling.protocol.distributed.member import DmlsMember, read_member, verify_binding
from starling.protocol.distributed.roster_body import Admission, Binding, Spend
from starling.protocol.distributed.ticket_proof import TicketProofTBS, read_ticket_proof
from starling.protocol.mls.key_package import KeyPackage


def admission_of(
    package: KeyPackage, *, name: str, role: str, cipher_suite: int, invite_id: bytes, spends: bool
) -> Admission:
    """The body that admits the owner of a KeyPackage, by the ticket that it proves to hold where it `spends` one.

    The KeyPackage has been checked; `cipher_suite` is that of the member's own send group. DecodeError, Invalid where
    it is none of a member.
    """
    leaf = package.leaf_node
    proof = read_ticket_proof(package) if spends else None
    return admission_by(
        read_member(leaf),
        name=name,
        role=role,
        signature_key=leaf.signature_key,
        cipher_suite=cipher_suite,
        invite_id=invite_id,
        spend=Spend(proof.ticket_key, package.init_key, proof.signature) if proof is not None else None,
    )


def admission_by(
    member: DmlsMember,
    *,
    name: str,
    role: str,
    signature_key: bytes,
    cipher_suite: int,
    invite_id: bytes,
    spend: Spend | None,
) -> Admission:
    """The body that admits whom a signed `dmls_member` names."""
    return Admission(
        name,
        role,
        member.send_group_id,
        member.peer_id,
        signature_key,
        cipher_suite,
        member.incarnation,
        invite_id,
        Binding(member.serial, member.identity_signature, member.peer_signature),
        spend,
    )


@functools.lru_cache(maxsize=4096)
def verify_consent(universe_id: bytes, subject: bytes, admission: Admission) -> None:
    """Check all signatures of a member entry but its author's. DecodeError, Invalid, VerificationFailed."""
    binding, spend = admission.binding, admission.spend
    member = DmlsMember(
        universe_id,
        admission.send_group_id,
        admission.peer_id,
        admission.incarnation,
        binding.serial,
        binding.identity_signature,
        binding.peer_signature,
    )
    verify_binding(member, subject, admission.signature_key)
    if spend is not None:
        proved = TicketProofTBS(
            universe_id, admission.invite_id, subject, admission.signature_key, spend.init_key
        )
        verify(spend.ticket_key, labels.TICKET_PROOF, proved.encode(), spend.signature)
