"""What a member that knows all secrets of an epoch can seal, and who notices (semi-private messages §3, S-8, S-9)."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.extensions.semi_private_groups import (
    SEMI,
    context_extensions,
    found,
    member,
    outsider,
    semi_private,
    view,
)
from tests.fuzz import values
from tests.fuzz.kinds import Structure
from tests.mls.group_members import refused

from starling.protocol.errors import Invalid, Pending, ProtocolError, Unsupported, VerificationFailed
from starling.protocol.extensions import semi_private as semi_privates
from starling.protocol.extensions.rules import Rule
from starling.protocol.extensions.semi_private import (
    LABEL,
    PerMessageKeyAndNonces,
    SemiPrivateMessageContext,
    SemiPrivateRules,
)
from starling.protocol.mls import MLSMessage, Remove
from starling.protocol.mls.components import SAFE_AAD, ComponentsList, read_dictionary, with_dictionary
from starling.protocol.mls.framing import Sender
from starling.protocol.mls.private_message import SenderData, seal_sender_data
from starling.protocol.mls.rules import Rule as MlsRule
from starling.protocol.mls.safe_aad import EMPTY
from starling.protocol.mls.semi_private_message import SemiPrivateMessage

ARCHIVE, RELAY = outsider("archive"), outsider("relay")


class Liar:
    """The sender of one proposal, Remove(1), that seals what it likes, consistently with what it changes."""

    def __init__(self) -> None:
        party = found(2, [ARCHIVE, RELAY])
        alice, self.bob = party.groups
        self.known = view(alice)
        self.suite, self.random = alice.cipher_suite, party.clients[0].random
        message, self.content = alice.propose(Remove(1), wire_format=SEMI, random=self.random)
        self.body = semi_private(message)
        sealed = self.body.keys_for_external_receivers[0].encrypted_keys_and_nonces
        self.keys = PerMessageKeyAndNonces.decode(
            self.suite.decrypt_with_label(ARCHIVE.private_key, LABEL, self._bound(self.body), sealed)
        )
        assert (self.keys.key, self.keys.nonce) == self.bob._epoch.secret_tree.handshake(0).peek(0)
        guard = self.keys.reuse_guard + bytes(8)
        self._nonce = bytes(a ^ b for a, b in zip(self.keys.nonce, guard, strict=True))
        self.plaintext = self.suite.open(
            self.keys.key, self._nonce, self.body.content_aad(), self.body.ciphertext
        )

    def _bound(self, body: SemiPrivateMessage) -> bytes:
        return SemiPrivateMessageContext(body.group_id, body.epoch, body.partial_context_hash).encode()

    def sealed(self, body: SemiPrivateMessage, plaintext: bytes | None = None) -> SemiPrivateMessage:
        """This header with the content, or another, under the key of the message."""
        content = self.plaintext if plaintext is None else plaintext
        ciphertext = self.suite.seal(self.keys.key, self._nonce, body.content_aad(), content)
        data = SenderData(0, 0, self.keys.reuse_guard)
        secret = self.bob.secrets.sender_data_secret
        sender = seal_sender_data(self.suite, self.content.content, data, secret, ciphertext)
        return replace(body, ciphertext=ciphertext, encrypted_sender_data=sender)

    def given(self, body: SemiPrivateMessage | None = None, **keys: Any) -> SemiPrivateMessage:
        """The archive gets other keys than the relay."""
        body = body or self.body
        changed = replace(self.keys, **keys)
        sealed = self.suite.encrypt_with_label(
            ARCHIVE.receiver.external_receiver_public_key,
            LABEL,
            self._bound(body),
            changed.encode(),
            self.random,
        )
        first, second = body.keys_for_external_receivers
        entries = (replace(first, encrypted_keys_and_nonces=sealed), second)
        return self.sealed(replace(body, keys_for_external_receivers=entries))

    def member_opens(self, body: SemiPrivateMessage) -> object:
        return self.bob.open_handshake(MLSMessage.of(body))


def everybody(liar: Liar, body: SemiPrivateMessage) -> tuple[Callable[[], object], Callable[[], object]]:
    """Who has all that it takes to check a message."""
    return lambda: liar.member_opens(body), lambda: ARCHIVE.open(body, liar.known)


def test_what_is_sealed_honestly_is_taken() -> None:
    liar = Liar()
    assert ARCHIVE.open(liar.given(), liar.known).is_authenticated
    assert liar.member_opens(liar.sealed(liar.body)) == liar.content


def test_another_content_than_was_hashed() -> None:
    liar = Liar()
    removal = b"\x00\x03" + (1).to_bytes(4)
    assert liar.plaintext.startswith(removal)
    other = liar.sealed(liar.body, b"\x00\x03" + bytes(4) + liar.plaintext[len(removal) :])
    for attempt in everybody(liar, other):
        assert refused(attempt) is Rule.SEMI_PRIVATE_CONTENT
    blind = ARCHIVE.open(other)
    assert blind.changes.removes == (0,) and not blind.is_authenticated


def test_padding_that_is_none() -> None:
    liar = Liar()
    padded = liar.sealed(liar.body, liar.plaintext + b"\x00\x01")
    for attempt in (*everybody(liar, padded), lambda: ARCHIVE.open(padded)):
        assert refused(attempt) is MlsRule.PADDING


def test_a_signature_that_is_none() -> None:
    liar = Liar()
    place = 6 + 2  # a Remove, and the length of the signature
    broken = bytes([liar.plaintext[place] ^ 1])
    unsigned = liar.sealed(liar.body, liar.plaintext[:place] + broken + liar.plaintext[place + 1 :])
    for attempt in everybody(liar, unsigned):
        with pytest.raises(VerificationFailed):
            attempt()
    assert not ARCHIVE.open(unsigned).is_authenticated


def test_content_that_is_none() -> None:
    liar = Liar()
    for plaintext in (b"", b"\x00", liar.plaintext[:-1], b"\xff" * 20):
        garbage = liar.sealed(liar.body, plaintext)
        for attempt in (*everybody(liar, garbage), lambda body=garbage: ARCHIVE.open(body)):
            with pytest.raises(Exception) as caught:
                attempt()
            assert type(caught.value).__name__ in ("DecodeError", "Unsupported")


def test_receivers_that_are_left_out() -> None:
    """S-9: who opens it would not know, but members and who has the GroupContext refuse it."""
    liar = Liar()
    first, second = liar.body.keys_for_external_receivers
    for entries in ((first,), (second, first), (first, second, first), (first, first)):
        body = liar.sealed(replace(liar.body, keys_for_external_receivers=entries))
        for attempt in everybody(liar, body):
            assert refused(attempt) is Rule.SEMI_PRIVATE_KEYS
        if entries.count(first) == 1:
            assert ARCHIVE.open(body).content == liar.content
        else:
            assert refused(ARCHIVE.open, body) is Rule.SEMI_PRIVATE_RECEIVER


def test_keys_for_one_receiver_that_are_none() -> None:
    """S-9: members cannot see it."""
    liar = Liar()
    lengths: tuple[dict[str, Any], ...] = (
        {"key": b"short"},
        {"key": liar.keys.key * 2},
        {"nonce": b""},
        {"nonce": liar.keys.nonce[:8]},
    )
    for keys in lengths:
        assert refused(ARCHIVE.open, liar.given(**keys)) is Rule.SEMI_PRIVATE_KEY_LENGTH
    assert refused(lambda: ARCHIVE.open(liar.given(sender_leaf_index=1))) is Rule.SEMI_PRIVATE_CONTEXT
    others: tuple[dict[str, Any], ...] = ({"key": bytes(16)}, {"reuse_guard": b"none"})
    for keys in others:
        with pytest.raises(VerificationFailed):
            ARCHIVE.open(liar.given(**keys))
    assert RELAY.open(liar.given(key=bytes(16)), liar.known).is_authenticated
    assert liar.member_opens(liar.given(sender_leaf_index=1)) == liar.content


def test_another_sender_than_that_of_the_key() -> None:
    liar = Liar()
    hashed = hashlib.sha256((7).to_bytes(4) + liar.keys.nonce).digest()
    body = liar.given(replace(liar.body, partial_context_hash=hashed), sender_leaf_index=7)
    assert refused(lambda: liar.member_opens(body)) is Rule.SEMI_PRIVATE_CONTEXT
    assert refused(lambda: ARCHIVE.open(body, liar.known)) is MlsRule.SENDER_BLANK
    assert ARCHIVE.open(body).sender_leaf_index == 7


def test_a_sender_that_the_application_does_not_allow() -> None:
    class _Nobody(SemiPrivateRules):
        def check_sender(self, sender: Sender, content_type: int) -> None:
            raise Invalid(MlsRule.SENDER_TYPE)

    liar = Liar()
    strict = replace(liar.known, rules=_Nobody())
    assert refused(lambda: ARCHIVE.open(liar.body, strict)) is MlsRule.SENDER_TYPE


def test_authenticated_data_that_is_not_safe_aad() -> None:
    alice = member("alice")
    extensions = context_extensions([ARCHIVE])
    dictionary = read_dictionary(extensions)
    assert dictionary is not None
    safe = with_dictionary(extensions, dictionary.with_component(SAFE_AAD, ComponentsList().encode()))
    group = alice.create(SemiPrivateRules(), safe)
    known = view(group)
    group._epoch.safe_aad = False
    honest, other = (
        group.propose(Remove(0), authenticated_data=data, wire_format=SEMI, random=alice.random)[0]
        for data in (EMPTY, b"junk")
    )
    assert ARCHIVE.open(honest, known).is_authenticated
    assert refused(lambda: ARCHIVE.open(other, known)) is MlsRule.SAFE_AAD_FORM
    assert ARCHIVE.open(other).content.content.authenticated_data == b"junk"


def test_a_message_for_nobody_in_a_group_without_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    class _NoneThatCounts(tuple[()]):
        def __bool__(self) -> bool:
            return True

    party = found(2, [])
    alice, bob = party.groups
    known = view(alice)
    with monkeypatch.context() as patch:
        patch.setattr(semi_privates, "read_external_receivers", lambda extensions: _NoneThatCounts())
        message, _ = alice.propose(Remove(1), wire_format=SEMI, random=party.clients[0].random)
    assert not semi_private(message).keys_for_external_receivers
    assert refused(lambda: bob.open_handshake(MLSMessage.decode(message))) is Rule.SEMI_PRIVATE_EMPTY
    assert refused(lambda: ARCHIVE.open(message, known)) is Rule.SEMI_PRIVATE_EMPTY


def test_a_message_in_a_group_that_does_not_require_the_format() -> None:
    liar = Liar()
    context = liar.known.group_context
    plain = replace(liar.known, group_context=replace(context, extensions=context.extensions[:1]))
    assert refused(lambda: ARCHIVE.open(liar.body, plain)) is MlsRule.WIRE_FORMAT
    with pytest.raises(ProtocolError):
        ARCHIVE.open(replace(liar.body, epoch=7))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_is_refused_or_harmless(seed: int) -> None:
    """By who forwards it, and by the sender itself, which seals header and content anew."""
    rng = random.Random(seed)
    liar = Liar()
    refusals = (ProtocolError, Unsupported, Pending)
    seen, taken = 0, 0
    for _ in range(120):
        changed = values.change(rng, Structure(SemiPrivateMessage), liar.body)
        if rng.random() < 0.5:
            changed = liar.sealed(changed)
        if rng.random() < 0.3:
            changed = liar.sealed(liar.body, values.change_bytes(rng, liar.plaintext))
        try:
            message = MLSMessage.decode(MLSMessage.of(changed).encode())
        except refusals:
            continue
        assert isinstance(message.body, SemiPrivateMessage)
        with contextlib.suppress(*refusals):
            seen += ARCHIVE.open(message.body) is not None
        # What is authenticated is what was signed, whatever else of the message was changed.
        with contextlib.suppress(*refusals):
            assert ARCHIVE.open(message.body, liar.known).content == liar.content
        with contextlib.suppress(*refusals):
            assert liar.bob.open_handshake(message) == liar.content
            taken += 1
            liar = Liar()  # its generation is consumed
    assert 0 < taken < 60 and 0 < seen < 60
