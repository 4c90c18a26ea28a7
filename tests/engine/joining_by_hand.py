"""Somebody who speaks the words of a join by hand, so that any of them can be wrong."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.engine.small_network import Network, Node

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.distributed import component_ids
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.joiner import Joiner
from starling.protocol.distributed.member import build_key_package
from starling.protocol.distributed.send_group_id import new_send_group_id
from starling.protocol.distributed.ticket import Ticket
from starling.protocol.distributed.vouched_info import VouchedInfo
from starling.protocol.engine.inputs import MessageFromPeer
from starling.protocol.exchange.joining_messages import (
    JoinAnswer,
    JoinHello,
    JoinProof,
    JoinRefused,
    JoinRequest,
)
from starling.protocol.exchange.messages import attach
from starling.protocol.extensions.private_external import seal_private_external
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle
from starling.protocol.mls.external_proposal import propose_own_add
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.safe_aad import SafeAAD


class Guest:
    """One who holds a ticket and is no engine. What the sponsor says to it is read from what the network sent."""

    def __init__(self, network: Network, name: str, ticket: str) -> None:
        self.network = network
        counter = itertools.count()
        self.random: Callable[[int], bytes] = lambda length: hashlib.shake_128(
            f"{name} {next(counter)}".encode()
        ).digest(length)
        self.identity = Identity.generate(name, self.random)
        self.ticket = Ticket.parse(ticket)
        self.universe_id = self.ticket.universe_id
        self.group_id = self.fresh_group_id()
        self.signature_private_key, _ = cipher_suite(1).signature_generate(self.random)
        _, self.answer_key = cipher_suite(1).hpke_generate(self.random)
        self._read = 0

    def fresh_group_id(self) -> bytes:
        return new_send_group_id(self.universe_id, self.me, self.random)

    @property
    def id(self) -> bytes:
        return self.identity.peer_id

    @property
    def me(self) -> bytes:
        return self.identity.identity_public_key

    def say(self, sponsor: Node, message: Any) -> list[Any]:
        """What the sponsor answers."""
        before = len(self.network.messages(sponsor))
        sponsor.do(MessageFromPeer(self.id, attach(message.encode(), [])))
        return [answer for peer, answer in self.network.messages(sponsor)[before:] if peer == self.id]

    def greet(self, sponsor: Node) -> ExternalEncryptionBundle:
        """The key to ask by."""
        hello = JoinHello(self.universe_id, self.ticket.keys.invite_id, self.random(32))
        (proof,) = self.say(sponsor, hello)
        assert isinstance(proof, JoinProof), proof
        return VouchedInfo.decode(proof.vouched).bundle

    def package(self, *, joiner: Joiner | None = None, **changes: Any) -> KeyPackage:
        arguments: dict[str, Any] = {
            "cipher_suite": cipher_suite(1),
            "universe_id": self.universe_id,
            "send_group_id": self.group_id,
            "incarnation": 1,
            "serial": self.network.now,
            "signature_private_key": self.signature_private_key,
            "now": self.network.now,
            "random": self.random,
            "ticket": self.ticket,
            "joiner": joiner or Joiner.padded(self.identity.name, 1, b""),
        }
        return build_key_package(self.identity, **(arguments | changes)).key_package

    def asks(self, bundle: ExternalEncryptionBundle, package: KeyPackage, **aad: bytes) -> MLSMessage:
        """The external Add proposal."""
        items = aad or {"answer_key": self.answer_key}
        safe_aad = SafeAAD.of(
            {
                component_ids.ANSWER_KEY if name == "answer_key" else 0x8D7F: value
                for name, value in items.items()
            }
        )
        proposal = propose_own_add(
            bundle.group_id, bundle.epoch, package, self.signature_private_key, safe_aad.encode()
        )
        return MLSMessage.decode(proposal)

    def sealed(self, bundle: ExternalEncryptionBundle, inner: MLSMessage) -> JoinRequest:
        message = seal_private_external(inner, bundle, random=self.random)
        return JoinRequest(self.universe_id, wrap(message, bundle.dmls_epoch))

    def request(
        self, bundle: ExternalEncryptionBundle, package: KeyPackage | None = None, **aad: bytes
    ) -> JoinRequest:
        return self.sealed(bundle, self.asks(bundle, package or self.package(), **aad))

    def ask(self, sponsor: Node, package: KeyPackage | None = None, **aad: bytes) -> Any:
        """Greet, ask, and give back what the sponsor answered."""
        (answer,) = self.say(sponsor, self.request(self.greet(sponsor), package, **aad))
        assert isinstance(answer, JoinAnswer | JoinRefused)
        return answer


def with_key(bundle: ExternalEncryptionBundle, public_key: bytes) -> ExternalEncryptionBundle:
    """The same with another HPKE key, its signature as it was."""
    return replace(bundle, info=replace(bundle.info, external_encryption_public_key=public_key))
