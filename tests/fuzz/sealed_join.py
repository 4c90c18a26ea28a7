"""What is sealed in a join, by somebody who seals whatever it likes: requests to a sponsor, answers to a joiner."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from tests.engine.joining_by_hand import Guest
from tests.engine.small_network import Node
from tests.fuzz.kinds import Structure
from tests.fuzz.packed_values import change_packed
from tests.fuzz.values import change, change_bytes, change_structure

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.crypto.hpke import HPKECiphertext
from starling.protocol.decentralized.dmls_message import wrap
from starling.protocol.distributed import labels
from starling.protocol.distributed.joiner import Joiner
from starling.protocol.engine.inputs import Input, MessageFromPeer
from starling.protocol.errors import ProtocolError, Unsupported, UsageError
from starling.protocol.exchange.joining_messages import Admitted, JoinAnswer, JoinRequest
from starling.protocol.exchange.messages import attach
from starling.protocol.extensions.private_external_info import ExternalEncryptionBundle
from starling.protocol.mls.message import MLSMessage
from starling.protocol.mls.private_external_message import PrivateExternalMessage
from starling.protocol.packed import pack, unpack

_LABEL = "PrivateExternalMessageContent"


class HostileGuest:
    """Holds a ticket, and asks one sponsor by it."""

    def __init__(self, rng: random.Random, guest: Guest, sponsor: Node) -> None:
        self._rng = rng
        self._guest = guest
        self._sponsor = sponsor

    def request(self) -> Input:
        """As an input of the sponsor, which has told its key and opens as much as it is asked to."""
        rng, guest = self._rng, self._guest
        state = self._sponsor.universe(guest.universe_id)
        state.door.greeted.clear()
        state.door.opened.clear()
        bundle = guest.greet(self._sponsor)
        try:
            asked: Any = guest.asks(bundle, self._package()).body
        except (UsageError, Unsupported, ProtocolError):  # of a suite that is none, or of another signature
            asked = guest.asks(bundle, guest.package()).body
        for _ in range(rng.choice((0, 1, 1, 2))):
            changed = change(rng, Structure(type(asked)), asked)
            asked = changed if type(changed) is type(asked) else asked
        try:
            inner = asked.encode()
        except Exception:  # what was made up has no wire form
            inner = rng.randbytes(300)
        if rng.random() < 0.3:
            inner = change_bytes(rng, inner)
        message = wrap(self._seal(bundle, inner), bundle.dmls_epoch)
        if rng.random() < 0.2:
            message = change_bytes(rng, message)
        request = JoinRequest(guest.universe_id, message[: 16 * 1024] or b"\x00")
        return MessageFromPeer(guest.id, attach(request.encode(), []))

    def _package(self) -> Any:
        rng, guest = self._rng, self._guest
        state = self._sponsor.universe(guest.universe_id)
        ids = [guest.group_id, *state.groups, rng.randbytes(32), rng.randbytes(rng.randrange(64))]
        joiner = Joiner.padded(rng.choice(("guest", "", "x" * 200, "\u202e")), rng.choice((0, 1, 2, 3)), b"")
        if rng.random() < 0.4:
            joiner = replace(joiner, address=rng.randbytes(rng.choice((1, 40, 3000))))
        try:
            package = guest.package(
                send_group_id=rng.choice(ids),
                joiner=joiner,
                cipher_suite=cipher_suite(rng.choice((1, 1, 1, 3))),
                incarnation=rng.choice((0, 1, 2**32 - 1)),
                ticket=rng.choice((guest.ticket, guest.ticket, None)),
            )
        except UsageError:
            package = guest.package()
        return change_structure(rng, package) if rng.random() < 0.3 else package

    def _seal(self, bundle: ExternalEncryptionBundle, inner: bytes) -> bytes:
        suite = cipher_suite(bundle.info.cipher_suite)
        public_key = bundle.info.external_encryption_public_key
        sealed = suite.encrypt_with_label(public_key, _LABEL, b"", inner, self._guest.random)
        aad = self._guest.asks(bundle, self._guest.package()).body
        assert hasattr(aad, "content")
        header = (bundle.group_id, bundle.epoch, 2, aad.content.authenticated_data)
        return MLSMessage.of(PrivateExternalMessage(*header, sealed)).encode()


class HostileAnswer:
    """What a sponsor may answer a joiner that has asked it: anything, sealed as it is to be."""

    def __init__(
        self, rng: random.Random, joiner: Node, sponsor: Node, universe: bytes, held: JoinAnswer
    ) -> None:
        self._rng = rng
        self._joiner = joiner
        self._sponsor = sponsor
        self._universe = universe
        opened = self._suite().decrypt_with_label(
            self._private_key(), labels.JOIN_ANSWER, universe, HPKECiphertext.decode(held.sealed)
        )
        assert Admitted.decode(opened).encode() == opened
        self._values = unpack(opened, max_bytes=2**24)

    def answer(self) -> Input | None:
        """As an input of the joiner; None where it has not asked meanwhile."""
        joining = self._joiner.universe(self._universe).joining
        if joining is None or self._sponsor.id not in joining.proven:
            return None
        values = self._values
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            values = change_packed(self._rng, values)
        try:
            plaintext = pack(values)
        except UsageError:
            plaintext = change_bytes(self._rng, pack(self._values))
        public_key = X25519PrivateKey.from_private_bytes(self._private_key()).public_key().public_bytes_raw()
        random_bytes = self._rng.randbytes
        sealed = self._suite().encrypt_with_label(
            public_key, labels.JOIN_ANSWER, self._universe, plaintext[: 2**20], random_bytes
        )
        return MessageFromPeer(
            self._sponsor.id, attach(JoinAnswer(self._universe, sealed.encode()).encode(), [])
        )

    def _proven(self) -> Any:
        joining = self._joiner.universe(self._universe).joining
        assert joining is not None
        return joining.proven[self._sponsor.id]

    def _private_key(self) -> bytes:
        key: bytes = self._proven().answer_key
        return key

    def _suite(self) -> Any:
        return cipher_suite(self._proven().vouched.bundle.info.cipher_suite)
