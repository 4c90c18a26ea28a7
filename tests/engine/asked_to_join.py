"""Requests to join, for the tests of what a sponsor refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.engine.joining_by_hand import Guest, with_key
from tests.engine.small_network import SECOND, Network, Node, quiet

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.ticket import Ticket, sponsor_mac
from starling.protocol.distributed.vouched_info import VouchedInfo
from starling.protocol.engine.inputs import JoinUniverse
from starling.protocol.engine.step import Send, SendToPeer
from starling.protocol.exchange.joining_messages import JoinProof, JoinRefused, JoinRequest
from starling.protocol.exchange.messages import attach, decode_message
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle

SUITE = cipher_suite(1)


def kind_of(send: Send) -> type | None:
    return type(decode_message(attach(send.data, []))[0]) if isinstance(send, SendToPeer) else None


def refusal(reason: str, universe: bytes, *, final: bool = True) -> JoinRefused:
    return JoinRefused(universe, reason, final)


def two(uses: int = 5) -> tuple[Network, bytes, Node, Node, Guest]:
    network, universe, (alice, bob) = quiet("alice", "bob")
    return network, universe, alice, bob, Guest(network, "guest", network.invite(alice, universe, uses=uses))


class Shown:
    """A proof in its parts, made whole again as one who knows the ticket's MAC key can."""

    def __init__(self, message: JoinProof, sponsor: Node, joiner: Node, mac_key: bytes) -> None:
        self.message, self.sponsor, self.joiner, self.mac_key = message, sponsor, joiner, mac_key
        self.vouched = VouchedInfo.decode(message.vouched)

    def again(self, vouched: VouchedInfo) -> JoinProof:
        encoded = vouched.encode()
        mac = sponsor_mac(
            self.mac_key,
            universe_id=self.message.universe_id,
            sponsor_peer_id=self.sponsor.id,
            joiner_peer_id=self.joiner.id,
            nonce=self.message.nonce,
            vouched=encoded,
        )
        return replace(self.message, vouched=encoded, mac=mac)

    def signed_by(self, identity: Any, bundle: ExternalEncryptionBundle) -> JoinProof:
        return self.again(VouchedInfo.sign(identity, self.message.universe_id, bundle))


def stranger_bundle(shown: Shown) -> ExternalEncryptionBundle:
    """A key of somebody else for the sponsor's epoch, with a root key of its own: right in itself (P-4)."""
    root = SUITE.signature_generate(lambda length: b"r" * length)[0]
    _, public_key = SUITE.hpke_derive_key_pair(b"m" * 32)
    bundle = with_key(shown.vouched.bundle, public_key)
    info = replace(bundle.info, root_public_signature_key=SUITE.signature_public_key(root))
    tbs = info._to_be_signed(bundle.group_id, bundle.epoch)
    signature = SUITE.sign_with_label(root, "ExternalEncryptionInfoTBS", tbs)
    return replace(bundle, info=replace(info, external_encryption_signature=signature))


def shown_to_joiner() -> tuple[Network, bytes, Node, Node, Shown]:
    """A joiner that has greeted its sponsor, and the proof, held back."""
    network, universe, (alice, _) = quiet("alice", "bob")
    joiner = network.add("joiner")
    held: list[JoinProof] = []

    def hold_back(source: Node, target: Node, send: Send) -> bool:
        if target is joiner and isinstance(send, SendToPeer):
            message = decode_message(attach(send.data, []))[0]
            if isinstance(message, JoinProof) and source is alice:
                held.append(message)
            return True
        return False

    network.drop = hold_back
    ticket = network.invite(alice, universe)
    joiner.do(JoinUniverse(ticket))
    network.run(SECOND)
    return network, universe, alice, joiner, Shown(held[-1], alice, joiner, Ticket.parse(ticket).keys.mac_key)


def asked(network: Network, joiner: Node) -> list[JoinRequest]:
    return [message for _, message in network.messages(joiner) if isinstance(message, JoinRequest)]
